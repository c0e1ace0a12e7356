"""The ERP's command, run by Tryton's own Python: make books, import, ask them. One JSON object on standard output."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from sandbox.tryton import drop, staging
from sandbox.tryton.database import Books


def main() -> None:
    """Entry point of `python -m sandbox.tryton`."""
    parser = argparse.ArgumentParser(prog="python -m sandbox.tryton", description=__doc__)
    verbs = parser.add_subparsers(dest="verb", required=True)
    for verb, does in VERBS.items():
        one = verbs.add_parser(verb, help=does.__doc__)
        if verb != "prepare":
            one.add_argument("--books", type=Path, required=True, metavar="FILE", help="Tryton's SQLite database")
        if verb in ("prepare", "import"):
            where = one.add_mutually_exclusive_group(required=True)
            where.add_argument("--staging", type=Path, metavar="FILE", help="SQLite database with the staging table")
            where.add_argument("--drop", type=Path, metavar="DIR", help="drop folder")
        if verb == "close":
            one.add_argument("company")
            one.add_argument("period", help="2026-03")
    options = parser.parse_args()
    sys.stdout.write(json.dumps(VERBS[options.verb](options), ensure_ascii=False) + "\n")


def found(options: argparse.Namespace) -> dict[str, Any]:
    """Make new books: companies, chart of accounts, periods, employees."""
    from sandbox.tryton import found as founding

    founding.found(options.books)
    return {"founded": str(options.books)}


def prepare(options: argparse.Namespace) -> dict[str, Any]:
    """Create the staging table, or the drop folder."""
    if options.staging:
        staging.prepare(options.staging)
    else:
        drop.prepare(options.drop)
    return {"prepared": True}


def import_(options: argparse.Namespace) -> dict[str, Any]:
    """Post what waits in the staging table or the drop folder, and answer."""
    books = Books(options.books)
    if options.staging:
        return staging.import_batches(books, options.staging)
    return drop.import_files(books, options.drop)


def balance(options: argparse.Namespace) -> dict[str, Any]:
    """Tryton's trial balance: debit and credit of every account that was posted to, per company."""
    books = Books(options.books)

    def read(_: Any) -> dict[str, Any]:
        accounts = books.get("account.account").search([("type", "!=", None)], order=[("code", "ASC")])
        out: dict[str, Any] = {}
        for account in accounts:
            if account.debit or account.credit:
                of_company = out.setdefault(account.company.party.code, {})
                of_company[account.code] = [f"{account.debit:f}", f"{account.credit:f}"]
        return out

    return books.work(read, posted=True)


def close(options: argparse.Namespace) -> dict[str, Any]:
    """Close a period of a company."""
    books = Books(options.books)

    def shut(_: Any) -> str:
        Period = books.get("account.period")
        where = [("name", "=", options.period), ("company.party.code", "=", options.company)]
        (period,) = Period.search(where)
        Period.close([period])
        return str(period.state)

    return {"company": options.company, "period": options.period, "state": books.work(shut)}


VERBS = {"found": found, "prepare": prepare, "import": import_, "balance": balance, "close": close}
