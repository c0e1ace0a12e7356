"""The store's tables. Every text is NOT NULL, "" is missing; amounts are minor units; times are ISO UTC text.

A landing is one received content of one feed, a receipt each time it came. An outcome is what became of one report
version of a landing, per document currency. A journal belongs to one accepted outcome, or reverses another journal;
a batch has members; what the ERP answers is an acknowledgement, applied to members. A comparison is what a shadow run
found; a sign-off lets a feed in shadow deliver. `etl.store.rules` holds what may change.
"""

from __future__ import annotations

from typing import Any, Final

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    ForeignKeyConstraint,
    Identity,
    Index,
    Integer,
    MetaData,
    PrimaryKeyConstraint,
    String,
    Table,
    Text,
    UniqueConstraint,
    column,
)
from sqlalchemy.dialects import mysql
from sqlalchemy.sql.schema import SchemaItem

from etl import model

REVISION: Final = "0003"  # of etl/store/migrations
LANDING_STATES: Final = ("landed", "built", "held", "rejected", "duplicate")
MEMBER_STATES: Final = ("sealed", "posted", "rejected", "unknown", "void")

metadata: Final = MetaData()
# MariaDB: keys that differ by case, accent or trailing space are different keys.
_OPTIONS: Final[dict[str, Any]] = {
    f"{server}_{option}": value
    for server in ("mysql", "mariadb")
    for option, value in {"charset": "utf8mb4", "collate": "utf8mb4_nopad_bin", "engine": "InnoDB"}.items()
}
_ID: Final = BigInteger().with_variant(Integer(), "sqlite")
_LONG: Final = Text().with_variant(mysql.LONGTEXT(), "mysql", "mariadb")


def _table(name: str, *items: SchemaItem) -> Table:
    return Table(name, metadata, *items, **_OPTIONS)


def _code(name: str, length: int = 64) -> Column[Any]:
    return Column(name, String(length), nullable=False)


def _long(name: str) -> Column[Any]:
    return Column(name, _LONG, nullable=False)


def _whole(name: str) -> Column[Any]:
    return Column(name, BigInteger, nullable=False)


def _one_of(name: str, values: tuple[str, ...]) -> CheckConstraint:
    listed = ", ".join(f"'{value}'" for value in values)
    return CheckConstraint(f"{name} IN ({listed})")


def _serial() -> Column[Any]:
    return Column("id", _ID, Identity(), primary_key=True)


_REPORT: Final = (("company", 64), ("report_id", 200), ("report_version", 200))


def _report() -> list[Column[Any]]:
    return [_code(name, length) for name, length in _REPORT]


# Alembic's, under a name of ours: another program's migrations may live in the same database.
store_revision: Final = _table("store_revision", Column("version_num", String(32), primary_key=True))

# One row; builds and landings lock it, so that they follow each other.
turn: Final = _table("turn", Column("id", Integer, primary_key=True, autoincrement=False))

# What people and steps did, in one chain of hashes (etl/store/audit.py), and its newest event.
audit: Final = _table(
    "audit",
    Column("seq", BigInteger, primary_key=True, autoincrement=False),
    _code("at", 32),
    _code("actor", 128),
    _code("event", 40),
    _code("subject", 200),
    _long("detail"),
    _long("seals"),
    _code("prev"),
    _code("h"),
    Index("audit_subject", "subject"),
)

audit_head: Final = _table(
    "audit_head",
    Column("id", Integer, primary_key=True, autoincrement=False),
    _whole("seq"),
    _code("h"),
)

landing: Final = _table(
    "landing",
    _code("feed_id"),
    _code("sha256"),
    _long("name"),
    _whole("size"),
    _code("state", 16),
    _code("fingerprint", 64),
    _long("totals"),
    _code("reason", 40),
    _whole("seq"),
    _code("landed_at", 32),
    PrimaryKeyConstraint("feed_id", "sha256"),
    UniqueConstraint("seq"),
    _one_of("state", LANDING_STATES),
    CheckConstraint("length(sha256) = 64 AND size >= 0"),
    Index("landing_fingerprint", "feed_id", "fingerprint"),
)

receipt: Final = _table(
    "receipt",
    _serial(),
    _code("feed_id"),
    _code("sha256"),
    _long("name"),
    _code("received_at", 32),
    _code("run_id", 128),
    ForeignKeyConstraint(["feed_id", "sha256"], ["landing.feed_id", "landing.sha256"]),
)

outcome: Final = _table(
    "outcome",
    _code("feed_id"),
    _code("landing_sha256"),
    _code("source_system"),
    *_report(),
    _code("document_currency", 3),
    _code("outcome", 16),
    _whole("lines"),
    _whole("gross_minor"),
    _code("content_hash"),
    _code("business_hash"),
    _code("journal_key", 16),
    _code("run_id", 128),
    PrimaryKeyConstraint("feed_id", "landing_sha256", "company", "report_id", "report_version", "document_currency"),
    ForeignKeyConstraint(["feed_id", "landing_sha256"], ["landing.feed_id", "landing.sha256"]),
    _one_of("outcome", model.OUTCOMES),
    CheckConstraint(column("lines") >= 0),
    Index("outcome_report", "report_id"),
    Index("outcome_run", "run_id"),
)

reject: Final = _table(
    "reject",
    _serial(),
    _code("feed_id"),
    _code("landing_sha256"),
    _code("run_id", 128),
    _code("rejected_at", 32),
    *_report(),
    _whole("line_no"),
    _whole("source_row"),
    _code("code", 40),
    _code("outcome", 16),
    _code("field", 64),
    _long("value"),
    _long("reason"),
    _code("owner", 64),
    _long("next_step"),
    ForeignKeyConstraint(["feed_id", "landing_sha256"], ["landing.feed_id", "landing.sha256"]),
    Index("reject_landing", "feed_id", "landing_sha256"),
    Index("reject_report", "report_id"),
)

