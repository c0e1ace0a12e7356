"""What a batch of claims is refused for, what is held, what is only remarked on, and what adds up."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from etl import config, errors, model, money
from etl.days import local_dates
from etl.errors import ConfigurationError
from etl.model import ControlTotals
from validations import rules
from validations.rules import batch as columns
from validations.rules import checks

COMPANIES = {
    "CN01": {"base_currency": "CNY", "time_zone": "Asia/Shanghai"},
    "US01": {"base_currency": "USD", "time_zone": "America/Chicago"},
}
TAXES = """company,tax_code,rate_pct,valid_from,valid_to
*,V13,13,2025-01-01,2026-06-30
*,V13,12,2026-07-01,
*,V6,6,2025-01-01,
*,V5.5,5.5,2025-01-01,
*,V0,0,2025-01-01,
"""
COMMON: dict[str, Any] = {
    "company": "CN01", "report_id": "R1", "report_version": "1", "line_no": 1, "allocation_no": 1,
    "employee_id": "E1", "cost_center": "CC1", "expense_type": "TAXI", "transaction_date": "2026-03-10",
    "submitted_at": "2026-03-20T01:00:00Z", "approved_at": "2026-03-31T02:00:00Z", "payer": "EMPLOYEE",
    "document_currency": "CNY", "gross_minor": 10_000, "state": "approved",
}  # fmt: skip


def claim(*lines: dict[str, Any]) -> pd.DataFrame:
    """Expense lines from the cells that matter; the rest is an approved taxi of 100.00 CNY. Lines count up."""
    numbers = (model.MONEY, model.INTEGER)
    frame: dict[str, list[Any]] = {field: [] for field in model.LINE_FIELDS}
    for place, line in enumerate(lines, start=1):
        cells = {**COMMON, "line_no": place, "source_row": place + 1, **line}
        assert not cells.keys() - frame.keys()
        for field, kind in model.LINE_FIELDS.items():
            frame[field].append(cells.get(field, 0 if kind in numbers else ""))
    kinds = {f: "int64" if k in numbers else "str" for f, k in model.LINE_FIELDS.items()}
    return pd.DataFrame(frame).astype(kinds)


def judged(
    lines: pd.DataFrame,
    policy: list[dict[str, Any]] | None = None,
    tables: Path = Path("."),
    bad: list[bool] | None = None,
    **options: Any,
) -> pd.DataFrame:
    documents = [{"rules": "policy", "checks": policy}] if policy else []
    marks = None if bad is None else np.array(bad)
    return rules.check(lines, {"companies": COMPANIES, "checks": options}, documents, tables, marks)


def brief(rejects: pd.DataFrame) -> list[str]:
    """Each reject as: report line code outcome value."""
    columns = zip(*(rejects[c] for c in ("report_id", "line_no", "code", "outcome", "value")), strict=True)
    return [" ".join(map(str, cells)) for cells in columns]


def reasons(rejects: pd.DataFrame) -> list[str]:
    return rejects["reason"].tolist()


@pytest.fixture
def tables(tmp_path: Path) -> Path:
    (tmp_path / "tax.csv").write_text(TAXES)
    return tmp_path


# --- the whole


def test_a_good_claim_has_no_reject(tables: Path) -> None:
    lines = claim({"report_total_minor": 20_000}, {"report_total_minor": 20_000})
    found = judged(
        lines, tables=tables, states=["approved"], dates={"from": "2025-01-01", "to": "2027-12-31"},
        age_days_max="365", not_after_approval="yes", tax="tax.csv", report_total="yes", invoice_repeated="hold",
    )  # fmt: skip

    assert (found.columns.tolist(), len(found)) == (model.REJECT_COLUMNS, 0)


def test_no_lines_have_no_reject() -> None:
    found = judged(claim({}).iloc[:0], states=["approved"])

    assert (found.columns.tolist(), len(found)) == (model.REJECT_COLUMNS, 0)
    assert str(found["line_no"].dtype) == "int64" and str(found["reason"].dtype) == "str"


def test_all_failures_of_a_batch_come_at_once() -> None:
    """One claim of a strange company, not approved, of nothing, dated in the year 219; and a good one."""
    lines = claim(
        {"company": "XX", "state": "draft", "gross_minor": 0, "transaction_date": "0219-03-10"}, {"report_id": "R2"}
    )
    found = judged(lines, states=["approved"], dates={"from": "2025-01-01", "to": "2027-12-31"})

    expected = [
        "R1 0 COMPANY report XX",
        "R1 0 STATUS report draft",
        "R1 1 DATE_RANGE report 0219-03-10",
        "R1 1 ZERO report 0.00 CNY",
    ]
    assert expected == brief(found)


def test_a_reject_says_where_why_who_and_what_next() -> None:
    found = judged(claim({"line_no": 7, "gross_minor": 0, "source_row": 12})).iloc[0]
    entry = errors.CATALOGUE["ZERO"]
    expected = [
        "CN01", "R1", "1", 7, 12, "ZERO", "report", "gross_minor", "0.00 CNY",
        "gross_minor is zero: there is nothing to book.", entry.owner, entry.next_step,
    ]  # fmt: skip

    assert expected == found.tolist()


# --- identity and state


def test_b132_a_company_of_another_group_is_refused_once_per_report() -> None:
    assert brief(judged(claim({"company": "ZZ"}, {"company": "ZZ"}))) == ["R1 0 COMPANY report ZZ"]


def test_a_line_that_names_no_company_is_refused_unless_cleaning_already_did() -> None:
    lines = claim({"company": "", "report_id": "@row2"}, {"company": "", "report_id": "@row3"})

    assert brief(judged(lines, bad=[True, False])) == ["@row3 0 COMPANY report "]


@pytest.mark.parametrize("field", ["employee_id", "submitted_at", "approved_at", "updated_at", "state"])
def test_what_belongs_to_the_report_is_the_same_on_every_line(field: str) -> None:
    one, other = "2026-03-31T02:00:00Z", "2026-03-31T03:00:00Z"
    found = judged(claim({field: one}, {field: other}, {"report_id": "R2", field: other}))

    assert brief(found) == [f"R1 0 REPORT_HEADER report {one} | {other}"]
    assert reasons(found) == [f"{field} differs between lines of one report."]


def test_many_values_of_a_header_are_counted_not_listed() -> None:
    found = judged(claim(*({"employee_id": f"E{n}"} for n in range(9))))

    assert found["value"].tolist() == ["E0 | E1 | E2 and 6 more"]


def test_two_versions_of_a_report_may_differ() -> None:
    assert brief(judged(claim({"employee_id": "E1"}, {"report_version": "2", "employee_id": "E2"}))) == []


def test_a_header_cell_that_failed_cleaning_is_not_judged_twice() -> None:
    lines = claim({"approved_at": "", "report_total_minor": 0}, {"report_total_minor": 5}, {"report_total_minor": 5})

    assert brief(judged(lines, bad=[True, False, False], report_total="no")) == []


def test_a_line_that_failed_cleaning_still_shows_another_employee() -> None:
    found = judged(claim({"employee_id": "E1"}, {"employee_id": "E2"}), bad=[True, False])

    assert brief(found) == ["R1 0 REPORT_HEADER report E1 | E2"]


def test_the_report_total_is_one_per_currency() -> None:
    lines = claim(
        {"gross_minor": 10, "report_total_minor": 10},
        {"gross_minor": 20, "report_total_minor": 20, "document_currency": "USD"},
    )

    assert brief(judged(lines, report_total="yes")) == []


def test_a_report_with_two_totals_is_refused_for_that_alone() -> None:
    lines = claim({"gross_minor": 10, "report_total_minor": 30}, {"gross_minor": 20, "report_total_minor": 31})

    assert brief(judged(lines, report_total="yes")) == ["R1 0 REPORT_HEADER report 30 | 31"]


def test_b122_a_line_that_stands_twice_is_refused_at_its_second_place() -> None:
    found = judged(claim({"line_no": 1}, {"line_no": 1}, {"line_no": 1, "allocation_no": 2}, {"line_no": 1}))

    assert brief(found) == ["R1 1 LINE_REPEATED report 1 part 1", "R1 1 LINE_REPEATED report 1 part 1"]
    assert found["source_row"].tolist() == [3, 5]


def test_b122_equal_lines_with_their_own_numbers_are_kept() -> None:
    assert brief(judged(claim({}, {}))) == []


def test_lines_whose_number_could_not_be_read_are_no_repetition() -> None:
    assert brief(judged(claim({"line_no": 0}, {"line_no": 0}), bad=[True, True])) == []


def test_b123_only_approved_reports_are_booked() -> None:
    lines = claim({"state": "withdrawn"}, {"state": "withdrawn"}, {"report_id": "R2"}, {"report_id": "R3", "state": ""})
    found = judged(lines, states=["approved", "paid"])

    assert brief(found) == ["R1 0 STATUS report withdrawn", "R3 0 STATUS report "]
    assert reasons(found)[0] == "The report's state is 'withdrawn'; only approved, paid may be booked."


def test_a_feed_without_states_takes_any() -> None:
    assert brief(judged(claim({"state": ""}))) == []


# --- dates

RANGE = {"from": "2025-01-01", "to": "2027-12-31"}


@pytest.mark.parametrize("day", ["0219-01-31", "1900-01-01", "2024-12-31", "2028-01-01", "9999-12-31"])
def test_b98_an_implausible_date_is_refused(day: str) -> None:
    found = judged(claim({"transaction_date": day}), dates=RANGE)

    assert brief(found) == [f"R1 1 DATE_RANGE report {day}"]
    assert reasons(found) == [f"transaction_date '{day}' is outside 2025-01-01 to 2027-12-31."]


def test_the_ends_of_the_range_belong_to_it() -> None:
    assert (
        brief(judged(claim({"transaction_date": "2025-01-01"}, {"transaction_date": "2027-12-31"}), dates=RANGE)) == []
    )


def test_start_date_and_approval_are_judged_too() -> None:
    lines = claim({"start_date": "1957-03-10", "approved_at": "2028-01-01T00:00:00Z"})

    assert brief(judged(lines, dates=RANGE)) == [
        "R1 0 DATE_RANGE report 2028-01-01T00:00:00Z",
        "R1 1 DATE_RANGE report 1957-03-10",
    ]


def test_the_approval_counts_by_the_calendar_of_its_company() -> None:
    """31 December 18:00 UTC is New Year in Shanghai and still the old year in Chicago."""
    lines = claim(
        {"approved_at": "2027-12-31T18:00:00Z"},
        {"report_id": "R2", "company": "US01", "approved_at": "2028-01-01T05:00:00Z"},
    )

    assert brief(judged(lines, dates=RANGE)) == ["R1 0 DATE_RANGE report 2027-12-31T18:00:00Z"]


def test_a_cost_does_not_end_before_it_begins() -> None:
    found = judged(claim({"start_date": "2026-03-11"}, {"start_date": "2026-03-10"}, {"start_date": ""}))

    assert brief(found) == ["R1 1 DATE_ORDER report 2026-03-10"]
    assert reasons(found) == ["transaction_date '2026-03-10' lies before its start_date 2026-03-11."]


def test_b96_a_cost_after_its_approval_is_refused_by_the_local_day() -> None:
    """Approved 31 March 16:30 UTC: 1 April in Shanghai, 31 March in Chicago."""
    late = {"approved_at": "2026-03-31T16:30:00Z", "transaction_date": "2026-04-01"}
    lines = claim(late, {**late, "report_id": "R2", "company": "US01"})
    found = judged(lines, not_after_approval="yes")

    assert brief(found) == ["R2 2 DATE_ORDER report 2026-03-31"]
    assert reasons(found) == ["approved_at '2026-03-31' lies before the transaction_date 2026-04-01."]


def test_b96_a_journey_that_starts_after_its_approval_is_refused() -> None:
    lines = claim({"start_date": "2026-04-05", "transaction_date": "2026-04-09"})

    assert reasons(judged(lines, not_after_approval="yes")) == [
        "approved_at '2026-03-31' lies before the start_date 2026-04-05.",
        "approved_at '2026-03-31' lies before the transaction_date 2026-04-09.",
    ]


def test_b96_a_cost_after_its_approval_may_be_allowed() -> None:
    assert brief(judged(claim({"transaction_date": "2026-04-09"}), not_after_approval="no")) == []


def test_b96_a_receipt_older_than_the_limit_is_refused() -> None:
    found = judged(claim({"transaction_date": "2025-03-30"}, {"transaction_date": "2025-03-31"}), age_days_max="365")

    assert brief(found) == ["R1 1 DATE_RANGE report 2025-03-30"]
    assert reasons(found) == [
        "transaction_date '2025-03-30' is outside the 365 days before the approval on 2026-03-31."
    ]


def test_without_an_approval_time_its_checks_cannot_pass() -> None:
    lines = claim({"approved_at": ""}, {"approved_at": "", "report_id": "R2"})

    assert brief(judged(lines, bad=[False, True], age_days_max="365")) == ["R1 0 MISSING report "]


def test_an_approval_given_as_a_date_is_taken_as_it_is() -> None:
    assert brief(judged(claim({"approved_at": "2026-03-10"}), not_after_approval="yes")) == []


# --- amounts


def test_b77_a_line_of_nothing_is_refused_unless_allowed() -> None:
    assert brief(judged(claim({"gross_minor": 0}))) == ["R1 1 ZERO report 0.00 CNY"]
    assert brief(judged(claim({"gross_minor": 0}), zero="allowed")) == []


def test_a_part_of_nothing_is_fine_when_its_line_is_not() -> None:
    """One cent over two cost centers leaves one of them nothing."""
    parts = claim({"line_no": 1, "gross_minor": 1}, {"line_no": 1, "allocation_no": 2, "gross_minor": 0})

    assert brief(judged(parts)) == []


def test_an_amount_that_could_not_be_read_is_not_zero() -> None:
    assert brief(judged(claim({"gross_minor": 0}), bad=[True])) == []


def test_b85_a_refund_is_a_claim_like_any_other_unless_refused() -> None:
    lines = claim({"gross_minor": -500}, {})

    assert brief(judged(lines)) == []
    assert brief(judged(lines, refunds="refused")) == ["R1 1 NEGATIVE report -5.00 CNY"]


def test_b83_a_report_beyond_the_money_limit_is_refused() -> None:
    """Two lines within the limit, together one cent beyond it; a debit and a refund do not hide each other."""
    half = money.LIMIT_MINOR // 2
    lines = claim({"gross_minor": half}, {"gross_minor": -half - 1}, {"report_id": "R2", "gross_minor": 2 * half})

    assert brief(judged(lines)) == ["R1 0 RANGE report 10000000000000.01 CNY"]


def test_ten_thousand_largest_lines_do_not_overflow() -> None:
    lines = claim(*[{"gross_minor": money.LIMIT_MINOR, "report_total_minor": 0}] * 10_000)
    found = judged(lines, report_total="yes")

    assert found["code"].tolist() == ["RANGE", "REPORT_TOTAL"]


def test_b87_the_lines_of_a_claim_add_up_to_its_total() -> None:
    """Meals 120.00 and a hotel of 300.01 are no claim of 420.00."""
    lines = claim(
        {"gross_minor": 12_000, "report_total_minor": 42_000}, {"gross_minor": 30_001, "report_total_minor": 42_000}
    )
    found = judged(lines, report_total="yes")

    assert brief(found) == ["R1 0 REPORT_TOTAL report 420.00 CNY"]
    assert reasons(found) == ["The lines add up to 420.01 CNY, the report says 420.00 CNY."]
    assert brief(judged(lines)) == []


def test_a_split_line_counts_once_in_the_total() -> None:
    total = {"report_total_minor": 10_000, "line_no": 1}
    lines = claim({**total, "gross_minor": 3334}, {**total, "allocation_no": 2, "gross_minor": 6666})

    assert brief(judged(lines, report_total="yes")) == []


def test_a_refund_lowers_the_total() -> None:
    lines = claim({"gross_minor": 500, "report_total_minor": 300}, {"gross_minor": -200, "report_total_minor": 300})

    assert brief(judged(lines, report_total="yes")) == []


def test_the_total_is_not_judged_when_a_line_could_not_be_read() -> None:
    lines = claim({"gross_minor": 0, "report_total_minor": 9}, {"gross_minor": 5, "report_total_minor": 9})

    assert brief(judged(lines, bad=[True, False], report_total="yes")) == []


def test_b89_the_parts_of_a_line_are_in_one_currency() -> None:
    found = judged(claim({"line_no": 1}, {"line_no": 1, "allocation_no": 2, "document_currency": "USD"}))

    assert brief(found) == ["R1 1 SPLIT report 1"]
    assert reasons(found) == ["The parts of line 1 give amounts in CNY | USD."]


def test_b89_a_report_may_hold_several_currencies() -> None:
    assert brief(judged(claim({}, {"document_currency": "USD"}))) == []


# --- tax


@pytest.mark.parametrize(
    ("gross", "code", "tax"),
    [
        (11_300, "V13", 1300), (10_000, "V13", 1150), (10_000, "V13", 1149), (10_000, "V13", 1151),
        (-11_300, "V13", -1300), (10_600, "V6", 600), (10_550, "V5.5", 550), (10_000, "V0", 0), (10_000, "", 0),
    ],
)  # fmt: skip
def test_b86_tax_agrees_with_its_rate_within_one_minor_unit(tables: Path, gross: int, code: str, tax: int) -> None:
    lines = claim({"gross_minor": gross, "tax_code": code, "tax_minor": tax})

    assert brief(judged(lines, tables=tables, tax="tax.csv")) == []


@pytest.mark.parametrize(
    ("gross", "code", "tax", "detail"),
    [
        (10_000, "V13", 1148, "13 % gives 11.50 CNY"),
        (10_000, "V13", 1152, "13 % gives 11.50 CNY"),
        (10_000, "V13", 0, "13 % gives 11.50 CNY"),
        (10_000, "V0", 1, "0 % gives 0.00 CNY"),
        (10_000, "", 1, "it has no tax code"),
        (10_000, "V13", 10_001, "it is more than the amount, or a charge against a refund"),
        (10_000, "V13", -1150, "it is more than the amount, or a charge against a refund"),
        (-10_000, "V13", 1150, "it is more than the amount, or a charge against a refund"),
    ],
)
def test_b86_tax_that_cannot_be_is_refused(tables: Path, gross: int, code: str, tax: int, detail: str) -> None:
    found = judged(claim({"gross_minor": gross, "tax_code": code, "tax_minor": tax}), tables=tables, tax="tax.csv")

    shown = money.text_of(tax, "CNY")
    assert brief(found) == [f"R1 1 TAX report {shown} CNY"]
    assert reasons(found) == [f"Tax {shown} CNY does not agree with the amount: {detail}."]


def test_b86_tax_beyond_its_amount_is_refused_even_without_a_tax_table() -> None:
    assert brief(judged(claim({"gross_minor": 5, "tax_minor": 6, "tax_code": "X"}))) == ["R1 1 TAX report 0.06 CNY"]


def test_the_rate_is_the_one_of_the_day_of_the_cost(tables: Path) -> None:
    lines = claim(
        {"gross_minor": 11_200, "tax_code": "V13", "tax_minor": 1200, "transaction_date": "2026-07-01"},
        {"gross_minor": 11_300, "tax_code": "V13", "tax_minor": 1300, "transaction_date": "2026-06-30"},
    )

    assert brief(judged(lines, tables=tables, tax="tax.csv")) == []


def test_an_unknown_tax_code_holds_the_report_until_finance_adds_it(tables: Path) -> None:
    lines = claim({"tax_code": "V99", "tax_minor": 1}, {"tax_code": "V13", "transaction_date": "2024-12-31"})
    found = judged(lines, tables=tables, tax="tax.csv")

    assert brief(found) == [
        "R1 1 MAPPING_GAP hold CN01 V99 on 2026-03-10",
        "R1 2 MAPPING_GAP hold CN01 V13 on 2024-12-31",
    ]


def test_the_tax_of_a_split_line_is_judged_on_the_whole_line(tables: Path) -> None:
    """113.00 in three parts: each part's tax is rounded, the line's is exact."""
    whole = {"line_no": 1, "tax_code": "V13"}
    thirds = claim(
        {**whole, "allocation_no": 1, "gross_minor": 3768, "tax_minor": 430},
        {**whole, "allocation_no": 2, "gross_minor": 3766, "tax_minor": 435},
        {**whole, "allocation_no": 3, "gross_minor": 3766, "tax_minor": 435},
    )
    assert brief(judged(thirds, tables=tables, tax="tax.csv")) == []

    thirds.loc[2, "tax_minor"] = 437
    assert brief(judged(thirds, tables=tables, tax="tax.csv")) == ["R1 1 TAX report 13.02 CNY"]


def test_a_line_that_could_not_be_read_has_no_tax_to_judge(tables: Path) -> None:
    lines = claim({"gross_minor": 0, "tax_minor": 100, "tax_code": "V13"})

    assert brief(judged(lines, tables=tables, bad=[True], tax="tax.csv")) == []


def test_b126_a_code_must_be_in_its_table_and_valid_on_the_day_of_the_cost(tmp_path: Path) -> None:
    (tmp_path / "centers.csv").write_text(
        "company,cost_center,valid_from,valid_to\n*,0010,,\nCN01,OLD,2025-01-01,2026-03-04\n"
    )
    use = {"cost_center": {"file": "centers.csv", "key": ["company", "cost_center"]}}
    codes = ["0010", "OLD", "OLD", "9999", ""]
    days = ["2026-03-05", "2026-03-04", "2026-03-05", "2026-03-05", "2026-03-05"]
    lines = claim(*({"cost_center": code, "transaction_date": day} for code, day in zip(codes, days, strict=True)))

    found = judged(lines, tables=tmp_path, references=use)
    assert brief(found) == ["R1 3 REFERENCE hold OLD", "R1 4 REFERENCE hold 9999"]
    assert reasons(found)[0] == "cost_center 'OLD' is unknown or not valid on the date (centers.csv, 2026-03-05)."


@pytest.mark.parametrize("rate", ["", "13%", "-1", "1,5", "0.0.0", "abc"])
def test_a_tax_table_without_a_proper_rate_is_refused(tmp_path: Path, rate: str) -> None:
    (tmp_path / "tax.csv").write_text(f'company,tax_code,rate_pct\n*,V6,6\n*,V13,"{rate}"\n')
    with pytest.raises(ConfigurationError) as refused:
        judged(claim({"tax_code": "V13", "tax_minor": 1}), tables=tmp_path, tax="tax.csv")

    assert str(refused.value).startswith(f"TABLE tax.csv line 3: rate_pct {rate!r} is no percentage.")


@settings(deadline=None)
@given(st.integers(1, 10**12), st.sampled_from(["13", "6", "5.5", "0.25", "19.6"]), st.integers(-2, 2))
def test_tax_off_by_more_than_one_unit_is_always_found(net: int, rate: str, off: int) -> None:
    gross = net + money.divide(net * int(hundredths(rate)), 10_000)
    expected = gross - money.divide(gross * 10_000, 10_000 + int(hundredths(rate)))
    wrong, told = checks.tax_differs(np.array([gross]), np.array([expected + off]), model.texts([rate]))

    assert (abs(off) > 1, expected) == (bool(wrong[0]), int(told[0]))


def hundredths(rate: str) -> str:
    """A percentage as whole hundredths of a percent."""
    whole, _, fraction = rate.partition(".")
    return whole + fraction.ljust(2, "0")


# --- invoices

INVOICE = {"invoice_no": "25312000000012345678", "gross_minor": 8000}


def test_one_invoice_in_two_reports_holds_both() -> None:
    lines = claim(INVOICE, {**INVOICE, "report_id": "R2"}, {**INVOICE, "report_id": "R3", "gross_minor": 8001})
    found = judged(lines, invoice_repeated="hold")

    assert brief(found) == [
        "R1 1 INVOICE_REPEATED hold 25312000000012345678",
        "R2 2 INVOICE_REPEATED hold 25312000000012345678",
    ]
    assert reasons(found)[0] == "Invoice 25312000000012345678 is claimed more than once, in R1 | R2."


def test_one_invoice_twice_in_a_report_holds_it() -> None:
    assert brief(judged(claim(INVOICE, INVOICE, {}), invoice_repeated="hold")) == [
        "R1 1 INVOICE_REPEATED hold 25312000000012345678",
        "R1 2 INVOICE_REPEATED hold 25312000000012345678",
    ]


def test_a_new_version_of_a_report_repeats_its_own_invoices() -> None:
    assert brief(judged(claim(INVOICE, {**INVOICE, "report_version": "2"}), invoice_repeated="hold")) == []


def test_the_parts_of_a_line_share_its_invoice() -> None:
    parts = claim({**INVOICE, "line_no": 1}, {**INVOICE, "line_no": 1, "allocation_no": 2})

    assert brief(judged(parts, invoice_repeated="hold")) == []


@pytest.mark.parametrize(("severity", "outcome"), [("reject", "report"), ("hold", "hold"), ("warn", "warn")])
def test_the_feed_says_what_a_repeated_invoice_means(severity: str, outcome: str) -> None:
    assert set(judged(claim(INVOICE, INVOICE), invoice_repeated=severity)["outcome"]) == {outcome}
    assert brief(judged(claim(INVOICE, INVOICE), invoice_repeated="allowed")) == []
    assert brief(judged(claim(INVOICE, INVOICE))) == []


def test_lines_without_an_invoice_repeat_none() -> None:
    assert brief(judged(claim({}, {}), invoice_repeated="hold")) == []


# --- policy


def rule(severity: str, when: dict[str, Any]) -> dict[str, Any]:
    return {"name": "a rule", "when": when, "severity": severity, "message": "Ask first.", "owner": "finance director"}


@pytest.mark.parametrize(
    ("severity", "expected"),
    [
        ("reject", "R1 1 POLICY report a rule"),
        ("hold", "R1 1 APPROVAL hold a rule"),
        ("warn", "R1 1 POLICY warn a rule"),
    ],
)
def test_policy_rejects_holds_or_warns(severity: str, expected: str) -> None:
    found = judged(claim({"expense_type": "HOTEL"}, {}), [rule(severity, {"expense_type": "HOTEL"})])

    assert brief(found) == [expected]
    assert (reasons(found), found["owner"].tolist()) == (["Ask first."], ["finance director"])


def test_b84_a_split_does_not_slip_below_the_limit() -> None:
    """50,000.01 over two cost centers still needs its approval, and asks for it once."""
    half = {"line_no": 1, "gross_minor": 2_500_001}
    lines = claim(half, {**half, "allocation_no": 2})

    assert brief(judged(lines, [rule("hold", {"gross_minor": {"above": "5000000"}})])) == ["R1 1 APPROVAL hold a rule"]


def test_a_policy_reject_names_the_fields_it_looked_at() -> None:
    when = {"any": [{"expense_type": "TAXI"}, {"not": {"payer": "CARD"}}], "company": "CN01"}

    assert judged(claim({}), [rule("warn", when)])["field"].tolist() == ["company, expense_type, payer"]


def test_b84_the_bundled_travel_policy_runs(tables: Path) -> None:
    document = config.read_yaml((config.PROJECT / "mappings/rules/travel_policy.yml").read_bytes(), "travel_policy.yml")
    lines = claim(
        {"expense_type": "PERSONAL"}, {"expense_type": "HOTEL"}, {"gross_minor": 5_000_001}, {"gross_minor": 5_000_000}
    )
    found = judged(lines, document["checks"])

    assert brief(found) == [
        "R1 1 POLICY report personal spending",
        "R1 2 POLICY warn no receipt for a hotel",
        "R1 3 APPROVAL hold large claim line",
    ]


def test_a_warning_alone_quarantines_nothing() -> None:
    lines = claim(
        {}, {"report_id": "R2", "expense_type": "HOTEL"}, {"report_id": "R3", "gross_minor": 0}, {"report_id": "R3"}
    )
    found = judged(lines, [rule("warn", {"expense_type": "HOTEL"})])

    assert rules.quarantined(lines, found).tolist() == [False, False, True, True]


def test_nothing_is_quarantined_by_no_reject() -> None:
    assert rules.quarantined(claim({}), rules.rejects_frame([])).tolist() == [False]
    assert rules.quarantined(claim({}).iloc[:0], rules.rejects_frame([])).tolist() == []


# --- what holds for every batch

EVERYTHING: dict[str, Any] = {
    "states": ["approved"], "dates": RANGE, "age_days_max": "365", "not_after_approval": "yes", "tax": "tax.csv",
    "report_total": "yes", "refunds": "refused", "invoice_repeated": "hold",
}  # fmt: skip
mess = st.lists(
    st.fixed_dictionaries(
        {
            "company": st.sampled_from(["CN01", "US01", "XX"]),
            "report_id": st.sampled_from(["R1", "R2", "R3"]),
            "report_version": st.sampled_from(["1", "2"]),
            "line_no": st.integers(1, 3),
            "allocation_no": st.integers(1, 2),
            "employee_id": st.sampled_from(["E1", "E2"]),
            "transaction_date": st.sampled_from(["2026-03-10", "2026-04-01", "2019-01-01", ""]),
            "start_date": st.sampled_from(["", "2026-03-31"]),
            "approved_at": st.sampled_from(["2026-03-31T02:00:00Z", "2026-03-31T16:30:00Z", ""]),
            "document_currency": st.sampled_from(["CNY", "USD"]),
            "gross_minor": st.sampled_from([0, 100, 11_300, -50]),
            "tax_minor": st.sampled_from([0, 1300]),
            "tax_code": st.sampled_from(["", "V13", "V99"]),
            "report_total_minor": st.sampled_from([100, 11_400]),
            "invoice_no": st.sampled_from(["", "17"]),
            "state": st.sampled_from(["approved", "draft"]),
        }
    ),
    min_size=1,
    max_size=8,
)


@settings(max_examples=40, deadline=None)
@given(mess, st.randoms(use_true_random=False), st.data())
def test_the_order_of_the_lines_changes_no_reject(
    tmp_path_factory: pytest.TempPathFactory, found: list[dict[str, Any]], shuffle: random.Random, data: st.DataObject
) -> None:
    folder = tmp_path_factory.getbasetemp() / "taxes"
    folder.mkdir(exist_ok=True)
    (folder / "tax.csv").write_text(TAXES)
    lines = claim(*found)
    bad = np.array(data.draw(st.lists(st.booleans(), min_size=len(lines), max_size=len(lines))))
    order = list(range(len(lines)))
    shuffle.shuffle(order)
    policy = [rule("hold", {"gross_minor": "positive"}), rule("warn", {"state": "draft"})]
    feed = {"companies": COMPANIES, "checks": EVERYTHING}

    one = rules.check(lines, feed, [{"checks": policy}], folder, bad)
    other = rules.check(lines.iloc[order], feed, [{"checks": policy}], folder, bad[order])

    pd.testing.assert_frame_equal(one, other)
    pd.testing.assert_frame_equal(rules.profile(lines, one), rules.profile(lines.iloc[order], other))


@settings(max_examples=40, deadline=None)
@given(mess)
def test_reports_are_judged_alone(tmp_path_factory: pytest.TempPathFactory, found: list[dict[str, Any]]) -> None:
    """Without the invoice check, the rejects of a batch are those of its reports, one by one."""
    folder = tmp_path_factory.getbasetemp() / "taxes_alone"
    folder.mkdir(exist_ok=True)
    (folder / "tax.csv").write_text(TAXES)
    lines, options = claim(*found), {k: v for k, v in EVERYTHING.items() if k != "invoice_repeated"}
    feed = {"companies": COMPANIES, "checks": options}
    whole = rules.check(lines, feed, [], folder)
    parts = [
        tuple(row)
        for _, part in lines.groupby(model.REPORT_KEY, dropna=False)
        for row in rules.check(part, feed, [], folder).itertuples(index=False)
    ]

    assert sorted(tuple(row) for row in whole.itertuples(index=False)) == sorted(parts)


@settings(max_examples=40, deadline=None)
@given(mess)
def test_a_report_is_accepted_or_quarantined_never_both(found: list[dict[str, Any]]) -> None:
    lines = claim(*found)
    rejects = judged(lines, states=["approved"])
    out = rules.quarantined(lines, rejects)

    def totals(mask: np.ndarray[Any, Any]) -> ControlTotals:
        part = lines[mask]
        gross = part.groupby("document_currency", dropna=False)["gross_minor"].sum()
        return ControlTotals(
            len(part[model.REPORT_KEY].drop_duplicates()), len(part), {str(k): int(v) for k, v in gross.items()}
        )

    every, none = totals(np.ones(len(lines), dtype=bool)), ControlTotals()

    assert rules.conservation(every, totals(~out), totals(out), none, none) == []


# --- conservation


def test_conservation_names_every_difference() -> None:
    landed = ControlTotals(10, 20, {"CNY": 500, "USD": 7})
    accepted, quarantined = ControlTotals(8, 17, {"CNY": 400}), ControlTotals(1, 3, {"CNY": 50, "USD": 7})
    duplicate, superseded = ControlTotals(1, 1, {"CNY": 49}), ControlTotals(0, 0, {"JPY": 3})

    assert rules.conservation(landed, accepted, quarantined, duplicate, superseded) == [
        "lines: landed 20, outcomes 21, difference -1",
        "gross CNY: landed 500, outcomes 499, difference 1",
        "gross JPY: landed 0, outcomes 3, difference -3",
    ]


def test_conservation_holds_when_everything_is_somewhere() -> None:
    part = ControlTotals(1, 2, {"CNY": 3})

    assert rules.conservation(model.total([part] * 4), part, part, part, part) == []


outcome = st.builds(
    ControlTotals,
    st.integers(0, 9),
    st.integers(0, 9),
    st.dictionaries(st.sampled_from(["CNY", "USD", "KWD"]), st.integers(-(10**18), 10**18)),
)


@settings(deadline=None)
@given(st.tuples(outcome, outcome, outcome, outcome), st.integers(1, 10**15))
def test_conservation_sees_a_single_minor_unit(parts: tuple[ControlTotals, ...], off: int) -> None:
    landed, lost = model.total(parts), ControlTotals(gross={"CNY": off})

    assert rules.conservation(landed, *parts) == []
    assert len(rules.conservation(landed + lost, *parts)) == 1


# --- profile


def test_the_profile_adds_up_to_the_delivery() -> None:
    """A report over two expense types is counted in the first of its cells only."""
    lines = claim(
        {"expense_type": "TAXI"},
        {"expense_type": "HOTEL", "gross_minor": 30_000},
        {"report_id": "R2", "document_currency": "ZZZ", "gross_minor": 0, "approved_at": ""},
        {"report_id": "R3", "expense_type": "TAXI"},
    )
    rejects = judged(lines[lines["report_id"] == "R3"], [rule("hold", {"report_id": "R3"})])
    found = rules.profile(lines, rejects)

    expected = [
        ["CN01", "", "TAXI", "", 1, 1, 0, 0, 0, 0],
        ["CN01", "CNY", "HOTEL", "2026-03-31", 1, 1, 30_000, 0, 0, 0],
        ["CN01", "CNY", "TAXI", "2026-03-31", 1, 2, 20_000, 1, 1, 10_000],
    ]
    assert found.columns.tolist() == rules.PROFILE_COLUMNS
    assert expected == found.to_numpy().tolist()


def test_the_profile_of_nothing_is_empty() -> None:
    found = rules.profile(claim({}).iloc[:0], rules.rejects_frame([]))

    assert (found.columns.tolist(), len(found)) == (rules.PROFILE_COLUMNS, 0)


@settings(max_examples=40, deadline=None)
@given(mess)
def test_every_figure_of_a_profile_adds_up(found: list[dict[str, Any]]) -> None:
    lines = claim(*found)
    rejects = judged(lines, states=["approved"])
    profile = rules.profile(lines, rejects)
    out = rules.quarantined(lines, rejects)
    reports = lines[model.REPORT_KEY].drop_duplicates()

    expected = [
        len(reports), len(lines), lines["gross_minor"].sum(),
        len(lines[out][model.REPORT_KEY].drop_duplicates()), out.sum(), lines["gross_minor"][out].sum(),
    ]  # fmt: skip
    assert expected == [profile[c].sum() for c in rules.PROFILE_COLUMNS[4:]]


# --- columns


def test_local_dates_follow_the_company_through_summer_time() -> None:
    times = model.texts(["2026-03-08T05:59:59Z", "2026-03-09T04:59:59Z", "2026-03-09T05:00:00Z", "", "2026-05-01"])
    names = model.texts(["US01", "US01", "US01", "US01", "CN01"])

    expected = ["2026-03-07", "2026-03-08", "2026-03-09", "", "2026-05-01"]
    assert expected == local_dates(times, names, {"US01": "America/Chicago"}).tolist()
    assert local_dates(times[:2], model.texts(["?", "?"]), {}).tolist() == ["2026-03-08", "2026-03-09"]


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 3), st.integers(-(2**62), 2**62)), min_size=1, max_size=9))
def test_pairs_are_numbered_alike_exactly_when_equal(pairs: list[tuple[int, int]]) -> None:
    group, values = (np.array(side, dtype=np.int64) for side in zip(*pairs, strict=True))
    numbers = columns.pair(group, values).tolist()

    assert [pairs.index(p) for p in pairs] == [numbers.index(n) for n in numbers]


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 2), st.integers(-(2**62), 2**62)), max_size=9))
def test_sums_are_exact_or_beyond_every_limit(rows: list[tuple[int, int]]) -> None:
    group = np.array([g for g, _ in rows], dtype=np.int64)
    sums = columns.sum_of(np.array([v for _, v in rows], dtype=np.int64), group).tolist()

    for number, found in enumerate(sums):
        exact = sum(v for g, v in rows if g == number)
        assert found == max(1 - 2**63, min(2**63 - 1, exact))
