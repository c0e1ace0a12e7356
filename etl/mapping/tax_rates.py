"""Tax by the rate that the claim line states (`tax_rate`), in place of a table's; held against the tax it states."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from etl import model, money
from etl.mapping.apply import Faults
from etl.mapping.bundle import Bundle

Ints = NDArray[np.int64]

RATE_FIELD = "tax_rate_pct"
# What one rate is stated for: all parts of a line together, so that no part rounds by itself.
_LINE = [*model.REPORT_KEY, "line_no", "document_currency", "tax_code", RATE_FIELD]


def rated(bundle: Bundle, lines: pd.DataFrame) -> NDArray[np.bool_]:
    """The lines whose tax goes by the rate that they state."""
    if "tax_rate" not in bundle.journal:
        return np.zeros(len(lines), dtype=bool)
    return np.asarray((lines[RATE_FIELD] != "").to_numpy(dtype=bool))


def with_stated_rates(bundle: Bundle, lines: pd.DataFrame, faults: Faults) -> pd.DataFrame:
    """Lines with tax_minor by their stated rate: gross x rate / (100 + rate), rounded half up, once a line.

    A tax that the line states as well stays as it is when it is within `tolerance_minor` of that, else it is a TAX
    fault of the line; a tax of 0 states nothing. A computed tax is shared over the parts of its line by their gross.
    """
    rows = np.flatnonzero(rated(bundle, lines))
    part = lines.iloc[rows]
    group, first = model.groups(part, _LINE)
    gross, tax = (part[name].to_numpy(dtype=np.int64) for name in ("gross_minor", "tax_minor"))
    whole, stated = (model.sum_by(amounts, group, len(first)) for amounts in (gross, tax))
    computed = _by_rate(whole, part[RATE_FIELD].iloc[first])
    tolerance = int(bundle.journal["tax_rate"]["tolerance_minor"])
    wrong = np.flatnonzero((stated != 0) & (np.abs(stated - computed) > tolerance))
    for at in wrong.tolist():
        line = part.iloc[first[at]]
        told = [f"{money.text_of(int(amount[at]), line['document_currency'])} {line['document_currency']}"
                for amount in (stated, computed)]  # fmt: skip
        detail = f"the stated {line[RATE_FIELD]} % give {told[1]}, {tolerance} minor units may be between"
        faults.add(rows[first[at : at + 1]], "TAX", "tax_minor", told[:1], detail)
    order = np.argsort(group, kind="stable")
    weights = np.abs(gross)
    weights[(model.sum_by(weights, group, len(first)) == 0)[group]] = 1
    shared = np.empty(len(rows), dtype=np.int64)
    shared[order] = money.allocate_groups(computed, weights[order], group[order])
    out = lines["tax_minor"].to_numpy(dtype=np.int64).copy()
    out[rows] = np.where((stated != 0)[group], tax, shared)
    return lines.assign(tax_minor=out)


def _by_rate(gross: Ints, rates: pd.Series) -> Ints:
    """The tax within each gross amount at its own percentage."""
    out = np.zeros(len(gross), dtype=np.int64)
    codes, texts = model.distinct(rates)
    for number, text in enumerate(texts):
        rate, decimals = money.parse_rate(text) or (0, 0)
        mine = codes == number
        out[mine] = money.scale(gross[mine], rate, 100 * 10**decimals + rate)
    return out
