"""The audit chain takes over from the events of batches; what needs a second person gets a request and an approval."""

from alembic import op
from sqlalchemy import column, insert, select, table

from etl.store import audit, rules
from etl.store import tables as t

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Make the tables, carry the history of batches over, and seal what stands in the store."""
    connection = op.get_bind()
    t.metadata.create_all(connection, tables=[t.audit, t.audit_head, t.request, t.approval, t.turn])
    connection.execute(insert(t.turn), {"id": 1})
    connection.execute(insert(t.audit_head), {"id": 1, "seq": 0, "h": audit.START})
    old = table("batch_event", *[column(name) for name in ("id", "batch_id", "event", "detail", "at")])
    for row in connection.execute(select(old).order_by(old.c.id)).mappings().all():
        audit.append(connection, row["at"], row["event"], row["batch_id"], row["detail"])
    for batch_id, at in connection.execute(select(t.batch.c.batch_id, t.batch.c.sealed_at)).all():
        audit.append(connection, at, "carried over", batch_id, seals=("batch", "members"))
    for *key, at in connection.execute(select(t.landing.c.feed_id, t.landing.c.sha256, t.landing.c.landed_at)).all():
        subject = audit.landing_subject(*key)
        audit.append(connection, at, "carried over", subject, seals=("landing", "outcomes"))
    op.drop_table("batch_event")
    op.drop_table("schema_version")
    rules.renew(connection)
