"""How a task of Airflow runs a step of etl.pipeline: retries by kind of error, connections, what the run is for.

Only DAG files import this. Nothing heavy is imported until a task runs.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any, Final

from airflow.sdk import ExceptionRetryPolicy, RetryAction, RetryRule, get_current_context

from etl import errors

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


def run(step: str, feed_id: str, *values: str) -> Any:
    """Open the feed and run one step of etl.pipeline on it, under the name of this Airflow run.

    Connections come from AIRFLOW_CONN_<ID>, then from Airflow, then from the feed's own default.
    """
    from etl import pipeline, transport

    transport.use_resolver(connection)
    run_id = get_current_context()["dag_run"].run_id
    return getattr(pipeline, step)(pipeline.open(feed_id, f"{feed_id}/{run_id}"), *values)


def connection(connection_id: str) -> str:
    """An Airflow connection as JSON text, the form that AIRFLOW_CONN_<ID> takes; "" where Airflow has none."""
    from airflow.sdk import Connection
    from airflow.sdk.exceptions import AirflowNotFoundException

    try:
        return str(Connection.get(connection_id).as_json())
    except AirflowNotFoundException:
        return ""


def given(name: str) -> str:
    """What this run is for: its partition key, else the value that somebody gave it by hand."""
    context = get_current_context()
    return str(context["dag_run"].partition_key or context["params"][name])


def unless_queued(context: Any) -> None:
    """For the task that triggers a DAG: skip it where a run of that DAG waits already, for it will see our work too."""
    from airflow.sdk.exceptions import AirflowSkipException

    if context["ti"].get_dr_count(context["task"].trigger_dag_id, states=["queued"]):
        raise AirflowSkipException("A run is waiting already.")
