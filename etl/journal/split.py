"""A journal with more lines than its ERP takes becomes several, each balanced over a clearing account."""

from __future__ import annotations

from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from etl import mapping, model
from etl.journal import headers, lines
from etl.mapping.posting import CLEARING

Ints = NDArray[np.int64]

SPLIT: Final = "split"


def check(bundle: mapping.Bundle, heads: pd.DataFrame, merged: pd.DataFrame, faults: mapping.Faults) -> None:
    """Hold journals that are too long for their ERP when the mapping declares no `split`."""
    if "split" in bundle.journal:
        return
    counts, most = _counts(bundle, heads, merged)
    for row in np.flatnonzero((most > 0) & (counts > most)).tolist():
        faults.add(np.array([row]), "LINES", "lines", [str(counts[row])], str(most[row]))


def by_lines(
    bundle: mapping.Bundle, expense: pd.DataFrame, heads: pd.DataFrame, merged: pd.DataFrame
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Journals of at most as many lines as the target's `journal_lines_max`, in the order they stand.

    What a part's lines do not balance is one line on the `split` account; over all parts that account comes to zero.
    """
    counts, most = _counts(bundle, heads, merged)
    long = (most > 0) & (counts > most)
    if not long.any():
        return heads, merged
    journal = merged["journal"].to_numpy(dtype=np.int64)
    starts = np.searchsorted(journal, np.arange(len(heads)))
    within = np.arange(len(merged)) - starts[journal]
    part = np.where(long[journal], within // np.maximum(most[journal] - 1, 1), 0)
    pieces = np.where(long, -(-counts // np.maximum(most - 1, 1)), 1)
    first = np.cumsum(pieces) - pieces
    new_heads = _heads(heads, pieces)
    moved = merged.assign(journal=first[journal] + part)
    cleared = np.flatnonzero(np.repeat(long, pieces))
    sums = [model.sum_by(moved[c].to_numpy(dtype=np.int64), moved["journal"].to_numpy(dtype=np.int64), len(new_heads))
            for c in ("amount_minor", "base_minor")]  # fmt: skip
    cleared = cleared[(sums[0][cleared] != 0) | (sums[1][cleared] != 0)]
    account = lines.own_account(
        bundle, bundle.journal["split"]["account"], expense, new_heads, cleared, SPLIT, mapping.Faults()
    )
    extra = lines.own_lines(bundle, CLEARING, cleared, account, -sums[0][cleared], -sums[1][cleared])
    return new_heads, lines.together(moved, extra)


def _counts(bundle: mapping.Bundle, heads: pd.DataFrame, merged: pd.DataFrame) -> tuple[Ints, Ints]:
    """Lines of each journal, and the most that its target takes (0: any number)."""
    counts = np.bincount(merged["journal"].to_numpy(dtype=np.int64), minlength=len(heads)).astype(np.int64)
    codes, names = model.distinct(heads["company"])
    limits = [int(bundle.targets[bundle.target_of(name)["target"]].get("journal_lines_max", "0")) for name in names]
    return counts, np.array(limits, dtype=np.int64)[codes] if len(codes) else codes


def _heads(heads: pd.DataFrame, pieces: Ints) -> pd.DataFrame:
    """Each header as often as its journal has pieces; the later ones belong to the first."""
    rows = np.repeat(np.arange(len(heads)), pieces)
    number = np.arange(len(rows)) - np.repeat(np.cumsum(pieces) - pieces, pieces) + 1
    later = np.flatnonzero(number > 1)
    made = headers.derived(heads, rows[later], SPLIT, [str(n) for n in number[later].tolist()])
    both = pd.concat([heads, made], ignore_index=True)
    order = np.lexsort((np.append(np.ones(len(heads)), number[later]), np.append(np.arange(len(heads)), rows[later])))
    return both.iloc[order].reset_index(drop=True)
