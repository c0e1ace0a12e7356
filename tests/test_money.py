"""Money is exact: the grammar takes nothing doubtful, splits lose no cent, conversion rounds once."""

from __future__ import annotations

import doctest
from decimal import ROUND_DOWN, ROUND_HALF_EVEN, ROUND_HALF_UP, Decimal

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from etl import money

AMOUNTS = st.integers(-money.LIMIT_MINOR, money.LIMIT_MINOR)
BIGGEST = 2**63 - 1
ROUNDING = {money.HALF_UP: ROUND_HALF_UP, money.HALF_EVEN: ROUND_HALF_EVEN, money.DOWN: ROUND_DOWN}


def test_examples_in_the_docstrings() -> None:
    assert doctest.testmod(money).failed == 0


@pytest.mark.parametrize(
    ("text", "exponent", "minor", "fault"),
    [
        ("1200.00", 2, 120000, ""),
        ("1200", 2, 120000, ""),
        ("1200.5", 2, 120050, ""),
        ("-0.05", 2, -5, ""),
        ("-0", 2, 0, ""),
        ("-0.00", 2, 0, ""),
        ("100", 0, 100, ""),
        ("1.234", 3, 1234, ""),
        ("1.2345", 3, 0, "PRECISION"),
        ("100.50", 0, 0, "PRECISION"),
        ("1.005", 2, 0, "PRECISION"),
        ("10000000000000.00", 2, 10**15, ""),
        ("10000000000000.01", 2, 0, "RANGE"),
        ("99999999999999999999", 2, 0, "RANGE"),
        ("", 2, 0, "MONEY"),
        ("１２３", 2, 0, "MONEY"),
        ("٣", 2, 0, "MONEY"),
        ("¥100", 2, 0, "MONEY"),
        ("100元", 2, 0, "MONEY"),
        ("1,234.50", 2, 0, "MONEY"),
        ("1.234,50", 2, 0, "MONEY"),
        ("1_000", 2, 0, "MONEY"),
        ("1e5", 2, 0, "MONEY"),
        ("NaN", 2, 0, "MONEY"),
        ("inf", 2, 0, "MONEY"),
        ("(100.00)", 2, 0, "MONEY"),
        ("100-", 2, 0, "MONEY"),
        ("−100", 2, 0, "MONEY"),
        ("+5", 2, 0, "MONEY"),
        ("00012.50", 2, 0, "MONEY"),
        (" 5", 2, 0, "MONEY"),
        ("5.", 2, 0, "MONEY"),
        ("5.", 0, 0, "MONEY"),
        ("5.1", 1, 51, ""),
        (".5", 2, 0, "MONEY"),
    ],
)
def test_one_strict_grammar(text: str, exponent: int, minor: int, fault: str) -> None:
    assert (minor, fault) == money.parse_one(text, exponent)
    values, faults = money.parse(pa.array([text, text]), np.array([exponent, exponent]))

    assert ([minor] * 2, [fault] * 2) == (values.tolist(), faults.tolist())


def test_a_column_of_all_kinds_of_cells_keeps_each_in_its_place() -> None:
    """Cells with all decimals, with fewer, and with a fault, some more than once, in two currencies."""
    texts = ["7", "1.20", "7", "x", "1200", "x", "900", "1.5", "-3.4", "-0.34"]
    exponents = np.array([2, 2, 2, 2, 2, 2, 0, 0, 2, 2])
    values, faults = money.parse(pa.array(texts), exponents)

    assert [700, 120, 700, 0, 120000, 0, 900, 0, -340, -34] == values.tolist()
    assert ["", "", "", "MONEY", "", "MONEY", "", "PRECISION", "", ""] == faults.tolist()
    assert (np.int64, object) == (values.dtype, faults.dtype)


@given(st.lists(st.tuples(AMOUNTS, st.sampled_from([0, 2, 3, 4]))))
def test_text_and_back_is_the_same_amount(amounts: list[tuple[int, int]]) -> None:
    minor = np.array([m for m, _ in amounts], dtype=np.int64)
    exponents = np.array([e for _, e in amounts], dtype=np.int64)
    text = money.to_text(minor, exponents)
    back, faults = money.parse(text, exponents)

    assert minor.tolist() == back.tolist()
    assert [""] * len(amounts) == faults.tolist()
    assert [str(Decimal(m).scaleb(-e)) for m, e in amounts] == [str(Decimal(t)) for t in text.to_pylist()]


@given(AMOUNTS, st.sampled_from(["CNY", "JPY", "KWD", "CLF"]))
def test_one_amount_as_text_equals_the_column(minor: int, currency: str) -> None:
    column = money.to_text(np.array([minor]), np.array([money.EXPONENT[currency]]))

    assert column.to_pylist() == [money.text_of(minor, currency)]


def test_no_amounts_give_no_text() -> None:
    assert [] == money.to_text(np.array([], dtype=np.int64), np.array([], dtype=np.int64)).to_pylist()
    assert [] == money.parse(pa.array([], pa.string()), np.array([], dtype=np.int64))[0].tolist()


@given(
    st.lists(st.integers(-(10**12), 10**12), min_size=1),
    st.integers(0, 10**9),
    st.integers(1, 10**9),
    st.sampled_from(money.ROUNDINGS),
)
def test_scaling_rounds_once_by_the_named_mode(minor: list[int], top: int, bottom: int, rounding: str) -> None:
    got = money.scale(np.array(minor), top, bottom, rounding).tolist()
    exact = [money.divide(m * top, bottom, rounding) for m in minor]

    assert [max(-BIGGEST, min(BIGGEST, m)) for m in exact] == got


