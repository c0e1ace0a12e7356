"""The store: what it remembers, what it refuses, on SQLite, PostgreSQL and (tolerated) MariaDB."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from built import FEED, LANDING, SECOND, SYSTEM, answers, batch, build, full_build, journals, outcomes, rejects
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from etl import model, transport
from etl.errors import ClaimpostError, ConfigurationError, ConflictError, TransientError
from etl.model import ControlTotals
from etl.store import Build, Store

TIMES = [f"2026-04-01T00:00:{second:02}.000000Z" for second in range(60)]


@pytest.fixture(params=["sqlite", "postgres"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    yield from opened_store(request, tmp_path)


@pytest.fixture(params=["sqlite", "postgres", "mariadb"])
def any_store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    yield from opened_store(request, tmp_path)


def opened_store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    kind = request.param
    url = f"sqlite:///{tmp_path}/store.db" if kind == "sqlite" else request.getfixturevalue(f"{kind}_url")
    opened = Store.open(url)
    yield opened
    opened.close()


def landed(store: Store, *hashes: str) -> Store:
    for sha256 in hashes or (LANDING,):
        store.register_landing(FEED, sha256, f"{sha256[:4]}.csv", 3, "run1")
    return store


def sent(store: Store) -> Store:
    """The full build, delivered."""
    landed(store).record_build(full_build())
    epoch = store.begin_delivery("B1").epoch
    assert store.move_batch("B1", "sealed", "publishing", epoch, "token")
    assert store.move_batch("B1", "publishing", "published")
    return store


# --- landings


def test_a_second_delivery_of_the_same_bytes_leaves_a_receipt_and_no_second_landing(any_store: Store) -> None:
    first = any_store.register_landing(FEED, LANDING, "a.csv", 3, "run1")
    again = any_store.register_landing(FEED, LANDING, "b.csv", 3, "run2")

    assert (first.new, again.new, again.seq) == (True, False, first.seq)
    assert [(found.name, found.state) for found in any_store.landings(FEED)] == [("a.csv", "landed")]
    assert list(any_store.receipts(FEED, LANDING)["name"]) == ["a.csv", "b.csv"]


def test_landings_keep_the_order_in_which_they_came(store: Store) -> None:
    landed(store, SECOND, LANDING)

    assert [(found.sha256, found.seq) for found in store.landings(FEED)] == [(SECOND, 1), (LANDING, 2)]


def test_the_same_bytes_in_another_feed_are_another_landing(store: Store) -> None:
    landed(store)

    assert store.register_landing("other", LANDING, "a.csv", 3).new


def test_a_repeated_content_is_found_by_its_fingerprint(store: Store) -> None:
    landed(store, LANDING, SECOND)
    store.set_landing(FEED, LANDING, fingerprint="f" * 64, totals={"lines": 3, "gross": {"CNY": 10**15}})

    assert [found.sha256 for found in store.by_fingerprint(FEED, "f" * 64)] == [LANDING]
    assert store.landing(FEED, LANDING).totals == {"lines": 3, "gross": {"CNY": 10**15}}


def test_a_landing_is_refused_with_its_reason(store: Store) -> None:
    landed(store).set_landing(FEED, LANDING, state="rejected", reason="HEADER")

    assert [(found.state, found.reason) for found in store.landings(FEED, ["rejected"])] == [("rejected", "HEADER")]


def test_an_unknown_landing_is_named(store: Store) -> None:
    with pytest.raises(ConfigurationError, match="NOT_FOUND"):
        store.set_landing(FEED, LANDING, state="built")
    with pytest.raises(ConfigurationError, match="NOT_FOUND"):
        store.landing(FEED, LANDING)


# --- builds


def test_a_build_is_recorded_once_and_a_repeat_changes_nothing(any_store: Store) -> None:
    landed(any_store)

    assert [any_store.record_build(full_build()), any_store.record_build(full_build())] == [True, False]
    assert len(any_store.outcomes(FEED)) == 3
    assert list(any_store.rejects(FEED)["code"]) == ["MONEY", "DATE"]
    assert [b.seq for b in any_store.batches()] == [1]
    assert list(any_store.members("B1")["state"]) == ["sealed", "sealed"]
    assert any_store.landing(FEED, LANDING).state == "built"


def test_control_totals_count_reports_lines_and_gross_of_each_outcome(any_store: Store) -> None:
    landed(any_store).record_build(full_build())

    totals = any_store.control_totals(run_id="run1")

    assert totals == {
        "accepted": ControlTotals(2, 2, {"CNY": 20_000}),
        "quarantined": ControlTotals(1, 1, {"CNY": 10_000}),
        "duplicate": ControlTotals(),
        "superseded": ControlTotals(),
        "withdrawn": ControlTotals(),
    }
    assert any_store.control_totals(FEED, [LANDING]) == totals
    assert any_store.control_totals("other")["accepted"] == ControlTotals()


def test_an_accepted_version_is_known_with_its_journal(store: Store) -> None:
    landed(store).record_build(full_build())

    known = store.known_versions(SYSTEM, ["R1", "R2", "R3"])

    assert list(known["report_id"]) == ["R1", "R2"]
    assert list(known["journal_key"]) == list(journals("R1", "R2")["journal_key"])
    assert len(store.known_versions(SYSTEM, ["R1", "R2"], (FEED, LANDING))) == 0
    assert len(store.known_versions(SYSTEM, ["R1", "R2"], ("other", LANDING))) == len(known)
    assert len(store.known_versions("other", ["R1", "R2"])) == 0


def test_two_landings_in_one_build_name_their_rows(store: Store) -> None:
    landed(store, LANDING, SECOND)
    rows = outcomes(("R1", "accepted"), ("R2", "duplicate")).assign(landing_sha256=model.texts([LANDING, SECOND]))
    none = rejects().assign(landing_sha256=model.texts([]))

    store.record_build(build(landings=(LANDING, SECOND), outcomes=rows, rejects=none, journals=journals("R1")))

    assert store.control_totals(landings=[SECOND])["duplicate"].reports == 1
    assert [found.state for found in store.landings(FEED)] == ["built", "built"]


def test_a_released_report_goes_from_quarantine_to_accepted_and_its_history_stays(store: Store) -> None:
    landed(store).record_build(full_build())
    mended = build(
        run_id="run2",
        outcomes=outcomes(("R1", "accepted"), ("R2", "accepted"), ("R3", "accepted")),
        journals=journals("R1", "R2", "R3"),
        **batch("B2", "R3", number=8),
    )

    assert store.record_build(mended)
    assert store.control_totals(FEED)["accepted"].reports == 3
    assert len(store.rejects(FEED)) == 0
    assert list(store.rejects(FEED, current=False)["code"]) == ["MONEY", "DATE"]
    assert [(b.batch_id, b.seq) for b in store.batches()] == [("B1", 1), ("B2", 2)]


def test_other_reasons_in_a_later_build_replace_the_open_ones(store: Store) -> None:
    landed(store).record_build(full_build())

    store.record_build(_with_reason("run2", "ZERO"))

    assert list(store.rejects(FEED)["code"]) == ["ZERO"]
    assert len(store.rejects(FEED, current=False)) == 3


def _with_reason(run_id: str, code: str) -> Build:
    whole = full_build()
    return Build(**{**vars(whole), "run_id": run_id, "rejects": rejects(("R3", code))})


@pytest.mark.parametrize(
    "changed",
    [
        build(outcomes=outcomes(("R1", "quarantined"), ("R2", "accepted"), ("R3", "quarantined"))),
        build(outcomes=outcomes(("R1", "accepted"), ("R2", "accepted"))),
        build(outcomes=full_build().outcomes.assign(gross_minor=np.int64(1))),
        build(outcomes=full_build().outcomes, rejects=full_build().rejects, journals=journals("R1", content="other")),
        build(
            outcomes=full_build().outcomes, rejects=full_build().rejects, **batch("B1", "R1", "R2", content=b"other")
        ),
        build(outcomes=full_build().outcomes, rejects=full_build().rejects, **batch("B1", "R1")),
    ],
    ids=["outcome", "gone", "amount", "journal", "batch", "members"],
)
def test_the_same_id_with_other_content_is_a_conflict_and_nothing_is_written(store: Store, changed: Build) -> None:
    landed(store).record_build(full_build())
    before = _everything(store)

    with pytest.raises(ConflictError, match="CONTENT_CHANGED"):
        store.record_build(changed)

    assert _everything(store) == before


def test_a_report_accepted_by_another_run_meanwhile_asks_for_a_new_build(any_store: Store) -> None:
    landed(any_store, LANDING, SECOND).record_build(full_build())

    with pytest.raises(TransientError, match="TARGET_BUSY"):
        any_store.record_build(build(landings=(SECOND,), outcomes=outcomes(("R1", "accepted"))))


@pytest.mark.parametrize("outcome", ["accepted", "withdrawn"])
def test_a_build_that_did_not_see_another_version_of_its_report_is_asked_to_look_again(
    any_store: Store, outcome: str
) -> None:
    landed(any_store, LANDING, SECOND).record_build(full_build())
    newer = outcomes(("R1", outcome)).assign(report_version="2").astype({"report_version": "str"})
    blind = build(landings=(SECOND,), outcomes=newer)
    before = _everything(any_store)

    with pytest.raises(TransientError, match="decided the same reports"):
        any_store.record_build(blind)
    assert before == _everything(any_store)
    seen = any_store.known_versions(SYSTEM, ["R1", "R2", "R3"])[model.REPORT_KEY]
    assert [any_store.record_build(replace(blind, known=seen)), any_store.record_build(blind)] == [True, False]


def test_a_journal_lives_in_one_batch_until_the_erp_refuses_it(any_store: Store) -> None:
    landed(any_store).record_build(full_build())
    second = build(outcomes=full_build().outcomes, rejects=full_build().rejects, **batch("B2", "R1", number=8))

    with pytest.raises(ConflictError, match="live batch"):
        any_store.record_build(second)
    any_store.acknowledge("B1", answers(("R1", "rejected", "")))

    assert any_store.record_build(second)
    assert list(any_store.members(keys=list(journals("R1")["journal_key"]))["state"]) == ["rejected", "sealed"]


def reversal_of(report: str, name: str) -> pd.DataFrame:
    """A journal of another id that reverses a report's."""
    back = journals(name).assign(report_id=report, report_version="2", purpose="reversal")
    return back.assign(reversal_of=journals(report)["journal_key"]).astype({"report_version": "str", "purpose": "str"})


