"""The interface document of a feed, made from its mappings: what goes in, what becomes of it, what goes out.

`document` builds it in English or Chinese; `page` writes it as one self-contained HTML file in the look of the
reconciliation report, `markdown` as text. No clock, no store, no network: the same mappings give the same bytes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from etl.mapping import Bundle
from etl.report.interface import booking, codes, delivery, source, targets
from etl.report.interface.model import Document
from etl.report.interface.words import LANGUAGES, Words
from etl.report.interface.written import markdown, page

FORMATS: Final[Mapping[str, Callable[[Document], str]]] = {"html": page, "markdown": markdown}

__all__ = ["FORMATS", "LANGUAGES", "Document", "document", "markdown", "page"]


def document(bundle: Bundle, folder: Path, language: str) -> Document:
    """The interface document of a loaded feed. In: the mappings folder, and one of LANGUAGES."""
    say = Words(language)
    parts = (
        *source.sections(bundle, say), *booking.sections(bundle, folder, say), *targets.sections(bundle, say),
        delivery.section(bundle, say), codes.section(bundle, say),
    )  # fmt: skip
    footer = say("footer", digest=bundle.digest[:16])
    return Document(language, say("title", feed=bundle.feed_id), say("contents"), parts, footer)
