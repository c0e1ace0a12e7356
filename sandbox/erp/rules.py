"""What Journal Import refuses, with Oracle's codes: one function per rule, all rules in one table.

A rule sees the columns of a whole group and marks lines. Oracle publishes no code for a line with both sides, none,
or sides that disagree; here it is EC13, whose published text is "Amount is too large".
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal, localcontext
from functools import cached_property
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from sandbox.erp.books import Books, period_of

Bools = NDArray[np.bool_]
Ints = NDArray[np.int64]

AMOUNTS: Final = ("entered_dr", "entered_cr", "accounted_dr", "accounted_cr")
CODES: Final = (
    "reference21", "ledger_id", "segment1", "segment3", "currency_code", "accounting_date", "actual_flag",
    "user_je_category_name", "user_currency_conversion_type", "currency_conversion_date", "currency_conversion_rate",
)  # fmt: skip
# Journal Import makes one journal per value of these; lines that share a reference must share them.
SPLITS: Final = ("segment1", "ledger_id", "currency_code", "accounting_date", "user_je_category_name", "actual_flag")

TEXTS: Final = {
    "EC01": "A conversion rate must be entered when using the User conversion rate type.",
    "EC02": "There is no conversion date supplied.",
    "EC03": "A conversion rate type or an accounted amount must be supplied for a foreign currency line.",
    "EC06": "There is no conversion rate for this currency, conversion type and date.",
    "EC08": "Invalid currency code.",
    "EC11": "Invalid conversion rate type.",
    "EC12": "The entered amount must equal the accounted amount in a functional currency line.",
    "EC13": "The amount is too large, or does not stand on exactly one side.",
    "EF04": "This is an invalid accounting flexfield. Check your segment values.",
    "EM03": "Invalid set of books id.",
    "EM04": "The ACTUAL_FLAG must be A.",
    "EP01": "This date is not in any open or future enterable period.",
    "EP02": "This set of books does not have any open or future enterable periods.",
    "EU02": "This journal entry is unbalanced and suspense posting is not allowed.",
    "DUPLICATE": "A journal with this reference has been imported before.",
}
_MONEY: Final = pa.decimal128(38, 4)
_TOO_LARGE: Final = Decimal(10**22)  # below it, 10^12 lines add up inside 38 digits


@dataclass(frozen=True)
class Lines:
    """The interface rows of one group as columns; amounts as exact decimals, everything else as text ("" = null)."""

    ids: Ints
    columns: Mapping[str, pa.ChunkedArray]

    def __len__(self) -> int:
        return len(self.ids)

    @cached_property
    def coded(self) -> dict[str, tuple[Ints, list[str]]]:
        """Per text column: a number per line and the distinct texts the numbers stand for."""
        out: dict[str, tuple[Ints, list[str]]] = {}
        for name in CODES:
            encoded = self.columns[name].combine_chunks().dictionary_encode()
            out[name] = encoded.indices.to_numpy(zero_copy_only=False).astype(np.int64), encoded.dictionary.to_pylist()
        return out

    @property
    def journal(self) -> Ints:
        """The number of each line's journal, in order of first appearance."""
        return self.coded["reference21"][0]

    @property
    def references(self) -> list[str]:
        """The reference of each journal."""
        return self.coded["reference21"][1]

    @cached_property
    def first(self) -> Ints:
        """The first line of each journal."""
        return np.unique(self.journal, return_index=True)[1]

    @cached_property
    def number(self) -> Ints:
        """The number of each line within its journal, from 1."""
        order = np.argsort(self.journal, kind="stable")
        starts = np.searchsorted(self.journal[order], np.arange(len(self.references)))
        out = np.empty(len(self), dtype=np.int64)
        out[order] = np.arange(len(self)) - starts[self.journal[order]] + 1
        return out

    def value(self, name: str, line: int) -> str:
        """The text of one cell."""
        codes, values = self.coded[name]
        return values[int(codes[line])]

    def where(self, names: Sequence[str], test: Callable[..., bool]) -> Bools:
        """Mark the lines whose values in these columns pass a test; the test runs once per distinct combination."""
        key = np.zeros(len(self), dtype=np.int64)
        for name in names:
            _, key = np.unique(key * (len(self.coded[name][1]) + 1) + self.coded[name][0], return_inverse=True)
        _, shown, inverse = np.unique(key, return_index=True, return_inverse=True)
        answers = [test(*(self.value(name, line) for name in names)) for line in shown.tolist()]
        return np.asarray(np.array(answers, dtype=bool)[inverse])

    def has(self, name: str) -> Bools:
        """Mark the lines where this amount or text is given."""
        if name in AMOUNTS:
            return np.asarray(self.columns[name].is_valid())
        return self.where([name], bool)

    def amount(self, name: str) -> pa.ChunkedArray:
        """An amount column with 0 where none is given."""
        return pc.fill_null(self.columns[name], pa.scalar(Decimal(0), _MONEY))

    def side(self, kind: str) -> Ints:
        """How many sides of the entered or accounted amount are given: 0, 1 or 2."""
        sides: Ints = self.has(f"{kind}_dr").astype(np.int64) + self.has(f"{kind}_cr")
        return sides


