"""The journals of a file: mapped and balanced in blocks of reports, then judged together, with what they take back.

A block never splits a report, so the journals are those of the whole file; what is open at a time is a block's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import pandas as pd
import pyarrow as pa

from etl import journal, mapping, model, render
from etl.mapping import suspense
from etl.pipeline import corrections
from validations import rules, schemas

LINES_OF_A_BLOCK: Final = 50_000
ROUNDED_COLUMNS: Final = ["journal_key", "company", "period", "rounding_minor"]
Rounded = Callable[[], pd.DataFrame]


@dataclass(frozen=True)
class _Block:
    """Some reports' journals, the days on which they take back what they replace, and their rejects."""

    rows: model.Ints
    journals: journal.Journals
    dated: pd.DataFrame
    rejects: pd.DataFrame


def journals(
    bundle: mapping.Bundle, lines: pd.DataFrame, good: model.Bools, replaced: pd.DataFrame, withdrawals: pd.DataFrame,
    content: corrections.Content, rounded: Rounded,
) -> tuple[journal.Journals, pd.DataFrame]:  # fmt: skip
    """Journals of the `good` lines with the reversals of what they and the withdrawn ones replace; and rejects.

    A report that cannot be mapped, balanced or rendered is rejected with all of them.
    """
    unfit = [rules.rejects_frame([])]
    blocks = [_block(bundle, lines, rows, replaced, unfit) for rows in _cut(bundle, lines, np.flatnonzero(good))]
    while True:
        late = pd.concat([*(block.rejects for block in blocks), *unfit], ignore_index=True)
        dated = pd.concat([withdrawals, *(block.dated for block in blocks)], ignore_index=True)
        dated = dated.loc[~rules.quarantined(dated, late)]
        both = _with_reversals(_together(blocks), corrections.reversals(bundle, replaced, dated, content))
        unfit.append(_unfit(bundle, both, rounded))
        if unfit[-1].empty:
            return both, late
        blocks = [
            _block(bundle, lines, block.rows, replaced, unfit)
            if rules.quarantined(lines.iloc[block.rows], unfit[-1]).any()
            else block
            for block in blocks
        ]


