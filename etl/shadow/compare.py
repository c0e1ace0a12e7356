"""Both journals as cells (net amount per document, account and currency), and what became of each.

A cell ends as MATCHED or with one code of the catalogue's outcome `shadow`. The rules are tried in the order of
`_classify`; each decides only cells that none before it has decided, so that one mistake gives one difference.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from etl import errors, model
from etl.model import Ints
from etl.shadow.causes import cause

Flags = NDArray[np.bool_]

MATCHED: Final = "matched"
CODES: Final = tuple(code for code, entry in errors.CATALOGUE.items() if entry.outcome == errors.SHADOW)
_DOCUMENT: Final = ["company", "document"]
_SUMS: Final = ["ours_minor", "legacy_minor", "ours_lines", "legacy_lines"]
DIFFERENCE_COLUMNS: Final = [
    "code", *_DOCUMENT, "account", "legacy_account", "currency", "ours", "legacy", "ours_minor", "legacy_minor",
    "difference_minor", "lines", "row", "cause", "owner", "next_step", "accepted",
]  # fmt: skip
TOTAL_COLUMNS: Final = ["company", "currency", "account", "ours_minor", "legacy_minor", "difference_minor"]


@dataclass(frozen=True)
class Comparison:
    """What a shadow run found.

    cells: company, document, account, currency, the dimensions, ours_minor, legacy_minor (debit less credit),
        ours_lines, legacy_lines, result (MATCHED or a code); every cell of both journals.
    differences: DIFFERENCE_COLUMNS, one row for each; `accepted` is the profile's reason, "" when it is open.
    totals: TOTAL_COLUMNS per company, currency and account.
    """

    cells: pd.DataFrame
    differences: pd.DataFrame
    totals: pd.DataFrame

    @property
    def open(self) -> int:
        """How many differences nobody has accepted."""
        return int((self.differences["accepted"] == "").sum())


def compare(
    ours: pd.DataFrame,
    legacy: pd.DataFrame,
    period: str,
    dimensions: Sequence[str] = (),
    rounding_minor: int = 0,
    accepted: Sequence[Mapping[str, Any]] = (),
    known: Mapping[str, str] | None = None,
) -> Comparison:
    """Compare two journals (etl.shadow.LINE_COLUMNS and the dimensions) for one period, "" for all.

    A document counts when either side has it in the period. `known`: what we know of a document that only the legacy
    journal has, as a sentence. `accepted`: the profile's rules for differences that are right as they are.
    """
    keys = [*_DOCUMENT, "account", "currency", *dimensions]
    lines = _both(ours, legacy, period)
    cells, of_line = _cells(lines, keys)
    result, partner = _classify(cells, _facts(lines, of_line, len(cells)), dimensions, rounding_minor)
    cells = cells.assign(result=model.texts(result.tolist()), partner=partner)
    rows = pd.concat([_of_cells(cells, dimensions), _of_documents(cells), _of_dates(lines, cells)], ignore_index=True)
    first = lines.loc[lines["row"] > 0].groupby(_DOCUMENT, dropna=False)["row"].min().rename("row").reset_index()
    rows = rows.merge(first, how="left", on=_DOCUMENT, validate="m:1")
    rows = rows.assign(row=rows["row"].fillna(0).astype("int64"))
    return Comparison(cells.drop(columns="partner"), _told(rows, accepted, known or {}), _totals(cells))


def _both(ours: pd.DataFrame, legacy: pd.DataFrame, period: str) -> pd.DataFrame:
    """The lines of both sides, `theirs` 0 and 1, of documents that either side has in the period."""
    lines = pd.concat([ours.assign(theirs=0), legacy.assign(theirs=1)], ignore_index=True)
    if not period:
        return lines
    group, _ = model.groups(lines, _DOCUMENT)
    inside = np.zeros(int(group.max(initial=-1)) + 1, dtype=bool)
    inside[group[(lines["period"] == period).to_numpy(dtype=bool)]] = True
    return lines.loc[inside[group]].reset_index(drop=True)


def _cells(lines: pd.DataFrame, keys: list[str]) -> tuple[pd.DataFrame, Ints]:
    """One row per cell, and the cell of each line."""
    of_line, first = model.groups(lines, keys)
    theirs, net = lines["theirs"].to_numpy(dtype=np.int64), lines["net_minor"].to_numpy(dtype=np.int64)
    parts = (net * (1 - theirs), net * theirs, 1 - theirs, theirs)
    sums = {name: model.sum_by(part, of_line, len(first)) for name, part in zip(_SUMS, parts, strict=True)}
    return lines[keys].iloc[first].reset_index(drop=True).assign(**sums), of_line


@dataclass(frozen=True)
class _Facts:
    """Per cell: whether its lines are divided in another way, and how many legacy lines repeat an earlier one."""

    divided: Flags
    repeats: Ints


def _facts(lines: pd.DataFrame, of_line: Ints, count: int) -> _Facts:
    frame = pd.DataFrame({"cell": of_line, "theirs": lines["theirs"], "net": lines["net_minor"]})
    frame = frame.sort_values(["cell", "theirs", "net"], kind="stable")
    frame["rank"] = frame.groupby(["cell", "theirs"], dropna=False).cumcount()
    pairs = frame.groupby(["cell", "rank", "net"], dropna=False)["theirs"].transform("nunique")
    single = model.sum_by(np.where(pairs < 2, 1, 0), frame["cell"].to_numpy(), count)
    repeated = frame.duplicated(["cell", "theirs", "net"]) & (frame["theirs"] == 1)
    return _Facts(single > 0, model.sum_by(np.where(repeated, 1, 0), frame["cell"].to_numpy(), count))


def _classify(
    cells: pd.DataFrame, facts: _Facts, dimensions: Sequence[str], rounding_minor: int
) -> tuple[NDArray[np.object_], Ints]:
    """The result of each cell, and the cell of the other side that it was paired with (-1 for none)."""
    ours, theirs = cells["ours_minor"].to_numpy(), cells["legacy_minor"].to_numpy()
    here, there = cells["ours_lines"].to_numpy(), cells["legacy_lines"].to_numpy()
    both, gap = (here > 0) & (there > 0), theirs - ours
    result, partner = np.full(len(cells), "", dtype=object), np.full(len(cells), -1, dtype=np.int64)

    def decide(flags: Flags, code: str) -> None:
        result[flags & (result == "")] = code

    decide((gap == 0) & ~(both & facts.divided), MATCHED)
    decide(gap == 0, "LEGACY_SPLIT")
    _whole_documents(cells, here, there, decide)
    times = np.where(ours != 0, theirs // np.where(ours == 0, 1, ours), 0)
    repeated = both & (times > 1) & (theirs == times * ours) & (there == times * here)
    decide(repeated & (facts.repeats >= there - here), "LEGACY_TWICE")
    decide(both & (theirs == -ours), "LEGACY_SIGN")
    decide(both & (abs(gap) <= rounding_minor), "LEGACY_ROUNDING")
    net = cells.assign(net=ours + theirs)
    for code, on in (
        ("LEGACY_CURRENCY", [*_DOCUMENT, "account", *dimensions]),
        ("LEGACY_DIMENSION", [*_DOCUMENT, "account", "currency", "net"]),
        ("LEGACY_ACCOUNT", [*_DOCUMENT, "currency", "net"]),
    ):
        _pair(net, on, result, partner, here, there)
        decide(partner >= 0, code)
    decide(_moved(cells, result == "", gap), "LEGACY_ACCOUNT")
    decide(abs(gap) <= rounding_minor, "LEGACY_ROUNDING")
    decide(both, "LEGACY_AMOUNT")
    decide(here > 0, "ONLY_OURS")
    decide(there > 0, "ONLY_LEGACY")
    return result, partner


def _whole_documents(cells: pd.DataFrame, here: Ints, there: Ints, decide: Any) -> None:
    """Documents that only one side has; in another company they are the same document in the wrong books."""
    group, first = model.groups(cells, _DOCUMENT)
    ours = (model.sum_by(here, group, len(first)) > 0)[group]
    theirs = (model.sum_by(there, group, len(first)) > 0)[group]
    reference, distinct = model.groups(cells, ["document"])
    only = [model.sum_by(np.where(flags, 1, 0), reference, len(distinct)) for flags in (ours & ~theirs, theirs & ~ours)]
    decide((ours != theirs) & (only[0] > 0)[reference] & (only[1] > 0)[reference], "LEGACY_COMPANY")
    decide(ours & ~theirs, "ONLY_OURS")
    decide(theirs & ~ours, "ONLY_LEGACY")


def _pair(
    cells: pd.DataFrame, on: list[str], result: NDArray[np.object_], partner: Ints, here: Ints, there: Ints
) -> None:
    """Pair open cells of one side only with open cells of the other that agree in `on`, one to one, in order."""
    left, right = (np.flatnonzero((result == "") & (count == 0)) for count in (there, here))
    sides = []
    for rows in (left, right):
        part = cells[on].iloc[rows].reset_index(drop=True).assign(cell=rows)
        sides.append(part.assign(rank=part.groupby(on, dropna=False).cumcount()))
    found = sides[0].merge(sides[1], on=[*on, "rank"], validate="1:1", suffixes=("", "_there"))
    mine, other = found["cell"].to_numpy(dtype=np.int64), found["cell_there"].to_numpy(dtype=np.int64)
    partner[mine], partner[other] = other, mine


def _moved(cells: pd.DataFrame, open: Flags, gap: Ints) -> Flags:
    """Cells on one side (debit or credit) of a document that differ one by one, but not in their sum."""
    ours, theirs = cells["ours_minor"].to_numpy(), cells["legacy_minor"].to_numpy()
    side = np.where(np.where(ours != 0, ours, theirs) > 0, "debit", "credit")
    group, first = model.groups(cells.assign(side=model.texts(side.tolist())), [*_DOCUMENT, "currency", "side"])
    sums = model.sum_by(np.where(open, gap, 0), group, len(first))
    return np.asarray(open & (sums == 0)[group], dtype=bool)


# --- cells to differences


def _of_cells(cells: pd.DataFrame, dimensions: Sequence[str]) -> pd.DataFrame:
    """A difference for each cell that has one, and one for the two cells of a pair."""
    whole = _whole(cells)
    folded = (cells["partner"] >= 0) & (cells["ours_lines"] == 0)
    rows = cells.loc[(cells["result"] != MATCHED) & ~whole & ~folded]
    at = rows["partner"].to_numpy(dtype=np.int64)
    other = cells.iloc[np.where(at >= 0, at, rows.index.to_numpy())].reset_index(drop=True)
    rows = rows.reset_index(drop=True)
    paired = at >= 0
    theirs = np.where(paired, other["legacy_minor"], rows["legacy_minor"])
    return rows.assign(
        code=rows["result"], legacy_account=other["account"].where(paired, ""), legacy_minor=theirs,
        lines=rows["ours_lines"] + other["legacy_lines"],
        ours=_place(rows, dimensions).where(rows["ours_lines"] > 0, ""),
        legacy=_place(other, dimensions).where(other["legacy_lines"] > 0, ""),
    )  # fmt: skip


def _place(cells: pd.DataFrame, dimensions: Sequence[str]) -> pd.Series:
    """Account, currency and dimensions of a cell in words."""
    columns = [model.utf8(cells[name]) for name in ("account", "currency", *dimensions)]
    return model.texts(model.joined(columns, " ")).str.strip().astype("str")


def _whole(cells: pd.DataFrame) -> pd.Series:
    """Cells of documents that only one side has: they are told as one difference."""
    counts = cells.groupby(_DOCUMENT, dropna=False)[["ours_lines", "legacy_lines"]].transform("sum")
    return (counts["ours_lines"] == 0) | (counts["legacy_lines"] == 0)


def _of_documents(cells: pd.DataFrame) -> pd.DataFrame:
    """Documents of one side only, per currency: the amounts are their debit sides."""
    rows = cells.loc[_whole(cells) & (cells["result"] != MATCHED)]
    rows = rows.assign(
        ours_minor=rows["ours_minor"].clip(lower=0), legacy_minor=rows["legacy_minor"].clip(lower=0),
        lines=rows["ours_lines"] + rows["legacy_lines"],
    )  # fmt: skip
    keys = ["result", *_DOCUMENT, "currency"]
    rows = rows.groupby(keys, dropna=False)[["ours_minor", "legacy_minor", "lines"]].sum().reset_index()
    return rows.rename(columns={"result": "code"}).assign(account="", legacy_account="", ours="", legacy="")


def _of_dates(lines: pd.DataFrame, cells: pd.DataFrame) -> pd.DataFrame:
    """Documents of both sides, per currency, whose posting dates are not the same."""
    keys = [*_DOCUMENT, "currency"]
    days = lines[[*keys, "theirs", "posting_date"]].drop_duplicates().sort_values("posting_date", kind="stable")
    listed = days.groupby([*keys, "theirs"], dropna=False)["posting_date"].agg(" ".join).astype("str").reset_index()
    ours, theirs = (listed.loc[listed["theirs"] == side].drop(columns="theirs") for side in (0, 1))
    both = ours.rename(columns={"posting_date": "ours"}).merge(
        theirs.rename(columns={"posting_date": "legacy"}), on=keys, validate="1:1"
    )
    twice = cells.loc[cells["result"] == "LEGACY_TWICE", _DOCUMENT].drop_duplicates().assign(twice=1)
    both = both.merge(twice, how="left", on=_DOCUMENT, validate="m:1")
    within = np.array([set(o.split()) <= set(t.split()) for o, t in zip(both["ours"], both["legacy"], strict=True)])
    agree = (both["ours"] == both["legacy"]) | (within.astype(bool) & both["twice"].notna())
    rows = both.loc[~agree].drop(columns="twice").reset_index(drop=True)
    amounts = cells.assign(side=cells["ours_minor"].clip(lower=0)).groupby(keys, dropna=False)["side"].sum()
    rows = rows.merge(amounts.rename("ours_minor").reset_index(), how="left", on=keys, validate="1:1")
    same = rows["ours"].str.slice(0, 7) == rows["legacy"].str.slice(0, 7)
    code = pd.Series(np.where(same, "LEGACY_DATE", "LEGACY_PERIOD"), index=rows.index).astype("str")
    return rows.assign(code=code, account="", legacy_account="", legacy_minor=rows["ours_minor"], lines=0)


def _told(rows: pd.DataFrame, accepted: Sequence[Mapping[str, Any]], known: Mapping[str, str]) -> pd.DataFrame:
    """Differences in order, with their causes in words, who acts, and the reasons for which they are accepted."""
    rows = rows.assign(difference_minor=rows["legacy_minor"] - rows["ours_minor"])
    facts = [rows[name] for name in ("code", "account", "legacy_account", "ours", "legacy", "lines")]
    told = list(map(cause, *facts, [known.get(document, "") for document in rows["document"]]))
    entries = [errors.CATALOGUE[str(code)] for code in rows["code"]]
    rows = rows.assign(
        cause=model.texts(told), owner=model.texts([one.owner for one in entries]),
        next_step=model.texts([one.next_step for one in entries]), accepted=model.texts([""] * len(rows)),
    )  # fmt: skip
    for rule in accepted:
        tests = [rows[name] == rule[name] for name in ("code", *_DOCUMENT, "account", "legacy_account") if name in rule]
        fits = np.logical_and.reduce([rows["accepted"] == "", *tests])
        rows["accepted"] = rows["accepted"].mask(fits, rule["reason"])
    order = rows["code"].map({code: number for number, code in enumerate(CODES)})
    rows = rows.assign(order=order).sort_values(["order", *_DOCUMENT, "currency", "account"], kind="stable")
    return rows[DIFFERENCE_COLUMNS].reset_index(drop=True)


def _totals(cells: pd.DataFrame) -> pd.DataFrame:
    keys = ["company", "currency", "account"]
    total = cells.groupby(keys, dropna=False)[["ours_minor", "legacy_minor"]].sum().reset_index()
    return total.assign(difference_minor=total["legacy_minor"] - total["ours_minor"])[TOTAL_COLUMNS]
