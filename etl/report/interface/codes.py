"""The error codes that a feed can give: what each means, who acts, and the next step."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, Final

from etl.errors import CATALOGUE, OUTCOMES, Entry
from etl.mapping import Bundle
from etl.report.interface import chinese
from etl.report.interface.model import Section, Table
from etl.report.interface.words import Words


def _checks(bundle: Bundle) -> Mapping[str, Any]:
    checks: Mapping[str, Any] = bundle.feed["checks"]
    return checks


def _severities(bundle: Bundle) -> set[str]:
    return {check["severity"] for rules in bundle.rules for check in rules["checks"]}


def _kinds(bundle: Bundle) -> set[str]:
    return {profile["kind"] for profile in bundle.targets.values()}


# Codes that only one option of a feed, its source or its targets can give; the others are always possible.
_NEEDS: Final[Mapping[str, Callable[[Bundle], bool]]] = {
    "SIDECAR": lambda b: b.feed["source"]["complete"] == "ok_file",
    "CONTROL_TOTAL": lambda b: "trailer" in b.source["format"],
    "ENVIRONMENT": lambda b: "marks" in b.source["format"].get("preamble", {}),
    "STATUS": lambda b: "states" in _checks(b),
    "TAX": lambda b: "tax" in _checks(b),
    "REPORT_TOTAL": lambda b: _checks(b).get("report_total") == "yes",
    "ZERO": lambda b: _checks(b).get("zero") != "allowed",
    "NEGATIVE": lambda b: _checks(b).get("refunds") == "refused",
    "INVOICE_REPEATED": lambda b: _checks(b).get("invoice_repeated", "allowed") != "allowed",
    "SOD": lambda b: "approver_id" in b.source["fields"],
    "SPLIT": lambda b: "split" in b.source,
    "RATE": lambda b: "rates" in b.journal,
    "ROUNDING_LIMIT": lambda b: "rates" in b.journal,
    "RATE_VALUE": lambda b: "rate" in b.source["fields"],
    "PERIOD_CLOSED": lambda b: b.periods is not None,
    "VOLUME": lambda b: "gate" in b.feed,
    "POLICY": lambda b: "reject" in _severities(b) or "warn" in _severities(b),
    "APPROVAL": lambda b: "hold" in _severities(b),
    "TOTALS_DIFFER": lambda b: "table" in _kinds(b),
    "NO_ATOMIC_RENAME": lambda b: _kinds(b) != {"table"},
}


def possible(bundle: Bundle) -> list[Entry]:
    """The entries of the catalogue that this feed can give."""
    return [entry for code, entry in CATALOGUE.items() if code not in _NEEDS or _NEEDS[code](bundle)]


def section(bundle: Bundle, say: Words) -> Section:
    """The table of codes, grouped by what happens."""
    headings = say.all("code", "meaning", "owner", "next_step")
    entries = possible(bundle)
    tables = tuple(
        Table(headings, tuple(_row(entry, say) for entry in entries if entry.outcome == name), _outcome(name, say))
        for name in OUTCOMES
    )
    return Section(say("errors"), (say("errors_note"),), tables)


def _outcome(name: str, say: Words) -> str:
    return chinese.OUTCOMES[name] if say.language == "zh" else f"{OUTCOMES[name][0].upper()}{OUTCOMES[name][1:]}"


def _row(entry: Entry, say: Words) -> tuple[str, ...]:
    if say.language == "zh":
        told, step = chinese.CODES[entry.code]
        return entry.code, told, chinese.OWNERS[entry.owner], step
    return entry.code, _pattern(entry.text), entry.owner, _pattern(entry.next_step)


def _pattern(sentence: str) -> str:
    """A sentence of the catalogue as people will see it, with ‹name› where a fact stands."""
    return re.sub(r"\{(\w+)(!r)?\}", r"‹\1›", sentence)
