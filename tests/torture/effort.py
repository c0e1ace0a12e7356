"""How much is tried: a quick part in every test run, all of it with TORTURE=all, more or less of it by number."""

from __future__ import annotations

import os
from typing import Final

WHOLE: Final = os.environ.get("TORTURE", "") == "all"
# Runs of concurrent attempts, each with sleeps and deaths of its own.
SEEDS: Final = int(os.environ.get("SEEDS", "200" if WHOLE else "6"))
# Seconds that each of the eight sweeps over system calls may take; a slow machine tries fewer points.
SECONDS: Final = float(os.environ.get("SECONDS", "300" if WHOLE else "5"))
# Sequences of events that the state machine draws.
MACHINES: Final = int(os.environ.get("MACHINES", "200" if WHOLE else "6"))
FIGURES: Final = ("kill points", "model states", "network cells", "seeds", "attempts", "sequences", "batches")
