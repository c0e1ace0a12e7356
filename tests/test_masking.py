"""Account, card and ID numbers that people write into a claim are shown masked wherever a person reads (B111)."""

from __future__ import annotations

import doctest
import json
import logging
import os
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path

import openpyxl
import pandas as pd
import pytest
from books import BOOK, bundle, expense_lines
from claims import claim, content, deliver
from click.testing import CliRunner, Result
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import text as sql
from sqlalchemy.exc import DBAPIError
from test_reconcile import month_end, not_posted
from test_report import AT, HISTORY, summary

from etl import formats, journal, mapping, masking, model, render, report, transport
from etl.cli import main
from etl.errors import FileRejected

PROJECT = Path(__file__).resolve().parents[1]
ACCOUNT = "6222020200112345678"
MASKED = "****5678"

# --- what is a number


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("to 6222020200112345678", "to ****5678"),
        ("账号6222020200112345678转", "账号****5678转"),
        ("to 6222 0202 0011 2345 678, thanks", "to ****5678, thanks"),
        ("card 4111-1111-1111-1111.", "card ****1111."),
        ("card 3782 822463 10005", "card ****0005"),
        ("to 123456789012", "to ****9012"),
        ("6222020200112345678 2026-03-01", "****5678 2026-03-01"),
        ("2026-03-01 6222020200112345678", "2026-03-01 ****5678"),
        ("6222020200112345678,4111111111111111", "****5678,****1111"),
        ("ID 11010119900307123X", "ID ****123X"),
        ("ID 11010119900307123x", "ID ****123x"),
        ("ID 110101 19900307 1234", "ID ****1234"),
        ("６２２２０２０２００１１２３４５６７８", "****５６７８"),
        ("GB29NWBK60161331926819", "****6819"),
        ("GB29 NWBK 6016 1331 9268 19 HOTEL", "****6819 HOTEL"),
        ("de89 3704 0044 0532 0130 00", "****3000"),
        ("NO9386011117947", "****7947"),
        ("BE68539007547034", "****7034"),
    ],
)
def test_b111_a_number_is_masked_but_for_its_last_four_characters(text: str, expected: str) -> None:
    assert expected == masking.masked(text)


@pytest.mark.parametrize(
    "text",
    [
        "", "Taxi", "打车去机场", "12345678901", "1,234,567,890,123.45", "123456789012.50", "123 456 789 012.50",
        "2026-03-01 2026-03-05", "2026-03-01T16:30:00Z", "+86 138 0013 8000", "AB23CDEFGHIJKLMN",
        "25312000000012345678",
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855", "SAMPLE-CN01-2026-03-ORACLE-1A2B3C4D",
        "************1234", "****5678 12345678",
    ],
)  # fmt: skip
def test_b111_what_is_no_such_number_stays(text: str) -> None:
    assert text == masking.masked(text)


@given(st.text(st.sampled_from("0123456789X -GBaz.,*"), max_size=40))
def test_b111_what_is_masked_stays_as_it_is(text: str) -> None:
    once = masking.masked(text)

    assert once == masking.masked(once)


@given(st.integers(10**11, 10**19 - 1).map(str), st.sampled_from(["", "no. ", "转账", "("]))
def test_b111_no_run_of_such_digits_is_left(number: str, before: str) -> None:
    assert f"{before}****{number[-4:]} x" == masking.masked(f"{before}{number} x")


def test_b111_no_key_of_a_journal_is_taken_for_a_number() -> None:
    ids, keys = model.journal_identity(model.utf8(model.texts([str(number) for number in range(20_000)])))

    shown = [*ids.to_pylist(), *keys.to_pylist()]
    assert shown == [masking.masked(text) for text in shown]


def test_b111_a_column_is_masked_text_by_text() -> None:
    assert ["a ****5678", "", "a ****5678"] == masking.masked_texts(
        model.texts([f"a {ACCOUNT}", "", f"a {ACCOUNT}"])
    ).tolist()
    assert [] == masking.masked_texts(model.texts([])).tolist()


def test_b111_free_text_is_what_people_write_and_no_identifier() -> None:
    assert {"description", "merchant"} == masking.FREE_TEXT


def test_the_examples_in_the_documentation_hold() -> None:
    assert 0 == doctest.testmod(masking).failed


# --- a real run


def claimpost(*words: object) -> Result:
    return CliRunner().invoke(main, [str(word) for word in words], catch_exceptions=False)


