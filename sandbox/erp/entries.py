"""What every form of file comes down to, journals with signed legs, and what the ERP says about each."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, NamedTuple

_AMOUNT: Final = re.compile(r"-?(?:0|[1-9][0-9]{0,21})(?:\.[0-9]{1,4})?", re.ASCII)


class Unreadable(ValueError):
    """The file is not what this ERP takes; the text names the line."""


@dataclass(frozen=True)
class Leg:
    """One line of a journal: a signed amount on an account, and its total in base currency when it is foreign.

    red: it stands as a negative amount on the other side (红字).
    """

    account: str
    amount: str
    currency: str
    total: str = ""
    total_currency: str = ""
    red: bool = False


@dataclass
class Journal:
    """One transaction of the file."""

    key: str
    day: str
    facts: dict[str, str] = field(default_factory=dict)
    legs: list[Leg] = field(default_factory=list)


class Said(NamedTuple):
    """The answer for one journal: level posted or rejected, the document's number, a code and a text."""

    journal_key: str
    level: str
    erp_document: str
    code: str
    message: str


def day_of(text: str, pattern: str) -> str:
    """A date of the file as ISO text. Raises Unreadable when it is not written exactly like the pattern."""
    try:
        found = datetime.strptime(text, pattern)
    except ValueError as wrong:
        raise Unreadable(f"{text!r} is no date written {pattern}") from wrong
    if found.strftime(pattern) != text:
        raise Unreadable(f"{text!r} is no date written {pattern}")
    return found.date().isoformat()


def two_sides(account: str, currency: str, sides: Sequence[str], base: str = "", base_sides: Sequence[str] = ()) -> Leg:
    """A leg from debit and credit, of which one is 0 or empty; with the base amounts when the currency is foreign.

    A foreign leg with a base amount alone is a rounding leg, in base currency. Raises Unreadable.
    """
    amount, red = _signed(sides)
    if not base or base == currency:
        return Leg(account, amount, currency, red=red)
    total, total_red = _signed(base_sides)
    if _is_zero(amount):
        return Leg(account, total, base, red=total_red)
    return Leg(account, amount, currency, total.removeprefix("-"), base, red)


def one_of(texts: Mapping[str, str], name: str, allowed: Sequence[str]) -> str:
    """A text that must be one of these. Raises Unreadable."""
    if texts.get(name, "") not in allowed:
        raise Unreadable(f"{name} is {texts.get(name, '')!r}, not {' or '.join(allowed)}")
    return texts.get(name, "")


def _signed(sides: Sequence[str]) -> tuple[str, bool]:
    """The one side that is not 0, debit positive and credit negative, and whether it was written in red."""
    for text in sides:
        if text and not _AMOUNT.fullmatch(text):
            raise Unreadable(f"{text!r} is no amount")
    debit, credit = sides
    if credit and not _is_zero(credit):
        if debit and not _is_zero(debit):
            raise Unreadable(f"both sides are filled: {debit} and {credit}")
        return (credit[1:], True) if credit.startswith("-") else (f"-{credit}", False)
    return debit or credit or "0", debit.startswith("-")


def _is_zero(text: str) -> bool:
    return not text.strip("-0.")
