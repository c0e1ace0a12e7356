"""An ERP that refuses a whole group for one bad journal still posts the others, in the same run; nothing is doubled."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import pytest
from claims import Line, claim, deliver, ungated

from etl import config, pipeline
from etl.errors import ConfigurationError, ConflictError, TransientError
from etl.pipeline import deliver as delivery
from etl.pipeline import rebatch
from sandbox.erp import drop, journal_import
from sandbox.erp.books import DEFAULT, read_books
from sandbox.erp.faults import ALL_OR_NOTHING, REFUSE_ONE, Faults

REPORTS = 5
COMPANIES = {"table": "CN01", "file": "JP01"}


@pytest.fixture(params=COMPANIES)
def company(request: pytest.FixtureRequest) -> str:
    return COMPANIES[request.param]


@pytest.fixture
def inbox(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, company: str) -> Path:
    """Five reports for the feed `sample`, all of one group."""
    ungated(tmp_path)
    monkeypatch.setenv("CLAIMPOST_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("CLAIMPOST_MAPPINGS", str(tmp_path / "mappings"))
    return deliver(tmp_path / "in", reports(company))


def reports(company: str) -> list[Line]:
    jp = {"Company": "JP01", "Currency": "JPY", "Amount": "4500", "Tax": "0", "Date": "2026-02-03"}
    return [claim(Report_ID=f"R{n}", **(jp if company == "JP01" else {})) for n in range(REPORTS)]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, inbox: Path) -> Callable[..., dict[str, Any]]:
    """Runs the feed on the five reports; the ERP judges each group by the books and faults given."""

    def once(faults: Callable[[], Faults]) -> dict[str, Any]:
        monkeypatch.setattr(delivery, "simulate", partial(imported, faults))
        return pipeline.run(opened(), inbox)

    return once


def imported(faults: Callable[[], Faults], context: pipeline.Context, batch_id: str = "") -> None:
    """The sandbox ERP in this process, so that a switch may depend on what came before."""
    books = read_books(DEFAULT)
    engine = journal_import.open_database(f"sqlite:///{context.home}/erp/erp.db")
    journal_import.import_groups(engine, books, journal_import.Options(faults=faults()))
    engine.dispose()
    drop.import_folder(context.home / "erp/drop", books, faults=faults())


def opened() -> pipeline.Context:
    return pipeline.open("sample", settings=config.settings())


def states(context: pipeline.Context) -> list[str]:
    members = context.store.members(feed_id="sample")
    best = members.sort_values("state").drop_duplicates("journal_key")  # posted before rejected
    return sorted(best["state"])


def test_one_bad_journal_does_not_keep_the_others_of_its_group(run: Callable[..., dict[str, Any]]) -> None:
    first = iter([frozenset({ALL_OR_NOTHING, REFUSE_ONE})] * 2)
    result = run(lambda: Faults(next(first, frozenset())))
    context = opened()

    assert (REPORTS - 1, 1) == (result["posted"], result["rejected"])
    assert REPORTS == result["journals"]
    assert ["posted"] * (REPORTS - 1) + ["rejected"] == states(context)
    assert {"REJECTED_BY_ERP": 1} == result["breaks_by_code"]
    assert [] == context.store.audit_flaws()


def test_a_released_journal_gets_a_batch_of_its_own_once(run: Callable[..., dict[str, Any]]) -> None:
    first = iter([frozenset({ALL_OR_NOTHING, REFUSE_ONE})] * 2)
    run(lambda: Faults(next(first, frozenset())))
    context = opened()
    members = context.store.members(feed_id="sample")
    posted = set(members.loc[members["state"] == "posted", "journal_key"])
    (bad,) = set(members["journal_key"]) - posted
    batch_id = rebatch.release(context, bad, "ann", "the account is open again")

    with pytest.raises(ConfigurationError, match="NOT_FOUND"):
        rebatch.release(context, bad, "ann", "the account is open again")
    with pytest.raises(ConfigurationError, match="NOT_FOUND"):
        rebatch.release(context, next(iter(posted)), "ann", "why")
    result = run(Faults)
    assert ["posted"] * REPORTS == states(opened())
    assert (0, True) == (result["breaks"], result["explained"])
    assert 1 == context.store.batch(batch_id).journals
    assert {"reconciled"} == {batch.state for batch in context.store.batches("sample")}


class Silent(Faults):
    """Refuses every group that holds a certain journal, and says of none that it is the culprit."""

    bad: ClassVar[list[str]] = []

    def judged(self, keys: Sequence[str], refused: dict[int, Any], own: Any, sibling: Any) -> None:
        self.bad.extend(() if self.bad else keys[:1])
        if set(self.bad) & set(keys):
            refused |= dict.fromkeys(range(len(keys)), sibling)


def test_a_group_without_a_named_culprit_is_halved_until_it_stands_alone(run: Callable[..., dict[str, Any]]) -> None:
    Silent.bad.clear()
    result = run(Silent)
    sizes = [batch.journals for batch in opened().store.batches("sample")]

    assert (REPORTS - 1, 1) == (result["posted"], result["rejected"])
    assert [5, 2, 3, 1, 1] == sizes
    assert {"REJECTED_BY_ERP": 1} == result["breaks_by_code"]


# --- one batch and all that comes of it, as a load run in Airflow does it


@pytest.fixture
def batch_id(inbox: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The five journals in one batch, which an ERP has that names no culprit and has refused it once."""
    Silent.bad.clear()
    monkeypatch.setattr(delivery, "simulate", partial(imported, Silent))
    context = opened()
    pipeline.extract(context, inbox)
    delivery.prepare(context)
    (made,) = pipeline.build(context)
    pipeline.load(context, made)
    return made


