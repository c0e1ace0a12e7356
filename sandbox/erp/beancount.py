"""A strict reader of the beancount files this ERP takes: one batch a file, balanced by what is written, no arithmetic.

Strict means: every line is one of the known shapes or the whole file is refused; the last line ends with a line feed;
every leg has its amount; an account is opened before it is used.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Final

from sandbox.erp.entries import Journal, Leg, Unreadable

_DAY: Final = r"(?P<day>[0-9]{4}-[0-9]{2}-[0-9]{2})"
_STRING: Final = r'"((?:[^"\\]|\\.)*)"'
_ACCOUNT: Final = r"(?P<account>(?:Assets|Liabilities|Equity|Income|Expenses):[A-Z0-9][^\s:]*)"
_AMOUNT: Final = r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?"
_CURRENCY: Final = r"[A-Z]{3}"

OPTION: Final = re.compile(rf"option {_STRING} {_STRING}")
PLUGIN: Final = re.compile(rf"plugin {_STRING}")
OPEN: Final = re.compile(rf"{_DAY} open {_ACCOUNT}")
HEAD: Final = re.compile(rf"{_DAY} \* {_STRING} {_STRING} \^(?P<key>[A-Za-z0-9._-]+)")
FACT: Final = re.compile(rf"(?P<indent> {{2}}| {{4}})(?P<name>[a-z][a-z0-9_-]*): {_STRING}")
LEG: Final = re.compile(
    rf"  {_ACCOUNT} +(?P<amount>{_AMOUNT}) (?P<currency>{_CURRENCY})"
    rf"(?: @@ (?P<total>{_AMOUNT}) (?P<total_currency>{_CURRENCY}))?"
)
_KEY_AT_END: Final = re.compile(r"^[0-9-]{10} .*\^([A-Za-z0-9._-]+)$", re.MULTILINE)


@dataclass
class _Reading:
    title: str = ""
    opened: dict[str, str] = field(default_factory=dict)
    journals: list[Journal] = field(default_factory=list)
    leg_facts: set[str] = field(default_factory=set)
    inside: bool = False


def read(content: bytes) -> tuple[str, list[Journal]]:
    """The batch id and the journals of a file. Raises Unreadable."""
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError as wrong:
        raise Unreadable(f"byte {wrong.start} is not UTF-8") from wrong
    if not text.endswith("\n"):
        raise Unreadable("the last line is cut off")
    reading = _Reading()
    for number, line in enumerate(text[:-1].split("\n"), start=1):
        try:
            _read_line(reading, line)
        except Unreadable as wrong:
            raise Unreadable(f"line {number}: {wrong}") from wrong
    for journal in reading.journals:
        if len(journal.legs) < 2:
            raise Unreadable(f"journal {journal.key} has {len(journal.legs)} legs")
    return reading.title, reading.journals


def keys(content: bytes) -> list[str]:
    """The journal keys that can be made out in a file, readable or not, each once."""
    return list(dict.fromkeys(_KEY_AT_END.findall(content.decode("utf-8", errors="replace"))))


def _read_line(reading: _Reading, line: str) -> None:
    if not line or line.startswith(";"):
        reading.inside = False
        return
    for shape, take in SHAPES.items():
        if match := shape.fullmatch(line):
            take(reading, match)
            return
    raise Unreadable(f"{line[:60]!r} is not understood")


def _take_option(reading: _Reading, match: re.Match[str]) -> None:
    if match.group(1) == "title":
        if reading.title:
            raise Unreadable("a second title")
        reading.title = match.group(2)


def _take_plugin(reading: _Reading, match: re.Match[str]) -> None:
    reading.inside = False


def _take_open(reading: _Reading, match: re.Match[str]) -> None:
    account = match["account"]
    if account in reading.opened:
        raise Unreadable(f"{account} is opened twice")
    reading.opened[account] = _day(match["day"])


def _take_head(reading: _Reading, match: re.Match[str]) -> None:
    reading.journals.append(Journal(match["key"], _day(match["day"])))
    reading.inside = True


def _take_leg(reading: _Reading, match: re.Match[str]) -> None:
    if not reading.inside:
        raise Unreadable("a leg outside a journal")
    journal, account = reading.journals[-1], match["account"]
    if reading.opened.get(account, "9999-99-99") > journal.day:
        raise Unreadable(f"{account} is not open on {journal.day}")
    if (match["total"] or "").startswith("-"):
        raise Unreadable("a total price has no sign of its own")
    code = account.partition(":")[2]
    leg = Leg(code, match["amount"], match["currency"], match["total"] or "", match["total_currency"] or "")
    journal.legs.append(leg)
    reading.leg_facts = set()


def _take_fact(reading: _Reading, match: re.Match[str]) -> None:
    of_leg = len(match["indent"]) == 4
    if not reading.inside or of_leg != bool(reading.journals[-1].legs):
        raise Unreadable(f"{match['name']} belongs to nothing")
    seen = reading.leg_facts if of_leg else reading.journals[-1].facts.keys()
    if match["name"] in seen:
        raise Unreadable(f"{match['name']} stands twice")
    if of_leg:
        reading.leg_facts.add(match["name"])
    else:
        reading.journals[-1].facts[match["name"]] = match.group(3)


def _day(text: str) -> str:
    try:
        return date.fromisoformat(text).isoformat()
    except ValueError as wrong:
        raise Unreadable(f"{text} is no date") from wrong


SHAPES: Final[Mapping[re.Pattern[str], Callable[[_Reading, re.Match[str]], None]]] = {
    LEG: _take_leg,
    FACT: _take_fact,
    HEAD: _take_head,
    OPEN: _take_open,
    OPTION: _take_option,
    PLUGIN: _take_plugin,
}
