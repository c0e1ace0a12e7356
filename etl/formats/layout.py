"""The `format` part of a source mapping as values: encoding, layouts, preamble, trailer, limits, number notation."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

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
    """How numbers are written: the decimal sign, and the sign between thousands ("" = none)."""

    decimal: str = "."
    thousands: str = ""

    def plain(self, texts: pa.Array) -> pa.Array:
        """Numbers of this notation rewritten as plain decimals (1234.50); any other text becomes "?", no number."""
        if (self.decimal, self.thousands) == (".", ""):
            return texts
        group = "[ \u00a0\u202f]" if self.thousands == " " else re.escape(self.thousands)
        grouped = f"[0-9]{{1,3}}(?:{group}[0-9]{{3}})+|" if group else ""
        fits = pc.match_substring_regex(texts, f"^-?(?:{grouped}[0-9]+)(?:{re.escape(self.decimal)}[0-9]+)?$")
        bare = pc.replace_substring_regex(texts, group, "") if group else texts
        return pc.if_else(fits, pc.replace_substring(bare, self.decimal, "."), "?")


@dataclass(frozen=True)
class Layout:
    """One header the file may have: the header texts in order, and the column name each stands for."""

    header: tuple[str, ...]
    names: tuple[str, ...]


@dataclass(frozen=True)
class Trailer:
    """The last line: its mark, and the positions (mark = 0) of the count and of the sums of columns."""

    mark: str
    count: int | None
    sums: Mapping[str, int]


@dataclass(frozen=True)
class Format:
    """How a delimited file is written; made by `Format.of`."""

    encoding: str
    delimiter: str
    line_breaks: bool
    layouts: tuple[Layout, ...]
    preamble_lines: int
    preamble_marks: Mapping[int, str]
    trailer: Trailer | None
    notation: Notation
    limits: Mapping[str, int]

    @classmethod
    def of(cls, format: Mapping[str, Any]) -> Format:
        """From the YAML; raises ConfigurationError for what the schema cannot see."""
        preamble, trailer = format.get("preamble", {}), format.get("trailer")
        read = cls(
            encoding=format["encoding"],
            delimiter=format["delimiter"],
            line_breaks=format.get("line_breaks_in_fields", "no") == "yes",
            layouts=tuple(_layout(entries) for entries in format["layouts"]),
            preamble_lines=int(preamble.get("lines", "0")),
            preamble_marks={int(line): mark for line, mark in preamble.get("marks", {}).items()},
            trailer=_trailer(trailer) if trailer else None,
            notation=Notation(format.get("decimal", "."), format.get("thousands", "")),
            limits=_limits(format.get("limits", {})),
        )
        for field, detail in read.problems():
            raise ConfigurationError("SCHEMA", file="source mapping", line=1, field=field, detail=detail)
        return read

    @property
    def columns(self) -> frozenset[str]:
        """Every column name that some layout has."""
        return frozenset(name for layout in self.layouts for name in layout.names)

    def problems(self) -> list[tuple[str, str]]:
        """Field and explanation of everything that is wrong with the declaration."""
        found = []
        if self.encoding not in ENCODINGS:
            found.append(("format.encoding", f"{self.encoding} is not one of {', '.join(ENCODINGS)}"))
        for number, layout in enumerate(self.layouts):
            twice = sorted({name for name in layout.names if layout.names.count(name) > 1})
            found += [(f"format.layouts.{number}", f"column {name!r} stands twice: rename one") for name in twice]
            found += [(f"format.layouts.{number}", f"{SOURCE_ROW} is our own") for n in layout.names if n == SOURCE_ROW]
        headers = [layout.header for layout in self.layouts]
        found += [
            ("format.layouts", "two layouts have the same header") for _ in range(len(headers) > len(set(headers)))
        ]
        sums = self.trailer.sums if self.trailer else {}
        found += [("format.trailer.sums", f"no layout has column {c!r}") for c in sums if c not in self.columns]
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


def _trailer(trailer: Mapping[str, Any]) -> Trailer:
    sums = {column: int(position) for column, position in trailer.get("sums", {}).items()}
    return Trailer(trailer["mark"], int(trailer["count"]) if "count" in trailer else None, sums)


def _limits(limits: Mapping[str, str]) -> dict[str, int]:
    usual = {"bytes": BYTES_MAX, "rows": ROWS_MAX, "field_characters": FIELD_CHARACTERS_MAX}
    return {name: int(limits.get(name, value)) for name, value in usual.items()}


def matches(texts: pa.Array, pattern: str) -> NDArray[np.bool_]:
    """Which texts hold a match of an RE2 pattern."""
    found = pc.match_substring_regex(texts, pattern)
    return np.asarray(found.to_numpy(zero_copy_only=False), dtype=bool)
