"""What two persons decide: release, discard and redeliver take effect once, for what was shown, never by one alone."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from claims import claim, deliver, ungated
from click.testing import CliRunner

from etl import config, console, pipeline
from etl.cli import main

JAPAN = {"Company": "JP01", "Currency": "JPY", "Amount": "4500", "Tax": "0"}


@pytest.fixture
def inbox(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty inbox of the feed `sample`, without its gate."""
    feed = ungated(tmp_path)
    feed.write_text(feed.read_text("utf-8").replace("\nchecks:\n", "\nchecks:\n  invoice_repeated: hold\n"), "utf-8")
    monkeypatch.setenv("CLAIMPOST_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("CLAIMPOST_MAPPINGS", str(tmp_path / "mappings"))
    return tmp_path / "in"


def opened() -> pipeline.Context:
    return pipeline.open("sample", settings=config.settings())


def call(*words: str, by: str = "ann", code: int = 0) -> Any:
    """A command's JSON answer, said by somebody; its text when it fails."""
    done = CliRunner().invoke(main, [*words, "--by", by, "--reason", "seen the receipt", "--json"])
    assert code == done.exit_code, done.output
    return json.loads(done.output) if not code else done.output


def outcome(report_id: str) -> str:
    return str(opened().store.outcomes("sample", report_id=report_id)["outcome"].iat[0])


def twice_claimed(inbox: Path) -> None:
    """R1 and R2 claim one invoice: both wait."""
    invoice = {"Invoice": "INV-2026-0001"}
    pipeline.run(opened(), deliver(inbox, [claim(**invoice), claim(Report_ID="R2", **invoice), claim(Report_ID="R3")]))
    assert ["quarantined", "quarantined", "accepted"] == [outcome(name) for name in ("R1", "R2", "R3")]


def test_a_cause_lists_every_report_that_it_blocks(inbox: Path) -> None:
    lines = [claim(Report_ID=name, Cost_Center="9999") for name in ("R1", "R2")]
    pipeline.run(opened(), deliver(inbox, [*lines, claim(Report_ID="R3")]))
    (cause,) = json.loads(CliRunner().invoke(main, ["causes", "sample", "--json"]).output)["causes"]
    told = CliRunner().invoke(main, ["causes", "sample"]).output

    assert ("REFERENCE", 2, {"CNY": "90.00"}, ["R1", "R2"]) == tuple(
        cause[name] for name in ("code", "reports", "gross", "examples")
    )
    assert "REFERENCE cost_center 9999: 2 reports, CNY 90.00" in told


def test_of_two_claims_of_an_invoice_one_is_released_and_the_other_given_up(inbox: Path) -> None:
    twice_claimed(inbox)
    first = call("discard", "sample", "--report", "R2")
    second = call("release", "sample", "--report", "R1")
    assert [first["id"], second["id"]] == [one.id for one in opened().store.waiting("sample")]
    call("approve", str(first["id"]), by="bob")
    call("approve", str(second["id"]), by="bob")
    result = pipeline.run(opened(), inbox)

    assert ["accepted", "superseded", "accepted"] == [outcome(name) for name in ("R1", "R2", "R3")]
    assert (0, True) == (result["breaks"], result["explained"])
    assert 2 == len(opened().store.journals("sample"))
    assert [] == opened().store.audit_flaws()
    assert ["ann", "bob"] == opened().store.events(f"request {first['id']}")["actor"].tolist()


def test_nobody_approves_alone_and_an_approval_twice_changes_nothing(inbox: Path) -> None:
    twice_claimed(inbox)
    number = str(call("release", "sample", "--report", "R1")["id"])
    assert "FOUR_EYES" in call("approve", number, code=5)
    assert "quarantined" == outcome("R1")
    call("approve", number, by="bob")
    call("approve", number, by="eve")

    assert "bob" == opened().store.request(int(number)).approved_by
    assert "accepted" == outcome("R1")


def test_what_has_changed_since_is_asked_anew(inbox: Path) -> None:
    twice_claimed(inbox)
    number = str(call("discard", "sample", "--report", "R2")["id"])
    later = claim(Report_ID="R2", Version="2", Amount="46.00", Cost_Center="9999")
    pipeline.run(opened(), deliver(inbox.with_name("later"), [later]))

    assert "REQUEST_STALE" in call("approve", number, by="bob", code=5)
    assert "quarantined" == outcome("R2")


def test_data_are_mended_not_waived(inbox: Path) -> None:
    pipeline.run(opened(), deliver(inbox, [claim(Cost_Center="9999")]))

    assert "REFERENCE needs a mend, no approval" in call("release", "sample", "--report", "R1", code=5)
    assert "NOT_FOUND" in call("release", "sample", "--report", "R7", code=3)


def test_a_held_delivery_passes_when_two_agree(inbox: Path) -> None:
    feed = inbox.parent / "mappings/feeds/sample.yml"
    feed.write_text(feed.read_text("utf-8") + '\ngate:\n  reports: {min: "2", max: "5"}\n', "utf-8")
    path = deliver(inbox, [claim()])
    assert 1 == len(pipeline.run(opened(), path)["files_held"])
    number = str(call("release", "sample", "--file", path.name)["id"])
    assert 1 == len(pipeline.run(opened(), path)["files_held"])
    call("approve", number, by="bob")
    result = pipeline.run(opened(), path)

    assert ([], 1) == (result["files_held"], result["posted"])


# --- once more to the ERP


def lost(inbox: Path, company: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> str:
    """A batch that was delivered, and that somebody took from the folder before the ERP saw it."""
    monkeypatch.setattr("etl.pipeline.deliver.simulate", lambda context, batch_id="": None)
    pipeline.run(opened(), deliver(inbox, [claim(**company)]))
    monkeypatch.undo()
    monkeypatch.setenv("CLAIMPOST_HOME", str(inbox.parent / "home"))
    monkeypatch.setenv("CLAIMPOST_MAPPINGS", str(inbox.parent / "mappings"))
    (batch,) = opened().store.batches("sample")
    assert "published" == batch.state
    return batch.batch_id


def test_a_file_that_was_never_received_goes_once_more_with_the_same_bytes(
    inbox: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    batch_id = lost(inbox, JAPAN, monkeypatch)
    (path,) = (inbox.parent / "home/erp/drop").glob(f"{batch_id}.*")
    sent = path.read_bytes()
    path.unlink()
    number = str(call("redeliver", batch_id, "--confirm-not-received")["id"])
    assert not path.exists()
    call("approve", number, by="bob")
    assert sent == path.read_bytes()
    call("approve", number, by="bob")
    result = pipeline.run(opened(), inbox)

    assert (0, True) == (result["breaks"], result["explained"])
    assert ["posted"] == opened().store.members(batch_id=batch_id)["state"].tolist()
    assert "NOT_DECIDABLE" in call("redeliver", batch_id, "--confirm-not-received", code=5)
    events = opened().store.events(batch_id)["event"].tolist()
    assert ["publishing", "published", "sealed"] == events[2:5]


def test_what_the_manifest_has_was_received_whatever_people_say(inbox: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    batch_id = lost(inbox, {}, monkeypatch)

    told = call("redeliver", batch_id, "--confirm-not-received", code=5)
    assert "the target's manifest has it, so it was received" in " ".join(told.split())


def test_people_read_what_waits_and_how_to_approve_it(inbox: Path) -> None:
    assert "No request waits." in CliRunner().invoke(main, ["requests"]).output
    twice_claimed(inbox)
    asked = CliRunner().invoke(
        main, ["discard", "sample", "--report", "R2", "--by", "ann", "--reason", "claimed twice"]
    )
    told = CliRunner().invoke(main, ["requests"]).output
    approved = CliRunner().invoke(main, ["approve", "1", "--by", "bob", "--reason", "yes"]).output

    assert "claimpost approve 1 --reason TEXT" in asked.output
    assert "discard R2, by ann" in told and "claimed twice" in told and "INVOICE_REPEATED" in told
    assert "Request 1 (discard R2) is approved by bob." in approved
    assert "No report waits." not in CliRunner().invoke(main, ["causes", "sample"]).output


@pytest.mark.parametrize(
    ("facts", "shown"),
    [
        ({"gross": {"USD": "59.66", "JPY": "3"}}, "   gross: USD 59.66, JPY 3"),
        ({"journals": [["K1", "2026-03-05", "7"], ["K2", "2026-03-06", ""]]}, "   journals: K1  2026-03-05  7; K2"),
        ({"version": ["US01", "R2", "1"]}, "   version: US01  R2  1"),
        ({"waiting": []}, "   waiting: none"),
    ],
)
def test_whoever_approves_reads_words(facts: dict[str, object], shown: str, capsys: pytest.CaptureFixture[str]) -> None:
    request = {"id": 1, "action": "reverse", "subject": "R2", "requested_by": "ann", "at": "now", "reason": "twice"}
    console.show_requests([request | {"facts": facts}])

    assert shown in capsys.readouterr().out
