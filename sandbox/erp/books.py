"""The books: companies with base currency, accounts and open periods, read from books.yml."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any, Final

import yaml

DEFAULT: Final = Path(__file__).resolve().parents[1] / "books.yml"
_PERIOD: Final = re.compile(r"[0-9]{4}-(0[1-9]|1[0-2])", re.ASCII)


class BooksError(ValueError):
    """books.yml says something the ERP cannot work with."""


@dataclass(frozen=True)
class Company:
    """One legal entity: what it may post to and when."""

    currency: str
    accounts: tuple[re.Pattern[str], ...]
    first_period: str
    last_period: str
    closed: frozenset[str]
    ledger_id: str = ""

    def knows(self, account: str) -> bool:
        """Whether the chart of accounts has this code."""
        return any(pattern.fullmatch(account) for pattern in self.accounts)

    def has_period(self, period: str) -> bool:
        """Whether the calendar has this period, open or closed."""
        return self.first_period <= period <= self.last_period

    def is_open(self, period: str) -> bool:
        """Whether the period takes journals."""
        return self.has_period(period) and period not in self.closed

    def open_periods(self) -> list[str]:
        """The periods that take journals, in order."""
        return [period for period in _periods(self.first_period, self.last_period) if self.is_open(period)]

    def any_open(self) -> bool:
        """Whether any period takes journals."""
        return bool(self.open_periods())


@dataclass(frozen=True)
class Books:
    """All companies, the enabled currencies with their decimals, and the conversion rate types.

    account_set: the company that files without one are imported into.
    """

    companies: Mapping[str, Company]
    currencies: Mapping[str, int]
    conversion_types: frozenset[str]
    account_set: str = ""

    def company_of(self, code: str) -> str:
        """The company with this code or this ledger's number; "" when there is none."""
        return next((name for name, one in self.companies.items() if code and code in (name, one.ledger_id)), "")

    def is_base(self, company: str, currency: str) -> bool:
        """Whether this is the company's own currency."""
        return company in self.companies and self.companies[company].currency == currency

    def is_foreign(self, company: str, currency: str) -> bool:
        """Whether this is an enabled currency, but not the company's own."""
        known = company in self.companies and currency in self.currencies
        return known and self.companies[company].currency != currency


def period_of(day: str) -> str:
    """The period of an ISO date: its month; "" when the text is no date.

    >>> period_of("2026-03-31"), period_of("2026-02-30")
    ('2026-03', '')
    """
    try:
        return date.fromisoformat(day).isoformat()[:7]
    except ValueError:
        return ""


def read_books(path: Path) -> Books:
    """The books of a YAML file. Raises BooksError when a part is missing or wrong, OSError when unreadable."""
    try:
        raw = yaml.load(path.read_text(encoding="utf-8"), Loader=yaml.BaseLoader)  # every scalar stays text
        currencies = {code: int(decimals) for decimals, codes in raw["currencies"].items() for code in codes}
        companies = {code: _company(code, facts, currencies) for code, facts in raw["companies"].items()}
        return Books(companies, currencies, frozenset(raw["conversion_types"]), raw["account_set"])
    except (yaml.YAMLError, KeyError, TypeError, AttributeError) as wrong:
        raise BooksError(f"{path.name}: {type(wrong).__name__} {wrong}") from wrong


def _company(code: str, facts: dict[str, Any], currencies: Mapping[str, int]) -> Company:
    periods = facts["periods"]
    named = [periods["from"], periods["to"], *periods.get("closed", [])]
    if wrong := [name for name in named if not _PERIOD.fullmatch(name)]:
        raise BooksError(f"company {code}: {wrong[0]!r} is no period (2026-03)")
    if facts["currency"] not in currencies:
        raise BooksError(f"company {code}: currency {facts['currency']!r} is not enabled")
    accounts = tuple(re.compile(pattern, re.ASCII) for pattern in facts["accounts"])
    closed = frozenset(periods.get("closed", []))
    return Company(facts["currency"], accounts, named[0], named[1], closed, facts.get("ledger_id", ""))


def _periods(first: str, last: str) -> list[str]:
    start, end = (int(period[:4]) * 12 + int(period[5:]) - 1 for period in (first, last))
    return [f"{month // 12:04d}-{month % 12 + 1:02d}" for month in range(start, end + 1)]
