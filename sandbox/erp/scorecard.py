"""The scorecard: a product delivers, this ERP misbehaves, and what the product reports is held against what is true.

The product is a black box, run by the command lines of a candidate file (claimpost.yml is one). It delivers once; every
case starts from a copy of that moment: the ERP imports with the fault, the product reports, delivers the same again,
the ERP imports without the fault, the product reports once more. At the end no journal may be posted twice by it.
"""

from __future__ import annotations

import csv
import os
import re
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import yaml
from sqlalchemy import select

from sandbox.erp import drop as drop_folder
from sandbox.erp import faults as switches
from sandbox.erp import journal_import, tables
from sandbox.erp.books import Books
from sandbox.erp.conformance import KNOWN, WAITING, Case, Told, faults_of
from sandbox.erp.faults import Faults, ImportFailed

DEFAULT: Final = Path(__file__).with_name("claimpost.yml")
PROJECT: Final = Path(__file__).resolve().parents[2]
_SECONDS_MAX: Final = 900
_REQUIRED: Final = ("name", "targets", "deliver", "report")


class CandidateError(ValueError):
    """The candidate file, or one of its command lines, does not work."""


@dataclass(frozen=True)
class Result:
    """One line of the scorecard; `wrong` is empty when the case is passed."""

    name: str
    erp: str
    must: str
    reported: str
    wrong: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Candidate:
    """A product under test, its file filled in for one folder."""

    facts: Mapping[str, Any]
    folder: Path

    @property
    def work(self) -> Path:
        """The folder that the product and this ERP work in."""
        return self.folder / "work"

    def run(self, command: list[str]) -> subprocess.CompletedProcess[str]:
        """Run one command line of the product. Raises CandidateError when it cannot be started or does not end."""
        environment = {**os.environ, **self.facts.get("environment", {})}
        try:
            return subprocess.run(
                command, capture_output=True, text=True, check=False, timeout=_SECONDS_MAX, env=environment,
                cwd=self.work,
            )  # fmt: skip
        except (OSError, subprocess.TimeoutExpired) as wrong:
            raise CandidateError(f"{self.facts['name']}: {' '.join(command)}: {wrong}") from wrong

    def run_well(self, command: list[str]) -> None:
        """Run one command line that must end with 0."""
        done = self.run(command)
        if done.returncode:
            said = (done.stderr or done.stdout).strip()[-400:]
            raise CandidateError(f"{self.facts['name']}: {' '.join(command)} ended with {done.returncode}: {said}")

    def told(self) -> Told:
        """What the product reports now."""
        place = self.facts.get("breaks", {})
        if place:
            Path(place["file"]).unlink(missing_ok=True)
        done = self.run(self.facts["report"])
        words = self.facts.get("words", {})
        said = f"{done.stdout}\n{done.stderr}"
        if place and Path(place["file"]).is_file():
            return Told(done.returncode, frozenset(_in_csv(place, words)))
        found = [code for code in KNOWN if any(_stands(word, said) for word in words.get(code, [code]))]
        return Told(done.returncode, frozenset(("", code, "") for code in found))


def _stands(word: str, text: str) -> bool:
    return re.search(rf"(?<![A-Za-z0-9_]){re.escape(word)}(?![A-Za-z0-9_])", text) is not None


def _in_csv(place: Mapping[str, str], words: Mapping[str, list[str]]) -> Iterator[tuple[str, str, str]]:
    ours = {word: code for code, theirs in words.items() for word in theirs}
    with Path(place["file"]).open(encoding="utf-8-sig", newline="") as file:
        for row in csv.DictReader(file):
            code, journal, severity = (row.get(place.get(name, ""), "") for name in ("code", "journal", "severity"))
            yield journal, ours.get(code, code), severity


def read(path: Path, folder: Path) -> Candidate:
    """The candidate of a YAML or JSON file, its places filled in. Raises CandidateError."""
    try:
        raw = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError) as wrong:
        raise CandidateError(f"{path.name}: {wrong}") from wrong
    missing = [name for name in _REQUIRED if not isinstance(raw, dict) or not raw.get(name)]
    if missing:
        raise CandidateError(f"{path.name}: it must say {', '.join(missing)}")
    places = {"work": str(folder / "work"), "project": str(PROJECT), "python": sys.executable,
              "bin": str(Path(sys.executable).parent)}  # fmt: skip
    return Candidate(_filled(raw, places), folder)


def _filled(value: Any, places: Mapping[str, str]) -> Any:
    if isinstance(value, dict):
        return {_filled(name, places): _filled(inner, places) for name, inner in value.items()}
    if isinstance(value, list):
        return [_filled(inner, places) for inner in value]
    if isinstance(value, str):
        return re.sub(r"\{(work|project|python|bin)\}", lambda match: places[match[1]], value)
    return value


