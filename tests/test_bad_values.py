"""Bad values: each quarantines its report with a code, the source's column and line; the good reports go on.

Names follow the bad-input catalogue.
"""

from __future__ import annotations

from typing import Any

import pandas as pd
import pytest

from etl import clean, formats, model
from etl.errors import CATALOGUE, ConfigurationError

COLUMNS = [
    "Company",
    "Report",
    "Employee",
    "Approved",
    "Date",
    "Text",
    "Cost Center",
    "Currency",
    "Amount",
    "Tax",
    "Rate",
]
SOURCE: dict[str, Any] = {
    "source": "values",
    "source_system": "TEST",
    "format": {
        "encoding": "utf-8",
        "delimiter": "|",
        "dates": "%Y-%m-%d",
        "times": "%Y-%m-%dT%H:%M:%SZ",
        "layouts": [COLUMNS],
    },
    "fields": {
        "company": {"column": "Company", "required": "yes"},
        "report_id": {"column": "Report", "required": "yes"},
        "employee_id": {"column": "Employee", "required": "yes"},
        "approved_at": {"column": "Approved"},
        "transaction_date": {"column": "Date"},
        "description": {"column": "Text", "max": "20"},
        "cost_center": {"column": "Cost Center"},
        "document_currency": {"column": "Currency", "required": "yes", "aliases": {"RMB": "CNY"}},
        "gross_minor": {"column": "Amount", "required": "yes"},
        "tax_minor": {"column": "Tax"},
        "rate": {"column": "Rate"},
    },
}
GOOD = {
    "Company": "CN01", "Report": "R1", "Employee": "E1", "Approved": "2026-03-31T16:30:00Z", "Date": "2026-03-05",
    "Text": "Taxi", "Cost Center": "CC100", "Currency": "CNY", "Amount": "12.50", "Tax": "0.50", "Rate": "",
}  # fmt: skip


def source(format: dict[str, Any] | None = None, **fields: dict[str, Any]) -> dict[str, Any]:
    """The source above with other format settings, or other options of some fields."""
    merged = {name: {**SOURCE["fields"].get(name, {}), **options} for name, options in fields.items()}
    return {**SOURCE, "format": {**SOURCE["format"], **(format or {})}, "fields": {**SOURCE["fields"], **merged}}


def cleaned(*lines: dict[str, str], by: dict[str, Any] = SOURCE) -> clean.Cleaned:
    """Lines of a file, each given by how it differs from the good one, then a good line of report GOOD."""
    cells = [{**GOOD, **line} for line in [*lines, {"Report": "GOOD"}]]
    text = "\n".join(["|".join(COLUMNS), *("|".join(cell[c] for c in COLUMNS) for cell in cells)]) + "\n"
    result = clean.clean(formats.read_delimited(text.encode(), "values.csv", by["format"]), by)
    assert len(result.lines) == len(cells), "nothing is lost"
    assert "GOOD" not in set(result.rejects["report_id"]), "the good report goes on"
    assert [2 + n for n in range(len(cells))] == result.lines["source_row"].tolist()
    return result


def rejected(*lines: dict[str, str], by: dict[str, Any] = SOURCE) -> list[tuple[str, str, int]]:
    """Code, column and line of the file of every reject."""
    rejects = cleaned(*lines, by=by).rejects
    assert model.REJECT_COLUMNS == list(rejects.columns)
    for reject in rejects.to_dict("records"):
        entry = CATALOGUE[reject["code"]]
        assert (entry.outcome, entry.owner, entry.next_step) == (
            reject["outcome"],
            reject["owner"],
            reject["next_step"],
        )
        assert "?" not in reject["reason"].replace(repr(reject["value"]), ""), "every fact of the reason is given"
    return list(rejects[["code", "field", "source_row"]].itertuples(index=False, name=None))


def first(line: dict[str, str], field: str, by: dict[str, Any] = SOURCE) -> Any:
    """A field of the first line, which must have no reject."""
    result = cleaned(line, by=by)
    assert [] == result.rejects["reason"].tolist()
    return result.lines[field][0]


# --- numbers and money


@pytest.mark.parametrize("amount", ["１２３", "１２３．４５"])
def test_b71_full_width_digits_are_refused(amount: str) -> None:
    assert [("MONEY", "Amount", 2)] == rejected({"Amount": amount})


