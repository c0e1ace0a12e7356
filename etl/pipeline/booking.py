"""One landed file to journals, in memory: clean, judge, map, balance, render; nothing is written here."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from etl import clean, formats, journal, mapping, model, render, versions
from etl.errors import PermanentError
from validations import rules, schemas

# Invoice keys in, model.INVOICE_COLUMNS of the accepted reports that claim them out.
Claims = Callable[[Sequence[str]], pd.DataFrame]


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
    """What one landed file comes to: outcomes (versions.OUTCOME_COLUMNS), rejects, batches, and its profile."""

    outcomes: pd.DataFrame
    rejects: pd.DataFrame
    sealed: tuple[Sealed, ...]
    reports: pd.DataFrame
    profile: pd.DataFrame
    invoices: pd.DataFrame
    normalised: Mapping[str, int]


def read(bundle: mapping.Bundle, content: bytes, name: str) -> formats.RawFile:
    """The raw frame of a landed file; raises FileRejected."""
    return formats.read(formats.unpack(content, name), name, bundle.source["format"])


def name_parts(bundle: mapping.Bundle, name: str) -> dict[str, str]:
    """The named groups of the feed's file pattern in a file name (`period` of purchase_cards_2014-05.csv)."""
    found = re.fullmatch(bundle.feed["source"]["files"], name)
    return found.groupdict() if found else {}


def book(
    bundle: mapping.Bundle, raw: formats.RawFile, name: str, known: pd.DataFrame, tables: Path, claims: Claims
) -> Booking:
    """Everything that a file's lines become. `known`: the accepted versions of earlier landings; `claims`: who of them
    claims an invoice.

    Raises PermanentError CONSERVATION when landed and outcomes differ: a defect, nothing is written.
    """
    schemas.prove(raw.frame, schemas.raw([str(column) for column in raw.frame.columns if column != "source_row"]))
    cleaned = clean.clean(raw, bundle.source, name_parts(bundle, name))
    lines = cleaned.lines
    hashes = clean.content_hashes(lines)
    found = _with_versions_of(lines, cleaned.rejects)
    seen, version_of = versions.report_versions(lines, hashes)
    outcomes, old = versions.classify(seen, known)
    settled = np.isin(np.array(outcomes, dtype=object), [model.DUPLICATE, model.SUPERSEDED])
    judged = lines.loc[~settled[version_of]].reset_index(drop=True)
    bad = np.isin(judged["source_row"].to_numpy(), found["source_row"].to_numpy())
    policy = rules.check(judged, bundle.feed, bundle.rules, tables, bad, claims)
    rejects = pd.concat([_of_judged(found, judged), old, policy], ignore_index=True)
    accepted = judged.loc[~rules.quarantined(judged, rejects)].reset_index(drop=True)
    schemas.prove(accepted, schemas.CLEAN)
    journals, late = _journals(bundle, accepted)
    rejects = pd.concat([rejects, late], ignore_index=True)
    held = rules.quarantined(seen, rejects)
    final = [o if o in (model.DUPLICATE, model.SUPERSEDED) else model.QUARANTINED if bad else model.ACCEPTED
             for o, bad in zip(outcomes, held.tolist(), strict=True)]  # fmt: skip
    totals = versions.outcome_frame(lines, version_of, seen, final)
    _check_conservation(lines, totals)
    profile = rules.profile(lines, rejects)
    invoices = rules.invoices(judged.loc[~rules.quarantined(judged, rejects)], bundle.feed)
    return Booking(totals, rejects, _seal(bundle, journals), journals.reports, profile, invoices, cleaned.normalised)


def duplicate(bundle: mapping.Bundle, raw: formats.RawFile, name: str) -> Booking:
    """A file whose content was landed before under other bytes: every report is a duplicate, nothing is judged."""
    lines = clean.clean(raw, bundle.source, name_parts(bundle, name)).lines
    hashes = clean.content_hashes(lines)
    seen, version_of = versions.report_versions(lines, hashes)
    outcomes = versions.outcome_frame(lines, version_of, seen, [model.DUPLICATE] * len(seen))
    none = rules.rejects_frame([])
    links = pd.DataFrame({c: model.texts([]) for c in model.JOURNAL_REPORT_COLUMNS}).astype({"report_no": "int64"})
    invoices = rules.invoices(lines.iloc[:0], bundle.feed)
    return Booking(outcomes, none, (), links, rules.profile(lines, none), invoices, {})


