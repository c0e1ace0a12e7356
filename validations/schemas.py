"""What each frame must be, as pandera schemas: columns and their order, types, shapes, and sums that must agree.

The rules find what is wrong with the world's data and say so in rejects. These schemas come after: they prove what
we made ourselves. A frame that fails is a defect of claimpost, so `prove` raises an AssertionError and nothing goes
on. Nothing is coerced, all failures are named at once, and every check works on whole columns or distinct texts.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

import numpy as np
import pandas as pd
import pandera.pandas as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from pandera.errors import SchemaErrors

from etl import model, money
from etl.model import REPORT_KEY
from validations.rules.batch import codes_of, pair

Ints = NDArray[np.int64]

FAILURES_SHOWN_MAX: Final = 10
_DATE: Final = r"[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])"
_TIME: Final = _DATE + r"T([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]Z"
_RATE: Final = r"(0|[1-9][0-9]{0,9})(\.[0-9]{1,12})?"
_PERCENT: Final = r"(0|[1-9][0-9]?|100)(\.[0-9]{1,6})?"
_CURRENCIES: Final = "|".join(sorted(money.EXPONENT))


class Disproved(AssertionError):
    """A frame that we made is not what it must be: a defect of claimpost, not of the data."""


def prove(frame: pd.DataFrame, schema: pa.DataFrameSchema) -> None:
    """Raise Disproved with all failures of a frame, or return when it is what the schema says."""
    try:
        schema.validate(frame, lazy=True)
    except SchemaErrors as error:
        raise Disproved(_failures(error, schema, len(frame))) from None


def _failures(error: SchemaErrors, schema: pa.DataFrameSchema, rows: int) -> str:
    """One line per failed check: column, check, how many rows, and the first row numbers (never the values)."""
    cases = error.failure_cases.astype({"column": "object", "check": "object"})
    cases["column"] = cases["column"].where(cases["schema_context"] == "Column", schema.name)
    lines = []
    for (column, check), part in cases.groupby(["column", "check"], dropna=False, sort=False):
        where = part["index"].dropna().unique().tolist()
        named = part["failure_case"].tolist() if not where and str(check).startswith("column_") else []
        detail = f": {', '.join(map(str, named))}" if named else ""
        shown = ", ".join(map(str, where[:FAILURES_SHOWN_MAX]))
        at = f" in {len(where)} of {rows} rows (row {shown}{', ...' if len(where) > FAILURES_SHOWN_MAX else ''})"
        lines.append(f"  {column}: {check}{detail}{at if where else ''}")
    return f"{schema.name} frame is not what it must be (a defect of claimpost):\n" + "\n".join(lines)


# --- checks on one column: True, or a mask of the good rows


def _is_text(column: pd.Series) -> bool:
    return bool(column.dtype == "str")


def _shape(pattern: str, empty: bool) -> Callable[[pd.Series], Any]:
    """Whether each text has a shape; looked at once per distinct text."""
    anchored = f"^({pattern}{'|' if empty else ''})$"

    def fits(column: pd.Series) -> Any:
        if column.dtype != "str":
            return True  # another check says so
        coded = pc.fill_null(model.utf8(column), "").dictionary_encode()
        good = pc.match_substring_regex(coded.dictionary, anchored).to_numpy(zero_copy_only=False)
        if good.all():
            return True
        return pd.Series(good[coded.indices.to_numpy(zero_copy_only=False)], index=column.index)

    return fits


def _between(low: int, high: int) -> Callable[[pd.Series], Any]:
    def fits(column: pd.Series) -> Any:
        if column.dtype != "int64" or not len(column):
            return True  # another check says so
        values = column.to_numpy()
        return True if values.min() >= low and values.max() <= high else (column >= low) & (column <= high)

    return fits


def _is_int64(column: pd.Series) -> bool:
    return bool(column.dtype == np.dtype("int64"))


# pandera's own type names also take object for str and the nullable Int64 for int64, so the types are checks of ours.
_IS_TEXT: Final = ("is text (dtype str)", _is_text)
_IS_INT64: Final = ("is int64", _is_int64)


def _column(*checks: tuple[str, Callable[[pd.Series], Any]]) -> pa.Column:
    made = [pa.Check(test, name=name, error=name) for name, test in checks]
    return pa.Column(None, checks=made, nullable=False, coerce=False)


def _filled(column: pd.Series) -> Any:
    return True if column.dtype != "str" else column != ""


def text(required: bool = False) -> pa.Column:
    """A text column; never empty when required."""
    return _column(_IS_TEXT, *([("is not empty", _filled)] if required else []))


def shaped(name: str, pattern: str, empty: bool = False) -> pa.Column:
    """A text column of one shape, or empty when allowed."""
    return _column(_IS_TEXT, (f"is {name}{' or empty' if empty else ''}", _shape(pattern, empty)))


def date(empty: bool = False) -> pa.Column:
    return shaped("an ISO date", _DATE, empty)


def time(empty: bool = True) -> pa.Column:
    return shaped("an ISO time in UTC", f"{_TIME}|{_DATE}", empty)  # a source may state only the day


def currency(empty: bool = False) -> pa.Column:
    return shaped("a currency of ISO 4217", _CURRENCIES, empty)


def amount() -> pa.Column:
    return _column(_IS_INT64, ("is within 10^15 minor units", _between(-money.LIMIT_MINOR, money.LIMIT_MINOR)))


def whole(low: int = 0) -> pa.Column:
    return _column(_IS_INT64, (f"is at least {low}", _between(low, int(np.iinfo(np.int64).max))))


# --- checks on whole frames


def _frame_check(name: str, test: Callable[[pd.DataFrame], Any], columns: Sequence[str]) -> pa.Check:
    """A check of columns of the right type without nulls; others are named by the columns' own checks."""

    def guarded(frame: pd.DataFrame) -> Any:
        sound = all(c in frame and frame[c].dtype in ("str", "int64") and not frame[c].hasnans for c in columns)
        return test(frame) if sound and len(frame) else True

    return pa.Check(guarded, name=name, error=name)


