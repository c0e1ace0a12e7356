"""Questions to the store: control totals, rejects, journals, and everything about one report."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import pandas as pd
from sqlalchemy import Table, false, func, select, union
from sqlalchemy.engine import Connection
from sqlalchemy.sql import ColumnElement, Select

from etl import model
from etl.model import ControlTotals
from etl.store import frames
from etl.store import tables as t

_LANDED_REPORT: Final = ("feed_id", "landing_sha256", *model.REPORT_KEY)
REJECT_COLUMNS: Final = ["feed_id", "landing_sha256", "run_id", "rejected_at", *model.REJECT_COLUMNS]
ROUNDING_COLUMNS: Final = ["journal_key", "company", "period", "rounding_minor"]
DECIDED_COLUMNS: Final = [
    "landing_sha256", *model.REPORT_KEY, "document_currency", "outcome", "lines", "gross_minor", "journal_key", "seq",
]  # fmt: skip
KNOWN_COLUMNS: Final = [
    *model.REPORT_KEY, "document_currency", "outcome", "content_hash", "business_hash", "journal_key", "seq",
]  # fmt: skip


def known_versions(
    connection: Connection, source_system: str, report_ids: Sequence[str], except_landing: tuple[str, str] | None = None
) -> pd.DataFrame:  # fmt: skip
    """The decided versions of some reports of a source system, KNOWN_COLUMNS, by report, version and currency.

    Accepted and withdrawn ones, and duplicates that came with a version of their own, each once; `seq` is the place
    of their landing.
    """
    o, columns = t.outcome.c, [t.outcome.c[name] for name in KNOWN_COLUMNS[:-1]]
    seq = func.min(t.landing.c.seq).label("seq")
    twin = t.outcome.alias("twin")
    same = [twin.c[name] == o[name] for name in ("source_system", *KNOWN_COLUMNS[:4])]
    accepted = select(twin.c.outcome).where(*same, twin.c.outcome == model.ACCEPTED).exists()
    new = o.outcome.in_([model.ACCEPTED, model.WITHDRAWN]) | ((o.outcome == model.DUPLICATE) & ~accepted)
    landed = (t.landing.c.feed_id == o.feed_id) & (t.landing.c.sha256 == o.landing_sha256)
    statement = select(*columns, seq).join(t.landing, landed).where(o.source_system == source_system, new)
    if except_landing is not None:
        statement = statement.where((o.feed_id != except_landing[0]) | (o.landing_sha256 != except_landing[1]))
    asked = pd.DataFrame({"report_id": model.texts(sorted(set(report_ids)))})
    with frames.temporary(connection, "asked", asked) as some:
        statement = statement.join(some, some.c.report_id == o.report_id)
        found = frames.read(connection, statement.group_by(*columns))
    return found.sort_values(KNOWN_COLUMNS, ignore_index=True)


def report_journals(connection: Connection, source_system: str, reports: Sequence[str]) -> pd.DataFrame:
    """Every journal that holds some report ids, with its `batch_id` and `state` there, the last one of several.

    Also those that belong to such a journal, and reversals.
    """
    where = t.batch_member.c.journal_key == t.journal.c.journal_key
    extra = (t.batch_member.c.state, t.batch_member.c.batch_id, t.batch.c.seq)
    statement = select(*[t.journal.c[name] for name in model.JOURNAL_COLUMNS], *extra).join(t.batch_member, where)
    statement = statement.join(t.batch, t.batch.c.batch_id == t.batch_member.c.batch_id)
    statement = statement.where(t.journal.c.source_system == source_system)
    parts = [frames.read(connection, statement.where(t.journal.c.report_id.in_(p))) for p in frames.in_parts(reports)]
    held = sorted(set(report_links(connection, source_system, reports)["journal_key"]))
    for column in (t.journal.c.journal_key, t.journal.c.belongs_to):
        parts += [frames.read(connection, statement.where(column.in_(part))) for part in frames.in_parts(held)]
    found = pd.concat(parts, ignore_index=True) if parts else frames.read(connection, statement.where(false()))
    found = found.sort_values(["journal_key", "seq"]).drop_duplicates("journal_key", keep="last")
    return found.drop(columns="seq").reset_index(drop=True)


def rounding(connection: Connection, source_system: str) -> pd.DataFrame:
    """ROUNDING_COLUMNS of every journal of a source system that rounding left something over in."""
    statement = select(*[t.journal.c[name] for name in ROUNDING_COLUMNS])
    return frames.read(
        connection, statement.where(t.journal.c.source_system == source_system, t.journal.c.rounding_minor != 0)
    )


def report_links(connection: Connection, source_system: str, reports: Sequence[str]) -> pd.DataFrame:
    """company, report_id, journal_key: the journals that accepted versions of some report ids were booked in."""
    columns = [t.outcome.c[name] for name in ("company", "report_id", "journal_key")]
    statement = select(*columns).distinct()
    statement = statement.where(t.outcome.c.source_system == source_system, t.outcome.c.journal_key != "")
    parts = [frames.read(connection, statement.where(t.outcome.c.report_id.in_(p))) for p in frames.in_parts(reports)]
    return pd.concat(parts, ignore_index=True) if parts else frames.read(connection, statement.where(false()))


def invoice_claims(connection: Connection, source_system: str, keys: Sequence[str]) -> pd.DataFrame:
    """model.INVOICE_COLUMNS: which accepted report versions of a source system claim these invoices."""
    t_ = t.invoice.c
    columns = [t_[name] for name in model.INVOICE_COLUMNS]
    statement = select(*columns).where(t_.source_system == source_system)
    with frames.temporary(
        connection, "claimed", pd.DataFrame({"invoice_key": model.texts(sorted(set(keys)))})
    ) as wanted:
        return frames.read(connection, statement.join(wanted, wanted.c.invoice_key == t_.invoice_key))


def control_totals(
    connection: Connection, feed_id: str = "", landings: Sequence[str] = (), run_id: str = ""
) -> dict[str, ControlTotals]:
    """Totals of each outcome, of a feed, some landings or a run."""
    where = _where(t.outcome, {"feed_id": feed_id, "run_id": run_id}, {"landing_sha256": landings})
    o = t.outcome.c
    sums = select(o.outcome, o.document_currency, func.sum(o.lines), func.sum(o.gross_minor)).where(*where)
    versions = select(o.outcome, *[o[name] for name in _LANDED_REPORT]).where(*where).distinct().subquery()
    counts = connection.execute(select(versions.c.outcome, func.count()).group_by(versions.c.outcome)).all()
    rows = connection.execute(sums.group_by(o.outcome, o.document_currency)).all()
    totals = {outcome: ControlTotals() for outcome in model.OUTCOMES}
    for outcome, currency, lines, gross in sorted(rows):
        totals[outcome] += ControlTotals(0, int(lines), {currency: int(gross)} if currency else {})
    for outcome, reports in counts:
        totals[outcome] += ControlTotals(int(reports))
    return totals


def outcomes(
    connection: Connection, feed_id: str = "", landings: Sequence[str] = (), run_id: str = "", report_id: str = "",
    journal_key: str = "",
) -> pd.DataFrame:  # fmt: skip
    equal = {"feed_id": feed_id, "run_id": run_id, "report_id": report_id, "journal_key": journal_key}
    return frames.read(connection, select(t.outcome).where(*_where(t.outcome, equal, {"landing_sha256": landings})))


def rejects(
    connection: Connection, feed_id: str = "", landings: Sequence[str] = (), report_id: str = "", current: bool = True
) -> pd.DataFrame:
    """Reasons, oldest first; `current`: only of report versions that are still quarantined, and only the latest."""
    statement = select(*[t.reject.c[name] for name in REJECT_COLUMNS]).order_by(t.reject.c.id)
    equal = {"feed_id": feed_id, "report_id": report_id}
    statement = statement.where(*_where(t.reject, equal, {"landing_sha256": landings}))
    if current:
        statement = statement.where(_is_current())
    return frames.read(connection, statement)


def _is_current() -> ColumnElement[bool]:
    same = [t.outcome.c[name] == t.reject.c[name] for name in (*_LANDED_REPORT, "run_id")]
    return select(t.outcome.c.run_id).where(*same, t.outcome.c.outcome == model.QUARANTINED).exists()


def journals(
    connection: Connection, feed_id: str = "", period: str = "", keys: Sequence[str] = (), batch_id: str = ""
) -> pd.DataFrame:
    statement = select(t.journal).where(*_where(t.journal, {"feed_id": feed_id, "period": period}, {}))
    if batch_id:
        statement = statement.join(t.batch_member, t.batch_member.c.journal_key == t.journal.c.journal_key)
        statement = statement.where(t.batch_member.c.batch_id == batch_id)
    return _by_keys(connection, statement, t.journal, keys).sort_values("journal_key", ignore_index=True)


def homes(connection: Connection, feed_id: str, period: str = "") -> pd.DataFrame:
    """journal_key, period, belongs_to of every journal of a feed, of one period or all."""
    statement = select(*[t.journal.c[name] for name in ("journal_key", "period", "belongs_to")])
    return frames.read(connection, statement.where(*_where(t.journal, {"feed_id": feed_id, "period": period}, {})))


def taken_back(connection: Connection, feed_id: str) -> pd.DataFrame:
    """A feed's reversals and the journals that they take back (model.JOURNAL_COLUMNS)."""
    other = t.journal.alias("other")
    originals = select(other.c.reversal_of).where(other.c.feed_id == feed_id, other.c.reversal_of != "")
    mine = (t.journal.c.reversal_of != "") | t.journal.c.journal_key.in_(originals)
    statement = select(*[t.journal.c[name] for name in model.JOURNAL_COLUMNS])
    found = frames.read(connection, statement.where(t.journal.c.feed_id == feed_id, mine))
    return found.sort_values("journal_key", ignore_index=True)


