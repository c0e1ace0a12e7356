"""The tasks of the DAGs: each runs one step of etl.pipeline; retries by kind of error, connections, what a run is for.

Only DAG files import this. Nothing heavy is imported until a task runs.
"""

from __future__ import annotations

import logging
from datetime import timedelta
from typing import Any, Final

from airflow import sdk
from airflow.sdk import ExceptionRetryPolicy, RetryAction, RetryRule, get_current_context
from airflow.sdk.exceptions import AirflowFailException, AirflowNotFoundException, AirflowSkipException

from etl import errors

_LOG: Final = logging.getLogger(__name__)
BUSY: Final = [errors.TransientError, ConnectionError, TimeoutError]
HOPELESS: Final = [errors.PermanentError, errors.ConfigurationError, errors.FileRejected, AssertionError]
# Five retries: after 2 to 4, 4 to 8, 8 to 16, 16 to 30 and 30 minutes. Anything unforeseen is retried too, for every
# step may run twice; a task whose process was killed is retried without asking the policy.
RETRIES: Final = {
    "retries": 5,
    "retry_delay": timedelta(minutes=2),
    "retry_exponential_backoff": 2,
    "max_retry_delay": timedelta(minutes=30),
    "retry_policy": ExceptionRetryPolicy(
        [
            RetryRule(BUSY, RetryAction.RETRY, reason="the other side is busy or away"),
            RetryRule(HOPELESS, RetryAction.FAIL, reason="a retry cannot help"),
        ]
    ),
}


# What the DAG claimpost__decide offers, and the step of etl.pipeline that does it.
DECISIONS: Final = {
    "release": "ask", "discard": "ask", "redeliver": "ask", "reverse": "ask", "release_journal": "release_journal",
    "approve": "approve",
}  # fmt: skip


def run(step: str, feed_id: str, *values: Any) -> Any:
    """Open the feed and run one step of etl.pipeline on it, under the name of this Airflow run.

    Connections come from AIRFLOW_CONN_<ID>, then from Airflow, then from the feed's own default.
    """
    from etl import pipeline, transport

    transport.use_resolver(connection)
    run_id = get_current_context()["dag_run"].run_id
    return getattr(pipeline, step)(pipeline.open(feed_id, f"{feed_id}/{run_id}"), *values)


def connection(connection_id: str) -> str:
    """An Airflow connection as JSON text, the form that AIRFLOW_CONN_<ID> takes; "" where Airflow has none."""
    try:
        return str(sdk.Connection.get(connection_id).as_json())
    except AirflowNotFoundException:
        return ""


def given(name: str) -> str:
    """What this run is for: its partition key, else the value that somebody gave it by hand."""
    context = get_current_context()
    return str(context["dag_run"].partition_key or context["params"][name])


def unless_queued(context: Any) -> None:
    """For the task that triggers a DAG: skip it where a run of that DAG waits already, for it will see our work too."""
    if context["ti"].get_dr_count(context["task"].trigger_dag_id, states=["queued"]):
        raise AirflowSkipException("A run is waiting already.")


# --- the tasks


@sdk.task.sensor(mode="reschedule", poke_interval=60)
def wait(feed_id: str, minutes: int) -> sdk.PokeReturnValue:
    """Wait until a complete file lies at the source, as long as the feed allows (`source.wait_minutes`)."""
    return sdk.PokeReturnValue(not minutes or bool(run("waiting", feed_id)["ready"]))


@sdk.task
def land(feed_id: str) -> list[str]:
    """Take what is complete at the source, and release it there once it is safe here; its sha256."""
    return run("extract", feed_id)


@sdk.task
def seal(feed_id: str, sealed: sdk.Asset) -> list[str]:
    """Clean, validate, map and seal; each batch left to load becomes one partition, and so one load run."""
    run("prepare", feed_id)
    run("isolate", feed_id)  # what a load run that failed has left of groups that were refused for one bad journal
    batch_ids = run("build", feed_id)
    get_current_context()["outlet_events"][sealed].add_partitions(batch_ids)
    return batch_ids


@sdk.task
def judge_files(feed_id: str) -> None:
    """Fail where this run rejected a file or holds a delivery; the good ones are on their way all the same."""
    files = run("refused", feed_id)
    if files:
        raise AirflowFailException("; ".join(f"{one['file']}: {one.get('reason') or one}" for one in files))


@sdk.task(multiple_outputs=False)
def decide() -> dict[str, Any]:
    """Make or approve a request in the name of whoever triggered this run."""
    context = get_current_context()
    given, actor = context["params"], context["dag_run"].triggering_user_name
    if not actor:
        raise AirflowFailException("Nobody is named as having triggered this run, so nobody decides.")
    values: list[Any] = [given["subject"], actor, given["reason"]]
    if given["action"] == "approve":
        values[0] = int(values[0])
    elif given["action"] != "release_journal":
        values.insert(0, given["action"])
    return dict(run(DECISIONS[given["action"]], given["feed"], *values))


@sdk.task(pool="erp")
def deliver(feed_id: str) -> str:
    """Hand the batch to the ERP and read it back; a batch delivered before is left alone."""
    return run("load", feed_id, given("batch_id"))


@sdk.task
def simulate(feed_id: str) -> None:
    """Let the sandbox ERP post what lies at the batch's target; only feeds with `simulator: yes` have this task."""
    run("simulate", feed_id, given("batch_id"))


@sdk.task.sensor(mode="reschedule", poke_interval=60, pool="erp")
def acknowledge(feed_id: str) -> sdk.PokeReturnValue:
    """Wait until the ERP has answered for every journal of the batch: posted or rejected.

    Those that it refused only because another one of their group was bad go again at once, and are waited for too.
    """
    counts = run("settle", feed_id, given("batch_id"))
    return sdk.PokeReturnValue(not counts["unknown"], counts)


@sdk.task(multiple_outputs=False)
def compare(feed_id: str) -> dict[str, Any]:
    """Hold source, journals and ERP against each other, document by document, and publish the report."""
    result = run("reconcile", feed_id, given("period"))
    return {name: result[name] for name in ("explained", "breaks", "kept_back", "report_files")}


@sdk.task
def judge(result: dict[str, Any]) -> None:
    """Fail where a difference is left unexplained."""
    if not result["explained"]:
        raise AirflowFailException(f"{result['breaks']} differences; see {result['report_files']}")


@sdk.task(multiple_outputs=False, map_index_template="{{ feed }}")
def verify(feed_id: str) -> dict[str, Any]:
    """Hold everything that is kept of a feed against what was written down; fail where something is wrong."""
    context: Any = get_current_context()
    context["feed"] = feed_id  # what the UI calls this one of the mapped tasks
    result = run("verified", feed_id)
    for line in result.pop("findings"):
        _LOG.error("%s", line)
    if not result["sound"]:
        context["ti"].xcom_push(key="return_value", value=result)
        raise AirflowFailException(f"{result['by_code']}; see {result['report_file']}")
    return dict(result)


@sdk.task
def refuse(why: str) -> None:
    """Stand for a feed whose file is wrong: red and with the reason, while the other feeds go on."""
    raise AirflowFailException(why)
