"""Kind `xml`: a document grown from the tree in the profile, with nodes repeated for each journal and each line.

Texts are made once for each place of the tree over all lines, as the columns of other kinds are; elements are then
joined row-wise, and the rows of a repeated node into the one row of the node around it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from etl import mapping, model
from etl.journal import Batch
from etl.mapping import elements
from etl.render import columns
from etl.render.columns import BLANK, Columns, Ints, Profile

Mask = NDArray[np.bool_]
ESCAPES: Final = (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;"), ('"', "&quot;"))


def check(
    profile: Profile, bundle: mapping.Bundle, headers: pd.DataFrame, lines: pd.DataFrame, at: Ints,
    faults: mapping.Faults,
) -> None:  # fmt: skip
    """Keys too long, required texts empty, characters the encoding lacks; only where the tree writes the text."""
    flat = _flat(profile)
    made = columns.clean(flat, columns.make(flat, bundle, headers, lines, at, None))
    places = _Places(headers, lines, at)
    for element in elements.elements(elements.root(profile["tree"])):
        # What stands once in a batch is held against every journal: a batch may be made of any of them.
        rows = places.rows["journal"] if element.level == "batch" else places.written(element)
        for name, _, rule in element.cells():
            text = made[name].take(pa.array(rows))
            columns.check_column(flat, name, rule, text, at[rows], faults)
            columns.check_encoding(flat, name, rule, text, at[rows], faults)


def render(
    profile: Profile, bundle: mapping.Bundle, batch: Batch, headers: pd.DataFrame, lines: pd.DataFrame, at: Ints
) -> bytes:
    """The document of one batch, in the profile's encoding."""
    flat = _flat(profile)
    made = columns.clean(flat, columns.make(flat, bundle, headers, lines, at, batch))
    texts = {name: columns.cut(flat, rule, made[name]) for name, rule in flat["columns"].items()}
    indent = 0 if profile["indent"] == "none" else int(profile["indent"])
    writer = _Writer(_Places(headers, lines, at), texts, indent)
    markup, _ = writer.element(elements.root(profile["tree"]), 0)
    first = f'<?xml version="1.0" encoding="{profile["encoding"].upper()}"?>' + writer.line_end
    head = first if profile["declaration"] == "yes" else ""
    return (head + "".join(markup.to_pylist())).encode(profile["encoding"])


def _flat(profile: Profile) -> Profile:
    """The profile with the texts of its tree as columns, under the names of their places."""
    cells = [cell for element in elements.elements(elements.root(profile["tree"])) for cell in element.cells()]
    return {**profile, "columns": {name: rule for name, _, rule in cells}}


class _Places:
    """Which lines stand for the rows of each level: the first of the batch, the first of each journal, every one."""

    def __init__(self, headers: pd.DataFrame, lines: pd.DataFrame, at: Ints) -> None:
        every = np.arange(len(lines), dtype=np.int64)
        first = np.flatnonzero(np.diff(at, prepend=-1)) if len(at) else every
        self.rows: Mapping[str, Ints] = {"batch": every[:1], "journal": first, "line": every}
        amounts = lines[["debit_minor", "base_debit_minor"]].to_numpy(dtype=np.int64)
        debit = (amounts != 0).any(axis=1)
        foreign = (headers["currency"] != headers["base_currency"]).to_numpy(dtype=bool)[at]
        self.holds: Mapping[str, Mask] = {"debit": debit, "credit": ~debit, "foreign": foreign}

    def written(self, element: elements.Element) -> Ints:
        """The rows at which an element is written, its conditions and those around it being met."""
        rows = self.rows[element.level]
        for condition in element.conditions:
            rows = rows[self.holds[condition][rows]]
        return rows

    def starts(self, outer: str, inner: str) -> Ints:
        """Where the rows of an inner level begin for each row of the outer one, and where the last ends."""
        starts = np.searchsorted(self.rows[inner], self.rows[outer])
        return np.append(starts, len(self.rows[inner])).astype(np.int64)


@dataclass(frozen=True)
class _Writer:
    """Elements as text: for each row of an element's level its markup, and whether something in it has a text."""

    places: _Places
    texts: Columns
    indent: int

    @property
    def line_end(self) -> str:
        return "\n" if self.indent else ""

    def element(self, element: elements.Element, depth: int) -> tuple[pa.Array, Mask]:
        """One element with all that is in it; "" where it is left out."""
        rows = self.places.rows[element.level]
        filled = np.zeros(len(rows), dtype=bool)
        parts: list[pa.Array | str] = ["<" + element.node["tag"]]
        content = pa.repeat(BLANK, len(rows))
        for name, place, rule in element.cells():
            text = _escaped(self.texts[name].take(pa.array(rows)))
            if "value" not in rule:
                filled |= _mask(pc.not_equal(text, ""))
            if place[-1] == "text":
                content = text
            else:
                parts += [f' {place[-1]}="', text, '"']
        if "children" in element.node:
            content, inside = self.children(element, depth)
            filled |= inside
        return self.shown(element, self.enclosed(element, parts, content, depth), filled)

    def children(self, element: elements.Element, depth: int) -> tuple[pa.Array, Mask]:
        """The content of an element with elements in it; "" where all are left out."""
        count = len(self.places.rows[element.level])
        filled = np.zeros(count, dtype=bool)
        inside: list[pa.Array | str] = [pa.repeat(BLANK, count)]
        for child in element.children():
            markup, has_text = self.element(child, depth + 1)
            if child.level != element.level:
                starts = self.places.starts(element.level, child.level)
                markup = _joined(markup, starts)
                has_text = np.diff(np.append(0, np.cumsum(has_text))[starts]) > 0
            inside.append(markup)
            filled |= has_text
        content = model.joined(inside, "")
        if self.indent:
            lines = model.joined(["\n", content, " " * (self.indent * depth)], "")
            content = pc.if_else(pc.equal(content, ""), BLANK, lines)
        return content, filled

    def enclosed(
        self, element: elements.Element, parts: list[pa.Array | str], content: pa.Array, depth: int
    ) -> pa.Array:
        """Tags around the content, on a line of their own where the profile has an indent."""
        opened = [" " * (self.indent * depth), *parts]
        full = model.joined([*opened, ">", content, f"</{element.node['tag']}>", self.line_end], "")
        empty = model.joined([*opened, pa.repeat(pa.scalar("/>", pa.large_string()), len(content)), self.line_end], "")
        return pc.if_else(pc.equal(content, ""), empty, full)

    def shown(self, element: elements.Element, markup: pa.Array, filled: Mask) -> tuple[pa.Array, Mask]:
        """The element where its condition holds and, with `omit_empty`, where something in it has a text."""
        rows = self.places.rows[element.level]
        stays = np.ones(len(rows), dtype=bool)
        if "when" in element.node:
            stays &= self.places.holds[element.node["when"]][rows]
        if element.node.get("omit_empty") == "yes":
            stays &= filled
        return pc.if_else(pa.array(stays), markup, BLANK), filled & stays


def _joined(markup: pa.Array, starts: Ints) -> pa.Array:
    """Row after row in one text for each stretch between two starts."""
    lists = pa.LargeListArray.from_arrays(pa.array(starts), markup)
    return pc.binary_join(lists, BLANK)


def _escaped(text: pa.Array) -> pa.Array:
    """Text for an element or a quoted attribute; control characters are spaces already (columns.clean)."""
    for old, new in ESCAPES:
        text = pc.replace_substring(text, old, new)
    return text


def _mask(truth: pa.Array) -> Mask:
    return np.asarray(truth.to_numpy(zero_copy_only=False), dtype=bool)