def decided(connection: Connection, feed_id: str, period: str = "") -> pd.DataFrame:
    """DECIDED_COLUMNS of every outcome of a feed, or of the reports that journals of a period were made of.

    seq is the place of the landing. A journal names a report, or its outcomes name the journal.
    """
    same = (t.landing.c.feed_id == t.outcome.c.feed_id) & (t.landing.c.sha256 == t.outcome.c.landing_sha256)
    columns = [(t.landing if name == "seq" else t.outcome).c[name] for name in DECIDED_COLUMNS]
    statement = select(*columns).join(t.landing, same).where(t.outcome.c.feed_id == feed_id)
    if period:
        made = _where(t.journal, {"feed_id": feed_id, "period": period}, {})
        other = t.outcome.alias("other")
        by_key = select(other.c.report_id).join(t.journal, t.journal.c.journal_key == other.c.journal_key)
        reports = union(select(t.journal.c.report_id).where(*made), by_key.where(*made))
        statement = statement.where(t.outcome.c.report_id.in_(reports))
    return frames.read(connection, statement)


def member_counts(connection: Connection, feed_id: str) -> pd.DataFrame:
    """batch_id, state, journals: how many members of each batch are in each state."""
    named = (t.batch_member.c.batch_id, t.batch_member.c.state)
    statement = select(*named, func.count().label("journals")).join(t.batch, t.batch.c.batch_id == named[0])
    return frames.read(connection, statement.where(t.batch.c.feed_id == feed_id).group_by(*named))


