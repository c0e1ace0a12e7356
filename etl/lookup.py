"""Look-up tables with validity dates, and ordered conditions: the two ways a mapping decides.

A table is a CSV file: key columns, value columns, `valid_from` and `valid_to` (inclusive ISO dates, empty = open)
and `source` (who decided). `*` in a key column matches anything; the row with the fewest `*` wins. Overlaps, gaps,
duplicate rows and rows of equal rank are refused when the table is read, with file and line.
"""

from __future__ import annotations

import csv
import datetime
import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import compress, pairwise
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from etl import model
from etl.errors import ConfigurationError

Bools = NDArray[np.bool_]
Ints = NDArray[np.int64]

ANY: Final = "*"
TABLE_ROWS_MAX: Final = 200_000
_EVER: Final = ("0001-01-01", "9999-12-31")


@dataclass(frozen=True)
class Row:
    """One row of a table: when it is valid, its cells, and its line in the file."""

    valid_from: str
    valid_to: str
    cells: Mapping[str, str]
    line: int


@dataclass(frozen=True)
class Table:
    """A look-up table by key columns; `rows` holds the validity periods of each key in order."""

    file: str
    key: tuple[str, ...]
    columns: tuple[str, ...]
    rows: Mapping[tuple[str, ...], tuple[Row, ...]]
    masks: tuple[tuple[bool, ...], ...]

    def row(self, key: tuple[str, ...], date: str = "") -> Row | None:
        """The row valid for a key on a date (any date when ""), the most specific first; None when there is none."""
        for mask in self.masks:
            pattern = tuple(ANY if wild else part for part, wild in zip(key, mask, strict=True))
            for row in self.rows.get(pattern, ()):
                if not date or row.valid_from <= date <= row.valid_to:
                    return row
        return None

    def find(self, frame: pd.DataFrame, value: str, date: str = "") -> tuple[pd.Series, Bools]:
        """The value column for each row of a frame that has the key columns, and where there is none.

        In: frame with the key columns and, when named, the ISO date column that decides validity (no date, no row).
        Each distinct combination is looked up once. Out: text per row ("" where missing), mask of the missing ones.
        """
        columns = [*self.key, *([date] if date else [])]
        codes, first = model.groups(frame, columns)
        keys = zip(*(frame[c].iloc[first].tolist() for c in self.key), strict=True)
        if date:
            days = frame[date].iloc[first].tolist()
            found = [self.row(key, day) if day else None for key, day in zip(keys, days, strict=True)]
        else:
            found = [self.row(key) for key in keys]
        values = [row.cells[value] if row else "" for row in found]
        missing = np.array([row is None for row in found], dtype=bool)
        return model.spread(values, codes), missing[codes] if len(codes) else np.zeros(0, dtype=bool)


def read_table(path: Path, key: Sequence[str], values: Sequence[str] = ()) -> Table:
    """Read a table and refuse everything doubtful: unknown columns, overlaps, gaps, duplicates, bad dates.

    Raises ConfigurationError TABLE with file and line.
    """
    records = _records(path)
    header = records[0][1]
    _header_fault(path.name, header, [*key, *values])
    grouped: dict[tuple[str, ...], list[Row]] = {}
    for line, cells in records[1:]:
        if len(cells) != len(header):
            raise _fault(path.name, line, f"{len(cells)} fields, the header has {len(header)}")
        named = dict(zip(header, cells, strict=True))
        if any(cell != cell.strip() for cell in cells):
            raise _fault(path.name, line, "a cell begins or ends with a space, so it would never match")
        valid_from, valid_to = named.get("valid_from") or _EVER[0], named.get("valid_to") or _EVER[1]
        if not (_is_date(valid_from) and _is_date(valid_to) and valid_from <= valid_to):
            raise _fault(path.name, line, f"validity {valid_from!r} to {valid_to!r} is no period of ISO dates")
        grouped.setdefault(tuple(named[k] for k in key), []).append(Row(valid_from, valid_to, named, line))
    rows = {k: _in_order(path.name, k, found) for k, found in grouped.items()}
    masks = sorted({tuple(part == ANY for part in k) for k in rows}, key=lambda m: (sum(m), m))
    _rank_fault(path.name, rows, masks)
    return Table(path.name, tuple(key), tuple(header), rows, tuple(masks))


def _records(path: Path) -> list[tuple[int, list[str]]]:
    try:
        reader = csv.reader(io.StringIO(path.read_text("utf-8-sig"), newline=""), strict=True)
        records = [(reader.line_num, cells) for cells in reader if cells]
    except OSError as error:
        raise _fault(path.name, 1, "the table does not exist") from error
    except (csv.Error, UnicodeDecodeError) as error:
        raise _fault(path.name, 1, f"not a CSV file in UTF-8 ({error})") from error
    if not records or len(records) > TABLE_ROWS_MAX:
        raise _fault(path.name, 1, f"{len(records)} rows; 1 to {TABLE_ROWS_MAX} are allowed")
    return records


def _header_fault(file: str, header: Sequence[str], wanted: Sequence[str]) -> None:
    if len(set(header)) != len(header):
        raise _fault(file, 1, "a column name stands twice")
    for column in wanted:
        if column not in header:
            raise _fault(file, 1, f"no column {column!r}; there are {', '.join(header)}")


