"""From raw rows to expense lines: the field map, wide rows, split lines, versions, and two real sets to the cent."""

from __future__ import annotations

import hashlib
import json
import re
from decimal import Decimal
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from etl import clean, config, formats, model, money
from etl.errors import ConfigurationError

PROJECT = Path(__file__).resolve().parents[1]
DATA = PROJECT.parent / "shared/data"
BIRMINGHAM, CANADA = DATA / "uk-birmingham-pcards", DATA / "ca-travel-claims"


def document(name: str) -> config.Document:
    path = PROJECT / "mappings/sources" / f"{name}.yml"
    return config.read_yaml(path.read_bytes(), path.name)


def mapping(fields: dict[str, Any], columns: list[str], **parts: Any) -> dict[str, Any]:
    """A source document of the given columns; company, report, currency and amount are there unless mapped."""
    base = {
        "company": {"value": "CN01"},
        "report_id": {"column": "Report", "required": "yes"},
        "document_currency": {"value": "CNY"},
        "gross_minor": {"column": "Amount", "required": "yes"},
    }
    format = {
        "encoding": "utf-8",
        "delimiter": ",",
        "dates": "%Y-%m-%d",
        "layouts": [columns],
        **parts.pop("format", {}),
    }
    return {"source": "test", "source_system": "TEST", "format": format, "fields": {**base, **fields}, **parts}


def cleaned(source: dict[str, Any], text: str, file: dict[str, str] | None = None) -> clean.Cleaned:
    return clean.clean(formats.read_delimited(text.encode(), "test.csv", source["format"]), source, file)


def shown(frame: pd.DataFrame, *columns: str) -> list[tuple[Any, ...]]:
    return list(frame[list(columns)].itertuples(index=False, name=None))


# --- the field map


def test_fields_come_from_columns_constants_the_file_name_and_templates() -> None:
    fields = {
        "report_id": {"template": "{employee_id}/{period}"},
        "employee_id": {"column": "Card", "required": "yes"},
        "approved_at": {"file": "period", "kind": "date", "as": "last_day_of_month"},
        "start_date": {"file": "period", "as": "first_day_of_month"},
        "gross_minor": {"columns": ["Billed", "Amount"], "required": "yes"},
        "payer": {"value": "CARD"},
    }
    source = mapping(fields, ["Card", "Amount"], format={"layouts": [["Card", "Amount"], ["Card", "Amount", "Billed"]]})
    old = cleaned(source, "Card,Amount\nC1,1.00\nC2,2.00\n", {"period": "2024-02"})
    new = cleaned(source, "Card,Amount,Billed\nC1,1.00,9.00\n", {"period": "2024-02"})

    columns = ("report_id", "approved_at", "start_date", "gross_minor", "payer")
    assert [
        ("C1/2024-02", "2024-02-29", "2024-02-01", 100, "CARD"),
        ("C2/2024-02", "2024-02-29", "2024-02-01", 200, "CARD"),
    ] == shown(old.lines, *columns)
    assert [900] == new.lines["gross_minor"].tolist()
    assert 0 == len(old.rejects) + len(new.rejects)


def test_a_column_the_layout_lacks_has_the_declared_text() -> None:
    fields = {"document_currency": {"column": "Currency", "absent": "GBP", "required": "yes"}}
    source = mapping(
        fields, ["Report", "Amount"], format={"layouts": [["Report", "Amount"], ["Report", "Amount", "Currency"]]}
    )

    assert ["GBP"] == cleaned(source, "Report,Amount\nR1,1.00\n").lines["document_currency"].tolist()
    assert ["MISSING"] == cleaned(source, "Report,Amount,Currency\nR1,1.00,\n").rejects["code"].tolist()


def test_a_template_with_a_missing_part_names_no_report() -> None:
    fields = {"report_id": {"template": "{employee_id}/x", "required": "yes"}, "employee_id": {"column": "Report"}}
    result = cleaned(mapping(fields, ["Report", "Amount"]), "Report,Amount\n,1.00\n")

    assert [("MISSING", "report_id"), ("UNIDENTIFIED", "report_id")] == shown(result.rejects, "code", "field")


