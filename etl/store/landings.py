"""Landings and receipts: which content came, under which names, and how far it got."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import func, insert, select, update
from sqlalchemy.engine import Connection

from etl.errors import ConfigurationError
from etl.model import ControlTotals
from etl.store import audit
from etl.store import tables as t


@dataclass(frozen=True)
class Landing:
    """One received content of one feed; `totals` is what the reader counted, by name."""

    feed_id: str
    sha256: str
    name: str
    size: int
    state: str
    fingerprint: str
    totals: Mapping[str, Any]
    reason: str
    seq: int
    landed_at: str

    @property
    def control_totals(self) -> ControlTotals:
        """What the reader counted of a landing that was built, or is a duplicate."""
        return ControlTotals(self.totals["reports"], self.totals["lines"], self.totals["gross"])


@dataclass(frozen=True)
class Registered:
    """The answer to a registration: whether the content is new to the feed, and the landing's state."""

    new: bool
    state: str
    seq: int


def register(
    connection: Connection, feed_id: str, sha256: str, name: str, size: int, run_id: str, at: str
) -> Registered:
    known = landing(connection, feed_id, sha256)
    if known is None:
        seq = 1 + last(connection)
        row = {"feed_id": feed_id, "sha256": sha256, "name": name, "size": size, "seq": seq, "landed_at": at}
        blank = {"state": "landed", "fingerprint": "", "totals": "{}", "reason": ""}
        connection.execute(insert(t.landing), {**row, **blank})
        audit.append(connection, at, "landed", audit.landing_subject(feed_id, sha256), name, seals=("landing",))
    receipt = {"feed_id": feed_id, "sha256": sha256, "name": name, "received_at": at, "run_id": run_id}
    connection.execute(insert(t.receipt), receipt)
    return Registered(False, known.state, known.seq) if known else Registered(True, "landed", seq)


def last(connection: Connection) -> int:
    """The place of the newest landing of all feeds; 0 before the first."""
    return int(connection.execute(select(func.max(t.landing.c.seq))).scalar() or 0)


def landing(connection: Connection, feed_id: str, sha256: str) -> Landing | None:
    where = (t.landing.c.feed_id == feed_id, t.landing.c.sha256 == sha256)
    row = connection.execute(select(t.landing).where(*where)).mappings().one_or_none()
    return _landing(row) if row else None


def landings(connection: Connection, feed_id: str, states: Sequence[str] = (), fingerprint: str = "") -> list[Landing]:
    statement = select(t.landing).where(t.landing.c.feed_id == feed_id).order_by(t.landing.c.seq)
    if states:
        statement = statement.where(t.landing.c.state.in_(states))
    if fingerprint:
        statement = statement.where(t.landing.c.fingerprint == fingerprint)
    return [_landing(row) for row in connection.execute(statement).mappings()]


def change(connection: Connection, feed_id: str, sha256: str, values: Mapping[str, str], at: str) -> bool:
    """Set what is given of a landing; out: whether its state or reason is another one now, which is an event."""
    here = (t.landing.c.feed_id == feed_id, t.landing.c.sha256 == sha256)
    known = connection.execute(select(t.landing.c.state, t.landing.c.reason).where(*here)).mappings().one_or_none()
    if known is None:
        raise ConfigurationError("NOT_FOUND", field="landing", value=sha256)
    connection.execute(update(t.landing).where(*here).values(**values))
    if all(values.get(name, value) == value for name, value in known.items()):
        return False
    state = values.get("state", known["state"])
    decided(connection, feed_id, sha256, state, values.get("reason", ""), at)
    return True


def decided(connection: Connection, feed_id: str, sha256: str, event: str, detail: str, at: str) -> None:
    """Append the event that seals a landing and its outcomes as they are now."""
    subject = audit.landing_subject(feed_id, sha256)
    audit.append(connection, at, event, subject, detail, seals=("landing", "outcomes"))


def _landing(row: Any) -> Landing:
    return Landing(**{**row, "totals": json.loads(row["totals"])})
