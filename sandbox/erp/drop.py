"""The drop folder: takes finished files, posts them into a ledger of its own and answers in the form of the vendor.

Order of the steps, so that a kill anywhere heals on the next run: post in one transaction, answer (ledger file, then
acknowledgement), move the file to taken/. A file whose batch the ledger knows is answered again and moved; nothing is
posted. A form that is answered in the file itself stays where it is; its marks say that it is done.
"""

from __future__ import annotations

import hashlib
import os
import sqlite3
from collections import Counter
from collections.abc import Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from sandbox.erp import faults as switches
from sandbox.erp import faults_file
from sandbox.erp.books import Books, period_of
from sandbox.erp.entries import Journal, Leg, Said, Unreadable
from sandbox.erp.faults import Faults
from sandbox.erp.forms import book, form_of
from sandbox.erp.forms.form import Form, csv_text

LEDGER_HEADER: Final = (
    "journal_key", "erp_document", "company", "posting_date", "period", "currency", "account", "debit", "credit",
)  # fmt: skip
_WAIT_SECONDS: Final = 60
_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS batch (batch_id TEXT PRIMARY KEY, sha256 TEXT NOT NULL, readable INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS answer (
    batch_id TEXT NOT NULL REFERENCES batch, seq INTEGER NOT NULL, journal_key TEXT NOT NULL, level TEXT NOT NULL,
    erp_document TEXT NOT NULL, code TEXT NOT NULL, message TEXT NOT NULL, PRIMARY KEY (batch_id, seq));
CREATE TABLE IF NOT EXISTS journal (
    erp_document TEXT PRIMARY KEY, batch_id TEXT NOT NULL REFERENCES batch, journal_key TEXT NOT NULL,
    company TEXT NOT NULL, posting_date TEXT NOT NULL, period TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS journal_by_key ON journal (journal_key);
CREATE INDEX IF NOT EXISTS journal_by_batch ON journal (batch_id);
CREATE TABLE IF NOT EXISTS line (
    erp_document TEXT NOT NULL REFERENCES journal, line_no INTEGER NOT NULL, currency TEXT NOT NULL,
    account TEXT NOT NULL, debit TEXT NOT NULL, credit TEXT NOT NULL, base_debit TEXT NOT NULL,
    base_credit TEXT NOT NULL, PRIMARY KEY (erp_document, line_no));
CREATE TABLE IF NOT EXISTS draft (erp_document TEXT PRIMARY KEY REFERENCES journal);
CREATE TABLE IF NOT EXISTS number (
    company TEXT NOT NULL, period TEXT NOT NULL, last INTEGER NOT NULL, PRIMARY KEY (company, period));
"""


@dataclass(frozen=True)
class Fault:
    """Why a journal is refused."""

    code: str
    message: str


def prepare(folder: Path) -> None:
    """Create the drop folder with ack/ and taken/."""
    for part in (folder, folder / "ack", folder / "taken"):
        part.mkdir(parents=True, exist_ok=True)


def import_folder(
    folder: Path, books: Books, *, refuse_duplicates: bool = False, faults: Faults | None = None
) -> dict[str, Any]:
    """Take every finished file. Out: counts of files, journals posted and refused, per code, and lines.

    answered_again: files whose batch was posted by an earlier run. conflicts: batches that came again with other
    content; the first content stays in force and is answered again. unknown: names of files of no form that it knows.
    Raises switches.ImportFailed when a fault says so.
    """
    tally, faults = _Tally(), faults or Faults()
    with closing(open_ledger(folder)) as ledger:
        for batch_id in faults_file.reset(ledger, faults):
            _write_posted(ledger, folder, batch_id)
        for path in [] if switches.SLOW in faults else _finished(folder):
            with suppress(FileNotFoundError):  # another run took it
                content = path.read_bytes()
                form = form_of(path.name, content)
                if form is None or not form.knows(content):
                    tally.unknown.append(path.name)
                if form is None or not form.waits(content):
                    continue
                batch_id = path.name.removesuffix(form.ending)
                known = post(ledger, batch_id, content, books, form, refuse_duplicates=refuse_duplicates, faults=faults)
                faults.end()
                _count(ledger, batch_id, content, known, tally)
                answer(ledger, folder, batch_id, form, content)
                if not form.in_place:
                    _move(path, folder / "taken", content)
    totals = {name: tally.counts[name] for name in ("files", "posted", "lines", "rejected", "answered_again")}
    lists = {"conflicts": tally.conflicts, "unknown": tally.unknown, **faults.told()}
    return {**totals, "rejected_by_code": dict(sorted(tally.codes.items())), **lists}


@dataclass(frozen=True)
class _Tally:
    counts: Counter[str] = field(default_factory=Counter)
    codes: Counter[str] = field(default_factory=Counter)
    conflicts: list[str] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)


def _finished(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.is_file() and not path.name.startswith("."))


def _move(path: Path, taken: Path, content: bytes) -> None:
    """Out of the drop; other content that was taken under this name before is kept beside it."""
    target = taken / path.name
    if target.exists() and target.read_bytes() != content:
        target = taken / f"{path.stem}.{_sha256(content)[:8]}{path.suffix}"
    os.replace(path, target)
    _sync_folder(taken)
    _sync_folder(path.parent)


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def post(
    ledger: sqlite3.Connection, batch_id: str, content: bytes, books: Books, form: Form = book.FORM, *,
    refuse_duplicates: bool = False, faults: Faults | None = None,
) -> str | None:  # fmt: skip
    """Post one file in one transaction; None, or the sha256 of a batch that is posted already (then nothing is done).

    A batch that could not be read posted nothing, so it may come again under the same name.
    """
    ledger.execute("BEGIN IMMEDIATE")
    try:
        known = ledger.execute("SELECT sha256, readable FROM batch WHERE batch_id = ?", [batch_id]).fetchone()
        sha256 = _sha256(content)
        if known and (known[1] or known[0] == sha256):
            return str(known[0])
        ledger.execute("DELETE FROM answer WHERE batch_id = ?", [batch_id])
        ledger.execute("DELETE FROM batch WHERE batch_id = ?", [batch_id])
        journals = _read(ledger, batch_id, sha256, content, books, form)
        faults = faults or Faults()
        _post_new(ledger, batch_id, journals, books, refuse_duplicates, faults)
        faults.commit()
        ledger.execute("COMMIT")
        return None
    finally:
        if ledger.in_transaction:
            ledger.execute("ROLLBACK")


def _read(
    ledger: sqlite3.Connection, batch_id: str, sha256: str, content: bytes, books: Books, form: Form
) -> list[Journal]:
    """The journals of a file; of one that cannot be read the reason is the answer for every key in it."""
    try:
        journals = form.read(content, batch_id, books)
    except Unreadable as wrong:
        ledger.execute("INSERT INTO batch VALUES (?, ?, 0)", [batch_id, sha256])
        keys = form.keys(content) or [""]
        _write_answers(ledger, batch_id, [Said(key, "rejected", "", "UNREADABLE", str(wrong)) for key in keys])
        return []
    ledger.execute("INSERT INTO batch VALUES (?, ?, 1)", [batch_id, sha256])
    return journals


def _post_new(
    ledger: sqlite3.Connection, batch_id: str, journals: Sequence[Journal], books: Books, refuse_duplicates: bool,
    faults: Faults,
) -> None:  # fmt: skip
    journals = faults_file.before(journals, books, faults)
    times = Counter(journal.key for journal in journals)
    refused: dict[int, Fault] = {}
    for at, journal in enumerate(journals):
        before = times[journal.key] > 1 or (refuse_duplicates and _posted_before(ledger, journal.key))
        fault = Fault("DUPLICATE", f"{journal.key} is there more than once") if before else judge(journal, books)
        refused |= {at: fault} if fault else {}
    own = Fault(switches.REFUSED_CODE, switches.REFUSED_TEXT)
    sibling = Fault("SIBLING", switches.SIBLING_TEXT)
    faults.judged([journal.key for journal in journals], refused, own, sibling)
    answers = []
    for at, journal in enumerate(journals):
        fault = refused.get(at)
        document = "" if fault else _post_journal(ledger, batch_id, journal, books)
        said = ("rejected", "", fault.code, fault.message) if fault else ("posted", document, "", "")
        answers.append(Said(journal.key, *said))
    _write_answers(ledger, batch_id, faults_file.after(ledger, answers, faults))


def _write_answers(ledger: sqlite3.Connection, batch_id: str, answers: Sequence[Said]) -> None:
    rows = [(batch_id, seq, *said) for seq, said in enumerate(answers, start=1)]
    ledger.executemany("INSERT INTO answer VALUES (?, ?, ?, ?, ?, ?, ?)", rows)


def _posted_before(ledger: sqlite3.Connection, key: str) -> bool:
    return ledger.execute("SELECT 1 FROM journal WHERE journal_key = ?", [key]).fetchone() is not None


def judge(journal: Journal, books: Books) -> Fault | None:
    """The first reason to refuse a journal, or None."""
    company, period = books.companies.get(journal.facts.get("company", "")), period_of(journal.day)
    if company is None:
        return Fault("UNKNOWN_COMPANY", f"company {journal.facts.get('company', '')!r}")
    if journal.facts.get("period") != period:
        return Fault("BAD_DATE", f"{journal.day} is not in period {journal.facts.get('period', '')!r}")
    if not company.has_period(period):
        return Fault("NO_PERIOD", f"there is no period {period}")
    if not company.is_open(period):
        return Fault("CLOSED_PERIOD", f"period {period} is closed")
    for leg in journal.legs:
        if not company.knows(leg.account):
            return Fault("UNKNOWN_ACCOUNT", f"account {leg.account}")
        if fault := _judge_amount(leg, company.currency, books):
            return fault
    return _judge_balance(journal.legs, company.currency)


def _judge_amount(leg: Leg, base: str, books: Books) -> Fault | None:
    if leg.currency not in books.currencies:
        return Fault("UNKNOWN_CURRENCY", f"currency {leg.currency}")
    if leg.currency != base and leg.total_currency != base:
        return Fault("NO_BASE_AMOUNT", f"{leg.amount} {leg.currency} has no total in {base}")
    if leg.currency == base and leg.total:
        return Fault("BAD_AMOUNT", f"{leg.amount} {base} needs no total")
    for text, currency in ((leg.amount, leg.currency), (leg.total, base)):
        if len(text.partition(".")[2]) > books.currencies[currency]:
            return Fault("BAD_AMOUNT", f"{text} has more decimals than {currency}")
    return None


def _judge_balance(legs: Sequence[Leg], base: str) -> Fault | None:
    """Base amounts add up to zero, and so do the amounts of each foreign currency; a rounding leg is base only."""
    for currency in sorted({leg.currency for leg in legs} - {base}):
        if rest := sum(_scaled(leg.amount) for leg in legs if leg.currency == currency):
            return Fault("UNBALANCED", f"debits and credits differ by {_unscaled(rest)} {currency}")
    if rest := sum(_scaled(_base_amount(leg)) for leg in legs):
        return Fault("UNBALANCED", f"debits and credits differ by {_unscaled(rest)} {base}")
    return None


def _base_amount(leg: Leg) -> str:
    """The total takes the sign of the amount."""
    if not leg.total:
        return leg.amount
    return f"-{leg.total}" if leg.amount.startswith("-") else leg.total


def _scaled(amount: str) -> int:
    whole, _, fraction = amount.partition(".")
    return int(whole + fraction.ljust(4, "0"))


def _unscaled(scaled: int) -> str:
    sign, digits = "-" if scaled < 0 else "", f"{abs(scaled):05d}"
    return f"{sign}{digits[:-4]}.{digits[-4:]}".rstrip("0").rstrip(".")


def _post_journal(ledger: sqlite3.Connection, batch_id: str, journal: Journal, books: Books) -> str:
    company, period = journal.facts["company"], period_of(journal.day)
    ledger.execute(
        "INSERT INTO number VALUES (?, ?, 1) ON CONFLICT (company, period) DO UPDATE SET last = last + 1",
        [company, period],
    )
    number = "SELECT last FROM number WHERE company = ? AND period = ?"
    document = f"{company}-{period}-{ledger.execute(number, [company, period]).fetchone()[0]:06d}"
    header = [document, batch_id, journal.key, company, journal.day, period]
    ledger.execute("INSERT INTO journal VALUES (?, ?, ?, ?, ?, ?)", header)
    lines = [
        (document, number, leg.currency, leg.account, *_sides(leg.amount, leg.red), *_sides(_base_amount(leg), leg.red))
        for number, leg in enumerate(journal.legs, start=1)
    ]
    ledger.executemany("INSERT INTO line VALUES (?, ?, ?, ?, ?, ?, ?, ?)", lines)
    return document


def _sides(amount: str, red: bool) -> tuple[str, str]:
    """Debit and credit of a signed amount; in red a negative amount on the other side."""
    if amount.startswith("-"):
        return (amount, "0") if red else ("0", amount[1:])
    return ("0", f"-{amount}") if red else (amount, "0")


def _count(ledger: sqlite3.Connection, batch_id: str, content: bytes, known: str | None, tally: _Tally) -> None:
    tally.counts["files"] += 1
    if known is not None:
        tally.counts["answered_again"] += 1
        tally.conflicts.extend([batch_id] if known != _sha256(content) else [])
        return
    query = "SELECT level, code, count(*) FROM answer WHERE batch_id = ? GROUP BY level, code"
    for level, code, number in ledger.execute(query, [batch_id]):
        tally.counts[level] += number
        if code:
            tally.codes[code] += number
    lines = "SELECT count(*) FROM line JOIN journal USING (erp_document) WHERE batch_id = ?"
    tally.counts["lines"] += ledger.execute(lines, [batch_id]).fetchone()[0]


def answer(
    ledger: sqlite3.Connection, folder: Path, batch_id: str, form: Form = book.FORM, content: bytes = b""
) -> None:
    """Write the posted lines and then the acknowledgement of a batch, from what the ledger says about it."""
    query = "SELECT journal_key, level, erp_document, code, message FROM answer WHERE batch_id = ? ORDER BY seq"
    said = [Said(*row) for row in ledger.execute(query, [batch_id])]
    _write_posted(ledger, folder, batch_id)
    _write(folder / form.answer_name.replace("{batch_id}", batch_id), form.answer(content, batch_id, said))


def _write_posted(ledger: sqlite3.Connection, folder: Path, batch_id: str) -> None:
    posted = ledger.execute(
        "SELECT journal_key, journal.erp_document, company, posting_date, period, currency, account, debit, credit "
        "FROM line JOIN journal USING (erp_document) JOIN answer USING (batch_id, journal_key) "
        "WHERE batch_id = ? AND journal.erp_document NOT IN (SELECT erp_document FROM draft) "
        "ORDER BY seq, journal.erp_document, line_no",
        [batch_id],
    )
    _write(folder / "ack" / f"{batch_id}.ledger.csv", csv_text(LEDGER_HEADER, posted))


def _write(path: Path, content: bytes) -> None:
    """The whole file or nothing appears under its name, and stays there after a power cut."""
    part = path.with_name(f".{path.name}.part.{os.getpid()}")
    with part.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    os.replace(part, path)
    _sync_folder(path.parent)


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def open_ledger(folder: Path) -> sqlite3.Connection:
    """The ERP's own ledger of what came through this folder; created when it is not there."""
    (folder / ".erp").mkdir(exist_ok=True)
    ledger = sqlite3.connect(folder / ".erp" / "ledger.db", timeout=_WAIT_SECONDS, isolation_level=None)
    ledger.executescript(_SCHEMA)
    return ledger
