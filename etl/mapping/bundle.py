"""All documents of one feed, loaded together, cross-checked, with one digest over their bytes."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from etl import clean, config, lookup, refusals, shadow
from etl.config import Document
from etl.errors import ConfigurationError
from etl.mapping import checks, shares

PERIOD_KEY: Final = ("company", "period")
RATE_KEY: Final = ("document_currency", "base_currency")
TAX_KEY: Final = ("company", "tax_code")
# Kind of document -> the check of what its schema cannot see.
_CHECKS: Final[Mapping[str, Callable[[Document], Iterable[ConfigurationError]]]] = {
    "feed": checks.feed,
    "source": clean.check,
    "journal": checks.journal,
    "target": checks.target,
    "rules": checks.rules,
    "legacy": shadow.check,
}


@dataclass(frozen=True)
class Bundle:
    """A feed with its source, rules, journal mapping, targets and tables; `digest` is over all their bytes.

    `codes` (target -> the ERP's codes in ours) is not in the digest: it decides nothing that is booked.
    """

    feed: Document
    source: Document
    rules: tuple[Document, ...]
    journal: Document
    targets: Mapping[str, Document]
    tables: Mapping[str, lookup.Table]
    allocations: Mapping[str, shares.Shares]
    taxes: shares.Shares | None
    periods: lookup.Table | None
    rates: lookup.Table | None
    codes: Mapping[str, refusals.Codes]
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
    reading = _Reading(folder)
    bundle = reading.bundle(feed_id)
    if bundle is None:
        raise reading.problems[0]
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
    """Every problem of every document and feed of a mappings folder, once; empty when all can be used."""
    reading = _Reading(folder)
    for kind in _CHECKS:
        for path in sorted((folder / _sub(kind)).glob("*.yml")):
            document = reading.document(kind, path.stem)
            if kind == "journal" and document is not None:
                reading.problems += checks.unused_tables(document)
    reading.problems += refusals.scan(folder / "codes", sorted(path.stem for path in folder.glob("codes/*.csv")))[1]
    for feed_id in feed_names(folder):
        reading.bundle(feed_id)
    unique = {str(problem): problem for problem in reading.problems}.values()
    return sorted(unique, key=lambda problem: (str(problem.facts["file"]), problem.facts["line"]))


def _sub(kind: str) -> str:
    return kind if kind in ("rules", "legacy") else f"{kind}s"


class _Reading:
    """Reads documents and tables of a mappings folder and collects every problem on the way."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.problems: list[ConfigurationError] = []
        self.documents: dict[tuple[str, str], Document | None] = {}

    def bundle(self, feed_id: str) -> Bundle | None:
        """A feed with everything it names; None when any problem was found."""
        feed = self.document("feed", feed_id)
        if feed is None:
            return None
        source = self.named("source", feed["source"]["mapping"], feed, ("source", "mapping"))
        rules = [self.named("rules", name, feed, ("rules", n)) for n, name in enumerate(feed.get("rules", []))]
        journal = self.named("journal", feed["journal"], feed, ("journal",))
        targets = {
            entry["target"]: self.named("target", entry["target"], feed, ("targets", n, "target"))
            for n, entry in enumerate(feed["targets"])
        }
        if source is not None:
            self.problems += checks.numbered_files(feed, source)
            self.problems += checks.listed(feed)
        if source is not None and journal is not None:
            self.problems += checks.stated_rate(journal, source)
        periods = self.periods(feed)
        tables, rates = self.tables(journal, feed) if journal is not None else ({}, None)
        allocations, taxes = self.shares(journal) if journal is not None else ({}, None)
        codes = {name: self.codes(target) for name, target in targets.items() if target is not None}
        if self.problems or source is None or journal is None:
            return None
        return Bundle(
            feed, source, tuple(r for r in rules if r is not None), journal,
            {name: t for name, t in targets.items() if t is not None}, tables, allocations, taxes, periods, rates,
            codes, _digest(self.folder, feed, journal),
        )  # fmt: skip

    def document(self, kind: str, name: str) -> Document | None:
        """A document that keeps to its schema, checked for what the schema cannot see; each is read once."""
        if (kind, name) not in self.documents:
            self.documents[kind, name] = self._document(kind, name)
        return self.documents[kind, name]

    def _document(self, kind: str, name: str) -> Document | None:
        document, problems = config.scan(self.folder / _sub(kind) / f"{name}.yml", kind)
        if problems:
            self.problems += problems
            return None
        if document[kind] != name:
            detail = f"{document[kind]!r} is not the name of the file; call one like the other"
            self.problems.append(checks.problem(document, (kind,), detail))
        self.problems += _CHECKS[kind](document)
        return document

    def named(self, kind: str, name: str, feed: Document, path: checks.Path) -> Document | None:
        """A document that the feed names at a place."""
        if (self.folder / _sub(kind) / f"{name}.yml").is_file():
            return self.document(kind, name)
        self.problems.append(checks.problem(feed, path, f"there is no {_sub(kind)}/{name}.yml"))
        return None

    def table(self, document: Document, path: checks.Path, file: str, key: Iterable[str], *values: str) -> lookup.Table:
        """A table that a document names at a place."""
        if (self.folder / "tables" / file).is_file():
            table, problems = lookup.scan(self.folder / "tables" / file, tuple(key), values)
        else:
            table = lookup.Table(file, tuple(key), (), {}, ())
            problems = [checks.problem(document, path, f"there is no tables/{file}")]
        self.problems += problems
        return table

    def periods(self, feed: Document) -> lookup.Table | None:
        """The accounting periods of a feed; its tables for checks are looked at on the way."""
        if "tax" in feed["checks"]:
            tax = self.table(feed, ("checks", "tax"), feed["checks"]["tax"], TAX_KEY, "rate_pct")
            self.problems += checks.percentages(tax, "rate_pct")
        for field, use in feed["checks"].get("references", {}).items():
            self.table(feed, ("checks", "references", field), use["file"], use["key"])
        if "periods" not in feed:
            return None
        periods = self.table(feed, ("periods",), feed["periods"], PERIOD_KEY, "state")
        self.problems += checks.periods(periods)
        return periods

    def codes(self, target: Document) -> refusals.Codes:
        """The tables of an ERP's own codes that a target names."""
        codes, problems = refusals.scan(self.folder / "codes", target["acknowledge"].get("codes", []))
        self.problems += problems
        return codes

    def tables(self, journal: Document, feed: Document) -> tuple[dict[str, lookup.Table], lookup.Table | None]:
        """The look-up tables of a journal mapping and its rates."""
        self.problems += checks.attributes(journal, feed)
        uses = journal.get("tables", {})
        tables = {
            name: self.table(journal, ("tables", name), use["file"], use["key"], use["value"])
            for name, use in uses.items()
        }
        reclaimable = journal.get("reclaimable_tax", {}).get("table")
        if reclaimable in tables:
            self.problems += checks.percentages(tables[reclaimable], uses[reclaimable]["value"])
        if "rates" not in journal:
            return tables, None
        rates = self.table(journal, ("rates",), journal["rates"]["file"], RATE_KEY, "rate")
        self.problems += checks.rates(rates)
        return tables, rates

    def shares(self, journal: Document) -> tuple[dict[str, shares.Shares], shares.Shares | None]:
        """The tables of the allocations and taxes of a journal mapping."""
        allocations = {}
        for name, use in journal.get("allocations", {}).items():
            key = [*use["key"], shares.PART]
            table = self.table(journal, ("allocations", name), use["file"], key, shares.SHARE, *use["set"])
            self.problems += shares.problems(table, use["by"])
            allocations[name] = shares.of(table, use)
        if "taxes" not in journal:
            return allocations, None
        use = journal["taxes"]
        columns = (shares.RATE, shares.RECLAIMABLE)
        table = self.table(journal, ("taxes",), use["file"], [*use["key"], shares.TAX], *columns)
        for column in columns:
            self.problems += checks.percentages(table, column)
        return allocations, shares.of_taxes(table, use)


def _digest(folder: Path, feed: Document, journal: Document) -> str:
    names = [f"sources/{feed['source']['mapping']}.yml", f"journals/{feed['journal']}.yml", f"feeds/{feed['feed']}.yml"]
    names += [f"rules/{name}.yml" for name in feed.get("rules", [])]
    names += [f"targets/{entry['target']}.yml" for entry in feed["targets"]]
    tables = {use["file"] for kind in ("tables", "allocations") for use in journal.get(kind, {}).values()}
    tables |= {journal[name]["file"] for name in ("taxes",) if name in journal}
    tables |= {feed.get("periods"), journal.get("rates", {}).get("file"), feed["checks"].get("tax")} - {None}
    tables |= {use["file"] for use in feed["checks"].get("references", {}).values()}
    names += [f"tables/{name}" for name in tables]
    whole = hashlib.sha256()
    for name in sorted(set(names)):
        whole.update(f"{name}\x1f{hashlib.sha256((folder / name).read_bytes()).hexdigest()}\x1e".encode())
    return whole.hexdigest()
