"""All documents of one feed, loaded together, cross-checked, with one digest over their bytes."""

from __future__ import annotations

import codecs
import hashlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from etl import clean, config, lookup, model, money, shadow
from etl.config import Document
from etl.errors import ConfigurationError
from etl.mapping import elements, tree

_PLACEHOLDER: Final = re.compile(r"\{([a-z_]+)\}")
# Columns the mapping itself adds to the expense lines (etl.mapping.apply).
DERIVED_FIELDS: Final = ("base_currency", "posting_date", "period")
PERIOD_KEY: Final = ("company", "period")
RATE_STEP_PCT_MAX: Final = 20
RATE_KEY: Final = ("document_currency", "base_currency")
TAX_KEY: Final = ("company", "tax_code")


@dataclass(frozen=True)
class Bundle:
    """A feed with its source, rules, journal mapping, targets and tables; `digest` is over all their bytes."""

    feed: Document
    source: Document
    rules: tuple[Document, ...]
    journal: Document
    targets: Mapping[str, Document]
    tables: Mapping[str, lookup.Table]
    periods: lookup.Table | None
    rates: lookup.Table | None
    digest: str

    @property
    def feed_id(self) -> str:
        return str(self.feed["feed"])

    @property
    def source_system(self) -> str:
        return str(self.source["source_system"])

    def company(self, company: str, attribute: str) -> str:
        """An attribute of a company of the feed, "" when it has none."""
        return str(self.feed["companies"].get(company, {}).get(attribute, ""))

    def target_of(self, company: str) -> Mapping[str, Any]:
        """The feed's target entry for a company: the first that lists it."""
        return next(entry for entry in self.feed["targets"] if company in entry["companies"])


def feed_names(folder: Path) -> list[str]:
    """The feeds of a mappings folder, in order."""
    return sorted(path.stem for path in (folder / "feeds").glob("*.yml"))


def load(folder: Path, feed_id: str) -> Bundle:
    """Load one feed with everything it names; raises the first of the problems that `check` would list."""
    names = feed_names(folder)
    if feed_id not in names:
        raise ConfigurationError("UNKNOWN_FEED", value=feed_id, detail=", ".join(names) or "none")
    feed = config.load(folder / "feeds" / f"{feed_id}.yml", "feed")
    source = _named(folder, "sources", feed["source"]["mapping"], "source", feed)
    journal = _named(folder, "journals", feed["journal"], "journal", feed)
    rules = tuple(_named(folder, "rules", name, "rules", feed) for name in feed.get("rules", []))
    targets = {e["target"]: _named(folder, "targets", e["target"], "target", feed) for e in feed["targets"]}
    tables = {
        name: lookup.read_table(folder / "tables" / use["file"], use["key"], [use["value"]])
        for name, use in journal.get("tables", {}).items()
    }
    for use in feed["checks"].get("references", {}).values():
        lookup.read_table(folder / "tables" / use["file"], use["key"])
    periods = _table(folder, feed.get("periods"), PERIOD_KEY, "state")
    rates = _table(folder, journal.get("rates", {}).get("file"), RATE_KEY, "rate")
    bundle = Bundle(feed, source, rules, journal, targets, tables, periods, rates, _digest(folder, feed, journal))
    problems = list(_problems(bundle))
    if problems:
        raise problems[0]
    return bundle


def legacy_profile(folder: Path, name: str) -> Document:
    """The profile of a legacy journal (mappings/legacy); raises ConfigurationError."""
    path = folder / "legacy" / f"{name}.yml"
    if not path.is_file():
        raise ConfigurationError("SETTING", field="profile", value=name, detail=f"there is no legacy/{name}.yml")
    profile = config.load(path, "legacy")
    for problem in shadow.check(profile):
        raise problem
    return profile


def check(folder: Path) -> list[ConfigurationError]:
    """Every problem of every feed of a mappings folder; empty when all can be used."""
    found: list[ConfigurationError] = []
    for kind in ("feed", "source", "journal", "target", "rules"):
        sub = kind if kind == "rules" else f"{kind}s"
        for path in sorted((folder / sub).glob("*.yml")):
            try:
                document = config.read_yaml(path.read_bytes(), path.name)
                faults = config.check(document, kind)
                found.extend(faults or (_target_problems(document) if kind == "target" else []))
            except ConfigurationError as error:
                found.append(error)
    for path in sorted((folder / "legacy").glob("*.yml")):
        try:
            legacy_profile(folder, path.stem)
        except ConfigurationError as error:
            found.append(error)
    if found:
        return found
    for feed_id in feed_names(folder):
        try:
            load(folder, feed_id)
        except ConfigurationError as error:
            found.append(error)
    return found


