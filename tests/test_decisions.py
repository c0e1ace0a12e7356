"""A posted report is taken back because two persons say so: once, linked, and so that every proof still holds."""

from __future__ import annotations

import dataclasses
import hashlib
import itertools
from pathlib import Path

import pytest
from claims import claim
from click.testing import CliRunner
from test_revisions import Group

from etl import pipeline
from etl.cli import main
from etl.errors import FileRejected, PermanentError
from etl.pipeline import booking, decisions, explain, inquire, operations, replay
from etl.pipeline.verify import verify
from etl.store import Request, Store

MARCH = "2026-03-05T01:00:"  # and the seconds
JAPAN = {"Company": "JP01", "Currency": "JPY", "Amount": "4500", "Tax": "0"}


class Office(Group):
    """The feed `sample` on a day in March: whoever decides, decides then."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.ticks = itertools.count()

    def open(self) -> pipeline.Context:
        context = super().open()
        store = Store.open(context.settings.store_url, lambda: f"{MARCH}{next(self.ticks) / 1e6:09.6f}Z")
        context.store.close()
        return dataclasses.replace(context, store=store)

    def ask(self, subject: str) -> int:
        return int(pipeline.ask(self.open(), "reverse", subject, "ann", "paid twice")["id"])

    def reverse(self, subject: str) -> None:
        pipeline.approve(self.open(), self.ask(subject), "bob", "seen the bank statement")

    def refused(self, subject: str) -> str:
        with pytest.raises(PermanentError) as told:
            self.ask(subject)
        assert "NOT_DECIDABLE" == told.value.code
        return str(told.value)

    def outcomes(self, report_id: str) -> list[str]:
        rows = self.open().store.outcomes("sample", report_id=report_id)
        return sorted(rows["report_version"] + " " + rows["outcome"])


@pytest.fixture
def office(tmp_path: Path) -> Office:
    return Office(tmp_path)


def sound(office: Office) -> bool:
    """Reconciliation, the archive, the audit chain and the counts agree."""
    context = office.open()
    proof, found = pipeline.reconcile(context), verify(context)
    return bool(
        proof["explained"] and not proof["breaks"] and not found["findings"]
        and pipeline.summary(context, [one.sha256 for one in context.store.landings("sample")])["conservation"]["holds"]
    )  # fmt: skip


def test_a_posted_report_is_taken_back_once_in_red_or_on_the_other_side(office: Office) -> None:
    lines = [claim(), claim(Report_ID="R2"), claim(Report_ID="J1", **JAPAN)]
    office.run(*lines)
    office.reverse("R1")
    office.reverse("J1")
    first, second = office.run(*lines, claim(Report_ID="R3")), office.run(*lines)

    back = ["1 original 45.00 2026-02-10 posted", "1 reversal -45.00 2026-03-05 posted"]
    assert back == office.report("R1")
    assert ["1 original 4500 2026-02-10 posted", "1 reversal 4500 2026-03-05 posted"] == office.report("J1")
    assert ["1 accepted", "1 duplicate", "1 withdrawn"] == office.outcomes("R1")
    assert [(1, 0, True), (0, 0, True)] == [(one["posted"], one["breaks"], one["explained"]) for one in (first, second)]
    assert 6 == len(office.open().store.journals("sample"))
    assert sound(office)


def test_what_people_ask_is_told_to_those_who_look(office: Office) -> None:
    office.run(claim())
    office.reverse("R1")
    office.run(claim(Report_ID="R2"))
    context = office.open()
    made = context.store.journals("sample").query("report_id == 'R1'")
    original, reversal = (str(made.loc[made["purpose"] == p, "journal_key"].iat[0]) for p in ("original", "reversal"))
    found = explain.explain(context, reversal)
    told = inquire.report(context.store, context.shelf, "R1")["decisions"]

    who = "ann asked (paid twice), bob agreed (seen the bank statement)"
    assert f"CN01 R1 1 is withdrawn in decision-1.json: {who} at {MARCH}" in found["because"]
    assert original == found["reversal_of"]
    assert [("reverse", "ann", "paid twice", "bob", "seen the bank statement")] == [
        tuple(one[n] for n in ("action", "requested_by", "reason", "approved_by", "agreed")) for one in told
    ]
    events = context.store.events("request 1")
    assert ["reverse requested", "reverse approved"] == events["event"].tolist()
    landing = next(one for one in context.store.landings("sample") if one.name == "decision-1.json")
    assert ["landed", "built"] == context.store.events(f"sample/{landing.sha256}")["event"].tolist()
    assert b"seen the bank statement" in (context.home / "landing" / landing.sha256).read_bytes()


def test_a_later_version_is_booked_anew_and_may_be_taken_back_too(office: Office) -> None:
    office.run(claim())
    office.reverse("R1")
    told = office.refused("R1")
    office.run(claim(Version="2", Amount="46.00"))  # it waits until the ERP has answered to the reversal
    office.run(claim(Version="2", Amount="46.00"))
    office.reverse("R1")
    office.run(claim(Report_ID="R2"))

    assert "taken back already" in told
    assert [
        "1 original 45.00 2026-02-10", "1 reversal -45.00 2026-03-05",
        "2 original 46.00 2026-02-10", "2 reversal -46.00 2026-03-05",
    ] == [one.removesuffix(" posted") for one in office.report("R1")]  # fmt: skip
    assert sound(office)


def test_a_version_that_was_approved_again_unchanged_is_taken_back_with_what_is_booked(office: Office) -> None:
    """The second version books nothing, for nothing has changed; delivered once more it is no news either."""
    again = claim(Version="2", Approved="2026-02-11T01:00:00Z")
    office.run(claim())
    office.run(again)
    office.reverse("R1")
    result = office.run(again, claim(Report_ID="R2"))

    assert {} == result["reasons"]
    assert ["1 accepted", "2 duplicate", "2 duplicate", "2 withdrawn"] == office.outcomes("R1")
    assert ["1 original", "2 reversal"] == [" ".join(one.split()[:2]) for one in office.report("R1")]
    key = office.open().store.journals("sample").query("purpose == 'reversal'")["journal_key"].iat[0]
    assert "CN01 R1 2 is withdrawn in decision-1.json" in explain.explain(office.open(), str(key))["because"]
    assert sound(office)


def test_what_the_source_withdraws_is_taken_back_once(office: Office) -> None:
    office.run(claim(), claim(Report_ID="R2"))
    office.reverse("R1")
    office.run(claim(State="recalled"), claim(Report_ID="R2", State="recalled"))

    assert "taken back already" in office.refused("R2")
    assert ["1 accepted", "1 duplicate", "1 withdrawn"] == office.outcomes("R1")
    for report in ("R1", "R2"):
        assert ["1 original", "1 reversal"] == [" ".join(one.split()[:2]) for one in office.report(report)]
    assert sound(office)


def test_only_what_is_posted_can_be_taken_back(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    december = {"Date": "2025-12-03", "Submitted": "2025-12-09T01:00:00Z", "Approved": "2025-12-10T01:00:00Z"}
    office.change("tables/sample_periods.csv", "CN01,2025-12,closed", "CN01,2025-12,open")  # the ERP's is closed
    office.run(claim(Report_ID="WAITS", Cost_Center="9999"), claim(Report_ID="REFUSED", **december))
    monkeypatch.setattr("etl.pipeline.deliver.simulate", lambda context, batch_id="": None)
    office.run(claim(Report_ID="FLIES"))

    assert "`claimpost discard` gives it up" in office.refused("WAITS")
    assert "the ERP has posted no journal of it" in office.refused("REFUSED")
    assert "is sealed: ask again when the ERP has posted or refused it" in office.refused("FLIES")
    assert "NOT_FOUND" in CliRunner().invoke(main, ["reverse", "sample", "--report", "R9", "--reason", "x"]).output


def test_a_report_of_two_companies_is_named_with_its_company(office: Office) -> None:
    office.run(claim(), claim(Company="US01", Currency="USD", Tax_Code=""))

    assert "it is booked for CN01, US01: say COMPANY/R1" in office.refused("R1")
    office.reverse("US01/R1")
    office.run(claim(Report_ID="R2"))
    purposes = office.open().store.journals("sample").query("report_id == 'R1'")[["company", "purpose"]]
    assert [["CN01", "original"], ["US01", "original"], ["US01", "reversal"]] == sorted(purposes.to_numpy().tolist())
    assert sound(office)


def test_the_feed_that_booked_a_report_is_asked(office: Office) -> None:
    office.run(claim())
    feed = office.mappings / "feeds/sample.yml"
    text = feed.read_text("utf-8").replace("feed: sample\n", "feed: twin\n")
    feed.with_name("twin.yml").write_text(text, "utf-8")
    twin = pipeline.open("twin", settings=office.open().settings)

    with pytest.raises(PermanentError, match="feed sample booked it: ask there"):
        pipeline.ask(twin, "reverse", "R1", "ann", "paid twice")


def test_what_changed_since_it_was_shown_is_not_taken_back(office: Office) -> None:
    office.run(claim())
    number = office.ask("R1")
    assert number == office.ask("R1")
    office.run(claim(Version="2", Amount="46.00", Cost_Center="9999"))
    assert ["2"] == office.open().store.request(office.ask("R1")).facts["waiting"]

    with pytest.raises(PermanentError, match="has changed since"):
        pipeline.approve(office.open(), number, "bob", "yes")
    assert ["1 accepted", "2 quarantined"] == office.outcomes("R1")


def test_an_approval_that_was_killed_takes_effect_with_the_next_run(office: Office) -> None:
    office.run(claim())
    number = office.ask("R1")
    context = office.open()
    facts = operations.FACTS["reverse"](context, "R1")
    context.store.approve(number, facts, "bob", "yes")  # and here the process dies
    result = office.run(claim(Report_ID="R2"))

    assert (1, 1, 2) == (result["withdrawn"]["reports"], result["accepted"]["reports"], result["posted"])
    pipeline.approve(office.open(), number, "bob", "yes")
    assert ["1 original", "1 reversal"] == [" ".join(one.split()[:2]) for one in office.report("R1")]
    assert sound(office)


def test_a_decision_that_falls_into_a_closed_period_waits_until_it_is_open(office: Office) -> None:
    office.run(claim())
    office.change("tables/sample_periods.csv", "CN01,2026-03,open", "CN01,2026-03,closed")
    office.reverse("R1")
    waiting = office.outcomes("R1")
    (cause,) = operations.causes(office.open())
    office.change("tables/sample_periods.csv", "CN01,2026-03,closed", "CN01,2026-03,open")
    office.run(claim(Report_ID="R2"))

    assert ["1 accepted", "1 quarantined"] == waiting
    assert ("PERIOD_CLOSED", 1) == (cause["code"], cause["reports"])
    assert "1 reversal -45.00 2026-03-05 posted" == office.report("R1")[1]
    assert sound(office)


def test_of_several_reports_in_a_journal_one_is_taken_back(office: Office) -> None:
    office.change("journals/group_expense.yml", "lines:\n", "one_per: [company]\nlines:\n")
    office.run(claim(), claim(Report_ID="R2", Amount="20.00"))
    office.reverse("R1")
    office.run(claim(Report_ID="R3"))

    made = office.open().store.journals("sample").query("purpose == 'reversal'")
    assert [("R1", -4500)] == list(zip(made["report_id"], made["debit_minor"], strict=True))
    assert sound(office)


def test_no_file_passes_for_a_decision(office: Office) -> None:
    """The bytes of a decision that nobody approved are a file like any other, and no good one."""
    office.run(claim())
    number = office.ask("R1")
    forged = dataclasses.replace(
        office.open().store.request(number), approved_by="bob", approved_at=f"{MARCH}00.0Z", agreed="!"
    )
    path = office.file(claim())
    path.write_bytes(decisions.document(forged))
    result = pipeline.run(office.open(), path)

    assert 1 == len(result["files_rejected"])
    assert ["1 accepted"] == office.outcomes("R1")
    with pytest.raises(FileRejected):
        booking.read(office.open().bundle, path.read_bytes(), path.name)


def test_another_mapping_is_held_against_decisions_too(office: Office) -> None:
    office.run(claim())
    office.reverse("R1")
    office.run(claim(Report_ID="R2"))

    assert (3, []) == tuple(
        replay.difference(office.open(), office.mappings, office.mappings)[name] for name in ("equal", "changed")
    )


def test_the_gate_measures_deliveries_and_no_decisions(office: Office) -> None:
    feed = office.mappings / "feeds/sample.yml"
    gate = '\ngate:\n  reports: {min: "2", max: "9"}\n'
    gate += '  history: {deliveries: "5", from_deliveries: "2", lines_times_max: "2", gross_sigmas_max: "3"}\n'
    feed.write_text(feed.read_text("utf-8") + gate, "utf-8")
    office.run(claim(), claim(Report_ID="R2"), claim(Report_ID="R3"))
    office.reverse("R1")

    assert ["1 accepted", "1 withdrawn"] == office.outcomes("R1")
    result = office.run(*(claim(Report_ID=f"R{number}") for number in (4, 5, 6, 7)))
    assert [] == result["files_held"]


def test_the_document_of_a_decision_is_for_ever() -> None:
    facts = {"version": ["CN01", "报销/1", "1"], "gross": {"USD": "1.05", "CNY": "45.00"}, "journals": []}
    request = Request(
        7, "reverse", "sample", "报销/1", facts, "", "ann", 'paid "twice"\n', "2026-03-04T01:00:00.000000Z",
        "bob", "2026-03-05T01:00:00.000000Z", "yes",
    )  # fmt: skip

    assert (
        "9e3bc2a2c3b4290bc8041f03744fe408830cdbc2c4f7d8f6131c58afd6904b5c"
        == hashlib.sha256(decisions.document(request)).hexdigest()
    )
