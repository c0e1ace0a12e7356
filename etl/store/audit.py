"""The audit chain: who did what when, each event's hash over the one before it, written with the change it tells.

An event may carry seals: digests of what its subject looked like right after the change. `check` recomputes the chain,
and the newest seal of every subject, so a row that was altered, added or removed behind our back is named.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import pandas as pd
from sqlalchemy import insert, select, update
from sqlalchemy.engine import Connection
from sqlalchemy.sql import Select

from etl import model
from etl.store import frames
from etl.store import tables as t

FORM: Final = "v1"  # of the text that is hashed: a chain is for ever, another form gets another name
START: Final = "0" * 64
_CONTENT: Final = ("seq", "at", "actor", "event", "subject", "detail", "seals", "prev")
_BATCH: Final = (
    "batch_id", "batch_no", "feed_id", "target", "seq", "company", "period", "sha256", "journals", "lines", "totals",
    "state", "epoch", "token", "run_id",
)  # fmt: skip
_LANDING: Final = ("feed_id", "sha256", "size", "seq", "state", "reason")
_OUTCOME: Final = (
    "company", "report_id", "report_version", "document_currency", "outcome", "lines", "gross_minor", "content_hash",
    "business_hash", "journal_key",
)  # fmt: skip


@dataclass(frozen=True)
class Head:
    """The newest event of a chain: its number and hash; kept elsewhere, it is the chain's anchor."""

    seq: int
    h: str


@dataclass(frozen=True)
class Flaw:
    """Something that the chain does not vouch for: where, and what is wrong."""

    subject: str
    detail: str


def append(
    connection: Connection, at: str, event: str, subject: str, detail: str = "", actor: str = "",
    seals: Sequence[str] = (),
) -> None:  # fmt: skip
    """Add one event, in the transaction of the change; `seals` names what to seal of the subject as it is now."""
    head = connection.execute(select(t.audit_head.c.seq, t.audit_head.c.h).with_for_update()).one()
    sealed = {name: SEALS[name](connection, subject) for name in seals}
    row = {"seq": head.seq + 1, "at": at, "actor": actor, "event": event, "subject": subject, "detail": detail}
    row |= {"seals": json.dumps(sealed, sort_keys=True), "prev": head.h}
    row["h"] = _hash(row)
    connection.execute(insert(t.audit), row)
    connection.execute(update(t.audit_head).values(seq=row["seq"], h=row["h"]))


def head(connection: Connection) -> Head:
    """The newest event as the head row says it."""
    return Head(*connection.execute(select(t.audit_head.c.seq, t.audit_head.c.h)).one())


def check(connection: Connection, anchors: Sequence[Head] = ()) -> Iterator[Flaw]:
    """What is wrong with the chain, with the rows that it seals, or with the chain as it was anchored elsewhere."""
    wanted: dict[int, set[str]] = {}
    for anchor in [one for one in anchors if one != Head(0, START)]:  # that one says: nothing has happened yet
        wanted.setdefault(anchor.seq, set()).add(anchor.h)
    newest: dict[tuple[str, str], str] = {}
    before, last = START, 0
    for found in connection.execute(select(t.audit).order_by(t.audit.c.seq)).mappings():
        row = dict(found)
        last += 1
        yield from _link(row, before, last)
        last, before = row["seq"], row["h"]
        if wanted.pop(last, {before}) != {before}:
            yield Flaw(f"event {last}", "differs from the anchor: the chain was written anew")
        newest |= {(row["subject"], name): value for name, value in json.loads(row["seals"]).items()}
    if head(connection) != Head(last, before):
        yield Flaw(f"event {last}", "is not the head: events are missing at the end")
    for seq in sorted(wanted):
        yield Flaw(f"event {seq}", "is anchored and missing: the chain was cut off")
    yield from _altered(connection, newest)
    yield from _strange(connection, {subject for subject, _ in newest})


