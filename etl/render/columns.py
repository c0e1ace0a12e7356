"""The columns of a target profile: each one's text for every journal line, and whether the ERP can hold it."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Mapping
from string import Formatter
from typing import Any, Final

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from etl import mapping, masking, model, money
from etl.journal import Batch
from etl.mapping import tree
from etl.mapping.elements import DATES

Ints = NDArray[np.int64]
Mask = NDArray[np.bool_]
Profile = Mapping[str, Any]
Columns = dict[str, pa.Array]

BLANK: Final = pa.scalar("", pa.large_string())
ISO_DATE: Final = "%Y-%m-%d"
# What no text file and no XML document may hold: control characters, line and paragraph breaks, noncharacters.
CONTROLS: Final = r"[\x00-\x1f\x7f\x{2028}\x{2029}\x{FFFE}\x{FFFF}]"


def make(
    profile: Profile, bundle: mapping.Bundle, headers: pd.DataFrame, lines: pd.DataFrame, at: Ints, batch: Batch | None
) -> Columns:
    """Every column of the profile as text, one per line, uncut. Without a batch its id and number stand blank and 1."""
    sheet = _Sheet(profile, bundle, headers, lines, at, batch)
    return {name: sheet.column(rule) for name, rule in profile["columns"].items()}


class _Sheet:
    """Journal lines with their headers, to be written by one profile."""

    def __init__(
        self, profile: Profile, bundle: mapping.Bundle, headers: pd.DataFrame, lines: pd.DataFrame, at: Ints,
        batch: Batch | None,
    ) -> None:  # fmt: skip
        self.profile, self.bundle, self.headers, self.lines, self.at = profile, bundle, headers, lines, at
        self.constants = {
            "batch_id": batch.batch_id if batch else "",
            "batch_no": str(batch.batch_no) if batch else "1",
        }
        self.foreign = (headers["currency"] != headers["base_currency"]).to_numpy(dtype=bool)[at]

    def column(self, rule: Mapping[str, str]) -> pa.Array:
        """One column's text; with `pad_left`, codes that are numbers get leading zeros up to that length."""
        text = self.of_form(rule)
        if "pad_left" not in rule:
            return text
        numeric = pc.match_substring_regex(text, "^[0-9]+$")
        return pc.if_else(numeric, pc.utf8_lpad(text, int(rule["pad_left"]), "0"), text)

    def of_form(self, rule: Mapping[str, str]) -> pa.Array:
        if "amount" in rule:
            return self.amounts(rule["amount"])
        if "value" in rule:
            return self.same(rule["value"])
        if "company" in rule:
            codes, names = model.distinct(self.headers["company"])
            attributes = model.spread([self.bundle.company(n, rule["company"]) for n in names], codes)
            return model.utf8(attributes).take(pa.array(self.at))
        if "template" in rule:
            return self.template(rule["template"])
        if "foreign" in rule:
            return pc.if_else(pa.array(self.foreign), self.of_foreign(rule["foreign"]), BLANK)
        return self.field(rule["field"], rule.get("date", ""))

    def same(self, text: str) -> pa.Array:
        return pa.repeat(pa.scalar(text, pa.large_string()), len(self.lines))

    def of_foreign(self, name: str) -> pa.Array:
        """What a line shows only in a foreign journal: the word User, its amount in document currency, or a field."""
        if name == "User":
            return self.same(name)
        if name != "amount":
            return self.field(name)
        return self.decimals(money.to_text(self.entered(), exponents(self.headers["currency"])[self.at]))

    def decimals(self, text: pa.Array) -> pa.Array:
        """Amounts and rates with the profile's decimal sign."""
        return decimals(self.profile, text)

    def entered(self) -> Ints:
        """The amount of each line in document currency, whichever side it is on."""
        return (self.lines["debit_minor"] + self.lines["credit_minor"]).to_numpy(dtype=np.int64)

    def field(self, name: str, date: str = "") -> pa.Array:
        """A field of the journal line or of its header as text; a date in the column's or the profile's pattern."""
        if name in self.constants:
            return self.same(self.constants[name])
        if name == "batch_line_no":
            return numbers(np.arange(1, len(self.lines) + 1))
        if name == "batch_journal_no":
            return numbers(self.at + 1)
        if name in model.JOURNAL_LINE_COLUMNS:
            return model.utf8(self.lines[name].astype("str"))
        column = self.headers[name].astype("str")
        pattern = date or self.profile.get("dates", ISO_DATE)
        if name in DATES and pattern != ISO_DATE:
            codes, days = model.distinct(column)
            column = model.spread(
                [datetime.date.fromisoformat(day).strftime(pattern) if day else "" for day in days], codes
            )
        text = model.utf8(column).take(pa.array(self.at))
        return self.decimals(text) if name == "rate" else text

    def template(self, text: str) -> pa.Array:
        """Fields joined by what stands between them."""
        cells: list[pa.Array | str] = []
        for literal, name, _, _ in Formatter().parse(text):
            cells += [literal] if literal else []
            cells += [self.field(name)] if name else []
        return model.joined([*cells, self.same("")], "")

    def amounts(self, kind: str) -> pa.Array:
        """One amount column as decimal text: one side, `entered` for either, or `signed` with credits negative.

        The side that a line does not use is empty or 0, as the profile says.
        """
        side = {"signed": "", "base_signed": "base_"}.get(kind)
        if kind == "entered":
            minor = self.entered()
        elif side is None:
            minor = self.lines[f"{kind}_minor"].to_numpy(dtype=np.int64)
        else:
            minor = (self.lines[f"{side}debit_minor"] - self.lines[f"{side}credit_minor"]).to_numpy(dtype=np.int64)
        currencies = self.headers["base_currency" if kind.startswith("base") else "currency"]
        text = self.decimals(money.to_text(minor, exponents(currencies)[self.at]))
        blank = side is None and self.profile.get("amounts") == "two_columns_blank"
        return pc.if_else(pa.array(minor == 0), BLANK, text) if blank else text


