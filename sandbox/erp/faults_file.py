"""What the switches do to the drop folder: to the journals of a file, and to what was just posted from it."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal

from sandbox.erp import faults as f
from sandbox.erp.books import Books
from sandbox.erp.entries import Journal, Leg, Said
from sandbox.erp.faults import Faults


def before(journals: Sequence[Journal], books: Books, faults: Faults) -> list[Journal]:
    """The journals with the struck ones changed."""
    changed = dict(enumerate(journals))
    for name, change in ((f.RE_DATING, _redated), (f.SILENT_ROUNDING, _rounded)):
        if name in faults:
            other = {at: new for at, one in changed.items() if (new := change(one, books))}
            key = faults.strike(one.key for one in other.values())
            changed |= {at: one for at, one in other.items() if one.key == key}
    return list(changed.values())


def _redated(journal: Journal, books: Books) -> Journal | None:
    company = books.companies.get(journal.facts.get("company", ""))
    day = f.later_day(company, journal.day) if company else ""
    return replace(journal, day=day, facts={**journal.facts, "period": day[:7]}) if day else None


def _rounded(journal: Journal, books: Books) -> Journal | None:
    """None when rounding changes nothing, or the file has a currency that this ERP does not know."""
    if any(leg.currency not in books.currencies for leg in journal.legs):
        return None
    legs = list(journal.legs)
    for currency in sorted({leg.currency for leg in legs if not leg.total}):
        own = [at for at, leg in enumerate(legs) if leg.currency == currency and not leg.total]
        amounts = f.rounded([Decimal(legs[at].amount) for at in own], books.currencies[currency])
        for at, amount in zip(own, amounts, strict=True):
            legs[at] = _with(legs[at], amount)
    return replace(journal, legs=legs) if legs != journal.legs else None


def _with(leg: Leg, amount: Decimal) -> Leg:
    return leg if Decimal(leg.amount) == amount else replace(leg, amount=f"{amount:f}")


def after(ledger: sqlite3.Connection, answers: Sequence[Said], faults: Faults) -> list[Said]:
    """The answers as the switches would have them; the ledger is changed to match."""
    if not faults.any_of(f.WITHOUT_EFFECT, f.DRAFTS, f.LYING, f.ERROR_INSIDE, f.DUPLICATE):
        return list(answers)
    key = faults.strike(said.journal_key for said in answers if said.level == "posted")
    return [_bent(ledger, said, faults) if key and said.journal_key == key else said for said in answers]


def _bent(ledger: sqlite3.Connection, said: Said, faults: Faults) -> Said:
    document = said.erp_document
    if f.DUPLICATE in faults:
        _post_again(ledger, document)
    if faults.any_of(f.WITHOUT_EFFECT, f.ERROR_INSIDE):
        ledger.execute("DELETE FROM line WHERE erp_document = ?", [document])
        ledger.execute("DELETE FROM journal WHERE erp_document = ?", [document])
    if f.ERROR_INSIDE in faults:
        return said._replace(erp_document="", code=f.INSIDE_CODE, message=f.INSIDE_TEXT)
    if f.DRAFTS in faults:
        ledger.execute("INSERT INTO draft VALUES (?)", [document])
        return Said(said.journal_key, "rejected", "", f.DRAFT_CODE, f.DRAFT_TEXT)
    if f.LYING in faults:
        return Said(said.journal_key, "rejected", "", f.REFUSED_CODE, f.REFUSED_TEXT)
    return said


def _post_again(ledger: sqlite3.Connection, document: str) -> None:
    """The same journal once more, under the next number."""
    found = "SELECT batch_id, journal_key, company, posting_date, period FROM journal WHERE erp_document = ?"
    batch_id, key, company, day, period = ledger.execute(found, [document]).fetchone()
    own = [company, period]
    ledger.execute("UPDATE number SET last = last + 1 WHERE company = ? AND period = ?", own)
    last = ledger.execute("SELECT last FROM number WHERE company = ? AND period = ?", own).fetchone()[0]
    again = f"{company}-{period}-{last:06d}"
    ledger.execute("INSERT INTO journal VALUES (?, ?, ?, ?, ?, ?)", [again, batch_id, key, company, day, period])
    ledger.execute(
        "INSERT INTO line SELECT ?, line_no, currency, account, debit, credit, base_debit, base_credit FROM line "
        "WHERE erp_document = ?",
        [again, document],
    )


def reset(ledger: sqlite3.Connection, faults: Faults) -> list[str]:
    """Set back to draft the first posted journal of each file; returns the batches that this touches."""
    if f.THEN_DRAFT not in faults:
        return []
    firsts = ledger.execute(
        "SELECT batch_id, min(journal_key) FROM journal WHERE erp_document NOT IN (SELECT erp_document FROM draft) "
        "GROUP BY batch_id ORDER BY batch_id"
    ).fetchall()
    for batch_id, key in firsts:
        faults.strike([key])
        ledger.execute(
            "INSERT INTO draft SELECT erp_document FROM journal WHERE batch_id = ? AND journal_key = ?", [batch_id, key]
        )
    return [batch_id for batch_id, _ in firsts]
