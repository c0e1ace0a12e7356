"""Suspense: a line without an account goes where the mapping says, marked, counted and only a few times."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import openpyxl
import pytest
from books import JOURNAL, bundle, expense_lines, shown
from claims import claim, deliver
from click.testing import CliRunner

from etl import cli, journal, mapping
from etl.mapping import suspense, trace

PROJECT = Path(__file__).resolve().parents[1]
SUSPENSE = 'suspense: {value: "1999", lines_max: "2"}'
OF_EXPENSE = JOURNAL.replace("{table: account}", f"{{table: account, {SUSPENSE}}}")


def test_a_line_without_a_row_goes_to_suspense_and_says_so(tmp_path: Path) -> None:
    lines = expense_lines("expense_type description gross_minor\n TAXI . 10\n YACHT Lake_Como 90\n YACHT . 5")
    applied = mapping.apply(bundle(tmp_path, journals=OF_EXPENSE), lines)

    assert 0 == len(applied.rejects)
    assert [
        "6602 TAXI 10",
        "1999 SUSPENSE YACHT Lake Como 90",
        "1999 SUSPENSE YACHT 5",
    ] == shown(applied.parts, "account", "text", "amount_minor")[:3]


def test_a_mark_stands_also_where_there_is_no_text_and_within_its_length(tmp_path: Path) -> None:
    plain = OF_EXPENSE.replace('    text: {template: "{expense_type} {description}"}\n', "")
    short = OF_EXPENSE.replace('{description}"}', "{description}\", max: '11'}")
    lines = expense_lines("expense_type gross_minor\n YACHT 90")

    assert "SUSPENSE" == mapping.apply(bundle(tmp_path / "a", journals=plain), lines).parts["text"].iat[0]
    assert "SUSPENSE YA" == mapping.apply(bundle(tmp_path / "b", journals=short), lines).parts["text"].iat[0]


def test_more_lines_than_allowed_are_all_held(tmp_path: Path) -> None:
    lines = expense_lines("report_id expense_type gross_minor\n R1 YACHT 1\n R2 SPA 1\n R3 YACHT 1\n R4 TAXI 1")
    applied = mapping.apply(bundle(tmp_path, journals=OF_EXPENSE), lines)

    assert ["R1 SUSPENSE_LIMIT", "R2 SUSPENSE_LIMIT", "R3 SUSPENSE_LIMIT"] == shown(
        applied.rejects, "report_id", "code"
    )
    said = "3 lines of the delivery find no account, 2 may stand on 1999"
    assert f"expense.account: no row for YACHT, 2026-02-03, and suspense is full: {said}." in set(
        applied.rejects["reason"]
    )


def test_choices_may_end_in_suspense_and_other_faults_stay(tmp_path: Path) -> None:
    choices = "choose: [{when: {payer: CARD}, field: cost_center, max: '4', overflow: error}]"
    books = bundle(tmp_path, journals=JOURNAL.replace("{table: account}", f"{{{choices}, {SUSPENSE}}}"))
    lines = expense_lines("payer cost_center gross_minor\n CARD 66011 1\n EMPLOYEE 6601 1")
    applied = mapping.apply(books, lines)

    assert "1999" == applied.parts["account"].iat[1]
    assert ["1 KEY_OVERFLOW"] == shown(applied.rejects, "line_no", "code")


def test_the_settlement_may_be_in_suspense_and_the_journal_still_balances(tmp_path: Path) -> None:
    books = bundle(tmp_path, journals=JOURNAL.replace("{table: counter}", f"{{table: counter, {SUSPENSE}}}"))
    applied = mapping.apply(books, expense_lines("payer gross_minor\n CRYPTO 70\n CRYPTO 30"))
    made = journal.build(books, applied.lines, applied.parts)

    credit = made.lines[made.lines["credit_minor"] != 0]
    assert ["settlement 1999 SUSPENSE Payable 100"] == shown(credit, "purpose", "account", "text", "credit_minor")
    assert [
        {"company": "C1", "account": "1999", "currency": "CNY", "lines": 1, "amount": "-1.00"}
    ] == suspense.shown(suspense.uses(books.journal, made.headers, made.lines))  # fmt: skip


def test_only_marked_lines_on_a_suspense_account_count(tmp_path: Path) -> None:
    table = "expense_type,account\nTAXI,1999\nHOTEL,6610\n"
    books = bundle(tmp_path, journals=OF_EXPENSE.replace(", valid_by: transaction_date", ""), account=table)
    lines = expense_lines("report_id expense_type gross_minor\n R1 TAXI 1\n R2 HOTEL 1\n R3 YACHT 3\n R4 SPA 4")
    applied = mapping.apply(books, lines)
    made = journal.build(books, applied.lines, applied.parts)
    uses = suspense.uses(books.journal, made.headers, made.lines)

    row = {"company": "C1", "account": "1999", "currency": "CNY", "lines": 2, "amount_minor": 7}
    assert [row] == uses
    assert [{**row, "lines": 4, "amount_minor": 14}] == suspense.added([*uses, *uses])
    assert [] == suspense.uses({"lines": [{"account": {"value": "1"}}]}, made.headers, made.lines)


def test_suspense_is_explained_after_what_was_not_found(tmp_path: Path) -> None:
    books = bundle(tmp_path, journals=OF_EXPENSE)
    path, told = ("lines", 0, "account"), books.journal["lines"][0]["account"]

    def steps(kind: str) -> list[str]:
        line = mapping.apply(books, expense_lines(f"expense_type gross_minor\n {kind} 4500")).lines
        return trace.expression(books, path, told, line)

    assert ["tables/account.csv line 3: TAXI for TAXI, on 2026-02-03 gives '6602'"] == steps("TAXI")
    assert [
        "tables/account.csv: no row for YACHT, on 2026-02-03",
        "journals/tiny.yml line 16: suspense, '1999'",
    ] == steps("YACHT")


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home with the bundled mappings, in which expenses without an account go to 122101."""
    shutil.copytree(PROJECT / "mappings", tmp_path / "mappings")
    path = tmp_path / "mappings/journals/group_expense.yml"
    told = '{table: account, suspense: {value: "122101", lines_max: "10"}}'
    path.write_text(path.read_text("utf-8").replace("account: {table: account}", f"account: {told}"), "utf-8")
    monkeypatch.setenv("CLAIMPOST_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("CLAIMPOST_MAPPINGS", str(tmp_path / "mappings"))
    return tmp_path


def test_a_run_warns_of_suspense_and_the_report_lists_it(home: Path) -> None:
    path = deliver(home / "in", [claim(), claim(Report_ID="R2", Expense_Type="YACHT", Amount="1250.00")])
    told = CliRunner().invoke(cli.main, ["run", "sample", "--input", str(path)])
    files = home / "home/reports/sample"

    assert 0 == told.exit_code, told.output
    took = "Warning: suspense account 122101 of CN01 took 1 journal lines, 1,250.00 CNY; add the missing rows"
    assert took in told.output
    page = (files / "report.html").read_text("utf-8")
    assert "<h2>Suspense</h2>" in page and "1,250.00" in page.split("<h2>Suspense</h2>")[1].split("</section>")[0]
    sheet = openpyxl.load_workbook(files / "report.xlsx")["Suspense"]
    assert ("CN01", "122101", "CNY", 1, 1250) == tuple(cell.value for cell in sheet[2])
    found = json.loads(CliRunner().invoke(cli.main, ["reconcile", "sample", "--json"]).stdout)
    assert found["explained"]
