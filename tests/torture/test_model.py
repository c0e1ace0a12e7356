"""Both delivery protocols in every interleaving; the mistakes are found; the code does the steps of the model."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import model
import pytest
from attempt import ORACLE, claim, deliver
from built import FEED, LANDING, batch, build, journals, outcomes
from effort import WHOLE
from test_erp_table import ddl
from test_erp_table import payload as rows_payload

from etl import erp, transport
from etl.erp import drop, staging
from etl.store import Store
from etl.transport import LocalFolder

DROP = {"product": model.Protocol("drop")}
TABLES = {"postgresql": model.Protocol("table"), "no lock (MariaDB)": model.Protocol("table", lock=False)}
MISTAKES = [
    ("drop", "sweep all stale parts", "not healed: one more run ends with 0 copies"),
    ("drop", "one part name for all", "partial after one more run"),
    ("drop", "claim before the file is whole", "partial after one more run"),
    ("drop", "upload again in publishing", "not healed: one more run ends with 2 copies"),
    ("table", "no manifest", "not healed: one more run ends with 2 copies"),
    ("table", "manifest in a second transaction", "not healed: one more run ends with 2 copies"),
    ("table", "mark before commit", "lost"),
    ("table", "commit in parts", "not healed: one more run ends with 2 copies"),
]
Record = Callable[[str, int], None]


@pytest.mark.parametrize("attempts", [2, 3, *([4, 5] if WHOLE else [])])
@pytest.mark.parametrize("name", [*DROP, *TABLES])
def test_a_protocol_is_safe_and_heals_in_every_interleaving(name: str, attempts: int, record_property: Record) -> None:
    found = model.search((DROP | TABLES)[name], attempts)

    assert (found.fault, found.way) == ("", ())
    record_property("model states", found.states)


@pytest.mark.parametrize(("kind", "mistake", "fault"), MISTAKES)
def test_the_search_finds_a_protocol_that_is_wrong(kind: str, mistake: str, fault: str) -> None:
    found = model.search(model.Protocol(kind, mistake), 2)

    assert found.fault.startswith(fault), found.way


# --- the code does what the model says, in its order


class Told(LocalFolder):
    """A folder that tells what is asked of it."""

    def __init__(self, root: Path, said: list[str]) -> None:
        super().__init__(root)
        self.said = said

    def stat(self, name: str) -> transport.FileInfo | None:
        self.said.append("look")
        return super().stat(name)

    def write_new(self, name: str, content: bytes) -> None:
        self.said += ["create", "write"]
        super().write_new(name, content)

    def read(self, name: str) -> bytes:
        self.said.append("verify")
        return super().read(name)

    def posix_rename(self, old: str, new: str) -> None:
        self.said.append("rename")
        super().posix_rename(old, new)

    def remove(self, name: str) -> None:
        self.said.append("sweep")
        super().remove(name)


def sealed(tmp_path: Path, content: bytes) -> Store:
    store = Store.open(f"sqlite:///{tmp_path}/store.db")
    store.register_landing(FEED, LANDING, "a.csv", 3)
    accepted = outcomes(("R1", "accepted"), ("R2", "accepted"))
    made = build(outcomes=accepted, journals=journals("R1", "R2"), **batch("B1", "R1", "R2", content=content))
    store.record_build(made)
    return store


def once(said: list[str]) -> list[str]:
    """Steps without repetitions in a row."""
    return [step for number, step in enumerate(said) if number == 0 or said[number - 1] != step]


def test_a_file_is_delivered_in_the_steps_of_the_model(tmp_path: Path) -> None:
    store, said = sealed(tmp_path, b"sealed"), ["begin"]
    begun = store.begin_delivery("B1")
    (tmp_path / "drop").mkdir()

    def claimed(part: str) -> bool:
        said.append("claim")
        return claim(store, begun)(part)

    drop.deliver_file(Told(tmp_path / "drop", said), "B1.txt", b"sealed", begun, claimed)
    said.append("mark")
    store.close()

    assert model.alone(model.Protocol("drop")) == once(said)


def test_rows_are_delivered_in_the_steps_of_the_model(
    postgres_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As the database's log would have it: the lock, the manifest read, the rows, the manifest, one COMMIT."""
    from sqlalchemy import event

    store, said = sealed(tmp_path, rows_payload()), []
    engine = transport.engine(postgres_url)
    with engine.begin() as connection:
        connection.exec_driver_sql(ddl("postgresql"))
    staging.MANIFEST.create(engine)

    def tell(_c: object, _cursor: object, statement: str, *_more: object) -> None:
        steps = {
            "pg_advisory_xact_lock": "lock",
            "FROM claimpost_manifest": "look",
            "INTO claimpost_manifest": "insert",
        }
        said.extend(step for words, step in steps.items() if words in statement)

    event.listen(engine, "before_cursor_execute", tell)
    event.listen(engine, "commit", lambda _c: said.append("commit"))
    insert_frame = transport.insert_frame
    monkeypatch.setattr(transport, "insert_frame", lambda *given: (said.append("insert"), insert_frame(*given))[1])
    erp.deliver_table(engine, ORACLE, store.begin_delivery("B1"), rows_payload(), "2026-04-01T00:00:00Z")
    engine.dispose()
    store.close()

    assert model.alone(model.Protocol("table"))[1:5] == once(said)


def test_a_batch_is_marked_only_after_it_is_delivered(tmp_path: Path) -> None:
    store = sealed(tmp_path, b"sealed")
    (tmp_path / "drop").mkdir()
    deliver(store, f"file:{tmp_path}/drop", "B1", b"sealed")
    events = list(store.events("B1")["event"])
    store.close()

    assert ["sealed", "delivery", "publishing", "published"] == events
