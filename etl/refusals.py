"""What an ERP says of a journal that it did not post, in our own codes (ERP_...): tables in mappings/codes, by ERP.

A row names the ERP's code (`*` stands for anything), a regular expression for its words and an example of them, our
code, and who says so. The first row that fits decides, and each row must be the one that decides its own example. A
refusal that no row fits is ERP_UNMAPPED; the ERP's own code and words always stay.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Final

import pandas as pd

from etl import model
from etl.errors import CATALOGUE, REFUSAL, ConfigurationError

COLUMNS: Final = ["code", "words", "example", "ours", "source"]
UNMAPPED, OPEN = "ERP_UNMAPPED", "ERP_OPEN"
REFUSED: Final = ("rejected", "void")  # states of a journal that the ERP refused; with another state it is not settled
ROWS_MAX: Final = 5_000
TEXT_MAX: Final = 2_000  # characters of an ERP's words that are looked at
_OURS: Final = frozenset(code for code, entry in CATALOGUE.items() if entry.outcome == REFUSAL)


@dataclass(frozen=True)
class Row:
    """One row of a table: what the ERP says, and our code for it."""

    code: str
    words: str
    example: str
    ours: str

    @property
    def coded(self) -> str:
        """A code that this row's fits."""
        return self.code.replace("*", "X")

    @cached_property
    def _patterns(self) -> tuple[re.Pattern[str], re.Pattern[str]]:
        named = re.escape(self.code).replace(r"\*", ".*")
        return re.compile(named, re.DOTALL), re.compile(self.words, re.IGNORECASE)

    def fits(self, code: str, sentence: str) -> bool:
        """Whether the ERP's code is this row's, and its words are in the code or the sentence."""
        named, words = self._patterns
        return bool(named.fullmatch(code) and words.search(f"{code} {sentence}"))


@dataclass(frozen=True)
class Codes:
    """The tables of one target, in the order in which its profile names them."""

    rows: tuple[Row, ...] = ()

    def ours(self, code: str, message: str) -> tuple[str, ...]:
        """Our codes for what the ERP says of one journal, each once; UNMAPPED for each code that no row fits.

        Several codes have commas between them, several messages "; ", as the readers of answers join them.

        >>> table = Codes((Row("E*", "closed", "", "ERP_PERIOD_CLOSED"), Row("E2", "", "", "ERP_LOCKED")))
        >>> table.ours("E1,E2", "Period is CLOSED"), table.ours("E3", "odd")
        (('ERP_PERIOD_CLOSED',), ('ERP_UNMAPPED',))
        """
        found: list[str] = []
        sentences = message[:TEXT_MAX].split("; ")
        for one in code.split(","):
            fit = [self._first(one.strip(), sentence) for sentence in sentences]
            found += [ours for ours in fit if ours] or [UNMAPPED]
        return tuple(dict.fromkeys(found))

    def _first(self, code: str, sentence: str) -> str:
        return next((row.ours for row in self.rows if row.fits(code, sentence)), "")


def scan(folder: Path, names: Sequence[str]) -> tuple[Codes, list[ConfigurationError]]:
    """The tables NAME.csv of a folder as far as they can be read, and everything wrong with them (TABLE)."""
    rows: list[Row] = []
    problems: list[ConfigurationError] = []
    for name in names:
        path = folder / f"{name}.csv"
        found = list(_read(path))
        rows += [one for one in found if isinstance(one, Row)]
        faults = [one for one in found if not isinstance(one, Row)]
        where = "/".join(path.parts[-2:])
        problems += [ConfigurationError("TABLE", file=where, line=line, detail=detail) for line, detail in faults]
    return Codes(tuple(rows)), problems


def _read(path: Path) -> Iterator[Row | tuple[int, str]]:
    """Rows of a table, and (line, what is wrong) in the place of those that are none."""
    try:
        reader = csv.reader(io.StringIO(path.read_text("utf-8-sig"), newline=""), strict=True)
        records = [(reader.line_num, cells) for cells in reader if cells]
    except OSError:
        yield 1, "the table does not exist"
        return
    except (UnicodeDecodeError, csv.Error) as error:
        yield 1, f"not a CSV file in UTF-8 ({error})"
        return
    if not records or records[0][1] != COLUMNS or len(records) > ROWS_MAX:
        yield 1, f"must have the columns {', '.join(COLUMNS)} and at most {ROWS_MAX} rows"
        return
    rows: list[Row] = []
    for line, cells in records[1:]:
        wrong = _fault(cells)
        row = Row(*cells[:4]) if not wrong else None
        if row is not None:
            wrong = _misled(row, rows)
            rows.append(row)
        yield (line, wrong) if wrong or row is None else row


def _fault(cells: Sequence[str]) -> str:
    """What is wrong with the cells of a row; "" when nothing is."""
    if len(cells) != len(COLUMNS) or any(cell != cell.strip() for cell in cells):
        return f"needs {len(COLUMNS)} fields without spaces around them"
    code, words, _, ours, source = cells
    if not code or not source:
        return "needs the ERP's code (* for any) and the source of the fact"
    if ours not in _OURS:
        return f"{ours!r} is no code for a refusal; docs/errors.md lists them"
    if code == "*" and not words:
        return "fits everything: an unknown refusal must stay unknown"
    try:
        re.compile(words)
    except re.error as error:
        return f"{words!r} is no regular expression ({error})"
    return ""


def _misled(row: Row, earlier: Sequence[Row]) -> str:
    """Why a row is not the one that decides its own example."""
    if not row.fits(row.coded, row.example):
        return f"its example {row.example!r} does not fit {row.words!r}"
    before = next((one for one in earlier if one.fits(row.coded, row.example)), None)
    return f"is never reached: {before.code!r} {before.words!r} above fits its example too" if before else ""


def named(members: pd.DataFrame, codes: Mapping[str, Codes]) -> pd.Series:
    """Our codes, with ", " between, for each journal in a batch (target, state, code, message); "" where none is due.

    codes: target -> its tables. A journal that is neither posted nor refused has ERP_OPEN when no row fits the words.
    """
    columns = [members[name].tolist() for name in ("target", "state", "code", "message")]
    known: dict[tuple[str, ...], str] = {}
    for said in set(zip(*columns, strict=True)):
        known[said] = ", ".join(_ours(codes.get(said[0], Codes()), *said[1:]))
    return model.texts([known[said] for said in zip(*columns, strict=True)])


def _ours(codes: Codes, state: str, code: str, message: str) -> tuple[str, ...]:
    if state in REFUSED:
        return codes.ours(code, message)
    if state == "posted" or not (code or message):
        return ()
    found = tuple(one for one in codes.ours(code, message) if one != UNMAPPED)
    return found or (OPEN,)
