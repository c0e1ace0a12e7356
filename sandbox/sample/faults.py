"""The kinds of faults a sample shows, and which reports show them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Fault:
    """What is wrong with one kind of faulty report, and the code of the error catalogue it must be given.

    `text` is what the cell of `column` becomes, on the last line or on `every` line; None: sandbox.sample.truth says.
    `company` is set where the fault needs it, or where a tax code would turn it into two faults. An `unread` fault
    leaves no readable amount in the lines it touches.
    """

    code: str
    field: str
    what: str
    column: str = ""
    text: str | None = None
    every: bool = False
    company: str = ""
    unread: bool = False


FAULTS: Final = (
    Fault("MONEY", "gross_minor", "thousands separator", "Amount", "1,234.50", unread=True),
    Fault("MONEY", "gross_minor", "exponent", "Amount", "1e3", unread=True),
    Fault("MONEY", "gross_minor", "full-width digits", "Amount", "１２３.４５", unread=True),
    Fault("MONEY", "tax_minor", "amount in brackets", "Tax", "(1.00)"),
    Fault("PRECISION", "gross_minor", "decimals in JPY", "Amount", "100.50", company="JP01", unread=True),
    Fault("PRECISION", "gross_minor", "three decimals in CNY", "Amount", "1.005", company="CN01", unread=True),
    Fault("CURRENCY", "document_currency", "no currency", "Currency", "XXX", every=True, unread=True),
    Fault("CURRENCY", "document_currency", "lower case", "Currency", "cny", every=True, company="CN01", unread=True),
    Fault("DATE", "transaction_date", "30 February", "Date", "2026-02-30"),
    Fault("DATE", "transaction_date", "day and month in doubt", "Date", "05/03/2026"),
    Fault("DATE_RANGE", "transaction_date", "year 219", "Date", "0219-03-15", company="US01"),
    Fault("DATE_ORDER", "transaction_date", "expense after its approval", "Date"),
    Fault("TAX", "tax_minor", "tax is 1.00 too high", "Tax", company="CN01"),
    Fault("SPLIT", "split_weight", "parts give 99 %", "Split", "33"),
    Fault("REPORT_TOTAL", "report_total_minor", "total is one minor unit too high", "Report Total", every=True),
    Fault("STATUS", "state", "not approved", "State", "submitted", every=True),
    Fault("SOD", "approver_id", "approved by the claimant", "Approver", every=True),
    Fault("MISSING", "employee_id", "no employee", "Employee", "", every=True),
    Fault("MISSING", "expense_type", "no expense type", "Expense Type", ""),
    Fault("CODE", "cost_center", "Cyrillic letter", "Cost Center", "СС100"),
    Fault("CODE", "expense_type", "Cyrillic letter", "Expense Type", "TАXI"),
    Fault("CONTROL_CHARACTER", "description", "BEL", "Description", "Taxi\a to the airport"),
    Fault("LINE_REPEATED", "line_no", "the last line stands twice"),
    Fault("MAPPING_GAP", "expense_type", "expense type without account", "Expense Type", "DRONE"),
    Fault("REFERENCE", "cost_center", "unknown cost center", "Cost Center", "9999"),
    Fault("COMPANY", "company", "company of nobody", "Company", "CN99", every=True, company="US01"),
    Fault("POLICY", "expense_type", "personal spending", "Expense Type", "PERSONAL"),
    Fault("REPORT_HEADER", "employee_id", "two employees", "Employee", "E9999"),
    Fault("APPROVAL", "gross_minor", "a line above 50,000.00", company="CN01"),
    Fault("RATE", "document_currency", "a currency without rates", every=True, company="CN01"),
    Fault("PERIOD_CLOSED", "approved_at", "approved in a closed period, delivered late", every=True, company="CN01"),
)
# The position of a fault; of the last one where several share the code.
KIND: Final = {fault.code: number for number, fault in enumerate(FAULTS)}
EVERY_FIRST: Final = 6  # of the first reports every 6th is faulty, until each kind was shown


def kinds(numbers: Ints, fault_pct: int) -> Ints:
    """The fault of each report, -1 for none: first each kind once, then as many as keep the share."""
    wide = len(FAULTS)
    if not fault_pct:
        return np.full(len(numbers), -1)
    early = numbers < wide * EVERY_FIRST
    due, before = (numbers + 1) * fault_pct // 100, numbers * fault_pct // 100
    kind = np.where(~early & (due > before) & (due > wide), due % wide, -1)
    return np.where(early & (numbers % EVERY_FIRST == EVERY_FIRST - 2), numbers // EVERY_FIRST, kind)