@pytest.mark.parametrize(("amount", "minor"), [("１２３", 12300), ("１２３．４５", 12345)])
def test_b71_full_width_digits_are_counted_as_normalised_where_the_mapping_says_so(amount: str, minor: int) -> None:
    result = cleaned({"Amount": amount}, by=source(gross_minor={"nfkc": "yes"}))

    assert (minor, {"unicode_form": 1}) == (result.lines["gross_minor"][0], result.normalised)


@pytest.mark.parametrize("amount", ["¥100", "￥100", "100元", "CNY 100"])
def test_b72_an_amount_with_a_currency_sign_is_refused(amount: str) -> None:
    assert [("MONEY", "Amount", 2)] == rejected({"Amount": amount})


@pytest.mark.parametrize("amount", ["1,234.50", "1.234,50", "12,50", "1\u00a0234,50", "1 234.50", "1,234"])
def test_b73_another_notation_is_refused(amount: str) -> None:
    assert [("MONEY", "Amount", 2)] == rejected({"Amount": amount})


@pytest.mark.parametrize(
    ("decimal", "thousands", "amount", "minor"),
    [
        (".", ",", "1,234,567.50", 123456750), (".", ",", "1234.50", 123450), (",", ".", "-1.234,50", -123450),
        (",", "", "12,5", 1250), (",", " ", "1\u00a0234,50", 123450), (",", " ", "1\u202f234,50", 123450),
        (".", "'", "1'234.50", 123450),
    ],
)  # fmt: skip
def test_b73_the_declared_notation_is_read(decimal: str, thousands: str, amount: str, minor: int) -> None:
    by = source({"decimal": decimal, "thousands": thousands}, tax_minor={"value": "0"}, rate={"value": ""})
    del by["fields"]["tax_minor"]["column"], by["fields"]["rate"]["column"]
    raw = formats.read_delimited(
        f"{'|'.join(COLUMNS)}\nCN01|R1|E1|||||CNY|{amount}||\n".encode(), "v.csv", by["format"]
    )

    assert minor == clean.clean(raw, by).lines["gross_minor"][0]


@pytest.mark.parametrize(
    ("decimal", "thousands", "amount"),
    [(".", ",", "1,23"), (".", ",", "12,34,567"), (".", ",", "1,234,5.00"), (",", ".", "1.50"), (",", "", "1.50"),
     (",", ".", "1,234.50"), (",", "", "1.234"), (",", ".", "1234,")],
)  # fmt: skip
def test_b73_what_the_declared_notation_leaves_in_doubt_is_refused(decimal: str, thousands: str, amount: str) -> None:
    by = source({"decimal": decimal, "thousands": thousands}, tax_minor={"value": "0"})
    del by["fields"]["tax_minor"]["column"]
    raw = formats.read_delimited(
        f"{'|'.join(COLUMNS)}\nCN01|R1|E1|||||CNY|{amount}||\n".encode(), "v.csv", by["format"]
    )
    result = clean.clean(raw, by)

    assert [("MONEY", amount)] == list(result.rejects[["code", "value"]].itertuples(index=False, name=None))
    assert [0] == result.lines["gross_minor"].tolist()


NO_AMOUNTS = {
    "B74 underscore": ["1_000", "1_000.00"],
    "B75 exponent": ["1e5", "1E+05", "1E5", "1.5e-1"],
    "B76 no number": ["NaN", "inf", "-inf", "sNaN", "Infinity", "-NaN"],
    "B78 another sign": ["(100.00)", "100-", "−100", "+5", "--5", "- 5"],
    "B79 other digits": ["٣", "𝟏𝟐", "१२", "１２"],
    "B80 leading zeros": ["00012.50", "01", "00", "-01.00"],
    "words and halves": [".5", "5.", "0x10", "1/2", "TRUE", "null", "1.2.3"],
}
LOOKS = [pytest.param(amount, id=f"{case}: {amount}") for case, amounts in NO_AMOUNTS.items() for amount in amounts]


