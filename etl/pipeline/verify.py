"""`claimpost verify`: is what we hold still what we landed, sealed, sent and wrote down? Every flaw is named."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Final

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from etl import erp, render, transport
from etl.errors import CATALOGUE, text
from etl.pipeline import reread
from etl.pipeline.context import Context, now
from etl.pipeline.shelf import Shelf
from etl.reconcile import invariants
from etl.store import Head, Store

ANCHORS: Final = "anchors.txt"  # in the home: number, hash and time of the chain's head, after each reconciliation
_ANCHORED: Final = "anchors"
_LINES: Final = ["journal_key", "account", "debit_minor", "credit_minor", "base_debit_minor", "base_credit_minor"]
_CHUNK: Final = 1 << 20
Finding = invariants.Finding


def verify(context: Context, anchors: Iterable[Path] = ()) -> dict[str, Any]:
    """Check one feed's files, batches and journals, and the audit chain of the whole store.

    In: files of anchors kept elsewhere; the home's own is always read. Out: {"feed", "checked", "sound", "head",
    "findings"}; a finding has code, invariant, severity, subject, reason, owner and next_step. `sound` is False when
    one of them is S1 or S2.
    """
    at = now()
    heads = [*_own_anchors(context.shelf), *(head for path in anchors for head in read_anchors(path))]
    with context.shelf.anew() as shelf:
        kept = dataclasses.replace(context, shelf=shelf)
        found = [
            *_archive(kept), *_sealed(kept), *_reread(kept), *_manifests(kept), *_invariants(kept, at),
            *(("AUDIT_BROKEN", flaw.subject, flaw.detail) for flaw in context.store.audit_flaws(heads)),
        ]  # fmt: skip
    head = context.store.audit_head()
    findings = sorted((_finding(*one) for one in found), key=lambda one: (one["severity"], one["code"], one["subject"]))
    checked = {
        "landings": len(context.store.landings(context.feed_id)),
        "batches": len(context.store.batches(context.feed_id)), "events": head.seq, "anchors": len(heads),
    }  # fmt: skip
    sound = not any(one["severity"] in ("S1", "S2") for one in findings)
    return {
        "feed": context.feed_id, "checked": checked, "sound": sound, "head": f"{head.seq} {head.h}",
        "findings": findings,
    }  # fmt: skip


def verified(context: Context) -> dict[str, Any]:
    """`verify`, its result kept as reports/<feed>/verify.json beside the reconciliation's report.

    Out: "sound"; "findings", a sentence each; "by_code", how many of each severity and code; "report_file".
    """
    result = verify(context)
    path = context.home / "reports" / context.feed_id / "verify.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{os.urandom(8).hex()}")
    part.write_text(json.dumps({**result, "at": now()}, ensure_ascii=False, indent=1), "utf-8")
    part.replace(path)
    context.shelf.publish(path)
    told = [f"{one['severity']} {one['code']}" for one in result["findings"]]
    return {
        "sound": result["sound"], "findings": [f"{one['severity']} {one['reason']}" for one in result["findings"]],
        "by_code": {code: told.count(code) for code in sorted(set(told))}, "report_file": str(path),
    }  # fmt: skip


def _finding(code: str, subject: str, detail: str) -> dict[str, str]:
    invariant, severity = invariants.CHECKS[code]
    entry = CATALOGUE[code]
    reason = text(code, value=subject, detail=detail, field="File")
    return {
        "code": code, "invariant": invariant, "severity": severity, "subject": subject, "reason": reason,
        "owner": entry.owner, "next_step": entry.next_step,
    }  # fmt: skip


# --- anchors


def anchor(store: Store, shelf: Shelf) -> None:
    """Write the chain's head behind the anchors that are there, when it has moved; each one an object of its own."""
    head, path = store.audit_head(), shelf.home / ANCHORS
    if head not in read_anchors(path):
        with path.open("ab") as file:
            file.write(f"{head.seq} {head.h} {now()}\n".encode("ascii"))
        transport.sync(path)
        if shelf.objects is not None:
            shelf.objects.put(path, f"{_ANCHORED}/{head.seq:012}-{head.h}")


def _own_anchors(shelf: Shelf) -> list[Head]:
    """The heads anchored in the home, and those that all workers have put; the name of an object says it all."""
    names = shelf.objects.names(_ANCHORED) if shelf.objects is not None else []
    put = [Head(int(seq), h) for seq, _, h in (name.partition("-") for name in names)]
    return list(dict.fromkeys([*read_anchors(shelf.home / ANCHORS), *put]))


def read_anchors(path: Path) -> list[Head]:
    """The heads that an anchor file holds; a line that is cut off is none."""
    lines = path.read_text("ascii").splitlines() if path.is_file() else []
    cells = [line.split() for line in lines]
    return [Head(int(row[0]), row[1]) for row in cells if len(row) == 3 and row[0].isdecimal() and len(row[1]) == 64]


# --- what is checked


