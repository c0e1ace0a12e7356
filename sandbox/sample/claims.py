"""Made-up claims as numbers: reports, their lines and parts, amounts and tax. Every choice is a hash."""

from __future__ import annotations

import calendar
import datetime
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from sandbox.sample.faults import FAULTS, KIND, kinds

Ints = NDArray[np.int64]
MONTHS: Final = ("2026-01", "2026-02", "2026-03")

# --- the group: companies, currencies, what they spend on

COMPANIES: Final = ("CN01", "US01", "JP01", "KW01")
_COMPANY_SHARES: Final = (55, 20, 15, 10)
_UTC_OFFSET_HOURS: Final = np.array([8, -6, 9, 3])
# Currency, decimals, and its minor units per minor unit of CNY as a fraction. The first four are the books' own.
_CURRENCIES: Final = (
    ("CNY", 2, 1, 1), ("USD", 2, 1, 7), ("JPY", 0, 1, 5), ("KWD", 3, 3, 7), ("EUR", 2, 1, 8), ("HKD", 2, 11, 10),
    ("GBP", 2, 1, 9), ("CHF", 2, 1, 8), ("RMB", 2, 1, 1),
)  # fmt: skip
CURRENCIES: Final = tuple(name for name, *_ in _CURRENCIES)
DECIMALS: Final = np.array([decimals for _, decimals, _, _ in _CURRENCIES])
_USD, _JPY, _EUR, _HKD, _GBP, _CHF, _RMB = map(CURRENCIES.index, ("USD", "JPY", "EUR", "HKD", "GBP", "CHF", "RMB"))
_FOREIGN: Final = np.array([
    [_USD, _EUR, _JPY, _HKD], [_EUR, _GBP, 0, _JPY], [_USD, _EUR, 0, _HKD], [_USD, _EUR, _GBP, _JPY],
])  # fmt: skip
# Expense type, share of the lines, lowest and highest amount in CNY minor units, tax code in China and in Japan.
_TYPES: Final = (
    ("TAXI", 18, 1_200, 24_000, "V3", "J10"), ("TRAIN", 12, 5_000, 180_000, "V9", "J10"),
    ("AIR", 9, 60_000, 1_500_000, "V9", "J10"), ("HOTEL", 14, 30_000, 480_000, "V6", "J10"),
    ("MEAL", 20, 2_000, 90_000, "N6", "J8"), ("OFFICE", 8, 1_500, 300_000, "V13", "J10"),
    ("PHONE", 5, 5_000, 60_000, "V9", "J10"), ("TRAINING", 3, 50_000, 900_000, "V6", "J10N"),
    ("ENTERTAIN", 5, 20_000, 500_000, "N13", "J10"), ("FUEL", 4, 10_000, 90_000, "P13", "J10"),
    ("PARKING", 2, 500, 12_000, "Z0", "J10N"), ("ADV_ISSUE", 0, 200_000, 2_000_000, "", ""),
)  # fmt: skip
TYPES: Final = tuple(name for name, *_ in _TYPES)
_ADVANCE_ISSUE: Final = TYPES.index("ADV_ISSUE")
TAX_RATES: Final = {
    "": 0, "V13": 13, "V9": 9, "V6": 6, "V3": 3, "P13": 13, "N13": 13, "N6": 6, "Z0": 0, "J10": 10, "J8": 8, "J10N": 10,
}  # fmt: skip
TAX_CODES: Final = tuple(TAX_RATES)
_TAX_CODE: Final = np.array([
    [TAX_CODES.index(code) for code in codes]
    for codes in ([t[4] for t in _TYPES], [""] * len(_TYPES), [t[5] for t in _TYPES], [""] * len(_TYPES))
])  # fmt: skip
PAYERS: Final = ("EMPLOYEE", "CARD", "ADVANCE")
COST_CENTERS: Final = (
    ("0010", "0020", "0030", "0040", "0050", "0060", "0070", "0080", "0090", "0100", "CC100", "CC200"),
    ("0010", "0020", "0030", "0040", "1100", "1200", "1300", "CC100"),
    ("0010", "0020", "0100", "0110", "0120", "CC100"),
    ("0010", "0020", "0030", "0040"),
)
_SPLITS: Final = ((100,), (50, 50), (60, 40), (33, 33, 34), (70, 30), (25, 25, 50), (15, 85))
_THIRDS: Final = 3
# The company that a kind of fault needs; the last entry, -1, answers for reports without fault.
_FORCED: Final = np.array([COMPANIES.index(fault.company) if fault.company else -1 for fault in FAULTS] + [-1])

# --- dice


