"""What becomes of one file, given what came before it: decided the same way for a run and for a dry run."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import pandas as pd
import pyarrow.parquet as pq

from etl import formats, model, reversal, versions
from etl.model import ControlTotals
from etl.pipeline import booking, decisions
from etl.pipeline.context import Context
from etl.store import Landing

BUILT, DUPLICATE, HELD = "built", "duplicate", "held"
GATE_DOCS: Final = "data_docs"


@dataclass(frozen=True)
class Past:
    """What came before a file: what was decided and booked, raw files by fingerprint, the last control totals.

    passed: two persons let the file pass the gate, however unusual it is, or it is their decision itself.
    """

    before: booking.Before
    alike: Callable[[str], Iterable[formats.RawFile]]
    history: Sequence[ControlTotals]
    passed: bool = False


@dataclass(frozen=True)
class Decision:
    """The state of a file's landing, what it comes to, and what the gate found unusual."""

    state: str
    raw: formats.RawFile
    fingerprint: str
    booked: booking.Booking
    unusual: Sequence[dict[str, str]] = ()


def decide(context: Context, content: bytes, name: str, past: Past, docs: Path) -> Decision:
    """Read a file and judge it against its past. `docs` gets the gate's Data Docs. Raises FileRejected."""
    raw = booking.read(context.bundle, content, name)
    fingerprint = formats.fingerprint(raw.frame)
    if _repeats(context, raw, past.alike(fingerprint)):
        return Decision(DUPLICATE, raw, fingerprint, booking.duplicate(context.bundle, raw, name))
    booked = book(context, raw, name, past)
    unusual = [] if past.passed else _unusual(context, booked.profile, docs, past)
    return Decision(HELD if unusual else BUILT, raw, fingerprint, booked, unusual)


def book(context: Context, raw: formats.RawFile, name: str, past: Past) -> booking.Booking:
    """Everything that a file's lines become after its past."""
    tables = context.settings.mappings / "tables"
    return booking.book(context.bundle, raw, name, past.before, tables)


def past_of(context: Context, landing: Landing | None = None) -> Past:
    """What the store knows from before a landing, or of everything."""

    def earlier(one: Landing) -> bool:
        return one.state == BUILT and (landing is None or one.seq < landing.seq)

    def alike(fingerprint: str) -> Iterable[formats.RawFile]:
        for one in filter(earlier, context.store.by_fingerprint(context.feed_id, fingerprint)):
            yield booking.read(context.bundle, context.landed(one.sha256).read_bytes(), one.name)

    own = decisions.made(context)
    built = context.store.landings(context.feed_id, (BUILT,)) if _looks_back(context) else []
    built = [one for one in built if one.sha256 not in own]
    passed = landing is not None and landing.sha256 in agreed(context, "release", "file").union(own)
    return Past(_before(context, landing), alike, [one.control_totals for one in built if earlier(one)], passed)


def agreed(context: Context, action: str, name: str) -> frozenset[Any]:
    """What two persons agreed to: the fact of this name of every approved request of an action; lists become tuples."""
    found: set[Any] = set()
    for request in context.store.requests(context.feed_id, action, approved=True):
        value = request.facts.get(name, [])
        found |= {value} if isinstance(value, str) else {tuple(one) for one in value}
    return frozenset(found)


def _before(context: Context, landing: Landing | None) -> booking.Before:
    """What the store knows of reports; the landing's own decisions are left out."""
    system = context.bundle.source_system

    def known(reports: Sequence[str]) -> pd.DataFrame:
        return context.store.known_versions(system, reports, (context.feed_id, landing.sha256) if landing else None)

    def claims(keys: Sequence[str]) -> pd.DataFrame:
        return context.store.invoice_claims(system, keys)

    def journals(reports: Sequence[str]) -> pd.DataFrame:
        return journals_of(context, reports)

    def content(headers: pd.DataFrame) -> reversal.Content:
        return sealed_content(context, headers)

    seq = landing.seq if landing else context.store.last_landing() + 1
    waived, discarded = agreed(context, "release", "waived"), agreed(context, "discard", "versions")
    return booking.Before(
        seq, known, claims, journals, content, lambda: context.store.rounding(system), waived, discarded
    )


