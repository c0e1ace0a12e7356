"""The sizing page says what its formula says, from the figures that are kept in one place."""

from __future__ import annotations

import json
from pathlib import Path

from bench import sizing

PROJECT = Path(__file__).resolve().parents[1]
FIGURES = json.loads(sizing.FIGURES.read_text("utf-8"))
MONTHS = (1_000_000, 100_000_000, 1_000_000_000)


def test_the_page_shows_what_is_worked_out() -> None:
    page = (PROJECT / "docs/sizing.md").read_text("utf-8")
    told = page.partition("<!-- plan")[2].partition("<!-- end -->")[0].strip().splitlines()[3:]
    rows = [[f"{value:,}" for value in sizing.plan(lines, FIGURES).values()] for lines in MONTHS]

    assert [f"| {' | '.join(row)} |" for row in rows] == told


def test_ten_times_the_lines_take_ten_times_of_everything() -> None:
    small, large = (sizing.plan(lines, FIGURES) for lines in (10**9, 10**10))
    for name, value in small.items():
        assert abs(large[name] - 10 * value) <= 5, name  # rounded
