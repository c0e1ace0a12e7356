"""Date rules: the day on which a journal is posted, from the dates of its expense lines, in its company's time zone."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from etl import model

Rule = Mapping[str, Any]


def rule_of(journal: Mapping[str, Any]) -> Rule:
    """The date rule of a journal mapping; a field alone is the rule that takes it as it is."""
    rule = journal["posting_date"]
    return {"field": rule} if isinstance(rule, str) else rule


def asked(rule: Rule) -> list[str]:
    """The fields that a rule takes its date from."""
    return [rule["field"]] if "field" in rule else list(rule.get("latest") or rule["earliest"])


def fields(rule: Rule) -> list[str]:
    """Every field that a rule reads."""
    return list(dict.fromkeys([*asked(rule), *(rule[name] for name in ("not_before", "not_after") if name in rule)]))


def problems(rule: Rule) -> Iterator[str]:
    """Fields of a rule that are no dates."""
    for name in fields(rule):
        if model.LINE_FIELDS.get(name) not in (model.DATE, model.TIME):
            yield f"{name!r} is no date of an expense line"


def posting_date(rule: Rule, local: Mapping[str, str]) -> str:
    """The ISO date that a rule gives for the local dates of one line; "" when it has none of those asked for."""
    local = {name: date for name, date in local.items() if date}
    found = [local[name] for name in asked(rule) if name in local]
    if not found:
        return ""
    date = min(found) if "earliest" in rule else max(found)
    if "to" in rule:
        date = _MOVES[rule["to"]](datetime.date.fromisoformat(date)).isoformat()
    date = max(date, local.get(rule.get("not_before", ""), date))
    return min(date, local.get(rule.get("not_after", ""), date))


def told(rule: Rule, moments: Mapping[str, str]) -> str:
    """A rule with the dates it read, as a sentence."""
    cells = {name: f"{name} {moment or '(empty)'}" for name, moment in moments.items()}
    first = ", ".join(cells[name] for name in asked(rule))
    kind = next(name for name in ("field", "latest", "earliest") if name in rule)
    steps = [first if kind == "field" else f"the {kind} of {first}"]
    steps += [f"to {rule['to'].replace('_', ' ')}"] if "to" in rule else []
    steps += [f"{name.replace('_', ' ')} {cells[rule[name]]}" for name in ("not_before", "not_after") if name in rule]
    return ", ".join(steps)


def _next_month(day: datetime.date) -> datetime.date:
    return (day.replace(day=1) + datetime.timedelta(days=31)).replace(day=1)


_MOVES: Final[Mapping[str, Callable[[datetime.date], datetime.date]]] = {
    "month_start": lambda day: day.replace(day=1),
    "month_end": lambda day: _next_month(day) - datetime.timedelta(days=1),
    "next_month_start": _next_month,
}
