"""Journals in the ERP's own form: exact bytes, nothing cut that is a key, nothing written that it cannot read."""

from __future__ import annotations

import csv
import io
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from books import BOOK, GL, bundle, shown
from rendered import batch_of, by_profile, profile_text, refused

from etl import mapping, render
from etl.errors import ConfigurationError


def written(books: mapping.Bundle, table: str) -> str:
    batch, headers, lines = batch_of(books, table)
    profile = books.targets[batch.target]
    assert [] == shown(render.check(profile, books, headers, lines), "code", "value")
    payload = render.render(profile, books, batch, headers, lines)
    assert payload == render.render(profile, books, batch, headers, lines)
    return payload.decode(profile.get("encoding", "utf-8")).replace(batch.batch_id, "BATCH")


def test_table_rows_leave_the_unused_side_null(tmp_path: Path) -> None:
    text = written(bundle(tmp_path), "gross_minor\n 4500")

    assert text.splitlines() == [
        '"ledger","day","account","dr","cr","base_dr","base_cr","kind","rate","batch","text","reference"',
        '"1","2026-02-10","6602","45.00",,"45.00",,,,"BATCH","TAXI","U5MCXWK655SAXAAU"',
        '"1","2026-02-10","2241",,"45.00",,"45.00",,,"BATCH","Payable","U5MCXWK655SAXAAU"',
    ]


def test_table_rows_of_a_foreign_journal_carry_the_rate_and_both_amounts(tmp_path: Path) -> None:
    text = written(bundle(tmp_path), "document_currency gross_minor description\n USD 105 to_the_airport")

    assert '"6602","1.05",,"7.46",,"User","7.1","BATCH","TAXI to ",' in text


def test_zero_can_be_written_where_the_erp_wants_it(tmp_path: Path) -> None:
    text = written(bundle(tmp_path, gl=GL.replace("two_columns_blank", "two_columns_zero")), "gross_minor\n 4500")

    assert '"45.00","0.00","45.00","0.00"' in text


def test_every_date_of_a_journal_is_written_in_the_profiles_pattern(tmp_path: Path) -> None:
    dates = 'own: {field: original_date}\n  bill: {field: document_date, date: "%d.%m."}\n  base_cr:'
    gl = GL.replace('"%Y-%m-%d"', '"%Y%m%d"').replace("base_cr:", dates)
    text = written(bundle(tmp_path, gl=gl), "gross_minor\n 4500")

    assert '"1","20260210","6602","45.00",,"45.00","20260210","' in text


def test_b105_a_key_too_long_or_missing_holds_the_report_and_is_never_cut(tmp_path: Path) -> None:
    counter = "company,payer,account\nC1,EMPLOYEE,22410001\nC1,CARD,\n"
    books = bundle(tmp_path, counter=counter)
    _, headers, lines = batch_of(books, "report_id payer gross_minor\n R1 EMPLOYEE 1\n R2 CARD 1")
    rejects = render.check(books.targets["gl"], books, headers, lines)

    assert ["R1 KEY_OVERFLOW account 22410001", "R2 MISSING account "] == shown(
        rejects, "report_id", "code", "field", "value"
    )


def test_a_beancount_file_is_balanced_and_complete(tmp_path: Path) -> None:
    text = written(
        bundle(tmp_path),
        "company document_currency gross_minor description employee_id\n"
        ' C2 USD 105 "quoted"_\\_𠮷 张三\n C2 USD 107 . 张三',
    )

    assert text.startswith("; claimpost batch BATCH\n")
    assert '2026-02-10 * "张三" "R1 张三" ^' in text
    assert "  Expenses:6602                            1.05 USD @@ 7.46 CNY\n" in text
    assert "    text: \"TAXI 'quoted' / 𠮷\"\n" in text
    assert (
        '  Liabilities:2241                         -2.12 USD @@ 15.05 CNY\n    line_no: "3"\n    party: "张三"\n'
        in text
    )
    assert "  Expenses:6699                            -0.01 CNY\n" in text


def test_bean_check_accepts_what_we_write_and_nothing_twice(tmp_path: Path) -> None:
    table = (
        "company report_id document_currency gross_minor\n"
        " C2 R1 USD 105\n C2 R1 USD 107\n C2 R2 CNY -300\n C2 R3 JPY 1001"
    )
    books = bundle(tmp_path / "m", book=BOOK.replace("gb18030", "utf-8"), feeds=_wide_batches())
    path = tmp_path / "batch.beancount"
    path.write_text(written(books, table), "utf-8")
    check = [sys.executable, "-m", "beancount.scripts.check", str(path)]

    assert (0, "") == _ran(check)
    path.write_text(path.read_text("utf-8") + path.read_text("utf-8").split("\n\n", 2)[2], "utf-8")
    code, output = _ran(check)
    assert code == 1
    assert "Duplicate entry" in output


