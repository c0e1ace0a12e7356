"""Which landed report versions are new, seen before, replaced by a higher one, or a correction of what is booked.

A report version is (company, report id, version). A source without version numbers gets the content hash as the
version, so equal content is the same version and other content is another; those order by landing.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from etl import errors, mapping, model

Ints = NDArray[np.int64]

REPORT: Final = ["company", "report_id"]
OUTCOME_KEY: Final = [*model.REPORT_KEY, "document_currency"]
# Totals per report version and document currency; `outcome` is one of model.OUTCOMES.
OUTCOME_COLUMNS: Final = [*OUTCOME_KEY, "outcome", "lines", "gross_minor", "content_hash", "business_hash"]
# A version that an earlier landing decided; `seq` is that landing's place in the order they came.
KNOWN_COLUMNS: Final = [*OUTCOME_KEY, "outcome", "content_hash", "business_hash", "seq"]
# Every journal that holds some report ids: model.JOURNAL_COLUMNS, its batch, its state there (store.MEMBER_STATES), and
# the report that it is looked at for.
Journals = Callable[[Sequence[str]], pd.DataFrame]
CLAIM: Final = ["claim_company", "claim_report"]
JOURNAL_COLUMNS: Final = [*model.JOURNAL_COLUMNS, "state", "batch_id", *CLAIM]
_ACCRUALS: Final = ("accrual", "accrual_reversal")  # the pair books nothing

LIVE, REFUSED, UNSETTLED, GONE = "live", "refused", "unsettled", "gone"


@dataclass(frozen=True)
class Verdict:
    """What each version of a file is heading for before its content is judged.

    outcomes: one of model.OUTCOMES per version. rejects: CONFLICT (same version, other content) and REVISION (what it
    corrects is not settled). replaced: JOURNAL_COLUMNS of the journals that an accepted or withdrawn version takes the
    place of, with `by_version`; those in state `posted` are to be reversed, those `rejected` were never booked.
    """

    outcomes: list[str]
    rejects: pd.DataFrame
    replaced: pd.DataFrame


def report_versions(
    lines: pd.DataFrame, content_hashes: pd.Series, business_hashes: pd.Series
) -> tuple[pd.DataFrame, Ints]:
    """One row per landed report version, and the row number of each line's version.

    In: clean lines and the two hashes of each line's report version. Out: REPORT_KEY, content_hash, business_hash and
    state, which is "" where the lines do not agree.
    """
    codes, first = model.groups(lines, model.REPORT_KEY)
    states, names = model.distinct(lines["state"])
    mixed = np.bincount(codes, weights=states != states[first][codes], minlength=len(first)) > 0
    return lines[model.REPORT_KEY].iloc[first].reset_index(drop=True).assign(
        content_hash=content_hashes.iloc[first].reset_index(drop=True),
        business_hash=business_hashes.iloc[first].reset_index(drop=True),
        state=model.texts(["" if bad else names[s] for s, bad in zip(states[first].tolist(), mixed, strict=True)]),
    ), codes  # fmt: skip


def classify(
    versions: pd.DataFrame, known: pd.DataFrame, journals: Journals, withdrawn: Collection[str], seq: int
) -> Verdict:
    """Judge the versions of one landing, whose place is `seq`, against what is known of their reports.

    In: `versions` as `report_versions` gives them; `known` of KNOWN_COLUMNS; the journals of reports; the feed's
    states of a withdrawn report. A version older than what is known is superseded. One that says what the live one
    says is a duplicate, and so is the same content again.
    """
    outcomes = np.where(versions["state"].isin(list(withdrawn)), model.WITHDRAWN, model.ACCEPTED).astype(object)
    doubtful = np.flatnonzero(_met_before(versions, known))
    part = versions.iloc[doubtful]
    met = known[known["report_id"].isin(part["report_id"])]
    history = _History(part, met, standing(journals(_said_anew(part, met))), seq)
    rejects, replaced = [], []
    columns = [*model.REPORT_KEY, "content_hash", "business_hash"]
    for row, version in zip(doubtful.tolist(), part[columns].itertuples(index=False, name=None), strict=True):
        outcomes[row], found, places = history.judge(version, outcomes[row] == model.WITHDRAWN)
        rejects += [_reject(version, code, value) for code, value in found]
        replaced += [(place, version[2]) for place in places]
    taken = history.journals.iloc[[place for place, _ in replaced]].reset_index(drop=True)
    by_version = model.texts([version for _, version in replaced])
    return Verdict(outcomes.tolist(), mapping.reject_frame(rejects), taken.assign(by_version=by_version))


def current(known: pd.DataFrame) -> pd.DataFrame:
    """The version of each report that counts (KNOWN_COLUMNS, one row each): the last accepted or withdrawn one."""
    decided = known[known["outcome"].isin([model.ACCEPTED, model.WITHDRAWN])]
    order = decided.assign(rank=ranks(decided["report_version"])).sort_values(["rank", "seq"], kind="stable")
    return order.drop_duplicates(REPORT, keep="last")[known.columns].reset_index(drop=True)


def _met_before(versions: pd.DataFrame, known: pd.DataFrame) -> NDArray[np.bool_]:
    """Versions whose report stands here more than once or was decided before: the few that need a closer look."""
    both = pd.concat([versions[REPORT], known[REPORT].drop_duplicates()], ignore_index=True)
    codes, first = model.groups(both, REPORT)
    return np.asarray(np.bincount(codes, minlength=len(first))[codes[: len(versions)]] > 1)


def _said_anew(versions: pd.DataFrame, met: pd.DataFrame) -> list[str]:
    """The ids of known reports of which something else is told now; of the others no journal needs to be looked at."""
    content = [*model.REPORT_KEY, "content_hash"]
    seen, ids = set(_keys(met[met["outcome"] != model.DUPLICATE], content)), set(met["report_id"])
    return sorted({key[1] for key in _keys(versions, content) if key not in seen and key[1] in ids})


def claimed(journals: pd.DataFrame, links: pd.DataFrame) -> pd.DataFrame:
    """Journals with the report that each is looked at for: one that holds several stands there once for each.

    In: model.JOURNAL_COLUMNS and more; `links` of company, report_id, journal_key. A journal that is in no link is its
    own report's, in the books of the company of the journal that it belongs to.
    """
    main = journals["belongs_to"].where(journals["belongs_to"] != "", journals["journal_key"]).astype("str")
    company = dict(zip(journals["journal_key"], journals["company"], strict=True))
    own = [company.get(key, name) for key, name in zip(main, journals["company"], strict=True)]
    names = {"company": CLAIM[0], "report_id": CLAIM[1], "journal_key": "main"}
    both = journals.assign(main=main, own=model.texts(own).set_axis(journals.index)).merge(
        links.drop_duplicates().rename(columns=names), how="left", on="main", validate="m:m"
    )
    both = both.assign(
        claim_company=both[CLAIM[0]].fillna(both["own"]), claim_report=both[CLAIM[1]].fillna(both["report_id"])
    )
    return both.drop(columns=["main", "own"]).astype(dict.fromkeys(CLAIM, "str"))


def standing(journals: pd.DataFrame) -> pd.DataFrame:
    """JOURNAL_COLUMNS with `standing`: live, refused by the ERP, unsettled (an answer is open), or gone.

    A reversal that was posted cancels for good; one that is on its way, or refused, leaves open what is booked. A
    refused journal of several reports stays open until the ERP takes it. An accrual and its reversal book nothing.
    """
    reversal = journals[journals["reversal_of"] != ""]
    reversed_as = dict(zip(_keys(reversal, ["reversal_of", *CLAIM]), reversal["state"], strict=True))
    columns = ["journal_key", *CLAIM, "state", "reversal_of", "purpose", "report_id"]
    standing = []
    for *key, state, reverses, purpose, report in journals[columns].itertuples(index=False, name=None):
        cancelled = reversed_as.get(tuple(key), "")
        if reverses or state == "void" or cancelled == "posted" or purpose in _ACCRUALS:
            standing.append(GONE)
        elif state == "rejected" and report == key[2]:
            standing.append(REFUSED)
        else:
            standing.append(LIVE if state == "posted" and not cancelled else UNSETTLED)
    return journals.assign(standing=model.texts(standing).set_axis(journals.index))


class _History:
    """What is known of some reports: decided versions with their content, the journals, and the newest version here."""

    def __init__(self, versions: pd.DataFrame, known: pd.DataFrame, journals: pd.DataFrame, seq: int) -> None:
        self.seq, self.journals = seq, journals.reset_index(drop=True)
        decided = known[known["outcome"] != model.DUPLICATE]
        self.seen = set(decided[[*model.REPORT_KEY, "content_hash"]].itertuples(index=False, name=None))
        accepted = decided[decided["outcome"] == model.ACCEPTED]
        self.said = dict(zip(_keys(accepted, model.REPORT_KEY), accepted["business_hash"], strict=True))
        self.withdrawn = set(_keys(decided[decided["outcome"] == model.WITHDRAWN], model.REPORT_KEY))
        last = current(known)
        self.current = dict(zip(_keys(last, REPORT), _keys(last, ["outcome", "business_hash"]), strict=True))
        self.newest_here = _highest(versions, np.full(len(versions), seq, dtype=np.int64))
        said = told(known)
        self.told = set(_keys(said, [*model.REPORT_KEY, "content_hash"]))
        self.newest = _highest(said, said["seq"].to_numpy(dtype=np.int64))
        self.places: dict[tuple[str, ...], list[int]] = {}
        for place, report in enumerate(_keys(self.journals, CLAIM)):
            self.places.setdefault(report, []).append(place)

    def judge(
        self, version: tuple[str, str, str, str, str], withdrawn: bool
    ) -> tuple[str, list[tuple[str, str]], list[int]]:
        """The outcome of one version, the codes and values that hold it, and the places of the journals it replaces."""
        key, report, content, business = version[:3], version[:2], version[3], version[4]
        outcome, said = self.current.get(report, ("", ""))
        standing = {place: str(self.journals["standing"].iat[place]) for place in self.places.get(report, ())}
        unchanged = outcome == model.ACCEPTED and said == business and REFUSED not in standing.values()
        again = key in self.withdrawn if withdrawn else unchanged and self.said.get(key) == business
        old = outcome == model.WITHDRAWN and (*key, content) in self.told  # delivered again, not approved anew
        if again or old or (*key, content) in self.seen:
            return model.DUPLICATE, [], []
        if not withdrawn and (key in self.said or key in self.withdrawn):
            return model.QUARANTINED, [("CONFLICT", version[2])], []
        place = (rank(version[2]), self.seq)
        if place[:1] < self.newest_here[report][:1] or place < self.newest.get(report, place):
            return model.SUPERSEDED, [], []
        if unchanged and not withdrawn:
            return model.DUPLICATE, [], []
        return self._replacing(standing, model.WITHDRAWN if withdrawn else model.ACCEPTED)

    def _replacing(self, standing: dict[int, str], outcome: str) -> tuple[str, list[tuple[str, str]], list[int]]:
        held = [self._told(place) for place, name in standing.items() if name == UNSETTLED]
        if held:
            return model.QUARANTINED, [("REVISION", value) for value in held], []
        return outcome, [], [place for place, name in standing.items() if name in (LIVE, REFUSED)]

    def _told(self, place: int) -> str:
        """The journal that a version waits for, and its state: of a posted one that is its reversal's."""
        key, state = self.journals["journal_key"].iat[place], self.journals["state"].iat[place]
        report = self.journals["claim_report"].iat[place]
        mine = (self.journals["reversal_of"] == key) & (self.journals["claim_report"] == report)
        cancelled = np.flatnonzero(mine.to_numpy(dtype=bool))
        if len(cancelled):
            key, state = (self.journals[name].iat[cancelled[0]] for name in ("journal_key", "state"))
        return f"{key} {state}"