@pytest.mark.parametrize("amount", LOOKS)
def test_what_only_looks_like_a_number_is_refused(amount: str) -> None:
    assert [("MONEY", "Amount", 2)] == rejected({"Amount": amount})
    assert [("MONEY", "Tax", 2)] == rejected({"Tax": amount})


@pytest.mark.parametrize("zero", ["-0", "-0.00"])
def test_b77_minus_zero_is_zero_and_counted(zero: str) -> None:
    result = cleaned({"Amount": zero})

    assert (0, {"zero_sign": 1}, 0) == (result.lines["gross_minor"][0], result.normalised, len(result.rejects))


@pytest.mark.parametrize("amount", [" 12.50", "12.50  ", "\u00a012.50\u00a0", "\u300012.50"])
def test_b80_spaces_around_an_amount_are_removed_and_counted(amount: str) -> None:
    result = cleaned({"Amount": amount})

    assert (1250, {"spaces": 1}, 0) == (result.lines["gross_minor"][0], result.normalised, len(result.rejects))


@pytest.mark.parametrize(
    ("currency", "amount"), [("CNY", "1.005"), ("CNY", "1.000"), ("JPY", "100.50"), ("JPY", "100.0"), ("KWD", "1.2345")]
)
def test_b81_b82_more_decimals_than_the_currency_has_are_refused(currency: str, amount: str) -> None:
    assert [("PRECISION", "Amount", 2)] == rejected({"Currency": currency, "Amount": amount, "Tax": ""})


@pytest.mark.parametrize(
    ("currency", "amount", "minor"), [("KWD", "1.234", 1234), ("JPY", "100", 100), ("CLF", "1", 10000)]
)
def test_b82_each_currency_has_its_own_decimals(currency: str, amount: str, minor: int) -> None:
    assert minor == first({"Currency": currency, "Amount": amount, "Tax": ""}, "gross_minor")


@pytest.mark.parametrize("amount", ["10000000000000.01", "12345678901234567890123456789.01", "-99999999999999.99"])
def test_b83_an_amount_beyond_the_limit_is_refused(amount: str) -> None:
    assert [("RANGE", "Amount", 2)] == rejected({"Amount": amount})


def test_b83_the_largest_amount_is_read() -> None:
    assert 10**15 == first({"Amount": "10000000000000.00"}, "gross_minor")


def test_b85_a_refund_is_an_amount_below_zero() -> None:
    assert -1250 == first({"Amount": "-12.50", "Tax": "-0.50"}, "gross_minor")


@pytest.mark.parametrize("currency", ["cny", "DEM", "XXX", "C NY", "￥", "СNY"])
def test_b88_an_unknown_currency_is_refused_and_its_amount_counts_as_nothing(currency: str) -> None:
    result = cleaned({"Currency": currency})

    assert [("CURRENCY", "Currency", currency)] == list(
        result.rejects[["code", "field", "value"]].itertuples(index=False, name=None)
    )
    assert ("", 0, 0) == tuple(result.lines[["document_currency", "gross_minor", "tax_minor"]].iloc[0])


def test_b88_a_missing_currency_is_refused() -> None:
    assert [("MISSING", "Currency", 2)] == rejected({"Currency": ""})


def test_b88_a_declared_alias_is_taken_and_counted() -> None:
    result = cleaned({"Currency": "RMB"}, {"Currency": " RMB"})

    assert ["CNY"] * 3 == result.lines["document_currency"].tolist()
    assert {"alias": 2, "spaces": 1} == result.normalised


def test_b88_the_amount_of_an_unknown_currency_is_still_judged_by_its_grammar() -> None:
    assert [("MONEY", "Amount", 2), ("CURRENCY", "Currency", 2)] == rejected({"Currency": "DEM", "Amount": "1,5"})
    assert [("CURRENCY", "Currency", 2)] == rejected({"Currency": "DEM", "Amount": "1.23456789", "Tax": ""})


def test_b89_each_line_of_a_report_is_read_in_its_own_currency() -> None:
    result = cleaned(
        {"Currency": "JPY", "Amount": "100", "Tax": "1"}, {"Currency": "KWD", "Amount": "0.100", "Tax": ""}
    )

    assert [100, 100, 1250] == result.lines["gross_minor"].tolist()