def reversing(name: str, batch_id: str, number: int, **parts: object) -> Build:
    """A build of its own landing that reverses R1 in a batch."""
    sealed = batch(batch_id, name, number=number)
    return build(landings=(SECOND,), journals=reversal_of("R1", name), **{**sealed, **parts})


def test_a_journal_is_reversed_once_and_a_second_build_is_asked_to_look_again(any_store: Store) -> None:
    landed(any_store, LANDING, SECOND).record_build(full_build())
    first = reversing("X1", "B2", 8)

    assert [any_store.record_build(first), any_store.record_build(first)] == [True, False]
    with pytest.raises(TransientError, match="corrected the same reports"):
        any_store.record_build(reversing("X2", "B3", 9))
    with pytest.raises(DBAPIError), any_store.engine.begin() as connection:
        columns = ", ".join(
            [*model.JOURNAL_COLUMNS, "feed_id", "source_system", "mapping_digest", "code_version", "made_at"]
        )
        taken = columns.replace("journal_key", "'AAAAAAAAAAAAAAAA'", 1)
        connection.execute(text(f"INSERT INTO journal ({columns}) SELECT {taken} FROM journal WHERE reversal_of <> ''"))
    made = any_store.report_journals(SYSTEM, ["R1"])
    assert [("expense", "B1", "sealed"), ("reversal", "B2", "sealed")] == sorted(
        made[["purpose", "batch_id", "state"]].itertuples(index=False, name=None)
    )


