"""Lineage events: made from the mapping, sent only where a transport is configured, and never worth a run."""

from __future__ import annotations

import json
import logging
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from claims import claim, content, deliver, ungated

from etl import config, pipeline
from etl.pipeline import lineage

PROJECT = Path(__file__).resolve().parents[1]
UUID = re.compile("[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home with the bundled mappings without the gate of `sample`, and an environment without any transport."""
    ungated(tmp_path)
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
