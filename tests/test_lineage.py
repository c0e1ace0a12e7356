"""Lineage events: made from the mapping, sent only where a transport is configured, and never worth a run."""

from __future__ import annotations

import json
import logging
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from books import JOURNAL, bundle, write_mapping
from claims import claim, content, deliver

from etl import config, mapping, pipeline
from etl.mapping import lineage as origins
from etl.pipeline import lineage

PROJECT = Path(__file__).resolve().parents[1]
UUID = re.compile("[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home with the bundled mappings without the gate of `sample`, and an environment without any transport."""
    shutil.copytree(PROJECT / "mappings", tmp_path / "mappings")
    feed = tmp_path / "mappings/feeds/sample.yml"
    before, rest = feed.read_text("utf-8").split("\ngate:")
    feed.write_text(before + rest[rest.index("\nacknowledge_within_hours") :], "utf-8")
    monkeypatch.setenv("CLAIMPOST_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("CLAIMPOST_MAPPINGS", str(tmp_path / "mappings"))
    return tmp_path


def run(home: Path, lines: list[dict[str, str]]) -> dict[str, Any]:
    return pipeline.run(pipeline.open("sample", settings=config.settings()), deliver(home / "in", lines))


def to_file(home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Configure the file transport as its users do; returns the file that gets one event a line."""
    path, settings = home / "events.jsonl", home / "lineage.yml"
    settings.write_text(f"transport:\n  type: file\n  log_file_path: {path}\n  append: true\n", "utf-8")
    monkeypatch.setenv("OPENLINEAGE_CONFIG", str(settings))
    return path


def events(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text("utf-8").splitlines() if line]


def check_event(event: dict[str, Any]) -> None:
    """The required parts of a RunEvent and of every facet in it (OpenLineage 2-0-2)."""
    assert event["schemaURL"].startswith("https://openlineage.io/spec/2-0-2/OpenLineage.json")
    assert event["producer"].startswith("https://")
    assert UUID.fullmatch(event["run"]["runId"])
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z", event["eventTime"])
    datasets = [*event["inputs"], *event["outputs"]]
    assert all(one["namespace"] and one["name"] for one in [event["job"], *datasets])
    parts = [event["run"], event["job"], *datasets]
    kinds = ("facets", "inputFacets", "outputFacets")
    facets = [facet for part in parts for kind in kinds for facet in part.get(kind, {}).values()]
    assert all(
        facet["_producer"] and facet["_schemaURL"].startswith("https://openlineage.io/spec/") for facet in facets
    )


def test_a_run_tells_build_and_load_from_the_landing_to_the_target(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = to_file(home, monkeypatch)
    japan = claim(Report_ID="R2", Company="JP01", Currency="JPY", Amount="900", Tax="0")
    result = run(home, [claim(Report_ID="R1"), japan])
    told = events(path)
    steps = [(event["job"]["name"], event["eventType"]) for event in told]
    batches = {one["batch_id"]: one for one in result["batches"]}
    built, folders = told[1], {str(home / "home/batches" / batch_id) for batch_id in batches}

    [check_event(event) for event in told]
    assert [("sample.build", "START"), ("sample.build", "COMPLETE")] == steps[:2]
    assert [("sample.load", "START"), ("sample.load", "COMPLETE")] * 2 == steps[2:]
    assert told[0]["run"]["runId"] == built["run"]["runId"]
    assert 3 == len({event["run"]["runId"] for event in told})
    assert [str(next((home / "home/landing").iterdir()))] == [one["name"] for one in built["inputs"]]
    assert folders == {one["name"] for one in built["outputs"]}
    assert folders == {event["inputs"][0]["name"] for event in told[2:]}
    targets = {(out["namespace"], out["name"]) for event in told[2:] for out in event["outputs"]}
    sent = next(one for one in batches if "JP01" in one)
    assert {
        ("file", f"{home}/home/erp/erp.db#gl_interface"), ("file", f"{home}/home/erp/drop/{sent}.beancount"),
    } == targets  # fmt: skip
    assert {one["lines"] for one in batches.values()} == {
        out["outputFacets"]["outputStatistics"]["rowCount"] for out in built["outputs"]
    }


def test_a_journal_column_names_the_cells_it_comes_from_and_the_rules(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = to_file(home, monkeypatch)
    run(home, [claim()])
    fields = events(path)[1]["outputs"][0]["facets"]["columnLineage"]["fields"]
    account = {one["field"]: [step["description"] for step in one["transformations"]] for one in
               fields["account"]["inputFields"]}  # fmt: skip
    loaded = events(path)[3]["outputs"][0]["facets"]["columnLineage"]["fields"]

    assert {"Company", "Expense Type", "Date", "Tax Code", "Paid By"} == set(account)
    assert [
        "expense_type (sources/expense_csv.yml line 28) by journals/group_expense.yml line 18"
    ] == account["Expense Type"]  # fmt: skip
    debit = {one["field"] for one in fields["debit_minor"]["inputFields"]}
    assert {"Amount", "Tax", "Company", "Tax Code", "Date"} == debit
    assert {"Amount"} == {one["field"] for one in fields["credit_minor"]["inputFields"]}
    assert {"Approved"} == {one["field"] for one in fields["posting_date"]["inputFields"]}
    assert [("debit_minor", "targets/oracle_ebs_gl_interface.yml line 24")] == [
        (one["field"], one["transformations"][0]["description"]) for one in loaded["entered_dr"]["inputFields"]
    ]


def test_a_run_that_airflow_started_names_the_task_as_its_parent(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, run_id = to_file(home, monkeypatch), "01941f29-7c00-7087-8906-40e512c257bd"
    monkeypatch.setenv("OPENLINEAGE_PARENT_ID", f"https://airflow.house/eu/nightly.claims/{run_id}")
    run(home, [claim()])
    parents = [event["run"]["facets"]["parent"] for event in events(path)]

    [check_event(event) for event in events(path)]
    named = {(one["run"]["runId"], one["job"]["namespace"], one["job"]["name"]) for one in parents}
    assert (4, {(run_id, "https://airflow.house/eu", "nightly.claims")}) == (len(parents), named)


@pytest.mark.parametrize("named", [None, "nightly"])
def test_a_run_without_a_parent_names_none(home: Path, monkeypatch: pytest.MonkeyPatch, named: str | None) -> None:
    path = to_file(home, monkeypatch)
    if named:
        monkeypatch.setenv("OPENLINEAGE_PARENT_ID", named)
    run(home, [claim()])

    assert [] == [event for event in events(path) if "parent" in event["run"]["facets"]]


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


def test_the_rule_named_is_the_line_of_the_mapping(home: Path) -> None:
    """The lines that the events name, read in the files themselves."""
    books = mapping.load(home / "mappings", "sample")
    told = origins.journal_columns(books)
    lines = (home / "mappings/journals/group_expense.yml").read_text("utf-8").splitlines()
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


def test_without_companies_between_the_bearer_is_the_company(tmp_path: Path) -> None:
    told = traced(bundle(tmp_path, journals=JOURNAL.replace("{field: cost_center}", "{field: bearer}")))

    assert {"company"} == told["cost_center"]


def test_conditions_within_conditions_are_filters(tmp_path: Path) -> None:
    when = "any: [{payer: CARD}, {all: [{project: P1}, {not: {employee_id: E9}}]}]"
    text = JOURNAL.replace("    amount: net\n", f"    amount: net\n    when:\n      {when}\n")
    books = bundle(tmp_path, journals=text)

    assert ["payer", "project", "employee_id"] == [one.field for one in origins.filters(books)]


def test_a_source_with_templates_or_components_is_traced_to_its_columns() -> None:
    folder = PROJECT / "mappings/sources"
    wide = config.load(folder / "ca_travel_claims.yml", "source")
    cards = config.load(folder / "uk_birmingham_pcards.yml", "source")
    templates = {name: entry for name, entry in cards["fields"].items() if "template" in entry}

    assert tuple(wide["unpivot"]["columns"]) == origins.source_columns(wide, "gross_minor")
    assert () == origins.source_columns(wide, "split_weight")
    extract = config.load(folder / "concur_sae.yml", "source")
    reports = config.load(folder / "concur_fis.yml", "source")
    assert ("processing_date", "advance_issued") == origins.source_columns(extract, "approved_at")
    assert ("approved",) == origins.source_columns(reports, "approved_at")
    assert templates
    assert {True} == {isinstance(origins.source_columns(cards, name), tuple) for name in templates}


def test_a_rejected_file_and_a_refused_delivery_are_failures_with_their_reason(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = to_file(home, monkeypatch)
    (home / "in").mkdir()
    bad = home / "in/expenses_2026-02_001.csv"
    bad.write_text(content([claim()]).replace("TRAILER", "TRAILED"), "utf-8")
    context = pipeline.open("sample", settings=config.settings())
    result = pipeline.run(context, bad)
    told = events(path)

    assert 1 == len(result["files_rejected"])
    assert ["START", "FAIL"] == [event["eventType"] for event in told]
    assert [] == told[1]["outputs"]
    assert told[1]["run"]["facets"]["errorMessage"]["message"].startswith(result["files_rejected"][0]["code"])


class Collector(BaseHTTPRequestHandler):
    """An OpenLineage server small enough to read: it keeps what is posted to it."""

    received: list[tuple[str, dict[str, Any]]]

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.received.append((self.path, json.loads(body)))
        self.send_response(201)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Keep the test's output free of access lines."""


@pytest.fixture
def server() -> Iterator[tuple[str, list[tuple[str, dict[str, Any]]]]]:
    received: list[tuple[str, dict[str, Any]]] = []
    handler = type("Handler", (Collector,), {"received": received})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as http:
        threading.Thread(target=http.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{http.server_port}", received
        http.shutdown()


def test_events_reach_a_server_by_http(
    home: Path, server: tuple[str, list[tuple[str, dict[str, Any]]]], monkeypatch: pytest.MonkeyPatch
) -> None:
    url, received = server
    monkeypatch.setenv("AIRFLOW__OPENLINEAGE__TRANSPORT", json.dumps({"type": "http", "url": url}))
    run(home, [claim()])

    [check_event(event) for _, event in received]
    assert {"/api/v1/lineage"} == {path for path, _ in received}
    assert ["START", "COMPLETE", "START", "COMPLETE"] == [event["eventType"] for _, event in received]


def test_a_dead_server_costs_one_warning_and_no_run(
    home: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    transport = {"type": "http", "url": "http://127.0.0.1:9", "timeout": 1, "retry": {"total": 0}}
    monkeypatch.setenv("AIRFLOW__OPENLINEAGE__TRANSPORT", json.dumps(transport))
    logger = logging.getLogger("etl.pipeline.lineage")
    monkeypatch.setattr(logger, "disabled", False)  # Airflow, once imported, may have done that
    caplog.set_level(logging.WARNING, logger=logger.name)  # and it sets the root logger to ERROR
    result = run(home, [claim()])
    told = [record for record in caplog.records if record.name == "etl.pipeline.lineage"]

    assert (1, True) == (result["posted"], result["explained"])
    assert ["no more lineage events in this run"] == [record.getMessage().split(":")[0] for record in told]


def test_without_a_transport_nothing_is_imported_or_sent(home: Path) -> None:
    code = "import sys; from etl import cli; sys.argv[1:] = ['run', 'sample', '--input', sys.argv[1], '--json']\n"
    code += "try: cli.main()\nexcept SystemExit: pass\nassert 'openlineage' not in sys.modules\n"
    code += "assert 'etl.pipeline.lineage' in sys.modules"
    path = deliver(home / "in", [claim()])
    done = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=False)

    assert (0, "") == (done.returncode, done.stderr)


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({}, False),
        ({"OPENLINEAGE_URL": "http://127.0.0.1:5000"}, True),
        ({"OPENLINEAGE_CONFIG": "x.yml"}, True),
        ({"OPENLINEAGE__TRANSPORT__TYPE": "console"}, True),
        ({"AIRFLOW__OPENLINEAGE__TRANSPORT": "{}"}, True),
        ({"OPENLINEAGE_URL": "http://127.0.0.1:5000", "OPENLINEAGE_DISABLED": "TRUE"}, False),
    ],
)
def test_a_transport_is_configured_the_standard_way(environment: dict[str, str], expected: bool, home: Path) -> None:
    assert expected == lineage.configured(environment)