def test_a_refused_journal_is_void_once_a_later_version_replaces_it_and_stays_so(any_store: Store) -> None:
    landed(any_store, LANDING, SECOND).record_build(full_build())
    any_store.acknowledge("B1", answers(("R1", "rejected", ""), ("R2", "posted", "D2")))
    key = journals("R1")["journal_key"][0]
    replacing = build(landings=(SECOND,), voided=(key,))

    assert [any_store.record_build(replacing), any_store.record_build(replacing)] == [False, False]
    any_store.acknowledge("B1", answers(("R1", "posted", "D1"), ("R2", "posted", "D2")))
    assert ["void"] == list(any_store.members(keys=[key])["state"])
    assert f"{key} by run1" in list(any_store.events("B1")["detail"])


def test_a_refused_journal_that_was_posted_after_all_is_not_given_up(store: Store) -> None:
    landed(store, LANDING, SECOND).record_build(full_build())
    store.acknowledge("B1", answers(("R1", "posted", "D1")))

    with pytest.raises(TransientError, match="after all"):
        store.record_build(build(landings=(SECOND,), voided=(journals("R1")["journal_key"][0],)))


def _everything(store: Store) -> list[str]:
    tables = ("landing", "outcome", "reject", "journal", "batch", "batch_member")
    with store.engine.connect() as connection:
        return [str(connection.execute(text("SELECT * FROM " + name)).all()) for name in tables]


