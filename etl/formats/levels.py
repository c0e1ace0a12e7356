"""The `format` part of a source mapping of kind json: levels of a document, and which value becomes which column."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from etl.errors import ConfigurationError
from etl.formats.layout import FIELD_CHARACTERS_MAX, ROWS_MAX, SOURCE_ROW

LIMITS: Final = {"bytes": 64 * 2**20, "rows": ROWS_MAX, "field_characters": FIELD_CHARACTERS_MAX, "depth": 64}
# What the YAML may raise a limit to; a document is held in memory whole.
LIMIT_BOUNDS: Final = {
    "bytes": 512 * 2**20, "rows": ROWS_MAX, "field_characters": FIELD_CHARACTERS_MAX, "depth": 200,
}  # fmt: skip
HERE: Final = "."
Path = tuple[str, ...]


@dataclass(frozen=True)
class Cell:
    """Where a column's text comes from: the first of its paths that holds something, else `value`; or a sibling.

    A sibling's is the value at `take` of the one element of `array`, beside this level's own array, that has at `where`
    what the element has there, or a list that holds it.
    """

    paths: tuple[Path, ...] = ()
    value: str = ""
    number: bool = False
    array: Path = ()
    where: Path = ()
    take: Path = ()


@dataclass(frozen=True)
class Level:
    """One array of the document, from the element above it: the columns it gives and the levels below it.

    `known` holds, for each object of an element by its path, the names that may stand there and patterns of names
    that are left unread on purpose.
    """

    array: Path
    number: str
    cells: Mapping[str, Cell]
    marks: Mapping[Path, str]
    below: tuple[Level, ...]
    known: Mapping[Path, tuple[frozenset[str], tuple[str, ...]]]

    def columns(self) -> Iterator[str]:
        """Every column of this level and below; one that several levels give stands several times."""
        yield from [self.number] * bool(self.number)
        yield from self.cells
        for level in self.below:
            yield from level.columns()


@dataclass(frozen=True)
class JsonFormat:
    """How a JSON document is read; made by `JsonFormat.of`. `root` is the level around the first array."""

    root: Level
    records: Level
    count: Path
    limits: Mapping[str, int]

    @classmethod
    def of(cls, format: Mapping[str, Any]) -> JsonFormat:
        """From the YAML; raises ConfigurationError for what the schema cannot see."""
        records = _level(format["records"])
        count = _path(format["count"]) if "count" in format else ()
        ignored = [_path(one) for one in format.get("ignored", [])]
        root = Level((), "", {}, {}, (records,), _known([records.array, *([count] if count else [])], ignored))
        limits = {name: int(format.get("limits", {}).get(name, value)) for name, value in LIMITS.items()}
        read = cls(root, records, count, limits)
        for field, detail in read.problems():
            raise ConfigurationError("SCHEMA", file="source mapping", line=1, field=field, detail=detail)
        return read

    @property
    def columns(self) -> frozenset[str]:
        """Every column that some level gives."""
        return frozenset(self.records.columns())

    def problems(self) -> list[tuple[str, str]]:
        """Field and explanation of everything that is wrong with the declaration."""
        found = [
            (f"format.limits.{name}", f"{self.limits[name]} is above {bound}")
            for name, bound in LIMIT_BOUNDS.items()
            if self.limits[name] > bound
        ]
        found += [("format.records", f"{SOURCE_ROW} is our own") for _ in range(SOURCE_ROW in self.columns)]
        return found


def _level(entry: Mapping[str, Any]) -> Level:
    cells = {name: _cell(one) for name, one in entry.get("columns", {}).items()}
    marks = {_path(path): text for path, text in entry.get("marks", {}).items()}
    below = tuple(_level(one) for one in entry.get("levels", []))
    reads = [path for cell in cells.values() for path in (*cell.paths, *([cell.where] if cell.where else []))]
    ignored = [_path(one) for one in entry.get("ignored", [])]
    known = _known([*reads, *marks, *(level.array for level in below)], ignored)
    return Level(_path(entry["array"]), entry.get("number", ""), cells, marks, below, known)


def _cell(entry: str | list[str] | Mapping[str, str]) -> Cell:
    if isinstance(entry, str):
        return Cell((_path(entry),))
    if isinstance(entry, list):
        return Cell(tuple(_path(one) for one in entry))
    if "value" in entry:
        return Cell(value=entry["value"])
    if "in" in entry:
        return Cell(array=_path(entry["in"]), where=_path(entry["where"]), take=_path(entry["take"]))
    return Cell((_path(entry["path"]),), entry.get("absent", ""), entry.get("as") == "number")


def _path(text: str) -> Path:
    return () if text == HERE else tuple(text.split("."))


def _known(reads: list[Path], ignored: list[Path]) -> dict[Path, tuple[frozenset[str], tuple[str, ...]]]:
    """For each object that a path goes through: the names read there, and the patterns of those left unread."""
    names: dict[Path, set[str]] = {(): set()}
    patterns: dict[Path, list[str]] = {}
    for path in [*reads, *(one[:-1] for one in ignored)]:
        for place, name in enumerate(path):
            names.setdefault(path[:place], set()).add(name)
    for one in ignored:
        names.setdefault(one[:-1], set())
        patterns.setdefault(one[:-1], []).append(one[-1])
    return {at: (frozenset(found), tuple(patterns.get(at, ()))) for at, found in sorted(names.items())}
