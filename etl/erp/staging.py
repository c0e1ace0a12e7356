"""Exactly once into a staging table: one transaction holds the rows, the check of what was written, and the manifest.

The manifest row (batch, sequence, sha256, totals) is written in the transaction of the rows, so its presence proves
them, also after the ERP has taken the rows away. Seen again with the same sha256: done. With another: conflict.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import pandas as pd
from sqlalchemy import (
    BigInteger,
    Column,
    Engine,
    MetaData,
    Numeric,
    String,
    Table,
    Text,
    UniqueConstraint,
    delete,
    insert,
    inspect,
    select,
    text,
)
from sqlalchemy.engine import Connection
from sqlalchemy.exc import DBAPIError
from sqlalchemy.schema import CreateTable

from etl import transport
from etl.erp.contract import check_contract, read_payload, reflected, shown, sum_of, totals_in, totals_of
from etl.errors import ConfigurationError, ConflictError, PermanentError, TransientError
from etl.transport import failpoint

Profile = Mapping[str, Any]
MANIFEST: Final = Table(
    "claimpost_manifest",
    MetaData(),
    Column("batch_id", String(50), primary_key=True),
    Column("target", String(40), nullable=False),
    Column("seq", BigInteger, nullable=False),
    Column("sha256", String(64), nullable=False),
    Column("journals", BigInteger, nullable=False),
    Column("lines", BigInteger, nullable=False),
    Column("debit", Numeric(38, 4).with_variant(Text(), "sqlite"), nullable=False),
    Column("credit", Numeric(38, 4).with_variant(Text(), "sqlite"), nullable=False),
    Column("delivered_at", String(32), nullable=False),
    UniqueConstraint("target", "seq"),
    mysql_charset="utf8mb4",
    mysql_collate="utf8mb4_nopad_bin",
)


def deliver_table(engine: Engine, profile: Profile, batch: Any, payload: bytes, at: str) -> bool:
    """Insert a batch's sealed rows, all or none; False when the manifest says they are there already.

    In: `batch` with batch_id, batch_no, seq, sha256, journals, lines; payload = the sealed CSV. Raises ConflictError
    CONTENT_CHANGED, PermanentError TARGET_CONTRACT, TOTALS_DIFFER or LEDGER_BEHIND_TARGET, ConfigurationError when we
    may not write there, TransientError when the database is busy or away.
    """
    try:
        _ensure_manifest(engine)
        with transport.writing(engine) as connection:
            new = _deliver(connection, profile, batch, payload, at)
        failpoint("table_committed")
        return new
    except (DBAPIError, PermanentError) as error:
        # The link may have died around COMMIT, or another attempt committed its rows beside ours (MariaDB has no lock
        # that ends with the transaction): only the manifest knows whether the rows are there.
        if _is_there(engine, batch):
            return False
        if isinstance(error, DBAPIError):
            raise transport.explain(error, profile["table"]) from error
        raise


def manifest(engine: Engine, target: str) -> list[dict[str, Any]]:
    """What a target has received, in order: batch_id, seq, sha256, journals, lines; none before the first delivery."""
    try:
        with engine.connect() as connection:
            if not inspect(connection).has_table(MANIFEST.name):
                return []
            columns = [MANIFEST.c[name] for name in ("batch_id", "seq", "sha256", "journals", "lines")]
            rows = connection.execute(select(*columns).where(MANIFEST.c.target == target).order_by(MANIFEST.c.seq))
            return [dict(row) for row in rows.mappings()]
    except DBAPIError as error:
        raise transport.explain(error, target) from error


def _ensure_manifest(engine: Engine) -> None:
    """Create the manifest table when it is absent; raises ConfigurationError with the DDL when we may not."""
    if _has_manifest(engine):
        return
    try:
        with transport.writing(engine) as connection:
            if connection.dialect.name == "postgresql":
                connection.exec_driver_sql("SELECT pg_advisory_xact_lock(hashtext('claimpost_manifest'))")
            MANIFEST.create(connection, checkfirst=True)
    except DBAPIError as error:
        if _has_manifest(engine):  # another attempt was faster
            return
        explained = transport.explain(error, MANIFEST.name)
        if isinstance(explained, TransientError):
            raise explained from error
        ddl = " ".join(str(CreateTable(MANIFEST).compile(dialect=engine.dialect)).split())
        detail = f"{explained.facts['detail']}; have its owner create it: {ddl}"
        raise ConfigurationError("CONNECTION", value=MANIFEST.name, name="...", detail=detail) from error


def _has_manifest(engine: Engine) -> bool:
    with engine.connect() as connection:
        return inspect(connection).has_table(MANIFEST.name)


def _is_there(engine: Engine, batch: Any) -> bool:
    try:
        with engine.connect() as connection:
            return _received(connection, batch)
    except DBAPIError:
        return False


def _received(connection: Connection, batch: Any) -> bool:
    """Whether the manifest holds the batch; raises ConflictError when it holds other content under its id."""
    found = connection.execute(select(MANIFEST.c.sha256).where(MANIFEST.c.batch_id == batch.batch_id)).scalar()
    if found is not None and found != batch.sha256:
        raise ConflictError("CONTENT_CHANGED", field="batch", value=batch.batch_id)
    return found is not None


def _deliver(connection: Connection, profile: Profile, batch: Any, payload: bytes, at: str) -> bool:
    if connection.dialect.name == "postgresql":
        lock = text("SELECT pg_advisory_xact_lock(hashtext(:target))")
        connection.execute(lock, {"target": profile["target"]})
    if _received(connection, batch):
        return False
    rows = read_payload(payload, list(profile["columns"]))
    table = reflected(connection, profile["table"])
    check_contract(table, profile, rows)
    _check_sequence(connection, profile, batch)
    _check_group_is_free(connection, table, profile, batch)
    failpoint("table_checked")
    transport.insert_frame(connection, profile["table"], rows, list(rows.columns))
    if "again" in batch.totals and profile["acknowledge"].get("superseded") == "delete":
        _supersede(connection, table, profile, batch)
    failpoint("table_inserted")
    sent = totals_of(rows, profile)
    read = totals_in(connection, table, profile, batch.batch_no)
    if sent != read or (sent["lines"], sent["journals"]) != (batch.lines, batch.journals):
        sealed = f"sealed {batch.lines} lines, {batch.journals} journals"
        raise PermanentError("TOTALS_DIFFER", detail=f"{sealed}; sent {shown(sent)}; the table holds {shown(read)}")
    _write_manifest(connection, profile, batch, rows, at)
    failpoint("table_manifested")
    return True


def _check_sequence(connection: Connection, profile: Profile, batch: Any) -> None:
    where = (MANIFEST.c.target == profile["target"], MANIFEST.c.seq == batch.seq)
    other = connection.execute(select(MANIFEST.c.batch_id).where(*where)).scalar()
    if other is not None:
        detail = f"its number {batch.seq} is batch {other}"
        raise PermanentError("LEDGER_BEHIND_TARGET", value=profile["target"], detail=detail)


def _check_group_is_free(connection: Connection, table: Table, profile: Profile, batch: Any) -> None:
    """No manifest, yet rows or posted journals of this batch: somebody took the manifest away. Absent rows prove
    nothing (the ERP moves them to its ledger), so the ledger is asked too."""
    headers = profile["acknowledge"]["headers"]
    groups = [table.c[profile["group"]]]
    if inspect(connection).has_table(headers):
        groups.append(reflected(connection, headers).c.group_id)
    for column in groups:
        if connection.execute(select(column).where(column == batch.batch_no).limit(1)).first() is not None:
            raise ConflictError("CONTENT_CHANGED", field=f"{column.table.name}.{column.name}", value=batch.batch_no)


def _supersede(connection: Connection, table: Table, profile: Profile, batch: Any) -> None:
    """Take the journals of this batch out of the groups in which the ERP refused them, so that it cannot import them
    there as well. Raises ConflictError when it has done so meanwhile."""
    sealed = table.alias()
    ours = select(sealed.c[profile["key"][0]]).where(sealed.c[profile["group"]] == batch.batch_no)
    elsewhere = (table.c[profile["group"]] != batch.batch_no, table.c[profile["key"][0]].in_(ours))
    connection.execute(delete(table).where(*elsewhere))
    if inspect(connection).has_table(profile["acknowledge"]["headers"]):
        posted = reflected(connection, profile["acknowledge"]["headers"]).c
        there = (posted.group_id != batch.batch_no, posted.external_reference.in_(ours))
        found = connection.execute(select(posted.external_reference).where(*there).limit(1)).scalar()
        if found is not None:
            field = f"{posted.external_reference.table.name}.{posted.external_reference.name}"
            raise ConflictError("CONTENT_CHANGED", field=field, value=found)


def _write_manifest(connection: Connection, profile: Profile, batch: Any, rows: pd.DataFrame, at: str) -> None:
    row = {"batch_id": batch.batch_id, "target": profile["target"], "seq": batch.seq, "sha256": batch.sha256}
    row |= {"journals": batch.journals, "lines": batch.lines, "delivered_at": at}
    by_kind = {rule["amount"]: name for name, rule in profile["columns"].items() if "amount" in rule}
    as_text = connection.dialect.name == "sqlite"
    for side in ("debit", "credit"):
        amount = sum_of(rows[by_kind[side]])
        row[side] = str(amount) if as_text else amount
    connection.execute(insert(MANIFEST), row)
