"""The interface document says everything that the mappings say, in both languages and both forms, and nothing runs."""

from __future__ import annotations

import itertools
import re
import shutil
from collections.abc import Iterator, Mapping
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from books import FEED, GL, JOURNAL, SOURCE, write_mapping
from click.testing import CliRunner
from markdown_it import MarkdownIt
from test_render_targets_fixed import SMALL

from etl import config, mapping, model
from etl.cli import main
from etl.errors import CATALOGUE, OUTCOMES
from etl.mapping import elements, records, tree
from etl.report import interface
from etl.report.interface import chinese, codes, fields, words
from etl.report.interface.model import Document, Table

MAPPINGS = Path(__file__).resolve().parents[1] / "mappings"
FEEDS = mapping.feed_names(MAPPINGS)
TARGETS = sorted(path.stem for path in (MAPPINGS / "targets").glob("*.yml"))
EACH_FEED = pytest.mark.parametrize("feed", FEEDS)
EACH_LANGUAGE = pytest.mark.parametrize("language", interface.LANGUAGES)


def document(feed: str, language: str = "en", folder: Path = MAPPINGS) -> Document:
    return interface.document(mapping.load(folder, feed), folder, language)


def tables(made: Document) -> list[Table]:
    return [table for section in made.sections for table in section.tables]


def cells(made: Document, *headings: str) -> set[str]:
    """The cells below any heading of these names."""
    return {
        cell
        for table in tables(made)
        for row in table.rows
        for heading, cell in zip(table.headings, row, strict=True)
        if heading in headings
    }


def row(made: Document, *first: str) -> dict[str, str]:
    """The one row that begins with these cells, by heading."""
    (found,) = [
        dict(zip(table.headings, cells, strict=True))
        for table in tables(made)
        for cells in table.rows
        if cells[: len(first)] == first
    ]
    return found


def claimpost(*options: str) -> bytes:
    result = CliRunner().invoke(main, ["docs", "interface", *options], catch_exceptions=False)
    assert 0 == result.exit_code, result.stderr
    return result.stdout_bytes


class Texts(HTMLParser):
    """The texts of a page, and its elements with their attributes."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.texts: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.texts.append(data.strip())


# --- everything is there


@EACH_FEED
def test_every_source_column_field_rule_and_table_appears(feed: str) -> None:
    bundle, made = mapping.load(MAPPINGS, feed), document(feed)
    used = {use["file"] for use in bundle.journal.get("tables", {}).values()} | {bundle.feed["checks"].get("tax")}
    used |= {use["file"] for use in bundle.feed["checks"].get("references", {}).values()}
    used |= {bundle.feed.get("periods"), bundle.journal.get("rates", {}).get("file")}

    assert columns_of(bundle.source["format"]) == cells(made, "Column")
    assert set(bundle.source["fields"]) <= cells(made, "Field")
    assert {line["purpose"] for line in bundle.journal["lines"]} <= cells(made, "Rule")
    assert {f"tables/{name}" for name in used if name} == cells(made, "Table")
    assert set(bundle.feed["companies"]) == cells(made, "Company")
    assert {check["name"] for rules in bundle.rules for check in rules["checks"]} <= cells(made, "Rule")


def columns_of(format: Mapping[str, Any]) -> set[str]:
    """The columns of a source, read from its document: of headers, of positions, or of the levels of a document."""
    if "records" in format:
        return set(of_level(format["records"]))
    if "positions" in format:
        return set(format["positions"]["columns"].values())
    entries = [entry for layout in format["layouts"] for entry in layout]
    return {next(iter(entry.values())) if isinstance(entry, dict) else entry for entry in entries}


def of_level(level: Mapping[str, Any]) -> Iterator[str]:
    yield from [level["number"]] if "number" in level else []
    yield from level.get("columns", {})
    for below in level.get("levels", []):
        yield from of_level(below)


@pytest.mark.parametrize("target", TARGETS)
@EACH_LANGUAGE
def test_every_field_of_every_target_appears_in_order(tmp_path: Path, target: str, language: str) -> None:
    made = document("sample", language, with_target(tmp_path, target))
    profile = config.load(MAPPINGS / f"targets/{target}.yml", "target")
    title = words.Words(language)("fields_of", target=target)
    (table,) = [table for table in tables(made) if table.name == title]

    labels = {name: f" ({rule['label']})" for name, rule in profile.get("columns", {}).items() if "label" in rule}

    assert [name + labels.get(name, "") for name in fields_of(profile)] == [cells[1] for cells in table.rows]
    assert all(cells[-1] for cells in table.rows)


def with_target(folder: Path, target: str) -> Path:
    """The mappings with all companies of the sample posting to one target."""
    shutil.copytree(MAPPINGS, folder / "mappings")
    feed = folder / "mappings/feeds/sample.yml"
    text = re.sub(r"target: (oracle_ebs_gl_interface|beancount),", f"target: {target},", feed.read_text("utf-8"))
    feed.write_text(text, "utf-8")
    return folder / "mappings"


def fields_of(profile: config.Document) -> list[str]:
    """Names of a profile's fields, read from the profile itself."""
    if "document" in profile:
        return [leaf.name for leaf in tree.leaves(profile["document"])]
    if "tree" in profile:
        found = elements.elements(elements.root(profile["tree"]))
        return [name for element in found for name, _, _ in element.cells()]
    if "records" in profile:
        return [name for record in records.records(profile["records"]) for name, _ in record.columns()]
    text = [
        "posting_date", "employee_id", "description", "journal_key", "journal_id", "company", "period", "report_id",
        "account", "line_no", "cost_center", "project", "party", "tax_code", "text", "signed", "base_signed",
    ]  # fmt: skip
    return list(profile.get("columns", text))


