"""Cross-checks of what a journal mapping declares beside its lines: groups, taxes, allocations, books, periods."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final

from etl import model

if TYPE_CHECKING:
    from etl.mapping.bundle import Bundle

Path = tuple[str | int, ...]
Problem = tuple[Path, str]
DERIVED: Final = ("base_currency", "posting_date", "period", "original_date", "bearer", "claim_company")
TAX_AMOUNTS: Final = ("tax", "reclaimable_tax", "non_reclaimable_tax")


def expressions(journal: Mapping[str, Any]) -> list[tuple[Path, Mapping[str, Any]]]:
    """The expressions outside the lines, with the place of each."""
    places = [("intercompany", "company"), ("intercompany", "due_from"), ("intercompany", "due_to")]
    places += [("accrual", "account"), ("split", "account"), ("rounding", "account")]
    return [((block, name), journal[block][name]) for block, name in places if block in journal]


def problems(bundle: Bundle) -> Iterator[Problem]:
    """What does not fit together, each with its place in the journal mapping."""
    journal = bundle.journal
    yield from _groups(journal)
    yield from _taxes(journal)
    yield from _allocations(journal)
    yield from _lines(journal)
    yield from _periods(bundle)


def _groups(journal: Mapping[str, Any]) -> Iterator[Problem]:
    fields = journal.get("one_per", "report")
    for field in fields if isinstance(fields, list) else []:
        if not is_field(field):
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
        if not is_field(column):
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


def _periods(bundle: Bundle) -> Iterator[Problem]:
    journal, companies = bundle.journal, bundle.feed["companies"]
    accruing = [
        name for name in companies if (bundle.company(name, "closed_period") or journal["closed_period"]) == "accrue"
    ]
    if not accruing:
        return
    if "accrual" not in journal:
        yield ("closed_period",), f"company {accruing[0]} accrues, which needs an `accrual` account"
    if not any(line.get("accrue") == "yes" for line in journal["lines"]):
        yield ("lines",), f"company {accruing[0]} accrues, but no line has `accrue: yes`"


def is_field(name: str) -> bool:
    """Whether a name is a field of an expense line, or one that the mapping adds to it."""
    return name in model.LINE_FIELDS or name in DERIVED
