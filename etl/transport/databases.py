"""Databases: engines with every default that could lose data switched off, and bulk inserts of frames."""

from __future__ import annotations

import io
import sqlite3
import time
from collections.abc import Collection, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import pandas as pd
import psycopg
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
from sqlalchemy import ColumnClause, Select, String, Table, cast, create_engine, event, func, select
from sqlalchemy import column as sql_column
from sqlalchemy import table as sql_table
from sqlalchemy.engine import Connection, Engine, make_url
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.pool import ConnectionPoolEntry

from etl import masking, model
from etl.errors import ClaimpostError, ConfigurationError, PermanentError, TransientError
from etl.transport import connections

CONNECT_SECONDS, LOCK_SECONDS, STATEMENT_SECONDS = 10, 30, 600
# A server ends a statement itself after STATEMENT_SECONDS; one that says nothing for longer will never answer.
SILENCE_SECONDS = STATEMENT_SECONDS + LOCK_SECONDS
# A dead line is noticed by the operating system within a minute, long before.
_ALIVE: Final[dict[str, Any]] = {
    "keepalives_idle": 30, "keepalives_interval": 10, "keepalives_count": 3, "tcp_user_timeout": 60_000,
}  # fmt: skip
INSERT_ROWS: Final = 20_000
READ_ROWS: Final = 20_000
COPY_ROWS: Final = 100_000
COPY_BLOCK: Final = 1 << 24  # bytes read at once; longer than any row
# The values of a statement stay out of error texts, and so out of logs.
_QUIET: Final[dict[str, Any]] = {"hide_parameters": True}
# SQLSTATE or error number -> what it means. PostgreSQL appendix A; MariaDB error codes.
_BUSY: Final = {"55P03", "40P01", "40001", "57014", "1205", "1213"}
_AWAY: Final = {"57P01", "57P02", "57P03", "1040", "1053", "2002", "2003", "2006", "2013", "1114", "1021"}
_REFUSED: Final = {"42501", "28000", "28P01", "3D000", "1044", "1045", "1049", "1142", "1143", "1227"}


def engine(url: str | connections.Connection) -> Engine:
    """An engine for a database URL or connection, with our driver and safe session settings.

    SQLite: foreign keys, WAL, full sync, 30 s busy time-out. MariaDB: strict mode, utf8mb4.
    """
    if isinstance(url, connections.Connection):
        if url.kind != connections.DATABASE:
            raise ConfigurationError("CONNECTION", value=url.conn_id, name=url.conn_id.upper(), detail="is no database")
        url = url.url
    target = make_url(connections.database_url("database", url))
    backend = target.get_backend_name()
    if backend == "sqlite":
        return _sqlite(target.render_as_string(hide_password=False), target.database)
    if backend == "postgresql":
        options = {"connect_timeout": CONNECT_SECONDS, **_ALIVE}
        made = create_engine(target, **_QUIET, pool_pre_ping=True, connect_args=options)
        event.listen(made, "do_connect", lambda dialect, entry, args, options: _Answering.connect(*args, **options))
        return made
    made = create_engine(
        target.update_query_dict({"charset": "utf8mb4"}), **_QUIET, pool_pre_ping=True,
        isolation_level="READ COMMITTED",
        connect_args={
            "connect_timeout": CONNECT_SECONDS, "read_timeout": CONNECT_SECONDS, "write_timeout": SILENCE_SECONDS,
        },
    )  # fmt: skip
    event.listen(made, "connect", _strict)
    return made


def _sqlite(url: str, path: str | None) -> Engine:
    if path and path != ":memory:":
        Path(path).parent.mkdir(parents=True, exist_ok=True)
    made = create_engine(url, **_QUIET, connect_args={"timeout": LOCK_SECONDS})
    event.listen(made, "connect", _safe_sqlite)
    event.listen(made, "begin", _begin_sqlite)
    return made


def _safe_sqlite(handle: sqlite3.Connection, _entry: ConnectionPoolEntry) -> None:
    handle.isolation_level = None  # the driver's own BEGIN comes too late for a read that decides a write
    for setting in ("PRAGMA foreign_keys=ON", "PRAGMA journal_mode=WAL", "PRAGMA synchronous=FULL"):
        handle.execute(setting)


def _begin_sqlite(connection: Connection) -> None:
    write = connection.get_execution_options().get("write")
    connection.exec_driver_sql("BEGIN IMMEDIATE" if write else "BEGIN")


class _Answering(psycopg.Connection[Any]):
    """A connection that gives up a server from which nothing has come for SILENCE_SECONDS; psycopg waits for ever."""

    def wait(self, gen: Generator[Any, Any, Any], *args: Any, **options: Any) -> Any:
        try:
            return super().wait(_heard(gen), *args, **options)
        except TimeoutError as error:
            self.pgconn.finish()
            raise psycopg.OperationalError(f"the server has been silent for {SILENCE_SECONDS} s") from error