def _archive(context: Context) -> Iterator[Finding]:
    """I23: every landed file is there, byte for byte."""
    for landing in context.store.landings(context.feed_id):
        yield from _file(context.landed(landing.sha256), landing.sha256, landing.name)


def _sealed(context: Context) -> Iterator[Finding]:
    """I12: every sealed file is what was sealed."""
    for batch in context.store.batches(context.feed_id):
        name = render.file_name(context.profile(batch.target), batch.batch_id)
        yield from _file(context.batch_folder(batch.folder) / name, batch.sha256, batch.batch_id)


def _reread(context: Context) -> Iterator[Finding]:
    """I11: every sealed file holds its journals. What another mapping sealed is left out: its profile is not known."""
    made = context.store.journals(context.feed_id)
    members = context.store.members(feed_id=context.feed_id)
    for batch in context.store.batches(context.feed_id):
        keys = members.loc[members["batch_id"] == batch.batch_id, "journal_key"]
        headers = made[made["journal_key"].isin(keys)]
        folder, profile = context.batch_folder(batch.folder), context.profile(batch.target)
        file, lines = folder / render.file_name(profile, batch.batch_id), folder / "lines.parquet"
        current = set(headers["mapping_digest"]) == {context.bundle.digest}
        if not current or not file.is_file() or not lines.is_file():
            continue
        frame = _lines(lines)
        if frame is None:
            yield "FILE_DIFFERS", batch.batch_id, f"{lines} cannot be read"
            continue
        flaws = reread.compare(profile, file.read_bytes(), headers, frame)
        if flaws:
            yield "FILE_DIFFERS", batch.batch_id, "; ".join(flaws)


def _file(path: Path, sha256: str, subject: str) -> Iterator[Finding]:
    if not path.is_file():
        yield "ARCHIVE_ALTERED", subject, f"{path} is missing"
        return
    whole = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            whole.update(chunk)
    if whole.hexdigest() != sha256:
        yield "ARCHIVE_ALTERED", subject, f"{path} has another sha256 than {sha256}"


def _manifests(context: Context) -> Iterator[Finding]:
    """I13: what a target database says it received is what was sealed, batch by batch."""
    for entry in context.bundle.feed["targets"]:
        if context.profile(entry["target"])["kind"] != "table":
            continue
        engine = transport.engine(context.connection(entry))
        try:
            received = {row["batch_id"]: row for row in erp.manifest(engine, entry["target"])}
        finally:
            engine.dispose()
        for batch in context.store.batches(context.feed_id, target=entry["target"]):
            yield from _manifest(batch, received.get(batch.batch_id))


def _manifest(batch: Any, row: Any) -> Iterator[Finding]:
    if row is None:
        if batch.state not in ("sealed", "publishing"):
            yield "MANIFEST_DIFFERS", batch.batch_id, "the manifest does not have it"
        return
    for name in ("seq", "sha256", "journals", "lines"):
        if row[name] != getattr(batch, name):
            yield "MANIFEST_DIFFERS", batch.batch_id, f"{name} is {row[name]}, sealed {getattr(batch, name)}"


def _invariants(context: Context, at: str) -> Iterator[Finding]:
    store = context.store
    batches = [*store.batches(context.feed_id)]
    of_targets = [one for entry in context.bundle.feed["targets"] for one in store.batches(target=entry["target"])]
    yield from invariants.sequence(pd.DataFrame([(b.target, b.seq) for b in of_targets], columns=["target", "seq"]))
    waiting = [(b.batch_id, b.state, b.sealed_at) for b in batches]
    yield from invariants.stuck(pd.DataFrame(waiting, columns=["batch_id", "state", "at"], dtype="str"), at)
    yield from invariants.quarantine(store.rejects(context.feed_id), at)
    yield from invariants.reversals(*_reversed(context, batches))


def _reversed(context: Context, batches: list[Any]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Reversals of journals of one report, and the lines of the batches that hold them."""
    journals, outcomes = context.store.journals(context.feed_id), context.store.outcomes(context.feed_id)
    reports = outcomes.drop_duplicates(["company", "report_id", "journal_key"])["journal_key"]
    several = reports[reports.duplicated()]
    journals = journals[~journals["reversal_of"].isin(several)]
    if not (journals["reversal_of"] != "").any():
        return journals, pd.DataFrame(columns=_LINES)
    files = [context.batch_folder(batch.folder) / "lines.parquet" for batch in batches if "again" not in batch.totals]
    parts = [_lines(path) for path in files if path.is_file()]
    kept = [part[_LINES] for part in parts if part is not None]
    return journals, pd.concat(kept, ignore_index=True) if kept else pd.DataFrame(columns=_LINES)


def _lines(path: Path) -> pd.DataFrame | None:
    """The sealed lines of a batch; None when the file is damaged."""
    try:
        frame: pd.DataFrame = pq.read_table(path).to_pandas()
    except (pa.ArrowException, OSError):
        return None
    return frame if set(_LINES) <= set(frame.columns) else None
