"""Look-up tables say one thing for every day, and conditions mean what a finance reader takes them to mean."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from etl import config, lookup, model
from etl.errors import ConfigurationError


def table(folder: Path, text: str, key: list[str], values: list[str]) -> lookup.Table:
    path = folder / "accounts.csv"
    path.write_text(text, "utf-8")
    return lookup.read_table(path, key, values)


def refusal(folder: Path, text: str, key: list[str], values: list[str]) -> str:
    with pytest.raises(ConfigurationError) as refused:
        table(folder, text, key, values)
    return f"{refused.value.code} line {refused.value.facts['line']}: {refused.value.facts['detail']}"


def columns(**cells: list[str]) -> pd.DataFrame:
    return pd.DataFrame({name: model.texts(values) for name, values in cells.items()})


ACCOUNTS = """company,expense_type,account,valid_from,valid_to,source
*,TAXI,660201,2025-01-01,,manual 7
CN01,TAXI,660202,2025-01-01,2025-12-31,manual 7
CN01,TAXI,0660203,2026-01-01,,manual 8
"""


def test_an_account_is_the_one_in_force_on_the_day(tmp_path: Path) -> None:
    accounts = table(tmp_path, ACCOUNTS, ["company", "expense_type"], ["account"])
    lines = columns(
        company=["CN01", "CN01", "US01", "US01", "CN01"],
        expense_type=["TAXI", "TAXI", "TAXI", "HOTEL", "TAXI"],
        transaction_date=["2025-12-31", "2026-01-01", "2026-01-01", "2026-01-01", "2024-12-31"],
    )

    found, missing = accounts.find(lines, "account", "transaction_date")

    assert found.tolist() == ["660202", "0660203", "660201", "", ""]
    assert missing.tolist() == [False, False, False, True, True]


def test_a_line_without_a_date_finds_no_dated_row(tmp_path: Path) -> None:
    accounts = table(tmp_path, ACCOUNTS, ["company", "expense_type"], ["account"])
    lines = columns(company=["CN01"], expense_type=["TAXI"], transaction_date=[""])

    found, missing = accounts.find(lines, "account", "transaction_date")

    assert (found.tolist(), missing.tolist()) == ([""], [True])


def test_a_table_asked_without_a_date_gives_its_earliest_row(tmp_path: Path) -> None:
    accounts = table(tmp_path, ACCOUNTS, ["company", "expense_type"], ["account"])
    lines = columns(company=["CN01", "US01"], expense_type=["TAXI", "TAXI"])

    found, missing = accounts.find(lines, "account")

    assert (found.tolist(), missing.tolist()) == (["660202", "660201"], [False, False])


def test_no_lines_find_no_rows(tmp_path: Path) -> None:
    accounts = table(tmp_path, ACCOUNTS, ["company", "expense_type"], ["account"])
    found, missing = accounts.find(columns(company=[], expense_type=[], day=[]), "account", "day")

    assert (len(found), len(missing), str(found.dtype)) == (0, 0, "str")


def test_b127_a_lapsed_row_gives_way_to_the_general_one(tmp_path: Path) -> None:
    text = "company,payer,account,valid_from,valid_to\n*,CARD,1,,\nKW01,CARD,2,,2025-06-30\n"
    counter = table(tmp_path, text, ["company", "payer"], ["account"])

    lines = columns(company=["KW01", "KW01"], payer=["CARD", "CARD"], day=["2025-06-30", "2025-07-01"])

    assert counter.find(lines, "account", "day")[0].tolist() == ["2", "1"]


def test_the_row_with_fewest_stars_wins(tmp_path: Path) -> None:
    text = "company,type,account\n*,*,9\nCN01,*,5\nCN01,TAXI,1\n"
    accounts = table(tmp_path, text, ["company", "type"], ["account"])
    lines = columns(company=["CN01", "CN01", "JP01"], type=["TAXI", "BUS", "TAXI"])

    assert accounts.find(lines, "account")[0].tolist() == ["1", "5", "9"]


def test_codes_stay_text_and_a_byte_order_mark_is_no_part_of_the_header(tmp_path: Path) -> None:
    text = "\ufeffcost_center,owner\n0010,NA\n1E5,TRUE\n"
    centers = table(tmp_path, text, ["cost_center"], ["owner"])
    lines = columns(cost_center=["0010", "10", "1E5", "100000"])

    assert centers.find(lines, "owner")[0].tolist() == ["NA", "", "TRUE", ""]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param(
            "type,account\nTAXI,1\nTAXI,1\n",
            "TABLE line 3: TAXI stands twice, also on line 2; delete one",
            id="B129 duplicate row",
        ),
        pytest.param(
            "type,account,valid_from,valid_to\nTAXI,1,2025-01-01,2025-06-30\nTAXI,2,2025-06-30,\n",
            "TABLE line 3: TAXI overlaps line 2; end one the day before the other begins",
            id="B127 overlap",
        ),
        pytest.param(
            "type,account,valid_from,valid_to\nTAXI,2,2025-07-02,\nTAXI,1,2025-01-01,2025-06-30\n",
            "TABLE line 2: TAXI has a gap after line 3 (2025-06-30)",
            id="B127 gap",
        ),
        (
            "type,account,valid_from,valid_to\nTAXI,2,2025-13-01,\n",
            "TABLE line 2: validity '2025-13-01' to '9999-12-31' is no period of ISO dates",
        ),
        (
            "type,account,valid_from,valid_to\nTAXI,2,20250101,\n",
            "TABLE line 2: validity '20250101' to '9999-12-31' is no period of ISO dates",
        ),
        (
            "type,account,valid_from,valid_to\nTAXI,2,2025-02-01,2025-01-31\n",
            "TABLE line 2: validity '2025-02-01' to '2025-01-31' is no period of ISO dates",
        ),
        ("type,account\nTAXI\n", "TABLE line 2: 1 fields, the header has 2"),
        ("type,account\nTAXI ,1\n", "TABLE line 2: a cell begins or ends with a space, so it would never match"),
        ("type,type,account\nTAXI,a,1\n", "TABLE line 1: a column name stands twice"),
        ("type,konto\nTAXI,1\n", "TABLE line 1: no column 'account'; there are type, konto"),
        ("", "TABLE line 1: 0 rows; 1 to 200000 are allowed"),
        ('type,account\n"TAXI,1\n', "TABLE line 1: not a CSV file (unexpected end of data)"),
    ],
)
def test_a_doubtful_table_is_refused_with_its_line(tmp_path: Path, text: str, expected: str) -> None:
    assert expected == refusal(tmp_path, text, ["type"], ["account"])


def test_a_table_that_is_not_there_or_not_utf_8_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"accounts\.csv line 1: the table does not exist"):
        lookup.read_table(tmp_path / "accounts.csv", ["type"])
    (tmp_path / "accounts.csv").write_bytes("type,account\n差旅,1\n".encode("gb18030"))
    with pytest.raises(ConfigurationError, match="line 2: not UTF-8; save the file as UTF-8"):
        lookup.read_table(tmp_path / "accounts.csv", ["type"])


def test_a_last_day_of_time_is_followed_by_nothing(tmp_path: Path) -> None:
    text = "type,account,valid_from,valid_to\nTAXI,1,2025-01-01,9999-12-31\nTAXI,2,9999-12-31,\n"
    assert "overlaps" in refusal(tmp_path, text, ["type"], ["account"])


def test_b127_rows_of_equal_rank_that_match_the_same_line_are_refused(tmp_path: Path) -> None:
    text = "company,type,account\nCN01,*,1\n*,TAXI,2\n"
    keys = "CN01, * and *, TAXI"
    expected = f"TABLE line 3: {keys} match the same value equally well; make one more specific"

    assert expected == refusal(tmp_path, text, ["company", "type"], ["account"])


def test_rows_of_equal_rank_that_never_meet_are_kept(tmp_path: Path) -> None:
    text = "a,b,c,account\nX,1,*,1\n*,2,Z,2\n"
    kept = table(tmp_path, text, ["a", "b", "c"], ["account"])

    lines = columns(a=["X", "X", "X"], b=["1", "2", "2"], c=["Z", "Z", "Y"])

    assert kept.find(lines, "account")[0].tolist() == ["1", "2", ""]


cells = st.sampled_from(["*", "A", "B"])


@settings(deadline=None)
@given(st.lists(st.tuples(cells, cells, cells), min_size=1, max_size=6, unique=True))
def test_every_value_of_a_table_that_loads_has_one_best_row(
    tmp_path_factory: pytest.TempPathFactory, keys: list[tuple[str, str, str]]
) -> None:
    """A table is refused exactly when two rows of equal rank match one value; else the row with fewest `*` is found."""

    def fits(row: tuple[str, ...], value: tuple[str, ...]) -> bool:
        return all(part in ("*", wanted) for part, wanted in zip(row, value, strict=True))

    values = [(a, b, c) for a in "ABC" for b in "ABC" for c in "ABC"]
    ranked = {value: [(row.count("*"), row) for row in keys if fits(row, value)] for value in values}
    unclear = any(len([r for r, _ in found if r == rank]) > 1 for found in ranked.values() for rank, _ in found)
    path = tmp_path_factory.mktemp("table") / "accounts.csv"
    path.write_text("a,b,c,account\n" + "".join(f"{a},{b},{c},{a}{b}{c}\n" for a, b, c in keys))
    if unclear:
        with pytest.raises(ConfigurationError, match="equally well"):
            lookup.read_table(path, ["a", "b", "c"], ["account"])
        return
    frame = columns(a=[v[0] for v in values], b=[v[1] for v in values], c=[v[2] for v in values])

    found, missing = lookup.read_table(path, ["a", "b", "c"], ["account"]).find(frame, "account")

    expected = ["".join(min(ranked[value])[1]) if ranked[value] else "" for value in values]
    assert expected == found.tolist()
    assert [not e for e in expected] == missing.tolist()


days = st.dates().map(str)


@settings(deadline=None)
@given(st.lists(days, min_size=1, max_size=5, unique=True), days)
def test_periods_that_follow_each_other_answer_for_every_day(
    tmp_path_factory: pytest.TempPathFactory, starts: list[str], day: str
) -> None:
    starts.sort()
    ends = [str(pd.Timestamp(start).date() - pd.Timedelta(days=1)) for start in starts[1:]]
    path = tmp_path_factory.mktemp("table") / "rates.csv"
    rows = [f"K,{start},{start},{end}\n" for start, end in zip(starts, [*ends, ""], strict=True)]
    path.write_text("key,value,valid_from,valid_to\n" + "".join(rows))
    row = lookup.read_table(path, ["key"], ["value"]).row(("K",), day)

    assert max((s for s in starts if s <= day), default=None) == (row.cells["value"] if row else None)


# --- conditions

LINES = pd.DataFrame(
    {
        "expense_type": model.texts(["HOTEL", "TAXI", "MEAL", "HOTEL_NIGHT", ""]),
        "invoice_no": model.texts(["", "17", "18", "", "19"]),
        "gross_minor": np.array([0, -500, 500, 5_000_001, 1], dtype=np.int64),
    }
)
CONDITIONS: list[tuple[dict[str, Any], str]] = [
    ({"expense_type": "HOTEL"}, "10000"),
    ({"expense_type": ["HOTEL", "TAXI"]}, "11000"),
    ({"expense_type": {"prefix": "HOTEL"}}, "10010"),
    ({"expense_type": {"in": ["MEAL"]}}, "00100"),
    ({"expense_type": {"equal": "MEAL"}}, "00100"),
    ({"expense_type": {"not": "HOTEL"}}, "01111"),
    ({"expense_type": {"not": ["HOTEL", "TAXI"]}}, "00111"),
    ({"expense_type": {"prefix": "HOTEL", "not": "HOTEL"}}, "00010"),
    ({"expense_type": {"above": "MEAL"}}, "01000"),
    ({"expense_type": {"from": "MEAL"}}, "01100"),
    ({"expense_type": {"below": "MEAL"}}, "10010"),
    ({"expense_type": {"to": "MEAL"}}, "10110"),
    ({"invoice_no": "present"}, "01101"),
    ({"invoice_no": "missing"}, "10010"),
    ({"invoice_no": {"present": "no"}}, "10010"),
    ({"invoice_no": {"not": "missing"}}, "01101"),
    ({"invoice_no": {"not": {"present": "yes"}}}, "10010"),
    ({"gross_minor": "zero"}, "10000"),
    ({"gross_minor": "not zero"}, "01111"),
    ({"gross_minor": "positive"}, "00111"),
    ({"gross_minor": "negative"}, "01000"),
    ({"gross_minor": "500"}, "00100"),
    ({"gross_minor": ["500", "-500"]}, "01100"),
    ({"gross_minor": {"above": "5000000"}}, "00010"),
    ({"gross_minor": {"below": "1"}}, "11000"),
    ({"gross_minor": {"from": "-500", "to": "0"}}, "11000"),
    ({"gross_minor": {"equal": "1"}}, "00001"),
    ({"gross_minor": {"in": ["1"]}}, "00001"),
    ({"gross_minor": {"not": "zero"}}, "01111"),
    ({"gross_minor": {"not": ["1", "500"]}}, "11010"),
    ({"gross_minor": {"from": "1", "not": {"above": "500"}}}, "00101"),
    ({"expense_type": "HOTEL", "invoice_no": "missing"}, "10000"),
    ({"any": [{"expense_type": "TAXI"}, {"gross_minor": "zero"}]}, "11000"),
    ({"all": [{"invoice_no": "present"}, {"gross_minor": "positive"}]}, "00101"),
    ({"not": {"invoice_no": "present", "gross_minor": "positive"}}, "11010"),
    ({"expense_type": "TAXI", "not": {"gross_minor": "positive"}}, "01000"),
    ({}, "11111"),
]


@pytest.mark.parametrize(("condition", "expected"), CONDITIONS, ids=lambda v: str(v))
def test_a_condition_picks_the_lines_it_describes(condition: dict[str, Any], expected: str) -> None:
    assert expected == "".join("1" if hit else "0" for hit in lookup.matches(condition, LINES))


@pytest.mark.parametrize(("condition", "expected"), CONDITIONS, ids=lambda v: str(v))
def test_a_condition_on_no_lines_picks_none(condition: dict[str, Any], expected: str) -> None:
    found = lookup.matches(condition, LINES.iloc[:0])

    assert (0, np.dtype(bool)) == (len(found), found.dtype)


texts = st.text("AB*", max_size=3)


@settings(deadline=None)
@given(st.lists(texts, min_size=1, max_size=8), st.lists(texts, min_size=1, max_size=3), texts)
def test_not_is_the_complement_and_any_the_union(values: list[str], wanted: list[str], prefix: str) -> None:
    frame = columns(code=values)
    listed, begins = {"code": wanted}, {"code": {"prefix": prefix}}
    one, other = lookup.matches(listed, frame), lookup.matches(begins, frame)

    assert [v in wanted for v in values] == one.tolist()
    assert (~one).tolist() == lookup.matches({"not": listed}, frame).tolist()
    assert (~one).tolist() == lookup.matches({"code": {"not": wanted}}, frame).tolist()
    assert (one | other).tolist() == lookup.matches({"any": [listed, begins]}, frame).tolist()
    assert (one & other).tolist() == lookup.matches({"all": [listed, begins]}, frame).tolist()


@settings(deadline=None)
@given(st.lists(st.integers(-(10**15), 10**15), min_size=1, max_size=8), st.integers(-(10**15), 10**15))
def test_amounts_compare_as_whole_minor_units(amounts: list[int], limit: int) -> None:
    frame = pd.DataFrame({"gross_minor": np.array(amounts, dtype=np.int64)})

    assert [a > limit for a in amounts] == lookup.matches({"gross_minor": {"above": str(limit)}}, frame).tolist()
    assert [a <= limit for a in amounts] == lookup.matches({"gross_minor": {"to": str(limit)}}, frame).tolist()
    assert [a == limit for a in amounts] == lookup.matches({"gross_minor": str(limit)}, frame).tolist()


# --- the schema of conditions, rules, checks and gates

FRAGMENTS = json.loads((config.PROJECT / "etl/schema.json").read_text("utf-8"))["$defs"]


def accepted(kind: str, document: Any) -> bool:
    return Draft202012Validator({"$ref": f"#/$defs/{kind}", "$defs": FRAGMENTS}).is_valid(document)


@pytest.mark.parametrize("condition", [c for c, _ in CONDITIONS if c], ids=str)
def test_every_condition_that_works_may_be_written(condition: dict[str, Any]) -> None:
    assert accepted("condition", condition) and accepted("line_condition", condition)


@pytest.mark.parametrize(
    "condition",
    [
        {}, {"any": []}, {"expense_typ": "TAXI"}, {"gross_minor": "present"}, {"gross_minor": "12.50"},
        {"gross_minor": {"above": "many"}}, {"gross_minor": {"prefix": "1"}}, {"gross_minor": []},
        {"expense_type": {"like": "T%"}}, {"expense_type": {"in": "TAXI"}}, {"expense_type": {"present": "maybe"}},
        {"expense_type": {}}, {"not": {"expense_typ": "TAXI"}}, {"any": [{"gross_minor": {"not": "present"}}]},
    ],
    ids=str,
)  # fmt: skip
def test_a_condition_that_could_not_work_may_not_be_written(condition: dict[str, Any]) -> None:
    assert not accepted("line_condition", condition)


def test_a_condition_on_lines_knows_every_field_of_a_line() -> None:
    assert set(FRAGMENTS["line_condition"]["properties"]) == {*model.LINE_FIELDS, "any", "all", "not"}


def test_the_bundled_feeds_and_rules_keep_to_the_schema() -> None:
    feeds = [config.read_yaml(p.read_bytes(), p.name) for p in (config.PROJECT / "mappings/feeds").glob("*.yml")]
    policies = [config.read_yaml(p.read_bytes(), p.name) for p in (config.PROJECT / "mappings/rules").glob("*.yml")]

    assert feeds and policies
    assert all(accepted("checks", feed["checks"]) and accepted("gate", feed.get("gate", {})) for feed in feeds)
    assert all(accepted("rules", policy) for policy in policies)


@pytest.mark.parametrize(
    ("kind", "document"),
    [
        ("checks", {"report_total": "true"}), ("checks", {"dates": {"from": "2025-01-01"}}),
        ("checks", {"refund": "refused"}), ("checks", {"states": []}), ("checks", {"age_days_max": "a year"}),
        ("gate", {"reports": {}}), ("gate", {"quarantined_pct_max": "130"}), ("gate", {"gross": {"cny": {"min": "1"}}}),
        ("gate", {"gross": {"CNY": {"max": "1,000"}}}), ("gate", {"largest_company_pct_max": "90 %"}),
        ("rules", {"rules": "travel", "source": "policy", "checks": [{"name": "x", "when": {"company": "A"}}]}),
    ],
    ids=str,
)  # fmt: skip
def test_an_option_that_means_nothing_may_not_be_written(kind: str, document: dict[str, Any]) -> None:
    assert not accepted(kind, document)
