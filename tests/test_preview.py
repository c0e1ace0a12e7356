"""A dry run shows to the byte what a run would post, and leaves no trace."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from claims import claim, deliver
from click.testing import CliRunner

from etl import cli, config, pipeline
from etl.pipeline.preview import preview
from sandbox import sample

PROJECT = Path(__file__).resolve().parents[1]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home of this test's own, as the command finds it."""
    monkeypatch.setenv("CLAIMPOST_HOME", str(tmp_path / "home"))
    return tmp_path


def opened() -> pipeline.Context:
    return pipeline.open("sample", settings=config.settings())


def amounts(result: dict[str, Any]) -> dict[str, Any]:
    names = ("accepted", "quarantined", "duplicate", "superseded", "reasons", "journals")
    return {name: result[name] for name in names}


def test_a_dry_run_renders_what_the_run_then_posts_to_the_byte(home: Path) -> None:
    sample.write(home / "delivery", reports=40, seed=6)
    dry = preview(opened(), home / "out", home / "delivery")
    empty = (opened().store.landings("sample"), opened().store.batches(), (home / "home/landing").exists())
    real = pipeline.run(opened(), home / "delivery")
    sealed = {path.name: path.read_bytes() for path in (home / "home/batches").glob("*/*.beancount")}

    assert ([], [], False) == empty
    assert amounts(dry) == amounts(real)
    assert {one["batch_id"] for one in dry["batches"]} == {one["batch_id"] for one in real["batches"]}
    assert sealed == {path.name: path.read_bytes() for path in (home / "out/beancount").iterdir()}
    assert len(sealed) > 0


def test_what_is_posted_already_is_a_duplicate_and_the_second_of_two_equal_files_too(home: Path) -> None:
    pipeline.run(opened(), deliver(home / "first", [claim(Report_ID="R1")]))
    deliver(home / "both", [claim(Report_ID="R1"), claim(Report_ID="R2")], "expenses_2026-02_002.csv")
    deliver(home / "both", [claim(Report_ID="R2")], "expenses_2026-02_003.csv")
    dry = preview(opened(), home / "out", home / "both")

    assert (1, 2, 1) == (dry["accepted"]["reports"], dry["duplicate"]["reports"], dry["journals"])


def test_a_file_with_the_same_records_in_other_bytes_is_a_duplicate_as_in_a_run(home: Path) -> None:
    """Also its bad claim: a run does not judge a repeated file, and neither does a dry run."""
    lines = [claim(Report_ID="R1"), claim(Report_ID="R2", State="draft")]
    deliver(home / "both", lines, "expenses_2026-02_001.csv")
    deliver(home / "both", lines[::-1], "expenses_2026-02_002.csv")
    dry = preview(opened(), home / "out", home / "both")
    real = pipeline.run(opened(), home / "both")
    again = preview(opened(), home / "out", home / "both")

    assert (1, 1, 2, {"STATUS": 1}) == (
        dry["accepted"]["reports"], dry["quarantined"]["reports"], dry["duplicate"]["reports"], dry["reasons"]
    )  # fmt: skip
    assert amounts(dry) == amounts(real)
    assert (0, 0, 4) == (again["accepted"]["reports"], again["quarantined"]["reports"], again["duplicate"]["reports"])


def test_the_reports_that_would_be_refused_are_named_with_line_and_field(home: Path) -> None:
    lines = [claim(Report_ID=f"R{number:02}", Amount="1,5", Report_Total="1.50") for number in range(12)]
    path = deliver(home / "in", [*lines, claim(Report_ID="R20", State="draft", Approved="")])
    arguments = ["run", "sample", "--input", str(path), "--dry-run", "--out", str(home / "out")]
    shown = CliRunner().invoke(cli.main, arguments).stdout
    told = json.loads(CliRunner().invoke(cli.main, [*arguments, "--json"]).stdout)

    assert "\n  CN01 R00 line 1: MONEY  Amount '1,5' is not an amount (written like 1234.50).\n" in shown
    assert "R09 line 1" in shown and "R10" not in shown
    assert "\n  ... and 3 more: `--json` lists them.\n" in shown
    assert (13, 13) == (told["refused_all"], len(told["refused"]))
    assert ("R20", 0, "STATUS", "state") == tuple(
        told["refused"][-1][name] for name in ("report_id", "line_no", "code", "field")
    )


