"""One real delivery with a claim for each case of the bad-input catalogue, and a good claim beside each.

Every bad claim is quarantined with its code and the line of the file, every good one is posted, nothing is lost.
"""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from claims import Line, claim, deliver

from etl import config, pipeline

PROJECT = Path(__file__).resolve().parents[1]
Run = Callable[..., dict[str, Any]]


def two(**second: str) -> list[Line]:
    """A claim of two lines of 45.00, the second with other cells."""
    return [claim(Report_Total="90.00"), claim(**{"Line": "2", "Report_Total": "90.00"} | second)]


# Case -> the lines of its claim; code -> the line of the claim that it names, 0 where the whole claim is meant.
CASES: dict[str, tuple[list[Line], dict[str, int]]] = {
    "B10 character that is none": ([claim(Description="Taxi\uffff")], {"UNICODE": 1}),
    "B12 control character in text": ([claim(Description="a\x07b")], {"CONTROL_CHARACTER": 1}),
    "B12 control character in a code": ([claim(Project="P\x1b1")], {"CONTROL_CHARACTER": 1}),
    "B71 full width": ([claim(Amount="４５．００", Report_Total="45.00")], {"MONEY": 1}),
    "B72 currency sign": ([claim(Amount="￥45.00", Report_Total="45.00")], {"MONEY": 1}),
    "B73 thousands": ([claim(Amount="1,045.00", Report_Total="1045.00")], {"MONEY": 1}),
    "B74 underscore": ([claim(Amount="1_000", Report_Total="1000.00")], {"MONEY": 1}),
    "B75 exponent": ([claim(Amount="1e5", Report_Total="100000.00")], {"MONEY": 1}),
    "B76 NaN": ([claim(Amount="NaN", Report_Total="45.00")], {"MONEY": 1}),
    "B77 minus zero": ([claim(Amount="-0.00")], {"ZERO": 1}),
    "B78 brackets": ([claim(Amount="(45.00)", Report_Total="-45.00")], {"MONEY": 1}),
    "B79 Arabic digit": ([claim(Amount="٣", Report_Total="3.00")], {"MONEY": 1}),
    "B80 leading zeros": ([claim(Amount="0045.00", Report_Total="45.00")], {"MONEY": 1}),
    "B80 spaces around": ([claim(Amount=" 45.00 ", Report_Total="45.00")], {}),
    "B81 three decimals": ([claim(Amount="1.005", Report_Total="1.00")], {"PRECISION": 1}),
    "B82 decimals of the yen": ([claim(Currency="JPY", Amount="100.50", Tax="", Report_Total="100")], {"PRECISION": 1}),
    "B83 beyond the limit": ([claim(Amount="10000000000000.01", Report_Total="1.00")], {"RANGE": 1}),
    "B84 over the limit of a line": ([claim(Amount="50000.01")], {"APPROVAL": 1}),
    "B85 refund": ([claim(Amount="-45.00")], {}),
    "B86 tax above amount": ([claim(Tax_Code="V6", Tax="45.01")], {"TAX": 1}),
    "B86 tax with 0 %": ([claim(Tax="0.01")], {"TAX": 1}),
    "B86 tax off by two": ([claim(Tax_Code="V6", Amount="106.00", Tax="6.02")], {"TAX": 1}),
    "B86 tax off by one": ([claim(Tax_Code="V6", Amount="106.00", Tax="6.01")], {}),
    "B87 lines and header": ([claim(Report_Total="45.01")], {"REPORT_TOTAL": 0}),
    "B87 parts of 99": (
        [claim(Split="33", Part="1"), claim(Split="33", Part="2"), claim(Split="33", Part="3")], {"SPLIT": 1}
    ),
    "B88 unknown currency": ([claim(Currency="DEM")], {"CURRENCY": 1}),
    "B88 lower case": ([claim(Currency="cny")], {"CURRENCY": 1}),
    "B88 no currency": ([claim(Currency="")], {"MISSING": 1}),
    "B88 alias": ([claim(Currency="RMB")], {}),
    "B89 two currencies": ([claim(), claim(Line="2", Currency="USD", Amount="5.00")], {}),
    "B90 no rate": ([claim(Currency="CHF")], {"RATE": 0}),
    "B91 no such day": ([claim(Date="2026-02-30")], {"DATE": 1}),
    "B92 which month": ([claim(Date="05/02/2026")], {"DATE": 1}),
    "B93 one digit": ([claim(Date="2026-2-3")], {"DATE": 1}),
    "B94 time without zone": ([claim(Approved="2026-02-10T01:00:00")], {"DATE": 1}),
    "B96 in the future": ([claim(Date="2026-02-11")], {"DATE_ORDER": 1}),
    "B96 too old": ([claim(Date="2025-02-09")], {"DATE_RANGE": 1}),
    "B97 approved in a closed period": (
        [claim(Approved="2025-12-10T01:00:00Z", Submitted="2025-12-09T01:00:00Z", Date="2025-12-03")],
        {"PERIOD_CLOSED": 1},
    ),
    "B98 placeholder": ([claim(Date="9999-12-31")], {"DATE_ORDER": 1, "DATE_RANGE": 1}),
    "B99 full width code": ([claim(Cost_Center="００１０")], {"CODE": 1}),
    "B100 look-alike": ([claim(Employee="Е1")], {"CODE": 1}),
    "B101 invisible in a code": ([claim(Cost_Center="00\u200b10")], {"CODE": 1}),
    "B101 invisible in text": ([claim(Description="Ta\u202exi")], {}),
    "B103 NA as a code": ([claim(Project="NA")], {}),
    "B104 code like a number": ([claim(Project="1E5")], {}),
    "B105 text too long": ([claim(Description="长" * 241)], {"LENGTH": 1}),
    "B106 emoji": ([claim(Description="🧾 4711")], {}),
    "B107 formula": ([claim(Description="=cmd|' /C calc'!A0")], {}),
    "B108 program": ([claim(Description="'; DROP TABLE outcome; -- %s {0} ${jndi:x} {{7*7}}")], {}),
    "B109 markup": ([claim(Description="<script>alert(1)</script>")], {}),
    "B122 same line twice": ([claim(), claim()], {"LINE_REPEATED": 2}),
    "B122 equal lines of two numbers": (two(), {}),
    "B123 draft": ([claim(State="draft")], {"STATUS": 0}),
    "B123 draft without an approval": ([claim(State="draft", Approved="", Approver="")], {"STATUS": 0}),
    "B123 approved without a day": ([claim(Approved="")], {"MISSING": 1}),
    "B123 withdrawn": ([claim(State="withdrawn")], {"STATUS": 0}),
    "B125 unknown employee": ([claim(Employee="E404")], {"REFERENCE": 1}),
    "B125 left before the expense": ([claim(Employee="E9")], {"REFERENCE": 1}),
    "B125 no payable account": ([claim(Paid_By="VOUCHER")], {"MAPPING_GAP": 1}),
    "B126 unknown cost center": ([claim(Cost_Center="9999")], {"REFERENCE": 1}),
    "B126 inactive cost center": ([claim(Cost_Center="OLD")], {"REFERENCE": 1}),
    "B126 no account": ([claim(Expense_Type="TELEPORT")], {"MAPPING_GAP": 1}),
    "B127 not yet in force": ([claim(Expense_Type="NEXT")], {"MAPPING_GAP": 1}),
    "B130 one of two lines unmapped": (two(Expense_Type="TELEPORT"), {"MAPPING_GAP": 2}),
    "B131 no project": (two(Project="P1"), {}),
    "B132 company of another group": ([claim(Company="ZZ01", Tax_Code="")], {"COMPANY": 0}),
}  # fmt: skip
EMPLOYEES = "employee_id,valid_from,valid_to\nE1,2025-01-01,\nE9,2025-01-01,2026-01-31\n"


