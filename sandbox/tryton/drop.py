"""The drop folder: takes finished files, posts them, and answers in ack/ as the target profile `tryton_file` reads it.

Order of the steps, so that a kill anywhere heals on the next run: post, lines (BATCH.ledger.csv), acknowledgement
(BATCH.ack.csv), move the file to taken/. A file that comes again is answered again, and nothing is posted.
"""

from __future__ import annotations

import csv
import hashlib
import io
import os
from collections import Counter
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from sandbox.tryton import ledger
from sandbox.tryton.database import Books
from sandbox.tryton.entries import COLUMNS, grouped
from sandbox.tryton.ledger import Answer

ACK: Final = ("batch_id", "journal_key", "level", "erp_document", "code", "message")
LINES: Final = (
    "journal_key", "erp_document", "company", "posting_date", "period", "currency", "account", "debit", "credit",
)  # fmt: skip
FILE_COLUMNS: Final = tuple(name for name in COLUMNS if name != "status")


def prepare(folder: Path) -> None:
    """Create the drop folder with ack/ and taken/."""
    for part in (folder, folder / "ack", folder / "taken"):
        part.mkdir(parents=True, exist_ok=True)


def import_files(books: Books, folder: Path) -> dict[str, Any]:
    """Take every finished file. Out: journals posted, posted before and refused; unreadable files; conflicts.

    conflicts: files whose name was taken before with other content; they go to taken/ under another name, unread.
    """
    counts: Counter[str] = Counter()
    unreadable, conflicts = [], []
    for path in sorted(folder.glob("[!.]*.csv")):
        with suppress(FileNotFoundError):  # another importer took it
            content = path.read_bytes()
            earlier = folder / "taken" / path.name
            if earlier.exists() and earlier.read_bytes() != content:
                conflicts.append(path.name)
                aside = f"{path.stem}.{hashlib.sha256(content).hexdigest()[:8]}.csv"
                os.replace(path, folder / "taken" / aside)
                continue
            rows = _rows(content)
            if not rows:
                unreadable.append(path.name)
                continue
            answers = [one for some in ledger.post(books, path.stem, grouped(rows)) for one in some]
            _answer(folder, path.stem, answers)
            counts.update("rejected" if a.code else "posted" if a.new else "already" for a in answers)
            os.replace(path, folder / "taken" / path.name)
    totals = {name: counts[name] for name in ("posted", "already", "rejected")}
    return {**totals, "unreadable": unreadable, "conflicts": conflicts}


def _rows(content: bytes) -> list[dict[str, str]]:
    """The rows of a file; none when it is not what the interface writes."""
    try:
        reader = csv.reader(io.StringIO(content.decode("utf-8"), newline=""), strict=True)
        header, *rows = list(reader)
    except (UnicodeDecodeError, csv.Error, ValueError):
        return []
    if tuple(header) != FILE_COLUMNS or any(len(row) != len(header) for row in rows):
        return []
    return [dict(zip(header, row, strict=True)) for row in rows]


def _answer(folder: Path, batch_id: str, answers: list[Answer]) -> None:
    """A journal's lines are told once, with the batch that posted them."""
    lines = [
        (a.key, _document(a), one.company, one.posting_date, a.period, one.currency, one.account, one.debit, one.credit)
        for a in answers
        if a.first == batch_id
        for one in a.lines
    ]
    said = [
        (batch_id, a.key, "rejected" if a.code else "posted", "" if a.code else _document(a), a.code, a.reason)
        for a in answers
    ]
    _write(folder / "ack" / f"{batch_id}.ledger.csv", LINES, lines)
    _write(folder / "ack" / f"{batch_id}.ack.csv", ACK, said)


def _document(answer: Answer) -> str:
    return f"{answer.period}/{answer.number}"


def _write(path: Path, header: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """The whole file or nothing appears under its name."""
    part = path.with_name(f".{path.name}.part.{os.getpid()}")
    with part.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(rows)
        file.flush()
        os.fsync(file.fileno())
    os.replace(part, path)
