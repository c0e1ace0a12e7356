"""`claimpost mapping diff`: the same landed files through two mappings, and which journals come out differently."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pandas as pd

from etl import formats, mapping, model, money, reversal
from etl.errors import FileRejected
from etl.pipeline import booking, cases, decisions
from etl.pipeline.context import Context
from etl.store import Landing

KEY: Final = ["company", "report_id", "report_version", "currency", "purpose"]
_NOTHING: Final = pd.DataFrame({name: model.texts([]) for name in model.INVOICE_COLUMNS})


def difference(context: Context, old: Path, new: Path, period: str = "") -> dict[str, Any]:
    """Every journal of the feed's landed files that two mappings folders make differently.

    In: the folders; `period` (YYYY-MM) keeps the journals that either of them puts there. Out: how many are equal; the
    documents that change, with both sides; and per company, account and currency the net amount (debit less credit) of
    each side, as exact decimal text. Raises ConfigurationError when a folder cannot be used.
    """
    before, after = (_made(context, folder, period) for folder in (old, new))
    documents = sorted({*before, *after})
    changed = [
        _document(key, before.get(key), after.get(key)) for key in documents if before.get(key) != after.get(key)
    ]
    return {
        "feed": context.feed_id, "period": period, "equal": len(documents) - len(changed), "changed": changed,
        "accounts": _accounts(before, after),
    }  # fmt: skip


class _Books:
    """What was decided and booked so far, as if the ERP had posted all of it."""

    def __init__(self) -> None:
        self.known, self.journals, self.invoices = booking.nothing_known(), booking.nothing_booked(), _NOTHING
        self.sealed: list[booking.Sealed] = []

    def before(self, seq: int) -> booking.Before:
        def journals(reports: Sequence[str]) -> pd.DataFrame:
            return self.journals[self.journals["claim_report"].isin(reports)]

        def claims(keys: Sequence[str]) -> pd.DataFrame:
            return self.invoices[self.invoices["invoice_key"].isin(list(keys))]

        return booking.Before(seq, self._known, claims, journals, self.content, lambda: self.journals)

    def _known(self, reports: Sequence[str]) -> pd.DataFrame:
        return self.known[self.known["report_id"].isin(reports)]

    def content(self, headers: pd.DataFrame) -> reversal.Content:
        mine = [one for one in self.sealed if one.batch.batch_id in set(headers["batch_id"])]
        parts = zip(*((one.lines, one.lineage, one.reports) for one in mine), strict=True)
        whole = (pd.concat(frames, ignore_index=True) for frames in parts)
        wanted = set(headers["journal_key"])
        return reversal.Content(*(frame[frame["journal_key"].isin(wanted)] for frame in whole))

    def add(self, booked: booking.Booking, seq: int) -> None:
        self.known = pd.concat([self.known, booking.decided(booked, seq)], ignore_index=True)
        self.journals = pd.concat([self.journals, booking.made(booked, "posted")], ignore_index=True)
        self.invoices = pd.concat([self.invoices, booked.invoices[model.INVOICE_COLUMNS]], ignore_index=True)
        self.sealed += booked.sealed


@dataclass(frozen=True)
class Replayed:
    """A landing judged and booked again, by the bundle that reads it."""

    landing: Landing
    bundle: mapping.Bundle
    raw: formats.RawFile
    booked: booking.Booking


def replayed(context: Context, folder: Path, bundle: mapping.Bundle) -> Iterator[Replayed]:
    """Every built landing judged and booked again by a mapping, in order; a file that it cannot read is left out."""
    past, own = _Books(), decisions.made(context)
    for landing in context.store.landings(context.feed_id, ("built",)):
        content = context.landed(landing.sha256).read_bytes()
        reader = decisions.reader(bundle) if landing.sha256 in own else bundle
        try:
            raw = booking.read(reader, content, landing.name)
        except FileRejected:
            continue
        booked = booking.book(reader, raw, landing.name, past.before(landing.seq), folder / "tables")
        past.add(booked, landing.seq)
        yield Replayed(landing, reader, raw, booked)


Net = tuple[tuple[str, int], ...]
Journal = tuple[tuple[str, ...], Net]
Document = tuple[str, ...]


def _made(context: Context, folder: Path, period: str) -> dict[Document, Journal]:
    """The journals of all landed files by document: as people read them, and the net of each line by account."""
    out: dict[Document, Journal] = {}
    for one in replayed(context, folder, mapping.load(folder, context.feed_id)):
        for sealed in one.booked.sealed:
            if period in ("", sealed.batch.period):
                out |= dict(_journals(sealed))
    return out


def _journals(sealed: booking.Sealed) -> Iterator[tuple[Document, Journal]]:
    lines = sealed.lines.groupby("journal_key", sort=False, dropna=False)
    by_key = {str(key): part.to_dict("records") for key, part in lines}
    for head in sealed.headers.to_dict("records"):
        currency, base = head["currency"], head["base_currency"]
        mine = [{str(name): value for name, value in line.items()} for line in by_key[head["journal_key"]]]
        shown = [
            f"on {head['posting_date']} at {head['rate']}",
            *(cases.journal_line(one, currency, base).strip() for one in mine),
        ]
        net = tuple((one["account"], one["debit_minor"] - one["credit_minor"]) for one in mine)
        yield tuple(head[name] for name in KEY), (tuple(shown), net)


def _document(key: Sequence[str], before: Journal | None, after: Journal | None) -> dict[str, Any]:
    return dict(zip(KEY, key, strict=True)) | {"old": _shown(before), "new": _shown(after)}


def _shown(journal: Journal | None) -> list[str]:
    """A journal as lines of text; empty where there is none."""
    return list(journal[0]) if journal else []


def _accounts(before: Mapping[Document, Journal], after: Mapping[Document, Journal]) -> list[dict[str, str]]:
    """The accounts whose net amount differs, by company and currency, with both amounts."""
    old, new = _net(before), _net(after)
    out = []
    for key in sorted({*old, *new}):
        if old[key] != new[key]:
            company, currency, account = key
            sides = {name: money.text_of(net[key], currency) for name, net in (("old", old), ("new", new))}
            out.append({"company": company, "currency": currency, "account": account, **sides})
    return out


def _net(made: Mapping[Document, Journal]) -> Counter[tuple[str, str, str]]:
    net: Counter[tuple[str, str, str]] = Counter()
    for (company, _, _, currency, _), (_, lines) in made.items():
        for account, minor in lines:
            net[company, currency, account] += minor
    return net
