"""`python -m bench.quick [--rewrite]`: is the hot path dearer than `bench/baseline.json`? Then exit code 1.

Seconds say little on a shared machine, so it counts: Python calls of the whole way at two sizes. Their difference is
what one more line costs, and should be small, since columns are worked on and not rows; what is left is the start. A
figure more than 15 % above the baseline fails. One that is far below asks for `--rewrite`, so that the gain is kept.
"""

from __future__ import annotations

import argparse
import json
import pstats
import subprocess
import sys
import tempfile
from pathlib import Path

from bench.__main__ import LINES_PER_REPORT, PROJECT, postgres, prepare
from sandbox import sample

BASELINE = Path(__file__).with_name("baseline.json")
SMALL, LARGE = 5_000, 25_000
ALLOWED_PCT = 15


def main() -> int:
    parser = argparse.ArgumentParser(prog="bench.quick", description=__doc__)
    parser.add_argument("--rewrite", action="store_true", help="write the baseline anew, for review")
    parser.add_argument("--database", default="", help="a database URL; default: an embedded PostgreSQL")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="claimpost-bench-") as folder, postgres(options.database) as url:
        small, large = (calls(Path(folder) / str(lines), lines, url) for lines in (SMALL, LARGE))
    per_line = (large[0] - small[0]) / (large[1] - small[1])
    found = {"calls_per_100_lines": round(100 * per_line), "calls_at_start": round(small[0] - per_line * small[1])}
    if options.rewrite:
        BASELINE.write_text(json.dumps(found, indent=1) + "\n", "utf-8")
        return 0
    return compare(json.loads(BASELINE.read_text("utf-8")), found)


def calls(folder: Path, lines: int, url: str) -> tuple[int, int]:
    """Python calls of the whole way, and the lines that the delivery really has."""
    made = sample.write(folder / "delivery", reports=int(lines / LINES_PER_REPORT), seed=1)
    prepare(folder / "delivery", url, folder)
    profile = folder / "calls"
    words = [sys.executable, "-W", "ignore", "-m", "cProfile", "-o", str(profile), "-m", "bench.claimpost_way"]
    subprocess.run([*words, str(folder / "delivery"), url, str(folder)], cwd=PROJECT, check=True, capture_output=True)
    return pstats.Stats(str(profile)).total_calls, int(made["lines"])  # type: ignore[attr-defined]


def compare(baseline: dict[str, int], found: dict[str, int]) -> int:
    """Print both and say which figures are beyond what is allowed."""
    worse = 0
    for name, before in baseline.items():
        change = 100 * (found[name] - before) / before
        verdict = "too many" if change > ALLOWED_PCT else "fewer: --rewrite keeps it" if change < -ALLOWED_PCT else "ok"
        worse += change > ALLOWED_PCT
        print(f"{name:<22} {before:>12,} {found[name]:>12,}  {change:+6.1f} %  {verdict}")
    return int(worse > 0)


if __name__ == "__main__":
    sys.exit(main())
