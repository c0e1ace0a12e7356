"""The worked cases that finance signs: each comes out as it is written, and a case that does not is shown."""

from __future__ import annotations

import json
import shutil
from functools import cache
from pathlib import Path

import pytest
from click.testing import CliRunner

from etl import cli, mapping
from etl.errors import ConfigurationError
from etl.pipeline import cases

MAPPINGS = Path(__file__).resolve().parents[1] / "mappings"
CASES = cases.read(MAPPINGS, "sample")


@cache
def books() -> mapping.Bundle:
    return mapping.load(MAPPINGS, "sample")


@pytest.mark.parametrize("case", CASES, ids=[case.path.stem for case in CASES])
def test_a_worked_case_comes_out_as_it_is_written(case: cases.Case) -> None:
    assert case.expected == cases.outcome(books(), MAPPINGS / "tables", case.lines)


def test_every_cent_of_every_line_of_every_case_comes_from_an_expense_line() -> None:
    lines = 0
    for case in CASES:
        made, _ = cases.booked(books(), MAPPINGS / "tables", case.lines)
        shares = made.lineage.groupby(["journal_key", "line_no"])["amount_minor"].sum()
        for line in made.lines.itertuples():
            net = line.debit_minor - line.credit_minor
            assert net == shares.get((line.journal_key, line.line_no), 0), (case.path.stem, line.account)
        lines += len(made.lines)
    assert lines >= 139


def test_there_are_cases_enough_and_every_counter_account_has_one() -> None:
    counters = {row.cells["account"] for rows in books().tables["counter"].rows.values() for row in rows}

    assert len(CASES) >= 60
    assert set() == {account for account in counters if not any(f"  {account}  " in one.expected for one in CASES)}


@pytest.fixture
def copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Mappings of this test's own; out: the folder of the cases."""
    shutil.copytree(MAPPINGS, tmp_path / "mappings")
    monkeypatch.setenv("CLAIMPOST_MAPPINGS", str(tmp_path / "mappings"))
    return tmp_path / "mappings/cases/sample"


def test_a_changed_table_shows_the_cases_it_changes_and_rewrites_them_when_asked(copied: Path) -> None:
    table = copied.parents[1] / "tables/sample_account.csv"
    table.write_text(table.read_text("utf-8").replace("*,PARKING,660211", "*,PARKING,660299"), "utf-8")
    case = copied / "300_parking.txt"
    case.write_text("Parking\n\nexpense_type | gross | report_total\nPARKING | 5.00 | 5.00\n=>\nas before\n", "utf-8")
    before = CliRunner().invoke(cli.main, ["mapping", "cases", "sample"])
    done = CliRunner().invoke(cli.main, ["mapping", "cases", "sample", "--rewrite"])
    after = CliRunner().invoke(cli.main, ["mapping", "cases", "sample", "--json"])

    assert (1, f"{len(CASES) + 1} cases, 1 different.\n") == (before.exit_code, before.stdout)
    assert "300_parking.txt\n--- as written\n+++ now" in before.stderr and "-as before" in before.stderr
    assert (0, f"{len(CASES) + 1} cases, 1 rewritten.\n") == (done.exit_code, done.stdout)
    assert (0, True) == (after.exit_code, '"different": []' in after.stdout)
    assert "  debit   660299            5.00  cost_center 0010" in case.read_text("utf-8")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("Title\n\ngross\n5.00\n", "line 4: a case has a line =>"),
        ("Title\n\n=>\n", "line 2: no expense line is given"),
        ("Title\n\ngross | report_total\n5.00\n=>\n", "line 4: no expense line is given"),
        ("Title\n\ngross | report_total\n5.00 | 5.00 | 1\n=>\n", "line 4: 3 cells, the header has 2"),
        (
            "Title\n\ngross | colour\n5.00 | red\n=>\n",
            "line 3: no field 'colour'; there are account, advance_id, allocation_no, ",
        ),
        ("Title\n\ngross | line_no\n5.00 | one\n=>\n", "line_no 'one' is no whole number"),
        ("Title\n\ngross | report_total\n5.0.0 | 5.00\n=>\n", "gross_minor '5.0.0' is not an amount"),
    ],
)
def test_a_case_that_cannot_be_read_is_named_with_file_and_line(copied: Path, text: str, said: str) -> None:
    (copied / "300_odd.txt").write_text(text, "utf-8")

    with pytest.raises(ConfigurationError) as caught:
        cases.read(copied.parents[1], "sample")
    assert said in str(caught.value) and "300_odd.txt" in str(caught.value)


def test_every_case_that_cannot_be_read_is_named_at_once(copied: Path) -> None:
    (copied / "300_odd.txt").write_text("Title\n\ngross | colour\n5.00 | red\n=>\n", "utf-8")
    (copied / "301_odd.txt").write_text("Title\n", "utf-8")
    (copied / "defaults.txt").write_text("no table\n", "utf-8")
    done = CliRunner().invoke(cli.main, ["mapping", "cases", "sample"])
    as_json = CliRunner().invoke(cli.main, ["mapping", "cases", "sample", "--json"])

    assert (3, "") == (done.exit_code, done.stdout)
    assert "3 problems.\n" in done.stderr
    assert all(f"{name}.txt line " in done.stderr for name in ("300_odd", "301_odd", "defaults"))
    assert (3, 3, len(CASES)) == (
        as_json.exit_code, as_json.stdout.count('"code": "TABLE"'), json.loads(as_json.stdout)["cases"]
    )  # fmt: skip
