"""The whole way from a source to an acknowledged journal, in a process that can be killed anywhere, and run again.

One delivery holds claims of a company whose journals go to a staging table and of one whose journals go as a file, so
every kill hits both targets. The ERP is the sandbox's; it imports nothing of claimpost, and what it posted is read
from its own books, not through our reconciliation.
"""

from __future__ import annotations

import ctypes
import hashlib
import multiprocessing
import os
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from contextlib import closing, suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any
from unittest import mock

from attempt import have_server
from claims import claim, deliver
from sqlalchemy import Engine, text

from etl import config, pipeline
from etl.errors import ClaimpostError, TransientError
from etl.pipeline.build import build
from etl.pipeline.extract import extract
from etl.transport.failpoints import VARIABLE
from sandbox.erp.books import DEFAULT, read_books
from sandbox.erp.drop import import_folder
from sandbox.erp.drop import prepare as prepare_drop
from sandbox.erp.journal_import import Options, import_groups, open_database
from sandbox.erp.tables import prepare as prepare_tables

PROJECT = Path(__file__).resolve().parents[2]
BOOKS = read_books(DEFAULT)
STRACE = shutil.which("strace")
REPORTS = [
    claim(Report_ID="R1"),
    claim(Report_ID="R2", Amount="310.07"),
    claim(Report_ID="R3", Company="JP01", Currency="JPY", Amount="1200", Tax="0"),
    claim(Report_ID="R4", Company="JP01", Currency="JPY", Amount="7", Tax="0"),
]
_ERP_TABLES = ("gl_interface", "gl_je_headers", "gl_je_lines", "gl_import_errors", "claimpost_manifest")
_PTRACER = 0x59616D61  # PR_SET_PTRACER: where only a parent may trace, the child lets anybody
_SECONDS_MAX = 120
_processes = multiprocessing.get_context("forkserver")
_processes.set_forkserver_preload(["attempt", "warm"])


def mappings_for(folder: Path, simulator: str = "no") -> Path:
    """The bundled feed `sample` without its gate, which costs a second a run; with "no", the ERP is in our hands."""
    shutil.copytree(PROJECT / "mappings", folder)
    feed = folder / "feeds/sample.yml"
    told = feed.read_text("utf-8").replace("simulator: yes", f"simulator: {simulator}")
    start, end = told.index("gate:\n"), told.index("acknowledge_within_hours")
    feed.write_text(told[:start] + told[end:], "utf-8")
    return folder


