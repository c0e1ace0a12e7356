"""What a report version says, as one hash: the same content delivered again is known, other content is told apart."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from etl import model
from etl.formats.layout import SOURCE_ROW

_NOT_CONTENT: Final = (SOURCE_ROW, "report_version")
# How a claim was approved decides nothing of its journal: approved again unchanged, it posts nothing.
_NOT_BUSINESS: Final = (*_NOT_CONTENT, "state", "submitted_at", "approved_at", "updated_at", "approver_id")
VERSION_CHARACTERS: Final = 16
# A field that came later is content only where it says something: what was landed before it keeps its hash.
_LATER: Final = ("tax_rate_pct",)


def content_hashes(lines: pd.DataFrame) -> pd.Series:
    """For each line the sha256 of its report version's lines, over every field but source_row and the version itself.

    Lines are taken in order of line number and part, so their order in the file does not matter.
    """
    return _hashes(lines, [_NOT_CONTENT])[0]


def both_hashes(lines: pd.DataFrame) -> tuple[pd.Series, pd.Series]:
    """`content_hashes`, and the same over what decides the journal: neither the state nor who approved it when."""
    content, business = _hashes(lines, [_NOT_CONTENT, _NOT_BUSINESS])
    return content, business


def _hashes(lines: pd.DataFrame, without: Sequence[Sequence[str]]) -> list[pd.Series]:
    """The hash on each line of its report's lines, once without each of these sets of fields."""
    if not len(lines):
        return [model.texts([]) for _ in without]
    report, first = model.groups(lines, model.REPORT_KEY)
    order = np.lexsort((lines["allocation_no"].to_numpy(), lines["line_no"].to_numpy(), report))
    starts = np.searchsorted(report[order], np.arange(len(first)))
    sorted_already = bool((order == np.arange(len(order))).all())
    cells = {name: _cells(lines[name]) for name in model.LINE_FIELDS if name not in _LATER}
    later = [_later(lines, name) for name in _LATER]
    out = []
    for names in without:
        rows = model.joined([cell for name, cell in cells.items() if name not in names])
        rows = model.joined([rows, *later], "")
        rows = rows if sorted_already else rows.take(pa.array(order))
        out.append(model.spread(model.hash_runs(rows, starts), report))
    return out


def _later(lines: pd.DataFrame, name: str) -> pa.Array:
    texts = _cells(lines[name])
    return pc.if_else(pc.equal(texts, ""), "", model.joined([f"\x1f{name} ", texts], ""))


def _cells(column: pd.Series) -> pa.Array:
    if column.dtype == "str":
        return model.utf8(column)
    return pc.cast(pa.array(column.to_numpy(dtype=np.int64)), pa.large_string())


def version_by_content(lines: pd.DataFrame) -> pd.DataFrame:
    """Lines with the first characters of their report's content hash as version, for sources that know no versions."""
    short = pc.utf8_slice_codeunits(model.utf8(content_hashes(lines)), 0, VERSION_CHARACTERS)
    return lines.assign(report_version=model.texts(short))
