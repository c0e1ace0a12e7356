"""Why a line got its account: each form of an expression told with file and line."""

from __future__ import annotations

from pathlib import Path

import pytest
from books import JOURNAL, bundle, expense_lines

from etl import mapping
from etl.mapping import trace


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


def test_a_company_attribute_names_the_feed(tmp_path: Path) -> None:
    journal = JOURNAL.replace("account: {table: account}", "account: {company: rounding}", 1)

    assert ["feeds/tiny.yml line 10: rounding of company C1 is '6699'"] == told(tmp_path, "account", journal)


def test_no_row_and_no_choice_are_said_too(tmp_path: Path) -> None:
    missing = "expense_type gross_minor\n YACHT 4500"
    journal = JOURNAL.replace("{payer: CARD}, value: Card}, {value: Payable}]", "{payer: CARD}, value: Card}]")

    assert ["tables/account.csv: no row for YACHT, on 2026-02-03"] == told(tmp_path / "a", "account", table=missing)
    assert ["no choice holds"] == told(tmp_path / "b", "text", journal, rule=2)
