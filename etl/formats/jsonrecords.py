"""JSON documents as rows: one for each element of the innermost arrays, with the values of all levels above it.

Numbers are their exact text and never a float. A name that stands twice in an object, a name that the mapping neither
reads nor leaves out, and an object where a value is expected refuse the whole file. What is missing or null is "".
An element with nothing below it keeps a row of its own, so that no amount disappears; a column that several levels
give is the deepest one's. `source_row` counts the rows.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any, Final, NoReturn

import numpy as np
import pandas as pd
import pyarrow as pa

from etl.errors import FileRejected
from etl.formats.containers import content_type
from etl.formats.delimited import RawFile
from etl.formats.encodings import line_at, to_utf8
from etl.formats.layout import SOURCE_ROW
from etl.formats.levels import Cell, JsonFormat, Level, Path
from etl.masking import masked

# A string without its end reaches to the end of the text: one pass, whatever stands there.
_STRING: Final = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*(?:"|\\?\Z)', re.DOTALL)
_LONE: Final = re.compile("[\ud800-\udfff]")
NUMBER_CHARACTERS_MAX: Final = 100
_OPEN, _CLOSE = (b"[", b"{"), (b"]", b"}")
Row = dict[str, str]


class _Number(str):
    """The text of a JSON number, told apart from a string of the same characters."""


class _Object(dict[str, Any]):
    """A JSON object that knows the how-manieth to end it is, so that an error can name its line."""

    __slots__ = ("ends",)
    ends: int


class _Unsound(ValueError):
    """JSON that the grammar allows and we do not: detail, and the word or the number of the object it is about."""


def read_json(content: bytes, name: str, format: Mapping[str, Any]) -> RawFile:
    """The whole file, or FileRejected with the catalogue's code; columns in the order of the declaration."""
    rules = JsonFormat.of(format)
    if len(content) > rules.limits["bytes"]:
        raise FileRejected("SIZE", file=name, found=f"{len(content)} bytes", limit=rules.limits["bytes"])
    what = content_type(content)
    if what:
        raise FileRejected("CONTENT_TYPE", file=name, found=what, expected="JSON")
    text = to_utf8(content, name, "utf-8")
    if not text or text.isspace():
        raise FileRejected("EMPTY", file=name)
    reader = _Reader(name, _STRING.sub(b"", text), rules)
    document = reader.parsed(text.decode())
    rows = list(reader.rows(document))
    trailer = {"count": reader.counted(document)} if rules.count else {}
    if not rows and trailer.get("count") != "0":
        raise FileRejected("EMPTY", file=name)
    return RawFile(reader.frame(rows), text.count(b"\n") + (not text.endswith(b"\n")), trailer)


