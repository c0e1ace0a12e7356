"""The header, compared exactly with the declared layouts; what differs is said in words."""

from __future__ import annotations

import csv
import unicodedata

from etl.errors import FileRejected
from etl.formats.layout import Format, Layout
from etl.masking import masked


def split_line(line: str, rules: Format) -> list[str] | None:
    """The fields of one physical line, or None when its quoting is not sound."""
    text = [line.rstrip("\r\n")]
    try:
        rows = list(csv.reader(text, delimiter=rules.delimiter, quoting=rules.quoting, strict=True))
    except csv.Error:
        return None
    return rows[0] if rows else []


def choose_layout(header: bytes, name: str, line: int, rules: Format) -> Layout:
    """The layout with exactly this header; raises FileRejected HEADER or UNKNOWN_COLUMN, and says what differs."""
    cells = split_line(header.decode(), rules)
    if cells is None:
        raise FileRejected("QUOTING", file=name, line=line, detail="the header's quotes are not balanced")
    for layout in rules.layouts:
        if list(layout.header) == cells:
            return layout
    nearest = max(rules.layouts, key=lambda layout: len(set(layout.header) & set(cells)))
    missing = [text for text in nearest.header if text not in cells]
    extra = [masked(text) for text in cells if text not in nearest.header]  # a file without header shows its data
    if extra and not missing and len(cells) == len(set(cells)):
        raise FileRejected("UNKNOWN_COLUMN", file=name, line=line, found=", ".join(map(repr, extra)))
    raise FileRejected("HEADER", file=name, line=line, detail=_difference(cells, nearest, missing, extra, rules))


def _difference(cells: list[str], nearest: Layout, missing: list[str], extra: list[str], rules: Format) -> str:
    twice = sorted({text for text in cells if cells.count(text) > nearest.header.count(text) > 0})
    if twice:
        return f"Stands twice: {', '.join(map(repr, twice))}."
    if len(missing) == len(nearest.header):
        other = [sign for sign in ",;\t|" if sign != rules.delimiter and cells and sign in cells[0]]
        hint = f" The separator may be {other[0]!r}." if other else ""
        return f"None of its columns is there; the line begins {', '.join(map(masked, cells))[:40]!r}.{hint}"
    written = {_folded(text): text for text in extra}
    near = [f"{written[_folded(text)]!r} for {text!r}" for text in missing if _folded(text) in written]
    if near:
        return f"Written otherwise: {', '.join(near)}."
    if missing:
        return f"Missing: {', '.join(map(repr, missing))}."
    return "The columns stand in another order."


def _folded(text: str) -> str:
    return unicodedata.normalize("NFKC", text).strip().casefold()
