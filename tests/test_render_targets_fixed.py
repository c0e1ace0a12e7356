"""Targets of kind fixed: exact bytes, every column where it belongs, trailers that count and add up, nothing cut."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from books import FEED, TABLES, bundle
from rendered import by_profile, profile_text, refused, refused_reports

from etl.errors import ConfigurationError

PEOPLESOFT = "peoplesoft_journal"
WIDE = FEED.replace('journals_max: "2"', 'journals_max: "9"')
RED = FEED.replace("companies: [C1], target: gl", "companies: [C1, C2], target: gl").replace(
    "  - {companies: [C2], target: book, connection: drop}\n", ""
)
RATES = TABLES["rates"] + "KWD,CNY,23.1,2026-01-01,\n"
SMALL = """
target: gl
description: A file with trailers
evidence: the test
kind: fixed
file: "{batch_id}.txt"
encoding: gbk
unit: bytes
line_end: lf
amounts: two_columns_zero
dates: "%Y%m%d"
unencodable: "?"
replace: {"|": "/"}
records:
  - record: BEGIN
    length: "20"
    columns:
      mark: {pos: "1", width: "1", value: "1"}
      company: {pos: "3", width: "4", field: company}
  - record: JOURNAL
    repeat: journal
    columns:
      mark: {pos: "1", width: "1", value: "2"}
      key: {pos: "2", width: "16", field: journal_key}
      day: {pos: "18", width: "8", field: posting_date}
  - record: LINE
    repeat: line
    columns:
      mark: {pos: "1", width: "1", value: "3"}
      text: {pos: "15", width: "10", field: text, overflow: truncate}
      account: {pos: "2", width: "6", align: right, field: account, required: yes}
      amount: {pos: "26", width: "9", align: right, pad: "0", amount: signed}
      party: {pos: "9", width: "5", pad: ".", field: party}
  - record: SUM
    repeat: journal
    columns:
      mark: {pos: "1", width: "1", value: "4"}
      lines: {pos: "2", width: "3", align: right, pad: "0", count: lines}
      credit: {pos: "5", width: "10", align: right, total: credit}
  - record: END
    columns:
      mark: {pos: "1", width: "1", value: "9"}
      journals: {pos: "2", width: "4", align: right, pad: "0", count: journals}
      lines: {pos: "6", width: "4", align: right, pad: "0", count: lines}
      debit: {pos: "10", width: "12", align: right, pad: "0", total: base_debit}
