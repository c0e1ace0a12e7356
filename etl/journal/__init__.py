"""Journal parts to balanced journals: whose books, merge, side, base currency, rounding line, identity; then batches.

A journal is one report version, or one declared group of them, in one document currency and one company's books. It
balances in its own and in the base currency, or its reports are held. The order of the input rows changes nothing.
"""

from __future__ import annotations

import pandas as pd

from etl import mapping, model
from etl.journal import accrual, headers, lines, split
from etl.journal.batches import JOURNALS_PER_BATCH_MAX, JOURNALS_PER_BATCH_USUAL, Batch, again, batches, beginning
from etl.journal.headers import is_grouped, report_order
from etl.journal.lines import content_hashes, only
from etl.journal.result import Journals

__all__ = [
    "JOURNALS_PER_BATCH_MAX", "JOURNALS_PER_BATCH_USUAL", "Batch", "Journals", "again", "batches", "beginning",
    "build", "content_hashes", "is_grouped", "only", "report_order",
]  # fmt: skip


def build(bundle: mapping.Bundle, expense: pd.DataFrame, parts: pd.DataFrame) -> Journals:
    """Balanced journals from the expense lines and parts that `mapping.apply` gave.

    In: lines and parts of accepted reports only. Out: journals sorted by report; a report with a journal that has no
    rate, does not balance or needs more rounding than allowed is rejected with all its journals. Reports that share a
    journal with it are booked without it.
    """
    made = _build(bundle, expense, parts)
    if not is_grouped(bundle) or made.rejects.empty:
        return made
    good = ~model.among(expense, made.rejects, model.REPORT_KEY)
    again = build(bundle, *only(expense, parts, good))
    return Journals(again.headers, again.lines, again.lineage, again.reports, pd.concat([made.rejects, again.rejects]))


def _build(bundle: mapping.Bundle, expense: pd.DataFrame, parts: pd.DataFrame) -> Journals:
    faults = mapping.Faults()
    report_no, journal_of_part, reports, heads = headers.make(bundle, expense, parts)
    heads = headers.with_rates(bundle, heads, faults)
    merged, line_of_part = lines.merged(bundle, expense, parts, journal_of_part)
    merged["base_minor"] = lines.base_amounts(bundle, heads, merged, faults)
    merged = lines.with_rounding(bundle, expense, heads, merged, faults)
    lines.check_balance(heads, merged, faults)
    split.check(bundle, heads, merged, faults)
    rejects = headers.rejects(faults, heads, reports)
    good = headers.accepted(heads, reports, rejects)
    heads, merged = lines.restrict(heads, merged, good)
    heads, merged = split.by_lines(bundle, expense, heads, merged)
    heads, merged = accrual.with_accruals(bundle, expense, heads, merged)
    heads, merged = lines.number(bundle, heads, merged)
    reports = headers.links(reports, heads)
    lineage = lines.lineage(bundle, expense, parts, line_of_part, report_no, heads, merged)
    return Journals(
        heads[model.JOURNAL_COLUMNS].reset_index(drop=True), merged[model.JOURNAL_LINE_COLUMNS], lineage,
        reports[model.JOURNAL_REPORT_COLUMNS].reset_index(drop=True), rejects,
    )  # fmt: skip
