"""Claims as the cells of the file: one text column each, ready to be joined by commas."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from sandbox.sample.claims import (
    ADVANCE,
    ADVANCE_RETURNED,
    COMPANIES,
    COST_CENTERS,
    CURRENCIES,
    DAY,
    DECIMALS,
    EPOCH,
    PAYERS,
    TAX_CODES,
    TYPES,
    Amounts,
    Claims,
    Dice,
    Reports,
    Rows,
)
from sandbox.sample.texts import DESCRIPTIONS, MERCHANTS, SPECIAL

Ints = NDArray[np.int64]

HEADER: Final = (
    "Company", "Report ID", "Version", "Employee", "State", "Submitted", "Approved", "Approver", "Line", "Part",
    "Split", "Expense Type", "Date", "Description", "Merchant", "Cost Center", "Project", "Paid By", "Advance",
    "Currency", "Amount", "Tax Code", "Tax", "Report Total", "Invoice",
)  # fmt: skip
DATES: Final = pa.array([(EPOCH + datetime.timedelta(days=n)).isoformat() for n in range(3 * 365)])
_CLOCK: Final = pa.array([f"T{s // 3600:02d}:{s // 60 % 60:02d}:{s % 60:02d}Z" for s in range(DAY)])


def cell(text: str) -> str:
    """A text as a CSV field, in quotes only where it must be."""
    return '"' + text.replace('"', '""') + '"' if any(c in text for c in ',"\n\r') else text


def _texts(values: Sequence[str], codes: Ints) -> pa.Array:
    return pa.array([cell(value) for value in values], type=pa.string()).take(pa.array(codes))


def _number(values: Ints, before: str = "", width: int = 0) -> pa.Array:
    digits = pc.cast(pa.array(values), pa.string())
    digits = pc.utf8_lpad(digits, width, "0") if width else digits
    return pc.binary_join_element_wise(before, digits, "") if before else digits


_FRACTIONS: Final = pa.array(["", *(f".{n:02d}" for n in range(100)), *(f".{n:03d}" for n in range(1000))])
_FRACTION_START: Final = np.array([0, 0, 1, 101])


def money(minor: Ints, decimals: Ints) -> pa.Array:
    """Amounts as decimal text with all decimals of the currency."""
    whole, rest = np.divmod(np.abs(minor), 10**decimals)
    sign = pa.array(["", "-"]).take(pa.array((minor < 0).astype(np.int64)))
    fraction = _FRACTIONS.take(pa.array(_FRACTION_START[decimals] + rest))
    return pc.binary_join_element_wise(sign, _number(whole), fraction, "")


def _where(mask: NDArray[np.bool_], text: pa.Array) -> pa.Array:
    """The text where the mask holds, else nothing."""
    return pc.if_else(pa.array(mask), text, "")


def make_columns(dice: Dice, claims: Claims) -> dict[str, pa.Array]:
    """The cells of every column, as they stand in the file, before the faults."""
    reports, rows, amounts = claims.reports, claims.rows, claims.amounts
    at = pa.array(rows.report)
    company = reports.company[rows.report]
    decimals = DECIMALS[reports.currency[rows.report]]
    employee = 1_001 + reports.company * 1_000 + dice.roll("employee", reports.number, 900)
    values = (
        _texts(COMPANIES, company),
        _number(reports.number + 1, f"R{dice.seed}-", 7).take(at),
        _number(reports.version).take(at),
        _number(employee, "E").take(at),
        _texts(["approved"], company * 0),
        _times(reports.submitted).take(at),
        _times(reports.approved).take(at),
        _number(101 + reports.company * 100 + dice.roll("approver", reports.number, 60), "M").take(at),
        _number(rows.line),
        _number(rows.part),
        _number(rows.weight),
        _texts(TYPES, amounts.expense_type),
        _dates(reports.spent_until[rows.report] - 1 - dice.roll("days ago", rows.key, 40)),
        _description(dice, reports, rows, amounts),
        _merchant(dice, company, amounts.expense_type, rows.key),
        _cost_center(dice, company, rows),
        _where(dice.roll("has project", rows.key, 10) < 4, _number(dice.roll("project", rows.key, 60), "P", 3)),
        *_payment(dice, reports, rows),
        _texts(CURRENCIES, reports.currency[rows.report]),
        money(amounts.gross, decimals),
        _texts(TAX_CODES, amounts.tax_code),
        money(amounts.tax, decimals),
        money(amounts.total, DECIMALS[reports.currency]).take(at),
        _invoice(dice, company, rows.key),
    )
    return dict(zip(HEADER, values, strict=True))


def _merchant(dice: Dice, company: Ints, expense_type: Ints, key: Ints) -> pa.Array:
    flat = [name for own in MERCHANTS for names in own for name in names]
    return _texts(flat, (company * len(TYPES) + expense_type) * 2 + dice.roll("merchant", key, 2))


def _cost_center(dice: Dice, company: Ints, rows: Rows) -> pa.Array:
    """One of the company's own; the parts of a split line go to different ones."""
    sizes = np.array([len(own) for own in COST_CENTERS])
    code = (dice.roll("cost center", rows.key, 1 << 30) + rows.part - 1) % sizes[company]
    return _texts([center for own in COST_CENTERS for center in own], (np.cumsum(sizes) - sizes)[company] + code)


def _description(dice: Dice, reports: Reports, rows: Rows, amounts: Amounts) -> pa.Array:
    """A text in the company's language and of the expense type; here and there one that tools stumble over."""
    language = np.array([0, 1, 2, 1])[reports.company[rows.report]]
    choice = dice.roll("description", rows.key, 3)
    flat = [text for types in DESCRIPTIONS for name in TYPES for text in types[name]]
    code = (language * len(TYPES) + amounts.expense_type) * 3 + choice
    number = reports.number[rows.report]
    special = (rows.line == 1) & (number % 19 == 5)
    return _texts([*flat, *SPECIAL], np.where(special, len(flat) + number // 19 % len(SPECIAL), code))


def _payment(dice: Dice, reports: Reports, rows: Rows) -> tuple[pa.Array, pa.Array]:
    """Paid By and Advance; an advance applied or issued names it."""
    form = reports.form[rows.report]
    issued = np.isin(form, (ADVANCE, ADVANCE_RETURNED))
    payer = np.where(issued, 0, dice.pick("payer", rows.key, (65, 28, 7)))
    advance = _number(dice.roll("advance", reports.number, 900_000) + 100_000, "ADV").take(pa.array(rows.report))
    return _texts(PAYERS, payer), _where(issued | (payer == PAYERS.index("ADVANCE")), advance)


def _invoice(dice: Dice, company: Ints, key: Ints) -> pa.Array:
    """Twenty digits in China, INV- and nine digits elsewhere; a few lines have none."""
    chinese = _number(dice.roll("invoice", key, 10**16), "2631", 16)
    other = _number(dice.roll("invoice", key, 10**9), "INV-", 9)
    return _where(dice.roll("no invoice", key, 100) >= 4, pc.if_else(pa.array(company == 0), chinese, other))


def _dates(days: Ints) -> pa.Array:
    return DATES.take(pa.array(days))


def _times(seconds: Ints) -> pa.Array:
    return pc.binary_join_element_wise(_dates(seconds // DAY), _CLOCK.take(pa.array(seconds % DAY)), "")
