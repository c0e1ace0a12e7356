"""The error codes that a feed can give: what each means, who acts, and the next step."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, Final

from etl.errors import CATALOGUE, OUTCOMES, REFUSAL, SHADOW, Entry
from etl.formats import JsonFormat
from etl.mapping import Bundle
from etl.refusals import OPEN, UNMAPPED
from etl.report.interface import chinese, columns
from etl.report.interface.model import Section, Table
from etl.report.interface.words import Words

Option = Callable[[Bundle], bool]
_SHADOW: Final = tuple(code for code, entry in CATALOGUE.items() if entry.outcome == SHADOW)

_REFUSALS: Final = tuple(code for code, entry in CATALOGUE.items() if entry.outcome == REFUSAL)


def _checks(bundle: Bundle) -> Mapping[str, Any]:
    checks: Mapping[str, Any] = bundle.feed["checks"]
    return checks


def _format(bundle: Bundle) -> Mapping[str, Any]:
    format: Mapping[str, Any] = bundle.source["format"]
    return format


def _severities(bundle: Bundle) -> set[str]:
    return {check["severity"] for rules in bundle.rules for check in rules["checks"]}


def _kinds(bundle: Bundle) -> set[str]:
    return {profile["kind"] for profile in bundle.targets.values()}


def _answers(bundle: Bundle) -> set[str]:
    return {profile["acknowledge"]["kind"] for profile in bundle.targets.values()}


def _is_json(bundle: Bundle) -> bool:
    return _format(bundle).get("kind") == "json"


def _is_text(bundle: Bundle) -> bool:
    return not _is_json(bundle)


def _is_quoted(bundle: Bundle) -> bool:
    return _is_text(bundle) and _format(bundle).get("quotes") != "plain"


def _is_shadow(bundle: Bundle) -> bool:
    return bundle.feed.get("mode") == "shadow"


def _says(part: str, *names: str) -> Option:
    """Whether a part of the bundle has one of these keys."""
    return lambda bundle: any(name in getattr(bundle, part) for name in names)


def _format_says(*names: str) -> Option:
    return lambda bundle: any(name in _format(bundle) for name in names)


def _marked(bundle: Bundle) -> bool:
    """Whether the source says what environment its files must be of."""
    format = _format(bundle)
    if _is_json(bundle):
        return any(level.marks for _, level in columns.levels(JsonFormat.of(format).records))
    return "marks" in format.get("preamble", {})


def _is_split(bundle: Bundle) -> bool:
    return "split" in bundle.source or "allocation_no" in bundle.source["fields"] or "allocations" in bundle.journal


def _is_long(bundle: Bundle) -> bool:
    return "split" not in bundle.journal and any("journal_lines_max" in one for one in bundle.targets.values())


def _has_list(bundle: Bundle) -> bool:
    return "list" in bundle.feed["source"]


def _maps(ours: str) -> Option:
    """Whether a table of a target's ERP gives this code."""
    return lambda bundle: any(row.ours == ours for codes in bundle.codes.values() for row in codes.rows)


# Codes that only one option of a feed, its source or its targets can give; the others are always possible.
_NEEDS: Final[Mapping[str, Option]] = {
    "SIDECAR": lambda b: b.feed["source"]["complete"] == "ok_file",
    "SYNTAX": _is_json,
    "TYPE": _is_json,
    "LINE_END": _is_text,
    "FIELD_COUNT": _is_text,
    "BLANK_LINE": _is_text,
    "RECORD_COUNT": _is_text,
    "QUOTING": _is_quoted,
    "HEADER": _format_says("layouts", "records", "control_header"),
    "UNKNOWN_COLUMN": _format_says("layouts", "records"),
    "RECORD_MARK": lambda b: "mark" in _format(b).get("positions", {}),
    "CONTROL_TOTAL": _format_says("trailer", "control_header", "count"),
    "ENVIRONMENT": _marked,
    "LEGACY_LINE": _is_shadow,
    "STATUS": lambda b: "states" in _checks(b),
    "TAX": lambda b: "tax" in _checks(b) or bool({"taxes", "tax_rate"} & set(b.journal)),
    "TAX_RATE": lambda b: "tax_rate_pct" in b.source["fields"],
    "NOT_LANDED": _has_list,
    "LIST_DIFFERS": lambda b: "amount" in b.feed["source"].get("list", {}).get("columns", {}),
    "LIST_UNREADABLE": _has_list,
    "NOT_LISTED": lambda b: b.feed["source"].get("list", {}).get("whole") == "yes",
    "SEQUENCE_GAP": lambda b: "sequence" in b.feed["source"],
    "SUM": _says("source", "sums"),
    "REPORT_TOTAL": lambda b: _checks(b).get("report_total") == "yes",
    "REFERENCE": lambda b: "references" in _checks(b),
    "ZERO": lambda b: _checks(b).get("zero") != "allowed",
    "NEGATIVE": lambda b: _checks(b).get("refunds") == "refused",
    "INVOICE_REPEATED": lambda b: _checks(b).get("invoice_repeated", "allowed") != "allowed",
    "SOD": lambda b: "approver_id" in b.source["fields"],
    "SPLIT": _is_split,
    "RATE": _says("journal", "rates"),
    "ROUNDING_LIMIT": _says("journal", "rates"),
    "ROUNDING_PERIOD": lambda b: "period_limit_minor" in b.journal.get("rounding", {}),
    "RATE_VALUE": lambda b: "rate" in b.source["fields"],
    "SUSPENSE_LIMIT": lambda b: any("suspense" in line["account"] for line in b.journal["lines"]),
    "PERIOD_CLOSED": lambda b: b.periods is not None,
    "LINES": _is_long,
    "VOLUME": _says("feed", "gate"),
    "POLICY": lambda b: "reject" in _severities(b) or "warn" in _severities(b),
    "APPROVAL": lambda b: "hold" in _severities(b),
    "SIGN_OFF": _is_shadow,
    "SHADOW_BATCH": _is_shadow,
    "SIMULATOR": lambda b: b.feed.get("simulator") == "yes",
    "ANSWER_UNREADABLE": lambda b: bool(_answers(b) - {"table", "file"}),
    "NO_ATOMIC_RENAME": lambda b: _kinds(b) != {"table"},
    **dict.fromkeys(_SHADOW, _is_shadow),
    **{code: _maps(code) for code in _REFUSALS if code not in (UNMAPPED, OPEN)},
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
        return entry.code, told, chinese.owner(entry.owner, say.language), step
    return entry.code, _pattern(entry.text), entry.owner, _pattern(entry.next_step)


def _pattern(sentence: str) -> str:
    """A sentence of the catalogue as people will see it, with ‹name› where a fact stands."""
    return re.sub(r"\{(\w+)(!r)?\}", r"‹\1›", sentence)
