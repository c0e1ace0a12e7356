"""Tryton's own Python and empty books, made once and kept; needs a package index the first time.

The environment is known by its lock file and Python, the books by the code that founds them: a change of either makes
new ones beside the old. Two who ask at once wait for each other.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

HERE: Final = Path(__file__).resolve().parent
PROJECT: Final = HERE.parents[1]
HOME: Final = PROJECT / ".claimpost" / "tryton"
LOCK: Final = HERE / "requirements.lock"
FOUNDED_BY: Final = ("books.toml", "found.py", "database.py", "ledger.py")
SECONDS_MAX: Final = 900


class TrytonUnavailable(RuntimeError):
    """Tryton could not be installed or its books not be made; the message says what to do."""


@dataclass(frozen=True)
class Tryton:
    """Tryton's Python, and one set of books."""

    python: Path
    books: Path

    def start(self, verb: str, *arguments: str | Path) -> subprocess.Popen[str]:
        """Start a command of the ERP, on these books where it needs any."""
        books = [] if verb == "prepare" else ["--books", str(self.books)]
        command = [str(self.python), "-m", "sandbox.tryton", verb, *books, *map(str, arguments)]
        clean = {name: value for name, value in os.environ.items() if not name.startswith(("TRYTOND_", "PYTHON"))}
        return subprocess.Popen(
            command, cwd=PROJECT, env=clean, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )

    def run(self, verb: str, *arguments: str | Path) -> Any:
        """What a command of the ERP says; raises TrytonUnavailable with its last words when it fails."""
        process = self.start(verb, *arguments)
        try:
            said, complaint = process.communicate(timeout=SECONDS_MAX)
        finally:
            process.kill()
            process.wait()
        if process.returncode != 0:
            raise TrytonUnavailable(f"sandbox.tryton {verb} failed: {complaint.strip()[-1500:]}")
        return json.loads(said)

    def copy_to(self, books: Path) -> Tryton:
        """The same Tryton on a copy of these books."""
        books.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(self.books, books)
        return Tryton(self.python, books)


def ready(home: Path = HOME) -> Tryton:
    """Tryton with empty books, made if they are not there yet. Raises TrytonUnavailable."""
    home.mkdir(parents=True, exist_ok=True)
    with _alone(home / ".lock"):
        python = _installed(home)
        empty = home / f"empty-{_digest(python.parent.parent.name, *[HERE / name for name in FOUNDED_BY])}.sqlite"
        if not empty.exists():
            _found(python, empty)
    return Tryton(python, empty)


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _installed(home: Path) -> Path:
    environment = home / f"venv-{_digest(sys.version, LOCK)}"
    python = environment / "bin" / "python"
    if (environment / ".ready").exists():
        return python
    uv = Path(sys.executable).with_name("uv")
    for command in (
        [uv, "venv", "--quiet", "--clear", "--python", sys.executable, environment],
        [uv, "pip", "sync", "--quiet", "--compile-bytecode", "--require-hashes", "--python", python, LOCK],
    ):
        _run([str(part) for part in command])
    (environment / ".ready").touch()
    return python


def _run(command: list[str]) -> None:
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=SECONDS_MAX)
        complaint = done.stderr.strip()[-1500:] if done.returncode else ""
    except (OSError, subprocess.TimeoutExpired) as error:
        complaint = str(error)
    if complaint:
        raise TrytonUnavailable(
            f"Tryton could not be installed: {' '.join(command[:3])} ... {complaint}\n"
            f"It needs a package index the first time, for what {LOCK.name} of sandbox/tryton lists; "
            "run `make erp` where there is one."
        )


def _found(python: Path, empty: Path) -> None:
    """Books appear under their name only when they are complete, as one file."""
    with tempfile.TemporaryDirectory(dir=empty.parent) as folder:
        books = Path(folder) / "books.sqlite"
        Tryton(python, books).run("found")
        leftovers = [path for path in Path(folder).iterdir() if path != books and path.stat().st_size]
        assert not leftovers, f"SQLite left {leftovers} beside the books"
        os.replace(books, empty)


def _digest(text: str, *files: Path) -> str:
    whole = hashlib.sha256(text.encode())
    for file in files:
        whole.update(file.read_bytes())
    return whole.hexdigest()[:12]
