"""Faults of columns -> the rejects frame: one row per line, field and reason."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
import pandas as pd

from etl import errors, masking, model
from etl.clean.work import Found
from etl.formats.layout import SOURCE_ROW

VALUE_CHARACTERS_MAX: Final = 100


def reject_frame(lines: pd.DataFrame, found: Sequence[Found]) -> pd.DataFrame:
    """REJECT_COLUMNS in order of source row; what belongs to the whole raw row is said once, on its first line."""
    rows = np.concatenate([np.empty(0, dtype=np.int64), *[one.fault.rows for one in found]])
    says = [said for one in found for said in _says(one)]
    keys = lines[[*model.REPORT_KEY, "line_no", SOURCE_ROW]].iloc[rows].reset_index(drop=True)
    frame = pd.concat([keys, pd.DataFrame(says, columns=model.REJECT_COLUMNS[5:])], axis=1)
    frame = frame.astype({c: "int64" if c in ("line_no", SOURCE_ROW) else "str" for c in model.REJECT_COLUMNS})
    order = frame.sort_values([SOURCE_ROW, "line_no", "field", "code"], kind="stable")
    return order.drop_duplicates([SOURCE_ROW, "field", "code", "value"]).reset_index(drop=True)


def _says(one: Found) -> list[tuple[str, ...]]:
    """What each row of a fault says; numbers of accounts and cards in free text are masked (B111)."""
    fault = one.fault
    entry = errors.CATALOGUE[fault.code]
    names = [one.name] * len(fault.rows) if isinstance(one.name, str) else one.name
    says: list[tuple[str, ...]] = []
    for name, value, detail in zip(names, fault.values, fault.details, strict=True):
        whole = masking.masked(value) if one.target in masking.FREE_TEXT else value
        shown = whole if len(whole) <= VALUE_CHARACTERS_MAX else whole[:VALUE_CHARACTERS_MAX] + "…"
        reason = errors.text(fault.code, field=name, value=shown, detail=detail)
        says.append((fault.code, entry.outcome, name, shown, reason, entry.owner, entry.next_step))
    return says
