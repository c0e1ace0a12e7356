"""The gallery of mistakes: tests/gallery holds one good mappings folder (`base`) and a file for each mistake in it.

A mistake is a title, the changes that make it, an arrow, and what `claimpost mapping check` says of it:

    A choice behind one that takes all
    journals/small.yml
    -        - {when: {payer: CARD}, value: "2242"}
    +        - {value: "2242"}
    =>
    SCHEMA journals/small.yml line 26: ...
      What to do: ...

Lines that begin with `-` stand in the file and are replaced by those with `+`; without any, `+` lines go to its end.
`(deleted)` deletes the file, `(in gb18030)` behind its name writes it in that encoding.
"""

from __future__ import annotations

import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from etl import errors, mapping

FOLDER: Final = Path(__file__).resolve().parents[1] / "tests" / "gallery"
ARROW: Final = "=>"
_FILE: Final = re.compile(r"([a-z]+/\w+\.\w+)(?: \((deleted|in [\w-]+)\))?")


@dataclass(frozen=True)
class Mistake:
    """One file of the gallery."""

    path: Path
    title: str
    changes: str
    expected: str


def read(folder: Path = FOLDER) -> list[Mistake]:
    """All mistakes, by the names of their files."""
    return [_read(path) for path in sorted(folder.glob("*.txt"))]


def _read(path: Path) -> Mistake:
    before, _, expected = path.read_text("utf-8").partition(f"\n{ARROW}\n")
    title, _, changes = before.partition("\n")
    return Mistake(path, title, changes, expected.strip("\n"))


def rewrite(mistake: Mistake, now: str) -> None:
    """Write what is said now below the arrow."""
    mistake.path.write_text(f"{mistake.title}\n{mistake.changes}\n{ARROW}\n{now}\n", "utf-8")


def made(mistake: Mistake, folder: Path) -> Path:
    """A copy of the good mappings folder with the mistake in it."""
    shutil.copytree(FOLDER / "base", folder)
    target, encoding, old, new = Path(), "utf-8", "", ""
    for line in [*mistake.changes.split("\n"), ""]:
        if line[:1] in ("-", "+"):
            old, new = (old + line[1:] + "\n", new) if line[0] == "-" else (old, new + line[1:] + "\n")
            continue
        if old or new:
            _change(target, encoding, old, new)
        named = _FILE.fullmatch(line)
        assert named or not line, f"{mistake.path.name}: {line!r} is no file and no change"
        if named:
            target, encoding, old, new = folder / named[1], (named[2] or "").removeprefix("in ") or "utf-8", "", ""
            if encoding == "deleted":
                target.unlink()
    return folder


def _change(path: Path, encoding: str, old: str, new: str) -> None:
    text = path.read_text("utf-8") if path.exists() else ""
    assert not old or text.count(old) == 1, f"{path.name} holds {text.count(old)} times: {old}"
    path.write_text(text.replace(old, new) if old else text + new, encoding)


def said(folder: Path) -> str:
    """What `claimpost mapping check` says of a mappings folder."""
    found = []
    for problem in mapping.check(folder):
        found += [f"{problem.code} {errors.text(problem.code, **problem.facts)}", f"  What to do: {problem.next_step}"]
    return "\n".join(found)


def page() -> str:
    """docs/mistakes.md: each mistake with its message and what to do."""
    rows = ["| mistake | message | what to do |", "| --- | --- | --- |"]
    for mistake in read():
        lines = mistake.expected.replace("`", "").replace("|", r"\|").split("\n")
        fixes = dict.fromkeys(line.strip().removeprefix("What to do: ") for line in lines[1::2])
        rows.append(f"| {mistake.title} | {'<br>'.join(f'`{line}`' for line in lines[::2])} | {'<br>'.join(fixes)} |")
    head = "Generated from `tests/gallery`, where each stands with the lines that make it."
    return f"# Mistakes in mappings\n\n{head} `claimpost mapping check` says:\n\n" + "\n".join(rows) + "\n"
