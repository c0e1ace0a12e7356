"""Why a line got its account: each form of an expression told with file and line."""

from __future__ import annotations

from pathlib import Path

import pytest
from books import JOURNAL, bundle, expense_lines

from etl import mapping
from etl.mapping import dates, trace


def told(
    folder: Path, name: str, journal: str = JOURNAL, rule: int = 0, table: str = "gross_minor\n 4500"
) -> list[str]:
    """The steps to a value of a journal line rule, for the first expense line."""
    books = bundle(folder, journals=journal)
    line = mapping.apply(books, expense_lines(table)).lines.iloc[[0]]
    return trace.expression(books, ("lines", rule, name), books.journal["lines"][rule][name], line)


def test_a_table_names_the_row_that_was_valid_on_the_day(tmp_path: Path) -> None:
    assert ["tables/account.csv line 3: TAXI for TAXI, on 2026-02-03 gives '6602'"] == told(tmp_path, "account")


def test_a_wildcard_row_shows_itself_and_what_it_was_asked(tmp_path: Path) -> None:
    steps = told(tmp_path, "account", rule=2)

    assert ["tables/counter.csv line 2: *, EMPLOYEE for C1, EMPLOYEE gives '2241'"] == steps


def test_a_field_a_constant_and_a_template_name_their_place_in_the_mapping(tmp_path: Path) -> None:
    assert ["journals/tiny.yml line 17: cost_center of the expense line, '0010'"] == told(tmp_path / "a", "cost_center")
    assert ["journals/tiny.yml line 22: always '2221'"] == told(tmp_path / "b", "account", rule=1)
    assert ["journals/tiny.yml line 18: template '{expense_type} {description}' gives 'TAXI'"] == told(
        tmp_path / "c", "text"
    )


@pytest.mark.parametrize(
    ("payer", "steps"),
    [
        ("CARD", ["choice 1, because payer: CARD", "always 'Card'"]),
        ("EMPLOYEE", ["choice 2, nothing before it holds", "always 'Payable'"]),
    ],
)
def test_a_choice_says_which_and_why(tmp_path: Path, payer: str, steps: list[str]) -> None:
    found = told(tmp_path, "text", rule=2, table=f"payer gross_minor\n {payer} 4500")

    assert steps == [step.split(": ", 1)[1] for step in found]
    assert {"journals/tiny.yml line 29"} == {step.split(": ", 1)[0] for step in found}


def test_each_choice_is_told_with_its_own_line(tmp_path: Path) -> None:
    lines = "choose:\n        - {when: {payer: CARD}, value: Card}\n        - {value: Payable}"
    journal = JOURNAL.replace(
        "text: {choose: [{when: {payer: CARD}, value: Card}, {value: Payable}]}", f"text:\n      {lines}"
    )

    assert [
        "journals/tiny.yml line 32: choice 2, nothing before it holds", "journals/tiny.yml line 32: always 'Payable'"
    ] == told(tmp_path, "text", journal, rule=2)  # fmt: skip


@pytest.mark.parametrize(
    ("rule", "said"),
    [
        ({"field": "approved_at"}, "approved_at 2026-02-10"),
        ({"latest": ["approved_at", "submitted_at"]}, "the latest of approved_at 2026-02-10, submitted_at (empty)"),
        (
            {"earliest": ["approved_at"], "to": "month_end", "not_before": "submitted_at", "not_after": "paid_at"},
            "the earliest of approved_at 2026-02-10, to month end, not before submitted_at (empty), "
            "not after paid_at 2026-03-01",
        ),
    ],
)
def test_a_date_rule_is_told_with_the_dates_it_read(rule: dict[str, object], said: str) -> None:
    read = {"approved_at": "2026-02-10", "submitted_at": "", "paid_at": "2026-03-01"}

    assert said == dates.told(rule, read)


def test_a_company_attribute_names_the_feed(tmp_path: Path) -> None:
    journal = JOURNAL.replace("account: {table: account}", "account: {company: rounding}", 1)

    assert ["feeds/tiny.yml line 10: rounding of company C1 is '6699'"] == told(tmp_path, "account", journal)


def test_no_row_and_no_choice_are_said_too(tmp_path: Path) -> None:
    missing = "expense_type gross_minor\n YACHT 4500"
    journal = JOURNAL.replace("{payer: CARD}, value: Card}, {value: Payable}]", "{payer: CARD}, value: Card}]")

    assert ["tables/account.csv: no row for YACHT, on 2026-02-03"] == told(tmp_path / "a", "account", table=missing)
    assert ["no choice holds"] == told(tmp_path / "b", "text", journal, rule=2)
