"""What we made ourselves is proved, all failures at once; a frame that is not what it must be stops everything."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from etl import model, money
from validations import schemas

KEY = "ABCDEFGHIJKLMNOP"
LIMIT = money.LIMIT_MINOR


def frame(columns: list[str], *rows: dict[str, Any], numbers: tuple[str, ...] = (), **common: Any) -> pd.DataFrame:
    cells = [{**common, **row} for row in rows]
    made = pd.DataFrame({c: [row.get(c, 0 if c in numbers else "") for row in cells] for c in columns})
    return made.astype({c: "int64" if c in numbers else "str" for c in columns})


def clean(*rows: dict[str, Any]) -> pd.DataFrame:
    numbers = tuple(f for f, kind in model.LINE_FIELDS.items() if kind in (model.MONEY, model.INTEGER))
    numbered = [{"line_no": n, "source_row": n + 1, **row} for n, row in enumerate(rows, start=1)]
    return frame(
        list(model.LINE_FIELDS), *numbered, numbers=numbers, company="CN01", report_id="R1", report_version="1",
        document_currency="CNY", transaction_date="2026-03-31", approved_at="2026-03-31T16:30:00Z", gross_minor=100,
    )  # fmt: skip


def journal_lines(*rows: dict[str, Any]) -> pd.DataFrame:
    numbers = ("line_no", "debit_minor", "credit_minor", "base_debit_minor", "base_credit_minor")
    numbered = [{"line_no": n, **row} for n, row in enumerate(rows, start=1)]
    return frame(
        model.JOURNAL_LINE_COLUMNS, *numbered, numbers=numbers, journal_key=KEY, purpose="expense", account="660201"
    )


def debit(minor: int, base: int | None = None) -> dict[str, Any]:
    return {"debit_minor": minor, "base_debit_minor": minor if base is None else base}


def credit(minor: int, base: int | None = None) -> dict[str, Any]:
    return {"credit_minor": minor, "base_credit_minor": minor if base is None else base}


def journal(*rows: dict[str, Any]) -> pd.DataFrame:
    return frame(
        model.JOURNAL_COLUMNS, *rows, numbers=("lines", "debit_minor", "base_debit_minor", "rounding_minor"),
        journal_id="0" * 64,
        journal_key=KEY, company="CN01", report_id="R1", report_version="1", purpose="original",
        posting_date="2026-03-31", period="2026-03", currency="USD", base_currency="CNY", rate="7.1234",
        original_date="2026-03-31", rate_date="2026-03-31", rate_source="", rounding_minor=0, belongs_to="",
        lines=2, debit_minor=100, base_debit_minor=712, content_hash="f" * 64,
    )  # fmt: skip


def erp_lines(*rows: dict[str, Any]) -> pd.DataFrame:
    return frame(
        model.ERP_LINE_COLUMNS, *rows, numbers=("debit_minor", "credit_minor"), journal_key=KEY, erp_document="JV-1",
        company="CN01", posting_date="2026-03-31", period="2026-03", currency="CNY", account="0010",
    )  # fmt: skip


def faults(made: pd.DataFrame, schema: Any) -> list[str]:
    """The failures that `prove` names, one a line; none when the frame is proved."""
    try:
        schemas.prove(made, schema)
    except schemas.Disproved as disproved:
        first, *named = str(disproved).splitlines()
        assert first == f"{schema.name} frame is not what it must be (a defect of claimpost):"
        return [line.strip() for line in named]
    return []


# --- clean


def test_a_clean_frame_is_proved() -> None:
    assert (
        faults(clean({}, {"original_currency": "USD", "rate": "7.1234", "start_date": "2026-03-01"}), schemas.CLEAN)
        == []
    )
    assert faults(clean().astype({"gross_minor": "int64"}), schemas.CLEAN) == []


def test_every_failure_is_named_at_once() -> None:
    made = clean(
        {"gross_minor": LIMIT + 1}, {"transaction_date": "31.03.2026"}, {"company": ""}, {"document_currency": "RMB"}
    )

    assert faults(made, schemas.CLEAN) == [
        "company: is not empty in 1 of 4 rows (row 2)",
        "transaction_date: is an ISO date or empty in 1 of 4 rows (row 1)",
        "document_currency: is a currency of ISO 4217 in 1 of 4 rows (row 3)",
        "gross_minor: is within 10^15 minor units in 1 of 4 rows (row 0)",
    ]


def test_many_failing_rows_are_counted() -> None:
    found = faults(clean(*[{"approved_at": "yesterday"}] * 12), schemas.CLEAN)

    rows = "0, 1, 2, 3, 4, 5, 6, 7, 8, 9, ..."
    assert found == [f"approved_at: is an ISO time in UTC or empty in 12 of 12 rows (row {rows})"]


def test_a_failure_shows_no_value() -> None:
    """The text goes into logs: row numbers, never what an employee wrote."""
    assert "secret" not in " ".join(faults(clean({"start_date": "secret"}), schemas.CLEAN))


@pytest.mark.parametrize(
    ("field", "value", "expected"),
    [
        ("transaction_date", "2026-13-01", "is an ISO date or empty"),
        ("transaction_date", "2026-3-1", "is an ISO date or empty"),
        ("transaction_date", "2026-03-01\n", "is an ISO date or empty"),
        ("submitted_at", "2026-03-31T24:00:00Z", "is an ISO time in UTC or empty"),
        ("submitted_at", "2026-03-31T12:00:00+08:00", "is an ISO time in UTC or empty"),
        ("document_currency", "", "is a currency of ISO 4217"),
        ("document_currency", "cny", "is a currency of ISO 4217"),
        ("original_currency", "DEM", "is a currency of ISO 4217 or empty"),
        ("rate", "7,1", "is a rate or empty"),
        ("rate", "1e5", "is a rate or empty"),
        ("report_id", "", "is not empty"),
        ("report_version", "", "is not empty"),
        ("gross_minor", -LIMIT - 1, "is within 10^15 minor units"),
        ("tax_minor", LIMIT + 1, "is within 10^15 minor units"),
        ("line_no", -1, "is at least 0"),
        ("source_row", 0, "is at least 1"),
    ],
)
def test_a_cell_of_the_wrong_shape_is_found(field: str, value: Any, expected: str) -> None:
    assert faults(clean({}, {field: value}), schemas.CLEAN) == [f"{field}: {expected} in 1 of 2 rows (row 1)"]


def test_the_limits_themselves_are_money() -> None:
    assert faults(clean({"gross_minor": LIMIT}, {"gross_minor": -LIMIT}), schemas.CLEAN) == []


@pytest.mark.parametrize("kind", ["object", "string"])
def test_text_of_another_type_is_refused(kind: str) -> None:
    made = clean({}).astype({"company": kind, "transaction_date": kind})

    assert faults(made, schemas.CLEAN) == [
        "company: is text (dtype str)",
        "transaction_date: is text (dtype str)",
    ]


@pytest.mark.parametrize("kind", ["float64", "int32", "Int64", "object"])
def test_money_of_another_type_is_refused_never_coerced(kind: str) -> None:
    assert faults(clean({}).astype({"gross_minor": kind}), schemas.CLEAN) == ["gross_minor: is int64"]


def test_a_missing_text_is_refused() -> None:
    made = clean({}, {})
    made["report_id"] = made["report_id"].where([True, False])

    assert "report_id: not_nullable in 1 of 2 rows (row 1)" in faults(made, schemas.CLEAN)


def test_columns_are_these_in_this_order() -> None:
    made = clean({})

    assert faults(made.drop(columns="state"), schemas.CLEAN) == ["clean: column_in_dataframe: state"]
    assert faults(made.assign(extra="x"), schemas.CLEAN) == ["clean: column_in_schema: extra"]
    assert "clean: column_ordered: " in faults(made[[*made.columns[1:], made.columns[0]]], schemas.CLEAN)[0]


def test_a_part_of_a_line_stands_once() -> None:
    made = clean({"line_no": 1}, {"line_no": 2}, {"line_no": 1}, {"line_no": 1, "report_version": "2"})

    expected = "company, report_id, report_version, line_no, allocation_no is unique in 2 of 4 rows (row 0, 2)"
    assert faults(made, schemas.CLEAN) == [f"clean: {expected}"]


def test_disproved_is_a_failed_assertion() -> None:
    with pytest.raises(AssertionError, match="a defect of claimpost"):
        schemas.prove(clean({"company": ""}), schemas.CLEAN)


# --- raw


def test_a_raw_frame_is_text_and_the_line_it_came_from() -> None:
    made = pd.DataFrame({"Amount": model.texts(["NA", "0010"]), "Tax": model.texts(["", "x"]), "source_row": [2, 3]})

    assert faults(made, schemas.raw(["Amount", "Tax"])) == []
    assert faults(made, schemas.raw(["Amount"])) == ["raw: column_in_schema: Tax"]
    assert faults(made.assign(source_row=[2, 2]), schemas.raw(["Amount", "Tax"])) == [
        "raw: source_row is unique in 2 of 2 rows (row 0, 1)"
    ]


# --- journals


def test_a_balanced_journal_is_proved() -> None:
    assert faults(journal_lines(debit(100), debit(13), credit(113)), schemas.JOURNAL_LINES) == []
    assert faults(journal({}), schemas.JOURNAL) == []


def test_a_refund_and_a_red_letter_journal_balance_too() -> None:
    assert faults(journal_lines(credit(100), debit(100)), schemas.JOURNAL_LINES) == []
    assert faults(journal_lines(debit(-100), credit(-100)), schemas.JOURNAL_LINES) == []


def test_a_rounding_line_has_an_amount_in_the_base_currency_alone() -> None:
    made = journal_lines(debit(100, 713), credit(100, 712), credit(0, 1))

    assert faults(made, schemas.JOURNAL_LINES) == []


def test_an_amount_too_small_for_the_base_currency_is_still_a_line() -> None:
    assert faults(journal_lines(debit(1, 0), credit(1, 0)), schemas.JOURNAL_LINES) == []


def test_a_journal_that_does_not_balance_is_found_in_either_currency() -> None:
    other = {"journal_key": "QRSTUVWXYZ234567"}
    made = journal_lines(
        debit(100), credit(100), {**other, "line_no": 1, **debit(100, 700)}, {**other, "line_no": 2, **credit(99, 701)}
    )

    assert faults(made, schemas.JOURNAL_LINES) == [
        "journal lines: debits equal credits per journal in 2 of 4 rows (row 2, 3)",
        "journal lines: base_debits equal base_credits per journal in 2 of 4 rows (row 2, 3)",
    ]


def test_two_journals_do_not_balance_each_other() -> None:
    made = journal_lines(debit(5), {"journal_key": "QRSTUVWXYZ234567", **credit(5)})

    assert len(faults(made, schemas.JOURNAL_LINES)) == 2


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ({"debit_minor": 5, "credit_minor": 5}, "debit or credit is zero"),
        ({**debit(5), "base_credit_minor": 5, "base_debit_minor": 5}, "base_debit or base_credit is zero"),
        ({}, "has an amount, on the same side in both currencies"),
        (
            {"debit_minor": 5, "base_credit_minor": 5},
            "has an amount, on the same side in both currencies",
        ),
    ],
)
def test_a_journal_line_has_one_amount_on_one_side(line: dict[str, Any], expected: str) -> None:
    found = faults(journal_lines(debit(7), credit(7), line), schemas.JOURNAL_LINES)

    assert f"journal lines: {expected} in 1 of 3 rows (row 2)" in found


@pytest.mark.parametrize(
    ("field", "value", "expected"),
    [
        ("journal_id", "0" * 63, "is a sha256"),
        ("journal_key", "abcdefghijklmnop", "is a journal key"),
        ("posting_date", "", "is an ISO date"),
        ("period", "2026-13", "is a period (YYYY-MM)"),
        ("rate", "", "is a rate"),
        ("lines", -1, "is at least 0"),
        ("base_currency", "", "is a currency of ISO 4217"),
    ],
)
def test_a_journal_header_of_the_wrong_shape_is_found(field: str, value: Any, expected: str) -> None:
    assert faults(journal({field: value}), schemas.JOURNAL) == [f"{field}: {expected} in 1 of 1 rows (row 0)"]


def test_a_journal_key_stands_once() -> None:
    assert faults(journal({}, {}), schemas.JOURNAL) == ["journal: journal_key is unique in 2 of 2 rows (row 0, 1)"]


def test_what_the_erp_says_is_read_back_exactly() -> None:
    assert faults(erp_lines({"debit_minor": 5}, {"journal_key": "", "credit_minor": 5}), schemas.ERP_LINES) == []
    assert faults(erp_lines({"debit_minor": 5, "credit_minor": 5}, {"account": ""}), schemas.ERP_LINES) == [
        "ERP lines: debit or credit is zero in 1 of 2 rows (row 0)",
        "account: is not empty in 1 of 2 rows (row 1)",
    ]


@settings(deadline=None)
@given(st.lists(st.integers(-1000, 1000).filter(bool), min_size=1, max_size=6), st.integers(-1, 1))
def test_a_journal_is_proved_exactly_when_it_balances(amounts: list[int], off: int) -> None:
    """Any lines and their counter-line: one minor unit off, and the whole journal is named."""
    rest = sum(amounts) + off
    lines = [debit(a) if a > 0 else credit(-a) for a in amounts]
    if rest:
        lines.append(credit(rest) if rest > 0 else debit(-rest))
    found = faults(journal_lines(*lines), schemas.JOURNAL_LINES)

    assert len(found) == (2 if off else 0)


def test_the_order_of_lines_and_their_index_do_not_matter() -> None:
    made = journal_lines(debit(100), debit(13), credit(113)).iloc[[2, 0, 1]]

    assert faults(made, schemas.JOURNAL_LINES) == []


def test_schemas_and_the_model_name_the_same_columns() -> None:
    assert list(model.LINE_FIELDS) == list(schemas.CLEAN.columns)
    assert list(schemas.JOURNAL.columns) == model.JOURNAL_COLUMNS
    assert list(schemas.JOURNAL_LINES.columns) == model.JOURNAL_LINE_COLUMNS
    assert list(schemas.ERP_LINES.columns) == model.ERP_LINE_COLUMNS
    assert not any(column.coerce for schema in (schemas.CLEAN, schemas.JOURNAL) for column in schema.columns.values())


def test_a_large_valid_frame_is_proved() -> None:
    count = 50_000
    one = clean({})
    many = one.loc[one.index.repeat(count)].reset_index(drop=True)
    many["line_no"] = np.arange(count)

    assert faults(many, schemas.CLEAN) == []