def test_a_file_name_without_the_group_is_a_setup_error() -> None:
    source = mapping(
        {"approved_at": {"file": "period", "kind": "date", "as": "last_day_of_month"}}, ["Report", "Amount"]
    )
    with pytest.raises(ConfigurationError, match=r"fields.approved_at: the pattern .* has no group 'period'"):
        cleaned(source, "Report,Amount\nR1,1.00\n", {})


def test_a_template_over_a_group_the_file_name_lacks_is_a_setup_error() -> None:
    source = mapping(
        {"report_id": {"template": "{employee_id}/{period}"}, "employee_id": {"column": "Report"}}, ["Report", "Amount"]
    )
    with pytest.raises(ConfigurationError, match=r"fields.report_id: .* has no group 'period'"):
        cleaned(source, "Report,Amount\nR1,1.00\n", {})


def test_a_number_that_is_the_same_on_every_line_may_be_a_constant() -> None:
    source = mapping(
        {"line_no": {"value": "7"}, "description": {"template": "{report_id} line {line_no}"}}, ["Report", "Amount"]
    )

    assert [(7, "R1 line 7"), (7, "R2 line 7")] == shown(
        cleaned(source, "Report,Amount\nR1,1.00\nR2,1.00\n").lines, "line_no", "description"
    )


def test_a_file_name_with_a_month_that_does_not_exist_quarantines_its_reports() -> None:
    source = mapping(
        {"approved_at": {"file": "period", "kind": "date", "as": "last_day_of_month"}}, ["Report", "Amount"]
    )
    result = cleaned(source, "Report,Amount\nR1,1.00\nR2,1.00\n", {"period": "2024-13"})

    assert [("DATE", "R1"), ("DATE", "R2")] == shown(result.rejects, "code", "report_id")


NET = {"gross_minor": {"sum": ["Net", "Tax"], "required": "yes"}, "tax_minor": {"column": "Tax"}}


def test_an_amount_in_two_columns_is_their_sum() -> None:
    """Price and tax apart: 131.86 + 17.14 is 149.00; a refund is a sum of refunds; no tax is nothing to add."""
    result = cleaned(mapping(NET, ["Report", "Net", "Tax"]), "Report,Net,Tax\nR1,131.86,17.14\nR2,-1.00,-0.13\nR3,5,\n")

    assert [14900, -113, 500] == result.lines["gross_minor"].tolist()
    assert [1714, -13, 0] == result.lines["tax_minor"].tolist()
    assert [] == result.rejects["code"].tolist()


def test_a_part_that_is_no_amount_is_named_and_nothing_is_half_added() -> None:
    rows = ["R1,1.00,x", "R2,1.001,0.13", "R3,,", "R4,10000000000000.00,0.01", "R5,1.00,0.13"]
    result = cleaned(mapping(NET, ["Report", "Net", "Tax"]), "Report,Net,Tax\n" + "\n".join(rows) + "\n")

    assert [0, 0, 0, 0, 113] == result.lines["gross_minor"].tolist()
    assert [
        ("R1", "MONEY", "Tax", "x"), ("R2", "PRECISION", "Net", "1.001"), ("R3", "MISSING", "Net + Tax", ""),
        ("R4", "RANGE", "Net + Tax", "1000000000000001"),
    ] == sorted({*shown(result.rejects, "report_id", "code", "field", "value")})  # fmt: skip


def test_an_amount_in_two_columns_is_in_its_own_currency_and_may_be_empty() -> None:
    fields = {"document_currency": {"column": "Currency"}, "gross_minor": {"sum": ["Net", "Tax"]}}
    result = cleaned(
        mapping(fields, ["Report", "Currency", "Net", "Tax"]),
        "Report,Currency,Net,Tax\nR1,KWD,1.005,0.002\nR2,KWD, ,\n",
    )

    assert [1007, 0] == result.lines["gross_minor"].tolist()
    assert [] == result.rejects["code"].tolist()


