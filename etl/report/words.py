"""Numbers as people read them, and the one sentence that says how things stand."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import pandas as pd

from etl import model, money
from etl.reconcile import EXPLAINED, Reconciliation, explained

LISTED_MAX: Final = 4


@dataclass(frozen=True)
class Verdict:
    """How things stand: fine or not, one sentence, and what there is to know besides."""

    fine: bool
    headline: str
    facts: tuple[str, ...]


def grouped(text: str) -> str:
    """Decimal text with thousands separators.

    >>> grouped("-1234567.80"), grouped("999"), grouped("-0.05")
    ('-1,234,567.80', '999', '-0.05')
    """
    sign, digits = ("-", text[1:]) if text.startswith("-") else ("", text)
    whole, point, fraction = digits.partition(".")
    return f"{sign}{int(whole):,}{point}{fraction}"


def amount(minor: int, currency: str) -> str:
    """An amount with all decimals of its currency and thousands separators; an unknown currency has no decimals."""
    return grouped(money.text_of(minor, currency) if currency in money.EXPONENT else str(minor))


def amounts(minor: Mapping[str, int]) -> str:
    """Amounts of several currencies in one line; beyond a few they are only counted."""
    parts = [f"{currency or 'no currency'} {amount(value, currency)}" for currency, value in minor.items() if value]
    more = len(parts) - LISTED_MAX
    return ", ".join(parts[:LISTED_MAX]) + (f" and {more} more" if more > 0 else "")


def counted(count: int, one: str, many: str = "") -> str:
    """A count with its noun: 1 report, 2,000 reports."""
    return f"{count:,} {one if count == 1 else many or one + 's'}"


def by_currency(frame: pd.DataFrame, column: str) -> dict[str, int]:
    """Sums of one column per currency, in the order of the currencies."""
    sums = frame.groupby("currency", dropna=False)[column].sum()
    return {str(currency): int(value) for currency, value in sums.items()}


def journals(reconciliation: Reconciliation, stage: str) -> int:
    """How many journals (or, before them, reports per currency) reached a stage."""
    return int(reconciliation.stages[f"{stage}_count"].sum())


def verdict(reconciliation: Reconciliation, summary: Mapping[str, Any]) -> Verdict:
    """The state of things in one sentence, then the counts, then what else needs a person."""
    breaks = reconciliation.breaks
    need = breaks[~breaks["code"].isin(EXPLAINED)]
    facts = [_course(reconciliation), *_files(summary), *reconciliation.conservation[:LISTED_MAX]]
    if explained(reconciliation) and not reconciliation.reports["landed"]:
        return Verdict(True, "Nothing has landed yet: 0 breaks.", tuple(facts[1:]))
    if explained(reconciliation):
        waiting = len(breaks)
        posted = counted(journals(reconciliation, "posted"), "journal")
        headline = f"Everything agrees to the cent: {posted} posted, 0 breaks."
        if waiting:
            headline = (
                f"Nothing is unexplained: {posted} posted, {waiting:,} in flight within the agreed time, 0 breaks."
            )
        return Verdict(True, headline, tuple(facts))
    worst = need["severity"].min()
    headline = (
        f"{counted(len(need), 'break needs', 'breaks need')} attention, "
        f"{counted(int((need['severity'] == worst).sum()), 'of severity', 'of severity')} {worst}: {_kinds(need)}."
    )
    stake = amounts(by_currency(need, "amount_minor"))
    return Verdict(False, headline, (*([f"At stake: {stake}."] if stake else []), *facts))


def _course(reconciliation: Reconciliation) -> str:
    whole = reconciliation.reports
    told = [name for name in whole if name != "landed" and (name != model.WITHDRAWN or whole[name])]
    parts = [f"{whole[name]:,} {name}" for name in told]
    made = f"{counted(journals(reconciliation, 'journaled'), 'journal')} made"
    stages = [f"{journals(reconciliation, s):,} {s.replace('_', ' ')}" for s in _after(reconciliation)]
    return f"{counted(whole['landed'], 'report')} landed: {', '.join(parts)}. {made}: {', '.join(stages)}."


def _after(reconciliation: Reconciliation) -> Iterable[str]:
    rare = [stage for stage in ("rejected", "in_flight", "missing") if journals(reconciliation, stage)]
    return ["loaded", "posted", *rare]


def _files(summary: Mapping[str, Any]) -> list[str]:
    """Files that were not used, when the summary names them."""
    kinds = {"files_rejected": "rejected whole", "files_held": "held at the gate"}
    named = {what: [one["file"] for one in summary.get(key, ())] for key, what in kinds.items()}
    return [
        f"{counted(len(files), 'file')} {what}: {', '.join(files[:LISTED_MAX])}."
        for what, files in named.items()
        if files
    ]


def _kinds(breaks: pd.DataFrame) -> str:
    counts = breaks["code"].value_counts(sort=False)
    parts = [f"{int(counts[code]):,} {code}" for code in dict.fromkeys(breaks["code"])]
    more = len(parts) - LISTED_MAX
    return ", ".join(parts[:LISTED_MAX]) + (f" and {more} more kinds" if more > 0 else "")
