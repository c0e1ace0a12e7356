"""`python -m bench.sizing [--lines N]`: what a delivery takes of each thing that grows; the figures of docs/sizing.md.

CPU seconds, not seconds: they add up over machines. Two sizes are measured; their difference is what a line costs, the
rest is what a run costs whatever its size. The ERP's table is in the same PostgreSQL and not counted to the store.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
from sqlalchemy import create_engine, text

from bench.__main__ import LINES_PER_REPORT, PROJECT, postgres, prepare
from sandbox import sample

ERP = ("gl_interface", "claimpost_manifest")
SIZES = """SELECT relname, pg_total_relation_size(oid) FROM pg_class
           WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace"""


FIGURES = Path(__file__).with_name("sizing.json")
# What a month looks like; each is an assumption to be replaced by yours.
LINES_PER_DELIVERY, BATCHES_PER_DELIVERY = 100_000, 10
TASKS_PER_DELIVERY, TASKS_PER_BATCH = 5, 3
PROOF = 2  # settling and reconciliation take as long again as the way to the ERP
CLOSE_SHARE, CLOSE_HOURS = 0.4, 24  # of the month's lines, in three working days
PRICES = {"core_hour": 0.05, "object_gb_month": 0.023, "database_gb_month": 0.12}  # USD, list prices of 2026 rounded


def plan(lines: int, figures: dict[str, float]) -> dict[str, float]:
    """What a month of so many lines takes, by the measured figures and the assumptions above."""
    deliveries = lines / LINES_PER_DELIVERY
    tasks = deliveries * (TASKS_PER_DELIVERY + BATCHES_PER_DELIVERY * TASKS_PER_BATCH)
    ours = lines * figures["cpu_ms_per_line"] / 1_000 * PROOF / 3_600
    database = lines * figures["database_cpu_ms_per_line"] / 1_000 * PROOF / 3_600
    starts = tasks * figures["cpu_seconds_per_task"] / 3_600
    objects, store = (lines * figures[f"{name}_bytes_per_line"] / 1e9 for name in ("object", "store"))
    cores = CLOSE_SHARE * (ours + starts) / CLOSE_HOURS
    return {
        "lines": lines, "lines_per_hour_at_close": round(CLOSE_SHARE * lines / CLOSE_HOURS), "tasks": round(tasks),
        "core_hours_lines": round(ours, 1), "core_hours_task_starts": round(starts, 1),
        "core_hours_database": round(database, 1), "cores_at_close": round(cores, 1),
        "object_gb_a_month": round(objects, 1), "store_gb_a_month": round(store, 1),
        "usd_cpu": round((ours + starts + database) * PRICES["core_hour"], 2),
        "usd_first_month_storage": round(
            objects * PRICES["object_gb_month"] + store * PRICES["database_gb_month"], 2),
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(prog="bench.sizing", description=__doc__)
    parser.add_argument("--lines", type=int, default=100_000)
    parser.add_argument("--database", default="", help="a database URL; default: an embedded PostgreSQL")
    parser.add_argument("--plan", type=int, default=0, metavar="LINES", help="work out a month; nothing is measured")
    options = parser.parse_args()
    if options.plan:
        print(json.dumps(plan(options.plan, json.loads(FIGURES.read_text("utf-8"))), indent=1))
        return
    with tempfile.TemporaryDirectory(prefix="claimpost-bench-") as folder, postgres(options.database) as url:
        small, large = (taken(Path(folder) / str(n), n, url) for n in (options.lines // 10, options.lines))
    lines = large["lines"] - small["lines"]
    per_line = {name: (large[name] - small[name]) / lines for name in large if name not in ("lines", "peak_mib")}
    print(json.dumps({
        "lines": large["lines"], "cpu_seconds": round(large["cpu"], 1),
        "database_cpu_seconds": round(large["database"], 1),
        "cpu_seconds_start": round(small["cpu"] - per_line["cpu"] * small["lines"], 1),
        "cpu_ms_per_line": round(1_000 * per_line["cpu"], 3),
        "database_cpu_ms_per_line": round(1_000 * per_line["database"], 3),
        "store_bytes_per_line": round(per_line["store"]), "object_bytes_per_line": round(per_line["objects"]),
        "source_bytes_per_line": round(per_line["source"]), "peak_mib": round(large["peak_mib"]),
        "peak_mib_small": round(small["peak_mib"]),
    }, indent=1))  # fmt: skip


def taken(folder: Path, lines: int, url: str) -> dict[str, float]:
    """CPU seconds of ours and of PostgreSQL, bytes of store, home and delivery, and peak memory, of one delivery."""
    made: dict[str, Any] = sample.write(folder / "delivery", reports=int(lines / LINES_PER_REPORT), seed=1)
    prepare(folder / "delivery", url, folder)
    server = _server(url)
    before = _database_cpu(server)
    words = [sys.executable, "-W", "ignore", "-m", "bench.claimpost_way", str(folder / "delivery"), url, str(folder)]
    process = subprocess.Popen(words, cwd=PROJECT, stdout=subprocess.DEVNULL)
    served: dict[int, float] = {}
    while True:  # a server process takes its figure with it when its connection ends
        served |= _database_cpu(server)
        pid, status, used = os.wait4(process.pid, os.WNOHANG)
        if pid:
            break
        time.sleep(0.1)
    assert status == 0, f"claimpost ended with {status}"
    return {
        "lines": int(made["lines"]), "cpu": used.ru_utime + used.ru_stime,
        "database": sum(cpu - before.get(pid, 0) for pid, cpu in served.items()),
        "store": _store_bytes(url), "objects": _bytes(folder / "home"), "source": _bytes(folder / "delivery"),
        "peak_mib": used.ru_maxrss / 1024,
    }  # fmt: skip


def _server(url: str) -> psutil.Process:
    """The server of a database of this machine."""
    engine = create_engine(url)
    with engine.connect() as connection:
        server = psutil.Process(connection.execute(text("SELECT pg_backend_pid()")).scalar()).parent()
    engine.dispose()
    assert server is not None
    return server


def _database_cpu(server: psutil.Process) -> dict[int, float]:
    found = {}
    for process in server.children():
        with suppress(psutil.NoSuchProcess):
            times = process.cpu_times()
            found[process.pid] = times.user + times.system
    return found


def _store_bytes(url: str) -> int:
    engine = create_engine(url)
    with engine.connect() as connection:
        sizes = [(name, size) for name, size in connection.execute(text(SIZES)) if name not in ERP]
    engine.dispose()
    return sum(size for _, size in sizes)


def _bytes(folder: Path) -> int:
    kept = (path for path in folder.rglob("*") if path.is_file() and "data_docs" not in path.parts)
    return sum(path.stat().st_size for path in kept)


if __name__ == "__main__":
    main()
