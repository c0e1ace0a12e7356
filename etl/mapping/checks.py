"""What the schema cannot see: documents of the mappings folder held against each other, and against what they name.

Each check takes a document and gives every problem it has, with file, line, what is wrong and what to do.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from fractions import Fraction
from typing import Any, Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from etl import lookup, model, money
from etl.config import Document
from etl.errors import ConfigurationError
from etl.mapping import conditions, dates, elements, lengths, posting, records, tree
from etl.mapping.posting import OWN_LINES

RATE_STEP_PCT_MAX: Final = 20
SETTLEMENT: Final = "settlement"
# What makes two line rules book the same.
_BOOKS: Final = ("purpose", "side", "amount", "when", "account", "per", "allocate", "books")
EXPRESSIONS: Final = ("account", "party", "department", "cost_center", "project", "analysis", "tax_code", "text")
_PLACEHOLDER: Final = re.compile(r"\{([^{}]*)\}")
_PERIOD: Final = re.compile(r"[0-9]{4}-(0[1-9]|1[0-2])")
Path = tuple[str | int, ...]
Problems = Iterator[ConfigurationError]


def problem(document: Document, path: Path, detail: str) -> ConfigurationError:
    """A SCHEMA error at a place of a document."""
    field = ".".join(map(str, path))
    return ConfigurationError("SCHEMA", file=document.file, line=document.line(*path), field=field, detail=detail)


# --- feeds


def feed(document: Document) -> Problems:
    """Companies, targets, references, time zones and the file pattern of a feed."""
    for name in document["companies"]:
        yield from _company(document, name)
    for number, entry in enumerate(document["targets"]):
        for name in (n for n in entry["companies"] if n not in document["companies"]):
            yield problem(document, ("targets", number, "companies"), f"{name} does not stand under companies")
    for field, use in document["checks"].get("references", {}).items():
        if use["key"][-1] != field or not all(column in conditions.KINDS for column in use["key"]):
            detail = f"the key must be fields of an expense line and end with {field}"
            yield problem(document, ("checks", "references", field), detail)
    if not _is_zone(document["time_zone"]):
        yield problem(document, ("time_zone",), f"{document['time_zone']!r} is no time zone")
    try:
        re.compile(document["source"]["files"])
    except re.error as error:
        yield problem(document, ("source", "files"), f"no regular expression: {error}")


def _company(document: Document, name: str) -> Problems:
    company, path = document["companies"][name], ("companies", name)
    if company["base_currency"] not in money.EXPONENT:
        detail = f"{company['base_currency']!r} is no currency of ISO 4217"
        yield problem(document, (*path, "base_currency"), detail)
    if not _is_zone(company["time_zone"]):
        yield problem(document, (*path, "time_zone"), f"{company['time_zone']!r} is no time zone")
    if sum(name in entry["companies"] for entry in document["targets"]) != 1:
        yield problem(document, ("targets",), f"company {name} must have exactly one target")


def stated_rate(journal: Document, source: Document) -> Problems:
    """A journal mapping that goes by the rate of the line, for a source that gives none."""
    if "tax_rate" in journal and "tax_rate_pct" not in source["fields"]:
        yield problem(journal, ("tax_rate",), f"source {source['source']} maps no tax_rate_pct")


def numbered_files(feed: Document, source: Document) -> Problems:
    """A number of the files that the source mapping does not keep of its control header, and ranges upside down."""
    use = feed["source"].get("sequence", {"number": ""})
    kept = source["format"].get("control_header", {}).get("keep", {})
    if use["number"] and use["number"] not in kept:
        detail = f"source {source['source']} keeps no {use['number']!r} of a control header"
        yield problem(feed, ("source", "sequence", "number"), detail)
    for number, text in enumerate(use.get("accepted", ())):
        first, _, last = text.partition("-")
        if int(last or first) < int(first):
            yield problem(feed, ("source", "sequence", "accepted", number), f"{text} ends before it begins")


def listed(feed: Document) -> Problems:
    """A list of approved reports that is in no place, or whose amounts nothing can be compared with."""
    use = feed["source"].get("list", {"files": "", "columns": {}})
    if ("files" in use) == ("table" in use):
        yield problem(feed, ("source", "list"), "is either `files` of a folder or a `table` of a database")
    if "table" in use and "connection" not in use:
        yield problem(feed, ("source", "list"), "a table needs the `connection` of its database")
    if "amount" in use["columns"] and "currency" not in use["columns"]:
        yield problem(feed, ("source", "list", "columns"), "an amount needs its currency")
    try:
        re.compile(use.get("files", ""))
    except re.error as error:
        yield problem(feed, ("source", "list", "files"), f"no regular expression: {error}")


def _is_zone(name: str) -> bool:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return False
    return True


def attributes(journal: Document, feed: Document) -> Problems:
    """Attributes of a company that a journal mapping takes from the feed, and that a company there lacks."""
    for path, expression in _expressions(journal):
        if "company" in expression:
            lacking = [name for name, has in feed["companies"].items() if not has.get(expression["company"])]
            for name in lacking:
                yield problem(journal, path, f"company {name} has no {expression['company']!r} in {feed.file}")
    for path, detail in posting.accruals(journal, feed):
        yield problem(journal, path, detail)


# --- journal mappings


def journal(document: Document) -> Problems:
    """Fields, tables, conditions and lines of a journal mapping."""
    for detail in dates.problems(dates.rule_of(document)):
        yield problem(document, ("posting_date",), detail)
    for name, use in document.get("tables", {}).items():
        yield from (problem(document, ("tables", name), detail) for detail in _table_use(use))
    for path, expression in _expressions(document):
        is_key = path[-1] != "description" and "text" not in path
        found = [*_expression(document, expression), *lengths.problems(expression, is_key)]
        yield from (problem(document, path, detail) for detail in found)
    for number, line in enumerate(document["lines"]):
        yield from _conditions(document, line, ("lines", number))
    yield from _lines(document)
    yield from _reclaimable_tax(document)
    for path, detail in posting.problems(document):
        yield problem(document, path, detail)
    if "template" not in document["description"] or document["description"].get("overflow") == lengths.ERROR:
        detail = 'must be a template and may be cut: {template: "{report_id}", max: "240"}'
        yield problem(document, ("description",), detail)
    if "rates" in document and "rounding" not in document:
        yield problem(document, ("rates",), "rates need a `rounding` account and limit")


def _expressions(journal: Document) -> Iterator[tuple[Path, Mapping[str, Any]]]:
    """Every expression of a journal mapping with its place, also the choices inside one."""
    tops: list[tuple[Path, Mapping[str, Any]]] = [(("description",), journal["description"])]
    tops += posting.expressions(journal)
    for number, line in enumerate(journal["lines"]):
        tops += [(("lines", number, part), line[part]) for part in EXPRESSIONS if part in line]
    for path, expression in tops:
        yield path, expression
        for number, choice in enumerate(expression.get("choose", [])):
            yield (*path, "choose", number), choice


def _expression(journal: Document, expression: Mapping[str, Any]) -> Iterator[str]:
    table, field = expression.get("table"), expression.get("field")
    if table is not None and table not in journal.get("tables", {}):
        yield f"no table {table!r}; declare it under tables"
    if field is not None and field not in conditions.KINDS:
        yield f"no field {field!r} of an expense line"
    if conditions.KINDS.get(field or "") in conditions.NUMBERS:
        yield f'{field!r} is a number; a text of it is {{template: "{{{field}}}"}}'
    for name in _PLACEHOLDER.findall(expression.get("template", "")):
        if name not in conditions.KINDS:
            yield f"no field {name!r} of an expense line in the template"
    if "suspense" in expression and not {"table", "choose"} & set(expression):
        yield "suspense is never used: only a table or choices can find nothing"
    if re.search(r"[{}]", _PLACEHOLDER.sub("", expression.get("template", ""))):
        yield "a brace of the template stands alone"


def _table_use(use: Mapping[str, Any]) -> Iterator[str]:
    """What a look-up names that an expense line has not, or not as text or as a date."""
    for column in [*use["key"], *([use["valid_by"]] if "valid_by" in use else [])]:
        if column not in conditions.KINDS:
            yield f"no field {column!r} of an expense line"
    for column in use["key"]:
        if conditions.KINDS.get(column) in conditions.NUMBERS:
            yield f"{column!r} is a number and never equals a text of the table"
    if conditions.KINDS.get(use.get("valid_by", "")) not in (None, model.DATE):
        yield f"valid_by {use['valid_by']!r} is no date; take posting_date, transaction_date or start_date"


def _conditions(journal: Document, line: Mapping[str, Any], path: Path) -> Problems:
    """Conditions of a journal line: tests that cannot be meant, and choices that are never reached."""
    inside = line.get("when", {})
    found = list(conditions.problems(inside, (*path, "when"))) if inside else []
    whole = {} if found else inside
    for part in EXPRESSIONS:
        choices = line.get(part, {}).get("choose", [])
        wrong: list[conditions.Finding] = []
        for number, choice in enumerate(choices):
            if "when" in choice:
                wrong += conditions.problems(choice["when"], (*path, part, "choose", number, "when"))
        found += wrong
        if not wrong:
            asked = [choice.get("when", {}) for choice in choices]
            never = conditions.unreached(asked, whole)
            found += [((*path, part, "choose", number), detail) for number, detail in never]
    yield from (problem(journal, at, detail) for at, detail in found)


def _lines(journal: Document) -> Problems:
    """Journal lines that stand twice, that never balance, or whose purpose means something else."""
    lines = journal["lines"]
    if {line["side"] for line in lines} != {"debit", "credit"}:
        yield problem(journal, ("lines",), "a journal needs at least one debit and one credit line")
    if not any(line["purpose"] == SETTLEMENT for line in lines):
        detail = f"no line has the purpose {SETTLEMENT}; reconciliation holds that line against the others"
        yield problem(journal, ("lines",), detail)
    for number, line in enumerate(lines):
        if line["purpose"] in OWN_LINES:
            detail = "claimpost itself makes the line of that purpose; call this one otherwise"
            yield problem(journal, ("lines", number, "purpose"), detail)
        booked = [
            {k: one.get(k) for k in ("purpose", "side", "amount", "when", "account", "per", "allocate", "books")}
            for one in lines
        ]
        if booked[number] in booked[:number]:
            detail = f"books the same as line rule {booked.index(booked[number]) + 1}; delete one"
            yield problem(journal, ("lines", number), detail)


def unused_tables(journal: Document) -> Problems:
    """Tables that a journal mapping declares and never asks; they harm no run."""
    used = {expression.get("table") for _, expression in _expressions(journal)}
    used.add(journal.get("reclaimable_tax", {}).get("table"))
    for name in journal.get("tables", {}):
        if name not in used:
            yield problem(journal, ("tables", name), f"no line uses the table {name!r}; delete it here")


def _reclaimable_tax(journal: Document) -> Problems:
    policy, path = journal.get("reclaimable_tax", {}), ("reclaimable_tax",)
    if "table" in policy and policy["table"] not in journal.get("tables", {}):
        yield problem(journal, path, f"no table {policy['table']!r}; declare it under tables")
    if "field" in policy and model.LINE_FIELDS.get(policy["field"]) != model.MONEY:
        yield problem(journal, path, f"{policy['field']!r} is no amount of an expense line")
    for at, detail in conditions.problems(policy["when"], (*path, "when")) if "when" in policy else ():
        yield problem(journal, at, detail)


# --- rules


def rules(document: Document) -> Problems:
    """Conditions of policy that cannot be meant, and checks that stand twice."""
    names: dict[str, int] = {}
    for number, check in enumerate(document["checks"]):
        for at, detail in conditions.problems(check["when"], ("checks", number, "when")):
            yield problem(document, at, detail)
        first = names.setdefault(check["name"], number)
        if first != number:
            line = document.line("checks", first)
            yield problem(document, ("checks", number, "name"), f"a check of that name stands on line {line} too")


# --- targets


def target(document: Document) -> Problems:
    """Columns of fields that no journal has, of an encoding that is none, or without a place in a record of a width."""
    taken: dict[int, str] = {}
    width = int(document.get("width", "0"))
    for name, column in document.get("columns", {}).items():
        place = ("columns", name)
        yield from _column(document, place, column)
        position = int(column.get("pos", "0"))
        if width and not (0 < position <= width and taken.setdefault(position, name) == name):
            yield problem(document, place, f"needs a position of its own, 1 to {width}")
        if position and not width:
            yield problem(document, place, "a position needs the width of the record")
    for leaf in tree.leaves(document.get("document", {})):
        yield from _column(document, ("document", *leaf.path), leaf.rule)
    for path, detail in tree.problems(document.get("document", {})):
        yield problem(document, ("document", *path), detail)
    for at, detail in elements.problems(document["tree"]) if "tree" in document else ():
        yield problem(document, at, detail)
    for at, detail in records.problems(document["records"]) if "records" in document else ():
        yield problem(document, at, detail)
    if document.get("quote") == "none" and document.get("decimal", ".") == document["delimiter"]:
        detail = "the delimiter stands inside every amount; use another one, or quote: minimal"
        yield problem(document, ("decimal",) if "decimal" in document else ("delimiter",), detail)
    yield from _encodings(document)
    yield from _answer(document)


def _encodings(document: Document) -> Problems:
    """Encodings that are none, or in which the blanks of a fixed record are more than one byte."""
    places = ((("encoding",), document), (("acknowledge", "encoding"), document["acknowledge"]))
    known = True
    for place, said in places:
        if not lengths.is_encoding(said.get("encoding", "utf-8")):
            known = False
            yield problem(document, place, f"no encoding {said['encoding']!r}")
    if known and "records" in document and len(" ".encode(document["encoding"])) != 1:
        yield problem(document, ("encoding",), f"a blank is not one byte in {document['encoding']!r}")


def _answer(document: Document) -> Problems:
    """Answers that do not go with the kind of file they answer."""
    answer, kind = document["acknowledge"], document["kind"]
    if answer["kind"] == "text_inplace" and (kind != "delimited" or document["quote"] != "none" or "zip" in document):
        detail = "only a delimited file without quotes or zip can be answered in place"
        yield problem(document, ("acknowledge",), detail)
    if any("index" in one for one in answer.get("lists", [])) and kind != "json":
        yield problem(document, ("acknowledge", "lists"), "an index counts journals in a json document only")


def _column(document: Document, place: Path, column: Mapping[str, Any]) -> Problems:
    """What is wrong with one column, wherever it stands."""
    for detail in elements.rule_problems(column):
        yield problem(document, place, detail)


# --- tables


def rates(table: lookup.Table) -> Problems:
    """Rates that are no positive decimals, or that jump from one period to the next: inverted, or a slipped point."""
    for rows in table.rows.values():
        before = None
        for row in rows:
            parsed = money.parse_rate(row.cells["rate"])
            detail = f"rate {row.cells['rate']!r} is no positive decimal"
            rate = Fraction(parsed[0], 10 ** parsed[1]) if parsed else None
            if before is not None and rate is not None and abs(rate - before) * 100 > before * RATE_STEP_PCT_MAX:
                detail = f"rate {row.cells['rate']!r} is more than {RATE_STEP_PCT_MAX} % from the one before"
                rate = None
            if rate is None:
                yield _cell(table, row, detail)
            before = rate
    for key, rows in table.rows.items():
        for currency in key:
            if currency not in money.EXPONENT:
                yield _cell(table, rows[0], f"{currency!r} is no currency of ISO 4217")


def percentages(table: lookup.Table, column: str) -> Problems:
    """Percentages that are no decimals from 0 to 100."""
    for row in (row for rows in table.rows.values() for row in rows):
        parsed = (0, 0) if row.cells[column] == "0" else money.parse_rate(row.cells[column])
        if parsed is None or parsed[0] > 100 * 10 ** parsed[1]:
            yield _cell(table, row, f"{column} {row.cells[column]!r} is no percentage from 0 to 100")


def periods(table: lookup.Table) -> Problems:
    """Periods that are none, and states other than open and closed."""
    for (_, period), rows in table.rows.items():
        for row in rows:
            if not _PERIOD.fullmatch(period):
                yield _cell(table, row, f"period {period!r} is not written 2026-03")
            if row.cells["state"] not in ("open", "accrual", "closed"):
                yield _cell(table, row, f"state {row.cells['state']!r} is neither open nor accrual nor closed")


def _cell(table: lookup.Table, row: lookup.Row, detail: str) -> ConfigurationError:
    return ConfigurationError("TABLE", file=f"tables/{table.file}", line=row.line, detail=detail)
