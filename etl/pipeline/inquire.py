"""Answers to `claimpost show`: everything the store knows of one report, journal or batch."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import pandas as pd
import pyarrow.parquet as pq

from etl import money
from etl.errors import ConfigurationError
from etl.pipeline.shelf import Shelf
from etl.store import Request, Store

Found = dict[str, Any]


def report(store: Store, shelf: Shelf, report_id: str) -> Found:
    """Every landed version of a report, what became of it and why; raises NOT_FOUND.

    `chain` lists its journals in the order they were made, each reversal with the journal that it takes back;
    `decisions` who asked for what and why, and who agreed.
    """
    frames = store.report(report_id)
    if frames["outcomes"].empty:
        raise ConfigurationError("NOT_FOUND", field="report", value=report_id)
    outcomes = _with_amount(frames["outcomes"], "gross_minor", "document_currency")
    chain = _chain(frames["journals"], frames["members"])
    decisions = [_decision(one) for one in store.requests() if _about(one, report_id, set(outcomes["company"]))]
    found = {"report_id": report_id, "outcomes": records(outcomes), "chain": records(chain), "decisions": decisions}
    return found | {name: records(frames[name]) for name in ("rejects", "journals", "members", "landings")}


def _about(request: Request, report_id: str, companies: set[str]) -> bool:
    return request.subject in (report_id, *(f"{company}/{report_id}" for company in companies))


def _decision(request: Request) -> Found:
    names = ("id", "action", "requested_by", "reason", "at", "approved_by", "agreed", "approved_at")
    return {name: getattr(request, name) for name in names}


def _chain(journals: pd.DataFrame, members: pd.DataFrame) -> pd.DataFrame:
    """Journals of a report in the order they were made, reversals first, with amount, state and ERP document."""
    last = members.drop_duplicates("journal_key", keep="last")[["journal_key", "state", "erp_document"]]
    both = journals.merge(last, how="left", on="journal_key", validate="1:1").fillna("")
    order = both.assign(first=both["reversal_of"] == "").sort_values(["made_at", "first", "currency", "journal_key"])
    order = _with_amount(order, "debit_minor", "currency")
    columns = ["report_version", "purpose", "journal_key", "reversal_of", "posting_date", "currency", "debit", "state"]
    return order[[*columns, "erp_document"]]


def journal(store: Store, shelf: Shelf, journal_key: str) -> Found:
    """A journal, its lines with amounts as decimal text, where they came from, and the ERP's answer."""
    headers = store.journals(keys=[journal_key])
    if headers.empty:
        raise ConfigurationError("NOT_FOUND", field="journal", value=journal_key)
    head = records(headers)[0]
    members = store.members(keys=[journal_key])
    folder = shelf.folder(store.batch(str(members["batch_id"].iloc[-1])).folder)
    lines = _of_journal(folder / "lines.parquet", journal_key)
    for side in ("debit", "credit"):
        lines = _priced(lines, f"{side}_minor", head["currency"])
        lines = _priced(lines, f"base_{side}_minor", head["base_currency"])
    lineage = _priced(_of_journal(folder / "lineage.parquet", journal_key), "amount_minor", head["currency"])
    return {**head, "lines": records(lines), "lineage": records(lineage), "answers": records(members)}


def batch(store: Store, shelf: Shelf, batch_id: str) -> Found:
    """A batch with its totals, its history and its journals."""
    found = store.batch(batch_id)
    journals = records(store.members(batch_id=batch_id))
    return {
        **vars(found),
        "totals": dict(found.totals),
        "history": records(store.events(batch_id)),
        "members": journals,
    }


FINDERS: Final[Mapping[str, Callable[[Store, Shelf, str], Found]]] = {
    "report": report,
    "journal": journal,
    "batch": batch,
}


def records(frame: pd.DataFrame) -> list[Found]:
    """Rows of a frame as they stand, a dict each."""
    columns = [series.tolist() for _, series in frame.items()]
    return [dict(zip(frame.columns, row, strict=True)) for row in zip(*columns, strict=True)]


def _of_journal(path: Path, journal_key: str) -> pd.DataFrame:
    frame: pd.DataFrame = pq.read_table(path, filters=[("journal_key", "=", journal_key)]).to_pandas()
    return frame


def _priced(frame: pd.DataFrame, column: str, currency: str) -> pd.DataFrame:
    """Minor units replaced by decimal text under the name without `_minor`."""
    texts = [money.text_of(minor, currency) for minor in frame[column].tolist()]
    return frame.assign(**{column.removesuffix("_minor"): texts}).drop(columns=column)


def _with_amount(frame: pd.DataFrame, column: str, currency: str) -> pd.DataFrame:
    pairs = zip(frame[column].tolist(), frame[currency].tolist(), strict=True)
    texts = [money.text_of(minor, name) if name in money.EXPONENT else str(minor) for minor, name in pairs]
    return frame.assign(**{column.removesuffix("_minor"): texts}).drop(columns=column)
