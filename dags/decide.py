"""What people decide, for those who live in the UI: trigger this DAG, fill in the form. Who triggers it is the actor.

| task | it is red when | what to do |
| --- | --- | --- |
| `decide` | nothing waits under that name, it is your own request, or it has changed | see docs/operations.md |

`release`, `discard`, `redeliver` and `reverse` make a request and return its number; another person triggers the DAG
with `approve` and that number as subject. `release_journal` gives a journal that the ERP refused a new batch. For
redeliver, ask the ERP's people first: your reason says who confirmed that the batch was never received. What `reverse`
takes back is delivered by the feed's next build.
"""

from __future__ import annotations

from datetime import UTC, datetime

from airflow import sdk

from etl import airflow_tasks as tasks
from etl import config

FEEDS = sorted(path.stem for path in (config.settings().mappings / "feeds").glob("*.yml"))
PARAMS = {
    "feed": sdk.Param(FEEDS[0] if FEEDS else "", type="string", enum=FEEDS or [""]),
    "action": sdk.Param("release", type="string", enum=list(tasks.DECISIONS)),
    "subject": sdk.Param(
        "-", type="string", minLength=1, description="report, file, batch, journal key, or request number"
    ),
    "reason": sdk.Param("-", type="string", minLength=1, description="why; it is recorded"),
}

with sdk.DAG(
    "claimpost__decide",
    schedule=None,
    start_date=datetime(2025, 1, 1, tzinfo=UTC),
    catchup=False,
    tags=["claimpost"],
    doc_md=__doc__,
    default_args={**tasks.RETRIES, "owner": "finance-systems"},
    params=PARAMS,
):
    tasks.decide()
