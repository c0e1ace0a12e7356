"""One landed file to journals, in memory: clean, judge, map, balance, render; nothing is written here."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd

from etl import clean, formats, journal, mapping, model, render, reversal, versions
from etl.errors import PermanentError
from etl.pipeline import blocks, corrections
from validations import rules, schemas

# Invoice keys in, model.INVOICE_COLUMNS of the accepted report versions that claim them out.
Claims = Callable[[Sequence[str]], pd.DataFrame]
# Report ids in, their decided versions out (versions.KNOWN_COLUMNS).
Known = Callable[[Sequence[str]], pd.DataFrame]


@dataclass(frozen=True)
class Before:
    """What was decided and booked before a file, which is the `seq`-th to land.

    known: what was decided of some reports. claims: who claims an invoice. journals: all journals of some reports.
    content: what was sealed for them. rounded: ROUNDED_COLUMNS of every journal with rounding. waived: company, report,
    version and code of exceptions that two persons agreed to; discarded: report versions that they gave up.
    """

    seq: int
    known: Known
    claims: Claims
    journals: versions.Journals
    content: corrections.Content
    rounded: Callable[[], pd.DataFrame]
    waived: frozenset[tuple[str, ...]] = frozenset()
    discarded: frozenset[tuple[str, ...]] = frozenset()


@dataclass(frozen=True)
class Sealed:
    """A batch ready to be frozen: its journals and the target's bytes."""

    batch: journal.Batch
    headers: pd.DataFrame
    lines: pd.DataFrame
    lineage: pd.DataFrame
    reports: pd.DataFrame
    payload: bytes


@dataclass(frozen=True)
class Booking:
    """What one landed file comes to: outcomes (versions.OUTCOME_COLUMNS), rejects, batches, and its profile.

    voided: keys of journals that the ERP refused and that a version here takes the place of. known: model.REPORT_KEY of
    the decided versions of its reports, which it rests on.
    """

    outcomes: pd.DataFrame
    rejects: pd.DataFrame
    sealed: tuple[Sealed, ...]
    reports: pd.DataFrame
    profile: pd.DataFrame
    invoices: pd.DataFrame
    normalised: Mapping[str, int]
    voided: tuple[str, ...] = ()
    known: pd.DataFrame = field(default_factory=lambda: nothing_known()[model.REPORT_KEY])


def read(bundle: mapping.Bundle, content: bytes, name: str) -> formats.RawFile:
    """The raw frame of a landed file; raises FileRejected."""
    return formats.read(formats.unpack(content, name), name, bundle.source["format"])


def name_parts(bundle: mapping.Bundle, name: str) -> dict[str, str]:
    """The named groups of the feed's file pattern in a file name (`period` of purchase_cards_2014-05.csv)."""
    found = re.fullmatch(bundle.feed["source"]["files"], name)
    return found.groupdict() if found else {}


def book(bundle: mapping.Bundle, raw: formats.RawFile, name: str, before: Before, tables: Path) -> Booking:
    """Everything that a file's lines become after what was booked before.

    Raises PermanentError CONSERVATION when landed and outcomes differ: a defect, nothing is written.
    """
    booked, journals = _judge(bundle, raw, name, before, tables)  # the lines themselves are gone when batches are made
    return replace(booked, sealed=_seal(bundle, journals))


def _judge(
    bundle: mapping.Bundle, raw: formats.RawFile, name: str, before: Before, tables: Path
) -> tuple[Booking, journal.Journals]:  # fmt: skip
    """What a file comes to but for its batches, and the journals that go into these."""
    schemas.prove(raw.frame, schemas.raw([str(column) for column in raw.frame.columns if column != "source_row"]))
    cleaned = clean.clean(raw, bundle.source, name_parts(bundle, name))
    lines = cleaned.lines
    found = _with_versions_of(lines, cleaned.rejects)
    seen, version_of = _versions(lines)
    withdrawn = bundle.feed["checks"].get("withdrawn", ())
    known = before.known(seen["report_id"].unique().tolist())
    verdict = versions.classify(seen, known, before.journals, withdrawn, before.seq)
    heading = np.array(verdict.outcomes, dtype=object)
    gone = lines.loc[(heading == model.WITHDRAWN)[version_of]].reset_index(drop=True)
    closed = np.isin(heading, _SETTLED) | seen["state"].isin(list(withdrawn)).to_numpy(dtype=bool)
    judged = lines.loc[~closed[version_of]].reset_index(drop=True) if closed.any() else lines
    replaced, left = corrections.possible(bundle, verdict.replaced)
    withdrawals, undated = corrections.withdrawal_dates(bundle, gone, found, replaced)
    undated = pd.concat([left, undated], ignore_index=True)
    bad = np.isin(judged["source_row"].to_numpy(), found["source_row"].to_numpy())
    claims = _claims(before, gone.loc[~rules.quarantined(gone, undated)])
    policy = _not_waived(rules.check(judged, bundle.feed, bundle.rules, tables, bad, claims), before.waived)
    rejects = pd.concat([_of_judged(found, judged), verdict.rejects, undated, policy], ignore_index=True)
    rejects = _causes(bundle, rejects)
    good = ~rules.quarantined(judged, rejects)
    journals, late = blocks.journals(bundle, judged, good, replaced, withdrawals, before.content, before.rounded)
    rejects = pd.concat([rejects, late], ignore_index=True)
    held = rules.quarantined(seen, rejects)
    final = _final(verdict.outcomes, held, _among(seen, before.discarded))
    totals = versions.outcome_frame(lines, version_of, seen, final)
    _check_conservation(lines, totals)
    profile = rules.profile(lines, rejects)
    invoices = rules.invoices(judged.loc[~rules.quarantined(judged, rejects)], bundle.feed)
    voided = corrections.voided(replaced, seen.loc[held])
    known = known.loc[known["outcome"] != model.DUPLICATE, model.REPORT_KEY]
    facts = (profile, invoices, cleaned.normalised, voided, known)
    return Booking(totals, rejects, (), journals.reports, *facts), journals


