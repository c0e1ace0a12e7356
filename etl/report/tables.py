"""Columns of the report's tables, and the CSV and XLSX made from them.

A cell is text, a count or an amount; an amount is written with all decimals of the row's currency. A spreadsheet
program would run text that begins like a formula: in CSV such text gets a leading apostrophe, in XLSX it is stored
as text. Numbers stay numbers. Files for an ERP are not made here.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, Final

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import xlsxwriter

from etl import model, money
from etl.errors import CATALOGUE, OUTCOMES, Entry
from etl.reconcile import MATCHED, STAGES, Reconciliation
from etl.report.words import Verdict

TEXT, COUNT, AMOUNT = "text", "count", "amount"
XLSX_ROWS_MAX: Final = 200_000  # about 12 seconds
CSV_ROWS: Final = 50_000  # made into text at a time
EXCEL_DIGITS: Final = 10**15  # Excel keeps 15 digits; beyond them an amount is text
FORMULA: Final = "^[=+\\-@\t\r\n＝＋－＠]"


@dataclass(frozen=True)
class Column:
    """One column: heading, field of the frame, kind, width in characters."""

    heading: str
    field: str
    kind: str = TEXT
    width: int = 14


BREAKS: Final = (
    Column("severity", "severity", width=9), Column("code", "code", width=20), Column("company", "company", width=10),
    Column("period", "period", width=9), Column("report_id", "report_id", width=16),
    Column("journal_key", "journal_key", width=20), Column("currency", "currency", width=9),
    Column("here", "here", width=26), Column("erp", "erp", width=26), Column("amount", "amount_minor", AMOUNT, 18),
    Column("age_days", "age_days", COUNT, 9), Column("reason", "reason", width=60),
    Column("refusal", "refusal", width=24), Column("owner", "owner", width=18),
    Column("next_step", "next_step", width=50),
)  # fmt: skip
TOTALS: Final = (
    Column("company", "company", width=10), Column("currency", "currency", width=9), Column("account", "account"),
    Column("period", "period", width=9), Column("journals_here", "count_here", COUNT),
    Column("documents_erp", "count_erp", COUNT), Column("debit_here", "debit_here_minor", AMOUNT, 18),
    Column("credit_here", "credit_here_minor", AMOUNT, 18), Column("debit_erp", "debit_erp_minor", AMOUNT, 18),
    Column("credit_erp", "credit_erp_minor", AMOUNT, 18), Column("difference", "difference_minor", AMOUNT, 18),
    Column("open_here", "open_minor", AMOUNT, 18),
)  # fmt: skip
DOCUMENTS: Final = (
    Column("company", "company", width=10), Column("report_id", "report_id", width=16),
    Column("report_version", "report_version"), Column("journal_key", "journal_key", width=20),
    Column("erp_document", "erp_document", width=18), Column("batch_id", "batch_id", width=36),
    Column("posting_date", "posting_date", width=12), Column("period", "period", width=9),
    Column("currency", "currency", width=9), Column("debit_here", "here_minor", AMOUNT, 18),
    Column("debit_erp", "erp_minor", AMOUNT, 18), Column("bucket", "bucket", width=20),
    Column("break_codes", "break_codes", width=40),
)  # fmt: skip
SUMMARY: Final = (
    Column("what", "what", width=16), Column("company", "company", width=10), Column("currency", "currency", width=9),
    Column("count", "count", COUNT, 10), Column("amount", "amount_minor", AMOUNT, 20), Column("note", "note", width=90),
)  # fmt: skip
MOVED: Final = (
    Column("company", "company", width=10), Column("report_id", "report_id", width=20),
    Column("journal_key", "journal_key", width=20), Column("purpose", "purpose", width=18),
    Column("own_date", "original_date", width=12), Column("posted_on", "posting_date", width=12),
    Column("currency", "currency", width=9), Column("debit", "debit_minor", AMOUNT, 18),
)  # fmt: skip
ROUNDING: Final = (
    Column("company", "company", width=10), Column("period", "period", width=9),
    Column("report_id", "report_id", width=20), Column("journal_key", "journal_key", width=20),
    Column("document_currency", "document_currency", width=9), Column("rate", "rate", width=14),
    Column("currency", "currency", width=9), Column("rounding", "rounding_minor", AMOUNT, 18),
)  # fmt: skip
QUARANTINE: Final = (
    Column("code", "code", width=20), Column("reports", "reports", COUNT, 10), Column("meaning", "meaning", width=60),
    Column("owner", "owner", width=18), Column("next_step", "next_step", width=60),
)  # fmt: skip

SUSPENSE: Final = (
    Column("company", "company", width=10), Column("account", "account"), Column("currency", "currency", width=9),
    Column("journal_lines", "lines", COUNT, 14), Column("net_debit", "amount_minor", AMOUNT, 20),
)  # fmt: skip


def exact(minor: pd.Series, currency: pd.Series) -> pa.Array:
    """Amounts as decimal text with all decimals of each row's currency; an unknown currency has none."""
    codes, names = model.distinct(currency)
    decimals = np.array([money.EXPONENT.get(name, 0) for name in names], dtype=np.int64)
    return money.to_text(minor.to_numpy(dtype=np.int64), decimals[codes])