def _heard(steps: Generator[Any, Any, Any]) -> Generator[Any, Any, Any]:
    """The same generator of waits, ended by TimeoutError when none of them brought anything for SILENCE_SECONDS."""
    try:
        wanted, heard_at = next(steps), time.monotonic()
        while True:
            ready = yield wanted
            if ready:
                heard_at = time.monotonic()
            elif time.monotonic() - heard_at > SILENCE_SECONDS:
                raise TimeoutError
            wanted = steps.send(ready)
    except StopIteration as end:
        return end.value


def _strict(handle: Any, _entry: ConnectionPoolEntry) -> None:
    handle._read_timeout = SILENCE_SECONDS  # logging in had CONNECT_SECONDS; PyMySQL has one limit for both
    with handle.cursor() as cursor:
        cursor.execute("SET SESSION sql_mode = 'STRICT_ALL_TABLES,NO_ZERO_DATE,NO_ZERO_IN_DATE,NO_ENGINE_SUBSTITUTION'")
        cursor.execute("SET SESSION innodb_lock_wait_timeout = %s", (LOCK_SECONDS,))


@contextmanager
def writing(engine: Engine) -> Iterator[Connection]:
    """One transaction that will write: SQLite takes its lock at the start, PostgreSQL waits at most 30 s for a lock."""
    with engine.connect().execution_options(write=True) as connection, connection.begin():
        if connection.dialect.name == "postgresql":
            for setting, seconds in (("lock_timeout", LOCK_SECONDS), ("statement_timeout", STATEMENT_SECONDS)):
                connection.execute(select(func.set_config(setting, f"{seconds}s", True)))
        yield connection


def insert_frame(
    connection: Connection, table: Table | str, frame: pd.DataFrame, null_empty: Collection[str] = ()
) -> int:
    """Insert a frame's rows inside the connection's transaction; columns go by their names.

    In: text and int64 columns; "" becomes NULL in the columns of `null_empty`. PostgreSQL takes them by COPY, others
    in chunks of many rows. Out: the number of rows. Raises SQLAlchemy's errors.
    """
    arrays = {str(name): _array(frame[name], name in null_empty) for name in frame.columns}
    rows = pa.table(arrays)
    if not len(frame):
        return 0
    quote = connection.dialect.identifier_preparer.quote
    name = connection.dialect.identifier_preparer.format_table(table) if isinstance(table, Table) else quote(table)
    columns = ", ".join(quote(column) for column in arrays)
    if connection.dialect.name == "postgresql":
        _copy(connection, f"COPY {name} ({columns}) FROM STDIN (FORMAT csv)", rows)
    else:
        _insert(connection, name, columns, rows)
    return len(frame)


def read_texts(engine: Engine, table: str, columns: Collection[str], rows_max: int) -> pd.DataFrame:
    """Columns of a table or view as text, "" for NULL, in the order of all of them; at most `rows_max` rows and one.

    The database writes the texts, so no driver makes a float of an amount. Raises what `explain` says.
    """
    names: list[ColumnClause[str]] = [sql_column(name) for name in columns]
    texts = [cast(name, String).label(f"c{number}") for number, name in enumerate(names)]
    statement = select(*texts).select_from(sql_table(table)).order_by(*names).limit(rows_max + 1)
    try:
        with engine.connect() as connection:
            rows = connection.execute(statement).all()
    except DBAPIError as error:
        raise explain(error, table) from error
    cells = zip(*rows, strict=True) if rows else [()] * len(names)
    return pd.DataFrame(
        {name: pd.array(["" if v is None else v for v in cell], dtype="str")
         for name, cell in zip(columns, cells, strict=True)}
    )  # fmt: skip


def _rows_of(copy: psycopg.Copy) -> Generator[Any, Any, list[bytes]]:
    """All rows of a COPY in one wait; its own iterator waits once for each row, which costs more than the row."""
    rows = []
    while row := (yield from copy._read_gen()):
        rows.append(bytes(row))
    return rows


