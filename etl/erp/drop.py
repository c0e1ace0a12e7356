"""Exactly once into a file drop: the part file is the token, its rename is the publication (reliability 2.5).

Each attempt writes its own part file, reads it back, and claims the batch in the store; only the one claimed part can
be renamed, by anybody, once. A token that is gone proves the rename, also when the ERP has taken the file already.
"""

from __future__ import annotations

import csv
import hashlib
import io
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import pandas as pd
import pyarrow as pa

from etl import model
from etl.erp import vendor
from etl.erp.answers import EVERYTHING, Wanted, acknowledgements, ledger
from etl.errors import ConflictError, PermanentError, TransientError
from etl.transport import Folder, failpoint

ACKNOWLEDGEMENTS: Final = "ack"
TAKEN: Final = "taken"
PARTS_KEPT_MAX: Final = 20
_ACK: Final = ["batch_id", "journal_key", "level", "erp_document", "code", "message"]
_LEDGER: Final = [c for c in model.ERP_LINE_COLUMNS if not c.endswith("_minor")] + ["debit", "credit"]


def deliver_file(session: Folder, name: str, payload: bytes, batch: Any, claim: Callable[[str], bool]) -> None:
    """Publish a sealed file under its name, whole and once.

    In: `batch` as `begin_delivery` returned it (batch_id, sha256, state, epoch, token); `claim(part)` moves it from
    sealed to publishing in the store and says whether this attempt won. Returning means: the file is or was there.
    Raises ConflictError CONTENT_CHANGED when other bytes lie under the name, PermanentError NO_ATOMIC_RENAME,
    TransientError when the server is away or another attempt has taken over.
    """
    part = batch.token
    if batch.state != "publishing":
        session.check_rename()
        part = f".{batch.batch_id}.part.{batch.epoch}"
        there = _is_there(session, name, batch.sha256)
        if not there:
            _write(session, part, payload, batch.sha256)
        if not claim(part):
            session.remove(part)
            raise TransientError("TARGET_BUSY", value=name, detail="another attempt has taken over")
        failpoint("file_claimed")
    _promote(session, part, name)
    failpoint("file_renamed")
    for epoch in range(max(1, batch.epoch - PARTS_KEPT_MAX), batch.epoch + 1):
        session.remove(f".{batch.batch_id}.part.{epoch}")  # left by attempts that died; none can be claimed any more


def _is_there(session: Folder, name: str, sha256: str) -> bool:
    """Whether the ERP has these bytes already: the store is older than the drop. Raises ConflictError for others."""
    for place in (name, f"{TAKEN}/{name}"):
        if session.stat(place) is None:
            continue
        try:
            content = session.read(place)
        except FileNotFoundError:
            return True  # the ERP took it between the two looks; the name of a batch stands for its content
        if hashlib.sha256(content).hexdigest() != sha256:
            raise ConflictError("CONTENT_CHANGED", field="file", value=name)
        return True
    return False


def _write(session: Folder, part: str, payload: bytes, sha256: str) -> None:
    """This attempt's own part file, read back; one that reads back differently is removed."""
    try:
        session.write_new(part, payload)
        failpoint("file_written")
        same = hashlib.sha256(session.read(part)).hexdigest() == sha256
    except (FileExistsError, FileNotFoundError) as error:
        detail = "another attempt is at work on the same part file"
        raise TransientError("TARGET_BUSY", value=part, detail=detail) from error
    if not same:
        session.remove(part)
        raise TransientError("NOT_REACHED", value=session.label, detail="what was written reads back differently")
    failpoint("file_verified")


def _promote(session: Folder, token: str, name: str) -> None:
    try:
        session.posix_rename(token, name)
    except FileNotFoundError:
        return  # renamed before: a token can be renamed only once