class Dice:
    """Choices that depend on the seed, a purpose and an index, and on nothing else."""

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def roll(self, purpose: str, index: Ints, sides: int) -> Ints:
        """A whole number 0..sides-1 for each index: splitmix64 of the index, salted with seed and purpose."""
        salt = int.from_bytes(hashlib.sha256(f"{self.seed}/{purpose}".encode()).digest()[:8], "big")
        x = index.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15) + np.uint64(salt)
        x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return (((x ^ (x >> np.uint64(31))) >> np.uint64(1)) % np.uint64(sides)).astype(np.int64)

    def pick(self, purpose: str, index: Ints, shares: Sequence[int]) -> Ints:
        """A position in `shares` for each index, as often as its share says."""
        edges = np.cumsum(shares)
        return np.searchsorted(edges, self.roll(purpose, index, int(edges[-1])), side="right").astype(np.int64)


# --- calendar: seconds are counted from the epoch

EPOCH: Final = datetime.date(2025, 1, 1)
DAY: Final = 86_400
_MONTH_START: Final = np.array([(datetime.date.fromisoformat(f"{m}-01") - EPOCH).days for m in MONTHS])
_MONTH_DAYS: Final = np.array([calendar.monthrange(int(m[:4]), int(m[5:]))[1] for m in MONTHS])
_CLOSED_START: Final = (datetime.date(2025, 12, 10) - EPOCH).days

# --- reports and rows

# What a report is: a claim, a cash advance paid out, an unused advance paid back, or refunds only.
CLAIM, ADVANCE, ADVANCE_RETURNED, REFUND = range(4)


@dataclass(frozen=True)
class Reports:
    """One report version each: `kind` is its fault (-1 = none), `form` one of CLAIM, ADVANCE, ..."""

    number: Ints
    version: Ints
    superseded: NDArray[np.bool_]
    kind: Ints
    company: Ints
    currency: Ints
    foreign: NDArray[np.bool_]
    form: Ints
    month: Ints
    submitted: Ints
    approved: Ints
    spent_until: Ints
    lines: Ints


@dataclass(frozen=True)
class Rows:
    """One part of one line each: `report` is the position in Reports, `key` numbers the line over all deliveries."""

    report: Ints
    line: Ints
    part: Ints
    weight: Ints
    key: Ints


@dataclass(frozen=True)
class Amounts:
    """Per row the whole line's expense type, amount, tax code and tax; per report its total."""

    expense_type: Ints
    gross: Ints
    tax_code: Ints
    tax: Ints
    total: Ints


@dataclass(frozen=True)
class Claims:
    """Some reports with their rows and amounts; rows of a report stand together, in order of line and part."""

    reports: Reports
    rows: Rows
    amounts: Amounts


def claims(dice: Dice, numbers: Ints, fault_pct: int) -> Claims:
    """The reports with these numbers; a number makes the same claim in every delivery of the same seed and share."""
    reports = _reports(dice, numbers, fault_pct)
    rows = _rows(dice, reports)
    return Claims(reports, rows, _amounts(dice, reports, rows))


def _reports(dice: Dice, numbers: Ints, fault_pct: int) -> Reports:
    kind = kinds(numbers, fault_pct)
    revised = (kind < 0) & (numbers % 60 == 30)
    numbers = np.repeat(numbers, 1 + revised)
    kind, revised = np.repeat(kind, 1 + revised), np.repeat(revised, 1 + revised)
    second = np.append(False, numbers[1:] == numbers[:-1])
    late = (kind < 0) & (numbers % 40 == 39)  # approved after midnight of the last day in Shanghai
    company = dice.pick("company", numbers, _COMPANY_SHARES)
    company = np.where(late, 0, np.where(_FORCED[kind] >= 0, _FORCED[kind], company))
    foreign = (kind < 0) & (dice.roll("foreign", numbers, 100) < 12)
    form = np.where((kind < 0) & ~revised, dice.pick("form", numbers, (965, 18, 6, 11)), CLAIM)
    foreign &= ~np.isin(form, (ADVANCE, ADVANCE_RETURNED))
    currency = np.where(foreign, _FOREIGN[company, dice.roll("currency", numbers, 4)], company)
    currency = np.where((currency == 0) & (company == 0) & (kind < 0) & (numbers % 50 == 20), _RMB, currency)
    currency = np.where(kind == KIND["RATE"], _CHF, currency)
    month = np.where(kind == KIND["PERIOD_CLOSED"], 0, dice.roll("month", numbers, len(MONTHS)))
    approved = _approved(dice, numbers, kind, company, month, late, revised)
    submitted = approved - 3_600 - dice.roll("waiting", numbers, 3 * DAY)
    lines = 1 + dice.pick("lines", numbers, (14, 24, 24, 18, 11, 6, 3))
    lines = np.where(np.isin(form, (ADVANCE, ADVANCE_RETURNED)), 1, np.where(kind >= 0, np.maximum(lines, 2), lines))
    moved = second * 2 * DAY  # the corrected version comes two days later
    return Reports(
        numbers, 1 + second, revised & ~second, kind, company, currency, foreign, form, month,
        submitted + moved, approved + moved, submitted // DAY, lines,
    )  # fmt: skip


