"""Dates, periods and expressions of a journal mapping, evaluated over columns; and what could not be decided."""

from __future__ import annotations

import datetime
import re
from collections.abc import Mapping
from typing import Any, Final
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from etl import errors, lookup, masking, model
from etl.mapping.bundle import Bundle

Ints = NDArray[np.int64]

DIMENSIONS: Final = ("party", "department", "cost_center", "project", "analysis", "tax_code", "text")
_PIECES: Final = re.compile(r"\{([a-z_]+)\}")


class Faults:
    """Collects what could not be decided, by row position, and makes rejects of it once."""

    def __init__(self) -> None:
        self.found: list[tuple[Ints, str, str, list[str], str]] = []

    def add(self, rows: Ints, code: str, field: str, values: list[str], detail: str) -> None:
        if len(rows):
            self.found.append((rows, code, field, values, detail))

    def rejects(self, lines: pd.DataFrame) -> pd.DataFrame:
        seen: dict[tuple[int, str, str, str], dict[str, object]] = {}
        for rows, code, field, values, detail in self.found:
            entry = errors.CATALOGUE[code]
            for row, value in zip(rows.tolist(), values, strict=True):
                facts = {"field": field, "value": value, "detail": detail}
                reason = errors.text(code, **facts)
                seen.setdefault(
                    (row, code, field, value),
                    {
                        **{k: lines[k].iat[row] for k in (*model.REPORT_KEY, "line_no", "source_row")},
                        "code": code, "outcome": entry.outcome, "field": field, "value": value, "reason": reason,
                        "owner": entry.owner, "next_step": entry.next_step,
                    },
                )  # fmt: skip
        return reject_frame(list(seen.values()))


def reject_frame(rows: list[dict[str, object]]) -> pd.DataFrame:
    """Rejects as a frame of model.REJECT_COLUMNS."""
    kinds = {name: "int64" if name in ("line_no", "source_row") else "str" for name in model.REJECT_COLUMNS}
    return pd.DataFrame(rows, columns=model.REJECT_COLUMNS).astype(kinds)


# --- dates and periods


def with_dates(bundle: Bundle, lines: pd.DataFrame, faults: Faults) -> pd.DataFrame:
    """Lines with base_currency, posting_date, period and original_date under the period policy."""
    companies, company_names = model.distinct(lines["company"])
    base = [bundle.company(name, "base_currency") for name in company_names]
    codes, first = model.groups(lines, ["company", bundle.journal["posting_date"]])
    pairs = lines[["company", bundle.journal["posting_date"]]].iloc[first].itertuples(index=False, name=None)
    dates = [local_date(moment, bundle.company(company, "time_zone")) for company, moment in pairs]
    lines = lines.assign(
        base_currency=model.spread(base, companies),
        posting_date=model.spread(dates, codes),
        period=model.spread([date[:7] for date in dates], codes),
        original_date=model.spread(dates, codes),
    )
    return _with_open_period(bundle, lines, faults) if bundle.periods else lines


def local_date(moment: str, time_zone: str) -> str:
    """The ISO date on which a UTC time falls in a time zone; a plain date stays itself."""
    if "T" not in moment:
        return moment
    utc = datetime.datetime.fromisoformat(moment.replace("Z", "+00:00"))
    return utc.astimezone(ZoneInfo(time_zone)).date().isoformat()


def _with_open_period(bundle: Bundle, lines: pd.DataFrame, faults: Faults) -> pd.DataFrame:
    codes, first = model.groups(lines, ["company", "period", "posting_date"])
    keys = lines[["company", "period", "posting_date"]].iloc[first].itertuples(index=False, name=None)
    decided = [open_date(bundle, company, period, date) for company, period, date in keys]
    closed = np.array([not date for date in decided], dtype=bool)
    rows = np.flatnonzero(closed[codes]) if len(codes) else np.empty(0, dtype=np.int64)
    values = lines["period"].iloc[rows].tolist()
    faults.add(rows, "PERIOD_CLOSED", "posting_date", values, "its company")
    shown = [date or "0001-01-01" for date in decided]
    return lines.assign(
        posting_date=model.spread(shown, codes), period=model.spread([date[:7] for date in shown], codes)
    )


def period_policy(bundle: Bundle, company: str) -> str:
    """What a closed period does to a company's journals: hold | next_open | accrue."""
    return bundle.company(company, "closed_period") or str(bundle.journal["closed_period"])