def test_a_source_column_says_what_may_stand_in_it() -> None:
    made = document("sample")

    assert {
        "No.": "20", "Column": "Currency", "Headers": "1", "Becomes": "document_currency", "Type": "currency",
        "Length, at most": "", "Required": "yes", "Format": "ISO 4217; RMB is read as CNY",
    } == row(made, "20", "Currency")  # fmt: skip
    assert ("240", "") == tuple(row(made, "14", "Description")[name] for name in ("Length, at most", "Required"))
    assert "sources/expense_csv.yml line 36" == row(made, "document_currency", "currency of the receipt")["Defined in"]


def test_headers_that_changed_and_columns_that_cost_are_told() -> None:
    uk, canada = document("uk_birmingham_pcards"), document("ca_travel_claims")

    assert (
        "1, 2 (written ''), 3 (written 'Directorate '), 4, 5, 6 (written 'Directorates'), 7"
        == row(uk, "12", "Directorate")["Headers"]
    )
    assert "GBP" in row(uk, "document_currency", "currency of the receipt")["From"]
    assert "gross_minor of expense type AIRFARE" == row(canada, "12", "airfare")["Becomes"]
    assert "one line for each cost column that is not zero" == row(canada, "gross_minor", "amount with tax")["From"]


def test_a_journal_line_rule_reads_as_a_sentence_with_its_place() -> None:
    rule = row(document("sample"), "3", "settlement")
    line = config.load(MAPPINGS / "journals/group_expense.yml", "journal").line("lines", 2)

    assert {
        "In words": "Credit the gross amount to account of table counter, looked up by company, payer.",
        "When": "always",
        "Also": "employee or vendor of the line: employee_id of the expense line.\ntext of the line: "
        "“Advance {advance_id} applied” when payer is ADVANCE; “Company card” when payer is CARD; else “Payable to "
        "employee”.\nLines that agree in everything but the amount are added up.",
        "Defined in": f"journals/group_expense.yml line {line}",
    } == {name: cell for name, cell in rule.items() if name not in ("No.", "Rule")}


def test_a_rule_reads_as_a_sentence_in_chinese() -> None:
    rule = row(document("sample", "zh"), "2", "input_tax")

    assert ("借记表 tax_account 的 account（按 company、tax_code 查找），有效日 transaction_date，金额为可抵扣税额。",
            "reclaimable_tax_minor 不为零") == (rule["说明"], rule["条件"])  # fmt: skip


def test_tables_are_counted() -> None:
    rows = len((MAPPINGS / "tables/sample_rates.csv").read_text("utf-8").splitlines()) - 1
    rates = row(document("sample"), "tables/sample_rates.csv")

    assert (f"{rows:,}", "2025-01-01 to 2026-12-31") == (rates["Rows"], rates["Validity in the file"])


CONDITION = """{any: [{payer: [CARD, CASH]},
   {all: [{gross_minor: {above: "100000", to: "-5"}}, {tax_minor: positive}]}],
   not: {account: {prefix: "66"}}, invoice_no: missing, project: {present: yes, not: {equal: P1}},
   line_no: "3", merchant: {in: [A, B], from: A, below: Z}}"""


