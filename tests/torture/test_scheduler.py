"""What Airflow does to tasks, done once each on a real scheduler: killed, doubled, paused, cleared, run side by side.

Every case delivers a report by table and one by file, and ends with the ERP's own books: each report stands there once,
the store says the same, and `claimpost verify` finds nothing. Locks in the two databases hold a delivery at its deepest
place, so that what Airflow does in the meantime happens to live attempts, also to two of the same batch.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from unittest import mock

import psutil
import pytest
import scheduler
import way
from claims import claim
from scheduler import FEED, Airflow, until
from sqlalchemy import Engine, text

from etl import pipeline, transport
from etl.pipeline.build import build
from etl.pipeline.extract import extract
from etl.pipeline.verify import verify

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("airflow")]

CASES = [f"F{number}" for number in range(57, 64)]
BLOCKED = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"


def reports_of(case: str) -> list[dict[str, str]]:
    """One report whose journal goes to the table, one whose journal goes as a file."""
    return [
        claim(Report_ID=f"{case}T", Amount=f"1{case[1:]}.07"),
        claim(Report_ID=f"{case}F", Company="JP01", Currency="JPY", Amount=f"1{case[1:]}", Tax="0"),
    ]


class Here:
    """Airflow at work on the feed, its ERP, and what the books must hold in the end."""

    def __init__(self, airflow: Airflow, folder: Path) -> None:
        erp, inbox, drop = airflow.database("erp"), airflow.home / "sample/inbox", airflow.home / "erp/drop"
        connections = {"AIRFLOW_CONN_SAMPLE_ERP_DB": erp}
        store = airflow.database("claimpost")
        self.airflow = airflow
        self.world = way.World(folder, folder / "mappings", store, erp, inbox, drop, connections)
        self.store, self.erp = transport.engine(store), transport.engine(erp)
        inbox.mkdir(parents=True)
        self.delivered: list[str] = []
        self.expected = undisturbed(airflow, folder)

    def deliver(self, case: str) -> None:
        """Put the case's reports at the source."""
        self.world.fill(reports_of(case))
        self.delivered += [line["Report ID"] for line in reports_of(case)]

    def sealed(self, case: str) -> tuple[str, str]:
        """Land and seal the case's reports; out: the batch for the table and the one for the drop."""
        self.deliver(case)
        with self.opened() as context:
            extract(context)
            table, drop = sorted(build(context))
        return table, drop

    def loads(self, case: str) -> list[str]:
        """Start the load of both batches of a case; out: their runs."""
        return [self.airflow.trigger("load", batch_id=batch_id) for batch_id in self.sealed(case)]

    @contextmanager
    def opened(self) -> Iterator[pipeline.Context]:
        """The feed, as a command would open it."""
        with mock.patch.dict(os.environ, self.world.environment):
            context = pipeline.open(FEED, settings=self.world.settings())
            yield context
            context.store.close()

    def batches(self) -> set[str]:
        """Every batch of the feed."""
        with self.opened() as context:
            return {batch.batch_id for batch in context.store.batches(FEED)}

    @contextmanager
    def held(self, case: str) -> Iterator[tuple[list[str], list[psutil.Process]]]:
        """The loads of a case, stopped in the midst of their deliveries until the block ends: the runs, the processes.

        The rows are in the table, before their manifest; the file waits for its turn to be claimed.
        """
        table, drop = self.sealed(case)
        with ExitStack() as locks:
            erp, store = locks.enter_context(self.erp.connect()), locks.enter_context(self.store.connect())
            erp.execute(text("LOCK TABLE claimpost_manifest IN EXCLUSIVE MODE"))
            store.execute(text("SELECT 1 FROM batch WHERE batch_id = :id FOR UPDATE"), {"id": drop})
            runs = [self.airflow.trigger("load", batch_id=batch_id) for batch_id in (table, drop)]
            children = [self.airflow.child(run, "deliver") for run in runs]
            until(lambda: all(blocked(engine) for engine in (self.erp, self.store)), "both wait")
            yield runs, children

    def proved(self, runs: list[str]) -> None:
        """Every run has ended well, and every report that was delivered is in the books exactly once."""
        airflow = self.airflow
        assert dict.fromkeys(runs, "success") == {run: airflow.state(run) for run in runs}
        for run in airflow.runs("reconcile"):
            airflow.state(run)  # one that came in the midst of a load is red, and rightly so
        lines: Counter[tuple[str, ...]] = sum((self.expected[report] for report in self.delivered), Counter())
        assert lines == self.world.books()
        assert [] == self.world.left()
        with self.opened() as context:
            assert {"posted"} == set(context.store.members(feed_id=FEED)["state"])
            assert 0 == pipeline.reconcile(context)["breaks"]
            assert {"reconciled"} == {batch.state for batch in context.store.batches(FEED)}
            assert [] == verify(context)["findings"]


