"""What becomes of an expense line: the journal line rules in words, and the look-up tables they read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from etl import lookup
from etl.mapping import Bundle
from etl.mapping.bundle import TAX_KEY
from etl.report.interface import fields
from etl.report.interface.conditions import condition, expression
from etl.report.interface.model import Row, Section, Table
from etl.report.interface.source import where
from etl.report.interface.words import Words

PARTS: Final = ("party", "department", "cost_center", "project", "analysis", "tax_code", "text")
_EVER: Final = ("0001-01-01", "9999-12-31")


def sections(bundle: Bundle, folder: Path, say: Words) -> Iterator[Section]:
    """Journals and their rules, then the tables. In: the mappings folder."""
    journal = bundle.journal
    settings = Table(say.all("setting", "said", "defined"), tuple(_settings(bundle, say)))
    rules = tuple(
        (
            str(number), line["purpose"], say(f"rule.{line['side']}", **_sides(line, bundle, say)), _when(line, say),
            _parts(line, bundle, say), where(journal, say, "lines", number - 1),
        )
        for number, line in enumerate(journal["lines"], 1)
    )  # fmt: skip
    headings = (*say.all("number", "rule", "in_words", "when"), say("rule.more"), say("defined"))
    tables = (settings, Table(headings, rules, say("rules")))
    yield Section(say("journals"), (say("one_journal"),), tables)
    headings = say.all("table", "used_for", "key", "gives", "valid_by", "all_columns", "rows", "validity")
    yield Section(say("tables"), (say("tables_note"),), (Table(headings, tuple(_tables(bundle, folder, say))),))


def _sides(line: Mapping[str, Any], bundle: Bundle, say: Words) -> dict[str, str]:
    tables = bundle.journal.get("tables", {})
    return {"amount": say(f"amount.{line['amount']}"), "account": expression(line["account"], tables, say)}


def _when(line: Mapping[str, Any], say: Words) -> str:
    return condition(line["when"], say) if "when" in line else say("every_line")


def _parts(line: Mapping[str, Any], bundle: Bundle, say: Words) -> str:
    """What else the line carries, and whether equal lines are added up; one sentence a row."""
    tables = bundle.journal.get("tables", {})
    parts = [
        say("rule.part", part=fields.of_journal(part, say.place), value=expression(line[part], tables, say))
        for part in PARTS
        if part in line
    ]
    return "\n".join([*parts, *([say("rule.merge")] if line.get("merge") == "yes" else [])])


def _settings(bundle: Bundle, say: Words) -> Iterator[Row]:
    """Rule book, posting date, closed periods, description, reclaimable tax, rates."""
    journal, tables = bundle.journal, bundle.journal.get("tables", {})
    yield say("journal_source"), journal["source"], where(journal, say, "source")
    date = say("posting_date_is", field=journal["posting_date"])
    yield say("posting_date"), date, where(journal, say, "posting_date")
    if bundle.periods:
        yield say("closed_period"), say(f"closed.{journal['closed_period']}"), where(journal, say, "closed_period")
    yield say("description"), expression(journal["description"], tables, say), where(journal, say, "description")
    tax = journal.get("reclaimable_tax")
    if tax:
        text = say("reclaimable.table" if "table" in tax else "reclaimable.field", **{"table": "", "field": "", **tax})
        if "when" in tax:
            text = say("only_when", text=text, condition=condition(tax["when"], say))
        yield say("reclaimable"), text, where(journal, say, "reclaimable_tax")
    if "rates" in journal:
        rates, rounding = journal["rates"], journal["rounding"]
        text = say(
            "rates_is", file=rates["file"], rounding=say(f"rounding.{rates['rounding']}"),
            account=expression(rounding["account"], tables, say), limit=say("minor", amount=rounding["limit_minor"]),
        )  # fmt: skip
        yield say("rates"), text, where(journal, say, "rates")


# --- tables


def _tables(bundle: Bundle, folder: Path, say: Words) -> Iterator[Row]:
    """One row for each use of a table."""
    for name, use in bundle.journal.get("tables", {}).items():
        used = say("use.account", name=name)
        yield _table(bundle.tables[name], used, use["value"], use.get("valid_by", ""), say)
    checks: Mapping[str, Any] = bundle.feed["checks"]
    if "tax" in checks:
        table = lookup.read_table(folder / "tables" / checks["tax"], TAX_KEY)
        yield _table(table, say("use.tax"), "rate_pct", "transaction_date", say)
    for field, use in checks.get("references", {}).items():
        table = lookup.read_table(folder / "tables" / use["file"], use["key"])
        yield _table(table, say("use.references", field=field), "", "transaction_date", say)
    if bundle.periods:
        yield _table(bundle.periods, say("use.periods"), "state", "", say)
    if bundle.rates:
        yield _table(bundle.rates, say("use.rates"), "rate", "posting_date", say)


def _table(table: lookup.Table, used: str, gives: str, valid_by: str, say: Words) -> Row:
    count = sum(len(rows) for rows in table.rows.values())
    return (
        f"tables/{table.file}", used, say.listed(table.key), gives, valid_by, say.listed(table.columns), f"{count:,}",
        _validity(table, say),
    )  # fmt: skip


def _validity(table: lookup.Table, say: Words) -> str:
    """From the first day of a row to the last."""
    days = [(row.valid_from, row.valid_to) for rows in table.rows.values() for row in rows]
    first, last = min(start for start, _ in days), max(end for _, end in days)
    if (first, last) == _EVER:
        return say("always")
    named = {"from": first}
    return say("open_end", **named) if last == _EVER[1] else say("between", min=first, max=last)


def rules_of(bundle: Bundle, part: str) -> list[str]:
    """The numbers of the journal line rules that give a part of a line."""
    return [str(number) for number, line in enumerate(bundle.journal["lines"], 1) if part in line]
