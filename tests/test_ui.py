"""`make ui`: starts whole, shows the DAGs, runs one, and leaves no process behind."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from sandbox import ui

PROJECT = Path(__file__).resolve().parent.parent
STEPS = ("build", "extract", "load", "reconcile")
RUN_SECONDS = 120


def processes_of(home: Path) -> list[str]:
    """Every process whose environment or command line names this home."""
    found = []
    for process in psutil.process_iter():
        try:
            if str(home) in " ".join([*process.cmdline(), process.environ().get("CLAIMPOST_HOME", "")]):
                found.append(" ".join(process.cmdline()))
        except (psutil.NoSuchProcess, psutil.AccessDenied, psutil.ZombieProcess):
            continue
    return found


def wait_for(ready: Callable[[], bool]) -> None:
    deadline = time.monotonic() + RUN_SECONDS
    while not ready():
        assert time.monotonic() < deadline, "it took too long"
        time.sleep(0.5)


@pytest.fixture
def started(tmp_path: Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A running `make ui` with a home of its own, and what it said when it was up."""
    command = [sys.executable, "-m", "sandbox.ui", "--port", "0"]
    environment = {**os.environ, "CLAIMPOST_HOME": str(tmp_path), "PYTHONUNBUFFERED": "1"}
    process = subprocess.Popen(
        command, cwd=PROJECT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    assert process.stdout
    said = ""
    while "Ctrl-C" not in said:
        line = process.stdout.readline()
        assert line, said
        said += line
    yield process, said
    if process.poll() is None:
        process.terminate()
        process.wait(60)


@pytest.mark.slow
@pytest.mark.xdist_group("airflow")
def test_it_starts_whole_runs_a_dag_and_stops_whole(started: tuple[subprocess.Popen[str], str], tmp_path: Path) -> None:
    process, said = started
    address, password = re.findall(r"at (http://\S+)  user admin  password (\S+)", said)[0]
    api = ui.Api(address, password)
    runs = "/api/v2/dags/sample__extract/dagRuns"

    assert ui.healthy(address)
    found = api.call("GET", "/api/v2/dags?dag_id_pattern=sample__%25")["dags"]
    assert sorted((dag["dag_id"], dag["is_paused"]) for dag in found) == [(f"sample__{step}", False) for step in STEPS]

    run_id = api.call("POST", runs, {"logical_date": None, "conf": {}})["dag_run_id"]
    wait_for(lambda: api.call("GET", f"{runs}/{run_id}")["state"] in ("success", "failed"))
    assert api.call("GET", f"{runs}/{run_id}")["state"] == "success"

    process.send_signal(signal.SIGINT)
    assert process.wait(60) == 0
    assert processes_of(tmp_path) == []
