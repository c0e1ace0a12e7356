"""Cross-checks of what a journal mapping declares beside its lines: groups, taxes, allocations, books, periods."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from etl import model
from etl.mapping import conditions

Path = tuple[str | int, ...]
Problem = tuple[Path, str]
TAX_AMOUNTS: Final = ("tax", "reclaimable_tax", "non_reclaimable_tax")
ROUNDING, DUE_FROM, DUE_TO, CLEARING, ACCRUAL = "rounding", "due_from", "due_to", "clearing", "accrual"
# Lines that no rule of a mapping writes; each stands on the side of its amount.
OWN_LINES: Final = (ROUNDING, DUE_FROM, DUE_TO, CLEARING, ACCRUAL)


def expressions(journal: Mapping[str, Any]) -> list[tuple[Path, Mapping[str, Any]]]:
    """The expressions outside the lines, with the place of each."""
    places = [("intercompany", "company"), ("intercompany", "due_from"), ("intercompany", "due_to")]
    places += [("accrual", "account"), ("split", "account"), ("rounding", "account")]
    return [((block, name), journal[block][name]) for block, name in places if block in journal]


def problems(journal: Mapping[str, Any]) -> Iterator[Problem]:
    """What does not fit together, each with its place in the journal mapping."""
    yield from _groups(journal)
    yield from _taxes(journal)
    yield from _allocations(journal)
    yield from _lines(journal)


def accruals(journal: Mapping[str, Any], feed: Mapping[str, Any]) -> Iterator[Problem]:
    """What a company that accrues needs of the journal mapping."""
    policies = {name: has.get("closed_period", journal["closed_period"]) for name, has in feed["companies"].items()}
    accruing = [name for name, policy in policies.items() if policy == "accrue"]
    if accruing and "accrual" not in journal:
        yield ("closed_period",), f"company {accruing[0]} accrues, which needs an `accrual` account"
    if accruing and not any(line.get("accrue") == "yes" for line in journal["lines"]):
        yield ("lines",), f"company {accruing[0]} accrues, but no line has `accrue: yes`"


def _groups(journal: Mapping[str, Any]) -> Iterator[Problem]:
    fields = journal.get("one_per", "report")
    for field in fields if isinstance(fields, list) else []:
        if not _is_field(field):
            yield ("one_per",), f"no field {field!r} of an expense line"
    if isinstance(fields, list) and {"report_id", "report_version"} & set(fields):
        yield ("one_per",), "`one_per: report` is one journal for each report"


def _taxes(journal: Mapping[str, Any]) -> Iterator[Problem]:
    if "taxes" in journal and "reclaimable_tax" in journal:
        yield ("reclaimable_tax",), "the table of `taxes` says what is reclaimable; declare one of the two"
    yield from _key(journal.get("taxes", {}), ("taxes",))


def _allocations(journal: Mapping[str, Any]) -> Iterator[Problem]:
    for name, use in journal.get("allocations", {}).items():
        yield from _key(use, ("allocations", name))
        for field in use["set"]:
            if model.LINE_FIELDS.get(field) not in (model.CODE, model.TEXT):
                yield ("allocations", name, "set"), f"{field!r} is no code or text of an expense line"


def _key(use: Mapping[str, Any], path: Path) -> Iterator[Problem]:
    for column in [*use.get("key", []), *([use["valid_by"]] if "valid_by" in use else [])]:
        if not _is_field(column):
            yield path, f"no field {column!r} of an expense line"


def _lines(journal: Mapping[str, Any]) -> Iterator[Problem]:
    for number, line in enumerate(journal["lines"]):
        path = ("lines", number)
        if line.get("per") == "tax" and line["amount"] not in TAX_AMOUNTS:
            yield (*path, "per"), f"`per: tax` takes one of {', '.join(TAX_AMOUNTS)}"
        if "allocate" in line and line["allocate"] not in journal.get("allocations", {}):
            yield (*path, "allocate"), f"no allocation {line['allocate']!r}"
        if line.get("books") == "bearer" and "intercompany" not in journal:
            yield (*path, "books"), "needs `intercompany`"
    if "intercompany" in journal and not any(line.get("books") == "bearer" for line in journal["lines"]):
        yield ("intercompany",), "no line has `books: bearer`"


def _is_field(name: str) -> bool:
    return name in conditions.KINDS