# --- deliveries


def test_only_the_newest_attempt_may_publish(any_store: Store) -> None:
    landed(any_store).record_build(full_build())
    old, new = any_store.begin_delivery("B1"), any_store.begin_delivery("B1")

    assert not any_store.move_batch("B1", "sealed", "publishing", old.epoch, "part.1")
    assert any_store.move_batch("B1", "sealed", "publishing", new.epoch, "part.2")
    assert not any_store.move_batch("B1", "sealed", "publishing", new.epoch, "part.2")
    assert (any_store.batch("B1").state, any_store.batch("B1").token) == ("publishing", "part.2")


def test_every_step_of_a_delivery_is_in_its_history(store: Store) -> None:
    sent(store)

    assert list(store.events("B1")["event"]) == ["sealed", "delivery", "publishing", "published"]
    assert store.batch("B1").published_at != ""


def test_answers_complete_a_batch_and_the_same_answers_again_change_nothing(any_store: Store) -> None:
    sent(any_store)
    part = any_store.acknowledge("B1", answers(("R1", "posted", "D1")))
    rest = any_store.acknowledge("B1", answers(("R1", "posted", "D1"), ("R2", "sibling", "")))
    again = any_store.acknowledge("B1", answers(("R2", "sibling", ""), ("R1", "posted", "D1")))

    assert (part.posted, part.state) == (1, "published")
    assert (rest.posted, rest.rejected, rest.state) == (0, 1, "acknowledged")
    assert (again.new, again.state) == (False, "acknowledged")
    by_key = any_store.members("B1").set_index("journal_key")
    assert list(by_key.loc[list(journals("R1", "R2")["journal_key"]), "state"]) == ["posted", "rejected"]
    assert list(by_key.loc[list(journals("R1")["journal_key"]), "erp_document"]) == ["D1"]


def test_an_answer_before_our_own_mark_completes_the_delivery(store: Store) -> None:
    landed(store).record_build(full_build())
    store.move_batch("B1", "sealed", "publishing", store.begin_delivery("B1").epoch, "token")

    result = store.acknowledge("B1", answers(("R1", "posted", "D1"), ("R2", "posted", "D2")))

    assert result.state == "acknowledged"
    assert list(store.events("B1")["event"])[-3:] == ["acknowledgement", "published", "acknowledged"]


def test_received_and_parked_are_no_answers_yet(store: Store) -> None:
    result = sent(store).acknowledge("B1", answers(("R1", "received", ""), ("R2", "parked", "")))

    assert (result.new, result.state) == (False, "published")


def test_the_words_of_a_journal_that_is_parked_are_kept_until_it_is_posted(any_store: Store) -> None:
    parked = answers(("R1", "parked", ""), ("R2", "unknown", "")).assign(code="PARKED", message="draft")
    sent(any_store).acknowledge("B1", parked)
    known = any_store.members("B1")[["state", "code", "message"]].to_numpy().tolist()
    any_store.acknowledge("B1", answers(("R1", "posted", "D1")))
    any_store.acknowledge("B1", parked)  # an old answer again says nothing of a posted journal

    assert [["sealed", "PARKED", "draft"]] * 2 == known
    assert [["posted", ""], ["sealed", "PARKED"]] == sorted(
        any_store.members("B1")[["state", "code"]].to_numpy().tolist()
    )


def test_refused_journals_are_counted_by_what_the_erp_said(any_store: Store) -> None:
    said = answers(("R1", "rejected", ""), ("R2", "rejected", "")).assign(code="EP01", message="closed")
    sent(any_store).acknowledge("B1", said)
    (row,) = any_store.refused().to_dict("records")

    assert ("B1", "rejected", "EP01", "closed", 2) == tuple(
        row[name] for name in ("batch_id", "state", "code", "message", "journals")
    )


