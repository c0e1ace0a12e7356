"""Journals that cancel booked ones: the sealed lines mirrored, never mapped again, for the mapping may have changed.

Original and reversal sum to zero per account, dimension and currency, at the same rate. Of a journal that holds several
reports one report's share is cancelled; when all of them are, nothing of it is left.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from etl import journal, mapping, model
from etl.mapping.posting import ROUNDING

Ints = NDArray[np.int64]

# The version that makes a reversal necessary, and where its posting date puts it.
CORRECTION_COLUMNS: Final = ["by_version", "posting_date", "period"]
_SIDES: Final = (("debit_minor", "credit_minor"), ("base_debit_minor", "base_credit_minor"))


@dataclass(frozen=True)
class Content:
    """What was sealed for some journals: model.JOURNAL_LINE_COLUMNS, LINEAGE_COLUMNS, JOURNAL_REPORT_COLUMNS."""

    lines: pd.DataFrame
    lineage: pd.DataFrame
    reports: pd.DataFrame


def build(
    bundle: mapping.Bundle, originals: pd.DataFrame, corrections: pd.DataFrame, sealed: Content
) -> journal.Journals:
    """One reversal for each journal that is booked, and for each report of it that is corrected.

    In: headers of the journals with claim_company and claim_report, CORRECTION_COLUMNS row by row for them, and what
    was sealed. Out: journals of the correcting version in the order of the originals.
    """
    originals, corrections = originals.reset_index(drop=True), corrections.reset_index(drop=True)
    headers = _headers(bundle, originals, corrections)
    shares = (originals["claim_report"] != originals["report_id"]).to_numpy(dtype=bool)
    lines, lineage = _of_each(originals, sealed.lines), _lineage(originals, shares, sealed)
    if shares.any():
        lines = _shared(bundle, originals, shares, lines, lineage)
    mirrored, lineage = _numbered(_mirrored(bundle, originals, lines), lineage)
    at = mirrored["at"].to_numpy(dtype=np.int64)
    keys = headers["journal_key"]
    mirrored = mirrored.assign(journal=at, journal_key=keys.iloc[at].reset_index(drop=True))
    headers = _summed(headers, mirrored)
    told = lineage.assign(journal_key=keys.iloc[lineage["at"].to_numpy(dtype=np.int64)].reset_index(drop=True))
    amounts = {str(name): -told[name] for name in told.columns if str(name).endswith("_minor")}
    return journal.Journals(
        headers[model.JOURNAL_COLUMNS], mirrored[model.JOURNAL_LINE_COLUMNS],
        told.assign(**amounts)[model.LINEAGE_COLUMNS], sealed.reports.iloc[:0], mapping.reject_frame([]),
    )  # fmt: skip


def _headers(bundle: mapping.Bundle, originals: pd.DataFrame, corrections: pd.DataFrame) -> pd.DataFrame:
    """Headers as they were, with an identity of their own, on the posting date of the correction."""
    names = ["claim_report", "report_version"]
    text = model.joined(
        [model.utf8(originals["company"]), bundle.source_system, *(model.utf8(originals[c]) for c in names),
         model.REVERSAL, model.utf8(originals["currency"]), model.utf8(originals["journal_key"])]
    )  # fmt: skip
    ids, keys = model.journal_identity(text)
    reports = originals["claim_report"]
    new = dict(zip(zip(originals["journal_key"], reports, strict=True), keys.to_pylist(), strict=True))
    main = [new.get(pair, "") for pair in zip(originals["belongs_to"], reports, strict=True)]
    return originals.assign(
        journal_id=model.texts(ids), journal_key=model.texts(keys), reversal_of=originals["journal_key"],
        belongs_to=model.texts(main), report_id=reports, original_date=corrections["posting_date"],
        purpose=model.texts([model.REVERSAL] * len(originals)), report_version=corrections["by_version"],
        posting_date=corrections["posting_date"], period=corrections["period"],
    )  # fmt: skip


def _of_each(originals: pd.DataFrame, frame: pd.DataFrame) -> pd.DataFrame:
    """The rows of each original's journal, with its position `at`, in order."""
    places = originals[["journal_key"]].assign(at=np.arange(len(originals)))
    found = places.merge(frame, on="journal_key", validate="m:m")
    return found.sort_values(["at", "line_no"], ignore_index=True)


def _lineage(originals: pd.DataFrame, shares: NDArray[np.bool_], sealed: Content) -> pd.DataFrame:
    """The shares of the expense lines; of a journal of several reports only those of the report that is corrected."""
    lineage = _of_each(originals, sealed.lineage)
    if not shares.any():
        return lineage
    names = {"claim_company": "company", "claim_report": "report_id", "currency": "document_currency"}
    asked = originals[["journal_key", *names]].rename(columns=names).assign(at=np.arange(len(originals)))
    own = asked.merge(sealed.reports, on=["journal_key", *names.values()], validate="m:m")[["at", "report_no"]]
    pairs = set(own.itertuples(index=False, name=None))
    rows = lineage[["at", "report_no"]].itertuples(index=False, name=None)
    mine = np.array([not shares[row[0]] or row in pairs for row in rows], dtype=bool)
    return lineage.loc[mine].reset_index(drop=True)


