"""A new Tryton database: its modules, and the companies, accounts, periods and employees of books.toml."""

from __future__ import annotations

import calendar
import tomllib
from collections.abc import Mapping
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

from sql import Table
from trytond import backend
from trytond.pool import Pool
from trytond.transaction import Transaction

from sandbox.tryton import ledger
from sandbox.tryton.database import Books, point_to

BOOKS: Final = Path(__file__).with_name("books.toml")
Facts = Mapping[str, Any]
# kind of account -> (statement, may a line wait for payment, must it have a party)
KINDS: Final = {"balance": ("balance", False), "settlement": ("balance", True), "expense": ("income", False)}


def found(path: Path, facts_path: Path = BOOKS) -> None:
    """Make the database at `path`, which must not exist."""
    facts = tomllib.loads(facts_path.read_text("utf-8"))
    _create(point_to(path))
    books = Books(path)
    books.work(lambda _: _activate(books))
    Pool(books.name).init(update=["account"], lang=["en"])
    books.work(ledger.create_registry)
    books.work(lambda cursor: _fill(books, facts, cursor))


def _create(name: str) -> None:
    """An empty Tryton database with one administrator, who has no password and so cannot log in from outside."""
    backend.Database.create(None, name)
    database = backend.Database(name)
    connection = database.get_connection()
    table = Table("ir_configuration")
    database.init()
    cursor = connection.cursor()
    cursor.execute(*table.insert([table.language], [["en"]]))
    connection.commit()
    Pool.start()
    Pool(name).init(update=["ir", "res"], lang=["en"])
    with Transaction().start(name, 0):
        (language,) = Pool(name).get("ir.lang").search([("code", "=", "en")])
        language.translatable = True
        language.save()
        user = {"login": "admin", "name": "Administrator", "administrator": True, "language": language.id}
        (admin,) = Pool(name).get("res.user").create([user])
        assert admin.id == 1, "the first user is the administrator that the importer works as"
        Pool(name).get("ir.module").update_list()


def _activate(books: Books) -> None:
    Module = books.get("ir.module")
    Module.activate(Module.search([("name", "=", "account")]))


def _fill(books: Books, facts: Facts, cursor: Any) -> None:
    currencies = {}
    for code, decimals in facts["currencies"].items():
        one = {"name": code, "symbol": code, "code": code, "digits": decimals, "rounding": Decimal(1).scaleb(-decimals)}
        currencies[code] = books.get("currency.currency").create([one])[0].id
    books.get("account.journal").create([{**facts["journal"], "type": "expense"}])
    parties = books.get("party.party").__table__()  # in one statement: by the model one takes ten milliseconds
    cursor.execute(
        *parties.insert([parties.name, parties.code, parties.active], [[e, e, True] for e in _employees(facts)])
    )
    for code, company in facts["companies"].items():
        (party,) = books.get("party.party").create([{"name": company["name"], "code": code, "addresses": []}])
        (made,) = books.get("company.company").create(
            [{"party": party.id, "currency": currencies[company["currency"]]}]
        )
        with Transaction().set_context(company=made.id):
            _chart(books, made.id, facts["accounts"])
            for year in facts["years"]:
                _year(books, made.id, year, company["closed"])


def _employees(facts: Facts) -> list[str]:
    prefix, ranges = facts["employees"]["prefix"], facts["employees"]["ranges"]
    return [f"{prefix}{number}" for first, last in ranges for number in range(first, last + 1)]


def _chart(books: Books, company: int, accounts: Facts) -> None:
    for kind, (statement, payable) in KINDS.items():
        kinds = {"name": kind, "statement": statement, "company": company, "payable": payable}
        (of_type,) = books.get("account.account.type").create([kinds | {"expense": kind == "expense"}])
        books.get("account.account").create(
            [
                {"code": code, "name": name, "company": company, "type": of_type.id, "party_required": payable}
                for code, name in accounts[kind].items()
            ]
        )


def _year(books: Books, company: int, year: int, closed: list[str]) -> None:
    (kind,) = books.get("ir.sequence.type").search([("name", "=", "Account Move")], limit=1)
    sequence = {"name": str(year), "sequence_type": kind.id, "company": company, "prefix": f"{year}-"}
    (numbers,) = books.get("ir.sequence.strict").create([sequence])
    of_year = {"name": str(year), "start_date": date(year, 1, 1), "end_date": date(year, 12, 31)}
    (made,) = books.get("account.fiscalyear").create([{**of_year, "company": company, "move_sequence": numbers.id}])
    Period = books.get("account.period")
    months = [
        {
            "name": f"{year}-{month:02d}", "fiscalyear": made.id, "type": "standard",
            "start_date": date(year, month, 1), "end_date": date(year, month, calendar.monthrange(year, month)[1]),
        }
        for month in range(1, 13)
    ]  # fmt: skip
    Period.close([period for period in Period.create(months) if period.name in closed])