@pytest.mark.parametrize("second", [("R1", "posted", "D9"), ("R1", "rejected", "")])
def test_a_posted_journal_takes_no_other_answer(store: Store, second: tuple[str, str, str]) -> None:
    sent(store).acknowledge("B1", answers(("R1", "posted", "D1")))

    with pytest.raises(ConflictError, match="ANSWER_CHANGED"):
        store.acknowledge("B1", answers(second, ("R2", "posted", "D2")))

    assert sorted(store.members("B1")["state"]) == ["posted", "sealed"]


def test_two_documents_in_one_answer_are_a_conflict(store: Store) -> None:
    with pytest.raises(ConflictError, match="ANSWER_CHANGED"):
        sent(store).acknowledge("B1", answers(("R1", "posted", "D1"), ("R1", "posted", "D2")))


def test_an_answer_for_a_journal_we_never_sent_is_reported(store: Store) -> None:
    result = sent(store).acknowledge("B1", answers(("R1", "posted", "D1"), ("R9", "posted", "D9")))

    assert result.strangers == tuple(journals("R9")["journal_key"])


def test_a_refused_journal_that_the_erp_posts_later_is_posted(any_store: Store) -> None:
    sent(any_store).acknowledge("B1", answers(("R1", "rejected", ""), ("R2", "posted", "D2")))

    result = any_store.acknowledge("B1", answers(("R1", "posted", "D1"), ("R2", "posted", "D2")))

    assert (result.posted, set(any_store.members("B1")["state"])) == (1, {"posted"})


def test_an_overdue_batch_is_unknown_until_the_late_answer(store: Store) -> None:
    assert sent(store).mark_unknown("B1") == 2
    assert set(store.members("B1")["state"]) == {"unknown"}
    assert store.acknowledge("B1", answers(("R1", "posted", "D1"), ("R2", "posted", "D2"))).state == "acknowledged"


def test_an_unknown_batch_is_named(store: Store) -> None:
    with pytest.raises(ConfigurationError, match="NOT_FOUND"):
        store.batch("B9")


# --- what the database itself refuses


FORBIDDEN = (
    "DELETE FROM receipt",
    "UPDATE receipt SET name = 'x'",
    "DELETE FROM reject",
    "UPDATE reject SET code = 'x'",
    "DELETE FROM audit",
    "UPDATE audit SET detail = 'x'",
    "UPDATE acknowledgement SET posted = 9",
    "DELETE FROM landing",
    "UPDATE landing SET size = 9",
    "UPDATE landing SET state = 'duplicate'",
    "DELETE FROM outcome",
    "UPDATE outcome SET outcome = 'quarantined' WHERE outcome = 'accepted'",
    "UPDATE outcome SET report_id = 'x'",
    "UPDATE outcome SET outcome = 'lost' WHERE outcome = 'quarantined'",
    "DELETE FROM journal",
    "UPDATE journal SET debit_minor = 1",
    "DELETE FROM batch_member",
    "UPDATE batch_member SET state = 'sealed' WHERE state = 'posted'",
    "DELETE FROM batch",
    "UPDATE batch SET state = 'reconciled'",
    "UPDATE batch SET state = 'sealed'",
    "UPDATE batch SET sha256 = ''",
    "UPDATE batch SET seq = 9",
)


def test_history_cannot_be_changed_by_hand(any_store: Store) -> None:
    sent(any_store).acknowledge("B1", answers(("R1", "posted", "D1")))
    any_store.begin_delivery("B1")

    assert [statement for statement in FORBIDDEN if not refused(any_store, statement)] == []


def refused(store: Store, statement: str) -> bool:
    try:
        with store.engine.begin() as connection:
            connection.execute(text(statement))
    except DBAPIError:
        return True
    return False


