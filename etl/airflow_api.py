"""Airflow's REST interface (v2) at the connection `airflow_api`: its DAG runs and their tasks, and to clear them."""

from __future__ import annotations

import ssl
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final
from urllib.parse import quote, urlsplit

import httpx
import tenacity

from etl import transport
from etl.errors import ConfigurationError, TransientError
from etl.transport import Connection

CONNECTION_ID: Final = "airflow_api"
REQUEST_SECONDS: Final = 30
REQUEST_TRIES: Final = 6  # after 1, 2, 4, 8 and 16 seconds: an api-server that restarts is back by then
POLL_SECONDS: Final = 5
PAGE, PAGES_MAX = 100, 10
ENDED: Final = ("success", "failed")  # states of a DAG run that has ended
_HERE: Final = ("localhost", "127.0.0.1", "::1")
_BUSY: Final = (429, 500, 502, 503, 504)
Facts = Mapping[str, Any]
Task = str | tuple[str, int]  # a task, or one of its mapped instances


class AirflowApi:
    """A running Airflow, logged in. Close it, or use it in a `with`.

    Raises ConfigurationError CONNECTION (address, login, rights), NO_RUN, and TransientError NOT_REACHED.
    """

    def __init__(
        self, at: Connection, over: httpx.BaseTransport | None = None, sleep: Callable[[float], None] = time.sleep
    ) -> None:
        self._at, self._sleep = at, sleep
        self._client = httpx.Client(
            base_url=_checked(at), timeout=REQUEST_SECONDS, verify=_trust(at), transport=over, follow_redirects=False
        )
        self._login()

    def __enter__(self) -> AirflowApi:
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()

    def runs(self, dag_id: str) -> Iterator[Facts]:
        """The DAG runs of a DAG, newest first, the last thousand."""
        for page in range(PAGES_MAX):
            query = {"order_by": "-run_after", "limit": PAGE, "offset": page * PAGE}
            found = self._call("GET", f"{_dag(dag_id)}/dagRuns", "DAG", dag_id, params=query)["dag_runs"]
            yield from found
            if len(found) < PAGE:
                return

    def run(self, dag_id: str, run_id: str) -> Facts:
        """One DAG run."""
        return self._call("GET", _run(dag_id, run_id), "DAG run", run_id)

    def tasks(self, dag_id: str, run_id: str) -> list[Facts]:
        """The task instances of a DAG run."""
        found: list[Facts] = []
        for page in range(PAGES_MAX):
            query = {"limit": PAGE, "offset": page * PAGE}
            path = f"{_run(dag_id, run_id)}/taskInstances"
            more = self._call("GET", path, "DAG run", run_id, params=query)["task_instances"]
            found += more
            if len(more) < PAGE:
                break
        return found

    def ended(self, dag_id: str, run_id: str, seconds: int) -> Facts:
        """The DAG run once it has ended; raises TransientError RUN_OPEN when it has not within `seconds`."""
        waiting = tenacity.Retrying(
            retry=tenacity.retry_if_result(lambda run: run["state"] not in ENDED),
            stop=tenacity.stop_after_delay(seconds) | tenacity.stop_after_attempt(1 + seconds // POLL_SECONDS),
            wait=tenacity.wait_fixed(POLL_SECONDS), sleep=self._sleep,
        )  # fmt: skip
        try:
            return waiting(self.run, dag_id, run_id)
        except tenacity.RetryError as error:
            state = error.last_attempt.result()["state"]
            raise TransientError("RUN_OPEN", value=run_id, detail=f"{state} after {seconds // 60} minutes") from error

    def clear(self, dag_id: str, run_id: str, tasks: Sequence[Task], note: str) -> None:
        """Clear these tasks and all that follow them, whatever came of those; nothing when one of them runs already,
        for somebody else has cleared it."""
        body = {
            "dry_run": False, "only_failed": False, "include_downstream": True, "reset_dag_runs": True,
            "prevent_running_task": True, "dag_run_id": run_id, "task_ids": list(tasks), "note": note,
        }  # fmt: skip
        self._call("POST", f"{_dag(dag_id)}/clearTaskInstances", "DAG run", run_id, json=body)

    # --- requests

    def _call(self, method: str, path: str, field: str, value: str, **content: Any) -> Facts:
        """One request's JSON answer; asked again while the server is away, and after a new login when it is over."""
        answer = self._asked(method, path, **content)
        if answer.status_code == httpx.codes.UNAUTHORIZED:
            self._login()
            answer = self._asked(method, path, **content)
        if answer.status_code == httpx.codes.NOT_FOUND:
            raise ConfigurationError("NO_RUN", field=field, value=value)
        if answer.status_code == httpx.codes.CONFLICT:
            return {}
        if answer.status_code == httpx.codes.FORBIDDEN:
            raise self._unusable(f"user {self._at.login} may not {method} {path}")
        return self._json(answer, path)

    def _login(self) -> None:
        """Get a token. What is sent and answered here is never told."""
        given = {"username": self._at.login, "password": self._at.password}
        self._client.headers.pop("Authorization", None)
        answer = self._asked("POST", "/auth/token", json=given)
        if answer.status_code in (httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN, httpx.codes.UNPROCESSABLE_ENTITY):
            raise self._unusable(f"Airflow refuses the login of {self._at.login or 'nobody'}")
        token = self._json(answer, "/auth/token").get("access_token")
        if not token:
            raise self._unusable("the answer to the login holds no token: this is no Airflow 3")
        self._client.headers["Authorization"] = f"Bearer {token}"

    def _json(self, answer: httpx.Response, path: str) -> Facts:
        if not answer.is_success or "json" not in answer.headers.get("Content-Type", ""):
            raise self._unusable(f"{path} answers {answer.status_code}, which is not what Airflow 3 says")
        found: Facts = answer.json()
        return found

    def _asked(self, method: str, path: str, **content: Any) -> httpx.Response:
        trying = tenacity.Retrying(
            retry=tenacity.retry_if_exception_type(TransientError), stop=tenacity.stop_after_attempt(REQUEST_TRIES),
            wait=tenacity.wait_exponential(), sleep=self._sleep, reraise=True,
        )  # fmt: skip
        return trying(self._once, method, path, **content)

    def _once(self, method: str, path: str, **content: Any) -> httpx.Response:
        try:
            answer = self._client.request(method, path, **content)
        except httpx.TransportError as error:
            if "CERTIFICATE_VERIFY_FAILED" in str(error):
                raise self._unusable(f"its certificate is not trusted ({error})") from error
            raise self._away(str(error) or type(error).__name__) from error
        if answer.status_code in _BUSY:
            raise self._away(f"it answers {answer.status_code}")
        return answer

    def _away(self, detail: str) -> TransientError:
        return TransientError("NOT_REACHED", value=f"Airflow at {self._at.url}", detail=detail)

    def _unusable(self, detail: str) -> ConfigurationError:
        return _refused(self._at, detail)


def connect() -> AirflowApi:
    """The Airflow that the connection `airflow_api` names; raises CONNECTION when nobody knows it."""
    return AirflowApi(transport.connection(CONNECTION_ID))


def _checked(at: Connection) -> str:
    """The address; the password goes over TLS, or stays on this machine."""
    if at.kind != transport.HTTP:
        raise _refused(at, "is no http or https address")
    parts = urlsplit(at.url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise _refused(at, f"{at.url} is no http or https address")
    if parts.scheme == "http" and parts.hostname not in _HERE:
        raise _refused(at, f"{at.url} would send the password in clear; use https")
    return at.url


def _trust(at: Connection) -> ssl.SSLContext:
    """The system's certificates, or those of the file in the connection's extra `ca_file`."""
    file = at.extra.get("ca_file")
    try:
        return ssl.create_default_context(cafile=file)
    except OSError as error:
        raise _refused(at, f"ca_file {file} cannot be read: {error.strerror or error}") from error


def _refused(at: Connection, detail: str) -> ConfigurationError:
    return ConfigurationError("CONNECTION", value=at.conn_id, name=at.conn_id.upper(), detail=detail)


def _dag(dag_id: str) -> str:
    return f"/api/v2/dags/{quote(dag_id, safe='')}"


def _run(dag_id: str, run_id: str) -> str:
    return f"{_dag(dag_id)}/dagRuns/{quote(run_id, safe='')}"
