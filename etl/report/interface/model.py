"""The parts of an interface document, whatever its language and form."""

from __future__ import annotations

from dataclasses import dataclass

Row = tuple[str, ...]


@dataclass(frozen=True)
class Table:
    """A table with one cell for each heading; `name` is its caption, "" for none."""

    headings: Row
    rows: tuple[Row, ...]
    name: str = ""


@dataclass(frozen=True)
class Section:
    """A title, sentences, and tables."""

    title: str
    notes: tuple[str, ...] = ()
    tables: tuple[Table, ...] = ()


@dataclass(frozen=True)
class Document:
    """An interface document in one language."""

    language: str
    title: str
    contents: str
    sections: tuple[Section, ...]
    footer: str
