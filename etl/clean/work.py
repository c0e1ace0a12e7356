"""What the steps of cleaning one file hand each other."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from etl import model
from etl.clean.plan import Plan
from etl.clean.values import Column, Fault
from etl.model import Ints

Bools = NDArray[np.bool_]


@dataclass(frozen=True)
class Wide:
    """The raw rows behind the expense lines: `row` is each line's raw row.

    An unpivoted source also has, per line, its component's column name, label, position and amount text.
    """

    frame: pd.DataFrame
    row: Ints
    component: Sequence[str] = ()
    label: pa.Array | None = None
    position: Ints | None = None
    amount: pa.Array | None = None

    def __len__(self) -> int:
        return len(self.row)

    def texts(self, column: str) -> pa.Array:
        """A raw column, one text per line."""
        texts = model.utf8(self.frame[column])
        return texts if self.label is None else texts.take(pa.array(self.row))

    def constant(self, text: str) -> pa.Array:
        """The same text on every line."""
        return pa.array([text], type=pa.large_string()).take(pa.array(np.zeros(len(self), dtype=np.int64)))


@dataclass(frozen=True)
class Found:
    """A fault of one field: `name` is what the reject calls it, one for all rows or one per row."""

    fault: Fault
    target: str
    name: str | Sequence[str]


@dataclass
class Work:
    """One file on its way: the columns read so far, what was found, and the cells normalised."""

    plan: Plan
    wide: Wide
    file: Mapping[str, str]
    columns: dict[str, pa.Array | Ints] = field(default_factory=dict)
    found: list[Found] = field(default_factory=list)
    notes: Counter[str] = field(default_factory=Counter)

    @property
    def present(self) -> frozenset[str]:
        """The columns that this file has."""
        return frozenset(map(str, self.wide.frame.columns))

    def take(self, target: str, column: Column, name: str) -> None:
        """Keep a column with its faults and notes."""
        self.columns[target] = column.values
        self.found += [Found(fault, target, name) for fault in column.faults]
        self.notes.update(column.notes)

    def report(self, code: str, target: str, rows: Ints, values: Sequence[str], details: Sequence[str] = ()) -> None:
        """Enter a fault that only several cells together show."""
        one = self.plan.fields.get(target)
        name = one.name(self.present) if one else target
        if len(rows):
            self.found.append(Found(Fault(code, rows, values, details or [""] * len(rows)), target, name))

    def text(self, target: str) -> pa.Array:
        """A text column of the lines, "" where the field is not mapped."""
        return self.columns[target] if target in self.columns else self.wide.constant("")

    def number(self, target: str) -> Ints:
        """An integer column of the lines, 0 where the field is not mapped."""
        found = self.columns.get(target)
        return np.zeros(len(self.wide), dtype=np.int64) if found is None else np.asarray(found, dtype=np.int64)

    def unread(self, target: str) -> Bools:
        """Lines whose cell of a field has a fault."""
        mask = np.zeros(len(self.wide), dtype=bool)
        for found in self.found:
            if found.target == target:
                mask[found.fault.rows] = True
        return mask
