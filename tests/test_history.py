"""What the deliveries before say of the one at hand: unusual volumes, invoices claimed twice, and who approved."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from claims import Line, claim, deliver

from etl import config, pipeline, transport
from etl.store import Store

PROJECT = Path(__file__).resolve().parents[1]
Deliver = Callable[[str, list[Line]], dict[str, Any]]


@pytest.fixture
def delivered(tmp_path: Path) -> Deliver:
    """Deliver claims to the feed `sample` as one file of its own, and run it; repeated invoices hold."""
    mappings = tmp_path / "mappings"
    shutil.copytree(PROJECT / "mappings", mappings)
    feed = mappings / "feeds/sample.yml"
    feed.write_text(feed.read_text("utf-8").replace("\nchecks:\n", "\nchecks:\n  invoice_repeated: hold\n"), "utf-8")
    settings = config.Settings(tmp_path / "home", mappings, f"sqlite:///{tmp_path / 'home/store.db'}")

    def run(name: str, lines: list[Line]) -> dict[str, Any]:
        path = deliver(tmp_path / name, lines, f"expenses_2026-02_{name}.csv")
        return pipeline.run(pipeline.open("sample", settings=settings), path)

    return run


def days(delivered: Deliver, *amounts: str) -> None:
    """One accepted delivery of one claim per amount."""
    for day, amount in enumerate(amounts, 1):
        result = delivered(f"{day:03}", [claim(Report_ID=f"D{day}", Amount=amount)])
        assert (1, []) == (result["accepted"]["reports"], result["files_held"])


def held(result: dict[str, Any]) -> list[str]:
    return [f"{one['check']}: {one['found']}, not {one['expected']}" for f in result["files_held"] for one in f["held"]]


def test_b133_more_than_ten_times_the_usual_lines_are_held(delivered: Deliver) -> None:
    days(delivered, "45.00", "45.00", "45.00", "45.00", "45.00")
    ten = delivered("101", [claim(Report_ID=f"T{n}", Amount="4.50") for n in range(10)])
    eighteen = delivered("102", [claim(Report_ID=f"E{n}", Amount="1.00") for n in range(26)])

    assert ([], 10) == (held(ten), ten["accepted"]["reports"])
    assert ["gate.history.lines: 26, not at most 25"] == held(eighteen)
    assert (0, 1) == (eighteen["journals"], pipeline.exit_code(eighteen))


@pytest.mark.parametrize(
    ("amount", "found", "posted"),
    [("60.00", [], 1), ("60.01", ["gate.history.gross.CNY: 60.01, not at least -60.00 and at most 60.00"], 0)],
)
def test_b133_gross_beyond_three_sigma_is_held(delivered: Deliver, amount: str, found: list[str], posted: int) -> None:
    """Mean 45.00, sigma 5.00 (population): 60.00 is the most."""
    days(delivered, "40.00", "50.00", "40.00", "50.00", "40.00", "50.00")
    result = delivered("101", [claim(Report_ID="X", Amount=amount)])

    assert (found, posted) == (held(result), result["posted"])


def test_b133_a_history_of_four_deliveries_says_nothing(delivered: Deliver) -> None:
    days(delivered, "45.00", "45.00", "45.00", "45.00")
    fifth = delivered("101", [claim(Report_ID="X", Amount="9000.00")])

    assert ([], 1) == (held(fifth), fifth["accepted"]["reports"])


def test_b121_an_invoice_of_an_earlier_delivery_is_held_and_names_the_other_report(delivered: Deliver) -> None:
    first = delivered("001", [claim(Report_ID="R1", Invoice="253120001")])
    second = delivered(
        "002", [claim(Report_ID="R2", Invoice="253120001"), claim(Report_ID="R3", Invoice="253120001", Amount="46.00")]
    )

    assert (1, {}) == (first["posted"], first["reasons"])
    assert ({"INVOICE_REPEATED": 1}, 1, 0) == (second["reasons"], second["posted"], second["breaks"])


def test_b121_the_reason_names_both_reports(delivered: Deliver, tmp_path: Path) -> None:
    delivered("001", [claim(Report_ID="R1", Invoice="253120001")])
    delivered("002", [claim(Report_ID="R2", Invoice="253120001")])
    store = Store(transport.engine(f"sqlite:///{tmp_path / 'home/store.db'}"))

    reasons = store.rejects("sample")["reason"].tolist()
    assert ["Invoice 253120001 is claimed more than once, in R1 | R2."] == reasons


def test_b121_a_report_that_comes_again_claims_its_own_invoice(delivered: Deliver) -> None:
    lines = [claim(Report_ID="R1", Invoice="253120001")]
    delivered("001", lines)
    again = delivered("002", [*lines, claim(Report_ID="R2", Invoice="253120002")])

    assert ({}, 1, 1) == (again["reasons"], again["duplicate"]["reports"], again["posted"])


def test_b121_an_invoice_of_a_quarantined_report_is_free(delivered: Deliver) -> None:
    bad = delivered("001", [claim(Report_ID="R1", Invoice="253120001", State="draft")])
    good = delivered("002", [claim(Report_ID="R2", Invoice="253120001")])

    assert ({"STATUS": 1}, 1) == (bad["reasons"], good["posted"])


def test_b124_who_approves_his_own_report_is_held(delivered: Deliver) -> None:
    result = delivered("001", [claim(Report_ID="R1", Approver="E1", Employee="E1"), claim(Report_ID="R2")])

    assert ({"SOD": 1}, 1, 0) == (result["reasons"], result["posted"], result["breaks"])
