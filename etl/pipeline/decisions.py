"""What two persons decided of a report that is booked: a document that lands like a file and withdraws the report.

Its bytes are made of the request and its approval, and lie under their sha256 like all that was landed. A landing is a
decision when its sha256 is that of an approved request: no file of a source can pass for one. The build reads it by
SOURCE and in everything else as it reads a withdrawal from the source.
"""

from __future__ import annotations

import dataclasses
import json
from hashlib import sha256
from typing import Any, Final

from etl import mapping, sources
from etl.config import Document
from etl.pipeline.context import LANDING, Context
from etl.store import Landing, Request

ACTION: Final = "reverse"
STATE: Final = "reversed"
_ANY: Final = {"pattern": ".+", "max": "200"}
# A document is for ever, for its sha256 is how it is known: a new form would need a name of its own.
_COLUMNS: Final = ("request", "company", "report_id", "report_version", "state", "currency", "gross", "decided_at")
SOURCE: Final = Document(
    {
        "source": "decision",
        "format": {
            "kind": "json", "decimal": ".", "times": ["%Y-%m-%dT%H:%M:%S.%fZ"],
            "records": {"array": "reports", "columns": {name: name for name in _COLUMNS}},
            "ignored": ["decision", "asked_by", "asked_at", "reason", "approved_by", "approved_at", "agreed"],
        },
        "fields": {
            "company": {"column": "company", **_ANY}, "report_id": {"column": "report_id", **_ANY},
            "report_version": {"column": "report_version", **_ANY}, "state": {"column": "state"},
            "document_currency": {"column": "currency"}, "gross_minor": {"column": "gross"},
            "updated_at": {"column": "decided_at"},
        },
    },
    "sources/decision.yml", {},
)  # fmt: skip


def land(context: Context) -> list[str]:
    """Land every approved decision of the feed that has not landed yet; out: their sha256, oldest first."""
    approved = made(context)
    if not approved:
        return []
    known = {landing.sha256 for landing in context.store.landings(context.feed_id)}
    new = [name for name in approved if name not in known]
    for name in new:
        content = document(approved[name])
        context.shelf.keep_landed(sources.keep(content, context.home / LANDING))
        title = f"decision-{approved[name].id}.json"
        context.store.register_landing(context.feed_id, name, title, len(content), context.run_id)
    return new


def made(context: Context) -> dict[str, Request]:
    """The approved decisions of the feed by the sha256 of their documents, oldest first."""
    approved = context.store.requests(context.feed_id, ACTION, approved=True)
    return {sha256(document(one)).hexdigest(): one for one in approved}


def document(request: Request) -> bytes:
    """The document of an approved request: who, when and why, and the report version with its gross per currency."""
    company, report_id, version = request.facts["version"]
    whole = {
        "decision": request.action, "asked_by": request.requested_by, "asked_at": request.at, "reason": request.reason,
        "approved_by": request.approved_by, "approved_at": request.approved_at, "agreed": request.agreed,
    }  # fmt: skip
    rows = [
        (str(request.id), company, report_id, version, STATE, currency, gross, request.approved_at)
        for currency, gross in sorted(request.facts["gross"].items())
    ]
    named: dict[str, Any] = {"reports": [dict(zip(_COLUMNS, row, strict=True)) for row in rows]}
    return (json.dumps({**whole, **named}, ensure_ascii=False, indent=1) + "\n").encode()


def told(request: Request) -> str:
    """Who decided and why, as a sentence."""
    asked, agreed = f"{request.requested_by} asked ({request.reason})", f"{request.approved_by} agreed"
    return f"{asked}, {agreed} ({request.agreed}) at {request.approved_at}"


def reading(context: Context, landing: Landing) -> Context:
    """The context with which a landing is read: the feed's own, or the one of decisions."""
    if landing.sha256 not in made(context):
        return context
    return dataclasses.replace(context, bundle=reader(context.bundle))


def reader(bundle: mapping.Bundle) -> mapping.Bundle:
    """A feed's bundle that reads decisions; what it books, and its digest, stay the feed's."""
    source = Document({**SOURCE, "source_system": bundle.source_system}, SOURCE.file, {})
    feed = {**bundle.feed, "checks": {**bundle.feed["checks"], "withdrawn": [STATE]}}
    return dataclasses.replace(bundle, source=source, feed=Document(feed, bundle.feed.file, bundle.feed.lines))
