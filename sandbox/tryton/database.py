"""Tryton's database: open it, and work in it one transaction at a time."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, TypeVar

from trytond import backend, config
from trytond.pool import Pool
from trytond.transaction import Transaction, TransactionError

WAIT_SECONDS: Final = 120
PAUSE_SECONDS: Final = 0.05
Result = TypeVar("Result")


def point_to(path: Path) -> str:
    """Tell Tryton where the SQLite file lies; returns the name that it knows the database by."""
    config.set("database", "uri", "sqlite://")
    config.set("database", "path", str(path.resolve().parent))
    return path.stem


class Books:
    """An open Tryton database. Everything is done as its administrator, in English."""

    def __init__(self, path: Path) -> None:
        self.name = point_to(path)
        self._locks: dict[str, Any] = {}
        Pool.start()
        self._retried(lambda: Pool(self.name).init())

    def get(self, model: str) -> Any:
        """A model of Tryton, by its name."""
        return Pool(self.name).get(model)

    def work(self, task: Callable[[Any], Result], **context: Any) -> Result:
        """Run a task in one transaction; it gets the cursor. While another writes, the whole task waits its turn.

        SQLite lets one write at a time and gives up after five seconds: no refusal, so it is tried again. So is a task
        in which Tryton finds that it needs a lock from the start.
        """

        def once() -> Result:
            while True:
                try:
                    with Transaction().start(
                        self.name, 1, context={"language": "en", **context}, **self._locks
                    ) as work:
                        return task(work.connection.cursor())
                except TransactionError as error:
                    error.fix(self._locks)

        return self._retried(once)

    @staticmethod
    def _retried(once: Callable[[], Result]) -> Result:
        deadline = time.monotonic() + WAIT_SECONDS
        while True:
            try:
                return once()
            except (backend.DatabaseOperationalError, sqlite3.OperationalError) as error:
                if "locked" not in str(error) or time.monotonic() > deadline:
                    raise
                time.sleep(PAUSE_SECONDS)
