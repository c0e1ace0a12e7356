"""What the ERP holds for a feed, parted by the period of our journals: each part is compared by itself.

The ledger is read once and in pieces; a piece's lines go to the file of the part they belong to. So a year's ledger is
never in memory whole, whatever its kind of target.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd
import pyarrow as pa

from etl import erp, model, transport
from etl.pipeline.context import Context
from validations import schemas

ROWS_AT_ONCE: Final = 400_000
_ORDER: Final = [(name, "ascending") for name in ("journal_key", "erp_document", *model.ERP_LINE_COLUMNS)]
Scope = frozenset[str]  # periods that are compared together


def scopes(homes: pd.DataFrame) -> list[Scope]:
    """The periods of a feed's journals, together where a journal belongs to one in another period, in order.

    In: journal_key, period, belongs_to of every journal.
    """
    at = model.positions(homes["belongs_to"], homes["journal_key"])
    other = np.append(homes["period"].to_numpy(), "")[at]
    pairs = pd.DataFrame({"one": homes["period"], "other": other})
    found = {period: frozenset([period]) for period in homes["period"].unique()}
    for one, other in pairs[at >= 0].drop_duplicates().itertuples(index=False, name=None):
        together = found[one] | found[other]
        found |= dict.fromkeys(together, together)
    return sorted(set(found.values()), key=min)


class Shelves:
    """The ERP's lines of a feed's companies, one file for each scope and one for what fits none of them."""

    def __init__(self, folder: Path, homes: pd.DataFrame, scopes: Sequence[Scope], period: str) -> None:
        """`period`: the only one that is asked for; else all, and what fits none of the scopes too."""
        self._folder, self._homes, self._period = folder, homes, period
        self._shelf = {name: number for number, scope in enumerate(scopes) for name in scope}
        self._count = len(scopes)
        self._writers: dict[int, Any] = {}
        self._waiting: list[pd.DataFrame] = []
        self._open = ExitStack()

    def fill(self, context: Context) -> None:
        """Read every target's ledger."""
        wanted = erp.Wanted(self._take, self._ours, self._period)
        with self._open:
            for entry in context.bundle.feed["targets"]:
                read_ledger(context, entry, context.profile(entry["target"]), wanted)
            self._store()

    def _ours(self, keys: pd.Series) -> Any:
        return model.positions(keys, self._homes["journal_key"]) >= 0

    def _take(self, lines: pd.DataFrame) -> Any:
        """Take lines over: none of them stays with who read them."""
        self._waiting.append(lines)
        if sum(map(len, self._waiting)) > ROWS_AT_ONCE:
            self._store()
        return np.zeros(len(lines), dtype=bool)

    def _store(self) -> None:
        """Put what waits on its shelves. A known journal's lines go where the journal is."""
        lines = pd.concat([erp.no_lines(), *self._waiting], ignore_index=True)
        self._waiting = []
        at = model.positions(lines["journal_key"], self._homes["journal_key"])
        home = lines["period"].where(at < 0, model.texts(np.append(self._homes["period"].to_numpy(), "")[at]))
        codes, names = model.distinct(home)
        shelf = np.array([self._shelf.get(name, self._count) for name in names], dtype=np.int64)[codes]
        for number in np.unique(shelf).tolist() if len(lines) else ():
            if number < self._count or not self._period:
                self._put(number, lines[shelf == number])

    def _put(self, number: int, lines: pd.DataFrame) -> None:
        table = pa.Table.from_pandas(lines, preserve_index=False)
        if number not in self._writers:
            writer = pa.ipc.new_stream(str(self._folder / f"{number}.arrow"), table.schema)
            self._writers[number] = self._open.enter_context(writer)
        self._writers[number].write_table(table)

    def lines(self, context: Context, number: int) -> pd.DataFrame:
        """The lines of a scope, by its number, without what another feed of ours has put there."""
        path = self._folder / f"{number}.arrow"
        if not path.exists():
            return erp.no_lines()
        with pa.ipc.open_stream(str(path)) as stream:
            lines: pd.DataFrame = stream.read_all().sort_by(_ORDER).to_pandas()
        schemas.prove(lines, schemas.ERP_LINES)
        lines = lines[lines["company"].isin(list(context.bundle.feed["companies"]))]
        known = model.positions(lines["journal_key"], self._homes["journal_key"]) >= 0
        strange = sorted(set(lines.loc[~known, "journal_key"]))
        ours = context.store.journals(keys=strange)["journal_key"].tolist() if strange else []
        return lines[~lines["journal_key"].isin(ours)].reset_index(drop=True)


def read_ledger(context: Context, entry: Any, profile: Any, wanted: erp.Wanted = erp.EVERYTHING) -> pd.DataFrame:
    """The ERP's own lines at one target (model.ERP_LINE_COLUMNS) that are `wanted`."""
    connection = context.connection(entry)
    if profile["acknowledge"]["kind"] == "table":
        engine = transport.engine(connection)
        try:
            return erp.read_ledger_table(engine, profile, wanted)
        finally:
            engine.dispose()
    with transport.folder(connection, entry.get("path", "")) as session:
        return erp.read_ledger_file(session, profile, wanted)