def test_a_batch_is_settled_once_however_often_it_is_asked(batch_id: str) -> None:
    nothing_yet = rebatch.settle(opened(), batch_id)
    delivery.simulate(opened(), batch_id)
    first = rebatch.settle(opened(), batch_id)
    batches = opened().store.batches("sample")

    assert {"posted": 0, "rejected": 0, "unknown": REPORTS, "strangers": 0} == nothing_yet
    assert {"posted": REPORTS - 1, "rejected": 1, "unknown": 0, "strangers": 0} == first
    assert first == rebatch.settle(opened(), batch_id)
    assert batches == opened().store.batches("sample")
    assert ["posted"] * (REPORTS - 1) + ["rejected"] == states(opened())


def test_what_a_killed_run_has_sealed_anew_is_delivered_by_the_next_one(batch_id: str) -> None:
    delivery.simulate(opened(), batch_id)
    pipeline.acknowledge(opened(), batch_id)
    halves = rebatch.isolate(opened(), batch_id)

    assert [2, 3] == [opened().store.batch(one).journals for one in halves]
    assert {"posted": REPORTS - 1, "rejected": 1, "unknown": 0, "strangers": 0} == rebatch.settle(opened(), batch_id)


def test_a_new_batch_without_an_answer_is_waited_for(batch_id: str, monkeypatch: pytest.MonkeyPatch) -> None:
    delivery.simulate(opened(), batch_id)
    monkeypatch.setattr(delivery, "simulate", lambda *_: None)
    waiting = rebatch.settle(opened(), batch_id)
    imported(Silent, opened())

    assert {"posted": 0, "rejected": 0, "unknown": REPORTS, "strangers": 0} == waiting
    partly = rebatch.settle(opened(), batch_id)
    assert (3, 2) == (partly["posted"] + partly["rejected"], partly["unknown"])


def test_a_batch_is_settled_by_several_at_once(batch_id: str) -> None:
    def attempt(_: int) -> None:
        with suppress(TransientError):
            rebatch.settle(opened(), batch_id)

    delivery.simulate(opened(), batch_id)
    with ThreadPoolExecutor() as others:
        list(others.map(attempt, range(4)))

    assert {"posted": REPORTS - 1, "rejected": 1, "unknown": 0, "strangers": 0} == rebatch.settle(opened(), batch_id)
    assert {"REJECTED_BY_ERP": 1} == pipeline.reconcile(opened())["by_code"]


def test_a_refused_group_that_is_imported_once_more_posts_nothing_twice(run: Callable[..., dict[str, Any]]) -> None:
    first = iter([frozenset({ALL_OR_NOTHING, REFUSE_ONE})] * 2)
    run(lambda: Faults(next(first, frozenset())))
    retried = imported_again(opened())
    result = run(Faults)

    assert 2 > retried["posted"], "no more than the journal that was bad"
    assert {} == {name: n for name, n in result["breaks_by_code"].items() if name != "REJECTED_BY_ERP"}
    assert [REPORTS - 1 + retried["posted"]] == [states(opened()).count("posted")]


@pytest.mark.parametrize("company", ["CN01"])
def test_siblings_that_the_erp_has_posted_meanwhile_are_not_delivered_again(inbox: Path) -> None:
    """Somebody mends the cause in the ERP and imports the refused group there, before its siblings go again."""
    context = opened()
    pipeline.extract(context, inbox)
    delivery.prepare(context)
    (batch_id,) = pipeline.build(context)
    pipeline.load(context, batch_id)
    imported(lambda: Faults(frozenset({ALL_OR_NOTHING, REFUSE_ONE})), context)
    pipeline.acknowledge(context, batch_id)
    (again,) = rebatch.isolate(context, batch_id)
    retried = imported_again(context)

    assert REPORTS == retried["posted"]
    with pytest.raises(ConflictError, match=r"CONTENT_CHANGED gl_je_headers.external_reference"):
        pipeline.load(context, again)
    with pytest.raises(ConflictError, match=f"ANSWER_CHANGED .*refused in {batch_id}, so it goes in {again}; now"):
        rebatch.settle(context, batch_id)
    assert (0, REPORTS) == (imported_again(context)["posted"], len(context.store.members(batch_id=batch_id)))


def imported_again(context: pipeline.Context) -> dict[str, Any]:
    """The ERP's import of what it has refused before, on demand of its people."""
    engine = journal_import.open_database(f"sqlite:///{context.home}/erp/erp.db")
    counts = journal_import.import_groups(engine, read_books(DEFAULT), journal_import.Options(retry=True))
    engine.dispose()
    return counts
