"""Every night: is what we hold still what we landed, sealed, sent and wrote down? One task for each feed.

| task | it is red when | what to do |
| --- | --- | --- |
| `verify` | something of severity S1 or S2 is wrong; its log names every finding | see docs/operations.md, "Verify" |

The findings lie in `reports/<feed>/verify.json`. It changes nothing, so it may be cleared and run again at any time.
"""

from __future__ import annotations

from datetime import UTC, datetime

from airflow import sdk

from etl import airflow_tasks as tasks
from etl import config

FEEDS = sorted(path.stem for path in (config.settings().mappings / "feeds").glob("*.yml"))

with sdk.DAG(
    "claimpost__verify",
    schedule=sdk.CronTriggerTimetable("0 3 * * *", timezone="UTC"),
    start_date=datetime(2025, 1, 1, tzinfo=UTC),
    catchup=False,
    max_active_runs=1,
    tags=["claimpost"],
    doc_md=__doc__,
    default_args={**tasks.RETRIES, "owner": "finance-systems"},
):
    tasks.verify.expand(feed_id=FEEDS)
