"""What a source counts up as approved: report ids that it lists beside its files, or in a table of its own.

Reconciliation holds the list against what landed, so it is read here by the plainest means, and by nothing that reads
the files themselves: a mistake there must not hide itself.
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

import pandas as pd
from sqlalchemy import Engine, select
from sqlalchemy import column as sql_column
from sqlalchemy import table as sql_table
from sqlalchemy.exc import DBAPIError

from etl import model, money, transport
from etl.transport import Folder

BYTES_MAX: Final = 256 << 20
COLUMNS: Final = ("company", "report_id", "report_version", "currency", "amount", "date")
_AMOUNT: Final = re.compile(r"-?[0-9]{1,15}(\.[0-9]{1,9})?", re.ASCII)
_DATE: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}.*", re.ASCII)
Cells = Sequence[str]  # by COLUMNS, "" where the list does not say it


class Unreadable(Exception):
    """A list is not as the feed declares it."""


@dataclass(frozen=True)
class Listed:
    """rows: COLUMNS as text, amount_minor (0 without an amount). faults: (place, what is wrong) of unreadable lists."""

    rows: pd.DataFrame
    faults: tuple[tuple[str, str], ...]


def from_folder(session: Folder, declared: Mapping[str, Any]) -> Listed:
    """Every list that lies in a folder, by name; that none is there is a fault."""
    name = re.compile(declared["files"])
    files = [info for info in session.files() if name.fullmatch(info.name)]
    cells: list[Cells] = []
    faults = [] if files else [(session.label, f"no list {declared['files']} lies there")]
    for info in files:
        try:
            if info.size > BYTES_MAX:
                raise Unreadable(f"it has {info.size} bytes, at most {BYTES_MAX}")
            reader = _json if info.name.endswith(".json") else _csv
            cells += _chosen(reader(session.read(info.name)), declared["columns"])
        except (Unreadable, UnicodeDecodeError, csv.Error, json.JSONDecodeError, RecursionError) as error:
            faults.append((info.name, str(error)))
    return Listed(_frame(cells), tuple(faults))


def from_table(engine: Engine, declared: Mapping[str, Any]) -> Listed:
    """The list in a table of the source. Raises what etl.transport.explain makes of the database's error."""
    names = list(declared["columns"].values())
    query: Any = select(*map(sql_column, names)).select_from(sql_table(declared["table"]))
    try:
        with engine.connect() as connection:
            found = [dict(zip(names, map(_text, row), strict=True)) for row in connection.execute(query)]
        return Listed(_frame(_chosen(found, declared["columns"])), ())
    except DBAPIError as error:
        raise transport.explain(error, declared["table"]) from error
    except Unreadable as error:
        return Listed(_frame([]), ((declared["table"], str(error)),))


def _text(value: object) -> str:
    return "" if value is None else str(value)


def _csv(content: bytes) -> Iterable[Mapping[str, str]]:
    header, *rows = list(csv.reader(io.StringIO(content.decode("utf-8-sig"), newline=""), strict=True)) or [[]]
    for number, row in enumerate(rows, 1):
        if len(row) != len(header):
            raise Unreadable(f"record {number} has {len(row)} fields, {len(header)} are due")
        yield dict(zip(header, row, strict=True))


def _json(content: bytes) -> Iterable[Mapping[str, str]]:
    found = json.loads(content.decode("utf-8-sig"), parse_float=str, parse_int=str, parse_constant=str)
    if not isinstance(found, list) or not all(isinstance(row, dict) for row in found):
        raise Unreadable("it is no list of objects")
    return [{name: _text(value) for name, value in row.items()} for row in found]


def _chosen(rows: Iterable[Mapping[str, str]], columns: Mapping[str, str]) -> list[Cells]:
    out: list[Cells] = []
    for number, row in enumerate(rows, 1):
        absent = [name for name in columns.values() if name not in row]
        if absent:
            raise Unreadable(f"record {number} has no {absent[0]!r}")
        cells = [row[columns[name]] if name in columns else "" for name in COLUMNS]
        wrong = _fault(dict(zip(COLUMNS, cells, strict=True)))
        if wrong:
            raise Unreadable(f"record {number}: {wrong}")
        out.append(cells)
    return out


def _fault(row: Mapping[str, str]) -> str:
    for name in ("company", "report_id"):
        if not row[name]:
            return f"the {name} is empty"
    if row["date"] and not _DATE.fullmatch(row["date"]):
        return f"{row['date']!r} is no date (2026-03-31)"
    if not row["amount"]:
        return ""
    if row["currency"] not in money.EXPONENT:
        return f"{row['currency']!r} is no currency of ISO 4217"
    minor = _minor(row["amount"], row["currency"]) if _AMOUNT.fullmatch(row["amount"]) else None
    return "" if minor is not None else f"{row['amount']!r} is no amount of {row['currency']}"


def _minor(amount: str, currency: str) -> int | None:
    scaled = Decimal(amount).scaleb(money.EXPONENT[currency])
    return int(scaled) if scaled == scaled.to_integral_value() else None


def _frame(rows: Sequence[Cells]) -> pd.DataFrame:
    texts = list(zip(*rows, strict=True)) if rows else [()] * len(COLUMNS)
    frame = pd.DataFrame({name: model.texts(list(cells)) for name, cells in zip(COLUMNS, texts, strict=True)})
    amounts = [(_minor(row[4], row[3]) or 0) if row[4] else 0 for row in rows]
    return frame.assign(amount_minor=pd.Series(amounts, index=frame.index, dtype="int64"))
