"""The HTML page: one file, no script, a content security policy that allows its one style block and nothing else.

Its size is bounded whatever the reconciliation's: the worst rows are shown, the rest is in the CSV and XLSX beside.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import pandas as pd
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from etl.errors import CATALOGUE
from etl.reconcile import EXPLAINED, STAGES, Reconciliation
from etl.report import picture, tables
from etl.report.words import Verdict, amount, amounts, by_currency, grouped, journals

BYTES_MAX: Final = 2_000_000
ROWS_MAX: Final = (200, 60, 20, 5)
CELL_MAX: Final = 120
TEMPLATES: Final = Path(__file__).resolve().parent.parent / "templates"
_ALWAYS: Final = ("landed", "accepted", "quarantined", "posted")
_IN_PICTURE: Final = ("journaled", "loaded")
_TILES: Final = (
    ("posted", "journals posted"), ("rejected", "rejected by the ERP"), ("in_flight", "in flight"),
    ("missing", "missing"),
)  # fmt: skip


def render(
    reconciliation: Reconciliation,
    summary: Mapping[str, Any],
    history: Sequence[Mapping[str, Any]],
    told: Verdict,
    at: str,
) -> bytes:
    """The page as UTF-8; fewer rows are shown until it fits BYTES_MAX."""
    css, digest = stylesheet()
    context = {
        "stages": _stages(reconciliation), "breaks_open": len(_open(reconciliation)),
        "told": told, "summary": summary, "as_of": reconciliation.as_of, "at": at,
        "style": css, "style_hash": digest, "tiles": _tiles(reconciliation),
        "kinds": _kinds(reconciliation.breaks),
        "flow": picture.flow(reconciliation), "trend": picture.trend(_with_this(history, reconciliation, at)),
        "suspense": records(tables.suspense(summary), tables.SUSPENSE),
        "reasons": tables.quarantine(summary).to_dict("records"), "conserved": not reconciliation.conservation,
    }  # fmt: skip
    template = environment().get_template("report.html")
    pages = (template.render(**context, **_bounded(reconciliation, summary, rows)).encode("utf-8") for rows in ROWS_MAX)
    return next(page for page in pages if len(page) <= BYTES_MAX)


def stylesheet() -> tuple[Markup, str]:
    """The one style sheet of our pages, and its hash for the content security policy."""
    text = (TEMPLATES / "report.css").read_text("utf-8")
    return Markup(text), base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def environment() -> Environment:
    """Templates with every text escaped and no name undefined."""
    made = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters |= {"cut": cut, "decimal": grouped, "count": lambda number: f"{number:,}"}
    return made


def cut(text: object, longest: int = CELL_MAX) -> str:
    """Text at most so many characters long; what is cut ends in an ellipsis."""
    whole = str(text)
    return whole if len(whole) <= longest else whole[: longest - 1] + "…"


def _bounded(reconciliation: Reconciliation, summary: Mapping[str, Any], rows: int) -> dict[str, Any]:
    totals, currencies = reconciliation.totals, _currencies(reconciliation)
    differing = totals[totals["difference_minor"] != 0]
    return {
        "currencies": currencies[:rows], "currencies_all": len(currencies),
        "breaks": records(reconciliation.breaks.head(rows), tables.BREAKS), "breaks_all": len(reconciliation.breaks),
        "totals": records(differing.head(rows), tables.TOTALS), "totals_all": len(differing), "cells": len(totals),
        "moved": records(reconciliation.moved.head(rows), tables.MOVED), "moved_all": len(reconciliation.moved),
        "rounded": _rounded(reconciliation.rounding)[:rows], "rounded_all": len(reconciliation.rounding),
        "shifts": list(summary.get("shifts", ()))[:rows],
        "batches": list(summary["batches"])[:rows], "batches_all": len(summary["batches"]),
    }  # fmt: skip


def _rounded(ledger: pd.DataFrame) -> list[dict[str, Any]]:
    """The rounding ledger per company, period and currency: journals, and what they come to."""
    keys = ["company", "period", "currency"]
    sums = ledger.groupby(keys, dropna=False)["rounding_minor"].agg(["size", "sum"]).reset_index()
    return [
        {**{name: row[name] for name in keys}, "journals": int(row["size"]),
         "rounding": amount(int(row["sum"]), str(row["currency"]))}
        for row in sums.to_dict("records")
    ]  # fmt: skip


def records(frame: pd.DataFrame, columns: Sequence[tables.Column]) -> list[dict[str, Any]]:
    """Rows with amounts written out."""
    cells: dict[str, list[Any]] = {}
    for column in columns:
        values = frame[column.field]
        if column.kind == tables.AMOUNT:
            cells[column.heading] = [grouped(text) for text in tables.exact(values, frame["currency"]).to_pylist()]
        else:
            cells[column.heading] = values.tolist()
    return [dict(zip(cells, row, strict=True)) for row in zip(*cells.values(), strict=True)]


def _tiles(reconciliation: Reconciliation) -> list[tuple[str, int]]:
    whole = [(name, reconciliation.reports[name]) for name in ("landed", "accepted", "quarantined")]
    reports = [(f"reports {name}", count) for name, count in whole]
    counts = [(title, journals(reconciliation, stage)) for stage, title in _TILES]
    return [*reports, counts[0], *((title, count) for title, count in counts[1:] if count)]


def _kinds(breaks: pd.DataFrame) -> list[dict[str, Any]]:
    """The breaks by code and first reason of the ERP, worst first: how many, what is at stake, who acts and how."""
    out = []
    said = breaks.assign(said=breaks["refusal"].str.split(", ").str[0])
    for (severity, code, reason), part in said.groupby(["severity", "code", "said"], dropna=False, sort=False):
        entry = CATALOGUE[str(reason) if reason and code == "REJECTED_BY_ERP" else str(code)]
        stake = amounts(by_currency(part, "amount_minor"))
        out.append(
            {"severity": severity, "code": f"{code} {reason}".strip(), "count": len(part), "stake": stake,
             "oldest": int(part["age_days"].max()), "owner": entry.owner, "next_step": entry.next_step}
        )  # fmt: skip
    return out


def _currencies(reconciliation: Reconciliation) -> list[dict[str, Any]]:
    """Per currency the gross of each stage ("" where it is nothing); it agrees when all is posted without a break."""
    sums = {stage: by_currency(reconciliation.stages, f"{stage}_minor") for stage in STAGES}
    broken = set(_open(reconciliation)["currency"])
    rows = []
    for currency in sums["landed"]:
        minor = {stage: sums[stage][currency] for stage in STAGES}
        if any(minor.values()):
            shown = {stage: amount(value, currency) if value else "" for stage, value in minor.items()}
            agrees = minor["posted"] == minor["journaled"] and currency not in broken
            rows.append({"currency": currency or "none", "amounts": shown, "agrees": agrees})
    return rows


def _open(reconciliation: Reconciliation) -> pd.DataFrame:
    return reconciliation.breaks[~reconciliation.breaks["code"].isin(EXPLAINED)]


def _stages(reconciliation: Reconciliation) -> list[str]:
    """The stages of the table: its two ends and the branches that are not empty; the picture shows the way between."""
    branches = [stage for stage in STAGES if stage not in _IN_PICTURE]
    return [stage for stage in branches if stage in _ALWAYS or journals(reconciliation, stage)]


def _with_this(
    history: Sequence[Mapping[str, Any]], reconciliation: Reconciliation, at: str
) -> list[Mapping[str, Any]]:
    """The history with this reconciliation as its last point."""
    if history and history[-1]["at"] == at:
        return list(history)
    now = {
        "at": at, "posted": journals(reconciliation, "posted"), "breaks": len(_open(reconciliation)),
        "quarantined": reconciliation.reports["quarantined"],
    }  # fmt: skip
    return [*history, now]
