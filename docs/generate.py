"""Write the parts of the documents that come from the code: `python -m docs.generate` (tested: no drift)."""

from __future__ import annotations

from pathlib import Path

from docs import gallery
from etl import config
from etl.errors import CATALOGUE, OUTCOMES

PROJECT = Path(__file__).resolve().parents[1]
START, END = "<!-- generated: {} -->", "<!-- end -->"


def code_table() -> str:
    """One row per code: what happens, the text, who acts and the next step."""
    rows = ["| code | outcome | message | owner | what to do |", "| --- | --- | --- | --- | --- |"]
    for entry in CATALOGUE.values():
        cells = (f"`{entry.code}`", entry.outcome, entry.text, entry.owner, entry.next_step)
        rows.append("| " + " | ".join(cell.replace("|", r"\|") for cell in cells) + " |")
    return "\n".join(rows)


def errors_page() -> str:
    """docs/errors.md: the outcomes and every code."""
    outcomes = "\n".join(f"- **{name}**: {text}." for name, text in OUTCOMES.items())
    return f"# Error codes\n\nGenerated from `etl/errors.py`. What an outcome means:\n\n{outcomes}\n\n{code_table()}\n"


def targets_part() -> str:
    """The table of targets in the README: what each profile says of how it was checked."""
    rows = ["| target | what it is | how it was checked |", "| --- | --- | --- |"]
    for path in sorted((PROJECT / "mappings" / "targets").glob("*.yml")):
        profile = config.load(path, "target")
        rows.append(f"| `{profile['target']}` | {profile['description']} | {profile['evidence']} |")
    return "\n".join(rows)


def codes_part() -> str:
    """The list of codes in the README, by outcome."""
    lines = []
    for name, text in OUTCOMES.items():
        codes = ", ".join(f"`{entry.code}`" for entry in CATALOGUE.values() if entry.outcome == name)
        lines.append(f"- **{name}** ({text}): {codes}")
    return "\n".join(lines)


def with_part(readme: str) -> str:
    """The README with its generated parts made anew."""
    for name, text in (("targets", targets_part()), ("error codes", codes_part())):
        before, rest = readme.split(START.format(name))
        readme = f"{before}{START.format(name)}\n{text}\n{END}{rest.split(END, 1)[1]}"
    return readme


def main() -> None:
    (PROJECT / "docs" / "errors.md").write_text(errors_page(), "utf-8")
    (PROJECT / "docs" / "mistakes.md").write_text(gallery.page(), "utf-8")
    readme = PROJECT / "README.md"
    readme.write_text(with_part(readme.read_text("utf-8")), "utf-8")


if __name__ == "__main__":
    main()