def csv(frame: pd.DataFrame, columns: Sequence[Column]) -> bytes:
    """The frame as CSV for people: UTF-8 with its mark, so that spreadsheet programs read Chinese."""
    starts = range(0, max(len(frame), 1), CSV_ROWS)
    return b"".join(_csv(frame.iloc[start : start + CSV_ROWS], columns, start == 0) for start in starts)


def _csv(frame: pd.DataFrame, columns: Sequence[Column], first: bool) -> bytes:
    out = {}
    for column in columns:
        values = frame[column.field]
        if column.kind == AMOUNT:
            out[column.heading] = model.texts(pd.array(exact(values, frame["currency"]), dtype="str"))
        else:
            out[column.heading] = harmless(values) if column.kind == TEXT else values.reset_index(drop=True)
    text = pd.DataFrame(out).to_csv(index=False, header=first, lineterminator="\r\n")
    return text.encode("utf-8-sig" if first else "utf-8")


def harmless(texts: pd.Series) -> pd.Series:
    """Text cells with a leading apostrophe where a spreadsheet program would see a formula."""
    array = model.utf8(texts).cast(pa.string())
    risky = pc.match_substring_regex(array, FORMULA)
    marked = pc.binary_join_element_wise("'", array, "")
    return model.texts(pd.array(pc.if_else(risky, marked, array), dtype="str"))


def quarantine(summary: Mapping[str, Any]) -> pd.DataFrame:
    """Reasons of the quarantined reports with meaning, owner and next step of the catalogue, most frequent first."""
    reasons = sorted(summary["reasons"].items(), key=lambda pair: (-pair[1], pair[0]))
    entries = [CATALOGUE.get(code) for code, _ in reasons]
    columns = {
        "code": [code for code, _ in reasons], "meaning": [meaning(entry) if entry else "" for entry in entries],
        "owner": [entry.owner if entry else "" for entry in entries],
        "next_step": [entry.next_step if entry else "" for entry in entries],
    }  # fmt: skip
    frame = pd.DataFrame({name: model.texts(values) for name, values in columns.items()})
    return frame.assign(reports=np.array([count for _, count in reasons], dtype=np.int64))


def suspense(summary: Mapping[str, Any]) -> pd.DataFrame:
    """What stands on suspense accounts: SUSPENSE's fields."""
    rows = summary.get("suspense", [])
    columns = {name: model.texts([row[name] for row in rows]) for name in ("company", "account", "currency")}
    minor = [int(row["amount"].replace(".", "")) for row in rows]  # text_of writes every decimal
    lines = [row["lines"] for row in rows]
    return pd.DataFrame({**columns, "lines": lines, "amount_minor": minor}).astype(
        {"lines": "int64", "amount_minor": "int64"}
    )


def meaning(entry: Entry) -> str:
    """The catalogue's sentence without the facts of one case.

    >>> meaning(CATALOGUE["CODE"]), meaning(CATALOGUE["LENGTH"])
    ('A field is not a plain code.', 'A field is longer than …')
    """
    sentence = re.sub(r" ?\(\{[^}]*\}\)", "", entry.text)
    sentence = re.sub(r"\{field\}( \{value!r\})?", "A field", sentence.replace(": {detail}", ""))
    sentence = re.sub(r"\{[^}]*\}\.?", "…", sentence)
    return OUTCOMES[entry.outcome] if sentence == "…" else sentence


def stage_rows(reconciliation: Reconciliation) -> pd.DataFrame:
    """One row per stage, company and currency that has anything: SUMMARY's fields."""
    stages = reconciliation.stages
    parts = [
        stages[["company", "currency"]].assign(
            what=stage.replace("_", " "), count=stages[f"{stage}_count"], amount_minor=stages[f"{stage}_minor"], note=""
        )
        for stage in STAGES
    ]
    rows = pd.concat(parts, ignore_index=True)
    return rows[rows["count"] != 0].astype({"what": "str", "note": "str"})