def _in_order(file: str, key: tuple[str, ...], rows: list[Row]) -> tuple[Row, ...]:
    ordered = sorted(rows, key=lambda row: (row.valid_from, row.line))
    for earlier, later in pairwise(ordered):
        shown = ", ".join(key)
        if later.valid_from <= earlier.valid_to:
            detail = f"{shown} overlaps line {earlier.line}; end one the day before the other begins"
            raise _fault(file, later.line, detail)
        if _next_day(earlier.valid_to) != later.valid_from:
            raise _fault(file, later.line, f"{shown} has a gap after line {earlier.line} ({earlier.valid_to})")
    return tuple(ordered)


def _rank_fault(file: str, rows: Mapping[tuple[str, ...], tuple[Row, ...]], masks: Sequence[tuple[bool, ...]]) -> None:
    """Two keys with equally many `*` that could match the same value leave the choice open: refuse them."""
    by_mask: dict[tuple[bool, ...], list[tuple[str, ...]]] = {mask: [] for mask in masks}
    for key in rows:
        by_mask[tuple(part == ANY for part in key)].append(key)
    for number, mask in enumerate(masks):
        for other in (m for m in masks[number + 1 :] if sum(m) == sum(mask)):
            named = [not (x or y) for x, y in zip(mask, other, strict=True)]
            first = {tuple(compress(key, named)): key for key in reversed(by_mask[mask])}
            for b in by_mask[other]:
                a = first.get(tuple(compress(b, named)))
                if a is not None:
                    line = max(rows[a][0].line, rows[b][0].line)
                    raise _fault(file, line, f"{a} and {b} match the same value equally well; make one more specific")


def _is_date(text: str) -> bool:
    try:
        return datetime.date.fromisoformat(text).isoformat() == text
    except ValueError:
        return False


def _next_day(text: str) -> str:
    day = datetime.date.fromisoformat(text)
    return text if day == datetime.date.max else (day + datetime.timedelta(days=1)).isoformat()


def _fault(file: str, line: int, detail: str) -> ConfigurationError:
    return ConfigurationError("TABLE", file=file, line=line, detail=detail)


# --- conditions


def matches(condition: Mapping[str, Any], frame: pd.DataFrame) -> Bools:
    """Which rows meet a condition: every field of it must hold; `any`, `all` and `not` combine conditions.

    A field's test is a text (equal), a list (one of), a word (present, missing, zero, not zero, positive, negative)
    or a mapping of tests (equal, in, prefix, above, below, from, to, not). Amounts compare in minor units.
    """
    out = np.ones(len(frame), dtype=bool)
    for name, test in condition.items():
        if name == "any":
            out &= np.logical_or.reduce([matches(part, frame) for part in test])
        elif name == "all":
            out &= np.logical_and.reduce([matches(part, frame) for part in test])
        elif name == "not":
            out &= ~matches(test, frame)
        else:
            out &= _holds(test, frame[name])
    return out


_WORDS: Final[dict[str, Callable[[Ints], Bools]]] = {
    "zero": lambda numbers: numbers == 0,
    "not zero": lambda numbers: numbers != 0,
    "positive": lambda numbers: numbers > 0,
    "negative": lambda numbers: numbers < 0,
}
_NUMBER_TESTS: Final[dict[str, Callable[[Ints, Any], Bools]]] = {
    "equal": lambda numbers, wanted: numbers == int(wanted),
    "in": lambda numbers, wanted: np.isin(numbers, [int(w) for w in wanted]),
    "above": lambda numbers, wanted: numbers > int(wanted),
    "below": lambda numbers, wanted: numbers < int(wanted),
    "from": lambda numbers, wanted: numbers >= int(wanted),
    "to": lambda numbers, wanted: numbers <= int(wanted),
}
_TEXT_TESTS: Final[dict[str, Callable[[str, Any], bool]]] = {
    "equal": lambda text, wanted: text == wanted,
    "in": lambda text, wanted: text in wanted,
    "prefix": lambda text, wanted: text.startswith(wanted),
    "above": lambda text, wanted: text > wanted,
    "below": lambda text, wanted: text < wanted,
    "from": lambda text, wanted: text >= wanted,
    "to": lambda text, wanted: text <= wanted,
    "present": lambda text, wanted: (text != "") == (wanted == "yes"),
}
TESTS: Final = tuple(sorted({*_TEXT_TESTS, *_NUMBER_TESTS, "not"}))


def _holds(test: Any, column: pd.Series) -> Bools:
    if pd.api.types.is_integer_dtype(column.dtype):
        return _holds_number(test, column.to_numpy(dtype=np.int64))
    if test in ("present", "missing"):  # often on a column of which every text is distinct
        return np.asarray((column != "").to_numpy(dtype=bool) == (test == "present"))
    codes, values = model.distinct(column)
    flags = np.array([_holds_text(test, value) for value in values], dtype=bool)
    return flags[codes] if len(codes) else np.zeros(0, dtype=bool)


def _holds_number(test: Any, numbers: Ints) -> Bools:
    if isinstance(test, str):
        return _WORDS[test](numbers) if test in _WORDS else numbers == int(test)
    out = np.ones(len(numbers), dtype=bool)
    for name, wanted in ({"in": test} if isinstance(test, list) else test).items():
        out &= ~_holds_number(wanted, numbers) if name == "not" else _NUMBER_TESTS[name](numbers, wanted)
    return out


def _holds_text(test: Any, text: str) -> bool:
    if isinstance(test, str):
        return (text != "") == (test == "present") if test in ("present", "missing") else text == test
    if isinstance(test, list):
        return text in test
    return all(not _holds_text(w, text) if name == "not" else _TEXT_TESTS[name](text, w) for name, w in test.items())
