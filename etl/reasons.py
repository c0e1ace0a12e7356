"""What the ERP said, in our codes beside its own, for `claimpost status` and `claimpost show`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from etl import config, refusals
from etl.errors import CATALOGUE, ConfigurationError
from etl.store import Store


def tables(mappings: Path, targets: Iterable[str]) -> dict[str, refusals.Codes]:
    """target -> the tables of codes that its profile names; none when there is no such profile, or it is broken."""
    found = {}
    for target in targets:
        try:
            profile = config.load(mappings / "targets" / f"{target}.yml", "target")
        except (ConfigurationError, FileNotFoundError):
            continue  # what the ERP said is shown all the same
        found[target] = refusals.scan(mappings / "codes", profile["acknowledge"].get("codes", []))[0]
    return found


def told(found: Mapping[str, Any], mappings: Path) -> dict[str, Any]:
    """The answer of `show` with `refusal` (our codes) on each journal of a batch that has one, and `refusals`: the
    codes with meaning, owner and next step."""
    name = next((name for name in ("members", "answers") if found.get(name)), "")
    if not name:
        return dict(found)
    rows = pd.DataFrame(found[name])
    named = refusals.named(rows, tables(mappings, sorted(set(rows["target"])))).tolist()
    shown = [{**row, "refusal": ours} for row, ours in zip(found[name], named, strict=True)]
    entries = [CATALOGUE[code] for code in sorted({code for ours in named for code in ours.split(", ")} - {""})]
    meant = [
        {"code": e.code, "meaning": e.text, "owner": e.owner, "next_step": e.next_step} for e in entries
    ]  # fmt: skip
    return {**found, name: shown, **({"refusals": meant} if meant else {})}


def counted(mappings: Path, store: Store) -> dict[str, dict[str, int]]:
    """batch_id -> our code -> refused journals that have it (a journal may have several)."""
    rows = store.refused()
    ours = refusals.named(rows, tables(mappings, sorted(set(rows["target"]))))
    counts: dict[str, dict[str, int]] = {}
    for batch_id, codes, journals in zip(rows["batch_id"], ours, rows["journals"], strict=True):
        batch = counts.setdefault(str(batch_id), {})
        for code in codes.split(", "):
            batch[code] = batch.get(code, 0) + int(journals)
    return {batch_id: dict(sorted(batch.items())) for batch_id, batch in counts.items()}