@given(st.integers(-(10**9), 10**9), st.integers(1, 10**6), st.sampled_from(money.ROUNDINGS))
def test_division_agrees_with_decimal(numerator: int, denominator: int, rounding: str) -> None:
    wanted = (Decimal(numerator) / Decimal(denominator)).quantize(Decimal(1), rounding=ROUNDING[rounding])

    assert int(wanted) == money.divide(numerator, denominator, rounding)


def test_a_result_beyond_int64_stands_at_its_edge_so_that_no_limit_lets_it_pass() -> None:
    assert [BIGGEST, -BIGGEST, 3 * 10**9] == money.scale(np.array([10**15, -(10**15), 3]), 10**9, 1).tolist()


def test_products_beyond_int64_stay_exact() -> None:
    assert [10**15 * 9_999_999_999 // 10**10] == money.scale(np.array([10**15]), 9_999_999_999, 10**10, "down").tolist()


@pytest.mark.parametrize(
    ("minor", "rate", "currency", "base", "expected"),
    [
        (10_000, "7.1", "USD", "CNY", 71_000),
        (1, "7.15", "USD", "CNY", 7),
        (10_000, "0.048", "JPY", "CNY", 48_000),
        (12_345, "150.25", "USD", "JPY", 18_548),
        (-12_345, "150.25", "USD", "JPY", -18_548),
        (10_000, "0.307", "USD", "KWD", 30_700),
    ],
)
def test_conversion_respects_the_decimals_of_both_currencies(
    minor: int, rate: str, currency: str, base: str, expected: int
) -> None:
    assert [expected] == money.convert(np.array([minor]), rate, currency, base).tolist()


@pytest.mark.parametrize("text", ["0", "0.0", "-1", "1e2", "", "1,5", "12345678901", "1.1234567890123"])
def test_a_rate_is_a_plain_positive_decimal(text: str) -> None:
    assert money.parse_rate(text) is None


def test_a_rate_keeps_its_decimals() -> None:
    assert ((71234, 4), (7, 0), (75, 1)) == tuple(map(money.parse_rate, ("7.1234", "7", "7.500")))


@given(AMOUNTS, st.lists(st.integers(0, 10**6), min_size=1).filter(any))
def test_a_split_loses_no_cent(total: int, weights: list[int]) -> None:
    parts = money.allocate(total, weights)
    exact = [Decimal(total) * w / sum(weights) for w in weights]

    assert total == sum(parts)
    assert all(abs(Decimal(p) - e) < 1 for p, e in zip(parts, exact, strict=True))
    assert all(p == 0 for p, w in zip(parts, weights, strict=True) if w == 0)


def test_ties_go_to_the_first_part() -> None:
    assert [[34, 33, 33], [-34, -33, -33]] == [money.allocate(100, [1, 1, 1]), money.allocate(-100, [1, 1, 1])]


def test_every_group_is_split_by_itself() -> None:
    parts = money.allocate_groups(np.array([100, -5, 7]), np.array([1, 1, 1, 1, 1, 3]), np.array([0, 0, 0, 1, 1, 2]))

    assert [34, 33, 33, -3, -2, 7] == parts.tolist()


def test_no_groups_give_no_parts() -> None:
    empty = np.array([], dtype=np.int64)

    assert [] == money.allocate_groups(empty, empty, empty).tolist()


def test_a_split_of_a_huge_amount_stays_exact() -> None:
    assert 10**15 == sum(money.allocate(10**15, [999_983, 1_000_003, 7]))


@pytest.mark.parametrize("rounding", money.ROUNDINGS)
def test_many_amounts_round_as_one_does(rounding: str) -> None:
    """The column's path against the single amount's, over ties, halves above and below, both signs and zero."""
    amounts = np.arange(-40, 41)
    for numerator, denominator in [(1, 1), (1, 2), (1, 3), (3, 4), (5, 8), (7, 10), (0, 7)]:
        expected = [money.divide(m * numerator, denominator, rounding) for m in amounts.tolist()]
        assert expected == money.scale(amounts, numerator, denominator, rounding).tolist()


@pytest.mark.parametrize(("rounding", "cents"), [(money.HALF_UP, [1, 2, 3]), (money.HALF_EVEN, [0, 2, 2]),
                                                 (money.DOWN, [0, 1, 2])])  # fmt: skip
def test_a_conversion_rounds_by_the_name_it_is_given(rounding: str, cents: list[int]) -> None:
    assert cents == money.convert(np.array([1, 3, 5]), "0.5", "USD", "CNY", rounding).tolist()


def test_no_amounts_give_no_amounts() -> None:
    none = np.array([], dtype=np.int64)

    assert [] == money.scale(none, 10**18, 10**18).tolist()
    assert [0, 0] == money.allocate(0, [1, 1])


@pytest.mark.parametrize(("text", "rate"), [("7.10", (71, 1)), ("7.00", (7, 0)), ("0.500", (5, 1)), ("10", (10, 0))])
def test_a_rate_is_its_value_whatever_zeros_follow(text: str, rate: tuple[int, int]) -> None:
    assert rate == money.parse_rate(text)


def test_what_no_caller_may_ask_stops_at_once() -> None:
    one, backwards = np.array([1]), np.array([1, 0])
    asked = [
        lambda: money.divide(1, 0),
        lambda: money.divide(1, 2, "up"),
        lambda: money.scale(one, 1, 0),
        lambda: money.scale(one, -1, 2),
        lambda: money.scale(one, 1, 2, "up"),
        lambda: money.convert(one, "-1", "CNY", "USD"),
        lambda: money.allocate(5, [0, 0]),
        lambda: money.allocate(5, [-2, 1]),
        lambda: money.allocate_groups(np.array([1, 1]), np.array([1, 1]), backwards),
    ]
    for ask in asked:
        with pytest.raises(AssertionError):
            ask()
