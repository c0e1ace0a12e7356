"""The report of a reconciliation, for finance: a page, a workbook and five tables.

report.html (self-contained, no script, printable), report.xlsx (real numbers, text never a formula), and breaks.csv,
totals.csv, documents.csv, moved.csv, rounding.csv (for people: text that a spreadsheet would run is made harmless).
Equal inputs give equal bytes. No amount is computed here; they are only written out.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from etl import masking
from etl.reconcile import Reconciliation
from etl.report import page, shadow, tables
from etl.report.shadow import priced
from etl.report.words import verdict
from etl.shadow import Comparison

__all__ = ["priced", "write", "write_shadow"]


def write(
    reconciliation: Reconciliation,
    summary: Mapping[str, Any],
    history: Sequence[Mapping[str, Any]],
    out: Path,
    at: str,
) -> list[Path]:
    """Write the report into a folder; returns report.html, report.xlsx and the tables.

    In: summary as `run --json` prints it (feed, landed, reasons, batches); history: {at, posted, breaks, quarantined}
    of earlier reconciliations, oldest first; at: the time to show, ISO UTC. Each file appears whole or not at all.
    """
    out.mkdir(parents=True, exist_ok=True)
    reconciliation = _masked(reconciliation)
    told = verdict(reconciliation, summary)
    makers: dict[str, Callable[[], bytes]] = {
        "report.html": lambda: page.render(reconciliation, summary, history, told, at),
        "report.xlsx": lambda: tables.workbook(reconciliation, summary, told, at),
        "breaks.csv": lambda: tables.csv(reconciliation.breaks, tables.BREAKS),
        "totals.csv": lambda: tables.csv(reconciliation.totals, tables.TOTALS),
        "documents.csv": lambda: tables.csv(reconciliation.documents, tables.DOCUMENTS),
        "moved.csv": lambda: tables.csv(reconciliation.moved, tables.MOVED),
        "rounding.csv": lambda: tables.csv(reconciliation.rounding, tables.ROUNDING),
    }
    return [_put(out / name, make()) for name, make in makers.items()]  # one file at a time is in memory


def write_shadow(found: Comparison, result: Mapping[str, Any], out: Path, at: str) -> list[Path]:
    """Write the report of a shadow run: shadow.html, differences.csv, cells.csv, totals.csv, shadow.json."""
    out.mkdir(parents=True, exist_ok=True)
    return [_put(out / name, content) for name, content in shadow.contents(found, result, at).items()]


def _masked(reconciliation: Reconciliation) -> Reconciliation:
    """The same with what the ERP says of a refused journal masked: it may quote the claim's text (B111)."""
    breaks = reconciliation.breaks
    refused = breaks["code"] == "REJECTED_BY_ERP"
    said = {name: breaks[name].mask(refused, masking.masked_texts(breaks[name])) for name in ("erp", "reason")}
    return dataclasses.replace(reconciliation, breaks=breaks.assign(**said))


def _put(path: Path, content: bytes) -> Path:
    aside = path.with_name(f".{path.name}.part")
    aside.write_bytes(content)
    os.replace(aside, path)
    return path
