"""What may change in the store, enforced by the database: append-only tables, fixed columns, allowed state changes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from sqlalchemy.engine import Connection

# Nothing ever leaves; these tables take no changes either.
KEPT: Final = ("landing", "outcome", "journal", "batch", "batch_member", "run", "audit_head")
APPEND_ONLY: Final = (
    "receipt", "reject", "invoice", "acknowledgement", "reconciliation", "comparison", "sign_off", "audit", "request",
    "approval",
)  # fmt: skip
FIXED: Final = {
    "landing": ("feed_id", "sha256", "size", "seq"),
    "batch": ("batch_id", "batch_no", "feed_id", "target", "seq", "company", "period", "sha256", "journals", "lines"),
    "batch_member": ("batch_id", "journal_key"),
    "outcome": (
        "feed_id", "landing_sha256", "source_system", "company", "report_id", "report_version", "document_currency",
    ),
}  # fmt: skip
EDGES: Final = {
    # a file is read once; what is parked may be built or refused, a refused one may be read again after a mend
    "landing": {
        "landed": ("built", "held", "rejected", "duplicate"), "held": ("built", "landed", "rejected"),
        "rejected": ("landed",), "built": ("landed",), "duplicate": (),
    },
    "batch": {
        "sealed": ("publishing",), "publishing": ("published",),
        "published": ("acknowledged", "sealed"),  # sealed: two persons say that it was never received
        "acknowledged": ("reconciled",), "reconciled": (),
    },
    # the ERP's people may mend and import a refused journal: rejected -> posted, unless it lives in another batch;
    # a refused one that a corrected version replaces is void
    "batch_member": {
        "sealed": ("posted", "rejected", "unknown", "void"), "unknown": ("posted", "rejected", "void"),
        "rejected": ("posted", "void"), "posted": (), "void": (),
    },
}  # fmt: skip
_MARIADB: Final = ("mysql", "mariadb")
# A report version is accepted once per source system; a journal lives in one batch and is reversed once,
# one that holds several reports once for each.
_ACCEPTED: Final = "source_system, company, report_id, report_version, document_currency"
_DEAD: Final = "state IN ('rejected', 'void')"
_ONCE: Final = (
    f"CREATE UNIQUE INDEX outcome_accepted_once ON outcome ({_ACCEPTED}) WHERE outcome = 'accepted'",
    f"CREATE UNIQUE INDEX batch_member_live_once ON batch_member (journal_key) WHERE NOT ({_DEAD})",
    "CREATE UNIQUE INDEX journal_reversed_once ON journal (reversal_of, report_id) WHERE reversal_of <> ''",
)
# MariaDB has no partial unique index: a generated column that is NULL where the rule does not apply.
_ONCE_MARIADB: Final = (
    f"ALTER TABLE outcome ADD COLUMN accepted_key char(64) AS (CASE WHEN outcome = 'accepted' THEN "
    f"SHA2(CONCAT_WS(CHAR(31), {_ACCEPTED}), 256) END) "
    "PERSISTENT, ADD UNIQUE INDEX outcome_accepted_once (accepted_key)",
    f"ALTER TABLE batch_member ADD COLUMN live_key varchar(16) AS (CASE WHEN {_DEAD} THEN NULL ELSE journal_key END) "
    "PERSISTENT, ADD UNIQUE INDEX batch_member_live_once (live_key)",
    "ALTER TABLE journal ADD COLUMN reversed_key varchar(16) AS (CASE WHEN reversal_of <> '' THEN reversal_of END) "
    "PERSISTENT, ADD UNIQUE INDEX journal_reversed_once (reversed_key, report_id)",
)


def enforce(connection: Connection) -> None:
    """Create the unique indexes and the triggers of this database's kind; once, right after the tables."""
    for statement in (*once(connection.dialect.name), *triggers(connection.dialect.name)):
        connection.exec_driver_sql(statement)


def renew(connection: Connection) -> None:
    """The triggers anew, in a store whose tables changed."""
    for statement in connection.exec_driver_sql(_DROPS[_family(connection.dialect.name)]).scalars().all():
        connection.exec_driver_sql(statement)
    for statement in triggers(connection.dialect.name):
        connection.exec_driver_sql(statement)


def once(dialect: str) -> tuple[str, ...]:
    """The statements that make the partial unique indexes."""
    return _ONCE_MARIADB if dialect in _MARIADB else _ONCE


