"""Step 2: every open landing is read, judged, mapped and sealed into batches; one transaction per landing."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from etl import model, money, render, transport, versions
from etl.errors import HOLD, FileRejected, TransientError
from etl.mapping import suspense
from etl.mode import kept_back
from etl.model import ControlTotals
from etl.pipeline import booking, decide, decisions, lineage
from etl.pipeline.context import Context, code_version
from etl.pipeline.shelf import BATCHES
from etl.store import BATCH_COLUMNS, Build, Landing
from etl.transport import failpoint

_OPEN = ("landed", "held")


def build(context: Context) -> list[str]:
    """Build every open landing of the feed; returns the ids of all its batches that are to be delivered.

    A file that cannot be read is rejected and the next one is taken. A delivery that the gate finds unusual is held:
    nothing of it is recorded but its state and the reason, and the next run judges it again. Reports that waited for
    a table or a mapping are judged again once the feed's mapping has changed; those that correct a journal without an
    answer, once it is there.
    """
    for landing in context.store.landings(context.feed_id, _OPEN):
        try:
            build_landing(context, landing)
        except FileRejected as error:
            facts = {
                "line": str(error.facts.get("line", "")),
                "reason": str(error),
                "name": landing.name,
                "run_id": context.run_id,
            }
            context.store.set_landing(
                context.feed_id, landing.sha256, state="rejected", reason=error.code, totals=facts
            )
    for landing in context.store.landings(context.feed_id, ("built",)):
        changed = landing.totals.get("mapping_digest") != context.bundle.digest
        if landing.totals.get("waiting") and (changed or _answered(context, landing.totals.get("awaited", ()))):
            with lineage.building(context, landing):
                judge_again(context, landing)
    batches = context.store.batches(context.feed_id, ("sealed", "publishing"))
    kept = kept_back(context.bundle.feed, context.store, batches)
    return [batch.batch_id for batch in batches if batch.batch_id not in kept]


def build_landing(context: Context, landing: Landing) -> None:
    """Build one open landing; raises FileRejected."""
    with lineage.building(context, landing):
        _build_one(decisions.reading(context, landing), landing)


def _build_one(context: Context, landing: Landing) -> None:
    content = context.landed(landing.sha256).read_bytes()
    docs = context.home / decide.GATE_DOCS / context.feed_id / landing.sha256[:16]
    found = decide.decide(context, content, landing.name, decide.past_of(context, landing), docs)
    if context.store.landing(context.feed_id, landing.sha256).state not in _OPEN:
        return  # another run has built it while we looked; what we saw of the past may be its own work
    if found.state == decide.HELD:
        context.shelf.publish(docs)
        facts: dict[str, Any] = {"held": found.unusual, "name": landing.name, "run_id": context.run_id}
        facts |= {"control": dict(found.raw.control)}
        context.store.set_landing(context.feed_id, landing.sha256, state="held", reason="VOLUME", totals=facts)
        return
    _record(context, landing, found)


def _answered(context: Context, awaited: Sequence[str]) -> bool:
    """Whether a journal that reports wait for ("key state") has another state by now."""
    before = dict(one.split(" ") for one in awaited)
    now = context.store.members(keys=list(before)) if before else pd.DataFrame(columns=["journal_key", "state"])
    return any(before[key] != state for key, state in zip(now["journal_key"], now["state"], strict=True))


def judge_again(context: Context, landing: Landing) -> None:
    """Judge the quarantined reports of a landing by the mapping of now; what was decided otherwise stays as it is."""
    context = decisions.reading(context, landing)
    content = context.landed(landing.sha256).read_bytes()
    raw = booking.read(context.bundle, content, landing.name)
    past = decide.past_of(context)
    past = dataclasses.replace(past, before=dataclasses.replace(past.before, seq=landing.seq))
    booked = decide.book(context, raw, landing.name, past)
    before = context.store.outcomes(context.feed_id, [landing.sha256])
    before = before.loc[before["outcome"] != model.QUARANTINED, [*versions.OUTCOME_KEY, "outcome"]]
    both = booked.outcomes.merge(before, how="left", on=versions.OUTCOME_KEY, suffixes=("_now", ""), validate="1:1")
    outcomes = both.assign(outcome=model.texts(both["outcome"].fillna(both["outcome_now"]).tolist()))
    booked = dataclasses.replace(booked, outcomes=outcomes[versions.OUTCOME_COLUMNS])
    _record(context, landing, decide.Decision(decide.BUILT, raw, landing.fingerprint, booked))


def _record(context: Context, landing: Landing, found: decide.Decision) -> None:
    booked, sealed = found.booked, found.booked.sealed
    known = {batch.batch_id for batch in context.store.batches(context.feed_id)}
    batches = [freeze(context, one, one.batch.batch_id in known) for one in sealed]
    members = [one.headers[["journal_key"]].assign(batch_id=one.batch.batch_id) for one in sealed]
    journals = [one.headers for one in sealed] or [pd.DataFrame(columns=model.JOURNAL_COLUMNS)]
    landed = versions.totals(booked.outcomes)
    failpoint("sealed")
    context.store.set_landing(
        context.feed_id, landing.sha256, fingerprint=found.fingerprint,
        totals={
            **_as_json(landed), "normalised": dict(booked.normalised), "run_id": context.run_id,
            "control": dict(found.raw.control),
            "mapping_digest": context.bundle.digest, "waiting": int((booked.rejects["outcome"] == HOLD).sum()),
            "awaited": sorted(set(booked.rejects.loc[booked.rejects["code"] == "REVISION", "value"])),
        },
    )  # fmt: skip
    context.store.record_build(
        Build(
            context.feed_id, (landing.sha256,), context.bundle.source_system, context.run_id, context.bundle.digest,
            code_version(), booked.outcomes, booked.rejects, pd.concat(journals, ignore_index=True),
            pd.concat(members or [pd.DataFrame(columns=["batch_id", "journal_key"])], ignore_index=True),
            pd.DataFrame(batches, columns=BATCH_COLUMNS), booked.reports, booked.invoices, found.state,
            booked.voided, booked.known,
        )
    )  # fmt: skip
    failpoint("built")


def _as_json(totals: ControlTotals) -> dict[str, Any]:
    return {"reports": totals.reports, "lines": totals.lines, "gross": dict(totals.gross)}


def freeze(context: Context, sealed: booking.Sealed, recorded: bool, again: str = "") -> dict[str, Any]:
    """The store's row of a batch; its frames and sealed bytes go into the batch folder unless it is recorded.

    `again` is the batch in which the ERP refused these journals before.
    """
    folder = sealed.batch.batch_id
    if not recorded:
        folder = _write_folder(context, sealed)
    batch, totals = sealed.batch, batch_totals(sealed)
    if on_suspense := suspense.uses(context.bundle.journal, sealed.headers, sealed.lines):
        totals["suspense"] = on_suspense
    if again:
        totals["again"] = again
    return {
        "batch_id": batch.batch_id, "batch_no": batch.batch_no, "target": batch.target, "company": batch.company,
        "period": batch.period, "sha256": hashlib.sha256(sealed.payload).hexdigest(), "folder": folder,
        "journals": len(sealed.headers), "lines": len(sealed.lines), "totals": json.dumps(totals),
    }  # fmt: skip


def _write_folder(context: Context, sealed: booking.Sealed) -> str:
    """Write into a folder beside, flush it, and put it in place whole; its name there."""
    batch = sealed.batch
    folder = context.home / BATCHES / batch.batch_id
    work = folder.with_name(f".{folder.name}.{os.urandom(8).hex()}")  # never one of another host with our process id
    work.mkdir(parents=True, mode=0o700)
    for name, frame in (
        ("journals", sealed.headers),
        ("lines", sealed.lines),
        ("lineage", sealed.lineage),
        ("reports", sealed.reports),
    ):
        pq.write_table(pa.Table.from_pandas(frame, preserve_index=False), work / f"{name}.parquet")
    payload = work / render.file_name(context.profile(batch.target), batch.batch_id)
    payload.write_bytes(sealed.payload)
    for path in work.iterdir():
        path.chmod(0o600)
        transport.sync(path)
    if context.shelf.objects is not None:
        failpoint("frozen")
        return context.shelf.keep_folder(work, batch.batch_id)
    _put_in_place(work, folder)
    return folder.name


def batch_totals(sealed: booking.Sealed) -> dict[str, Any]:
    """Debit and credit per currency of a batch, as exact decimal text, in document and base currency."""
    at = sealed.lines["journal_key"].map(sealed.headers.set_index("journal_key")["currency"])
    out: dict[str, Any] = {}
    for side in ("debit", "credit"):
        sums = sealed.lines.groupby(at, dropna=False, sort=True)[f"{side}_minor"].sum()
        out[side] = {str(currency): money.text_of(int(value), str(currency)) for currency, value in sums.items()}
    base = str(sealed.headers["base_currency"].iat[0])
    out["base_debit"] = {base: money.text_of(int(sealed.headers["base_debit_minor"].sum()), base)}
    return out


def _put_in_place(work: Path, folder: Path) -> None:
    """Move a finished folder to its name. An equal one stays: another attempt may have recorded and be delivering it,
    and a kill between taking it away and putting ours there would lose what is recorded."""
    if folder.exists():
        if _content(folder) == _content(work):
            shutil.rmtree(work)
            return
        shutil.rmtree(folder)  # left by a killed attempt under another mapping, never recorded
    failpoint("frozen")
    try:
        work.rename(folder)
    except OSError as error:  # another attempt was faster by a moment
        shutil.rmtree(work)
        raise TransientError("TARGET_BUSY", value=folder.name, detail="another attempt seals the same batch") from error
    transport.sync(folder.parent)


def _content(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}
