"""A legacy journal as lines to compare, read by the profile that says which column means what."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

import numpy as np
import pandas as pd
import pyarrow as pa

from etl import model
from etl.clean.dates import Calendar
from etl.clean.plan import Field, Plan
from etl.clean.values import Column, read_money
from etl.clean.values import read as read_column
from etl.errors import ConfigurationError, FileRejected
from etl.formats import Format
from etl.formats.layout import SOURCE_ROW, Notation
from etl.masking import masked

DIMENSIONS: Final = ("department", "cost_center", "project", "analysis", "tax_code")
# What both sides are compared as: net_minor is debit less credit, row the legacy row (0 for ours).
LINE_COLUMNS: Final = ["company", "document", "account", "currency", "posting_date", "period", "net_minor", "row"]
# Our name of a legacy column -> the kind of expense line field that its texts are read as.
_KINDS: Final = {
    "document": ("report_id", model.TEXT), "company": ("company", model.CODE), "account": ("account", model.CODE),
    "posting_date": ("transaction_date", model.DATE), "currency": ("document_currency", model.CURRENCY),
    **{name: (name, model.CODE) for name in DIMENSIONS},
}  # fmt: skip
_OPTIONAL: Final = DIMENSIONS


def check(profile: Mapping[str, Any]) -> Iterator[ConfigurationError]:
    """What is wrong with a legacy profile that its schema cannot see."""
    known = Format.of(profile["format"]).columns if "format" in profile else None
    for name, entry in profile["columns"].items():
        if known is not None and "column" in entry and entry["column"] not in known:
            yield _problem(profile, ("columns", name), f"no layout has a column {entry['column']!r}")
        if _groups(entry.get("match", "()")) != 1:
            yield _problem(profile, ("columns", name), "match is no expression with exactly one group in brackets")
    for name, column in _amount_columns(profile).items():
        if known is not None and column not in known:
            yield _problem(profile, ("amounts", name), f"no layout has a column {column!r}")
    if profile["reference"] == "invoice_no" and profile.get("compare_in") == "base":
        yield _problem(profile, ("compare_in",), "an invoice has no amount of its own in the currency of the books")
    if "format" in profile and "dates" not in profile["format"]:
        yield _problem(profile, ("format",), "dates says nothing")


def _groups(pattern: str) -> int:
    try:
        return re.compile(pattern).groups
    except re.error:
        return -1


def columns(profile: Mapping[str, Any]) -> list[str]:
    """The columns of the legacy journal that a profile names, in order, each once."""
    named = [entry["column"] for entry in profile["columns"].values() if "column" in entry]
    return list(dict.fromkeys([*named, *_amount_columns(profile).values()]))


def read(profile: Mapping[str, Any], raw: pd.DataFrame, name: str) -> pd.DataFrame:
    """Every legacy line as LINE_COLUMNS and the profile's dimensions.

    In: the columns of the profile as text, and source_row. Raises FileRejected LEGACY_LINE with the first line that
    cannot be read and how many there are: a journal that is read in part would hide differences.
    """
    assert len(raw) < 2**31
    plan = _plan(profile)
    faults: list[tuple[int, str]] = []
    rows = raw[SOURCE_ROW].to_numpy(dtype=np.int64)
    out: dict[str, Any] = {}
    for target, entry in profile["columns"].items():
        column = _column(raw, target, entry, plan)
        faults += _told(column, rows, entry.get("column", target))
        out[target] = model.texts(column.values)
    net, wrong = _net(raw, profile, out["currency"], plan)
    faults += wrong
    if faults:
        line, detail = min(faults)
        more = f" ({len(faults)} lines cannot be read)" if len(faults) > 1 else ""
        raise FileRejected("LEGACY_LINE", file=name, line=line, detail=f"{detail}{more}")
    frame = pd.DataFrame(out)
    return frame.assign(period=frame["posting_date"].str.slice(0, 7).astype("str"), net_minor=net, row=rows)


def _plan(profile: Mapping[str, Any]) -> Plan:
    format = profile.get("format", {})
    dates = format.get("dates", "%Y-%m-%d")
    calendar = Calendar(dates=(dates,) if isinstance(dates, str) else tuple(dates))
    return Plan(str(profile["legacy"]), {}, {}, None, (), Notation.of(format), calendar)


def _column(raw: pd.DataFrame, target: str, entry: Mapping[str, Any], plan: Plan) -> Column:
    field, kind = _KINDS[target]
    texts = _texts(raw, entry)
    one = Field(field, kind, required=target not in _OPTIONAL, aliases=entry.get("aliases"))
    return read_column(texts, one, plan)


def _texts(raw: pd.DataFrame, entry: Mapping[str, Any]) -> pa.Array:
    """The cells of a column, of each the part that `match` names; "" where it does not match."""
    if "value" in entry:
        return pa.array([entry["value"]] * len(raw), type=pa.large_string())
    if "match" not in entry:
        return model.utf8(raw[entry["column"]])
    codes, known = model.distinct(raw[entry["column"]])
    found = [re.fullmatch(entry["match"], text) for text in known]
    return model.utf8(model.spread([one.group(1) or "" if one else "" for one in found], codes))


def _told(column: Column, rows: np.ndarray, name: str) -> list[tuple[int, str]]:
    return [
        (int(rows[row]), f"{name} {masked(value)!r} is refused ({fault.code}{': ' if detail else ''}{detail})")
        for fault in column.faults
        for row, value, detail in zip(fault.rows.tolist(), fault.values, fault.details, strict=True)
    ]


def _amount_columns(profile: Mapping[str, Any]) -> dict[str, str]:
    amounts = profile["amounts"]
    names = ("amount", "side") if "side" in amounts else ("signed",) if "signed" in amounts else ("debit", "credit")
    return {name: amounts[name] for name in names}


def _net(
    raw: pd.DataFrame, profile: Mapping[str, Any], currency: pd.Series, plan: Plan
) -> tuple[np.ndarray, list[tuple[int, str]]]:
    """Debit less credit of every line, and what cannot be read."""
    amounts, rows = profile["amounts"], raw[SOURCE_ROW].to_numpy(dtype=np.int64)
    faults: list[tuple[int, str]] = []

    def minor(name: str) -> np.ndarray:
        texts = model.utf8(raw[amounts[name]])
        one = Field("gross_minor", model.MONEY, required=name not in ("debit", "credit"))
        column = read_money(texts, model.utf8(currency), one, plan.notation)
        faults.extend(_told(column, rows, amounts[name]))
        return np.asarray(column.values, dtype=np.int64)

    if "signed" in amounts:
        net = minor("signed")
        return (net if amounts["positive"] == "debit" else -net), faults
    if "side" in amounts:
        marks = raw[amounts["side"]].str.strip()
        debit, credit = marks == amounts["debit"], marks == amounts["credit"]
        faults += [(row, f"{amounts['side']} is neither side") for row in rows[~(debit | credit).to_numpy()].tolist()]
        return np.where(debit.to_numpy(dtype=bool), 1, -1) * minor("amount"), faults
    left, right = minor("debit"), minor("credit")
    faults += [(row, "debit and credit are both filled") for row in rows[(left != 0) & (right != 0)].tolist()]
    return left - right, faults


def _problem(profile: Any, path: tuple[str | int, ...], detail: str) -> ConfigurationError:
    return ConfigurationError(
        "SCHEMA", file=profile.file, line=profile.line(*path), field=".".join(map(str, path)), detail=detail
    )