def copied(connection: Connection, statement: Select[Any], kinds: Mapping[str, pa.DataType]) -> pa.Table:
    """The rows of a statement by PostgreSQL's COPY, in columns of these names and types; NULL stays null.

    No row becomes Python objects: what a store of millions of rows says costs the database's time and no more.
    """
    handle = connection.connection.driver_connection
    assert isinstance(handle, psycopg.Connection)
    asked = statement.compile(dialect=connection.dialect, compile_kwargs={"render_postcompile": True})
    options = pyarrow.csv.ConvertOptions(
        column_types=kinds, null_values=[""], strings_can_be_null=True, quoted_strings_can_be_null=False
    )
    parse = pyarrow.csv.ParseOptions(newlines_in_values=True, ignore_empty_lines=False)
    sql = f"COPY ({asked}) TO STDOUT (FORMAT csv)"
    try:
        with handle.cursor() as cursor, cursor.copy(sql.encode(), asked.params) as copy:
            content = b"".join(handle.wait(_rows_of(copy)))
    except psycopg.Error as error:
        error.args = tuple(masking.masked(str(part)) for part in error.args)
        raise DBAPIError.instance(sql, None, error, psycopg.Error) from error
    if not content:
        return pa.table({name: pa.array([], type=kind) for name, kind in kinds.items()})
    names = pyarrow.csv.ReadOptions(column_names=list(kinds), block_size=COPY_BLOCK)
    return pyarrow.csv.read_csv(pa.BufferReader(content), names, parse, options)


def read_parts(connection: Connection, statement: Select[Any]) -> Iterator[list[Sequence[Any]]]:
    """The columns of a statement's rows, in parts of READ_ROWS; only one part is here as objects at a time."""
    found = connection.execute(statement.execution_options(stream_results=True, yield_per=READ_ROWS))
    for rows in found.partitions():
        yield list(zip(*rows, strict=True))


def _array(column: pd.Series, null_empty: bool) -> pa.Array:
    if column.dtype != "str":
        return pa.array(column, type=pa.int64())
    array = model.utf8(column)
    return pc.if_else(pc.equal(array, ""), pa.scalar(None, array.type), array) if null_empty else array


def _copy(connection: Connection, statement: str, rows: pa.Table) -> None:
    handle = connection.connection.driver_connection
    assert isinstance(handle, psycopg.Connection)
    options = pyarrow.csv.WriteOptions(include_header=False, quoting_style="all_valid")  # NULL is what is not quoted
    try:
        with handle.cursor() as cursor, cursor.copy(statement.encode()) as copy:
            for start in range(0, rows.num_rows, COPY_ROWS):
                buffer = io.BytesIO()
                pyarrow.csv.write_csv(rows.slice(start, COPY_ROWS), buffer, options)
                copy.write(buffer.getbuffer())
    except psycopg.Error as error:
        error.args = tuple(masking.masked(str(part)) for part in error.args)  # PostgreSQL quotes the row it refuses
        raise DBAPIError.instance(statement, None, error, psycopg.Error) from error


def _insert(connection: Connection, name: str, columns: str, rows: pa.Table) -> None:
    mark = "?" if connection.dialect.paramstyle == "qmark" else "%s"
    statement = f"INSERT INTO {name} ({columns}) VALUES ({', '.join([mark] * rows.num_columns)})"
    for start in range(0, rows.num_rows, INSERT_ROWS):
        part = rows.slice(start, INSERT_ROWS)
        values = list(zip(*[column.to_pylist() for column in part.columns], strict=True))
        connection.exec_driver_sql(statement, values)


def explain(error: DBAPIError, name: str) -> ClaimpostError:
    """What a database error means for the reader: NOT_REACHED, TARGET_BUSY, CONNECTION or TARGET_CONTRACT."""
    code, detail = _code(error), _detail(error)
    if code in _BUSY or "locked" in detail:
        return TransientError("TARGET_BUSY", value=name, detail=detail)
    if code in _REFUSED or "readonly" in detail or ("does not exist" in detail and code == "08001"):
        return ConfigurationError("CONNECTION", value=name, name="...", detail=detail)
    away = code[:2] in ("08", "53") or code in _AWAY or error.connection_invalidated
    if away or ("sqlite" in type(error.orig).__module__ and ("full" in detail or "unable to open" in detail)):
        return TransientError("NOT_REACHED", value=name, detail=detail)
    if isinstance(error.orig, psycopg.OperationalError) and not code:
        return TransientError("NOT_REACHED", value=name, detail=detail)
    return PermanentError("TARGET_CONTRACT", value=name, detail=detail)


def is_repeated(error: DBAPIError) -> bool:
    """Whether the database refused a row because its key is already there."""
    return isinstance(error, IntegrityError) and (
        _code(error) in ("23505", "1062") or "UNIQUE constraint failed" in _detail(error)
    )


def _code(error: DBAPIError) -> str:
    """MariaDB's error number, PostgreSQL's SQLSTATE, or nothing."""
    first = error.orig.args[0] if error.orig is not None and error.orig.args else ""
    return str(first) if isinstance(first, int) else str(getattr(error.orig, "sqlstate", None) or "")


def _detail(error: DBAPIError) -> str:
    """The driver's first line: what is wrong, without the statement and its values."""
    args = error.orig.args if error.orig is not None else ()
    text = str(args[-1]) if args else type(error).__name__
    return masking.masked(text.strip().splitlines()[0]) if text.strip() else type(error).__name__