def triggers(dialect: str) -> Iterator[str]:
    """The statements that make the triggers, in order."""
    if dialect == "postgresql":
        yield (
            "CREATE OR REPLACE FUNCTION claimpost_refuse() RETURNS trigger LANGUAGE plpgsql AS $$ "
            "BEGIN RAISE EXCEPTION USING MESSAGE = TG_ARGV[0], ERRCODE = 'check_violation'; END $$"
        )
        yield (
            "CREATE OR REPLACE FUNCTION claimpost_agreed() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
            f"IF {_NOT_AGREED} THEN "
            "RAISE EXCEPTION USING MESSAGE = TG_ARGV[0], ERRCODE = 'check_violation'; END IF; "
            "RETURN NEW; END $$"
        )
        yield (  # a WHEN of PostgreSQL holds no subquery
            f"CREATE TRIGGER batch_update_again BEFORE UPDATE ON batch FOR EACH ROW WHEN ({_AGAIN}) "
            f"EXECUTE FUNCTION claimpost_agreed('{_TOLD_AGAIN}')"
        )
        for table in (*KEPT, *APPEND_ONLY):
            yield (
                f"CREATE TRIGGER {table}_truncate BEFORE TRUNCATE ON {table} FOR EACH STATEMENT "
                f"EXECUTE FUNCTION claimpost_refuse('{table} is never emptied')"
            )
    for number, (table, event, condition, message) in enumerate(_refusals()):
        yield _trigger(dialect, f"{table}_{event.lower()}_{number}", table, event, condition, message)
    if dialect != "postgresql":
        yield _trigger(dialect, "batch_update_again", "batch", "UPDATE", f"{_AGAIN} AND {_NOT_AGREED}", _TOLD_AGAIN)


# A delivered batch goes out again only by an approval that is younger than its delivery.
_AGAIN: Final = "OLD.state = 'published' AND NEW.state = 'sealed'"
_NOT_AGREED: Final = (
    "NOT EXISTS (SELECT 1 FROM request r JOIN approval a ON a.request_id = r.id WHERE r.action = 'redeliver' "
    "AND r.subject = OLD.batch_id AND a.at > OLD.published_at)"
)
_TOLD_AGAIN: Final = "batch: nobody approved to deliver it again"
# Statements that make the statements that drop our triggers.
_DROPS: Final = {
    "sqlite": "SELECT 'DROP TRIGGER ' || name FROM sqlite_master WHERE type = 'trigger'",
    "postgresql": "SELECT format('DROP TRIGGER %%I ON %%I', t.tgname, c.relname) FROM pg_trigger t JOIN pg_class c "
    "ON c.oid = t.tgrelid JOIN pg_proc p ON p.oid = t.tgfoid "
    "WHERE p.proname IN ('claimpost_refuse', 'claimpost_agreed') AND c.relnamespace = current_schema()::regnamespace",
    "mysql": "SELECT CONCAT('DROP TRIGGER ', trigger_name) FROM information_schema.triggers "
    "WHERE trigger_schema = DATABASE()",
}  # fmt: skip


def _family(dialect: str) -> str:
    return "mysql" if dialect in _MARIADB else dialect


def _refusals() -> Iterator[tuple[str, str, str, str]]:
    """Table, event, condition and the sentence the database answers with."""
    for table in (*KEPT, *APPEND_ONLY):
        yield table, "DELETE", "1 = 1", f"{table} is never deleted from"
    for table in (*APPEND_ONLY, "journal"):
        yield table, "UPDATE", "1 = 1", f"{table} is append-only"
    for table, columns in FIXED.items():
        yield table, "UPDATE", " OR ".join(f"OLD.{c} <> NEW.{c}" for c in columns), f"{table}: this column is fixed"
    for table, edges in EDGES.items():
        allowed = [f"(OLD.state = '{old}' AND NEW.state = '{new}')" for old, news in edges.items() for new in news]
        yield table, "UPDATE", f"OLD.state <> NEW.state AND NOT ({' OR '.join(allowed)})", f"{table}: no such step"
    yield "outcome", "UPDATE", "OLD.outcome <> 'quarantined'", "outcome: only a quarantined one may change"


def _trigger(dialect: str, name: str, table: str, event: str, condition: str, message: str) -> str:
    if dialect == "sqlite":
        return (
            f"CREATE TRIGGER {name} BEFORE {event} ON {table} WHEN {condition} "
            f"BEGIN SELECT RAISE(ABORT, '{message}'); END"
        )
    if dialect == "postgresql":
        return (
            f"CREATE TRIGGER {name} BEFORE {event} ON {table} FOR EACH ROW WHEN ({condition}) "
            f"EXECUTE FUNCTION claimpost_refuse('{message}')"
        )
    return (
        f"CREATE TRIGGER {name} BEFORE {event} ON {table} FOR EACH ROW "
        f"BEGIN IF {condition} THEN SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = '{message}'; END IF; END"
    )
