"""Kind `json`: one JSON document for each batch, its tree written out in the profile.

Each column of the tree is made once over all lines, turned into JSON tokens, and joined upwards: lines to journals,
journals to the document. Amounts and numbers are tokens made of decimal text; nothing here is ever a float.
"""

from __future__ import annotations

import json
from typing import Any, Final

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from etl import mapping, model
from etl.journal import Batch
from etl.mapping import tree
from etl.render import columns
from etl.render.columns import BLANK, Columns, Ints, Profile

INDENT: Final = "  "


def check(
    profile: Profile, bundle: mapping.Bundle, headers: pd.DataFrame, lines: pd.DataFrame, at: Ints,
    faults: mapping.Faults,
) -> None:  # fmt: skip
    """Keys too long, required fields empty, codes without a row, numbers that are none, and unencodable text."""
    flat = _flat(profile)
    made = columns.make(flat, bundle, headers, lines, at, None)
    for name, rule in flat["columns"].items():
        columns.check_codes(name, rule, made[name], at, faults)
        made[name] = columns.coded(rule, made[name])
        columns.check_number(name, rule, made[name], at, faults, "a JSON number")
        columns.check_encoding(profile, name, rule, made[name], at, faults)
    columns.check(flat, made, at, faults)


def render(
    profile: Profile, bundle: mapping.Bundle, batch: Batch, headers: pd.DataFrame, lines: pd.DataFrame, at: Ints
) -> bytes:
    """The document and a line feed, in the profile's encoding."""
    flat = _flat(profile)
    made = columns.make(flat, bundle, headers, lines, at, batch)
    tokens = {
        name: _tokens(rule, columns.cut(flat, rule, columns.coded(rule, made[name])))
        for name, rule in flat["columns"].items()
    }
    document = _Writer(profile.get("layout") == "indented", tokens, at, len(headers)).node(profile["document"])
    return f"{document[0].as_py()}\n".encode(profile["encoding"])


def _flat(profile: Profile) -> dict[str, Any]:
    """The profile with the leaves of its tree as `columns`, as every other kind has them."""
    return {**profile, "columns": {leaf.name: leaf.rule for leaf in tree.leaves(profile["document"])}}


def _tokens(rule: Profile, text: pa.Array) -> pa.Array:
    """Each text as a JSON token: a number as it is written, else a string in quotes; "" where there is nothing."""
    if rule.get("as") == "number":
        return text
    token = columns.by_distinct(text, lambda value: json.dumps(value, ensure_ascii=False), pa.large_string())
    return pc.if_else(pc.equal(text, ""), BLANK, token)


class _Writer:
    """Nodes of a tree as JSON text, one text for each row of the level they stand in (document, journal or line)."""

    def __init__(self, indented: bool, tokens: Columns, at: Ints, journals: int) -> None:
        self.indented, self.tokens, self.at = indented, tokens, at
        self.rows = {tree.DOCUMENT: 1, tree.JOURNAL: journals, tree.LINE: len(at)}
        # Where the lines of each row of a level begin.
        self.firsts = {
            tree.DOCUMENT: np.zeros(1, dtype=np.int64),
            tree.JOURNAL: np.searchsorted(at, np.arange(journals)),
            tree.LINE: np.arange(len(at)),
        }

    def node(
        self, node: Profile, level: str = tree.DOCUMENT, name: str = "", depth: int = 0, omit: bool = False
    ) -> pa.Array:
        """The text of a node on every row of its level; "" where the node is left out."""
        omit = node["omit_empty"] == "yes" if isinstance(node.get("omit_empty"), str) else omit
        if tree.is_leaf(node):
            return self.leaf(node, level, name, omit)
        if tree.is_array(node):
            return self.array(node, level, name, depth, omit)
        return self.object(node, level, name, depth, omit)

    def leaf(self, rule: Profile, level: str, name: str, omit: bool) -> pa.Array:
        """A column: its token, and where it is empty nothing, "" or null."""
        token = self.tokens[name].take(pa.array(self.firsts[level]))
        empty = "" if omit else "null" if rule.get("as") == "number" else '""'
        return pc.if_else(pc.equal(token, ""), pa.scalar(empty, pa.large_string()), token)

    def object(self, node: Profile, level: str, name: str, depth: int, omit: bool) -> pa.Array:
        """The members that are there, each behind a comma of which the first is taken off again."""
        parts = [pa.repeat(BLANK, self.rows[level])]
        for key, child in tree.members(node).items():
            value = self.node(child, level, f"{name}.{key}" if name else key, depth + 1, omit)
            head = f",{self.gap(depth + 1)}{json.dumps(key, ensure_ascii=False)}:{' ' if self.indented else ''}"
            parts.append(pc.if_else(pc.equal(value, ""), BLANK, model.joined([head, value], "")))
        inside = model.joined(parts, "")
        whole = model.joined(["{", pc.utf8_slice_codeunits(inside, 1), self.gap(depth), "}"], "")
        return pc.if_else(pc.equal(inside, ""), pa.scalar("" if omit else "{}", pa.large_string()), whole)

    def array(self, node: Profile, level: str, name: str, depth: int, omit: bool) -> pa.Array:
        """One element for each journal or line that belongs to the row; none is ever left out."""
        each = self.node(node["each"], node["repeat"], name, depth + 1, omit)
        nothing = pa.scalar("null" if tree.is_leaf(node["each"]) else "{}", pa.large_string())
        each = pc.if_else(pc.equal(each, ""), nothing, each)
        parents, own = self.firsts[level], self.firsts[node["repeat"]]
        offsets = np.append(np.searchsorted(own, parents), self.rows[node["repeat"]])
        groups = pa.LargeListArray.from_arrays(pa.array(offsets, pa.int64()), each)
        inside = pc.binary_join(groups, pa.scalar(f",{self.gap(depth + 1)}", pa.large_string()))
        return model.joined([f"[{self.gap(depth + 1)}", inside, f"{self.gap(depth)}]"], "")

    def gap(self, depth: int) -> str:
        """The line break and indent before something at this depth; nothing in a compact document."""
        return f"\n{INDENT * depth}" if self.indented else ""
