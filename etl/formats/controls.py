"""Control records: what the first or the last line says of the others, and whether it is so, exactly."""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Context, Decimal, Inexact
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from etl.errors import FileRejected
from etl.formats.headers import split_line
from etl.formats.layout import Control, Format, Notation, matches

_PLAIN: Final = re.compile(r"-?[0-9]{1,60}(?:\.[0-9]{1,20})?", re.ASCII)
# Decimals of up to 15 and 8 digits fit a decimal128 with room for the sum of every row a file may have.
_USUAL: Final = r"^-?[0-9]{1,15}(\.[0-9]{1,8})?$"
_EXACT: Final = Context(prec=200, traps=[Inexact])


def read_trailer(line: bytes, name: str, rules: Format) -> Mapping[str, str]:
    """What the last line says; raises FileRejected INCOMPLETE when it is no trailer."""
    control = rules.trailer
    assert control is not None
    cells = split_line(line.decode(), rules) or [""]
    if cells[0] != control.mark:
        raise FileRejected("INCOMPLETE", file=name, detail=f"the last line is not the trailer {control.mark}")
    if len(cells) <= max([0, *control.places.values()]):
        raise FileRejected("INCOMPLETE", file=name, detail=f"the trailer has {len(cells)} fields")
    return {key: cells[place] for key, place in control.places.items()}


def read_control_header(line: bytes, name: str, number: int, rules: Format) -> Mapping[str, str]:
    """What the line above the records says; raises FileRejected HEADER when it is no control header."""
    control = rules.control_header
    assert control is not None
    cells = split_line(line.decode(), rules) or [""]
    if cells[0] != control.mark:
        raise FileRejected("HEADER", file=name, line=number, detail=f"It does not begin with {control.mark!r}.")
    if len(cells) != control.width:
        detail = f"It has {len(cells)} fields, not {control.width}."
        raise FileRejected("HEADER", file=name, line=number, detail=detail)
    return {key: cells[place] for key, place in control.places.items()}


def check_control(table: pa.Table, control: Control, said: Mapping[str, str], name: str, notation: Notation) -> None:
    """Raises FileRejected CONTROL_TOTAL when count or a sum differs; a cell that is no plain decimal counts as 0."""
    if control.count is not None and said["count"] != str(table.num_rows):
        _refuse(name, "count", said["count"], str(table.num_rows))
    for column in control.sums:
        found = (
            column_sum(notation.plain(table[column].combine_chunks())) if column in table.column_names else Decimal(0)
        )
        stated = notation.plain(pa.array([said[column]]))[0].as_py()
        if not _PLAIN.fullmatch(stated) or Decimal(stated) != found:
            _refuse(name, column, said[column], f"{found:f}")


def _refuse(name: str, field: str, expected: str, found: str) -> None:
    raise FileRejected("CONTROL_TOTAL", file=name, field=field, expected=repr(expected), found=found)


def column_sum(texts: pa.Array) -> Decimal:
    """The exact sum of the cells that are plain decimals."""
    usual = matches(texts, _USUAL)
    values = pc.cast(texts.filter(pa.array(usual)).cast(pa.string()), pa.decimal128(38, 8))
    total: Decimal = pc.sum(values).as_py() or Decimal(0)
    for text in texts.take(pa.array(np.flatnonzero(~usual))).to_pylist():
        if _PLAIN.fullmatch(text):
            total = _EXACT.add(total, Decimal(text))
    return _EXACT.normalize(total) if total else Decimal(0)
