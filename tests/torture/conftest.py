"""The figures at the end, and worlds to kill runs in."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import way
from effort import FIGURES, WHOLE

# Minutes, most of them waiting for Airflow to notice what happened.
collect_ignore = [] if WHOLE else ["test_scheduler.py"]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """One line of figures: what the passed tests tried, by `record_property`."""
    tried: Counter[str] = Counter()
    for report in terminalreporter.stats.get("passed", []):
        for name, value in report.user_properties:
            tried[name] += int(value) if name in FIGURES else 0
    if tried:
        terminalreporter.write_line("Tried: " + ", ".join(f"{tried[name]:,} {name}" for name in FIGURES))


@pytest.fixture(scope="module")
def mappings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The mappings that every world uses."""
    return way.mappings_for(tmp_path_factory.mktemp("torture") / "mappings")


@pytest.fixture
def near(mappings: Path, tmp_path: Path, postgres_url: str) -> Iterator[way.World]:
    """Store in SQLite, source and drop in folders of this machine, table on PostgreSQL; the ERP keeps what it took."""
    inbox, drop = tmp_path / "inbox", tmp_path / "drop"
    world = way.World(
        tmp_path, mappings, f"sqlite:///{tmp_path}/home/store.db", postgres_url, inbox, drop,
        {"AIRFLOW_CONN_SAMPLE_SOURCE": f"file:{inbox}", "AIRFLOW_CONN_SAMPLE_ERP_DROP": f"file:{drop}",
         "AIRFLOW_CONN_SAMPLE_ERP_DB": postgres_url},
    )  # fmt: skip
    yield world
    world.close()


@pytest.fixture
def far(
    mappings: Path, tmp_path: Path, postgres_url: str, second_postgres_url: str, sftp_server: Any
) -> Iterator[way.World]:
    """Store on PostgreSQL, source and drop on a real sshd, table on PostgreSQL; the ERP deletes what it took."""
    inbox, drop = sftp_server.folder / "inbox", sftp_server.folder / "drop"
    world = way.World(
        tmp_path, mappings, second_postgres_url, postgres_url, inbox, drop,
        {"AIRFLOW_CONN_SAMPLE_SOURCE": sftp_server.uri(inbox), "AIRFLOW_CONN_SAMPLE_ERP_DROP": sftp_server.uri(drop),
         "AIRFLOW_CONN_SAMPLE_ERP_DB": postgres_url},
        removes=True,
    )  # fmt: skip
    yield world
    world.close()


@pytest.fixture
def world(request: pytest.FixtureRequest) -> way.World:
    """The world that a test's parameter names."""
    named: way.World = request.getfixturevalue(request.param)
    return named