def _unique(columns: Sequence[str]) -> pa.Check:
    def alone(frame: pd.DataFrame) -> Any:
        number = np.zeros(len(frame), dtype=np.int64)
        for name in columns:
            values = frame[name].to_numpy() if frame[name].dtype == "int64" else codes_of(frame[name])
            number = pair(number, values)
        if number[-1] == len(frame) - 1:  # numbered by first appearance: the last row is a new one
            return True
        return pd.Series(np.bincount(number)[number] == 1, index=frame.index)

    return _frame_check(f"{', '.join(columns)} is unique", alone, columns)


def _one_side(prefix: str) -> pa.Check:
    """No line is both debit and credit."""
    debit, credit = f"{prefix}debit_minor", f"{prefix}credit_minor"

    def one(frame: pd.DataFrame) -> Any:
        return pd.Series((frame[debit] == 0) | (frame[credit] == 0), index=frame.index)

    return _frame_check(f"{prefix}debit or {prefix}credit is zero", one, [debit, credit])


def _same_side(frame: pd.DataFrame) -> Any:
    """A line has one amount; only a rounding line has none in the journal's currency, and one in the base currency."""
    document = (frame["debit_minor"] != 0).astype("int64") - (frame["credit_minor"] != 0).astype("int64")
    base = (frame["base_debit_minor"] != 0).astype("int64") - (frame["base_credit_minor"] != 0).astype("int64")
    return pd.Series(((document != 0) & ((base == document) | (base == 0))) | ((document == 0) & (base != 0)))


