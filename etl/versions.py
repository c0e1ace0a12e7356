"""Which landed report versions are new, seen before, or replaced by a higher one.

A report version is (company, report id, version). A source without version numbers gets the content hash as the
version, so equal content is the same version and other content is another.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from etl import errors, mapping, model

Ints = NDArray[np.int64]

REPORT: Final = ["company", "report_id"]
OUTCOME_KEY: Final = [*model.REPORT_KEY, "document_currency"]
# Totals per report version and document currency; `outcome` is one of model.OUTCOMES.
OUTCOME_COLUMNS: Final = [*OUTCOME_KEY, "outcome", "lines", "gross_minor", "content_hash"]


def report_versions(lines: pd.DataFrame, content_hashes: pd.Series) -> tuple[pd.DataFrame, Ints]:
    """One row per landed report version with its content_hash, and the row number of each line's version.

    In: clean lines and the content hash of each line's report version.
    """
    codes, first = model.groups(lines, model.REPORT_KEY)
    versions = lines[model.REPORT_KEY].iloc[first].reset_index(drop=True)
    return versions.assign(content_hash=content_hashes.iloc[first].reset_index(drop=True)), codes


def classify(versions: pd.DataFrame, known: pd.DataFrame) -> tuple[list[str], pd.DataFrame]:
    """The outcome each version is heading for before its content is judged, and the versions that must not go on.

    In: `versions` of REPORT_KEY and content_hash; `known` of the same columns, the accepted versions of earlier
    landings. Out: per version accepted | duplicate | superseded | quarantined, and rejects (CONFLICT: same version,
    other content; REVISION: a newer version of a report that already has a journal).
    """
    outcomes = np.full(len(versions), model.ACCEPTED, dtype=object)
    doubtful = np.flatnonzero(_met_before(versions, known))
    history = _History(versions.iloc[doubtful], known)
    rejects = []
    for row, version in zip(doubtful.tolist(), versions.iloc[doubtful].itertuples(index=False, name=None), strict=True):
        outcomes[row], code = history.judge(*version)
        if code:
            rejects.append(_reject(version[0], version[1], version[2], code))
    return outcomes.tolist(), mapping.reject_frame(rejects)


def _met_before(versions: pd.DataFrame, known: pd.DataFrame) -> NDArray[np.bool_]:
    """Versions whose report stands here more than once or was accepted before: the few that need a closer look."""
    both = pd.concat([versions[REPORT], known[REPORT].drop_duplicates()], ignore_index=True)
    codes, first = model.groups(both, REPORT)
    return np.asarray(np.bincount(codes, minlength=len(first))[codes[: len(versions)]] > 1)


class _History:
    """What is known of some reports: accepted versions with their content, and the newest version here."""

    def __init__(self, versions: pd.DataFrame, known: pd.DataFrame) -> None:
        columns = [*model.REPORT_KEY, "content_hash"]
        mine = set(versions[REPORT].itertuples(index=False, name=None))
        rows = [row for row in known[columns].itertuples(index=False, name=None) if row[:2] in mine]
        self.accepted = {row[:3]: row[3] for row in rows}
        self.before = _highest(row[:3] for row in rows)
        self.newest = _highest(versions[model.REPORT_KEY].itertuples(index=False, name=None))

    def judge(self, company: str, report: str, version: str, content: str) -> tuple[str, str]:
        """The outcome of one version and the code that explains a quarantine."""
        seen, before = self.accepted.get((company, report, version)), self.before.get((company, report))
        if seen is not None:
            return (model.DUPLICATE, "") if seen == content else (model.QUARANTINED, "CONFLICT")
        if _rank(version) < max(_rank(self.newest[company, report]), _rank(before or "")):
            return model.SUPERSEDED, ""
        return (model.QUARANTINED, "REVISION") if before is not None else (model.ACCEPTED, "")


def _highest(keys: Iterable[tuple[str, str, str]]) -> dict[tuple[str, str], str]:
    highest: dict[tuple[str, str], str] = {}
    for company, report, version in keys:
        highest[company, report] = max(highest.get((company, report), version), version, key=_rank)
    return highest


def _rank(version: str) -> int:
    """Version numbers order by value; versions that are content hashes have no order among each other."""
    return int(version) if version.isdigit() and len(version) < 12 else 0


def _reject(company: str, report: str, version: str, code: str) -> dict[str, object]:
    entry = errors.CATALOGUE[code]
    return {
        "company": company, "report_id": report, "report_version": version, "line_no": 0, "source_row": 0,
        "code": code, "outcome": entry.outcome, "field": "report_version", "value": version,
        "reason": errors.text(code, value=version), "owner": entry.owner, "next_step": entry.next_step,
    }  # fmt: skip


def outcome_frame(lines: pd.DataFrame, version_of: Ints, versions: pd.DataFrame, outcomes: list[str]) -> pd.DataFrame:
    """Lines and gross per report version and document currency with the version's outcome (OUTCOME_COLUMNS)."""
    currency, names = model.distinct(lines["document_currency"])
    group, first = model.combine([version_of, currency]) if len(lines) else (version_of, version_of)
    at = version_of[first]
    frame = versions.iloc[at].reset_index(drop=True)
    return frame.assign(
        document_currency=model.spread(names, currency[first]),
        outcome=model.texts([outcomes[i] for i in at.tolist()]),
        lines=np.bincount(group, minlength=len(first)).astype(np.int64),
        gross_minor=model.sum_by(lines["gross_minor"].to_numpy(dtype=np.int64), group, len(first)),
    )[OUTCOME_COLUMNS]


def totals(outcomes: pd.DataFrame, outcome: str | None = None) -> model.ControlTotals:
    """Control totals of one outcome, or of everything landed."""
    part = outcomes if outcome is None else outcomes[outcomes["outcome"] == outcome]
    reports = len(part[model.REPORT_KEY].drop_duplicates())
    gross = part.groupby("document_currency", dropna=False, sort=True)["gross_minor"].sum()
    return model.ControlTotals(reports, int(part["lines"].sum()), {str(k): int(v) for k, v in gross.items()})
