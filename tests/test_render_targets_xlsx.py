"""Targets of kind xlsx: what stands in which cell, text that stays text, exact numbers, the same bytes twice."""

from __future__ import annotations

import io
import re
import zipfile
from decimal import Decimal
from pathlib import Path
from typing import Any

import openpyxl
import pytest
from books import FEED, JOURNAL, TABLES, bundle
from rendered import by_profile, profile_text, refused, refused_reports

from etl.errors import ConfigurationError
from etl.render import xlsx

KINGDEE = "kingdee_k3cloud_xlsx"
SITE = profile_text(KINGDEE).replace("{CNY: PRE001}", "{CNY: PRE001, USD: PRE007, JPY: PRE004, KWD: PRE009}")
WIDE = FEED.replace('journals_max: "2"', 'journals_max: "9"')
RED = WIDE.replace("companies: [C1], target: gl", "companies: [C1, C2], target: gl").replace(
    "  - {companies: [C2], target: book, connection: drop}\n", ""
)
RATES = TABLES["rates"] + "KWD,CNY,23.1,2026-01-01,\n"
KEYS = [
    "FBillHead(GL_VOUCHER)", "FAccountBookID", "FDate", "FBUSDATE", "FVOUCHERGROUPID", "FVOUCHERGROUPNO",
    "FACCBOOKORGID", "*Split*1", "FEntity", "FEXPLANATION", "FACCOUNTID", "FDetailID#FFlex5", "FDetailID#FFlex7",
    "FCURRENCYID", "FEXCHANGERATETYPE", "FEXCHANGERATE", "FAMOUNTFOR", "FDEBIT", "FCREDIT", "FBUSNO",
]  # fmt: skip
LABELS = [
    "*单据头序号", "*账簿编码", "*日期", "业务日期", "*凭证字", "*凭证号", "*核算组织编码", "间隔列", "*分录序号",
    "摘要", "*科目编码", "部门", "员工", "*币别", "*汇率类型", "汇率", "原币金额", "借方金额", "贷方金额", "业务编号",
]  # fmt: skip


def workbook(folder: Path, table: str, **changed: str) -> bytes:
    payload, *_ = by_profile(folder, KINGDEE, table, **{"gl": SITE, "feeds": WIDE, **changed})
    return payload


def rows(payload: bytes) -> list[list[str]]:
    """Cells as they stand in the XML of the sheet, "" where there is none; numbers with all that was written."""
    with zipfile.ZipFile(io.BytesIO(payload)) as package:
        sheet = package.read("xl/worksheets/sheet1.xml").decode("utf-8")
        strings = re.findall(r"<si><t[^>]*>(.*?)</t></si>", package.read("xl/sharedStrings.xml").decode("utf-8"))
    out = []
    for row in re.findall(r"<row .*?</row>", sheet):
        cells = [""] * len(KEYS)
        for column, kind, value in re.findall(r'<c r="([A-Z])[0-9]+" s="[0-9]+"(?: t="(s)")?><v>(.*?)</v>', row):
            cells[ord(column) - ord("A")] = strings[int(value)] if kind else f"#{value}"
        out.append(cells)
    return out


def test_keys_labels_and_a_domestic_voucher(tmp_path: Path) -> None:
    assert [
        KEYS,
        LABELS,
        ["1", "1", "2026-02-10", "2026-02-03", "PRE001", "1", "C1", "", "1", "TAXI 机票&lt;&amp;", "6602", "0010", "",
         "PRE001", "HLTX01_SYS", "#1", "#45.00", "#45.00", "", "U5MCXWK655SAXAAU"],
        ["", "", "", "", "", "", "", "", "2", "Payable", "2241", "", "E1",
         "PRE001", "HLTX01_SYS", "#1", "#45.00", "", "#45.00", "U5MCXWK655SAXAAU"],
    ] == rows(workbook(tmp_path, "gross_minor description\n 4500 机票<&"))  # fmt: skip


def test_a_foreign_voucher_carries_the_rate_and_both_amounts(tmp_path: Path) -> None:
    table = "report_id document_currency gross_minor\n R1 CNY 1\n R2 USD 105\n R2 USD 107"
    found = rows(workbook(tmp_path, table))[4:]

    assert ["2", "", "", ""] == [row[0] for row in found]
    assert [
        ["PRE007", "#7.1", "#1.05", "#7.46", ""],
        ["PRE007", "#7.1", "#1.07", "#7.60", ""],
        ["PRE007", "#7.1", "#2.12", "", "#15.05"],
        ["PRE007", "#7.1", "", "", "#0.01"],
    ] == [[row[13], *row[15:19]] for row in found]


def test_red_lines_yen_and_dinars(tmp_path: Path) -> None:
    table = "company document_currency gross_minor report_id\n C2 CNY -4500 R1\n C2 JPY 1001 R2\n C2 KWD 1001 R3"
    found = rows(workbook(tmp_path, table, feeds=RED, rates=RATES))[2:]

    assert [
        ["#-45.00", "#-45.00", ""], ["#-45.00", "", "#-45.00"],
        ["#1001", "#48.05", ""], ["#1001", "", "#48.05"],
        ["#1.001", "#23.12", ""], ["#1.001", "", "#23.12"],
    ] == [row[16:19] for row in found]  # fmt: skip