def test_every_form_of_condition_is_put_in_words(tmp_path: Path) -> None:
    journal = JOURNAL.replace("    merge: yes\n", f"    merge: yes\n    when: {CONDITION}\n", 1)
    made = document("tiny", "en", write_mapping(tmp_path / "m", journals=journal))

    assert (
        "(payer is one of CARD, CASH or (gross_minor is above 100,000 minor units and gross_minor is -5 minor units or "
        "below and tax_minor is above zero)) and not (account begins with 66) and invoice_no is empty and project is "
        "given and not (project is P1) and line_no is 3 and merchant is one of A, B and merchant is A or above and "
        "merchant is below Z"
    ) == row(made, "2", "input_tax")["When"]


def test_every_check_and_limit_of_a_feed_is_told(tmp_path: Path) -> None:
    checks = "checks: {zero: allowed, refunds: refused, invoice_repeated: hold}\ngate: {gross: {CNY: {max: '9000.50'}}}"
    made = document("tiny", "en", write_mapping(tmp_path / "m", feeds=FEED.replace("checks: {}", checks)))

    assert {
        "No line is below zero.": "NEGATIVE",
        "An invoice (number, date, currency, amount) is claimed once; a second time: held.": "INVOICE_REPEATED",
    } == {
        cells[0]: cells[1] for table in tables(made) if table.headings[:2] == ("Check", "Code") for cells in table.rows
    }
    assert {"Check": "Gross in CNY", "Limit": "at most 9,000.50"} == row(made, "Gross in CNY")


def test_a_trailer_of_a_target_is_told(tmp_path: Path) -> None:
    made = document("tiny", "en", write_mapping(tmp_path / "m", gl=SMALL))

    assert ["1 to 1", "2 to 5", "6 to 9", "10 to 21"] == [
        cells[0] for table in tables(made) for cells in table.rows if "END/" in cells[1]
    ]
    assert {
        "Position": "10 to 21", "Field": "END/debit", "Type": "amount", "Length, at most": "12 bytes",
        "Too long": "the report is held (KEY_OVERFLOW)", "Required": "",
        "From": "sum of: debit in the currency of the books",
    } == row(made, "10 to 21", "END/debit")  # fmt: skip
    assert "number of journals" == row(made, "2 to 5", "END/journals")["From"]


# --- sources of other kinds


def test_the_levels_of_a_json_document_say_where_each_column_is_read() -> None:
    made = document("concur_fis")

    assert "entry" == row(made, "2", "fIDocuments[].document.expenseEntry[]")["Numbered in"]
    marks = row(made, "1", "fIDocuments[]")["What must stand there"]
    assert "document.report.isTest is N, or empty; document.cashAdvanceData.isTest is N, or empty" == marks
    assert "offset, nextPage" == row(made, "", "the document itself")["Left unread on purpose"]
    assert [
        "4: journalPayer",
        "5: journalPayer of the one element of journal, beside this array, that has or lists its taxGuid",
        "6: always EMPL", "7: payer",
    ] == read_from(made, "payer")  # fmt: skip
    assert ["1: document.report.revisionNumber; 1 when it is empty"] == read_from(made, "revision")
    assert ["2: entryApprovedAmount, a JSON number"] == read_from(made, "entryApprovedAmount")
    assert ["2: the first that is filled: entryDescription, expenseTypeName"] == read_from(made, "description")
    assert ["3: number of the element in the file, from 1"] == read_from(made, "allocation")
    assert {"Setting": "Number of records stated at", "Value": "numberReturned"} == row(
        made, "Number of records stated at"
    )


def read_from(made: Document, column: str) -> list[str]:
    """Where a column of a JSON document is read, one place for each level that gives it."""
    (told,) = [
        cells[2]
        for table in tables(made)
        for cells in table.rows
        if table.headings[2:3] == ("Level, and where it is read there",) and cells[1] == column
    ]
    return told.split("\n")


def test_what_must_add_up_in_the_source_is_a_check_with_its_place() -> None:
    made = document("concur_fis")
    source = mapping.load(MAPPINGS, "concur_fis").source
    total = "Over the rows that agree in allocation, the sum of amountNetOfTax + amountTax is the sum of amountGross."
    stated = "Over the rows that agree in entry, the sum of amountGross is the stated entryApprovedAmount; where it is"

    assert f"sources/concur_fis.yml line {source.line('sums', 'tax')}" == row(made, total, "SUM")["Defined in"]
    assert f"{stated} empty, nothing is checked." in cells(made, "Check")
    assert "not booked; for the sums entry" == row(made, "18", "entryApprovedAmount")["Becomes"]


