"""Which report a line belongs to, and its number in it."""

from __future__ import annotations

from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from etl import model
from etl.clean.work import Work
from etl.formats.layout import SOURCE_ROW, matches
from etl.model import Ints

# A version that cannot be read: the line is quarantined under no report's name.
NO_VERSION: Final = "0"
_OUTER_SPACE: Final = "^[ \t\u00a0\u2007\u202f\u3000]|[ \t\u00a0\u2007\u202f\u3000]$"


def identify(work: Work) -> None:
    """Lines that name no readable report get one of their own, @row<source row>, and the reject UNIDENTIFIED.

    A report whose id is also written with spaces around it is refused: two reports may be meant.
    """
    _refuse_spaced_twins(work)
    keys = [key for key in model.REPORT_KEY if key in work.plan.fields]
    lost = np.zeros(len(work.wide), dtype=bool)
    for key in keys:
        empty = pc.equal(pc.binary_length(work.text(key)), 0).to_numpy(zero_copy_only=False)
        lost |= np.asarray(empty, dtype=bool) | work.unread(key)
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
    for key in ("company", "report_id"):
        one = work.plan.fields.get(key)
        column = one.column(work.present) if one else ""
        if one is None or not column or not one.trim:
            continue
        texts = work.wide.texts(column)
        spaced = matches(texts, _OUTER_SPACE)
        if not spaced.any():
            continue
        read = work.text(key)
        exact = read.filter(pa.array(~spaced)).unique()
        twins = read.filter(pa.array(spaced)).unique()
        both = twins.filter(pc.and_(pc.is_in(twins, value_set=exact), pc.not_equal(twins, "")))
        rows = np.flatnonzero(pc.is_in(read, value_set=both).to_numpy(zero_copy_only=False))
        values = texts.take(pa.array(rows)).to_pylist()
        work.report("CODE", key, rows, values, ["it stands with and without spaces around it"] * len(rows))


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