@dataclass(frozen=True)
class Outcome:
    """What a run over the delivery came to: the object of `run --json`, the store's rejects, the ERP's lines."""

    result: dict[str, Any]
    rejects: set[tuple[str, str, int]]
    outcomes: dict[str, str]
    held: dict[str, str]
    posted: list[tuple[str, str]]


def mappings_with_employees(folder: Path) -> Path:
    """The bundled mappings, with employees, an inactive cost center and an account of next year."""
    shutil.copytree(PROJECT / "mappings", folder)
    (folder / "tables/employee.csv").write_text(EMPLOYEES)
    with (folder / "tables/sample_cost_center.csv").open("a", encoding="utf-8") as centers:
        centers.write("CN01,OLD,closed,2025-01-01,2026-01-31,test\n")
    with (folder / "tables/sample_account.csv").open("a", encoding="utf-8") as accounts:
        accounts.write("*,NEXT,660299,2027-01-01,,test\n")
    feed = folder / "feeds/sample.yml"
    told = feed.read_text("utf-8").replace('quarantined_pct_max: "30"', 'quarantined_pct_max: "60"')
    told = told.replace("  references:", "  references:\n    employee_id: {file: employee.csv, key: [employee_id]}")
    feed.write_text(told, "utf-8")
    periods = folder / "tables/sample_periods.csv"
    periods.write_text(periods.read_text("utf-8").replace("CN01,2025-12,open", "CN01,2025-12,closed"), "utf-8")
    return folder