def test_a_file_of_positions_says_them_and_its_control_header() -> None:
    made = document("concur_sae")

    assert ("169", "gross_minor") == tuple(row(made, "21", "journal_amount")[name] for name in ("Position", "Becomes"))
    assert (
        "begins with EXTRACT; 5 fields; number of records in field 3; sum of journal_amount in field 4; "
        "batch_date in field 2; batch_id in field 5"
    ) == row(made, "Control header")["Value"]
    assert ["begins with DETAIL", "are characters like any other"] == [
        row(made, name)["Value"] for name in ("Records", "Quotes")
    ]
    assert "may begin with +; may have zeros beyond the decimals of the currency" == row(made, "Numbers")["Value"]
    assert (
        "row by row the first that is filled: report_id, CA-{advance_key}; a text with braces is filled when the "
        "columns in them are"
    ) == row(made, "report_id", "number of the expense report")["From"]


# --- what accountants declare

DECLARED = """
journal: tiny
source: the test
posting_date: {latest: [approved_at, transaction_date], to: month_end, not_after: submitted_at}
closed_period: accrue
one_per: [employee_id, payer]
line_order: debits_first
description: {template: "{report_id} {employee_id}", max: "12", unit: bytes, encoding: gb18030}
tables:
  account: {file: account.csv, key: [expense_type], value: account, valid_by: transaction_date}
  bearer: {file: bearer.csv, key: [cost_center], value: company}
taxes: {file: taxes.csv, key: [tax_code], valid_by: transaction_date, amount: stated}
allocations:
  phone:
    file: phone.csv
    key: [expense_type]
    by: percent
    set: [cost_center]
    valid_by: posting_date
    otherwise: whole
intercompany: {company: {table: bearer}, due_from: {value: "1241"}, due_to: {value: "2247"}}
accrual: {account: {value: "2261"}}
split: {account: {value: "1999"}}
lines:
  - purpose: expense
    side: debit
    amount: untaxed
    account: {table: account, suspense: {value: "1999", lines_max: "1000"}}
    cost_center: {field: cost_center, max: "10", overflow: error}
    allocate: phone
    books: bearer
    accrue: yes
  - purpose: input_tax
    side: debit
    amount: tax
    per: tax
    account: {value: "2221"}
    merge: both
  - purpose: settlement
    side: credit
    amount: gross
    account: {value: "2241"}
    party: {field: employee_id}
    text: {choose: [{when: {payer: CARD}, value: Card}, {value: ""}]}
    merge: both
rates: {file: rates.csv, rounding: half_up, date: document_date}
rounding: {account: {company: rounding}, limit_minor: "2", period_limit_minor: "5000"}
tax_rate: {tolerance_minor: "3"}
"""
DECLARED_TABLES = {
    "bearer": "cost_center,company\n0010,C1\n0020,C2\n",
    "taxes": "tax_code,tax,rate_pct,reclaimable_pct\nFULL,GST,5,100\nFULL,QST,9.975,100\n",
    "phone": "expense_type,part,share,cost_center\nPHONE,1,70,0010\nPHONE,2,30,0020\n",
}


def declared(folder: Path, **changed: str) -> Path:
    """The tiny mapping with everything that a journal mapping can declare."""
    sources = SOURCE + '  tax_rate_pct: {value: "13"}\n'
    made = write_mapping(folder / "m", **{"journals": DECLARED, "sources": sources, **changed})
    for name, text in DECLARED_TABLES.items():
        (made / f"tables/{name}.csv").write_text(text, "utf-8")
    return made


