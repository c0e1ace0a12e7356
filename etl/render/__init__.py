"""Journals to the ERP's own bytes, as the target profile says.

Everything that an ERP could refuse for its form (a key too long, a character its encoding lacks) is found by `check`
before a batch is sealed; `render` then cannot fail. The same journals give the same bytes. One module for each kind of
profile; what they share, the columns, is in `etl.render.columns`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

import numpy as np
import pandas as pd

from etl import mapping
from etl.journal import Batch
from etl.render import beancount, delimited, fixed, jsondoc, ledger, table, xlsx, xml
from etl.render.columns import Ints, Profile

CHECKS: Final[Mapping[str, Callable[..., None]]] = {
    "table": table.check, "text": beancount.check, "delimited": delimited.check, "json": jsondoc.check,
    "xml": xml.check, "fixed": fixed.check, "xlsx": xlsx.check,
}  # fmt: skip
RENDERERS: Final[Mapping[str, Callable[..., bytes]]] = {
    "table": table.render, "beancount": beancount.render, "ledger": ledger.render, "delimited": delimited.render,
    "json": jsondoc.render, "xml": xml.render, "fixed": fixed.render, "xlsx": xlsx.render,
}  # fmt: skip


def check(profile: Profile, bundle: mapping.Bundle, headers: pd.DataFrame, lines: pd.DataFrame) -> pd.DataFrame:
    """Rejects of journals that the target cannot hold: KEY_OVERFLOW, UNENCODABLE, MISSING; out model.REJECT_COLUMNS."""
    faults = mapping.Faults()
    at = _header_of(headers, lines)
    CHECKS[profile["kind"]](profile, bundle, headers, lines, at, faults)
    return faults.rejects(headers.assign(line_no=0, source_row=0))


def render(profile: Profile, bundle: mapping.Bundle, batch: Batch, headers: pd.DataFrame, lines: pd.DataFrame) -> bytes:
    """The sealed bytes of one batch. In: the batch's headers and their lines, in order."""
    kind = profile["layout"] if profile["kind"] == "text" else profile["kind"]
    return RENDERERS[kind](profile, bundle, batch, headers, lines, _header_of(headers, lines))


def file_name(profile: Profile, batch_id: str) -> str:
    """The name of a batch's sealed bytes, in the batch folder and at a file target."""
    return str(profile.get("file", "payload.csv")).replace("{batch_id}", batch_id)


def _header_of(headers: pd.DataFrame, lines: pd.DataFrame) -> Ints:
    """The position of each line's header; lines stand together and in the headers' order."""
    new = lines["line_no"].to_numpy(dtype=np.int64) == 1
    return np.cumsum(new) - 1
