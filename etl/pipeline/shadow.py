"""`claimpost shadow`: what we would post against what a legacy interface posted, and the sign-off."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd

from etl import clean, formats, mapping, model, report, shadow, transport
from etl.config import Document
from etl.errors import ConfigurationError, FileRejected
from etl.mode import SHADOW
from etl.pipeline import booking, decide, replay
from etl.pipeline.context import Context, now
from etl.pipeline.inquire import records
from validations.rules.checks import WARN

_HEADER: Final = ["journal_key", "journal_id", "report_id", "employee_id", "description"]
ROWS_MAX: Final = 2_000_000


def compare(context: Context, legacy: str, profile_name: str, period: str, out: Path | None = None) -> dict[str, Any]:
    """Compare the period's journals of all landed files, made by the mapping of now, with a legacy journal.

    In: `legacy`, a file, a database URL or a connection id; the profile's name; `period` (YYYY-MM). Out: the counts,
    the differences by code and one by one, and the report's files. What was compared is remembered for the sign-off.
    Raises ConfigurationError, FileRejected.
    """
    profile = mapping.legacy_profile(context.settings.mappings, profile_name)
    theirs, sha256 = _legacy(context, profile, legacy)
    made = list(_replayed(context))
    dimensions = [name for name in shadow.DIMENSIONS if name in profile["columns"]]
    columns = [*shadow.LINE_COLUMNS, *dimensions]
    ours = _all(columns, [_lines_of(profile, one) for one in made])
    found = shadow.compare(
        ours[columns], theirs[columns], period, dimensions, int(profile.get("rounding_minor", "1")),
        profile.get("accepted", ()), _known(profile, made),
    )  # fmt: skip
    facts = {
        "profile": profile_name, "legacy_sha256": sha256, "mapping_digest": context.bundle.digest,
        "landings_digest": _landings_digest(context),
    }  # fmt: skip
    counts = _counts(found) | {"outdated": _outdated(context, made, period)}
    context.store.save_comparison(context.feed_id, period, facts, counts)
    result = {"feed": context.feed_id, "period": period, "legacy": Path(legacy).name, **facts, **counts}
    files = report.write_shadow(found, result, out or _folder(context, period), now())
    rows = records(report.priced(found.differences))
    return {**result, "differences": rows, "report_files": [str(path) for path in files]}


def sign_off(context: Context, period: str, by: str, reason: str) -> dict[str, Any]:
    """Let a feed in shadow deliver: what is sealed from now on, and what is sealed for later periods.

    Raises ConfigurationError SIGN_OFF when the period was not compared, differences are open, the mapping or the
    landed files have changed since, or sealed journals of later periods are not what the mapping of now makes.
    """
    found = context.store.comparison(context.feed_id, period)
    problem = _problem(context, found)
    if problem:
        raise ConfigurationError("SIGN_OFF", value=context.feed_id, period=period, detail=problem)
    facts = {name: found[name] for name in ("profile", "mapping_digest", "legacy_sha256")}
    facts |= {"period": period, "signed_by": by, "reason": reason}
    context.store.save_sign_off(context.feed_id, facts, found["counts"])
    return {"feed": context.feed_id, **context.store.sign_off(context.feed_id)}


def _problem(context: Context, found: Mapping[str, Any]) -> str:
    """Why a feed cannot be signed off by its newest comparison; "" when it can."""
    signed = context.store.sign_off(context.feed_id)
    if context.bundle.feed.get("mode") != SHADOW:
        return "it is not in shadow (`mode: shadow`)"
    if signed:
        return f"{signed['signed_by']} signed it off for {signed['period']} on {signed['at'][:10]}"
    if not found:
        return "nothing was compared yet"
    counts = found["counts"]
    if found["mapping_digest"] != context.bundle.digest:
        return "the mapping has changed since the comparison"
    if found["landings_digest"] != _landings_digest(context):
        return "files have landed or were built since the comparison"
    if not counts["documents"]:
        return "the comparison holds no document"
    if counts["open"]:
        return f"{counts['open']} differences are neither corrected nor accepted with a reason"
    if counts["outdated"]:
        return f"{counts['outdated']} sealed journals of later periods were made by an earlier mapping"
    return ""


# --- ours: the landed files, by the mapping of now


@dataclass(frozen=True)
class _Made:
    """What one landed file comes to: its booking, its journals, and source_row, invoice_no of its expense lines."""

    booked: booking.Booking
    headers: pd.DataFrame
    lines: pd.DataFrame
    lineage: pd.DataFrame
    invoices: pd.DataFrame


def _replayed(context: Context) -> Iterator[_Made]:
    """Every built landing judged, mapped and rendered again, in order, as a dry run would."""
    for one in replay.replayed(context, context.settings.mappings, context.bundle):
        names = booking.name_parts(one.bundle, one.landing.name)
        invoices = clean.clean(one.raw, one.bundle.source, names).lines[["source_row", "invoice_no"]]
        sealed = one.booked.sealed
        yield _Made(
            one.booked, _all(model.JOURNAL_COLUMNS, [one.headers for one in sealed]),
            _all(model.JOURNAL_LINE_COLUMNS, [one.lines for one in sealed]),
            _all(model.LINEAGE_COLUMNS, [one.lineage for one in sealed]), invoices.drop_duplicates("source_row"),
        )  # fmt: skip


def _all(columns: list[str], frames: list[pd.DataFrame]) -> pd.DataFrame:
    """The frames as one; without any, an empty one of these columns."""
    whole = ("lines", "line_no", "source_row", "expense_line_no", "allocation_no", "row")
    kinds = {name: "int64" if name in whole or name.endswith("_minor") else "str" for name in columns}
    empty = pd.DataFrame({name: model.texts([]) for name in columns}).astype(kinds)
    return pd.concat(frames or [empty], ignore_index=True)


def _lines_of(profile: Document, made: _Made) -> pd.DataFrame:
    """Our journal lines as etl.shadow compares them; a line of no amount in that currency is none."""
    base = "base_" if profile.get("compare_in") == "base" else ""
    headers = made.headers[[*_HEADER, "company", "posting_date", "period"]].assign(
        currency=made.headers[f"{base}currency"]
    )
    frame = made.lines.merge(headers, on="journal_key", validate="m:1")
    frame = frame.assign(net_minor=frame[f"{base}debit_minor"] - frame[f"{base}credit_minor"], row=0)
    frame = frame.loc[frame["net_minor"] != 0]
    if profile["reference"] == "invoice_no":
        return _by_invoice(frame, made)
    return frame.assign(document=frame[profile["reference"]])


def _by_invoice(frame: pd.DataFrame, made: _Made) -> pd.DataFrame:
    """Each line in the parts that its expense lines gave it, under their invoice numbers; the rest under none."""
    at = ["journal_key", "line_no"]
    parts = made.lineage.merge(made.invoices, on="source_row", validate="m:1")
    parts = parts.groupby([*at, "invoice_no"], dropna=False)["amount_minor"].sum().reset_index()
    split = frame.merge(parts, on=at, validate="1:m")
    split = split.assign(document=split["invoice_no"], net_minor=split["amount_minor"])
    has = frame.merge(parts[at].drop_duplicates().assign(has=1), how="left", on=at, validate="1:1")["has"].notna()
    rest = frame.loc[~has.to_numpy(dtype=bool)]
    return pd.concat([split, rest.assign(document=model.texts([""] * len(rest)).set_axis(rest.index))])


# --- theirs, and what else is known


def _legacy(context: Context, profile: Document, legacy: str) -> tuple[pd.DataFrame, str]:
    """The legacy journal as etl.shadow compares it, and the sha256 of what it was read from."""
    if "format" in profile:
        path = Path(legacy)
        if not path.is_file():
            raise ConfigurationError("NO_INPUT", file=legacy, value=context.feed_id, pattern="a legacy journal")
        content = path.read_bytes()
        raw = formats.read_delimited(formats.unpack(content, path.name), path.name, profile["format"]).frame
        return shadow.read(profile, raw, path.name), hashlib.sha256(content).hexdigest()
    url = legacy if "://" in legacy else transport.connection(legacy, "", context.home)
    engine = transport.engine(url)
    try:
        raw = transport.read_texts(engine, profile["table"], shadow.columns(profile), ROWS_MAX)
    finally:
        engine.dispose()
    if len(raw) > ROWS_MAX:
        raise FileRejected("SIZE", file=profile["table"], found=f"more than {ROWS_MAX} rows", limit=ROWS_MAX)
    content = raw.to_csv(index=False, lineterminator="\n").encode()
    rows = np.arange(1, len(raw) + 1, dtype=np.int64)
    return shadow.read(profile, raw.assign(source_row=rows), profile["table"]), hashlib.sha256(content).hexdigest()


def _known(profile: Document, made: Sequence[_Made]) -> dict[str, str]:
    """What became of the reports that have no journal here, as a sentence for each."""
    if profile["reference"] != "report_id":
        return {}
    reports: dict[str, set[str]] = {}
    for one in made:
        rejects = one.booked.rejects[["report_id", "code", "outcome"]]
        for report_id, code, outcome in rejects.itertuples(index=False, name=None):
            if outcome != WARN:
                reports.setdefault(str(report_id), set()).add(str(code))
    return {name: f"We hold it in quarantine: {', '.join(sorted(codes))}." for name, codes in reports.items()}


def _counts(found: shadow.Comparison) -> dict[str, Any]:
    codes = found.differences["code"].value_counts(sort=False)
    cells = found.cells
    return {
        "documents": len(cells[["company", "document"]].drop_duplicates()), "cells": len(cells),
        "matched": int((cells["result"] == shadow.MATCHED).sum()), "differences": len(found.differences),
        "open": found.open, "accepted": len(found.differences) - found.open,
        "by_code": {code: int(codes[code]) for code in shadow.CODES if code in codes},
    }  # fmt: skip


def _outdated(context: Context, made: Sequence[_Made], period: str) -> int:
    """Sealed journals of later periods that the mapping of now would make otherwise: a sign-off would deliver them."""
    sealed = [b for b in context.store.batches(context.feed_id, ("sealed",)) if b.period > period]
    members = context.store.members(feed_id=context.feed_id)
    keys = members.loc[members["batch_id"].isin([b.batch_id for b in sealed]), "journal_key"]
    headers = _all(model.JOURNAL_COLUMNS, [one.headers for one in made])
    now_made = dict(zip(headers["journal_key"], headers["content_hash"], strict=True))
    journals = context.store.journals(context.feed_id)
    journals = journals.loc[journals["journal_key"].isin(keys), ["journal_key", "content_hash"]]
    return sum(now_made.get(key) != content for key, content in journals.itertuples(index=False, name=None))


def _landings_digest(context: Context) -> str:
    """One digest over the built landings: which files our side comes from."""
    return model.digest(*(one.sha256 for one in context.store.landings(context.feed_id, (decide.BUILT,))))


def _folder(context: Context, period: str) -> Path:
    return context.home / "reports" / context.feed_id / f"shadow_{period}"