def test_every_layout_must_have_all_columns_of_a_sum() -> None:
    source = mapping(NET, [], format={"layouts": [["Report", "Net", "Tax"], ["Report", "Net"]]})

    assert ["layout 2 has no column 'Tax', so nothing to add"] == [
        str(one.facts["detail"]) for one in clean.check(source) if one.facts["field"] == "fields.gross_minor.sum"
    ]


@pytest.mark.parametrize(
    ("written", "read"),
    [("13", "13"), ("13%", "13"), ("13.00 %", "13"), ("0", "0"), ("0.0", "0"), ("9.975%", "9.975"), ("100.0", "100"),
     ("", ""), ("免税", "0"), ("10", "10")],
)  # fmt: skip
def test_a_tax_rate_is_a_percentage_with_or_without_its_sign(written: str, read: str) -> None:
    fields = {"tax_rate_pct": {"column": "Rate", "aliases": {"免税": "0"}}}
    result = cleaned(mapping(fields, ["Report", "Amount", "Rate"]), f"Report,Amount,Rate\nR1,1.00,{written}\n")

    assert [read] == result.lines["tax_rate_pct"].tolist()
    assert [] == result.rejects["code"].tolist()


@pytest.mark.parametrize("written", ["-1", "101", "100.5", "13%%", "%", "13,0", "1.1234567", "x", "013"])
def test_a_tax_rate_that_is_none_is_refused(written: str) -> None:
    fields = {"tax_rate_pct": {"column": "Rate"}}
    result = cleaned(mapping(fields, ["Report", "Amount", "Rate"]), f'Report,Amount,Rate\nR1,1.00,"{written}"\n')

    assert [("TAX_RATE", "Rate", written)] == shown(result.rejects, "code", "field", "value")


def test_codes_in_lower_case_are_raised_and_counted_where_declared() -> None:
    result = cleaned(
        mapping({"account": {"column": "Account", "upper": "yes"}}, ["Report", "Amount", "Account"]),
        "Report,Amount,Account\nR1,1.00,k020\nR1,1.00,K020\n",
    )

    assert (["K020", "K020"], {"upper": 1}) == (result.lines["account"].tolist(), result.normalised)


def test_a_masked_card_number_needs_a_declared_pattern() -> None:
    text = "Report,Amount\n************1234,1.00\n"
    declared = mapping({"report_id": {"column": "Report", "pattern": r"\*{12}[0-9]{4}"}}, ["Report", "Amount"])

    assert 0 == len(cleaned(declared, text).rejects)
    assert ["CODE", "UNIDENTIFIED"] == cleaned(mapping({}, ["Report", "Amount"]), text).rejects["code"].tolist()


def test_an_amount_in_the_original_currency_is_a_memo_of_its_own() -> None:
    fields = {"original_currency": {"column": "Currency"}, "original_minor": {"column": "Original"}}
    text = "Report,Amount,Currency,Original\nR1,7.00,JPY,150\nR1,7.00,,\n"
    lines = cleaned(mapping(fields, ["Report", "Amount", "Currency", "Original"]), text).lines

    assert [(700, "JPY", 150), (700, "", 0)] == shown(lines, "gross_minor", "original_currency", "original_minor")


def test_lines_without_numbers_are_numbered_within_their_report_and_equal_lines_are_kept() -> None:
    result = cleaned(mapping({}, ["Report", "Amount"]), "Report,Amount\nR1,1.00\nR2,1.00\nR1,1.00\nR1,1.00\n")

    assert [("R1", 1), ("R2", 1), ("R1", 2), ("R1", 3)] == shown(result.lines, "report_id", "line_no")
    assert (0, 400) == (len(result.rejects), result.lines["gross_minor"].sum())


def test_lines_have_every_field_in_order_and_nothing_is_null() -> None:
    lines = cleaned(mapping({}, ["Report", "Amount"]), "Report,Amount\nR1,1.00\n").lines
    numbers = (model.MONEY, model.INTEGER)

    assert {n: "int64" if kind in numbers else "str" for n, kind in model.LINE_FIELDS.items()} == lines.dtypes.astype(
        str
    ).to_dict()
    assert not lines.isna().any(axis=None)


