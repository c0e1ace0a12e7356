"""What a build made of landings: outcomes, rejects, journals, batches. All or nothing, and repeatable."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import pandas as pd
from sqlalchemy import and_, func, insert, or_, select, update
from sqlalchemy.engine import Connection

from etl import model, transport
from etl.errors import ConflictError, TransientError
from etl.store import audit, frames, landings, reports
from etl.store import tables as t

OUTCOME_KEY: Final = [*model.REPORT_KEY, "document_currency"]
DECIDED: Final = (model.ACCEPTED, model.WITHDRAWN)
_OUTCOME: Final = [*OUTCOME_KEY, "outcome", "lines", "gross_minor", "content_hash", "business_hash"]
# `totals` is JSON text; the store adds the sequence number per target and the state.
BATCH_COLUMNS: Final = [
    "batch_id", "batch_no", "target", "company", "period", "sha256", "folder", "journals", "lines", "totals",
]  # fmt: skip
_BATCH_CONTENT: Final = ["batch_no", "target", "company", "period", "sha256", "journals", "lines"]


@dataclass(frozen=True)
class Build:
    """Everything one build decided, to be recorded in one transaction.

    `outcomes`: REPORT_KEY, document_currency, outcome, lines, gross_minor, content_hash, business_hash. `rejects`:
    model.REJECT_COLUMNS. Both also need landing_sha256 when there is more than one landing. `journals`:
    model.JOURNAL_COLUMNS. `members`: batch_id, journal_key. `reports`: model.JOURNAL_REPORT_COLUMNS. `invoices`:
    model.INVOICE_COLUMNS of accepted reports. `batches`: BATCH_COLUMNS. `state` is the landings' next. `voided`: keys
    of refused journals that an accepted version replaces. `known`: model.REPORT_KEY of the accepted and withdrawn
    versions of its reports, as they were when it was decided.
    """

    feed_id: str
    landings: tuple[str, ...]
    source_system: str
    run_id: str
    mapping_digest: str
    code_version: str
    outcomes: pd.DataFrame
    rejects: pd.DataFrame
    journals: pd.DataFrame
    members: pd.DataFrame
    batches: pd.DataFrame
    reports: pd.DataFrame
    invoices: pd.DataFrame = field(default_factory=lambda: pd.DataFrame(columns=model.INVOICE_COLUMNS, dtype="str"))
    state: str = "built"
    voided: tuple[str, ...] = ()
    known: pd.DataFrame = field(default_factory=lambda: pd.DataFrame(columns=model.REPORT_KEY, dtype="str"))


def record(connection: Connection, build: Build, at: str) -> bool:
    """Write what is not there yet; False when everything was. Raises ConflictError CONTENT_CHANGED.

    Raises TransientError TARGET_BUSY when another build decided versions of the same reports, or corrected the same
    journals, meanwhile.
    """
    assert build.landings, "a build is of at least one landing"
    outcomes = _of_landing(build, build.outcomes)[["landing_sha256", *_OUTCOME]]
    rejects = _of_landing(build, build.rejects)[["landing_sha256", *model.REJECT_COLUMNS]]
    changed = [
        sha256 for sha256 in build.landings if _record_outcomes(connection, build, sha256, outcomes, rejects, at)
    ]
    wrote = _record_journals(connection, build, at)
    sealed = _record_batches(connection, build, at)
    voided = _void(connection, build)
    _record_invoices(connection, build)
    for batch_id in sealed:
        audit.append(connection, at, "sealed", batch_id, build.run_id, seals=("batch", "members"))
    for batch_id, key in voided:
        audit.append(connection, at, "void", batch_id, f"{key} by {build.run_id}", seals=("members",))
    for sha256 in build.landings:
        told = landings.change(connection, build.feed_id, sha256, {"state": build.state}, at)
        if sha256 in changed and not told:
            landings.decided(connection, build.feed_id, sha256, "decided again", build.run_id, at)
    return bool(changed or wrote or sealed)


def record_again(connection: Connection, build: Build, at: str) -> bool:
    """Journals that the ERP refused, in new batches; False when these are there. Raises CONTENT_CHANGED."""
    sealed = _record_batches(connection, build, at)
    for batch_id in sealed:
        audit.append(connection, at, "sealed", batch_id, build.run_id, seals=("batch", "members"))
    return bool(sealed)


def _of_landing(build: Build, frame: pd.DataFrame) -> pd.DataFrame:
    if "landing_sha256" in frame.columns:
        strange = set(frame["landing_sha256"].unique()) - set(build.landings)
        assert not strange, f"rows of landings that are not in this build: {sorted(strange)}"
        return frame
    assert len(build.landings) == 1, "with several landings every row names its own"
    return frame.assign(landing_sha256=model.texts([build.landings[0]] * len(frame)).set_axis(frame.index))


# --- outcomes and rejects


def _record_outcomes(
    connection: Connection, build: Build, sha256: str, outcomes: pd.DataFrame, rejects: pd.DataFrame, at: str
) -> bool:
    """One landing's outcomes and reasons; a quarantined version may get another outcome, nothing else changes."""
    if len(build.landings) > 1:
        outcomes = outcomes[outcomes["landing_sha256"] == sha256]
        rejects = rejects[rejects["landing_sha256"] == sha256]
    here = (t.outcome.c.feed_id == build.feed_id, t.outcome.c.landing_sha256 == sha256)
    known = frames.read(connection, select(*[t.outcome.c[name] for name in _OUTCOME]).where(*here))
    if not len(known):
        _insert_outcomes(connection, build, outcomes)
    elif not _changed_outcomes(connection, build, sha256, outcomes, known, rejects):
        return False
    stamp = {"feed_id": build.feed_id, "run_id": build.run_id, "rejected_at": at}
    transport.insert_frame(connection, t.reject, rejects.assign(**stamp))
    return bool(len(outcomes) or len(rejects))


