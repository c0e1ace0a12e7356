"""What a condition can mean is decided exactly: tests that fit no field are named, a choice that is called unreachable
is reached by no line whatever."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from etl import lookup, model
from etl.mapping import conditions

Condition = dict[str, Any]
TEXTS = ["", "A", "AB", "B", "BA", "C", "\U0010ffff"]
NUMBERS = [-3, -1, 0, 1, 2, 3]
texts, numbers = st.sampled_from(TEXTS), st.sampled_from(NUMBERS).map(str)


def a_test_of(value: st.SearchStrategy[str], words: Sequence[str], more: dict[str, Any]) -> st.SearchStrategy[Any]:
    """Tests of one field as a mapping may write them."""
    several = st.lists(value, min_size=1, max_size=3)
    plain = st.one_of(value, several, st.sampled_from(words))
    orders = dict.fromkeys(("equal", "above", "below", "from", "to"), value) | {"in": several, **more}
    return st.recursive(
        plain,
        lambda inner: st.lists(st.sampled_from([*orders, "not"]), min_size=1, max_size=3, unique=True).flatmap(
            lambda names: st.fixed_dictionaries({n: orders.get(n, inner) for n in names})
        ),
        max_leaves=4,
    )


text_tests = a_test_of(
    texts, ["present", "missing"], {"prefix": texts.filter(bool), "present": st.sampled_from(["yes", "no"])}
)
number_tests = a_test_of(numbers, ["zero", "not zero", "positive", "negative"], {})
fields = st.one_of(
    st.fixed_dictionaries({}, optional={"payer": text_tests, "tax_code": text_tests, "gross_minor": number_tests})
).filter(bool)
conditions_ = st.recursive(
    fields,
    lambda inner: st.one_of(
        st.fixed_dictionaries({"any": st.lists(inner, min_size=1, max_size=3)}),
        st.fixed_dictionaries({"all": st.lists(inner, min_size=1, max_size=3)}),
        st.fixed_dictionaries({"not": inner}),
    ),
    max_leaves=5,
)


def every_line() -> pd.DataFrame:
    """A line for each combination of the values above."""
    rows = [(a, b, n) for a in TEXTS for b in TEXTS for n in NUMBERS]
    first, second, amounts = zip(*rows, strict=True)
    return pd.DataFrame(
        {
            "payer": model.texts(list(first)),
            "tax_code": model.texts(list(second)),
            "gross_minor": np.array(amounts, dtype=np.int64),
        }
    )


LINES = every_line()


def within(boxes: Sequence[conditions.Box]) -> list[bool]:
    """Which lines lie in one of the boxes."""

    def inside(spans: conditions.Spans, value: object) -> bool:
        return any(start <= (0, value) < end for start, end in spans)

    rows = LINES.to_dict("records")
    return [any(all(inside(spans, row[name]) for name, spans in box.items()) for box in boxes) for row in rows]


@given(conditions_)
def test_the_boxes_of_a_condition_are_the_lines_it_picks(condition: Condition) -> None:
    picked = lookup.matches(condition, LINES)

    assert picked.tolist() == within(conditions.boxes(condition))
    assert (~picked).tolist() == within(conditions.boxes(condition, holds=False))


@given(st.lists(conditions_, min_size=1, max_size=4), fields)
def test_a_choice_that_is_called_unreachable_is_reached_by_no_line(asked: list[Condition], inside: Condition) -> None:
    left = lookup.matches(inside, LINES)
    reached = []
    for condition in asked:
        taken = left & lookup.matches(condition, LINES)
        reached.append(bool(taken.any()))
        left &= ~taken

    assert [] == [number for number, _ in conditions.unreached(asked, inside) if reached[number]]


@pytest.mark.parametrize(
    ("asked", "never"),
    [
        ([{"payer": "CARD"}, {}], []),
        ([{}, {"payer": "CARD"}], [1]),
        ([{"payer": "CARD"}, {"payer": "CARD"}], [1]),
        ([{"payer": ["CARD", "CASH"]}, {"payer": "CASH"}, {"payer": ["CASH", "BANK"]}], [1]),
        ([{"payer": "CARD"}, {"payer": "CASH"}, {"payer": ["CARD", "CASH"]}], [2]),
        ([{"account": {"prefix": "66"}}, {"account": {"prefix": "6602"}}], [1]),
        ([{"account": {"prefix": "6602"}}, {"account": {"prefix": "66"}}], []),
        ([{"account": {"from": "6600", "to": "6699"}}, {"account": "6650"}], [1]),
        ([{"gross_minor": {"above": "100"}}, {"gross_minor": {"from": "101", "to": "200"}}], [1]),
        ([{"gross_minor": {"above": "100"}}, {"gross_minor": {"from": "100", "to": "200"}}], []),
        ([{"gross_minor": "positive"}, {"gross_minor": "negative"}, {"gross_minor": "zero"}, {}], [3]),
        ([{"invoice_no": "present"}, {"invoice_no": "missing"}, {}], [2]),
        ([{"payer": {"not": "CARD"}}, {"payer": "CARD", "tax_code": "V6"}], []),
        ([{"any": [{"payer": "CARD"}, {"tax_code": "V6"}]}, {"payer": "CARD", "tax_code": "V6"}], [1]),
        ([{"payer": "CARD", "tax_code": "V6"}, {"payer": "CARD"}], []),
        ([{"transaction_date": {"to": "2026-06-30"}}, {"transaction_date": {"below": "2026-01-01"}}], [1]),
        ([{"posting_date": {"from": "2026-07-01"}}, {"period": "2026-07"}], []),
    ],
    ids=str,
)
def test_which_choices_are_never_reached(asked: list[Condition], never: list[int]) -> None:
    assert never == [number for number, _ in conditions.unreached(asked, {})]


def test_a_choice_that_its_journal_line_excludes_is_never_reached() -> None:
    (found,) = conditions.unreached([{"payer": "CARD"}, {"payer": "CASH"}], {"payer": {"not": "CARD"}})

    assert (0, "is never reached: its condition and that of the journal line exclude each other") == found


@pytest.mark.parametrize(
    "condition",
    [
        {"gross_minor": {"from": "2", "to": "1"}},
        {"gross_minor": {"above": "1", "below": "2"}},
        {"payer": {"equal": "CARD", "not": "CARD"}},
        {"payer": {"in": ["CARD", "CASH"], "prefix": "B"}},
        {"all": [{"payer": "CARD"}, {"payer": "CASH"}]},
        {"payer": "CARD", "not": {"payer": {"prefix": "C"}}},
        {"invoice_no": {"present": "no", "prefix": "1"}},
        {"transaction_date": {"from": "2026-02-01", "to": "2026-01-31"}},
    ],
    ids=str,
)
def test_a_condition_that_no_line_meets_is_named(condition: Condition) -> None:
    found = list(conditions.problems(condition, ("when",)))

    assert [(("when",), "can never hold: no value meets all of its tests")] == found


@pytest.mark.parametrize(
    ("condition", "said"),
    [
        ({"colour": "red"}, "no field 'colour' of an expense line"),
        ({"payer": "positive"}, "'positive' is a test of amounts, payer is a code; a code of that name is {equal:"),
        ({"description": {"not": "zero"}}, "'zero' is a test of amounts, description is text;"),
        ({"gross_minor": "present"}, "'present' is a test of text, gross_minor is an amount;"),
        ({"line_no": {"prefix": "1"}}, "'prefix' is a test of text, line_no is a number;"),
        ({"gross_minor": {"above": "12.50"}}, "'12.50' is no whole number; amounts are in minor units"),
        ({"gross_minor": {"in": ["1", "007"]}}, "'007' is no whole number"),
        ({"rate": {"above": "7.1"}}, "'above' would compare letters: a rate is text here"),
        ({"document_currency": ["CNY", "RMB"]}, "'RMB' is no currency of ISO 4217"),
        ({"base_currency": "cny"}, "'cny' is no currency of ISO 4217"),
        ({"transaction_date": {"from": "2026-13-01"}}, "'2026-13-01' is no date written 2026-03-31"),
        ({"posting_date": {"to": "31.03.2026"}}, "'31.03.2026' is no date written 2026-03-31"),
        ({"approved_at": {"to": "2026-03-31"}}, "'2026-03-31' is no time written 2026-03-31T16:30:00Z"),
        ({"period": "2026-3"}, "'2026-3' is no period written 2026-03"),
        ({"payer": {"prefix": ""}}, "an empty prefix holds for every text"),
        ({"any": [{"all": [{"not": {"colour": "red"}}]}]}, "no field 'colour'"),
    ],
    ids=str,
)  # fmt: skip
def test_a_test_that_cannot_be_meant_of_a_field_is_named(condition: Condition, said: str) -> None:
    ((_, detail),) = conditions.problems(condition, ("when",))

    assert said in detail


@pytest.mark.parametrize(
    "condition",
    [
        {"payer": {"equal": "positive"}},
        {"document_currency": {"prefix": "C"}},
        {"base_currency": "missing"},
        {"start_date": ""},
        {"transaction_date": {"prefix": "2026-", "from": "2026-02-01"}},
        {"approved_at": {"below": "2026-03-31T16:00:00Z"}},
        {"rate": "7.1"},
        {"gross_minor": {"not": "zero"}},
        {"account": {"from": "66", "below": "67"}},
    ],
    ids=str,
)
def test_a_test_that_can_be_meant_is_left_alone(condition: Condition) -> None:
    assert [] == list(conditions.problems(condition, ("when",)))


def test_a_condition_of_too_many_combinations_is_left_alone() -> None:
    many = {"all": [{"any": [{"payer": {"not": a}}, {"tax_code": {"not": b}}]} for a, b in ["AB", "BC", "CA"] * 3]}
    wide = {"any": [{"payer": str(n), "tax_code": str(n)} for n in range(conditions.BOXES_MAX)]}

    assert [] == list(conditions.problems({"all": [many, many]}, ("when",)))
    assert [] == list(conditions.unreached([{"all": [many, many]}, many, wide, {"not": wide}], {}))


def test_a_choice_behind_very_many_is_left_alone() -> None:
    many = [{"payer": str(n), "tax_code": str(n)} for n in range(conditions.BOXES_MAX + 1)]

    assert [] == list(conditions.unreached([*many, {}], {}))