_SETTLED: Final = (model.DUPLICATE, model.SUPERSEDED, model.WITHDRAWN)


def _versions(lines: pd.DataFrame) -> tuple[pd.DataFrame, versions.Ints]:
    return versions.report_versions(lines, *clean.both_hashes(lines))


def _final(heading: Sequence[str], held: np.ndarray, discarded: np.ndarray) -> list[str]:
    """The outcome of each version, now that its content is judged too; one that was given up counts as superseded."""
    settled = (model.DUPLICATE, model.SUPERSEDED)
    kept = [model.SUPERSEDED if gone else model.QUARANTINED for gone in discarded.tolist()]
    return [
        one if one in settled or not bad else other
        for one, bad, other in zip(heading, held.tolist(), kept, strict=True)
    ]


def _not_waived(rejects: pd.DataFrame, waived: frozenset[tuple[str, ...]]) -> pd.DataFrame:
    """Rejects without those that two persons agreed to let pass (report version and code)."""
    return rejects.loc[~_among(rejects, waived, "code")].reset_index(drop=True)


def _among(rows: pd.DataFrame, keys: frozenset[tuple[str, ...]], *more: str) -> np.ndarray:
    if not keys:
        return np.zeros(len(rows), dtype=bool)
    named = rows[[*model.REPORT_KEY, *more]].itertuples(index=False, name=None)
    return np.fromiter((key in keys for key in named), dtype=bool, count=len(rows))


def duplicate(bundle: mapping.Bundle, raw: formats.RawFile, name: str) -> Booking:
    """A file whose content was landed before under other bytes: every report is a duplicate, nothing is judged."""
    lines = clean.clean(raw, bundle.source, name_parts(bundle, name)).lines
    seen, version_of = _versions(lines)
    outcomes = versions.outcome_frame(lines, version_of, seen, [model.DUPLICATE] * len(seen))
    none = rules.rejects_frame([])
    links = pd.DataFrame({c: model.texts([]) for c in model.JOURNAL_REPORT_COLUMNS}).astype({"report_no": "int64"})
    invoices = rules.invoices(lines.iloc[:0], bundle.feed)
    return Booking(outcomes, none, (), links, rules.profile(lines, none), invoices, {})


def decided(booked: Booking, seq: int) -> pd.DataFrame:
    """What a file decided as the store would know it for the next file (versions.KNOWN_COLUMNS)."""
    rows = booked.outcomes[booked.outcomes["outcome"].isin([model.ACCEPTED, model.WITHDRAWN, model.DUPLICATE])]
    return rows.assign(seq=np.full(len(rows), seq, dtype=np.int64))[versions.KNOWN_COLUMNS]


def made(booked: Booking, state: str) -> pd.DataFrame:
    """The journals of a file as the store would give them, all in one state (versions.JOURNAL_COLUMNS)."""
    frames = [one.headers.assign(batch_id=one.batch.batch_id) for one in booked.sealed]
    whole = (
        pd.concat(frames, ignore_index=True) if frames else nothing_booked().drop(columns=["state", *versions.CLAIM])
    )
    whole = whole.assign(state=model.texts([state] * len(whole)))
    return versions.claimed(whole, booked.reports[_LINK])[versions.JOURNAL_COLUMNS]


