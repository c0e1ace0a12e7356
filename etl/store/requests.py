"""What one person asks for and another approves: the four eyes, as rows that never change."""

from __future__ import annotations

import datetime
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import func, insert, select
from sqlalchemy.engine import Connection

from etl import model
from etl.errors import ConfigurationError, PermanentError
from etl.store import audit
from etl.store import tables as t

ACTIONS: Final = ("release", "redeliver", "reverse", "discard")
VALID_HOURS: Final = 24  # after that what was shown is old: ask again
_ANSWER: Final = {"approved_by": "approved_by", "approved_at": "at", "agreed": "reason"}  # of an approval


@dataclass(frozen=True)
class Request:
    """One request: `facts` is what the requester was shown, `sha256` its digest; approved_by "" while it waits.

    approved_at and agreed are when and why the second person said yes.
    """

    id: int
    action: str
    feed_id: str
    subject: str
    facts: Mapping[str, Any]
    sha256: str
    requested_by: str
    reason: str
    at: str
    approved_by: str
    approved_at: str
    agreed: str


def ask(
    connection: Connection, action: str, feed_id: str, subject: str, facts: Mapping[str, Any], by: str, reason: str,
    at: str,
) -> Request:  # fmt: skip
    """Record a request; one that waits with the same action, subject and facts is given back."""
    text = json.dumps(facts, ensure_ascii=False, sort_keys=True)
    row = {"action": action, "feed_id": feed_id, "subject": subject, "facts": text, "sha256": model.digest(text)}
    for known in requests(connection, feed_id, waiting_at=at):
        if (known.action, known.subject, known.sha256) == (action, subject, row["sha256"]):
            return known
    row |= {"requested_by": by, "reason": reason, "at": at}
    number = connection.execute(insert(t.request).values(**row).returning(t.request.c.id)).scalar_one()
    audit.append(connection, at, f"{action} requested", _name(number), f"{subject}: {reason}", by)
    return request(connection, number)


def approve(connection: Connection, number: int, facts: Mapping[str, Any], by: str, reason: str, at: str) -> Request:
    """Record the second person's yes to what is true now. Raises PermanentError FOUR_EYES or REQUEST_STALE."""
    found = request(connection, number)
    if found.approved_by:
        return found
    if by == found.requested_by:
        raise PermanentError("FOUR_EYES", value=number, detail=by)
    digest = model.digest(json.dumps(facts, ensure_ascii=False, sort_keys=True))
    if digest != found.sha256:
        raise PermanentError("REQUEST_STALE", value=number, detail="what it is about has changed since")
    if at > expires(found):
        raise PermanentError("REQUEST_STALE", value=number, detail=f"it was valid until {expires(found)}")
    row = {"request_id": number, "requested_by": found.requested_by, "approved_by": by, "sha256": digest}
    connection.execute(insert(t.approval), {**row, "reason": reason, "at": at})
    audit.append(connection, at, f"{found.action} approved", _name(number), f"{found.subject}: {reason}", by)
    return request(connection, number)


def request(connection: Connection, number: int) -> Request:
    """One request; raises ConfigurationError NOT_FOUND."""
    for found in _read(connection, t.request.c.id == number):
        return found
    raise ConfigurationError("NOT_FOUND", field="request", value=number)


def requests(
    connection: Connection, feed_id: str = "", action: str = "", waiting_at: str = "", approved: bool = False
) -> list[Request]:
    """Requests of a feed, oldest first: all, those that still wait for somebody at a time, or the approved ones."""
    where = [t.request.c[n] == value for n, value in (("feed_id", feed_id), ("action", action)) if value]
    found = _read(connection, *where)
    if waiting_at:
        found = [one for one in found if not one.approved_by and waiting_at <= expires(one)]
    return [one for one in found if one.approved_by] if approved else found


def _read(connection: Connection, *where: Any) -> list[Request]:
    asked = [t.request.c[n] for n in Request.__dataclass_fields__ if n not in _ANSWER]
    answer = [func.coalesce(t.approval.c[column], "").label(name) for name, column in _ANSWER.items()]
    join = t.approval.c.request_id == t.request.c.id
    statement = select(*asked, *answer)
    statement = statement.select_from(t.request.outerjoin(t.approval, join)).where(*where).order_by(t.request.c.id)
    return [Request(**{**row, "facts": json.loads(row["facts"])}) for row in connection.execute(statement).mappings()]


def expires(found: Request) -> str:
    """The UTC time until which a request may be approved."""
    asked = datetime.datetime.strptime(found.at, "%Y-%m-%dT%H:%M:%S.%fZ")
    return (asked + datetime.timedelta(hours=VALID_HOURS)).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _name(number: int) -> str:
    return f"request {number}"
