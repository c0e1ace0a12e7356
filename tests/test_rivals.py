"""Two builds at once that make versions of one report: one is sealed, the other starts over, nothing is lost."""

from __future__ import annotations

import dataclasses
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from test_revisions import CHECKED, Office, Version

from etl import pipeline
from etl.errors import TransientError
from etl.store import Build, Store

REPORT = ("C1", "A")
FIRST = Version(REPORT, 1, (("CNY", "10.00"),))


class Rival(Store):
    """A store that seals nothing before every rival has decided what it wants to seal."""

    all_decided: threading.Barrier

    def record_build(self, build: Build) -> bool:
        self.all_decided.wait(60)
        return super().record_build(build)


@pytest.fixture(params=["sqlite", "postgres"])
def office(request: pytest.FixtureRequest, tmp_path: Path) -> Office:
    """The feed `tiny` and its twin `tiny2`, which reads the same expense system."""
    opened = Office(tmp_path)
    twin = CHECKED.replace("feed: tiny", "feed: tiny2")
    (opened.mappings / "feeds/tiny2.yml").write_text(twin, "utf-8")
    if request.param == "postgres":
        url = request.getfixturevalue("postgres_url")
        opened.settings = dataclasses.replace(opened.settings, store_url=url)
    opened.context = pipeline.open("tiny", settings=opened.settings)
    return opened


def land(office: Office, feed: str, version: Version) -> None:
    lines = "\n".join(["Company,Report,Version,State,Currency,Amount", *version.lines()])
    path = office.inbox / f"{feed}-{version.number}.csv"
    path.write_text(lines + "\n", "utf-8")
    pipeline.extract(pipeline.open(feed, settings=office.settings), path)


def build_at_once(office: Office) -> list[str]:
    """Both feeds are built by threads of their own; what each comes to."""
    barrier = threading.Barrier(2)

    def one(feed: str) -> str:
        context = pipeline.open(feed, settings=office.settings)
        store = Rival.open(office.settings.store_url)
        store.all_decided = barrier
        try:
            pipeline.build(dataclasses.replace(context, store=store))
        except TransientError as error:
            return error.code
        finally:
            store.close()
        return "sealed"

    with ThreadPoolExecutor(2) as threads:
        return sorted(threads.map(one, ["tiny", "tiny2"]))


def answered(office: Office, feed: str) -> None:
    """Build again until nothing waits; the ERP posts everything."""
    for _ in range(3):
        context = pipeline.open(feed, settings=office.settings)
        pipeline.build(context)
        for batch in context.store.batches(feed, ("sealed",)):
            context.store.begin_delivery(batch.batch_id)
            context.store.move_batch(batch.batch_id, "sealed", "publishing")
            context.store.move_batch(batch.batch_id, "publishing", "published")
            keys = context.store.members(batch_id=batch.batch_id)["journal_key"]
            office.tell(batch.batch_id, [(key, "posted") for key in keys])


@pytest.mark.parametrize(
    ("rival", "expected"),
    [
        (Version(REPORT, 2, (("CNY", "20.00"),)), 2000),
        (Version(REPORT, 2, (("USD", "20.00"),)), 14200),
        (Version(REPORT, 2, ()), 0),
        (Version(REPORT, 1, (("CNY", "10.00"),)), 1000),
    ],
    ids=["other content", "another currency", "withdrawn", "the same version"],
)
def test_of_two_builds_one_is_sealed_and_the_other_starts_over(office: Office, rival: Version, expected: int) -> None:
    """Nothing of the report is live when both decide."""
    land(office, "tiny", FIRST)
    land(office, "tiny2", rival)

    assert ["TARGET_BUSY", "sealed"] == build_at_once(office)
    assert 1 >= len(office.journals())
    for feed in ("tiny", "tiny2", "tiny"):
        answered(office, feed)

    made = office.journals()
    assert {"posted"} >= set(made["state"])
    taken = set(made["reversal_of"])
    live = made[(made["reversal_of"] == "") & ~made["journal_key"].isin(taken)]
    assert [str(rival.number)] * bool(rival.content) == live["report_version"].tolist()
    assert expected == live["base_debit_minor"].sum()


def test_builds_of_different_reports_do_not_hinder_each_other(office: Office) -> None:
    land(office, "tiny", FIRST)
    land(office, "tiny2", Version(("C2", "A"), 1, (("CNY", "10.00"),)))

    assert ["sealed", "sealed"] == build_at_once(office)
    assert 2 == len(office.journals())
