"""Steps 3 and 4: sealed batches to their targets, and what the ERP answers."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from etl import erp, journal, render, transport
from etl.errors import ConflictError, PermanentError
from etl.mode import kept_back
from etl.pipeline import lineage
from etl.pipeline.context import Context, now
from etl.store import Batch
from etl.transport import failpoint

UNDELIVERED = ("sealed", "publishing")
UNANSWERED = ("publishing", "published")


def load(context: Context, batch_id: str) -> str:
    """Deliver one batch; returns its state. A batch that is delivered already is left alone.

    Raises PermanentError SHADOW_BATCH for a batch that is kept back because its feed is, or was, in shadow.
    """
    batch = context.store.batch(batch_id)
    if batch.state not in UNDELIVERED:
        return batch.state
    kept = kept_back(context.bundle.feed, context.store, [batch])
    if kept:
        raise PermanentError("SHADOW_BATCH", value=batch_id, detail=kept[batch_id])
    payload = _sealed_bytes(context, batch)
    batch = context.store.begin_delivery(batch_id)
    profile, entry = context.profile(batch.target), context.target_entry(batch.target)
    failpoint("begun")
    with lineage.loading(context, batch):
        DELIVERIES[profile["kind"]](context, batch, payload, profile, entry)
    failpoint("published")
    return context.store.batch(batch_id).state


def _sealed_bytes(context: Context, batch: Batch) -> bytes:
    """The batch's sealed bytes, proved by their sha256."""
    path = context.batch_folder(batch.folder) / render.file_name(context.profile(batch.target), batch.batch_id)
    payload = path.read_bytes()
    if hashlib.sha256(payload).hexdigest() != batch.sha256:
        raise ConflictError("CONTENT_CHANGED", field="sealed file", value=str(path))
    return payload


def _load_table(
    context: Context, batch: Batch, payload: bytes, profile: Mapping[str, Any], entry: Mapping[str, Any]
) -> None:
    engine = transport.engine(context.connection(entry))
    try:
        _check_ledger(context, batch, {row["batch_id"] for row in erp.manifest(engine, batch.target)})
        erp.deliver_table(engine, profile, batch, payload, now())
    finally:
        engine.dispose()
    context.store.move_batch(batch.batch_id, "sealed", "publishing")
    failpoint("table_marked")
    context.store.move_batch(batch.batch_id, "publishing", "published")


def _check_ledger(context: Context, batch: Batch, received: set[str]) -> None:
    """Refuse to deliver when the target holds batches the store never made: it was restored or is another one.

    A batch that the target holds already is not delivered by loading it, only marked: so a restored store whose source
    sends everything again finds its way back batch by batch.
    """
    known = {one.batch_id for one in context.store.batches(target=batch.target)}
    strange = sorted(received - known)
    if strange and batch.batch_id not in received:
        detail = f"batch {strange[0]} and {len(strange) - 1} more"
        raise PermanentError("LEDGER_BEHIND_TARGET", value=batch.target, detail=detail)


def _load_file(
    context: Context, batch: Batch, payload: bytes, profile: Mapping[str, Any], entry: Mapping[str, Any]
) -> None:
    def claim(part: str) -> bool:
        return context.store.move_batch(batch.batch_id, "sealed", "publishing", epoch=batch.epoch, token=part)

    name = render.file_name(profile, batch.batch_id)
    with transport.folder(context.connection(entry), entry.get("path", "")) as session:
        if batch.state == "sealed" and len(
            answers := erp.acknowledge_file(session, profile, batch.batch_id, lambda: payload)
        ):
            # The store is older than the drop, restored from a backup: what the ERP has answered is never sent again.
            context.store.acknowledge(batch.batch_id, answers)
            return
        if batch.state == "sealed":
            ours = [journal.beginning(context.feed_id, company) for company in entry["companies"]]
            _check_ledger(context, batch, erp.received(session, profile, ours))
        erp.deliver_file(session, name, payload, batch, claim)
    context.store.move_batch(batch.batch_id, "publishing", "published")


