"""Posting into Tryton, each journal once: its key and content stand in a table of Tryton's own database.

The key is claimed, the move made and posted, and its id written beside the key in one transaction. So what a killed
import left behind is whole or nothing, and a second import of the same journal finds it posted.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

from trytond.exceptions import UserError, UserWarning
from trytond.transaction import Transaction

from sandbox.tryton.database import Books
from sandbox.tryton.entries import Journal, Line, Refused, journal_of

JOURNALS_PER_TRANSACTION: Final = 50
JOURNAL: Final = "EXP"
REGISTRY: Final = """
CREATE TABLE claimpost_journal (
    journal_ref TEXT PRIMARY KEY, digest TEXT NOT NULL, batch TEXT NOT NULL,
    move INTEGER UNIQUE REFERENCES account_move)"""
_POSTED: Final = """
SELECT r.journal_ref, r.batch, m.id, m.number, p.name, c.code, m.date, a.code, l.debit, l.credit,
       l.amount_second_currency, coalesce(s.code, b.code), s.code IS NOT NULL
FROM claimpost_journal r JOIN account_move m ON m.id = r.move JOIN account_period p ON p.id = m.period
     JOIN company_company o ON o.id = m.company JOIN party_party c ON c.id = o.party
     JOIN currency_currency b ON b.id = o.currency JOIN account_move_line l ON l.move = m.id
     JOIN account_account a ON a.id = l.account LEFT JOIN currency_currency s ON s.id = l.second_currency
WHERE m.state = 'posted' AND r.journal_ref = ? ORDER BY l.id"""
Rows = Mapping[str, list[Mapping[str, str]]]


@dataclass(frozen=True)
class PostedLine:
    """A line as it stands in Tryton's ledger, amounts in the currency of its entry."""

    company: str
    posting_date: str
    currency: str
    account: str
    debit: str
    credit: str


@dataclass(frozen=True)
class Answer:
    """What became of a journal: posted with its number and lines, or refused with a code and a reason.

    `first`: the batch it was posted with; another batch with the same journal only hears that it is there.
    """

    key: str
    new: bool = False
    move: int = 0
    period: str = ""
    number: str = ""
    first: str = ""
    lines: tuple[PostedLine, ...] = ()
    code: str = ""
    reason: str = ""


def create_registry(cursor: Any) -> None:
    """The table of journals posted by this importer, in Tryton's database."""
    cursor.execute(REGISTRY)


def post(books: Books, batch: str, journals: Rows) -> Iterator[list[Answer]]:
    """Post the journals of a batch, some at a time; yields their answers once they are committed."""
    keys = list(journals)
    for start in range(0, len(keys), JOURNALS_PER_TRANSACTION):
        answers: dict[str, Answer] = {}
        readable: list[Journal] = []
        for key in keys[start : start + JOURNALS_PER_TRANSACTION]:
            try:
                readable.append(journal_of(key, journals[key]))
            except Refused as refused:
                answers[key] = Answer(key, code=refused.code, reason=refused.reason)
        answers |= _post_some(books, batch, readable)
        yield [answers[key] for key in keys[start : start + JOURNALS_PER_TRANSACTION]]


def _post_some(books: Books, batch: str, journals: list[Journal]) -> dict[str, Answer]:
    """All in one transaction; when one is refused, which rolls all of them back, each in its own."""
    try:
        return books.work(lambda cursor: _post(books, cursor, batch, journals))
    except Refused as refused:
        if len(journals) == 1:
            return {journals[0].key: Answer(journals[0].key, code=refused.code, reason=refused.reason)}
    return {key: answer for one in journals for key, answer in _post_some(books, batch, [one]).items()}


def _post(books: Books, cursor: Any, batch: str, journals: list[Journal]) -> dict[str, Answer]:
    new = [journal for journal in journals if _claim(cursor, batch, journal)]
    for company in sorted({journal.company for journal in new}):
        _enter(books, cursor, company, [journal for journal in new if journal.company == company])
    fresh = {journal.key for journal in new}
    return {journal.key: _read_back(cursor, journal.key, journal.key in fresh) for journal in journals}