def period_state(bundle: Bundle, company: str, period: str) -> str:
    """open | accrual (open for accruals only) | closed; a period that is not listed is closed."""
    row = bundle.periods.row((company, period)) if bundle.periods else None
    return row.cells["state"] if row else "open" if bundle.periods is None else "closed"


def open_date(bundle: Bundle, company: str, period: str, date: str) -> str:
    """The posting date under the period policy: the date itself, the first day of the next open period, or ""."""
    state, policy = period_state(bundle, company, period), period_policy(bundle, company)
    if state == "open" or bundle.periods is None:
        return date
    if policy == "hold" or (policy == "accrue" and state != "accrual"):
        return ""
    later = sorted(
        key[1] for key, rows in bundle.periods.rows.items()
        if key[0] == company and key[1] > period and rows[0].cells["state"] == "open"
    )  # fmt: skip
    return f"{later[0]}-01" if later else ""


# --- expressions


def evaluate(
    expression: Mapping[str, Any], bundle: Bundle, part: pd.DataFrame, rows: Ints, field: str, faults: Faults
) -> pd.Series:
    """The text of an expression for each row of `part`; a row that gets none is a fault.

    `rows` are the positions of part's rows in the whole frame, by which faults name their line.
    """
    if "choose" in expression:
        return _choice(expression["choose"], bundle, part, rows, field, faults)
    if "table" in expression:
        return _looked_up(expression["table"], bundle, part, rows, field, faults)
    if "value" in expression:
        return model.spread([expression["value"]], np.zeros(len(part), dtype=np.int64))
    if "company" in expression:
        codes, names = model.distinct(part["company"])
        return model.spread([bundle.company(name, expression["company"]) for name in names], codes)
    if "field" in expression:
        field_texts: pd.Series = part[expression["field"]].reset_index(drop=True)
        return field_texts
    return fill(expression, part)


def _looked_up(name: str, bundle: Bundle, part: pd.DataFrame, rows: Ints, field: str, faults: Faults) -> pd.Series:
    use, table = bundle.journal["tables"][name], bundle.tables[name]
    values, missing = table.find(part, use["value"], use.get("valid_by", ""))
    gaps = np.flatnonzero(missing)
    columns = [*use["key"], *([use["valid_by"]] if "valid_by" in use else [])]
    faults.add(rows[gaps], "MAPPING_GAP", field, _shown(part[columns].iloc[gaps]), f"tables/{table.file}")
    return values


def _shown(keys: pd.DataFrame) -> list[str]:
    """The cells of each row in one text; free text masked (B111)."""
    cells = [masking.masked_texts(keys[c]) if c in masking.FREE_TEXT else keys[c] for c in keys.columns]
    return [", ".join(key) for key in zip(*(column.tolist() for column in cells), strict=True)]


def _choice(
    choices: list[Mapping[str, Any]], bundle: Bundle, part: pd.DataFrame, rows: Ints, field: str, faults: Faults
) -> pd.Series:
    open_rows = np.ones(len(part), dtype=bool)
    where, pieces = [], []
    for choice in choices:
        taken = open_rows & lookup.matches(choice["when"], part) if "when" in choice else open_rows.copy()
        open_rows &= ~taken
        at = np.flatnonzero(taken)
        where.append(at)
        pieces.append(model.utf8(evaluate(choice, bundle, part.iloc[at], rows[at], field, faults)))
    rest = np.flatnonzero(open_rows)
    faults.add(rows[rest], "MAPPING_GAP", field, ["no condition that holds"] * len(rest), "its choices")
    where.append(rest)
    pieces.append(pa.array([""] * len(rest), type=pa.large_string()))
    order = np.argsort(np.concatenate(where), kind="stable")
    return model.texts(pc.take(pa.concat_arrays(pieces), pa.array(order)))


def fill(expression: Mapping[str, Any], frame: pd.DataFrame) -> pd.Series:
    """A text template over the frame's columns, without spaces at the ends, cut to `max` characters."""
    pieces = _PIECES.split(expression["template"])
    columns = [model.utf8(frame[p].astype("str")) if i % 2 else p for i, p in enumerate(pieces)]
    if not any(i % 2 for i in range(len(pieces))):
        return model.spread([pieces[0].strip()], np.zeros(len(frame), dtype=np.int64))
    text = pc.utf8_trim_whitespace(model.joined([c for c in columns if not isinstance(c, str) or c], ""))
    if "max" in expression:
        text = pc.utf8_slice_codeunits(text, 0, int(expression["max"]))
    return model.texts(text)
