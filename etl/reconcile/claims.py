"""What the source says must be booked: each accepted version once, and taken back by the version that replaces it."""

from __future__ import annotations

from typing import Final

import numpy as np
import pandas as pd

from etl import model

# `seq` is the place of the landing; `journal_key` the journal of an accepted version, "" without one.
DECIDED_COLUMNS: Final = [*model.REPORT_KEY, "document_currency", "outcome", "gross_minor", "journal_key", "seq"]
# One row per journal that must be there; gross_minor of what is taken back is negative, its journal_key is "".
CLAIM_COLUMNS: Final = [*model.REPORT_KEY, "currency", "purpose", "gross_minor", "journal_key"]
# A correction across a cut-off: the journal in one period, its reversal in another.
SHIFT_COLUMNS: Final = [
    "company", "report_id", "currency", "journal_key", "period", "reversal_key", "reversal_period", "debit_minor",
]  # fmt: skip
_VERSION: Final = [*model.REPORT_KEY, "outcome", "seq"]


def claims(decided: pd.DataFrame, given_up: set[str]) -> pd.DataFrame:
    """The journals that the decided versions ask for (CLAIM_COLUMNS).

    In: DECIDED_COLUMNS of accepted and withdrawn versions, a row per currency; `given_up` are the keys of journals that
    the ERP refused for good, which book nothing and need no reversal.
    """
    events = decided[_VERSION].drop_duplicates().reset_index(drop=True)
    codes, names = model.distinct(events["report_version"])  # numbers order by value, hashes by their landings
    number = np.array([int(name) if name.isdigit() and len(name) < 12 else 0 for name in names], dtype=np.int64)
    order = ["company", "report_id", "number", "seq"]
    events = events.assign(number=number[codes]).sort_values(order, ignore_index=True)
    after = events[model.REPORT_KEY].shift(-1, fill_value="")
    same = ((after["company"] == events["company"]) & (after["report_id"] == events["report_id"])).to_numpy(dtype=bool)
    events = events.assign(next_version=after["report_version"].where(same, ""), replaced=same)
    booked = decided[(decided["outcome"] == model.ACCEPTED) & ~decided["journal_key"].isin(given_up)]
    booked = booked.merge(events.drop(columns="number"), how="left", on=_VERSION, validate="m:1")
    booked = booked.rename(columns={"document_currency": "currency"})
    taken = booked[booked["replaced"].to_numpy(dtype=bool)]
    taken = taken.assign(report_version=taken["next_version"], gross_minor=-taken["gross_minor"], journal_key="")
    both = [booked.assign(purpose=model.ORIGINAL), taken.assign(purpose=model.REVERSAL)]
    return pd.concat(both, ignore_index=True)[CLAIM_COLUMNS].astype({"purpose": "str", "journal_key": "str"})


def shifts(journals: pd.DataFrame, period: str = "") -> pd.DataFrame:
    """Reversals in another period than their journal (SHIFT_COLUMNS), of one period or all.

    In: model.JOURNAL_COLUMNS of everything, not of one period alone.
    """
    back = journals[journals["reversal_of"] != ""]
    back = back[["reversal_of", "journal_key", "period"]].set_axis(
        ["journal_key", "reversal_key", "reversal_period"], axis=1
    )
    both = journals.merge(back, on="journal_key", validate="1:1")
    moved = both["period"] != both["reversal_period"]
    if period:
        moved &= (both["period"] == period) | (both["reversal_period"] == period)
    out: pd.DataFrame = both.loc[moved, SHIFT_COLUMNS]
    return out.sort_values(["company", "report_id", "journal_key"], ignore_index=True)
