"""What the ERP answers in its own tables: refused rows stay in the interface, posted ones are in the ledger."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import pandas as pd
import pyarrow as pa
from sqlalchemy import Engine, func, select, true
from sqlalchemy.engine import Connection
from sqlalchemy.exc import DBAPIError

from etl import model, transport
from etl.erp.answers import EVERYTHING, Wanted, acknowledgements, ledger
from etl.erp.contract import reflected

Profile = Mapping[str, Any]
NEW = "NEW"
IN_MAX = 500  # values of one IN list
POSTED = "P"  # of a header; every other status is a draft, which the ERP may still change or drop


def acknowledge_table(engine: Engine, profile: Profile, batch: Any) -> pd.DataFrame:
    """The ERP's answers to one batch (model.ACKNOWLEDGEMENT_COLUMNS); journals it has not judged are left out.

    Posted only when a posted header with our reference exists and no row of it stands refused: with both, the ERP
    contradicts itself, and the refusal is the answer, which reconciliation holds against the ledger. A refused row's
    status is the code; a sibling's status means that another journal of the group failed (erp-formats 0.4); a warning
    alone is no answer. Rows that merely left the interface prove nothing. Raises PermanentError TARGET_CONTRACT,
    TransientError.
    """
    with _reading(engine, profile["table"]) as connection:
        posted, statuses = _headers(connection, profile, batch), _statuses(connection, profile, batch)
    refusals: dict[str, list[tuple[str, str]]] = {}
    for key, status, message in statuses:
        refusals.setdefault(str(key), []).append((str(status), str(message or "")))
    answers = [answer for key, found in refusals.items() if (answer := _refusal(key, found, profile["acknowledge"]))]
    done = {str(key) for key, _, _ in posted} - {answer[0] for answer in answers if answer[1] == "rejected"}
    rows = [(str(key), "posted", f"{period}/{number}", "", "") for key, period, number in posted if str(key) in done]
    return acknowledgements([*rows, *[answer for answer in answers if answer[0] not in done]])


def _headers(connection: Connection, profile: Profile, batch: Any) -> Sequence[Any]:
    h = reflected(connection, profile["acknowledge"]["headers"]).c
    statement = select(h.external_reference, h.period_name, h.doc_sequence_value).where(h.group_id == batch.batch_no)
    statement = statement.where(_is_posted(h))
    return connection.execute(statement.order_by(h.external_reference, h.doc_sequence_value)).all()


def _is_posted(headers: Any) -> Any:
    """Drafts are not posted; a view of the ledger without a status shows posted journals only."""
    return headers.status == POSTED if "status" in headers else true()


def _statuses(connection: Connection, profile: Profile, batch: Any) -> Sequence[Any]:
    i = reflected(connection, profile["table"]).c
    key, status = i[profile["key"][0]], i[profile["acknowledge"]["status"]]
    statement = select(key, status, func.max(i.status_description)).where(i[profile["group"]] == batch.batch_no)
    return connection.execute(statement.where(status != NEW).group_by(key, status).order_by(key, status)).all()


def _refusal(
    key: str, found: Sequence[tuple[str, str]], ack: Mapping[str, Any]
) -> tuple[str, str, str, str, str] | None:
    """One answer from the statuses of a journal's rows: its own faults before a sibling's; None for warnings alone."""
    warnings, siblings = ack.get("warnings", []), ack.get("rejected", {}).get("sibling", [])
    real = [(code, message) for code, message in found if code not in warnings]
    own = [(code, message) for code, message in real if code not in siblings]
    if not real:
        return None
    codes, messages = zip(*(own or real), strict=True)
    text = "; ".join(dict.fromkeys(message for message in messages if message))
    return key, "rejected" if own else "sibling", "", ",".join(codes), text


def read_ledger_table(engine: Engine, profile: Profile, wanted: Wanted = EVERYTHING) -> pd.DataFrame:
    """The lines the ERP has posted with our mark (model.ERP_LINE_COLUMNS), read from its own ledger tables.

    The database chooses what is `wanted`, and hands it over in pieces: a ledger of years is never here whole.
    """
    ack = profile["acknowledge"]
    raw = [
        "journal_key", "document_period", "document_no", "company", "posting_date", "period", "currency", "account",
        "debit", "credit",
    ]  # fmt: skip
    with _reading(engine, ack["lines"]) as connection:
        headers, lines = (reflected(connection, ack[name]) for name in ("headers", "lines"))
        h, line = headers.c, lines.c
        statement = select(
            line.reference_1, h.period_name, h.doc_sequence_value, line.segment1, line.effective_date,
            line.period_name, line.currency_code, line.segment3, line.entered_dr, line.entered_cr,
        ).join_from(headers, lines, h.je_header_id == line.je_header_id).where(_is_posted(h))  # fmt: skip
        parts = [ledger(_texts(raw, [()] * len(raw)), ack["lines"])]
        for one in _chosen(connection, statement, line, wanted):
            for columns in transport.read_parts(connection, one):
                part = ledger(_texts(raw, columns), ack["lines"])
                parts.append(part[wanted.lines(part)])
    return pd.concat(parts, ignore_index=True)


def _chosen(connection: Connection, statement: Any, line: Any, wanted: Wanted) -> Iterator[Any]:
    """The statements that together give what is wanted: of a period its lines, and ours that stand in another one."""
    if not wanted.period:
        yield statement
        return
    yield statement.where(line.period_name == wanted.period)
    elsewhere = select(line.reference_1).where(line.period_name != wanted.period).distinct()
    keys: list[str] = []
    for (part,) in transport.read_parts(connection, elsewhere):
        found = model.texts([key or "" for key in part])
        keys += found[wanted.ours(found)].tolist()
    for start in range(0, len(keys), IN_MAX):
        part = keys[start : start + IN_MAX]
        yield statement.where(line.period_name != wanted.period, line.reference_1.in_(part))


@contextmanager
def _reading(engine: Engine, name: str) -> Iterator[Connection]:
    try:
        with engine.connect() as connection:
            yield connection
    except DBAPIError as error:
        raise transport.explain(error, name) from error


def _texts(names: Sequence[str], columns: Sequence[Sequence[Any]]) -> dict[str, pa.Array]:
    """A query's columns as text, NULL as "", and the document's own name from its two parts."""
    texts = {
        name: pa.array(["" if v is None else v if v.__class__ is str else _text(v) for v in cells], pa.large_string())
        for name, cells in zip(names, columns, strict=True)
    }
    return texts | {"erp_document": model.joined([texts["document_period"], texts["document_no"]], "/")}


def _text(value: Any) -> str:
    return f"{value:f}" if hasattr(value, "as_tuple") else str(value)
