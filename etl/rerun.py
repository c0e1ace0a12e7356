"""`claimpost rerun`: what failed in Airflow is run again, with all that follows it, until it has really run.

A task that is cleared while its DAG run still runs is lost: the run ends as failed and the task never runs. So we wait
for the run's end, clear, wait for its end again, and clear once more while tasks were left without a state.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any, Final

from etl.airflow_api import AirflowApi, Facts, Task
from etl.errors import ConfigurationError

STEPS: Final = ("extract", "build", "load", "reconcile")  # the DAGs of a feed, in the order of a run
CLEARS_MAX: Final = 5
_BAD: Final = ("failed", "upstream_failed")


@dataclass(frozen=True)
class Rerun:
    """A DAG run and what came of it: its state, how often it was cleared, and the tasks that are not well."""

    dag_id: str
    run_id: str
    state: str
    cleared: int
    failed: tuple[str, ...]


def rerun(api: AirflowApi, feed_id: str, run_id: str = "", minutes: int = 60, note: str = "") -> list[dict[str, Any]]:
    """Run again what failed of a feed: one DAG run, or the newest run of each step and of each batch.

    Out: a Rerun for each as a dict, in the order of the steps; all are cleared before the end of the first is waited
    for. Raises ConfigurationError CONNECTION or NO_RUN, TransientError NOT_REACHED or RUN_OPEN (a run did not end
    within `minutes`).
    """
    found = list(_named(api, feed_id, run_id) if run_id else _failed(api, feed_id))
    cleared = [_clear(api, dag_id, one, minutes * 60, note) for dag_id, one in found]
    ended = [
        _until_run(api, dag_id, one, times, minutes * 60, note)
        for (dag_id, one), times in zip(found, cleared, strict=True)
    ]
    return [asdict(one) for one in ended]


def _named(api: AirflowApi, feed_id: str, run_id: str) -> Iterator[tuple[str, str]]:
    """The feed's DAG runs of this id: scheduled runs of two DAGs may share one."""
    found = [dag_id for dag_id in _dags(feed_id) if any(one["dag_run_id"] == run_id for one in api.runs(dag_id))]
    if not found:
        raise ConfigurationError("NO_RUN", field="DAG run", value=run_id)
    yield from ((dag_id, run_id) for dag_id in found)


def _failed(api: AirflowApi, feed_id: str) -> Iterator[tuple[str, str]]:
    """The newest run of each DAG and partition (a batch) that failed, or that runs on with a task that did."""
    for dag_id in _dags(feed_id):
        newest: dict[str, Facts] = {}
        for one in api.runs(dag_id):
            newest.setdefault(one["partition_key"] or "", one)
        for one in newest.values():
            if one["state"] != "success" and _bad(api.tasks(dag_id, one["dag_run_id"]), one["state"]):
                yield dag_id, one["dag_run_id"]


def _dags(feed_id: str) -> list[str]:
    return [f"{feed_id}__{step}" for step in STEPS]


def _bad(tasks: list[Facts], state: str) -> list[Task]:
    """The task instances to clear: those that failed, and in a run that has ended those that never ran."""
    bad = (*_BAD, None) if state == "failed" else _BAD
    rows = [one for one in tasks if one["state"] in bad]
    return [one["task_id"] if one["map_index"] < 0 else (one["task_id"], one["map_index"]) for one in rows]


def _clear(api: AirflowApi, dag_id: str, run_id: str, seconds: int, note: str) -> int:
    """Wait until a run has ended and clear what failed in it, with all that follows; out: how often it was cleared."""
    state = api.ended(dag_id, run_id, seconds)["state"]
    tasks = _bad(api.tasks(dag_id, run_id), state)
    if not tasks:
        return 0
    api.clear(dag_id, run_id, tasks, note)
    return 1


def _until_run(api: AirflowApi, dag_id: str, run_id: str, cleared: int, seconds: int, note: str) -> Rerun:
    """Wait for the end of a run that was cleared; clear it again as long as tasks of it were lost."""
    while True:
        state = str(api.ended(dag_id, run_id, seconds)["state"])
        tasks = api.tasks(dag_id, run_id)
        lost = state == "failed" and any(one["state"] is None for one in tasks)
        if not lost or not 0 < cleared < CLEARS_MAX:
            names = sorted({one["task_id"] for one in tasks if one["state"] in (*_BAD, None)})
            return Rerun(dag_id, run_id, state, cleared, tuple(names))
        cleared += _clear(api, dag_id, run_id, seconds, note)