def _shared(
    bundle: mapping.Bundle,
    originals: pd.DataFrame,
    shares: NDArray[np.bool_],
    lines: pd.DataFrame,
    lineage: pd.DataFrame,
) -> pd.DataFrame:
    """Lines of journals of several reports cut to one report's share, on their own side; rounding is what is left."""
    part = lineage.groupby(["at", "line_no"], dropna=False)[["amount_minor", "base_minor"]].sum().reset_index()
    both = lines.merge(part, how="left", on=["at", "line_no"], validate="1:1").fillna(
        {"amount_minor": 0, "base_minor": 0}
    )
    mine = shares[both["at"].to_numpy(dtype=np.int64)]
    for (debit, credit), column in zip(_SIDES, ("amount_minor", "base_minor"), strict=True):
        share = both[column].to_numpy(dtype=np.int64)
        on_debit = ((both["debit_minor"] != 0) | (both["base_debit_minor"] != 0)).to_numpy()
        columns = {debit: np.where(on_debit, share, 0), credit: np.where(on_debit, 0, -share)}
        both[f"new_{debit}"], both[f"new_{credit}"] = columns[debit], columns[credit]
    for side in (name for pair in _SIDES for name in pair):
        both[side] = np.where(mine, both[f"new_{side}"], both[side]).astype(np.int64)
    amounts = [name for pair in _SIDES for name in pair]
    kept = both.loc[~mine | (both[amounts] != 0).any(axis=1).to_numpy(dtype=bool), lines.columns]
    return _with_rounding(bundle, originals, shares, kept.reset_index(drop=True), lines)


def _with_rounding(
    bundle: mapping.Bundle, originals: pd.DataFrame, shares: NDArray[np.bool_], kept: pd.DataFrame, lines: pd.DataFrame
) -> pd.DataFrame:
    """What the shares of one report leave open in base currency, on the journal's rounding account."""
    at = kept["at"].to_numpy()
    net = (kept["base_debit_minor"] - kept["base_credit_minor"]).to_numpy()
    rest = model.sum_by(net, at, len(originals))
    rows = np.flatnonzero(shares & (rest != 0))
    if not len(rows):
        return kept
    policy, faults = bundle.journal["rounding"], mapping.Faults()
    account = mapping.evaluate(policy["account"], bundle, originals.iloc[rows], rows, "rounding.account", faults)
    old = lines[lines["purpose"] == ROUNDING].drop_duplicates("at").set_index("at")["account"]
    known = model.texts([str(old.get(row, name)) for row, name in zip(rows.tolist(), account, strict=True)])
    extra = {name: model.texts([""] * len(rows)) for name in kept.columns if kept[name].dtype == "str"}
    extra |= {"purpose": model.texts([ROUNDING] * len(rows)), "account": known}
    whole = {name: np.zeros(len(rows), dtype=np.int64) for name in kept.columns if name not in extra}
    whole |= {"at": rows, "line_no": np.full(len(rows), int(kept["line_no"].max()) + 1, dtype=np.int64)}
    whole |= {"base_debit_minor": np.maximum(-rest[rows], 0), "base_credit_minor": np.maximum(rest[rows], 0)}
    both = pd.concat([kept, pd.DataFrame({**extra, **whole})[list(kept.columns)]], ignore_index=True)
    return both.sort_values(["at", "line_no"], ignore_index=True)


def _mirrored(bundle: mapping.Bundle, originals: pd.DataFrame, lines: pd.DataFrame) -> pd.DataFrame:
    """Amounts on the other side (swap) or in red on theirs, by company."""
    codes, names = model.distinct(originals["company"])
    red_company = np.array([bundle.company(name, "reversal_style") == "red" for name in names], dtype=bool)
    red = red_company[codes][lines["at"].to_numpy(dtype=np.int64)]
    columns: dict[str, Any] = {}
    for pair in _SIDES:
        debit, credit = (lines[side].to_numpy(dtype=np.int64) for side in pair)
        net = credit - debit
        columns[pair[0]] = np.where(red, -debit, np.maximum(net, 0))
        columns[pair[1]] = np.where(red, -credit, np.maximum(-net, 0))
    return lines.assign(**columns)


def _numbered(lines: pd.DataFrame, lineage: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Lines counted from 1 in each journal, and the lineage with the new numbers."""
    at = lines["at"].to_numpy()
    new = np.arange(len(lines)) - np.searchsorted(at, at) + 1
    renamed = lines[["at", "line_no"]].assign(new=new)
    moved = lineage.merge(renamed, on=["at", "line_no"], validate="m:1")
    return lines.assign(line_no=new), moved.assign(line_no=moved["new"]).drop(columns="new")


def _summed(headers: pd.DataFrame, lines: pd.DataFrame) -> pd.DataFrame:
    """Headers with the totals and content of their lines."""
    at, count = lines["at"].to_numpy(), len(headers)
    base = (lines["base_debit_minor"] - lines["base_credit_minor"]).to_numpy()
    rounding = np.where((lines["purpose"] == ROUNDING).to_numpy(dtype=bool), base, 0)
    amounts = ("debit_minor", "base_debit_minor")
    sums: dict[str, Any] = {name: model.sum_by(lines[name].to_numpy(dtype=np.int64), at, count) for name in amounts}
    counts = {"lines": np.bincount(at, minlength=count).astype(np.int64)}
    hashes = journal.content_hashes(headers, lines, np.searchsorted(at, np.arange(count)))
    left = model.sum_by(rounding, at, count)
    return headers.assign(**sums, **counts, rounding_minor=left, content_hash=model.texts(hashes))