def _claim(cursor: Any, batch: str, journal: Journal) -> bool:
    """Whether the journal is new; raises Refused CONTENT_CHANGED when other content is posted under its key.

    The insert comes before every look: it takes the lock that makes a second importer wait here.
    """
    row = [journal.key, journal.digest(), batch]
    cursor.execute(
        "INSERT INTO claimpost_journal (journal_ref, digest, batch) VALUES (?, ?, ?) ON CONFLICT DO NOTHING", row
    )
    if cursor.rowcount == 1:
        return True
    cursor.execute("SELECT digest FROM claimpost_journal WHERE journal_ref = ?", [journal.key])
    if cursor.fetchone()[0] != journal.digest():
        raise Refused("CONTENT_CHANGED", f"{journal.key} is posted with other content")
    return False


def _enter(books: Books, cursor: Any, code: str, journals: list[Journal]) -> None:
    """Make and post the moves of one company; what Tryton says against it becomes the reason."""
    company = _one(books, "company.company", [("party.code", "=", code)], "UNKNOWN_COMPANY", code)
    with Transaction().set_context(company=company.id):
        values = [_move(books, company, journal) for journal in journals]
        closed = {name for value in values for name in [value.pop("closed")] if name}
        try:
            moves = books.get("account.move").create(values)
            books.get("account.move").post(moves)
        except (UserError, UserWarning) as said:
            raise Refused("CLOSED_PERIOD" if closed else "ERP_REFUSED", said.message) from said
    for journal, move in zip(journals, moves, strict=True):
        cursor.execute("UPDATE claimpost_journal SET move = ? WHERE journal_ref = ?", [move.id, journal.key])


def _move(books: Books, company: Any, journal: Journal) -> dict[str, Any]:
    day = journal.posting_date
    within = [("start_date", "<=", day), ("end_date", ">=", day), ("type", "=", "standard")]
    period = _one(books, "account.period", [("company", "=", company.id), *within], "NO_PERIOD", day.isoformat())
    kind = _one(books, "account.journal", [("code", "=", JOURNAL)], "UNKNOWN_JOURNAL", JOURNAL)
    currency = _one(books, "currency.currency", [("code", "=", journal.currency)], "UNKNOWN_CURRENCY", journal.currency)
    return {
        "company": company.id, "period": period.id, "journal": kind.id, "date": day,
        "description": f"{journal.key} {journal.description}", "closed": "" if period.state == "open" else period.name,
        "lines": [("create", [_line(books, company, currency, line) for line in journal.lines])],
    }  # fmt: skip


def _line(books: Books, company: Any, currency: Any, line: Line) -> dict[str, Any]:
    """Tryton takes a party only where the account asks for one; elsewhere it stands in the text, as dimensions do."""
    where = [("company", "=", company.id), ("code", "=", line.account)]
    account = _one(books, "account.account", where, "UNKNOWN_ACCOUNT", line.account)
    takes = account.party_required
    dimensions = " ".join(filter(None, [line.cost_center, line.project, "" if takes else line.party]))
    values = {
        "account": account.id, "debit": line.base_debit, "credit": line.base_credit,
        "description": f"{line.text} [{dimensions}]" if dimensions else line.text,
    }  # fmt: skip
    if takes and line.party:
        values["party"] = _one(books, "party.party", [("code", "=", line.party)], "UNKNOWN_PARTY", line.party).id
    entered = line.debit - line.credit
    if currency != company.currency and entered:
        values |= {"second_currency": currency.id, "amount_second_currency": entered}
    elif (line.debit, line.credit) != (line.base_debit, line.base_credit) and currency == company.currency:
        raise Refused("BAD_AMOUNT", f"line {line.line_no}: entered and base amount differ in {currency.code}")
    return values


def _one(books: Books, model: str, where: list[Any], code: str, value: str) -> Any:
    """The one thing of Tryton's that fits; raises Refused with the code when there is none."""
    found = books.get(model).search(where, limit=1)
    if not found:
        raise Refused(code, f"{value!r} is not in Tryton ({model})")
    return found[0]


def _read_back(cursor: Any, key: str, new: bool) -> Answer:
    """A posted journal as Tryton's own tables hold it."""
    cursor.execute(_POSTED, [key])
    rows = cursor.fetchall()
    assert rows, f"{key} is registered and not posted"
    _, first, move, number, period = rows[0][:5]
    return Answer(key, new, move, period, number, first, tuple(_posted_line(row[5:]) for row in rows))


def _posted_line(row: Sequence[Any]) -> PostedLine:
    company, day, account, debit, credit, entered, currency, foreign = row
    if foreign:
        on_debit = bool(debit) or (not credit and entered >= 0)
        debit, credit = (entered, Decimal(0)) if on_debit else (Decimal(0), -entered)
    return PostedLine(company, str(day), currency, account, f"{debit:f}", f"{credit:f}")
