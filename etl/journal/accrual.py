"""A period open for accruals only: the cost is accrued there, and reversed where the journal itself is posted."""

from __future__ import annotations

from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from etl import mapping, model
from etl.journal import headers, lines
from etl.mapping.posting import ACCRUAL

Ints = NDArray[np.int64]

ACCRUAL_REVERSAL: Final = "accrual_reversal"


def with_accruals(
    bundle: mapping.Bundle, expense: pd.DataFrame, heads: pd.DataFrame, merged: pd.DataFrame
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Add two journals for each that the policy `accrue` moved: the accrual on the original date, and its reversal.

    Both hold the lines of the rules marked `accrue`, and one line on the accrual account.
    """
    rows = _moved(bundle, heads)
    if not len(rows):
        return heads, merged
    taken = np.array([rule.get("accrue") == "yes" for rule in mapping.rules(bundle)], dtype=bool)
    mine = merged.loc[taken[merged["rule"].to_numpy(dtype=np.int64)]]
    mine = mine.loc[mine["journal"].isin(rows)].reset_index(drop=True)
    rows = np.unique(mine["journal"].to_numpy(dtype=np.int64))
    account = lines.own_account(
        bundle, bundle.journal["accrual"]["account"], expense, heads, rows, "accrual.account", mapping.Faults()
    )
    merged = merged.assign(copy_of=-1, sign=1)
    made_heads, made_lines = [heads], [merged]
    for sign, purpose in ((1, ACCRUAL), (-1, ACCRUAL_REVERSAL)):
        start = sum(map(len, made_heads))
        made_heads.append(_heads(heads, rows, purpose))
        made_lines.append(_lines(bundle, mine, rows, account, sign, start))
    return pd.concat(made_heads, ignore_index=True), lines.together(*made_lines)


def _moved(bundle: mapping.Bundle, heads: pd.DataFrame) -> Ints:
    shifted = ((heads["original_date"] != heads["posting_date"]) & (heads["belongs_to"] == "")).to_numpy(dtype=bool)
    accruing = [mapping.period_policy(bundle, company) == "accrue" for company in heads["company"][shifted]]
    return np.asarray(np.flatnonzero(shifted)[np.array(accruing, dtype=bool)], dtype=np.int64)


def _heads(heads: pd.DataFrame, rows: Ints, purpose: str) -> pd.DataFrame:
    out = headers.derived(heads, rows, purpose, [""] * len(rows))
    if purpose == ACCRUAL:
        dates = out["original_date"]
        out = out.assign(posting_date=dates, period=dates.str.slice(0, 7).astype("str"))
    return out


def _lines(
    bundle: mapping.Bundle, mine: pd.DataFrame, rows: Ints, account: pd.Series, sign: int, start: int
) -> pd.DataFrame:
    """The accrued lines of one journal each, times sign, and what balances them."""
    journal = start + np.searchsorted(rows, mine["journal"].to_numpy(dtype=np.int64))
    amount, base = (sign * mine[c].to_numpy(dtype=np.int64) for c in ("amount_minor", "base_minor"))
    copies = mine.assign(journal=journal, amount_minor=amount, base_minor=base, copy_of=mine["was"], sign=sign, was=-1)
    sums = [model.sum_by(values, journal - start, len(rows)) for values in (amount, base)]
    extra = lines.own_lines(bundle, ACCRUAL, start + np.arange(len(rows)), account, -sums[0], -sums[1])
    return pd.concat([copies, extra.assign(copy_of=-1, sign=1)], ignore_index=True)
