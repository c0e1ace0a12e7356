"""Eight ways to spoil a line, five lines, three phases: each attempt ends, and the next plain one makes it good."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import proxy as faults
import pytest
from attempt import AT, BEANCOUNT, ORACLE
from built import FEED, LANDING, batch, build, full_build, journals, outcomes
from effort import WHOLE
from sqlalchemy import text
from sqlalchemy.engine import make_url
from test_erp_table import ddl
from test_erp_table import payload as rows_payload

from etl import erp, sources, transport
from etl.errors import TransientError
from etl.store import Store
from etl.transport import databases, sftp
from etl.transport.connections import from_text

CONNECT, TRANSFER, FINISH = "connect", "transfer", "finish"
PHASES = (CONNECT, TRANSFER, FINISH)
HANG_SECONDS = 90
SHORT = {"ANSWER_SECONDS": 3, "BANNER_SECONDS": 3, "AUTHENTICATE_SECONDS": 3, "CONNECT_SECONDS": 3}
BYTES = b"0123456789abcdef" * 20_000
QUICK = {(faults.STALL, TRANSFER), (faults.RESET, TRANSFER), (faults.CUT, FINISH), (faults.LIMIT, CONNECT)}
Step = Callable[[], object]


@dataclass(frozen=True)
class Line:
    """One way to another machine: what is tried over it, and what must hold when it has succeeded."""

    proxy: faults.Proxy
    attempt: Callable[[str, str], object]
    is_good: Callable[[], bool]


def listening(proxy: faults.Proxy, phase: str, toxic: str, transfer: bytes, finish: bytes = b"COMMIT") -> None:
    """Poison a database's line in a phase; what is sent then can be read."""
    if phase == CONNECT:
        proxy.poison(toxic)
    else:
        proxy.poison_at(transfer if phase == TRANSFER else finish, toxic)


class Watched(sftp.SftpFolder):
    """A folder that says when it transfers and when it finishes: what is sent then cannot be read."""

    spoil: Callable[[str], None]

    def chunks(self, name: str) -> Iterator[bytes]:
        self.spoil(TRANSFER)
        yield from super().chunks(name)

    def write_new(self, name: str, content: bytes) -> None:
        self.spoil(TRANSFER)
        super().write_new(name, content)

    def posix_rename(self, old: str, new: str) -> None:
        if not old.startswith(".claimpost"):
            self.spoil(FINISH)
        super().posix_rename(old, new)


@contextmanager
def watched(url: str, proxy: faults.Proxy, phase: str, toxic: str) -> Iterator[Watched]:
    Watched.spoil = staticmethod(lambda now: proxy.poison(toxic) if toxic and now == phase else None)
    if toxic and phase == CONNECT:
        proxy.poison(toxic)
    with Watched(from_text("line", url)) as session:
        yield session


# --- the five lines


def _table(request: pytest.FixtureRequest, tmp_path: Path, kind: str) -> Iterator[Line]:
    url = make_url(request.getfixturevalue(f"{kind}_url"))
    places = {"postgres": Path(str(url.query.get("host"))) / ".s.PGSQL.5432"}
    place = places.get(kind) or Path(str(url.query["unix_socket"]))
    store, payload = Store.open(f"sqlite:///{tmp_path}/store.db"), rows_payload()
    direct = transport.engine(url.render_as_string(hide_password=False))
    with direct.begin() as connection:
        connection.execute(text(ddl({"postgres": "postgresql", "mariadb": "mysql"}[kind])))
    erp.staging.MANIFEST.create(direct)
    store.register_landing(FEED, LANDING, "a.csv", 3)
    accepted = outcomes(("R1", "accepted"), ("R2", "accepted"))
    store.record_build(build(outcomes=accepted, journals=journals("R1", "R2"),
                             **batch("B1", "R1", "R2", content=payload)))  # fmt: skip
    with faults.before(place) as proxy:
        spoiled = url.set(host="127.0.0.1", port=proxy.port, query={}).render_as_string(hide_password=False)

        def attempt(phase: str, toxic: str) -> object:
            engine = transport.engine(spoiled)
            if toxic:
                listening(proxy, phase, toxic, b"COPY" if kind == "postgres" else b"INSERT INTO")
            try:
                return erp.deliver_table(engine, ORACLE, store.begin_delivery("B1"), payload, AT)
            finally:
                engine.dispose()

        def is_good() -> bool:
            with direct.connect() as connection:
                rows = connection.execute(text("SELECT count(*) FROM gl_interface")).scalar_one()
            return (rows, len(erp.manifest(direct, ORACLE["target"]))) == (4, 1)

        yield Line(proxy, attempt, is_good)
    direct.dispose()
    store.close()


def postgres_target(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Line]:
    yield from _table(request, tmp_path, "postgres")


