"""Claims and cash advances as a person would tell them, and the journal entries that Concur makes of them.

Sources: SAP Concur, Standard Accounting Extract v3 and the use cases of the Financial Integration Service. Amounts are
decimal text. What pays: CASH (the employee), IBCP and CBCP (cards that the company pays), COPD (paid by the company).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

COMPANY, EMPLOYEE, TAX_AUTHORITY = "Company", "Employee", "Tax Authority"
PAYMENT_NAMES: Final = {
    "CASH": "Cash",
    "IBCP": "Corporate Card",
    "CBCP": "Company Billed Card",
    "COPD": "Company Paid",
}
ISSUE, APPLICATION = "1", "2"


@dataclass(frozen=True)
class Tax:
    """A tax line of its own: its amount, the account column (which may hold the tax code), and the tax code."""

    amount: str
    account: str
    code: str


@dataclass(frozen=True)
class Share:
    """One allocation of an entry: its amount net of tax, its percentage as shown, and its cost center."""

    amount: str
    percentage: str
    cost_center: str


@dataclass(frozen=True)
class Entry:
    """One expense: gross amount, type and account, what paid it, and what else Concur does with it.

    advance: key, account and amount of the cash advance that covers (part of) it. to_card: the part of an out-of-pocket
    expense that is paid to the card in place of the employee, for personal spending on it.
    """

    amount: str
    expense_type: str
    account: str
    paid_by: str = "CASH"
    date: str = "2026-02-20"
    vendor: str = ""
    description: str = ""
    taxes: tuple[Tax, ...] = ()
    shares: tuple[Share, ...] = ()
    advance: tuple[str, str, str] | None = None
    to_card: tuple[str, str] | None = None
    personal: bool = False


@dataclass(frozen=True)
class Claim:
    """An approved report of one employee."""

    report_id: str
    employee: str
    entries: tuple[Entry, ...]
    company: str = "ACME-US"
    currency: str = "USD"
    name: str = "Trip"
    submitted: str = "2026-02-25"
    processed: str = "2026-03-02"
    returned: tuple[str, str, str] | None = None  # key, account and amount of an advance's unused rest


@dataclass(frozen=True)
class Advance:
    """A cash advance paid out: it has no report."""

    key: str
    employee: str
    amount: str
    account: str
    company: str = "ACME-US"
    currency: str = "USD"
    issued: str = "2026-02-10"


Cells = dict[int, str]  # column, counted from 1 -> text


def money(amount: Decimal) -> str:
    """An amount as the extract writes it: sign and four decimals."""
    return f"{amount:+.4f}"


def advance_row(advance: Advance) -> Cells:
    """The one row of a cash advance: no report, no entry, no payment type; its currency stands in its own columns."""
    return {
        **_person(advance.employee, advance.company),
        **_journal(COMPANY, EMPLOYEE, advance.account, Decimal(advance.amount)),
        **_advance(advance.key, ISSUE, advance.amount, advance.currency),
        183: advance.issued,
    }


def claim_rows(claim: Claim, report_key: int) -> Iterator[Cells]:
    """The rows of a report, entry by entry."""
    total = sum((Decimal(entry.amount) for entry in claim.entries), Decimal())
    head = {
        **_person(claim.employee, claim.company),
        19: claim.report_id, 20: str(report_key), 21: "DEFAULT", 22: claim.currency, 24: claim.submitted,
        25: claim.submitted, 26: claim.processed, 27: claim.name, 28: "Y", 29: "N", 30: "N", 31: f"{total:.4f}",
        32: f"{total:.4f}", 33: "Expense Policy",
    }  # fmt: skip
    for number, entry in enumerate(claim.entries, 1):
        shared = head | _entry(entry, claim.currency, report_key * 1000 + number)
        yield from (shared | cells for cells in _entry_rows(entry, claim.currency))
    if claim.returned is not None:
        key, account, amount = claim.returned
        rest = Entry(amount, "Cash Advance Return", account, date=claim.submitted)
        shared = head | _entry(rest, claim.currency, report_key * 1000 + len(claim.entries) + 1)
        yield shared | _applied(key, account, amount, claim.currency)


def _entry_rows(entry: Entry, currency: str) -> Iterator[Cells]:
    """The journal entries of one expense: the expense by shares, its taxes, what an advance or the employee covers."""
    if entry.personal:
        yield from _personal_rows(entry)
        return
    taxes = sum((Decimal(tax.amount) for tax in entry.taxes), Decimal())
    net = Decimal(entry.amount) - taxes
    for share in entry.shares or (Share(str(net), "100", ""),):
        yield from (
            {**cells, 190: f"{Decimal(share.percentage):.4f}", 191: share.cost_center}
            for cells in _paid(entry, Decimal(share.amount))
        )
    for tax in entry.taxes:  # marked CR with a positive amount, as in Concur's own example
        journal = _journal(TAX_AUTHORITY, COMPANY, tax.account, Decimal(tax.amount))
        yield {**journal, 168: "CR", 225: tax.code, 232: tax.code}
    if entry.advance is not None:
        yield _applied(*entry.advance, currency)


def _paid(entry: Entry, amount: Decimal) -> Iterator[Cells]:
    """Who is owed the amount, or owes it when it is a credit."""
    payee = EMPLOYEE if entry.paid_by == "CASH" else PAYMENT_NAMES[entry.paid_by]
    if entry.to_card is not None:
        card, part = entry.to_card
        yield _journal(COMPANY, PAYMENT_NAMES[card], entry.account, Decimal(part))
        amount -= Decimal(part)
    yield (
        _journal(COMPANY, payee, entry.account, amount)
        if amount > 0
        else _journal(payee, COMPANY, entry.account, amount)
    )


def _personal_rows(entry: Entry) -> Iterator[Cells]:
    """Personal spending on a card that the company pays: into the clearing account and out of it again.

    On a card that the employee answers for it is left out of the journal.
    """
    if entry.paid_by in ("CBCP", "COPD"):
        amount = Decimal(entry.amount)
        yield _journal(COMPANY, PAYMENT_NAMES[entry.paid_by], entry.account, amount)
        yield _journal(EMPLOYEE, COMPANY, entry.account, -amount)


def _applied(key: str, account: str, amount: str, currency: str) -> Cells:
    journal = _journal(EMPLOYEE, COMPANY, account, -Decimal(amount))
    return {**journal, **_advance(key, APPLICATION, amount, currency)}


def _person(employee: str, company: str) -> Cells:
    return {5: employee, 6: "Doe", 7: "Sam", 9: company, 10: "IT"}


def _entry(entry: Entry, currency: str, entry_id: int) -> Cells:
    amount = f"{Decimal(entry.amount):.4f}"
    return {
        61: str(entry_id), 62: "REG", 63: entry.expense_type, 64: entry.date, 65: currency, 66: "1.0000", 67: "M",
        68: "Y" if entry.personal else "N", 69: entry.description, 70: entry.vendor, 73: "R", 123: amount,
        124: amount, 125: amount, 126: entry.paid_by, 127: PAYMENT_NAMES[entry.paid_by], 160: "HOME",
    }  # fmt: skip


def _journal(payer: str, payee: str, account: str, amount: Decimal) -> Cells:
    return {163: payer, 165: payee, 167: account, 168: "DR" if amount > 0 else "CR", 169: money(amount)}


def _advance(key: str, kind: str, amount: str, currency: str) -> Cells:
    shown = f"{Decimal(amount):.4f}"
    return {177: shown, 178: currency, 180: "1.0000", 181: currency, 184: "Cash", 185: kind, 187: key}