def test_bad_marks_the_lines_that_a_reject_names() -> None:
    result = cleaned(mapping({}, ["Report", "Amount"]), "Report,Amount\nR1,x\nR1,1.00\n")

    assert [True, False] == result.bad.tolist()


# --- wide rows

WIDE = mapping(
    {"report_total_minor": {"column": "Total"}},
    ["Report", "Air", "Hotel", "Meals", "Total"],
    unpivot={"columns": {"Air": "AIRFARE", "Hotel": "LODGING", "Meals": "MEALS"}},
)
del WIDE["fields"]["gross_minor"]


def test_a_wide_row_becomes_a_line_for_each_cost() -> None:
    result = cleaned(WIDE, "Report,Air,Hotel,Meals,Total\nR1,10.00,,5.5,15.50\nR2,0,0.00,-1.00,-1.00\n")

    assert [("R1", 1, "AIRFARE", 1000, 2), ("R1", 3, "MEALS", 550, 2), ("R2", 3, "MEALS", -100, 3)] == shown(
        result.lines, "report_id", "line_no", "expense_type", "gross_minor", "source_row"
    )
    assert 0 == len(result.rejects)


def test_a_wide_row_without_any_cost_keeps_a_line_of_nothing() -> None:
    lines = cleaned(WIDE, "Report,Air,Hotel,Meals,Total\nR1, ,0,-0.0,0\n").lines

    assert [("R1", 1, "AIRFARE", 0)] == shown(lines, "report_id", "line_no", "expense_type", "gross_minor")


def test_a_cost_that_is_no_amount_names_its_own_column_and_a_fault_of_the_row_is_said_once() -> None:
    rejects = cleaned(WIDE, "Report,Air,Hotel,Meals,Total\nR1,1.00,1e2,0x1,oops\n").rejects

    assert [(2, "Hotel", "1e2"), (3, "Meals", "0x1"), (1, "Total", "oops")] == sorted(
        shown(rejects, "line_no", "field", "value"), key=lambda r: r[1]
    )


# --- split lines

PARTS = ["Report", "Line", "Part", "Weight", "Amount", "Tax"]
SPLIT = mapping(
    {
        "line_no": {"column": "Line", "required": "yes"}, "allocation_no": {"column": "Part", "required": "yes"},
        "split_weight": {"column": "Weight"}, "tax_minor": {"column": "Tax"},
    },
    PARTS,
    split={"weight": "split_weight", "whole": "100", "amounts": ["gross_minor", "tax_minor"]},
)  # fmt: skip
PER_CENT = {**SPLIT, "split": {**SPLIT["split"], "decimals": "2"}}


def split(rows: str, source: dict[str, Any] = SPLIT) -> tuple[list[tuple[int, int]], list[tuple[str, str, str]]]:
    """The parts' gross and tax, and code, field and reason of the rejects."""
    result = cleaned(source, f"{','.join(PARTS)}\n{rows}\n")
    return shown(result.lines, "gross_minor", "tax_minor"), shown(result.rejects, "code", "field", "reason")


def test_parts_share_the_line_by_largest_remainder_and_add_up() -> None:
    thirds = "R1,1,1,34,100.00,0.05\nR1,1,2,33,100.00,0.05\nR1,1,3,33,100.00,0.05"

    assert ([(3400, 2), (3300, 2), (3300, 1)], []) == split(thirds)


def test_parts_of_a_refund_add_up_too() -> None:
    assert ([(-3, 0), (-2, 0)], []) == split("R1,1,1,50,-0.05,\nR1,1,2,50,-0.05,")


def test_parts_need_not_stand_together() -> None:
    assert ([(60, 0), (500, 0), (40, 0)], []) == split("R1,1,1,60,1.00,\nR2,1,1,100,5.00,\nR1,1,2,40,1.00,")


def test_a_line_of_one_part_needs_no_weight() -> None:
    assert ([(100, 10)], []) == split("R1,1,1,,1.00,0.10")


