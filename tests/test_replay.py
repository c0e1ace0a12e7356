"""What a changed mapping would change: past files through both, document by document and account by account."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from claims import claim, deliver
from click.testing import CliRunner

from etl import cli, pipeline
from etl.pipeline import replay

PROJECT = Path(__file__).resolve().parents[1]


@pytest.fixture
def landed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> pipeline.Context:
    """Three claims, posted: a taxi and a train in February, a taxi in March."""
    monkeypatch.setenv("CLAIMPOST_HOME", str(tmp_path / "home"))
    march = claim(Report_ID="R3", Approved="2026-03-10T01:00:00Z")
    lines = [claim(Report_ID="R1"), claim(Report_ID="R2", Expense_Type="TRAIN", Amount="20.00"), march]
    context = pipeline.open("sample")
    assert 3 == pipeline.run(context, deliver(tmp_path / "in", lines))["posted"]
    return context


def changed(folder: Path, old: str, new: str, table: str = "sample_account.csv") -> Path:
    """The bundled mappings with one change in a table."""
    shutil.copytree(PROJECT / "mappings", folder)
    path = folder / "tables" / table
    text = path.read_text("utf-8")
    assert old in text
    path.write_text(text.replace(old, new), "utf-8")
    return folder


def test_the_same_mapping_changes_nothing(landed: pipeline.Context) -> None:
    found = replay.difference(landed, PROJECT / "mappings", PROJECT / "mappings")

    assert (3, [], []) == (found["equal"], found["changed"], found["accounts"])


def test_another_account_shows_its_documents_and_both_sums(landed: pipeline.Context, tmp_path: Path) -> None:
    new = changed(tmp_path / "new", "*,TAXI,660201", "*,TAXI,660299")
    found = replay.difference(landed, PROJECT / "mappings", new)

    credit = "credit  224101           45.00  party E1, text Payable to employee"
    assert ["R1", "R3"] == [one["report_id"] for one in found["changed"]]
    assert [
        "on 2026-02-10 at 1",
        "debit   660201           45.00  cost_center 0010, tax_code Z0, text TAXI Taxi",
        credit,
    ] == found["changed"][0]["old"]
    assert [
        "on 2026-02-10 at 1",
        "debit   660299           45.00  cost_center 0010, tax_code Z0, text TAXI Taxi",
        credit,
    ] == found["changed"][0]["new"]
    assert [("660201", "90.00", "0.00"), ("660299", "0.00", "90.00")] == [
        (one["account"], one["old"], one["new"]) for one in found["accounts"]
    ]


def test_a_period_keeps_its_own_documents(landed: pipeline.Context, tmp_path: Path) -> None:
    new = changed(tmp_path / "new", "*,TAXI,660201", "*,TAXI,660299")
    found = replay.difference(landed, PROJECT / "mappings", new, "2026-03")

    assert (0, ["R3"]) == (found["equal"], [one["report_id"] for one in found["changed"]])


def test_a_report_that_would_be_held_has_no_journal_on_that_side(landed: pipeline.Context, tmp_path: Path) -> None:
    new = changed(tmp_path / "new", "*,TRAIN,660202,2025-01-01", "*,TRAIN,660202,2026-03-01")
    found = replay.difference(landed, PROJECT / "mappings", new)

    assert [("R2", [])] == [(one["report_id"], one["new"]) for one in found["changed"]]


def test_a_journal_that_differs_in_its_text_only_is_a_change(landed: pipeline.Context, tmp_path: Path) -> None:
    new = tmp_path / "new"
    shutil.copytree(PROJECT / "mappings", new)
    journals = new / "journals" / "group_expense.yml"
    journals.write_text(journals.read_text("utf-8").replace("{expense_type} {description}", "{description}"), "utf-8")
    found = replay.difference(landed, PROJECT / "mappings", new)

    assert (0, 3, []) == (found["equal"], len(found["changed"]), found["accounts"])


def test_the_command_exits_1_and_posts_nothing(landed: pipeline.Context, tmp_path: Path) -> None:
    old, new = str(PROJECT / "mappings"), str(changed(tmp_path / "new", "*,TAXI,660201", "*,TAXI,660299"))
    shown = CliRunner().invoke(cli.main, ["mapping", "diff", old, new, "--feed", "sample"])
    told = CliRunner().invoke(cli.main, ["mapping", "diff", old, old, "--feed", "sample", "--json"])

    assert (1, True) == (shown.exit_code, "2 journals change, 1 stay." in shown.stdout)
    assert "  + debit   660299           45.00  cost_center 0010" in shown.stdout
    assert (0, 3) == (told.exit_code, json.loads(told.stdout)["equal"])
    assert 1 == len({batch.run_id for batch in landed.store.batches()})