def moved_members(connection: Connection, feed_id: str) -> pd.DataFrame:
    """`members` of the journals of a feed that are, or were, in several batches."""
    several = select(t.batch_member.c.journal_key).group_by(t.batch_member.c.journal_key).having(func.count() > 1)
    keys = [str(key) for (key,) in connection.execute(several)]
    return members(connection, feed_id=feed_id, keys=keys or ["-"])  # no key at all would be every journal


def members(
    connection: Connection, batch_id: str = "", feed_id: str = "", period: str = "", keys: Sequence[str] = (),
    state: str = "",
) -> pd.DataFrame:  # fmt: skip
    """batch_id, journal_key, state, erp_document, code, message, and the batch's target, company, period, state.

    In the order of the batches of each target: of a journal in several, the last row is the newest.
    """
    extra: list[ColumnElement[Any]] = [t.batch.c.feed_id, t.batch.c.target, t.batch.c.company, t.batch.c.period]
    extra += [t.batch.c.state.label("batch_state"), t.batch.c.published_at, t.batch.c.seq]
    statement = select(t.batch_member, *extra).join(t.batch, t.batch.c.batch_id == t.batch_member.c.batch_id)
    statement = statement.where(*_where(t.batch, {"batch_id": batch_id, "feed_id": feed_id, "period": period}, {}))
    statement = statement.where(*_where(t.batch_member, {"state": state}, {}))
    found = _by_keys(connection, statement, t.batch_member, keys)
    return found.sort_values(["target", "seq", "journal_key"], ignore_index=True).drop(columns="seq")


def refused(connection: Connection) -> pd.DataFrame:
    """What the ERP said of refused journals, each wording of a batch once: batch_id, target, state, code, message,
    and the number of journals."""
    named = [t.batch_member.c.batch_id, t.batch.c.target, *(t.batch_member.c[n] for n in ("state", "code", "message"))]
    statement = select(*named, func.count().label("journals")).join(t.batch, t.batch.c.batch_id == named[0])
    return frames.read(connection, statement.where(t.batch_member.c.state == "rejected").group_by(*named))


def _by_keys(connection: Connection, statement: Select[Any], table: Table, keys: Sequence[str]) -> pd.DataFrame:
    parts = [frames.read(connection, statement.where(table.c.journal_key.in_(part))) for part in frames.in_parts(keys)]
    return pd.concat(parts, ignore_index=True) if parts else frames.read(connection, statement)


def _where(table: Table, equal: dict[str, str], among: dict[str, Sequence[str]]) -> list[ColumnElement[bool]]:
    return [table.c[name] == value for name, value in equal.items() if value] + [
        table.c[name].in_(values) for name, values in among.items() if values
    ]


def report(connection: Connection, report_id: str) -> dict[str, pd.DataFrame]:
    """Everything about one report: outcomes, rejects (all, with history), journals, members, landings."""
    found = outcomes(connection, report_id=report_id)
    held = [key for key in found["journal_key"] if key]
    mine = (t.journal.c.report_id == report_id) | t.journal.c.journal_key.in_(held) | t.journal.c.belongs_to.in_(held)
    made = frames.read(connection, select(t.journal).where(mine))
    hashes = sorted(set(found["landing_sha256"]))
    columns = [t.landing.c[name] for name in ("feed_id", "sha256", "name", "state", "landed_at")]
    keys = list(made["journal_key"])
    return {
        "outcomes": found,
        "rejects": rejects(connection, report_id=report_id, current=False),
        "journals": made,
        "members": members(connection, keys=keys) if keys else members(connection, batch_id="-"),
        "landings": frames.read(connection, select(*columns).where(t.landing.c.sha256.in_(hashes))),
    }
