"""Money: exact integers in minor units, one strict grammar, one rounding function.

Amounts are int64 minor units with a currency beside them. Text becomes money only in `parse`, money becomes
text only in `to_text`. No float comes near an amount. Rates are decimal text, scaled to integers here.
Grammar and limits: `-?(0|[1-9][0-9]{0,14})(\\.[0-9]{1,d})?`, ASCII, d = decimals of the currency, |x| <= 10^15.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

Ints = NDArray[np.int64]

LIMIT_MINOR: Final = 10**15
_INT64_SAFE: Final = 2**62
_INT64_MAX: Final = 2**63 - 1

# ISO 4217 minor units that are not 2, and the active codes; source: ISO 4217 list one.
_EXPONENTS: Final = {
    **dict.fromkeys(
        [
            "BIF",
            "CLP",
            "DJF",
            "GNF",
            "ISK",
            "JPY",
            "KMF",
            "KRW",
            "PYG",
            "RWF",
            "UGX",
            "UYI",
            "VND",
            "VUV",
            "XAF",
            "XOF",
            "XPF",
        ],
        0,
    ),
    **dict.fromkeys(["BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND"], 3),
    **dict.fromkeys(["CLF", "UYW"], 4),
}
_TWO_DECIMALS: Final = [
    "AED",
    "AFN",
    "ALL",
    "AMD",
    "AOA",
    "ARS",
    "AUD",
    "AWG",
    "AZN",
    "BAM",
    "BBD",
    "BDT",
    "BMD",
    "BND",
    "BOB",
    "BRL",
    "BSD",
    "BTN",
    "BWP",
    "BYN",
    "BZD",
    "CAD",
    "CDF",
    "CHF",
    "CNY",
    "COP",
    "CRC",
    "CUP",
    "CVE",
    "CZK",
    "DKK",
    "DOP",
    "DZD",
    "EGP",
    "ERN",
    "ETB",
    "EUR",
    "FJD",
    "FKP",
    "GBP",
    "GEL",
    "GHS",
    "GIP",
    "GMD",
    "GTQ",
    "GYD",
    "HKD",
    "HNL",
    "HTG",
    "HUF",
    "IDR",
    "ILS",
    "INR",
    "IRR",
    "JMD",
    "KES",
    "KGS",
    "KHR",
    "KPW",
    "KYD",
    "KZT",
    "LAK",
    "LBP",
    "LKR",
    "LRD",
    "LSL",
    "MAD",
    "MDL",
    "MGA",
    "MKD",
    "MMK",
    "MNT",
    "MOP",
    "MRU",
    "MUR",
    "MVR",
    "MWK",
    "MXN",
    "MYR",
    "MZN",
    "NAD",
    "NGN",
    "NIO",
    "NOK",
    "NPR",
    "NZD",
    "PAB",
    "PEN",
    "PGK",
    "PHP",
    "PKR",
    "PLN",
    "QAR",
    "RON",
    "RSD",
    "RUB",
    "SAR",
    "SBD",
    "SCR",
    "SDG",
    "SEK",
    "SGD",
    "SHP",
    "SLE",
    "SOS",
    "SRD",
    "SSP",
    "STN",
    "SVC",
    "SYP",
    "SZL",
    "THB",
    "TJS",
    "TMT",
    "TOP",
    "TRY",
    "TTD",
    "TWD",
    "TZS",
    "UAH",
    "USD",
    "UYU",
    "UZS",
    "VED",
    "VES",
    "WST",
    "XCD",
    "XCG",
    "YER",
    "ZAR",
    "ZMW",
    "ZWG",
]
EXPONENT: Final[dict[str, int]] = {**dict.fromkeys(_TWO_DECIMALS, 2), **_EXPONENTS}

HALF_UP, HALF_EVEN, DOWN = "half_up", "half_even", "down"
ROUNDINGS: Final = (HALF_UP, HALF_EVEN, DOWN)

_GRAMMAR: Final = re.compile(r"(-?)(0|[1-9][0-9]*)(?:\.([0-9]+))?", re.ASCII)
_RATE: Final = re.compile(r"(0|[1-9][0-9]{0,9})(?:\.([0-9]{1,12}))?", re.ASCII)


def parse_one(text: str, exponent: int) -> tuple[int, str]:
    """One amount in minor units and a fault code: "" | MONEY | PRECISION | RANGE."""
    match = _GRAMMAR.fullmatch(text)
    if match is None:
        return 0, "MONEY"
    sign, whole, fraction = match.group(1), match.group(2), match.group(3) or ""
    if len(fraction) > exponent:
        return 0, "PRECISION"
    minor = int(whole + fraction.ljust(exponent, "0"))
    if minor > LIMIT_MINOR:
        return 0, "RANGE"
    return (-minor if sign else minor), ""


def parse(texts: pa.Array, exponents: NDArray[np.int64]) -> tuple[Ints, NDArray[np.object_]]:
    """Amounts in minor units and a fault code for each ("" = good).

    In: strings without nulls, and the decimals of each one's currency. A cell written with all its decimals takes
    the vectorised path; every other distinct (text, decimals) pair is read once by `parse_one`.
    """
    minor, fault = np.empty(len(texts), dtype=np.int64), np.empty(len(texts), dtype=object)
    for exponent in np.unique(exponents).tolist():
        where = np.flatnonzero(exponents == exponent)
        minor[where], fault[where] = _parse_exponent(texts.take(pa.array(where)), exponent)
    return minor, fault


def _parse_exponent(texts: pa.Array, exponent: int) -> tuple[Ints, NDArray[np.object_]]:
    tail = rf"\.[0-9]{{{exponent}}}" if exponent else ""
    clean = np.asarray(pc.match_substring_regex(texts, rf"^-?(0|[1-9][0-9]{{0,11}}){tail}$"))
    minor = np.zeros(len(texts), dtype=np.int64)
    fault = np.full(len(texts), "", dtype=object)
    digits = pc.replace_substring(texts.filter(pa.array(clean)), ".", "")
    minor[clean] = np.asarray(pc.cast(digits, pa.int64()))
    rest = np.flatnonzero(~clean)
    if len(rest):
        coded = texts.take(pa.array(rest)).dictionary_encode()
        read = [parse_one(value, exponent) for value in coded.dictionary.to_pylist()]
        codes = np.asarray(coded.indices)
        minor[rest] = _ints([value for value, _ in read])[codes]
        fault[rest] = np.array([code for _, code in read])[codes]
    return minor, fault


def to_text(minor: Ints, exponents: NDArray[np.int64]) -> pa.Array:
    """Amounts as exact decimal text, all decimals written: 120000 with 2 decimals is 1200.00."""
    kinds = np.unique(exponents).tolist()
    if len(kinds) < 2:
        return _decimal_text(minor, sum(kinds))
    texts = pa.concat_arrays([_decimal_text(minor[exponents == kind], kind) for kind in kinds])
    by_kind = np.argsort(exponents, kind="stable")
    return texts.take(pa.array(np.argsort(by_kind)))


def _decimal_text(minor: Ints, exponent: int) -> pa.Array:
    words = np.empty((len(minor), 2), dtype=np.int64)  # decimal128 is two little-endian words: value and sign
    words[:, 0] = minor
    words[:, 1] = minor >> 63
    kind = pa.decimal128(38, exponent)
    return pc.cast(pa.Array.from_buffers(kind, len(minor), [None, pa.py_buffer(words)]), pa.large_string())


def text_of(minor: int, currency: str) -> str:
    """One amount as decimal text with all decimals of its currency.

    >>> text_of(-5, "CNY"), text_of(1234, "KWD"), text_of(100, "JPY")
    ('-0.05', '1.234', '100')
    """
    exponent = EXPONENT[currency]
    digits = str(abs(minor)).rjust(exponent + 1, "0")
    sign = "-" if minor < 0 else ""
    return sign + (digits if not exponent else f"{digits[:-exponent]}.{digits[-exponent:]}")


def parse_rate(text: str) -> tuple[int, int] | None:
    """A rate as (numerator, decimals): "7.1234" is (71234, 4); None when it is no positive plain decimal."""
    match = _RATE.fullmatch(text)
    if match is None:
        return None
    fraction = (match.group(2) or "").rstrip("0")
    numerator = int(match.group(1) + fraction)
    return (numerator, len(fraction)) if numerator else None


def divide(numerator: int, denominator: int, rounding: str = HALF_UP) -> int:
    """numerator / denominator to a whole number by the named rounding; ties away from zero for half_up.

    >>> divide(5, 2), divide(-5, 2), divide(5, 2, HALF_EVEN), divide(-7, 2, DOWN)
    (3, -3, 2, -3)
    """
    assert denominator > 0 and rounding in ROUNDINGS
    quotient, rest = divmod(abs(numerator), denominator)
    twice = 2 * rest
    up = rounding == HALF_UP and twice >= denominator
    even = rounding == HALF_EVEN and (twice > denominator or (twice == denominator and quotient % 2 == 1))
    quotient += up or even
    return -quotient if numerator < 0 else quotient


def scale(minor: Ints, numerator: int, denominator: int, rounding: str = HALF_UP) -> Ints:
    """Each amount x numerator / denominator, rounded once by the named rounding.

    Products that could leave int64 are computed in Python integers, so the result is exact; one that is itself beyond
    int64 stands as the largest int64 of its sign, which no limit lets pass.
    """
    assert denominator > 0 and numerator >= 0 and rounding in ROUNDINGS
    largest = int(np.abs(minor).max(initial=0))
    if largest * numerator * 2 + denominator >= _INT64_SAFE or denominator >= _INT64_SAFE // 2:
        exact = [divide(m * numerator, denominator, rounding) for m in minor.tolist()]
        return _ints([max(-_INT64_MAX, min(_INT64_MAX, m)) for m in exact])
    product = np.abs(minor) * numerator
    quotient, rest = product // denominator, product % denominator
    if rounding == HALF_UP:
        quotient += 2 * rest >= denominator
    elif rounding == HALF_EVEN:
        quotient += (2 * rest > denominator) | ((2 * rest == denominator) & (quotient % 2 == 1))
    return np.where(minor < 0, -quotient, quotient)


def convert(minor: Ints, rate: str, currency: str, base_currency: str, rounding: str = HALF_UP) -> Ints:
    """Amounts in `currency` as minor units of `base_currency`: amount x rate, rounded once."""
    parsed = parse_rate(rate)
    assert parsed is not None, "rates are checked before they get here"
    numerator, decimals = parsed
    shift = EXPONENT[base_currency] - EXPONENT[currency]
    up, down = 10 ** max(shift, 0), 10 ** max(-shift, 0)
    return scale(minor, numerator * up, 10**decimals * down, rounding)


def allocate(total: int, weights: Sequence[int]) -> list[int]:
    """Split a total over weights by largest remainder; the parts add up exactly, ties go to the first.

    >>> allocate(10_000, [1, 1, 1]), allocate(-5, [1, 1])
    ([3334, 3333, 3333], [-3, -2])
    """
    group = np.zeros(len(weights), dtype=np.int64)
    parts: list[int] = allocate_groups(_ints([total]), _ints(weights), group).tolist()
    return parts


def allocate_groups(totals: Ints, weights: Ints, group: Ints) -> Ints:
    """Split totals[g] over the weights of every row of group g, by largest remainder, ties to the earlier row.

    In: one total per group; one weight and one group number per row, rows of a group together and in order. A weight
    may be negative, a group's weights add up to more than zero. Out: one part per row; the parts of a group add up to
    its total.
    """
    assert (np.diff(group) >= 0).all()
    sums = _sum_by(weights, group, len(totals))
    assert (sums[group] > 0).all()
    size = np.abs(totals)
    wide = int(size.max(initial=0)) * int(np.abs(weights).max(initial=0)) >= _INT64_SAFE
    product = size[group].astype(object if wide else np.int64) * weights
    part, rest = (found.astype(np.int64) for found in (product // sums[group], product % sums[group]))
    missing = size - _sum_by(part, group, len(totals))
    order = np.lexsort((-rest, group))
    first = np.searchsorted(group, np.arange(len(totals)))
    rank = np.empty_like(order)
    rank[order] = np.arange(len(group)) - first[group[order]]
    part = part + (rank < missing[group])
    return np.where(totals[group] < 0, -part, part)


def _ints(values: Sequence[int]) -> Ints:
    return np.array(values, dtype=np.int64)


def _sum_by(values: Ints, group: Ints, groups: int) -> Ints:
    out = np.zeros(groups, dtype=np.int64)
    np.add.at(out, group, values)
    return out
