"""One attempt to deliver a batch, in this process or as one of its own that a test may kill anywhere.

`where` is a database URL for a table, `file:...` or `sftp://...` for a file drop.
"""

from __future__ import annotations

import functools
import multiprocessing
import os
import sys
from multiprocessing import forkserver
from multiprocessing.process import BaseProcess
from pathlib import Path

import pytest

from etl import config, erp, transport
from etl.errors import TransientError
from etl.store import Store
from etl.transport import connections
from etl.transport.failpoints import VARIABLE

TARGETS = Path(__file__).resolve().parent.parent / "mappings/targets"
ORACLE = config.load(TARGETS / "oracle_ebs_gl_interface.yml", "target")
BEANCOUNT = config.load(TARGETS / "beancount.yml", "target")
# A clean server process with everything imported, which forks: each attempt starts at once, and without our threads.
_PROCESSES = multiprocessing.get_context("forkserver")
_PROCESSES.set_forkserver_preload(["attempt"])
AT = "2026-04-01T00:00:00.000000Z"


def deliver(store: Store, where: str, batch_id: str, payload: bytes) -> str:
    """What a delivery step does; returns the batch's state afterwards."""
    batch = store.begin_delivery(batch_id)
    if batch.state not in ("sealed", "publishing"):
        return batch.state
    target = connections.from_text("target", where)
    if target.kind == connections.DATABASE:
        engine = transport.engine(target)
        erp.deliver_table(engine, ORACLE, batch, payload, AT)
        engine.dispose()
        store.move_batch(batch_id, "sealed", "publishing")
    else:
        with transport.folder(target) as session:
            erp.deliver_file(session, f"{batch_id}.beancount", payload, batch, claim(store, batch))
    store.move_batch(batch_id, "publishing", "published")
    return store.batch(batch_id).state


def claim(store, batch):
    """The compare-and-set that only the newest attempt wins."""
    return lambda part: store.move_batch(batch.batch_id, "sealed", "publishing", batch.epoch, part)


def start(store: Store, where: str, batch_id: str, payload: Path, kill: str = "") -> BaseProcess:
    """Start one attempt; `kill` names the failpoint at which it dies."""
    have_server()
    url = store.engine.url.render_as_string(hide_password=False)
    process = _PROCESSES.Process(target=_attempt, args=(url, where, batch_id, str(payload), kill))
    process.start()
    return process


@functools.cache
def have_server() -> None:
    """Start the forking process; it finds this module by PYTHONPATH alone (Python 3.11 gives it no other path)."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", os.pathsep.join(sys.path))
        forkserver.ensure_running()


def code_of(process: BaseProcess) -> int | None:
    """The exit code of an attempt: 0, -SIGKILL, or 6 when another attempt was at work."""
    process.join(120)
    return process.exitcode


def _attempt(url: str, where: str, batch_id: str, payload: str, kill: str) -> None:
    os.environ[VARIABLE] = kill
    store = Store.open(url)
    try:
        deliver(store, where, batch_id, Path(payload).read_bytes())
    except TransientError as error:
        sys.exit(error.exit_code)
    finally:
        store.close()