invoice: Final = _table(
    "invoice",
    _code("invoice_key"),
    _code("source_system"),
    *_report(),
    _code("run_id", 128),
    PrimaryKeyConstraint("source_system", "invoice_key", "company", "report_id", "report_version"),
    CheckConstraint("length(invoice_key) = 64"),
)

journal: Final = _table(
    "journal",
    _code("journal_id"),
    _code("journal_key", 16),
    *_report(),
    _code("purpose", 40),
    _code("employee_id", 200),
    _code("document_date", 10),
    _code("posting_date", 10),
    _code("original_date", 10),
    _code("period", 7),
    _code("currency", 3),
    _code("base_currency", 3),
    _code("rate", 40),
    _code("rate_date", 10),
    _long("rate_source"),
    _long("description"),
    _whole("lines"),
    _whole("debit_minor"),
    _whole("base_debit_minor"),
    _whole("rounding_minor"),
    _code("belongs_to", 16),
    _code("content_hash"),
    _code("reversal_of", 16),
    _code("feed_id"),
    _code("source_system"),
    _code("mapping_digest"),
    _code("code_version", 40),
    _code("made_at", 32),
    PrimaryKeyConstraint("journal_key"),
    CheckConstraint("length(journal_key) = 16 AND length(journal_id) = 64"),
    CheckConstraint(column("lines") > 0),
    Index("journal_report", "report_id"),
    Index("journal_period", "feed_id", "period"),
)

batch: Final = _table(
    "batch",
    _code("batch_id", 50),
    _whole("batch_no"),
    _code("feed_id"),
    _code("target"),
    _whole("seq"),
    _code("company"),
    _code("period", 7),
    _code("sha256"),
    _long("folder"),
    _whole("journals"),
    _whole("lines"),
    _long("totals"),
    _code("state", 16),
    _whole("epoch"),
    _code("token", 128),
    _code("run_id", 128),
    _code("sealed_at", 32),
    _code("published_at", 32),
    PrimaryKeyConstraint("batch_id"),
    UniqueConstraint("target", "seq"),
    UniqueConstraint("target", "batch_no"),
    _one_of("state", model.BATCH_STATES),
    CheckConstraint("length(sha256) = 64 AND batch_no > 0 AND batch_no <= 1000000000000000 AND journals > 0"),
    Index("batch_period", "feed_id", "period"),
)

batch_member: Final = _table(
    "batch_member",
    _code("batch_id", 50),
    _code("journal_key", 16),
    _code("state", 16),
    _code("erp_document", 128),
    _code("code", 64),
    _long("message"),
    PrimaryKeyConstraint("batch_id", "journal_key"),
    ForeignKeyConstraint(["batch_id"], ["batch.batch_id"]),
    ForeignKeyConstraint(["journal_key"], ["journal.journal_key"]),
    _one_of("state", MEMBER_STATES),
)

acknowledgement: Final = _table(
    "acknowledgement",
    _code("content_hash"),
    _code("batch_id", 50),
    _whole("posted"),
    _whole("rejected"),
    _code("received_at", 32),
    PrimaryKeyConstraint("batch_id", "content_hash"),
)

run: Final = _table(
    "run",
    _code("run_id", 128),
    _code("feed_id"),
    _code("started_at", 32),
    _code("finished_at", 32),
    _long("summary"),
    _long("conservation"),
    PrimaryKeyConstraint("run_id"),
    Index("run_feed", "feed_id", "started_at"),
)

reconciliation: Final = _table(
    "reconciliation",
    _serial(),
    _code("feed_id"),
    _code("period", 7),
    _long("totals"),
    _long("breaks"),
    _code("at", 32),
    Index("reconciliation_feed", "feed_id", "period"),
)

comparison: Final = _table(
    "comparison",
    _serial(),
    _code("feed_id"),
    _code("period", 7),
    _code("profile"),
    _code("mapping_digest"),
    _code("landings_digest"),
    _code("legacy_sha256"),
    _long("counts"),
    _code("at", 32),
    Index("comparison_feed", "feed_id", "period"),
)

sign_off: Final = _table(
    "sign_off",
    _code("feed_id"),
    _code("period", 7),
    _code("profile"),
    _code("mapping_digest"),
    _code("legacy_sha256"),
    _long("counts"),
    _code("signed_by", 128),
    _long("reason"),
    _code("at", 32),
    PrimaryKeyConstraint("feed_id"),
)

watermark: Final = _table(
    "watermark",
    _code("feed_id"),
    _code("updated_at", 32),
    _code("report_id", 200),
    PrimaryKeyConstraint("feed_id"),
)

# What one person asks for and another approves. `facts` is what was shown, `sha256` its digest.
request: Final = _table(
    "request",
    _serial(),
    _code("action", 16),
    _code("feed_id"),
    _code("subject", 300),
    _long("facts"),
    _code("sha256"),
    _code("requested_by", 128),
    _long("reason"),
    _code("at", 32),
    UniqueConstraint("id", "requested_by"),
    CheckConstraint("length(sha256) = 64 AND requested_by <> ''"),
)

approval: Final = _table(
    "approval",
    Column("request_id", BigInteger, primary_key=True, autoincrement=False),
    _code("requested_by", 128),
    _code("approved_by", 128),
    _code("sha256"),
    _long("reason"),
    _code("at", 32),
    ForeignKeyConstraint(["request_id", "requested_by"], ["request.id", "request.requested_by"]),
    CheckConstraint("approved_by <> '' AND approved_by <> requested_by"),
)
