"""Which report a line belongs to, and its number in it."""

from __future__ import annotations

from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from etl import model
from etl.clean.text import OUTER_SPACE
from etl.clean.work import Work
from etl.formats.layout import SOURCE_ROW, matches
from etl.model import Ints

# A version that cannot be read: the line is quarantined under no report's name.
NO_VERSION: Final = "0"


def identify(work: Work) -> None:
    """Lines that name no readable report get one of their own, @row<source row>, and the reject UNIDENTIFIED.

    A report whose id is also written with spaces around it is refused: two reports may be meant.
    """
    keys = [key for key in model.REPORT_KEY if key in work.plan.fields]
    lost = np.zeros(len(work.wide), dtype=bool)
    for key in keys:
        empty = pc.equal(pc.binary_length(work.text(key)), 0).to_numpy(zero_copy_only=False)
        lost |= np.asarray(empty, dtype=bool) | work.unread(key)
    _refuse_spaced_twins(work)
    rows = np.flatnonzero(lost)
    if not len(rows):
        return
    numbers = source_rows(work)[rows]
    names = pa.array([f"@row{number}" for number in numbers.tolist()], type=pa.large_string())
    values = work.text("report_id").take(pa.array(rows)).to_pylist()
    work.report("UNIDENTIFIED", "report_id", rows, values)
    work.columns["report_id"] = pc.replace_with_mask(work.text("report_id"), pa.array(lost), names)
    if "report_version" in keys:
        version = work.text("report_version")
        empty = pc.equal(pc.binary_length(version), 0)
        work.columns["report_version"] = pc.if_else(empty, NO_VERSION, version)


def source_rows(work: Work) -> Ints:
    """The physical line of the file behind each expense line."""
    return work.wide.frame[SOURCE_ROW].to_numpy(dtype=np.int64)[work.wide.row]


def _refuse_spaced_twins(work: Work) -> None:
    one = work.plan.fields["report_id"]
    column = one.column(work.present)
    if not column:
        return
    texts = work.wide.texts(column)
    spaced = matches(texts, OUTER_SPACE)
    if not spaced.any():
        return
    named = model.joined([work.text("company"), work.text("report_id")])
    exact, twins = (named.filter(pa.array(mask)).unique() for mask in (~spaced, spaced))
    both = twins.filter(pc.is_in(twins, value_set=exact))
    filled = pc.greater(pc.binary_length(work.text("report_id")), 0)
    rows = np.flatnonzero(pc.and_(pc.is_in(named, value_set=both), filled).to_numpy(zero_copy_only=False))
    detail = "it stands with and without spaces around it"
    work.report("CODE", "report_id", rows, texts.take(pa.array(rows)).to_pylist(), [detail] * len(rows))


def line_numbers(work: Work) -> None:
    """Where the source numbers no lines: the how-manieth line of its report it is; parts count from 1."""
    if work.wide.position is not None:
        work.columns["line_no"] = work.wide.position
    elif "line_no" not in work.plan.fields:
        work.columns["line_no"] = _occurrence(work)
    if "allocation_no" not in work.plan.fields:
        work.columns["allocation_no"] = np.ones(len(work.wide), dtype=np.int64)


def _occurrence(work: Work) -> Ints:
    report = report_numbers(work)
    order = np.argsort(report, kind="stable")
    starts = np.searchsorted(report[order], np.arange(int(report.max(initial=-1)) + 1))
    number = np.empty(len(report), dtype=np.int64)
    number[order] = np.arange(len(report)) - starts[report[order]] + 1
    return number


def report_numbers(work: Work) -> Ints:
    """A number per report version for each line, in order of first appearance."""
    coded = [work.text(key).dictionary_encode().indices for key in model.REPORT_KEY]
    return model.combine([np.asarray(c.to_numpy(zero_copy_only=False), dtype=np.int64) for c in coded])[0]
