"""One extract as bytes, and the ways in which such files arrive spoilt."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from sandbox.concur_sae.claims import Advance, Cells, Claim, advance_row, claim_rows

WIDTH: Final = 400
DELIMITER: Final = "|"


@dataclass(frozen=True)
class Extract:
    """What one run of the extract finds ready; batch ids count up from 1 without a gap."""

    batch_id: int
    date: str
    claims: tuple[Claim, ...] = ()
    advances: tuple[Advance, ...] = ()


def empty(batch_id: int, date: str) -> Extract:
    """A run that finds nothing ready: the file has a header and no record."""
    return Extract(batch_id, date)


def file_name(extract: Extract) -> str:
    """extract_ACME_SAE_v3_20260302_000007.txt"""
    return f"extract_ACME_SAE_v3_{extract.date.replace('-', '')}_{extract.batch_id:06}.txt"


def file_content(extract: Extract) -> bytes:
    """The file: header, then the advances and the reports in the order given."""
    rows = list(_rows(extract))
    total = sum((Decimal(cells[169]) for cells in rows), Decimal())
    header = ["EXTRACT", extract.date, str(len(rows)), f"{total:.4f}", str(extract.batch_id)]
    return "".join(f"{DELIMITER.join(line)}\n" for line in [header, *map(_line, rows)]).encode()


def _rows(extract: Extract) -> Iterator[Cells]:
    for number, cells in enumerate(_unnumbered(extract), 1):
        has_report = 19 in cells
        journal_key = {170: str(extract.batch_id * 100_000 + number)} if has_report else {}
        yield {1: "DETAIL", 2: str(extract.batch_id), 3: extract.date, 4: str(number), **journal_key, **cells}


def _unnumbered(extract: Extract) -> Iterator[Cells]:
    yield from map(advance_row, extract.advances)
    for number, claim in enumerate(extract.claims, 1):
        yield from claim_rows(claim, extract.batch_id * 100 + number)


def _line(cells: Cells) -> list[str]:
    return [cells.get(column, "") for column in range(1, WIDTH + 1)]


# --- faults: each takes the bytes of a sound file with at least one record


def _header(content: bytes, column: int, change: Callable[[str], str]) -> bytes:
    first, rest = content.split(b"\n", 1)
    cells = first.decode().split(DELIMITER)
    cells[column - 1] = change(cells[column - 1])
    return DELIMITER.join(cells).encode() + b"\n" + rest


def _last(content: bytes, change: Callable[[list[str]], list[str]]) -> bytes:
    *before, last = content.removesuffix(b"\n").split(b"\n")
    cells = change(last.decode().split(DELIMITER))
    return b"\n".join([*before, DELIMITER.join(cells).encode(), b""])


def _within(cells: list[str], column: int, text: str) -> list[str]:
    return [*cells[: column - 1], text, *cells[column:]]


FAULTS: Final[dict[str, Callable[[bytes], bytes]]] = {
    "wrong_count": lambda content: _header(content, 3, lambda count: str(int(count) + 1)),
    "wrong_sum": lambda content: _header(content, 4, lambda total: f"{Decimal(total) + Decimal('0.0001'):.4f}"),
    "sum_with_currency_sign": lambda content: _header(content, 4, lambda total: f"¤{total}"),
    "header_of_four": lambda content: content.replace(b"|", b" ", 1),
    "no_header": lambda content: content.split(b"\n", 1)[1],
    "missing_column": lambda content: _last(content, lambda cells: cells[:-1]),
    "extra_delimiter": lambda content: _last(content, lambda cells: _within(cells, 70, "Fish|Chips")),
    "other_record": lambda content: _last(content, lambda cells: ["SUMMARY", *cells[1:]]),
    "cut_in_a_line": lambda content: content[:-300],
    "cut_between_lines": lambda content: content[: content.rstrip(b"\n").rfind(b"\n") + 1],
    "header_only": lambda content: content.split(b"\n", 1)[0] + b"\n",
    "nothing": lambda content: b"",
}