def _named(folder: Path, sub: str, name: str, kind: str, feed: Document) -> Document:
    path = folder / sub / f"{name}.yml"
    if not path.is_file():
        raise ConfigurationError("SCHEMA", file=feed.file, line=1, field=kind, detail=f"there is no {sub}/{name}.yml")
    return config.load(path, kind)


def _table(folder: Path, name: str | None, key: tuple[str, ...], value: str) -> lookup.Table | None:
    return lookup.read_table(folder / "tables" / name, key, [value]) if name else None


def _digest(folder: Path, feed: Document, journal: Document) -> str:
    names = [f"sources/{feed['source']['mapping']}.yml", f"journals/{feed['journal']}.yml", f"feeds/{feed['feed']}.yml"]
    names += [f"rules/{name}.yml" for name in feed.get("rules", [])]
    names += [f"targets/{entry['target']}.yml" for entry in feed["targets"]]
    tables = {use["file"] for use in journal.get("tables", {}).values()}
    tables |= {feed.get("periods"), journal.get("rates", {}).get("file"), feed["checks"].get("tax")} - {None}
    tables |= {use["file"] for use in feed["checks"].get("references", {}).values()}
    names += [f"tables/{name}" for name in tables]
    whole = hashlib.sha256()
    for name in sorted(set(names)):
        whole.update(f"{name}\x1f{hashlib.sha256((folder / name).read_bytes()).hexdigest()}\x1e".encode())
    return whole.hexdigest()


# --- cross-checks: what the schema cannot see


def _problems(bundle: Bundle) -> Iterator[ConfigurationError]:
    yield from clean.check(bundle.source)
    yield from _feed_problems(bundle)
    yield from _journal_problems(bundle)
    for target in bundle.targets.values():
        yield from _target_problems(target)
    if bundle.rates:
        yield from _rate_problems(bundle.rates)


def _target_problems(target: Document) -> Iterator[ConfigurationError]:
    """Columns of fields that no journal has, of an encoding that is none, or without a place in a record of a width."""
    taken: dict[int, str] = {}
    width = int(target.get("width", "0"))
    for name, column in target.get("columns", {}).items():
        place = ("columns", name)
        yield from _column_problems(target, place, column)
        position = int(column.get("pos", "0"))
        if width and not (0 < position <= width and taken.setdefault(position, name) == name):
            yield _problem(target, place, f"needs a position of its own, 1 to {width}")
        if position and not width:
            yield _problem(target, place, "a position needs the width of the record")
    for leaf in tree.leaves(target.get("document", {})):
        yield from _column_problems(target, ("document", *leaf.path), leaf.rule)
    for path, detail in tree.problems(target.get("document", {})):
        yield _problem(target, ("document", *path), detail)
    for at, detail in elements.problems(target["tree"]) if "tree" in target else ():
        yield _problem(target, at, detail)
    try:
        codecs.lookup(target.get("encoding", "utf-8"))
    except LookupError:
        yield _problem(target, ("encoding",), f"no encoding {target['encoding']!r}")


def _column_problems(
    target: Document, place: tuple[str | int, ...], column: Mapping[str, Any]
) -> Iterator[ConfigurationError]:
    """What is wrong with one column, wherever it stands."""
    for detail in elements.rule_problems(column):
        yield _problem(target, place, detail)


def _rate_problems(rates: lookup.Table) -> Iterator[ConfigurationError]:
    """Rates that are no positive decimals, or that jump from one period to the next: inverted, or a slipped point."""
    for rows in rates.rows.values():
        before = None
        for row in rows:
            parsed = money.parse_rate(row.cells["rate"])
            detail = f"rate {row.cells['rate']!r} is no positive decimal"
            rate = Fraction(parsed[0], 10 ** parsed[1]) if parsed else None
            if before is not None and rate is not None and abs(rate - before) * 100 > before * RATE_STEP_PCT_MAX:
                detail = f"rate {row.cells['rate']!r} is more than {RATE_STEP_PCT_MAX} % from the one before"
                rate = None
            if rate is None:
                yield ConfigurationError("TABLE", file=rates.file, line=row.line, detail=detail)
            before = rate


