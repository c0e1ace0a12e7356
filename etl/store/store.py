"""The one door to the store: every method is one transaction."""

from __future__ import annotations

import datetime
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, Self

import pandas as pd
from sqlalchemy import delete, insert, inspect, select, update
from sqlalchemy.engine import Connection, Engine
from sqlalchemy.exc import DBAPIError

from etl import transport
from etl.errors import ConfigurationError, ConflictError, TransientError
from etl.model import ControlTotals
from etl.store import audit, builds, deliveries, frames, landings, reports, requests, rules
from etl.store import tables as t
from etl.store.builds import Build
from etl.store.deliveries import Acknowledged, Batch
from etl.store.landings import Landing, Registered
from etl.store.requests import Request

OLDER: Final = ("0002",)  # revisions that `upgrade` knows the way from


def utc_now() -> str:
    """The UTC time to the microsecond as ISO text."""
    return datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


class Store:
    """What claimpost remembers, in SQLite or PostgreSQL.

    Every method is one transaction. Raises TransientError NOT_REACHED or TARGET_BUSY when the database is away or
    locked, ConflictError when an id comes again with other content.
    """

    def __init__(self, engine: Engine, clock: Callable[[], str] = utc_now) -> None:
        self.engine = engine
        self._clock = clock

    @classmethod
    def open(cls, url: str, clock: Callable[[], str] = utc_now) -> Self:
        """Open a store by its database URL; an empty database gets the tables."""
        store = cls(transport.engine(url), clock)
        with store._reached():
            _create(store.engine)
        return store

    def close(self) -> None:
        """Give back the database connections."""
        self.engine.dispose()

    # --- landings

    def register_landing(self, feed_id: str, sha256: str, name: str, size: int, run_id: str = "") -> Registered:
        """Record a receipt, and the landing when its content is new to the feed."""
        with self._write(alone=True) as connection:
            return landings.register(connection, feed_id, sha256, name, size, run_id, self._clock())

    def landings(self, feed_id: str, states: Sequence[str] = ()) -> list[Landing]:
        """Landings of a feed in the order they came."""
        with self._read() as connection:
            return landings.landings(connection, feed_id, states)

    def landing(self, feed_id: str, sha256: str) -> Landing:
        """One landing; raises ConfigurationError NOT_FOUND."""
        with self._read() as connection:
            found = landings.landing(connection, feed_id, sha256)
        if found is None:
            raise ConfigurationError("NOT_FOUND", field="landing", value=sha256)
        return found

    def last_landing(self) -> int:
        """The place of the newest landing of all feeds; 0 before the first."""
        with self._read() as connection:
            return landings.last(connection)

    def by_fingerprint(self, feed_id: str, fingerprint: str) -> list[Landing]:
        """Landings of a feed whose content has this fingerprint, in the order they came."""
        assert fingerprint
        with self._read() as connection:
            return landings.landings(connection, feed_id, fingerprint=fingerprint)

    def set_landing(
        self, feed_id: str, sha256: str, state: str = "", fingerprint: str = "",
        totals: Mapping[str, Any] | None = None, reason: str = "",
    ) -> None:  # fmt: skip
        """Change what is given of a landing: its state, fingerprint, totals, reason (an error code)."""
        given = {"state": state, "fingerprint": fingerprint, "reason": reason}
        values = {name: value for name, value in given.items() if value}
        values |= {"totals": _json(totals)} if totals is not None else {}
        with self._write() as connection:
            landings.change(connection, feed_id, sha256, values, self._clock())

    def receipts(self, feed_id: str, sha256: str = "") -> pd.DataFrame:
        """Receipts of a feed, or of one landing: feed_id, sha256, name, received_at, run_id; oldest first."""
        statement = select(t.receipt).where(t.receipt.c.feed_id == feed_id).order_by(t.receipt.c.id)
        with self._read() as connection:
            return frames.read(connection, statement.where(t.receipt.c.sha256 == sha256) if sha256 else statement)

    # --- builds

    def known_versions(
        self, source_system: str, report_ids: Sequence[str], except_landing: tuple[str, str] | None = None
    ) -> pd.DataFrame:  # fmt: skip
        """Decided versions of some reports: key, document_currency, outcome, both hashes, journal_key, seq.

        `except_landing` (feed_id, sha256) leaves out what a landing under work was itself accepted for earlier.
        """
        with self._read() as connection:
            return reports.known_versions(connection, source_system, report_ids, except_landing)

    def report_journals(self, source_system: str, report_ids: Sequence[str]) -> pd.DataFrame:
        """Every journal that holds some report ids: model.JOURNAL_COLUMNS, and its last batch_id and state there."""
        with self._read() as connection:
            return reports.report_journals(connection, source_system, report_ids)

    def report_links(self, source_system: str, report_ids: Sequence[str]) -> pd.DataFrame:
        """company, report_id, journal_key: which journals hold some report ids."""
        with self._read() as connection:
            return reports.report_links(connection, source_system, report_ids)

    def rounding(self, source_system: str) -> pd.DataFrame:
        """journal_key, company, period, rounding_minor of every journal that rounding left something over in."""
        with self._read() as connection:
            return reports.rounding(connection, source_system)

    def invoice_claims(self, source_system: str, keys: Sequence[str]) -> pd.DataFrame:
        """invoice_key and report key: which accepted report versions claim these invoices already."""
        with self._read() as connection:
            return reports.invoice_claims(connection, source_system, keys)

    def record_build(self, build: Build) -> bool:
        """Record a build, all or nothing; False when everything was recorded before.

        Raises ConflictError CONTENT_CHANGED (an id with other content, a journal in another live batch) and
        TransientError TARGET_BUSY (another run decided the same reports meanwhile: build again).
        """
        with self._write(alone=True) as connection:
            return builds.record(connection, build, self._clock())

    def record_again(self, build: Build) -> bool:
        """Record new batches of journals that the ERP refused; only its batches and members are read.

        Raises TransientError TARGET_BUSY when one of them is in another live batch by now.
        """
        try:
            with self._write(alone=True) as connection:
                return builds.record_again(connection, build, self._clock())
        except ConflictError as error:
            raise TransientError("TARGET_BUSY", value="the store", detail="another run sealed them again") from error

    # --- batches and acknowledgements

    def batches(
        self, feed_id: str = "", states: Sequence[str] = (), target: str = "", ids: Sequence[str] = (),
        period: str = "",
    ) -> list[Batch]:  # fmt: skip
        """Batches by any of these, in order of target and sequence number."""
        with self._read() as connection:
            return deliveries.batches(connection, feed_id, states, target, ids, period)

    def batch(self, batch_id: str) -> Batch:
        """One batch; raises ConfigurationError NOT_FOUND."""
        with self._read() as connection:
            return deliveries.batch(connection, batch_id)

    def begin_delivery(self, batch_id: str) -> Batch:
        """Start an attempt: the epoch goes up by one, older attempts are fenced off."""
        with self._write() as connection:
            return deliveries.begin(connection, batch_id, self._clock())

    def move_batch(self, batch_id: str, before: str, after: str, epoch: int | None = None, token: str = "") -> bool:
        """Compare and set a batch's state (and epoch, when given); False when it was not as expected."""
        with self._write() as connection:
            return deliveries.move(connection, batch_id, before, after, self._clock(), epoch, token)

    def acknowledge(self, batch_id: str, answers: pd.DataFrame) -> Acknowledged:
        """Apply the ERP's answers (model.ACKNOWLEDGEMENT_COLUMNS); the same answers again change nothing.

        Raises ConflictError ANSWER_CHANGED when a posted journal gets another document or is refused after all.
        """
        with self._write() as connection:
            return deliveries.acknowledge(connection, batch_id, answers, self._clock())

    def mark_unknown(self, batch_id: str) -> int:
        """Mark the unanswered journals of an overdue batch as unknown; out: how many."""
        with self._write() as connection:
            return deliveries.mark_unknown(connection, batch_id, self._clock())

    def members(
        self, batch_id: str = "", feed_id: str = "", period: str = "", keys: Sequence[str] = (), state: str = ""
    ) -> pd.DataFrame:
        """Journals in batches: journal_key, state, erp_document, code, message, and facts of the batch."""
        with self._read() as connection:
            return reports.members(connection, batch_id, feed_id, period, keys, state)

    def member_counts(self, feed_id: str) -> pd.DataFrame:
        """batch_id, state, journals: how many journals of each batch are in each state."""
        with self._read() as connection:
            return reports.member_counts(connection, feed_id)

    def moved_members(self, feed_id: str) -> pd.DataFrame:
        """`members` of the journals that are, or were, in several batches."""
        with self._read() as connection:
            return reports.moved_members(connection, feed_id)

    def refused(self) -> pd.DataFrame:
        """Refused journals by batch and by what the ERP said: batch_id, target, state, code, message, journals."""
        with self._read() as connection:
            return reports.refused(connection)

    def events(self, subject: str) -> pd.DataFrame:
        """The history of a batch, or of anything else that events name: event, detail, actor, at; oldest first."""
        with self._read() as connection:
            return audit.events(connection, subject)

    def tell(self, subject: str, event: str, detail: str, actor: str) -> None:
        """Add what a person did to the history of a batch."""
        with self._write() as connection:
            audit.append(connection, self._clock(), event, subject, detail, actor)

    def audit_head(self) -> audit.Head:
        """The newest event's number and hash; kept outside, it anchors the chain."""
        with self._read() as connection:
            return audit.head(connection)

    def audit_flaws(self, anchors: Sequence[audit.Head] = ()) -> list[audit.Flaw]:
        """Everything that the audit chain does not vouch for, also against heads that were kept elsewhere."""
        with self._read() as connection:
            return list(audit.check(connection, anchors))

    # --- what needs a second person

    def ask(self, action: str, feed_id: str, subject: str, facts: Mapping[str, Any], by: str, reason: str) -> Request:
        """Record what one person asks for; the same request that still waits is given back."""
        with self._write() as connection:
            return requests.ask(connection, action, feed_id, subject, facts, by, reason, self._clock())

    def approve(self, number: int, facts: Mapping[str, Any], by: str, reason: str) -> Request:
        """Record the approval of a request; `facts` is what is true now.

        Raises PermanentError FOUR_EYES (the same person) or REQUEST_STALE (other facts, or older than a day) and
        ConfigurationError NOT_FOUND.
        """
        with self._write() as connection:
            return requests.approve(connection, number, facts, by, reason, self._clock())

    def request(self, number: int) -> Request:
        """One request; raises ConfigurationError NOT_FOUND."""
        with self._read() as connection:
            return requests.request(connection, number)

    def requests(self, feed_id: str = "", action: str = "", approved: bool = False) -> list[Request]:
        """Requests of a feed, oldest first."""
        with self._read() as connection:
            return requests.requests(connection, feed_id, action, approved=approved)

    def waiting(self, feed_id: str = "") -> list[Request]:
        """Requests that wait for a second person and are still valid."""
        with self._read() as connection:
            return requests.requests(connection, feed_id, waiting_at=self._clock())

    # --- questions

    def journals(
        self, feed_id: str = "", period: str = "", keys: Sequence[str] = (), batch_id: str = ""
    ) -> pd.DataFrame:
        """Journals: model.JOURNAL_COLUMNS and feed_id, source_system, mapping_digest, code_version, made_at."""
        with self._read() as connection:
            return reports.journals(connection, feed_id, period, keys, batch_id)

    def homes(self, feed_id: str, period: str = "") -> pd.DataFrame:
        """journal_key, period, belongs_to of every journal of a feed, of one period or all."""
        with self._read() as connection:
            return reports.homes(connection, feed_id, period)

    def taken_back(self, feed_id: str) -> pd.DataFrame:
        """The reversals of a feed and the journals that they take back."""
        with self._read() as connection:
            return reports.taken_back(connection, feed_id)

    def decided(self, feed_id: str, period: str = "") -> pd.DataFrame:
        """Every outcome of a feed: landing_sha256, the report's key, currency, outcome, lines, gross, journal, seq.

        Of a period: all outcomes of the reports that a journal of it was made of.
        """
        with self._read() as connection:
            return reports.decided(connection, feed_id, period)

    def outcomes(
        self, feed_id: str = "", landings: Sequence[str] = (), run_id: str = "", report_id: str = "",
        journal_key: str = "",
    ) -> pd.DataFrame:  # fmt: skip
        """Outcomes of report versions, one row per document currency, with their journal_key."""
        with self._read() as connection:
            return reports.outcomes(connection, feed_id, landings, run_id, report_id, journal_key)

    def control_totals(
        self, feed_id: str = "", landings: Sequence[str] = (), run_id: str = ""
    ) -> dict[str, ControlTotals]:
        """Reports, lines and gross per currency of each of the four outcomes."""
        with self._read() as connection:
            return reports.control_totals(connection, feed_id, landings, run_id)

    def rejects(
        self, feed_id: str = "", landings: Sequence[str] = (), report_id: str = "", current: bool = True
    ) -> pd.DataFrame:
        """model.REJECT_COLUMNS with feed_id, landing_sha256, run_id, rejected_at; `current`: what is open now."""
        with self._read() as connection:
            return reports.rejects(connection, feed_id, landings, report_id, current)

    def report(self, report_id: str) -> dict[str, pd.DataFrame]:
        """Everything about one report: outcomes, rejects, journals, members, landings."""
        with self._read() as connection:
            return reports.report(connection, report_id)

    # --- runs, reconciliations, watermarks

    def save_run(
        self, run_id: str, feed_id: str, started_at: str, finished_at: str, summary: Any, conservation: Any = None
    ) -> None:
        """Remember a run's summary and conservation figures; a run saved again is replaced."""
        row = {"feed_id": feed_id, "started_at": started_at, "finished_at": finished_at}
        row |= {"summary": _json(summary), "conservation": _json(conservation)}
        with self._write() as connection:
            if not connection.execute(update(t.run).where(t.run.c.run_id == run_id).values(**row)).rowcount:
                connection.execute(insert(t.run), {"run_id": run_id, **row})

    def runs(self, feed_id: str = "", limit: int = 20) -> list[dict[str, Any]]:
        """Runs, newest first, with summary and conservation as they were given."""
        statement = select(t.run).order_by(t.run.c.started_at.desc(), t.run.c.run_id.desc()).limit(limit)
        with self._read() as connection:
            rows = connection.execute(statement.where(t.run.c.feed_id == feed_id) if feed_id else statement).mappings()
            return [_parsed(row, "summary", "conservation") for row in rows]

    def save_reconciliation(self, feed_id: str, period: str, totals: Any, breaks: Any) -> None:
        """Append one reconciliation: its totals and breaks."""
        row = {"feed_id": feed_id, "period": period, "totals": _json(totals), "breaks": _json(breaks)}
        with self._write() as connection:
            connection.execute(insert(t.reconciliation), {**row, "at": self._clock()})

    def reconciliations(self, feed_id: str, period: str = "", limit: int = 20) -> list[dict[str, Any]]:
        """Reconciliations, newest first, with totals and breaks as they were given."""
        statement = select(t.reconciliation).where(t.reconciliation.c.feed_id == feed_id)
        if period:
            statement = statement.where(t.reconciliation.c.period == period)
        with self._read() as connection:
            rows = connection.execute(statement.order_by(t.reconciliation.c.id.desc()).limit(limit)).mappings()
            return [_parsed(row, "totals", "breaks") for row in rows]

    # --- shadow runs

    def save_comparison(self, feed_id: str, period: str, facts: Mapping[str, str], counts: Any) -> None:
        """Append one comparison with a legacy journal: profile, mapping_digest, landings_digest, legacy_sha256."""
        row = {"feed_id": feed_id, "period": period, **facts, "counts": _json(counts), "at": self._clock()}
        with self._write() as connection:
            connection.execute(insert(t.comparison), row)

    def comparison(self, feed_id: str, period: str) -> dict[str, Any]:
        """The newest comparison of a feed and period as it was given, with `at`; empty when there is none."""
        where = (t.comparison.c.feed_id == feed_id, t.comparison.c.period == period)
        statement = select(t.comparison).where(*where).order_by(t.comparison.c.id.desc()).limit(1)
        with self._read() as connection:
            row = connection.execute(statement).mappings().one_or_none()
        return _parsed(row, "counts") if row else {}

    def sign_off(self, feed_id: str) -> dict[str, Any]:
        """The sign-off of a feed: period, profile, mapping_digest, legacy_sha256, counts, signed_by, reason, at."""
        with self._read() as connection:
            row = connection.execute(select(t.sign_off).where(t.sign_off.c.feed_id == feed_id)).mappings().one_or_none()
        return _parsed(row, "counts") if row else {}

    def save_sign_off(self, feed_id: str, facts: Mapping[str, str], counts: Any) -> None:
        """Sign a feed off, once; raises ConflictError CONTENT_CHANGED when it is signed off already."""
        with self._write() as connection:
            connection.execute(
                insert(t.sign_off), {"feed_id": feed_id, **facts, "counts": _json(counts), "at": self._clock()}
            )

    def watermark(self, feed_id: str) -> tuple[str, str]:
        """(updated_at, report_id) of the last report fully taken; ("", "") before the first."""
        columns = (t.watermark.c.updated_at, t.watermark.c.report_id)
        with self._read() as connection:
            row = connection.execute(select(*columns).where(t.watermark.c.feed_id == feed_id)).one_or_none()
        return (row[0], row[1]) if row else ("", "")

    def advance_watermark(self, feed_id: str, updated_at: str, report_id: str) -> None:
        """Move the watermark forward; an earlier mark than the present one changes nothing."""
        if (updated_at, report_id) > self.watermark(feed_id):
            with self._write(alone=True) as connection:
                connection.execute(delete(t.watermark).where(t.watermark.c.feed_id == feed_id))
                row = {"feed_id": feed_id, "updated_at": updated_at, "report_id": report_id}
                connection.execute(insert(t.watermark), row)

    # --- transactions

    @contextmanager
    def _write(self, alone: bool = False) -> Iterator[Connection]:
        with self._reached(), transport.writing(self.engine) as connection:
            if alone:  # one such transaction at a time: sequence numbers have no gaps, builds do not interleave
                connection.execute(select(t.turn.c.id).with_for_update())
            yield connection

    @contextmanager
    def _read(self) -> Iterator[Connection]:
        with self._reached(), self.engine.connect() as connection, connection.begin():
            yield connection

    @contextmanager
    def _reached(self) -> Iterator[None]:
        try:
            yield
        except DBAPIError as error:
            if transport.is_repeated(error):
                raise _repeated(error) from error
            raise transport.explain(error, "the store") from error


