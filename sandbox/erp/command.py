"""The ERP's command: prepare its tables or folder, and run an import. One JSON object on standard output."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click
from sqlalchemy import inspect
from sqlalchemy.engine import make_url

from sandbox.erp import drop as drop_folder
from sandbox.erp.books import DEFAULT, Books, BooksError, read_books
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
def import_journals(
    url: str | None, folder: Path | None, group: int | None, retry: bool, refuse_duplicates: bool, books_path: Path
) -> None:
    """Post what is good, refuse the rest with a code."""
    _one_of(url, folder)
    books = _books(books_path)
    if folder is not None:
        if group is not None or retry:
            raise click.UsageError("--group and --retry belong to --db")
        if not folder.is_dir():
            raise click.ClickException(f"{folder} is no folder; run prepare first")
        _say(drop_folder.import_folder(folder, books, refuse_duplicates=refuse_duplicates))
    elif url is not None:
        engine = open_database(url)
        if not inspect(engine).has_table(gl_interface.name):
            raise click.ClickException("the database has no interface table; run prepare first")
        _say(import_groups(engine, books, Options(group, retry, refuse_duplicates)))


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
