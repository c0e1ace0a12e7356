"""The report of a shadow run: a page, the differences, every compared cell and the totals as CSV, and all as JSON."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping
from typing import Any, Final

import pandas as pd
from markupsafe import Markup

from etl import model
from etl.errors import CATALOGUE
from etl.report import page, tables
from etl.report.tables import AMOUNT, COUNT, Column
from etl.report.words import amount, amounts, by_currency, counted
from etl.shadow import DIMENSIONS, MATCHED, Comparison

ROWS_MAX: Final = 200
DIFFERENCES: Final = (
    *(Column(name, name) for name in ("code", "company", "document", "account", "legacy_account", "currency")),
    Column("ours", "ours_minor", AMOUNT), Column("legacy", "legacy_minor", AMOUNT),
    Column("difference", "difference_minor", AMOUNT), Column("here", "ours"), Column("there", "legacy"),
    Column("legacy_line", "row", COUNT),
    *(Column(name, name) for name in ("cause", "owner", "next_step", "accepted")),
)  # fmt: skip
_AMOUNTS: Final = (Column("ours", "ours_minor", AMOUNT), Column("legacy", "legacy_minor", AMOUNT))
TOTALS: Final = (
    *(Column(name, name) for name in ("company", "currency", "account")), *_AMOUNTS,
    Column("difference", "difference_minor", AMOUNT),
)  # fmt: skip


def contents(found: Comparison, result: Mapping[str, Any], at: str) -> dict[str, bytes]:
    """The files of the report by name. In: `result` as `claimpost shadow --json` prints it, without the differences."""
    differences = [dict(row) for row in priced(found.differences).to_dict("records")]
    told = {**result, "differences": differences}
    cells = (
        *(Column(name, name) for name in ("company", "document", "account", "currency")),
        *(Column(name, name) for name in DIMENSIONS if name in found.cells), *_AMOUNTS,
        Column("ours_lines", "ours_lines", COUNT), Column("legacy_lines", "legacy_lines", COUNT),
        Column("result", "result"),
    )  # fmt: skip
    return {
        "shadow.html": _page(found, result, at),
        "differences.csv": tables.csv(found.differences, DIFFERENCES),
        "cells.csv": tables.csv(found.cells, cells),
        "totals.csv": tables.csv(found.totals, TOTALS),
        "shadow.json": json.dumps(told, ensure_ascii=False, indent=1, default=int).encode("utf-8"),
    }


def priced(differences: pd.DataFrame) -> pd.DataFrame:
    """Differences with exact decimal text in place of minor units."""
    names = ("ours", "legacy", "difference")
    texts = {f"{name}_amount": tables.exact(differences[f"{name}_minor"], differences["currency"]) for name in names}
    out = differences.drop(columns=[f"{name}_minor" for name in names])
    return out.assign(**{name: model.texts(text) for name, text in texts.items()})


def verdict(result: Mapping[str, Any]) -> str:
    """How things stand, in one sentence."""
    documents = counted(result["documents"], "document")
    if not result["documents"]:
        return "Neither side has a document in this period."
    if not result["differences"]:
        return f"Both agree to the cent: {documents}, {result['matched']:,} accounts of them."
    if not result["open"]:
        return f"Every difference is accepted: {documents}, {counted(result['accepted'], 'difference')} with a reason."
    return f"{counted(result['open'], 'difference')} open in {documents}, {result['accepted']:,} accepted."


def _page(found: Comparison, result: Mapping[str, Any], at: str) -> bytes:
    style = (page.TEMPLATES / "report.css").read_text("utf-8")
    differing = found.totals[found.totals["difference_minor"] != 0]
    context = {
        "result": result, "at": at, "style": Markup(style), "headline": verdict(result),
        "style_hash": base64.b64encode(hashlib.sha256(style.encode()).digest()).decode(),
        "kinds": _kinds(found.differences), "patterns": _patterns(found.differences),
        "differences": page.records(found.differences.head(ROWS_MAX), DIFFERENCES),
        "totals": page.records(differing.head(ROWS_MAX), TOTALS), "totals_all": len(found.totals),
        "matched": _matched(found.cells),
    }  # fmt: skip
    return page.environment().get_template("shadow.html").render(**context).encode("utf-8")


def _matched(cells: pd.DataFrame) -> str:
    """The debit side of what agrees, per currency."""
    agreed = cells[(cells["result"] == MATCHED) & (cells["ours_minor"] > 0)]
    return amounts(by_currency(agreed, "ours_minor")) or "nothing"


def _kinds(differences: pd.DataFrame) -> list[dict[str, Any]]:
    """The differences by code: how many, how many are open, what is at stake, what to do."""
    out = []
    stake = differences.assign(stake=differences["difference_minor"].abs())
    for code, part in stake.groupby("code", dropna=False, sort=False):
        entry = CATALOGUE[str(code)]
        out.append({
            "code": code, "count": len(part), "open": int((part["accepted"] == "").sum()), "text": entry.text,
            "stake": amounts(by_currency(part, "stake")), "owner": entry.owner, "next_step": entry.next_step,
        })  # fmt: skip
    return out


def _patterns(differences: pd.DataFrame) -> list[dict[str, Any]]:
    """Differences that look alike: same code and accounts; most frequent first."""
    keys = ["code", "account", "legacy_account", "currency"]
    with_account = differences[differences["account"] != ""]
    sums = with_account.groupby(keys, dropna=False)["difference_minor"].agg(["size", "sum"]).reset_index()
    sums = sums.sort_values(["size", *keys], ascending=[False, True, True, True, True], kind="stable").head(ROWS_MAX)
    return [
        {"code": code, "account": account, "legacy_account": other, "currency": currency, "count": size,
         "difference": amount(int(total), str(currency))}
        for code, account, other, currency, size, total in sums.itertuples(index=False, name=None)
    ]  # fmt: skip