@dataclass
class _Reader:
    """One file on its way: `bare` is its text without strings, `objects` how many have ended, `seen` the sets of names
    found known, `number` the count of each level's elements."""

    name: str
    bare: bytes
    rules: JsonFormat
    objects: int = 0
    seen: set[tuple[Path, tuple[str, ...], int]] = field(default_factory=set)
    number: dict[int, int] = field(default_factory=dict)

    def parsed(self, text: str) -> Any:
        """The document; raises FileRejected SIZE (depth), INCOMPLETE or SYNTAX."""
        depth = _depth(self.bare)
        if depth > self.rules.limits["depth"]:
            raise FileRejected("SIZE", file=self.name, found=f"{depth} levels", limit=self.rules.limits["depth"])
        try:
            return json.loads(
                text, parse_float=_number, parse_int=_number, parse_constant=_refuse_constant,
                object_pairs_hook=self._object,
            )  # fmt: skip
        except json.JSONDecodeError as error:
            if error.pos >= len(text.rstrip()) or error.msg.startswith("Unterminated string"):
                raise FileRejected("INCOMPLETE", file=self.name, detail=f"{error.msg}, line {error.lineno}") from error
            raise FileRejected("SYNTAX", file=self.name, line=error.lineno, detail=error.msg) from error
        except _Unsound as error:
            detail, word = error.args
            at = self.bare.find(word.encode()) if word else self._end(self.objects)
            line = line_at(self.bare, at)
            raise FileRejected("SYNTAX", file=self.name, line=line, detail=detail) from error

    def _object(self, pairs: list[tuple[str, Any]]) -> _Object:
        self.objects += 1
        found = _Object(pairs)
        found.ends = self.objects
        if len(found) < len(pairs):
            names = [name for name, _ in pairs]
            twice = next(name for name in names if names.count(name) > 1)
            raise _Unsound(f"{masked(twice)!r} stands twice in the object that ends here", "")
        return found

    def counted(self, document: Any) -> str:
        """What the document says how many records it holds; raises FileRejected CONTROL_TOTAL when it has others."""
        said = self._text(document, self.rules.count)
        found = str(self.number.get(id(self.rules.records), 0))
        if said != found:
            named = ".".join(self.rules.count)
            raise FileRejected("CONTROL_TOTAL", file=self.name, field=named, expected=repr(said), found=found)
        return said

    def rows(self, document: Any) -> Iterator[Row]:
        """A row for each element that has none below it, in the order of the document."""
        if self.rules.records.array:
            self._check_names(document, self.rules.root)
            if self._at(document, self.rules.records.array) is None:
                detail = f"Missing: {'.'.join(self.rules.records.array)!r}."
                raise FileRejected("HEADER", file=self.name, line=1, detail=detail)
        yield from self._below(document, self.rules.records, {})

    def _below(self, above: Any, level: Level, row: Row) -> Iterator[Row]:
        for element in self._elements(above, level.array):
            if not isinstance(element, dict):
                self._refuse_type(level.array, element, "an object", above)
            self._check_names(element, level)
            mine = {**row, **self._cells(element, above, level)}
            found = False
            for one in level.below:
                for inner in self._below(element, one, mine):
                    found = True
                    yield inner
            if not found:
                yield mine

    def _cells(self, element: Any, above: Any, level: Level) -> Row:
        count = self.number[id(level)] = self.number.get(id(level), 0) + 1
        if not level.below and count > self.rules.limits["rows"]:
            raise FileRejected("SIZE", file=self.name, found=f"{count} rows", limit=self.rules.limits["rows"])
        for path, expected in level.marks.items():
            written = self._text(element, path)
            if written not in ("", expected):
                found = f"{'.'.join(path)} {masked(written)!r}"
                line = self._line(element)
                raise FileRejected("ENVIRONMENT", file=self.name, line=line, found=found, expected=repr(expected))
        row = {name: self._cell(element, above, cell) for name, cell in level.cells.items()}
        return row | ({level.number: str(count)} if level.number else {})

    def _cell(self, element: Any, above: Any, cell: Cell) -> str:
        if cell.array:
            return self._of_sibling(element, above, cell)
        text = next((text for path in cell.paths if (text := self._text(element, path))), "")
        if not text:
            return cell.value
        return f'"{text}"' if cell.number and not isinstance(text, _Number) else text

    def _of_sibling(self, element: Any, above: Any, cell: Cell) -> str:
        """The sibling's value, "" unless exactly one has the element's key."""
        key = self._text(element, cell.where)
        mine = [one for one in self._elements(above, cell.array) if key and key in self._keys(one, cell.where)]
        return self._text(mine[0], cell.take) if len(mine) == 1 else ""

    def _keys(self, sibling: Any, where: Path) -> list[str]:
        found = self._at(sibling, where)
        return [str(key) for key in found] if isinstance(found, list) else [self._text(sibling, where)]

    def _elements(self, above: Any, array: Path) -> list[Any]:
        found = self._at(above, array)
        if found is not None and not isinstance(found, list):
            self._refuse_type(array, found, "an array", above)
        return found or []

    def _at(self, element: Any, path: Path) -> Any:
        value = element
        for place, name in enumerate(path):
            if value is None:
                return None
            if not isinstance(value, dict):
                self._refuse_type(path[:place], value, "an object", element)
            value = value.get(name)
        return value

    def _text(self, element: Any, path: Path) -> str:
        value = self._at(element, path)
        if value is None or isinstance(value, bool):
            return "" if value is None else str(value).lower()
        if not isinstance(value, str):
            self._refuse_type(path, value, "one value", element)
        if len(value) > self.rules.limits["field_characters"]:
            found = f"{'.'.join(path)} has {len(value)} characters"
            raise FileRejected("SIZE", file=self.name, found=found, limit=self.rules.limits["field_characters"])
        if "\0" in value:
            raise FileRejected("NUL", file=self.name, line=self._line(element))
        if not value.isascii() and _LONE.search(value):
            detail = f"half a character (a lone surrogate) in {'.'.join(path)}"
            raise FileRejected("ENCODING", file=self.name, line=self._line(element), encoding="utf-8", detail=detail)
        return value

    def _check_names(self, element: Any, level: Level) -> None:
        """Every name of the element's objects is read or left out on purpose; each set of names is judged once."""
        for at, (names, patterns) in level.known.items():
            found = self._at(element, at)
            if found is None:
                continue
            if not isinstance(found, dict):
                self._refuse_type(at, found, "an object", element)
            key = (at, tuple(found), id(level))
            if key in self.seen:
                continue
            unknown = [n for n in found if n not in names and not any(fnmatchcase(n, p) for p in patterns)]
            if unknown:
                shown = ", ".join(repr(masked(".".join((*at, name)))) for name in unknown)
                raise FileRejected("UNKNOWN_COLUMN", file=self.name, line=self._line(found), found=shown)
            self.seen.add(key)

    def _refuse_type(self, path: Path, value: Any, expected: str, element: Any) -> NoReturn:
        found = "an object" if isinstance(value, dict) else "an array" if isinstance(value, list) else "one value"
        named = ".".join(path) or "the document"
        line = self._line(element)
        raise FileRejected("TYPE", file=self.name, line=line, field=named, found=found, expected=expected)

    def _line(self, element: Any) -> int:
        """The line where an object ends; 1 for anything else."""
        return line_at(self.bare, self._end(element.ends)) if isinstance(element, _Object) else 1

    def _end(self, number: int) -> int:
        """The offset of the how-manieth closing brace."""
        return int(np.flatnonzero(np.frombuffer(self.bare, dtype=np.uint8) == _CLOSE[1][0])[number - 1])

    def frame(self, rows: list[Row]) -> pd.DataFrame:
        """The rows as text columns; a column that a row's branch does not give is ""."""
        columns: dict[str, Any] = {}
        for name in dict.fromkeys(self.rules.records.columns()):
            cells = pa.array([str(row.get(name, "")) for row in rows], type=pa.large_string())
            columns[name] = pd.Series(pd.array(cells, dtype="str"))
        return pd.DataFrame({**columns, SOURCE_ROW: np.arange(1, len(rows) + 1, dtype=np.int64)})


def _depth(bare: bytes) -> int:
    """How deep arrays and objects are nested, without parsing them."""
    signs = np.frombuffer(bare, dtype=np.uint8)
    step = np.zeros(len(signs), dtype=np.int32)
    for opening, closing in zip(_OPEN, _CLOSE, strict=True):
        step += (signs == opening[0]).astype(np.int32) - (signs == closing[0])
    return int(np.cumsum(step).max(initial=0))


def _number(text: str) -> _Number:
    if len(text) > NUMBER_CHARACTERS_MAX:
        raise _Unsound(f"a number has {len(text)} characters", text)
    return _Number(text)


def _refuse_constant(word: str) -> NoReturn:
    raise _Unsound(f"{word} is no number", word)
