"""`claimpost run --dry-run`: what files would become, rendered and laid out, with nothing landed, recorded or sent."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import pandas as pd

from etl import model, render, sources, transport, versions
from etl.errors import ConfigurationError, FileRejected
from etl.pipeline import booking, decide
from etl.pipeline.build import batch_totals
from etl.pipeline.context import Context
from etl.pipeline.extract import nothing_taken
from etl.pipeline.summary import shown
from validations.rules.checks import WARN

REFUSED_MAX: Final = 1000


def preview(context: Context, out: Path, input: Path | None = None) -> dict[str, Any]:
    """Judge, map and render every complete file of the source, or of `input`; the bytes for the ERP go under `out`.

    The store is read (what is posted already is a duplicate here too), never written; the source keeps its files.
    Raises ConfigurationError NO_INPUT when there is no file.
    """
    past = decide.past_of(context)
    found, names, rejected = [], [], []
    for name, content in _files(context, input):
        names.append(name)
        try:
            found.append((name, decide.decide(context, content, name, past, out / decide.GATE_DOCS / name)))
        except FileRejected as error:
            rejected.append({"file": name, "code": error.code, "reason": str(error)})
            continue
        past = decide.with_file(past, found[-1][1])
    if not names:
        raise _no_input(context, input)
    held = [{"file": name, "code": "VOLUME", "held": one.unusual} for name, one in found if one.state == decide.HELD]
    booked = [one.booked for _, one in found if one.state != decide.HELD]
    batches = [_lay_out(context, out, sealed) for one in booked for sealed in one.sealed]
    outcomes = {name: model.total(versions.totals(one.outcomes, name) for one in booked) for name in model.OUTCOMES}
    return {
        "feed": context.feed_id, "dry_run": True, "files": names,
        "landed": shown(model.total(outcomes.values())), **{name: shown(totals) for name, totals in outcomes.items()},
        "reasons": _reasons(booked), **_refused(booked), "files_rejected": rejected, "files_held": held,
        "journals": sum(one["journals"] for one in batches), "batches": batches,
    }  # fmt: skip


def _files(context: Context, input: Path | None) -> Iterator[tuple[str, bytes]]:
    """Name and content of each file, which stays where it lies."""
    source: Mapping[str, Any] = context.bundle.feed["source"]
    if input is not None:
        found, _ = sources.find_input(input, source["files"]) if input.exists() else ([], [])
        yield from ((info.name, session.read(info.name)) for session, info in found)
        return
    with transport.folder(context.connection(source), source.get("path", "")) as session:
        seen = sources.look(session, source["files"], source["complete"], int(source.get("settle_seconds", "60")))
        yield from ((info.name, session.read(info.name)) for info in seen.ready)


def _no_input(context: Context, input: Path | None) -> ConfigurationError:
    pattern = context.bundle.feed["source"]["files"]
    if input is not None:
        return ConfigurationError("NO_INPUT", file=input, value=context.feed_id, pattern=pattern)
    return ConfigurationError("NO_INPUT", file="The source", value=context.feed_id, pattern=nothing_taken(context))


def _lay_out(context: Context, out: Path, sealed: booking.Sealed) -> dict[str, Any]:
    """Write a batch's bytes under the name the target would get."""
    batch = sealed.batch
    path = out / batch.target / render.file_name(context.profile(batch.target), batch.batch_id)
    if "{batch_id}" not in str(context.profile(batch.target).get("file", "")):
        path = path.with_name(f"{batch.batch_id}.csv")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(sealed.payload)
    return {
        "batch_id": batch.batch_id, "company": batch.company, "period": batch.period, "target": batch.target,
        "journals": len(sealed.headers), "lines": len(sealed.lines), "debit": batch_totals(sealed)["debit"],
        "file": str(path),
    }  # fmt: skip


def _rejects(booked: list[booking.Booking]) -> pd.DataFrame:
    """Every reason for which a report is quarantined or held."""
    rejects = pd.concat([one.rejects for one in booked] or [pd.DataFrame(columns=model.REJECT_COLUMNS)])
    return rejects[rejects["outcome"] != WARN]


def _reasons(booked: list[booking.Booking]) -> dict[str, int]:
    """Report versions per reason."""
    rejects = _rejects(booked).drop_duplicates([*model.REPORT_KEY, "code"])
    return {str(code): int(count) for code, count in rejects.groupby("code", dropna=False, sort=True).size().items()}


def _refused(booked: list[booking.Booking]) -> dict[str, Any]:
    """The first REFUSED_MAX reasons with the report, line and field of each, and how many there are."""
    rejects = _rejects(booked)
    first = rejects.sort_values([*model.REPORT_KEY, "line_no", "code"], kind="stable").head(REFUSED_MAX)
    names = ["company", "report_id", "report_version", "line_no", "source_row", "code", "field", "reason"]
    return {"refused": first[names].to_dict("records"), "refused_all": len(rejects)}