def test_b87_parts_that_do_not_give_the_whole_are_refused_and_nothing_is_lost() -> None:
    parts, rejects = split("R1,1,1,33,1.00,\nR1,1,2,33,1.00,\nR1,1,3,33,1.00,")

    assert [("SPLIT", "Weight", "The parts of line 1 give 99, not 100.")] == rejects
    assert 100 == sum(gross for gross, _ in parts)


def test_b87_percentages_with_decimals_give_the_whole_or_are_refused() -> None:
    assert ([(3334, 0), (3333, 0), (3333, 0)], []) == split(
        "R1,1,1,33.34,100.00,\nR1,1,2,33.33,100.00,\nR1,1,3,33.33,100.00,", PER_CENT
    )
    parts, rejects = split("R1,1,1,33.33,1.00,\nR1,1,2,33.33,1.00,\nR1,1,3,33.33,1.00,", PER_CENT)
    assert [("SPLIT", "Weight", "The parts of line 1 give 99.99, not 100.")] == rejects
    assert 100 == sum(gross for gross, _ in parts)


def test_b87_parts_that_repeat_another_amount_are_refused() -> None:
    parts, rejects = split("R1,1,1,50,1.00,\nR1,1,2,50,2.00,")

    assert [("SPLIT", "Amount", "The parts of line 1 give parts of different amounts.")] == rejects
    assert [(50, 0), (50, 0)] == parts


def test_an_amount_unreadable_on_one_part_is_nothing_on_all() -> None:
    parts, rejects = split("R1,1,1,50,1.00,0.10\nR1,1,2,50,1 00,0.10")

    assert ([(0, 5), (0, 5)], ["MONEY"]) == (parts, [code for code, *_ in rejects])


def test_parts_without_any_weight_leave_the_line_to_the_first() -> None:
    parts, rejects = split("R1,1,1,0,1.00,\nR1,1,2,0,1.00,")

    assert ([(100, 0), (0, 0)], ["SPLIT"]) == (parts, [code for code, *_ in rejects])


def test_b122_a_line_that_stands_twice_counts_once_and_is_no_split_fault() -> None:
    parts, rejects = split("R1,1,1,100,1.00,\nR1,1,1,100,1.00,")

    assert ([(50, 0), (50, 0)], []) == (parts, rejects)


@pytest.mark.parametrize("line", ["x", "1.0", "-1", "01", "9999999999"])
def test_a_line_number_that_is_none_is_refused_and_the_amount_kept(line: str) -> None:
    parts, rejects = split(f"R1,{line},1,50,1.00,\nR1,{line},2,50,1.00,")

    assert ([(100, 0), (100, 0)], ["INTEGER", "INTEGER"]) == (parts, [code for code, *_ in rejects])


@pytest.mark.parametrize("weight", ["-50", "x", "33.3"])
def test_a_weight_that_is_none_is_refused(weight: str) -> None:
    assert ["INTEGER"] == [code for code, *_ in split(f"R1,1,1,{weight},1.00,\nR1,1,2,50,1.00,")[1]]


def test_a_weight_finer_than_declared_is_refused_and_an_empty_one_is_none() -> None:
    assert ["PRECISION"] == [code for code, *_ in split("R1,1,1,33.335,1.00,\nR1,1,2,50,1.00,", PER_CENT)[1]]
    assert [(0, 0), (100, 0)] == split("R1,1,1, ,1.00,\nR1,1,2,100,1.00,")[0]


@given(
    st.lists(st.integers(-(10**9), 10**9), min_size=1, max_size=6),
    st.lists(st.integers(0, 100), min_size=1, max_size=5),
)
def test_whatever_the_weights_the_parts_of_every_line_add_up_to_it(totals: list[int], weights: list[int]) -> None:
    rows = [
        f"R{report},1,{part},{weight},{money.text_of(total, 'CNY')},"
        for report, total in enumerate(totals)
        for part, weight in enumerate(weights, 1)
    ]
    result = cleaned(SPLIT, "\n".join([",".join(PARTS), *rows]) + "\n")
    sums = result.lines.groupby("report_id", sort=False, dropna=False)["gross_minor"].sum().tolist()

    assert totals == sums


