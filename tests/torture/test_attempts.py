"""Two to four attempts at once, sleeping and dying between their steps, and an ERP that takes what it sees: one copy.

A seed decides who sleeps how long and who dies where; the operating system decides the rest.
"""

from __future__ import annotations

import hashlib
import multiprocessing
import os
import random
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import attempt
import pytest
from built import FEED, batch, build, journals, outcomes
from effort import SEEDS
from sqlalchemy import text
from test_erp_table import ddl
from test_erp_table import payload as rows_payload

from etl import erp, transport
from etl.erp import drop, staging
from etl.errors import TransientError
from etl.store import Store

FILE = b"2026-03-31 * one line of a journal\n" * 3000
SLEEP_SECONDS_MAX, DIES = 0.03, 0.08
PARTS = 4  # so that workers share the seeds
_processes = multiprocessing.get_context("forkserver")
Taken = list[bytes] | list[int]


def _race(url: str, where: str, batch_id: str, payload: bytes, seed: str) -> None:
    """One attempt of a race, in a process of its own."""
    chance = random.Random(seed)

    def between(_name: str) -> None:
        if chance.random() < DIES:
            os.kill(os.getpid(), signal.SIGKILL)
        time.sleep(chance.uniform(0, SLEEP_SECONDS_MAX))

    drop.failpoint = staging.failpoint = between
    time.sleep(chance.uniform(0, SLEEP_SECONDS_MAX))
    with suppress(TransientError):
        attempt.deliver(Store(transport.engine(url)), where, batch_id, payload)


def race(store_url: str, where: str, batch_id: str, payload: bytes, seed: int) -> list[int | None]:
    """Let two to four attempts loose on a batch; out: their exit codes."""
    attempt.have_server()
    runners = [
        _processes.Process(target=_race, args=(store_url, where, batch_id, payload, f"{seed}/{number}"))
        for number in range(2 + seed % 3)
    ]
    for runner in runners:
        runner.start()
    return [attempt.code_of(runner) for runner in runners]


@contextmanager
def taking(take: Callable[[], None]) -> Iterator[None]:
    """An ERP that looks again and again while the block runs, and once more after it."""
    over = threading.Event()

    def look() -> None:
        while not over.wait(0.005):
            take()

    thread = threading.Thread(target=look)
    thread.start()
    yield
    over.set()
    thread.join()
    take()


def seal(store: Store, batch_id: str, payload: bytes, number: int) -> None:
    landing = hashlib.sha256(batch_id.encode()).hexdigest()
    store.register_landing(FEED, landing, f"{batch_id}.csv", 3)
    reports = (f"{batch_id}a", f"{batch_id}b")
    store.record_build(
        build(landings=(landing,), outcomes=outcomes(*[(report, "accepted") for report in reports]),
              journals=journals(*reports), **batch(batch_id, *reports, content=payload, number=number))
    )  # fmt: skip


def tally(codes: list[int | None], record_property: Callable[[str, int], None]) -> None:
    assert set(codes) <= {0, -signal.SIGKILL}, "an attempt ended by another fault than the network's"
    record_property("attempts", len(codes))


@pytest.mark.slow
@pytest.mark.parametrize("part", range(PARTS))
def test_a_race_of_attempts_publishes_one_file(
    postgres_url: str, sftp_server: object, part: int, record_property: Callable[[str, int], None]
) -> None:
    server, store = sftp_server, Store.open(postgres_url)
    where, folder = server.uri(server.folder), Path(server.folder)  # type: ignore[attr-defined]
    for seed in range(part, SEEDS // 2, PARTS):
        batch_id, taken = f"B{seed}", []
        seal(store, batch_id, FILE, seed + 1)

        def take(path: Path = folder / f"{batch_id}.beancount", taken: list[bytes] = taken) -> None:
            with suppress(FileNotFoundError):
                taken.append(path.read_bytes())
                path.unlink()

        with taking(take):
            codes = race(postgres_url, where, batch_id, FILE, seed)
            state = attempt.deliver(store, where, batch_id, FILE)

        assert (taken == [FILE], state) == (True, "published"), f"seed {seed}: {len(taken)} files"
        tally(codes, record_property)
        record_property("seeds", 1)
    store.close()


@pytest.mark.slow
@pytest.mark.parametrize("part", range(PARTS))
def test_a_race_of_attempts_loads_the_rows_once(
    postgres_url: str, second_postgres_url: str, part: int, record_property: Callable[[str, int], None]
) -> None:
    store, engine = Store.open(second_postgres_url), transport.engine(postgres_url)
    with engine.begin() as connection:
        connection.execute(text(ddl("postgresql")))
    for seed in range(part, SEEDS - SEEDS // 2, PARTS):
        batch_id, taken, payload = f"B{seed}", [], rows_payload(number=seed + 1)
        seal(store, batch_id, payload, seed + 1)

        def take(taken: list[int] = taken) -> None:
            with engine.begin() as connection:
                taken.append(connection.execute(text("DELETE FROM gl_interface")).rowcount)

        with taking(take):
            codes = race(second_postgres_url, postgres_url, batch_id, payload, seed)
            state = attempt.deliver(store, postgres_url, batch_id, payload)

        assert ([4], "published") == ([count for count in taken if count], state), f"seed {seed}"
        assert batch_id in [row["batch_id"] for row in erp.manifest(engine, attempt.ORACLE["target"])]
        tally(codes, record_property)
        record_property("seeds", 1)
    engine.dispose()
    store.close()
