"""Look-up tables with validity dates, and ordered conditions: the two ways a mapping decides.

A table is a CSV file: key columns, value columns, `valid_from` and `valid_to` (inclusive ISO dates, empty = open)
and `source` (who decided). `*` in a key column matches anything; the row with the fewest `*` wins. Overlaps, gaps,
duplicate rows and rows of equal rank are refused when the table is read, with file and line.
"""

from __future__ import annotations

import csv
import datetime
import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
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
Finding = tuple[int, str]  # line, what is wrong

ANY: Final = "*"
TABLE_ROWS_MAX: Final = 200_000
VALIDITY: Final = ("valid_from", "valid_to")
EVER: Final = ("0001-01-01", "9999-12-31")


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

    Raises ConfigurationError TABLE with file and line, the first that `scan` finds.
    """
    table, faults = scan(path, key, values)
    if faults:
        raise faults[0]
    return table


def scan(path: Path, key: Sequence[str], values: Sequence[str] = ()) -> tuple[Table, list[ConfigurationError]]:
    """A table as far as it can be read, and everything doubtful about it in the order of its lines."""
    found: list[Finding] = []
    records = _records(path, found)
    rows: dict[tuple[str, ...], tuple[Row, ...]] = {}
    if records and not _header_faults(records[0][1], [*key, *values], found):
        rows = {k: _in_order(k, group, found) for k, group in _grouped(records, key, found).items()}
    masks = sorted({tuple(part == ANY for part in k) for k in rows}, key=lambda m: (sum(m), m))
    found.extend(_rank_faults(rows, masks))
    table = Table(path.name, tuple(key), tuple(records[0][1]) if records else (), rows, tuple(masks))
    file = "/".join(path.parts[-2:])
    return table, [ConfigurationError("TABLE", file=file, line=line, detail=detail) for line, detail in sorted(found)]


def _records(path: Path, found: list[Finding]) -> list[tuple[int, list[str]]]:
    """The records of a CSV file with their lines; none, and why, when it is no table."""
    try:
        reader = csv.reader(io.StringIO(path.read_text("utf-8-sig"), newline=""), strict=True)
        records = [(reader.line_num, cells) for cells in reader if cells]
    except OSError:
        found.append((1, "the table does not exist"))
    except UnicodeDecodeError as error:
        found.append((error.object.count(b"\n", 0, error.start) + 1, "not UTF-8; save the file as UTF-8"))
    except csv.Error as error:
        found.append((1, f"not a CSV file ({error})"))
    else:
        if records and len(records) <= TABLE_ROWS_MAX:
            return records
        found.append((1, f"{len(records)} rows; 1 to {TABLE_ROWS_MAX} are allowed"))
    return []


def _header_faults(header: Sequence[str], wanted: Sequence[str], found: list[Finding]) -> bool:
    before = len(found)
    if len(set(header)) != len(header):
        found.append((1, "a column name stands twice"))
    for column in dict.fromkeys(wanted):
        if column not in header:
            found.append((1, f"no column {column!r}; there are {', '.join(header)}"))
    for column in header:
        meant = get_close_matches(column.strip().lower(), VALIDITY, cutoff=0.75)
        if meant and column not in (*VALIDITY, *wanted):
            found.append((1, f"column {column!r} is read by nobody; call it {meant[0]}, or something quite different"))
    return len(found) > before


def _grouped(
    records: Sequence[tuple[int, list[str]]], key: Sequence[str], found: list[Finding]
) -> dict[tuple[str, ...], list[Row]]:
    """The rows of each key, as they stand; a row that cannot be read is left out."""
    header = records[0][1]
    grouped: dict[tuple[str, ...], list[Row]] = {}
    for line, cells in records[1:]:
        faults = list(_row_faults(header, cells, key))
        found.extend((line, fault) for fault in faults)
        if not faults:
            named = dict(zip(header, cells, strict=True))
            row = Row(named.get("valid_from") or EVER[0], named.get("valid_to") or EVER[1], named, line)
            grouped.setdefault(tuple(named[k] for k in key), []).append(row)
    return grouped


def _row_faults(header: Sequence[str], cells: Sequence[str], key: Sequence[str]) -> Iterator[str]:
    if len(cells) != len(header):
        yield f"{len(cells)} fields, the header has {len(header)}"
        return
    if any(cell != cell.strip() for cell in cells):
        yield "a cell begins or ends with a space, so it would never match"
    named = dict(zip(header, cells, strict=True))
    for part in (named[k] for k in key):
        if ANY in part and part != ANY:
            yield f"{part!r} never matches: only a cell that is {ANY} alone matches anything"
    valid_from, valid_to = named.get("valid_from") or EVER[0], named.get("valid_to") or EVER[1]
    if not (_is_date(valid_from) and _is_date(valid_to) and valid_from <= valid_to):
        yield f"validity {valid_from!r} to {valid_to!r} is no period of ISO dates"


def _in_order(key: tuple[str, ...], rows: list[Row], found: list[Finding]) -> tuple[Row, ...]:
    """The rows of one key by their validity, which must follow each other without overlap and gap."""
    ordered = sorted(rows, key=lambda row: (row.valid_from, row.line))
    shown = ", ".join(key)
    for earlier, later in pairwise(ordered):
        if (earlier.valid_from, earlier.valid_to) == (later.valid_from, later.valid_to):
            found.append((later.line, f"{shown} stands twice, also on line {earlier.line}; delete one"))
        elif later.valid_from <= earlier.valid_to:
            detail = f"{shown} overlaps line {earlier.line}; end one the day before the other begins"
            found.append((later.line, detail))
        elif _next_day(earlier.valid_to) != later.valid_from:
            found.append((later.line, f"{shown} has a gap after line {earlier.line} ({earlier.valid_to})"))
    return tuple(ordered)


def _rank_faults(
    rows: Mapping[tuple[str, ...], tuple[Row, ...]], masks: Sequence[tuple[bool, ...]]
) -> Iterator[Finding]:
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
                    yield (
                        line,
                        f"{', '.join(a)} and {', '.join(b)} match the same value equally well; make one more specific",
                    )


def _is_date(text: str) -> bool:
    try:
        return datetime.date.fromisoformat(text).isoformat() == text
    except ValueError:
        return False


def _next_day(text: str) -> str:
    day = datetime.date.fromisoformat(text)
    return text if day == datetime.date.max else (day + datetime.timedelta(days=1)).isoformat()


# --- conditions


def matches(condition: Mapping[str, Any], frame: pd.DataFrame) -> Bools:
    """Which rows meet a condition: every field of it must hold; `any`, `all` and `not` combine conditions.

    A field's test is a text (equal), a list (one of), a word (present, missing, zero, not zero, positive, negative)
    or a mapping of tests (equal, in, prefix, above, below, from, to, present, not). Amounts compare in minor units,
    dates as ISO text; an empty text is neither above nor below anything.
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
    "below": lambda text, wanted: "" < text < wanted,
    "from": lambda text, wanted: text != "" and text >= wanted,
    "to": lambda text, wanted: "" < text <= wanted,
    "present": lambda text, wanted: (text != "") == (wanted == "yes"),
}


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