@pytest.mark.parametrize("rate", ["0", "0.000", "-7", "7,1", "1e2", "NaN", "7.1234567890123", "1/7"])
def test_b90_a_rate_that_is_none_is_refused(rate: str) -> None:
    assert [("RATE_VALUE", "Rate", 2)] == rejected({"Rate": rate})


def test_b90_a_rate_stays_the_decimal_that_was_written() -> None:
    assert "7.12340" == first({"Rate": " 7.12340"}, "rate")


# --- dates


@pytest.mark.parametrize("date", ["2026-02-30", "0000-00-00", "0000-01-01", "2026-13-01", "2026-00-10", "2025-02-29"])
def test_b91_a_date_that_does_not_exist_is_refused(date: str) -> None:
    assert [("DATE", "Date", 2)] == rejected({"Date": date})


@pytest.mark.parametrize("date", ["2024-02-29", "2026-01-31", "2026-02-28", "0219-03-15", "9999-12-31", "1900-01-01"])
def test_b91_b98_a_date_that_exists_is_a_date_however_unlikely(date: str) -> None:
    assert date == first({"Date": date}, "transaction_date")


@pytest.mark.parametrize(
    "date",
    ["05/03/2026", "2026-3-5", "2026/3/5", "2026年3月5日", "２０２６-03-05", "20260305", "2026-03-05T00:00:00Z",
     "March 5", "45992", "2026-03-05x"],
)  # fmt: skip
def test_b92_b93_a_date_written_otherwise_is_refused(date: str) -> None:
    assert [("DATE", "Date", 2)] == rejected({"Date": date})


@pytest.mark.parametrize(
    ("declared", "written"),
    [
        ("%d/%m/%Y", "05/03/2026"),
        ("%Y/%-m/%-d", "2026/3/5"),
        ("%Y年%-m月%-d日", "2026年3月5日"),
        ("%Y%m%d", "20260305"),
    ],
)
def test_b92_b93_a_declared_way_of_writing_dates_is_read(declared: str, written: str) -> None:
    by = source({"dates": ["%Y-%m-%d", declared]})
    result = cleaned({"Date": written}, {"Date": "31-12-2026"}, by=by)

    assert ["2026-03-05", "", "2026-03-05"] == result.lines["transaction_date"].tolist()
    assert [f"Date '31-12-2026' is not a date written %Y-%m-%d or {declared}."] == result.rejects["reason"].tolist()


ZONE = {"times": "%Y-%m-%d %H:%M", "time_zone": "Europe/London"}


@pytest.mark.parametrize(
    ("local", "problem"),
    [("2026-03-29 01:30", "the clocks in Europe/London skip it"),
     ("2026-10-25 01:30", "it stands twice on the clocks in Europe/London")],
)  # fmt: skip
def test_b94_a_local_time_that_the_clocks_skip_or_repeat_is_refused(local: str, problem: str) -> None:
    rejects = cleaned({"Approved": local}, by=_in_london()).rejects
    declared = "%Y-%m-%d %H:%M or %Y-%m-%dT%H:%M:%SZ"

    assert [f"Approved {local!r} is not a date written {declared} ({problem})."] == rejects["reason"].tolist()


def _in_london(**format: str) -> dict[str, Any]:
    """The good line's own time is written in UTC, so that is declared too."""
    return source({**ZONE, "times": ["%Y-%m-%d %H:%M", "%Y-%m-%dT%H:%M:%SZ"], **format})


@pytest.mark.parametrize(("rule", "utc"), [("first", "2026-10-25T00:30:00Z"), ("second", "2026-10-25T01:30:00Z")])
def test_b94_the_repeated_hour_is_read_as_declared(rule: str, utc: str) -> None:
    assert utc == first({"Approved": "2026-10-25 01:30"}, "approved_at", by=_in_london(repeated_hour=rule))


@pytest.mark.parametrize(
    ("declared", "written", "utc"),
    [
        ("%Y-%m-%dT%H:%M:%S%z", "2026-04-01T00:30:00+08:00", "2026-03-31T16:30:00Z"),
        ("%Y-%m-%dT%H:%M%z", "2026-03-31T11:30-0500", "2026-03-31T16:30:00Z"),
        ("%Y-%m-%dT%H:%M:%S%z", "2026-03-31T16:30:00Z", "2026-03-31T16:30:00Z"),
        ("%d.%m.%Y %H:%M", "31.07.2026 17:30", "2026-07-31T16:30:00Z"),
    ],
)
def test_b95_times_become_utc(declared: str, written: str, utc: str) -> None:
    by = source({**ZONE, "times": [declared, "%Y-%m-%dT%H:%M:%SZ"]})

    assert utc == first({"Approved": written}, "approved_at", by=by)


