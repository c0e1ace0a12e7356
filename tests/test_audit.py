"""The audit chain and the store's migrations: what was done stays told, whatever is done to the rows."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest
from built import FEED, LANDING, full_build
from sqlalchemy import inspect, text

from etl.errors import ConfigurationError, PermanentError
from etl.store import Store, audit, rules, tables
from etl.store import upgrade as upgrade_store

OLD = Path(__file__).parent / "stores" / "version_2.sql"


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """A landing, its build, the batch delivered and answered; the triggers are off, as for whoever owns the tables."""
    clock = iter(f"2026-03-01T10:00:{n:02}.000000Z" for n in range(60))
    opened = Store.open(f"sqlite:///{tmp_path}/store.db", lambda: next(clock))
    opened.register_landing(FEED, LANDING, "march.csv", 3, "run1")
    opened.record_build(full_build())
    opened.begin_delivery("B1")
    with opened.engine.begin() as connection:
        for name in connection.exec_driver_sql("SELECT name FROM sqlite_master WHERE type = 'trigger'").scalars().all():
            connection.exec_driver_sql(f"DROP TRIGGER {name}")
    yield opened
    opened.close()


def changed(store: Store, *statements: str) -> list[str]:
    with store.engine.begin() as connection:
        for statement in statements:
            connection.execute(text(statement))
    return [f"{flaw.subject}: {flaw.detail}" for flaw in store.audit_flaws()]


def test_a_chain_that_nobody_touched_has_no_flaw(store: Store) -> None:
    history = store.events("B1")

    assert [] == store.audit_flaws([store.audit_head()])
    assert ["sealed", "delivery"] == history["event"].tolist()


def test_the_anchor_of_an_empty_chain_is_none(tmp_path: Path) -> None:
    empty = Store.open(f"sqlite:///{tmp_path}/empty.db")

    assert [] == empty.audit_flaws([empty.audit_head()])
    empty.close()


def test_every_anchor_of_an_event_counts(store: Store) -> None:
    """A chain that was cut, written anew and anchored again has two for one event."""
    head = store.audit_head()

    assert 1 == len(store.audit_flaws([audit.Head(head.seq, "f" * 64), head]))


LANDED = f"{FEED}/{LANDING}"
TAMPERED = {
    "edit": (["UPDATE audit SET detail = 'nothing' WHERE seq = 2"], ["event 2: was altered"]),
    "edit with its hash": (
        ["UPDATE audit SET h = 'x' WHERE seq = 2"],
        ["event 2: was altered", "event 3: does not follow the event before it"],
    ),
    "delete": (
        ["DELETE FROM audit WHERE seq = 2"],
        ["event 2: is missing", "event 3: does not follow the event before it"],
    ),
    "reorder": (
        ["UPDATE audit SET seq = -2 WHERE seq = 2", "UPDATE audit SET seq = 2 WHERE seq = 3",
         "UPDATE audit SET seq = 3 WHERE seq = -2"],
        ["event 2: does not follow the event before it", "event 2: was altered",
         "event 3: does not follow the event before it", "event 3: was altered",
         "event 4: does not follow the event before it"],
    ),
    "truncate": (["DELETE FROM audit WHERE seq = 4"], ["event 3: is not the head: events are missing at the end",
                                                      "B1: batch altered since the last event"]),
    "batch": (["UPDATE batch SET lines = 3"], ["B1: batch altered since the last event"]),
    "answer": (["UPDATE batch_member SET state = 'posted'"], ["B1: members altered since the last event"]),
    "journal": (["UPDATE journal SET debit_minor = 1"], ["B1: members altered since the last event"]),
    "outcome": (
        ["UPDATE outcome SET gross_minor = 1 WHERE report_id = 'R1'"],
        [f"{LANDED}: outcomes altered since the last event"],
    ),
    "landing": (["UPDATE landing SET size = 4"], [f"{LANDED}: landing altered since the last event"]),
    "members gone": (["DELETE FROM batch_member"], ["B1: members missing since the last event"]),
    "stranger": (
        ["INSERT INTO landing SELECT feed_id, 'f' || substr(sha256, 2), name, size, state, fingerprint, totals, "
         "reason, 99, landed_at FROM landing"],
        [f"{FEED}/f{LANDING[1:]}: stands in the store, and no event tells of it"],
    ),
}  # fmt: skip


@pytest.mark.parametrize("way", TAMPERED)
def test_tampering_is_found_and_named(store: Store, way: str) -> None:
    statements, flaws = TAMPERED[way]

    assert sorted(flaws) == sorted(changed(store, *statements))


def forge(store: Store, keep: int) -> None:
    """Cut the chain after an event and put another event in its place, hashes and head recomputed."""
    with store.engine.begin() as connection:
        connection.execute(text(f"DELETE FROM audit WHERE seq > {keep}"))
        last = connection.execute(text(f"SELECT h FROM audit WHERE seq = {keep}")).scalar_one()
        connection.execute(text(f"UPDATE audit_head SET seq = {keep}, h = '{last}'"))


def test_a_cut_that_also_moves_the_head_is_found_by_the_anchor(store: Store) -> None:
    anchor = store.audit_head()
    forge(store, 3)
    flaws = [flaw.subject for flaw in store.audit_flaws([anchor])]

    assert "event 4" in flaws
    assert "event 4" not in [flaw.subject for flaw in store.audit_flaws()]


def test_a_chain_written_anew_is_found_by_the_anchor(store: Store) -> None:
    anchor = store.audit_head()
    forge(store, 3)
    store.begin_delivery("B1")

    assert [] == store.audit_flaws()
    assert ["event 4"] == [flaw.subject for flaw in store.audit_flaws([anchor])]


# --- two persons


def test_a_request_needs_another_person_and_unchanged_facts(tmp_path: Path) -> None:
    hour = iter(range(100))
    opened = Store.open(
        f"sqlite:///{tmp_path}/s.db", lambda: f"2026-03-{1 + (n := next(hour)) // 24:02}T{n % 24:02}:00:00.000000Z"
    )
    facts = {"sha256": "abc", "amount": "100.00"}
    asked = opened.ask("redeliver", FEED, "B1", facts, "ann", "the folder was emptied")

    assert asked == opened.ask("redeliver", FEED, "B1", facts, "ann", "again")
    with pytest.raises(PermanentError, match="FOUR_EYES"):
        opened.approve(asked.id, facts, "ann", "yes")
    with pytest.raises(PermanentError, match="REQUEST_STALE"):
        opened.approve(asked.id, {**facts, "amount": "1.00"}, "bob", "yes")
    with pytest.raises(ConfigurationError, match="NOT_FOUND"):
        opened.approve(9, facts, "bob", "yes")
    assert "bob" == opened.approve(asked.id, facts, "bob", "asked the ERP").approved_by
    assert ["redeliver requested", "redeliver approved"] == opened.events(f"request {asked.id}")["event"].tolist()
    assert ["ann", "bob"] == opened.events(f"request {asked.id}")["actor"].tolist()
    assert [asked.id] == [one.id for one in opened.requests(FEED, "redeliver", approved=True)]
    assert [] == opened.waiting(FEED)
    opened.close()


def test_a_request_is_valid_for_a_day(tmp_path: Path) -> None:
    clock = iter(["2026-03-01T10:00:00.000000Z", "2026-03-02T10:00:00.000001Z", "2026-03-02T10:00:00.000002Z"])
    opened = Store.open(f"sqlite:///{tmp_path}/s.db", lambda: next(clock))
    asked = opened.ask("discard", FEED, "R1", {}, "ann", "claimed twice")

    with pytest.raises(PermanentError, match="REQUEST_STALE"):
        opened.approve(asked.id, {}, "bob", "yes")
    assert [] == opened.waiting(FEED)
    opened.close()


# --- migrations


def old_store(path: Path) -> str:
    with sqlite3.connect(path) as connection:
        connection.executescript(OLD.read_text("utf-8"))
    connection.close()
    return f"sqlite:///{path}"


def shape(url: str) -> tuple[list[str], list[str], list[str]]:
    opened = Store.open(url)
    there = inspect(opened.engine)
    columns = [
        f"{name}.{c['name']} {c['type']}" for name in sorted(there.get_table_names()) for c in there.get_columns(name)
    ]
    made = "SELECT sql FROM sqlite_master WHERE type = '{}' AND sql <> '' ORDER BY sql"
    with opened.engine.connect() as connection:
        rules = [connection.exec_driver_sql(made.format(kind)).scalars().all() for kind in ("trigger", "index")]
    opened.close()
    return (columns, *[list(one) for one in rules])


def test_an_old_store_is_refused_with_the_command_that_helps(tmp_path: Path) -> None:
    url = old_store(tmp_path / "old.db")

    with pytest.raises(ConfigurationError, match="run `claimpost store upgrade`"):
        Store.open(url)


def test_an_upgraded_store_equals_a_new_one(tmp_path: Path) -> None:
    url = old_store(tmp_path / "old.db")

    assert ("0002", tables.REVISION) == upgrade_store(url)
    assert (tables.REVISION, tables.REVISION) == upgrade_store(url)
    assert shape(f"sqlite:///{tmp_path}/new.db") == shape(url)


def test_an_upgrade_carries_the_history_over(tmp_path: Path) -> None:
    path = tmp_path / "old.db"
    url = old_store(path)
    with sqlite3.connect(path) as connection:
        hexes = "a" * 64
        connection.execute(
            f"INSERT INTO landing VALUES ('sample', '{hexes}', 'm.csv', 3, 'built', '', '{{}}', '', 1, 't0')"
        )
        connection.execute("INSERT INTO batch VALUES ('B1', 1, 'sample', 'erp', 1, 'CN01', '2026-03', ?, 'b', 1, 2, "
                           "'{}', 'sealed', 0, '', 'run1', 't1', '')", [hexes])  # fmt: skip
        connection.execute(
            "INSERT INTO batch_event (batch_id, event, detail, at) VALUES ('B1', 'sealed', 'run1', 't1')"
        )
    connection.close()
    upgrade_store(url)
    opened = Store.open(url)

    assert [] == opened.audit_flaws()
    assert ["sealed", "carried over"] == opened.events("B1")["event"].tolist()
    assert ["carried over"] == opened.events(audit.landing_subject("sample", hexes))["event"].tolist()
    assert ["event 2"] == [flaw.subject for flaw in [*opened.audit_flaws([audit.Head(2, "other")])]]
    opened.close()


@pytest.mark.parametrize("server", ["postgres_url", "mariadb_url"])
def test_rules_are_renewed_on_a_server(request: pytest.FixtureRequest, server: str) -> None:
    opened = Store.open(request.getfixturevalue(server))
    opened.register_landing(FEED, LANDING, "march.csv", 3, "run1")
    with opened.engine.begin() as connection:
        rules.renew(connection)
        rules.renew(connection)
    for statement in ("DELETE FROM audit", "UPDATE audit SET detail = ''", "DELETE FROM landing"):
        with pytest.raises(Exception, match=r"never deleted from|append-only"), opened.engine.begin() as connection:
            connection.execute(text(statement))
    opened.close()
