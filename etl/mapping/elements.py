"""The tree of an XML target: its texts under the names of their places, and the mistakes that the schema cannot see."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from string import Formatter
from typing import Any, Final

from etl import model

Node = Mapping[str, Any]
Place = tuple[str | int, ...]
# What `foreign` may name beside the fields of a journal.
OF_FOREIGN: Final = ("User", "amount")
# The fields that are dates, which a profile writes in its own pattern.
DATES: Final = ("document_date", "posting_date", "original_date", "rate_date")
# What stands once in a batch, once in a journal, once in a line: the fields a text may name there.
_BATCH: Final = frozenset({"batch_id", "batch_no", "company", "period", "base_currency"})
_JOURNAL: Final = (
    _BATCH
    | (frozenset(model.JOURNAL_COLUMNS) - frozenset(model.JOURNAL_LINE_COLUMNS))
    | {"journal_key", "batch_journal_no"}
)
FIELDS: Final[Mapping[str, frozenset[str]]] = {
    "batch": _BATCH,
    "journal": _JOURNAL,
    "line": _JOURNAL | {*model.JOURNAL_COLUMNS, *model.JOURNAL_LINE_COLUMNS, "batch_line_no"},
}
_INSIDE: Final = {"journal": "batch", "line": "journal"}
_WHEN: Final = {"debit": ("line",), "credit": ("line",), "foreign": ("journal", "line")}


@dataclass(frozen=True)
class Element:
    """A node where it stands: its name as in XPath, its place in the file, and what it stands once in."""

    node: Node
    name: str
    place: Place
    level: str
    conditions: tuple[str, ...] = ()

    def children(self) -> list[Element]:
        """The elements inside; siblings of one tag are numbered from the second on."""
        seen: Counter[str] = Counter()
        inside = []
        for number, child in enumerate(self.node.get("children", [])):
            tag = child["tag"]
            seen[tag] += 1
            name = f"{self.name}/{tag}" if seen[tag] == 1 else f"{self.name}/{tag}[{seen[tag]}]"
            inside.append(_element(child, name, (*self.place, "children", number), self.level, self.conditions))
        return inside

    def cells(self) -> Iterator[tuple[str, Place, Mapping[str, str]]]:
        """Name, place and rule of its attributes and its text."""
        for name, rule in self.node.get("attributes", {}).items():
            yield f"{self.name}/@{name}", (*self.place, "attributes", name), rule
        if "text" in self.node:
            yield self.name, (*self.place, "text"), self.node["text"]


def _element(node: Node, name: str, place: Place, level: str, conditions: tuple[str, ...]) -> Element:
    condition = (node["when"],) if "when" in node else ()
    return Element(node, name, place, node.get("repeat", level), conditions + condition)


def root(node: Node) -> Element:
    """The element that the whole document is."""
    return _element(node, node["tag"], ("tree",), "batch", ())


def elements(element: Element) -> Iterator[Element]:
    """An element and everything in it, in the order of the document."""
    yield element
    for child in element.children():
        yield from elements(child)


def fields(rule: Mapping[str, str]) -> list[str]:
    """The fields of a journal that a column names."""
    named = [rule[kind] for kind in ("field", "foreign") if rule.get(kind, "User") not in OF_FOREIGN]
    return named + [field for _, field, _, _ in Formatter().parse(rule.get("template", "")) if field is not None]


def rule_problems(rule: Mapping[str, str]) -> Iterator[str]:
    """What is wrong with one column of any kind of profile, wherever it stands."""
    yield from (f"no journal field {field!r}" for field in fields(rule) if field not in FIELDS["line"])
    if rule.get("overflow") == "truncate" and "max" not in rule:
        yield "overflow: truncate needs a max"
    if "date" in rule and rule.get("field") not in DATES:
        yield f"a date pattern needs a field that is a date: {', '.join(DATES)}"


def problems(node: Node) -> Iterator[tuple[Place, str]]:
    """Place and reason of every mistake in a tree."""
    yield from _element_problems(root(node), "")


def _element_problems(element: Element, outside: str) -> Iterator[tuple[Place, str]]:
    """In: the element, and the level of the one around it, "" for the document itself."""
    node, place = element.node, element.place
    if "repeat" in node and _INSIDE[node["repeat"]] != outside:
        where = "under a node that is repeated for each journal" if node["repeat"] == "line" else "once, below the root"
        yield (*place, "repeat"), f"repeat: {node['repeat']} stands {where}"
    if "when" in node and element.level not in _WHEN[node["when"]]:
        yield (*place, "when"), f"when: {node['when']} needs a node repeated for each {_WHEN[node['when']][0]}"
    if node.get("omit_empty") == "yes" and all(
        "value" in rule for inner in elements(element) for _, _, rule in inner.cells()
    ):
        yield (*place, "omit_empty"), "nothing in it can be empty"
    for _, at, rule in element.cells():
        yield from ((at, detail) for detail in (*rule_problems(rule), *level_problems(rule, element.level)))
        if "pos" in rule:
            yield at, "a tree has no positions"
    for child in element.children():
        yield from _element_problems(child, element.level)


def level_problems(rule: Mapping[str, str], level: str) -> Iterator[str]:
    """What a column must not say where it stands once in a batch, a journal or a line."""
    for field in fields(rule):
        if field in FIELDS["line"] - FIELDS[level]:
            yield f"{field!r} differs within a {level}: the node needs a repeat"
    if level != "line" and ("amount" in rule or rule.get("foreign") == "amount"):
        yield "an amount stands under a node that is repeated for each line"
    if level == "batch" and "foreign" in rule:
        yield "foreign needs a node repeated for each journal"
