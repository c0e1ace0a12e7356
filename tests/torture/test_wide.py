"""Many machines: Celery workers with a home each deliver the batches of many feeds, and one of them dies on the way.

Landing and batches lie on an S3, the work in Redis, the store and the ERP's table in PostgreSQL. Every batch is
delivered once, both workers had work, and what the dead one had begun or taken is finished by the other.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from unittest import mock

import pytest
from claims import claim, content
from effort import WHOLE
from sqlalchemy import create_engine, text

from etl import pipeline
from etl.pipeline.build import build
from etl.pipeline.extract import extract
from etl.pipeline.verify import verify
from sandbox import fleet
from sandbox.erp.books import DEFAULT, read_books
from sandbox.erp.drop import import_folder
from sandbox.erp.journal_import import Options, import_groups

pytestmark = [
    pytest.mark.slow,
    pytest.mark.xdist_group("airflow"),
    pytest.mark.skipif(shutil.which("redis-server") is None, reason="redis-server is not installed"),
]

FEEDS, BATCHES = (20, 10) if WHOLE else (3, 4)
JAPAN = {"Company": "JP01", "Currency": "JPY", "Tax": "0"}


def reports_of(feed_id: str) -> list[dict[str, str]]:
    """As many reports as batches; every fifth goes as a file, the others into the table."""
    return [
        claim(Report_ID=f"{feed_id.upper()}-{n}", Amount=f"{10 + n}" + ("" if n % 5 == 4 else ".07"),
              **(JAPAN if n % 5 == 4 else {}))
        for n in range(BATCHES)
    ]  # fmt: skip


def sealed(here: fleet.Fleet) -> dict[str, str]:
    """Land and seal the delivery of every feed; out: each batch and its feed."""
    found: dict[str, str] = {}
    for feed_id in here.feeds:
        fleet.put_delivery(here.folder / "inbox" / feed_id, content(reports_of(feed_id)).encode())
        context = here.context(feed_id, "builder")
        extract(context)
        found |= dict.fromkeys(build(context), feed_id)
        context.store.close()
    return found


def test_every_batch_is_delivered_once_though_one_of_two_workers_dies(
    record_property: Callable[[str, object], None],
) -> None:
    feeds = tuple(f"w{number:02}" for number in range(FEEDS))
    with tempfile.TemporaryDirectory(prefix="cp-wide-") as name:
        folder = Path(name)
        folder.chmod(0o711)  # PostgreSQL's own account enters too
        with fleet.fleet(folder, feeds) as here, mock.patch.dict(os.environ, here.environment):
            batches = sealed(here)
            assert FEEDS * BATCHES == len(batches)
            for worker in ("one", "two"):
                here.start(worker)
            begun = time.monotonic()
            for batch_id, feed_id in batches.items():
                here.trigger(feed_id, batch_id)
            fleet.until(
                lambda: {"one", "two"} <= busy(here) and here.done() >= len(batches) // 4, "both have work", 900
            )
            here.kill("one")
            fleet.until(lambda: here.done() + here.done("failed") == len(batches), "all are over", 2_400)
            record_property("batches", len(batches))
            print(f"{len(batches)} batches in {time.monotonic() - begun:.0f} s, by worker: {share(here)}")
            delivered_once(here, batches)
            assert {"one", "two"} == set(share(here))


def busy(here: fleet.Fleet) -> set[str]:
    """The workers that have a task or had one."""
    return {str(task["hostname"]) for task in here.tasks()}


def share(here: fleet.Fleet) -> Counter[str]:
    """How many deliveries each worker ended."""
    return Counter(str(task["hostname"]) for task in here.tasks())


def delivered_once(here: fleet.Fleet, batches: dict[str, str]) -> None:
    """Airflow, the store, the ERP's table and drop, and our own proof all say so."""
    tasks = here.tasks()
    assert len(batches) == sum(task["state"] == "success" for task in tasks)
    engine = create_engine("postgresql+psycopg" + here.url.format(database="erp"))
    with engine.connect() as connection:
        told = connection.execute(text("SELECT batch_id FROM claimpost_manifest")).scalars()
        manifest = Counter(map(str, told))
    books = read_books(DEFAULT)
    import_groups(engine, books, Options())
    import_folder(here.home_of_erp / "drop", books)
    engine.dispose()
    assert {1} == set(manifest.values())
    for feed_id in here.feeds:
        context = here.context(feed_id, "prover")
        for batch_id in (one for one, feed in batches.items() if feed == feed_id):
            pipeline.settle(context, batch_id)
        result = pipeline.reconcile(context)
        assert (BATCHES, 0, True) == (result["counts"]["posted"], result["breaks"], result["explained"])
        assert {"reconciled"} == {batch.state for batch in context.store.batches(feed_id)}
        assert [] == verify(context)["findings"]
        context.store.close()
