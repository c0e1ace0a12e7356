"""The values for Kubernetes: their form, that no secret is in them, and that they agree with what runs elsewhere."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

PROJECT = Path(__file__).resolve().parents[1]
FOLDER = PROJECT / "deploy/kubernetes"
FILES = sorted(FOLDER.glob("*.yaml"))
README = (PROJECT / "deploy/README.md").read_text("utf-8")
PODS = ("resources", "serviceAccount", "extraVolumes", "extraVolumeMounts")


def read(name: str) -> dict[str, Any]:
    """The values of one file."""
    found: dict[str, Any] = yaml.safe_load((FOLDER / name).read_text("utf-8"))
    return found


def leaves(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Every scalar, with its path."""
    if isinstance(value, dict | list):
        pairs = value.items() if isinstance(value, dict) else enumerate(value)
        for key, child in pairs:
            yield from leaves(child, f"{path}.{key}")
    else:
        yield path, value


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_no_value_is_a_secret(path: Path) -> None:
    for name, value in leaves(read(path.name)):
        assert not re.search(r"(?i)(password|secretkey|token|fernetkey|brokerurl|sql_alchemy_conn)$", name) or (
            value is False
        ), name
        assert not re.search(r"://[^/]*:[^/]*@", str(value)), name


def test_every_secret_that_is_named_is_told_of() -> None:
    told = README.replace("`-api`, `-jwt`", "`claimpost-airflow-api`, `claimpost-airflow-jwt`")
    told = told.replace("`-results`", "`claimpost-airflow-results`")
    for path in FILES:
        for name, value in leaves(read(path.name)):
            if name.endswith(("SecretName", "secretRef.name")):
                assert f"`{value}`" in told, value
    for line in re.findall(r"secretRef: \{name: ([a-z-]+)\}", read("values.yaml")["extraEnvFrom"]):
        assert f"`{line}`" in told


def test_nothing_runs_as_root_or_asks_kubernetes() -> None:
    values = read("values.yaml")
    pod, container = values["securityContexts"]["pod"], values["securityContexts"]["containers"]
    assert pod["runAsNonRoot"] and pod["runAsUser"] == 10001
    assert (False, ["ALL"]) == (container["allowPrivilegeEscalation"], container["capabilities"]["drop"])
    for account in (values["workers"]["kubernetes"], read("celery-values.yaml")["workers"]["celery"]):
        assert account["serviceAccount"]["automountServiceAccountToken"] is False


def test_every_part_says_what_it_needs() -> None:
    values, celery = read("values.yaml"), read("celery-values.yaml")
    parts = [values[name] for name in ("scheduler", "dagProcessor", "apiServer")]
    for part in (*parts, values["workers"]["kubernetes"], celery["workers"]["celery"]):
        assert {"cpu", "memory"} == set(part["resources"]["requests"]) and "memory" in part["resources"]["limits"]


def test_workers_have_their_own_home_and_share_objects() -> None:
    values, celery = read("values.yaml"), read("celery-values.yaml")
    env = {one["name"]: one["value"] for one in values["env"]}
    assert env["CLAIMPOST_OBJECTS"].startswith("s3://")
    for pods in (values["workers"]["kubernetes"], celery["workers"]["celery"]):
        assert set(PODS) <= set(pods)
        assert [env["CLAIMPOST_HOME"]] == [one["mountPath"] for one in pods["extraVolumeMounts"]]
        assert "emptyDir" in pods["extraVolumes"][0]


def test_keda_scales_by_the_queue_and_no_message_comes_back_too_soon() -> None:
    celery = read("celery-values.yaml")
    keda, seconds = celery["workers"]["celery"]["keda"], celery["config"]["celery_broker_transport_options"]
    assert keda["enabled"] and keda["minReplicaCount"] < keda["maxReplicaCount"]
    assert "'running', 'queued'" in keda["query"]
    assert int(seconds["visibility_timeout"]) == celery["workers"]["celery"]["terminationGracePeriodSeconds"]
    compose = (PROJECT / "docker-compose.yml").read_text("utf-8")
    assert f'VISIBILITY_TIMEOUT: "{seconds["visibility_timeout"]}"' in compose
