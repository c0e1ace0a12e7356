"""The source's own list of approved reports against what landed: what never came, and what came otherwise."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import pandas as pd

from etl import model, money
from etl.reconcile.breaks import raw

# amount is the text as listed, "" without one; date is ISO text or "".
LISTED_COLUMNS: Final = ["company", "report_id", "report_version", "currency", "amount", "date", "amount_minor"]
_REPORT: Final = ["company", "report_id"]


@dataclass(frozen=True)
class Listed:
    """rows: LISTED_COLUMNS. whole: what is not in it is not approved. faults: (place, what is wrong)."""

    rows: pd.DataFrame
    whole: bool = False
    faults: Sequence[tuple[str, str]] = ()


def compare(listed: Listed | None, landed: pd.DataFrame) -> pd.DataFrame:
    """LIST_UNREADABLE, NOT_LANDED, LIST_DIFFERS and NOT_LISTED.

    In: breaks.OUTCOME_COLUMNS of everything that ever landed, in the order it came; any outcome is landed. Amounts are
    compared where a version was accepted: what is in quarantine may be there because of its amount.
    """
    if listed is None:
        return raw("NOT_LANDED", 0)
    places, details = zip(*listed.faults, strict=True) if listed.faults else ((), ())
    unreadable = raw("LIST_UNREADABLE", len(places), value=model.texts(places), detail=model.texts(details))
    rows = listed.rows.drop_duplicates(ignore_index=True)
    parts = [unreadable, _absent(rows, landed), _amounts(rows, landed)]
    # Without a list that can be read, nothing would be listed.
    parts += [_strange(rows, landed)] if listed.whole and not listed.faults else []
    return pd.concat(parts, ignore_index=True)


def _keys(frame: pd.DataFrame, columns: Sequence[str]) -> pd.Series:
    return pd.Series(list(frame[[*columns]].itertuples(index=False, name=None)), index=frame.index, dtype=object)


def _absent(rows: pd.DataFrame, landed: pd.DataFrame) -> pd.DataFrame:
    reports, versions = set(_keys(landed, _REPORT)), set(_keys(landed, model.REPORT_KEY))
    came = _keys(rows, _REPORT).isin(reports)
    versioned = (rows["report_version"] != "") & ~_keys(rows, model.REPORT_KEY).isin(versions)
    part = rows[(~came | versioned).to_numpy(dtype=bool)]
    version = np.where(part["report_version"] == "", "", " version " + part["report_version"])
    return raw(
        "NOT_LANDED", len(part), company=part["company"], report_id=part["report_id"], currency=part["currency"],
        period=part["date"].str.slice(0, 7), since=part["date"], amount_minor=abs(part["amount_minor"]),
        detail=model.texts(np.where(came[part.index], "an older version landed", "nothing of it landed").tolist()),
        value=model.texts((part["report_id"] + version).tolist()),
    )  # fmt: skip


def _amounts(rows: pd.DataFrame, landed: pd.DataFrame) -> pd.DataFrame:
    """Listed amounts against what was accepted of that version, or of the last one where the list names none."""
    accepted = landed[landed["outcome"] == model.ACCEPTED]
    gross = accepted.groupby([*model.REPORT_KEY, "document_currency"], dropna=False, sort=False)["gross_minor"].sum()
    newest = dict(zip(_keys(accepted, _REPORT), accepted["report_version"], strict=True))
    found: list[tuple[int, int]] = []
    stated = rows[rows["amount"] != ""]
    known = set(_keys(accepted, model.REPORT_KEY))
    for place, company, report, version, currency, minor in zip(
        stated.index, stated["company"], stated["report_id"], stated["report_version"], stated["currency"],
        stated["amount_minor"].tolist(), strict=True,
    ):  # fmt: skip
        version = version or newest.get((company, report), "")
        here = int(gross.get((company, report, version, currency), 0))
        if (company, report, version) in known and here != minor:
            found.append((place, here))
    part = rows.loc[[place for place, _ in found]]
    here_minor = np.array([minor for _, minor in found], dtype=np.int64)
    shown = [money.text_of(minor, code) for minor, code in zip(here_minor.tolist(), part["currency"], strict=True)]
    return raw(
        "LIST_DIFFERS", len(part), company=part["company"], report_id=part["report_id"], currency=part["currency"],
        period=part["date"].str.slice(0, 7), since=part["date"], here=model.texts(shown), value=part["amount"],
        amount_minor=abs(here_minor - part["amount_minor"].to_numpy(dtype=np.int64)),
    )  # fmt: skip


def _strange(rows: pd.DataFrame, landed: pd.DataFrame) -> pd.DataFrame:
    """Reports in force here that a list of everything does not have."""
    decided = landed[landed["outcome"].isin([model.ACCEPTED, model.WITHDRAWN])]
    last = decided.drop_duplicates([*_REPORT, "document_currency"], keep="last")
    strange = (last["outcome"] == model.ACCEPTED) & ~_keys(last, _REPORT).isin(set(_keys(rows, _REPORT)))
    part = last[strange.to_numpy(dtype=bool)]
    return raw(
        "NOT_LISTED", len(part), company=part["company"], report_id=part["report_id"],
        currency=part["document_currency"], amount_minor=abs(part["gross_minor"]), value=part["report_id"],
    )  # fmt: skip
