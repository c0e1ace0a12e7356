"""Set-up: what `make` promises on a fresh machine, as far as it can be seen without one."""

from __future__ import annotations

import configparser
import os
import re
import subprocess
import sys
from importlib.metadata import requires
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.version import Version

PROJECT = Path(__file__).resolve().parent.parent
LOCKS = ("requirements.lock", "bootstrap.lock", "sandbox/tryton/requirements.lock")
PYTHONS = ("3.11", "3.12", "3.13")


def locked(file: str) -> dict[str, Version]:
    """Name -> version of one lock file; where markers give several versions, the last."""
    pins = re.findall(r"^([a-z0-9._-]+)==([^ ;\\]+)", (PROJECT / file).read_text("utf-8"), re.MULTILINE)
    return {name: Version(version) for name, version in pins}


def declared() -> list[Requirement]:
    """Every requirement of setup.cfg, extras included."""
    config = configparser.ConfigParser()
    config.read(PROJECT / "setup.cfg", "utf-8")
    texts = [config["options"]["install_requires"], *config["options.extras_require"].values()]
    lines = [line.strip() for text in texts for line in text.splitlines()]
    return [Requirement(line) for line in lines if line and not line.startswith("#")]


@pytest.mark.parametrize("file", LOCKS)
def test_every_locked_file_has_a_hash_and_no_index_address(file: str) -> None:
    text = (PROJECT / file).read_text("utf-8")
    pins = re.split(r"^(?=[a-z0-9._-]+==)", text, flags=re.MULTILINE)[1:]

    assert [pin.split()[0] for pin in pins if "--hash=sha256:" not in pin] == []
    assert "://" not in text


def test_the_lock_holds_what_setup_cfg_asks_for() -> None:
    pins = locked("requirements.lock")
    canonical = {re.sub(r"[-_.]+", "-", r.name).lower(): r for r in declared()}

    wrong = [str(r) for name, r in canonical.items() if name not in pins or not r.specifier.contains(pins[name])]

    assert wrong == []


def test_celery_stays_below_the_release_that_lacks_what_the_provider_imports() -> None:
    assert locked("requirements.lock")["celery"] < Version("5.7")


def test_the_core_installs_without_airflow() -> None:
    core = [r for r in map(Requirement, requires("claimpost") or []) if not r.marker]

    assert [r.name for r in core if "airflow" in r.name or r.name == "celery"] == []


@pytest.mark.parametrize("python", PYTHONS)
def test_the_locked_set_satisfies_every_supported_python(python: str) -> None:
    """Offline: the pins themselves, asked for that interpreter; a pin that does not take it is named."""
    script = (
        "import sys, importlib.metadata as m\n"
        "from packaging.specifiers import SpecifierSet\n"
        "print([d.name for d in m.distributions()"
        f" if not SpecifierSet(d.metadata['Requires-Python'] or '').contains('{python}.9')])"
    )

    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)

    assert result.stdout.strip() == "[]"


def test_help_lists_every_target() -> None:
    makefile = (PROJECT / "Makefile").read_text("utf-8")
    phony = re.search(r"^\.PHONY: (.*)$", makefile, re.MULTILINE)
    assert phony

    result = subprocess.run(["make", "help"], cwd=PROJECT, capture_output=True, text=True, check=True)

    assert re.findall(r"^  make ([a-z-]+)", result.stdout, re.MULTILINE) == phony[1].split()


def test_ci_installs_then_runs_the_documented_command() -> None:
    script = PROJECT / ".ci/run"

    assert os.access(script, os.X_OK)
    assert script.read_text("utf-8").splitlines()[-1].endswith("make test")
    assert subprocess.run(["bash", "-n", script], check=False).returncode == 0


def test_an_unexpected_skip_fails_the_run(tmp_path: Path) -> None:
    (tmp_path / "conftest.py").write_text((PROJECT / "tests/skips.py").read_text("utf-8"), "utf-8")
    (tmp_path / "test_skips.py").write_text(
        "import pytest\n@pytest.mark.skip(reason='shared/data is absent')\ndef test_data(): pass\n", "utf-8"
    )
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-n", "2", str(tmp_path)]

    codes = [
        subprocess.run(
            command, env={**os.environ, "CLAIMPOST_SKIPS_ALLOWED": allowed}, capture_output=True, check=False
        ).returncode
        for allowed in ("shared/data", "^$")
    ]

    assert codes == [0, 1]
