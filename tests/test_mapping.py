"""The mapping language: what it decides, and how it refuses what it cannot decide."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import yaml
from books import FEED, JOURNAL, TABLES, bundle, expense_lines, shown, write_mapping
from click.testing import CliRunner
from jsonschema import Draft202012Validator

from etl import cli, config, mapping, model
from etl.days import local_dates
from etl.errors import ConfigurationError


def refused(folder: Path, **changed: str) -> str:
    """The error text that loading a changed mapping gives."""
    with pytest.raises(ConfigurationError) as caught:
        bundle(folder, **changed)
    return str(caught.value)


def test_an_account_changes_on_the_day_its_row_says(tmp_path: Path) -> None:
    lines = expense_lines("transaction_date gross_minor\n 2026-01-31 1\n 2026-02-01 1")
    applied = mapping.apply(bundle(tmp_path), lines)

    assert ["6601", "6602"] == applied.parts["account"].tolist()[:2]


def test_b127_b130_every_gap_of_every_line_is_found_at_once(tmp_path: Path) -> None:
    lines = expense_lines("expense_type payer gross_minor\n SPA EMPLOYEE 1\n TAXI CRYPTO 1\n SPA CRYPTO 1")
    applied = mapping.apply(bundle(tmp_path), lines)

    assert [
        "1 MAPPING_GAP expense.account SPA, 2026-02-03",
        "3 MAPPING_GAP expense.account SPA, 2026-02-03",
        "2 MAPPING_GAP settlement.account C1, CRYPTO",
        "3 MAPPING_GAP settlement.account C1, CRYPTO",
    ] == shown(applied.rejects, "line_no", "code", "field", "value")
    assert applied.rejects["reason"].iat[0] == "expense.account: no row for SPA, 2026-02-03 in tables/account.csv."


def test_the_same_gap_of_one_line_is_named_once(tmp_path: Path) -> None:
    journal = JOURNAL.replace('account: {value: "2221"}', "account: {table: account}").replace(
        "purpose: input_tax", "purpose: expense"
    )
    applied = mapping.apply(
        bundle(tmp_path, journals=journal),
        expense_lines("expense_type tax_code gross_minor tax_minor\n SPA FULL 106 6"),
    )

    assert ["MAPPING_GAP expense.account"] == shown(applied.rejects, "code", "field")


def test_b95_the_posting_date_is_the_approval_in_the_companys_time_zone(tmp_path: Path) -> None:
    lines = expense_lines("approved_at gross_minor\n 2026-02-28T15:59:59Z 1\n 2026-02-28T16:00:00Z 1\n 2026-02-28 1")
    applied = mapping.apply(bundle(tmp_path), lines)

    assert ["2026-02-28 2026-02", "2026-03-01 2026-03", "2026-02-28 2026-02"] == shown(
        applied.lines, "posting_date", "period"
    )


def test_b95_local_dates_at_the_edge_of_summer_time() -> None:
    times = model.texts(["2026-03-28T23:30:00Z", "2026-03-28", ""])
    expected = ["2026-03-29", "2026-03-28", ""]
    assert expected == local_dates(times, model.texts(["DE01"] * 3), {"DE01": "Europe/Berlin"}).tolist()


RULES = {
    "approved_at": "2026-02-11",
    "{field: transaction_date}": "2026-02-03",
    "{field: transaction_date, to: month_end}": "2026-02-28",
    "{field: approved_at, to: month_start}": "2026-02-01",
    "{field: submitted_at, to: next_month_start}": "2026-03-01",
    "{latest: [transaction_date, submitted_at, start_date]}": "2026-02-09",
    "{earliest: [submitted_at, transaction_date]}": "2026-02-03",
    "{field: transaction_date, not_before: submitted_at}": "2026-02-09",
    "{field: approved_at, not_after: submitted_at}": "2026-02-09",
    "{field: approved_at, to: month_end, not_after: approved_at}": "2026-02-11",
    "{field: approved_at, not_before: start_date, not_after: start_date}": "2026-02-11",
}


@pytest.mark.parametrize("rule", RULES)
def test_b95_the_posting_date_by_rule(tmp_path: Path, rule: str) -> None:
    """Approved at 01:30 on the 11th in Shanghai, submitted on the 9th, spent on the 3rd; no start date."""
    journal = JOURNAL.replace("posting_date: approved_at", f"posting_date: {rule}")
    header = "transaction_date submitted_at approved_at start_date gross_minor"
    lines = expense_lines(f"{header}\n 2026-02-03 2026-02-09T01:00:00Z 2026-02-10T17:30:00Z . 1")
    applied = mapping.apply(bundle(tmp_path, journals=journal), lines)

    assert [f"{RULES[rule]} {RULES[rule][:7]}"] == shown(applied.lines, "posting_date", "period")


@pytest.mark.parametrize(("rule", "posted"), [("field", "2026-02-05"), ("earliest", "2026-02-03")])
def test_all_lines_of_a_journal_are_posted_on_one_day(tmp_path: Path, rule: str, posted: str) -> None:
    asked = "transaction_date" if rule == "field" else "[transaction_date]"
    journal = JOURNAL.replace("posting_date: approved_at", f"posting_date: {{{rule}: {asked}}}")
    lines = expense_lines(
        "report_id transaction_date gross_minor\n R1 2026-02-03 1\n R2 2026-02-09 1\n R1 2026-02-05 1\n R1 . 1"
    )
    applied = mapping.apply(bundle(tmp_path, journals=journal), lines)

    assert [posted, "2026-02-09", posted, posted] == applied.lines["posting_date"].tolist()


def test_a_report_without_the_dates_of_the_rule_is_quarantined(tmp_path: Path) -> None:
    journal = JOURNAL.replace("posting_date: approved_at", "posting_date: {latest: [submitted_at, start_date]}")
    applied = mapping.apply(bundle(tmp_path, journals=journal), expense_lines("submitted_at gross_minor\n . 1"))

    assert ["MISSING submitted_at and start_date"] == shown(applied.rejects, "code", "field")


def test_an_account_may_be_valid_by_the_posting_date(tmp_path: Path) -> None:
    journal = JOURNAL.replace("valid_by: transaction_date", "valid_by: posting_date")
    lines = expense_lines("transaction_date approved_at gross_minor\n 2026-01-31 2026-01-31T16:00:00Z 1")
    applied = mapping.apply(bundle(tmp_path, journals=journal), lines)

    assert "6602" == applied.parts["account"].iat[0]


@pytest.mark.parametrize(
    ("limit", "text"),
    [
        ('max: "6"', "打车去机场吧"),
        ('max: "6", unit: characters, overflow: truncate', "打车去机场吧"),
        ('max: "6", unit: bytes, encoding: gb18030', "打车去"),
        ('max: "6", unit: bytes, encoding: utf-8', "打车"),
        ('max: "5", unit: bytes, encoding: gb18030', "打车"),
    ],
)
def test_a_text_is_cut_between_two_characters(tmp_path: Path, limit: str, text: str) -> None:
    for form in ("field: description", 'template: "{description}"', "choose: [{field: description}]"):
        journal = JOURNAL.replace('{template: "{expense_type} {description}"}', f"{{{form}, {limit}}}")
        lines = expense_lines("description gross_minor\n 打车去机场吧司机 1")
        applied = mapping.apply(bundle(tmp_path / form[:5], journals=journal), lines)

        assert text == applied.parts["text"].iat[0]


def test_a_key_that_is_too_long_holds_the_report(tmp_path: Path) -> None:
    limit = "{field: cost_center, max: '4', unit: bytes, encoding: gb18030, overflow: error}"
    journal = JOURNAL.replace("{field: cost_center}", limit)
    lines = expense_lines("cost_center gross_minor\n 00100 1\n 0010 1\n 部门 1\n 部门1 1")
    applied = mapping.apply(bundle(tmp_path, journals=journal), lines)

    assert ["1 KEY_OVERFLOW 00100", "4 KEY_OVERFLOW 部门1"] == shown(applied.rejects, "line_no", "code", "value")
    reason = "expense.cost_center '00100' is longer than the ERP's 4 bytes of gb18030."
    assert reason == applied.rejects["reason"].iat[0]


def test_b97_a_closed_period_holds_the_report(tmp_path: Path) -> None:
    lines = expense_lines("company approved_at gross_minor\n C1 2026-01-10 1\n C1 2026-09-10 1\n C1 2026-02-10 1")
    applied = mapping.apply(bundle(tmp_path), lines)

    assert ["1 PERIOD_CLOSED 2026-01", "2 PERIOD_CLOSED 2026-09"] == shown(applied.rejects, "line_no", "code", "value")


def test_b97_a_closed_period_moves_to_the_next_open_one_if_the_policy_says_so(tmp_path: Path) -> None:
    journal = JOURNAL.replace("closed_period: hold", "closed_period: next_open")
    lines = expense_lines("approved_at gross_minor\n 2026-01-10 1\n 2026-09-10 1")
    applied = mapping.apply(bundle(tmp_path, journals=journal), lines)

    assert ["2026-02-01", "2026-09-10"] == applied.lines["posting_date"].tolist()
    assert ["2 PERIOD_CLOSED"] == shown(applied.rejects, "line_no", "code")


def test_conditions_are_tried_in_order_and_none_is_a_gap(tmp_path: Path) -> None:
    journal = JOURNAL.replace(
        "text: {choose: [{when: {payer: CARD}, value: Card}, {value: Payable}]}",
        "text: {choose: [{when: {payer: CARD}, value: Card}, {when: {gross_minor: {above: '10'}}, table: account}]}",
    )
    lines = expense_lines("payer gross_minor\n CARD 50\n EMPLOYEE 50\n EMPLOYEE 5")
    applied = mapping.apply(bundle(tmp_path, journals=journal), lines)

    assert ["Card", "6602", ""] == applied.parts["text"].tolist()[3:]
    assert ["3 MAPPING_GAP no condition that holds"] == shown(applied.rejects, "line_no", "code", "value")


def test_tax_can_come_from_the_source_under_a_condition(tmp_path: Path) -> None:
    journal = JOURNAL.replace(
        "reclaimable_tax: {table: tax}", "reclaimable_tax: {field: tax_minor, when: {tax_code: [FULL]}}"
    )
    lines = expense_lines("tax_code tax_minor gross_minor\n FULL 6 106\n HALF 6 106")
    applied = mapping.apply(bundle(tmp_path, journals=journal), lines)

    assert [6, 0] == applied.lines["reclaimable_tax_minor"].tolist()


def test_tax_from_the_source_without_a_condition(tmp_path: Path) -> None:
    journal = JOURNAL.replace("reclaimable_tax: {table: tax}", "reclaimable_tax: {field: tax_minor}")
    applied = mapping.apply(
        bundle(tmp_path, journals=journal), expense_lines("tax_code tax_minor gross_minor\n HALF 6 106")
    )

    assert [6] == applied.lines["reclaimable_tax_minor"].tolist()


def test_a_source_that_states_reclaimable_tax_keeps_it(tmp_path: Path) -> None:
    journal = JOURNAL.replace("reclaimable_tax: {table: tax}\n", "")
    lines = expense_lines("tax_minor reclaimable_tax_minor gross_minor\n 6 4 106")
    applied = mapping.apply(bundle(tmp_path, journals=journal), lines)

    assert [102, 4, -106] == applied.parts["amount_minor"].tolist()


def test_a_condition_on_a_journal_line_leaves_others_out(tmp_path: Path) -> None:
    journal = JOURNAL.replace("    amount: net\n", "    amount: net\n    when: {payer: CARD}\n")
    applied = mapping.apply(
        bundle(tmp_path, journals=journal), expense_lines("payer gross_minor\n CARD 5\n EMPLOYEE 7")
    )

    assert [5, -5, -7] == applied.parts["amount_minor"].tolist()


def test_text_templates_drop_spaces_at_the_ends_and_are_cut(tmp_path: Path) -> None:
    journal = JOURNAL.replace(
        '{template: "{expense_type} {description}"}', '{template: "{expense_type} {description}", max: "8"}'
    )
    lines = expense_lines("description gross_minor\n . 1\n 打车去机场_x 1")
    applied = mapping.apply(bundle(tmp_path, journals=journal), lines)

    assert ["TAXI", "TAXI 打车去"] == applied.parts["text"].tolist()[:2]


def test_a_company_can_have_its_own_account(tmp_path: Path) -> None:
    journal = JOURNAL.replace('account: {value: "2221"}', "account: {company: rounding}")
    lines = expense_lines("tax_code tax_minor gross_minor\n FULL 6 106")
    applied = mapping.apply(bundle(tmp_path, journals=journal), lines)

    assert ["6602", "6699", "2241"] == applied.parts["account"].tolist()


def test_a_template_without_fields_is_a_constant(tmp_path: Path) -> None:
    journal = JOURNAL.replace('{template: "{expense_type} {description}"}', '{template: " Expense "}')
    applied = mapping.apply(bundle(tmp_path, journals=journal), expense_lines("gross_minor\n 1"))

    assert "Expense" == applied.parts["text"].iat[0]


def test_the_digest_changes_with_any_table_and_with_nothing_else(tmp_path: Path) -> None:
    one, same = bundle(tmp_path / "a"), bundle(tmp_path / "b")
    other = bundle(tmp_path / "c", tax=TABLES["tax"] + "ZERO,0\n")

    assert one.digest == same.digest != other.digest
    assert ("tiny", "TINY", "gl", "") == (
        one.feed_id,
        one.source_system,
        one.target_of("C1")["target"],
        one.company("X", "y"),
    )


MISTAKES = {
    "B90 a rate that is inverted": ({"rates": TABLES["rates"] + "USD,CNY,0.14,2026-03-01,\n"}, "TABLE tables/rates.csv line 4: rate '0.14' is more than 20 % from the one before"),
    "B90 a rate of nothing": ({"rates": TABLES["rates"].replace("7.1", "0")}, "TABLE tables/rates.csv line 2: rate '0' is no positive decimal"),
    "B128 a table that falls back on another": ({"journals": JOURNAL.replace("account: {table: account}", "account: {table: account, else: {table: counter}}")}, "SCHEMA journals/tiny.yml line 16: lines.0.account"),
    "B128 a table that is itself the key of another": ({"journals": JOURNAL.replace("key: [expense_type]", "key: [{table: counter}]")}, "SCHEMA journals/tiny.yml line 8: tables.account.key.0"),
    "B128 a document that holds itself": ({"journals": JOURNAL.replace("reclaimable_tax: {table: tax}", "reclaimable_tax: &tax {table: *tax}")}, "YAML journals/tiny.yml line 11"),
}  # fmt: skip


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_in_a_mapping_is_refused_with_file_line_and_reason(tmp_path: Path, mistake: str) -> None:
    changed, expected = MISTAKES[mistake]
    text = refused(tmp_path, **changed)

    assert expected in text
    assert text.endswith(
        (
            "Correct the line; mappings/README.md and `claimpost mapping schema KIND` list what may stand there.",
            "Correct the row.",
            "Correct the line.",
        )
    )


def test_b128_only_conditions_hold_conditions_so_nothing_goes_round_in_a_circle() -> None:
    """The references of the schema, from a journal mapping on: the only way back to oneself is a condition or test."""
    parts = json.loads(config.SCHEMA_PATH.read_text("utf-8"))["$defs"]
    held = {name: set(re.findall(r'"#/\$defs/(\w+)"', json.dumps(part))) for name, part in parts.items()}

    def reached(name: str, seen: frozenset[str] = frozenset()) -> frozenset[str]:
        for other in held[name] - seen:
            seen = reached(other, seen | {other})
        return seen

    assert {"condition", "test"} == {name for name in reached("journal") if name in reached(name)}


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"a: " + b"x" * config.YAML_BYTES_MAX, "line 1: larger than 1048576 bytes"),
        (b"a:\n- " + b"[" * 60 + b"]" * 60, "line 2: more than 20000 nodes, or deeper than 50"),
        (b"a:\n" + b"- x\n" * 20_001, "line 19998: more than 20000 nodes, or deeper than 50"),
    ],
    ids=["bytes", "depth", "nodes"],
)
def test_a_document_beyond_the_limits_is_refused(content: bytes, said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        config.read_yaml(content, "journals/large.yml")


def test_a_byte_order_mark_and_an_empty_document_are_fine() -> None:
    assert {"a": "0010"} == config.read_yaml(b"\xef\xbb\xbfa: 0010\n", "x.yml")
    assert {} == config.read_yaml(b"# nothing yet\n", "x.yml")


@pytest.mark.parametrize("kind", config.KINDS)
def test_the_schema_of_a_kind_stands_by_itself_and_accepts_the_bundled_documents(kind: str) -> None:
    told = json.loads(CliRunner().invoke(cli.main, ["mapping", "schema", kind]).stdout)
    Draft202012Validator.check_schema(told)
    folder = config.PROJECT / "mappings" / (kind if kind == "rules" else f"{kind}s")
    documents = [yaml.load(path.read_text("utf-8"), Loader=yaml.BaseLoader) for path in folder.glob("*.yml")]

    assert documents and all(Draft202012Validator(told).is_valid(document) for document in documents)
    assert not Draft202012Validator(told).is_valid({**documents[0], "colour": "red"})


def test_the_schema_without_a_kind_is_that_of_all() -> None:
    told = json.loads(CliRunner().invoke(cli.main, ["mapping", "schema"]).stdout)

    assert json.loads(config.SCHEMA_PATH.read_text("utf-8")) == told


def test_an_unknown_feed_names_those_there_are(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="There is no feed 'big'; there are: tiny"):
        mapping.load(write_mapping(tmp_path), "big")


def test_check_lists_every_document_that_breaks_the_schema(tmp_path: Path) -> None:
    folder = write_mapping(tmp_path, feeds=FEED + "colour: red\n", journals="journal: [\n")
    found = mapping.check(folder)

    assert ["SCHEMA", "YAML"] == [error.code for error in found]


def test_check_finds_what_only_loading_shows(tmp_path: Path) -> None:
    assert ["TABLE"] == [e.code for e in mapping.check(write_mapping(tmp_path, tax=TABLES["tax"] + "FULL,9\n"))]


def test_a_mapping_without_text_rates_and_rules_is_complete(tmp_path: Path) -> None:
    journal = JOURNAL.replace("rates: {file: rates.csv, rounding: half_up}\n", "")
    journal = journal.replace('rounding: {account: {company: rounding}, limit_minor: "2"}\n', "")
    books = bundle(tmp_path, journals=journal, feeds=FEED.replace("checks: {}", "checks: {}\nrules: []"))

    assert (None, ()) == (books.rates, books.rules)


def test_check_of_a_good_folder_is_empty(tmp_path: Path) -> None:
    assert [] == mapping.check(write_mapping(tmp_path))


def test_a_mapping_of_constants_needs_no_tables(tmp_path: Path) -> None:
    journal = JOURNAL[: JOURNAL.index("tables:")] + JOURNAL[JOURNAL.index("lines:") :]
    journal = journal.replace("{table: account}", '{value: "6602"}').replace("{table: counter}", '{value: "2241"}')

    assert [] == mapping.check(write_mapping(tmp_path, journals=journal))


def test_a_profile_of_a_legacy_journal_is_loaded_by_its_name() -> None:
    folder = Path(__file__).resolve().parents[1] / "mappings"

    assert "sample_interface" == mapping.legacy_profile(folder, "sample_interface")["legacy"]
    with pytest.raises(ConfigurationError, match=r"profile.*'?none'?.*there is no legacy/none\.yml"):
        mapping.legacy_profile(folder, "none")
