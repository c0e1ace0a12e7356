"""`claimpost rerun`: waits, clears, looks whether it took, and says what came of it; no secret is told."""

from __future__ import annotations

import json
import logging
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import httpx
import pytest
from click.testing import CliRunner

from etl.airflow_api import AirflowApi
from etl.cli import main
from etl.errors import ClaimpostError, ConfigurationError, TransientError
from etl.rerun import STEPS, rerun
from etl.transport.connections import Connection, from_text

PASSWORD = "hunter2-is-secret"  # of nobody
AT = from_text("airflow_api", f"https://ann:{PASSWORD}@airflow.example.com:8443/prefix")
FOLLOWS = {"deliver": ["acknowledge", "prove"], "acknowledge": ["prove"], "prove": []}


@dataclass
class Run:
    """A DAG run of the fake: its tasks' states, and what the next ends will be, one for each clear."""

    run_id: str
    state: str
    tasks: dict[str, str | None]
    ends: list[dict[str, str | None]] = field(default_factory=list)
    key: str | None = None
    index: int = -1
    looks: int = 0  # times that it is still seen running
    slow: int = 2  # the same, after each clear

    def seen(self) -> dict[str, Any]:
        if self.looks:
            self.looks -= 1
            return self.facts("running")
        return self.facts(self.state)

    def facts(self, state: str) -> dict[str, Any]:
        return {"dag_run_id": self.run_id, "state": state, "partition_key": self.key}

    def clear(self, body: dict[str, Any]) -> None:
        """As Airflow does it: these and what follows lose their state; then the next end comes."""
        names = [one if isinstance(one, str) else one[0] for one in body["task_ids"]]
        names += [after for name in names for after in FOLLOWS.get(name, [])]
        self.tasks |= dict.fromkeys(names)
        self.tasks |= self.ends.pop(0)
        self.state = "success" if all(state == "success" for state in self.tasks.values()) else "failed"
        self.looks = self.slow


class Airflow(httpx.MockTransport):
    """A small Airflow: DAG runs by DAG, tokens that are over after a while, and answers that it gives first."""

    def __init__(self, **runs: list[Run]) -> None:
        super().__init__(self.answer)
        self.dags = {f"sample__{step}": runs.get(step, []) for step in STEPS}
        self.first: list[Callable[[], httpx.Response]] = []
        self.bodies: list[dict[str, Any]] = []
        self.logins, self.token, self.taken = 0, "", False

    def answer(self, request: httpx.Request) -> httpx.Response:
        assert "airflow.example.com" == request.url.host
        if self.first:
            return self.first.pop(0)()
        path = request.url.path.removeprefix("/prefix")
        if path == "/auth/token":
            self.logins += 1
            self.token = f"token{self.logins}"
            return httpx.Response(201, json={"access_token": self.token})
        if request.headers["Authorization"] != f"Bearer {self.token}":
            return httpx.Response(401, json={"detail": "Invalid JWT token"})
        dag, rest = re.fullmatch(r"/api/v2/dags/([^/]+)/(.+)", path).groups()  # type: ignore[union-attr]
        if dag not in self.dags:
            return httpx.Response(404, json={"detail": "The DAG was not found"})
        return self.of_dag(self.dags[dag], rest, request)

    def of_dag(self, runs: list[Run], rest: str, request: httpx.Request) -> httpx.Response:
        if rest == "dagRuns":
            first = int(request.url.params["offset"])
            page = [one.facts("running" if one.looks else one.state) for one in runs[first : first + 100]]
            return httpx.Response(200, json={"dag_runs": page})
        if rest == "clearTaskInstances":
            body = json.loads(request.content)
            self.bodies.append(body)
            next(one for one in runs if one.run_id == body["dag_run_id"]).clear(body)
            return httpx.Response(409 if self.taken else 200, json={"task_instances": []})
        name, _, tasks = rest.removeprefix("dagRuns/").partition("/")
        (run,) = [one for one in runs if one.run_id == name]
        if not tasks:
            return httpx.Response(200, json=run.seen())
        rows = [{"task_id": k, "map_index": run.index, "state": v} for k, v in run.tasks.items()]
        first = int(request.url.params["offset"])
        return httpx.Response(200, json={"task_instances": rows[first : first + 100]})


