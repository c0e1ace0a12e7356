"""Delimited text, read strictly: a declared header, the same number of fields on every line, sound quoting.

The fast path is pyarrow.csv with every column text. It is entered only when quoting was proved sound; whatever it
refuses is read again record by record, to name the line. Physical lines are the unit: `source_row` is the line of the
file, and lines = header + records (+ control records) unless line breaks in fields are declared.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as arrow_csv

from etl.errors import FileRejected
from etl.formats.containers import content_type
from etl.formats.controls import check_control, read_control_header, read_trailer
from etl.formats.encodings import line_at, to_utf8
from etl.formats.headers import choose_layout
from etl.formats.layout import SOURCE_ROW, Format, Layout
from etl.formats.records import Records, Span, check_quoting, split_records
from etl.masking import masked

BLOCK_BYTES: Final = 2**22
_MARK: Final = "0"  # the place of a record's mark


@dataclass(frozen=True)
class RawFile:
    """A file as text: `frame` has the layout's columns and source_row (physical line, int64); `lines` = all lines.

    `control` holds what the control records said, as written: "count", the sum of each declared column, and what the
    mapping keeps of a control header.
    """

    frame: pd.DataFrame
    lines: int
    control: Mapping[str, str]


def read_delimited(content: bytes, name: str, format: Mapping[str, Any]) -> RawFile:
    """The whole file, or FileRejected with the catalogue's code and the line where one line is to blame."""
    rules = Format.of(format)
    if len(content) > rules.limits["bytes"]:
        raise FileRejected("SIZE", file=name, found=f"{len(content)} bytes", limit=rules.limits["bytes"])
    what = content_type(content)
    if what:
        raise FileRejected("CONTENT_TYPE", file=name, found=what, expected="delimited text")
    text = to_utf8(content, name, rules.encoding)
    if not text or text.isspace():
        raise FileRejected("EMPTY", file=name)
    _check_line_ends(text, name)
    parts = _parts(text, name, rules)
    layout, span = parts.layout, parts.span
    if span.start == span.stop and not (rules.control_header or parts.control.get("count") == "0"):
        raise FileRejected("EMPTY", file=name)
    records = split_records(span, rules.line_breaks, rules.quoted)
    if len(records) > rules.limits["rows"]:
        raise FileRejected("SIZE", file=name, found=f"{len(records)} rows", limit=rules.limits["rows"])
    check_quoting(span, records, rules)
    table = _table(span, records, rules, layout)
    if table.num_rows != len(records):
        raise FileRejected("RECORD_COUNT", file=name, line=span.line, expected=len(records), found=table.num_rows)
    rows = records.lines()
    _check_field_length(table, rows, name, rules.limits["field_characters"])
    for control in filter(None, (rules.control_header, rules.trailer)):
        check_control(table, control, parts.control, name, rules.notation)
    lines = span.line - 1 + len(records.feeds) + (rules.trailer is not None)
    return RawFile(_frame(table, rows), lines, parts.control)


@dataclass(frozen=True)
class _Parts:
    layout: Layout
    span: Span
    control: Mapping[str, str]


def _parts(text: bytes, name: str, rules: Format) -> _Parts:
    """Preamble, headers, records and trailer told apart; blank lines at the end belong to none of them."""
    end = len(text)
    while text[end - 1] in b"\r\n":
        end -= 1
    at = 0
    for line in range(1, rules.preamble_lines + 1):
        ending = _line_end(text, at, end)
        _check_mark(text[at:ending], name, line, rules.preamble_marks.get(line))
        at = ending
    line = rules.preamble_lines + 1
    layout = rules.layouts[0]
    control: dict[str, str] = {}
    if rules.control_header:
        ending = _line_end(text, at, end)
        control |= read_control_header(text[at:ending], name, line, rules)
        at, line = ending, line + 1
    if rules.has_header:
        ending = _line_end(text, at, end)
        layout = choose_layout(text[at:ending], name, line, rules)
        at, line = ending, line + 1
    stop = _line_end(text, end, end)
    if rules.trailer:
        last = max(text.rfind(b"\n", 0, end) + 1, at)
        control |= read_trailer(text[last:end], name, rules)
        stop = last
    elif stop == end:
        last_line = line_at(text, end)
        raise FileRejected("INCOMPLETE", file=name, line=last_line, detail=f"line {last_line} has no line end")
    return _Parts(layout, Span(text, min(at, stop), stop, line, name), control)


def _line_end(text: bytes, at: int, end: int) -> int:
    """The offset after the line feed that follows, or the end of the data where there is none."""
    found = text.find(b"\n", at)
    return found + 1 if found >= 0 else max(end, at)


