"""Step 5: source = journal = ERP, by landing receipts, our journals and what the ERP says; and the report."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.parquet as pq

from etl import erp, lists, model, money, refusals, report, transport
from etl.pipeline.context import Context, now
from etl.pipeline.inquire import records
from etl.pipeline.mode import kept_back
from etl.pipeline.summary import feed_summary
from etl.pipeline.verify import anchor
from etl.reconcile import DECIDED_COLUMNS, OUTCOME_COLUMNS, Listed, Reconciliation, claims, explained, gaps, shifts
from etl.reconcile import reconcile as compare
from etl.store import Batch
from validations import schemas

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
    whole = context.store.journals(context.feed_id)
    kept = kept_back(context.bundle.feed, context.store, batches)
    batches = [batch for batch in batches if batch.batch_id not in kept]
    found = _compare(context, batches, whole, period, at)
    earlier = [_as_history(one) for one in reversed(context.store.reconciliations(context.feed_id, limit=HISTORY))]
    moved = shifts(whole, period)
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


def _compare(context: Context, batches: list[Batch], whole: pd.DataFrame, period: str, at: str) -> Reconciliation:
    """`whole`: the feed's journals of all periods."""
    journals = whole[whole["period"] == period] if period else whole
    outcomes = context.store.outcomes(context.feed_id)
    expected = _expected(context, outcomes, journals, period)
    if period:
        outcomes = outcomes[outcomes["journal_key"].isin(journals["journal_key"])]
    first = [batch for batch in batches if "again" not in batch.totals]  # the others hold journals of these
    lines = [pq.read_table(context.batch_folder(b.folder) / "lines.parquet").to_pandas() for b in first]
    lines = [frame.astype({c: "str" for c in frame.columns if frame[c].dtype == object}) for frame in lines]
    empty = pd.DataFrame({c: model.texts([]) for c in model.JOURNAL_LINE_COLUMNS}).astype(_whole_numbers())
    members = context.store.members(feed_id=context.feed_id, period=period)
    shadow = members.loc[~members["batch_id"].isin([b.batch_id for b in batches]), "journal_key"]
    members, journals, outcomes, expected = (
        f[~f["journal_key"].isin(shadow)] for f in (members, journals, outcomes, expected)
    )
    members = members.assign(refusal=refusals.named(members, context.bundle.codes).set_axis(members.index))
    hours = int(context.bundle.feed["acknowledge_within_hours"])
    return compare(
        outcomes[OUTCOME_COLUMNS], expected, journals[model.JOURNAL_COLUMNS],
        pd.concat(lines or [empty], ignore_index=True),
        members, _erp_lines(context, journals, period), at, hours, [] if period else _missing(context),
        _listed(context, period), _landed(context),
    )  # fmt: skip


def _missing(context: Context) -> list[tuple[str, str, str]]:
    """The gaps in the numbers of the source's files; a rejected file has not come."""
    use = context.bundle.feed["source"].get("sequence")
    if use is None:
        return []
    came = context.store.landings(context.feed_id, ("built", "duplicate", "held"))
    return list(gaps((one.totals.get("control", {}).get(use["number"], "") for one in came), use.get("accepted", ())))


def _landed(context: Context) -> pd.DataFrame:
    """The outcomes of all files, in the order they came."""
    seq = {one.sha256: one.seq for one in context.store.landings(context.feed_id)}
    outcomes = context.store.outcomes(context.feed_id)
    return outcomes.assign(seq=outcomes["landing_sha256"].map(seq)).sort_values("seq", kind="stable")[OUTCOME_COLUMNS]


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


def _expected(context: Context, outcomes: pd.DataFrame, journals: pd.DataFrame, period: str) -> pd.DataFrame:
    """What the source says must be booked, all of it or what was booked in a period."""
    seq = {one.sha256: one.seq for one in context.store.landings(context.feed_id)}
    decided = outcomes[outcomes["outcome"].isin([model.ACCEPTED, model.WITHDRAWN])]
    decided = decided.assign(seq=decided["landing_sha256"].map(seq).astype("int64"))
    members = context.store.members(feed_id=context.feed_id)
    given_up = set(members.loc[members["state"] == "void", "journal_key"])
    expected = claims(decided[DECIDED_COLUMNS], given_up)
    if not period:
        return expected
    key = [*model.REPORT_KEY, "currency", "purpose"]
    booked = set(journals[key].itertuples(index=False, name=None))
    named = [row in booked for row in expected[key].itertuples(index=False, name=None)]
    mine = pd.Series(named, index=expected.index, dtype=bool) | expected["journal_key"].isin(journals["journal_key"])
    return expected.loc[mine]


def _whole_numbers() -> dict[str, str]:
    return {c: "int64" for c in model.JOURNAL_LINE_COLUMNS if c.endswith("_minor") or c == "line_no"}


def _erp_lines(context: Context, journals: pd.DataFrame, period: str) -> pd.DataFrame:
    """What the ERP holds for this feed's companies, without what another feed of ours has put there."""
    parts = []
    for entry in context.bundle.feed["targets"]:
        profile = context.profile(entry["target"])
        parts.append(read_ledger(context, entry, profile))
    lines = pd.concat(parts, ignore_index=True)
    schemas.prove(lines, schemas.ERP_LINES)
    lines = lines[lines["company"].isin(list(context.bundle.feed["companies"]))]
    if period:
        known = lines["journal_key"].isin(journals["journal_key"])
        lines = lines[known | (lines["period"] == period)]
    strange = sorted(set(lines["journal_key"]) - set(journals["journal_key"]))
    ours = context.store.journals(keys=strange)["journal_key"].tolist() if strange else []
    return lines[~lines["journal_key"].isin(ours)].reset_index(drop=True)


def read_ledger(context: Context, entry: Any, profile: Any) -> pd.DataFrame:
    """The ERP's own lines at one target (model.ERP_LINE_COLUMNS)."""
    connection = context.connection(entry)
    if profile["acknowledge"]["kind"] == "table":
        engine = transport.engine(connection)
        try:
            return erp.read_ledger_table(engine, profile)
        finally:
            engine.dispose()
    with transport.folder(connection, entry.get("path", "")) as session:
        return erp.read_ledger_file(session, profile)


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
    matched = found.documents[found.documents["bucket"] == "matched"].groupby("batch_id", dropna=False).size()
    members = context.store.members(feed_id=context.feed_id)
    live = set(members.loc[~members["state"].isin(["rejected", "void"]), "journal_key"])
    moved = (members["state"] == "rejected") & members["journal_key"].isin(live)  # refused here, sealed again since
    left = members[(members["state"] == "void") | moved].groupby("batch_id", dropna=False).size()
    for batch in batches:
        settled = int(matched.get(batch.batch_id, 0)) + int(left.get(batch.batch_id, 0))
        if batch.state == "acknowledged" and settled == batch.journals:
            context.store.move_batch(batch.batch_id, "acknowledged", "reconciled")