def _is_base(lines: Lines, books: Books) -> Bools:
    return lines.where(["segment1", "currency_code"], books.is_base)


def _is_foreign(lines: Lines, books: Books) -> Bools:
    return lines.where(["segment1", "currency_code"], books.is_foreign)


def _must_convert(lines: Lines, books: Books) -> Bools:
    """Foreign lines that leave it to the ERP to find the accounted amount."""
    waiting: Bools = lines.side("accounted") == 0
    return _is_foreign(lines, books) & waiting


def bad_ledger(lines: Lines, books: Books) -> Bools:
    def wrong(company: str, ledger: str) -> bool:
        return company in books.companies and books.companies[company].ledger_id not in ("", ledger)

    return lines.where(["segment1", "ledger_id"], wrong)


def bad_flag(lines: Lines, books: Books) -> Bools:
    return lines.where(["actual_flag"], lambda flag: flag != "A")


def bad_account(lines: Lines, books: Books) -> Bools:
    def unknown(company: str, account: str) -> bool:
        return company not in books.companies or not books.companies[company].knows(account)

    return lines.where(["segment1", "segment3"], unknown)


def closed_period(lines: Lines, books: Books) -> Bools:
    def closed(company: str, day: str) -> bool:
        known = books.companies.get(company)
        return known is not None and known.any_open() and not known.is_open(period_of(day))

    return lines.where(["segment1", "accounting_date"], closed)


def no_open_period(lines: Lines, books: Books) -> Bools:
    return lines.where(["segment1"], lambda c: c in books.companies and not books.companies[c].any_open())


def bad_currency(lines: Lines, books: Books) -> Bools:
    return lines.where(["currency_code"], lambda currency: currency not in books.currencies)


def rate_missing(lines: Lines, books: Books) -> Bools:
    given = ["user_currency_conversion_type", "currency_conversion_rate"]
    return _is_foreign(lines, books) & lines.where(given, lambda kind, rate: kind == "User" and not _usable(rate))


def date_missing(lines: Lines, books: Books) -> Bools:
    given = ["user_currency_conversion_type", "currency_conversion_date"]
    return _is_foreign(lines, books) & lines.where(given, lambda kind, day: kind != "" and day == "")


def nothing_to_convert_with(lines: Lines, books: Books) -> Bools:
    return _must_convert(lines, books) & (lines.side("entered") > 0) & ~lines.has("user_currency_conversion_type")


def no_daily_rate(lines: Lines, books: Books) -> Bools:
    """These books keep no daily rates, so a type other than User cannot be converted."""
    other = books.conversion_types - {"User"}
    return _must_convert(lines, books) & lines.where(["user_currency_conversion_type"], lambda kind: kind in other)


def bad_conversion_type(lines: Lines, books: Books) -> Bools:
    known = books.conversion_types | {""}
    return _is_foreign(lines, books) & lines.where(["user_currency_conversion_type"], lambda kind: kind not in known)


def accounted_differs(lines: Lines, books: Books) -> Bools:
    unequal = np.zeros(len(lines), dtype=bool)
    for side in ("dr", "cr"):
        entered, accounted = (lines.amount(f"{kind}_{side}") for kind in ("entered", "accounted"))
        unequal |= np.asarray(pc.not_equal(entered, accounted))
        unequal |= lines.has(f"entered_{side}") != lines.has(f"accounted_{side}")
    judged: Bools = _is_base(lines, books) & (lines.side("accounted") > 0)
    return judged & unequal


def bad_amount(lines: Lines, books: Books) -> Bools:
    """Both sides, none, one against the other, or too large. A foreign line may be accounted only: a rounding line."""
    entered, accounted = lines.side("entered"), lines.side("accounted")
    wrong: Bools = (entered > 1) | (accounted > 1) | (entered + accounted == 0)
    crossed = (entered == 1) & (accounted == 1) & (lines.has("entered_dr") != lines.has("accounted_dr"))
    wrong |= crossed & ~_is_base(lines, books)
    for name in AMOUNTS:
        wrong |= np.asarray(pc.greater_equal(pc.abs(lines.amount(name)), pa.scalar(_TOO_LARGE, _MONEY)))
    return wrong


Rule = Callable[[Lines, Books], Bools]
# Code, the columns its message shows, and the rule that marks the lines.
RULES: Final[tuple[tuple[str, tuple[str, ...], Rule], ...]] = (
    ("EM03", ("segment1", "ledger_id"), bad_ledger),
    ("EM04", ("actual_flag",), bad_flag),
    ("EF04", ("segment1", "segment3"), bad_account),
    ("EP01", ("segment1", "accounting_date"), closed_period),
    ("EP02", ("segment1",), no_open_period),
    ("EC08", ("currency_code",), bad_currency),
    ("EC01", ("currency_code",), rate_missing),
    ("EC02", ("currency_code",), date_missing),
    ("EC03", ("currency_code",), nothing_to_convert_with),
    ("EC06", ("currency_code", "user_currency_conversion_type"), no_daily_rate),
    ("EC11", ("user_currency_conversion_type",), bad_conversion_type),
    ("EC12", AMOUNTS, accounted_differs),
    ("EC13", AMOUNTS, bad_amount),
)


