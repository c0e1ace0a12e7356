"""What must add up in the raw file: parts against their total, per group of rows, exactly.

    sums:
      tax: {per: [allocation], total: amountGross, parts: [amountNetOfTax, amountTax]}
      entry: {per: [entry], stated: entryApprovedAmount, parts: [amountGross]}

`total` is added up over the rows of the group, as the parts are; `stated` is the same on all its rows, and where it is
empty there is nothing to check. A row with an empty `per` column belongs to no group.
"""

from __future__ import annotations

from decimal import Context, Decimal, localcontext
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from etl import model
from etl.clean.plan import Sum
from etl.clean.work import Bools, Work
from etl.formats.layout import matches
from etl.model import Ints

# 15 and 12 digits leave a decimal128 room for the sum of as many rows as a file may have.
_PLAIN: Final = r"^-?[0-9]{1,15}(\.[0-9]{1,12})?$"
_KIND: Final = pa.decimal128(38, 12)
_EXACT: Final = Context(prec=60)

Decimals = NDArray[np.object_]


def check_sums(work: Work) -> None:
    """A group whose parts do not give the total is a SUM on its first row, a cell that is no amount a MONEY."""
    for one in work.plan.sums:
        rows, group, first = _groups(work, one)
        unread = np.zeros(len(first), dtype=bool)
        totals = _stated(work, one, first, unread) if one.stated else _added(work, one.total, rows, group, unread)
        with localcontext(_EXACT):
            found = np.add.reduce([_added(work, part, rows, group, unread) for part in one.parts])
        wrong = np.flatnonzero((totals != found) & ~unread)
        parts = " + ".join(one.parts)
        details = [f"{parts} = {_shown(value)}" for value in found[wrong].tolist()]
        work.report("SUM", one.named, first[wrong], [_shown(value) for value in totals[wrong].tolist()], details)


def _groups(work: Work, one: Sum) -> tuple[Ints, Ints, Ints]:
    """The rows that belong to a group, the group of each of them, and each group's first row."""
    texts = [work.wide.texts(column) for column in one.per]
    filled = np.logical_and.reduce([_filled(column) for column in texts])
    rows = np.flatnonzero(filled)
    codes = model.joined(texts).take(pa.array(rows)).dictionary_encode().indices.to_numpy(zero_copy_only=False)
    group, first = model.combine([np.asarray(codes, dtype=np.int64)])
    return rows, group, rows[first]


def _filled(texts: pa.Array) -> Bools:
    return np.asarray(pc.greater(pc.binary_length(texts), 0).to_numpy(zero_copy_only=False), dtype=bool)


def _amounts(work: Work, column: str, rows: Ints) -> tuple[pa.Array, Bools]:
    """A column's cells as decimals, an empty one as 0, and which of them are amounts; any other is reported."""
    texts = work.wide.texts(column).take(pa.array(rows))
    filled = pc.if_else(pa.array(_filled(texts)), work.plan.notation.plain(texts), "0")
    good = matches(filled, _PLAIN)
    bad = np.flatnonzero(~good)
    work.report("MONEY", column, rows[bad], texts.take(pa.array(bad)).to_pylist(), ["a plain decimal"] * len(bad))
    return pc.cast(pc.if_else(pa.array(good), filled, "0").cast(pa.string()), _KIND), good


def _added(work: Work, column: str, rows: Ints, group: Ints, unread: Bools) -> Decimals:
    """The column's sum for each group in order; a group with a cell that is no amount is marked in `unread`."""
    values, good = _amounts(work, column, rows)
    unread[group[~good]] = True
    table = pa.table({"group": group, "value": values}).group_by("group").aggregate([("value", "sum")])
    return np.array(table.sort_by("group")["value_sum"].to_pylist(), dtype=object)


def _stated(work: Work, one: Sum, first: Ints, unread: Bools) -> Decimals:
    """What each group's first row states; a group that states nothing, or no amount, is marked in `unread`."""
    values, good = _amounts(work, one.stated, first)
    unread |= ~good | ~_filled(work.wide.texts(one.stated).take(pa.array(first)))
    return np.array(values.to_pylist(), dtype=object)


def _shown(value: Decimal) -> str:
    text = f"{value:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
