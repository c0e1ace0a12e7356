"""A batch of expense lines as the checks see it: reports and lines numbered, distinct texts found once."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from etl import model, money
from etl.days import local_dates
from etl.model import REPORT_KEY

Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

NO_DAY: Final = int(np.iinfo(np.int64).min)
_INT64_MAX: Final = int(np.iinfo(np.int64).max)
_SAFE: Final = 2**62


@dataclass(frozen=True)
class Finding:
    """One check's result: the rows (one per line or report it faults), and what the reject will say of each."""

    code: str
    field: str
    rows: Ints
    values: Sequence[str]
    details: Sequence[str] = ()
    of_report: bool = False
    outcome: str = ""
    owner: str = ""


@dataclass(frozen=True)
class Batch:
    """Expense lines with what the checks share: numbered reports and lines, and which amounts may be judged."""

    lines: pd.DataFrame
    bad: Bools
    feed: Mapping[str, Any]
    policies: Sequence[Mapping[str, Any]]
    tables: Path
    claims: Callable[[Sequence[str]], pd.DataFrame] | None = None

    @property
    def options(self) -> Mapping[str, Any]:
        options: Mapping[str, Any] = self.feed["checks"]
        return options

    @cached_property
    def report(self) -> Ints:
        return model.groups(self.lines, REPORT_KEY)[0]

    @cached_property
    def line(self) -> Ints:
        """The number of each row's expense line: (report version, line_no), over all its parts."""
        return pair(self.report, self.number("line_no"))

    @cached_property
    def coded(self) -> Coded:
        return Coded(self.lines)

    @cached_property
    def line_judged(self) -> Bools:
        """Rows of lines of which no part failed cleaning."""
        return ~any_by(self.bad, self.line)[self.line]

    @cached_property
    def gross(self) -> Ints:
        """Per row, the gross of its whole line in minor units."""
        return sum_of(self.number("gross_minor"), self.line)[self.line]

    @cached_property
    def tax(self) -> Ints:
        """Per row, the tax of its whole line in minor units."""
        return sum_of(self.number("tax_minor"), self.line)[self.line]

    @cached_property
    def approval_day(self) -> pd.Series:
        """Per row, the ISO date of the approval in the company's time zone."""
        zones = {name: company["time_zone"] for name, company in self.feed["companies"].items()}
        return local_dates(self.lines["approved_at"], self.lines["company"], zones)

    @cached_property
    def invoices(self) -> pd.DataFrame:
        """One row per line that claims an invoice: its `row`, and model.INVOICE_COLUMNS."""
        rows = self.once(self.filled("invoice_no") & self.line_judged, self.line)
        taken = self.lines.iloc[rows].reset_index(drop=True)
        cells = [model.utf8(taken[c]) for c in ("invoice_no", "transaction_date", "document_currency")]
        amounts = model.utf8(pd.Series(self.gross[rows]).astype("str"))
        keys = model.hash_runs(model.joined([*cells, amounts]), np.arange(len(rows)))
        return taken[REPORT_KEY].assign(invoice_key=model.texts(keys), row=rows)

    def number(self, column: str) -> Ints:
        return self.lines[column].to_numpy(dtype=np.int64)

    def codes(self, column: str) -> Ints:
        """A number for each distinct text of a column."""
        return self.coded[column][0]

    def where(self, column: str, test: Callable[[str], bool]) -> Bools:
        """Rows whose text meets a test; the test runs once per distinct text."""
        codes, values = self.coded[column]
        return np.array([test(value) for value in values.to_pylist()], dtype=bool)[codes]

    def filled(self, column: str) -> Bools:
        return np.asarray((self.lines[column] != "").to_numpy(dtype=bool))

    def days(self, column: str) -> Ints:
        """Day numbers of a column of ISO dates, NO_DAY for ""."""
        codes, values = self.coded[column]
        return day_numbers(codes, values.to_pylist())

    def stated(self, column: str) -> Bools:
        """Rows whose text may be judged: not left empty by a line that failed cleaning."""
        return ~self.bad | self.filled(column) if self.bad.any() else ~self.bad

    def once(self, mask: Bools, group: Ints) -> Ints:
        """Of the rows marked, the first one of each group by source_row, line and part: whatever the order of rows."""
        rows = self.in_source_order(np.flatnonzero(mask))
        return rows[np.unique(group[rows], return_index=True)[1]]

    def in_source_order(self, rows: Ints) -> Ints:
        keys = [self.number(c)[rows] for c in ("allocation_no", "line_no", "source_row")]
        return rows[np.lexsort(keys)]

    def shown(self, column: str, rows: Ints) -> list[str]:
        return [str(v) for v in self.lines[column].iloc[rows].tolist()]

    def amounts(self, minor: Ints, rows: Ints) -> list[str]:
        """Amounts of some rows as decimal text with their currency."""
        currencies = self.shown("document_currency", rows)
        return [f"{money.text_of(m, c)} {c}" for m, c in zip(minor[rows].tolist(), currencies, strict=True)]


