"""SAP Concur's Standard Accounting Extract: the published use cases as journals, the header tied out, each bad file."""

from __future__ import annotations

import dataclasses
import json
import shutil
import subprocess
import sys
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from etl import clean, config, formats, mapping, money
from etl.cli import main
from etl.errors import ConfigurationError, FileRejected
from etl.pipeline import booking, cases
from etl.store import Store
from sandbox import concur_sae
from sandbox.concur_sae import Advance, Claim, Entry, Extract
from sandbox.concur_sae.examples import ADVANCES, CLAIMS

PROJECT = Path(__file__).resolve().parents[1]
MAPPINGS = PROJECT / "mappings"
BUNDLE = mapping.load(MAPPINGS, "concur_sae")
EXAMPLES = Extract(7, "2026-03-02", CLAIMS, ADVANCES)
CASES = cases.read(MAPPINGS, "concur_sae")
TAXI = Claim("R1", "E1", (Entry("10.00", "Taxi", "6201"),))


def book(extract: Extract | bytes) -> booking.Booking:
    """What a file comes to when nothing came before it."""
    content = extract if isinstance(extract, bytes) else concur_sae.file_content(extract)
    name = concur_sae.file_name(EXAMPLES)
    raw = booking.read(BUNDLE, content, name)
    return booking.book(BUNDLE, raw, name, booking.first(), MAPPINGS / "tables")


def accounting(booked: booking.Booking) -> dict[str, str]:
    """Each report's journal as an accountant reads it: Dr and Cr per account, debits first."""
    out = {}
    for sealed in booked.sealed:
        for head in sealed.headers.itertuples():
            lines = sealed.lines[sealed.lines["journal_key"] == head.journal_key]
            words = []
            for side in ("debit", "credit"):
                sums = lines.groupby("account", dropna=False)[f"{side}_minor"].sum()
                amounts = [(a, money.text_of(int(minor), head.currency)) for a, minor in sums.items() if minor]
                words.append(", ".join(f"{account} {amount}" for account, amount in amounts))
            out[head.report_id] = f"Dr {words[0]} / Cr {words[1]}"
    return out


def reasons(booked: booking.Booking) -> list[tuple[str, str, str]]:
    """Report, code and field of every reject."""
    return sorted(booked.rejects[["report_id", "code", "field"]].drop_duplicates().itertuples(index=False, name=None))


def raw_of(content: bytes) -> formats.RawFile:
    return formats.read_delimited(content, "extract.txt", BUNDLE.source["format"])


def refused(content: bytes) -> FileRejected:
    with pytest.raises(FileRejected) as caught:
        raw_of(content)
    assert "?" not in str(caught.value), "every fact of the text is given"
    return caught.value


def changed(content: bytes, line: int, column: int, text: str) -> bytes:
    """The file with another text in one cell (line 2 is the first record)."""
    lines = content.decode().split("\n")
    cells = lines[line - 1].split("|")
    cells[column - 1] = text
    lines[line - 1] = "|".join(cells)
    return "\n".join(lines).encode()


def summed(content: bytes) -> bytes:
    """The file with a header that sums what its records now say."""
    header, *lines = content.decode().removesuffix("\n").split("\n")
    total = sum((Decimal(line.split("|")[168]) for line in lines), Decimal())
    cells = header.split("|")
    return "\n".join(["|".join([*cells[:3], f"{total:.4f}", cells[4]]), *lines, ""]).encode()


# --- the published use cases, as accounting
# 2110 employee, 212x cards, 1221 advance, 1290 clearing, 13xx tax, 6490 tax that is not reclaimed

