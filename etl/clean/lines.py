"""The step itself: every raw row becomes its expense lines, with every reason why one cannot be booked."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from etl import model, money
from etl.clean.identity import identify, line_numbers, source_rows
from etl.clean.plan import CURRENCY_OF, Field, Plan, pieces
from etl.clean.rejects import reject_frame
from etl.clean.split import split_lines
from etl.clean.sums import check_sums
from etl.clean.unpivot import unpivot
from etl.clean.values import Column, Fault, read, read_money
from etl.clean.versions import version_by_content
from etl.clean.work import Bools, Found, Work
from etl.errors import ConfigurationError
from etl.formats import RawFile
from etl.formats.layout import SOURCE_ROW


@dataclass(frozen=True)
class Cleaned:
    """lines: all LINE_FIELDS in order, one row per line; rejects: REJECT_COLUMNS; normalised: cells by kind."""

    lines: pd.DataFrame
    rejects: pd.DataFrame
    normalised: Mapping[str, int]

    @property
    def bad(self) -> Bools:
        """Which lines come from a raw row that a reject names."""
        return self.lines[SOURCE_ROW].isin(self.rejects[SOURCE_ROW]).to_numpy(dtype=bool)


def clean(
    raw: RawFile | pd.DataFrame, source: Mapping[str, Any], file: Mapping[str, str] | None = None
) -> Cleaned:  # fmt: skip
    """Expense lines and rejects of a raw file by a source mapping.

    In: what `formats.read_delimited` gives; `file` holds the named groups of the file name. Out: every raw row as its
    line or lines, in file order; a source without versions gets the report's content hash as its version. Raises
    ConfigurationError SCHEMA when the mapping asks for what there is not.
    """
    plan = Plan.of(source)
    frame = raw.frame if isinstance(raw, RawFile) else raw
    work = Work(plan, unpivot(frame, plan), file or {})
    _read_fields(work)
    identify(work)
    line_numbers(work)
    split_lines(work)
    check_sums(work)
    lines = _assemble(work)
    if "report_version" not in plan.fields:
        lines = version_by_content(lines)
    assert len(lines) == len(work.wide) >= len(frame), "every raw row becomes its lines"
    return Cleaned(lines, reject_frame(lines, work.found), dict(sorted(work.notes.items())))


def _read_fields(work: Work) -> None:
    """Every field by its kind: amounts after their currencies, templates after what they are made of."""
    fields = work.plan.fields.values()
    amounts = [one for one in fields if one.kind == model.MONEY]
    templates = [one for one in fields if one.template]
    for one in fields:
        if one not in amounts and one not in templates:
            _read_text(work, one)
    for one in amounts:
        if one.adds:
            _read_sum(work, one)
        else:
            _read_money(work, one, _texts(work, one), one.name(work.present))
    if work.wide.label is not None:
        _read_component(work)
    for one in templates:
        work.take(one.target, read(_filled(work, one), one, work.plan), one.target)


def _read_text(work: Work, one: Field) -> None:
    texts = _constant(work, one)
    if texts is None:
        work.take(one.target, read(_texts(work, one), one, work.plan), one.name(work.present))
        return
    column = read(pa.array([texts], type=pa.large_string()), one, work.plan)
    work.take(one.target, _spread(column, len(work.wide)), one.name(work.present))


def _constant(work: Work, one: Field) -> str | None:
    """The text that is the same on every line: a constant, or what the file's name says."""
    if one.value is not None:
        return one.value
    if one.group:
        if one.group not in work.file:
            raise _no_group(work, one, one.group)
        return work.file[one.group]
    return None if one.column(work.present) else one.absent


def _no_group(work: Work, one: Field, group: str) -> ConfigurationError:
    detail = f"the pattern of the file names has no group {group!r}"
    return ConfigurationError(
        "SCHEMA", file=f"{work.plan.source}.yml", line=1, field=f"fields.{one.target}", detail=detail
    )


def _spread(column: Column, times: int) -> Column:
    """A column of one row on every line."""
    every = np.arange(times, dtype=np.int64)
    faults = [Fault(f.code, every, [*f.values] * times, [*f.details] * times) for f in column.faults]
    notes = {note: count * times for note, count in column.notes.items()}
    if isinstance(column.values, np.ndarray):
        return Column(np.repeat(column.values, times), faults, notes)
    return Column(column.values.take(pa.array(np.zeros(times, dtype=np.int64))), faults, notes)


