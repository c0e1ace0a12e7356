"""The documents say what the code does: codes, commands, settings, links."""

from __future__ import annotations

import re
from pathlib import Path

import click
import pytest

from docs import generate
from etl import mapping
from etl.cli import main
from etl.mapping import elements

PROJECT = Path(__file__).resolve().parents[1]
README = (PROJECT / "README.md").read_text("utf-8")


def test_the_generated_parts_are_up_to_date() -> None:
    assert README == generate.with_part(README)
    assert generate.errors_page() == (PROJECT / "docs/errors.md").read_text("utf-8")


def commands(group: click.Group, prefix: str = "claimpost") -> list[str]:
    found = []
    for name, command in group.commands.items():
        inner = isinstance(command, click.Group)
        found += commands(command, f"{prefix} {name}") if isinstance(command, click.Group) else [f"{prefix} {name}"]
        assert command.help or inner
    return found


def test_every_command_stands_in_the_readme() -> None:
    text = README.replace("show report\\|journal\\|batch", "show report claimpost show journal claimpost show batch")

    assert [] == [name for name in commands(main) if name not in text]


def test_every_make_target_and_setting_that_is_named_exists() -> None:
    makefile = (PROJECT / "Makefile").read_text("utf-8")
    code = "".join(path.read_text("utf-8") for path in (PROJECT / "etl").rglob("*.py"))

    assert [] == [name for name in re.findall(r"`?make ([a-z]+)", README) if f"\n{name}:" not in makefile]
    assert [] == [name for name in re.findall(r"CLAIMPOST_[A-Z_]+", README) if name not in code]


@pytest.mark.parametrize("page", ["README.md", "docs/operations.md", "mappings/README.md", "CONTRIBUTING.md"])
def test_links_lead_somewhere(page: str) -> None:
    path = PROJECT / page
    links = re.findall(r"\]\(([^)#:]+)\)", path.read_text("utf-8"))

    assert [] == [link for link in links if not (path.parent / link).exists()]


def test_every_folder_of_the_layout_exists() -> None:
    layout = README.split("## Layout")[1].split("```")[1]

    assert [] == [name for name in re.findall(r"^([a-z]+)/", layout, re.MULTILINE) if not (PROJECT / name).is_dir()]


def test_the_smallest_feed_of_the_readme_is_a_feed(tmp_path: Path) -> None:
    """Every document of the section, written where it says, and what `mapping check` finds."""
    text = (PROJECT / "mappings/README.md").read_text("utf-8")
    section = text[text.index("## The smallest feed") : text.index("## In an editor")]
    documents = re.findall(r"`(\w+/\w+\.\w+)`[^\n]*:\n\n```\w*\n(.*?)```", section, re.S)
    for name, content in documents:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(content, "utf-8")

    assert ["feeds", "journals", "sources", "tables", "targets"] == sorted(name.split("/")[0] for name, _ in documents)
    assert [] == [str(problem) for problem in mapping.check(tmp_path)]
    columns = re.findall(r"`(\w+)`", section[section.index("A column may name") : section.index("`feeds/acme.yml`")])
    assert set(columns) <= elements.FIELDS["line"]
