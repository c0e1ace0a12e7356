"""Step 5: source = journal = ERP, by landing receipts, our journals and what the ERP says; and the report."""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.parquet as pq

from etl import lists, model, money, refusals, report, transport
from etl.mode import kept_back
from etl.pipeline import ledger
from etl.pipeline.context import Context, now
from etl.pipeline.inquire import records
from etl.pipeline.summary import feed_summary
from etl.pipeline.verify import anchor
from etl.reconcile import (
    DECIDED_COLUMNS,
    OUTCOME_COLUMNS,
    Listed,
    Reconciliation,
    claims,
    explained,
    gaps,
    merged,
    shifts,
)
from etl.reconcile import reconcile as compare
from etl.store import Batch

HISTORY = 12


def reconcile(context: Context, period: str = "", out: Path | None = None) -> dict[str, Any]:
    """Compare and report.

    Out: {"feed", "period", "explained", "breaks", "by_code", "by_refusal", "counts", "shifts", "kept_back",
    "report_files"}; by_refusal counts the ERP's reasons in our codes, several of one journal each; shifts are the
    corrections whose reversal lies in another period than its journal.

    Batches whose journals all agree with the ERP become `reconciled`; those kept back in shadow are not compared, the
    legacy interface posts them. The report goes to `out`, by default to the home's reports/<feed>. The feed's summary
    with its conservation figures is kept under the run's id, and the head of the audit chain is anchored.
    """
    at, summary = now(), feed_summary(context)
    batches = context.store.batches(context.feed_id, period=period)
    kept = kept_back(context.bundle.feed, context.store, batches)
    batches = [batch for batch in batches if batch.batch_id not in kept]
    found = _compare(context, batches, period, at)
    earlier = [_as_history(one) for one in reversed(context.store.reconciliations(context.feed_id, limit=HISTORY))]
    moved = shifts(context.store.taken_back(context.feed_id), period)
    result = {**_result(context, found, period), "shifts": records(moved.assign(debit=_amounts(moved)))}
    folder = out or context.home / "reports" / context.feed_id
    history = [*earlier, {"at": at, **result["counts"]}]
    files = report.write(found, {**summary, "shifts": result["shifts"]}, history, folder, at)
    context.store.save_reconciliation(context.feed_id, period, result["counts"], result["by_code"])
    _settle(context, batches, found)
    context.store.save_run(context.run_id, context.feed_id, at, now(), summary, summary["conservation"])
    anchor(context.store, context.shelf)
    for path in files:
        context.shelf.publish(path)
    return {**result, "kept_back": kept, "report_files": [str(path) for path in files]}


def _compare(context: Context, batches: list[Batch], period: str, at: str) -> Reconciliation:
    """One period, or every period by itself and then what belongs to none, put together."""
    homes = context.store.homes(context.feed_id, period)
    scopes = [frozenset([period])] if period else ledger.scopes(homes)
    listed = _listed(context, period)
    outcomes = context.store.decided(context.feed_id, "" if listed else period)
    expected = _expected(context, outcomes)
    with tempfile.TemporaryDirectory(prefix=".ledger-", dir=context.home) as folder:
        shelves = ledger.Shelves(Path(folder), homes, scopes, period)
        shelves.fill(context)
        parts = []
        for number, scope in enumerate(scopes):
            part = _part(context, batches, scope, shelves.lines(context, number))
            mine = _booked(expected, part.journals)
            its = outcomes[outcomes["journal_key"].isin(part.journals["journal_key"])] if period else outcomes.iloc[:0]
            parts.append(_found(context, part, its, expected[mine], at, (), listed if period else None, outcomes))
            expected = expected[~mine]
        if not period:
            rest = _part(context, [], frozenset(), shelves.lines(context, len(scopes)))
            parts.append(_found(context, rest, outcomes, expected, at, _missing(context), listed, outcomes))
    return merged(parts) if len(parts) > 1 else parts[0]


@dataclass(frozen=True)
class _Part:
    """Our journals of some periods, with lines and batches, and what the ERP holds of them."""

    journals: pd.DataFrame
    lines: pd.DataFrame
    members: pd.DataFrame
    erp_lines: pd.DataFrame
    shadow: pd.Series


def _part(context: Context, batches: list[Batch], scope: ledger.Scope, erp_lines: pd.DataFrame) -> _Part:
    store, mine = context.store, [batch for batch in batches if batch.period in scope]
    first = [batch for batch in mine if "again" not in batch.totals]  # the others hold journals of these
    lines = [pq.read_table(context.batch_folder(b.folder) / "lines.parquet").to_pandas() for b in first]
    lines = [frame.astype({c: "str" for c in frame.columns if frame[c].dtype == object}) for frame in lines]
    empty = pd.DataFrame({c: model.texts([]) for c in model.JOURNAL_LINE_COLUMNS}).astype(_whole_numbers())
    none = ["-"] if not scope else []
    periods = sorted(scope) or [""]
    journals = pd.concat([store.journals(context.feed_id, p, none) for p in periods], ignore_index=True)
    members = pd.concat([store.members("", context.feed_id, p, none) for p in periods], ignore_index=True)
    shadow = members.loc[~members["batch_id"].isin([b.batch_id for b in mine]), "journal_key"]
    members = members[~members["journal_key"].isin(shadow)]
    members = members.assign(refusal=refusals.named(members, context.bundle.codes).set_axis(members.index))
    return _Part(
        journals[model.JOURNAL_COLUMNS], pd.concat(lines or [empty], ignore_index=True), members, erp_lines, shadow
    )


