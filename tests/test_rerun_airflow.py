"""A load that failed because its target was away is run again in a real Airflow, while it still runs: loaded once."""

from __future__ import annotations

import hashlib
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from claims import claim, deliver
from test_ui import PROJECT, started, wait_for

from etl.airflow_api import AirflowApi, Facts, Task
from etl.rerun import rerun
from etl.transport.connections import Connection, from_text
from sandbox import ui

__all__ = ["started"]  # the fixture
JAPAN = {"Company": "JP01", "Currency": "JPY", "Amount": "4500", "Tax": "0"}


@pytest.fixture
def drop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The ERP's drop folder, which is away; nobody imports from it but the test. One claim waits at the source."""
    mappings = shutil.copytree(PROJECT / "mappings", tmp_path / "mappings")
    feed = mappings / "feeds/sample.yml"
    feed.write_text(feed.read_text("utf-8").replace("simulator: yes", "simulator: no"), "utf-8")
    path = deliver(tmp_path / "ui/sample/inbox", [claim(**JAPAN)])
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    path.with_name(path.name + ".ok").write_text(f"{path.stat().st_size} {digest}\n", "ascii")
    monkeypatch.setenv("CLAIMPOST_MAPPINGS", str(mappings))
    monkeypatch.setenv("AIRFLOW_CONN_SAMPLE_ERP_DROP", f"file:{tmp_path / 'drop'}")
    return tmp_path / "drop"


class Mending(AirflowApi):
    """Brings the target back just before the first clear, and from then on lets the ERP import what lies there."""

    def __init__(self, at: Connection, drop: Path) -> None:
        self.drop, self.states = drop, list[str]()
        super().__init__(at)

    def clear(self, dag_id: str, run_id: str, tasks: Any, note: str) -> None:
        self.cleared: list[Task] = tasks
        self._erp("prepare")
        super().clear(dag_id, run_id, tasks, note)

    def run(self, dag_id: str, run_id: str) -> Facts:
        found = super().run(dag_id, run_id)
        self.states.append(found["state"])
        if self.drop.exists():
            self._erp("import")
        return found

    def _erp(self, verb: str) -> None:
        command = [sys.executable, "-m", "sandbox.erp", verb, "--drop", str(self.drop)]
        subprocess.run(command, cwd=PROJECT, check=True, stdout=subprocess.DEVNULL)


@pytest.mark.slow
@pytest.mark.xdist_group("airflow")
def test_a_load_whose_target_was_away_is_run_again_while_it_runs_and_loads_once(
    drop: Path, request: pytest.FixtureRequest
) -> None:
    _, said = request.getfixturevalue("started")
    address, password = re.findall(r"at (http://\S+)  user admin  password (\S+)", said)[0]
    airflow = ui.Api(address, password)
    runs = "/api/v2/dags/sample__load/dagRuns"
    airflow.call("POST", "/api/v2/dags/sample__extract/dagRuns", {"logical_date": None, "conf": {}})
    wait_for(lambda: airflow.call("GET", runs)["dag_runs"])
    run_id = airflow.call("GET", runs)["dag_runs"][0]["dag_run_id"]

    at = from_text("airflow_api", address.replace("//", f"//{ui.USER}:{password}@"))
    with Mending(at, drop) as api:
        (found,) = rerun(api, "sample", run_id, minutes=10)

    assert "success" == found["state"]
    assert {"queued", "running"} & set(api.states[:1])  # it ran when we came
    assert "deliver" in api.cleared
    assert 1 == len(list((drop / "taken").iterdir()))
    ledger = next(drop.rglob("*.ledger.csv")).read_text("utf-8")
    assert 1 == len({line.split(",")[0] for line in ledger.splitlines()[1:]})