WELL: dict[str, str | None] = {"deliver": "success", "acknowledge": "success", "prove": "success"}
BROKEN: dict[str, str | None] = {"deliver": "failed", "acknowledge": "upstream_failed", "prove": "upstream_failed"}
LOST: dict[str, str | None] = dict.fromkeys(WELL)


def broken(run_id: str, *ends: dict[str, str | None], **more: Any) -> Run:
    return Run(run_id, "failed", dict(BROKEN), [dict(one) for one in ends], **more)


def opened(airflow: Airflow, at: Connection = AT) -> AirflowApi:
    return AirflowApi(at, airflow, sleep=lambda seconds: None)


def again(airflow: Airflow, run_id: str = "", minutes: int = 1) -> list[str]:
    """What came of each run: id, state, how often it was cleared, tasks that are not well."""
    with opened(airflow) as api:
        found = rerun(api, "sample", run_id, minutes, "claimpost rerun by ann")
    return [f"{one['run_id']} {one['state']} {one['cleared']} {' '.join(one['failed'])}".strip() for one in found]


def test_a_run_that_runs_is_waited_for_cleared_with_all_that_follows_and_waited_for_again() -> None:
    airflow = Airflow(load=[broken("r1", WELL, looks=3)])

    assert ["r1 success 1"] == again(airflow)
    (body,) = airflow.bodies
    assert set(BROKEN) == set(body["task_ids"])
    wanted = {"dry_run": False, "only_failed": False, "include_downstream": True, "prevent_running_task": True}
    assert wanted == {name: body[name] for name in wanted}
    assert "claimpost rerun by ann" == body["note"]


def test_a_task_behind_the_failed_one_is_repeated_although_it_succeeded() -> None:
    run = broken("r1", WELL)
    run.tasks |= {"acknowledge": "failed", "deliver": "success", "prove": "success"}
    airflow = Airflow(load=[run])

    assert ["r1 success 1"] == again(airflow)
    assert ["acknowledge"] == airflow.bodies[0]["task_ids"]
    assert airflow.bodies[0]["include_downstream"] and not airflow.bodies[0]["only_failed"]


def test_a_run_whose_clearing_was_lost_is_cleared_again_and_at_most_five_times() -> None:
    assert ["r1 success 3"] == again(Airflow(load=[broken("r1", LOST, LOST, WELL)]))
    assert ["r1 failed 5 acknowledge deliver prove"] == again(Airflow(load=[broken("r1", *[LOST] * 9)]))


def test_a_run_that_fails_again_is_not_cleared_again() -> None:
    assert ["r1 failed 1 acknowledge deliver prove"] == again(Airflow(load=[broken("r1", BROKEN, WELL)]))


def test_the_newest_run_of_each_step_and_batch_counts() -> None:
    load = [
        broken("b1-second", WELL, key="B1"), Run("b2-second", "success", dict(WELL), key="B2"),
        broken("b1-first", key="B1"), broken("b2-first", key="B2"),
        *[Run(f"old{number}", "success", dict(WELL), key=f"B{number}") for number in range(3, 120)],
        broken("b120", WELL, key="B120"),
    ]  # fmt: skip
    extract = [Run("running", "running", {"land": "success", "judge_files": None}), broken("old")]
    build = [Run("broken", "failed", {"seal": "failed"}, [{"seal": "success"}])]

    assert ["broken success 1", "b1-second success 1", "b120 success 1"] == again(
        Airflow(extract=extract, build=build, load=load)
    )


