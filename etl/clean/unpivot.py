"""One wide row with a column per cost component -> one expense line per component that costs something."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd
import pyarrow as pa

from etl import model
from etl.clean.plan import Plan
from etl.clean.work import Bools, Wide
from etl.formats.layout import matches


def unpivot(frame: pd.DataFrame, plan: Plan) -> Wide:
    """The lines of a raw frame: its rows, or their components other than "" and zero.

    The line number is the component's position in the mapping. A row without any cost keeps one line of 0.
    """
    if not plan.unpivot:
        return Wide(frame, np.arange(len(frame), dtype=np.int64))
    names = [name for name in plan.unpivot if name in frame.columns]
    sign = re.escape(plan.notation.decimal)
    nothing = rf"^\s*(-?0+({sign}0*)?)?\s*$"
    cells = [model.utf8(frame[name]) for name in names]
    costs = np.zeros((len(frame), len(names)), dtype=bool)
    for place, cell in enumerate(cells):
        costs[:, place] = ~matches(cell, nothing)
    costless: Bools = np.logical_not(costs.any(axis=1))
    costs[costless, 0] = True
    row, component = np.nonzero(costs)
    amounts = pa.chunked_array(cells).combine_chunks() if names else pa.array([], type=pa.large_string())
    texts = amounts.take(pa.array(component * len(frame) + row))
    texts = pa.array(np.where(costless[row], "0", texts.to_numpy(zero_copy_only=False)), type=pa.large_string())
    labels = pa.array([plan.unpivot[name] for name in names], type=pa.large_string()).take(pa.array(component))
    places = np.array([list(plan.unpivot).index(name) + 1 for name in names], dtype=np.int64)
    return Wide(frame, row.astype(np.int64), [names[c] for c in component.tolist()], labels, places[component], texts)