JOURNALS = {
    "CA-70": "Dr 1221 7000.00 / Cr 2110 7000.00",  # 5.1.1
    "1-1-TAXI": "Dr 6201 10.00 / Cr 2110 10.00",
    "1-2-HOTEL-REBATE": "Dr 2110 50.00 / Cr 6204 50.00",
    "2-1-LAUNDRY": "Dr 1310 1.60, 6209 8.40 / Cr 2110 10.00",
    "2-2-FUEL": "Dr 6206 84.03, 6490 15.97 / Cr 2110 100.00",
    "2-3-PHONE": "Dr 1321 4.42, 1322 7.08, 6207 88.50 / Cr 2110 100.00",
    "2-4-HOTEL": "Dr 1321 1.22, 1322 1.95, 6204 48.68, 6490 3.15 / Cr 2110 55.00",
    "2-5-MEAL": "Dr 6205 60.24, 6490 20.08 / Cr 2121 80.32",
    "4-1-BREAKFAST": "Dr 6205 25.00 / Cr 2110 25.00",
    "5-2-1-APPLIED": "Dr 6201 10.00, 6204 245.00, 6205 60.00 / Cr 1221 300.00, 2110 15.00",
    "5-2-2-RETURNED": "Dr 2110 85.00, 6201 10.00, 6204 245.00, 6205 60.00 / Cr 1221 400.00",
    "6-1-3-CREDIT": "Dr 2121 349.00 / Cr 6203 349.00",
    "6-1-6-CARD": "Dr 6201 35.00, 6204 250.00, 6205 20.00 / Cr 2110 35.00, 2121 270.00",
    "6-1-6-OFFSET": "Dr 6201 35.00, 6204 250.00, 6205 20.00 / Cr 2110 21.00, 2121 284.00",
    "6-2-1-PERSONAL": "Dr 1290 81.00, 2110 81.00 / Cr 1290 81.00, 2122 81.00",
    "6-2-2-COMPANY-CARD": "Dr 1290 14.00, 2110 14.00, 6201 35.00, 6204 250.00, 6205 20.00 "
    "/ Cr 1290 14.00, 2110 35.00, 2122 284.00",
}


@pytest.fixture(scope="module")
def examples() -> booking.Booking:
    return book(EXAMPLES)


@pytest.mark.parametrize("report", JOURNALS)
def test_a_published_use_case_becomes_its_journal(examples: booking.Booking, report: str) -> None:
    assert JOURNALS[report] == accounting(examples)[report]


def test_no_use_case_is_left_out(examples: booking.Booking) -> None:
    assert (sorted(JOURNALS), []) == (sorted(accounting(examples)), reasons(examples))


def test_an_allocated_expense_is_one_line_for_each_cost_center(examples: booking.Booking) -> None:
    (sealed,) = [s for s in examples.sealed if "4-1-BREAKFAST" in set(s.headers["report_id"])]
    key = sealed.headers.set_index("report_id")["journal_key"]["4-1-BREAKFAST"]
    lines = sealed.lines[(sealed.lines["journal_key"] == key) & (sealed.lines["purpose"] == "expense")]

    assert [("0010", 1250), ("0020", 1250)] == list(zip(lines["cost_center"], lines["debit_minor"], strict=True))


def test_an_expense_and_the_advance_that_covers_it_are_two_lines_of_one_entry() -> None:
    covered = Entry("245.00", "Hotel", "6204", advance=("77", "1221", "245.00"))
    raw = raw_of(concur_sae.file_content(Extract(1, "2026-03-02", (Claim("R1", "E1", (covered,)),))))
    lines = clean.clean(raw, BUNDLE.source).lines

    assert 1 == raw.frame["entry_id"].nunique()
    assert [(1, 24500, ""), (2, -24500, "77")] == list(
        zip(lines["line_no"], lines["gross_minor"], lines["advance_id"], strict=True)
    )


def test_an_advance_paid_out_is_a_report_of_its_own_with_its_own_date_and_currency() -> None:
    two = (Advance("70", "E4", "7000.00", "1221"), Advance("71", "E4", "50.00", "1221", issued="2026-02-11"))
    lines = clean.clean(raw_of(concur_sae.file_content(Extract(1, "2026-03-02", (), two))), BUNDLE.source).lines

    assert [("CA-70", "2026-02-10", "USD"), ("CA-71", "2026-02-11", "USD")] == list(
        zip(lines["report_id"], lines["approved_at"], lines["document_currency"], strict=True)
    )


@pytest.mark.parametrize("case", CASES, ids=[case.path.stem for case in CASES])
def test_a_case_that_finance_signs_comes_out_as_it_is_written(case: cases.Case) -> None:
    assert case.expected == cases.outcome(BUNDLE, MAPPINGS / "tables", case.lines)


def test_every_counter_account_and_tax_account_has_a_case() -> None:
    accounts = {
        row.cells[column]
        for table, column in (("counter", "account"), ("tax", "tax_account"))
        for rows in BUNDLE.tables[table].rows.values()
        for row in rows
    }

    assert set() == {account for account in accounts if not any(f"  {account}  " in case.expected for case in CASES)}


