"""Journals in the ERP's own form: exact bytes, nothing cut that is a key, nothing written that it cannot read."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from books import BOOK, GL, bundle, expense_lines, shown

from etl import journal, mapping, render


def batch_of(books: mapping.Bundle, table: str) -> tuple[journal.Batch, pd.DataFrame, pd.DataFrame]:
    applied = mapping.apply(books, expense_lines(table))
    booked = journal.build(books, applied.lines, applied.parts)
    (batch,) = journal.batches(books, booked.headers)
    return batch, booked.headers, booked.lines


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