def test_a_store_of_a_later_program_is_refused(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/store.db"
    opened = Store.open(url)
    with opened.engine.begin() as connection:
        connection.execute(text("UPDATE store_revision SET version_num = '0099'"))
    opened.close()

    with pytest.raises(ConfigurationError, match="revision 0099, which this program does not know"):
        Store.open(url)


def test_opening_twice_keeps_what_is_there(store: Store) -> None:
    landed(store)
    url = store.engine.url.render_as_string(hide_password=False)

    again = Store.open(url)

    assert len(again.landings(FEED)) == 1
    again.close()


# --- runs, reconciliations, questions


def test_a_run_is_remembered_and_a_repeat_replaces_it(store: Store) -> None:
    store.save_run("run1", FEED, TIMES[0], TIMES[1], {"journals": 1})
    store.save_run("run1", FEED, TIMES[0], TIMES[2], {"journals": 2}, {"landed": 2})
    store.save_run("run2", FEED, TIMES[3], TIMES[4], {"名": "差旅"})

    assert [run["summary"] for run in store.runs(FEED)] == [{"名": "差旅"}, {"journals": 2}]
    assert store.runs(limit=1)[0]["run_id"] == "run2"
    assert store.runs("other") == []


def test_reconciliations_are_appended(store: Store) -> None:
    for count in (1, 0):
        store.save_reconciliation(FEED, "2026-03", {"CNY": 5}, [{"code": "IN_FLIGHT"}] * count)

    assert [len(found["breaks"]) for found in store.reconciliations(FEED, "2026-03")] == [0, 1]
    assert store.reconciliations(FEED, "2026-04") == []
    assert store.reconciliations(FEED)[0]["totals"] == {"CNY": 5}


def test_the_watermark_only_moves_forward(store: Store) -> None:
    assert store.watermark(FEED) == ("", "")
    for mark in (("2026-03-02", "R2"), ("2026-03-01", "R9"), ("2026-03-02", "R3")):
        store.advance_watermark(FEED, *mark)

    assert store.watermark(FEED) == ("2026-03-02", "R3")


def test_everything_about_a_report_is_found_by_its_id(store: Store) -> None:
    sent(store).acknowledge("B1", answers(("R1", "posted", "D1")))

    found, quarantined = store.report("R1"), store.report("R3")

    assert list(found["outcomes"]["outcome"]) == ["accepted"]
    assert list(found["members"]["erp_document"]) == ["D1"]
    assert list(found["landings"]["sha256"]) == [LANDING]
    assert list(quarantined["rejects"]["code"]) == ["MONEY", "DATE"]
    assert (len(quarantined["journals"]), len(quarantined["members"])) == (0, 0)


def test_journals_are_found_by_period_batch_and_key(store: Store) -> None:
    sent(store)
    keys = sorted(journals("R1", "R2")["journal_key"])

    assert list(store.journals(FEED, "2026-03")["journal_key"]) == keys
    assert list(store.journals(batch_id="B1")["journal_key"]) == keys
    assert list(store.journals(keys=keys[:1])["journal_key"]) == keys[:1]
    assert list(store.journals(FEED, "2026-04").columns)[: len(model.JOURNAL_COLUMNS)] == model.JOURNAL_COLUMNS
    assert list(store.members(feed_id=FEED, period="2026-03")["target"]) == ["oracle", "oracle"]


def test_b108_text_goes_into_the_database_as_it_is(any_store: Store) -> None:
    odd = 'a"b,c\nd\\.e\\N差旅😀'
    landed(any_store).record_build(Build(**{**vars(full_build()), "rejects": rejects(("R3", "X")).assign(value=odd)}))

    assert list(any_store.rejects(FEED)["value"]) == [odd]


def test_a_locked_sqlite_store_says_busy(tmp_path: Path) -> None:
    opened = Store.open(f"sqlite:///{tmp_path}/store.db")
    with opened.engine.connect() as connection:
        connection.exec_driver_sql("PRAGMA busy_timeout = 1")
    with transport.writing(opened.engine), pytest.raises(TransientError, match="TARGET_BUSY"):
        _without_waiting(opened).register_landing(FEED, LANDING, "a.csv", 3)
    opened.close()


def _without_waiting(store: Store) -> Store:
    from sqlalchemy import event

    event.listen(store.engine, "checkout", lambda handle, *_: handle.execute("PRAGMA busy_timeout = 1"))
    return store


def test_a_delivered_batch_goes_again_once_for_each_approval(any_store: Store) -> None:
    sent(any_store)
    with pytest.raises(ClaimpostError, match="nobody approved to deliver it again"):
        any_store.move_batch("B1", "published", "sealed")
    asked = any_store.ask("redeliver", FEED, "B1", {}, "ann", "it never came")
    any_store.approve(asked.id, {}, "bob", "so they say")

    assert any_store.move_batch("B1", "published", "sealed")
    assert any_store.move_batch("B1", "sealed", "publishing")
    assert any_store.move_batch("B1", "publishing", "published")
    with pytest.raises(ClaimpostError, match="nobody approved to deliver it again"):
        any_store.move_batch("B1", "published", "sealed")
