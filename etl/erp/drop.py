"""Exactly once into a file drop: the part file is the token, its rename is the publication (reliability 2.5).

Each attempt writes its own part file, reads it back, and claims the batch in the store; only the one claimed part can
be renamed, by anybody, once. A token that is gone proves the rename, also when the ERP has taken the file already.
"""

from __future__ import annotations

import csv
import hashlib
import io
from collections.abc import Callable, Mapping
from typing import Any, Final

import pandas as pd
import pyarrow as pa

from etl import model
from etl.erp.answers import acknowledgements, ledger
from etl.errors import ConflictError, PermanentError, TransientError
from etl.transport import Folder, failpoint

ACKNOWLEDGEMENTS: Final = "ack"
_ACK: Final = ["batch_id", "journal_key", "level", "erp_document", "code", "message"]
_LEDGER: Final = [c for c in model.ERP_LINE_COLUMNS if not c.endswith("_minor")] + ["debit", "credit"]


def deliver_file(session: Folder, name: str, payload: bytes, batch: Any, claim: Callable[[str], bool]) -> None:
    """Publish a sealed file under its name, whole and once.

    In: `batch` as `begin_delivery` returned it (batch_id, sha256, state, epoch, token); `claim(part)` moves it from
    sealed to publishing in the store and says whether this attempt won. Raises ConflictError CONTENT_CHANGED when
    other bytes lie under the name, PermanentError NO_ATOMIC_RENAME, TransientError when the server is away.
    """
    if batch.state == "publishing":
        _promote(session, batch.token, name)
        return
    session.check_rename()
    if session.stat(name) is not None:
        if hashlib.sha256(session.read(name)).hexdigest() != batch.sha256:
            raise ConflictError("CONTENT_CHANGED", field="file", value=name)
    part = f".{batch.batch_id}.part.{batch.epoch}"
    session.write_new(part, payload)
    failpoint("file_written")
    if hashlib.sha256(session.read(part)).hexdigest() != batch.sha256:
        session.remove(part)
        raise TransientError("NOT_REACHED", value=session.label, detail="what was written reads back differently")
    failpoint("file_verified")
    if not claim(part):
        session.remove(part)
        return
    failpoint("file_claimed")
    _promote(session, part, name)
    failpoint("file_renamed")


def _promote(session: Folder, token: str, name: str) -> None:
    try:
        session.posix_rename(token, name)
    except FileNotFoundError:
        return  # renamed before: a token can be renamed only once


# --- answers


def acknowledge_file(session: Folder, profile: Mapping[str, Any], batch_id: str) -> pd.DataFrame:
    """The ERP's answers to one batch (model.ACKNOWLEDGEMENT_COLUMNS); empty while it has written none."""
    name = f"{ACKNOWLEDGEMENTS}/{profile['acknowledge']['acknowledgements'].replace('{batch_id}', batch_id)}"
    if session.stat(name) is None:
        return acknowledgements([])
    rows = [row for row in _records(session.read(name), name, _ACK) if row[0] == batch_id]
    return acknowledgements([row[1:] for row in rows])


def read_ledger_file(session: Folder, profile: Mapping[str, Any]) -> pd.DataFrame:
    """Every line the ERP says it posted (model.ERP_LINE_COLUMNS), from the extracts beside its acknowledgements."""
    ending = profile["acknowledge"]["ledger"].replace("{batch_id}", "")
    rows: list[list[str]] = []
    for info in session.files(ACKNOWLEDGEMENTS):
        if info.name.endswith(ending) and not info.name.startswith("."):
            rows += _records(session.read(f"{ACKNOWLEDGEMENTS}/{info.name}"), info.name, _LEDGER)
    columns = list(zip(*rows, strict=True)) if rows else [()] * len(_LEDGER)
    texts = {name: pa.array(list(c), type=pa.large_string()) for name, c in zip(_LEDGER, columns, strict=True)}
    return ledger(texts, session.label)


def _records(content: bytes, name: str, columns: list[str]) -> list[list[str]]:
    try:
        records = list(csv.reader(io.StringIO(content.decode("utf-8"), newline=""), strict=True))
    except (csv.Error, UnicodeDecodeError) as error:
        raise PermanentError("TARGET_CONTRACT", value=name, detail=f"is no CSV in UTF-8: {error}") from error
    if not records or records[0] != columns or any(len(row) != len(columns) for row in records):
        raise PermanentError("TARGET_CONTRACT", value=name, detail=f"must have the columns {', '.join(columns)}")
    return records[1:]