def blocked(engine: Engine) -> bool:
    """Whether somebody waits for a lock in a database."""
    with engine.connect() as connection:
        return bool(connection.execute(text(BLOCKED)).scalar())


def undisturbed(airflow: Airflow, folder: Path) -> dict[str, Counter[tuple[str, ...]]]:
    """What a plain run without Airflow posts of every report, in books of its own."""
    here = folder / "undisturbed"
    inbox, drop, erp = here / "inbox", here / "drop", airflow.database("undisturbed")
    connections = {"AIRFLOW_CONN_SAMPLE_SOURCE": f"file:{inbox}", "AIRFLOW_CONN_SAMPLE_ERP_DROP": f"file:{drop}"}
    connections["AIRFLOW_CONN_SAMPLE_ERP_DB"] = erp
    world = way.World(here, folder / "mappings", f"sqlite:///{here}/store.db", erp, inbox, drop, connections)
    world.reset([line for case in ["F00", *CASES] for line in reports_of(case)])
    world.run()
    with mock.patch.dict(os.environ, connections):
        context = pipeline.open(FEED, settings=world.settings())
    keys = context.store.outcomes(FEED).set_index("report_id")["journal_key"]
    context.store.close()
    posted = world.books()
    world.close()
    return {report: Counter({line: n for line, n in posted.items() if line[0] == key}) for report, key in keys.items()}


@pytest.fixture(scope="module")
def here() -> Iterator[Here]:
    """An Airflow that has done one load of each kind undisturbed; it leaves no process behind."""
    with scheduler.folder() as folder, scheduler.airflow(folder) as airflow:
        found = Here(airflow, folder)
        airflow.unpause("load", "reconcile")
        found.proved(found.loads("F00"))
        yield found
        for engine in (found.store, found.erp):
            engine.dispose()
        found.world.close()
    assert [] == scheduler.left_over(folder)


def test_a_task_whose_process_is_killed_is_tried_again(here: Here) -> None:
    with here.held("F57") as (runs, children):
        for child in children:
            child.kill()
    here.proved(runs)
    assert 2 <= min(here.airflow.task(run, "deliver")["try_number"] for run in runs)


def test_a_task_that_outlives_its_supervisor_works_beside_its_next_try(here: Here) -> None:
    with here.held("F58") as (runs, children):
        for child in children:
            child.parent().kill()
        second = [here.airflow.child(run, "deliver", 2) for run in runs]
        assert [True] * 4 == [child.is_running() for child in [*children, *second]]
    here.proved(runs)


def test_a_supervisor_that_is_paused_too_long_finds_the_work_done(here: Here) -> None:
    with here.held("F59") as (runs, children):
        supervisors = [child.parent() for child in children]
        for supervisor in supervisors:
            supervisor.suspend()
        second = [here.airflow.child(run, "deliver", 2) for run in runs]
        assert [True] * 4 == [child.is_running() for child in [*children, *second]]
        for supervisor in supervisors:
            supervisor.resume()
    here.proved(runs)


def test_a_scheduler_that_is_killed_and_started_again_takes_its_tasks_up(here: Here) -> None:
    with here.held("F60") as (runs, children):
        here.airflow.kill("scheduler")
        assert [True, True] == [child.is_running() for child in children]
        here.airflow.start("scheduler")
        for run in runs:
            here.airflow.child(run, "deliver", 2)
    here.proved(runs)


def test_tasks_outlive_an_api_server_that_is_away(here: Here) -> None:
    with here.held("F61") as (runs, children):
        here.airflow.kill("api-server", whole=True)
        psutil.wait_procs(children, timeout=scheduler.SECONDS_MAX)
        assert [False, False] == [child.is_running() for child in children]
    here.airflow.start("api-server")
    here.proved(runs)


def test_tasks_that_are_cleared_while_they_run_and_after_it_change_nothing(here: Here) -> None:
    with here.held("F62") as (runs, children):
        for run in runs:
            here.airflow.clear(run, "deliver")
        psutil.wait_procs(children, timeout=scheduler.SECONDS_MAX)
        assert [False, False] == [child.is_running() for child in children]
    here.proved(runs)
    for run in runs:
        here.airflow.clear(run)
    here.proved(runs)
    assert 3 <= min(here.airflow.task(run, "deliver")["try_number"] for run in runs)


def test_manual_runs_beside_scheduled_ones_take_a_file_once_and_load_it_once(here: Here) -> None:
    airflow, known = here.airflow, here.batches()
    here.deliver("F63")
    for _ in range(2):
        airflow.trigger("extract")
    airflow.unpause("extract", "build")  # the run that is due begins at once, and what a run lands is built
    table, drop = sorted(until(lambda: here.batches() - known, "both batches are sealed"))
    for batch_id in (table, drop):
        airflow.trigger("load", batch_id=batch_id)
    until(lambda: {table, drop} <= airflow.partitions("load"), "the scheduler loads them too")
    here.proved([run for step in ("extract", "build", "load") for run in airflow.runs(step)])
