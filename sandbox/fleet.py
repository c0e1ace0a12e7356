"""An Airflow with Celery workers on this machine, each with a home of its own; they share Redis, PostgreSQL and an S3.

For the tests and `python -m bench.wide`. Feeds are copies of the sample, and each report is a batch by itself. A DAG
of a feed has the project's own task `deliver` and nothing else, one run for each batch.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from urllib.error import HTTPError
from urllib.parse import quote

import psutil

from etl import config, pipeline
from sandbox import ui

PROJECT: Final = Path(__file__).resolve().parent.parent
URL: Final = "s3://claimpost/fleet"
# Longer than any task here takes, even on a busy machine; a dead worker's messages come back after it.
VISIBILITY_SECONDS: Final = 90
CONCURRENCY: Final = 2  # tasks of one worker at once
SECONDS_MAX: Final = 180
DAGS: Final = '''"""The project's own delivery, one DAG for each feed; a test's waiting."""
from datetime import datetime, timedelta
from airflow import sdk
from etl import airflow_tasks as tasks
waiting = {{"retry_delay": timedelta(seconds=2), "max_retry_delay": timedelta(seconds=2)}}
only = sdk.get_parsing_context().dag_id
for feed in {feeds}:
    dag_id = feed + "__deliver"
    if only in (None, dag_id):
        with sdk.DAG(dag_id, schedule=None, start_date=datetime(2025, 1, 1), params={{"batch_id": ""}},
                     max_active_runs=64, default_args={{**tasks.RETRIES, **waiting}}):
            tasks.deliver(feed)
'''


def hostname() -> str:
    """The name of the worker that runs a task, as Airflow notes it: all are on one machine here."""
    return os.environ.get("FLEET_NAME", "core")


@dataclass
class Fleet:
    """A running Airflow: its REST interface, the environment of its parts, and its workers by name."""

    folder: Path
    url: str
    address: str
    environment: dict[str, str]
    feeds: tuple[str, ...]
    stack: ExitStack
    workers: dict[str, Any] = field(default_factory=dict)
    api: Any = None

    def settings(self, name: str) -> config.Settings:
        """The settings of one worker, or of whoever looks: the home is its own."""
        store = "postgresql+psycopg" + self.url.format(database="claimpost")
        return config.Settings(self.folder / "homes" / name, self.folder / "mappings", store, URL)

    def context(self, feed_id: str, name: str = "core") -> pipeline.Context:
        """A feed, opened as on the machine of that name; this process's environment must be `environment`."""
        return pipeline.open(feed_id, settings=self.settings(name))

    @property
    def home_of_erp(self) -> Path:
        """Where the sandbox ERP has its folder."""
        return self.folder / "home" / "erp"

    def start(self, name: str) -> None:
        """Start a worker; it takes work at once."""
        words = [sys.executable, "-m", "airflow", "celery", "worker", "-H", f"{name}@%h", "--skip-serve-logs",
                 "--without-gossip", "--without-mingle", "--concurrency", str(CONCURRENCY)]  # fmt: skip
        own = {"FLEET_NAME": name, "CLAIMPOST_HOME": str(self.folder / "homes" / name)}
        logs = self.folder / "logs"
        (self.workers[name],) = self.stack.enter_context(ui.processes({name: words}, {**self.environment, **own}, logs))

    def kill(self, name: str) -> None:
        """The machine of a worker is gone: every process of it dies at once."""
        worker = self.workers[name]
        parts = [*worker.children(recursive=True), worker]
        for process in parts:
            process.kill()
        psutil.wait_procs(parts, timeout=SECONDS_MAX)

    def trigger(self, feed_id: str, batch_id: str) -> None:
        """Start the delivery of a batch."""
        body = {"logical_date": None, "conf": {"batch_id": batch_id}, "dag_run_id": batch_id}
        self.api.call("POST", f"/api/v2/dags/{feed_id}__deliver/dagRuns", body)

    def tasks(self) -> list[dict[str, Any]]:
        """Every task of every run: its state, tries, and the worker of its last try."""
        found: list[dict[str, Any]] = []
        for feed_id in self.feeds:
            path = f"/api/v2/dags/{feed_id}__deliver/dagRuns/~/taskInstances?limit=100"
            found += self.api.call("GET", path)["task_instances"]
        return found

    def done(self, state: str = "success") -> int:
        """How many tasks are over so."""
        return sum(task["state"] == state for task in self.tasks())


def until(ready: Callable[[], Any], what: str, seconds: float = SECONDS_MAX) -> None:
    """Wait until it is so."""
    deadline = time.monotonic() + seconds
    while not ready():
        assert time.monotonic() < deadline, f"not within {seconds} s: {what}"
        time.sleep(1)


def mappings(folder: Path, feeds: tuple[str, ...]) -> Path:
    """The project's mappings with these copies of the sample: one journal a batch, no gate, the ERP left to us."""
    shutil.copytree(PROJECT / "mappings", folder)
    told = (folder / "feeds/sample.yml").read_text("utf-8").replace("simulator: yes", "simulator: no")
    told = told[: told.index("gate:\n")] + told[told.index("acknowledge_within_hours") :]
    for feed_id in feeds:
        one = told.replace("feed: sample\n", f"feed: {feed_id}\n").replace("sample_source", f"{feed_id}_source")
        (folder / f"feeds/{feed_id}.yml").write_text(one.replace('"20000"', '"1"'), "utf-8")
    return folder