def _insert_outcomes(connection: Connection, build: Build, outcomes: pd.DataFrame) -> None:
    _refuse_overtaken(connection, build, outcomes)
    keys = _journal_keys(build, outcomes)
    stamp = {"feed_id": build.feed_id, "source_system": build.source_system, "run_id": build.run_id}
    rows = outcomes.reset_index(drop=True).assign(journal_key=keys, **stamp)
    transport.insert_frame(connection, t.outcome, rows)


def _refuse_overtaken(connection: Connection, build: Build, outcomes: pd.DataFrame) -> None:
    """A version that another build decided meanwhile of a report that this one books: it would have said otherwise.

    Builds are sealed one at a time, so of two that saw nothing of each other the second one is told to start over.
    """
    mine = outcomes.loc[outcomes["outcome"].isin(DECIDED), model.REPORT_KEY[:2]].drop_duplicates()
    elsewhere = or_(t.outcome.c.feed_id != build.feed_id, t.outcome.c.landing_sha256.not_in(build.landings))
    decided = select(*[t.outcome.c[name] for name in model.REPORT_KEY]).where(
        t.outcome.c.source_system == build.source_system, t.outcome.c.outcome.in_(DECIDED), elsewhere
    )
    with frames.temporary(connection, "asked", mine[["report_id"]].drop_duplicates()) as asked:
        found = frames.read(connection, decided.join(asked, asked.c.report_id == t.outcome.c.report_id))
    rows = found.merge(mine, on=model.REPORT_KEY[:2], validate="m:1")
    if not model.among(rows, build.known, model.REPORT_KEY).all():
        raise TransientError("TARGET_BUSY", value="the store", detail="another run decided the same reports")


def _journal_keys(build: Build, outcomes: pd.DataFrame) -> pd.Series:
    """The journal of each accepted row, "" for the others and for accepted ones without a journal."""
    links = build.reports[[*OUTCOME_KEY, "journal_key"]]
    keys = outcomes[OUTCOME_KEY].merge(links, how="left", on=OUTCOME_KEY, validate="m:1")["journal_key"]
    accepted = (outcomes["outcome"] == model.ACCEPTED).to_numpy()
    return model.texts(keys.fillna("").where(accepted, ""))


