"""Prices without tax: net and tax stand in two columns of the source, from the file to the explained journal."""

from __future__ import annotations

from pathlib import Path

import pytest
from books import JOURNAL, write_mapping

from etl import config, pipeline
from etl.errors import FileRejected
from etl.mapping import lineage
from etl.pipeline import booking, explain
from etl.report import interface

SOURCE = """
source: tiny
source_system: TINY
format:
  encoding: utf-8
  delimiter: ','
  dates: '%Y-%m-%d'
  layouts: [[Company, Report, Net, Tax, Code]]
  trailer: {mark: TOTAL, count: "1", sums: {Net: "2", Tax: "3"}}
fields:
  company: {column: Company}
  report_id: {column: Report}
  document_currency: {value: CNY}
  gross_minor: {sum: [Net, Tax], required: yes}
  tax_minor: {column: Tax}
  tax_code: {column: Code}
  state: {value: approved}
  transaction_date: {value: "2026-02-03"}
  approved_at: {value: "2026-02-10", kind: date}
  expense_type: {value: TAXI}
  payer: {value: EMPLOYEE}
"""
FILE = """Company,Report,Net,Tax,Code
C1,A,131.86,17.14,FULL
C1,B,200.00,26.00,HALF
C1,C,-10.00,-1.30,FULL
C1,D,5.00,,NONE
TOTAL,4,326.86,41.84
"""


@pytest.fixture
def context(tmp_path: Path) -> pipeline.Context:
    folder = write_mapping(tmp_path / "mappings", sources=SOURCE)
    settings = config.Settings(tmp_path / "home", folder, f"sqlite:///{tmp_path / 'store.db'}")
    return pipeline.open("tiny", settings=settings)


def booked(context: pipeline.Context, text: str) -> booking.Booking:
    raw = booking.read(context.bundle, text.encode(), "a.csv")
    return booking.book(context.bundle, raw, "a.csv", booking.first(), context.settings.mappings / "tables")


def test_net_and_tax_make_the_gross_that_is_owed(context: pipeline.Context) -> None:
    """What is reclaimable is input tax, the rest is cost, and the employee gets net and tax to the cent."""
    made = booked(context, FILE)

    assert [] == made.rejects["code"].tolist()
    lines = {
        head.report_id: [
            (line.account, line.debit_minor - line.credit_minor)
            for line in sealed.lines[sealed.lines["journal_key"] == head.journal_key].itertuples()
        ]
        for sealed in made.sealed
        for head in sealed.headers.itertuples()
    }
    assert {
        "A": [("6602", 13186), ("2221", 1714), ("2241", -14900)],
        "B": [("6602", 21300), ("2221", 1300), ("2241", -22600)],
        "C": [("6602", -1000), ("2221", -130), ("2241", 1130)],
        "D": [("6602", 500), ("2241", -500)],
    } == lines
    assert 32686 + 4184 == made.outcomes["gross_minor"].sum()


@pytest.mark.parametrize("old", ["326.86", "41.84"])
def test_the_control_totals_of_both_columns_are_held_against_the_file(context: pipeline.Context, old: str) -> None:
    with pytest.raises(FileRejected, match="CONTROL_TOTAL"):
        booked(context, FILE.replace(old, "99.99"))


def test_explain_shows_what_was_added(context: pipeline.Context, tmp_path: Path) -> None:
    path = tmp_path / "in/a.csv"
    path.parent.mkdir()
    path.write_text(FILE, "utf-8")
    pipeline.extract(context, path)
    pipeline.build(context)
    journals = context.store.journals("tiny").set_index("report_id")["journal_key"]

    def why(report: str, line: int) -> list[str]:
        (told,) = explain.explain(context, str(journals[report]), line)["lines"]
        assert told["explained"] == told["amount"]
        return [step for part in told["parts"] for step in part["why"] if "Net" in step]

    assert [["gross_minor: Net 131.86 + Tax 17.14"], [], ["gross_minor: Net 131.86 + Tax 17.14"]] == [
        why("A", number) for number in (1, 2, 3)
    ]
    assert [["gross_minor: Net 5.00 + Tax (empty)"]] * 2 == [why("D", number) for number in (1, 2)]


def test_explain_names_the_rate_that_the_line_states(tmp_path: Path) -> None:
    source = SOURCE.replace(
        "layouts: [[Company, Report, Net, Tax, Code]]", "layouts: [[Company, Report, Net, Tax, Code, Rate]]"
    )
    source = source.replace("  tax_code:", "  tax_rate_pct: {column: Rate}\n  tax_code:")
    journals = JOURNAL + 'tax_rate: {tolerance_minor: "1"}\n'
    folder = write_mapping(tmp_path / "mappings", sources=source, journals=journals)
    context = pipeline.open("tiny", settings=config.Settings(tmp_path / "home", folder, f"sqlite:///{tmp_path}/s.db"))
    path = tmp_path / "in/a.csv"
    path.parent.mkdir()
    path.write_text("Company,Report,Net,Tax,Code,Rate\nC1,A,131.86,17.14,FULL,13%\nTOTAL,1,131.86,17.14\n", "utf-8")
    pipeline.extract(context, path)
    pipeline.build(context)
    (key,) = context.store.journals("tiny")["journal_key"]

    why = [
        [s for p in line["parts"] for s in p["why"] if "rate" in s] for line in explain.explain(context, key)["lines"]
    ]
    told = "journals/tiny.yml line 33: the line states a tax rate of 13 %, its tax is 17.14 CNY"
    assert [[told], [told], []] == why
    given = lineage.journal_columns(context.bundle)["debit_minor"]
    assert {"gross_minor", "tax_minor", "tax_rate_pct", "tax_code"} == {one.field for one in given}
    assert "may differ by 1 minor units (TAX)" in interface.markdown(interface.document(context.bundle, folder, "en"))


def test_the_sum_is_told_in_the_interface_document_and_in_lineage(context: pipeline.Context) -> None:
    assert ("Net", "Tax") == lineage.source_columns(context.bundle.source, "gross_minor")
    assert "the sum of the columns Net, Tax" in interface.markdown(
        interface.document(context.bundle, context.settings.mappings, "en")
    )
