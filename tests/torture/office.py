"""The feed `sample` in one process, a step at a time: source, store, table, drop and ERP are files in one folder.

Every step opens the store anew, as a process of its own would. A kill is an exception at a failpoint that nothing
catches: what is in memory is lost and every open transaction is rolled back. `finally` still runs, which a SIGKILL
would not allow; real kills are the business of test_crashes.py.
"""

from __future__ import annotations

import csv
import hashlib
import os
import shutil
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from decimal import Decimal
from pathlib import Path
from typing import Any
from unittest import mock

import way
from claims import Line, deliver

from etl import config, mapping, pipeline
from etl.pipeline import rebatch
from etl.pipeline.shelf import Shelf
from etl.pipeline.verify import verify
from etl.store import Store
from etl.transport.failpoints import VARIABLE
from sandbox.erp.drop import import_folder
from sandbox.erp.drop import prepare as prepare_drop
from sandbox.erp.faults import Faults
from sandbox.erp.journal_import import Options, import_groups, open_database
from sandbox.erp.tables import prepare as prepare_tables

Cells = dict[str, Decimal]  # account -> net in the ERP's books
BOOKS = way.BOOKS


class Killed(BaseException):
    """The process is gone."""


class Office:
    """One feed and its ERP in a folder."""

    def __init__(self, folder: Path, mappings: Path, bundle: mapping.Bundle) -> None:
        self.home, self.mappings, self.bundle, self.files = folder / "home", mappings, bundle, 0
        self.inbox, self.drop = self.home / "sample/inbox", self.home / "erp/drop"
        self.url = f"sqlite:///{self.home}/erp/erp.db"
        self.environment = {
            "AIRFLOW_CONN_SAMPLE_SOURCE": f"file:{self.inbox}", "AIRFLOW_CONN_SAMPLE_ERP_DROP": f"file:{self.drop}",
            "AIRFLOW_CONN_SAMPLE_ERP_DB": self.url,
        }  # fmt: skip

    def prepare(self) -> None:
        """An empty source, an empty ERP, an empty store."""
        for folder in (self.inbox, self.drop):
            folder.mkdir(parents=True)
        engine = open_database(self.url)
        prepare_tables(engine)
        engine.dispose()
        prepare_drop(self.drop)
        self.opened().store.close()

    # --- the source

    def deliver(self, lines: Sequence[Line]) -> Path:
        """A new file, with its sidecar."""
        return self._complete(deliver(self.inbox, lines, self._name()))

    def deliver_again(self, content: bytes) -> None:
        """The same bytes under a new name."""
        path = self.inbox / self._name()
        path.write_bytes(content)
        self._complete(path)

    def send_all_again(self) -> None:
        """Everything the source has kept, in the order it was sent."""
        kept = sorted((self.inbox / "archive").glob("*.csv"), key=lambda path: path.name.partition("_")[2])
        for path in kept:
            self.deliver_again(path.read_bytes())

    def _name(self) -> str:
        self.files += 1
        return f"expenses_2026-02_{self.files:03}.csv"

    def _complete(self, path: Path) -> Path:
        content = path.read_bytes()
        path.with_suffix(".csv.ok").write_text(f"{len(content)} {hashlib.sha256(content).hexdigest()}\n")
        return path

    # --- our side

    def opened(self) -> pipeline.Context:
        """The feed with its store, as a new process opens it."""
        settings = config.Settings(self.home, self.mappings, f"sqlite:///{self.home}/store.db")
        return pipeline.Context(settings, self.bundle, Store.open(settings.store_url), "machine", Shelf(self.home))

    def run(self, killed_at: str = "") -> None:
        """A plain run without reconciliation. Raises Killed when it comes by the failpoint."""
        with self._step(killed_at) as context:
            pipeline.extract(context)
            for batch_id in pipeline.build(context):
                pipeline.load(context, batch_id)
            pipeline.acknowledge_all(context)
            for batch_id in rebatch.isolate(context):
                pipeline.load(context, batch_id)

    def acknowledge(self, again: bool = False) -> None:
        """Read the answers that are open; `again`: also those of every batch that was answered."""
        with self._step() as context:
            pipeline.acknowledge_all(context)
            for batch in context.store.batches("sample", ("acknowledged", "reconciled")) if again else ():
                pipeline.acknowledge(context, batch.batch_id)

    def release_refused(self) -> None:
        """People give every refused journal a new batch; whatever was wrong with it is mended in the ERP."""
        with self._step() as context:
            members = context.store.members(feed_id="sample")
            live = set(members.loc[~members["state"].isin(["rejected", "void"]), "journal_key"])
            for key in sorted(set(members.loc[members["state"] == "rejected", "journal_key"]) - live):
                rebatch.release(context, key, "ann", "mended")

    def proof(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """What reconciliation and verify say."""
        with self._step() as context:
            return pipeline.reconcile(context), verify(context)

    def state(self) -> list[tuple[str, ...]]:
        """How far every file, report and journal has got."""
        with self._step() as context:
            members = context.store.members(feed_id="sample")[["batch_id", "journal_key", "state"]]
            outcomes = context.store.outcomes("sample")[["landing_sha256", "report_id", "report_version", "outcome"]]
            landed = [(one.sha256, one.state) for one in context.store.landings("sample")]
        return sorted(
            [*members.itertuples(index=False, name=None), *outcomes.itertuples(index=False, name=None), *landed]
        )

    def journals(self) -> dict[str, tuple[str, str]]:
        """Company and report of every journal that the store knows."""
        with self._step() as context:
            heads = context.store.journals("sample")[["journal_key", "company", "report_id"]]
        return {key: (company, report) for key, company, report in heads.itertuples(index=False, name=None)}

    def _step(self, killed_at: str = "") -> Any:
        return _Step(self, killed_at)

    # --- the store's backup

    def back_up(self) -> None:
        """Copy the store; the home's other files are not part of it."""
        copy = self.home / "backup.db"
        copy.unlink(missing_ok=True)
        with closing(sqlite3.connect(self.home / "store.db")) as store, closing(sqlite3.connect(copy)) as target:
            store.backup(target)

    def restore(self) -> None:
        """The backup takes the store's place."""
        for ending in ("-wal", "-shm"):
            (self.home / f"store.db{ending}").unlink(missing_ok=True)
        shutil.copy(self.home / "backup.db", self.home / "store.db")

    # --- the ERP

    def erp_imports(self, *faults: str) -> None:
        """The ERP takes what it sees and answers it."""
        engine = open_database(self.url)
        import_groups(engine, BOOKS, Options(faults=Faults(frozenset(faults))))
        engine.dispose()
        import_folder(self.drop, BOOKS, faults=Faults(frozenset(faults)))

    def erp_lines(self) -> list[tuple[str, str, str, Decimal]]:
        """Journal, document, account and net of every line that the ERP posted, from its own books."""
        table = "SELECT reference_1, je_header_id, segment3, entered_dr, entered_cr FROM gl_je_lines"
        book = "SELECT journal_key, erp_document, account, debit, credit FROM line JOIN journal USING (erp_document)"
        found: list[tuple[Any, ...]] = []
        for database, query in ((self.home / "erp/erp.db", table), (self.drop / ".erp/ledger.db", book)):
            if database.exists():
                with closing(sqlite3.connect(database)) as connection:
                    found += connection.execute(query).fetchall()
        return [(key, str(of), account, Decimal(dr or 0) - Decimal(cr or 0)) for key, of, account, dr, cr in found]

    def batches_at_the_erp(self) -> set[str]:
        """The batches of which the ERP has a trace: rows of the manifest, files and answers in the drop."""
        with closing(sqlite3.connect(self.home / "erp/erp.db")) as connection:
            there = "SELECT 1 FROM sqlite_master WHERE name = 'claimpost_manifest'"
            rows = (
                connection.execute("SELECT batch_id FROM claimpost_manifest")
                if connection.execute(there).fetchone()
                else ()
            )
            found = {batch_id for (batch_id,) in rows}
        places = (self.drop, self.drop / "taken")
        return found | {path.stem for place in places for path in place.glob("[!.]*.beancount")}


class _Step:
    """A store opened for one step, and closed however that ends."""

    def __init__(self, office: Office, killed_at: str) -> None:
        self._environment = mock.patch.dict(os.environ, office.environment | {VARIABLE: killed_at})
        self._kill = mock.patch("os.kill", side_effect=Killed(killed_at))
        self._office = office

    def __enter__(self) -> pipeline.Context:
        self._environment.start()
        self._kill.start()
        self._context = self._office.opened()
        return self._context

    def __exit__(self, *_: object) -> None:
        self._context.store.close()
        self._kill.stop()
        self._environment.stop()


def expected(account: str, amount: str) -> Cells:
    """What a claim of this amount must come to in the ERP's books."""
    return {account: Decimal(amount), "224101": -Decimal(amount)}


def accounts() -> dict[str, str]:
    """The account of each expense type, from the bundled table."""
    with (way.PROJECT / "mappings/tables/sample_account.csv").open(encoding="utf-8", newline="") as file:
        return {row["expense_type"]: row["account"] for row in csv.DictReader(file) if row["company"] == "*"}