# --- the header, tied out to the last digit


def test_the_header_is_read_and_kept() -> None:
    raw = raw_of(concur_sae.file_content(EXAMPLES))
    total = sum((Decimal(text) for text in raw.frame["journal_amount"]), Decimal())

    assert {"batch_date": "2026-03-02", "batch_id": "7"} == {k: raw.control[k] for k in ("batch_date", "batch_id")}
    assert (str(len(raw.frame)), total) == (raw.control["count"], Decimal(raw.control["journal_amount"]))
    assert raw.lines == len(raw.frame) + 1


FAULTS = {
    "wrong_count": ("CONTROL_TOTAL", "extract.txt says count = '52', the records give 51."),
    "wrong_sum": ("CONTROL_TOTAL", "extract.txt says journal_amount = '7826.3201', the records give 7826.32."),
    "sum_with_currency_sign": ("CONTROL_TOTAL", "says journal_amount = '¤7826.3200', the records give 7826.32."),
    "header_of_four": ("HEADER", "It does not begin with 'EXTRACT'."),
    "no_header": ("HEADER", "It does not begin with 'EXTRACT'."),
    "missing_column": ("FIELD_COUNT", "extract.txt line 52 has 399 fields, not 400."),
    "extra_delimiter": ("FIELD_COUNT", "extract.txt line 52 has 401 fields, not 400."),
    "other_record": ("RECORD_MARK", "extract.txt line 52 begins with 'SUMMARY', not 'DETAIL'."),
    "cut_in_a_line": ("INCOMPLETE", "line 52 has no line end"),
    "cut_between_lines": ("CONTROL_TOTAL", "extract.txt says count = '51', the records give 50."),
    "header_only": ("CONTROL_TOTAL", "extract.txt says count = '51', the records give 0."),
    "nothing": ("EMPTY", "extract.txt holds no data."),
}


@pytest.mark.parametrize("fault", concur_sae.FAULTS)
def test_a_spoilt_file_is_refused_whole_with_what_is_wrong(fault: str) -> None:
    code, words = FAULTS[fault]
    error = refused(concur_sae.FAULTS[fault](concur_sae.file_content(EXAMPLES)))

    assert code == error.code
    assert words in str(error)


def test_a_header_with_another_number_of_fields_is_refused() -> None:
    content = concur_sae.file_content(EXAMPLES).replace(b"|7\n", b"|7|\n", 1)

    assert "HEADER extract.txt line 1" in str(refused(content))
    assert "It has 6 fields, not 5." in str(refused(content))


def test_two_extracts_in_one_file_are_refused_at_the_second_header() -> None:
    one = concur_sae.file_content(Extract(1, "2026-03-02", (TAXI,)))

    assert "FIELD_COUNT extract.txt line 3 has 5 fields, not 400." in str(refused(one + one))


def test_a_header_alone_that_counts_nothing_is_a_delivery_of_nothing() -> None:
    raw = raw_of(concur_sae.file_content(concur_sae.empty(8, "2026-03-03")))
    booked = book(concur_sae.file_content(concur_sae.empty(8, "2026-03-03")))

    assert (0, 1, "8") == (len(raw.frame), raw.lines, raw.control["batch_id"])
    assert (0, 0, ()) == (len(booked.outcomes), len(booked.rejects), booked.sealed)


def test_quotes_and_tabs_are_text_like_any_other() -> None:
    entry = Entry("10.00", "Taxi", "6201", vendor='"Joe\'s" Cab "', description="from\tÑuñoa")
    raw = raw_of(concur_sae.file_content(Extract(1, "2026-03-02", (Claim("R1", "E1", (entry,)),))))
    line = clean.clean(raw, BUNDLE.source).lines.iloc[0]

    assert ('"Joe\'s" Cab "', "from Ñuñoa") == (line["merchant"], line["description"])


def test_a_quote_around_a_delimiter_shifts_the_columns_and_is_refused() -> None:
    entry = Entry("10.00", "Taxi", "6201", vendor='"Fish|Chips"')
    content = concur_sae.file_content(Extract(1, "2026-03-02", (TAXI, Claim("R2", "E1", (entry,)))))

    assert "FIELD_COUNT extract.txt line 3 has 401 fields, not 400." in str(refused(content))