# --- versions and content

NUMBERED = mapping({"line_no": {"column": "Line"}}, ["Report", "Line", "Amount"])


def versions(rows: str, source: dict[str, Any] = NUMBERED) -> dict[str, str]:
    lines = cleaned(source, f"Report,Line,Amount\n{rows}\n").lines
    assert [h[:16] for h in clean.content_hashes(lines)] == lines["report_version"].tolist()
    return dict(shown(lines, "report_id", "report_version"))


def test_a_source_without_versions_gets_one_from_the_content() -> None:
    one = versions("R1,1,1.00\nR1,2,2.00\nR2,1,3.00")
    moved = versions("R2,1,3.00\nR1,2,2.0\nR1,1,1.00")
    changed = versions("R1,1,1.00\nR1,2,2.01\nR2,1,3.00")

    assert one == moved
    assert (True, True) == (one["R1"] != changed["R1"], one["R2"] == changed["R2"])
    assert all(re.fullmatch("[0-9a-f]{16}", version) for version in one.values())


def test_b118_other_content_under_the_same_version_has_another_hash() -> None:
    source = mapping(
        {"report_version": {"column": "Version", "kind": "integer", "required": "yes"}}, ["Report", "Version", "Amount"]
    )
    one, same, other = (
        clean.content_hashes(cleaned(source, f"Report,Version,Amount\nR1,{version},{amount}\n").lines)[0]
        for version, amount in (("1", "1.00"), ("2", "1.0"), ("1", "1.01"))
    )

    assert (True, False) == (one == same, one == other)


def test_a_field_that_came_later_changes_no_hash_where_it_is_empty() -> None:
    """What a store knows from before stays known: the hash over the fields of then, joined by hand."""
    fields = {"tax_rate_pct": {"column": "Rate"}}
    lines = cleaned(mapping(fields, ["Report", "Amount", "Rate"]), "Report,Amount,Rate\nR1,1.00,\nR2,1.00,13\n").lines
    left_out = ("source_row", "report_version", "tax_rate_pct")
    rows = [
        "\x1f".join(str(lines[name].iat[at]) for name in model.LINE_FIELDS if name not in left_out) for at in range(2)
    ]
    then = [hashlib.sha256(f"{row}\n".encode()).hexdigest() for row in rows]
    now = clean.content_hashes(lines).tolist()

    assert (True, False) == (then[0] == now[0], then[1] == now[1])


def test_content_does_not_depend_on_where_the_lines_stand_in_the_file() -> None:
    lines = cleaned(NUMBERED, "Report,Line,Amount\nR1,1,1.00\nR1,2,2.00\n").lines

    assert clean.content_hashes(lines).tolist() == clean.content_hashes(lines.assign(source_row=[70, 80])).tolist()
    assert [] == clean.content_hashes(lines.iloc[:0]).tolist()


# --- what a mapping cannot say