def decimals(profile: Profile, text: pa.Array) -> pa.Array:
    """Decimal texts with the profile's decimal sign in place of the point."""
    sign = profile.get("decimal", ".")
    return text if sign == "." else pc.replace_substring(text, ".", sign)


def numbers(values: Ints) -> pa.Array:
    """Whole numbers as text."""
    return pa.array(values).cast(pa.large_string())


def exponents(currencies: pd.Series) -> Ints:
    """The number of decimals of each currency."""
    codes, names = model.distinct(currencies)
    return np.array([money.EXPONENT[name] for name in names], dtype=np.int64)[codes]


def check(profile: Profile, columns: Columns, at: Ints, faults: mapping.Faults) -> None:
    """Keys longer than the ERP takes (KEY_OVERFLOW) and required fields without a value (MISSING)."""
    for name, rule in profile["columns"].items():
        check_column(profile, name, rule, columns[name], at, faults)


def check_column(
    profile: Profile, name: str, rule: Mapping[str, str], text: pa.Array, at: Ints, faults: mapping.Faults
) -> None:
    """The KEY_OVERFLOW and MISSING of one column. In: its texts and the header that each belongs to."""
    if rule.get("overflow", "error") == "error" and "max" in rule:
        long = np.flatnonzero(pc.greater(size(profile, rule, text), int(rule["max"])).to_numpy(zero_copy_only=False))
        values = shown(rule.get("field", ""), text.take(pa.array(long)).to_pylist())
        faults.add(at[long], "KEY_OVERFLOW", name, values, f"{rule['max']} {rule.get('unit', 'characters')}")
    if rule.get("required") == "yes" and rule.get("field") != "batch_id":
        empty = np.flatnonzero(pc.equal(text, "").to_numpy(zero_copy_only=False))
        faults.add(at[empty], "MISSING", name, [""] * len(empty), "")


def check_encoding(
    profile: Profile, name: str, rule: Mapping[str, str], text: pa.Array, at: Ints, faults: mapping.Faults
) -> None:
    """The UNENCODABLE of one column."""
    rows = unencodable(text, profile["encoding"])
    values = shown(rule.get("field", ""), text.take(pa.array(rows)).to_pylist())
    faults.add(at[rows], "UNENCODABLE", name, values, profile["encoding"])


def refuse(
    faults: mapping.Faults,
    at: Ints,
    bad: Mask,
    code: str,
    name: str,
    rule: Mapping[str, Any],
    text: pa.Array,
    detail: str,
) -> None:
    """Report the rows marked bad."""
    rows = np.flatnonzero(bad)
    values = shown(rule.get("field", ""), text.take(pa.array(rows)).to_pylist())
    faults.add(at[rows], code, name, values, detail)


