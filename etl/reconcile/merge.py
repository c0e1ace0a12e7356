"""Parts of a reconciliation, put together: so the year of a feed is compared period by period, and never here whole."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING

import pandas as pd
import pyarrow as pa

from etl import model
from etl.reconcile.breaks import BREAK_ORDER, CODES

if TYPE_CHECKING:
    from etl.reconcile import Reconciliation

TOTAL_KEYS = ["company", "currency", "account", "period"]
STAGE_KEYS = ["company", "currency"]
DOCUMENT_ORDER = ["company", "report_id", "report_version", "currency", "journal_key", "erp_document"]


def merged(parts: Sequence[Reconciliation]) -> Reconciliation:
    """One reconciliation of parts of one moment; no journal, claim, document or outcome is in two of them."""
    return dataclasses.replace(
        parts[0],
        totals=_summed([part.totals for part in parts], TOTAL_KEYS),
        stages=_summed([part.stages for part in parts], STAGE_KEYS),
        documents=_sorted([part.documents for part in parts], DOCUMENT_ORDER),
        breaks=_breaks([part.breaks for part in parts]),
        conservation=tuple(dict.fromkeys(sentence for part in parts for sentence in part.conservation)),
        reports={name: sum(part.reports[name] for part in parts) for name in parts[0].reports},
        moved=_sorted([part.moved for part in parts], ["company", "posting_date", "journal_key"]),
        rounding=_sorted([part.rounding for part in parts], ["company", "period", "journal_key"]),
    )


def _summed(frames: Sequence[pd.DataFrame], keys: list[str]) -> pd.DataFrame:
    whole = pd.concat(frames, ignore_index=True)
    return whole.groupby(keys, dropna=False)[[name for name in whole if name not in keys]].sum().reset_index()


def _sorted(frames: Sequence[pd.DataFrame], order: list[str]) -> pd.DataFrame:
    """In Arrow, which sorts and takes columns of text in their own bytes."""
    table = pa.concat_tables([pa.Table.from_pandas(frame, preserve_index=False) for frame in frames])
    table = table.sort_by([(name, "ascending") for name in order])
    return pd.DataFrame(
        {
            name: column.to_numpy() if pa.types.is_integer(column.type) else model.texts(column.combine_chunks())
            for name, column in zip(table.column_names, table.columns, strict=True)
        }
    )


def _breaks(frames: Sequence[pd.DataFrame]) -> pd.DataFrame:
    whole = pd.concat(frames, ignore_index=True)
    rank = whole["code"].map({code: number for number, code in enumerate(CODES)}).astype("int64")
    ordered = whole.assign(rank=rank).sort_values(BREAK_ORDER, kind="stable", ignore_index=True)
    return ordered.drop(columns="rank")