def test_everything_that_accountants_declare_is_a_sentence_with_its_place(tmp_path: Path) -> None:
    folder = declared(tmp_path, feeds=FEED.replace("C2: {", "C2: {closed_period: next_open, "))
    made, journal = document("tiny", "en", folder), config.load(folder / "journals/tiny.yml", "journal")
    feed = config.load(folder / "feeds/tiny.yml", "feed")
    expected = {
        "One journal for": "One journal for all lines of a company, currency and posting date that agree in "
        "employee_id, payer.",
        "Order of the lines": "debits first",
        "Description": "“{report_id} {employee_id}”, cut to 12 bytes of gb18030",
        "Posting date": "the latest of approved_at, transaction_date, empty ones left out, moved to the last day of "
        "its month, no later than submitted_at; days in the company's time zone; a journal takes the latest of its "
        "lines",
        "Closed period": "the first day of the next open period; where the closed one is open for accruals, the cost "
        "is accrued there",
        "Accruals": "the lines of rules 1, in a period that is open for accruals, against account “2261”; reversed on "
        "the first day of the next open period",
        "Stated tax rate": "a line that states its tax rate (tax_rate_pct) is taxed by it; a tax stated as well may "
        "differ by 3 minor units (TAX)",
        "Taxes of a tax code": "tables/taxes.csv has a row for each tax of a code (key tax_code); the source's tax is "
        "divided by the rates, valid on transaction_date",
        "Allocation phone": "divides an amount among the rows of its key (expense_type) in tables/phone.csv, by "
        "percentages that add up to 100; sets cost_center, valid on posting_date; without rows the amount stays whole",
        "Costs that another company bears": "the bearer is company of table bearer, looked up by cost_center, the "
        "claim's own company where that is empty; lines of rules 1 stand in the bearer's books against due-to “2247”; "
        "the claim's company books due-from “1241”",
        "Exchange rates": "tables/rates.csv, one rate for each journal by its document_date; each line rounded once "
        "(half up)",
        "Rounding": "what the conversion leaves over goes to account rounding of the company, at most 2 minor units in "
        "a journal; at most 5,000 minor units in a company and period (ROUNDING_PERIOD)",
        "Journals longer than the ERP takes": "become several, each balanced over account “1999”",
    }
    places = [
        "one_per", "line_order", "description", "posting_date", "closed_period", "accrual", "tax_rate", "taxes",
        "allocations",
        "intercompany", "rates", "rounding", "split",
    ]  # fmt: skip

    assert expected == {name: row(made, name)["Value"] for name in expected}
    lines = [journal.line(*([place, "phone"] if place == "allocations" else [place])) for place in places]
    assert [f"journals/tiny.yml line {line}" for line in lines] == [row(made, name)["Defined in"] for name in expected]
    assert {
        "Setting": "Closed period of company C2", "Value": "the first day of the next open period",
        "Defined in": f"feeds/tiny.yml line {feed.line('companies', 'C2', 'closed_period')}",
    } == row(made, "Closed period of company C2")  # fmt: skip
    assert {"tables/taxes.csv", "tables/phone.csv", "tables/bearer.csv"} <= cells(made, "Table")


def test_the_options_of_a_journal_line_rule_are_told(tmp_path: Path) -> None:
    made = document("tiny", "en", declared(tmp_path))
    expense, tax = row(made, "1", "expense"), row(made, "2", "input_tax")
    merged = "Lines of the rules 2, 3 (merge both) that agree in everything but the amount are added up or set off."

    assert "Debit the amount without any tax to account of table account" == expense["In words"].split(",")[0]
    assert [
        "cost center: cost_center of the expense line, at most 10 characters, else held (KEY_OVERFLOW).",
        "Without a row or choice: suspense account 1999, for at most 1,000 lines of a delivery, else held "
        "(SUSPENSE_LIMIT).",
        "Divided by allocation phone.",
        "In the books of the company that bears the cost.",
        "Also accrued in a period that is open for accruals.",
    ] == expense["Also"].split("\n")
    assert "Debit the tax, each tax alone to “2221”." == tax["In words"]
    assert ["One line for each tax of the tax code; its tax code is the tax.", merged] == tax["Also"].split("\n")


def test_the_mapping_of_these_tests_declares_all_there_is() -> None:
    definitions = config.schema("journal")["$defs"]
    journal = config.read_yaml(DECLARED.encode(), "tiny.yml")

    assert {*definitions["journal"]["properties"]} - {"reclaimable_tax"} == set(journal)
    options = {option for line in journal["lines"] for option in line}
    assert {*definitions["journal_line"]["properties"]} - options <= {
        "when", "department", "project", "analysis", "tax_code",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        (
            "{field: approved_at}",
            "approved_at; days in the company's time zone; a journal takes the latest of its lines",
        ),
        (
            "{earliest: [approved_at, submitted_at], to: next_month_start, not_before: transaction_date}",
            "the earliest of approved_at, submitted_at, empty ones left out, moved to the first day of the next month, "
            "no earlier than transaction_date; days in the company's time zone; a journal takes the earliest of its "
            "lines",
        ),
        (
            "{latest: [approved_at], to: month_start}",
            "the latest of approved_at, empty ones left out, moved to the first day of its month; days in the "
            "company's time zone; a journal takes the latest of its lines",
        ),
    ],
)
def test_a_rule_of_the_posting_date_is_put_in_words(tmp_path: Path, rule: str, words: str) -> None:
    journal = JOURNAL.replace("posting_date: approved_at", f"posting_date: {rule}")

    assert (
        words == row(document("tiny", "en", write_mapping(tmp_path / "m", journals=journal)), "Posting date")["Value"]
    )


