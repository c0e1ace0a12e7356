"""An interface document as HTML and as Markdown."""

from __future__ import annotations

import re
from typing import Final

from etl.report import page as look
from etl.report.interface.model import Document, Table

# What would mean something to Markdown, or to the HTML inside it.
_MEANT: Final = re.compile(r"([\\`*\[\]<>|~#]|(?<![A-Za-z0-9])_|_(?![A-Za-z0-9]))")


def page(document: Document) -> str:
    """One HTML file: no script, its one style allowed by hash, every text escaped."""
    style, digest = look.stylesheet()
    return look.environment().get_template("interface.html").render(document=document, style=style, style_hash=digest)


def markdown(document: Document) -> str:
    """Headings, sentences and tables of GitHub's Markdown."""
    lines = [f"# {_plain(document.title)}", ""]
    for number, section in enumerate(document.sections, 1):
        lines += [f"## {number}. {_plain(section.title)}", ""]
        lines += [line for note in section.notes for line in (_plain(note), "")]
        for table in section.tables:
            lines += [f"### {_plain(table.name)}", ""] if table.name else []
            lines += [*_table(table), ""]
    return "\n".join([*lines, _plain(document.footer), ""])


def _table(table: Table) -> list[str]:
    rows = [table.headings, ("---",) * len(table.headings), *(tuple(map(_plain, row)) for row in table.rows)]
    return ["| " + " | ".join(row) + " |" for row in rows]


def _plain(text: str) -> str:
    """Text that stays what it is: on one line, nothing in it means anything."""
    return _MEANT.sub(r"\\\1", " ".join(text.split())).replace("&", "&amp;")