def test_nothing_failed_and_a_run_by_name_that_is_well() -> None:
    well = [Run("r1", "success", dict(WELL), looks=2)]

    assert [] == again(Airflow(load=well))
    assert ["r1 success 0"] == again(Airflow(load=well), "r1")


def test_a_failed_task_in_a_run_that_is_green_is_found_by_name() -> None:
    """A leaf that runs whatever came before makes the run a success."""
    hidden = Run("r1", "success", {"deliver": "failed", "prove": "success"}, [WELL])

    assert ["r1 success 1"] == again(Airflow(load=[hidden]), "r1")


def test_one_of_many_mapped_tasks_is_cleared_by_its_number() -> None:
    airflow = Airflow(load=[broken("r1", WELL, index=3)])

    assert ["r1 success 1"] == again(airflow)
    assert ["deliver", 3] in airflow.bodies[0]["task_ids"]


def test_a_run_that_does_not_end_is_given_up() -> None:
    with pytest.raises(TransientError, match=r"RUN_OPEN DAG run r1 has not ended: running after 1 minutes"):
        again(Airflow(load=[Run("r1", "running", dict(BROKEN), looks=99)]))


def test_a_server_that_restarts_and_a_token_that_is_over_are_outlived() -> None:
    airflow = Airflow(load=[broken("r1", WELL)])

    def away() -> httpx.Response:
        raise httpx.ConnectError("connection refused")

    with opened(airflow) as api:
        airflow.token = "another"
        airflow.first = [away, lambda: httpx.Response(503)]
        assert ["r1"] == [one["run_id"] for one in rerun(api, "sample")]
    assert 2 == airflow.logins


def test_a_task_that_somebody_else_has_cleared_is_left_alone() -> None:
    airflow = Airflow(load=[broken("r1", WELL)])
    airflow.taken = True

    assert ["r1 success 1"] == again(airflow)