def _wide_batches() -> str:
    from books import FEED

    return FEED.replace('journals_max: "2"', 'journals_max: "9"')


def _ran(command: list[str]) -> tuple[int, str]:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("table", "rejected"),
    [
        ("company employee_id gross_minor\n C2 \U0001f600 1", []),
        ("company expense_type gross_minor\n C2 ODD 1", ["REFERENCE account 9999", "REFERENCE account a-b"]),
    ],
)
def test_accounts_without_a_beancount_name_hold_the_report(tmp_path: Path, table: str, rejected: list[str]) -> None:
    account = "expense_type,account\nTAXI,6601\nODD,9999\n"
    journal_text = bundle_journal_without_dates()
    counter = "company,payer,account\n*,EMPLOYEE,a-b\n" if rejected else "company,payer,account\n*,EMPLOYEE,2241\n"
    books = bundle(tmp_path, account=account, counter=counter, journals=journal_text)
    _, headers, lines = batch_of(books, table)

    assert rejected == shown(render.check(books.targets["book"], books, headers, lines), "code", "field", "value")


def bundle_journal_without_dates() -> str:
    from books import JOURNAL

    return JOURNAL.replace(", valid_by: transaction_date", "")


def test_b106_text_that_the_encoding_lacks_holds_the_report(tmp_path: Path) -> None:
    books = bundle(tmp_path, book=BOOK.replace("gb18030", "gbk"))
    _, headers, lines = batch_of(books, "company description employee_id gross_minor\n C2 𠮷 E𠮷 1")
    rejects = render.check(books.targets["book"], books, headers, lines)

    assert ["description R1 E𠮷", "text TAXI 𠮷", "employee_id E𠮷", "party E𠮷"] == shown(rejects, "field", "value")
    assert {"UNENCODABLE"} == set(rejects["code"])


def test_file_names_follow_the_profile() -> None:
    assert ("B1.beancount", "payload.csv") == (
        render.file_name({"file": "{batch_id}.beancount"}, "B1"),
        render.file_name({}, "B1"),
    )


# --- delimited files, by the bundled profiles

FOREIGN = "document_currency gross_minor description\n USD 10000 to_the_airport"


def test_u8_text_is_gbk_without_quotes_and_48_fields(tmp_path: Path) -> None:
    payload, *_ = by_profile(tmp_path, "yonyou_u8_txt", "gross_minor description\n 4500 机票，北京,上海")
    tail = ",,,,,,,0,,0,,,,,,,,,0,0,0,0,0,,0,0,0,0"

    assert payload.decode("gbk").splitlines(keepends=True) == [
        "填制凭证,V800\r\n",
        f"2026-02-10,记,U5MCXWK655SAXAAU,0,TAXI 机票，北京，上海,6602,45.00,0.00,,,,claimpost,,,,0010,,,,,{tail}\r\n",
        f"2026-02-10,记,U5MCXWK655SAXAAU,0,Payable,2241,0.00,45.00,,,,claimpost,,,,,E1,,,,{tail}\r\n",
    ]


def test_u8_text_shows_the_foreign_amount_and_rate_beside_the_books_currency(tmp_path: Path) -> None:
    payload, *_ = by_profile(tmp_path, "yonyou_u8_txt", FOREIGN)

    assert ",6602,710.00,0.00,,100.00,7.1,claimpost," in payload.decode("gbk")


def test_b106_a_character_gbk_lacks_is_marked_in_text_and_holds_the_report_in_a_key(tmp_path: Path) -> None:
    payload, *_ = by_profile(tmp_path / "a", "yonyou_u8_txt", "gross_minor description\n 4500 𠮷€")

    assert "TAXI ？？," in payload.decode("gbk")
    assert ["UNENCODABLE 个人编码 E€"] == refused(tmp_path / "b", "yonyou_u8_txt", "gross_minor employee_id\n 4500 E€")


def test_a_comma_in_a_key_of_a_file_without_quotes_holds_the_report(tmp_path: Path) -> None:
    assert ["UNENCODABLE 个人编码 E,1"] == refused(tmp_path, "yonyou_u8_txt", "gross_minor employee_id\n 4500 E,1")


def test_fbdi_is_a_zip_of_149_columns(tmp_path: Path) -> None:
    payload, batch, *_ = by_profile(tmp_path, "oracle_fusion_fbdi", FOREIGN.replace("to_the", 'a,"b'))
    with zipfile.ZipFile(io.BytesIO(payload)) as package:
        names, content = package.namelist(), package.read("GlInterface.csv").decode("utf-8")
    records = list(csv.reader(io.StringIO(content)))
    shown_at = {
        1: "NEW", 2: "1", 3: "2026/02/10", 6: "USD", 7: "2026/02/10", 9: "C1", 11: "6602", 39: "100.00", 40: "",
        41: "710.00", 42: "", 43: batch.batch_id, 52: 'TAXI a,"b airport', 64: "User", 65: "2026/02/10", 66: "7.1",
    }  # fmt: skip

    assert (["GlInterface.csv"], [149, 149]) == (names, [len(record) for record in records])
    assert shown_at == {place: records[0][place - 1] for place in shown_at}
    assert ("", "100.00", "", "710.00") == tuple(records[1][38:42])
    assert {0} == {package_member.date_time[3] for package_member in zipfile.ZipFile(io.BytesIO(payload)).infolist()}


