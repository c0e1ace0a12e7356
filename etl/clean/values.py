"""One column of texts -> one column of values: a vectorised test lets the clean cells pass, the rest is read one
distinct text at a time. Each reader returns every fault of the column."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from etl import model, money
from etl.clean.dates import ISO_DATE, ISO_TIME, SURE_DATE, SURE_TIME, Calendar, day_of_month
from etl.clean.plan import CODE_CHARACTERS_MAX, CODE_PATTERN, Field, Plan
from etl.clean.text import DIRTY, ZERO_SIGN, Reading, strange, tidy
from etl.formats.layout import Notation, matches
from etl.model import Ints

Bools = NDArray[np.bool_]

_INTEGER: Final = "0|[1-9][0-9]{0,8}"
_PERCENT: Final = re.compile(r"(?:0|[1-9][0-9]?|100)(?:\.[0-9]{1,6})?", re.ASCII)
_MINUS_ZERO: Final = r"^-0(\.0*)?$"
_CURRENCIES: Final = pa.array(sorted(money.EXPONENT), type=pa.large_string())
_ANY_PRECISION: Final = max(money.EXPONENT.values())


@dataclass(frozen=True)
class Fault:
    """Rows of a column with the same code: what stood there, and what is wrong in words."""

    code: str
    rows: Ints
    values: Sequence[str]
    details: Sequence[str]


@dataclass(frozen=True)
class Column:
    """One column read: Arrow text or int64, its faults, and how many cells were normalised in which way."""

    values: pa.Array | Ints
    faults: Sequence[Fault] = ()
    notes: Mapping[str, int] = field(default_factory=dict)

    @property
    def bad(self) -> Ints:
        """Rows with a fault."""
        return np.concatenate([np.empty(0, dtype=np.int64), *[fault.rows for fault in self.faults]])


def read(texts: pa.Array, one: Field, plan: Plan) -> Column:
    """A column of any kind but money."""
    column = _READERS[one.kind](texts, one, plan)
    if one.required:
        column = _required(texts, column)
    if model.LINE_FIELDS[one.target] == model.INTEGER:
        return Column(_whole(column.values), column.faults, column.notes)
    return column


def _required(texts: pa.Array, column: Column) -> Column:
    empty = np.asarray(pc.equal(pc.binary_length(column.values), 0).to_numpy(zero_copy_only=False), dtype=bool)
    empty[column.bad] = False
    rows = np.flatnonzero(empty)
    if not len(rows):
        return column
    missing = Fault("MISSING", rows, texts.take(pa.array(rows)).to_pylist(), [""] * len(rows))
    return Column(column.values, [*column.faults, missing], column.notes)


def _whole(texts: pa.Array) -> Ints:
    filled = pc.if_else(pc.equal(pc.binary_length(texts), 0), "0", texts)
    return np.array(pc.cast(filled, pa.int64()).to_numpy(zero_copy_only=False), dtype=np.int64)


def _read_rest(texts: pa.Array, clean: Bools, one: Callable[[str], Reading]) -> Column:
    """Clean rows as they are, the distinct texts of all others by `one`."""
    rest = np.flatnonzero(~clean)
    if not len(rest):
        return Column(texts)
    coded = (texts if len(rest) == len(texts) else texts.take(pa.array(rest))).dictionary_encode()
    codes = coded.indices.to_numpy(zero_copy_only=False)
    known = coded.dictionary.to_pylist()
    readings = [one(text) for text in known]
    values = pa.array([reading.value for reading in readings], type=pa.large_string()).take(coded.indices)
    if len(rest) < len(texts):
        values = pc.replace_with_mask(texts, pa.array(~clean), values)
    return Column(values, _faults(readings, known, codes, rest), _notes(readings, codes))


def _faults(readings: Sequence[Reading], known: Sequence[str], codes: Ints, rest: Ints) -> list[Fault]:
    bad = np.array([bool(reading.code) for reading in readings], dtype=bool)[codes]
    places = np.flatnonzero(bad)
    found: dict[str, list[int]] = {}
    for place, code in zip(places.tolist(), codes[places].tolist(), strict=True):
        found.setdefault(readings[code].code, []).append(place)
    return [
        Fault(code, rest[at], [known[c] for c in codes[at].tolist()], [readings[c].detail for c in codes[at].tolist()])
        for code, at in found.items()
    ]


def _notes(readings: Sequence[Reading], codes: Ints) -> Counter[str]:
    times = np.bincount(codes, minlength=len(readings)).tolist()
    notes: Counter[str] = Counter()
    for reading, count in zip(readings, times, strict=True):
        notes.update(dict.fromkeys(reading.notes, count))
    return notes


def _plain(texts: pa.Array, one: Field, pattern: str) -> Bools:
    """Cells that match (any text where the pattern is "") and that no normalisation could change."""
    clean = matches(texts, f"^(?:{pattern})?$") if pattern else ~matches(texts, DIRTY)
    if one.kind == model.CODE and one.pattern != CODE_PATTERN:
        clean &= matches(texts, "^[!-~](?:[ -~]*[!-~])?$")
    elif one.nfkc:
        clean &= matches(texts, "^[ -~]*$")
    if one.aliases:
        known = pa.array(sorted(one.aliases), type=pa.large_string())
        clean &= ~np.asarray(pc.is_in(texts, value_set=known).to_numpy(zero_copy_only=False), dtype=bool)
    if one.upper:
        clean &= matches(texts, "^[ -`{-~]*$")
    return clean


def _code(texts: pa.Array, one: Field, plan: Plan) -> Column:
    limit = one.max or CODE_CHARACTERS_MAX
    clean = _plain(texts, one, one.pattern) & _short(texts, limit)

    def read_one(text: str) -> Reading:
        tidied = tidy(text, one)
        if tidied.code or not tidied.value:
            return tidied
        if len(tidied.value) > limit:
            return Reading("", tidied.notes, "LENGTH", f"{limit} characters")
        if not matches(pa.array([tidied.value]), f"^(?:{one.pattern})$")[0]:
            return Reading("", tidied.notes, "CODE", strange(tidied.value) or f"allowed is {one.pattern}")
        return tidied

    return _read_rest(texts, clean, read_one)


def _never(texts: pa.Array) -> Bools:
    return np.zeros(len(texts), dtype=bool)


def _short(texts: pa.Array, limit: int) -> Bools:
    return np.asarray(pc.less_equal(pc.binary_length(texts), limit).to_numpy(zero_copy_only=False), dtype=bool)


def _text(texts: pa.Array, one: Field, plan: Plan) -> Column:
    clean = _plain(texts, one, "")
    if one.max:
        clean &= _short(texts, one.max)

    def read_one(text: str) -> Reading:
        tidied = tidy(text, one)
        if one.max and len(tidied.value) > one.max and not tidied.code:
            return Reading(tidied.value, tidied.notes, "LENGTH", f"{one.max} characters")
        return tidied

    return _read_rest(texts, clean, read_one)


def _date(texts: pa.Array, one: Field, plan: Plan) -> Column:
    calendar = plan.calendar
    iso = calendar.dates[:1] == (ISO_DATE,) and not one.month_day

    def read_date(text: str) -> tuple[str, str]:
        return (day_of_month(text, one.month_day) if one.month_day else calendar.date(text)), ""

    shown = "2026-03" if one.month_day else " or ".join(calendar.dates)
    return _moment(texts, one, SURE_DATE if iso else "", read_date, shown)


def _time(texts: pa.Array, one: Field, plan: Plan) -> Column:
    calendar: Calendar = plan.calendar
    iso = calendar.times[:1] == (ISO_TIME,)
    return _moment(texts, one, SURE_TIME if iso else "", calendar.time, " or ".join(calendar.times))


def _moment(
    texts: pa.Array, one: Field, sure: str, parse: Callable[[str], tuple[str, str]], shown: str
) -> Column:  # fmt: skip
    def read_one(text: str) -> Reading:
        tidied = tidy(text, one)
        if not tidied.value and not tidied.code:
            return tidied
        iso, problem = parse(tidied.value)
        if iso:
            return Reading(iso, tidied.notes)
        return Reading("", tidied.notes, "DATE", f"{shown} ({problem})" if problem else shown)

    return _read_rest(texts, _plain(texts, one, sure) if sure else _never(texts), read_one)


def _currency(texts: pa.Array, one: Field, plan: Plan) -> Column:
    clean = np.asarray(pc.is_in(texts, value_set=_CURRENCIES).to_numpy(zero_copy_only=False), dtype=bool)

    def read_one(text: str) -> Reading:
        tidied = tidy(text, one)
        if not tidied.value and not tidied.code:
            return tidied
        return tidied if tidied.value in money.EXPONENT else Reading("", tidied.notes, "CURRENCY")

    return _read_rest(texts, clean & _plain(texts, one, "[A-Z]{3}"), read_one)


def _rate(texts: pa.Array, one: Field, plan: Plan) -> Column:
    def read_one(text: str) -> Reading:
        tidied = tidy(text, one)
        if not tidied.value and not tidied.code:
            return tidied
        plain = plan.notation.plain(pa.array([tidied.value]))[0].as_py()
        if money.parse_rate(plain) is None:
            return Reading("", tidied.notes, "RATE_VALUE", "a decimal above 0 with at most 12 decimals")
        return Reading(plain, tidied.notes)

    return _read_rest(texts, _never(texts), read_one)


def _percent(texts: pa.Array, one: Field, plan: Plan) -> Column:
    """A percentage from 0 to 100, with or without its sign, as the shortest decimal: `13.00 %` is 13."""

    def read_one(text: str) -> Reading:
        tidied = tidy(text, one)
        if not tidied.value:
            return tidied
        number = tidied.value.removesuffix("%").rstrip()
        plain = plan.notation.plain(pa.array([number]))[0].as_py()
        if not _PERCENT.fullmatch(plain) or (plain.startswith("100.") and plain.strip("0.") != "1"):
            return Reading("", tidied.notes, "TAX_RATE", "0 to 100 with at most 6 decimals, % or not")
        return Reading(plain.rstrip("0").removesuffix(".") if "." in plain else plain, tidied.notes)

    return _read_rest(texts, _never(texts), read_one)


def _integer(texts: pa.Array, one: Field, plan: Plan) -> Column:
    def read_one(text: str) -> Reading:
        tidied = tidy(text, one)
        if not tidied.value and not tidied.code:
            return tidied
        minor, fault = money.parse_one(tidied.value, one.decimals)
        if fault == "PRECISION" and one.decimals:
            return Reading("", tidied.notes, fault, f"{one.decimals} decimals")
        if fault or minor < 0 or minor >= 10**9 or tidied.value.startswith("-"):
            return Reading("", tidied.notes, "INTEGER")
        return Reading(str(minor), tidied.notes)

    clean = _plain(texts, one, _INTEGER) if not one.decimals else _never(texts)
    return _read_rest(texts, clean, read_one)


_READERS: Final[Mapping[str, Callable[[pa.Array, Field, Plan], Column]]] = {
    model.CODE: _code,
    model.TEXT: _text,
    model.DATE: _date,
    model.TIME: _time,
    model.CURRENCY: _currency,
    model.RATE: _rate,
    model.PERCENT: _percent,
    model.INTEGER: _integer,
}


def read_money(texts: pa.Array, currencies: pa.Array, one: Field, notation: Notation) -> Column:
    """A column of amounts in minor units of the currency beside them; "" is 0, an amount in no currency is 0.

    Where the currency is missing or unknown only the grammar is judged: its decimals are not known.
    """
    trimmed = _read_rest(texts, _plain(texts, one, "[!-~]+"), lambda text: tidy(text, one))
    empty = np.asarray(pc.equal(pc.binary_length(trimmed.values), 0).to_numpy(zero_copy_only=False), dtype=bool)
    coded = currencies.dictionary_encode()
    decimals = np.array([money.EXPONENT.get(c, -1) for c in coded.dictionary.to_pylist()], dtype=np.int64)
    exponents = decimals[coded.indices.to_numpy(zero_copy_only=False)]
    unknown = exponents < 0
    filled = pc.if_else(pa.array(empty), "0", trimmed.values) if empty.any() else trimmed.values
    exponents = np.where(unknown, _ANY_PRECISION, exponents)
    plain = notation.trimmed(notation.plain(filled), exponents)
    minor, fault = money.parse(plain, exponents)
    fault[unknown & (fault == "PRECISION")] = ""
    minor[unknown | (fault != "")] = 0
    notes = Counter(trimmed.notes)
    minus_zero = int(matches(plain, _MINUS_ZERO).sum())
    notes.update({ZERO_SIGN: minus_zero} if minus_zero else {})
    faults = _money_faults(texts, currencies, fault, notation)
    if one.required and empty.any():
        rows = np.flatnonzero(empty)
        faults.append(Fault("MISSING", rows, texts.take(pa.array(rows)).to_pylist(), [""] * len(rows)))
    return Column(minor, faults, notes)


def _money_faults(
    texts: pa.Array, currencies: pa.Array, fault: NDArray[np.object_], notation: Notation
) -> list[Fault]:  # fmt: skip
    example = f"1{notation.thousands}234{notation.decimal}50"
    found = []
    for code in ("MONEY", "PRECISION", "RANGE"):
        rows = np.flatnonzero(fault == code)
        if len(rows):
            at = pa.array(rows)
            details = (
                currencies.take(at).to_pylist() if code == "PRECISION" else [f"written like {example}"] * len(rows)
            )
            found.append(Fault(code, rows, texts.take(at).to_pylist(), details))
    return found