def _approved(
    dice: Dice,
    numbers: Ints,
    kind: Ints,
    company: Ints,
    month: Ints,
    late: NDArray[np.bool_],
    revised: NDArray[np.bool_],
) -> Ints:
    """UTC seconds of the approval: mostly in local office hours, some at any hour."""
    office = (9 * 3_600 + dice.roll("second", numbers, 10 * 3_600) - _UTC_OFFSET_HOURS[company] * 3_600) % DAY
    any_hour = dice.roll("hour", numbers, 10) == 0
    second = np.where(any_hour, dice.roll("second", numbers, DAY), office)
    second = np.where(late, 16 * 3_600 + dice.roll("second", numbers, 8 * 3_600), second)
    day = dice.roll("day", numbers, 31) % np.where(revised, 20, _MONTH_DAYS[month])
    day = np.where(late, _MONTH_DAYS[month] - 1, day) + _MONTH_START[month]
    day = np.where(kind == KIND["PERIOD_CLOSED"], _CLOSED_START + dice.roll("day", numbers, 15), day)
    return day * DAY + second


def _rows(dice: Dice, reports: Reports) -> Rows:
    report = np.repeat(np.arange(len(reports.number)), reports.lines)
    line = np.arange(len(report)) - np.repeat(np.cumsum(reports.lines) - reports.lines, reports.lines)
    key = reports.number[report] * 8 + line
    split = np.where(dice.roll("split", key, 100) < 4, dice.roll("parts", key, len(_SPLITS)), 0)
    whole = (reports.kind[report] >= 0) | np.isin(reports.form[report], (ADVANCE, ADVANCE_RETURNED))
    split = np.where(whole, 0, split)
    last = line == reports.lines[report] - 1
    split = np.where(last & (reports.kind[report] == KIND["SPLIT"]), _THIRDS, split)
    parts = np.array([len(weights) for weights in _SPLITS])[split]
    row = np.repeat(np.arange(len(report)), parts)
    part = np.arange(len(row)) - np.repeat(np.cumsum(parts) - parts, parts)
    table = np.array([[*weights, 0, 0][:3] for weights in _SPLITS])
    return Rows(report[row], line[row] + 1, part + 1, table[split[row], part], key[row])


def _amounts(dice: Dice, reports: Reports, rows: Rows) -> Amounts:
    at, kind, form = rows.report, reports.kind[rows.report], reports.form[rows.report]
    expense_type = dice.pick("type", rows.key, [share for _, share, *_ in _TYPES])
    expense_type = np.where(np.isin(form, (ADVANCE, ADVANCE_RETURNED)), _ADVANCE_ISSUE, expense_type)
    low, high = np.array([t[2] for t in _TYPES])[expense_type], np.array([t[3] for t in _TYPES])[expense_type]
    version = np.where(rows.line == 1, reports.version[at], 1)  # a corrected version has another first line
    dice_key = rows.key * 2 + version - 1
    spread = dice.roll("amount", dice_key, 1 << 16) * dice.roll("amount again", dice_key, 1 << 16)
    gross = low + ((high - low) * spread >> 32)
    last = rows.line == reports.lines[at]
    large = last & (kind == KIND["APPROVAL"])
    gross = np.where(large, 8_000_000 + dice.roll("large", rows.key, 1_000_000), gross)
    times, by = (np.array([c[n] for c in _CURRENCIES])[reports.currency[at]] for n in (2, 3))
    gross = gross * times // by
    refund = (kind < 0) & (form == CLAIM) & (reports.lines[at] > 1) & (dice.roll("refund", rows.key, 100) < 3)
    gross = np.where(refund | (form == ADVANCE_RETURNED) | (form == REFUND), -gross, gross)
    tax_code = np.where(reports.foreign[at], 0, _TAX_CODE[reports.company[at], expense_type])
    percent = np.array(list(TAX_RATES.values()))[tax_code]
    # Tax is included: amount less the net amount, which is rounded half up.
    net = np.sign(gross) * ((2 * 100 * np.abs(gross) + 100 + percent) // (2 * (100 + percent)))
    starts = np.searchsorted(at, np.arange(len(reports.number)))
    total = np.add.reduceat(np.where(rows.part == 1, gross, 0), starts)
    return Amounts(expense_type, gross, tax_code, gross - net, total)