def at_a_wide_terminal(*words: str) -> str:
    """What the command shows where no cell is folded: both streams."""
    command = [sys.executable, "-c", "from etl.cli import main; main()", *words]
    done = subprocess.run(command, env={**os.environ, "COLUMNS": "5000"}, capture_output=True, text=True, check=True)
    return done.stdout + done.stderr


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An own home and own mappings, in which a claim without a merchant's row waits."""
    mappings = tmp_path / "mappings"
    shutil.copytree(PROJECT / "mappings", mappings)
    rules = mappings / "journals/group_expense.yml"
    table = "  merchant: {file: merchant.csv, key: [merchant], value: merchant}\n"
    told = rules.read_text("utf-8").replace("reclaimable_tax: {table", table + "reclaimable_tax: {table")
    rules.write_text(told.replace("    project: {field: project}\n", "    analysis: {table: merchant}\n"), "utf-8")
    (mappings / "tables/merchant.csv").write_text("merchant\nDidi\n")
    monkeypatch.setenv("CLAIMPOST_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("CLAIMPOST_MAPPINGS", str(mappings))
    monkeypatch.delenv("CLAIMPOST_STORE_URL", raising=False)
    return tmp_path / "home"


LINES = (
    claim(Report_ID="R1", Description=f"to {ACCOUNT}"),
    claim(Report_ID="R2", Description=f"to {ACCOUNT} {'x' * 240}"),
    claim(Report_ID="R3", Description=f"to {ACCOUNT}\x07"),
    claim(Report_ID="R4", Merchant=f"Li {ACCOUNT}"),
)


def everything_below(folder: Path) -> str:
    """All text of the report's files, the workbook's cells too."""
    book = openpyxl.load_workbook(folder / "report.xlsx")
    cells = [str(cell) for sheet in book for row in sheet.iter_rows(values_only=True) for cell in row]
    files = [path.read_text("utf-8") for path in folder.iterdir() if path.suffix in (".html", ".csv")]
    return "\n".join([*files, *cells])


def test_b111_no_place_where_a_person_reads_shows_the_number_and_the_erp_gets_it(
    home: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    run = claimpost("run", "sample", "--input", deliver(tmp_path / "in", LINES))
    shown = [at_a_wide_terminal("show", "report", name) for name in ("R2", "R3", "R4")]
    report_1 = json.loads(claimpost("show", "report", "R1", "--json").stdout)
    journal_1 = at_a_wide_terminal("show", "journal", report_1["journals"][0]["journal_key"])
    told = [run.output, *shown, journal_1, caplog.text, everything_below(home / "reports/sample")]

    assert 0 == run.exit_code
    assert [] == [text for text in told if ACCOUNT in text]
    expected = [f"to {MASKED} xxx", f"to {MASKED}", f"no row for Li {MASKED} in", f"TAXI to {MASKED}"]
    assert expected == [said for said, text in zip(expected, [*shown, journal_1], strict=True) if said in text]
    with sqlite3.connect(home / "erp/erp.db") as erp:
        posted = [row[0] for row in erp.execute("SELECT description FROM gl_je_lines WHERE je_line_num = 1")]
    assert [f"TAXI to {ACCOUNT}"] == posted


def test_b111_quarantine_holds_the_number_masked_and_the_good_report_goes_on(home: Path, tmp_path: Path) -> None:
    result = json.loads(claimpost("run", "sample", "--json", "--input", deliver(tmp_path / "in", LINES)).stdout)
    with sqlite3.connect(home / "store.db") as store:
        rejects = list(store.execute("SELECT report_id, code, source_row, value, reason FROM reject ORDER BY id"))

    assert [
        ("R2", "LENGTH", 3, f"to {MASKED} {'x' * 88}…", "Description is longer than 240 characters."),
        ("R3", "CONTROL_CHARACTER", 4, f"to {MASKED}\x07", "Description holds a control character."),
        ("R4", "MAPPING_GAP", 5, f"Li {MASKED}",
         f"expense.analysis: no row for Li {MASKED} in tables/merchant.csv."),
    ] == rejects  # fmt: skip
    assert (1, 1, 3, 0) == (
        result["accepted"]["reports"], result["posted"], result["quarantined"]["reports"], result["breaks"],
    )  # fmt: skip
    assert {"CNY": "180.00"} == result["landed"]["gross"]


def test_b111_an_invoice_number_and_a_report_id_stay_readable(home: Path, tmp_path: Path) -> None:
    lines = [claim(Report_ID="202603010000123", Invoice=ACCOUNT, State="draft")]
    claimpost("run", "sample", "--input", deliver(tmp_path / "in", lines))

    assert "202603010000123" in claimpost("show", "report", "202603010000123").stdout


@pytest.mark.parametrize(
    ("lines", "code"), [(["header"], "HEADER"), (["{header}," + ACCOUNT, "line"], "UNKNOWN_COLUMN")]
)
def test_b111_a_file_refused_for_its_header_does_not_show_the_number(
    home: Path, tmp_path: Path, lines: list[str], code: str
) -> None:
    """A file without a header shows its first line instead; that line may hold anything."""
    whole = content([claim(Description=f"to {ACCOUNT}")]).splitlines()
    kept = [whole[1]] if lines == ["header"] else [lines[0].format(header=whole[0]), f"{whole[1]},x"]
    (tmp_path / "in").mkdir()
    (tmp_path / "in/expenses_2026-02_001.csv").write_text("\n".join([*kept, whole[2], ""]), "utf-8")
    run = claimpost("run", "sample", "--json", "--input", tmp_path / "in")

    assert [code] == [one["code"] for one in json.loads(run.stdout)["files_rejected"]]
    assert (4, False) == (run.exit_code, ACCOUNT in run.output)


@pytest.mark.parametrize("first", [f"{ACCOUNT},Li", f"Report,{ACCOUNT}", f"Report,Name,{ACCOUNT}"])
def test_b111_a_refusal_of_any_header_masks_what_it_shows(first: str) -> None:
    format = {"encoding": "utf-8", "delimiter": ",", "layouts": [["Report", "Name"]]}
    with pytest.raises(FileRejected) as caught:
        formats.read_delimited(f"{first}\nR1,Li\n".encode(), "claims.csv", format)

    assert ACCOUNT not in str(caught.value)


def test_b111_a_preamble_of_another_environment_masks_what_it_shows() -> None:
    marks = {"lines": "1", "marks": {"1": "ENV=PROD"}}
    format = {"encoding": "utf-8", "delimiter": ",", "layouts": [["Report"]], "preamble": marks}
    with pytest.raises(FileRejected, match=r"is marked 'to \*\*\*\*5678'"):
        formats.read_delimited(f"to {ACCOUNT}\nReport\nR1\n".encode(), "claims.csv", format)


# --- what the ERP says, and what cannot be written for it


def test_b111_an_answer_of_the_erp_that_quotes_the_claim_is_masked_in_every_file(tmp_path: Path) -> None:
    world = not_posted(month_end(), state="rejected", code="EP01", message=f"bad text 'to {ACCOUNT}'")
    report.write(world.reconcile(), summary(), HISTORY, tmp_path, AT)
    told = everything_below(tmp_path)

    said = f"EP01 bad text 'to {MASKED}'"
    assert ACCOUNT not in told
    assert {"report.html": 1, "breaks.csv": 2, "report.xlsx": 2} == {
        "report.html": (tmp_path / "report.html").read_text("utf-8").count(said.replace("'", "&#39;")),
        "breaks.csv": (tmp_path / "breaks.csv").read_text("utf-8").count(said),
        "report.xlsx": told.count(said) - 2,
    }


@pytest.mark.parametrize(
    ("changed", "code"),
    [({"book": BOOK.replace("gb18030", "ascii")}, "UNENCODABLE"), ({}, "KEY_OVERFLOW")],
)
def test_b111_a_journal_text_the_target_cannot_take_is_masked_in_its_reject(
    tmp_path: Path, changed: dict[str, str], code: str
) -> None:
    from books import GL

    books = bundle(tmp_path, gl=GL.replace("overflow: truncate", "overflow: error"), **changed)
    target, company = ("book", "C2") if changed else ("gl", "C1")
    lines = expense_lines(f"company description gross_minor\n {company} 转{ACCOUNT} 100")
    applied = mapping.apply(books, lines)
    made = journal.build(books, applied.lines, applied.parts)
    rejects = render.check(books.targets[target], books, made.headers, made.lines)

    assert (code, f"TAXI 转{MASKED}") == tuple(
        rejects[rejects["value"].str.startswith("TAXI")][["code", "value"]].iloc[0]
    )
    assert not rejects["reason"].str.contains(ACCOUNT).any()


def test_b111_a_row_that_the_database_refuses_stays_out_of_the_error(postgres_url: str, tmp_path: Path) -> None:
    for url in (postgres_url, f"sqlite:///{tmp_path / 'x.db'}"):
        engine = transport.engine(url)
        rows = pd.DataFrame({"description": model.texts([f"to {ACCOUNT}", "x"])})
        with transport.writing(engine) as connection:
            connection.execute(sql("CREATE TABLE t (description varchar(5) CHECK (length(description) < 5))"))
        with pytest.raises(DBAPIError) as caught, transport.writing(engine) as connection:
            transport.insert_frame(connection, "t", rows)
        engine.dispose()

        assert ACCOUNT not in f"{caught.value} {caught.value.__cause__}"
        assert ACCOUNT not in str(transport.explain(caught.value, "t"))
