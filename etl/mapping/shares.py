"""Tables in which one key has several rows: the parts that an amount is divided into, and the taxes of a tax code."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from etl import lookup, model, money
from etl.errors import ConfigurationError

Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

PERCENT, WEIGHT, FIXED = "percent", "weight", "fixed"
PART, SHARE, REST = "part", "share", "rest"
TAX, RATE, RECLAIMABLE = "tax", "rate_pct", "reclaimable_pct"


@dataclass(frozen=True)
class Shares:
    """Rows by key; the rows of a key that are valid on a day belong together, in the order of the file.

    by: percent (100 together), weight, fixed (amounts in document currency, one row `rest`), or "" for taxes.
    """

    table: lookup.Table
    rows: Mapping[tuple[str, ...], tuple[lookup.Row, ...]]
    by: str
    sets: tuple[str, ...]
    valid_by: str
    optional: bool = False

    def expand(self, frame: pd.DataFrame) -> Expansion:
        """Every row of a frame once for each row of its key."""
        key = [*self.table.key[:-1]]
        codes, first = model.groups(frame, [*key, *([self.valid_by] if self.valid_by else [])])
        keys = zip(*(frame[c].iloc[first].tolist() for c in key), strict=True)
        days = frame[self.valid_by].iloc[first].tolist() if self.valid_by else [""] * len(first)
        found = [
            self._rows(cells, day) if day or not self.valid_by else [] for cells, day in zip(keys, days, strict=True)
        ]
        counts = np.array([len(rows) for rows in found], dtype=np.int64)
        starts = np.cumsum(counts) - counts
        each = counts[codes] if len(codes) else np.zeros(0, dtype=np.int64)
        origin = np.repeat(np.arange(len(frame), dtype=np.int64), each)
        within = np.arange(len(origin), dtype=np.int64) - np.repeat(np.cumsum(each) - each, each)
        rows = [row for part in found for row in part]
        return Expansion(origin, starts[codes][origin] + within if len(origin) else origin, rows, each == 0)

    def _rows(self, key: Sequence[str], day: str) -> list[lookup.Row]:
        """The rows of a key valid on a day (any day when ""), of the most specific pattern that has any."""
        for mask in dict.fromkeys(mask[:-1] for mask in self.table.masks):
            pattern = tuple(lookup.ANY if wild else cell for cell, wild in zip(key, mask, strict=True))
            rows = [row for row in self.rows.get(pattern, ()) if not day or row.valid_from <= day <= row.valid_to]
            if rows:
                return rows
        return []


@dataclass(frozen=True)
class Expansion:
    """For each result its row in the frame (`origin`) and its table row (`rows[cell]`); which rows have none."""

    origin: Ints
    cell: Ints
    rows: list[lookup.Row]
    missing: Bools

    def column(self, name: str) -> pd.Series:
        """A text column of the table, per result."""
        return model.spread([row.cells[name] for row in self.rows], self.cell)

    def numbers(self, name: str) -> tuple[Ints, int]:
        """A column of decimals as integers of one common power of ten, per result, and that power."""
        parsed = [_decimal(row.cells[name]) for row in self.rows]
        places = max((decimals for _, decimals in parsed), default=0)
        whole = np.array([number * 10 ** (places - decimals) for number, decimals in parsed], dtype=np.int64)
        return whole[self.cell] if len(self.cell) else self.cell, 10**places


def divide(shares: Shares, found: Expansion, amounts: Ints, currency: pd.Series) -> tuple[Ints, Bools]:
    """The amount of each result, exact: the parts of a row add up to its amount. And the rows that cannot be divided.

    In: amounts and currency per row of the frame. A row with fixed parts beyond its amount cannot be divided.
    """
    if shares.by != FIXED:
        totals, group = np.unique(found.origin, return_inverse=True)
        weights, _ = found.numbers(SHARE)
        return money.allocate_groups(amounts[totals], weights, group), np.zeros(len(amounts), dtype=bool)
    texts = found.column(SHARE)
    fixed = np.array(
        [0 if text == REST else money.parse_one(text, money.EXPONENT[c])[0]
         for text, c in zip(texts, currency.iloc[found.origin], strict=True)], dtype=np.int64,
    )  # fmt: skip
    fixed = np.where(amounts[found.origin] < 0, -fixed, fixed)
    left = amounts - model.sum_by(fixed, found.origin, len(amounts))
    rest = (texts == REST).to_numpy(dtype=bool)
    return np.where(rest, left[found.origin], fixed), (left != 0) & ((left < 0) != (amounts < 0))


def of(table: lookup.Table, use: Mapping[str, Any]) -> Shares:
    """The parts of an allocation: its key, `part`, `share`, and the fields it sets."""
    return Shares(
        table, _by_key(table), use["by"], tuple(use["set"]), use.get("valid_by", ""), use.get("otherwise") == "whole"
    )


def of_taxes(table: lookup.Table, use: Mapping[str, Any]) -> Shares:
    """The taxes of a code: its key, `tax`, `rate_pct`, `reclaimable_pct`."""
    return Shares(table, _by_key(table), "", (), use.get("valid_by", ""))


_SHARE: Final[dict[str, tuple[Callable[[str], bool], str]]] = {
    PERCENT: (lambda text: _is_decimal(text, negative=True), "a decimal"),
    WEIGHT: (lambda text: _is_decimal(text, negative=False), "a decimal of 0 or more"),
    FIXED: (lambda text: text == REST or _is_decimal(text, negative=False), "an amount or `rest`"),
}


def problems(table: lookup.Table, by: str) -> Iterator[ConfigurationError]:
    """Shares that are none, and the parts of a key that on some day are not one whole."""
    fits, what = _SHARE[by]
    unfit = [row for rows in table.rows.values() for row in rows if not fits(row.cells[SHARE])]
    yield from (_fault(table, row, f"share {row.cells[SHARE]!r} is not {what}") for row in unfit)
    for pattern, rows in _by_key(table).items() if not unfit else ():
        days = sorted({row.valid_from for row in rows} | {row.valid_to for row in rows})
        for day in days:
            valid = [row for row in rows if row.valid_from <= day <= row.valid_to]
            detail = _wrong(by, valid)
            if detail:
                yield _fault(table, valid[-1], f"the parts of {', '.join(pattern)}{_when(day, days)} {detail}")
                break


def _when(day: str, days: Sequence[str]) -> str:
    """When it is so: on a day, or before the first or after the last day that a row names; "" when none does."""
    if day not in lookup.EVER:
        return f" on {day}"
    named = [one for one in days if one not in lookup.EVER]
    if not named:
        return ""
    return f" before {named[0]}" if day == lookup.EVER[0] else f" after {named[-1]}"


def _wrong(by: str, rows: Sequence[lookup.Row]) -> str:
    """What is wrong with the shares of one key on one day, "" when nothing is."""
    shares = [row.cells[SHARE] for row in rows]
    if by == FIXED:
        rests = shares.count(REST)
        return "" if rests == 1 else f"need one `rest`, there are {rests}"
    total = sum(map(Decimal, shares))
    if by == PERCENT and total != 100:
        return f"add up to {total} %, not 100"
    return "" if total > 0 else "have no weight"


def _by_key(table: lookup.Table) -> dict[tuple[str, ...], tuple[lookup.Row, ...]]:
    out: dict[tuple[str, ...], list[lookup.Row]] = {}
    for cells, rows in table.rows.items():
        out.setdefault(cells[:-1], []).extend(rows)
    return {key: tuple(sorted(rows, key=lambda row: row.line)) for key, rows in out.items()}


def _decimal(text: str) -> tuple[int, int]:
    whole, _, fraction = text.partition(".")
    return int(whole + fraction), len(fraction)


def _is_decimal(text: str, *, negative: bool) -> bool:
    body = text.removeprefix("-") if negative else text
    whole, point, fraction = body.partition(".")
    digits = whole.isascii() and whole.isdigit() and (not point or (fraction.isascii() and fraction.isdigit()))
    return digits and len(whole) <= 6 and len(fraction) <= 8


def _fault(table: lookup.Table, row: lookup.Row, detail: str) -> ConfigurationError:
    return ConfigurationError("TABLE", file=f"tables/{table.file}", line=row.line, detail=detail)
