"""The product: delivery to staged and dropped batches, with landing, receipts, store, sealed bytes and quarantine."""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[1]


def main(delivery: str, url: str, scratch: str, only: str = "") -> None:
    """Extract, build and load; prints the seconds of each as JSON. A second call on the same scratch is a re-run.

    `only` "prepare" makes what is there before a first delivery: the store's tables, and the ERP's.
    """
    os.environ["AIRFLOW_CONN_SAMPLE_ERP_DB"] = url
    seconds, begun = {}, time.perf_counter()
    from etl import config, pipeline

    context = pipeline.open("sample", settings=config.Settings(Path(scratch) / "home", PROJECT / "mappings", url))
    if only:
        pipeline.prepare(context)
        return
    seconds["start"] = time.perf_counter() - begun
    for name in ("extract", "build", "load"):
        begun = time.perf_counter()
        if name == "extract":
            pipeline.extract(context, Path(delivery))
        elif name == "build":
            pipeline.build(context)
        else:
            for batch in context.store.batches():
                if batch.state == "sealed":
                    pipeline.load(context, batch.batch_id)
        seconds[name] = time.perf_counter() - begun
    print(json.dumps({name: round(value, 3) for name, value in seconds.items()}))


if __name__ == "__main__":
    main(*sys.argv[1:])
