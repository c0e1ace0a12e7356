"""Exactly once into a staging table: one transaction holds the rows, the check of what was written, and the manifest.

The manifest row (batch, sequence, sha256, totals) is written in the transaction of the rows, so its presence proves
them, also after the ERP has taken the rows away. Seen again with the same sha256: done. With another: conflict.
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, Final

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
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
    cast,
    func,
    insert,
    inspect,
    select,
    text,
)
from sqlalchemy.engine import Connection
from sqlalchemy.exc import DBAPIError

from etl import model, transport
from etl.erp.answers import acknowledgements, ledger
from etl.errors import ClaimpostError, ConflictError, PermanentError
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
    CONTENT_CHANGED, PermanentError TARGET_CONTRACT or TOTALS_DIFFER, TransientError when the database is busy or away.
    """
    try:
        _ensure_manifest(engine)
        with transport.writing(engine) as connection:
            return _deliver(connection, profile, batch, payload, at)
    except DBAPIError as error:
        # The link may have died around COMMIT: only the manifest knows whether the rows are there.
        if _is_there(engine, batch):
            return False
        raise transport.explain(error, profile["table"]) from error


def manifest(engine: Engine, target: str) -> list[tuple[str, int]]:
    """Batch ids and sequence numbers that a target has received, in order; none before the first delivery."""
    try:
        with engine.connect() as connection:
            if not inspect(connection).has_table(MANIFEST.name):
                return []
            columns = (MANIFEST.c.batch_id, MANIFEST.c.seq)
            rows = connection.execute(select(*columns).where(MANIFEST.c.target == target).order_by(MANIFEST.c.seq))
            return [(str(batch_id), int(seq)) for batch_id, seq in rows]
    except DBAPIError as error:
        raise transport.explain(error, target) from error


def _ensure_manifest(engine: Engine) -> None:
    with engine.connect() as connection:
        if inspect(connection).has_table(MANIFEST.name):
            return
    with transport.writing(engine) as connection:
        if connection.dialect.name == "postgresql":
            connection.exec_driver_sql("SELECT pg_advisory_xact_lock(hashtext('claimpost_manifest'))")
        MANIFEST.create(connection, checkfirst=True)


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
    _check_contract(connection, profile)
    rows = _rows(payload)
    failpoint("table_before_rows")
    transport.insert_frame(connection, profile["table"], rows, list(rows.columns))
    failpoint("table_after_rows")
    sent, read = _totals_of(rows, profile), _read_back(connection, profile, batch)
    if sent != read or sent["lines"] != batch.lines:
        raise PermanentError("TOTALS_DIFFER", detail=f"sent {_shown(sent)}, the table holds {_shown(read)}")
    debit, credit = (_sum_of(rows, c) for c in _sides(profile))
    row = {"batch_id": batch.batch_id, "target": profile["target"], "seq": batch.seq, "sha256": batch.sha256}
    row |= {"journals": batch.journals, "lines": batch.lines, "debit": str(debit), "credit": str(credit)}
    connection.execute(insert(MANIFEST), {**row, "delivered_at": at})
    failpoint("table_before_commit")
    return True


def _check_contract(connection: Connection, profile: Profile) -> None:
    """The ERP's table must have every column, wide enough: nothing may be cut or left out silently."""
    name = profile["table"]
    if not inspect(connection).has_table(name):
        raise PermanentError("TARGET_CONTRACT", value=name, detail="the table does not exist")
    there = {column["name"].lower(): column["type"] for column in inspect(connection).get_columns(name)}
    for column, rule in profile["columns"].items():
        if column not in there:
            raise PermanentError("TARGET_CONTRACT", value=name, detail=f"column {column} is missing")
        length = getattr(there[column], "length", None)
        if "max" in rule and length is not None and length < int(rule["max"]):
            detail = f"column {column} holds {length} characters, {rule['max']} are needed"
            raise PermanentError("TARGET_CONTRACT", value=name, detail=detail)


def _rows(payload: bytes) -> pd.DataFrame:
    """The sealed rows as text, "" where the sealed CSV has no value."""
    names = pa.csv.open_csv(io.BytesIO(payload)).schema.names
    options = pa.csv.ConvertOptions(column_types={name: pa.large_string() for name in names}, strings_can_be_null=False)
    table = pa.csv.read_csv(io.BytesIO(payload), convert_options=options, parse_options=pa.csv.ParseOptions(newlines_in_values=True))
    return pd.DataFrame({name: model.texts(table[name].combine_chunks()) for name in names})


def _amount_columns(profile: Profile) -> list[str]:
    return [name for name, rule in profile["columns"].items() if "amount" in rule]


def _sides(profile: Profile) -> tuple[str, str]:
    by_kind = {rule["amount"]: name for name, rule in profile["columns"].items() if "amount" in rule}
    return by_kind["debit"], by_kind["credit"]


