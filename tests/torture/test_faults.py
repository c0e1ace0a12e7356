"""Every fault of docs/reliability.md has a test that exists; and the faults that no other test tries."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable
from pathlib import Path

import pytest
import way
from attempt import deliver
from built import FEED, LANDING, batch, build, journals, outcomes
from sqlalchemy import create_engine, text
from test_erp_table import ddl
from test_erp_table import payload as rows_payload

from etl import erp, transport
from etl.errors import ConflictError, PermanentError, TransientError
from etl.store import Store
from etl.transport import databases

PAGE = way.PROJECT / "docs/reliability.md"
FAULTS = [f"F{number:02}" for number in range(1, 81)]
worlds = pytest.mark.parametrize("world", ["near", "far"], indirect=True)


# --- the table of faults


def named_tests() -> set[str]:
    """Every test function of the project."""
    found = set()
    for path in (way.PROJECT / "tests").rglob("test_*.py"):
        tree = ast.parse(path.read_text("utf-8"))
        found |= {node.name for node in tree.body if isinstance(node, ast.FunctionDef) and node.name.startswith("test")}
    return found


def test_every_fault_has_a_test_or_a_reason() -> None:
    rows = re.findall(r"^\| (F[0-9]{2}) \| ([^|]+) \| ([^|]+) \|$", PAGE.read_text("utf-8"), re.MULTILINE)
    there = named_tests()

    assert FAULTS == [fault for fault, *_ in rows]
    for fault, _, told in rows:
        names = re.findall(r"`(test_[a-z0-9_]+)`", told)
        assert set(names) <= there, f"{fault} names a test that is not there: {set(names) - there}"
        assert names or told.startswith("Not "), f"{fault} has neither a test nor a reason"


# --- what only these tests try


def table(tmp_path: Path, url: str) -> tuple[Store, bytes]:
    store, payload = Store.open(f"sqlite:///{tmp_path}/store.db"), rows_payload()
    store.register_landing(FEED, LANDING, "a.csv", 3)
    accepted = outcomes(("R1", "accepted"), ("R2", "accepted"))
    made = build(outcomes=accepted, journals=journals("R1", "R2"), **batch("B1", "R1", "R2", content=payload))
    store.record_build(made)
    engine = transport.engine(url)
    with engine.begin() as connection:
        connection.execute(text(ddl("postgresql")))
    erp.staging.MANIFEST.create(engine)
    engine.dispose()
    return store, payload


def rows(url: str) -> int:
    engine = transport.engine(url)
    with engine.connect() as connection:
        count = int(connection.execute(text("SELECT count(*) FROM gl_interface")).scalar_one())
    engine.dispose()
    return count


def test_a_locked_table_says_busy_and_leaves_nothing(
    postgres_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, payload = table(tmp_path, postgres_url)
    monkeypatch.setattr(databases, "LOCK_SECONDS", 1)
    other = create_engine(postgres_url)
    with other.begin() as connection:
        connection.execute(text("LOCK TABLE gl_interface IN EXCLUSIVE MODE"))
        with pytest.raises(TransientError, match="TARGET_BUSY"):
            deliver(store, postgres_url, "B1", payload)
    other.dispose()

    assert (rows(postgres_url), store.batch("B1").state) == (0, "sealed")
    assert (deliver(store, postgres_url, "B1", payload), rows(postgres_url)) == ("published", 4)
    store.close()


def test_a_read_only_target_leaves_nothing_and_takes_it_later(postgres_url: str, tmp_path: Path) -> None:
    store, payload = table(tmp_path, postgres_url)
    admin = create_engine(postgres_url, isolation_level="AUTOCOMMIT")
    name = admin.url.database
    with admin.connect() as connection:
        connection.execute(text(f"ALTER DATABASE {name} SET default_transaction_read_only = on"))
    with pytest.raises((TransientError, PermanentError)):
        deliver(store, postgres_url, "B1", payload)
    left = rows(postgres_url)
    with admin.connect() as connection:
        connection.execute(text("SET default_transaction_read_only = off"))
        connection.execute(text(f"ALTER DATABASE {name} RESET default_transaction_read_only"))
    admin.dispose()

    assert (left, store.batch("B1").state) == (0, "sealed")
    assert (deliver(store, postgres_url, "B1", payload), rows(postgres_url)) == ("published", 4)
    store.close()


DISKS = ["write:error=ENOSPC", "fsync:error=EIO"]


@pytest.mark.slow
@pytest.mark.parametrize("world", ["near"], indirect=True)
def test_a_full_or_ill_disk_is_a_clean_failure_that_heals(world: way.World) -> None:
    """The disk refuses the n-th write or flush and every later one, anywhere on the way."""
    world.reset()
    world.run()
    expected = world.books()
    for disk in DISKS:
        for number in (1, 4, 9):
            call = disk.partition(":")[0]
            world.reset()
            try:
                victim = way.start(world, strace=["-e", f"trace={call}", "-e", f"inject={disk}:when={number}+"])
            except way.NotTraceable as why:
                pytest.skip(str(why))
            code = victim.finish(world)
            released = not list(world.inbox.glob("*.csv"))
            landed = [path.name for path in (world.home / "landing").glob("[!.]*")]
            healed = way.heal(world, expected, "after")

            assert code != 0, f"{disk} at {number} was not noticed"
            assert not released or landed, f"{disk} at {number}: the source is gone and nothing is landed"
            assert healed.wrong == (), f"{disk} at {number}"


@pytest.mark.slow
@worlds
def test_two_whole_runs_at_once_post_everything_once(
    world: way.World, record_property: Callable[[str, int], None]
) -> None:
    """As when Airflow starts a task again whose first process lives on; the ERP imports when either asks for it."""
    world.reset()
    world.run()
    expected = world.books()
    for _ in range(2):
        world.reset()
        victims = [way.start(world) for _ in range(2)]
        for victim in victims:
            victim.line.send("go")
        codes = [victim.finish(world, begun=True) for victim in victims]
        healed = way.heal(world, expected, "before")

        assert set(codes) <= {0, TransientError.exit_code}, codes
        assert healed.wrong == ()
        record_property("attempts", len(codes))


@pytest.mark.parametrize("world", ["near"], indirect=True)
def test_an_altered_sealed_file_is_not_delivered(world: way.World) -> None:
    world.reset()
    assert way.start(world, "built").finish(world) == way.KILLED
    for path in (world.home / "batches").glob("*/*.csv"):
        path.chmod(0o600)
        path.write_bytes(path.read_bytes().replace(b"45.00", b"54.00"))

    with pytest.raises(ConflictError, match="CONTENT_CHANGED"):
        world.run()
    assert not world.books()
