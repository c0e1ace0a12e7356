"""`python -m bench.wide [--feeds N] [--reports N] [--workers N]`: deliveries an hour with one Celery worker and more.

Everything is on this machine, also Airflow itself, PostgreSQL, Redis and the S3, so with few cores the ratio says what
the cores allow; only on as many cores as processes does it say what workers do.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from pathlib import Path
from unittest import mock

from etl.pipeline.build import build
from etl.pipeline.extract import extract
from sandbox import fleet, sample


def main() -> None:
    parser = argparse.ArgumentParser(prog="bench.wide", description=__doc__)
    parser.add_argument("--feeds", type=int, default=4)
    parser.add_argument("--reports", type=int, default=12, help="of each feed; one batch each, less what is refused")
    parser.add_argument("--workers", type=int, default=2)
    options = parser.parse_args()
    rates = {n: rate(options.feeds, options.reports, n) for n in (1, options.workers)}
    efficiency = rates[options.workers] / rates[1] / options.workers
    told = {str(n): round(found) for n, found in rates.items()}
    print(json.dumps({"batches_an_hour": told, "efficiency": round(efficiency, 2), "cores": os.cpu_count()}))


def rate(feeds: int, reports: int, workers: int) -> float:
    """Batches an hour, from the first order to the last delivery; the workers are there before."""
    names = tuple(f"w{number:02}" for number in range(feeds))
    with tempfile.TemporaryDirectory(prefix="cp-wide-") as folder:
        Path(folder).chmod(0o711)
        with fleet.fleet(Path(folder), names) as here, mock.patch.dict(os.environ, here.environment):
            batches = sealed(here, reports)
            for number in range(workers):
                here.start(f"worker{number}")
            begun = time.monotonic()
            for batch_id, feed_id in batches.items():
                here.trigger(feed_id, batch_id)
            fleet.until(lambda: here.done() == len(batches), "all are delivered", 3_600)
            return 3_600 * len(batches) / (time.monotonic() - begun)


def sealed(here: fleet.Fleet, reports: int) -> dict[str, str]:
    """Land and seal a delivery of the sample for each feed; out: each batch and its feed."""
    found: dict[str, str] = {}
    for seed, feed_id in enumerate(here.feeds):
        sample.write(here.folder / "inbox" / feed_id, reports, seed)
        context = here.context(feed_id, "builder")
        extract(context)
        found |= dict.fromkeys(build(context), feed_id)
        context.store.close()
    return found


if __name__ == "__main__":
    main()
