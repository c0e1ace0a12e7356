"""`make run`: the whole way on the sample through Airflow, and the same again."""

from __future__ import annotations

import json
import os
import re
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parent.parent


def make_run(home: Path) -> subprocess.CompletedProcess[str]:
    """What `make run` starts, with a home of its own."""
    environment = {**os.environ, "CLAIMPOST_HOME": str(home), "COLUMNS": "120"}
    command = [sys.executable, "-m", "sandbox.demo"]
    return subprocess.run(command, cwd=PROJECT, env=environment, capture_output=True, text=True, check=False)


def posted(home: Path) -> list[tuple[str, int]]:
    """Company and number of journals in the ERP's own ledger."""
    with sqlite3.connect(home / "erp/erp.db") as erp:
        query = "SELECT segment1, count(DISTINCT je_header_id) FROM gl_je_lines GROUP BY segment1 ORDER BY segment1"
        return erp.execute(query).fetchall()


@pytest.mark.slow
@pytest.mark.xdist_group("airflow")
def test_the_sample_is_posted_once_however_often_it_is_delivered(tmp_path: Path) -> None:
    first = make_run(tmp_path)
    ledger = posted(tmp_path)
    truth = json.loads((tmp_path / "sample/inbox/truth.json").read_text("utf-8"))
    again = make_run(tmp_path)
    table = dict(re.findall(r"(landed|quarantined|superseded)\D+([0-9,]+)", first.stdout))

    assert first.returncode == 0, first.stdout + first.stderr
    assert "breaks 0" in first.stdout
    assert table["quarantined"] == str(len(truth["faulty"]))
    assert table["superseded"] == str(len(truth["superseded"]))
    assert [company for company, _ in ledger] == ["CN01", "US01"]
    assert Path(re.findall(r"^Report: (.*)$", first.stdout, re.MULTILINE)[0]).is_file()

    assert again.returncode == 0, again.stdout + again.stderr
    assert "Nothing new" in again.stdout
    assert posted(tmp_path) == ledger
    assert "rror" not in first.stdout + again.stdout