# --- amounts


@pytest.mark.parametrize(
    ("text", "currency", "expected"),
    [
        ("+16447.7700", "USD", (1644777, "")),
        ("-5.0000", "USD", (-500, "")),
        ("600.11", "USD", (60011, "")),
        ("+1000.0000", "JPY", (1000, "")),
        ("+1.2340", "KWD", (1234, "")),
        ("+1.2345", "KWD", (0, "PRECISION")),
        ("+1.2340", "USD", (0, "PRECISION")),
        ("+0.5000", "JPY", (0, "PRECISION")),
        ("+12345678901234567890123.00000000", "USD", (0, "RANGE")),
        ("+-1.00", "USD", (0, "MONEY")),
        ("++1.00", "USD", (0, "MONEY")),
        ("+", "USD", (0, "MONEY")),
        ("1.00+", "USD", (0, "MONEY")),
    ],
)
def test_an_amount_is_exact_in_the_minor_units_of_its_currency(
    text: str, currency: str, expected: tuple[int, str]
) -> None:
    claim = dataclasses.replace(TAXI, currency=currency)
    frame = raw_of(concur_sae.file_content(Extract(1, "2026-03-02", (claim,)))).frame
    cleaned = clean.clean(frame.assign(journal_amount=text), BUNDLE.source)
    code = "".join(cleaned.rejects.loc[cleaned.rejects["field"] == "journal_amount", "code"])

    assert expected == (int(cleaned.lines["gross_minor"].iat[0]), code)


def test_a_plus_or_zeros_beyond_the_currency_are_refused_where_they_are_not_declared() -> None:
    frame = raw_of(concur_sae.file_content(Extract(1, "2026-03-02", (TAXI,)))).frame
    format = {k: v for k, v in BUNDLE.source["format"].items() if k not in ("plus_sign", "extra_zeros")}
    strict = {**BUNDLE.source, "format": format}

    assert ["MONEY"] == clean.clean(frame, strict).rejects["code"].tolist()
    assert ["PRECISION"] == clean.clean(frame.assign(journal_amount="10.0000"), strict).rejects["code"].tolist()


AMOUNTS = st.decimals(min_value=Decimal("-99999"), max_value=Decimal("99999"), places=2).filter(bool).map(str)


@settings(max_examples=15)
@given(st.lists(st.lists(AMOUNTS, min_size=1, max_size=5), max_size=6))
def test_what_the_header_sums_is_what_the_lines_sum_and_the_journals_book(reports: list[list[str]]) -> None:
    claims = tuple(
        Claim(f"R{n}", "E1", tuple(Entry(amount, "Taxi", "6201") for amount in amounts))
        for n, amounts in enumerate(reports)
    )
    content = concur_sae.file_content(Extract(1, "2026-03-02", claims))
    booked = book(content)
    total = int(Decimal(raw_of(content).control["journal_amount"]) * 100)
    on_account = [s.lines.loc[s.lines["account"] == "6201"] for s in booked.sealed]

    assert total == int(booked.outcomes["gross_minor"].sum())
    assert total == sum(int(lines["debit_minor"].sum() - lines["credit_minor"].sum()) for lines in on_account)


# --- records that cannot be booked


def test_a_row_without_report_and_advance_is_quarantined_alone() -> None:
    content = concur_sae.file_content(Extract(1, "2026-03-02", (TAXI,), ADVANCES))
    booked = book(changed(content, 2, 187, ""))

    assert [("@row2", "MISSING", "report_id"), ("@row2", "UNIDENTIFIED", "report_id")] == reasons(booked)
    assert {"R1": "Dr 6201 10.00 / Cr 2110 10.00"} == accounting(booked)


@pytest.mark.parametrize(
    ("column", "text", "code", "field"),
    [
        (163, "Parent Company", "MAPPING_GAP", "settlement.account"),
        (165, "Gift Card", "MAPPING_GAP", "settlement.account"),
        (165, "Tax Authority", "MAPPING_GAP", "settlement.account"),
        (168, "XX", "APPROVAL", "side"),
        (168, "CR", "APPROVAL", "gross_minor, payer, side"),
        (169, "-10.0000", "APPROVAL", "gross_minor, side"),
        (167, "Pending Client", "CODE", "account"),
        (22, "US$", "CURRENCY", "reimbursement_currency"),
        (26, "02/03/2026", "DATE", "processing_date"),
        (64, "2026-03-09", "DATE_ORDER", "approved_at"),
    ],
)
def test_a_row_that_says_what_nobody_agreed_holds_its_report(column: int, text: str, code: str, field: str) -> None:
    content = concur_sae.file_content(Extract(1, "2026-03-02", (TAXI, dataclasses.replace(TAXI, report_id="R2"))))
    booked = book(summed(changed(content, 2, column, text)))

    assert [("R1", code, field)] == reasons(booked)
    assert "R2" in accounting(booked)


