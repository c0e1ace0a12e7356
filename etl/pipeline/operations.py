"""What people decide, each with actor and reason: release, discard, redeliver, reverse; and who agreed.

A request records what its maker was shown. Another person approves it within a day, while it is still true; then it
takes effect. Nothing is deleted: what was decided stands in the audit chain.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any, Final

import numpy as np
import pandas as pd

from etl import erp, model, money, transport, versions
from etl.errors import CATALOGUE, ConfigurationError, PermanentError
from etl.pipeline import decide, decisions, rebatch
from etl.pipeline.build import build_landing, judge_again
from etl.pipeline.context import Context
from etl.pipeline.deliver import load
from etl.store import Request

WAIVABLE: Final = ("APPROVAL", "INVOICE_REPEATED", "POLICY", "SOD")  # a person may let these pass; data must be mended
Facts = dict[str, Any]


def causes(context: Context) -> list[Facts]:
    """Every open cause of the feed, the one that blocks most first: code, field, value, reports, gross, next_step."""
    rejects = context.store.rejects(context.feed_id)
    open_ones = rejects[rejects["outcome"] != "warn"]
    outcomes = context.store.outcomes(context.feed_id)
    gross = outcomes[outcomes["outcome"] == model.QUARANTINED].set_index(model.REPORT_KEY)
    found = []
    for (code, field, value), rows in open_ones.groupby(["code", "field", "value"], dropna=False, sort=True):
        reports = rows.drop_duplicates(model.REPORT_KEY)
        blocked = gross.loc[gross.index.isin(pd.MultiIndex.from_frame(reports[model.REPORT_KEY]))]
        entry = CATALOGUE[str(code)]
        found.append({
            "code": code, "field": field, "value": value, "reports": len(reports), "gross": _gross(blocked),
            "examples": reports["report_id"].head(3).tolist(), "owner": entry.owner, "next_step": entry.next_step,
        })  # fmt: skip
    return sorted(found, key=lambda one: (-one["reports"], one["code"], one["value"]))


def _gross(rows: pd.DataFrame) -> dict[str, str]:
    sums = rows.groupby("document_currency", dropna=False, sort=True)["gross_minor"].sum()
    return {str(code): money.text_of(int(minor), str(code)) for code, minor in sums.items() if code in money.EXPONENT}


# --- requests


def ask(context: Context, action: str, subject: str, by: str, reason: str) -> Facts:
    """Request an action on a report (release, discard, reverse), a held file (release) or a batch (redeliver).

    Out: the request. Raises ConfigurationError NOT_FOUND when there is nothing under that name, PermanentError
    NOT_DECIDABLE when it cannot be decided by people.
    """
    facts = FACTS[action](context, subject)
    return dataclasses.asdict(context.store.ask(action, context.feed_id, subject, facts, by, reason))


def approve(context: Context, number: int, by: str, reason: str) -> Facts:
    """Approve a request and let it take effect; approved again, it only takes effect where it has not yet.

    Raises PermanentError FOUR_EYES, REQUEST_STALE or NOT_DECIDABLE, ConfigurationError NOT_FOUND.
    """
    request = context.store.request(number)
    facts = request.facts if request.approved_by else FACTS[request.action](context, request.subject)
    approved = context.store.approve(number, facts, by, reason)
    EFFECTS[approved.action](context, approved)
    return dataclasses.asdict(approved)


def release_journal(context: Context, journal_key: str, by: str, reason: str) -> Facts:
    """Give a journal that the ERP refused, and whose cause is mended there, a new batch; out: journal_key, batch_id.

    Raises ConfigurationError NOT_FOUND when it is not refused, or lives in another batch.
    """
    return {"journal_key": journal_key, "batch_id": rebatch.release(context, journal_key, by, reason)}


def _release_facts(context: Context, subject: str) -> Facts:
    """Of a report: the exceptions that would pass. Of a held file: its sha256."""
    held = [one for one in context.store.landings(context.feed_id, ("held",)) if subject in (one.name, one.sha256)]
    if held:
        return {"file": held[-1].sha256, "name": held[-1].name, "held": held[-1].totals.get("held", [])}
    rows, facts = _waiting(context, subject)
    wrong = sorted(set(rows["code"]) - set(WAIVABLE))
    if wrong:
        detail = f"{wrong[0]} needs a mend, no approval: {CATALOGUE[wrong[0]].next_step}"
        raise PermanentError("NOT_DECIDABLE", field="report", value=subject, detail=detail)
    waived = rows[[*model.REPORT_KEY, "code"]].drop_duplicates().itertuples(index=False, name=None)
    return {**facts, "waived": sorted(map(list, waived))}


def _discard_facts(context: Context, subject: str) -> Facts:
    rows, facts = _waiting(context, subject)
    codes = sorted(set(rows["code"]))
    return {**facts, "codes": codes, "versions": sorted(map(list, set(_rows(rows, model.REPORT_KEY))))}


def _waiting(context: Context, report_id: str) -> tuple[pd.DataFrame, Facts]:
    """The open rejects of a report, and what is at stake."""
    rows = context.store.rejects(context.feed_id, report_id=report_id)
    rows = rows[rows["outcome"] != "warn"]
    if rows.empty:
        raise ConfigurationError("NOT_FOUND", field="waiting report", value=report_id)
    outcomes = context.store.outcomes(context.feed_id, report_id=report_id)
    mine = outcomes[outcomes["outcome"] == model.QUARANTINED]
    return rows, {"gross": _gross(mine), "content": sorted(set(mine["content_hash"]))}


def _redeliver_facts(context: Context, batch_id: str) -> Facts:
    """A published batch without an answer, of which the target shows no trace."""
    batch = context.store.batch(batch_id)
    answers = sorted(set(context.store.members(batch_id=batch_id)["state"]))
    if batch.state != "published" or not set(answers) <= {"sealed", "unknown"}:
        detail = f"it is {batch.state}, its journals are {', '.join(answers)}"
        raise PermanentError("NOT_DECIDABLE", field="batch", value=batch_id, detail=detail)
    profile, entry = context.profile(batch.target), context.target_entry(batch.target)
    if profile["kind"] == "table":
        engine = transport.engine(context.connection(entry))
        try:
            received = [row["batch_id"] for row in erp.manifest(engine, batch.target)]
        finally:
            engine.dispose()
        if batch_id in received:
            detail = "the target's manifest has it, so it was received"
            raise PermanentError("NOT_DECIDABLE", field="batch", value=batch_id, detail=detail)
    debit = dict(batch.totals.get("debit", {}))
    return {"sha256": batch.sha256, "journals": batch.journals, "debit": debit, "published_at": batch.published_at}


def _reverse_facts(context: Context, subject: str) -> Facts:
    """The newest version of a report that is booked, its gross, the journals that would be taken back, and the versions
    that wait: they are booked all the same, once they are mended."""
    known = _known(context, subject)
    rows = versions.told(known[known["outcome"].isin([model.ACCEPTED, model.WITHDRAWN, model.DUPLICATE])])
    booked = _booked(context, subject, rows)
    company, report_id = str(booked["company"].iat[0]), str(booked["report_id"].iat[0])
    journals = versions.standing(decide.journals_of(context, [report_id]))
    journals = journals[(journals["claim_company"] == company) & (journals["claim_report"] == report_id)]
    for key, state in _rows(journals[journals["standing"] == versions.UNSETTLED], ["journal_key", "state"]):
        raise _not_decidable(subject, f"journal {key} is {state}: ask again when the ERP has posted or refused it")
    posted = journals[journals["standing"] == versions.LIVE]
    if posted.empty:
        raise _not_decidable(subject, "the ERP has posted no journal of it, so there is nothing to take back")
    answers = context.store.members(keys=posted["journal_key"].tolist())
    answers = answers[answers["state"] == "posted"]
    document = dict(zip(answers["journal_key"], answers["erp_document"], strict=True))
    taken = [[key, day, document[key]] for key, day in _rows(posted, ["journal_key", "posting_date"])]
    newest = max(zip(versions.ranks(rows["report_version"]), rows["seq"], rows["report_version"], strict=True))[-1]
    waiting = sorted(set(known.loc[known["outcome"] == model.QUARANTINED, "report_version"]))
    facts = {"version": [company, report_id, newest], "gross": _gross(booked), "journals": sorted(taken)}
    return facts | {"waiting": waiting}


def _known(context: Context, subject: str) -> pd.DataFrame:
    """The outcomes of every version of a report, with `seq`; `subject` is ID or COMPANY/ID."""
    rows, company = context.store.outcomes(report_id=subject), ""
    if rows.empty and "/" in subject:
        company, _, report_id = subject.partition("/")
        rows = context.store.outcomes(report_id=report_id)
    rows = rows[rows["source_system"] == context.bundle.source_system]
    rows = rows[rows["company"] == company] if company else rows
    if rows.empty:
        raise ConfigurationError("NOT_FOUND", field="report", value=subject)
    seq = [context.store.landing(*where).seq for where in _rows(rows, ["feed_id", "landing_sha256"])]
    return rows.assign(seq=np.array(seq, dtype=np.int64))


def _booked(context: Context, subject: str, rows: pd.DataFrame) -> pd.DataFrame:
    """The outcomes of the accepted version of a report that counts, a row per currency."""
    now = versions.current(rows)
    if now.empty:
        raise _not_decidable(subject, "nothing of it was ever booked; while it waits, `claimpost discard` gives it up")
    if len(now) > 1:
        raise _not_decidable(subject, f"it is booked for {', '.join(now['company'])}: say COMPANY/{subject}")
    if now["outcome"].iat[0] == model.WITHDRAWN:
        raise _not_decidable(subject, "it is taken back already, or on its way: see `claimpost show report`")
    key = [*model.REPORT_KEY, "outcome"]
    mine = rows.merge(now[key], on=key, validate="m:1")
    if mine["feed_id"].iat[0] != context.feed_id:
        raise _not_decidable(subject, f"feed {mine['feed_id'].iat[0]} booked it: ask there")
    return mine


def _rows(frame: pd.DataFrame, columns: list[str]) -> list[tuple[str, ...]]:
    return list(frame[columns].itertuples(index=False, name=None))


def _not_decidable(subject: str, detail: str) -> PermanentError:
    return PermanentError("NOT_DECIDABLE", field="report", value=subject, detail=detail)


FACTS: Final[Mapping[str, Callable[[Context, str], Facts]]] = {
    "release": _release_facts, "discard": _discard_facts, "redeliver": _redeliver_facts, "reverse": _reverse_facts,
}  # fmt: skip


# --- what an approval does


def _judge(context: Context, request: Request) -> None:
    """Judge the report's landings again, now that the decision stands; a held file is judged by the next run."""
    if "file" in request.facts:
        return
    outcomes = context.store.outcomes(context.feed_id, report_id=request.subject)
    waiting = set(outcomes.loc[outcomes["outcome"] == model.QUARANTINED, "landing_sha256"])
    for landing in context.store.landings(context.feed_id, ("built",)):
        if landing.sha256 in waiting:
            judge_again(context, landing)


def _deliver(context: Context, request: Request) -> None:
    """Send the sealed bytes once more; a batch that an earlier call sent is left alone."""
    batch = context.store.batch(request.subject)
    if batch.published_at == request.facts["published_at"]:
        context.store.move_batch(request.subject, "published", "sealed", epoch=batch.epoch)
    load(context, request.subject)


def _take_back(context: Context, request: Request) -> None:
    """Land the decision and build it; the next run delivers the reversals."""
    decisions.land(context)
    for sha256, made in decisions.made(context).items():
        landing = context.store.landing(context.feed_id, sha256)
        if made.id == request.id and landing.state == "landed":
            build_landing(context, landing)


EFFECTS: Final[Mapping[str, Callable[[Context, Request], None]]] = {
    "release": _judge, "discard": _judge, "redeliver": _deliver, "reverse": _take_back,
}  # fmt: skip
