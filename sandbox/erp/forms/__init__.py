"""The forms of file that the drop folder takes: how to know one, read it, and answer in the vendor's own way."""

from __future__ import annotations

from typing import Final

from sandbox.erp.forms import book, d365, fbdi, idoc, kingdee, nc65, u8
from sandbox.erp.forms.form import Form

FORMS: Final = tuple(form.FORM for form in (book, u8, nc65, kingdee, idoc, fbdi, d365))


def form_of(name: str, content: bytes) -> Form | None:
    """The form of a file: of those with its ending the first that knows the content, else the first."""
    named = [form for form in FORMS if name.endswith(form.ending)]
    return next((form for form in named if form.knows(content)), named[0] if named else None)