def test_b95_a_time_beyond_the_calendar_is_refused() -> None:
    by = source({"times": ["%Y-%m-%dT%H:%M:%S%z"]})

    assert [("DATE", "Approved", 2)] == rejected({"Approved": "9999-12-31T23:30:00-05:00"}, by=by)


@pytest.mark.parametrize(
    "time",
    ["2026-03-31T24:00:00Z", "2026-03-31T16:60:00Z", "2026-03-31T16:30:61Z", "2026-02-30T16:30:00Z", "2026-03-31",
     "2026-03-31T16:30:00", "2026-03-31T16:30:00+08:00", "2026-03-31 16:30:00Z"],
)  # fmt: skip
def test_b95_a_time_written_otherwise_is_refused(time: str) -> None:
    assert [("DATE", "Approved", 2)] == rejected({"Approved": time})


# --- text and identity


def test_b99_names_in_two_unicode_forms_become_one() -> None:
    by = source(employee_id={"pattern": r"[\pL0-9 ]+"})
    result = cleaned({"Employee": "Bérubé"}, {"Employee": "Be\u0301rube\u0301"}, by=by)

    assert ["Bérubé", "Bérubé", "E1"] == result.lines["employee_id"].tolist()
    assert {"unicode_form": 1} == result.normalised


def test_b99_a_full_width_code_is_refused_or_folded_as_the_mapping_says() -> None:
    assert [("CODE", "Cost Center", 2)] == rejected({"Cost Center": "ＣＣ１００"})
    assert "CC100" == first({"Cost Center": "ＣＣ１００"}, "cost_center", by=source(cost_center={"nfkc": "yes"}))


def test_b100_a_look_alike_letter_is_refused_and_named() -> None:
    rejects = cleaned({"Cost Center": "СС100"}).rejects

    assert ["Cost Center 'СС100' is not a plain code ('С' is CYRILLIC CAPITAL LETTER ES)."] == rejects[
        "reason"
    ].tolist()


def test_b100_a_report_named_with_a_look_alike_letter_is_quarantined_under_its_line() -> None:
    result = cleaned({"Report": "Я1"})

    assert [("CODE", "Report", 2), ("UNIDENTIFIED", "Report", 2)] == rejected({"Report": "Я1"})
    assert ("@row2", 1250) == tuple(result.lines[["report_id", "gross_minor"]].iloc[0])


@pytest.mark.parametrize("hidden", ["\u202e", "\u200b", "\u2066", "\ufeff", "\u200d"])
def test_b101_invisible_characters_are_removed_from_text_and_counted(hidden: str) -> None:
    result = cleaned({"Text": f"Ta{hidden}xi"})

    assert ("Taxi", {"invisible": 1}, 0) == (result.lines["description"][0], result.normalised, len(result.rejects))


@pytest.mark.parametrize("hidden", ["\u202e", "\u200b", "\u2066", "\ufeff", "\u200d", "\u00ad"])
def test_b101_invisible_characters_in_a_code_are_refused(hidden: str) -> None:
    assert [("CODE", "Cost Center", 2)] == rejected({"Cost Center": f"CC{hidden}100"})


@pytest.mark.parametrize("control", ["\x07", "\x1b", "\x7f", "\x85", "\x01"])
def test_b12_a_control_character_is_refused_in_text_and_codes(control: str) -> None:
    assert [("CONTROL_CHARACTER", "Text", 2)] == rejected({"Text": f"Ta{control}xi"})
    assert [("CONTROL_CHARACTER", "Cost Center", 2)] == rejected({"Cost Center": f"CC{control}100"})


def test_b12_a_control_character_is_removed_and_counted_where_the_mapping_says_so() -> None:
    result = cleaned({"Text": "Ta\x07xi"}, by=source(description={"control_characters": "remove"}))

    assert ("Taxi", {"control_characters": 1}) == (result.lines["description"][0], result.normalised)


