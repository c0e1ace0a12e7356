"""Journals that cancel booked ones: the sealed lines mirrored, never mapped again, for the mapping may have changed.

Original and reversal sum to zero per account, dimension and currency, at the same rate.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import pandas as pd

from etl import journal, mapping, model

# The version that makes a reversal necessary, and where its posting date puts it.
CORRECTION_COLUMNS: Final = ["by_version", "posting_date", "period"]
_SIDES: Final = (("debit_minor", "credit_minor"), ("base_debit_minor", "base_credit_minor"))


def build(
    bundle: mapping.Bundle,
    originals: pd.DataFrame,
    corrections: pd.DataFrame,
    lines: pd.DataFrame,
    lineage: pd.DataFrame,
) -> journal.Journals:
    """One reversal for each journal that is booked.

    In: headers of the journals (model.JOURNAL_COLUMNS), CORRECTION_COLUMNS row by row for them, and their lines and
    lineage as they were sealed. Out: journals of the correcting version in the order of the originals.
    """
    originals, corrections = originals.reset_index(drop=True), corrections.reset_index(drop=True)
    headers = _headers(bundle, originals, corrections)
    merged = _mirrored(bundle, originals, lines)
    starts = np.searchsorted(merged["journal"].to_numpy(dtype=np.int64), np.arange(len(headers)))
    keys = headers["journal_key"]
    merged = merged.assign(journal_key=keys.iloc[merged["journal"]].reset_index(drop=True))
    sums = {c: model.sum_by(merged[c].to_numpy(dtype=np.int64), merged["journal"].to_numpy(dtype=np.int64), len(keys))
            for c in ("debit_minor", "base_debit_minor")}  # fmt: skip
    headers = headers.assign(**sums, content_hash=model.texts(journal.content_hashes(headers, merged, starts)))
    told = _negated(lineage, dict(zip(originals["journal_key"], keys, strict=True)))
    return journal.Journals(
        headers[model.JOURNAL_COLUMNS],
        merged[model.JOURNAL_LINE_COLUMNS],
        told,
        pd.DataFrame({name: model.texts([]) for name in model.JOURNAL_REPORT_COLUMNS}),
        mapping.reject_frame([]),
    )


def _headers(bundle: mapping.Bundle, originals: pd.DataFrame, corrections: pd.DataFrame) -> pd.DataFrame:
    """Headers as they were, with an identity of their own, on the posting date of the correction."""
    names = ["report_id", "report_version"]
    text = model.joined(
        [model.utf8(originals["company"]), bundle.source_system, *(model.utf8(originals[c]) for c in names),
         model.REVERSAL, model.utf8(originals["currency"]), model.utf8(originals["journal_key"])]
    )  # fmt: skip
    ids, keys = model.journal_identity(text)
    new = dict(zip(originals["journal_key"], keys, strict=True))
    return originals.assign(
        journal_id=model.texts(ids), journal_key=model.texts(keys), reverses=originals["journal_key"],
        belongs_to=model.texts([new.get(key, key) for key in originals["belongs_to"]]),
        rounding_minor=-originals["rounding_minor"], original_date=corrections["posting_date"],
        purpose=model.texts([model.REVERSAL] * len(originals)), report_version=corrections["by_version"],
        posting_date=corrections["posting_date"], period=corrections["period"],
    )  # fmt: skip


def _mirrored(bundle: mapping.Bundle, originals: pd.DataFrame, lines: pd.DataFrame) -> pd.DataFrame:
    """The lines in the order of their journals, amounts on the other side (swap) or in red on theirs, by company."""
    place = pd.Series(np.arange(len(originals)), index=originals["journal_key"])
    at = place.reindex(lines["journal_key"]).to_numpy()
    order = np.lexsort((lines["line_no"].to_numpy(dtype=np.int64), at))
    mirrored = lines.iloc[order].reset_index(drop=True).assign(journal=at[order].astype(np.int64))
    codes, names = model.distinct(originals["company"])
    red_company = np.array([bundle.company(name, "reversal_style") == "red" for name in names], dtype=bool)
    red = red_company[codes][mirrored["journal"].to_numpy()]
    columns: dict[str, Any] = {}
    for pair in _SIDES:
        debit, credit = (mirrored[side].to_numpy(dtype=np.int64) for side in pair)
        net = credit - debit
        columns[pair[0]] = np.where(red, -debit, np.maximum(net, 0))
        columns[pair[1]] = np.where(red, -credit, np.maximum(-net, 0))
    return mirrored.assign(**columns)


def _negated(lineage: pd.DataFrame, key_of: dict[str, str]) -> pd.DataFrame:
    """The shares of the expense lines, taken back."""
    lineage = lineage.reset_index(drop=True)
    amounts = {str(name): -lineage[name] for name in lineage.columns if str(name).endswith("_minor")}
    return lineage.assign(journal_key=model.texts([key_of[key] for key in lineage["journal_key"]]), **amounts)
