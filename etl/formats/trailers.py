"""The trailer's count and sums against what was read, exactly."""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Context, Decimal, Inexact
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from etl.errors import FileRejected
from etl.formats.layout import Format, matches

_PLAIN: Final = re.compile(r"-?[0-9]{1,60}(?:\.[0-9]{1,20})?", re.ASCII)
# Decimals of up to 15 and 8 digits fit a decimal128 with room for the sum of every row a file may have.
_USUAL: Final = r"^-?[0-9]{1,15}(\.[0-9]{1,8})?$"
_EXACT: Final = Context(prec=200, traps=[Inexact])


def check_trailer(table: pa.Table, trailer: Mapping[str, str], name: str, rules: Format) -> None:
    """Raises FileRejected CONTROL_TOTAL when count or a sum differs; a cell that is no plain decimal counts as 0."""
    assert rules.trailer is not None
    if "count" in trailer and trailer["count"] != str(table.num_rows):
        _refuse(name, "count", trailer["count"], str(table.num_rows))
    for column in rules.trailer.sums:
        found = (
            column_sum(rules.notation.plain(table[column].combine_chunks()))
            if column in table.column_names
            else Decimal(0)
        )
        said = rules.notation.plain(pa.array([trailer[column]]))[0].as_py()
        if not _PLAIN.fullmatch(said) or Decimal(said) != found:
            _refuse(name, column, trailer[column], f"{found:f}")


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
