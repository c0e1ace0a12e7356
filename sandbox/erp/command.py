"""The ERP's command: prepare its tables or folder, and run an import. One JSON object on standard output."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import click
from sqlalchemy import inspect
from sqlalchemy.engine import make_url

from sandbox.erp import drop as drop_folder
from sandbox.erp import faults as switches
from sandbox.erp import scorecard
from sandbox.erp.books import DEFAULT, Books, BooksError, read_books
from sandbox.erp.conformance import CASES
from sandbox.erp.faults import Faults, ImportFailed
from sandbox.erp.journal_import import Options, import_groups, open_database
from sandbox.erp.tables import gl_interface
from sandbox.erp.tables import prepare as prepare_tables

_DB = click.option("--db", "url", metavar="URL", help="Database with the interface table, as a SQLAlchemy URL.")
_DROP = click.option("--drop", "folder", metavar="DIR", type=click.Path(path_type=Path), help="Drop folder for files.")


@click.group(help=__doc__)
def main() -> None:
    """Entry point of `python -m sandbox.erp`."""


@main.command("prepare")
@_DB
@_DROP
def prepare(url: str | None, folder: Path | None) -> None:
    """Create the ERP's tables, or its drop folder."""
    _one_of(url, folder)
    if folder is not None:
        drop_folder.prepare(folder)
    elif url is not None:
        database = make_url(url)
        if database.get_backend_name() == "sqlite" and database.database:
            Path(database.database).parent.mkdir(parents=True, exist_ok=True)
        prepare_tables(open_database(url))
    _say({"prepared": True})


@main.command("import")
@_DB
@_DROP
@click.option("--group", type=int, metavar="N", help="Only this GROUP_ID.")
@click.option("--retry", is_flag=True, help="Also rows that an earlier import refused.")
@click.option("--refuse-duplicates", is_flag=True, help="Refuse a reference that is posted already (Oracle does not).")
@click.option("--books", "books_path", type=click.Path(path_type=Path), default=DEFAULT, help="Companies and accounts.")
@click.option("--fault", "names", multiple=True, type=click.Choice(switches.NAMES), help="Misbehave; see `faults`.")
def import_journals(
    url: str | None, folder: Path | None, group: int | None, retry: bool, refuse_duplicates: bool, books_path: Path,
    names: tuple[str, ...],
) -> None:  # fmt: skip
    """Post what is good, refuse the rest with a code."""
    _one_of(url, folder)
    books, faults = _books(books_path), Faults(frozenset(names))
    options = Options(group, retry, refuse_duplicates, faults)
    try:
        _say(_imported(url, folder, books, options))
    except ImportFailed as failed:
        raise click.ClickException(str(failed)) from failed


def _imported(url: str | None, folder: Path | None, books: Books, options: Options) -> dict[str, Any]:
    if folder is not None:
        if options.group is not None or options.retry:
            raise click.UsageError("--group and --retry belong to --db")
        if not folder.is_dir():
            raise click.ClickException(f"{folder} is no folder; run prepare first")
        duplicates = options.refuse_duplicates
        return drop_folder.import_folder(folder, books, refuse_duplicates=duplicates, faults=options.faults)
    engine = open_database(url or "")
    if not inspect(engine).has_table(gl_interface.name):
        raise click.ClickException("the database has no interface table; run prepare first")
    return import_groups(engine, books, options)


@main.command("faults")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def show_faults(as_json: bool) -> None:
    """List the switches for `import --fault`: what each does, and which system was seen doing it."""
    if as_json:
        _say({"faults": [asdict(one) for one in switches.SWITCHES]})
        return
    width = max(len(name) for name in switches.NAMES)
    for one in switches.SWITCHES:
        click.echo(f"{one.name:{width}}  {one.does}\n{'':{width}}  seen in: {one.seen}")


@main.command("scorecard")
@click.option("--candidate", type=click.Path(path_type=Path), default=scorecard.DEFAULT, help="How to run the product.")
@click.option("--only", "names", multiple=True, type=click.Choice([one.name for one in CASES]), help="Only this case.")
@click.option("--books", "books_path", type=click.Path(path_type=Path), default=DEFAULT, help="Companies and accounts.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object on standard output, nothing else.")
def show_scorecard(candidate: Path, names: tuple[str, ...], books_path: Path, as_json: bool) -> None:
    """Run a product under each fault, and say what it reported; 1 when a case is failed."""
    books, cases = _books(books_path), [one for one in CASES if not names or one.name in names]
    with TemporaryDirectory(prefix="scorecard-") as folder:
        try:
            product = scorecard.read(candidate, Path(folder))
            results = scorecard.run(product, cases, books, (lambda _: None) if as_json else _show_result)
        except scorecard.CandidateError as wrong:
            raise click.ClickException(str(wrong)) from wrong
    failed = [one.name for one in results if one.wrong]
    if as_json:
        rows = [{**asdict(one), "passed": not one.wrong} for one in results]
        _say(
            {"candidate": product.facts["name"], "passed": len(results) - len(failed), "failed": failed, "cases": rows}
        )
    else:
        click.echo(f"{product.facts['name']}: {len(results) - len(failed)} of {len(results)} passed")
    sys.exit(1 if failed else 0)


def _show_result(one: scorecard.Result) -> None:
    click.echo(f"{'FAIL' if one.wrong else 'pass'}  {one.name}\n      ERP: {one.erp}")
    click.echo(f"      must report: {one.must}\n      reported: {one.reported}")
    for wrong in one.wrong:
        click.echo(f"      - {wrong}")


def _one_of(url: str | None, folder: Path | None) -> None:
    if (url is None) == (folder is None):
        raise click.UsageError("give either --db or --drop")


def _books(path: Path) -> Books:
    try:
        return read_books(path)
    except (BooksError, OSError) as wrong:
        raise click.ClickException(str(wrong)) from wrong


def _say(summary: dict[str, Any]) -> None:
    click.echo(json.dumps(summary, ensure_ascii=False))