def _cut(bundle: mapping.Bundle, lines: pd.DataFrame, rows: model.Ints) -> list[model.Ints]:
    """The rows in blocks of whole reports, in order of the reports; in each the rows as they stand.

    All in one where a journal is made of several reports, or a limit counts over the delivery.
    """
    whole = journal.is_grouped(bundle) or "accrual" in bundle.journal or suspense.accounts(bundle.journal)
    if whole or len(rows) <= LINES_OF_A_BLOCK:
        return [rows]
    report = journal.report_order(lines[model.REPORT_KEY].iloc[rows])
    ends = np.cumsum(np.bincount(report))
    number = ((ends - 1) // LINES_OF_A_BLOCK)[report]
    return [rows[number == one] for one in range(int(number.max()) + 1) if (number == one).any()]


def _block(
    bundle: mapping.Bundle, lines: pd.DataFrame, rows: model.Ints, replaced: pd.DataFrame,
    unfit: Sequence[pd.DataFrame],
) -> _Block:  # fmt: skip
    """The journals of whole reports, without those that are unfit."""
    accepted = lines.iloc[rows].reset_index(drop=True)
    schemas.prove(accepted, schemas.CLEAN)
    applied = mapping.apply(bundle, accepted)
    mapped = applied.lines.loc[~rules.quarantined(applied.lines, applied.rejects)]
    dated, closed = corrections.correction_dates(bundle, mapped, replaced)
    late = pd.concat([applied.rejects, closed, *unfit], ignore_index=True)
    made = journal.build(bundle, *journal.only(applied.lines, applied.parts, ~rules.quarantined(applied.lines, late)))
    pa.default_memory_pool().release_unused()
    return _Block(rows, made, dated, pd.concat([applied.rejects, closed, made.rejects], ignore_index=True))


def _together(blocks: Sequence[_Block]) -> journal.Journals:
    """The journals of all blocks; their rejects stand in the blocks."""
    if len(blocks) == 1:
        return blocks[0].journals
    parts = [block.journals for block in blocks]
    names = ("headers", "lines", "lineage", "reports", "rejects")
    return journal.Journals(*(pd.concat([getattr(one, name) for one in parts], ignore_index=True) for name in names))


def _unfit(bundle: mapping.Bundle, journals: journal.Journals, rounded: Rounded) -> pd.DataFrame:
    """Rejects of the reports whose journals their target cannot take, or that need too much rounding together."""
    found = [
        _of_reports(journals, render.check(profile, bundle, *_of_target(bundle, journals, target)[:2]))
        for target, profile in bundle.targets.items()
    ]
    found.append(_of_reports(journals, _over_period(bundle, journals, rounded)))
    return pd.concat(found, ignore_index=True)


def _over_period(bundle: mapping.Bundle, journals: journal.Journals, rounded: Rounded) -> pd.DataFrame:
    """Journals with rounding in a company and period where it would come to more than `period_limit_minor`."""
    faults, heads = mapping.Faults(), journals.headers
    limit = int(bundle.journal.get("rounding", {}).get("period_limit_minor", "0"))
    mine = heads.loc[heads["rounding_minor"] != 0, ROUNDED_COLUMNS] if limit else heads.iloc[:0]
    if len(mine):
        past = rounded()
        whole = pd.concat([mine, past.loc[~past["journal_key"].isin(heads["journal_key"]), ROUNDED_COLUMNS]])
        size = whole["rounding_minor"].abs().groupby([whole["company"], whole["period"]], dropna=False).transform("sum")
        over = np.flatnonzero(heads["journal_key"].isin(whole.loc[size > limit, "journal_key"]).to_numpy(dtype=bool))
        values = heads["period"].iloc[over].tolist()
        faults.add(over, "ROUNDING_PERIOD", "rounding", values, f"{limit} minor units")
    return faults.rejects(heads.assign(line_no=0, source_row=0))


def _with_reversals(made: journal.Journals, reversals: journal.Journals | None) -> journal.Journals:
    """The journals with the reversals of what their reports and the withdrawn ones replace, the reversals first."""
    if reversals is None:
        return made
    headers, booked, lineage = (
        pd.concat([getattr(reversals, name), getattr(made, name)], ignore_index=True)
        for name in ("headers", "lines", "lineage")
    )
    return journal.Journals(headers, booked, lineage, made.reports, made.rejects)


def _of_reports(journals: journal.Journals, rejects: pd.DataFrame) -> pd.DataFrame:
    """Rejects of journals as rejects of the reports in them; a reversal's are its version's own."""
    if rejects.empty or not len(journals.reports):
        return rejects
    head = journals.headers
    main = head["belongs_to"].where(head["belongs_to"] != "", head["journal_key"])
    at = head[model.REPORT_KEY].assign(main=main)
    named = at.merge(
        journals.reports.rename(columns={"journal_key": "main"}), on="main", suffixes=("", "_of"), validate="m:m"
    )
    own = [*model.REPORT_KEY, *(f"{name}_of" for name in model.REPORT_KEY)]
    both = rejects.merge(named[own].drop_duplicates(), how="left", on=model.REPORT_KEY, validate="m:m")
    for name in model.REPORT_KEY:
        both[name] = both[f"{name}_of"].fillna(both[name]).astype("str")
    return both[model.REJECT_COLUMNS].drop_duplicates(ignore_index=True)


def in_batches(journals: journal.Journals, batches: Sequence[model.Ints]) -> Iterator[journal.Journals]:
    """The journals of each batch (header rows), with what belongs to them; keys are looked up once for all batches."""
    headers, frames = journals.headers, (journals.lines, journals.lineage, journals.reports)
    row_of = [model.positions(frame["journal_key"], headers["journal_key"]) for frame in frames]
    for rows in batches:
        wanted = np.zeros(len(headers) + 1, dtype=bool)  # the last one: no header, -1
        wanted[rows] = True
        lines, lineage, reports = (
            frame.loc[wanted[at]].reset_index(drop=True) for frame, at in zip(frames, row_of, strict=True)
        )
        yield journal.Journals(headers.iloc[rows].reset_index(drop=True), lines, lineage, reports, journals.rejects)


def _of_target(bundle: mapping.Bundle, journals: journal.Journals, target: str) -> tuple[pd.DataFrame, pd.DataFrame]:
    companies = [c for c in bundle.feed["companies"] if bundle.target_of(c)["target"] == target]
    [part] = in_batches(journals, [np.flatnonzero(journals.headers["company"].isin(companies))])
    return part.headers, part.lines
