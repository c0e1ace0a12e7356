"""The sample delivery: the same bytes everywhere, and a truth file that a second reading of the files confirms."""

from __future__ import annotations

import csv
import datetime
import functools
import hashlib
import io
import json
import os
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from etl import config, errors, lookup
from sandbox import sample
from sandbox.sample import files as sample_files
from sandbox.sample.faults import FAULTS

PROJECT = Path(__file__).resolve().parent.parent
TABLES = PROJECT / "mappings/tables"
DECIMALS = {"CNY": 2, "USD": 2, "EUR": 2, "HKD": 2, "GBP": 2, "CHF": 2, "JPY": 0, "KWD": 3}
REPORTS = 1_000

Row = dict[str, str]
Key = tuple[str, str, str]


@dataclass(frozen=True)
class Delivery:
    """A delivery as somebody else's program reads it."""

    folder: Path
    truth: dict[str, Any]
    reports: dict[Key, list[Row]]

    @property
    def rows(self) -> list[Row]:
        return [row for rows in self.reports.values() for row in rows]

    @property
    def good(self) -> list[Row]:
        faulty = keys(self.truth["faulty"])
        return [row for key, rows in self.reports.items() if key not in faulty for row in rows]


def keys(entries: list[Row]) -> list[Key]:
    return [(entry["company"], entry["report_id"], entry["version"]) for entry in entries]


def records(path: Path) -> tuple[list[Row], list[str]]:
    """The data records of one file by column name, and its trailer."""
    read = list(csv.reader(io.StringIO(path.read_text("utf-8"), newline=""), strict=True))
    return [dict(zip(read[0], cells, strict=True)) for cells in read[1:-1]], read[-1]


def data_files(folder: Path) -> list[Path]:
    return sorted(folder.glob("expenses_*.csv"))


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def read(folder: Path) -> Delivery:
    reports: dict[Key, list[Row]] = {}
    for path in data_files(folder):
        for row in records(path)[0]:
            reports.setdefault((row["Company"], row["Report ID"], row["Version"]), []).append(row)
    return Delivery(folder, json.loads((folder / "truth.json").read_text("utf-8")), reports)


@pytest.fixture(scope="module")
def delivery(tmp_path_factory: pytest.TempPathFactory) -> Delivery:
    folder = tmp_path_factory.mktemp("delivery")
    sample.write(folder, REPORTS, 3)
    return read(folder)


# --- an accountant's second look at every report: which codes does it deserve?