def _balanced(prefix: str) -> pa.Check:
    """Debits equal credits in every journal; the rows of a journal that does not balance are the failures."""
    debit, credit = f"{prefix}debit_minor", f"{prefix}credit_minor"

    def balanced(frame: pd.DataFrame) -> Any:
        journal, first = model.groups(frame, ["journal_key"])
        rest = frame[debit].to_numpy() - frame[credit].to_numpy()
        return pd.Series((model.sum_by(rest, journal, len(first)) == 0)[journal], index=frame.index)

    return _frame_check(f"{prefix}debits equal {prefix}credits per journal", balanced, ["journal_key", debit, credit])


def _schema(name: str, columns: dict[str, pa.Column], *checks: pa.Check) -> pa.DataFrameSchema:
    return pa.DataFrameSchema(columns, checks=list(checks), strict=True, ordered=True, coerce=False, name=name)


# --- the frames

_KINDS: Final[dict[str, Callable[[], pa.Column]]] = {
    model.CODE: text,
    model.TEXT: text,
    model.DATE: lambda: date(empty=True),
    model.TIME: time,
    model.MONEY: amount,
    model.INTEGER: whole,
    model.CURRENCY: lambda: currency(empty=True),
    model.RATE: lambda: shaped("a rate", _RATE, empty=True),
    model.PERCENT: lambda: shaped("a percentage", _PERCENT, empty=True),
}
_SIDES: Final = ("debit_minor", "credit_minor", "base_debit_minor", "base_credit_minor")
_KEY: Final = "[A-Z2-7]{16}"
_SHA256: Final = "[0-9a-f]{64}"


def raw(columns: Sequence[str]) -> pa.DataFrameSchema:
    """The frame of one file as it was read: its columns as text, then source_row, the physical line."""
    return _schema("raw", {**{c: text() for c in columns}, "source_row": whole(1)}, _unique(["source_row"]))


CLEAN: Final = _schema(
    "clean",
    {
        **{field: _KINDS[kind]() for field, kind in model.LINE_FIELDS.items()},
        **{field: text(required=True) for field in REPORT_KEY},
        "document_currency": currency(),
        "source_row": whole(1),
    },
    _unique([*REPORT_KEY, "line_no", "allocation_no"]),
)
JOURNAL: Final = _schema(
    "journal",
    {
        "journal_id": shaped("a sha256", _SHA256), "journal_key": shaped("a journal key", _KEY),
        **{c: text(required=True) for c in (*REPORT_KEY, "purpose")}, "employee_id": text(),
        "document_date": date(empty=True), "posting_date": date(), "original_date": date(),
        "period": shaped("a period (YYYY-MM)", "[0-9]{4}-(0[1-9]|1[0-2])"),
        "currency": currency(), "base_currency": currency(), "rate": shaped("a rate", _RATE), "rate_date": date(),
        "rate_source": text(),
        "description": text(), "lines": whole(), "debit_minor": amount(), "base_debit_minor": amount(),
        "rounding_minor": amount(), "belongs_to": shaped("a journal key", _KEY, empty=True),
        "content_hash": shaped("a sha256", _SHA256),
        "reversal_of": shaped("a journal key", _KEY, empty=True),
    },
    _unique(["journal_key"]),
)  # fmt: skip
JOURNAL_LINES: Final = _schema(
    "journal lines",
    {
        "journal_key": shaped("a journal key", _KEY), "line_no": whole(1), "purpose": text(required=True),
        "account": text(required=True),
        **{c: text() for c in ("party", "department", "cost_center", "project", "analysis", "tax_code", "text")},
        **{side: amount() for side in _SIDES},
    },
    _unique(["journal_key", "line_no"]), _one_side(""), _one_side("base_"),
    _frame_check("has an amount, on the same side in both currencies", _same_side, _SIDES),
    _balanced(""), _balanced("base_"),
)  # fmt: skip
ERP_LINES: Final = _schema(
    "ERP lines",
    {
        "journal_key": text(), "erp_document": text(required=True), "company": text(required=True),
        "posting_date": date(), "period": text(required=True), "currency": currency(),
        "account": text(required=True), "debit_minor": amount(), "credit_minor": amount(),
    },
    _one_side(""),
)  # fmt: skip