def _changed_outcomes(
    connection: Connection,
    build: Build,
    sha256: str,
    outcomes: pd.DataFrame,
    known: pd.DataFrame,
    rejects: pd.DataFrame,
) -> bool:
    """Compare with what is recorded, change what may change; False when nothing differs."""
    if _same(outcomes[_OUTCOME], known) and _same(rejects[model.REJECT_COLUMNS], current(connection, build, sha256)):
        return False
    both = outcomes.merge(known, how="outer", on=OUTCOME_KEY, suffixes=("", "_known"), validate="1:1", indicator=True)
    gone = both[both["_merge"] != "both"]
    content = (both["lines"] != both["lines_known"]) | (both["gross_minor"] != both["gross_minor_known"])
    content |= both["content_hash"] != both["content_hash_known"]
    moved = both["outcome"] != both["outcome_known"]
    wrong = pd.concat([gone, both[content | (moved & (both["outcome_known"] != model.QUARANTINED))]])
    if len(wrong):
        raise ConflictError("CONTENT_CHANGED", field="report", value=str(wrong["report_id"].iloc[0]))
    _move_outcomes(connection, build, sha256, both[both["outcome_known"] == model.QUARANTINED])
    return True


def _move_outcomes(connection: Connection, build: Build, sha256: str, rows: pd.DataFrame) -> None:
    """Quarantined versions get the outcome and run of this build; one statement each, they are the few."""
    _refuse_overtaken(connection, build, rows)
    keys = _journal_keys(build, rows)
    names = [*OUTCOME_KEY, "outcome"]
    for row, key in zip(rows[names].itertuples(index=False, name=None), keys, strict=True):
        where = [t.outcome.c[name] == value for name, value in zip(OUTCOME_KEY, row, strict=False)]
        where += [t.outcome.c.feed_id == build.feed_id, t.outcome.c.landing_sha256 == sha256]
        new = {"outcome": row[-1], "journal_key": key, "run_id": build.run_id}
        connection.execute(update(t.outcome).where(*where).values(**new))


def current(connection: Connection, build: Build, sha256: str) -> pd.DataFrame:
    """The reasons that hold now: those of the run that last decided the report version's outcome."""
    join = [
        t.reject.c[name] == t.outcome.c[name] for name in ("feed_id", "landing_sha256", "run_id", *model.REPORT_KEY)
    ]
    statement = select(*[t.reject.c[name] for name in model.REJECT_COLUMNS]).distinct()
    statement = statement.where(t.reject.c.feed_id == build.feed_id, t.reject.c.landing_sha256 == sha256)
    return frames.read(connection, statement.join(t.outcome, onclause=and_(*join)))


def _same(left: pd.DataFrame, right: pd.DataFrame) -> bool:
    """Whether two frames of the same columns hold the same rows in any order."""
    if len(left) != len(right):
        return False
    columns = list(left.columns)
    a, b = (f[columns].sort_values(columns).reset_index(drop=True) for f in (left, right))
    return bool(np.all([(a[c].to_numpy() == b[c].to_numpy()).all() for c in columns])) if len(a) else True


# --- journals, batches, members


def _record_journals(connection: Connection, build: Build, at: str) -> bool:
    journals = build.journals
    if not len(journals):
        return False
    _refuse_reversed(connection, build)
    columns = [t.journal.c.journal_key, t.journal.c.content_hash]
    with frames.temporary(connection, "wanted", journals[["journal_key"]]) as wanted:
        join = wanted.c.journal_key == t.journal.c.journal_key
        known = frames.read(connection, select(*columns).join(wanted, join))
    if len(known):
        both = journals[["journal_key", "content_hash"]].merge(known, on="journal_key", validate="1:1")
        other = both[both["content_hash_x"] != both["content_hash_y"]]
        if len(other):
            raise ConflictError("CONTENT_CHANGED", field="journal", value=str(other["journal_key"].iloc[0]))
        journals = journals[~journals["journal_key"].isin(known["journal_key"])]
    stamp = {"feed_id": build.feed_id, "source_system": build.source_system, "made_at": at}
    stamp |= {"mapping_digest": build.mapping_digest, "code_version": build.code_version}
    return bool(transport.insert_frame(connection, t.journal, journals[model.JOURNAL_COLUMNS].assign(**stamp)))