def test_what_the_gate_would_hold_is_told_and_not_rendered(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(PROJECT / "mappings", home / "mappings")
    feed = home / "mappings/feeds/sample.yml"
    feed.write_text(feed.read_text("utf-8").replace('max: "1000000"', 'max: "1"'), "utf-8")
    monkeypatch.setenv("CLAIMPOST_MAPPINGS", str(home / "mappings"))
    path = deliver(home / "in", [claim(Report_ID="R1"), claim(Report_ID="R2")])
    arguments = ["run", "sample", "--input", str(path), "--dry-run", "--out", str(home / "out")]
    shown = CliRunner().invoke(cli.main, arguments)
    told = json.loads(CliRunner().invoke(cli.main, [*arguments, "--json"]).stdout)

    assert (1, 0, [path.name]) == (shown.exit_code, told["journals"], [one["file"] for one in told["files_held"]])
    assert "file held: expenses_2026-02_001.csv: gate.reports: 2, expected" in shown.stdout
    assert not (home / "out/oracle_ebs_gl_interface").exists()


def test_an_invoice_in_two_files_of_one_dry_run_is_found(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(PROJECT / "mappings", home / "mappings")
    feed = home / "mappings/feeds/sample.yml"
    feed.write_text(feed.read_text("utf-8").replace("\nchecks:\n", "\nchecks:\n  invoice_repeated: hold\n"), "utf-8")
    monkeypatch.setenv("CLAIMPOST_MAPPINGS", str(home / "mappings"))
    for number, report in enumerate(("R1", "R2"), 1):
        deliver(home / "in", [claim(Report_ID=report, Invoice="253120001")], f"expenses_2026-02_00{number}.csv")
    dry = preview(opened(), home / "out", home / "in")

    assert ({"INVOICE_REPEATED": 1}, 1) == (dry["reasons"], dry["journals"])


def test_the_source_keeps_its_files_and_a_bad_one_is_told(home: Path) -> None:
    inbox = home / "home/sample/inbox"
    sample.write(inbox, reports=20, seed=2)
    before = sorted(path.name for path in inbox.iterdir())
    bad = min(inbox.glob("*.csv"))
    bad.write_bytes(bad.read_bytes().replace(b"TRAILER", b"TRAILED"))
    result = CliRunner().invoke(cli.main, ["run", "sample", "--dry-run", "--out", str(home / "out"), "--json"])
    told = json.loads(result.stdout)

    assert (4, [bad.name]) == (result.exit_code, [one["file"] for one in told["files_rejected"]])
    assert before == sorted(path.name for path in inbox.iterdir())
    assert told["journals"] > 0


def test_the_command_says_that_nothing_was_sent_and_wants_a_folder(home: Path) -> None:
    path = deliver(home / "in", [claim()])
    shown = CliRunner().invoke(
        cli.main, ["run", "sample", "--input", str(path), "--dry-run", "--out", str(home / "out")]
    )
    alone = CliRunner().invoke(cli.main, ["run", "sample", "--dry-run"])
    none = CliRunner().invoke(
        cli.main, ["run", "sample", "--input", str(home / "nowhere"), "--dry-run", "--out", str(home / "out")]
    )

    assert (0, True) == (shown.exit_code, "1 journals would be posted; nothing was landed" in shown.stdout)
    assert (2, True) == (alone.exit_code, "--dry-run and --out belong together" in alone.stderr)
    assert (3, True) == (none.exit_code, "NO_INPUT" in none.stderr)
