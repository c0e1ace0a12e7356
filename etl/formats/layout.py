"""The `format` part of a source mapping as values: encoding, layouts or positions, control records, limits, numbers."""

from __future__ import annotations

import csv
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from etl.errors import ConfigurationError
from etl.formats.containers import BYTES_MAX

# latin-1 is left out on purpose: it accepts every byte, so it hides a wrong declaration.
ENCODINGS: Final = (
    "utf-8", "utf-16", "gb18030", "big5", "shift_jis", "cp932", "euc-jp", "euc-kr", "cp949", "windows-1250",
    "windows-1251", "windows-1252", "windows-1253", "windows-1254", "windows-1257", "windows-874",
)  # fmt: skip
ROWS_MAX: Final = 2_000_000
FIELD_CHARACTERS_MAX: Final = 131_072
# What the YAML may raise a limit to.
LIMIT_BOUNDS: Final = {"bytes": 4 * 2**30, "rows": 20_000_000, "field_characters": FIELD_CHARACTERS_MAX}
SOURCE_ROW: Final = "source_row"


@dataclass(frozen=True)
class Notation:
    """How numbers are written: the decimal sign, the sign between thousands ("" = none), +, and zeros at the end."""

    decimal: str = "."
    thousands: str = ""
    plus_sign: bool = False
    extra_zeros: bool = False

    @classmethod
    def of(cls, format: Mapping[str, Any]) -> Notation:
        """From the YAML."""
        plus_sign, extra_zeros = (format.get(name, "no") == "yes" for name in ("plus_sign", "extra_zeros"))
        return cls(format.get("decimal", "."), format.get("thousands", ""), plus_sign, extra_zeros)

    def plain(self, texts: pa.Array) -> pa.Array:
        """Numbers of this notation rewritten as plain decimals (1234.50); any other text becomes "?", no number."""
        if self.plus_sign:
            texts = pc.replace_substring_regex(texts, r"^\+([0-9])", r"\1")
        if (self.decimal, self.thousands) == (".", ""):
            return texts
        group = "[ \u00a0\u202f]" if self.thousands == " " else re.escape(self.thousands)
        grouped = f"[0-9]{{1,3}}(?:{group}[0-9]{{3}})+|" if group else ""
        fits = pc.match_substring_regex(texts, f"^-?(?:{grouped}[0-9]+)(?:{re.escape(self.decimal)}[0-9]+)?$")
        bare = pc.replace_substring_regex(texts, group, "") if group else texts
        return pc.if_else(fits, pc.replace_substring(bare, self.decimal, "."), "?")

    def trimmed(self, plain: pa.Array, decimals: NDArray[np.int64]) -> pa.Array:
        """Plain decimals without the zeros beyond the decimals of their currency, where the source writes such."""
        if not self.extra_zeros:
            return plain
        for count in np.unique(decimals).tolist():
            kept = rf"\.[0-9]{{{count}}}" if count else ""
            cut = pc.replace_substring_regex(plain, rf"^(-?[0-9]+{kept}){'' if count else '[.]'}0+$", r"\1")
            plain = pc.if_else(pa.array(decimals == count), cut, plain)
        return plain


@dataclass(frozen=True)
class Layout:
    """The columns of a file: the header texts in order, and the column name each stands for ("" = not taken).

    A file of positions has no header; its records begin with `mark` where one is declared.
    """

    header: tuple[str, ...]
    names: tuple[str, ...]
    mark: str = ""

    @property
    def taken(self) -> dict[int, str]:
        """Place (from 0) and name of every column that is taken."""
        return {place: name for place, name in enumerate(self.names) if name}


@dataclass(frozen=True)
class Control:
    """A control record: its mark, and the places (mark = 0) of the count, of sums of columns, and of what is kept.

    `width` is the number of its fields, where that is fixed.
    """

    mark: str
    count: int | None
    sums: Mapping[str, int]
    kept: Mapping[str, int]
    width: int = 0

    @property
    def places(self) -> dict[str, int]:
        """Where everything stands that the record says."""
        return {**({} if self.count is None else {"count": self.count}), **self.sums, **self.kept}


