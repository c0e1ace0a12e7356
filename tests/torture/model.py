"""Every interleaving of a delivery protocol, by breadth-first search: attempts that die anywhere, an ERP at any moment.

A protocol is a function from a state to its next states. Two are the product's, `drop` (etl/erp/drop.py) and `table`
(etl/erp/staging.py); each has a mistake that can be built in, which the search must find. The steps of one attempt
carry the names of what the code does there; test_model.py holds both lists against each other.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final, NamedTuple, TypeVar

SEALED, PUBLISHING, PUBLISHED = "sealed", "publishing", "published"
DEAD: Final = "dead"
S = TypeVar("S", bound="Drop | Table")
Steps = Callable[[S], Iterator[tuple[str, S]]]


class Found(NamedTuple):
    """What a search found: how many states there are, and the shortest way to a state that must not be."""

    states: int
    fault: str
    way: tuple[str, ...]


class Attempt(NamedTuple):
    """One run of the delivery step: the step it does next, and what the store told it when it began."""

    step: str = "begin"
    epoch: int = 0
    token: int = 0
    whole: bool = False  # drop: what it read back was whole; table: it holds rows that are not committed


class Drop(NamedTuple):
    """Store, folder, ERP and attempts of a file drop; a part file is (name, whole), names are epochs."""

    attempts: tuple[Attempt, ...]
    state: str = SEALED
    epoch: int = 0
    token: int = 0
    parts: frozenset[tuple[int, bool]] = frozenset()
    final: bool | None = None  # the file under its name: absent, cut short or whole
    renamed: int = 0
    taken: int = 0
    short: bool = False  # the ERP took a file that was not whole


class Table(NamedTuple):
    """Store, staging table, manifest, ERP and attempts; `rows` counts committed copies of the batch."""

    attempts: tuple[Attempt, ...]
    state: str = SEALED
    rows: int = 0
    manifest: bool = False
    taken: int = 0
    half: bool = False  # only a part of the rows is committed
    short: bool = False


@dataclass(frozen=True)
class Protocol:
    """A protocol to be searched; `mistake` names the variant, "" is the product's; `lock` is PostgreSQL's."""

    kind: str
    mistake: str = ""
    lock: bool = True

    def first(self, attempts: int) -> Drop | Table:
        """Nothing delivered yet, and so many attempts that have not begun."""
        waiting = (Attempt(),) * attempts
        return Drop(waiting) if self.kind == "drop" else Table(waiting)

    def steps(self, state: Drop | Table) -> Iterator[tuple[str, Drop | Table]]:
        """Whatever may happen next: a step of an attempt, its death, the ERP taking what it sees."""
        one = self._drop if isinstance(state, Drop) else self._table
        for number, attempt in enumerate(state.attempts):
            if attempt.step == DEAD:
                continue
            for label, changes, after in one(state, attempt):  # type: ignore[operator]
                yield label, _with(state, number, after)._replace(**changes)
            if attempt.step != "begin":
                yield "dies", _with(state, number, Attempt(DEAD))
        yield from self._erp(state)

    def _erp(self, state: Drop | Table) -> Iterator[tuple[str, Drop | Table]]:
        if isinstance(state, Drop):
            if state.final is not None:
                short = state.short or not state.final
                yield "taken", state._replace(final=None, taken=state.taken + 1, short=short)
        elif state.rows:
            after = state._replace(rows=0, taken=state.taken + state.rows, short=state.short or state.half)
            yield "taken", after._replace(half=False)

    def alone(self, state: Drop | Table) -> Drop | Table:
        """What one plain re-run makes of a state when nothing else moves and nothing dies."""
        if self.kind == "drop" and isinstance(state, Drop) and state.epoch >= _EPOCHS_MAX:
            return state
        only = state._replace(attempts=(Attempt(),))
        while only.attempts[0].step != DEAD:
            one = self._drop if isinstance(only, Drop) else self._table
            _, changes, after = next(iter(one(only, only.attempts[0])))  # type: ignore[operator]
            only = _with(only, 0, after)._replace(**changes)
        return only

    # --- the file drop: each attempt its own part file, claimed in the store, renamed by anybody, once

    def _drop(self, s: Drop, a: Attempt) -> Iterator[tuple[str, dict[str, object], Attempt]]:
        parts = dict(s.parts)
        mine = _SHARED if self.mistake == "one part name for all" else a.epoch
        if a.step == "begin":
            begun = Attempt("look", s.epoch + 1, s.token)
            after = {SEALED: begun, PUBLISHING: begun._replace(step="rename")}.get(s.state, Attempt(DEAD))
            yield "begin", {"epoch": s.epoch + 1}, after
        elif a.step == "look":
            after = "claim" if s.final is not None else "sweep first" if "stale" in self.mistake else "create"
            yield "look", {}, a._replace(step=after)
        elif a.step == "sweep first":  # the mistake: what looks stale may be the token of another attempt
            yield "sweep", {"parts": frozenset()}, a._replace(step="create")
        elif a.step == "create":
            there = mine in parts and self.mistake != "one part name for all"
            step = "claim early" if self.mistake == "claim before the file is whole" else "write"
            added = {} if there else {"parts": frozenset((parts | {mine: False}).items())}
            yield "create", added, Attempt(DEAD) if there else a._replace(step=step)
        elif a.step == "write":
            kept = parts | {mine: True} if mine in parts else parts
            step = "rename" if self.mistake == "claim before the file is whole" else "verify"
            yield "write", {"parts": frozenset(kept.items())}, a._replace(step=step)
        elif a.step == "verify":
            yield "verify", {}, a._replace(step="claim") if parts.get(mine) else Attempt(DEAD)
        elif a.step in ("claim", "claim early"):
            won = s.state == SEALED and (s.epoch == a.epoch or self.mistake == "no fence")
            after = "write" if a.step == "claim early" else "rename"
            taken = {"state": PUBLISHING, "token": mine}
            yield "claim", taken if won else {}, a._replace(step=after if won else "withdraw", token=mine)
        elif a.step == "withdraw":
            kept = {name: whole for name, whole in parts.items() if name != mine}
            yield "remove", {"parts": frozenset(kept.items())}, Attempt(DEAD)
        elif a.step == "rename":
            yield from self._rename(s, a, parts)
        elif a.step == "sweep":
            left = {name: whole for name, whole in parts.items() if name > a.epoch}
            yield "sweep", {"parts": frozenset(left.items())}, a._replace(step="mark")
        else:
            done = {"state": PUBLISHED} if s.state == PUBLISHING else {}
            yield "mark", done, Attempt(DEAD)

    def _rename(self, s: Drop, a: Attempt, parts: dict[int, bool]) -> Iterator[tuple[str, dict[str, object], Attempt]]:
        after = a._replace(step="sweep")
        if self.mistake == "upload again in publishing" and a.token not in parts and s.token != a.epoch:
            yield "rename", {"final": True, "renamed": s.renamed + 1}, after
        elif a.token in parts:
            left = frozenset((name, whole) for name, whole in s.parts if name != a.token)
            yield "rename", {"parts": left, "final": parts[a.token], "renamed": s.renamed + 1}, after
        else:
            yield "rename", {}, after

    # --- the staging table: rows and manifest in one transaction

    def _table(self, s: Table, a: Attempt) -> Iterator[tuple[str, dict[str, object], Attempt]]:
        held = any(other.step in _IN_TRANSACTION and other.whole for other in s.attempts)
        if a.step == "begin":
            step = DEAD if s.state == PUBLISHED else "mark early" if "mark before" in self.mistake else "lock"
            yield "begin", {}, Attempt(step)
        elif a.step == "mark early":  # the mistake: the store says published before the target does
            yield "mark", {"state": PUBLISHED}, Attempt("lock")
        elif a.step == "lock":
            if not (self.lock and held):
                yield "lock", {}, Attempt("look", whole=True)
        elif a.step == "look":
            there = s.rows > 0 if self.mistake == "no manifest" else s.manifest
            yield "look", {}, Attempt("mark" if there else "insert")
            if not there:
                return
        elif a.step == "insert":
            if self.mistake == "commit in parts":
                yield "insert", {"rows": s.rows + 1, "half": True}, Attempt("commit", whole=True)
            else:
                yield "insert", {}, Attempt("commit", whole=True)
        elif a.step == "commit":
            yield from self._commit(s)
        elif a.step == "second transaction":
            yield "commit", {"manifest": True}, Attempt("mark")
        elif a.step == "ask":  # the link died around COMMIT: the manifest is asked on a new one
            yield "ask", {}, Attempt("mark" if s.manifest else DEAD)
        elif a.step == "mark":
            yield "mark", {"state": PUBLISHING if s.state == SEALED else s.state}, Attempt("mark again")
        else:
            yield "mark", {"state": PUBLISHED if s.state == PUBLISHING else s.state}, Attempt(DEAD)

    def _commit(self, s: Table) -> Iterator[tuple[str, dict[str, object], Attempt]]:
        if self.mistake == "commit in parts":
            yield "commit", {"half": False, "manifest": True}, Attempt("mark")
        elif self.mistake == "no manifest":
            yield "commit", {"rows": s.rows + 1}, Attempt("mark")
        elif self.mistake == "manifest in a second transaction":
            yield "commit", {"rows": s.rows + 1}, Attempt("second transaction")
        elif s.manifest:  # its key is taken: the database rolls all of it back
            yield "commit", {}, Attempt("ask")
        else:
            yield "commit", {"rows": s.rows + 1, "manifest": True}, Attempt("mark")
            yield "commit, answer lost", {"rows": s.rows + 1, "manifest": True}, Attempt("ask")
            yield "cut before commit", {}, Attempt("ask")


_SHARED: Final = 1000
_EPOCHS_MAX: Final = 100
_IN_TRANSACTION: Final = ("look", "insert", "commit")


def _with(state: S, number: int, attempt: Attempt) -> S:
    return state._replace(attempts=(*state.attempts[:number], attempt, *state.attempts[number + 1 :]))  # type: ignore[return-value]


def fault(protocol: Protocol, s: Drop | Table) -> str:
    """Why a state must not be; empty when it may."""
    effective = s.taken + (s.final is not None if isinstance(s, Drop) else s.rows)
    if effective > 1:
        return "doubled"
    if s.short:
        return "partial"
    if s.state == PUBLISHED and not effective:
        return "lost: the store says published and the ERP has nothing"
    healed = protocol.alone(s)
    effective = healed.taken + (healed.final is not None if isinstance(healed, Drop) else healed.rows)
    if healed.state != PUBLISHED:
        return "stuck: one more run does not publish"
    if healed.short or getattr(healed, "final", None) is False or getattr(healed, "half", False):
        return "partial after one more run"
    if effective != 1:
        return f"not healed: one more run ends with {effective} copies"
    return ""


def search(protocol: Protocol, attempts: int) -> Found:
    """Visit every state that so many attempts can reach; stops at the first that must not be."""
    first = protocol.first(attempts)
    came: dict[Drop | Table, tuple[Drop | Table, str] | None] = {first: None}
    queue = deque([first])
    while queue:
        state = queue.popleft()
        if why := fault(protocol, state):
            return Found(len(came), why, _way(came, state))
        for label, after in protocol.steps(state):
            after = after._replace(attempts=tuple(sorted(after.attempts)))  # attempts differ by nothing but their state
            if after not in came:
                came[after] = (state, label)
                queue.append(after)
    return Found(len(came), "", ())


def _way(came: dict[Drop | Table, tuple[Drop | Table, str] | None], state: Drop | Table) -> tuple[str, ...]:
    labels = []
    while (before := came[state]) is not None:
        state, label = before
        labels.append(label)
    return tuple(reversed(labels))


def alone(protocol: Protocol) -> list[str]:
    """The steps of one attempt that meets nothing in its way."""
    labels, state = [], protocol.first(1)
    while state.attempts[0].step != DEAD:
        label, state = next(iter(protocol.steps(state)))
        labels.append(label)
    return labels