def test_a_spreadsheet_program_reads_codes_as_text_and_amounts_as_numbers(tmp_path: Path) -> None:
    payload = workbook(tmp_path, "gross_minor cost_center description\n 4500 0010 =1+1")
    book: Any = openpyxl.load_workbook(io.BytesIO(payload))
    sheet = book["凭证#单据头(FBillHead)"]
    line = {key.value: cell for key, cell in zip(sheet[1], sheet[3], strict=True)}

    assert ["凭证#单据头(FBillHead)"] == book.sheetnames
    assert ("0010", "s", "@") == (line["FDetailID#FFlex5"].value, *kind(line["FDetailID#FFlex5"]))
    assert ("TAXI =1+1", "s", "@") == (line["FEXPLANATION"].value, *kind(line["FEXPLANATION"]))
    assert ("2026-02-10", "s", "@") == (line["FDate"].value, *kind(line["FDate"]))
    assert (45, "n", "0.00") == (line["FDEBIT"].value, *kind(line["FDEBIT"]))
    assert (1, "n", "0") == (line["FEXCHANGERATE"].value, *kind(line["FEXCHANGERATE"]))


def kind(cell: Any) -> tuple[str, str]:
    return cell.data_type, cell.number_format


def test_a_text_that_looks_like_a_formula_stays_text(tmp_path: Path) -> None:
    text = JOURNAL.replace('"{expense_type} {description}"', '"{description}"')
    found = rows(workbook(tmp_path, "gross_minor description\n 1 =1+1\n 2 https://example.com", journals=text))

    assert ["=1+1", "https://example.com"] == [row[9] for row in found[2:4]]


def test_nothing_in_the_file_knows_the_time(tmp_path: Path) -> None:
    payload = workbook(tmp_path, "gross_minor\n 4500")
    with zipfile.ZipFile(io.BytesIO(payload)) as package:
        core = package.read("docProps/core.xml").decode("utf-8")
        assert {(1980, 1, 31, 0, 0, 0)} == {member.date_time for member in package.infolist()}

    assert {"1980-01-01T00:00:00Z"} == set(re.findall(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:]+Z", core))


MANY = (
    "report_id document_currency gross_minor tax_code\n R1 CNY 10000000000001 HALF\n R1 USD 333 .\n R2 JPY 1001 .\n"
    " R3 CNY -700 FULL\n R4 CNY 1 ."
)


def test_debit_is_credit_in_every_voucher(tmp_path: Path) -> None:
    sums: dict[str, Decimal] = {}
    for row in rows(workbook(tmp_path, MANY))[2:]:
        debit, credit = (Decimal(cell[1:] or "0") for cell in row[17:19])
        sums[row[19]] = sums.get(row[19], Decimal()) + debit - credit

    assert (5, {Decimal()}) == (len(sums), set(sums.values()))


@pytest.mark.parametrize(
    ("table", "found"),
    [
        ("gross_minor\n 999999999999999", []),
        ("document_currency gross_minor\n GBP 1", ["KEY_OVERFLOW FEXCHANGERATE 1234.123456789012"]),
        ("document_currency gross_minor\n EUR 100", ["REFERENCE FCURRENCYID EUR"]),
        ("gross_minor payer\n 1 CARD", ["MISSING FACCOUNTID "]),
        ("gross_minor description\n 1 𠮷😀", []),
    ],
)
def test_what_no_cell_can_hold_holds_the_report(tmp_path: Path, table: str, found: list[str]) -> None:
    rates = RATES + "EUR,CNY,8,2026-01-01,\nGBP,CNY,1234.123456789012,2026-01-01,\n"
    counter = "company,payer,account\n*,EMPLOYEE,2241\n*,CARD,\n"
    site = SITE.replace("USD:", "GBP: G1, USD:")

    assert found == refused(tmp_path, KINGDEE, table, gl=site, rates=rates, counter=counter)


def test_a_text_longer_than_a_cell_holds_the_report_and_one_with_a_limit_is_cut(tmp_path: Path) -> None:
    table = "gross_minor description\n 4500 " + "票" * 40_000
    assert ["KEY_OVERFLOW FEXPLANATION TAXI " + "票" * 40_000] == refused(tmp_path / "a", KINGDEE, table, gl=SITE)
    cut = SITE.replace("field: text}", 'field: text, max: "8", overflow: truncate}')
    assert "TAXI 票票票" == rows(workbook(tmp_path / "b", table, gl=cut))[2][9]


def test_more_rows_than_a_sheet_has_hold_the_period(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(xlsx, "ROWS_MAX", 6)
    table = "company report_id gross_minor\n C1 R1 1\n C1 R2 1\n C1 R3 1\n C2 R4 1"
    found = refused_reports(tmp_path, KINGDEE, table, gl=SITE, feeds=RED)

    assert [f"R{number} KEY_OVERFLOW lines 6" for number in (1, 2, 3)] == found


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("sheet: 凭证#单据头(FBillHead)", "sheet: 凭证/单据头", "sheet: '凭证/单据头' does not match"),
        ("field: line_no}", "field: line_number}", "columns.FEntity: no journal field 'line_number'"),
        ("field: line_no}", 'field: line_no, pos: "3"}', "columns.FEntity"),
        ("amount: base_debit, as: number", "amount: base_debit, as: float", "columns.FDEBIT.as: 'float' is not one of"),
    ],
)
def test_a_mistake_in_the_sheet_is_named(tmp_path: Path, old: str, new: str, said: str) -> None:
    assert old in SITE
    with pytest.raises(ConfigurationError, match=re.escape(said)):
        bundle(tmp_path, gl=SITE.replace(old, new, 1))
