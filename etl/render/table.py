"""Kind `table`: the rows of a staging table, sealed as CSV in the table's own columns."""

from __future__ import annotations

import io

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv

from etl import mapping
from etl.journal import Batch
from etl.render import columns
from etl.render.columns import Ints, Profile


def check(
    profile: Profile, bundle: mapping.Bundle, headers: pd.DataFrame, lines: pd.DataFrame, at: Ints,
    faults: mapping.Faults,
) -> None:  # fmt: skip
    """What the table's columns cannot hold."""
    columns.check(profile, columns.make(profile, bundle, headers, lines, at, None), at, faults)


def render(
    profile: Profile, bundle: mapping.Bundle, batch: Batch, headers: pd.DataFrame, lines: pd.DataFrame, at: Ints
) -> bytes:
    """CSV with a header; an empty text is null."""
    made = columns.make(profile, bundle, headers, lines, at, batch)
    for name, rule in profile["columns"].items():
        text = columns.cut(profile, rule, made[name])
        made[name] = pc.if_else(pc.equal(text, ""), pa.scalar(None, pa.large_string()), text)
    out = io.BytesIO()
    pa.csv.write_csv(pa.table(made), out)
    return out.getvalue()