def _refuse_reversed(connection: Connection, build: Build) -> None:
    """A reversal that another build has sealed meanwhile: what this one decided rests on a past that is over."""
    reversals = build.journals.loc[build.journals["reversal_of"] != "", ["reversal_of", "report_id"]]
    mine = set(reversals.itertuples(index=False, name=None))
    columns = (t.journal.c.reversal_of, t.journal.c.report_id, t.batch_member.c.batch_id)
    join = t.batch_member.c.journal_key == t.journal.c.journal_key
    for part in frames.in_parts(reversals["reversal_of"].tolist()):
        found = connection.execute(select(*columns).join(t.batch_member, join).where(t.journal.c.reversal_of.in_(part)))
        if any(row[:2] in mine and row[2] not in set(build.batches["batch_id"]) for row in found):
            raise TransientError("TARGET_BUSY", value="the store", detail="another run corrected the same reports")


def _void(connection: Connection, build: Build) -> list[tuple[str, str]]:
    """Journals that the ERP refused and that a corrected version replaces are void for ever; out: batch and key."""
    voided: list[tuple[str, str]] = []
    for part in frames.in_parts(build.voided):
        mine = t.batch_member.c.journal_key.in_(part)
        refused = select(t.batch_member.c.batch_id, t.batch_member.c.journal_key)
        rows = connection.execute(refused.where(mine, t.batch_member.c.state == "rejected")).all()
        posted = connection.execute(refused.where(mine, t.batch_member.c.state.not_in(("rejected", "void")))).first()
        if posted:
            raise TransientError("TARGET_BUSY", value="the store", detail="the ERP posted a refused journal after all")
        for batch_id, key in rows:
            here = (t.batch_member.c.batch_id == batch_id, t.batch_member.c.journal_key == key)
            connection.execute(update(t.batch_member).where(*here).values(state="void"))
            voided.append((batch_id, key))
    return voided


def _record_invoices(connection: Connection, build: Build) -> None:
    """Which report claims which invoice; what stands there already stays."""
    if not len(build.invoices):
        return
    known = reports.invoice_claims(connection, build.source_system, build.invoices["invoice_key"].tolist())
    both = build.invoices.merge(known, how="left", on=model.INVOICE_COLUMNS, indicator=True, validate="m:1")
    new = both.loc[both["_merge"] == "left_only", model.INVOICE_COLUMNS].drop_duplicates()
    stamp = {"source_system": build.source_system, "run_id": build.run_id}
    transport.insert_frame(connection, t.invoice, new.reset_index(drop=True).assign(**stamp))


def _record_batches(connection: Connection, build: Build, at: str) -> list[str]:
    """Batches that are not there yet, with their members; out: their ids."""
    new = [
        batch["batch_id"]
        for batch in build.batches[BATCH_COLUMNS].to_dict("records")
        if _record_batch(connection, build, batch, at)
    ]
    # In order of their keys: an index takes sorted rows three times as fast.
    members = build.members[build.members["batch_id"].isin(new)].sort_values("journal_key", ignore_index=True)
    blank = {"state": "sealed", "erp_document": "", "code": "", "message": ""}
    transport.insert_frame(connection, t.batch_member, members[["batch_id", "journal_key"]].assign(**blank))
    return new


def _record_batch(connection: Connection, build: Build, batch: dict[Any, Any], at: str) -> bool:
    """One batch; False when it is there with the same content and the same members."""
    here = t.batch.c.batch_id == batch["batch_id"]
    known = (
        connection.execute(select(*[t.batch.c[name] for name in _BATCH_CONTENT]).where(here)).mappings().one_or_none()
    )
    if known is not None:
        keys = select(t.batch_member.c.journal_key).where(t.batch_member.c.batch_id == batch["batch_id"])
        mine = set(build.members.loc[build.members["batch_id"] == batch["batch_id"], "journal_key"])
        same = all(known[name] == batch[name] for name in _BATCH_CONTENT)
        if not same or mine != set(connection.execute(keys).scalars()):
            raise ConflictError("CONTENT_CHANGED", field="batch", value=batch["batch_id"])
        return False
    last = connection.execute(select(func.max(t.batch.c.seq)).where(t.batch.c.target == batch["target"])).scalar()
    stamp = {"feed_id": build.feed_id, "run_id": build.run_id, "sealed_at": at, "seq": 1 + (last or 0)}
    blank = {"state": "sealed", "epoch": 0, "token": "", "published_at": ""}
    connection.execute(insert(t.batch), {**batch, **stamp, **blank})
    return True
