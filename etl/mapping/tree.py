"""The document tree of a target profile: YAML mappings whose leaves are columns, with arrays that repeat.

A node is one of: a leaf (a column: one of `FORMS`, and how it is written), an array (`repeat` and `each`), an object
(member name -> node). An object or a leaf under `omit_empty: yes` is left out where it has nothing to say.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from etl import model

Node = Mapping[str, Any]

FORMS: Final = ("value", "field", "company", "amount", "foreign", "template")
DOCUMENT, JOURNAL, LINE = "document", "journal", "line"
# A repeat may stand only inside what it is a part of.
INSIDE: Final = {JOURNAL: (DOCUMENT,), LINE: (DOCUMENT, JOURNAL)}
# Fields with one value for the whole batch, and with one for each journal.
OF_DOCUMENT: Final = ("batch_id", "batch_no", "company", "period")
_OF_LINE: Final = {*model.JOURNAL_LINE_COLUMNS} - {"journal_key"}
OF_JOURNAL: Final = (*OF_DOCUMENT, "batch_journal_no", "User", *(c for c in model.JOURNAL_COLUMNS if c not in _OF_LINE))
NUMBER: Final = r"^-?(0|[1-9][0-9]*)(\.[0-9]+)?$"


@dataclass(frozen=True)
class Leaf:
    """A column of the document: its place in the YAML, its name (the keys of the document), rule and level."""

    path: tuple[str, ...]
    name: str
    rule: Node
    level: str


def is_leaf(node: Node) -> bool:
    """Whether a node is a column; a member of an object may have the name of a form, its node is no text."""
    return any(isinstance(node.get(form), str) for form in FORMS)


def is_array(node: Node) -> bool:
    """Whether a node repeats."""
    return isinstance(node.get("repeat"), str)


def members(node: Node) -> dict[str, Node]:
    """The members of an object in the profile's order, without its options."""
    return {name: child for name, child in node.items() if not isinstance(child, str)}


def leaves(node: Node, path: tuple[str, ...] = (), name: str = "", level: str = DOCUMENT) -> Iterator[Leaf]:
    """Every column of a tree, in order."""
    if is_leaf(node):
        yield Leaf(path, name, node, level)
    elif is_array(node):
        yield from leaves(node["each"], (*path, "each"), name, node["repeat"])
    else:
        for key, child in members(node).items():
            yield from leaves(child, (*path, key), f"{name}.{key}" if name else key, level)


def problems(node: Node, path: tuple[str, ...] = (), level: str = DOCUMENT) -> Iterator[tuple[tuple[str, ...], str]]:
    """The place and the reason of each mistake that the schema cannot see."""
    if is_leaf(node):
        yield from ((path, reason) for reason in _leaf_problems(node, level))
    elif is_array(node):
        if level not in INSIDE[node["repeat"]]:
            yield (*path, "repeat"), f"a {node['repeat']} cannot repeat inside a {level}"
        yield from problems(node["each"], (*path, "each"), node["repeat"])
    else:
        for key, child in members(node).items():
            yield from problems(child, (*path, key), level)


def _leaf_problems(rule: Node, level: str) -> Iterator[str]:
    """A column that its level has no single value for, and a number that is none or would be cut."""
    several = {DOCUMENT: OF_DOCUMENT, JOURNAL: OF_JOURNAL}.get(level)
    if several is not None:
        fields = [rule[form] for form in ("field", "foreign") if form in rule]
        fields += re.findall(r"\{([a-z_]+)\}", rule.get("template", ""))
        yield from (f"{name!r} has no single value in a {level}" for name in fields if name not in several)
        if "amount" in rule:
            yield f"an amount has no single value in a {level}"
    if rule.get("as") == "number":
        if not re.match(NUMBER, rule.get("value", "0")):
            yield f"{rule['value']!r} is no JSON number"
        if rule.get("overflow") == "truncate":
            yield "a number is never cut"