def named(case: str) -> str:
    """The report id of a case."""
    return f"CASE{list(CASES).index(case):03}"


def lines_of_delivery() -> list[Line]:
    """Each case's claim under an id of its own, then a good claim."""
    lines: list[Line] = []
    for case, (found, _) in CASES.items():
        lines += [line | {"Report ID": named(case)} for line in found]
        lines.append(claim(Report_ID=f"GOOD{list(CASES).index(case):03}"))
    return lines


@pytest.fixture(scope="module")
def outcome(tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    """The delivery, run once for all cases."""
    folder = tmp_path_factory.mktemp("cases")
    home = folder / "home"
    settings = config.Settings(home, mappings_with_employees(folder / "mappings"), f"sqlite:///{home / 'store.db'}")
    context = pipeline.open("sample", settings=settings)
    result = pipeline.run(context, deliver(folder / "in", lines_of_delivery()))
    rejects = context.store.rejects("sample")
    found = context.store.outcomes("sample")
    made = context.store.journals("sample")
    report_of = dict(zip(made["journal_key"], made["report_id"], strict=True))
    with sqlite3.connect(home / "erp/erp.db") as erp:
        lines = list(erp.execute("SELECT reference_1, description FROM gl_je_lines WHERE je_line_num = 1"))
    return Outcome(
        result,
        set(zip(rejects["report_id"], rejects["code"], rejects["source_row"].tolist(), strict=True)),
        dict(zip(found["report_id"], found["outcome"], strict=True)),
        dict(zip(rejects["code"], rejects["outcome"], strict=True)),
        [(report_of[key], text) for key, text in lines],
    )


@pytest.mark.parametrize("case", CASES)
def test_a_claim_ends_as_its_case_says_and_the_good_one_beside_it_is_accepted(case: str, outcome: Outcome) -> None:
    ids = [line["Report ID"] for line in lines_of_delivery()]
    first = ids.index(named(case)) + 2
    codes = CASES[case][1]
    expected = {(named(case), code, first + line - 1 if line else 0) for code, line in codes.items()}

    assert expected == {found for found in outcome.rejects if found[0] == named(case)}
    assert ("quarantined" if codes else "accepted") == outcome.outcomes[named(case)]
    assert "accepted" == outcome.outcomes[named(case).replace("CASE", "GOOD")]


def test_the_delivery_is_conserved_and_every_accepted_claim_is_posted(outcome: Outcome) -> None:
    result, lines = outcome.result, lines_of_delivery()
    bad = sum(bool(codes) for _, codes in CASES.values())
    parts = [result[name] for name in ("accepted", "quarantined", "duplicate", "superseded")]

    assert (2 * len(CASES), len(lines)) == (result["landed"]["reports"], result["landed"]["lines"])
    assert (2 * len(CASES) - bad, bad) == (result["accepted"]["reports"], result["quarantined"]["reports"])
    assert len(lines) == sum(part["lines"] for part in parts)
    assert result["landed"]["gross"] == {
        currency: f"{sum((Decimal(part['gross'].get(currency, '0')) for part in parts), Decimal())}"
        for currency in result["landed"]["gross"]
    }
    assert (True, 0, 0) == (result["conservation"]["holds"], result["breaks"], pipeline.exit_code(result))
    assert result["journals"] == result["posted"] == result["accepted"]["reports"] + 1, "two currencies, two journals"


@pytest.mark.parametrize(
    ("code", "outcome_of_code"),
    [("APPROVAL", "hold"), ("RATE", "hold"), ("PERIOD_CLOSED", "hold"), ("MAPPING_GAP", "hold"), ("TAX", "report")],
)
def test_what_waits_for_a_person_is_held_and_the_rest_refused(
    outcome: Outcome, code: str, outcome_of_code: str
) -> None:
    assert outcome_of_code == outcome.held[code]


@pytest.mark.parametrize("case", [case for case in CASES if case[:4] in ("B106", "B107", "B108", "B109")])
def test_text_reaches_the_erp_letter_by_letter(case: str, outcome: Outcome) -> None:
    text = CASES[case][0][0]["Description"]

    assert [f"TAXI {text}"] == [told for report, told in outcome.posted if report == named(case)]


# --- claims that come again


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Run the bundled feed over files of these claims, on one home; the object of `run --json`, with each outcome."""
    home = tmp_path / "home"
    settings = config.Settings(home, PROJECT / "mappings", f"sqlite:///{home / 'store.db'}")

    def run_files(*files: list[Line]) -> dict[str, Any]:
        folder = tmp_path / f"in{len(list(tmp_path.iterdir()))}"
        for number, lines in enumerate(files, 1):
            deliver(folder, lines, f"expenses_2026-02_{number:03}.csv")
        context = pipeline.open("sample", settings=settings)
        result = pipeline.run(context, folder)
        found, rejects = context.store.outcomes("sample"), context.store.rejects("sample")
        keys = ("report_id", "report_version")
        named = zip(*(found[name] for name in (*keys, "outcome")), strict=True)
        codes = zip(*(rejects[name] for name in (*keys, "code")), strict=True)
        return result | {"outcomes": sorted(named), "codes": sorted(codes)}

    return run_files


def test_b117_the_same_claim_in_two_files_is_posted_once(run: Run) -> None:
    found = run([claim()], [claim(), claim(Report_ID="R2")])

    assert [("R1", "1", "accepted"), ("R1", "1", "duplicate"), ("R2", "1", "accepted")] == found["outcomes"]
    assert ([], 2, 0) == (found["codes"], found["posted"], found["breaks"])
    assert ({"CNY": "135.00"}, {"CNY": "45.00"}) == (found["landed"]["gross"], found["duplicate"]["gross"])


def test_b118_the_same_version_with_other_content_is_a_conflict_and_the_good_claim_goes_on(run: Run) -> None:
    found = run([claim()], [claim(Amount="46.00"), claim(Report_ID="R2")])

    assert [("R1", "1", "accepted"), ("R1", "1", "quarantined"), ("R2", "1", "accepted")] == found["outcomes"]
    assert ([("R1", "1", "CONFLICT")], 2, 0) == (found["codes"], found["posted"], found["breaks"])
    assert {"CNY": "46.00"} == found["quarantined"]["gross"]


def test_b119_a_correction_of_a_posted_claim_is_its_reversal_and_a_new_journal(run: Run) -> None:
    run([claim()])
    found = run([claim(Version="2", Amount="46.00"), claim(Report_ID="R2")])

    assert [("R1", "1", "accepted"), ("R1", "2", "accepted"), ("R2", "1", "accepted")] == found["outcomes"]
    assert ([], 3, 0) == (found["codes"], found["posted"], found["breaks"])


def test_b119_of_two_versions_in_one_file_the_higher_is_posted(run: Run) -> None:
    found = run([claim(), claim(Version="2", Amount="46.00")])

    assert [("R1", "1", "superseded"), ("R1", "2", "accepted")] == found["outcomes"]
    assert ([], 1, {"CNY": "46.00"}) == (found["codes"], found["posted"], found["accepted"]["gross"])


def test_b120_a_lower_version_after_a_higher_one_is_superseded(run: Run) -> None:
    run([claim(Version="2")])
    found = run([claim(Amount="44.00"), claim(Report_ID="R2")])

    assert [("R1", "1", "superseded"), ("R1", "2", "accepted"), ("R2", "1", "accepted")] == found["outcomes"]
    assert ([], 1, {"CNY": "44.00"}) == (found["codes"], found["posted"], found["superseded"]["gross"])


def test_b102_ids_that_differ_only_by_spaces_are_refused_both_and_the_good_claim_goes_on(run: Run) -> None:
    found = run([claim(), claim(Report_ID="R1 "), claim(Report_ID="R2")])

    assert [("R2", "1", "accepted")] == [one for one in found["outcomes"] if one[0] == "R2"]
    assert {("R1", "1", "CODE")} == {one for one in found["codes"] if one[2] == "CODE"}
    assert (1, 1, 2, 3) == (
        found["posted"],
        found["accepted"]["lines"],
        found["quarantined"]["lines"],
        found["landed"]["lines"],
    )


def test_b110_a_line_break_in_a_field_refuses_the_file_and_the_other_file_goes_on(run: Run) -> None:
    found = run([claim(Description="a\nERROR b")], [claim(Report_ID="R2")])

    assert [("RECORD_COUNT", "2")] == [(one["code"], one["line"]) for one in found["files_rejected"]]
    assert ([("R2", "1", "accepted")], 1, 0) == (found["outcomes"], found["posted"], found["breaks"])


def test_b87_b122_a_part_that_stands_twice_is_refused_and_nothing_of_it_is_lost(run: Run) -> None:
    half = {"Split": "50", "Amount": "45.00"}
    found = run([claim(**half), claim(**half, Part="2"), claim(**half, Part="2"), claim(Report_ID="R2")])

    quarantined, accepted = found["quarantined"], found["accepted"]

    assert {"LINE_REPEATED"} <= {code for _, _, code in found["codes"]}
    assert ((1, 3), (1, 1)) == (
        (quarantined["reports"], quarantined["lines"]),
        (accepted["reports"], accepted["lines"]),
    )
