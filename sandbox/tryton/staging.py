"""The staging table and the answers beside it, in a SQLite file that both sides can open.

A batch is imported when its manifest is there and agrees with its rows. Each row gets the state of its journal:
POSTED, or the code of the refusal with its reason. What is posted stands in tryton_headers and tryton_lines as Tryton
holds it, in the columns that the target profile `tryton_table` reads.
"""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

from sandbox.tryton import ledger
from sandbox.tryton.database import Books
from sandbox.tryton.entries import AMOUNTS, COLUMNS, grouped
from sandbox.tryton.ledger import Answer

TARGET: Final = "tryton_table"
WAIT_SECONDS: Final = 120
# Amounts are text: SQLite would keep them as floats.
_SCHEMA: Final = f"""
CREATE TABLE IF NOT EXISTS claim_journal_in (
    {", ".join(f"{name} {'INTEGER' if name in ('batch_no', 'line_no') else 'TEXT'}" for name in COLUMNS)},
    status_description TEXT, PRIMARY KEY (batch_no, journal_ref, line_no));
CREATE TABLE IF NOT EXISTS tryton_headers (
    je_header_id INTEGER, group_id INTEGER, external_reference TEXT, period_name TEXT, doc_sequence_value TEXT,
    PRIMARY KEY (group_id, external_reference));
CREATE TABLE IF NOT EXISTS tryton_lines (
    je_header_id INTEGER, je_line_num INTEGER, reference_1 TEXT, segment1 TEXT, effective_date TEXT, period_name TEXT,
    currency_code TEXT, segment3 TEXT, entered_dr TEXT, entered_cr TEXT, PRIMARY KEY (je_header_id, je_line_num));
"""


def prepare(path: Path) -> None:
    """Create the tables that do not exist yet."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with closing(sqlite3.connect(path, timeout=WAIT_SECONDS)) as database:
        database.executescript(_SCHEMA)


def import_batches(books: Books, path: Path) -> dict[str, Any]:
    """Import every batch that waits. Out: journals posted, posted before and refused, and batches that are incomplete.

    Incomplete: the rows do not add up to what their manifest says; nothing of such a batch is taken.
    """
    counts: Counter[str] = Counter()
    incomplete = []
    with closing(sqlite3.connect(path, timeout=WAIT_SECONDS, isolation_level=None)) as database:
        database.row_factory = sqlite3.Row
        for manifest in _manifests(database):
            batch_id = manifest["batch_id"]
            rows = _rows(database, batch_id)
            if _totals(rows) != _totals_said(manifest):
                incomplete.append(batch_id)
                continue
            waiting = [row for row in rows if row["status"] == "NEW"]
            for answers in ledger.post(books, batch_id, grouped(waiting)):
                _write(database, batch_id, int(rows[0]["batch_no"]), answers)
                counts.update("rejected" if a.code else "posted" if a.new else "already" for a in answers)
    return {**{name: counts[name] for name in ("posted", "already", "rejected")}, "incomplete": incomplete}


def _manifests(database: sqlite3.Connection) -> list[sqlite3.Row]:
    try:
        return database.execute("SELECT * FROM claimpost_manifest WHERE target = ? ORDER BY seq", [TARGET]).fetchall()
    except sqlite3.OperationalError as error:
        if "no such table" in str(error):  # nothing was delivered yet
            return []
        raise


def _rows(database: sqlite3.Connection, batch_id: str) -> list[dict[str, str]]:
    query = "SELECT * FROM claim_journal_in WHERE batch_id = ? ORDER BY rowid"
    rows = database.execute(query, [batch_id]).fetchall()
    return [{name: "" if row[name] is None else str(row[name]) for name in COLUMNS} for row in rows]


def _totals(rows: list[dict[str, str]]) -> list[Any]:
    sums = [sum((Decimal(row[name] or 0) for row in rows), Decimal()) for name in AMOUNTS[:2]]
    return [len(rows), len({row["journal_ref"] for row in rows}), *sums]


def _totals_said(manifest: sqlite3.Row) -> list[Any]:
    return [manifest["lines"], manifest["journals"], Decimal(manifest["debit"]), Decimal(manifest["credit"])]


def _write(database: sqlite3.Connection, batch_id: str, batch_no: int, answers: list[Answer]) -> None:
    with _transaction(database):
        for answer in answers:
            state = [answer.code or "POSTED", answer.reason or None, batch_no, answer.key]
            database.execute(
                "UPDATE claim_journal_in SET status = ?, status_description = ? WHERE batch_no = ? AND journal_ref = ?",
                state,
            )
            if not answer.code:
                _write_posted(database, batch_no, answer, told=answer.first != batch_id)


def _write_posted(database: sqlite3.Connection, batch_no: int, answer: Answer, *, told: bool) -> None:
    """A journal's header and lines; its lines are told once, with the batch that posted them."""
    header = [None if told else answer.move, batch_no, answer.key, answer.period, answer.number]
    database.execute("INSERT OR IGNORE INTO tryton_headers VALUES (?, ?, ?, ?, ?)", header)
    if told:
        return
    for number, one in enumerate(answer.lines, start=1):
        facts = [one.company, one.posting_date, answer.period, one.currency, one.account, one.debit, one.credit]
        line = [answer.move, number, answer.key, *facts]
        database.execute("INSERT OR IGNORE INTO tryton_lines VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", line)


@contextmanager
def _transaction(database: sqlite3.Connection) -> Iterator[None]:
    database.execute("BEGIN IMMEDIATE")
    try:
        yield
        database.execute("COMMIT")
    finally:
        if database.in_transaction:
            database.execute("ROLLBACK")