@pytest.mark.parametrize(
    ("change", "field", "detail"),
    [
        ({"fields": {"cost_center": {"column": "CC"}}}, "fields.cost_center", "no layout has a column 'CC'"),
        ({"fields": {"colour": {"value": "red"}}}, "fields.colour", "not a field of the expense line"),
        ({"fields": {"project": {"value": "x", "pattern": "["}}}, "fields.project", "pattern: "),
        ({"fields": {"submitted_at": {"column": "Report"}}}, "fields.submitted_at", "format.times says nothing"),
        ({"fields": {"tax_minor": {"column": "Amount", "kind": "text"}}}, "fields.tax_minor", "kind text does not fit"),
        ({"fields": {"original_minor": {"column": "Amount"}}}, "fields.original_minor", "map original_currency"),
        ({"fields": {"project": {"template": "{report_id}"}, "report_id": {"template": "{project}"}}}, "fields.project",
         "report_id is a template itself"),
        ({"fields": {"start_date": {"value": "2026-01", "as": "ides_of_march"}}}, "fields.start_date", "as: one of"),
        ({"format": {"dates": "%d/%m/%y"}, "fields": {"start_date": {"column": "Report"}}}, "fields.start_date",
         "%y is not one of"),
        ({"format": {"dates": "%Y-%m"}, "fields": {"start_date": {"column": "Report"}}}, "fields.start_date",
         "%d must stand in it once"),
        ({"format": {"times": "%Y-%m-%d %H:%M"}, "fields": {"updated_at": {"column": "Report"}}}, "fields.updated_at",
         "names no zone: add format.time_zone"),
        ({"format": {"times": "%Y-%m-%d %H:%M", "time_zone": "Mars"}, "fields": {"updated_at": {"column": "Report"}}},
         "fields.updated_at", "no zone is called 'Mars'"),
        ({"unpivot": {"columns": {"Amount": "X"}}}, "fields.gross_minor", "unpivot makes this field"),
        ({"unpivot": {"columns": {"Air": "X"}}}, "unpivot.columns.Air", "no layout has a column 'Air'"),
        ({"unpivot": {"columns": {"Amount": "X"}}, "split": SPLIT["split"]}, "split", "unpivoted or split, not both"),
        ({"split": SPLIT["split"]}, "split", "split_weight is not mapped"),
        ({"split": {**SPLIT["split"], "amounts": ["report_id"]}}, "split.amounts", "report_id is no amount"),
        ({"format": {"encoding": "latin-1"}}, "format.encoding", "latin-1 is not one of"),
    ],
)  # fmt: skip
def test_a_mapping_that_contradicts_itself_is_refused(change: dict[str, Any], field: str, detail: str) -> None:
    parts = {name: value for name, value in change.items() if name not in ("fields", "format")}
    source = mapping(change.get("fields", {}), ["Report", "Amount"], format=change.get("format", {}), **parts)
    found = [(problem.facts["field"], str(problem.facts["detail"])) for problem in clean.check(source)]

    assert [True] == [detail in said for name, said in found if name == field and detail in said]


@pytest.mark.parametrize("needed", ["company", "report_id", "document_currency", "gross_minor"])
def test_a_mapping_without_what_every_line_needs_is_refused(needed: str) -> None:
    source = mapping({}, ["Report", "Amount"])
    del source["fields"][needed]

    assert f"{needed} is missing" in str(clean.check(source)[0])


def test_a_problem_names_the_file_and_the_line_of_the_mapping() -> None:
    text = (
        (PROJECT / "mappings/sources/expense_csv.yml").read_text("utf-8").replace("column: Project", "column: Projekt")
    )
    problem = clean.check(config.read_yaml(text.encode(), "expense_csv.yml"))[0]
    line = 1 + text[: text.index("Projekt")].count("\n")

    assert f"expense_csv.yml line {line}: fields.project: no layout has a column 'Projekt'" in str(problem)


@pytest.mark.parametrize("path", sorted((PROJECT / "mappings/sources").glob("*.yml")), ids=lambda path: path.stem)
def test_the_sources_that_come_with_us_are_sound(path: Path) -> None:
    assert [] == clean.check(document(path.stem))


# --- real sets


def needs(folder: Path) -> pytest.MarkDecorator:
    return pytest.mark.skipif(not folder.is_dir(), reason=f"the real data set shared/data/{folder.name} is not here")


def birmingham(path: Path) -> clean.Cleaned:
    source = document("uk_birmingham_pcards")
    raw = formats.read_delimited(path.read_bytes(), path.name, source["format"])
    return clean.clean(raw, source, {"period": path.stem.removeprefix("purchase_cards_")})


