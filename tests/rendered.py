"""A batch of the small company (`books`) as a bundled target profile writes it."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
from books import bundle, expense_lines, shown

from etl import journal, mapping, render

TARGETS = Path(__file__).resolve().parents[1] / "mappings/targets"


def profile_text(name: str) -> str:
    """A bundled profile under the name `gl`, which the small company posts to."""
    return (TARGETS / f"{name}.yml").read_text("utf-8").replace(f"target: {name}", "target: gl")


def batch_of(books: mapping.Bundle, table: str) -> tuple[journal.Batch, pd.DataFrame, pd.DataFrame]:
    applied = mapping.apply(books, expense_lines(table))
    booked = journal.build(books, applied.lines, applied.parts)
    (batch,) = journal.batches(books, booked.headers)
    return batch, booked.headers, booked.lines


def by_profile(
    folder: Path, name: str, table: str, **changed: str
) -> tuple[bytes, journal.Batch, pd.DataFrame, pd.DataFrame]:
    """What the profile writes for the expense lines: bytes, the batch, and the journals' headers and lines."""
    books = bundle(folder, **{"gl": profile_text(name), **changed})
    batch, headers, lines = batch_of(books, table)
    profile = books.targets["gl"]
    assert [] == shown(render.check(profile, books, headers, lines), "code", "field", "value")
    payload = render.render(profile, books, batch, headers, lines)
    assert payload == render.render(profile, books, batch, headers, lines)
    return payload, batch, headers, lines


def refused(folder: Path, name: str, table: str, **changed: str) -> list[str]:
    """What the target cannot hold: code, place and value of each reject."""
    return [one.split(" ", 1)[1] for one in refused_reports(folder, name, table, **changed)]


def refused_reports(folder: Path, name: str, table: str, **changed: str) -> list[str]:
    """What the target cannot hold, of any number of companies: report, code, place and value of each reject."""
    books = bundle(folder, **{"gl": profile_text(name), **changed})
    applied = mapping.apply(books, expense_lines(table))
    booked = journal.build(books, applied.lines, applied.parts)
    rejects = render.check(books.targets["gl"], books, booked.headers, booked.lines)
    return shown(rejects, "report_id", "code", "field", "value")
