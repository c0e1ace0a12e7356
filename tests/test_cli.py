"""The command as people and scripts use it: one object with --json, designed errors, documented exit codes."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from claims import claim, deliver
from click.testing import CliRunner, Result

from etl.cli import EXIT_CODES, main
from sandbox import sample

PROJECT = Path(__file__).resolve().parents[1]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("CLAIMPOST_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("CLAIMPOST_MAPPINGS", str(PROJECT / "mappings"))
    monkeypatch.delenv("CLAIMPOST_STORE_URL", raising=False)
    return tmp_path / "home"


def claimpost(*words: object) -> Result:
    return CliRunner().invoke(main, [str(word) for word in words], catch_exceptions=False)


def shown(*words: object) -> dict[str, Any]:
    result = claimpost(*words, "--json")
    assert 0 == result.exit_code, result.stderr
    parsed: dict[str, Any] = json.loads(result.stdout)
    return parsed


def test_a_run_and_every_question_about_it(home: Path, tmp_path: Path) -> None:
    files = tmp_path / "delivery"
    made = shown("sample", "--reports", 30, "--seed", 3, "--out", files)
    run = shown("run", "sample", "--input", files)
    batches = shown("status")["batches"]
    batch = shown("show", "batch", batches[0]["batch_id"])
    journal = shown("show", "journal", batch["members"][0]["journal_key"])
    report = shown("show", "report", journal["report_id"])
    proof = shown("reconcile", "sample", "--out", tmp_path / "report")

    assert made["lines"] == run["landed"]["lines"]
    assert run["batches"] == batches
    assert set(batches[0]) >= {"batch_id", "company", "period", "target", "state", "sha256", "journals", "debit"}
    assert {"reconciled"} == {b["state"] for b in batches}
    assert batch["journals"] == len(batch["members"])
    assert journal["lines"][0]["debit"] or journal["lines"][0]["credit"]
    assert sum(1 for line in journal["lines"]) == journal["lines"][-1]["line_no"]
    assert journal["answers"][0]["state"] == "posted"
    assert ["accepted"] == [o["outcome"] for o in report["outcomes"]]
    assert (True, 0) == (proof["explained"], proof["breaks"])
    assert all(Path(path).is_file() for path in proof["report_files"])


def test_people_see_tables_and_the_way_to_the_report(home: Path, tmp_path: Path) -> None:
    sample.write(tmp_path / "delivery", reports=30, seed=3)
    run = claimpost("run", "sample", "--input", tmp_path / "delivery")
    key = shown("status")["batches"][0]["batch_id"]

    assert 0 == run.exit_code
    assert "report.html" in run.stdout
    assert "breaks 0" in run.stdout
    assert key[:12] in claimpost("status").stdout
    assert "Everything agrees." in claimpost("reconcile", "sample").stdout
    assert "reconciled" in claimpost("show", "batch", key).stdout
    assert "Nothing new" in claimpost("run", "sample", "--input", tmp_path / "delivery").stdout


def test_what_is_too_wide_for_the_terminal_is_shown_cell_by_cell(home: Path, tmp_path: Path) -> None:
    """80 columns: a table of twenty columns would have two characters for each."""
    claimpost(
        "run", "sample", "--input", deliver(tmp_path / "in", [claim(Report_ID="R1", Amount="1,5", Report_Total="1.50")])
    )
    told = claimpost("show", "report", "R1").stdout

    assert "\nrejects 1 of 1\n" in told
    assert "\n  code            MONEY\n" in told
    assert "\n  reason          Amount '1,5' is not an amount (written like 1234.50).\n" in told
    assert "journals: none" in told and "│" not in told


@pytest.mark.parametrize(
    ("names", "said"),
    [
        ([], "Nothing new: no file lies in {inbox}."),
        (["notes.txt"], "Nothing new: in {inbox} lies notes.txt, no name of the feed (expenses_"),
        (
            [f"expenses_2026-02_00{number}.csv" for number in range(1, 8)],
            "Nothing new: in {inbox} expenses_2026-02_001.csv, expenses_2026-02_002.csv, expenses_2026-02_003.csv, "
            "expenses_2026-02_004.csv, expenses_2026-02_005.csv and 2 more must wait until both a file and its .ok are "
            "there; then run it again.",
        ),
    ],
)
def test_a_run_that_takes_nothing_says_what_lies_at_the_source(home: Path, names: list[str], said: str) -> None:
    inbox = home / "sample/inbox"
    for name in names:
        inbox.mkdir(parents=True, exist_ok=True)
        (inbox / name).write_text("x")

    assert said.replace("{inbox}", str(inbox)) in claimpost("run", "sample").stdout
    dry = claimpost("run", "sample", "--dry-run", "--out", home / "out")
    assert (3, True) == (dry.exit_code, said.replace("{inbox}", str(inbox))[13:-1] in dry.stderr)


def test_a_file_that_has_not_settled_is_told_with_the_time_it_must_rest(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(PROJECT / "mappings", tmp_path / "mappings")
    feed = tmp_path / "mappings/feeds/sample.yml"
    feed.write_text(feed.read_text("utf-8").replace("complete: ok_file", "complete: settled"), "utf-8")
    monkeypatch.setenv("CLAIMPOST_MAPPINGS", str(tmp_path / "mappings"))
    deliver(home / "sample/inbox", [claim()])

    assert "expenses_2026-02_001.csv must wait until they have not changed for 60 seconds" in (
        claimpost("run", "sample").stdout
    )


def test_a_target_of_no_form_of_the_sandbox_erp_is_an_error(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(PROJECT / "mappings", tmp_path / "mappings")
    profile = tmp_path / "mappings/targets/beancount.yml"
    profile.write_text(profile.read_text("utf-8").replace('"{batch_id}.beancount"', '"{batch_id}.book"'), "utf-8")
    monkeypatch.setenv("CLAIMPOST_MAPPINGS", str(tmp_path / "mappings"))
    sample.write(tmp_path / "delivery", reports=30, seed=3)
    done = claimpost("run", "sample", "--input", tmp_path / "delivery")

    assert 5 == done.exit_code
    assert ".book of target 'beancount': it knows bundled target profiles only." in done.stderr
    assert "Take `simulator: yes` out of the feed" in done.stderr


@pytest.mark.parametrize("module", ["etl", "etl.cli"])
def test_the_command_can_be_started_as_a_module(module: str) -> None:
    done = subprocess.run([sys.executable, "-m", module, "--help"], capture_output=True, text=True, check=True)

    assert done.stdout.startswith("Usage: claimpost [OPTIONS] COMMAND [ARGS]...")


@pytest.mark.parametrize(
    ("words", "code", "text"),
    [
        (["run", "nonsense"], 3, "UNKNOWN_FEED  There is no feed 'nonsense'; there are: ca_travel_claims"),
        (["run", "sample", "--input", "nowhere"], 3, "NO_INPUT  nowhere holds no file that feed sample takes"),
        (["show", "report", "R-none"], 3, "NOT_FOUND  There is no report 'R-none' in the store."),
        (["show", "journal", "AAAA"], 3, "NOT_FOUND  There is no journal 'AAAA' in the store."),
        (["show", "batch", "B"], 3, "NOT_FOUND  There is no batch 'B' in the store."),
        (["run"], 2, "Missing argument 'FEED'"),
    ],
)
def test_an_error_says_what_and_what_to_do(home: Path, words: list[str], code: int, text: str) -> None:
    result = claimpost(*words)

    assert code == result.exit_code
    assert text in result.stderr
    assert code == 2 or "What to do: " in result.stderr
    assert "" == result.stdout


def test_mapping_check_names_every_mistake(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from books import FEED, write_mapping

    assert (
        "All feeds can be used: ca_travel_claims, concur_fis, concur_sae, sample, uk_birmingham_pcards."
        in claimpost("mapping", "check").stdout
    )
    folder = write_mapping(tmp_path / "m", feeds=FEED + "colour: red\n", journals="journal: [\n")
    monkeypatch.setenv("CLAIMPOST_MAPPINGS", str(folder))
    result = claimpost("mapping", "check")
    problems = json.loads(claimpost("mapping", "check", "--json").stdout)["problems"]

    assert 3 == result.exit_code
    assert "tiny.yml line 20" in result.stderr
    assert ["SCHEMA", "YAML"] == [p["code"] for p in problems]


def test_settings_that_make_no_sense_are_refused(home: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("CLAIMPOST_STORE_URL", "store.db")
    assert (3, True) == ((r := claimpost("status")).exit_code, "not a database URL" in r.stderr)
    monkeypatch.delenv("CLAIMPOST_STORE_URL")
    monkeypatch.setenv("CLAIMPOST_MAPPINGS", str(tmp_path / "none"))
    assert (3, True) == ((r := claimpost("status")).exit_code, "NO_MAPPINGS" in r.stderr)


def test_exit_codes_are_documented() -> None:
    readme = (PROJECT / "README.md").read_text("utf-8")

    assert list(range(7)) == list(EXIT_CODES)
    assert [] == [text for text in EXIT_CODES.values() if text not in readme]


def test_status_waits_for_no_library_of_the_steps(tmp_path: Path) -> None:
    code = "import sys; from etl import cli, listing; print([n for n in sys.argv[1:] if n in sys.modules])"
    steps = ["etl.pipeline", "pandera", "great_expectations", "paramiko", "jinja2", "xlsxwriter", "pyarrow.parquet"]

    done = subprocess.run(
        [sys.executable, "-c", code, *steps], capture_output=True, text=True, cwd=tmp_path, check=True
    )

    assert "[]" == done.stdout.strip()