def _link(row: Mapping[str, Any], before: str, seq: int) -> Iterator[Flaw]:
    if row["seq"] != seq:
        yield Flaw(f"event {seq}", "is missing")
    if row["prev"] != before:
        yield Flaw(f"event {row['seq']}", "does not follow the event before it")
    if row["h"] != _hash(row):
        yield Flaw(f"event {row['seq']}", "was altered")


def _altered(connection: Connection, newest: Mapping[tuple[str, str], str]) -> Iterator[Flaw]:
    for (subject, name), sealed in newest.items():
        now = SEALS[name](connection, subject)
        if now != sealed:
            yield Flaw(subject, f"{name} {'missing' if now == NOTHING else 'altered'} since the last event")


def _strange(connection: Connection, known: set[str]) -> Iterator[Flaw]:
    """Batches and landings in the store that no event speaks of."""
    landings = connection.execute(select(t.landing.c.feed_id, t.landing.c.sha256))
    subjects = [*(landing_subject(*row) for row in landings), *connection.execute(select(t.batch.c.batch_id)).scalars()]
    yield from (
        Flaw(subject, "stands in the store, and no event tells of it") for subject in subjects if subject not in known
    )


def _hash(row: Mapping[str, Any]) -> str:
    content = [FORM, *(row[name] for name in _CONTENT)]
    return model.digest(json.dumps(content, ensure_ascii=False, separators=(",", ":")))


# --- seals: what a subject looks like now


def landing_subject(feed_id: str, sha256: str) -> str:
    """How events name a landing."""
    return f"{feed_id}/{sha256}"


def _digest(connection: Connection, statement: Select[Any]) -> str:
    """The digest of a statement's rows in order of their texts."""
    rows = frames.read(connection, statement)
    if not len(rows):
        return NOTHING
    texts = model.joined([model.utf8(rows[name].astype("str")) for name in rows.columns], "\x1e")
    return model.digest(*sorted(texts.to_pylist()))


def _batch(connection: Connection, subject: str) -> str:
    return _digest(connection, select(*[t.batch.c[name] for name in _BATCH]).where(t.batch.c.batch_id == subject))


def _members(connection: Connection, subject: str) -> str:
    """Journals of a batch, with the content, total, answer and ERP document of each."""
    columns = (t.journal.c.journal_key, t.journal.c.content_hash, t.journal.c.debit_minor, t.journal.c.reversal_of)
    answers = (t.batch_member.c.state, t.batch_member.c.erp_document)
    join = t.batch_member.c.journal_key == t.journal.c.journal_key
    statement = select(*columns, *answers).join(t.batch_member, join).where(t.batch_member.c.batch_id == subject)
    return _digest(connection, statement)


def _landing(connection: Connection, subject: str) -> str:
    feed_id, _, sha256 = subject.rpartition("/")
    where = (t.landing.c.feed_id == feed_id, t.landing.c.sha256 == sha256)
    return _digest(connection, select(*[t.landing.c[name] for name in _LANDING]).where(*where))


def _outcomes(connection: Connection, subject: str) -> str:
    feed_id, _, sha256 = subject.rpartition("/")
    where = (t.outcome.c.feed_id == feed_id, t.outcome.c.landing_sha256 == sha256)
    return _digest(connection, select(*[t.outcome.c[name] for name in _OUTCOME]).where(*where))


NOTHING: Final = "nothing"
SEALS: Final[dict[str, Callable[[Connection, str], str]]] = {
    "batch": _batch, "members": _members, "landing": _landing, "outcomes": _outcomes,
}  # fmt: skip


def events(connection: Connection, subject: str) -> pd.DataFrame:
    """The history of one subject: event, detail, actor, at; oldest first."""
    columns = [t.audit.c[name] for name in ("event", "detail", "actor", "at")]
    return frames.read(connection, select(*columns).where(t.audit.c.subject == subject).order_by(t.audit.c.seq))