def _sum_of(rows: pd.DataFrame, column: str) -> Decimal:
    """The exact sum of decimal text, "" counting as nothing."""
    plain = pc.replace_substring_regex(model.utf8(rows[column]), "^$", "0")
    return Decimal(pc.sum(pc.cast(plain, pa.decimal128(38, 4))).as_py() or 0)


def _totals_of(rows: pd.DataFrame, profile: Profile) -> dict[str, Any]:
    return {"lines": len(rows), **{name: _sum_of(rows, name) for name in _amount_columns(profile)}}


def _read_back(connection: Connection, profile: Profile, batch: Any) -> dict[str, Any]:
    """Count and sums as the table holds them; SQLite keeps amounts as text, so there they are added here."""
    names = _amount_columns(profile)
    table = _reflected(connection, profile["table"])
    mine = table.c[profile["group"]] == batch.batch_no
    if connection.dialect.name == "sqlite":
        statement = select(*[func.coalesce(cast(table.c[name], Text), "") for name in names]).where(mine)
        rows = _frame(connection, statement, names)
        return {"lines": len(rows), **{name: _sum_of(rows, name) for name in names}}
    sums = connection.execute(select(func.count(), *[func.sum(table.c[name]) for name in names]).where(mine)).one()
    return {"lines": int(sums[0]), **{n: Decimal(v or 0) for n, v in zip(names, sums[1:], strict=True)}}


def _reflected(connection: Connection, name: str) -> Table:
    try:
        return Table(name, MetaData(), autoload_with=connection)
    except ClaimpostError:
        raise
    except Exception as error:
        raise PermanentError("TARGET_CONTRACT", value=name, detail="the table does not exist") from error


def _shown(totals: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in totals.items())


def _frame(connection: Connection, statement: Any, names: Sequence[str]) -> pd.DataFrame:
    """A query's rows as text columns, NULL as ""."""
    rows = connection.execute(statement).all()
    columns = list(zip(*rows, strict=True)) if rows else [()] * len(names)
    return pd.DataFrame({n: model.texts(["" if v is None else str(v) for v in c]) for n, c in zip(names, columns, strict=True)})


# --- answers


def acknowledge_table(engine: Engine, profile: Profile, batch: Any) -> pd.DataFrame:
    """The ERP's answers to one batch (model.ACKNOWLEDGEMENT_COLUMNS); journals it has not judged are left out.

    Posted only when a header with our reference exists; a refused row's status is the code; `P` means that another
    journal of the group failed (erp-formats 0.4).
    """
    ack = profile["acknowledge"]
    with engine.connect() as connection:
        headers, interface = (_reflected(connection, name) for name in (ack["headers"], profile["table"]))
        h, i = headers.c, interface.c
        posted = connection.execute(
            select(h.external_reference, h.period_name, h.doc_sequence_value).where(h.group_id == batch.batch_no)
        ).all()
        status = i[ack["status"]]
        refused = connection.execute(
            select(i[profile["key"][0]], status, func.max(i.status_description))
            .where(i[profile["group"]] == batch.batch_no, status != "NEW")
            .group_by(i[profile["key"][0]], status)
        ).all()
    siblings = ack.get("rejected", {}).get("sibling", [])
    rows = [(str(key), "posted", f"{period}/{number}", "", "") for key, period, number in posted]
    done = {row[0] for row in rows}
    for key, code, message in refused:
        level = "sibling" if code in siblings else "rejected"
        if str(key) not in done:
            rows.append((str(key), level, "", str(code), str(message or "")))
    return acknowledgements(rows)


def read_ledger_table(engine: Engine, profile: Profile) -> pd.DataFrame:
    """Every line the ERP has posted with our mark (model.ERP_LINE_COLUMNS), read from its own ledger tables."""
    ack = profile["acknowledge"]
    names = [c for c in model.ERP_LINE_COLUMNS if not c.endswith("_minor")] + ["debit", "credit"]
    try:
        with engine.connect() as connection:
            if not inspect(connection).has_table(ack["lines"]):
                raise PermanentError("TARGET_CONTRACT", value=ack["lines"], detail="the table does not exist")
            h, line = (_reflected(connection, ack[name]).c for name in ("headers", "lines"))
            statement = select(
                line.reference_1, h.period_name, h.doc_sequence_value, line.segment1, line.effective_date,
                line.period_name, line.currency_code, line.segment3, line.entered_dr, line.entered_cr,
            ).join_from(h.je_header_id.table, line.je_header_id.table, h.je_header_id == line.je_header_id)  # fmt: skip
            raw = [
                "journal_key", "document_period", "document_no", "company", "posting_date", "period", "currency",
                "account", "debit", "credit",
            ]  # fmt: skip
            found = _frame(connection, statement.order_by(line.je_header_id, line.je_line_num), raw)
    except DBAPIError as error:
        raise transport.explain(error, ack["lines"]) from error
    documents = model.joined([model.utf8(found["document_period"]), model.utf8(found["document_no"])], "/")
    texts = {name: documents if name == "erp_document" else model.utf8(found[name]) for name in names}
    return ledger(texts, ack["lines"])