@needs(BIRMINGHAM)
def test_birmingham_reads_every_row_and_the_exact_sum_of_each_file() -> None:
    controls = json.loads((BIRMINGHAM / "control_totals.json").read_text("utf-8"))
    rows, total = 0, Decimal()
    for path in sorted((BIRMINGHAM / "csv").glob("*.csv")):
        result, facts = birmingham(path), controls[path.name]
        gross = Decimal(int(result.lines["gross_minor"].sum())).scaleb(-2)
        missing = result.rejects[result.rejects["code"] == "MISSING"]["field"].value_counts()
        blank = facts["rows_without_date"]

        assert (facts["rows"], Decimal(facts["billing_sum"])) == (len(result.lines), gross)
        assert facts["negative_rows"] == (result.lines["gross_minor"] < 0).sum()
        assert facts["cards"] == result.lines["employee_id"].nunique()
        assert facts["rows_without_account_code"] == missing.get("TRANS CAC CODE 1", 0)
        assert facts["rows_without_cost_centre"] == missing.get("TRANS CAC CODE 2", 0)
        assert blank == (result.rejects["code"] == "UNIDENTIFIED").sum()
        assert {"MISSING", "UNIDENTIFIED"} >= set(result.rejects["code"])
        rows, total = rows + len(result.lines), total + gross

    assert (46_575, Decimal("9995909.06")) == (rows, total)


@needs(BIRMINGHAM)
def test_birmingham_reads_the_vat_of_the_month_that_states_it() -> None:
    controls = json.loads((BIRMINGHAM / "control_totals.json").read_text("utf-8"))
    name = "purchase_cards_2017-09.csv"

    assert Decimal(controls[name]["tax_sum"]) == Decimal(
        int(birmingham(BIRMINGHAM / "csv" / name).lines["tax_minor"].sum())
    ).scaleb(-2)


@needs(BIRMINGHAM)
def test_birmingham_delivered_one_month_twice_under_two_names() -> None:
    source = document("uk_birmingham_pcards")
    frames = {
        path.stem[-7:]: formats.read_delimited(path.read_bytes(), path.name, source["format"]).frame
        for path in sorted((BIRMINGHAM / "csv").glob("*.csv"))
    }
    prints: dict[str, list[str]] = {}
    for month, frame in frames.items():
        prints.setdefault(formats.fingerprint(frame), []).append(month)

    assert [["2014-05", "2014-06"]] == [months for months in prints.values() if len(months) > 1]
    assert formats.same_content(frames["2014-05"], frames["2014-06"])


@needs(CANADA)
def test_canada_reads_every_claim_as_its_costs_to_the_cent() -> None:
    controls = json.loads((CANADA / "control_totals.json").read_text("utf-8"))
    source = document("ca_travel_claims")
    raw = formats.read_delimited((CANADA / "travelq.csv").read_bytes(), "travelq.csv", source["format"])
    result = clean.clean(raw, source)
    sums = result.lines.groupby("expense_type", dropna=False)["gross_minor"].sum()
    claims = result.lines.drop_duplicates(model.REPORT_KEY)

    assert (1_999, 2_362) == (len(raw.frame), raw.lines)
    assert (6_420, controls["claims"], 0) == (len(result.lines), len(claims), len(result.rejects))
    assert {k.upper(): Decimal(v) for k, v in controls["sum_by_component"].items()} == {
        k: Decimal(int(v)).scaleb(-2) for k, v in sums.items()
    }
    assert Decimal("3653965.53") == Decimal(int(sums.sum())).scaleb(-2)
    assert Decimal(controls["sum_total"]) == Decimal(int(claims["report_total_minor"].sum())).scaleb(-2)


def test_the_schema_of_source_documents_takes_the_sources_and_refuses_what_is_not_in_it() -> None:
    schema = json.loads((PROJECT / "etl/schema.json").read_text("utf-8"))
    validator = Draft202012Validator({"$ref": "#/$defs/source", "$defs": schema["$defs"]})
    expected: list[str] = []
    found = [
        e.message
        for p in sorted((PROJECT / "mappings/sources").glob("*.yml"))
        for e in validator.iter_errors(document(p.stem))
    ]

    assert expected == found
    for wrong in ({"colum": "x"}, {"column": "x", "value": "y"}, {}, {"value": "x", "absent": "y"}, {"file": "a b"}):
        assert not validator.is_valid({**document("expense_csv"), "fields": {"company": wrong}})
