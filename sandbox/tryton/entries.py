"""Journals as the interface hands them over, in a table or in a file: the same columns, every cell a text."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import astuple, dataclass
from datetime import date
from decimal import Decimal, InvalidOperation
from typing import Final

AMOUNTS: Final = ("debit", "credit", "base_debit", "base_credit")
SAME: Final = ("company", "posting_date", "currency", "description")
COLUMNS: Final = (
    "status", "batch_no", "batch_id", "journal_ref", "line_no", "company", "posting_date", "description", "account",
    "party", "cost_center", "project", "text", "currency", *AMOUNTS,
)  # fmt: skip
_TOO_LARGE: Final = Decimal(10**15)


class Refused(Exception):
    """A journal that does not go into the books: a code, and the reason in words."""

    def __init__(self, code: str, reason: str) -> None:
        super().__init__(f"{code} {reason}")
        self.code, self.reason = code, reason


@dataclass(frozen=True)
class Line:
    """One line; debit and credit in the journal's currency, base_debit and base_credit in the company's."""

    line_no: int
    account: str
    party: str
    cost_center: str
    project: str
    text: str
    debit: Decimal
    credit: Decimal
    base_debit: Decimal
    base_credit: Decimal


@dataclass(frozen=True)
class Journal:
    """One journal, its lines in order."""

    key: str
    company: str
    posting_date: date
    currency: str
    description: str
    lines: tuple[Line, ...]

    def digest(self) -> str:
        """What the content is known by; 100, 100.0 and 100.00 are the same amount."""
        lines = [[_plain(cell) if isinstance(cell, Decimal) else cell for cell in astuple(one)] for one in self.lines]
        content = [self.key, self.company, self.posting_date.isoformat(), self.currency, self.description, lines]
        return hashlib.sha256(json.dumps(content, ensure_ascii=False).encode()).hexdigest()


def _plain(amount: Decimal) -> str:
    return f"{amount.normalize() + 0:f}"


def grouped(rows: Iterable[Mapping[str, str]]) -> dict[str, list[Mapping[str, str]]]:
    """The rows of each journal, by its key, in order of first appearance."""
    journals: dict[str, list[Mapping[str, str]]] = {}
    for row in rows:
        journals.setdefault(row["journal_ref"], []).append(row)
    return journals


def journal_of(key: str, rows: list[Mapping[str, str]]) -> Journal:
    """A journal from its rows. Raises Refused: BAD_DATE, BAD_AMOUNT, BAD_LINE, HEADER_DIFFERS, UNBALANCED.

    Tryton on SQLite posts a journal whose sides differ, so the balance is proved here, to the last digit.
    """
    for name in SAME:
        if len({row[name] for row in rows}) > 1:
            raise Refused("HEADER_DIFFERS", f"lines of {key} differ in {name}")
    first = rows[0]
    try:
        day = date.fromisoformat(first["posting_date"])
    except ValueError as error:
        raise Refused("BAD_DATE", f"{first['posting_date']!r} is no date") from error
    lines = tuple(sorted((_line(row) for row in rows), key=lambda line: line.line_no))
    if [line.line_no for line in lines] != list(range(1, len(lines) + 1)):
        raise Refused("BAD_LINE", f"lines of {key} are not numbered from 1 without a gap")
    for debit, credit in (("debit", "credit"), ("base_debit", "base_credit")):
        if rest := sum(getattr(line, debit) - getattr(line, credit) for line in lines):
            raise Refused("UNBALANCED", f"{debit} and {credit} of {key} differ by {rest}")
    return Journal(key, first["company"], day, first["currency"], first["description"], lines)


def _line(row: Mapping[str, str]) -> Line:
    if not (row["line_no"].isascii() and row["line_no"].isdigit()):
        raise Refused("BAD_LINE", f"line number {row['line_no']!r}")
    texts = [row[name] for name in ("account", "party", "cost_center", "project", "text")]
    return Line(int(row["line_no"]), *texts, *[_amount(row, name) for name in AMOUNTS])


def _amount(row: Mapping[str, str], name: str) -> Decimal:
    try:
        amount = Decimal(row[name] or "0")
    except InvalidOperation as error:
        raise Refused("BAD_AMOUNT", f"{name} {row[name]!r} is no amount") from error
    if not amount.is_finite() or abs(amount) >= _TOO_LARGE:
        raise Refused("BAD_AMOUNT", f"{name} {row[name]} is out of range")
    return amount