def check_codes(name: str, rule: Mapping[str, Any], text: pa.Array, at: Ints, faults: mapping.Faults) -> None:
    """The REFERENCE of one column: texts that its list of the ERP's own codes lacks."""
    if "codes" in rule:
        known = pc.or_(pc.equal(text, ""), pc.is_in(text, pa.array(rule["codes"])))
        refuse(faults, at, ~known.to_numpy(False), "REFERENCE", name, rule, text, "codes of the target profile")


def check_number(
    name: str, rule: Mapping[str, Any], text: pa.Array, at: Ints, faults: mapping.Faults, detail: str
) -> None:
    """The UNENCODABLE of one column written `as: number`: texts that are none."""
    if rule.get("as") == "number":
        fits = pc.or_(pc.equal(text, ""), pc.match_substring_regex(text, tree.NUMBER))
        refuse(faults, at, ~fits.to_numpy(False), "UNENCODABLE", name, rule, text, detail)


def coded(rule: Mapping[str, Any], text: pa.Array) -> pa.Array:
    """The ERP's own code for each text, where the rule has a list of them."""
    if "codes" not in rule:
        return text
    return by_distinct(text, lambda value: rule["codes"].get(value, value), pa.large_string())


def clean(profile: Profile, made: Columns) -> Columns:
    """Text that fits a file: no control characters, the profile's replacements, a mark where the encoding lacks one.

    A key (`overflow: error`) keeps its characters: what cannot be written there holds the report.
    """
    out = {}
    for name, rule in profile["columns"].items():
        text = pc.replace_substring_regex(made[name], CONTROLS, " ")
        if rule.get("overflow") == "truncate":
            for old, new in profile.get("replace", {}).items():
                text = pc.replace_substring(text, old, new)
            if "unencodable" in profile:
                text = replaced(text, profile["encoding"], profile["unencodable"])
        out[name] = text
    return out


def size(profile: Profile, rule: Mapping[str, str], text: pa.Array) -> pa.Array:
    """The length of each text in the rule's unit: characters, or bytes in the profile's encoding."""
    if rule.get("unit") != "bytes":
        return pc.utf8_length(text)
    return by_distinct(text, lambda value: len(value.encode(profile["encoding"], "replace")), pa.int64())


def cut(profile: Profile, rule: Mapping[str, str], text: pa.Array) -> pa.Array:
    """Text that may be cut, cut to its column: between characters, also where the limit is one of bytes."""
    if rule.get("overflow") != "truncate":
        return text
    most = int(rule["max"])
    if rule.get("unit") != "bytes":
        return pc.utf8_slice_codeunits(text, 0, most)
    encoding = profile["encoding"]
    return by_distinct(text, lambda v: v.encode(encoding)[:most].decode(encoding, "ignore"), pa.large_string())


def by_distinct(text: pa.Array, function: Callable[[str], Any], kind: pa.DataType) -> pa.Array:
    """A function of each text, called once for each distinct one."""
    coded = text.dictionary_encode()
    return pa.array([function(value) for value in coded.dictionary.to_pylist()], kind).take(coded.indices)


def unencodable(text: pa.Array, encoding: str) -> Ints:
    """The rows whose text the encoding cannot write."""
    bad = by_distinct(text, lambda value: not encodes(value, encoding), pa.bool_())
    return np.flatnonzero(bad.to_numpy(zero_copy_only=False))


def encodes(text: str, encoding: str) -> bool:
    """Whether an encoding can write a text."""
    try:
        text.encode(encoding)
    except UnicodeEncodeError:
        return False
    return True


def replaced(text: pa.Array, encoding: str, mark: str) -> pa.Array:
    """Text with a mark in place of each character that the encoding lacks."""

    def fit(value: str) -> str:
        return value if encodes(value, encoding) else "".join(c if encodes(c, encoding) else mark for c in value)

    return by_distinct(text, fit, pa.large_string())


def shown(field: str, values: list[str]) -> list[str]:
    """Values as a reject shows them: the text of a journal masked (B111)."""
    return [masking.masked(value) for value in values] if field in masking.JOURNAL_TEXT else values
