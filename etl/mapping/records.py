"""The records of a fixed-width target: what each stands once for, and the mistakes that the schema cannot see.

They are listed in the order in which they are written. A record is written once for each line or journal (`repeat`),
else once for the batch; what stands before the lines is a header, what stands behind them a trailer.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final

from etl.mapping import elements
from etl.mapping.elements import Place

BATCH, JOURNAL, LINE = "batch", "journal", "line"
_ORDER: Final = {(BATCH, False): 0, (JOURNAL, False): 1, (LINE, False): 2, (JOURNAL, True): 3, (BATCH, True): 4}


@dataclass(frozen=True)
class Record:
    """One kind of record: its place in the profile, what it stands once in, and whether behind the lines."""

    node: Mapping[str, Any]
    number: int
    level: str
    trails: bool

    def columns(self) -> Iterator[tuple[str, Mapping[str, str]]]:
        """Name and rule of its columns, in the order of their positions."""
        ordered = sorted(self.node["columns"].items(), key=lambda named: int(named[1]["pos"]))
        return ((f"{self.node['record']}/{name}", rule) for name, rule in ordered)


def records(nodes: list[Mapping[str, Any]]) -> list[Record]:
    """The records of a profile in order."""
    levels = [node.get("repeat", BATCH) for node in nodes]
    first = levels.index(LINE) if LINE in levels else len(levels)
    return [
        Record(node, number, level, level != LINE and number > first)
        for number, (node, level) in enumerate(zip(nodes, levels, strict=True))
    ]


def is_sum(rule: Mapping[str, str]) -> bool:
    """Whether a column counts or adds up what stands in the batch or the journal."""
    return "total" in rule or "count" in rule


def problems(nodes: list[Mapping[str, Any]]) -> Iterator[tuple[Place, str]]:
    """Place and reason of every mistake in the records of a profile."""
    found = records(nodes)
    if LINE not in [record.level for record in found]:
        yield ("records",), "no record is repeated for each line"
    for before, record in pairwise(found):
        if _ORDER[before.level, before.trails] > _ORDER[record.level, record.trails]:
            detail = f"a record of the {record.level} cannot stand behind one of a {before.level}"
            yield ("records", record.number), detail
    for record in found:
        yield from _record_problems(record)


def _record_problems(record: Record) -> Iterator[tuple[Place, str]]:
    """Columns that overlap or leave the record, and columns that cannot stand in one of its level."""
    end = 0
    for name, rule in record.columns():
        place = ("records", record.number, "columns", name.split("/", 1)[1])
        start, end_before = int(rule["pos"]), end
        end = start + int(rule["width"]) - 1
        if start <= end_before:
            yield place, f"begins at {start}, but the column before it ends at {end_before}"
        if end > int(record.node.get("length", end)):
            yield place, f"ends at {end}, beyond the length of the record, {record.node['length']}"
        of_rule = elements.rule_problems({**rule, "max": rule["width"]})
        details = (*of_rule, *elements.level_problems(rule, record.level))
        yield from ((place, detail) for detail in (*details, *_sum_problems(rule, record.level)))


def _sum_problems(rule: Mapping[str, str], level: str) -> Iterator[str]:
    if is_sum(rule) and level == LINE:
        yield "a line has nothing to count or add up"
    if rule.get("count") == "journals" and level == JOURNAL:
        yield "a journal has no journals to count"
    if rule.get("total") in ("debit", "credit") and level == BATCH:
        yield f"a batch may hold several currencies: total: base_{rule['total']}"
    if is_sum(rule) and rule.get("overflow") == "truncate":
        yield "a sum is never cut"
