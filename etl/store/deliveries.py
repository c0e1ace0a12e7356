"""Batches on their way: epochs, compare-and-set of states, and the ERP's answers."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import pandas as pd
from sqlalchemy import and_, insert, select, update
from sqlalchemy.engine import Connection

from etl import model
from etl.errors import ConfigurationError, ConflictError
from etl.store import audit, frames
from etl.store import tables as t

# The ERP's answer -> what the journal in the batch becomes; received and parked are no answer yet.
_STATE_OF: Final = {"posted": "posted", "rejected": "rejected", "sibling": "rejected"}
STRANGERS_TOLD_MAX: Final = 5
_MEMBER: Final = [t.batch_member.c[name] for name in ("journal_key", "state", "erp_document")]
_OPEN: Final = ("sealed", "unknown")
_DEAD: Final = ("rejected", "void")


@dataclass(frozen=True)
class Batch:
    """A sealed batch and how far its delivery is; `totals` is what was sealed."""

    batch_id: str
    batch_no: int
    feed_id: str
    target: str
    seq: int
    company: str
    period: str
    sha256: str
    folder: str
    journals: int
    lines: int
    totals: Mapping[str, Any]
    state: str
    epoch: int
    token: str
    run_id: str
    sealed_at: str
    published_at: str


@dataclass(frozen=True)
class Acknowledged:
    """What an acknowledgement changed: journals newly posted and rejected, keys that are not in the batch."""

    new: bool
    posted: int
    rejected: int
    strangers: tuple[str, ...]
    state: str


def batches(
    connection: Connection,
    feed_id: str = "",
    states: Sequence[str] = (),
    target: str = "",
    ids: Sequence[str] = (),
    period: str = "",
) -> list[Batch]:
    statement = select(t.batch).order_by(t.batch.c.target, t.batch.c.seq)
    for name, value in (("feed_id", feed_id), ("target", target), ("period", period)):
        if value:
            statement = statement.where(t.batch.c[name] == value)
    for name, values in (("state", states), ("batch_id", ids)):
        if values:
            statement = statement.where(t.batch.c[name].in_(values))
    return [Batch(**{**row, "totals": json.loads(row["totals"])}) for row in connection.execute(statement).mappings()]


def batch(connection: Connection, batch_id: str) -> Batch:
    found = batches(connection, ids=[batch_id])
    if not found:
        raise ConfigurationError("NOT_FOUND", field="batch", value=batch_id)
    return found[0]


def begin(connection: Connection, batch_id: str, at: str) -> Batch:
    here = t.batch.c.batch_id == batch_id
    connection.execute(update(t.batch).where(here).values(epoch=t.batch.c.epoch + 1))
    found = batch(connection, batch_id)
    audit.append(connection, at, "delivery", batch_id, f"epoch {found.epoch}", seals=("batch",))
    return found


def move(
    connection: Connection, batch_id: str, before: str, after: str, at: str, epoch: int | None = None, token: str = ""
) -> bool:
    statement = update(t.batch).where(t.batch.c.batch_id == batch_id, t.batch.c.state == before)
    if epoch is not None:
        statement = statement.where(t.batch.c.epoch == epoch)
    values = {
        "state": after,
        **({"token": token} if token else {}),
        **({"published_at": at} if after == "published" else {}),
    }
    if connection.execute(statement.values(**values)).rowcount != 1:
        return False
    audit.append(connection, at, after, batch_id, token, seals=("batch",))
    return True


def mark_unknown(connection: Connection, batch_id: str, at: str) -> int:
    where = (t.batch_member.c.batch_id == batch_id, t.batch_member.c.state == "sealed")
    count = connection.execute(update(t.batch_member).where(*where).values(state="unknown")).rowcount
    if count:
        audit.append(connection, at, "overdue", batch_id, f"{count} journals unanswered", seals=("members",))
    return count


# --- acknowledgements


def acknowledge(connection: Connection, batch_id: str, answers: pd.DataFrame, at: str) -> Acknowledged:
    """Apply answers to the members of a batch; the same answers again change nothing."""
    connection.execute(select(t.batch.c.batch_id).where(t.batch.c.batch_id == batch_id).with_for_update())
    found = batch(connection, batch_id)
    _note(connection, batch_id, answers[~answers["level"].isin(list(_STATE_OF))])
    answers = answers[answers["level"].isin(list(_STATE_OF))]
    content = model.digest(*["\x1e".join(row) for row in sorted(_texts(answers))])
    seen = (t.acknowledgement.c.batch_id == batch_id, t.acknowledgement.c.content_hash == content)
    members = frames.read(connection, select(*_MEMBER).where(t.batch_member.c.batch_id == batch_id))
    strangers = tuple(sorted(set(answers["journal_key"]) - set(members["journal_key"])))
    if not len(answers) or connection.execute(select(t.acknowledgement).where(*seen)).first():
        return Acknowledged(False, 0, 0, strangers, found.state)
    changes = _changes(members, answers)
    _refuse_two_places(connection, batch_id, changes)
    _apply(connection, batch_id, changes)
    posted, rejected = (int((changes["level"] == level).sum()) for level in ("posted", "rejected"))
    row = {"content_hash": content, "batch_id": batch_id, "received_at": at, "posted": posted, "rejected": rejected}
    connection.execute(insert(t.acknowledgement), row)
    told = f"{posted} posted, {rejected} rejected"
    audit.append(connection, at, "acknowledgement", batch_id, told, seals=("members",))
    if strangers:
        audit.append(connection, at, "strangers", batch_id, _named(answers[answers["journal_key"].isin(strangers)]))
    return Acknowledged(True, posted, rejected, strangers, _complete(connection, found, at))


def _note(connection: Connection, batch_id: str, answers: pd.DataFrame) -> None:
    """Keep what the ERP says of journals that it has neither posted nor refused; their state stays."""
    said = answers.drop_duplicates("journal_key", keep="last")[["journal_key", "code", "message"]]
    if not len(said):
        return
    with frames.temporary(connection, "answer", said.reset_index(drop=True)) as answer:
        join = (t.batch_member.c.batch_id == batch_id, t.batch_member.c.journal_key == answer.c.journal_key)
        new = {name: answer.c[name] for name in ("code", "message")}
        connection.execute(update(t.batch_member).where(*join, t.batch_member.c.state.in_(_OPEN)).values(new))


def _named(answers: pd.DataFrame) -> str:
    """Answers for no journal of the batch, as an event tells them: the first few, with what the ERP says."""
    told = ["".join(f"{c} " for c in row if c).strip() for row in _texts(answers)]
    return "; ".join([*told[:STRANGERS_TOLD_MAX], *(["..."] if told[STRANGERS_TOLD_MAX:] else [])])


def _texts(answers: pd.DataFrame) -> list[tuple[str, ...]]:
    return list(answers[model.ACKNOWLEDGEMENT_COLUMNS].itertuples(index=False, name=None))


def _changes(members: pd.DataFrame, answers: pd.DataFrame) -> pd.DataFrame:
    """Members whose state changes. Raises ConflictError ANSWER_CHANGED."""
    answers = answers.assign(level=model.texts(answers["level"].map(_STATE_OF)).set_axis(answers.index))
    twice = answers[answers["journal_key"].duplicated(keep=False) & (answers["level"] == "posted")]
    posted = answers.sort_values(["journal_key", "level"], kind="stable").drop_duplicates("journal_key")
    both = posted.merge(members, on="journal_key", how="inner", suffixes=("", "_known"), validate="1:1")
    final = both["state"] == "posted"
    other = both[final & ((both["level"] != "posted") | (both["erp_document"] != both["erp_document_known"]))]
    for key in [*_two_documents(twice), *other["journal_key"]]:
        known = ", ".join(sorted({*both.loc[both["journal_key"] == key, "erp_document_known"]} - {""}))
        new = ", ".join(sorted(set(answers.loc[answers["journal_key"] == key, "erp_document"]) - {""}))
        raise ConflictError("ANSWER_CHANGED", value=key, detail=f"document {known or 'none'}, now {new or 'refused'}")
    # A void journal was given up here; what the ERP says of it after all, reconciliation finds in its ledger.
    return both[~final & (both["state"] != "void") & (both["state"] != both["level"])]


def _refuse_two_places(connection: Connection, batch_id: str, changes: pd.DataFrame) -> None:
    """Raises ConflictError ANSWER_CHANGED for a journal that was refused, went on in another batch, and is posted."""
    posted = set(changes.loc[(changes["level"] == "posted") & (changes["state"] == "rejected"), "journal_key"])
    here, other = t.batch_member.alias(), t.batch_member
    live = (
        select(other.c.journal_key, other.c.batch_id)
        .join_from(other, here, and_(here.c.batch_id == batch_id, here.c.journal_key == other.c.journal_key))
        .where(other.c.batch_id != batch_id, other.c.state.not_in(_DEAD))
        .order_by(other.c.journal_key)
    )
    for key, elsewhere in connection.execute(live) if posted else ():
        if key in posted:
            document = changes.loc[changes["journal_key"] == key, "erp_document"].iat[0]
            detail = f"refused in {batch_id}, so it goes in {elsewhere}; now {batch_id} has document {document}"
            raise ConflictError("ANSWER_CHANGED", value=key, detail=detail)


def _two_documents(twice: pd.DataFrame) -> list[str]:
    pairs = twice[["journal_key", "erp_document"]].drop_duplicates()
    return sorted(set(pairs.loc[pairs["journal_key"].duplicated(), "journal_key"]))


def _apply(connection: Connection, batch_id: str, changes: pd.DataFrame) -> None:
    if not len(changes):
        return
    rows = changes[["journal_key", "level", "erp_document", "code", "message"]].rename(columns={"level": "state"})
    with frames.temporary(connection, "answer", rows.reset_index(drop=True)) as answer:
        join = (t.batch_member.c.batch_id == batch_id, t.batch_member.c.journal_key == answer.c.journal_key)
        new = {name: answer.c[name] for name in ("state", "erp_document", "code", "message")}
        connection.execute(update(t.batch_member).where(*join).values(new))


def _complete(connection: Connection, found: Batch, at: str) -> str:
    """An answer proves that the batch arrived; answers to all of it complete it. An early answer is as good."""
    state = found.state
    for before, after in (("sealed", "publishing"), ("publishing", "published")):
        if state == before and move(connection, found.batch_id, before, after, at):
            state = after
    left = (t.batch_member.c.batch_id == found.batch_id, t.batch_member.c.state.in_(_OPEN))
    if (
        state == "published"
        and connection.execute(select(t.batch_member.c.state).where(*left).limit(1)).first() is None
    ):
        state = "acknowledged" if move(connection, found.batch_id, "published", "acknowledged", at) else state
    return state
