"""Kind `fixed`: records of columns at fixed positions: of the batch, of each journal, of each line, and trailers.

A column is as wide as its `width` says, in characters or in bytes of the encoding; what it does not fill is padded,
what stands between two columns is blank.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from etl import mapping, model, money
from etl.journal import Batch
from etl.mapping import records
from etl.mapping.records import BATCH, JOURNAL, LINE, Record
from etl.render import columns
from etl.render.columns import BLANK, Columns, Ints, Profile
from etl.render.delimited import LINE_ENDS

_TRAILS: Final = 2


def check(
    profile: Profile, bundle: mapping.Bundle, headers: pd.DataFrame, lines: pd.DataFrame, at: Ints,
    faults: mapping.Faults,
) -> None:  # fmt: skip
    """Keys too long, required columns empty, characters the encoding lacks, sums wider than their column.

    Batches are not cut yet: a sum over a batch is held against the sum of all amounts of its company and period.
    """
    flat = _flat(profile)
    made = columns.clean(flat, columns.make(flat, bundle, headers, lines, at, None))
    period, _ = model.groups(headers, ["company", "period"])
    groups = _Groups(profile, headers, lines, at, period[at] if len(at) else at)
    for record in records.records(profile["records"]):
        rows = groups.rows[JOURNAL if record.level == BATCH else record.level]
        for name, rule in _rules(profile, record):
            if records.is_sum(rule):
                text = groups.sums(rule, record.level, most=True).take(pa.array(groups.of[record.level][rows]))
            else:
                text = made[name].take(pa.array(rows))
            columns.check_column(flat, name, rule, text, at[rows], faults)
            columns.check_encoding(flat, name, rule, text, at[rows], faults)


def render(
    profile: Profile, bundle: mapping.Bundle, batch: Batch, headers: pd.DataFrame, lines: pd.DataFrame, at: Ints
) -> bytes:
    """The records in order: the batch's headers, each journal's headers, lines and trailers, the batch's trailers."""
    flat = _flat(profile)
    made = columns.clean(flat, columns.make(flat, bundle, headers, lines, at, batch))
    groups = _Groups(profile, headers, lines, at, np.zeros(len(at), dtype=np.int64))
    written, order = [], []
    for record in records.records(profile["records"]):
        rows = groups.rows[record.level]
        texts = {name: made[name].take(pa.array(rows)) for name, rule in record.columns() if not records.is_sum(rule)}
        texts |= {name: groups.sums(rule, record.level) for name, rule in record.columns() if records.is_sum(rule)}
        written.append(_record(profile, record, texts))
        order.append(_place(record, rows, at))
    number, row, phase, journal = np.concatenate(order, axis=1)
    whole = pa.concat_arrays(written).take(pa.array(np.lexsort((number, row, phase, journal))))
    end = LINE_ENDS[profile["line_end"]]
    return "".join(f"{record}{end}" for record in whole.to_pylist()).encode(profile["encoding"])


def _rules(profile: Profile, record: Record) -> list[tuple[str, Mapping[str, str]]]:
    """The columns of a record with the width as their limit, in the profile's unit."""
    more = {"unit": profile["unit"]}
    return [(name, {**rule, "max": rule["width"], **more}) for name, rule in record.columns()]


def _flat(profile: Profile) -> Profile:
    """The profile with the columns of all its records, those that add up left out, under the record's name."""
    rules = [pair for record in records.records(profile["records"]) for pair in _rules(profile, record)]
    return {**profile, "columns": {name: rule for name, rule in rules if not records.is_sum(rule)}}


class _Groups:
    """The first line of every batch and journal, and every line, with sums over them."""

    def __init__(self, profile: Profile, headers: pd.DataFrame, lines: pd.DataFrame, at: Ints, batch: Ints) -> None:
        """In: for each line the position of its header, and the number of its batch."""
        self.profile, self.headers, self.lines = profile, headers, lines
        self.of = {BATCH: batch, JOURNAL: at, LINE: np.arange(len(at), dtype=np.int64)}
        self.rows = {level: np.unique(group, return_index=True)[1] for level, group in self.of.items()}
        self.starts = (np.diff(at, prepend=-1) != 0).astype(np.int64)

    def sums(self, rule: Mapping[str, str], level: str, most: bool = False) -> pa.Array:
        """A count or a total for each batch or journal, as text; `most`: the longest that any part of it could be."""
        group = self.of[level]
        size = len(self.rows[level])
        if "count" in rule:
            each = self.starts if rule["count"] == "journals" else np.ones(len(group), dtype=np.int64)
            return columns.numbers(model.sum_by(each, group, size))
        minor = self.lines[f"{rule['total']}_minor"].to_numpy(dtype=np.int64)
        sums = model.sum_by(minor, group, size)
        if most and level == BATCH:
            sums = model.sum_by(np.abs(minor), group, size) * np.where((minor < 0).any(), -1, 1)
        currency = "base_currency" if rule["total"].startswith("base") else "currency"
        exponents = columns.exponents(self.headers[currency])[self.of[JOURNAL]]
        return columns.decimals(self.profile, money.to_text(sums, exponents[self.rows[level]]))


def _place(record: Record, rows: Ints, at: Ints) -> Ints:
    """What orders the records of the file: number in the profile, line, phase in the journal, and journal."""
    journal = at[rows] if record.level != BATCH else np.full(len(rows), len(at) if record.trails else -1)
    phase = _TRAILS if record.trails else int(record.level == LINE)
    row = rows if record.level == LINE else np.zeros_like(rows)
    return np.stack([np.full(len(rows), record.number), row, np.full(len(rows), phase), journal]).astype(np.int64)


def _record(profile: Profile, record: Record, texts: Columns) -> pa.Array:
    """A record's columns at their positions, blanks between them and up to its length."""
    cells: list[pa.Array | str] = []
    end = 0
    for name, rule in _rules(profile, record):
        start = int(rule["pos"])
        cells += [" " * (start - 1 - end), _filled(profile, rule, columns.cut(profile, rule, texts[name]))]
        end = start + int(rule["width"]) - 1
    return model.joined([*cells, " " * (int(record.node.get("length", end)) - end)], "")


def _filled(profile: Profile, rule: Mapping[str, str], text: pa.Array) -> pa.Array:
    """A text padded to its column's width; zeros go between the sign and the digits."""
    missing = pc.subtract(int(rule["width"]), columns.size(profile, rule, text))
    fill = pc.binary_repeat(pa.scalar(rule.get("pad", " "), pa.large_string()), missing)
    if rule.get("align") != "right":
        return model.joined([text, fill], "")
    if rule.get("pad") != "0":
        return model.joined([fill, text], "")
    negative = pc.starts_with(text, "-")
    sign = pc.if_else(negative, pa.scalar("-", pa.large_string()), BLANK)
    digits = pc.if_else(negative, pc.utf8_slice_codeunits(text, 1), text)
    return model.joined([sign, fill, digits], "")
