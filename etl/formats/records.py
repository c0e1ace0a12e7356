"""Where records begin and end, and whether their quoting is sound: proved on the bytes before anything is parsed.

A quote opens a field only at its start and closes it only at its end; inside it stands doubled. So a line feed lies
inside a field exactly where the number of quotes before it is odd, and a record that matches the pattern on its own
is sound whatever follows.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
import pyarrow as pa

from etl.errors import FileRejected
from etl.formats.layout import Format, matches
from etl.model import Ints

_QUOTE, _LINE_FEED = 34, 10
_BLOCK: Final = 2**18


@dataclass(frozen=True)
class Span:
    """The records' part of a file: text[start:stop], whose first line is line number `line`."""

    text: bytes
    start: int
    stop: int
    line: int
    name: str


@dataclass(frozen=True)
class Records:
    """The records of a span: offsets of line feeds, of those that end a record, and the texts with quotes."""

    first_line: int
    feeds: Ints
    ends: Ints
    texts: pa.Array | None = None

    def __len__(self) -> int:
        return len(self.ends)

    def lines(self) -> Ints:
        """The physical line on which each record starts."""
        if len(self.ends) == len(self.feeds):
            return np.arange(len(self.ends), dtype=np.int64) + self.first_line
        begins = np.concatenate([[0], np.searchsorted(self.feeds, self.ends[:-1]) + 1])
        return begins.astype(np.int64)[: len(self.ends)] + self.first_line


def split_records(span: Span, line_breaks: bool, quoted: bool = True) -> Records:
    """The records of a span; raises FileRejected BLANK_LINE.

    Without line breaks in fields a record is a physical line, whatever quotes it holds. Not `quoted`: a quote is a
    character like any other.
    """
    feeds = ends = _positions(span, _LINE_FEED)
    quoted = quoted and span.text.find(b'"', span.start, span.stop) >= 0
    if quoted and line_breaks:
        ends = feeds[np.searchsorted(_positions(span, _QUOTE), feeds) % 2 == 0]
        if len(feeds) and (not len(ends) or ends[-1] != feeds[-1]):
            ends = np.append(ends, feeds[-1])
    found = Records(span.line, feeds, ends, _texts(span, ends) if quoted else None)
    _refuse_blank_lines(span, found)
    return found


def _positions(span: Span, byte: int) -> Ints:
    """Offsets of a byte, found block by block so that the working set stays in the cache."""
    view = np.frombuffer(span.text, dtype=np.uint8)
    edges = range(span.start, span.stop, _BLOCK)
    parts = [np.flatnonzero(view[at : min(at + _BLOCK, span.stop)] == byte) + at for at in edges]
    return np.concatenate(parts) if parts else np.empty(0, dtype=np.int64)


def _texts(span: Span, ends: Ints) -> pa.Array:
    """Each record's text with its line end, over the same bytes."""
    offsets = np.concatenate([[span.start], ends + 1]).astype(np.int64)
    buffers = [None, pa.py_buffer(offsets), pa.py_buffer(span.text)]
    return pa.Array.from_buffers(pa.large_string(), len(ends), buffers)


def _refuse_blank_lines(span: Span, records: Records) -> None:
    short = np.flatnonzero(np.diff(records.ends, prepend=span.start - 1) <= 2)
    blank = [
        row
        for row in short.tolist()
        if span.text[int(records.ends[row]) - 1 : int(records.ends[row])] in (b"\r", b"\n", b"")
    ]
    if blank:
        raise FileRejected("BLANK_LINE", file=span.name, line=int(records.lines()[blank[0]]))


def pattern(delimiter: str) -> str:
    """A sound record: fields without quotes, or in quotes with every inner quote doubled."""
    sign = re.escape(delimiter)
    field = rf'(?:"(?:[^"]|"")*"|[^"{sign}\r\n]*)'
    return rf"^{field}(?:{sign}{field})*\r?\n?$"


def check_quoting(span: Span, records: Records, rules: Format) -> None:
    """Every record that holds a quote is sound on its own; raises FileRejected QUOTING or RECORD_COUNT."""
    if records.texts is None:
        return
    quoted = np.flatnonzero(matches(records.texts, '"'))
    sound = matches(records.texts.take(pa.array(quoted)), pattern(rules.delimiter))
    if sound.all():
        return
    bad = int(quoted[int(np.argmin(sound))])
    line, text = int(records.lines()[bad]), str(records.texts[bad])
    if not rules.line_breaks and text.count('"') % 2:
        _refuse_swallowed(span, records, rules, bad, line)
    raise FileRejected("QUOTING", file=span.name, line=line, detail="; ".join(_explain(text, rules.delimiter)))


def _refuse_swallowed(span: Span, records: Records, rules: Format, bad: int, line: int) -> None:
    """A quote opened on this line and closed in order on a later one: a parser would take the lines in one field."""
    ends = split_records(span, line_breaks=True).ends
    begin = int(records.ends[bad - 1]) + 1 if bad else span.start
    end = int(ends[np.searchsorted(ends, begin)]) + 1
    if matches(pa.array([span.text[begin:end].decode()]), pattern(rules.delimiter))[0]:
        raise FileRejected("RECORD_COUNT", file=span.name, line=line, expected=len(records), found=len(ends))


def _explain(text: str, delimiter: str) -> Iterator[str]:
    if '\\"' in text:
        yield "a quote inside a field is doubled, not written with a backslash"
    elif text.count('"') % 2:
        yield "a quote is opened and not closed"
    else:
        yield "a quote stands inside a field and is not doubled"