def test_a_withdrawn_state_is_told_without_a_code(tmp_path: Path) -> None:
    feed = FEED.replace("checks: {}", "checks: {withdrawn: [recalled, deleted]}")
    made = document("tiny", "en", write_mapping(tmp_path / "m", feeds=feed))
    told = (
        "The state recalled or deleted withdraws a report: what is booked of it is reversed; no other check judges it."
    )

    assert "" == row(made, told)["Code"]


# --- answers


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        (
            "sap_idoc_acc_document",
            {
                "Our journal key in": "XBLNR",
                "Document number in": "BUKRS / BELNR / GJAHR, joined by a slash",
                "Posted means": "a state that says so and a document number; a state that is not listed is unknown",
            },
        ),
        ("oracle_fusion_fbdi", {"Posted means": "a document number, whatever the state says"}),
        (
            "yonyou_nc65_xml",
            {
                "Acknowledgement": "file ack/{batch_id}.ack.xml from the folder of the delivered file; an element at "
                "ufinterface/sendresult for each journal",
                "States of the ERP": "1: posted, -32000: refused",
            },
        ),
        (
            "kingdee_k3cloud",
            {
                "Journals in the delivered document": "list data.Model, key in FEntity.0.FBUSNO",
                "List Result.ResponseStatus.SuccessEntitys": "posted; Number of the journal in DIndex; Document number "
                "in Number",
            },
        ),
        ("yonyou_u8_txt", {"State in": "49", "Message in": "51", "States of the ERP": "Y: posted, N: refused"}),
        ("beancount", {"Ledger read for reconciliation": "{batch_id}.ledger.csv"}),
        ("oracle_ebs_gl_interface", {"Ledger read for reconciliation": "gl_je_headers, gl_je_lines"}),
    ],
)
def test_every_kind_of_answer_says_where_each_text_stands(
    tmp_path: Path, target: str, expected: dict[str, str]
) -> None:
    made = document("sample", "en", with_target(tmp_path, target))
    told = next(dict(table.rows) for table in tables(made) if table.name == target)

    assert expected.items() <= told.items()


def test_the_most_lines_of_a_journal_and_a_batch_are_told(tmp_path: Path) -> None:
    target = GL.replace("group: batch", 'group: batch\njournal_lines_max: "999"\nbatch_lines_max: "20000"')
    made = document("tiny", "en", write_mapping(tmp_path / "m", gl=target))

    assert ["999", "20,000"] == [
        row(made, f"Lines in a {one}, at most")["Value"] for one in ("journal", "batch")
    ]  # fmt: skip


# --- error codes


@EACH_FEED
def test_the_codes_are_those_that_the_feed_can_give(feed: str) -> None:
    bundle = mapping.load(MAPPINGS, feed)
    found = {entry.code for entry in codes.possible(bundle)}

    assert set(CATALOGUE) - found <= set(codes._NEEDS)
    assert found <= cells(document(feed), "Code")
    assert ("approver_id" in bundle.source["fields"]) == ("SOD" in found)


def test_codes_of_options_that_a_feed_does_not_use_are_left_out() -> None:
    sample, canada = (
        {entry.code for entry in codes.possible(mapping.load(MAPPINGS, feed))}
        for feed in ("sample", "ca_travel_claims")
    )
    optional = {
        "SIDECAR", "CONTROL_TOTAL", "STATUS", "TAX", "SPLIT", "RATE", "ROUNDING_LIMIT", "SOD", "PERIOD_CLOSED",
        "POLICY", "APPROVAL", "REFERENCE",
    }  # fmt: skip

    assert optional <= sample
    assert set() == optional & canada
    assert set() == {"ENVIRONMENT", "NEGATIVE", "INVOICE_REPEATED", "RATE_VALUE"} & sample