@dataclass(frozen=True)
class Derived:
    """Accounted amounts that the ERP works out itself: the line, its side (dr or cr) and the amount."""

    lines: list[int]
    sides: list[str]
    amounts: list[Decimal]


def convert(lines: Lines, books: Books, refused: Bools) -> Derived:
    """Accounted = entered times the User rate, rounded half up to the base currency, for lines that give none."""
    out = Derived([], [], [])
    for line in np.flatnonzero(_must_convert(lines, books) & ~refused).tolist():
        side = "dr" if lines.columns["entered_dr"][line].is_valid else "cr"
        decimals = books.currencies[books.companies[lines.value("segment1", line)].currency]
        with localcontext(prec=80):
            rate = Decimal(lines.value("currency_conversion_rate", line))
            entered = lines.columns[f"entered_{side}"][line].as_py()
            amount = (entered * rate).quantize(Decimal(1).scaleb(-decimals), ROUND_HALF_UP)
        out.lines.append(line)
        out.sides.append(side)
        out.amounts.append(amount)
    return out


def _usable(rate: str) -> bool:
    return rate != "" and Decimal(rate) > 0


def judge(lines: Lines, books: Books) -> tuple[dict[int, dict[str, str]], Derived]:
    """Per refused journal its codes with a text each, and the accounted amounts worked out for the others."""
    faults: dict[int, dict[str, str]] = {}
    bad = np.zeros(len(lines), dtype=bool)
    for code, shown, rule in RULES:
        marked = rule(lines, books)
        bad |= marked
        for journal, line in _first_marked(lines, marked):
            faults.setdefault(journal, {})[code] = f"{TEXTS[code]} {_place(lines, line, shown)}"
    for name in SPLITS:
        codes = lines.coded[name][0]
        for journal, _ in _first_marked(lines, codes != codes[lines.first][lines.journal]):
            faults.setdefault(journal, {})["EU02"] = f"{TEXTS['EU02']} Its lines differ in {name.upper()}."
    derived = convert(lines, books, bad)
    for journal, text in _unbalanced(lines, books, derived, bad).items():
        faults.setdefault(journal, {}).setdefault("EU02", f"{TEXTS['EU02']} {text}")
    return faults, derived


def _first_marked(lines: Lines, marked: Bools) -> list[tuple[int, int]]:
    where = np.flatnonzero(marked)
    journals, at = np.unique(lines.journal[where], return_index=True)
    return list(zip(journals.tolist(), where[at].tolist(), strict=True))


def _place(lines: Lines, line: int, shown: Sequence[str]) -> str:
    cells = [lines.columns[name][line].as_py() for name in shown]
    given = [f"{name.upper()} {cell}" for name, cell in zip(shown, cells, strict=True) if cell not in (None, "")]
    return f"Line {lines.number[line]}: {', '.join(given) or 'no value'}."


def _unbalanced(lines: Lines, books: Books, derived: Derived, bad: Bools) -> dict[int, str]:
    """Journals whose sides differ in entered amounts, or in accounted amounts where all of these are known."""
    sums = _sums(lines, books, derived)
    unknown = set(lines.journal[bad & (lines.side("accounted") == 0)].tolist())
    out = {}
    for kind in ("accounted", "entered"):
        debit, credit = sums[f"{kind}_dr_sum"], sums[f"{kind}_cr_sum"]
        for at in np.flatnonzero(np.asarray(pc.not_equal(debit, credit))).tolist():
            journal = sums["journal"][at].as_py()
            if kind == "entered" or journal not in unknown:
                out[journal] = f"{kind.capitalize()} debits {debit[at]}, credits {credit[at]}."
    return out


def _sums(lines: Lines, books: Books, derived: Derived) -> pa.Table:
    """Exact sums of the four amounts per journal; a base-currency line without accounted amount counts as entered."""
    columns = {"journal": pa.array(lines.journal), **{name: lines.amount(name) for name in AMOUNTS}}
    as_entered = pa.array(_is_base(lines, books) & (lines.side("accounted") == 0))
    for side in ("dr", "cr"):
        accounted = pc.if_else(as_entered, columns[f"entered_{side}"], columns[f"accounted_{side}"])
        own = [at for at, derived_side in enumerate(derived.sides) if derived_side == side]
        if own:
            mask = np.zeros(len(lines), dtype=bool)
            mask[[derived.lines[at] for at in own]] = True
            worked_out = pa.array([derived.amounts[at] for at in own], type=_MONEY)
            accounted = pc.replace_with_mask(accounted.combine_chunks(), pa.array(mask), worked_out)
        columns[f"accounted_{side}"] = accounted
    return pa.table(columns).group_by("journal", use_threads=False).aggregate([(name, "sum") for name in AMOUNTS])
