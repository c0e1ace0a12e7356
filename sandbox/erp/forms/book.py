"""beancount, with the sandbox's own acknowledgement: a csv beside the file."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from sandbox.erp import beancount
from sandbox.erp.books import Books
from sandbox.erp.entries import Journal, Said, Unreadable
from sandbox.erp.forms.form import Form, csv_text

ACK_HEADER: Final = ("batch_id", "journal_key", "level", "erp_document", "code", "message")


def _read(content: bytes, batch_id: str, books: Books) -> list[Journal]:
    title, journals = beancount.read(content)
    if title != batch_id:
        raise Unreadable(f"the title is {title!r}")
    return journals


def _answer(content: bytes, batch_id: str, said: Sequence[Said]) -> bytes:
    return csv_text(ACK_HEADER, [(batch_id, *one) for one in said])


FORM: Final = Form(".beancount", "ack/{batch_id}.ack.csv", lambda content: True, _read, beancount.keys, _answer)