def rounding(booked: Booking) -> pd.DataFrame:
    """The journals of a file with rounding (ROUNDED_COLUMNS)."""
    frames = [one.headers.loc[one.headers["rounding_minor"] != 0, blocks.ROUNDED_COLUMNS] for one in booked.sealed]
    return pd.concat([nothing_booked()[blocks.ROUNDED_COLUMNS], *frames], ignore_index=True)


_LINK: Final = ["company", "report_id", "journal_key"]


def nothing_booked() -> pd.DataFrame:
    """No journals at all (versions.JOURNAL_COLUMNS)."""
    whole = ("lines", "debit_minor", "base_debit_minor", "rounding_minor")
    frame = pd.DataFrame({name: model.texts([]) for name in versions.JOURNAL_COLUMNS})
    return frame.astype(dict.fromkeys(whole, "int64"))


def first() -> Before:
    """Nothing was decided or booked before: the first file."""
    unclaimed = pd.DataFrame({name: model.texts([]) for name in model.INVOICE_COLUMNS})
    none = reversal.Content(pd.DataFrame(), pd.DataFrame(), pd.DataFrame())
    return Before(
        1, lambda _: nothing_known(), lambda _: unclaimed, lambda _: nothing_booked(), lambda _: none, nothing_booked
    )


def nothing_known() -> pd.DataFrame:
    """No versions at all (versions.KNOWN_COLUMNS)."""
    return pd.DataFrame({name: model.texts([]) for name in versions.KNOWN_COLUMNS}).astype({"seq": "int64"})


# --- corrections


def _claims(before: Before, gone: pd.DataFrame) -> Claims:
    """The claims of the report versions that count, without those that this file withdraws."""
    free = set(gone[versions.REPORT].itertuples(index=False, name=None))

    def claims(keys: Sequence[str]) -> pd.DataFrame:
        found = before.claims(keys)
        known = before.known(found["report_id"].unique().tolist())
        now = set(versions.current(known)[model.REPORT_KEY].itertuples(index=False, name=None))
        rows = found[model.REPORT_KEY].itertuples(index=False, name=None)
        return found.loc[[row in now and row[:2] not in free for row in rows]]

    return claims


def _with_versions_of(lines: pd.DataFrame, rejects: pd.DataFrame) -> pd.DataFrame:
    """Rejects with the version that their line got."""
    if rejects.empty:
        return rejects
    by_row = lines.drop_duplicates("source_row").set_index("source_row")["report_version"]
    rows = rejects["source_row"].map(by_row)
    return rejects.assign(report_version=model.texts(rows.fillna(rejects["report_version"]).tolist()))


def _of_judged(rejects: pd.DataFrame, judged: pd.DataFrame) -> pd.DataFrame:
    """Rejects of reports that are still judged; a duplicate or superseded version needs no reason."""
    return rejects.loc[rules.quarantined(rejects, judged.assign(outcome=""))]


def _causes(bundle: mapping.Bundle, rejects: pd.DataFrame) -> pd.DataFrame:
    """Rejects without those that follow from another: who is not approved has neither approver nor day of approval."""
    named = [(field, bundle.source["fields"].get(field, {})) for field in ("approved_at", "approver_id")]
    names = {name for field, entry in named for name in (field, *clean.columns(entry))}
    follows = (rejects["code"] == "MISSING") & rejects["field"].isin(list(names))
    return rejects.loc[~(follows & rules.quarantined(rejects, rejects[rejects["code"] == "STATUS"]))]


def _seal(bundle: mapping.Bundle, journals: journal.Journals) -> tuple[Sealed, ...]:
    schemas.prove(journals.headers, schemas.JOURNAL)
    schemas.prove(journals.lines, schemas.JOURNAL_LINES)
    sealed, batches = [], list(journal.batches(bundle, journals.headers))
    for batch, part in zip(batches, blocks.in_batches(journals, [batch.rows for batch in batches]), strict=True):
        payload = render.render(bundle.targets[batch.target], bundle, batch, part.headers, part.lines)
        sealed.append(Sealed(batch, part.headers, part.lines, part.lineage, part.reports, payload))
    return tuple(sealed)


def _check_conservation(lines: pd.DataFrame, totals: pd.DataFrame) -> None:
    """Landed, counted from the lines themselves, is the sum of the outcomes (I03)."""
    codes, names = model.distinct(lines["document_currency"])
    gross = model.sum_by(lines["gross_minor"].to_numpy(dtype=np.int64), codes, len(names))
    reports = len(lines[model.REPORT_KEY].drop_duplicates())
    landed = model.ControlTotals(reports, len(lines), dict(zip(names, gross.tolist(), strict=True)))
    faults = rules.conservation(landed, *(versions.totals(totals, outcome) for outcome in model.OUTCOMES))
    if faults:
        raise PermanentError("CONSERVATION", detail="; ".join(faults))
