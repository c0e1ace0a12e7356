"""Rows of the database as frames, and frames as temporary tables."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pandas as pd
import pyarrow as pa
from sqlalchemy import BigInteger, Column, Integer, MetaData, String, Table, Text
from sqlalchemy.engine import Connection
from sqlalchemy.sql import Select

from etl import model, transport

IN_MAX = 500  # values of one IN list; longer lists go in parts


def read(connection: Connection, statement: Select[Any]) -> pd.DataFrame:
    """The rows of a statement: whole numbers as int64, everything else as text."""
    columns = list(statement.selected_columns)
    types = [pa.int64() if isinstance(c.type, Integer | BigInteger) else pa.large_string() for c in columns]
    names = [column.name for column in columns]
    if connection.dialect.name == "postgresql":
        found = transport.copied(connection, statement, dict(zip(names, types, strict=True)))
        columns_of: Iterator[Any] = (found[name].combine_chunks() for name in names)
    else:
        columns_of = _streamed(connection, statement, types)
    return pd.DataFrame({
        name: whole.to_numpy() if kind == pa.int64() else model.texts(whole)
        for name, kind, whole in zip(names, types, columns_of, strict=True)
    })  # fmt: skip


def _streamed(connection: Connection, statement: Select[Any], types: Sequence[pa.DataType]) -> Iterator[pa.Array]:
    """The columns of a statement's rows; each one's parts are given up before the next one is joined."""
    parts: list[list[pa.Array]] = [[pa.array([], type=kind)] for kind in types]
    for part in transport.read_parts(connection, statement):
        for kind, column, cells in zip(types, parts, part, strict=True):
            column.append(_array(cells, kind))
    while parts:
        yield pa.concat_arrays(parts.pop(0))


def _array(cells: Sequence[Any], kind: pa.DataType) -> pa.Array:
    return pa.array([int(cell) for cell in cells] if kind == pa.int64() else cells, type=kind)


def in_parts(values: Sequence[str]) -> Iterator[Sequence[str]]:
    """Distinct values in parts short enough for one IN list; no values give no part."""
    distinct = sorted(set(values))
    for start in range(0, len(distinct), IN_MAX):
        yield distinct[start : start + IN_MAX]


@contextmanager
def temporary(connection: Connection, name: str, frame: pd.DataFrame) -> Iterator[Table]:
    """A frame of texts as a temporary table of this transaction, keyed by its first column (200 characters)."""
    mysql = connection.dialect.name in ("mysql", "mariadb")
    options: dict[str, Any] = {"mysql_collate": "utf8mb4_nopad_bin", "mysql_charset": "utf8mb4"}
    options |= {key.replace("mysql", "mariadb"): value for key, value in options.items()}
    first, *others = [str(column) for column in frame.columns]
    columns = [Column(first, String(200), primary_key=True), *[Column(other, Text, nullable=False) for other in others]]
    table = Table(name, MetaData(), *columns, prefixes=["TEMPORARY"], **options)
    table.create(connection, checkfirst=False)
    transport.insert_frame(connection, table, frame)
    yield table
    # DROP TABLE without TEMPORARY would commit on MariaDB.
    connection.exec_driver_sql(_DROP_TEMPORARY[name] if mysql else _DROP[name])


_DROP = {name: f"DROP TABLE {name}" for name in ("wanted", "claimed", "answer", "asked")}
_DROP_TEMPORARY = {name: statement.replace("TABLE", "TEMPORARY TABLE") for name, statement in _DROP.items()}