def test_b10_a_character_that_is_no_text_is_refused() -> None:
    assert [("UNICODE", "Text", 2)] == rejected({"Text": "Taxi\uffff"})


def test_b102_spaces_around_a_code_are_removed_and_counted() -> None:
    result = cleaned({"Cost Center": "CC100 "}, {"Report": " R2"})

    assert (["R1", "R2", "GOOD"], {"spaces": 2}) == (result.lines["report_id"].tolist(), result.normalised)
    assert 0 == len(result.rejects)


def test_b102_the_same_id_in_another_company_is_another_report() -> None:
    assert [] == rejected({"Report": "R1 "}, {"Report": "R1", "Company": "US01"})


def test_b102_two_report_ids_that_differ_only_by_spaces_are_refused_both() -> None:
    assert [("CODE", "Report", 2), ("CODE", "Report", 3)] == rejected({"Report": "R1 "}, {"Report": "R1"})


@pytest.mark.parametrize("code", ["NA", "null", "None", "N/A", "nan", "NaN", "-"])
def test_b103_words_for_nothing_are_codes_like_any_other(code: str) -> None:
    assert code == first({"Cost Center": code}, "cost_center")
    assert code == first({"Text": code}, "description")


def test_b103_only_the_empty_text_is_missing() -> None:
    assert [("MISSING", "Employee", 2)] == rejected({"Employee": ""})
    assert [("MISSING", "Employee", 2)] == rejected({"Employee": "  "})


@pytest.mark.parametrize("code", ["00123", "1E5", "TRUE", "3-4", "0010", "6601.10"])
def test_b104_codes_are_kept_letter_by_letter(code: str) -> None:
    assert code == first({"Cost Center": code}, "cost_center")


def test_b105_text_beyond_its_length_is_refused_and_never_cut() -> None:
    long = "长" * 21
    result = cleaned({"Text": long})

    assert [("LENGTH", "Text is longer than 20 characters.")] == list(
        result.rejects[["code", "reason"]].itertuples(index=False, name=None)
    )
    assert long == result.lines["description"][0]
    assert "长" * 20 == first({"Text": "长" * 20}, "description")


def test_b105_a_code_without_declared_length_has_one_all_the_same() -> None:
    assert [("LENGTH", "Cost Center", 2)] == rejected({"Cost Center": "C" * 101})


AS_IT_IS = {
    "B106 emoji": ["🧾 4711"],
    "B107 formula": ["=cmd|' /C calc'!A0".replace("|", "!"), "+1", "-1+1", "@SUM(A1)", "＝1+1"],
    "B108 program": ["'; DROP TABLE x; --", "%s {0} {{7*7}}", "${jndi:ldap://x}"],
    "B109 markup": ["<script>x</script>", "javascript:alert(1)", "onerror=x"],
}


@pytest.mark.parametrize(
    "text", [pytest.param(text, id=f"{case}: {text}") for case, texts in AS_IT_IS.items() for text in texts]
)
def test_text_is_stored_as_it_is(text: str) -> None:
    assert text == first({"Text": text}, "description", by=source(description={"max": "30"}))


@pytest.mark.parametrize("code", ["=1+1", "+1", "@A", "'; DROP TABLE x; --", "${x}", "<b>", "{0}", "A B", "a,b"])
def test_b107_b108_what_a_formula_or_a_program_would_run_is_no_code(code: str) -> None:
    assert [("CODE", "Cost Center", 2)] == rejected({"Cost Center": code})


def test_b110_line_breaks_in_text_become_spaces_and_are_counted() -> None:
    format = {**SOURCE["format"], "line_breaks_in_fields": "yes"}
    text = f'{"|".join(COLUMNS)}\nCN01|R1|E1||||CC100|CNY|1.00||\nCN01|R2|E1|||"a\nERROR b"|CC1|CNY|1.00||\n'
    result = clean.clean(formats.read_delimited(text.encode(), "v.csv", format), SOURCE)

    assert (["", "a ERROR b"], {"line_breaks": 1}) == (result.lines["description"].tolist(), result.normalised)


