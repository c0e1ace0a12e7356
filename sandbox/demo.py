"""`make run`: the whole way on the sample, through Airflow itself: its DAGs, in one process, on SQLite.

Expense file in, journals out, posted by the sandbox ERP, reconciled. Running it again delivers the same file again:
nothing is loaded twice. The exit code is 0 only when every difference is explained.
"""

from __future__ import annotations

import os
import sys
import warnings
from typing import Any, Final

from etl import config, console, pipeline
from sandbox import airflow_home, sample

FEED: Final = "sample"
REPORTS, SEED = 400, 1


class TaskFailed(Exception):
    """A task of a DAG failed; its log stands above."""


def run(dag: Any, **conf: str) -> Any:
    """One run of a DAG in this process; raises TaskFailed naming the task."""
    for task in dag.tasks:
        task.retries = 0
    # One reconciliation for all batches follows, for what each load asks for would find no scheduler here; and what
    # `judge` would judge becomes the exit code.
    finished = dag.test(logical_date=None, run_conf=conf, mark_success_pattern="prove|judge")
    failed = [one.task_id for one in finished.get_task_instances() if one.state == "failed"]
    if finished.state != "success":
        raise TaskFailed(f"{dag.dag_id}: {', '.join(failed)}")
    return finished


def returned(finished: Any, task_id: str) -> Any:
    """What a task of a run handed on."""
    return finished.get_task_instance(task_id).xcom_pull(task_ids=task_id)


def partitions(finished: Any) -> list[str]:
    """The partition keys that a run put out: the scheduler would start one load run for each."""
    from airflow.models.asset import AssetEvent
    from airflow.utils.session import create_session
    from sqlalchemy import select

    wanted = select(AssetEvent.partition_key).where(
        AssetEvent.source_run_id == finished.run_id, AssetEvent.partition_key.is_not(None)
    )
    with create_session() as session:
        return sorted(session.scalars(wanted))


def whole_way(step: console.Step, settings: config.Settings) -> dict[str, Any]:
    """Sample, Airflow's database, then the four DAGs; the summary of what they did."""
    with step(f"Sample of {REPORTS} expense reports"):
        sample.write(settings.home / "sample" / "inbox", REPORTS, SEED)
    with step("Airflow's database"):
        airflow_home.prepare({})
        dags = read_dags()
    with step("Extract"):
        landed = returned(run(dags[f"{FEED}__extract"]), "land")
    with step("Build"):
        built = run(dags[f"{FEED}__build"])
    strangers = 0
    for batch_id in partitions(built):
        with step(f"Load {batch_id}"):
            loaded = run(dags[f"{FEED}__load"], batch_id=batch_id)
        strangers += returned(loaded, "acknowledge")["strangers"]
    with step("Reconcile"):
        proof = returned(run(dags[f"{FEED}__reconcile"]), "compare")
    feed = pipeline.open(FEED, f"{FEED}/{built.run_id}")
    return {**pipeline.summary(feed, landed), **proof, "strangers": strangers}


def read_dags() -> Any:
    """The DAGs as Airflow reads them; raises TaskFailed when the file cannot be read."""
    from airflow.dag_processing.dagbag import DagBag

    bag = DagBag(dag_folder=config.PROJECT / "dags", safe_mode=False)
    if bag.import_errors:
        raise TaskFailed("; ".join(bag.import_errors.values()))
    return bag.dags


def main() -> int:
    """The command; returns its exit code."""
    settings = config.settings()
    home = settings.home / "airflow"
    os.environ |= airflow_home.environment(home, f"sqlite:///{home / 'airflow.db'}")
    os.environ |= {"CLAIMPOST_HOME": str(settings.home), "CLAIMPOST_MAPPINGS": str(settings.mappings)}
    warnings.simplefilter("ignore")  # of Airflow about itself
    try:
        with console.progress(quiet=False) as step:
            result = whole_way(step, settings)
    except TaskFailed as failed:
        print(f"Failed: {failed}; its log stands above.", file=sys.stderr)
        return 1
    console.show_run(result)
    return pipeline.exit_code(result)


if __name__ == "__main__":
    sys.exit(main())
