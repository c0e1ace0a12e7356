"""What a run, or everything a feed ever did, comes to: the one object that `claimpost run --json` prints."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from etl import model, money
from etl.listing import batch_summary
from etl.mapping import suspense
from etl.model import ControlTotals
from etl.pipeline.context import Context
from etl.store import Batch, Landing

_RANK = {"rejected": 1, "void": 2}  # a journal that the ERP refused and got again: its other batch counts


def summary(context: Context, shas: Sequence[str]) -> dict[str, Any]:
    """What became of these landings: the object that `claimpost run --json` prints.

    A landing that an earlier run has built counts as landed and duplicate: its content came again.
    """
    receipts = [context.store.landing(context.feed_id, sha256) for sha256 in shas]
    fresh_shas = sorted({one.sha256 for one in receipts if _decided_now(context, one)})
    fresh, again = _first_time(receipts, fresh_shas)
    parts = context.store.control_totals(context.feed_id, fresh_shas) if fresh_shas else {}
    totals = {outcome: parts.get(outcome, ControlTotals()) for outcome in model.OUTCOMES}
    landed = model.total(one.control_totals for one in [*fresh, *again] if one.state in ("built", "duplicate"))
    totals[model.DUPLICATE] = model.total([totals[model.DUPLICATE], *(one.control_totals for one in again)])
    unique = list({one.sha256: one for one in receipts}.values())
    rejected = [one for one in unique if one.state == "rejected"]
    batches = [b for b in context.store.batches(context.feed_id) if b.run_id == context.run_id]
    difference = model.total(totals.values())
    out: dict[str, Any] = {"feed": context.feed_id, "run_id": context.run_id}
    out["landed"] = {"files": len(receipts), **shown(landed)}
    out |= {outcome: shown(totals[outcome]) for outcome in model.OUTCOMES}
    out["reasons"] = _reasons(context, fresh_shas)
    out["files_rejected"] = [_file(one) for one in rejected]
    out["files_held"] = [_file(one) for one in unique if one.state == "held"]
    out |= _sealed(batches)
    out["batches"] = [batch_summary(b) for b in batches]
    out["suspense"] = _suspense(batches)
    out |= _answers(context, batches)
    out["conservation"] = {"holds": _same(landed, difference), "landed": shown(landed), "outcomes": shown(difference)}
    out["nothing_new"] = not fresh and not rejected
    out["nothing_taken"] = ""  # why the source gave nothing: `run`, which looks there, says it
    return out


def feed_summary(context: Context) -> dict[str, Any]:
    """The same object over everything the feed ever landed."""
    landings = context.store.landings(context.feed_id)
    totals = context.store.control_totals(context.feed_id)
    landed = model.total(one.control_totals for one in landings if one.state in ("built", "duplicate"))
    batches = context.store.batches(context.feed_id)
    shas = [one.sha256 for one in landings if one.state == "built"]
    difference = model.total(totals.values())
    return {
        "feed": context.feed_id, "run_id": "",
        "landed": {"files": len(landings), **shown(landed)},
        **{outcome: shown(totals[outcome]) for outcome in model.OUTCOMES},
        "reasons": _reasons(context, shas),
        "files_rejected": [_file(one) for one in landings if one.state == "rejected"],
        "files_held": [_file(one) for one in landings if one.state == "held"],
        **_sealed(batches),
        "batches": [batch_summary(b) for b in batches], "suspense": _suspense(batches), **_answers(context, batches),
        "conservation": {"holds": _same(landed, difference), "landed": shown(landed), "outcomes": shown(difference)},
        "nothing_new": False,
    }  # fmt: skip


def refused(context: Context) -> list[dict[str, Any]]:
    """The files this run rejected or holds, each with code and reason."""
    open_files = context.store.landings(context.feed_id, ("rejected", "held"))
    return [_file(one) for one in open_files if one.totals.get("run_id") == context.run_id]


def _sealed(batches: Sequence[Batch]) -> dict[str, int]:
    """Journals and lines of these batches; what the ERP refused and got again in another batch counts once."""
    first = [batch for batch in batches if "again" not in batch.totals]
    return {"journals": sum(b.journals for b in first), "journal_lines": sum(b.lines for b in first)}


def _suspense(batches: Sequence[Batch]) -> list[dict[str, Any]]:
    """Journal lines and net amount on suspense accounts, per company, account and currency."""
    return suspense.shown(
        use for batch in batches if "again" not in batch.totals for use in batch.totals.get("suspense", [])
    )


def _decided_now(context: Context, landing: Landing) -> bool:
    return landing.totals.get("run_id") == context.run_id or landing.state in ("rejected", "held")


def _first_time(receipts: Sequence[Landing], fresh_shas: Sequence[str]) -> tuple[list[Landing], list[Landing]]:
    """Receipts whose content this run decided, and those of content that was there before (also within this run)."""
    fresh: dict[str, Landing] = {}
    again = []
    for one in receipts:
        if one.sha256 in fresh_shas and one.sha256 not in fresh:
            fresh[one.sha256] = one
        elif one.state in ("built", "duplicate"):
            again.append(one)
    return list(fresh.values()), again


def _same(one: ControlTotals, other: ControlTotals) -> bool:
    return shown(one) == shown(other)


def shown(totals: ControlTotals) -> dict[str, Any]:
    """Reports, lines and gross as `run --json` shows them: exact decimal text per currency."""
    known = {k: v for k, v in sorted(totals.gross.items()) if k in money.EXPONENT}
    gross = {currency: money.text_of(minor, currency) for currency, minor in known.items()}
    return {"reports": totals.reports, "lines": totals.lines, "gross": gross}


def _reasons(context: Context, shas: Sequence[str]) -> dict[str, int]:
    """Quarantined report versions per code; a report with several reasons counts under each."""
    if not shas:
        return {}
    rejects = context.store.rejects(context.feed_id, shas)
    rejects = rejects[rejects["outcome"] != "warn"]
    counts = rejects.drop_duplicates([*model.REPORT_KEY, "code"]).groupby("code", dropna=False, sort=True).size()
    return {str(code): int(count) for code, count in counts.items()}


def _file(landing: Landing) -> dict[str, Any]:
    facts = {name: landing.totals[name] for name in ("line", "reason", "held") if landing.totals.get(name)}
    return {"file": landing.name, "sha256": landing.sha256, "code": landing.reason, **facts}


def _answers(context: Context, batches: Sequence[Batch]) -> dict[str, int]:
    """Journals of these batches the ERP has posted, refused, and not answered."""
    ids = {b.batch_id for b in batches}
    if not ids:
        return {"posted": 0, "rejected": 0, "unknown": 0}
    whole = context.store.member_counts(context.feed_id)
    counts = Counter(whole[whole["batch_id"].isin(ids)].groupby("state", dropna=False)["journals"].sum().to_dict())
    moved = context.store.moved_members(context.feed_id)
    moved = moved[moved["batch_id"].isin(ids)]
    moved = moved.sort_values("state", key=lambda states: states.map(_RANK).fillna(0), kind="stable")
    counts.subtract(moved.loc[moved.duplicated("journal_key"), "state"].tolist())  # each journal counts once
    return {
        "posted": int(counts["posted"]), "rejected": int(counts["rejected"]),
        "unknown": int(counts["unknown"] + counts["sealed"]),
    }  # fmt: skip
