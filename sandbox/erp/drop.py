"""The drop folder: takes finished beancount files, posts them into a ledger of its own and answers beside them.

Order of the steps, so that a kill anywhere heals on the next run: post in one transaction, answer (ledger file, then
acknowledgement), move the file to taken/. A file whose batch the ledger knows is answered again and moved; nothing is
posted.
"""

from __future__ import annotations

import csv
import hashlib
import io
import os
import sqlite3
from collections import Counter
from collections.abc import Iterable, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from sandbox.erp import beancount
from sandbox.erp.beancount import Journal, Leg
from sandbox.erp.books import Books, period_of

ENDING: Final = ".beancount"
ACK_HEADER: Final = ("batch_id", "journal_key", "level", "erp_document", "code", "message")
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


def import_folder(folder: Path, books: Books, *, refuse_duplicates: bool = False) -> dict[str, Any]:
    """Take every finished file. Out: counts of files, journals posted and refused, per code, and lines.

    answered_again: files whose batch was posted by an earlier run. conflicts: batches that came again with other
    content; the first content stays in force and is answered again.
    """
    tally = _Tally()
    with closing(open_ledger(folder)) as ledger:
        for path in _finished(folder):
            with suppress(FileNotFoundError):  # another run took it
                content, batch_id = path.read_bytes(), path.name.removesuffix(ENDING)
                known = post(ledger, batch_id, content, books, refuse_duplicates=refuse_duplicates)
                _count(ledger, batch_id, content, known, tally)
                answer(ledger, folder, batch_id)
                _move(path, folder / "taken", content)
    totals = {name: tally.counts[name] for name in ("files", "posted", "lines", "rejected", "answered_again")}
    return {**totals, "rejected_by_code": dict(sorted(tally.codes.items())), "conflicts": tally.conflicts}


@dataclass(frozen=True)
class _Tally:
    counts: Counter[str] = field(default_factory=Counter)
    codes: Counter[str] = field(default_factory=Counter)
    conflicts: list[str] = field(default_factory=list)


def _finished(folder: Path) -> list[Path]:
    return sorted(path for path in folder.glob(f"*{ENDING}") if path.is_file() and not path.name.startswith("."))


def _move(path: Path, taken: Path, content: bytes) -> None:
    """Out of the drop; other content that was taken under this name before is kept beside it."""
    target = taken / path.name
    if target.exists() and target.read_bytes() != content:
        target = taken / f"{path.name.removesuffix(ENDING)}.{_sha256(content)[:8]}{ENDING}"
    os.replace(path, target)
    _sync_folder(taken)
    _sync_folder(path.parent)


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def post(
    ledger: sqlite3.Connection, batch_id: str, content: bytes, books: Books, *, refuse_duplicates: bool = False
) -> str | None:
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
        _post_new(ledger, batch_id, sha256, content, books, refuse_duplicates)
        ledger.execute("COMMIT")
        return None
    finally:
        if ledger.in_transaction:
            ledger.execute("ROLLBACK")


def _post_new(
    ledger: sqlite3.Connection, batch_id: str, sha256: str, content: bytes, books: Books, refuse_duplicates: bool
) -> None:
    try:
        title, journals = beancount.read(content)
        if title != batch_id:
            raise beancount.Unreadable(f"the title is {title!r}")
    except beancount.Unreadable as wrong:
        ledger.execute("INSERT INTO batch VALUES (?, ?, 0)", [batch_id, sha256])
        answers = [(key, "rejected", "", "UNREADABLE", str(wrong)) for key in beancount.keys(content) or [""]]
    else:
        ledger.execute("INSERT INTO batch VALUES (?, ?, 1)", [batch_id, sha256])
        times = Counter(journal.key for journal in journals)
        answers = []
        for journal in journals:
            before = times[journal.key] > 1 or (refuse_duplicates and _posted_before(ledger, journal.key))
            fault = Fault("DUPLICATE", f"{journal.key} is there more than once") if before else judge(journal, books)
            document = "" if fault else _post_journal(ledger, batch_id, journal, books)
            said = ("rejected", "", fault.code, fault.message) if fault else ("posted", document, "", "")
            answers.append((journal.key, *said))
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
        (document, line_no, leg.currency, leg.account, *_sides(leg.amount), *_sides(_base_amount(leg)))
        for line_no, leg in enumerate(journal.legs, start=1)
    ]
    ledger.executemany("INSERT INTO line VALUES (?, ?, ?, ?, ?, ?, ?, ?)", lines)
    return document


def _sides(amount: str) -> tuple[str, str]:
    return ("0", amount[1:]) if amount.startswith("-") else (amount, "0")


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


def answer(ledger: sqlite3.Connection, folder: Path, batch_id: str) -> None:
    """Write the posted lines and then the acknowledgement of a batch, from what the ledger says about it."""
    posted = ledger.execute(
        "SELECT journal_key, erp_document, company, posting_date, period, currency, account, debit, credit "
        "FROM line JOIN journal USING (erp_document) JOIN answer USING (batch_id, journal_key, erp_document) "
        "WHERE batch_id = ? ORDER BY seq, line_no",
        [batch_id],
    )
    said = ledger.execute(
        "SELECT batch_id, journal_key, level, erp_document, code, message FROM answer WHERE batch_id = ? ORDER BY seq",
        [batch_id],
    )
    _write_csv(folder / "ack" / f"{batch_id}.ledger.csv", LEDGER_HEADER, posted)
    _write_csv(folder / "ack" / f"{batch_id}.ack.csv", ACK_HEADER, said)


def _write_csv(path: Path, header: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """The whole file or nothing appears under its name, and stays there after a power cut."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([header, *rows])
    part = path.with_name(f".{path.name}.part.{os.getpid()}")
    with part.open("wb") as file:
        file.write(text.getvalue().encode())
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