def received(session: Folder, profile: Mapping[str, Any], beginnings: Sequence[str]) -> set[str]:
    """The batches whose id begins so and that left a trace in the drop: a file there or taken, or an answer."""
    ack = profile["acknowledge"]
    answer = ack.get("answer") or f"{ACKNOWLEDGEMENTS}/{ack['acknowledgements']}"
    found = set()
    for template in (profile["file"], f"{TAKEN}/{profile['file']}", answer):
        folder, _, name = template.rpartition("/")
        before, _, after = name.partition("{batch_id}")
        for info in session.files(folder):
            batch_id = info.name.removeprefix(before).removesuffix(after)
            if info.name == f"{before}{batch_id}{after}" and batch_id.startswith(tuple(beginnings)):
                found.add(batch_id)
    return found


# --- answers


def acknowledge_file(
    session: Folder, profile: Mapping[str, Any], batch_id: str, sealed: Callable[[], bytes] = bytes
) -> pd.DataFrame:
    """The ERP's answers to one batch (model.ACKNOWLEDGEMENT_COLUMNS); empty while it has written none.

    `sealed` gives the delivered bytes to the kinds that need them. Raises PermanentError ANSWER_UNREADABLE.
    """
    ack = profile["acknowledge"]
    if ack["kind"] in vendor.READERS:
        name = ack["answer"].replace("{batch_id}", batch_id)
        content = _answer(session, name)
        return acknowledgements([] if content is None else vendor.read(profile, content, sealed, name))
    name = f"{ACKNOWLEDGEMENTS}/{ack['acknowledgements'].replace('{batch_id}', batch_id)}"
    if session.stat(name) is None:
        return acknowledgements([])
    rows = [row for row in _records(session.read(name), name, _ACK) if row[0] == batch_id]
    return acknowledgements([row[1:] for row in rows])


def _answer(session: Folder, name: str) -> bytes | None:
    """The file of an answer; None when there is none yet."""
    found = session.stat(name)
    if found is not None and found.size > vendor.ANSWER_BYTES_MAX:
        raise PermanentError(
            "ANSWER_UNREADABLE", file=name, detail=f"it has {found.size} bytes, at most {vendor.ANSWER_BYTES_MAX}"
        )
    return session.read(name) if found else None


def read_ledger_file(session: Folder, profile: Mapping[str, Any], wanted: Wanted = EVERYTHING) -> pd.DataFrame:
    """The lines the ERP says it posted (model.ERP_LINE_COLUMNS), from the extracts beside its acknowledgements.

    `wanted.lines` says of the lines of a file which to keep.
    """
    ending = profile["acknowledge"]["ledger"].replace("{batch_id}", "")
    parts = [_ledger([], session.label)]
    for info in session.files(ACKNOWLEDGEMENTS):
        if info.name.endswith(ending) and not info.name.startswith("."):
            rows = _records(session.read(f"{ACKNOWLEDGEMENTS}/{info.name}"), info.name, _LEDGER)
            part = _ledger(rows, session.label)
            parts.append(part[wanted.lines(part)])
    return pd.concat(parts, ignore_index=True)


def _ledger(rows: list[list[str]], label: str) -> pd.DataFrame:
    columns = list(zip(*rows, strict=True)) if rows else [()] * len(_LEDGER)
    return ledger({name: pa.array(c, pa.large_string()) for name, c in zip(_LEDGER, columns, strict=True)}, label)


def _records(content: bytes, name: str, columns: list[str]) -> list[list[str]]:
    try:
        records = list(csv.reader(io.StringIO(content.decode("utf-8"), newline=""), strict=True))
    except (csv.Error, UnicodeDecodeError) as error:
        raise PermanentError("TARGET_CONTRACT", value=name, detail=f"it is no CSV in UTF-8: {error}") from error
    if not records or records[0] != columns or any(len(row) != len(columns) for row in records):
        hint = vendor.other_delimiter(records[0], ",") if records else ""
        detail = f"it must have the columns {', '.join(columns)}{hint}"
        raise PermanentError("TARGET_CONTRACT", value=name, detail=detail)
    return records[1:]
