"""Kind `xlsx`: one sheet of a workbook, a row of field keys, a row of labels, and a row for each journal line.

Cells are text; a column `as: number` holds exact decimals, of which a spreadsheet keeps 15 digits. A column
`header_only` is written on the first row of each journal. The same journals give the same bytes.
"""

from __future__ import annotations

import datetime
import io
from decimal import Decimal
from typing import Any, Final

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import xlsxwriter

from etl import mapping, model
from etl.journal import Batch
from etl.render import columns
from etl.render.columns import BLANK, Columns, Ints, Profile

# Limits of the format (Office Open XML as Excel reads it).
ROWS_MAX: Final = 1_048_576
CELL_MAX: Final = 32_767
DIGITS_MAX: Final = 15
_CREATED: Final = datetime.datetime(1980, 1, 1)
_NO_GUESSING: Final = {"strings_to_formulas": False, "strings_to_urls": False, "strings_to_numbers": False}


def check(
    profile: Profile, bundle: mapping.Bundle, headers: pd.DataFrame, lines: pd.DataFrame, at: Ints,
    faults: mapping.Faults,
) -> None:  # fmt: skip
    """Keys too long, required cells empty, codes without a row, numbers that a spreadsheet would round, too many rows.

    Batches are not cut yet: the rows of a sheet are held against all lines of a company and period.
    """
    flat = _flat(profile)
    made = columns.clean(flat, columns.make(flat, bundle, headers, lines, at, None))
    for name, rule in flat["columns"].items():
        columns.check_codes(name, rule, made[name], at, faults)
        made[name] = columns.coded(rule, made[name])
        columns.check_number(name, rule, made[name], at, faults, "a number of a spreadsheet")
        if rule.get("as") == "number":
            digits = pc.utf8_length(pc.replace_substring_regex(made[name], "[^0-9]", ""))
            long = pc.greater(digits, DIGITS_MAX).to_numpy(False)
            columns.refuse(faults, at, long, "KEY_OVERFLOW", name, rule, made[name], f"{DIGITS_MAX} digits")
    columns.check(flat, made, at, faults)
    period, _ = model.groups(headers, ["company", "period"])
    counts = np.bincount(period[at], minlength=1) if len(at) else np.zeros(1, dtype=np.int64)
    full = np.flatnonzero(counts[period] > ROWS_MAX - _first(profile))
    faults.add(full, "KEY_OVERFLOW", "lines", [str(n) for n in counts[period][full]], f"{ROWS_MAX} rows of a sheet")


def render(
    profile: Profile, bundle: mapping.Bundle, batch: Batch, headers: pd.DataFrame, lines: pd.DataFrame, at: Ints
) -> bytes:
    """The workbook of one batch."""
    flat = _flat(profile)
    made = columns.clean(flat, columns.make(flat, bundle, headers, lines, at, batch))
    first = pa.array(np.diff(at, prepend=-1) != 0)
    for name, rule in flat["columns"].items():
        text = columns.cut(flat, rule, columns.coded(rule, made[name]))
        made[name] = pc.if_else(first, text, BLANK) if rule.get("header_only") == "yes" else text
    out = io.BytesIO()
    with xlsxwriter.Workbook(out, _NO_GUESSING) as book:
        book.set_properties({"author": "claimpost", "created": _CREATED})
        _write(book, profile, made)
    return out.getvalue()


def _flat(profile: Profile) -> Profile:
    """The profile with the cell's limit where a column has none of its own."""
    rules = {name: {"max": str(CELL_MAX), **rule} for name, rule in profile["columns"].items()}
    return {**profile, "columns": rules}


def _first(profile: Profile) -> int:
    """The first row of data: below the keys, and the labels where there are any."""
    return 1 + any("label" in rule for rule in profile["columns"].values())


def _write(book: Any, profile: Profile, made: Columns) -> None:
    """Keys, labels and data; empty cells are not written."""
    sheet = book.add_worksheet(profile["sheet"])
    text, formats = book.add_format({"num_format": "@"}), _Formats(book)
    first = _first(profile)
    for place, (name, rule) in enumerate(profile["columns"].items()):
        sheet.write_string(0, place, name, text)
        if "label" in rule:
            sheet.write_string(1, place, rule["label"], text)
        for row, value in enumerate(made[name].to_pylist(), first):
            if value and rule.get("as") == "number":
                written = sheet.write_number(row, place, Decimal(value), formats.of(value))
            else:
                written = sheet.write_string(row, place, value, text) if value else 0
            assert written == 0, f"cell {row},{place} of {name} was cut"


class _Formats:
    """One number format for each number of decimals."""

    def __init__(self, book: Any) -> None:
        self.book = book
        self.made: dict[int, Any] = {}

    def of(self, value: str) -> Any:
        """The format that shows a decimal text with the decimals it was written with."""
        decimals = len(value.partition(".")[2])
        if decimals not in self.made:
            pattern = "0" + ("." + "0" * decimals if decimals else "")
            self.made[decimals] = self.book.add_format({"num_format": pattern})
        return self.made[decimals]