def upgrade(url: str) -> tuple[str, str]:
    """Bring an older store to this program's revision, all of it or nothing; out: the revisions before and after.

    Raises ConfigurationError SETTING for a store of a later program.
    """
    from alembic import command
    from alembic.config import Config

    engine = transport.engine(url)
    try:
        with transport.writing(engine) as connection:
            _alone(connection)
            before = _revision(connection)
            if before in OLDER:
                settings = Config()
                settings.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
                settings.attributes |= {"connection": connection, "version_table": t.store_revision.name}
                command.upgrade(settings, t.REVISION)
        Store.open(url).close()
    finally:
        engine.dispose()
    return before or t.REVISION, t.REVISION


def _alone(connection: Connection) -> None:
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql("SELECT pg_advisory_xact_lock(hashtext('claimpost store'))")


def _create(engine: Engine) -> None:
    """Create tables and rules in an empty database; refuse one of another revision."""
    with transport.writing(engine) as connection:
        _alone(connection)
        found = _revision(connection)
        if not found:
            t.metadata.create_all(connection)
            rules.enforce(connection)
            connection.execute(insert(t.turn), {"id": 1})
            connection.execute(insert(t.audit_head), {"id": 1, "seq": 0, "h": audit.START})
            connection.execute(insert(t.store_revision), {"version_num": t.REVISION})
    if found in OLDER:
        detail = f"the store is of revision {found}, this program needs {t.REVISION}: run `claimpost store upgrade`"
        raise ConfigurationError("SETTING", field="CLAIMPOST_STORE_URL", value=engine.url.database, detail=detail)
    if found not in ("", t.REVISION):
        detail = f"the store is of revision {found}, which this program does not know; it needs {t.REVISION}"
        raise ConfigurationError("SETTING", field="CLAIMPOST_STORE_URL", value=engine.url.database, detail=detail)


def _revision(connection: Connection) -> str:
    """The store's revision; "" in an empty database. Before there were revisions, it was 2."""
    there = inspect(connection)
    if there.has_table(t.store_revision.name):
        return str(connection.execute(select(t.store_revision.c.version_num)).scalar_one())
    if not there.has_table("schema_version"):
        return ""
    return f"{connection.exec_driver_sql('SELECT version FROM schema_version').scalar_one():04d}"


def _repeated(error: DBAPIError) -> ConflictError | TransientError:
    text = str(error.orig)
    if "outcome" in text:
        return TransientError("TARGET_BUSY", value="the store", detail="another run accepted the same reports")
    field = "journal in a live batch" if "batch_member" in text else "key"
    return ConflictError("CONTENT_CHANGED", field=field, value=text.strip().splitlines()[-1])


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, sort_keys=True, default=str)


def _parsed(row: Any, *names: str) -> dict[str, Any]:
    return {**row, **{name: json.loads(row[name]) for name in names}}
