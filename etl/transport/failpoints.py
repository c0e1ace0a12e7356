"""Named places between the steps of a protocol, where a test may kill the process."""

from __future__ import annotations

import os
import signal
from typing import Final

VARIABLE: Final = "CLAIMPOST_FAILPOINT"


def failpoint(name: str) -> None:
    """Does nothing; kills this process at once when the environment's CLAIMPOST_FAILPOINT is this name."""
    if os.environ.get(VARIABLE) == name:
        os.kill(os.getpid(), signal.SIGKILL)