def deliver(candidate: Candidate) -> None:
    """Set the product up and have it deliver; the folder of that moment is kept for every case."""
    candidate.work.mkdir(parents=True)
    for source, target in candidate.facts.get("copy", {}).items():
        shutil.copytree(source, target)
    for change in candidate.facts.get("replace", []):
        path = Path(change["file"])
        text = path.read_text(encoding="utf-8")
        if change["this"] not in text:
            raise CandidateError(f"{path.name} does not say {change['this']!r}")
        path.write_text(text.replace(change["this"], change["by"]), encoding="utf-8")
    for target in candidate.facts["targets"]:
        prepare(target)
    for command in [*candidate.facts.get("setup", []), candidate.facts["deliver"]]:
        candidate.run_well(command)
    candidate.work.rename(candidate.folder / "delivered")


def prepare(target: Mapping[str, str]) -> None:
    """Create the ERP's tables or folder."""
    if "drop" in target:
        drop_folder.prepare(Path(target["drop"]))
        return
    path = target["db"].removeprefix("sqlite:///")
    if path != target["db"]:
        Path(path).parent.mkdir(parents=True, exist_ok=True)
    engine = journal_import.open_database(target["db"])
    tables.prepare(engine)
    engine.dispose()


def judge(candidate: Candidate, case: Case, books: Books) -> Result:
    """One case, from the moment of delivery."""
    shutil.rmtree(candidate.work, ignore_errors=True)
    shutil.copytree(candidate.folder / "delivered", candidate.work)
    wrong: list[str] = []
    if case.later:
        _import(candidate, books, ())
        wrong += faults_of(Case("before", ()), frozenset(), candidate.told())
    did, struck = _import(candidate, books, case.on)
    told = candidate.told()
    wrong += faults_of(case, struck, told)
    if not case.must and not case.on:
        wrong += _unexplained(told, "a good import")
    candidate.run(candidate.facts["deliver"])
    _import(candidate, books, ())
    last = candidate.told()
    wrong += faults_of(case, struck, last) if case.must else _unexplained(last, "the ERP came back")
    allowed = struck if switches.DUPLICATE in case.on else frozenset()
    wrong += [
        f"{key} is posted {n} times" for key, n in sorted(held(candidate).items()) if n > 1 and key not in allowed
    ]
    if not case.must:
        wrong += [] if held(candidate) else ["nothing was posted"]
    must = " or ".join(case.must) + f" ({case.severity})" if case.must else "nothing, or that it waits"
    return Result(case.name, did, must, _shown(told), list(dict.fromkeys(wrong)))


def _unexplained(told: Told, when: str) -> list[str]:
    still = [code for code in told.codes if told.exit_code or code in WAITING]
    return (
        [f"after {when}: exit code {told.exit_code}, {', '.join(still) or 'no code'}"]
        if told.exit_code or still
        else []
    )


def _shown(told: Told) -> str:
    counts = Counter((code, severity) for _, code, severity in told.breaks)
    parts = [f"{n} {code} {severity}".strip() for (code, severity), n in sorted(counts.items())]
    return f"{', '.join(parts) or 'nothing'}; exit code {told.exit_code}"


def _import(candidate: Candidate, books: Books, on: tuple[str, ...]) -> tuple[str, frozenset[str]]:
    """Import at every target; what it did, and the journals struck."""
    said, struck = [], set()
    for target in candidate.facts["targets"]:
        faults = Faults(frozenset(on))
        try:
            done = _import_one(target, books, faults)
            said.append(f"{done['posted']} posted, {done['rejected']} refused")
        except ImportFailed as failed:
            said.append(f"failed: {str(failed).partition(':')[0]}")
        struck |= set(faults.struck)
    return f"{'; '.join(said)}; {len(struck)} struck" if struck else "; ".join(said), frozenset(struck)


def _import_one(target: Mapping[str, str], books: Books, faults: Faults) -> dict[str, Any]:
    if "drop" in target:
        return drop_folder.import_folder(Path(target["drop"]), books, faults=faults)
    engine = journal_import.open_database(target["db"])
    try:
        return journal_import.import_groups(engine, books, journal_import.Options(faults=faults))
    finally:
        engine.dispose()


def held(candidate: Candidate) -> Counter[str]:
    """How many documents the ERP's books hold of each journal, drafts too."""
    found: Counter[str] = Counter()
    for target in candidate.facts["targets"]:
        if "drop" in target:
            with closing(drop_folder.open_ledger(Path(target["drop"]))) as ledger:
                found.update(key for (key,) in ledger.execute("SELECT journal_key FROM journal"))
            continue
        engine = journal_import.open_database(target["db"])
        with engine.connect() as connection:
            found.update(connection.execute(select(tables.gl_je_headers.c.external_reference)).scalars())
        engine.dispose()
    return found


def run(candidate: Candidate, cases: list[Case], books: Books, show: Callable[[Result], None]) -> list[Result]:
    """Every case, shown as it ends."""
    deliver(candidate)
    results = []
    for case in cases:
        results.append(judge(candidate, case, books))
        show(results[-1])
    return results
