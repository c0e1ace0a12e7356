"""Journals that the ERP refused get a new batch: the healthy ones of a group at once, a mended one when it is released.

An ERP that refuses a whole group for one bad journal still gets the others: those that it refused only because another
one failed (ERP_SIBLING) are sealed anew without the culprits. When it names no culprit, the group is halved until the
bad journals stand alone. The old batch stays as it is, with its answers; a journal lives in one batch at a time.
So it ends: each round takes a culprit out, or halves.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Final

import pandas as pd
import pyarrow.parquet as pq

from etl import journal, reasons, refusals, render
from etl.errors import ConfigurationError
from etl.pipeline import booking, deliver
from etl.pipeline.build import freeze
from etl.pipeline.context import Context, code_version
from etl.pipeline.decide import as_sealed
from etl.store import BATCH_COLUMNS, Batch, Build

SIBLING: Final = "ERP_SIBLING"
_FRAMES: Final = ("journals", "lines", "lineage", "reports")


def settle(context: Context, batch_id: str) -> dict[str, int]:
    """Read the ERP's answers to a batch; once it is answered whole, deliver what `isolate` makes of it, and so on.

    Out: as `acknowledge` counts, for the journals of this batch wherever they are by now. It may be called again at any
    time, also beside itself: a journal lives in one batch, and each batch is delivered once.
    """
    total, answered = _answers(context, batch_id, Counter())
    while answered:
        before = answered.pop()
        isolate(context, before)
        for batch in context.store.batches(context.feed_id):
            if batch.totals.get("again") == before:
                total["rejected"] -= batch.journals  # counted in the batch before
                if deliver.load(context, batch.batch_id) in deliver.UNANSWERED:
                    deliver.simulate(context, batch.batch_id)
                total, whole = _answers(context, batch.batch_id, total)
                answered += whole
    return dict(total)


def _answers(context: Context, batch_id: str, total: Counter[str]) -> tuple[Counter[str], list[str]]:
    """The counts with those of a batch added, and the batch if nothing of it is open."""
    counts = deliver.acknowledge(context, batch_id)
    return Counter({name: total[name] + count for name, count in counts.items()}), [batch_id] * (not counts["unknown"])


def isolate(context: Context, batch_id: str = "") -> list[str]:
    """New batches for the journals of the feed that the ERP refused only because of others; out: their ids.

    With a batch's id, for those of this batch alone.
    """
    members = context.store.members(feed_id=context.feed_id)
    refused = _open_refusals(members)
    refused = refused[refused["batch_id"] == batch_id] if batch_id else refused
    codes = reasons.tables(context.settings.mappings, sorted(set(refused["target"])))
    refused = refused.assign(ours=refusals.named(refused, codes))
    made = []
    for before, rows in refused.groupby("batch_id", dropna=False, sort=True):
        siblings = rows.loc[rows["ours"] == SIBLING, "journal_key"].tolist()
        parts = [siblings] if len(siblings) < len(rows) or _posted(members, str(before)) else _halves(siblings)
        made += [seal_again(context, str(before), part) for part in parts if part]
    return made


def _open_refusals(members: pd.DataFrame) -> pd.DataFrame:
    """Refused members whose journal is in no other live batch, the last refusal of each."""
    live = set(members.loc[~members["state"].isin(["rejected", "void"]), "journal_key"])
    refused = members[(members["state"] == "rejected") & ~members["journal_key"].isin(live)]
    return refused.drop_duplicates("journal_key", keep="last", ignore_index=True)


def _posted(members: pd.DataFrame, batch_id: str) -> bool:
    return bool(((members["batch_id"] == batch_id) & (members["state"] == "posted")).any())


def _halves(keys: Sequence[str]) -> list[Sequence[str]]:
    """Both halves; nothing of a single journal: it is the culprit."""
    middle = len(keys) // 2
    return [keys[:middle], keys[middle:]] if middle else []


def release(context: Context, journal_key: str, by: str, reason: str) -> str:
    """A new batch for one journal that the ERP refused and whose cause is mended there; out: the batch's id.

    Raises ConfigurationError NOT_FOUND when the journal is not refused, or lives in another batch.
    """
    refused = _open_refusals(context.store.members(feed_id=context.feed_id))
    mine = refused.loc[refused["journal_key"] == journal_key, "batch_id"].tolist()
    if not mine:
        raise ConfigurationError("NOT_FOUND", field="refused journal", value=journal_key)
    batch_id = seal_again(context, mine[0], [journal_key])
    context.store.tell(batch_id, "released", f"{journal_key}: {reason}", by)
    return batch_id


def seal_again(context: Context, batch_id: str, keys: Sequence[str]) -> str:
    """Seal journals of a batch in a new one, by the target profile of now; the same call again gives the same batch."""
    old, bundle = context.store.batch(batch_id), context.bundle
    headers, lines, lineage, reports = _content(context, old, keys)
    before = context.store.members(keys=list(keys))
    batch = journal.again(bundle, headers, int(before.groupby("journal_key", dropna=False).size().max()))
    payload = render.render(bundle.targets[batch.target], bundle, batch, headers, lines)
    sealed = booking.Sealed(batch, headers, lines, lineage, reports, payload)
    row = freeze(context, sealed, recorded=False, again=batch_id)
    empty = pd.DataFrame()
    build = Build(
        context.feed_id, (), bundle.source_system, context.run_id, bundle.digest, code_version(), empty, empty, empty,
        headers[["journal_key"]].assign(batch_id=batch.batch_id), pd.DataFrame([row], columns=BATCH_COLUMNS), empty,
    )  # fmt: skip
    context.store.record_again(build)
    return batch.batch_id


def _content(context: Context, old: Batch, keys: Sequence[str]) -> tuple[pd.DataFrame, ...]:
    """What was sealed for these journals, in its order."""
    folder, wanted = context.batch_folder(old.folder), [("journal_key", "in", list(keys))]
    frames = (as_sealed(pq.read_table(folder / f"{name}.parquet", filters=wanted).to_pandas()) for name in _FRAMES)
    return tuple(frames)