def _feed_problems(bundle: Bundle) -> Iterator[ConfigurationError]:
    feed = bundle.feed
    for name, company in feed["companies"].items():
        path = ("companies", name)
        if company["base_currency"] not in money.EXPONENT:
            yield _problem(feed, (*path, "base_currency"), f"{company['base_currency']!r} is no currency of ISO 4217")
        if not _is_zone(company["time_zone"]):
            yield _problem(feed, (*path, "time_zone"), f"{company['time_zone']!r} is no time zone")
        if sum(name in entry["companies"] for entry in feed["targets"]) != 1:
            yield _problem(feed, ("targets",), f"company {name} must have exactly one target")
    for field, use in feed["checks"].get("references", {}).items():
        if use["key"][-1] != field or not all(_is_field(column) for column in use["key"]):
            detail = f"the key must be fields of an expense line and end with {field}"
            yield _problem(feed, ("checks", "references", field), detail)
    if not _is_zone(feed["time_zone"]):
        yield _problem(feed, ("time_zone",), f"{feed['time_zone']!r} is no time zone")
    try:
        re.compile(feed["source"]["files"])
    except re.error as error:
        yield _problem(feed, ("source", "files"), f"no regular expression: {error}")


def _journal_problems(bundle: Bundle) -> Iterator[ConfigurationError]:
    journal = bundle.journal
    if model.LINE_FIELDS.get(journal["posting_date"]) not in (model.DATE, model.TIME):
        yield _problem(journal, ("posting_date",), f"{journal['posting_date']!r} is no date of an expense line")
    for name, use in journal.get("tables", {}).items():
        for column in [*use["key"], *([use["valid_by"]] if "valid_by" in use else [])]:
            if not _is_field(column):
                yield _problem(journal, ("tables", name), f"no field {column!r} of an expense line")
    for number, line in enumerate(journal["lines"]):
        for part in ("account", "party", "department", "cost_center", "project", "analysis", "tax_code", "text"):
            if part in line:
                yield from _expression_problems(bundle, line[part], ("lines", number, part))
        yield from _condition_problems(journal, line.get("when", {}), ("lines", number, "when"))
    yield from _expression_problems(bundle, journal["description"], ("description",))
    if {line["side"] for line in journal["lines"]} != {"debit", "credit"}:
        yield _problem(journal, ("lines",), "a journal needs at least one debit and one credit line")
    table = journal.get("reclaimable_tax", {}).get("table")
    if table is not None and table not in bundle.tables:
        yield _problem(journal, ("reclaimable_tax",), f"no table {table!r}")
    if bundle.rates and "rounding" not in journal:
        yield _problem(journal, ("rates",), "rates need a `rounding` account and limit")


def _expression_problems(
    bundle: Bundle, expression: Mapping[str, Any], path: tuple[str | int, ...]
) -> Iterator[ConfigurationError]:
    journal = bundle.journal
    if "table" in expression and expression["table"] not in bundle.tables:
        yield _problem(journal, path, f"no table {expression['table']!r}")
    if "field" in expression and not _is_field(expression["field"]):
        yield _problem(journal, path, f"no field {expression['field']!r} of an expense line")
    if "company" in expression:
        lacking = [c for c in bundle.feed["companies"] if not bundle.company(c, expression["company"])]
        if lacking:
            yield _problem(
                journal, path, f"company {lacking[0]} has no {expression['company']!r} in {bundle.feed.file}"
            )
    for field in _PLACEHOLDER.findall(expression.get("template", "")):
        if not _is_field(field):
            yield _problem(journal, path, f"no field {field!r} of an expense line in the template")
    choices = expression.get("choose", [])
    for number, choice in enumerate(choices):
        if "when" not in choice and number < len(choices) - 1:
            yield _problem(
                journal, (*path, "choose", number + 1), "is never reached: the choice before it has no `when`"
            )
        yield from _condition_problems(journal, choice.get("when", {}), (*path, "choose", number))
        yield from _expression_problems(bundle, choice, (*path, "choose", number))


def _condition_problems(
    journal: Document, condition: Mapping[str, Any], path: tuple[str | int, ...]
) -> Iterator[ConfigurationError]:
    for name, test in condition.items():
        if name in ("any", "all", "not"):
            for part in test if isinstance(test, list) else [test]:
                yield from _condition_problems(journal, part, path)
        elif not _is_field(name):
            yield _problem(journal, path, f"no field {name!r} of an expense line")


def _is_field(name: str) -> bool:
    return name in model.LINE_FIELDS or name in DERIVED_FIELDS


def _is_zone(name: str) -> bool:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return False
    return True


def _problem(document: Document, path: tuple[str | int, ...], detail: str) -> ConfigurationError:
    field = ".".join(map(str, path))
    return ConfigurationError("SCHEMA", file=document.file, line=document.line(*path), field=field, detail=detail)