def workbook(reconciliation: Reconciliation, summary: Mapping[str, Any], told: Verdict, at: str) -> bytes:
    """The workbook: Summary, Totals, Documents, Breaks, Moved, Rounding, Quarantine, and Suspense where it was used."""
    content = io.BytesIO()
    options = {
        "constant_memory": True,
        "strings_to_formulas": False,
        "strings_to_urls": False,
        "strings_to_numbers": False,
    }
    with xlsxwriter.Workbook(content, options) as book:
        created = datetime.fromisoformat(at.replace("Z", "+00:00")).replace(tzinfo=None)
        book.set_properties({"title": f"Reconciliation {summary['feed']}", "created": created})
        sheets = _Sheets(book)
        notes = [("verdict", told.headline), *(("", fact) for fact in told.facts), ("feed", summary["feed"])]
        sheets.add(
            "Summary", SUMMARY, stage_rows(reconciliation), [*notes, ("as of", reconciliation.as_of), ("written", at)]
        )
        sheets.add("Totals", TOTALS, reconciliation.totals)
        documents = reconciliation.documents
        order = (documents["bucket"] == MATCHED).to_numpy().argsort(kind="stable")
        sheets.add("Documents", DOCUMENTS, documents.iloc[order[:XLSX_ROWS_MAX]], rows=len(documents))
        sheets.add("Breaks", BREAKS, reconciliation.breaks)
        sheets.add("Moved", MOVED, reconciliation.moved)
        sheets.add("Rounding", ROUNDING, reconciliation.rounding)
        sheets.add("Quarantine", QUARANTINE, quarantine(summary))
        if summary.get("suspense"):
            sheets.add("Suspense", SUSPENSE, suspense(summary))
    return content.getvalue()


class _Sheets:
    """Writes sheets into a workbook, top to bottom, with one format per number of decimals."""

    def __init__(self, book: Any) -> None:
        self.book = book
        self.head = book.add_format({"bold": True, "bottom": 1, "text_wrap": True, "valign": "vcenter"})
        self.strong = book.add_format({"bold": True})
        self.count = book.add_format({"num_format": "#,##0"})
        digits = sorted(set(money.EXPONENT.values()))
        patterns = {n: "#,##0" + ("." + "0" * n if n else "") for n in digits}
        self.money = {n: book.add_format({"num_format": pattern, "align": "right"}) for n, pattern in patterns.items()}

    def add(
        self, name: str, columns: Sequence[Column], frame: pd.DataFrame, notes: Sequence[tuple[str, str]] = (),
        rows: int = 0,
    ) -> None:  # fmt: skip
        """`rows`: how many there are, where the frame has only the first of them."""
        sheet = self.book.add_worksheet(name)
        for number, column in enumerate(columns):
            sheet.set_column(number, number, column.width)
        sheet.freeze_panes(1, 0)
        sheet.set_landscape()
        sheet.fit_to_pages(1, 0)
        sheet.repeat_rows(0)
        for number, column in enumerate(columns):
            sheet.write_string(0, number, column.heading, self.head)
        for row, (what, note) in enumerate(notes, 1):
            sheet.write_string(row, 0, what, self.strong)
            sheet.write_string(row, len(columns) - 1, note)
        first = len(notes) + 1
        shown = frame.head(XLSX_ROWS_MAX)
        for row, cells in enumerate(_rows(shown, columns), first):
            for number, (column, cell) in enumerate(zip(columns, cells, strict=True)):
                self._cell(sheet, row, number, column, cell)
        if max(rows, len(frame)) > len(shown):
            rest = f"{max(rows, len(frame)) - len(shown):,} more rows: see {name.lower()}.csv"
            sheet.write_string(first + len(shown), 0, rest, self.strong)
        elif len(frame):
            sheet.autofilter(0, 0, len(frame) + len(notes), len(columns) - 1)

    def _cell(self, sheet: Any, row: int, number: int, column: Column, cell: Any) -> None:
        if column.kind == COUNT:
            sheet.write_number(row, number, cell, self.count)
        elif column.kind == AMOUNT:
            value = Decimal(cell)
            decimals = -int(value.as_tuple().exponent)
            if abs(int(cell.replace(".", ""))) < EXCEL_DIGITS:
                sheet.write_number(row, number, value, self.money[decimals])
            else:
                sheet.write_string(row, number, cell, self.money[decimals])
        elif cell:
            sheet.write_string(row, number, cell)


def _rows(frame: pd.DataFrame, columns: Sequence[Column]) -> Iterator[tuple[Any, ...]]:
    cells = [
        exact(frame[c.field], frame["currency"]).to_pylist() if c.kind == AMOUNT else frame[c.field].tolist()
        for c in columns
    ]
    return zip(*cells, strict=True)
