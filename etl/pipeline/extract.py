"""Step 1: files that are complete are landed raw, under their sha256, with a receipt; then the source is released."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final

from etl import sources, transport
from etl.errors import ConfigurationError
from etl.pipeline import decisions
from etl.pipeline.context import LANDING, Context
from etl.transport import FileInfo, Folder, failpoint

NAMES_MAX: Final = 5


def waiting(context: Context) -> dict[str, list[str]]:
    """The names at the feed's source that are ready, those that wait to be complete, and those not of the feed."""
    _, seen = _look(context)
    ready = [info.name for info in seen.ready]
    return {"ready": ready, "waiting": list(seen.waiting), "ignored": list(seen.ignored)}


def nothing_taken(context: Context) -> str:
    """Why there was nothing to take at the feed's source, as a sentence; "" when something is ready there."""
    place, seen = _look(context)
    source = context.bundle.feed["source"]
    if seen.ready:
        return ""
    if seen.waiting:
        until = {
            sources.OK_FILE: "both a file and its .ok are there",
            sources.SETTLED: f"they have not changed for {source.get('settle_seconds', '60')} seconds",
        }[source["complete"]]
        return f"in {place} {_listed(seen.waiting)} must wait until {until}; then run it again"
    if seen.ignored:
        return f"in {place} lies {_listed(seen.ignored)}, no name of the feed ({source['files']})"
    return f"no file lies in {place}"


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - NAMES_MAX} more" if len(names) > NAMES_MAX else ""
    return ", ".join(names[:NAMES_MAX]) + more


def _look(context: Context) -> tuple[str, sources.Seen]:
    """Where the feed's source is, and what lies there."""
    source = context.bundle.feed["source"]
    with transport.folder(context.connection(source), source.get("path", "")) as session:
        settle_seconds = int(source.get("settle_seconds", "60"))
        return session.label, sources.look(session, source["files"], source["complete"], settle_seconds)


def extract(context: Context, input: Path | None = None) -> list[str]:
    """Land every complete file of the feed's source, or of `input` in its place; returns their sha256, oldest first.

    A file landed before leaves another receipt and no second landing. Nothing found is an empty list; `input` without
    a fitting file raises ConfigurationError NO_INPUT. A file that its .ok file contradicts is landed and rejected.
    A decision that was approved and did not land, because the approval was killed, is landed first.
    """
    source = context.bundle.feed["source"]
    landed = decisions.land(context)
    if input is not None:
        return landed + _from_input(context, input, source)
    with transport.folder(context.connection(source), source.get("path", "")) as session:
        found = sources.find(
            session, source["files"], source["complete"],
            int(source.get("settle_seconds", "60")), int(source.get("files_per_run_max", "1000")),
        )  # fmt: skip
        failpoint("listed")
        landed += [_land(context, session, info, source["release"]) for info in found.files]
        for info, fault in found.refused:
            sha256 = _land(context, session, info, source["release"])
            facts = {"line": "", "reason": str(fault), "run_id": context.run_id}
            context.store.set_landing(context.feed_id, sha256, state="rejected", reason=fault.code, totals=facts)
            landed.append(sha256)
        sources.release_alone(session, found.alone, partial(_is_landed, context), source["release"])
    return landed


def _is_landed(context: Context, sha256: str, name: str) -> bool:
    return name in set(context.store.receipts(context.feed_id, sha256)["name"])


def _from_input(context: Context, input: Path, source: Mapping[str, Any]) -> list[str]:
    found, _ = sources.find_input(input, source["files"]) if input.exists() else ([], [])
    if not found:
        raise ConfigurationError("NO_INPUT", file=input, value=context.feed_id, pattern=source["files"])
    return [_land(context, session, info, "keep") for session, info in found]


def _land(context: Context, session: Folder, info: FileInfo, release: str) -> str:
    def register(sha256: str, size: int) -> None:
        context.shelf.keep_landed(sha256)
        context.store.register_landing(context.feed_id, sha256, info.name, size, context.run_id)

    return sources.land(session, info, context.home / LANDING, register, release)