def put_delivery(inbox: Path, content: bytes) -> None:
    """A file and its .ok at a source."""
    inbox.mkdir(parents=True)
    path = inbox / "expenses_2026-02_001.csv"
    path.write_bytes(content)
    path.with_name(path.name + ".ok").write_text(f"{len(content)} {hashlib.sha256(content).hexdigest()}\n")


@contextmanager
def fleet(folder: Path, feeds: tuple[str, ...]) -> Iterator[Fleet]:
    """Start everything but the workers; whatever was started is gone at the end."""
    with ExitStack() as stack:
        url = stack.enter_context(ui.postgres(folder / "postgres"))
        s3 = stack.enter_context(_s3(folder / "logs"))
        redis = stack.enter_context(_redis(folder))
        port, dags, home = ui.free_port(0), folder / "dags", folder / "home"
        dags.mkdir()
        (dags / "fleet.py").write_text(DAGS.format(feeds=feeds))
        environment = ui.settings(home, url, port, "fleet") | _celery(url, redis) | s3 | {
            "AIRFLOW__CORE__DAGS_FOLDER": str(dags),
            "CLAIMPOST_MAPPINGS": str(mappings(folder / "mappings", feeds)),
            "CLAIMPOST_OBJECTS": URL,
            "AIRFLOW_CONN_SAMPLE_ERP_DB": "postgresql+psycopg" + url.format(database="erp"),
            "AIRFLOW_CONN_SAMPLE_ERP_DROP": f"file:{home / 'erp' / 'drop'}",
            **{f"AIRFLOW_CONN_{feed.upper()}_SOURCE": f"file:{folder / 'inbox' / feed}" for feed in feeds},
        }  # fmt: skip
        ui.prepare(home, url, environment)
        commands, logs = ui.commands(port), folder / "logs"
        commands.pop("triggerer")
        running = stack.enter_context(ui.processes(commands, environment, logs))
        address = f"http://127.0.0.1:{port}"
        ui.wait_until(lambda: _well(address), running, logs)
        here = Fleet(folder, url, address, environment, feeds, stack)
        here.api = ui.Api(address, "fleet")
        for feed_id in feeds:
            until(lambda one=feed_id: _unpaused(here, one), f"{feed_id} is read")
        yield here


def _unpaused(here: Fleet, feed_id: str) -> bool:
    try:
        here.api.call("PATCH", f"/api/v2/dags/{quote(feed_id)}__deliver", {"is_paused": False})
    except HTTPError:
        return False
    return True


def _well(address: str) -> bool:
    try:
        with urllib.request.urlopen(f"{address}/api/v2/monitor/health", timeout=5) as answer:
            told = answer.read().decode()
    except (OSError, HTTPError):
        return False
    return told.count('"healthy"') >= 3


def _celery(url: str, redis: str) -> dict[str, str]:
    return {
        "AIRFLOW__CORE__EXECUTOR": "CeleryExecutor",
        "AIRFLOW__CORE__PARALLELISM": "16",
        "AIRFLOW__CORE__HOSTNAME_CALLABLE": "sandbox.fleet.hostname",
        "AIRFLOW__CELERY__BROKER_URL": redis,
        "AIRFLOW__CELERY__RESULT_BACKEND": "db+postgresql+psycopg2" + url.format(database="airflow"),
        "AIRFLOW__CELERY_BROKER_TRANSPORT_OPTIONS__VISIBILITY_TIMEOUT": str(VISIBILITY_SECONDS),
        "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "20",
        "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT_DETECTION_INTERVAL": "2",
        "AIRFLOW__WORKERS__MIN_HEARTBEAT_INTERVAL": "2",
    }


@contextmanager
def _redis(folder: Path) -> Iterator[str]:
    port = ui.free_port(0)
    words = ["redis-server", "--bind", "127.0.0.1", "--port", str(port), "--save", "", "--appendonly", "no"]
    with ui.processes({"redis": [*words, "--dir", str(folder)]}, dict(os.environ), folder / "logs"):
        yield f"redis://127.0.0.1:{port}/0"


@contextmanager
def _s3(logs: Path) -> Iterator[Mapping[str, str]]:
    """An S3 with the bucket of URL; yields the environment in which any client finds it."""
    port = ui.free_port(0)
    address = f"http://127.0.0.1:{port}"
    words = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    with ui.processes({"s3": words}, dict(os.environ), logs):
        until(lambda: _made(f"{address}/claimpost"), "S3 answers", 60)
        yield {
            "AWS_ENDPOINT_URL_S3": address, "AWS_DEFAULT_REGION": "us-east-1", "AWS_ACCESS_KEY_ID": "claimpost",
            "AWS_SECRET_ACCESS_KEY": "claimpost", "AWS_EC2_METADATA_DISABLED": "true",
        }  # fmt: skip


def _made(bucket: str) -> bool:
    try:
        urllib.request.urlopen(urllib.request.Request(bucket, method="PUT"), timeout=5).close()
    except OSError:
        return False
    return True
