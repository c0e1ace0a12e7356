"""`python -m bench.start [--home FOLDER] [--out FILE]`: what one waits for at the terminal, what Airflow's parser pays.

`claimpost --help` and `claimpost status` as whole processes (wall seconds, median of 5; a store that has batches: give
its home), and the CPU seconds in which Airflow reads the real DAG file with 50 feeds, its own libraries loaded before.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bench.__main__ import machine
from bench.process import PROJECT, measured

FEEDS, RUNS = 50, 5
# The processor of Airflow has its libraries loaded when it forks to read a file.
PARSE = """
import sys, time
from airflow.dag_processing.dagbag import DagBag
begun = time.process_time()
bag = DagBag(dag_folder=sys.argv[1], safe_mode=False)
seconds = time.process_time() - begun
assert not bag.import_errors, bag.import_errors
print(len(bag.dags), seconds)
"""


def main() -> None:
    parser = argparse.ArgumentParser(prog="bench.start", description=__doc__)
    parser.add_argument("--home", type=Path, help="a home with its store; default: an empty one")
    parser.add_argument("--store", default="", help="the store's database URL; default: SQLite under home")
    parser.add_argument("--out", type=Path, help="a JSON file for the figures and the machine")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="claimpost-bench-") as folder:
        home = options.home or Path(folder) / "home"
        mine = {"CLAIMPOST_HOME": str(home), **({"CLAIMPOST_STORE_URL": options.store} if options.store else {})}
        figures = {
            "--help": medians(["-m", "etl", "--help"], mine),
            "status": medians(["-m", "etl", "status"], mine),
            "DAG parse": parse(Path(folder)),
        }
    for name, figure in figures.items():
        print(f"{name}: " + ", ".join(f"{key} {value}" for key, value in figure.items()))
    if options.out:
        told = {"machine": machine(), "figures": figures}
        options.out.write_text(json.dumps(told, indent=1) + "\n", "utf-8")


def medians(words: list[str], environment: Mapping[str, str]) -> dict[str, Any]:
    """Median wall and CPU seconds of a command; once before, so that its files are read and its store is there."""
    whole = {**os.environ, **environment}
    measured(words, environment=whole)
    runs = [measured(words, environment=whole) for _ in range(RUNS)]
    return {name: statistics.median(run[name] for run in runs) for name in ("seconds", "cpu", "peak_mib")}


def parse(folder: Path) -> dict[str, Any]:
    """CPU seconds of Airflow's reading of the DAG file with FEEDS feeds: copies of the sample's under other names."""
    feeds = folder / "mappings" / "feeds"
    feeds.mkdir(parents=True)
    sample = (PROJECT / "mappings" / "feeds" / "sample.yml").read_text("utf-8")
    for number in range(FEEDS):
        name = f"feed_{number:02d}"
        (feeds / f"{name}.yml").write_text(sample.replace("feed: sample", f"feed: {name}"), "utf-8")
    whole = {
        **os.environ, "AIRFLOW_HOME": str(folder / "airflow"), "CLAIMPOST_MAPPINGS": str(folder / "mappings"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False", "AIRFLOW__CORE__UNIT_TEST_MODE": "False",
    }  # fmt: skip
    dags = str(PROJECT / "dags" / "expense_to_erp.py")
    said = [measured(["-c", PARSE, dags], environment=whole)["said"].split()[-2:] for _ in range(RUNS)]
    return {"dags": int(said[0][0]), "cpu": round(statistics.median(float(seconds) for _, seconds in said), 3)}


if __name__ == "__main__":
    main()
