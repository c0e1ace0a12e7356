"""The checks a batch of expense lines must pass: every failure of the batch at once, nothing repaired.

Each check is a small function in `checks.CHECKS`; `check` turns what they find into rejects. Amounts of a split line
are judged as one line (its parts add up to it), never part by part. A line that already failed cleaning is marked in
`bad`: its amounts are not judged again, and neither is the total of its report.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd

from etl import errors, model, money
from etl.model import REPORT_KEY, ControlTotals
from validations.rules.batch import Batch, Bools, Finding, sum_of
from validations.rules.checks import CHECKS, WARN, condition_fields

__all__ = ["PROFILE_COLUMNS", "check", "condition_fields", "conservation", "invoices", "profile",
           "quarantined", "rejects_frame"]  # fmt: skip

PROFILE_KEY: Final = ["company", "document_currency", "expense_type", "approval_day"]
PROFILE_COLUMNS: Final = [
    *PROFILE_KEY, "reports", "lines", "gross_minor", "quarantined_reports", "quarantined_lines",
    "quarantined_gross_minor",
]  # fmt: skip


def check(
    lines: pd.DataFrame,
    feed: Mapping[str, Any],
    rules_documents: Sequence[Mapping[str, Any]],
    tables_folder: Path,
    bad: Bools | None = None,
    claims: Callable[[Sequence[str]], pd.DataFrame] | None = None,
) -> pd.DataFrame:
    """Every reject of a batch of expense lines, by the feed's `checks` and its policy documents.

    In: all LINE_FIELDS; `bad` marks rows that failed cleaning; `claims` gives the accepted claims of earlier deliveries
    (model.INVOICE_COLUMNS) for invoice keys. Out: REJECT_COLUMNS, sorted; outcome report | hold |
    warn, and a report version with nothing but warn rows is not quarantined. Raises ConfigurationError TABLE.
    """
    marked = np.zeros(len(lines), dtype=bool) if bad is None else np.asarray(bad, dtype=bool)
    assert len(marked) == len(lines), "one mark per line"
    batch = Batch(lines.reset_index(drop=True), marked, feed, tuple(rules_documents), tables_folder, claims)
    if not len(lines):
        return rejects_frame([])
    found = [finding for one in CHECKS for finding in one(batch) if len(finding.rows)]
    return rejects_frame([row for finding in found for row in _reject_rows(batch, finding)])


def invoices(lines: pd.DataFrame, feed: Mapping[str, Any]) -> pd.DataFrame:
    """The invoices that lines claim (model.INVOICE_COLUMNS); none for a feed that does not look for repeated ones."""
    if feed["checks"].get("invoice_repeated", "allowed") == "allowed":
        return lines.iloc[:0][REPORT_KEY].assign(invoice_key=model.texts([]))[model.INVOICE_COLUMNS]
    batch = Batch(lines.reset_index(drop=True), np.zeros(len(lines), dtype=bool), feed, (), Path())
    return batch.invoices[model.INVOICE_COLUMNS]


def rejects_frame(rows: Sequence[Sequence[object]]) -> pd.DataFrame:
    """REJECT_COLUMNS from rows in that order: text and two int64 columns, each reject once, sorted."""
    frame = pd.DataFrame(sorted(set(map(tuple, rows))), columns=model.REJECT_COLUMNS)
    return frame.astype({c: "int64" if c in ("line_no", "source_row") else "str" for c in model.REJECT_COLUMNS})


def _reject_rows(batch: Batch, finding: Finding) -> Iterator[tuple[object, ...]]:
    entry = errors.CATALOGUE[finding.code]
    tail = (finding.outcome or entry.outcome, finding.field)
    owner = finding.owner or entry.owner
    taken = batch.lines.iloc[finding.rows]
    columns = [taken[c].tolist() for c in (*REPORT_KEY, "line_no", "source_row")]
    details = finding.details or [""] * len(finding.rows)
    for row, value, detail in zip(zip(*columns, strict=True), finding.values, details, strict=True):
        place = (*row[:3], 0, 0) if finding.of_report else row
        reason = errors.text(finding.code, field=finding.field, value=value, detail=detail)
        yield (*place, finding.code, *tail, value, reason, owner, entry.next_step)


def quarantined(lines: pd.DataFrame, rejects: pd.DataFrame) -> Bools:
    """Which lines belong to a report version that a reject quarantines (any outcome but warn)."""
    return model.among(lines, rejects[rejects["outcome"] != WARN], REPORT_KEY)


def conservation(landed: ControlTotals, *outcomes: ControlTotals) -> list[str]:
    """Every difference between landed and the sum of its outcomes (model.OUTCOMES); empty when it holds."""
    outcome = model.total(outcomes)
    pairs = [("reports", landed.reports, outcome.reports), ("lines", landed.lines, outcome.lines)]
    for currency in sorted(landed.gross.keys() | outcome.gross.keys()):
        pairs.append((f"gross {currency}", landed.gross.get(currency, 0), outcome.gross.get(currency, 0)))
    return [f"{what}: landed {a}, outcomes {b}, difference {a - b}" for what, a, b in pairs if a != b]


def profile(lines: pd.DataFrame, rejects: pd.DataFrame) -> pd.DataFrame:
    """What a delivery looks like: counts and sums per company, currency, expense type and (UTC) day of approval.

    In: all lines of the delivery and all its rejects. Out: PROFILE_COLUMNS, sorted, a few hundred rows. Every figure
    adds up: a report that touches several cells is counted in the first of them. A currency that is none shows as "".
    """
    currency = lines["document_currency"].where(lines["document_currency"].isin(list(money.EXPONENT)), "")
    keyed = lines.assign(document_currency=currency, approval_day=lines["approved_at"].str.slice(0, 10))
    found, first = model.groups(keyed, PROFILE_KEY)
    shown = keyed.iloc[first][PROFILE_KEY].reset_index(drop=True)
    order = shown.sort_values(PROFILE_KEY).index.to_numpy()
    cell = np.argsort(order)[found].astype(np.int64)
    cells = shown.iloc[order].reset_index(drop=True)
    report, reports = model.groups(lines, REPORT_KEY)
    home = np.full(len(reports), len(cells), dtype=np.int64)
    np.minimum.at(home, report, cell)
    out = quarantined(lines, rejects)
    gross, count = lines["gross_minor"].to_numpy(dtype=np.int64), len(cells)
    figures = {
        "reports": np.bincount(home, minlength=count),
        "lines": np.bincount(cell, minlength=count),
        "gross_minor": sum_of(gross, cell),
        "quarantined_reports": np.bincount(home[np.unique(report[out])], minlength=count),
        "quarantined_lines": np.bincount(cell[out], minlength=count),
        "quarantined_gross_minor": sum_of(np.where(out, gross, 0), cell),
    }
    return cells.assign(**{name: figure.astype(np.int64) for name, figure in figures.items()})[PROFILE_COLUMNS]
