"""What becomes of an expense line: the journal line rules in words, and the look-up tables they read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from etl import lookup
from etl.mapping import Bundle, shares
from etl.mapping.bundle import TAX_KEY
from etl.report.interface import fields, policies
from etl.report.interface.conditions import condition, expression
from etl.report.interface.model import Row, Section, Table
from etl.report.interface.words import Words

PARTS: Final = ("party", "department", "cost_center", "project", "analysis", "tax_code", "text")
RATES_OF_TAX: Final = (shares.RATE, shares.RECLAIMABLE)


def sections(bundle: Bundle, folder: Path, say: Words) -> Iterator[Section]:
    """Journals and their rules, then the tables. In: the mappings folder."""
    journal = bundle.journal
    settings = Table(say.all("setting", "said", "defined"), tuple(policies.settings(bundle, say)))
    rules = tuple(
        (
            str(number), line["purpose"], say(f"rule.{line['side']}", **_sides(line, bundle, say)), _when(line, say),
            _parts(line, bundle, say), say.where(journal, "lines", number - 1),
        )
        for number, line in enumerate(journal["lines"], 1)
    )  # fmt: skip
    headings = (*say.all("number", "rule", "in_words", "when"), say("rule.more"), say("defined"))
    tables = (settings, Table(headings, rules, say("rules")))
    yield Section(say("journals"), (say("exact"),), tables)
    headings = say.all("table", "used_for", "key", "gives", "valid_by", "all_columns", "rows", "validity")
    yield Section(say("tables"), (say("tables_note"),), (Table(headings, tuple(_tables(bundle, folder, say))),))


def _sides(line: Mapping[str, Any], bundle: Bundle, say: Words) -> dict[str, str]:
    tables = bundle.journal.get("tables", {})
    amount = say(f"amount.{line['amount']}")
    if "per" in line:
        amount = say("amount.per_tax", amount=amount)
    return {"amount": amount, "account": expression(line["account"], tables, say)}


def _when(line: Mapping[str, Any], say: Words) -> str:
    return condition(line["when"], say) if "when" in line else say("every_line")


def _parts(line: Mapping[str, Any], bundle: Bundle, say: Words) -> str:
    """What else the line carries, in whose books it stands, and what it is added to; one sentence a row."""
    tables = bundle.journal.get("tables", {})
    parts = [
        say("rule.part", part=fields.of_journal(part, say.place), value=expression(line[part], tables, say))
        for part in PARTS
        if part in line
    ]
    return "\n".join([*parts, *_options(line, bundle, say)])


def _options(line: Mapping[str, Any], bundle: Bundle, say: Words) -> Iterator[str]:
    if "suspense" in line["account"]:
        suspense = line["account"]["suspense"]
        yield say("rule.suspense", account=suspense["value"], lines=f"{int(suspense['lines_max']):,}")
    if "allocate" in line:
        yield say("rule.allocate", name=line["allocate"])
    if "per" in line:
        yield say("rule.per_tax")
    if line.get("books") == "bearer":
        yield say("rule.bearer")
    if line.get("accrue") == "yes":
        yield say("rule.accrue")
    merge = line.get("merge", "no")
    if merge == "yes":
        yield say("rule.merge")
    elif merge != "no":
        rules = enumerate(bundle.journal["lines"], 1)
        named = say.listed(str(number) for number, one in rules if one.get("merge") == merge)
        yield say("rule.merge_named", name=merge, rules=named)


# --- tables


def _tables(bundle: Bundle, folder: Path, say: Words) -> Iterator[Row]:
    """One row for each use of a table."""
    for name, use in bundle.journal.get("tables", {}).items():
        used = say("use.account", name=name)
        yield _table(bundle.tables[name], used, use["value"], use.get("valid_by", ""), say)
    for name, parts in bundle.allocations.items():
        gives = say.listed([shares.SHARE, *parts.sets])
        yield _table(parts.table, say("use.allocation", name=name), gives, parts.valid_by, say)
    if bundle.taxes:
        yield _table(bundle.taxes.table, say("use.taxes"), say.listed(RATES_OF_TAX), bundle.taxes.valid_by, say)
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
        yield _table(bundle.rates, say("use.rates"), "rate", bundle.journal["rates"].get("date", "posting_date"), say)


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
    if (first, last) == lookup.EVER:
        return say("always")
    named = {"from": first}
    return say("open_end", **named) if last == lookup.EVER[1] else say("between", min=first, max=last)


def rules_of(bundle: Bundle, part: str) -> list[str]:
    """The numbers of the journal line rules that give a part of a line."""
    return [str(number) for number, line in enumerate(bundle.journal["lines"], 1) if part in line]