def _booked(expected: pd.DataFrame, journals: pd.DataFrame) -> Any:
    """Which claims these journals answer for: by what they are called, or because the claim names one."""
    key = [*model.REPORT_KEY, "currency", "purpose"]
    ours, theirs = (model.texts(model.joined([model.utf8(f[c]) for c in key])) for f in (journals, expected))
    return (theirs.isin(ours) | expected["journal_key"].isin(journals["journal_key"]).to_numpy()).to_numpy(dtype=bool)


def _found(
    context: Context, part: _Part, outcomes: pd.DataFrame, expected: pd.DataFrame, at: str,
    missing: Sequence[tuple[str, str, str]], listed: Listed | None, landed: pd.DataFrame,
) -> Reconciliation:  # fmt: skip
    hours = int(context.bundle.feed["acknowledge_within_hours"])
    outcomes, expected, journals = (
        frame[~frame["journal_key"].isin(part.shadow)] for frame in (outcomes, expected, part.journals)
    )
    return compare(
        outcomes[OUTCOME_COLUMNS], expected, journals, part.lines, part.members, part.erp_lines, at, hours,
        missing, listed, None if listed is None else _landed(landed),
    )  # fmt: skip


def _missing(context: Context) -> list[tuple[str, str, str]]:
    """The gaps in the numbers of the source's files; a rejected file has not come."""
    use = context.bundle.feed["source"].get("sequence")
    if use is None:
        return []
    came = context.store.landings(context.feed_id, ("built", "duplicate", "held"))
    return list(gaps((one.totals.get("control", {}).get(use["number"], "") for one in came), use.get("accepted", ())))


def _landed(outcomes: pd.DataFrame) -> pd.DataFrame:
    """The outcomes of all files, in the order they came."""
    return outcomes.sort_values("seq", kind="stable")[OUTCOME_COLUMNS]


def _listed(context: Context, period: str) -> Listed | None:
    """The source's own list, all of it or what it dates in a period; None where there is none to compare with."""
    source = context.bundle.feed["source"]
    declared = source.get("list")
    if declared is None or (period and "date" not in declared["columns"]):
        return None
    place = declared if "connection" in declared else {**source, **declared}
    if "table" in declared:
        engine = transport.engine(context.connection(place))
        try:
            found = lists.from_table(engine, declared)
        finally:
            engine.dispose()
    else:
        with transport.folder(context.connection(place), place.get("path", "")) as session:
            found = lists.from_folder(session, declared)
    rows = found.rows[found.rows["date"].str.startswith(period)]
    return Listed(rows, declared.get("whole") == "yes" and not period, found.faults)


def _expected(context: Context, outcomes: pd.DataFrame) -> pd.DataFrame:
    """What the source says must be booked."""
    decided = outcomes[outcomes["outcome"].isin([model.ACCEPTED, model.WITHDRAWN])]
    given_up = context.store.members(feed_id=context.feed_id, state="void")["journal_key"]
    return claims(decided[DECIDED_COLUMNS], set(given_up))


def _whole_numbers() -> dict[str, str]:
    return {c: "int64" for c in model.JOURNAL_LINE_COLUMNS if c.endswith("_minor") or c == "line_no"}


def _result(context: Context, found: Reconciliation, period: str) -> dict[str, Any]:
    open_breaks = found.breaks[~found.breaks["code"].isin(["IN_FLIGHT"])]
    by_code = {
        str(code): int(count) for code, count in found.breaks["code"].value_counts(sort=False).sort_index().items()
    }
    refused = found.breaks.loc[found.breaks["code"] == "REJECTED_BY_ERP", "refusal"]
    by_refusal = Counter(code for said in refused for code in said.split(", "))
    stages = found.stages
    counts = {
        "posted": int(stages["posted_count"].sum()), "breaks": len(open_breaks),
        "quarantined": int(stages["quarantined_count"].sum()),
    }  # fmt: skip
    return {
        "feed": context.feed_id, "period": period, "explained": explained(found), "breaks": len(open_breaks),
        "by_code": by_code, "by_refusal": dict(sorted(by_refusal.items())), "counts": counts,
    }  # fmt: skip


def _amounts(moved: pd.DataFrame) -> list[str]:
    return [money.text_of(minor, code) for minor, code in zip(moved["debit_minor"], moved["currency"], strict=True)]


def _as_history(row: dict[str, Any]) -> dict[str, Any]:
    return {"at": row["at"], **row["totals"]}


def _settle(context: Context, batches: list[Batch], found: Reconciliation) -> None:
    """Acknowledged batches without an open difference are reconciled."""
    waiting = [batch for batch in batches if batch.state == "acknowledged"]
    if not waiting:
        return
    matched = found.documents[found.documents["bucket"] == "matched"].groupby("batch_id", dropna=False).size()
    moved, counts = context.store.moved_members(context.feed_id), context.store.member_counts(context.feed_id)
    live = set(moved.loc[~moved["state"].isin(["rejected", "void"]), "journal_key"])
    again = moved[(moved["state"] == "rejected") & moved["journal_key"].isin(live)]  # refused here, sealed again since
    left = again.groupby("batch_id", dropna=False).size()
    void = counts[counts["state"] == "void"].set_index("batch_id")["journals"]
    for batch in waiting:
        if sum(int(count.get(batch.batch_id, 0)) for count in (matched, left, void)) == batch.journals:
            context.store.move_batch(batch.batch_id, "acknowledged", "reconciled")
