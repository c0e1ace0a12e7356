"""Expense claims to the ERP: four DAGs for every feed in `mappings/feeds`.

`extract` -> `build` -> `load` (one run for each batch) -> `reconcile` (after each load, and daily by itself).
The store knows what is left to do, so every task may be cleared and run again at any time: nothing is posted twice.

**When a task is red**, the last line of its log says what is wrong, where, and what to do.

| task | most likely | do |
|---|---|---|
| `wait` | no complete file came in the agreed time | ask the sender; a file without its `.ok` waits for it |
| `land` | the source is away, or a file is refused | it retries by itself; or ask for a corrected file |
| `seal` | a mapping or a table is wrong | correct it under `mappings/`, clear the task |
| `judge_files` | a file was rejected or a delivery held | read the reason; the good files go on, so do not clear |
| `deliver` | the ERP is busy | it retries by itself; on `CONTENT_CHANGED` do not clear: find out who wrote it |
| `acknowledge` | the ERP has not answered in the agreed time | ask the ERP's owner; never deliver again unasked |
| `judge` | a difference that nothing explains | open the report named in the log |

Clear a task only when its run is no longer running. A batch that failed stops no other batch.
Connections stand under Admin > Connections, by the ids the feed names; pool `erp` limits what runs at the ERP at once.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from airflow import sdk
from airflow.providers.standard.operators.trigger_dagrun import TriggerDagRunOperator
from airflow.sdk.exceptions import AirflowFailException

from etl import config, errors
from etl.airflow_tasks import RETRIES, given, run, unless_queued


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
    batch_ids = run("build", feed_id)
    sdk.get_current_context()["outlet_events"][sealed].add_partitions(batch_ids)
    return batch_ids


@sdk.task
def judge_files(feed_id: str) -> None:
    """Fail where this run rejected a file or holds a delivery; the good ones are on their way all the same."""
    files = run("refused", feed_id)
    if files:
        raise AirflowFailException("; ".join(f"{one['file']}: {one.get('reason') or one}" for one in files))


@sdk.task(pool="erp")
def deliver(feed_id: str) -> str:
    """Hand the batch to the ERP and read it back; a batch delivered before is left alone."""
    return run("load", feed_id, given("batch_id"))


@sdk.task
def simulate(feed_id: str) -> None:
    """Let the sandbox ERP post what lies at the batch's target; only feeds with `simulator: yes` have this task."""
    run("simulate", feed_id, given("batch_id"))


@sdk.task.sensor(mode="reschedule", poke_interval=60)
def acknowledge(feed_id: str) -> sdk.PokeReturnValue:
    """Wait until the ERP has answered for every journal of the batch: posted or rejected."""
    counts = run("acknowledge", feed_id, given("batch_id"))
    return sdk.PokeReturnValue(not counts["unknown"], counts)


@sdk.task(multiple_outputs=False)
def compare(feed_id: str) -> dict[str, Any]:
    """Hold source, journals and ERP against each other, document by document, and publish the report."""
    result = run("reconcile", feed_id, given("period"))
    return {name: result[name] for name in ("explained", "breaks", "report_files")}


@sdk.task
def judge(result: dict[str, Any]) -> None:
    """Fail where a difference is left unexplained."""
    if not result["explained"]:
        raise AirflowFailException(f"{result['breaks']} differences; see {result['report_files']}")


@sdk.task
def refuse(why: str) -> None:
    """Stand for a feed whose file is wrong: red and with the reason, while the other feeds go on."""
    raise AirflowFailException(why)


def feed_dags(feed: config.Document) -> None:
    """The four DAGs of one feed."""
    feed_id, zone, proof = feed["feed"], feed["time_zone"], f"{feed['feed']}__reconcile"
    landed, sealed = (sdk.Asset(f"{feed_id}_{name}", f"claimpost://{feed_id}/{name}") for name in ("landed", "sealed"))
    common = {
        "start_date": datetime(2025, 1, 1, tzinfo=UTC),
        "catchup": False,
        "tags": ["claimpost", *feed.get("tags", [])],
        "doc_md": __doc__,
        "default_args": {**RETRIES, "owner": feed["owner"]},
    }
    one, text = {"max_active_runs": 1}, sdk.Param("", type="string")
    on_time = sdk.CronDataIntervalTimetable(feed["schedule"], zone)
    with sdk.DAG(f"{feed_id}__extract", schedule=on_time, **one, **common):
        minutes = int(feed["source"].get("wait_minutes", "0"))
        there = wait.override(timeout=timedelta(minutes=minutes + 1))(feed_id, minutes)
        sdk.chain(there, land.override(outlets=[landed])(feed_id), judge_files(feed_id))
    with sdk.DAG(f"{feed_id}__build", schedule=[landed], **one, **common):
        sdk.chain(seal.override(outlets=[sealed])(feed_id, sealed), judge_files(feed_id))
    by_batch = sdk.PartitionedAssetTimetable(assets=sealed)
    with sdk.DAG(f"{feed_id}__load", schedule=by_batch, params={"batch_id": text}, **common):
        answered = acknowledge.override(timeout=timedelta(hours=int(feed["acknowledge_within_hours"])))(feed_id)
        prove = TriggerDagRunOperator(task_id="prove", trigger_dag_id=proof, pre_execute=unless_queued)
        posted = [simulate(feed_id)] if feed.get("simulator") == "yes" else []
        sdk.chain(deliver(feed_id), *posted, answered, prove)
    daily = sdk.CronTriggerTimetable("0 6 * * *", timezone=zone)
    with sdk.DAG(proof, schedule=daily, params={"period": text}, **one, **common):
        judge(compare(feed_id))


for path in sorted((config.settings().mappings / "feeds").glob("*.yml")):
    try:
        feed_dags(config.load(path, "feed"))
    except errors.ConfigurationError as error:
        with sdk.DAG(f"{path.stem}__extract", schedule="@daily", catchup=False, tags=["claimpost"], doc_md=str(error)):
            refuse(str(error))