def test_the_codes_of_new_options_come_with_them(tmp_path: Path) -> None:
    target = GL.replace("group: batch", 'group: batch\njournal_lines_max: "9"')
    shadow = FEED.replace("checks: {}", "checks: {}\nmode: shadow")
    plain, full = write_mapping(tmp_path / "plain", gl=target), declared(tmp_path, feeds=shadow)
    before, after = ({entry.code for entry in codes.possible(mapping.load(at, "tiny"))} for at in (plain, full))
    of_shadow = {code for code, entry in CATALOGUE.items() if entry.outcome == "shadow"}

    assert {"LINES"} == before - after
    assert {
        *of_shadow, "SHADOW_BATCH", "SIGN_OFF", "LEGACY_LINE", "SUSPENSE_LIMIT", "ROUNDING_PERIOD", "SPLIT",
        "TAX", "TAX_RATE",
    } == after - before  # fmt: skip
    assert row(document("tiny", "en", full), "Mode")["Value"].startswith("shadow: journals are built and sealed")


def test_the_reasons_of_an_erp_are_those_that_its_tables_give(tmp_path: Path) -> None:
    folder = write_mapping(tmp_path / "m", gl=GL.replace("kind: table, headers", "kind: table, codes: [acme], headers"))
    (folder / "codes").mkdir(exist_ok=True)
    (folder / "codes/acme.csv").write_text("code,words,example,ours,source\nE1,,,ERP_TAX,the test\n", "utf-8")
    found = {entry.code for entry in codes.possible(mapping.load(folder, "tiny")) if entry.outcome == "refusal"}

    assert {"ERP_TAX", "ERP_UNMAPPED", "ERP_OPEN"} == found
    assert row(document("tiny", "en", folder), "Its codes of refusal in ours")["Value"] == "codes/acme.csv"


def test_each_kind_of_source_gives_its_own_codes() -> None:
    delimited, positions, document_of = (
        {entry.code for entry in codes.possible(mapping.load(MAPPINGS, feed))}
        for feed in ("sample", "concur_sae", "concur_fis")
    )
    of_json, of_text = {"SYNTAX", "TYPE", "ENVIRONMENT", "SUM"}, {"LINE_END", "FIELD_COUNT", "BLANK_LINE"}

    assert of_json == (of_json | of_text) & document_of
    assert of_text | {"QUOTING", "UNKNOWN_COLUMN"} <= delimited
    assert of_text | {"RECORD_MARK", "CONTROL_TOTAL"} <= positions
    assert set() == {"QUOTING", "UNKNOWN_COLUMN", *of_json} & positions


def test_an_error_says_who_acts_and_how() -> None:
    told = row(document("sample"), "MAPPING_GAP")

    assert {
        "Code": "MAPPING_GAP", "Meaning": "‹field›: no row for ‹value› in ‹detail›.", "Owner": "finance",
        "Next step": "Add the row to the table, then run the feed again.",
    } == told  # fmt: skip


# --- languages


def test_everything_has_a_chinese_text() -> None:
    every = {*model.LINE_FIELDS, *model.JOURNAL_COLUMNS, *model.JOURNAL_LINE_COLUMNS, *elements.FIELDS["line"]}

    assert set(CATALOGUE) == set(chinese.CODES)
    assert set(OUTCOMES) == set(chinese.OUTCOMES)
    assert {entry.owner for entry in CATALOGUE.values()} == set(chinese.OWNERS)
    assert every == set(fields.MEANINGS)


@EACH_FEED
def test_no_english_label_is_left_in_a_chinese_document(feed: str) -> None:
    check_labels(document(feed, "zh"), mapping.load(MAPPINGS, feed))


@pytest.mark.parametrize("target", TARGETS)
def test_no_english_label_is_left_of_any_target(tmp_path: Path, target: str) -> None:
    folder = with_target(tmp_path, target)
    check_labels(document("sample", "zh", folder), mapping.load(folder, "sample"))


def test_no_english_label_is_left_of_what_accountants_declare(tmp_path: Path) -> None:
    feed = FEED.replace("checks: {}", "checks: {withdrawn: [recalled]}\nmode: shadow")
    folder = declared(tmp_path, feeds=feed)
    made = document("tiny", "zh", folder)
    journals = next(section for section in made.sections if section.title == "记账凭证")
    sentences = [cell for table in journals.tables for cells in table.rows for cell in cells[1:-1] if " " in cell]

    check_labels(made, mapping.load(folder, "tiny"))
    assert ["the test"] == [cell for cell in sentences if not re.search(r"[\u4e00-\u9fff]", cell)]
    assert "借记“2221”，金额为各税种的税额。" == row(made, "2", "input_tax")["说明"]
    assert "查不到行或选项时：记入暂记科目 1999，每次交付最多 1,000 行，超过则全部挂起（SUSPENSE_LIMIT）。" in row(
        made, "1", "expense"
    )["其他"].split("\n")