def _keys(frame: pd.DataFrame, columns: Sequence[str]) -> list[tuple[str, ...]]:
    return list(frame[list(columns)].itertuples(index=False, name=None))


def told(known: pd.DataFrame) -> pd.DataFrame:
    """The decided versions, and the duplicates with the business content of an accepted one of the same report.

    Only such a duplicate is a newer version: others repeat, as part of a whole file, what was never booked.
    """
    said = [*REPORT, "business_hash"]
    booked = set(_keys(known[known["outcome"] == model.ACCEPTED], said))
    same = np.array([key in booked for key in _keys(known, said)], dtype=bool)
    return known[(known["outcome"] != model.DUPLICATE) | same]


def _highest(versions: pd.DataFrame, seq: Ints) -> dict[tuple[str, ...], tuple[int, int]]:
    """The last place, (rank, seq), of each report."""
    highest: dict[tuple[str, ...], tuple[int, int]] = {}
    places = zip(ranks(versions["report_version"]), seq.tolist(), strict=True)
    for report, place in zip(_keys(versions, REPORT), places, strict=True):
        highest[report] = max(highest.get(report, place), place)
    return highest


def ranks(versions: Iterable[str]) -> list[int]:
    """`rank` of each version."""
    return [rank(version) for version in versions]


def rank(version: str) -> int:
    """Version numbers order by value; versions that are content hashes have no order but that of their landings."""
    return int(version) if version.isdigit() and len(version) < 12 else 0


def _reject(version: Sequence[str], code: str, value: str) -> dict[str, object]:
    entry = errors.CATALOGUE[code]
    return {
        "company": version[0], "report_id": version[1], "report_version": version[2], "line_no": 0, "source_row": 0,
        "code": code, "outcome": entry.outcome, "field": "report_version", "value": value,
        "reason": errors.text(code, value=value), "owner": entry.owner, "next_step": entry.next_step,
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