def amount(text: str, currency: str) -> tuple[Decimal | None, str]:
    if not re.fullmatch(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?", text, re.ASCII):
        return None, "MONEY"
    value = Decimal(text)
    return (value, "") if -int(value.as_tuple().exponent) <= DECIMALS[currency] else (None, "PRECISION")


def currency_of(row: Row) -> str:
    return {"RMB": "CNY"}.get(row["Currency"], row["Currency"])


def text_codes(row: Row) -> Iterator[str]:
    """What single cells show."""
    required = ["Company", "Report ID", "Employee", "State", "Expense Type", "Cost Center", "Paid By", "Currency"]
    if any(not row[column] for column in required):
        yield "MISSING"
    plain = [*required[:3], *required[4:7], "Project", "Advance", "Tax Code"]
    if any(row[column] and not re.fullmatch(r"[A-Z0-9_-]+", row[column], re.ASCII) for column in plain):
        yield "CODE"
    if any(ord(character) < 32 for column in row for character in row[column]):
        yield "CONTROL_CHARACTER"
    if row["State"] != "approved":
        yield "STATUS"
    if row["Approver"] == row["Employee"]:
        yield "SOD"
    if row["Company"] not in companies():
        yield "COMPANY"
    if row["Expense Type"] == "PERSONAL":
        yield "POLICY"


@functools.cache
def companies() -> dict[str, Any]:
    return dict(config.load(PROJECT / "mappings/feeds/sample.yml", "feed")["companies"])


def approval_date(row: Row) -> str:
    zone = ZoneInfo(companies().get(row["Company"], {"time_zone": "UTC"})["time_zone"])
    return datetime.datetime.fromisoformat(row["Approved"]).astimezone(zone).date().isoformat()


def is_date(text: str) -> bool:
    try:
        return datetime.date.fromisoformat(text).isoformat() == text
    except ValueError:
        return False


def date_codes(row: Row) -> Iterator[str]:
    if not is_date(row["Date"]):
        yield "DATE"
        return
    if not "2025-01-01" <= row["Date"] <= "2027-12-31":
        yield "DATE_RANGE"
    if row["Date"] > approval_date(row):
        yield "DATE_ORDER"


def money_codes(rows: list[Row]) -> Iterator[str]:
    """What the amounts of one report show; sums are judged only where every amount can be read."""
    if any(currency_of(row) not in DECIMALS for row in rows):
        yield "CURRENCY"
        return
    cells = [amount(row[column], currency_of(row)) for row in rows for column in ("Amount", "Tax", "Report Total")]
    unreadable = {code for _, code in cells if code}
    yield from unreadable
    if unreadable:
        return
    if any(tax_differs(row) for row in rows):
        yield "TAX"
    gross = {row["Line"]: Decimal(row["Amount"]) for row in rows}
    if {Decimal(row["Report Total"]) for row in rows} != {sum(gross.values())}:
        yield "REPORT_TOTAL"
    if currency_of(rows[0]) in ("CNY", "USD") and max(gross.values()) > 50_000:
        yield "APPROVAL"


def tax_differs(row: Row) -> bool:
    gross, tax = Decimal(row["Amount"]), Decimal(row["Tax"])
    rate = tax_rate(row["Company"], row["Tax Code"]) if row["Tax Code"] else Decimal(0)
    unit = Decimal(1).scaleb(-DECIMALS[currency_of(row)])
    return tax != gross - (gross * 100 / (100 + rate)).quantize(unit, ROUND_HALF_UP)


@functools.cache
def tax_rate(company: str, tax_code: str) -> Decimal:
    found = lookup.read_table(TABLES / "sample_tax.csv", ["company", "tax_code"]).row((company, tax_code))
    assert found is not None
    return Decimal(found.cells["rate_pct"])


def report_codes(rows: list[Row]) -> Iterator[str]:
    """What only the whole report shows."""
    if len({row["Employee"] for row in rows}) > 1:
        yield "REPORT_HEADER"
    parts = Counter((row["Line"], row["Part"]) for row in rows)
    if max(parts.values()) > 1:
        yield "LINE_REPEATED"
    elif any(sum(int(r["Split"]) for r in rows if r["Line"] == line) != 100 for line, _ in parts):
        yield "SPLIT"


@pytest.fixture(scope="module")
def tables() -> dict[str, lookup.Table]:
    keyed = {
        "account": ["company", "expense_type"], "counter": ["company", "payer"], "periods": ["company", "period"],
        "cost_center": ["company", "cost_center"], "rates": ["document_currency", "base_currency"],
    }  # fmt: skip
    return {name: lookup.read_table(TABLES / f"sample_{name}.csv", key) for name, key in keyed.items()}


def mapping_codes(row: Row, tables: dict[str, lookup.Table]) -> Iterator[str]:
    """What the tables do not know; asked only of lines that are good so far."""
    company, day = row["Company"], approval_date(row)
    found = (
        tables["account"].row((company, row["Expense Type"]), row["Date"]),
        tables["counter"].row((company, row["Paid By"])),
    )
    if None in found:
        yield "MAPPING_GAP"
    base = companies()[company]["base_currency"]
    if currency_of(row) != base and tables["rates"].row((currency_of(row), base), day) is None:
        yield "RATE"
    period = tables["periods"].row((company, day[:7]))
    if period is None or period.cells["state"] != "open":
        yield "PERIOD_CLOSED"


def all_codes(rows: list[Row], tables: dict[str, lookup.Table]) -> set[str]:
    found = {code for row in rows for code in (*text_codes(row), *date_codes(row))}
    found |= {*money_codes(rows), *report_codes(rows)}
    unknown = [tables["cost_center"].row((row["Company"], row["Cost Center"]), row["Date"]) is None for row in rows]
    found |= {"REFERENCE"} if not found and any(unknown) else set()
    return found or {code for row in rows for code in mapping_codes(row, tables)}


# --- determinism


def test_the_same_reports_and_seed_give_the_same_bytes(delivery: Delivery, tmp_path: Path) -> None:
    sample.write(tmp_path, REPORTS, 3)

    assert contents(tmp_path) == contents(delivery.folder)


def test_the_bytes_are_the_same_on_every_machine(tmp_path: Path) -> None:
    sample.write(tmp_path, 200, 7)

    whole = hashlib.sha256(b"".join(contents(tmp_path).values())).hexdigest()
    assert whole == "9632c246a72ffbf98252db3124988318ce1b017e130eb6f194c62bec5fd3fc50"


def test_clock_locale_and_hash_seed_take_no_part(tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONHASHSEED": "42", "TZ": "Pacific/Kiritimati", "LC_ALL": "C"}
    command = [sys.executable, "-m", "sandbox.sample", "--reports", "200", "--seed", "7", "--out", str(tmp_path / "a")]
    done = subprocess.run(command, cwd=PROJECT, env=environment, capture_output=True, text=True, check=True)
    summary = sample.write(tmp_path / "b", 200, 7)

    assert contents(tmp_path / "a") == contents(tmp_path / "b")
    assert done.stdout.startswith(f"{len(summary['files'])} files, {summary['reports']} report versions, ")


def test_another_seed_gives_other_reports(delivery: Delivery, tmp_path: Path) -> None:
    sample.write(tmp_path, 200, 4)

    assert read(tmp_path).reports.keys() & delivery.reports.keys() == set()


def test_a_report_is_the_same_in_a_larger_delivery(delivery: Delivery, tmp_path: Path) -> None:
    sample.write(tmp_path, 200, 3)
    small = read(tmp_path).reports

    assert small == {key: delivery.reports[key] for key in small}


# --- files


def test_the_layout_is_the_one_of_the_source_mapping(delivery: Delivery) -> None:
    layout = config.load(PROJECT / "mappings/sources/expense_csv.yml", "source")["format"]["layouts"][0]
    headers = {path.read_text("utf-8").split("\n")[0] for path in data_files(delivery.folder)}

    assert headers == {",".join(layout)}


def test_the_ok_file_holds_size_and_digest(delivery: Delivery) -> None:
    for path in data_files(delivery.folder):
        content = path.read_bytes()
        expected = f"{len(content)} {hashlib.sha256(content).hexdigest()}\n"
        assert path.with_name(path.name + ".ok").read_text("ascii") == expected


def test_the_trailer_counts_the_records_and_sums_the_plain_amounts(delivery: Delivery) -> None:
    for path in data_files(delivery.folder):
        rows, trailer = records(path)
        plain = [r["Amount"] for r in rows if re.fullmatch(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?", r["Amount"], re.ASCII)]
        assert trailer == ["TRAILER", str(len(rows)), str(sum(map(Decimal, plain)))]


def test_the_files_are_by_month_of_approval_and_listed_in_the_truth(delivery: Delivery) -> None:
    paths = data_files(delivery.folder)
    late = {key for key, entry in zip(keys(delivery.truth["faulty"]), delivery.truth["faulty"], strict=True)
            if entry["code"] == "PERIOD_CLOSED"}  # fmt: skip

    assert [entry["name"] for entry in delivery.truth["files"]] == [path.name for path in paths]
    assert [path.name for path in paths] == [f"expenses_2026-0{month}_001.csv" for month in (1, 2, 3)]
    for path in paths:
        months = {
            row["Approved"][:7] for row in records(path)[0]
            if (row["Company"], row["Report ID"], row["Version"]) not in late
        }  # fmt: skip
        assert months == {path.name[9:16]}


def test_a_full_file_is_followed_by_another_and_no_report_is_torn(
    delivery: Delivery, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sample, "REPORTS_PER_CHUNK", 50)
    monkeypatch.setattr(sample_files, "LINES_PER_FILE_MAX", 300)
    summary = sample.write(tmp_path, REPORTS, 3)
    counts = [len(records(path)[0]) for path in data_files(tmp_path)]
    owners = [{(row["Report ID"], row["Version"]) for row in records(path)[0]} for path in data_files(tmp_path)]

    assert len(summary["files"]) == len(counts) > 6
    assert max(counts) <= 300
    assert sum(map(len, owners)) == len(set.union(*owners)) == summary["reports"]
    assert read(tmp_path).reports == delivery.reports


def test_a_new_delivery_removes_the_earlier_one_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "expenses_2025-12_001.csv").write_text("somebody else's")
    sample.write(tmp_path, 200, 3)
    sample.write(tmp_path, 1, 3)

    assert len(data_files(tmp_path)) == 2
    assert sorted(path.suffix for path in tmp_path.iterdir()) == [".csv", ".csv", ".json", ".ok"]


@pytest.mark.parametrize("wrong", [(0, 1, 2), (1, -1, 2), (1, 1, 101), (9_000_001, 1, 2)])
def test_numbers_out_of_range_are_refused_before_anything_is_written(
    tmp_path: Path, wrong: tuple[int, int, int]
) -> None:
    with pytest.raises(ValueError, match="reports: 1 to 9000000"):
        sample.write(tmp_path / "out", *wrong)
    assert not (tmp_path / "out").exists()


# --- truth


def test_each_report_has_the_one_fault_the_truth_names_and_the_others_have_none(
    delivery: Delivery, tables: dict[str, lookup.Table]
) -> None:
    expected = {key: set[str]() for key in delivery.reports}
    for key, entry in zip(keys(delivery.truth["faulty"]), delivery.truth["faulty"], strict=True):
        expected[key] = {entry["code"]}

    assert {key: all_codes(rows, tables) for key, rows in delivery.reports.items()} == expected


def test_every_kind_of_fault_is_shown_from_200_reports_on(tmp_path: Path) -> None:
    sample.write(tmp_path, 200, 1)
    shown = {(entry["code"], entry["field"], entry["what"]) for entry in read(tmp_path).truth["faulty"]}

    assert shown == {(fault.code, fault.field, fault.what) for fault in FAULTS}


def test_every_fault_has_a_code_of_the_catalogue() -> None:
    assert {fault.code for fault in FAULTS} - errors.CATALOGUE.keys() == set()


def test_the_line_the_truth_names_is_in_the_report(delivery: Delivery) -> None:
    for key, entry in zip(keys(delivery.truth["faulty"]), delivery.truth["faulty"], strict=True):
        assert entry["line"] in {"0", *(row["Line"] for row in delivery.reports[key])}


@pytest.mark.parametrize(("share", "expected"), [(0, 0), (2, 100), (10, 500)])
def test_the_share_of_faulty_reports_is_kept_in_a_large_delivery(tmp_path: Path, share: int, expected: int) -> None:
    assert sample.write(tmp_path, 5_000, 1, share)["faulty"] == expected


def gross_minor(rows: list[Row]) -> int:
    """The gross of one report in minor units, each line once, what cannot be read as 0."""
    currency = currency_of(rows[0])
    if currency not in DECIMALS:
        return 0
    lines = {row["Line"]: amount(row["Amount"], currency)[0] or Decimal(0) for row in rows}
    return int(sum(lines.values(), Decimal(0)).scaleb(DECIMALS[currency]))


def test_the_totals_add_up_with_the_files(delivery: Delivery) -> None:
    outcomes = dict.fromkeys(keys(delivery.truth["faulty"]), "faulty")
    outcomes |= dict.fromkeys(keys(delivery.truth["superseded"]), "superseded")
    found: dict[tuple[str, str, str], list[int]] = {}
    for key, rows in delivery.reports.items():
        for outcome in ("landed", outcomes.get(key, "good")):
            total = found.setdefault((key[0], currency_of(rows[0]), outcome), [0, 0, 0])
            total[:] = [total[0] + 1, total[1] + len(rows), total[2] + gross_minor(rows)]
    stated = {
        (company, currency, outcome): [total["reports"], total["lines"], int(total["gross"])]
        for company, currencies in delivery.truth["totals"].items()
        for currency, outcomes_of in currencies.items()
        for outcome, total in outcomes_of.items()
        if total["reports"]
    }

    assert stated == found


def test_the_summary_counts_what_was_written(tmp_path: Path) -> None:
    summary = sample.write(tmp_path, 200, 3)
    found = read(tmp_path)

    assert summary == {
        "files": [path.name for path in data_files(tmp_path)],
        "reports": len(found.reports),
        "lines": len(found.rows),
        "faulty": len(found.truth["faulty"]),
        "superseded": len(found.truth["superseded"]),
    }


def test_a_superseded_version_is_followed_by_another_with_other_amounts(delivery: Delivery) -> None:
    superseded = keys(delivery.truth["superseded"])

    assert len(superseded) == len(range(30, REPORTS, 60))
    for company, report_id, version in superseded:
        first, second = delivery.reports[company, report_id, version], delivery.reports[company, report_id, "2"]
        assert version == "1"
        assert gross_minor(first) != gross_minor(second)
        assert first[0]["Approved"] < second[0]["Approved"]


# --- what a delivery of a thousand reports holds


def test_books_in_four_currencies_and_receipts_in_others(delivery: Delivery) -> None:
    pairs = Counter((row["Company"], row["Currency"]) for row in delivery.good)

    assert {"CNY", "RMB", "USD", "EUR", "JPY", "HKD"} <= {currency for company, currency in pairs if company == "CN01"}
    assert {
        ("US01", "USD"),
        ("JP01", "JPY"),
        ("KW01", "KWD"),
        ("US01", "EUR"),
        ("JP01", "USD"),
        ("KW01", "GBP"),
    } <= pairs.keys()
    home = sum(
        pairs[key] for key in (("CN01", "CNY"), ("CN01", "RMB"), ("US01", "USD"), ("JP01", "JPY"), ("KW01", "KWD"))
    )
    assert 0.8 < home / len(delivery.good) < 0.95


def test_a_report_is_in_one_document_currency(delivery: Delivery) -> None:
    assert {len({row["Currency"] for row in rows}) for rows in delivery.reports.values()} == {1}


def test_tax_is_full_partial_and_none(delivery: Delivery) -> None:
    codes = Counter((row["Company"], row["Tax Code"]) for row in delivery.good)

    assert {code for company, code in codes if company == "CN01"} == {
        "",
        "V13",
        "V9",
        "V6",
        "V3",
        "P13",
        "N13",
        "N6",
        "Z0",
    }
    assert {code for company, code in codes if company == "JP01"} == {"", "J10", "J8", "J10N"}
    assert {code for company, code in codes if company in ("US01", "KW01")} == {""}


def test_every_way_of_paying_and_advances_with_their_id(delivery: Delivery) -> None:
    with_advance = {(row["Paid By"], row["Expense Type"] == "ADV_ISSUE", row["Advance"] != "") for row in delivery.good}
    signs = {row["Amount"].startswith("-") for row in delivery.good if row["Expense Type"] == "ADV_ISSUE"}

    assert with_advance == {
        ("EMPLOYEE", False, False), ("CARD", False, False), ("ADVANCE", False, True), ("EMPLOYEE", True, True),
    }  # fmt: skip
    assert signs == {False, True}


def test_refunds_as_single_lines_and_as_whole_reports(delivery: Delivery) -> None:
    signs = {frozenset(row["Amount"].startswith("-") for row in rows) for rows in delivery.reports.values()}

    assert signs == {frozenset({False}), frozenset({True}), frozenset({False, True})}


def test_the_parts_of_a_split_line_repeat_its_amount_and_go_to_other_cost_centers(delivery: Delivery) -> None:
    lines: dict[tuple[str, ...], list[Row]] = {}
    for row in delivery.good:
        lines.setdefault((row["Report ID"], row["Version"], row["Line"]), []).append(row)
    split = [rows for rows in lines.values() if len(rows) > 1]

    assert 0.02 < len(split) / len(lines) < 0.06
    assert {len(rows) for rows in split} == {2, 3}
    for rows in split:
        assert [row["Part"] for row in rows] == [str(n + 1) for n in range(len(rows))]
        assert len({row["Cost Center"] for row in rows}) == len(rows)
        assert len({(row["Amount"], row["Tax"], row["Date"], row["Invoice"]) for row in rows}) == 1
    assert ["33", "33", "34"] in [[row["Split"] for row in rows] for rows in split]


@pytest.mark.parametrize(
    "text", ["𠮷田", '"Big Joe"', "=SUM(A1)", "<b>", "出租车", "taxi", "タクシー", "DROP TABLE", ", "]
)
def test_texts_that_tools_stumble_over_come_through(delivery: Delivery, text: str) -> None:
    assert any(text.lower() in row["Description"].lower() for row in delivery.good)


def test_some_approvals_fall_into_the_next_month_in_shanghai(delivery: Delivery) -> None:
    shifted = [
        row for row in delivery.good if row["Company"] == "CN01" and approval_date(row)[:7] != row["Approved"][:7]
    ]

    assert len({row["Report ID"] for row in shifted}) >= REPORTS // 40


def test_an_account_that_changed_by_date_is_used_on_both_sides(
    delivery: Delivery, tables: dict[str, lookup.Table]
) -> None:
    hotels = [row for row in delivery.good if row["Company"] == "CN01" and row["Expense Type"] == "HOTEL"]
    found = [tables["account"].row(("CN01", "HOTEL"), row["Date"]) for row in hotels]

    assert {row.cells["account"] for row in found if row} == {"660204", "660224"}


def test_codes_keep_their_leading_zeros(delivery: Delivery) -> None:
    assert {"0010", "0020"} <= {row["Cost Center"] for row in delivery.good}