@dataclass
class World:
    """One feed with its source, store, table, drop and ERP, all of which can be put back to the beginning."""

    folder: Path
    mappings: Path
    store_url: str
    erp_url: str
    inbox: Path
    drop: Path
    environment: dict[str, str]
    proves: bool = False
    removes: bool = False  # the ERP deletes what it took instead of keeping it in taken/
    engines: dict[str, Engine] = field(default_factory=dict)

    @property
    def home(self) -> Path:
        return self.folder / "home"

    def settings(self) -> config.Settings:
        return config.Settings(self.home, self.mappings, self.store_url)

    def reset(self, reports: list[dict[str, str]] = REPORTS) -> None:
        """Nothing landed, nothing posted; one delivery waits at the source."""
        for folder in (self.home, self.inbox, self.drop):
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True)
        if self.store_url.startswith("postgresql"):
            self._ask(self.store_url, "DROP SCHEMA public CASCADE", "CREATE SCHEMA public")
        self._ask(self.erp_url, f"DROP TABLE IF EXISTS {', '.join(_ERP_TABLES)} CASCADE")
        self.fill(reports)

    def fill(self, reports: list[dict[str, str]] = REPORTS) -> None:
        """Prepare the ERP and put a delivery at the source."""
        prepare_tables(self._engine(self.erp_url))
        prepare_drop(self.drop)
        file = deliver(self.inbox, reports)
        sha256 = hashlib.sha256(file.read_bytes()).hexdigest()
        file.with_suffix(".csv.ok").write_text(f"{file.stat().st_size} {sha256}\n")

    def erp_imports(self) -> None:
        """The ERP takes whatever it sees and answers it."""
        import_groups(self._engine(self.erp_url), BOOKS, Options())
        import_folder(self.drop, BOOKS)
        if self.removes:
            for path in (self.drop / "taken").iterdir():
                path.unlink()

    def run(self, between: Callable[[], None] | None = None) -> dict[str, Any]:
        """All steps in this process, as one plain run does them; `between` happens before the answers are read.

        Only with `proves` the last one, reconciliation: it changes nothing outside and takes half of the time.
        """
        with mock.patch.dict(os.environ, self.environment):
            return self._run(between or self.erp_imports)

    def _run(self, between: Callable[[], None]) -> dict[str, Any]:
        context = pipeline.open("sample", settings=self.settings())
        try:
            extract(context)
            for batch_id in build(context):
                pipeline.deliver.load(context, batch_id)
            between()
            pipeline.deliver.acknowledge_all(context)
            proof = pipeline.reconcile(context) if self.proves else {"explained": True}
            batches = {batch.state for batch in context.store.batches()}
        finally:
            context.store.close()
        return {"explained": proof["explained"], "answered": batches <= {"acknowledged", "reconciled"}}

    def books(self) -> Counter[tuple[str, ...]]:
        """Every line the ERP posted, from its own books: journal, account, debit, credit."""
        amounts = ", ".join(f"coalesce({name}, 0)::text" for name in ("entered_dr", "entered_cr"))
        lines = f"SELECT reference_1, segment3, {amounts} FROM gl_je_lines"
        with self._engine(self.erp_url).connect() as connection:
            found = [tuple(row) for row in connection.execute(text(lines))]
        if (self.drop / ".erp/ledger.db").exists():
            with closing(sqlite3.connect(self.drop / ".erp/ledger.db")) as ledger:
                query = "SELECT journal_key, account, debit, credit FROM line JOIN journal USING (erp_document)"
                found += ledger.execute(query).fetchall()
        return Counter(found)

    def left(self) -> list[str]:
        """What still lies about when all is done: files at the source, in the drop, rows of the interface table."""
        files = [path.name for folder in (self.inbox, self.drop) for path in folder.iterdir() if path.is_file()]
        with self._engine(self.erp_url).connect() as connection:
            rows = connection.execute(text("SELECT count(*) FROM gl_interface")).scalar_one()
        return sorted(files) + [f"{rows} rows in gl_interface"] * bool(rows)

    def close(self) -> None:
        for engine in self.engines.values():
            engine.dispose()

    def _engine(self, url: str) -> Engine:
        if url not in self.engines:
            self.engines[url] = open_database(url)
        return self.engines[url]

    def _ask(self, url: str, *statements: str) -> None:
        """Run statements after ending whatever a killed process left open on that database."""
        with self._engine(url).connect() as connection:
            connection.execute(text("SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                                    "WHERE datname = current_database() AND pid <> pg_backend_pid()"))  # fmt: skip
            for statement in statements:
                connection.execute(text(statement))
            connection.commit()
        self._engine(url).dispose()


# --- the run that is killed


@dataclass
class Victim:
    """A process doing one run; it waits for a word before it begins, and for the ERP before it reads answers."""

    process: Any
    line: Connection
    tracer: subprocess.Popen[bytes] | None = None

    def finish(self, world: World, begun: bool = False) -> int | None:
        """Let it run to its end or its death; out: its exit code."""
        with suppress(EOFError, OSError):
            if not begun:
                self.line.send("go")
            if self.line.poll(_SECONDS_MAX) and self.line.recv() == "loaded":
                world.erp_imports()
                self.line.send("imported")
        self.process.join(_SECONDS_MAX)
        code = self.process.exitcode
        assert code is not None, "the run hangs"
        if self.tracer is not None:
            self.tracer.wait(_SECONDS_MAX)
        self.line.close()
        return code


def start(world: World, failpoint: str = "", strace: list[str] | None = None) -> Victim:
    """Start a run; `failpoint` names where it dies, `strace` holds the options of a tracer to put on it."""
    have_server()
    near, far = _processes.Pipe()
    process = _processes.Process(target=_run, args=(world, failpoint, far))
    bare = world.engines
    world.engines = {}
    process.start()
    world.engines = bare
    far.close()
    assert near.poll(_SECONDS_MAX) and near.recv() == "ready"
    return Victim(process, near, attach(process.pid, strace) if strace else None)


def attach(pid: int, options: list[str]) -> subprocess.Popen[bytes]:
    """Put strace on a waiting process; raises NotTraceable when this machine forbids it."""
    if STRACE is None:
        raise NotTraceable("strace is not installed (Debian: strace)")
    tracer = subprocess.Popen([STRACE, "-f", "-p", str(pid), *options], stderr=subprocess.PIPE)
    assert tracer.stderr is not None
    said = tracer.stderr.readline()
    if b"attached" not in said:
        tracer.kill()
        raise NotTraceable(f"this machine forbids to trace a process: {said.decode(errors='replace').strip()}")
    os.set_blocking(tracer.stderr.fileno(), False)
    return tracer


class NotTraceable(Exception):
    """Kills by syscall cannot be tried here."""


def _run(world: World, failpoint: str, line: Connection) -> None:
    os.environ[VARIABLE] = failpoint
    world.proves = False
    ctypes.CDLL(None).prctl(_PTRACER, ctypes.c_long(-1), 0, 0, 0)
    line.send("ready")
    line.recv()

    def erp() -> None:
        line.send("loaded")
        line.recv()

    try:
        world.run(erp)
    except ClaimpostError as error:
        sys.exit(error.exit_code)


def syscalls(world: World, names: list[str]) -> dict[str, int]:
    """How often one undisturbed run makes each of these calls, in the thread that makes most of them."""
    world.reset()
    log = world.folder / "trace"
    victim = start(world, strace=["-o", str(log), "-e", f"trace={','.join(names)}"])
    assert victim.finish(world) == 0
    calls = Counter(re.findall(r"^([0-9]+) +([a-z0-9_]+)\(", log.read_text(errors="replace"), re.MULTILINE))
    return {name: max([n for (_, call), n in calls.items() if call == name], default=0) for name in names}


# --- what must be true afterwards


@dataclass(frozen=True)
class Outcome:
    """What a kill came to: how many plain runs it took, and everything that is wrong then."""

    reruns: int
    wrong: tuple[str, ...]


def heal(world: World, expected: Counter[tuple[str, ...]], consumer: str, reruns_max: int = 2) -> Outcome:
    """Run again as anybody would, at most twice, and compare the ERP's books with those of a run nobody killed."""
    wrong: list[str] = []
    for number in range(1, reruns_max + 1):
        if consumer == "before":
            world.erp_imports()
        try:
            result = world.run()
        except TransientError as error:
            wrong = [str(error)]
            time.sleep(0.2)
            continue
        wrong = judge(world, expected, result)
        if not wrong or any(word in wrong[0] for word in ("doubled", "partial")):
            return Outcome(number, tuple(wrong))
    return Outcome(reruns_max, tuple(wrong))


def judge(world: World, expected: Counter[tuple[str, ...]], result: dict[str, Any]) -> list[str]:
    """Everything that is not as it must be; nothing lost, doubled or half there, and no litter for the ERP."""
    found = world.books()
    whole = {key for key, *_ in expected}
    wrong = [f"doubled: {line}" for line in found - expected]
    lost = {line[0] for line in expected - found}
    wrong += [f"partial: {key}" for key in sorted(lost & {line[0] for line in found})]
    wrong += [f"lost: {key}" for key in sorted(lost - {line[0] for line in found})]
    wrong += [f"stranger: {line}" for line in found if line[0] not in whole]
    wrong += [f"{name} is {result[name]}" for name, good in _GOOD.items() if result[name] != good]
    return wrong + [f"left over: {name}" for name in world.left()]


_GOOD = {"explained": True, "answered": True}
KILLED = -signal.SIGKILL