NO_JSON = httpx.Response(200, text="<html>a proxy says hello</html>")
WRONG: dict[str, tuple[httpx.Response, str]] = {
    "login": (httpx.Response(401, json={"detail": "Invalid credentials"}), "Airflow refuses the login of ann"),
    "echo": (httpx.Response(422, json={"detail": [{"input": PASSWORD}]}), "Airflow refuses the login of ann"),
    "proxy": (NO_JSON, "/auth/token answers 200, which is not what Airflow 3 says"),
    "redirect": (httpx.Response(302, headers={"Location": "https://elsewhere"}), "/auth/token answers 302"),
    "tokenless": (httpx.Response(200, json={}), "this is no Airflow 3"),
    "older": (httpx.Response(404, json={"detail": "not found"}), "/auth/token answers 404"),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_is_wrong_with_the_login_is_said_without_the_password(case: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    airflow = Airflow()
    answer, expected = WRONG[case]
    airflow.first = [lambda: answer]

    with pytest.raises(ConfigurationError) as told:
        opened(airflow)
    assert "CONNECTION" == told.value.code
    assert expected in str(told.value) and "AIRFLOW_CONN_AIRFLOW_API" in str(told.value)
    assert PASSWORD not in str(told.value) + repr(AT) + caplog.text


@pytest.mark.parametrize(
    ("first", "code", "expected"),
    [
        (httpx.Response(403, json={}), "CONNECTION", "user ann may not GET"),
        (httpx.Response(404, json={}), "NO_RUN", "Airflow has no DAG 'sample__extract'"),
        (httpx.Response(400, json={}), "CONNECTION", "answers 400"),
        (httpx.Response(503, json={}), "NOT_REACHED", "it answers 503"),
    ],
)  # fmt: skip
def test_what_is_wrong_later_is_said_too(first: httpx.Response, code: str, expected: str) -> None:
    airflow = Airflow()
    with opened(airflow) as api, pytest.raises(ClaimpostError) as told:
        airflow.first = [lambda: first] * 6
        rerun(api, "sample")
    assert code == told.value.code and expected in str(told.value)


def test_a_run_that_nobody_knows_is_said_so() -> None:
    with pytest.raises(ConfigurationError, match="NO_RUN Airflow has no DAG run 'r9'"):
        again(Airflow(), "r9")


def test_a_certificate_that_is_not_trusted_is_no_matter_of_trying_again() -> None:
    airflow = Airflow()

    def untrusted() -> httpx.Response:
        raise httpx.ConnectError("[SSL: CERTIFICATE_VERIFY_FAILED] self-signed certificate")

    airflow.first = [untrusted]
    with pytest.raises(ConfigurationError, match="its certificate is not trusted"):
        opened(airflow)


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("https://ann:x@airflow.example.com", "https://airflow.example.com"),
        ("http://ann:x@airflow.example.com:8443/https", "https://airflow.example.com:8443"),
        ("http://ann:x@[::1]:8080", "http://[::1]:8080"),
        ('{"conn_type": "http", "host": "airflow.example.com", "schema": "https", "port": 8443}',
         "https://airflow.example.com:8443"),
        ('{"conn_type": "http", "host": "https://airflow.example.com/prefix/"}', "https://airflow.example.com/prefix"),
    ],
)  # fmt: skip
def test_an_address_is_written_as_airflow_writes_it(text: str, url: str) -> None:
    found = from_text("airflow_api", text)

    assert url == found.url
    assert "x" != found.password or ":x" not in repr(found)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("http://ann:x@airflow.example.com", "would send the password in clear; use https"),
        ("file:/tmp", "is no http or https address"),
        ("http://", "is no http or https address"),
        ("https://ann:x@airflow.example.com?ca_file=/nowhere/ca.pem", "ca_file /nowhere/ca.pem cannot be read"),
    ],
)  # fmt: skip
def test_an_address_that_cannot_be_trusted_is_refused(text: str, expected: str) -> None:
    with pytest.raises(ConfigurationError, match=re.escape(expected)):
        opened(Airflow(), from_text("airflow_api", text))


@contextmanager
def served(airflow: Airflow) -> Iterator[str]:
    """The fake on a port of this machine; its connection as the environment holds it."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            content = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            url = f"https://airflow.example.com{self.path}"
            answer = airflow.answer(httpx.Request(self.command, url, headers=dict(self.headers), content=content))
            self.send_response(answer.status_code)
            self.send_header("Content-Type", "application/json")
            self.end_headers()
            self.wfile.write(answer.content)

        do_POST = do_GET

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://ann:{PASSWORD}@127.0.0.1:{server.server_port}"
        server.shutdown()


def test_the_command_says_what_came_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def said(airflow: Airflow, *more: str) -> tuple[int, str]:
        with served(airflow) as connection:
            monkeypatch.setenv("AIRFLOW_CONN_AIRFLOW_API", connection)
            done = CliRunner().invoke(main, ["rerun", "sample", *more])
        return done.exit_code, done.output.strip()

    monkeypatch.delenv("AIRFLOW_CONN_AIRFLOW_API", raising=False)
    undefined = CliRunner().invoke(main, ["rerun", "sample"])
    assert (3, True) == (undefined.exit_code, "AIRFLOW_CONN_AIRFLOW_API" in undefined.output)
    fails = [broken("r1", BROKEN, slow=0)]
    assert (1, "sample__load r1: failed  acknowledge, deliver, prove") == said(Airflow(load=fails))
    assert (0, "sample__load r2: success") == said(Airflow(load=[broken("r2", WELL, slow=0)]))
    assert (0, True) == (said(Airflow())[0], "Nothing to run again" in said(Airflow())[1])
    code, told = said(Airflow(load=[broken("r1", LOST, BROKEN, slow=0)]), "--json", "--run", "r1")
    assert (1, 2) == (code, json.loads(told)["runs"][0]["cleared"])
