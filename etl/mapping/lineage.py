"""Where each column of a journal and of a target comes from, back to the source, and the rule that says so."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from etl import clean, model
from etl.config import Document
from etl.mapping import dates, elements, records, tree
from etl.mapping.bundle import Bundle

Path = tuple[str | int, ...]

_PLACEHOLDER: Final = re.compile(r"\{([a-z_]+)\}")
_AMOUNTS: Final = {
    "gross": ("gross_minor",), "net": ("gross_minor", "reclaimable_tax_minor"), "tax": ("tax_minor",),
    "reclaimable_tax": ("reclaimable_tax_minor",), "non_reclaimable_tax": ("tax_minor", "reclaimable_tax_minor"),
    "untaxed": ("gross_minor", "tax_minor"),
}  # fmt: skip
_VALUES: Final = ("account", "party", "department", "cost_center", "project", "analysis", "tax_code", "text")
_SIDES: Final = {
    "debit": ("debit_minor",), "credit": ("credit_minor",), "signed": ("debit_minor", "credit_minor"),
    "entered": ("debit_minor", "credit_minor"), "base_debit": ("base_debit_minor",),
    "base_credit": ("base_credit_minor",), "base_signed": ("base_debit_minor", "base_credit_minor"),
}  # fmt: skip
_JOURNAL: Final = frozenset({*model.JOURNAL_COLUMNS, *model.JOURNAL_LINE_COLUMNS})
# Columns of the journal that are the expense line's own under another name, or the same.
_SAME: Final = {
    "company": "company", "report_id": "report_id", "report_version": "report_version", "employee_id": "employee_id",
    "currency": "document_currency",
}  # fmt: skip


@dataclass(frozen=True)
class Origin:
    """One field of the expense line that a journal column depends on, and the rule by file and line."""

    field: str
    rule: str


def journal_columns(bundle: Bundle) -> dict[str, tuple[Origin, ...]]:
    """Every journal column that a field of the expense line decides, with its origins in the order of the rules."""
    journal = bundle.journal
    out: dict[str, dict[Origin, None]] = {}

    def add(column: str, fields: Iterator[str] | tuple[str, ...], path: Path) -> None:
        told = out.setdefault(column, {})
        rule = f"{journal.file} line {journal.line(*path)}"
        for field in fields:
            told |= dict.fromkeys(Origin(one, rule) for one in _given(bundle, field))

    for column, field in _SAME.items():
        out[column] = {Origin(field, "the same"): None}
    for column in ("posting_date", "period"):
        add(column, ("posting_date",), ("posting_date",))
    add("description", _fields(bundle, journal["description"]), ("description",))
    for number, line in enumerate(journal["lines"]):
        for name in _VALUES:
            if name in line:
                add(name, _fields(bundle, line[name]), ("lines", number, name))
        for base in ("", "base_"):
            add(f"{base}{line['side']}_minor", _AMOUNTS[line["amount"]], ("lines", number, "amount"))
            if base and bundle.rates is not None:
                add(f"{base}{line['side']}_minor", ("document_currency", "posting_date"), ("rates",))
    return {column: tuple(told) for column, told in out.items() if told}


def filters(bundle: Bundle) -> tuple[Origin, ...]:
    """The fields that decide whether a journal line is made at all (`when`)."""
    journal, out = bundle.journal, dict[Origin, None]()
    for number, line in enumerate(journal["lines"]):
        rule = f"{journal.file} line {journal.line('lines', number, 'when')}"
        for field in _tested(line.get("when", {})):
            out |= dict.fromkeys(Origin(one, rule) for one in _given(bundle, field))
    return tuple(out)


def source_columns(source: Document, field: str) -> tuple[str, ...]:
    """The columns of the source's file that a field of the expense line is read from; () for what the mapping makes."""
    entry: Mapping[str, Any] = source["fields"].get(field, {})
    if "template" in entry:
        parts = [source_columns(source, part) for part in _PLACEHOLDER.findall(entry["template"])]
        return tuple(column for columns in parts for column in columns)
    if field in ("gross_minor", "expense_type") and "unpivot" in source:
        return tuple(source["unpivot"]["columns"])
    return clean.columns(entry)


def target_columns(profile: Document) -> dict[str, tuple[tuple[str, ...], str]]:
    """Every column of a target that columns of the journal decide: these, and the rule by file and line.

    A column of a tree, a document or a record has the name by which rejects call it.
    """
    out = {}
    for name, path, rule in _rules(profile):
        amount = rule.get("amount") or rule.get("total") or ("entered" if rule.get("foreign") == "amount" else "")
        named = [*_SIDES.get(amount, ()), *elements.fields(rule), *(["company"] if "company" in rule else [])]
        fields = tuple(dict.fromkeys(field for field in named if field in _JOURNAL))
        if fields:
            out[name] = fields, f"{profile.file} line {profile.line(*path)}"
    return out


def _rules(profile: Document) -> Iterator[tuple[str, Path, Mapping[str, Any]]]:
    """Name, place and rule of every column of a target, whatever its kind."""
    for name, rule in profile.get("columns", {}).items():
        yield name, ("columns", name), rule
    for leaf in tree.leaves(profile.get("document", {})):
        yield leaf.name, ("document", *leaf.path), leaf.rule
    for element in elements.elements(elements.root(profile["tree"])) if "tree" in profile else ():
        yield from element.cells()
    for record in records.records(profile.get("records", [])):
        for name, rule in record.columns():
            yield name, ("records", record.number, "columns", name.split("/", 1)[1]), rule


def _given(bundle: Bundle, field: str) -> Iterator[str]:
    """A field as the source gives it: what the mapping adds to the lines is traced to what it is made of."""
    journal = bundle.journal
    if field in ("posting_date", "original_date", "period"):
        yield from dates.fields(dates.rule_of(journal))
    elif field in ("base_currency", "claim_company"):
        yield "company"
    elif field == "tax_minor" and "tax_rate" in journal:
        yield from ("tax_minor", "gross_minor", "tax_rate_pct")
    elif field == "bearer":
        named = _fields(bundle, journal["intercompany"]["company"]) if "intercompany" in journal else ()
        for one in ("company", *(name for name in named if name != "bearer")):
            yield from _given(bundle, one)
    elif field == "reclaimable_tax_minor" and "table" in journal.get("reclaimable_tax", {}):
        yield from _given(bundle, "tax_minor")
        for key in _keys(bundle, journal["reclaimable_tax"]["table"]):
            yield from _given(bundle, key)
    else:
        assert field in model.LINE_FIELDS, "the documents are checked when they are loaded"
        yield field


def _keys(bundle: Bundle, table: str) -> Iterator[str]:
    use = bundle.journal["tables"][table]
    yield from use["key"]
    yield from [use["valid_by"]] if "valid_by" in use else []


def _fields(bundle: Bundle, expression: Mapping[str, Any]) -> Iterator[str]:
    """The fields that an expression of the journal mapping reads."""
    if "choose" in expression:
        for choice in expression["choose"]:
            yield from _tested(choice.get("when", {}))
            yield from _fields(bundle, choice)
    elif "table" in expression:
        yield from _keys(bundle, expression["table"])
    elif "field" in expression:
        yield expression["field"]
    elif "company" in expression:
        yield "company"
    else:
        yield from _PLACEHOLDER.findall(expression.get("template", ""))


def _tested(condition: Mapping[str, Any]) -> Iterator[str]:
    for name, test in condition.items():
        if name in ("any", "all", "not"):
            for part in test if isinstance(test, list) else [test]:
                yield from _tested(part)
        else:
            yield name