@dataclass(frozen=True)
class Format:
    """How a delimited file is written; made by `Format.of`."""

    encoding: str
    delimiter: str
    quoted: bool
    line_breaks: bool
    layouts: tuple[Layout, ...]
    has_header: bool
    preamble_lines: int
    preamble_marks: Mapping[int, str]
    control_header: Control | None
    trailer: Control | None
    notation: Notation
    limits: Mapping[str, int]

    @classmethod
    def of(cls, format: Mapping[str, Any]) -> Format:
        """From the YAML; raises ConfigurationError for what the schema cannot see."""
        preamble, layouts = format.get("preamble", {}), format.get("layouts")
        read = cls(
            encoding=format["encoding"],
            delimiter=format["delimiter"],
            quoted=format.get("quotes", "enclose") == "enclose",
            line_breaks=format.get("line_breaks_in_fields", "no") == "yes",
            layouts=tuple(map(_layout, layouts)) if layouts else (_positions(format["positions"]),),
            has_header=layouts is not None,
            preamble_lines=int(preamble.get("lines", "0")),
            preamble_marks={int(line): mark for line, mark in preamble.get("marks", {}).items()},
            control_header=_control_header(format["control_header"]) if "control_header" in format else None,
            trailer=_trailer(format["trailer"]) if "trailer" in format else None,
            notation=Notation.of(format),
            limits=_limits(format.get("limits", {})),
        )
        for field, detail in read.problems():
            raise ConfigurationError("SCHEMA", file="source mapping", line=1, field=field, detail=detail)
        return read

    @property
    def quoting(self) -> Literal[0, 3]:
        """The same for the csv module."""
        return csv.QUOTE_MINIMAL if self.quoted else csv.QUOTE_NONE

    @property
    def columns(self) -> frozenset[str]:
        """Every column name that some layout has."""
        return frozenset(name for layout in self.layouts for name in layout.taken.values())

    def problems(self) -> list[tuple[str, str]]:
        """Field and explanation of everything that is wrong with the declaration."""
        found = []
        if self.encoding not in ENCODINGS:
            found.append(("format.encoding", f"{self.encoding} is not one of {', '.join(ENCODINGS)}"))
        if self.line_breaks and not self.quoted:
            found.append(("format.line_breaks_in_fields", "a line break in a field needs quotes around it"))
        for number, layout in enumerate(self.layouts):
            path, names = f"format.layouts.{number}" if self.has_header else "format.positions", layout.taken.values()
            twice = sorted({name for name in names if list(names).count(name) > 1})
            found += [(path, f"column {name!r} stands twice: rename one") for name in twice]
            found += [(path, f"{SOURCE_ROW} is our own") for name in names if name == SOURCE_ROW]
        headers = [layout.header for layout in self.layouts]
        found += [
            ("format.layouts", "two layouts have the same header") for _ in range(len(headers) > len(set(headers)))
        ]
        for record, control in (("trailer", self.trailer), ("control_header", self.control_header)):
            sums = control.sums if control else {}
            found += [(f"format.{record}.sums", f"no layout has column {c!r}") for c in sums if c not in self.columns]
        found += [
            (f"format.limits.{name}", f"{self.limits[name]} is above {bound}")
            for name, bound in LIMIT_BOUNDS.items()
            if self.limits[name] > bound
        ]
        if self.notation.decimal == self.notation.thousands:
            found.append(("format.thousands", "the same as the decimal sign"))
        found += [("format.preamble.marks", f"line {n} is none of it") for n in self.preamble_marks
                  if not 1 <= n <= self.preamble_lines]  # fmt: skip
        return found


def _layout(entries: Sequence[str | Mapping[str, str]]) -> Layout:
    pairs = [(entry, entry) if isinstance(entry, str) else next(iter(entry.items())) for entry in entries]
    return Layout(tuple(header for header, _ in pairs), tuple(name for _, name in pairs))


def _positions(positions: Mapping[str, Any]) -> Layout:
    """Columns by position, counted from 1."""
    names = [""] * int(positions["width"])
    for position, name in positions["columns"].items():
        names[_inside(position, positions, "positions.columns")] = name
    return Layout((), tuple(names), positions.get("mark", ""))


def _trailer(trailer: Mapping[str, Any]) -> Control:
    sums = {column: int(position) for column, position in trailer.get("sums", {}).items()}
    return Control(trailer["mark"], int(trailer["count"]) if "count" in trailer else None, sums, {})


def _control_header(header: Mapping[str, Any]) -> Control:
    """Its positions count from 1, as those of the columns below it do."""
    count = _inside(header["count"], header, "control_header.count") if "count" in header else None
    sums, kept = (
        {name: _inside(at, header, f"control_header.{part}") for name, at in header.get(part, {}).items()}
        for part in ("sums", "keep")
    )
    return Control(header["mark"], count, sums, kept, int(header["width"]))


def _inside(position: str, record: Mapping[str, Any], field: str) -> int:
    """The place, from 0, of a position from 1; raises ConfigurationError when the record is not that wide."""
    if int(position) > int(record["width"]):
        detail = f"position {position} is beyond the width {record['width']}"
        raise ConfigurationError("SCHEMA", file="source mapping", line=1, field=f"format.{field}", detail=detail)
    return int(position) - 1


def _limits(limits: Mapping[str, str]) -> dict[str, int]:
    usual = {"bytes": BYTES_MAX, "rows": ROWS_MAX, "field_characters": FIELD_CHARACTERS_MAX}
    return {name: int(limits.get(name, value)) for name, value in usual.items()}


def matches(texts: pa.Array, pattern: str) -> NDArray[np.bool_]:
    """Which texts hold a match of an RE2 pattern."""
    found = pc.match_substring_regex(texts, pattern)
    return np.asarray(found.to_numpy(zero_copy_only=False), dtype=bool)