DELIVERIES = {
    "table": _load_table, "text": _load_file, "delimited": _load_file, "json": _load_file, "xml": _load_file,
    "fixed": _load_file, "xlsx": _load_file,
}  # fmt: skip


def acknowledge(context: Context, batch_id: str) -> dict[str, int]:
    """Read the ERP's answers to one batch and remember them.

    Out: journals posted, rejected (given up since, too) and still open (unknown), and answers for journals that the
    batch does not hold (strangers), which `claimpost show batch` names.
    """
    batch = context.store.batch(batch_id)
    profile, entry = context.profile(batch.target), context.target_entry(batch.target)
    connection = context.connection(entry)
    if profile["acknowledge"]["kind"] == "table":
        engine = transport.engine(connection)
        try:
            answers = erp.acknowledge_table(engine, profile, batch)
        finally:
            engine.dispose()
    else:
        with transport.folder(connection, entry.get("path", "")) as session:
            answers = erp.acknowledge_file(session, profile, batch_id, partial(_sealed_bytes, context, batch))
    failpoint("answered")
    strangers = context.store.acknowledge(batch_id, answers).strangers if len(answers) else ()
    failpoint("acknowledged")
    counts = context.store.members(batch_id=batch_id)["state"].value_counts(sort=False)
    posted, rejected = int(counts.get("posted", 0)), int(counts.get("rejected", 0) + counts.get("void", 0))
    left = batch.journals - posted - rejected
    return {"posted": posted, "rejected": rejected, "unknown": left, "strangers": len(strangers)}


def acknowledge_all(context: Context) -> dict[str, int]:
    """`acknowledge` for every delivered batch of the feed without a full answer, or with a journal refused so far.

    A batch whose answer is a conflict keeps no other from being read; the first such ConflictError is raised then.
    """
    conflicts = []
    total = {"posted": 0, "rejected": 0, "unknown": 0, "strangers": 0}
    refused = set(context.store.members(feed_id=context.feed_id, state="rejected")["batch_id"])
    for batch in context.store.batches(context.feed_id):
        if batch.state not in UNANSWERED and batch.batch_id not in refused:
            continue
        try:
            for name, count in acknowledge(context, batch.batch_id).items():
                total[name] += count
        except ConflictError as error:
            conflicts.append(error)
    if conflicts:
        raise conflicts[0]
    return total


# --- the bundled sandbox ERP, for feeds that say `simulator: yes`


def prepare(context: Context) -> None:
    """Have the sandbox ERP create its tables and folders at the feed's targets."""
    _sandbox(context, "prepare")


def simulate(context: Context, batch_id: str = "") -> None:
    """Have the sandbox ERP import what lies at the feed's targets, or at one batch's, as a process of its own."""
    _sandbox(context, "import", context.store.batch(batch_id).target if batch_id else "")


def _sandbox(context: Context, verb: str, target: str = "") -> None:
    if context.bundle.feed.get("simulator") != "yes":
        return
    for entry in [one for one in context.bundle.feed["targets"] if target in ("", one["target"])]:
        connection = context.connection(entry)
        where = ["--db", connection.url] if connection.url else ["--drop", connection.path]
        command = [sys.executable, "-m", "sandbox.erp", verb, *where]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=3600)
        if done.returncode != 0:
            raise PermanentError("TARGET_CONTRACT", value="sandbox ERP", detail=done.stderr.strip()[-400:] or "failed")
        _refuse_unknown(context, entry["target"], json.loads(done.stdout or "{}").get("unknown", []))


def _refuse_unknown(context: Context, target: str, names: Sequence[str]) -> None:
    """Raise PermanentError SIMULATOR when the sandbox ERP has no form for a file that we delivered to a target."""
    profile = context.profile(target) if names else {}
    for batch in context.store.batches(context.feed_id) if names else ():
        name = render.file_name(profile, batch.batch_id)
        if batch.target == target and name in names:
            raise PermanentError("SIMULATOR", file=name, value=target)
