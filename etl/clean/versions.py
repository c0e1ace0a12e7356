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
    return _hashes(lines, _NOT_CONTENT)


def business_hashes(lines: pd.DataFrame) -> pd.Series:
    """The same over what decides the journal: neither the state nor who approved it when."""
    return _hashes(lines, _NOT_BUSINESS)


def _hashes(lines: pd.DataFrame, without: Sequence[str]) -> pd.Series:
    if not len(lines):
        return model.texts([])
    report, first = model.groups(lines, model.REPORT_KEY)
    order = np.lexsort((lines["allocation_no"].to_numpy(), lines["line_no"].to_numpy(), report))
    cells = [_cells(lines[name]) for name in model.LINE_FIELDS if name not in (*without, *_LATER)]
    rows = model.joined([model.joined(cells), *(_later(lines, name) for name in _LATER)], "").take(pa.array(order))
    hashes = model.hash_runs(rows, np.searchsorted(report[order], np.arange(len(first))))
    return model.spread(hashes, report)


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
