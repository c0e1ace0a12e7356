"""`python -m bench.year --home FOLDER [--lines N] [--out FILE]`: reconcile a year, one period and all of it.

What lies in FOLDER is made once, the product's own way: twelve deliveries, each a month, each extracted, built, loaded,
posted by the bundled ERP and acknowledged, with store and ERP tables in PostgreSQL. It stays there to measure again.
Then `claimpost reconcile` runs as a process of its own, and its report's files are weighed.
"""

from __future__ import annotations

import argparse
import datetime
import hashlib
import json
import os
import re
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bench.__main__ import LINES_PER_REPORT, machine, postgres_in
from bench.process import PROJECT, measured
from sandbox import sample

LINES = 2_400_000
PERIOD = "2026-06"
QUARTER_DAYS = (0, 90, 181, 273)  # from 1 January to the first day of each quarter
DATE = re.compile(rb"(?<![0-9])202[56]-[01][0-9]-[0-3][0-9](?![0-9])")
MONTH = re.compile("2026-(0[1-3])")


def main() -> None:
    parser = argparse.ArgumentParser(prog="bench.year", description=__doc__)
    parser.add_argument("--home", type=Path, default=Path(tempfile.gettempdir()) / "claimpost-year")
    parser.add_argument("--lines", type=int, default=LINES, help="of the whole year")
    parser.add_argument("--out", type=Path, help="a JSON file for the figures and the machine")
    options = parser.parse_args()
    options.home.mkdir(parents=True, exist_ok=True)
    with postgres_in(options.home / "postgres") as url, environment(options.home, url):
        made = options.home / "made.json"
        if not made.exists():
            made.write_text(json.dumps(make(options.home, options.lines)), "utf-8")
        told = {"machine": machine(), **json.loads(made.read_text("utf-8")), "runs": []}
        for name, period in (("one period", PERIOD), ("whole year", "")):
            out = options.home / "report" / name.replace(" ", "_")
            words = ["-m", "etl", "reconcile", "sample", "--json", "--out", str(out), "--period", period]
            run = measured(words, ends=(0, 1))
            said, sizes = json.loads(run.pop("said")), {one.name: one.stat().st_size for one in sorted(out.iterdir())}
            told["runs"].append({"entrant": name, **run, "posted": said["counts"]["posted"], "bytes": sizes})
            print(f"{name}: {run['seconds']} s, {run['cpu']} s of CPU, {run['peak_mib']} MiB", flush=True)
    if options.out:
        options.out.write_text(json.dumps(told, indent=1) + "\n", "utf-8")


@contextmanager
def environment(home: Path, url: str) -> Iterator[None]:
    """The settings of a claimpost that has its home here, and store and ERP tables at `url`."""
    mine = {
        "CLAIMPOST_HOME": str(home / "home"), "CLAIMPOST_MAPPINGS": str(home / "mappings"),
        "CLAIMPOST_STORE_URL": url, "AIRFLOW_CONN_SAMPLE_ERP_DB": url, "PYTHONWARNINGS": "ignore",
    }  # fmt: skip
    before = {name: os.environ.get(name) for name in mine}
    os.environ.update(mine)
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name) if value is None else os.environ.update({name: value})


def make(home: Path, lines: int) -> dict[str, Any]:
    """Twelve deliveries on their whole way. Out: reports, lines, seconds of each month."""
    from etl import pipeline

    shutil.copytree(PROJECT / "mappings", home / "mappings", dirs_exist_ok=True)
    feed = home / "mappings" / "feeds" / "sample.yml"
    # Twelve deliveries of one size differ by so little that chance is already several standard deviations.
    feed.write_text(re.sub("\n  history:.*", "", feed.read_text("utf-8")), "utf-8")
    reports, made, seconds = int(lines / LINES_PER_REPORT), {"reports": 0, "lines": 0}, []
    pipeline.prepare(pipeline.open("sample"))
    for quarter in range(4):
        with tempfile.TemporaryDirectory(dir=home) as folder:
            found = sample.write(Path(folder), reports=reports // 4, seed=quarter + 1)
            made = {name: made[name] + found[name] for name in made}  # type: ignore[literal-required]
            for file in sorted(Path(folder).glob("*.csv")):
                begun = time.perf_counter()
                take(shifted(file, quarter))
                seconds.append(round(time.perf_counter() - begun, 1))
                print(f"month {len(seconds)}: {seconds[-1]} s", flush=True)
    return {**made, "seconds_of_each_month": seconds}


def shifted(file: Path, quarter: int) -> Path:
    """The same delivery some quarters later, in a folder of its own: every date is moved by the same days."""
    folder = file.parent / file.stem
    folder.mkdir()
    moved = {
        day.isoformat().encode(): (day + datetime.timedelta(QUARTER_DAYS[quarter])).isoformat().encode()
        for day in (datetime.date(2025, 1, 1) + datetime.timedelta(n) for n in range(730))
    }
    content = DATE.sub(lambda found: moved.get(found[0], found[0]), file.read_bytes())
    out = folder / MONTH.sub(lambda found: f"2026-{int(found[1]) + 3 * quarter:02d}", file.name)
    out.write_bytes(content)
    out.with_name(out.name + ".ok").write_text(f"{len(content)} {hashlib.sha256(content).hexdigest()}\n")
    return out


def take(file: Path) -> None:
    """One delivery as `claimpost run` takes it, without its reconciliation."""
    from etl import pipeline

    context = pipeline.open("sample")
    pipeline.extract(context, file.parent)
    for batch_id in pipeline.build(context):
        pipeline.load(context, batch_id)
    pipeline.simulate(context)
    pipeline.acknowledge_all(context)


if __name__ == "__main__":
    main()
