"""Bank accounts, card numbers and ID numbers in free text, hidden but for their last four characters.

What people write into a claim may hold such a number. The ERP gets the text as it is; logs, the terminal, the report
and the quarantine show it masked. Identifiers of their own fields (report_id, invoice_no, keys) are never masked.
"""

from __future__ import annotations

import re
from typing import Final

import pandas as pd

from etl import model

# Text columns in which people write what they like; the other text columns are identifiers.
_IDENTIFIERS: Final = ("report_version", "invoice_no")
FREE_TEXT: Final = frozenset(n for n, kind in model.LINE_FIELDS.items() if kind == model.TEXT and n not in _IDENTIFIERS)
# The text that a journal gets from them, and what an ERP answers with.
JOURNAL_TEXT: Final = frozenset({"description", "text", "message"})
# Why somebody decided something.
DECISION_TEXT: Final = frozenset({"reason", "agreed"})

_KEPT: Final = 4
_GAP: Final = "[ \u00a0-]"
_BEGIN, _END = r"(?<![A-Za-z\d*])", r"(?![A-Za-z\d])"
_WHOLE: Final = r"\d{12,19}"
# Groups of three digits or more, the last one any: dates written beside each other are no number.
_GROUPS: Final = rf"\d{{3,11}}(?:{_GAP}\d{{3,11}})+(?:{_GAP}\d{{1,2}})?"
_AMOUNT: Final = r"(?![.,]\d{1,3}(?!\d))"
_CHINESE_ID: Final = rf"\d{{6}}{_GAP}?\d{{8}}{_GAP}?\d{{3}}[\dXx]"
_IBAN: Final = r"[A-Za-z]{2}\d{2}(?: ?[A-Za-z\d]{4}){2,7}(?: ?[A-Za-z\d]{1,3})?"
_NUMBER: Final = re.compile(
    f"{_BEGIN}(?:{_CHINESE_ID}|(?P<iban>{_IBAN})|{_WHOLE}|(?P<groups>{_GROUPS})){_END}{_AMOUNT}"
)
_GROUPED_MIN: Final = 12


def masked(text: str) -> str:
    """The text with every account, card and ID number as **** and its last four characters.

    Masked are 12 to 19 digits (also in groups), Chinese ID numbers and IBANs. Amounts, dates and short numbers stay.

    >>> masked("to 6222 0202 0011 2345 678 for R1042"), masked("ID 11010119900307123X"), masked("2026-03-01 12.50")
    ('to ****5678 for R1042', 'ID ****123X', '2026-03-01 12.50')
    """
    return _NUMBER.sub(_hidden, text)


def masked_texts(texts: pd.Series) -> pd.Series:
    """A text column masked; each distinct text is read once."""
    codes, known = model.distinct(texts)
    return model.spread([masked(text) for text in known], codes)


def _hidden(found: re.Match[str]) -> str:
    plain = "".join(character for character in found.group() if character.isalnum())
    if found["groups"] and len(plain) < _GROUPED_MIN:
        return found.group()
    if found["iban"] and not _is_iban(plain):
        return found.group()
    return "****" + plain[-_KEPT:]


def _is_iban(plain: str) -> bool:
    """15 to 34 characters. The shortest (up to 16) are all digits after the country, unlike our journal keys."""
    digits = sum(character.isdigit() for character in plain)
    return 15 <= len(plain) <= 34 and (digits == len(plain) - 2 if len(plain) <= 16 else digits >= 9)