def test_d365_numbers_the_lines_of_the_batch_and_joins_the_dimensions(tmp_path: Path) -> None:
    table = "report_id gross_minor project\n R1 4500 P1\n R2 100 ."
    payload, *_ = by_profile(tmp_path, "d365_general_journal", table)
    with zipfile.ZipFile(io.BytesIO(payload)) as package:
        records = list(csv.DictReader(io.StringIO(package.read("General journal.csv").decode("utf-8"))))

    assert ["1", "2", "3", "4"] == [record["LINENUMBER"] for record in records]
    assert ["6602-0010-", "2241--", "6602-0010-", "2241--"] == [record["ACCOUNTDISPLAYVALUE"] for record in records]
    assert [("45.00", "0.00"), ("0.00", "45.00")] == [(r["DEBITAMOUNT"], r["CREDITAMOUNT"]) for r in records[:2]]


def test_text_is_cut_between_characters_where_the_limit_is_one_of_bytes(tmp_path: Path) -> None:
    profile = profile_text("yonyou_u8_txt")
    cut = profile.replace('max: "60", overflow: truncate', 'max: "8", unit: bytes, overflow: truncate')
    books = bundle(tmp_path, gl=cut)
    batch, headers, lines = batch_of(books, "gross_minor description\n 4500 机票")
    payload = render.render(books.targets["gl"], books, batch, headers, lines).decode("gbk")

    assert ",TAXI 机," in payload


COMMA = """
target: gl
description: A file of a house that writes decimal commas
evidence: the test
kind: delimited
file: "{batch_id}.csv"
encoding: utf-8
delimiter: ";"
quote: minimal
line_end: lf
decimal: ","
amounts: two_columns_zero
dates: "%d.%m.%Y"
columns:
  day: {field: posting_date}
  account: {field: account}
  debit: {amount: debit}
  signed: {amount: signed}
  base: {amount: base_signed}
  rate: {foreign: rate}
  entered: {foreign: amount}
  said: {template: "1 {currency} = {rate}"}
  text: {value: "v1.5"}
acknowledge: {kind: file, acknowledgements: a, ledger: l}
"""


def test_amounts_and_rates_are_written_with_a_decimal_comma_where_the_profile_says_so(tmp_path: Path) -> None:
    text = written(bundle(tmp_path, gl=COMMA), "document_currency gross_minor\n USD 105")

    assert text.splitlines() == [
        "10.02.2026;6602;1,05;1,05;7,46;7,1;1,05;1 USD = 7,1;v1.5",
        "10.02.2026;2241;0,00;-1,05;-7,46;7,1;1,05;1 USD = 7,1;v1.5",
    ]


def test_a_decimal_comma_stands_in_quotes_where_it_is_the_delimiter_too(tmp_path: Path) -> None:
    gl = COMMA.replace('delimiter: ";"', 'delimiter: ","')
    text = written(bundle(tmp_path, gl=gl), "gross_minor\n 105")

    assert '10.02.2026,6602,"1,05","1,05","1,05",' in text


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("line_end: crlf\n", "", "gl.yml line 3: document: 'line_end' is a required property"),
        (
            "line_end: crlf",
            "line_end: crlf\ncolour: red",
            "gl.yml line 12: document: Additional properties are not allowed",
        ),
        ("kind: delimited", "kind: punched", "line 6: kind: 'punched' is not one of ['table', 'text',"),
        ('pos: "7"', 'pos: "6"', "columns.借方金额: needs a position of its own, 1 to 48"),
        ('width: "48"\n', "", "columns.制单日期: a position needs the width of the record"),
        ("encoding: gbk", "encoding: gbq", "encoding: no encoding 'gbq'"),
        ('max: "60", overflow: truncate', "overflow: truncate", "columns.摘要: overflow: truncate needs a max"),
        ("value: claimpost", 'template: "{nobody}"', "columns.制单人: no journal field 'nobody'"),
    ],
)
def test_a_mistake_in_a_delimited_profile_is_named(tmp_path: Path, old: str, new: str, said: str) -> None:
    profile = profile_text("yonyou_u8_txt")
    assert old in profile

    with pytest.raises(ConfigurationError, match=re.escape(said)):
        bundle(tmp_path, gl=profile.replace(old, new, 1))