acknowledge: {kind: file, acknowledgements: a, ledger: l}
"""


def written(folder: Path, table: str, profile: str = SMALL, **changed: str) -> list[str]:
    """The records of the small file, each batch in one file."""
    payload, *_ = by_profile(folder, PEOPLESOFT, table, **{"gl": profile, "feeds": WIDE, **changed})
    return payload.decode("gbk").splitlines()


def cells(record: str, *places: tuple[int, int]) -> list[str]:
    """What stands at these positions (first is 1) and lengths."""
    return [record[start - 1 : start - 1 + length].strip() for start, length in places]


def test_headers_lines_and_trailers_stand_in_order_and_add_up(tmp_path: Path) -> None:
    assert [
        "1 C1                ",
        "2U5MCXWK655SAXAAU20260210",
        "3  6602 ..... TAXI       000045.00",
        "3  2241 E1... Payable    -00045.00",
        "4002     45.00",
        "2EUNICRGK3AB3ODJO20260210",
        "3  6602 ..... TAXI       000001.05",
        "3  6602 ..... TAXI       000001.07",
        "3  2241 E1... Payable    -00002.12",
        "3  6699 ..... Rounding o 000000.00",
        "4004      2.12",
        "900020006000000060.06",
    ] == written(tmp_path, "report_id document_currency gross_minor\n R1 CNY 4500\n R2 USD 105\n R2 USD 107")


def test_lines_and_sums_have_a_decimal_comma_where_the_profile_says_so(tmp_path: Path) -> None:
    comma = SMALL.replace("line_end: lf", 'line_end: lf\ndecimal: ","')

    assert [
        "3  6602 ..... TAXI       000045,00",
        "3  2241 E1... Payable    -00045,00",
        "4002     45,00",
        "900010002000000045,00",
    ] == written(tmp_path, "gross_minor\n 4500", profile=comma)[2:]


def test_a_column_counted_in_bytes_is_cut_between_characters_and_filled(tmp_path: Path) -> None:
    records = written(tmp_path, "gross_minor description\n 1 a机票机\n 1 机票机")

    assert ["TAXI a机票".encode("gbk"), "TAXI 机票 ".encode("gbk")] == [r.encode("gbk")[14:24] for r in records[2:4]]
    assert [34, 34] == [len(record.encode("gbk")) for record in records[2:4]]


def test_a_red_line_keeps_its_side_and_its_sign_leads_the_zeros(tmp_path: Path) -> None:
    records = written(tmp_path, "company gross_minor\n C2 -4500", feeds=RED)

    assert ["-00045.00", "000045.00"] == [record[25:] for record in records[2:4]]
    assert ["4002    -45.00", "900010002-00000045.00"] == records[4:]


def test_yen_have_no_decimals_and_dinars_three(tmp_path: Path) -> None:
    table = "report_id document_currency gross_minor\n R1 JPY 1001\n R2 KWD 1001"
    records = written(tmp_path, table, rates=RATES)

    assert ["000001001", "-00001001", "00001.001", "-0001.001"] == [r[25:] for r in records if r.startswith("3")]
    assert ["      1001", "     1.001"] == [r[4:] for r in records if r.startswith("4")]
    assert "900020004000000071.17" == records[-1]


@pytest.mark.parametrize(
    ("table", "found"),
    [
        ("gross_minor employee_id\n 4500 E机票", []),
        ("gross_minor employee_id\n 4500 E机票1", ["KEY_OVERFLOW LINE/party E机票1"]),
        ("gross_minor employee_id\n 4500 E€", ["UNENCODABLE LINE/party E€"]),
        ("gross_minor\n 9999900", []),
        ("gross_minor\n 10000000", ["KEY_OVERFLOW LINE/amount -100000.00"]),
        ("gross_minor employee_id payer\n 1 E1 CARD", ["MISSING LINE/account "]),
    ],
)
def test_what_no_column_can_hold_holds_the_report(tmp_path: Path, table: str, found: list[str]) -> None:
    counter = "company,payer,account\n*,EMPLOYEE,2241\n*,CARD,\n"

    assert found == refused(tmp_path, PEOPLESOFT, table, gl=SMALL, feeds=WIDE, counter=counter)


def test_a_character_gbk_lacks_is_marked_in_text_and_a_replacement_made(tmp_path: Path) -> None:
    assert "TAXI ?/b" == written(tmp_path, "gross_minor description\n 1 €|b")[2][14:24].strip()


def test_a_sum_that_its_column_cannot_hold_holds_every_report_of_the_period(tmp_path: Path) -> None:
    """Batches are cut later, so the amounts of the whole company and period are held against the column."""
    profile = SMALL.replace('pos: "10", width: "12"', 'pos: "10", width: "5"')
    one, two = "report_id gross_minor\n R1 9000", "report_id gross_minor\n R1 9000\n R2 9000"

    assert [] == refused(tmp_path / "a", PEOPLESOFT, one, gl=profile, feeds=WIDE)
    assert ["KEY_OVERFLOW END/debit 180.00"] * 2 == refused(tmp_path / "b", PEOPLESOFT, two, gl=profile, feeds=WIDE)


def test_what_the_batch_says_of_its_company_is_held_against_every_journal(tmp_path: Path) -> None:
    feeds = RED.replace("C2", "COMPANY2")
    table = "company report_id gross_minor\n C1 R1 1\n COMPANY2 R2 1\n COMPANY2 R3 1"
    periods = TABLES["periods"].replace("C2", "COMPANY2")
    found = refused_reports(tmp_path, PEOPLESOFT, table, gl=SMALL, feeds=feeds, periods=periods)

    assert [f"R{number} KEY_OVERFLOW BEGIN/company COMPANY2" for number in (2, 3)] == found


HEADER = "HC1   NEXT      02102026N           ACTUALS             N                    EXP        "
COMMENT = "# claimpost BATCH".ljust(101)


def line(
    number: int, account: str, department: str, base: str, party: str, text: str, currency: str, amount: str
) -> str:
    """A line of the PeopleSoft file, by the widths of its columns."""
    head = f"LC1   {number:>9}{'':10}{account:<10}{'':10}{department:<10}"
    return f"{head}{'':92}{'':15}{'':25}{base:>28}{'':18}{party:<10}{text:<30}{currency:<3}{'':5}{amount:>28}"


def peoplesoft(folder: Path, table: str, **changed: str) -> list[str]:
    payload, batch, *_ = by_profile(folder, PEOPLESOFT, table, **{"feeds": WIDE, **changed})
    text = payload.decode("utf-8")
    assert text.endswith("\r\n")
    name = batch.batch_id
    return text.replace(f"{name}", "BATCH" + " " * (len(name) - 5)).split("\r\n")[:-1]


def test_a_peoplesoft_file_of_a_domestic_and_a_foreign_journal(tmp_path: Path) -> None:
    table = "report_id document_currency gross_minor\n R1 CNY 4500\n R2 USD 105\n R2 USD 107"

    assert [
        COMMENT,
        HEADER + "U5MCXWK655SAXAAU R1           CNY                              ",
        line(1, "6602", "0010", "45.00", "", "TAXI", "CNY", "45.00"),
        line(2, "2241", "", "-45.00", "E1", "Payable", "CNY", "-45.00"),
        HEADER + "EUNICRGK3AB3ODJO R2           USD     02102026              7.1",
        line(1, "6602", "0010", "7.46", "", "TAXI", "USD", "1.05"),
        line(2, "6602", "0010", "7.60", "", "TAXI", "USD", "1.07"),
        line(3, "2241", "", "-15.05", "E1", "Payable", "USD", "-2.12"),
        line(4, "6699", "", "-0.01", "", "Rounding of the conversion", "USD", "0.00"),
    ] == peoplesoft(tmp_path, table)


def test_the_published_columns_of_the_peoplesoft_header(tmp_path: Path) -> None:
    """Column and length as the vendor prints them: business unit 2 5, journal id 7 10, date 17 8, adjusting 25 1,
    ledger group 37 10."""
    header = peoplesoft(tmp_path, "gross_minor\n 4500")[1]

    assert ["H", "C1", "NEXT", "02102026", "N", "ACTUALS"] == cells(
        header, (1, 1), (2, 5), (7, 10), (17, 8), (25, 1), (37, 10)
    )


def test_peoplesoft_red_lines_yen_and_dinars(tmp_path: Path) -> None:
    table = "company document_currency gross_minor report_id\n C2 CNY -4500 R1\n C2 JPY 1001 R2\n C2 KWD 1001 R3"
    records = peoplesoft(tmp_path, table, feeds=RED.replace('"2"}', '"9"}', 1), rates=RATES)
    lines = [cells(record, (188, 28), (274, 3), (282, 28)) for record in records if record.startswith("L")]

    assert [["-45.00", "CNY", "-45.00"], ["45.00", "CNY", "45.00"]] == lines[:2]
    assert [["48.05", "JPY", "1001"], ["-48.05", "JPY", "-1001"]] == lines[2:4]
    assert [["23.12", "KWD", "1.001"], ["-23.12", "KWD", "-1.001"]] == lines[4:]


def test_peoplesoft_text_is_cut_and_the_journal_key_is_not(tmp_path: Path) -> None:
    table = "report_id gross_minor description\n REPORT-2026-000017 4500 " + "机票" * 20
    _, header, first, _ = peoplesoft(tmp_path, table)

    assert re.fullmatch("[A-Z2-7]{16} REPORT-2026-0", header[88:118])
    assert "TAXI " + ("机票" * 20)[:25] == first[243:273]
    assert ["KEY_OVERFLOW L/line_reference EMPLOYEE-17"] == refused(
        tmp_path / "b", PEOPLESOFT, "gross_minor employee_id\n 4500 EMPLOYEE-17"
    )


def test_text_that_an_older_character_set_of_peoplesoft_lacks_holds_the_report(tmp_path: Path) -> None:
    profile = profile_text(PEOPLESOFT).replace("encoding: utf-8", "encoding: iso8859-1")

    assert ["UNENCODABLE L/line_description TAXI 机票"] == refused(
        tmp_path, PEOPLESOFT, "gross_minor description\n 4500 机票", gl=profile
    )


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("repeat: line", "repeat: batch", "records.2.repeat: 'batch' is not one of"),
        ("    repeat: line\n", "", "records: no record is repeated for each line"),
        (
            'pos: "9", width: "5"',
            'pos: "7", width: "5"',
            "records.2.columns.party: begins at 7, but the column before it ends at 7",
        ),
        ('length: "20"', 'length: "5"', "records.0.columns.company: ends at 6, beyond the length of the record, 5"),
        ("field: company", "field: report_id", "records.0.columns.company: 'report_id' differs within a batch"),
        ("field: posting_date", "amount: debit", "records.1.columns.day: an amount stands under a node"),
        ("amount: signed", "count: lines", "records.2.columns.amount: a line has nothing to count or add up"),
        ("count: lines", "count: journals", "records.3.columns.lines: a journal has no journals to count"),
        ("total: base_debit", "total: debit", "a batch may hold several currencies: total: base_debit"),
        ("total: credit", "total: credit, overflow: truncate", "records.3.columns.credit: a sum is never cut"),
        ('pad: "."', 'pad: "。"', "records.2.columns.party.pad: '。' does not match"),
        ("  - record: SUM\n    repeat: journal\n", "  - record: SUM\n", "a batch may hold several currencies"),
        ("encoding: gbk", "encoding: utf-16", "encoding: a blank is not one byte in 'utf-16'"),
        ("field: account, required", "field: nobody, required", "records.2.columns.account: no journal field 'nobody'"),
    ],
)
def test_a_mistake_in_the_records_is_named(tmp_path: Path, old: str, new: str, said: str) -> None:
    assert old in SMALL
    profile = SMALL.replace(old, new, 1)
    with pytest.raises(ConfigurationError, match=re.escape(said)):
        bundle(tmp_path, gl=profile)


def test_a_header_of_the_batch_cannot_stand_between_the_journals(tmp_path: Path) -> None:
    begin = SMALL[SMALL.index("  - record: BEGIN") : SMALL.index("  - record: JOURNAL")]
    moved = SMALL.replace(begin, "").replace("  - record: LINE", begin + "  - record: LINE")
    with pytest.raises(
        ConfigurationError, match=r"records[.]1: a record of the batch cannot stand behind one of a journal"
    ):
        bundle(tmp_path, gl=moved)
