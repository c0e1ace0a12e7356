"""What both kinds of target share: frames of answers and of the ERP's own lines."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from etl import model, money
from etl.errors import PermanentError

Flags = NDArray[np.bool_]
_SAYS_IT: Final = ("sibling", "parked", "received")


def _all(rows: pd.DataFrame | pd.Series) -> Flags:
    return np.ones(len(rows), dtype=bool)


@dataclass(frozen=True)
class Wanted:
    """Which of an ERP's lines to read: all, or those of a period and of journals that are `ours` in any period.

    lines: of a piece (model.ERP_LINE_COLUMNS) what to keep in memory. ours: of journal keys those that are.
    """

    lines: Callable[[pd.DataFrame], Flags] = _all
    ours: Callable[[pd.Series], Flags] = _all
    period: str = ""


EVERYTHING: Final = Wanted()


def no_lines() -> pd.DataFrame:
    """An ERP's lines when it holds none (model.ERP_LINE_COLUMNS)."""
    texts = ("journal_key", *(c for c in model.ERP_LINE_COLUMNS if not c.endswith("_minor")), "debit", "credit")
    return ledger({name: pa.array([], pa.large_string()) for name in texts}, "")


def acknowledgements(rows: Sequence[Sequence[str]]) -> pd.DataFrame:
    """Rows of (journal_key, level, erp_document, code, message) as model.ACKNOWLEDGEMENT_COLUMNS.

    Without a code of the ERP the level is the code of what is neither posted nor refused for itself: SIBLING, PARKED.
    """
    rows = [(*row[:3], row[3] or (row[1].upper() if row[1] in _SAYS_IT else ""), row[4]) for row in rows]
    columns = list(zip(*rows, strict=True)) if rows else [()] * len(model.ACKNOWLEDGEMENT_COLUMNS)
    named = zip(model.ACKNOWLEDGEMENT_COLUMNS, columns, strict=True)
    return pd.DataFrame({name: model.texts(list(values)) for name, values in named})


def ledger(texts: Mapping[str, pa.Array], target: str) -> pd.DataFrame:
    """model.ERP_LINE_COLUMNS from text columns of the same names, amounts as `debit` and `credit`.

    Raises PermanentError TOTALS_DIFFER when the ERP shows an amount that its currency cannot have.
    """
    columns = {c: model.texts(texts[c]) for c in model.ERP_LINE_COLUMNS if not c.endswith("_minor")}
    codes, names = model.distinct(columns["currency"])
    exponents = np.array([money.EXPONENT.get(name, 2) for name in names], dtype=np.int64)[codes]
    amounts = {}
    for side in ("debit", "credit"):
        plain = pc.replace_substring_regex(texts[side], r"^$", "0")
        plain = pc.replace_substring_regex(plain, r"(\.[0-9]*?)0+$", r"\1")
        minor, faults = money.parse(pc.replace_substring_regex(plain, r"\.$", ""), exponents)
        if (faults != "").any():
            wrong = texts[side][int(np.flatnonzero(faults != "")[0])].as_py()
            raise PermanentError("TOTALS_DIFFER", detail=f"{target} shows the amount {wrong!r}")
        amounts[f"{side}_minor"] = minor
    return pd.DataFrame({**columns, **amounts})[model.ERP_LINE_COLUMNS]
