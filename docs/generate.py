"""Write the parts of the documents that come from the code: `python -m docs.generate` (tested: no drift)."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

from docs import gallery
from etl import config
from etl.errors import CATALOGUE, CAUSES, OUTCOMES
from etl.report.interface import chinese

PROJECT = Path(__file__).resolve().parents[1]
ERP_HEAD: Final = "The ERPs' own codes\n\nFrom `mappings/codes`; a refusal that no row fits is `ERP_UNMAPPED`."
START, END = "<!-- generated: {} -->", "<!-- end -->"


def table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Rows as a table of Markdown."""
    cells = [headings, ["---"] * len(headings), *([cell.replace("|", r"\|") for cell in row] for row in rows)]
    return "\n".join(f"| {' | '.join(row)} |" for row in cells)


def code_table() -> str:
    """One row per code: what happens, the text, what usually causes it, who acts and the next step."""
    rows = [(f"`{e.code}`", e.outcome, e.text, CAUSES[e.cause], e.owner, e.next_step) for e in CATALOGUE.values()]
    return table(("code", "outcome", "message", "usual cause", "owner", "what to do"), rows)


def chinese_table() -> str:
    """The same in Chinese."""
    rows = [
        (f"`{e.code}`", e.outcome, chinese.CODES[e.code][0], chinese.CAUSES[e.cause], chinese.OWNERS[e.owner],
         chinese.CODES[e.code][1])
        for e in CATALOGUE.values()
    ]  # fmt: skip
    return table(("代码", "结果", "含义", "常见原因", "负责人", "下一步"), rows)


def erp_tables() -> str:
    """Each table of mappings/codes: the ERP's code and words, ours, and who says so."""
    parts = []
    for path in sorted((PROJECT / "mappings" / "codes").glob("*.csv")):
        with path.open(encoding="utf-8", newline="") as file:
            records = list(csv.DictReader(file))
        rows = [(f"`{r['code']}`", r["example"], f"`{r['ours']}`", r["source"]) for r in records]
        parts.append(f"### {path.name}\n\n{table(('code there', 'words there, for example', 'ours', 'source'), rows)}")
    return "\n\n".join(parts)


def errors_page() -> str:
    """docs/errors.md: the outcomes, every code in English and Chinese, and the ERPs' own codes in ours."""
    outcomes = "\n".join(f"- **{name}**: {text}." for name, text in OUTCOMES.items())
    meant = "\n".join(f"- **{name}**：{text}。" for name, text in chinese.OUTCOMES.items())
    head = f"# Error codes\n\nGenerated from `etl/errors.py`. What an outcome means:\n\n{outcomes}\n\n{code_table()}"
    return f"{head}\n\n## 中文\n\n{meant}\n\n{chinese_table()}\n\n## {ERP_HEAD}\n\n{erp_tables()}\n"


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