def journals_of(context: Context, reports: Sequence[str]) -> pd.DataFrame:
    """Every journal that holds some report ids (versions.JOURNAL_COLUMNS)."""
    system = context.bundle.source_system
    links = context.store.report_links(system, reports)
    return versions.claimed(context.store.report_journals(system, reports), links)


def sealed_content(context: Context, headers: pd.DataFrame) -> reversal.Content:
    """What was sealed for journals (`journal_key`, `batch_id`), from the batch folders."""
    parts: dict[str, list[pd.DataFrame]] = {"lines": [], "lineage": [], "reports": []}
    for batch_id, mine in headers.groupby("batch_id", dropna=False, sort=True)["journal_key"]:
        wanted = [("journal_key", "in", sorted(set(mine)))]
        folder = context.batch_folder(context.store.batch(str(batch_id)).folder)
        for name, frames in parts.items():
            frames.append(as_sealed(pq.read_table(folder / f"{name}.parquet", filters=wanted).to_pandas()))
    return reversal.Content(*(pd.concat(frames, ignore_index=True) for frames in parts.values()))


def as_sealed(frame: pd.DataFrame) -> pd.DataFrame:
    """A frame from Parquet with its text columns as text."""
    return frame.astype({name: "str" for name in frame.columns if frame[name].dtype == object})


def with_file(past: Past, decision: Decision) -> Past:
    """The past of the next file, had this one been recorded; a file that is held or repeated leaves it as it is."""
    if decision.state != BUILT:
        return past
    booked, before = decision.booked, past.before

    def alike(fingerprint: str) -> Iterable[formats.RawFile]:
        yield from past.alike(fingerprint)
        yield from [decision.raw] if fingerprint == decision.fingerprint else []

    def claims(keys: Sequence[str]) -> pd.DataFrame:
        mine = booked.invoices[booked.invoices["invoice_key"].isin(list(keys))]
        return pd.concat([before.claims(keys), mine[model.INVOICE_COLUMNS]], ignore_index=True)

    def journals(reports: Sequence[str]) -> pd.DataFrame:
        earlier, mine = before.journals(reports), booking.made(booked, "sealed")
        state = earlier["state"].where(~earlier["journal_key"].isin(booked.voided), "void")
        return pd.concat([earlier.assign(state=state), mine[mine["claim_report"].isin(reports)]], ignore_index=True)

    def rounded() -> pd.DataFrame:
        return pd.concat([before.rounded(), booking.rounding(booked)], ignore_index=True)

    def known(reports: Sequence[str]) -> pd.DataFrame:
        mine = booking.decided(booked, before.seq)
        return pd.concat([before.known(reports), mine[mine["report_id"].isin(reports)]], ignore_index=True)

    after = replace(before, seq=before.seq + 1, known=known, claims=claims, journals=journals, rounded=rounded)
    return replace(past, before=after, alike=alike, history=[*past.history, versions.totals(booked.outcomes)])


def _repeats(context: Context, raw: formats.RawFile, alike: Iterable[formats.RawFile]) -> bool:
    """Whether an earlier file of the feed holds the same records, whatever their bytes; proved record by record.

    A delivery of no records repeats nothing.
    """
    if context.bundle.feed["source"].get("repeated_content") == "accept" or raw.frame.empty:
        return False
    return any(formats.same_content(raw.frame, earlier.frame) for earlier in alike)


def _unusual(context: Context, profile: pd.DataFrame, docs: Path, past: Past) -> list[dict[str, str]]:
    """What the batch gate finds: the failed expectations on the delivery's profile, empty when it may go on."""
    if "gate" not in context.bundle.feed:
        return []
    from validations import checkpoints

    back = _looks_back(context)
    return checkpoints.gate(profile, context.bundle.feed, docs, past.history[-back:] if back else [])


def _looks_back(context: Context) -> int:
    """How many deliveries the feed's gate compares with."""
    gate: dict[str, Any] = context.bundle.feed.get("gate", {})
    return int(gate.get("history", {}).get("deliveries", "0"))