def check_labels(made: Document, bundle: mapping.Bundle) -> None:
    """Titles, headings and captions are Chinese, and no whole phrase is English."""
    labels = {made.title, made.contents, *(s.title for s in made.sections), *(t.name for t in tables(made))}
    labels |= {heading for table in tables(made) for heading in table.headings}
    ours = {table.name for table in tables(made)} & set(bundle.targets)
    english = {en for en, zh in words.PHRASES.values() if en != zh and "{" not in en}
    texts = set(Texts(interface.page(made)).texts)

    assert [] == sorted(label for label in labels - ours - {""} if not re.search(r"[\u4e00-\u9fff]", label))
    assert set() == english & labels
    assert set() == {phrase for phrase in english if " " in phrase} & texts


@pytest.mark.parametrize(("en", "zh"), words.PHRASES.values(), ids=list(words.PHRASES))
def test_both_languages_say_the_same_facts(en: str, zh: str) -> None:
    named = re.compile(r"\{[a-z_]+\}")

    assert set(named.findall(en)) == set(named.findall(zh))


# --- forms


ATTRIBUTES = {"lang", "charset", "http-equiv", "content", "name", "aria-label", "href", "id", "class", "scope"}


@EACH_FEED
@EACH_LANGUAGE
def test_the_page_shows_every_cell_and_no_script(feed: str, language: str) -> None:
    made = document(feed, language)
    page = Texts(interface.page(made))
    wanted = [cell for table in tables(made) for row in table.rows for cell in row if cell]

    assert [] == [cell for cell in wanted if cell.strip() not in page.texts]
    assert language == next(attributes["lang"] for tag, attributes in page.tags if tag == "html")
    assert {"script", "img", "link", "iframe", "object"} & {tag for tag, _ in page.tags} == set()
    assert {name for _, attributes in page.tags for name in attributes} <= ATTRIBUTES
    anchors = {str(a["href"]) for tag, a in page.tags if tag == "a"}
    assert {f"#s{number}" for number in range(1, len(made.sections) + 1)} == anchors


HOSTILE = "</td><script>alert(1)</script>|`x`&amp;*[a](b)"


@EACH_LANGUAGE
def test_hostile_text_of_a_mapping_is_shown_and_never_runs(tmp_path: Path, language: str) -> None:
    target = GL.replace("description: A staging table", f"description: '{HOSTILE}'").replace("value: gl", "value: gl")
    journal = JOURNAL.replace("{value: Payable}", f"{{value: '{HOSTILE}'}}").replace(
        "source: the test", f"source: '{HOSTILE}'"
    )
    made = document("tiny", language, write_mapping(tmp_path / "m", gl=target, journals=journal))
    page = interface.page(made)

    assert HOSTILE in Texts(page).texts
    assert "<script" not in page
    assert HOSTILE in markdown_cells(interface.markdown(made))


def markdown_cells(text: str) -> list[str]:
    """The texts of the cells as a Markdown reader shows them."""
    tokens = MarkdownIt("commonmark").enable("table").parse(text)
    out = []
    for before, token in itertools.pairwise(tokens):
        if before.type in ("td_open", "th_open"):
            assert all(child.type in ("text", "text_special") for child in token.children or ())
            out.append("".join(child.content for child in token.children or ()))
    return out


@EACH_FEED
@EACH_LANGUAGE
def test_markdown_says_the_same_as_the_page(feed: str, language: str) -> None:
    made = document(feed, language)
    wanted = [cell for table in tables(made) for row in (table.headings, *table.rows) for cell in row]

    assert [" ".join(cell.split()) for cell in wanted] == markdown_cells(interface.markdown(made))


def test_the_command_writes_a_file_or_standard_output_the_same_bytes_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CLAIMPOST_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("CLAIMPOST_MAPPINGS", str(MAPPINGS))
    out = tmp_path / "docs/interface.html"
    first = claimpost("sample", "--language", "zh")
    claimpost("sample", "--language", "zh", "--out", str(out))

    assert first == claimpost("sample", "--language", "zh") == out.read_bytes()
    assert first.startswith(b'<!DOCTYPE html>\n<html lang="zh">')
    assert claimpost("sample", "--format", "markdown").startswith(b"# Interface sample\n")
    assert not (tmp_path / "home").exists()
