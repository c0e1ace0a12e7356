"""What a corrected or withdrawn version does to the journals that it replaces: when, whether it can, what is void."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np
import pandas as pd

from etl import errors, journal, mapping, model, reversal, versions
from etl.mapping import dates
from validations import rules

# Headers of booked journals in, what was sealed for them out.
Content = Callable[[pd.DataFrame], reversal.Content]
DATED: Final = [*model.REPORT_KEY, "posting_date", "period"]
_BY: Final = [*versions.CLAIM, "by_version"]
# A withdrawn report may say no more than that: the first of these that it states dates its reversal.
_DATES: Final = ("updated_at", "submitted_at")


def possible(bundle: mapping.Bundle, replaced: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The replaced journals that can be reversed, and the rejects (COMPANY_LEFT) of the versions that replace others.

    A reversal goes to the books and the target of its journal's company: nobody knows these once it has left the feed.
    """
    known = replaced["company"].isin(list(bundle.feed["companies"])).to_numpy(dtype=bool)
    strange, entry = replaced.loc[~known, [*_BY, "company", "journal_key"]], errors.CATALOGUE["COMPANY_LEFT"]
    rejects = [
        {
            "company": claim, "report_id": report, "report_version": version, "line_no": 0, "source_row": 0,
            "code": entry.code, "outcome": entry.outcome, "field": "company", "value": company,
            "reason": errors.text(entry.code, value=company, detail=key), "owner": entry.owner,
            "next_step": entry.next_step,
        }
        for claim, report, version, company, key in strange.itertuples(index=False, name=None)
    ]  # fmt: skip
    found = mapping.reject_frame(rejects)
    versions_of = replaced[_BY].set_axis(model.REPORT_KEY, axis=1)
    return replaced.loc[~rules.quarantined(versions_of, found)], found


def withdrawal_dates(
    bundle: mapping.Bundle, gone: pd.DataFrame, found: pd.DataFrame, replaced: pd.DataFrame
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Posting date and period of each withdrawn version that replaces something, and the rejects of those without.

    A withdrawn version is not judged otherwise: only what cannot be read of its identity, state or date holds it.
    """
    fields = dates.asked(dates.rule_of(bundle.journal))
    vital = found[
        found["field"].isin([*model.REPORT_KEY, "state", *fields]) & rules.quarantined(found, gone.assign(outcome=""))
    ]
    first = gone.drop_duplicates(model.REPORT_KEY).reset_index(drop=True)
    first = first.loc[_among(first, replaced)].reset_index(drop=True)
    stated, faults = first[fields[0]], mapping.Faults()
    silent = (first[fields] == "").all(axis=1)
    for other in _DATES:
        stated = stated.where(~silent | (stated != ""), first[other])
    first = first.assign(**{fields[0]: stated})
    first = mapping.with_dates(bundle, first, faults, _posted_last(first, replaced))
    rejects = pd.concat([vital, faults.rejects(first)], ignore_index=True)
    return first.loc[~rules.quarantined(first, rejects), DATED], rejects


def correction_dates(
    bundle: mapping.Bundle, lines: pd.DataFrame, replaced: pd.DataFrame
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Posting date and period of the reversals of each accepted version that replaces something, and its rejects.

    In: lines of versions that were mapped. A version of an earlier date than a journal that it replaces is booked on
    its own date, but takes back on that of the journal, or as the period policy says.
    """
    first, faults = lines.drop_duplicates(model.REPORT_KEY), mapping.Faults()
    first = first.loc[_among(first, replaced)].reset_index(drop=True)
    first = mapping.postponed(bundle, first, _posted_last(first, replaced), faults)
    return first[DATED], faults.rejects(first)


def _among(first: pd.DataFrame, replaced: pd.DataFrame) -> np.ndarray:
    """The versions that replace a journal."""
    return model.among(first, replaced[_BY].set_axis(model.REPORT_KEY, axis=1), model.REPORT_KEY)


def _posted_last(first: pd.DataFrame, replaced: pd.DataFrame) -> pd.Series:
    """The latest posting date of what each version reverses; "" for one that reverses nothing."""
    booked = replaced[replaced["state"] == "posted"]
    last: dict[tuple[str, ...], str] = {}
    for *key, day in booked[[*_BY, "posting_date"]].itertuples(index=False, name=None):
        last[tuple(key)] = max(last.get(tuple(key), ""), day)
    return model.texts([last.get(key, "") for key in first[model.REPORT_KEY].itertuples(index=False, name=None)])


def voided(replaced: pd.DataFrame, held: pd.DataFrame) -> tuple[str, ...]:
    """Keys of the journals that the ERP refused and that a version not held takes the place of."""
    refused = replaced[(replaced["state"] == "rejected").to_numpy(dtype=bool)]
    bad = set(held[model.REPORT_KEY].itertuples(index=False, name=None))
    rows = refused[[*_BY, "journal_key"]].itertuples(index=False, name=None)
    return tuple(sorted(row[3] for row in rows if row[:3] not in bad))


def reversals(
    bundle: mapping.Bundle, replaced: pd.DataFrame, dated: pd.DataFrame, content: Content
) -> journal.Journals | None:
    """Reversals of the booked journals that versions with a posting date (DATED) replace; None when there are none."""
    names = {"posting_date": "to_date", "period": "to_period"} | dict(zip(model.REPORT_KEY, _BY, strict=True))
    booked = replaced[replaced["state"] == "posted"].merge(
        dated.rename(columns=names), how="inner", on=_BY, validate="m:1"
    )
    if not len(booked):
        return None
    order = [*versions.CLAIM, "report_version", "currency", "belongs_to", "journal_key"]
    booked = booked.sort_values(order, ignore_index=True)
    told = booked[["by_version", "to_date", "to_period"]].set_axis(reversal.CORRECTION_COLUMNS, axis=1)
    return reversal.build(bundle, booked[versions.JOURNAL_COLUMNS], told, content(booked))
