"""The batches in the store, as `claimpost status` lists them.

It imports no step of the pipeline: whoever only asks how things stand waits for none of their libraries.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from etl import config
from etl.errors import ConfigurationError
from etl.mode import kept_back
from etl.reasons import counted
from etl.store import Batch, Store


def batch_summary(batch: Batch) -> dict[str, Any]:
    """One batch as `run --json` and `status --json` show it."""
    names = ("batch_id", "feed_id", "company", "period", "target", "state", "sha256", "journals", "lines")
    return {name: getattr(batch, name) for name in names} | {"debit": dict(batch.totals.get("debit", {}))}


def listed(mappings: Path, store: Store) -> list[dict[str, Any]]:
    """Every batch as `status --json` shows it; one that is kept back says why (`kept_back`), one with refused journals
    how many by our codes (`refused`)."""
    batches = store.batches()
    refusals = counted(mappings, store)
    kept: dict[str, str] = {}
    for feed_id in sorted({batch.feed_id for batch in batches}):
        try:
            feed = config.load(mappings / "feeds" / f"{feed_id}.yml", "feed")
        except (ConfigurationError, FileNotFoundError):
            continue  # its batches are listed all the same
        kept |= kept_back(feed, store, [one for one in batches if one.feed_id == feed_id])
    extras: dict[str, dict[str, Any]] = {"kept_back": kept, "refused": refusals}
    return [
        batch_summary(one) | {name: facts[one.batch_id] for name, facts in extras.items() if one.batch_id in facts}
        for one in batches
    ]
