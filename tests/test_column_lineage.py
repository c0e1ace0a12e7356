"""Which fields of an expense line, and which columns of the source, a column of the journal comes from."""

from __future__ import annotations

from pathlib import Path

import pytest
from books import JOURNAL, bundle, write_mapping

from etl import config, mapping
from etl.mapping import lineage as origins

PROJECT = Path(__file__).resolve().parents[1]


def test_the_rule_named_is_the_line_of_the_mapping() -> None:
    """The lines that the events name, read in the files themselves."""
    books = mapping.load(PROJECT / "mappings", "sample")
    told = origins.journal_columns(books)
    lines = (PROJECT / "mappings/journals/group_expense.yml").read_text("utf-8").splitlines()
    rules = {one.field: lines[int(one.rule.split(" line ")[1]) - 1].strip() for one in told["account"]}

    assert "account: {table: account}" == rules["expense_type"]
    assert "account: {table: counter}" == rules["payer"]
    assert "account: {table: tax_account}" == rules["tax_code"]
    assert {"tax_minor", "company", "tax_code", "transaction_date"} == {one.field for one in origins.filters(books)}


def test_every_form_of_an_expression_is_traced(tmp_path: Path) -> None:
    journal = JOURNAL.replace("account: {table: account}", "account: {company: rounding}", 1)
    books = bundle(tmp_path, journals=journal)
    told = {column: {one.field for one in some} for column, some in origins.journal_columns(books).items()}

    assert "company" in told["account"]
    assert {"payer"} <= told["text"]
    assert {"expense_type", "description"} <= told["text"]
    assert "cost_center" in told["cost_center"]


def traced(books: mapping.Bundle) -> dict[str, set[str]]:
    return {column: {one.field for one in some} for column, some in origins.journal_columns(books).items()}


def test_a_posting_date_by_rule_is_traced_to_every_date_it_reads(tmp_path: Path) -> None:
    rule = "posting_date: {latest: [approved_at, transaction_date], not_before: submitted_at}"
    told = traced(bundle(tmp_path, journals=JOURNAL.replace("posting_date: approved_at", rule)))

    assert {"approved_at", "transaction_date", "submitted_at"} == told["posting_date"] == told["period"]


def test_what_the_mapping_adds_to_a_line_is_traced_to_what_it_is_made_of(tmp_path: Path) -> None:
    between = """intercompany:
  company: {table: bearer}
  due_from: {value: "1241"}
  due_to: {value: "2247"}
lines:
"""
    text = JOURNAL.replace("lines:\n", between, 1).replace(
        "    amount: net\n", "    amount: untaxed\n    books: bearer\n"
    )
    text = text.replace("tables:\n", "tables:\n  bearer: {file: bearer.csv, key: [cost_center], value: company}\n", 1)
    text = text.replace(
        'text: {template: "{expense_type} {description}"}',
        "party: {field: bearer}\n    project: {field: claim_company}\n    analysis: {field: base_currency}\n"
        '    text: {template: "{original_date}"}',
    )
    folder = write_mapping(tmp_path, journals=text)
    (folder / "tables/bearer.csv").write_text("cost_center,company\n0020,C2\n", "utf-8")
    told = traced(mapping.load(folder, "tiny"))

    assert {"company", "cost_center", "employee_id"} == told["party"]
    assert ({"company"}, {"company"}) == (told["project"], told["analysis"])
    assert "approved_at" in told["text"]
    assert {"gross_minor", "tax_minor"} <= told["debit_minor"]


def test_a_bearer_that_names_itself_is_the_company(tmp_path: Path) -> None:
    between = "intercompany:\n  company: {field: bearer}\n  due_from: {value: '1'}\n  due_to: {value: '2'}\nlines:\n"
    text = JOURNAL.replace("lines:\n", between, 1).replace("amount: net\n", "amount: net\n    books: bearer\n")
    told = traced(bundle(tmp_path, journals=text.replace("{field: cost_center}", "{field: bearer}")))

    assert {"company"} == told["cost_center"]


def test_an_amount_is_traced_to_the_line_of_its_rule(tmp_path: Path) -> None:
    told = origins.journal_columns(bundle(tmp_path))

    assert ["gross_minor journals/tiny.yml line 26"] == [f"{one.field} {one.rule}" for one in told["credit_minor"]]
    assert "journals/tiny.yml line 31" in {one.rule for one in told["base_credit_minor"]}


def test_without_companies_between_the_bearer_is_the_company(tmp_path: Path) -> None:
    told = traced(bundle(tmp_path, journals=JOURNAL.replace("{field: cost_center}", "{field: bearer}")))

    assert {"company"} == told["cost_center"]


def test_conditions_within_conditions_are_filters(tmp_path: Path) -> None:
    when = "any: [{payer: CARD}, {all: [{project: P1}, {not: {employee_id: E9}}]}]"
    text = JOURNAL.replace("    amount: net\n", f"    amount: net\n    when:\n      {when}\n")
    books = bundle(tmp_path, journals=text)

    told = [(one.field, one.rule) for one in origins.filters(books)]
    assert [(name, "journals/tiny.yml line 16") for name in ("payer", "project", "employee_id")] == told


def test_a_source_with_templates_or_components_is_traced_to_its_columns() -> None:
    folder = PROJECT / "mappings/sources"
    wide = config.load(folder / "ca_travel_claims.yml", "source")
    cards = config.load(folder / "uk_birmingham_pcards.yml", "source")
    templates = {name: entry for name, entry in cards["fields"].items() if "template" in entry}

    assert tuple(wide["unpivot"]["columns"]) == origins.source_columns(wide, "gross_minor")
    assert tuple(wide["unpivot"]["columns"]) == origins.source_columns(wide, "expense_type")
    assert ("Amount",) == origins.source_columns(config.load(folder / "expense_csv.yml", "source"), "gross_minor")
    assert () == origins.source_columns(wide, "split_weight")
    assert ["report_id"] == list(templates)
    assert ("CARD NUMBER",) == origins.source_columns(cards, "report_id")
    assert ("BILLING GROSS AMT", "ORIGINAL GROSS AMT") == origins.source_columns(cards, "gross_minor")


def profile(name: str) -> config.Document:
    return config.load(PROJECT / f"mappings/targets/{name}.yml", "target")


@pytest.mark.parametrize(
    ("target", "column", "fields", "text"),
    [
        ("yonyou_u8_txt", "凭证类别", None, ""),
        ("oracle_ebs_gl_interface", "entered_dr", ("debit_minor",), "amount: debit"),
        ("sap_idoc_acc_document", "E1BPACGL09/GL_ACCOUNT", ("account",), "field: account"),
        ("kingdee_k3cloud", "FEntity.FDEBIT", ("base_debit_minor",), "amount: base_debit"),
        ("peoplesoft_journal", "L/monetary_amount", ("base_debit_minor", "base_credit_minor"), "base_signed"),
    ],
)
def test_every_kind_of_target_is_traced_to_the_journal(
    target: str, column: str, fields: tuple[str, ...] | None, text: str
) -> None:
    told = origins.target_columns(profile(target))
    found = next((one for name, one in told.items() if name.endswith(column)), None)

    assert fields == (found and found[0])
    lines = (PROJECT / f"mappings/targets/{target}.yml").read_text("utf-8").splitlines()
    assert found is None or text in lines[int(found[1].split(" line ")[1]) - 1]
