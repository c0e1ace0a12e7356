"""Expense claims to the ERP: four DAGs for every feed in `mappings/feeds`.

`extract` -> `build` -> `load` (one run for each batch) -> `reconcile` (after each load, and daily by itself).
When the ERP refuses a whole group for one bad journal, `acknowledge` gives the others a new batch, delivers it and
waits for its answer too; it ends with the journals posted and rejected.
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

Clear a task only when its run is no longer running (`claimpost rerun FEED` sees to it). A batch that failed stops no
other batch.
Connections stand under Admin > Connections, by the ids the feed names; pool `erp` limits what runs at the ERP at once.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from airflow import sdk
from airflow.providers.standard.operators.trigger_dagrun import TriggerDagRunOperator

from etl import airflow_tasks as tasks
from etl import config, errors


def feed_dags(feed: config.Document) -> None:
    """The four DAGs of one feed."""
    feed_id, zone, proof = feed["feed"], feed["time_zone"], f"{feed['feed']}__reconcile"
    landed, sealed = (sdk.Asset(f"{feed_id}_{name}", f"claimpost://{feed_id}/{name}") for name in ("landed", "sealed"))
    common = {
        "start_date": datetime(2025, 1, 1, tzinfo=UTC),
        "catchup": False,
        "tags": ["claimpost", *feed.get("tags", [])],
        "doc_md": __doc__,
        "default_args": {**tasks.RETRIES, "owner": feed["owner"]},
    }
    one, text = {"max_active_runs": 1}, sdk.Param("", type="string")
    on_time = sdk.CronDataIntervalTimetable(feed["schedule"], zone)
    with sdk.DAG(f"{feed_id}__extract", schedule=on_time, **one, **common):
        minutes = int(feed["source"].get("wait_minutes", "0"))
        there = tasks.wait.override(timeout=timedelta(minutes=minutes + 1))(feed_id, minutes)
        sdk.chain(there, tasks.land.override(outlets=[landed])(feed_id), tasks.judge_files(feed_id))
    with sdk.DAG(f"{feed_id}__build", schedule=[landed], **one, **common):
        sdk.chain(tasks.seal.override(outlets=[sealed])(feed_id, sealed), tasks.judge_files(feed_id))
    by_batch = sdk.PartitionedAssetTimetable(assets=sealed)
    with sdk.DAG(f"{feed_id}__load", schedule=by_batch, params={"batch_id": text}, **common):
        answered = tasks.acknowledge.override(timeout=timedelta(hours=int(feed["acknowledge_within_hours"])))(feed_id)
        prove = TriggerDagRunOperator(task_id="prove", trigger_dag_id=proof, pre_execute=tasks.unless_queued)
        posted = [tasks.simulate(feed_id)] if feed.get("simulator") == "yes" else []
        sdk.chain(tasks.deliver(feed_id), *posted, answered, prove)
    daily = sdk.CronTriggerTimetable("0 6 * * *", timezone=zone)
    with sdk.DAG(proof, schedule=daily, params={"period": text}, **one, **common):
        tasks.judge(tasks.compare(feed_id))


for path in sorted((config.settings().mappings / "feeds").glob("*.yml")):
    try:
        feed_dags(config.load(path, "feed"))
    except errors.ConfigurationError as error:
        with sdk.DAG(f"{path.stem}__extract", schedule="@daily", catchup=False, tags=["claimpost"], doc_md=str(error)):
            tasks.refuse(str(error))
