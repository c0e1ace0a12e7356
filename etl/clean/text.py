"""Text as it arrives, made comparable: what nobody can see is removed and counted, what changes meaning is refused."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from typing import Final

from etl import model
from etl.clean.plan import Field

# Kinds of normalisation, counted in cells.
SPACES, LINE_BREAKS, INVISIBLE, CONTROL, ALIAS, UPPER, UNICODE, ZERO_SIGN = (
    "spaces", "line_breaks", "invisible", "control_characters", "alias", "upper", "unicode_form", "zero_sign",
)  # fmt: skip

_SPACE: Final = " \t\u00a0\u2007\u202f\u3000"
_CONTROL_CLASS: Final = "\x01-\x08\x0e-\x1f\x7f-\x9f"
_INVISIBLE_CLASS: Final = "\u200b-\u200f\u202a-\u202e\u2060-\u2064\u2066-\u2069\ufeff"
_NO_TEXT_CLASS: Final = "\ufdd0-\ufdef\ufffe\uffff"
# RE2 patterns: a text that matches DIRTY needs a closer look, everything else is taken as it is.
OUTER_SPACE: Final = f"^[{_SPACE}]|[{_SPACE}]$"
DIRTY: Final = f"[\t-\r{_CONTROL_CLASS}{_INVISIBLE_CLASS}{_NO_TEXT_CLASS}]|{OUTER_SPACE}"

_BREAKS: Final = re.compile("[\t-\r]+")
_CONTROL: Final = re.compile(f"[{_CONTROL_CLASS}]")
_INVISIBLE: Final = re.compile(f"[{_INVISIBLE_CLASS}]")
_NO_TEXT: Final = re.compile(f"[{_NO_TEXT_CLASS}]")


@dataclass(frozen=True)
class Reading:
    """One distinct text read: what it becomes, how it was normalised, and its fault ("" = none)."""

    value: str
    notes: tuple[str, ...] = ()
    code: str = ""
    detail: str = ""


def tidy(text: str, field: Field) -> Reading:
    """One text normalised as its field says; faults CONTROL_CHARACTER and UNICODE."""
    notes: list[str] = []
    value = text
    if field.kind == model.TEXT:
        value = _noted(_BREAKS.sub(" ", value), value, LINE_BREAKS, notes)
        value = _noted(_INVISIBLE.sub("", value), value, INVISIBLE, notes)
        if field.drops_control:
            value = _noted(_CONTROL.sub("", value), value, CONTROL, notes)
    if field.trim:
        value = _noted(value.strip(_SPACE), value, SPACES, notes)
    if _CONTROL.search(value) or (field.kind == model.CODE and _BREAKS.search(value)):
        return Reading(_CONTROL.sub("", value) if field.kind == model.TEXT else "", tuple(notes), "CONTROL_CHARACTER")
    if _NO_TEXT.search(value):
        return Reading(_NO_TEXT.sub("", value) if field.kind == model.TEXT else "", tuple(notes), "UNICODE")
    if field.kind == model.CODE or field.nfkc:
        form = unicodedata.normalize("NFKC" if field.nfkc else "NFC", value)
        value = _noted(form, value, UNICODE, notes)
    if field.aliases and value in field.aliases:
        value = _noted(field.aliases[value], value, ALIAS, notes)
    if field.upper:
        value = _noted(value.upper(), value, UPPER, notes)
    return Reading(value, tuple(notes))


def _noted(after: str, before: str, note: str, notes: list[str]) -> str:
    if after != before:
        notes.append(note)
    return after


def strange(value: str) -> str:
    """The first character outside ASCII in words: a look-alike letter is told from the one it looks like."""
    odd = next((c for c in value if not " " <= c <= "~"), "")
    return f"{odd!r} is {unicodedata.name(odd, f'U+{ord(odd):04X}')}" if odd else ""