def test_the_sign_of_a_tax_line_is_as_agreed_or_its_report_waits() -> None:
    claim = next(c for c in CLAIMS if c.report_id == "2-1-LAUNDRY")
    content = concur_sae.file_content(Extract(1, "2026-03-02", (claim,)))

    assert [("2-1-LAUNDRY", "APPROVAL", "payer, side")] == reasons(book(changed(content, 3, 168, "DR")))
    assert [("2-1-LAUNDRY", "MAPPING_GAP", "input_tax.account")] == reasons(book(changed(content, 3, 167, "VAT-X")))


# --- the whole way


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("CLAIMPOST_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("CLAIMPOST_MAPPINGS", str(MAPPINGS))
    monkeypatch.delenv("CLAIMPOST_STORE_URL", raising=False)
    return tmp_path


def run(*extracts: Extract, folder: Path) -> dict[str, Any]:
    """`claimpost run` on a delivery of these extracts."""
    folder.mkdir()
    for extract in extracts:
        (folder / concur_sae.file_name(extract)).write_bytes(concur_sae.file_content(extract))
    result = CliRunner().invoke(main, ["run", "concur_sae", "--input", str(folder), "--json"], catch_exceptions=False)
    assert 0 == result.exit_code, result.stderr
    parsed: dict[str, Any] = json.loads(result.stdout)
    return parsed


def test_an_extract_is_posted_reconciled_and_nothing_of_it_is_lost(home: Path) -> None:
    result = run(EXAMPLES, folder=home / "delivery")

    assert (16, 51) == (result["landed"]["reports"], result["landed"]["lines"])
    assert {"CAD": "155.00", "GBP": "190.32", "USD": "7481.00"} == result["landed"]["gross"]
    assert result["landed"]["gross"] == result["accepted"]["gross"]
    assert Decimal("7826.32") == sum(map(Decimal, result["landed"]["gross"].values()))
    assert (16, 16, 0, True) == (result["journals"], result["posted"], result["breaks"], result["explained"])


def test_reports_that_come_again_in_a_later_extract_are_not_posted_again(home: Path) -> None:
    run(EXAMPLES, folder=home / "first")
    again = run(dataclasses.replace(EXAMPLES, batch_id=8, date="2026-03-03"), folder=home / "second")

    assert (16, 16, 0) == (again["landed"]["reports"], again["duplicate"]["reports"], again["journals"])


def test_extracts_that_find_nothing_are_taken_one_after_the_other(home: Path) -> None:
    result = run(*(concur_sae.empty(n, f"2026-03-0{n}") for n in (1, 2)), folder=home / "delivery")
    landings = Store.open(config.settings().store_url).landings("concur_sae", ("built",))

    assert (0, 0, 0, []) == (result["landed"]["reports"], result["posted"], result["breaks"], result["files_rejected"])
    assert ["1", "2"] == [landing.totals["control"]["batch_id"] for landing in landings]


def told(folder: Path, *files: tuple[str, bytes]) -> tuple[int, dict[str, int]]:
    """The exit code of a run over some files, and its breaks."""
    folder.mkdir()
    for name, content in files:
        (folder / name).write_bytes(content)
    result = CliRunner().invoke(main, ["run", "concur_sae", "--input", str(folder), "--json"])
    return result.exit_code, json.loads(result.stdout)["breaks_by_code"]


def nothing_ready(number: int) -> tuple[str, bytes]:
    extract = concur_sae.empty(number, f"2026-03-{number:02}")
    return concur_sae.file_name(extract), concur_sae.file_content(extract)


def test_a_batch_that_never_came_is_a_break_until_it_comes(home: Path) -> None:
    """Batch 8 is missing, then comes late; the file of batch 10 is refused, so it has not come either."""
    first = told(home / "first", *map(nothing_ready, (7, 9, 11)))
    spoilt = told(home / "spoilt", (nothing_ready(10)[0], b"EXTRACT|2026-03-10|1|0.0000|10\n"), nothing_ready(8))
    late = told(home / "late", nothing_ready(10))

    assert (1, {"SEQUENCE_GAP": 2}) == first
    assert (1, {"SEQUENCE_GAP": 1}) == spoilt
    assert (0, {}) == late


def test_a_batch_that_is_known_not_to_come_is_no_break(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = home / "mappings"
    shutil.copytree(MAPPINGS, folder)
    feed = folder / "feeds/concur_sae.yml"
    accepted = 'sequence: {number: batch_id, accepted: ["8", "10"]}'
    feed.write_text(feed.read_text("utf-8").replace("sequence: {number: batch_id}", accepted), "utf-8")
    monkeypatch.setenv("CLAIMPOST_MAPPINGS", str(folder))

    result = run(*(concur_sae.empty(n, f"2026-03-{n:02}") for n in (7, 9, 11)), folder=home / "delivery")
    assert ({}, True) == (result["breaks_by_code"], result["explained"])


# --- tax columns


TAXED = {225: "HM Revenue", 226: "VAT", 227: "1.6000", 228: "1.6000", 229: "SYST", 230: "1.6000", 231: "1.6000",
         232: "GB-S", 233: "Y", 234: "1.6000", 235: "0.8000", 236: "RC", 237: "0.8000", 238: "AR"}  # fmt: skip


def taxed() -> bytes:
    content = concur_sae.file_content(Extract(7, "2026-03-02", (TAXI,)))
    for column, text in TAXED.items():
        content = changed(content, 2, column, text)
    return content


def test_the_tax_columns_are_read_and_change_nothing_of_a_journal_with_tax_lines() -> None:
    raw = raw_of(taxed()).frame
    names = [BUNDLE.source["format"]["positions"]["columns"][str(column)] for column in TAXED]

    assert [*TAXED.values()] == [raw[name].iat[0] for name in names]
    assert {"R1": "Dr 6201 10.00 / Cr 2110 10.00"} == accounting(book(taxed()))


def test_a_tenant_without_tax_lines_takes_the_tax_from_its_columns(tmp_path: Path) -> None:
    """10.00 with 1.60 of tax, of which 0.80 are reclaimed."""
    shutil.copytree(MAPPINGS, tmp_path / "mappings")

    def change(name: str, old: str, new: str) -> None:
        path = tmp_path / "mappings" / name
        assert old in path.read_text("utf-8")
        path.write_text(path.read_text("utf-8").replace(old, new, 1), "utf-8")

    more = "  tax_minor: {column: tax_adjusted}\n  reclaimable_tax_minor: {column: tax_reclaim_adjusted}\n"
    change("sources/concur_sae.yml", "  tax_code: {column: tax_code}\n", f"  tax_code: {{column: tax_code}}\n{more}")
    change("journals/concur_sae.yml", "lines:\n", "reclaimable_tax: {field: reclaimable_tax_minor}\nlines:\n")
    change("journals/concur_sae.yml", "    amount: gross\n", "    amount: net\n")
    change("journals/concur_sae.yml", "    when: {payer: Tax Authority}\n    account: {table: tax}\n",
           '    account: {value: "1310"}\n')  # fmt: skip
    change("journals/concur_sae.yml", "  - purpose: input_tax\n    side: debit\n    amount: gross\n",
           "  - purpose: input_tax\n    side: debit\n    amount: reclaimable_tax\n")  # fmt: skip
    change(
        "journals/concur_sae.yml",
        "  tax: {file: concur_sae_tax.csv, key: [company, account], value: tax_account}\n",
        "",
    )
    books, name = mapping.load(tmp_path / "mappings", "concur_sae"), concur_sae.file_name(EXAMPLES)
    raw = booking.read(books, taxed(), name)

    booked = booking.book(books, raw, name, booking.first(), MAPPINGS / "tables")
    assert {"R1": "Dr 1310 0.80, 6201 9.20 / Cr 2110 10.00"} == accounting(booked)


# --- what a source mapping may say


def problems(**format: Any) -> list[str]:
    declared = {k: v for k, v in {**BUNDLE.source["format"], **format}.items() if v is not None}
    return [str(problem) for problem in clean.check({**BUNDLE.source, "format": declared})]


POSITIONS: dict[str, Any] = BUNDLE.source["format"]["positions"]
CONTROL: dict[str, Any] = BUNDLE.source["format"]["control_header"]


@pytest.mark.parametrize(
    ("format", "words"),
    [
        ({"positions": {**POSITIONS, "width": "190"}}, "positions.columns: position 191 is beyond the width 190"),
        ({"positions": {**POSITIONS, "columns": {**POSITIONS["columns"], "6": "vendor"}}}, "'vendor' stands twice"),
        ({"positions": {**POSITIONS, "columns": {**POSITIONS["columns"], "6": "source_row"}}}, "is our own"),
        ({"control_header": {**CONTROL, "count": "6"}}, "control_header.count: position 6 is beyond the width 5"),
        ({"control_header": {**CONTROL, "sums": {"total": "4"}}}, "no layout has column 'total'"),
        ({"line_breaks_in_fields": "yes"}, "a line break in a field needs quotes around it"),
    ],
)
def test_a_layout_by_position_that_cannot_be_is_named(format: dict[str, Any], words: str) -> None:
    found = problems(**format)

    assert 1 == len(found)
    assert words in found[0]


def test_a_first_of_names_columns_that_there_are() -> None:
    fields = {**BUNDLE.source["fields"], "report_id": {"first_of": ["report_id", "CA-{advance}"]}}

    (found,) = clean.check({**BUNDLE.source, "fields": fields})
    assert "no layout has a column 'advance'" in str(found)


def test_records_by_position_need_no_header_and_no_mark() -> None:
    format = {
        "encoding": "utf-8", "delimiter": ";", "positions": {"width": "3", "columns": {"3": "amount", "1": "report"}},
        "trailer": {"mark": "END", "count": "1", "sums": {"amount": "2"}},
    }  # fmt: skip
    raw = formats.read_delimited(b"R1;x;1.50\nR2;y;2.00\nEND;2;3.50\n", "a.csv", format)

    assert [("R1", "1.50", 1), ("R2", "2.00", 2)] == list(
        raw.frame[["report", "amount", "source_row"]].itertuples(index=False, name=None)
    )
    with pytest.raises(FileRejected, match=r"FIELD_COUNT a\.csv line 2 has 2 fields, not 3"):
        formats.read_delimited(b"R1;x;1.50\nR2;2.00\nEND;2;3.50\n", "a.csv", format)


def test_a_source_has_layouts_or_positions(tmp_path: Path) -> None:
    text = (MAPPINGS / "sources/concur_sae.yml").read_text("utf-8")
    (tmp_path / "concur_sae.yml").write_text(
        text.replace("  positions:\n", "  layouts: [[a]]\n  positions:\n"), "utf-8"
    )

    with pytest.raises(ConfigurationError, match=r"SCHEMA .*concur_sae\.yml line .*format"):
        config.load(tmp_path / "concur_sae.yml", "source")


# --- the writer


def test_the_writer_writes_what_the_vendor_describes() -> None:
    header, *lines = concur_sae.file_content(EXAMPLES).decode().removesuffix("\n").split("\n")
    cells = [line.split("|") for line in lines]

    assert "EXTRACT|2026-03-02|51|7826.3200|7" == header
    assert {400} == {len(line) for line in cells}
    assert {("DETAIL", "7", "2026-03-02")} == {tuple(line[:3]) for line in cells}
    assert [str(n) for n in range(1, 52)] == [line[3] for line in cells]
    assert all((line[167] == "DR") == (line[168][0] == "+") for line in cells if line[162] != "Tax Authority")
    assert concur_sae.file_content(EXAMPLES) == concur_sae.file_content(EXAMPLES)


def test_the_writer_shares_no_code_with_what_reads_its_files(tmp_path: Path) -> None:
    script = (
        "import sys; sys.argv[1:] = ['--out', sys.argv[1]]; import sandbox.concur_sae.__main__; "
        "print([m for m in sys.modules if m.split('.')[0] in ('etl', 'validations')])"
    )
    command = [sys.executable, "-c", script, str(tmp_path)]
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=True)

    assert [str(tmp_path / "extract_ACME_SAE_v3_20260302_000001.txt"), "[]"] == done.stdout.splitlines()
