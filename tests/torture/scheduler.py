"""A whole Airflow on this machine, scheduler and PostgreSQL included, whose processes a test may kill, pause or miss.

Its DAGs are the project's own; only the waiting is a test's: retries after seconds, a dead task noticed after ten.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Final
from urllib.error import HTTPError
from urllib.parse import quote, unquote

import psutil
import way
from sqlalchemy import create_engine, text

from sandbox import ui

SECONDS_MAX: Final = 120  # for anything that is waited for
DEAD_SECONDS: Final = 8  # without a sign of life of a task's supervisor
RETRY_SECONDS: Final = 2
FEED: Final = "sample"
OVER: Final = ("success", "failed")
QUICKER: Final = {
    "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": str(DEAD_SECONDS),
    "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT_DETECTION_INTERVAL": "1",
    "AIRFLOW__SCHEDULER__ORPHANED_TASKS_CHECK_INTERVAL": "5",
    "AIRFLOW__SCHEDULER__SCHEDULER_HEALTH_CHECK_THRESHOLD": "10",
    "AIRFLOW__WORKERS__EXECUTION_API_RETRIES": "2",
    "AIRFLOW__WORKERS__EXECUTION_API_RETRY_WAIT_MAX": "1",
}
DAGS: Final = '''"""The DAGs of the project in Airflow, with a test's waiting."""
import runpy
from datetime import timedelta
from etl import airflow_tasks as tasks
tasks.RETRIES |= {{"retry_delay": timedelta(seconds={delay}), "max_retry_delay": timedelta(seconds={delay})}}
tasks.acknowledge = tasks.acknowledge.override(poke_interval=1)
runpy.run_path("{dags}/expense_to_erp.py", run_name="dags_of_a_test")
'''


@dataclass
class Airflow:
    """A running Airflow: its home, its databases, its REST interface and its processes."""

    home: Path
    url: str
    port: int
    environment: dict[str, str]
    stack: ExitStack
    password: str = "torture"
    processes: dict[str, Any] = field(default_factory=dict)

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @cached_property
    def api(self) -> ui.Api:
        return ui.Api(self.address, self.password)

    def database(self, name: str) -> str:
        """The URL of one of its databases."""
        return "postgresql+psycopg" + self.url.format(database=name)

    def start(self, *names: str) -> None:
        """Start these parts and wait until all of Airflow is well."""
        commands = {name: command for name, command in ui.commands(self.port).items() if name in names}
        logs = self.home / "logs"
        running = self.stack.enter_context(ui.processes(commands, self.environment, logs))
        self.processes |= dict(zip(commands, running, strict=True))
        ui.wait_until(lambda: ui.healthy(self.address), running, logs)

    def kill(self, name: str, whole: bool = False) -> None:
        """Kill one part; what it started lives on, unless the `whole` of it is to go."""
        parts = [*(self.processes[name].children(recursive=True) if whole else ()), self.processes[name]]
        for process in parts:
            process.kill()
        psutil.wait_procs(parts, timeout=SECONDS_MAX)

    # --- runs and tasks

    def trigger(self, step: str, **conf: str) -> str:
        """Start a run by hand; out: where the REST interface has it."""
        runs = f"/api/v2/dags/{FEED}__{step}/dagRuns"
        made = self.api.call("POST", runs, {"logical_date": None, "conf": conf})
        return f"{runs}/{quote(made['dag_run_id'])}"

    def runs(self, step: str) -> list[str]:
        """Every run of a DAG, as `trigger` names it."""
        runs = f"/api/v2/dags/{FEED}__{step}/dagRuns"
        return [f"{runs}/{quote(run['dag_run_id'])}" for run in self.api.call("GET", f"{runs}?limit=100")["dag_runs"]]

    def partitions(self, step: str) -> set[str]:
        """What the runs of a DAG that the scheduler started are for."""
        runs = [self.api.call("GET", run) for run in self.runs(step)]
        return {run["partition_key"] for run in runs if run["partition_key"]}

    def unpause(self, *steps: str) -> None:
        """Switch DAGs on; one with a schedule does the run that is due."""
        for step in steps:
            dag = f"/api/v2/dags/{FEED}__{step}"
            until(lambda dag=dag: self._there(dag), f"{dag} is read")
            self.api.call("PATCH", dag, {"is_paused": False})

    def clear(self, run: str, *task_ids: str) -> None:
        """Have tasks of a run, or all of it, done again."""
        dag, run_id = run.split("/dagRuns/")
        wanted = {"task_ids": list(task_ids)} if task_ids else {}
        clear = {"dry_run": False, "only_failed": False, "dag_run_id": unquote(run_id), **wanted}
        self.api.call("POST", f"{dag}/clearTaskInstances", clear)

    def _there(self, path: str) -> bool:
        try:
            return bool(self.api.call("GET", path))
        except HTTPError:
            return False

    def task(self, run: str, task_id: str) -> dict[str, Any]:
        """A task of a run: its id (another one for each try), state and number of tries."""
        return dict(self.api.call("GET", f"{run}/taskInstances/{task_id}"))

    def state(self, run: str) -> str:
        """How a run stands, when it is over."""
        until(lambda: self.api.call("GET", run)["state"] in OVER, f"{run} is over")
        return str(self.api.call("GET", run)["state"])

    def child(self, run: str, task_id: str, tries: int = 1) -> psutil.Process:
        """The process in which a task runs, at its try; its parent is its supervisor."""

        def found() -> psutil.Process | None:
            one = self.task(run, task_id)
            title = [f"airflow worker -- {one['id']}"]
            alive = [
                process for process in psutil.process_iter(["cmdline"]) if (process.info["cmdline"] or [])[:1] == title
            ]
            return alive[0] if alive and one["try_number"] >= tries else None

        process: psutil.Process = until(found, f"{task_id} runs")
        return process


def until(ready: Callable[[], Any], what: str, seconds: float = SECONDS_MAX) -> Any:
    """Wait until it is so; out: what ready() said."""
    deadline = time.monotonic() + seconds
    while not (said := ready()):
        assert time.monotonic() < deadline, f"not within {seconds} s: {what}"
        time.sleep(0.2)
    return said


@contextmanager
def folder() -> Iterator[Path]:
    """A folder that PostgreSQL's own account may enter too; pytest's are not."""
    with tempfile.TemporaryDirectory(prefix="cp-airflow-") as name:
        Path(name).chmod(0o711)
        yield Path(name)


@contextmanager
def airflow(folder: Path) -> Iterator[Airflow]:
    """Start all of it; whatever it started is gone at the end."""
    with ExitStack() as stack:
        url = stack.enter_context(ui.postgres(folder / "postgres"))
        port, dags = ui.free_port(0), folder / "dags"
        dags.mkdir()
        (dags / "quicker.py").write_text(DAGS.format(delay=RETRY_SECONDS, dags=way.PROJECT / "dags"))
        environment = ui.settings(folder / "home", url, port, Airflow.password) | QUICKER
        environment |= {"AIRFLOW__CORE__DAGS_FOLDER": str(dags), "CLAIMPOST_MAPPINGS": str(folder / "mappings")}
        for feed in (way.mappings_for(folder / "mappings", simulator="yes") / "feeds").glob("*.yml"):
            if feed.stem != FEED:  # fewer DAGs to read for each task
                feed.unlink()
        _another_database(url, "undisturbed")
        ui.prepare(folder / "home", url, environment)
        here = Airflow(folder / "home", url, port, environment, stack)
        here.start(*ui.commands(port))
        yield here


def _another_database(url: str, name: str) -> None:
    admin = create_engine("postgresql+psycopg" + url.format(database="postgres"), isolation_level="AUTOCOMMIT")
    with admin.connect() as connection:
        connection.execute(text(f"CREATE DATABASE {name}"))
    admin.dispose()


def left_over(folder: Path) -> list[str]:
    """Every process whose environment or command names this folder."""
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.NoSuchProcess, psutil.AccessDenied, psutil.ZombieProcess):
            if str(folder) in " ".join([*process.cmdline(), *process.environ().values()]):
                found.append(" ".join(process.cmdline()))
    return found