def test_b110_a_line_break_in_a_code_is_refused() -> None:
    format = {**SOURCE["format"], "line_breaks_in_fields": "yes"}
    text = f'{"|".join(COLUMNS)}\nCN01|R2|E1||||"CC\n1"|CNY|1.00||\n'
    rejects = clean.clean(formats.read_delimited(text.encode(), "v.csv", format), SOURCE).rejects

    assert ["CONTROL_CHARACTER"] == rejects["code"].tolist()


# --- nothing is lost, everything is said


def test_all_faults_of_a_line_are_named_at_once() -> None:
    bad = {"Employee": "", "Date": "2026-02-30", "Cost Center": "СС1", "Amount": "1,5", "Tax": "(1)", "Text": "a\x07"}

    assert [
        ("MONEY", "Amount", 2), ("CODE", "Cost Center", 2), ("DATE", "Date", 2), ("MISSING", "Employee", 2),
        ("MONEY", "Tax", 2), ("CONTROL_CHARACTER", "Text", 2),
    ] == rejected(bad)  # fmt: skip


def test_a_line_that_names_no_report_is_kept_and_quarantined() -> None:
    result = cleaned({"Report": ""}, {"Company": "", "Report": "R9"})

    assert ["@row2", "@row3", "GOOD"] == result.lines["report_id"].tolist()
    assert [1250, 1250, 1250] == result.lines["gross_minor"].tolist()
    assert [("MISSING", "@row2"), ("UNIDENTIFIED", "@row2"), ("MISSING", "@row3"), ("UNIDENTIFIED", "@row3")] == list(
        result.rejects[["code", "report_id"]].itertuples(index=False, name=None)
    )


def test_a_blank_record_is_a_line_that_names_no_report() -> None:
    result = cleaned(dict.fromkeys(COLUMNS, ""), dict.fromkeys(COLUMNS, " "))

    assert ["@row2", "@row3", "GOOD"] == result.lines["report_id"].tolist()
    assert {"MISSING", "UNIDENTIFIED"} == set(result.rejects["code"])
    assert [0, 0, 1250] == result.lines["gross_minor"].tolist()


def test_what_a_reject_shows_of_a_value_is_bounded() -> None:
    shown = cleaned({"Cost Center": "C" * 5000}).rejects["value"][0]

    assert "C" * 100 + "…" == shown


def test_b131_a_missing_key_is_a_group_of_its_own_and_loses_no_row() -> None:
    lines = cleaned({"Cost Center": ""}, {"Cost Center": ""}).lines

    assert {"": 2, "CC100": 1} == lines.groupby("cost_center", dropna=False).size().to_dict()
    assert not lines.isna().any(axis=None)


@pytest.mark.parametrize(
    ("version", "code"), [("01", "INTEGER"), ("-1", "INTEGER"), ("1.0", "INTEGER"), ("x", "INTEGER")]
)
def test_a_version_that_is_no_whole_number_is_refused(version: str, code: str) -> None:
    by = source(report_version={"column": "Tax", "kind": "integer", "required": "yes"}, tax_minor={"column": "Rate"})
    frame = formats.read_delimited(
        f"{'|'.join(COLUMNS)}\nCN01|R1|E1||||CC1|CNY|1.00|{version}|\n".encode(), "v.csv", by["format"]
    )
    result = clean.clean(frame, by)

    assert [code, "UNIDENTIFIED"] == sorted(result.rejects["code"])
    assert ("@row2", "0") == tuple(result.lines[["report_id", "report_version"]].iloc[0])


def test_a_file_without_records_gives_no_lines_and_no_rejects() -> None:
    frame = pd.DataFrame(
        {c: pd.Series([], dtype="str") for c in COLUMNS} | {"source_row": pd.Series([], dtype="int64")}
    )
    result = clean.clean(frame, SOURCE)

    assert (0, 0, list(model.LINE_FIELDS)) == (len(result.lines), len(result.rejects), list(result.lines.columns))
    assert model.REJECT_COLUMNS == list(result.rejects.columns)


def test_b06_a_mapping_cannot_declare_latin1() -> None:
    with pytest.raises(ConfigurationError, match="latin-1 is not one of"):
        clean.clean(pd.DataFrame({"source_row": []}), source({"encoding": "latin-1"}))
