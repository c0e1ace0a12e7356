"""What a form of file consists of."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from sandbox.erp.books import Books
from sandbox.erp.entries import Journal, Said


@dataclass(frozen=True)
class Form:
    """A form of file. `read` and `keys` take its bytes; `answer` makes the bytes of the vendor's acknowledgement.

    answer_name: where the acknowledgement goes, from the drop folder; of the file's own name it replaces the file.
    waits: whether the file has not been answered yet.
    """

    ending: str
    answer_name: str
    knows: Callable[[bytes], bool]
    read: Callable[[bytes, str, Books], list[Journal]]
    keys: Callable[[bytes], list[str]]
    answer: Callable[[bytes, str, Sequence[Said]], bytes]
    waits: Callable[[bytes], bool] = lambda content: True

    @property
    def in_place(self) -> bool:
        """Whether the answer is written into the delivered file."""
        return self.answer_name == "{batch_id}" + self.ending


def csv_text(header: Sequence[str], rows: Iterable[Sequence[object]]) -> bytes:
    """A csv in UTF-8 with LF."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([header, *rows])
    return text.getvalue().encode()
