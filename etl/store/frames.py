"""Rows of the database as frames, and frames as temporary tables."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from sqlalchemy import BigInteger, Column, Integer, MetaData, String, Table, Text
from sqlalchemy.engine import Connection
from sqlalchemy.sql import Select

from etl import model, transport

IN_MAX = 500  # values of one IN list; longer lists go in parts


def read(connection: Connection, statement: Select[Any]) -> pd.DataFrame:
    """The rows of a statement: whole numbers as int64, everything else as text."""
    if connection.dialect.name == "postgresql":
        return _copied(connection, statement)
    rows = connection.execute(statement).all()
    values = list(zip(*rows, strict=True)) if rows else [()] * len(statement.selected_columns)
    return pd.DataFrame(
        {column.name: _column(column, cells) for column, cells in zip(statement.selected_columns, values, strict=True)}
    )


def _copied(connection: Connection, statement: Select[Any]) -> pd.DataFrame:
    kinds = {
        column.name: pa.int64() if isinstance(column.type, Integer | BigInteger) else pa.large_string()
        for column in statement.selected_columns
    }
    found = transport.copied(connection, statement, kinds)
    return pd.DataFrame({
        name: found[name].to_numpy() if kind == pa.int64() else model.texts(found[name].combine_chunks())
        for name, kind in kinds.items()
    })  # fmt: skip


def _column(column: Any, cells: Sequence[Any]) -> Any:
    if isinstance(column.type, Integer | BigInteger):
        return np.array([int(cell) for cell in cells], dtype=np.int64)
    return model.texts(list(cells))


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