class Coded(dict[str, tuple[Ints, pa.Array]]):
    """Distinct texts of a column, found on first use."""

    def __init__(self, lines: pd.DataFrame) -> None:
        super().__init__()
        self.lines = lines

    def __missing__(self, column: str) -> tuple[Ints, pa.Array]:
        found = model.utf8(self.lines[column]).dictionary_encode()
        self[column] = found.indices.to_numpy(zero_copy_only=False).astype(np.int64), found.dictionary
        return self[column]


def codes_of(column: pd.Series) -> Ints:
    """A number for each distinct text of a column, in order of first appearance."""
    coded = model.utf8(column).dictionary_encode()
    return np.asarray(coded.indices.to_numpy(zero_copy_only=False), dtype=np.int64)


# --- arithmetic over columns


def pair(group: Ints, values: Ints) -> Ints:
    """Number the distinct pairs of a group number and a value, in order of first appearance."""
    if not len(group):
        return group
    low, high = int(values.min()), int(values.max())
    if (int(group.max()) + 1) * (high - low + 1) >= _SAFE:
        values = np.unique(values, return_inverse=True)[1].astype(np.int64)
        low, high = 0, int(values.max())
    return pd.factorize(group * (high - low + 1) + (values - low))[0].astype(np.int64)


def sum_of(values: Ints, group: Ints) -> Ints:
    """Exact sums per group; a sum beyond int64 stands as the largest int64 of its sign, which no limit lets pass."""
    count = int(group.max(initial=-1)) + 1
    if int(np.abs(values).max(initial=0)) * len(values) < _SAFE:
        return model.sum_by(values, group, count)
    exact = np.zeros(count, dtype=object)
    np.add.at(exact, group, values.astype(object))
    return np.array([max(-_INT64_MAX, min(_INT64_MAX, total)) for total in exact.tolist()], dtype=np.int64)


def day_numbers(codes: Ints, values: Sequence[str]) -> Ints:
    """Day numbers of ISO dates, NO_DAY for ""."""
    return np.array([value or "NaT" for value in values], dtype="datetime64[D]").astype(np.int64)[codes]


def any_by(mask: Bools, group: Ints) -> Bools:
    out = np.zeros(int(group.max(initial=-1)) + 1, dtype=bool)
    out[group[mask]] = True
    return out


def differs(values: Ints, group: Ints, judged: Bools) -> Bools:
    """The judged rows of every group whose judged rows do not all hold the same value."""
    count = int(group.max(initial=-1)) + 1
    low, high = np.full(count, _INT64_MAX), np.full(count, NO_DAY)
    np.minimum.at(low, group[judged], values[judged])
    np.maximum.at(high, group[judged], values[judged])
    return (low < high)[group] & judged


def texts_by(group: Ints, values: Sequence[str], most: int = 3) -> dict[int, str]:
    """The distinct texts of each group, sorted and joined; beyond `most` only counted."""
    seen: dict[int, set[str]] = {}
    for number, value in zip(group.tolist(), values, strict=True):
        seen.setdefault(number, set()).add(value)
    shown = {}
    for number, texts in seen.items():
        ordered = sorted(texts)
        more = f" and {len(ordered) - most} more" if len(ordered) > most else ""
        shown[number] = " | ".join(ordered[:most]) + more
    return shown


def placed(values: Ints, rows: Ints, length: int) -> Ints:
    out = np.zeros(length, dtype=np.int64)
    out[rows] = values
    return out
