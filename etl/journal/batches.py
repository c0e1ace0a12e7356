"""Journals into batches: one company, period and target each."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from etl import mapping, model

Ints = NDArray[np.int64]

JOURNALS_PER_BATCH_MAX: Final = 50_000
JOURNALS_PER_BATCH_USUAL: Final = 20_000


@dataclass(frozen=True)
class Batch:
    """A frozen set of journals of one company, period and target; `rows` are their positions in the headers."""

    batch_id: str
    batch_no: int
    company: str
    period: str
    target: str
    rows: Ints


def batches(bundle: mapping.Bundle, headers: pd.DataFrame) -> Iterator[Batch]:
    """Cut journals into batches of one company, period and target.

    At most `batch.journals_max` journals each, and as many lines as the target's `batch_lines_max`. The id is made of
    the members' keys and contents, so the same journals make the same batch.
    """
    bound = min(int(bundle.feed.get("batch", {}).get("journals_max", JOURNALS_PER_BATCH_USUAL)), JOURNALS_PER_BATCH_MAX)
    codes, first = model.groups(headers, ["company", "period"])
    keys = headers[["company", "period"]].iloc[first].reset_index(drop=True)
    for number in keys.sort_values(["company", "period"]).index:
        company, period = keys.loc[number, ["company", "period"]]
        rows = np.flatnonzero(codes == number)
        most = int(bundle.targets[bundle.target_of(company)["target"]].get("batch_lines_max", "0"))
        for part in _cut(headers["lines"].to_numpy(dtype=np.int64)[rows], bound, most):
            yield _batch(bundle, headers, company, period, rows[part])


def again(bundle: mapping.Bundle, headers: pd.DataFrame, times: int) -> Batch:
    """The batch of journals of one company and period that were in another batch before; `times` makes its id new."""
    company, period = headers[["company", "period"]].iloc[0]
    return _batch(bundle, headers, company, period, np.arange(len(headers), dtype=np.int64), times)


def _cut(lines: Ints, journals_max: int, lines_max: int) -> Iterator[slice]:
    """Runs of journals within both limits (lines_max 0: no limit); a longer journal is alone."""
    ends, start = np.cumsum(lines), 0
    while start < len(lines):
        stop = min(start + journals_max, len(lines))
        if lines_max:
            fit = int(np.searchsorted(ends, ends[start] - lines[start] + lines_max, "right"))
            stop = max(min(stop, fit), start + 1)
        yield slice(start, stop)
        start = stop


def _batch(
    bundle: mapping.Bundle, headers: pd.DataFrame, company: str, period: str, rows: Ints, times: int = 0
) -> Batch:
    entry: Mapping[str, Any] = bundle.target_of(company)
    members = model.joined(
        [model.utf8(headers["journal_key"].iloc[rows]), model.utf8(headers["content_hash"].iloc[rows])]
    )
    parts = [entry["target"], *([f"again {times}"] if times else []), *members.to_pylist()]
    whole = hashlib.sha256("\n".join(parts).encode()).hexdigest()
    batch_id = beginning(bundle.feed_id, company) + _named(period, entry["target"][:6], whole[:8])
    return Batch(batch_id, int(whole[:12], 16) % 10**15 + 1, company, period, entry["target"], rows)


def beginning(feed_id: str, company: str) -> str:
    """How the ids of all batches of a feed for the books of a company begin."""
    return _named(feed_id[:12], company[:10]) + "-"


def _named(*words: str) -> str:
    return "-".join("".join(c if c.isalnum() else "-" for c in word) for word in words).upper()