def _texts(work: Work, one: Field) -> pa.Array:
    constant = _constant(work, one)
    if constant is not None:
        return work.wide.constant(constant)
    return _first_of(work, one) if one.first_of else work.wide.texts(one.column(work.present))


def _first_of(work: Work, one: Field) -> pa.Array:
    """For each row the first of the columns and texts that it fills; a text is filled when all its columns are."""
    found = work.wide.constant("")
    for text in reversed(one.first_of):
        parts = pieces(text)
        names = parts[1::2]
        if not work.present.issuperset(names):
            continue
        cells = {name: work.wide.texts(name) for name in names}
        filled = [pc.greater(pc.binary_length(pc.utf8_trim_whitespace(cell)), 0) for cell in cells.values()]
        whole = model.joined([cells[part] if at % 2 else part for at, part in enumerate(parts)], "")
        found = pc.if_else(functools.reduce(pc.and_, filled), whole, found)
    return found


def _read_money(work: Work, one: Field, texts: pa.Array, name: str) -> None:
    currency = CURRENCY_OF.get(one.target, "document_currency")
    work.take(one.target, read_money(texts, work.text(currency), one, work.plan.notation), name)


def _read_sum(work: Work, one: Field) -> None:
    """An amount that the source gives in several columns, each read by itself; an empty one is 0.

    Where a part cannot be read the sum is 0, and the part is named; beyond 10^15 minor units it is a RANGE.
    """
    total, unread = np.zeros(len(work.wide), dtype=np.int64), np.zeros(len(work.wide), dtype=bool)
    filled = np.zeros(len(work.wide), dtype=bool)
    currency = work.text(CURRENCY_OF.get(one.target, "document_currency"))
    for column in one.columns:
        texts = work.wide.texts(column)
        part = read_money(texts, currency, dataclasses.replace(one, required=False), work.plan.notation)
        work.found += [Found(fault, one.target, column) for fault in part.faults]
        work.notes.update(part.notes)
        total += np.asarray(part.values, dtype=np.int64)
        unread[part.bad] = True
        filled |= ~np.asarray(pc.equal(pc.utf8_trim_whitespace(texts), "").to_numpy(zero_copy_only=False), dtype=bool)
    beyond = np.flatnonzero((np.abs(total) > money.LIMIT_MINOR) & ~unread)
    work.report("RANGE", one.target, beyond, [str(value) for value in total[beyond].tolist()])
    nothing = np.flatnonzero(~filled) if one.required else beyond[:0]
    work.report("MISSING", one.target, nothing, [""] * len(nothing))
    unread[beyond] = True
    work.columns[one.target] = np.where(unread, 0, total)


def _read_component(work: Work) -> None:
    """The amount and label of an unpivoted line; a fault names the component's own column."""
    wide = work.wide
    assert wide.amount is not None and wide.label is not None
    before = len(work.found)
    _read_money(work, Field("gross_minor", model.MONEY, required=True), wide.amount, "")
    for place in range(before, len(work.found)):
        fault = work.found[place].fault
        work.found[place] = Found(fault, "gross_minor", [wide.component[row] for row in fault.rows.tolist()])
    work.columns["expense_type"] = wide.label


def _filled(work: Work, one: Field) -> pa.Array:
    """A template filled from fields of the line and the file's name; a line without one of them gets ""."""
    pieces: list[pa.Array] = []
    whole = np.ones(len(work.wide), dtype=bool)
    at = 0
    for place in one.places:
        start = one.template.index("{" + place + "}", at)
        pieces.append(work.wide.constant(one.template[at:start]))
        part = _part(work, one, place)
        whole &= np.asarray(pc.greater(pc.binary_length(part), 0).to_numpy(zero_copy_only=False), dtype=bool)
        pieces.append(part)
        at = start + len(place) + 2
    filled = model.joined([*pieces, work.wide.constant(one.template[at:])], "")
    return pc.if_else(pa.array(whole), filled, "")


def _part(work: Work, one: Field, place: str) -> pa.Array:
    if place not in work.plan.fields:
        if place not in work.file:
            raise _no_group(work, one, place)
        return work.wide.constant(work.file[place])
    part = work.columns[place]
    return pc.cast(pa.array(part), pa.large_string()) if isinstance(part, np.ndarray) else part


def _assemble(work: Work) -> pd.DataFrame:
    work.columns[SOURCE_ROW] = source_rows(work)
    columns: dict[str, Any] = {}
    for name, kind in model.LINE_FIELDS.items():
        number = kind in (model.MONEY, model.INTEGER)
        columns[name] = work.number(name) if number else model.texts(work.text(name))
    return pd.DataFrame(columns)
