"""All steps in a row, and what the exit code says of them."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

from etl.errors import ConflictError
from etl.listing import batch_summary
from etl.pipeline import deliver, prove
from etl.pipeline.build import build
from etl.pipeline.context import Context, now
from etl.pipeline.extract import extract, nothing_taken
from etl.pipeline.rebatch import isolate
from etl.pipeline.summary import summary

Step = Callable[[str], AbstractContextManager[Any]]


def _silent(_: str) -> AbstractContextManager[Any]:
    return nullcontext()


def run(context: Context, input: Path | None = None, step: Step = _silent) -> dict[str, Any]:
    """Extract, build, load, acknowledge and reconcile one feed; returns `summary`. `step` shows progress."""
    started = now()
    open_before = {one.sha256 for one in context.store.landings(context.feed_id, ("landed", "held"))}
    with step("Extract"):
        landed = extract(context, input)
        why = "" if landed or input is not None else nothing_taken(context)
    with step("Build"):
        deliver.prepare(context)
        batch_ids = build(context)
    with step("Load"):
        for batch_id in batch_ids:
            deliver.load(context, batch_id)
    with step("Acknowledge"):
        deliver.simulate(context)
        answered = _answered(context)
    with step("Reconcile"):
        result = summary(context, [*landed, *sorted(open_before - set(landed))])
        proof = prove.reconcile(context)
    result |= {"breaks": proof["breaks"], "breaks_by_code": proof["by_code"], "explained": proof["explained"],
               "report_files": proof["report_files"], "strangers": answered["strangers"],
               "kept_back": proof["kept_back"], "nothing_taken": why}  # fmt: skip
    result["batches"] = [batch_summary(context.store.batch(b["batch_id"])) for b in result["batches"]]
    context.store.save_run(context.run_id, context.feed_id, started, now(), result, result["conservation"])
    return result


def _answered(context: Context) -> dict[str, int]:
    """Read the answers, and what was refused with a bad journal goes again; `acknowledge_all`'s counts.

    A ConflictError in an answer is raised after the reconciliation, whose report tells more of it.
    """
    try:
        answered = deliver.acknowledge_all(context)
        while again := isolate(context):
            for batch_id in again:
                deliver.load(context, batch_id)
            deliver.simulate(context)
            answered = deliver.acknowledge_all(context)
    except ConflictError:
        prove.reconcile(context)
        raise
    return answered


def exit_code(result: dict[str, Any]) -> int:
    """0: everything is explained; 4: a file was rejected; 1: a difference, a held delivery or a stranger is open."""
    if not result["explained"] or not result["conservation"]["holds"] or result["strangers"]:
        return 1
    if result["files_rejected"]:
        return 4
    return 1 if result["files_held"] else 0