def _check_mark(line: bytes, name: str, number: int, mark: str | None) -> None:
    written = line.decode().rstrip("\r\n")
    if mark is not None and written != mark:
        raise FileRejected("ENVIRONMENT", file=name, line=number, found=repr(masked(written)), expected=repr(mark))


def _check_line_ends(text: bytes, name: str) -> None:
    if text.find(b"\r") < 0 or text.count(b"\r") == text.count(b"\r\n"):
        return
    at = text.find(b"\r")
    while text[at + 1 : at + 2] == b"\n":
        at = text.find(b"\r", at + 1)
    raise FileRejected("LINE_END", file=name, line=line_at(text, at))


def _table(span: Span, records: Records, rules: Format, layout: Layout) -> pa.Table:
    taken = {str(place): name for place, name in layout.taken.items()}
    if not len(records):
        return pa.table({name: pa.array([], type=pa.large_string()) for name in taken.values()})
    names = [str(place) for place in range(len(layout.names))]
    kinds = dict.fromkeys(names, pa.large_string())
    try:
        table = arrow_csv.read_csv(
            pa.py_buffer(memoryview(span.text)[span.start : span.stop]),
            read_options=arrow_csv.ReadOptions(column_names=names, block_size=BLOCK_BYTES),
            parse_options=arrow_csv.ParseOptions(
                delimiter=rules.delimiter,
                quote_char='"' if records.texts is not None else False,
                newlines_in_values=rules.line_breaks and records.texts is not None,
                ignore_empty_lines=False,
            ),
            convert_options=arrow_csv.ConvertOptions(
                column_types=kinds, null_values=[], strings_can_be_null=False, quoted_strings_can_be_null=False,
                check_utf8=False, include_columns=sorted({*taken, *([_MARK] if layout.mark else [])}, key=int),
            ),
        )  # fmt: skip
    except pa.ArrowInvalid:
        table = _table_by_record(span, rules, names)
    if layout.mark:
        _check_marks(table[_MARK], records, layout.mark, span.name)
    return table.select(list(taken)).rename_columns(list(taken.values()))


def _check_marks(cells: pa.ChunkedArray, records: Records, mark: str, name: str) -> None:
    """Every record begins with its mark; raises FileRejected RECORD_MARK with the first line that does not."""
    row = pc.index(pc.equal(cells, mark), False).as_py()
    if row >= 0:
        found = repr(masked(cells[row].as_py())[:40])
        raise FileRejected(
            "RECORD_MARK", file=name, line=int(records.lines()[row]), found=found, expected=repr(mark)
        )  # fmt: skip


def _table_by_record(span: Span, rules: Format, names: list[str]) -> pa.Table:
    """The same table, record by record: names the first line with a wrong number of fields."""
    lines = span.text[span.start : span.stop].decode().removesuffix("\n").split("\n")
    feeds = (line + "\n" for line in lines)
    reader = csv.reader(feeds, delimiter=rules.delimiter, quoting=rules.quoting, strict=True)
    rows, line = [], span.line
    try:
        for row in reader:
            if len(row) != len(names):
                raise FileRejected("FIELD_COUNT", file=span.name, line=line, found=len(row), expected=len(names))
            rows.append(row)
            line = span.line + reader.line_num
    except csv.Error as error:
        # Quoting was proved sound: only the length of a field can be left.
        limit = rules.limits["field_characters"]
        raise FileRejected("SIZE", file=span.name, line=line, found=f"line {line}: {error}", limit=limit) from error
    columns = list(zip(*rows, strict=True))
    return pa.table({n: pa.array(columns[int(n)], type=pa.large_string()) for n in names})


def _check_field_length(table: pa.Table, rows: Any, name: str, limit: int) -> None:
    for column in table.column_names:
        if (pc.max(pc.binary_length(table[column])).as_py() or 0) <= limit:
            continue
        lengths = np.asarray(pc.utf8_length(table[column]).to_numpy())
        if lengths.max() > limit:
            row = int(np.argmax(lengths > limit))
            found = f"line {rows[row]} has {lengths[row]} characters in {column}"
            raise FileRejected("SIZE", file=name, line=int(rows[row]), found=found, limit=limit)


def _frame(table: pa.Table, rows: Any) -> pd.DataFrame:
    columns: dict[str, Any] = {name: pd.Series(pd.array(table[name], dtype="str")) for name in table.column_names}
    return pd.DataFrame({**columns, SOURCE_ROW: rows})
