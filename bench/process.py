"""One process, measured from outside: wall and CPU seconds, peak memory."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

PROJECT = Path(__file__).resolve().parents[1]


def measured(
    words: Sequence[str], ends: Collection[int] = (0,), environment: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """Run Python with these words; out: seconds, cpu, peak_mib, and `said`: its standard output as text.

    An end that is not among `ends` stops the measurement: its figures would say nothing.
    """
    begun = time.perf_counter()
    command = [sys.executable, "-W", "ignore", *words]
    with subprocess.Popen(command, cwd=PROJECT, stdout=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stdout is not None
        said = process.stdout.read()
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    wall = time.perf_counter() - begun
    if process.returncode not in ends:
        raise SystemExit(f"{' '.join(words)} ended with {process.returncode}")
    return {
        "seconds": round(wall, 2), "cpu": round(used.ru_utime + used.ru_stime, 2),
        "peak_mib": used.ru_maxrss // 1024, "said": said,
    }  # fmt: skip
