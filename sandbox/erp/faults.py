"""Named switches that make this ERP misbehave as real ones were seen to, and what table and file import share of them.

A switch strikes one journal of each group or file, the first by its key, so that a product has to find one in many;
which ones it struck stands in the import's summary.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from decimal import ROUND_HALF_UP, Decimal
from typing import Final, TypeVar

from sandbox.erp.books import Company, period_of

RE_DATING: Final = "re-dating"
SILENT_ROUNDING: Final = "silent-rounding"
WITHOUT_EFFECT: Final = "success-without-effect"
AFTER_COMMIT: Final = "failure-after-commit"
DRAFTS: Final = "drafts-left-behind"
THEN_DRAFT: Final = "posted-then-draft"
AT_COMMIT: Final = "commit-time-rejection"
ERROR_INSIDE: Final = "error-inside-success"
DUPLICATE: Final = "duplicate-accepted"
ALL_OR_NOTHING: Final = "all-or-nothing"
REFUSE_ONE: Final = "refuse-one"
SLOW: Final = "slow"
LYING: Final = "lying"

REFUSED_CODE: Final = "UNKNOWN_ACCOUNT"  # of a file; each form has its own word for it
REFUSED_TEXT: Final = "The journal is refused, though nothing is wrong with it."
SIBLING_TEXT: Final = "Another journal of the group was refused, so nothing of it is posted."
DRAFT_CODE, DRAFT_TEXT = "POST_FAILED", "The journal was created, but could not be posted."
INSIDE_CODE, INSIDE_TEXT = "ERP_REFUSED", "UserError: the journal was not posted."

Reason = TypeVar("Reason")


class ImportFailed(Exception):
    """The import ends with an error; what it committed before stays in the books."""


@dataclass(frozen=True)
class Switch:
    """A fault: what it does to the struck journal, and which real system was seen doing it."""

    name: str
    does: str
    seen: str


SWITCHES: Final = tuple(
    Switch(*one)
    for one in (
        (RE_DATING, "posts it into the next open period, without a word", "Odoo 15, entry before the lock date"),
        (SILENT_ROUNDING, "posts it with one decimal less, the rest on the last line", "Odoo 15, 1.005 became 1.01"),
        (WITHOUT_EFFECT, "answers posted, with a number, and books nothing", "Odoo 15, load() over a posted move"),
        (AFTER_COMMIT, "posts the first group or file, then fails before it answers", "Odoo 15, sheet over XML-RPC"),
        (DRAFTS, "answers refused and leaves an unposted draft in the books", "Tryton 8.2, create and post apart"),
        (THEN_DRAFT, "sets back to draft what an earlier import posted and answered", "Odoo 15, reset to draft"),
        (AT_COMMIT, "refuses at the commit: all is rolled back and no journal is named", "django-hordak 2.0"),
        (ERROR_INSIDE, "says success, without a number and with an error inside", "Tryton 8.2, HTTP 200 and an error"),
        (DUPLICATE, "posts it twice under one reference", "Odoo 15, the same ref twice"),
        (ALL_OR_NOTHING, "refuses the whole group when one journal is refused", "Oracle Journal Import"),
        (REFUSE_ONE, "refuses it, though nothing is wrong with it", "any ERP whose reference data changed meanwhile"),
        (SLOW, "takes nothing in this run and says nothing", "any ERP that imports by night"),
        (LYING, "posts it and answers refused", "none by name: the worst answer that can be thought of"),
    )
)
NAMES: Final = tuple(one.name for one in SWITCHES)


@dataclass
class Faults:
    """The switches that are on in one import, and the keys of the journals they struck."""

    on: frozenset[str] = frozenset()
    struck: list[str] = field(default_factory=list)

    def __contains__(self, name: str) -> bool:
        return name in self.on

    def any_of(self, *names: str) -> bool:
        """Whether one of these is on."""
        return not self.on.isdisjoint(names)

    def told(self) -> dict[str, object]:
        """What the summary of an import says of the switches; nothing when none is on."""
        return {"faults": sorted(self.on), "struck": sorted(self.struck)} if self.on else {}

    def strike(self, keys: Iterable[str]) -> str:
        """The journal to strike, remembered; "" when there is none."""
        key = min(keys, default="")
        if key and key not in self.struck:
            self.struck.append(key)
        return key

    def judged(self, keys: Sequence[str], refused: dict[int, Reason], own: Reason, sibling: Reason) -> None:
        """Refuse one good journal, and with one the whole group, as the switches say; `refused` by position."""
        if REFUSE_ONE in self:
            key = self.strike(key for at, key in enumerate(keys) if at not in refused)
            refused |= {at: own for at, one in enumerate(keys) if key and one == key}
        if ALL_OR_NOTHING in self and refused:
            refused |= {at: sibling for at in range(len(keys)) if at not in refused}

    def end(self) -> None:
        """Fail where the group or file is committed and nothing has been answered. Raises ImportFailed."""
        if AFTER_COMMIT in self:
            raise ImportFailed("TypeError: dictionary key must be string")

    def commit(self) -> None:
        """Fail where the transaction would end. Raises ImportFailed."""
        if AT_COMMIT in self:
            raise ImportFailed("IntegrityError at COMMIT: sum of transaction amounts in each currency must be 0")


def later_day(company: Company, day: str) -> str:
    """The first day of the next open period, else of the last open one before; "" when there is no other."""
    others = [period for period in company.open_periods() if period != period_of(day)]
    later = [period for period in others if period > period_of(day)] or others[-1:]
    return f"{later[0]}-01" if later else ""


def rounded(amounts: Sequence[Decimal], decimals: int) -> list[Decimal]:
    """Signed amounts with one decimal less than the currency has; the last one takes what is then missing."""
    step = Decimal(10 ** (1 - decimals)) if decimals < 1 else Decimal(1).scaleb(1 - decimals)
    out = [(amount / step).quantize(Decimal(1), ROUND_HALF_UP) * step for amount in amounts]
    return [*out[:-1], out[-1] + sum(amounts) - sum(out)] if out else []