def mariadb_target(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Line]:
    yield from _table(request, tmp_path, "mariadb")


def postgres_store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Line]:
    url = make_url(request.getfixturevalue("postgres_url"))
    direct = Store.open(url.render_as_string(hide_password=False))
    direct.register_landing(FEED, LANDING, "a.csv", 3)
    with faults.before(Path(str(url.query["host"])) / ".s.PGSQL.5432") as proxy:
        spoiled = url.set(host="127.0.0.1", port=proxy.port, query={}).render_as_string(hide_password=False)

        def attempt(phase: str, toxic: str) -> object:
            store = Store(transport.engine(spoiled))
            if toxic:
                listening(proxy, phase, toxic, b"COPY")
            try:
                return store.record_build(full_build())
            finally:
                store.close()

        def is_good() -> bool:
            return ([one.state for one in direct.batches(FEED)], len(direct.outcomes(FEED))) == (["sealed"], 3)

        yield Line(proxy, attempt, is_good)
    direct.close()


def sftp_source(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Line]:
    server = request.getfixturevalue("sftp_server")
    (server.folder / "a.csv").write_bytes(BYTES)
    receipts: list[str] = []
    with faults.before((server.host, server.port)) as proxy:
        url = server.uri(server.folder).replace(f":{server.port}/", f":{proxy.port}/")

        def attempt(phase: str, toxic: str) -> object:
            with watched(url, proxy, phase, toxic) as session:
                info = session.stat("a.csv")
                return info and sources.land(
                    session, info, tmp_path / "landing", lambda sha256, size: receipts.append(sha256), "archive"
                )

        def is_good() -> bool:
            name = hashlib.sha256(BYTES).hexdigest()
            landed = [path.name for path in (tmp_path / "landing").iterdir()]
            archived = [path.read_bytes() for path in (server.folder / "archive").iterdir()]
            return (landed, set(receipts), archived) == ([name], {name}, [BYTES])

        yield Line(proxy, attempt, is_good)


def sftp_target(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Line]:
    server = request.getfixturevalue("sftp_server")
    store = Store.open(f"sqlite:///{tmp_path}/store.db")
    store.register_landing(FEED, LANDING, "a.csv", 3)
    made = build(outcomes=outcomes(("R1", "accepted")), journals=journals("R1"), **batch("B1", "R1", content=BYTES))
    store.record_build(made)
    with faults.before((server.host, server.port)) as proxy:
        url = server.uri(server.folder).replace(f":{server.port}/", f":{proxy.port}/")

        def attempt(phase: str, toxic: str) -> object:
            begun = store.begin_delivery("B1")
            if begun.state == "published":
                return None
            with watched(url, proxy, phase, toxic) as session:
                erp.deliver_file(session, "B1.txt", BYTES, begun, lambda part: store.move_batch(
                    "B1", "sealed", "publishing", begun.epoch, part))  # fmt: skip
            return store.move_batch("B1", "publishing", "published")

        def is_good() -> bool:
            found = {path.name: path.read_bytes() for path in server.folder.iterdir()}
            return (found, store.batch("B1").state) == ({"B1.txt": BYTES}, "published")

        yield Line(proxy, attempt, is_good)
    store.close()


LINES = (postgres_target, postgres_store, mariadb_target, sftp_source, sftp_target)
cells = [
    pytest.param(line, toxic, phase, id=f"{line.__name__}-{toxic}-{phase}")
    for line in LINES for toxic in faults.TOXICS for phase in PHASES
    if WHOLE or (toxic, phase) in QUICK
]  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "toxic", "phase"), cells)
def test_a_spoiled_line_ends_the_attempt_and_the_next_one_makes_it_good(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    record_property: Callable[[str, int], None], kind: Any, toxic: str, phase: str,
) -> None:  # fmt: skip
    for name, seconds in SHORT.items():
        monkeypatch.setattr(sftp, name, seconds)
    monkeypatch.setattr(databases, "SILENCE_SECONDS", 3)
    monkeypatch.setattr(databases, "CONNECT_SECONDS", 3)
    assert BEANCOUNT["kind"] == "text"
    for line in kind(request, tmp_path):
        began = time.monotonic()
        done = _ends_cleanly(partial(line.attempt, phase, toxic))
        took = time.monotonic() - began
        line.proxy.heal()

        assert line.proxy.met, "the toxic never met the line"
        assert took < HANG_SECONDS / 3
        assert not (done and toxic in (faults.STALL, faults.RESET) and phase != FINISH)
        assert not done or kind is not sftp_source or line.is_good()
        line.attempt("", "")
        assert line.is_good()
    record_property("network cells", 1)


def _ends_cleanly(step: Step) -> bool:
    """Whether a step succeeds; failing as the network's fault is fine, any other failure is not."""
    try:
        step()
    except TransientError:
        return False
    return True