def accepted_versions(booked: Booking | None = None) -> pd.DataFrame:
    """The accepted versions of a file as the store would know them, for the next file; without one, none at all."""
    columns = [*model.REPORT_KEY, "document_currency", "content_hash"]
    if booked is None:
        return pd.DataFrame({name: model.texts([]) for name in [*columns, "journal_key"]})
    mine = booked.outcomes[booked.outcomes["outcome"] == model.ACCEPTED]
    return mine[columns].assign(journal_key=model.texts([""] * len(mine)).set_axis(mine.index))


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


def _journals(bundle: mapping.Bundle, accepted: pd.DataFrame) -> tuple[journal.Journals, pd.DataFrame]:
    """Journals of the accepted reports, and the rejects of those that cannot be mapped, balanced or rendered."""
    applied = mapping.apply(bundle, accepted)
    lines, parts = journal.only(applied.lines, applied.parts, ~rules.quarantined(applied.lines, applied.rejects))
    late = [applied.rejects]
    while True:
        made = journal.build(bundle, lines, parts)
        unfit = pd.concat([
            _of_reports(made, render.check(profile, bundle, *_of_target(bundle, made, target)[:2]))
            for target, profile in bundle.targets.items()
        ], ignore_index=True)  # fmt: skip
        late += [made.rejects, unfit]
        if unfit.empty:
            return made, pd.concat(late, ignore_index=True)
        lines, parts = journal.only(lines, parts, ~rules.quarantined(lines, pd.concat(late)))


def _of_reports(journals: journal.Journals, rejects: pd.DataFrame) -> pd.DataFrame:
    """Rejects of journals as rejects of the reports in them."""
    if rejects.empty:
        return rejects
    head = journals.headers
    main = head["belongs_to"].where(head["belongs_to"] != "", head["journal_key"])
    at = head[model.REPORT_KEY].assign(main=main)
    named = at.merge(journals.reports.rename(columns={"journal_key": "main"}), on="main", suffixes=("", "_of"))
    both = rejects.merge(named.drop_duplicates(), on=model.REPORT_KEY)
    for name in model.REPORT_KEY:
        both[name] = both[f"{name}_of"]
    return both[model.REJECT_COLUMNS].drop_duplicates(ignore_index=True)


def _restricted(journals: journal.Journals, headers: pd.DataFrame) -> journal.Journals:
    keys = set(headers["journal_key"])
    lines, lineage, reports = (
        frame.loc[frame["journal_key"].isin(keys)].reset_index(drop=True)
        for frame in (journals.lines, journals.lineage, journals.reports)
    )
    return journal.Journals(headers.reset_index(drop=True), lines, lineage, reports, journals.rejects)


def _of_target(bundle: mapping.Bundle, journals: journal.Journals, target: str) -> tuple[pd.DataFrame, pd.DataFrame]:
    companies = [c for c in bundle.feed["companies"] if bundle.target_of(c)["target"] == target]
    part = _restricted(journals, journals.headers.loc[journals.headers["company"].isin(companies)])
    return part.headers, part.lines


def _seal(bundle: mapping.Bundle, journals: journal.Journals) -> tuple[Sealed, ...]:
    schemas.prove(journals.headers, schemas.JOURNAL)
    schemas.prove(journals.lines, schemas.JOURNAL_LINES)
    sealed = []
    for batch in journal.batches(bundle, journals.headers):
        part = _restricted(journals, journals.headers.iloc[batch.rows])
        payload = render.render(bundle.targets[batch.target], bundle, batch, part.headers, part.lines)
        sealed.append(Sealed(batch, part.headers, part.lines, part.lineage, part.reports, payload))
    return tuple(sealed)


def _check_conservation(lines: pd.DataFrame, totals: pd.DataFrame) -> None:
    """Landed, counted from the lines themselves, is the sum of the four outcomes (I03)."""
    codes, names = model.distinct(lines["document_currency"])
    gross = model.sum_by(lines["gross_minor"].to_numpy(dtype=np.int64), codes, len(names))
    reports = len(lines[model.REPORT_KEY].drop_duplicates())
    landed = model.ControlTotals(reports, len(lines), dict(zip(names, gross.tolist(), strict=True)))
    faults = rules.conservation(landed, *(versions.totals(totals, outcome) for outcome in model.OUTCOMES))
    if faults:
        raise PermanentError("CONSERVATION", detail="; ".join(faults))
