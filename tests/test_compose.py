"""docker-compose.yml without a Docker engine: it fits its schema, and all that it names is there."""

from __future__ import annotations

import json
import os
import re
import runpy
import shlex
import subprocess
import sys
from collections.abc import Iterator
from importlib import resources
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import servers
import yaml

from etl import transport
from sandbox import ui

PROJECT = Path(__file__).resolve().parent.parent
TEXT = (PROJECT / "docker-compose.yml").read_text("utf-8")
COMPOSE: dict[str, Any] = yaml.safe_load(TEXT)
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
DOCKERFILE = (PROJECT / "deploy/Dockerfile").read_text("utf-8")
EXAMPLE = (PROJECT / ".env.example").read_text("utf-8")
MAKE_ENV = runpy.run_path(str(PROJECT / "deploy/make_env.py"))
AIRFLOW = SERVICES["scheduler"]["environment"]

# Runs where Airflow may be imported: prints the options nobody knows and the commands that do not parse.
ASK_AIRFLOW = """
import contextlib, io, json, sys
from airflow.cli import cli_parser
from airflow.configuration import conf
from airflow.providers_manager import ProvidersManager
ProvidersManager().initialize_providers_configuration()
known = {(s, o) for s, part in conf.configuration_description.items() for o in part["options"]}
asked = json.load(sys.stdin)
wrong = [option for option in asked["options"] if tuple(option) not in known]
for command in asked["commands"]:
    said = io.StringIO()
    try:
        with contextlib.redirect_stderr(said):
            cli_parser.get_parser().parse_args(command)
    except SystemExit:
        wrong.append([*command, said.getvalue()[-200:]])
print(json.dumps(wrong))
"""


def commands() -> Iterator[list[str]]:
    """Every command of every service and health check, as the words that the container would run."""
    for service in SERVICES.values():
        for words in (service.get("command", []), service["healthcheck"]["test"] if "healthcheck" in service else []):
            words = words[1:] if words[:1] in (["CMD"], ["CMD-SHELL"]) else words
            if len(words) == 1 or words[:2] == ["bash", "-euc"]:
                script = words[-1].replace("\\\n", " ").replace("$$", "$")
                yield from (shlex.split(part) for part in re.split(r"\n|&&|\|\||;", script) if part.strip())
            elif words:
                yield words


def started(program: str) -> list[list[str]]:
    """The commands that start this program, without its name."""
    return [words[1:] for words in commands() if words[0] == program]


def airflow_options(home: Path) -> list[tuple[str, str]]:
    """Section and option of every AIRFLOW__SECTION__OPTION, in the containers and in `make run` and `make ui`."""
    ours = ui.settings(home, "://{database}", 8080, "password")
    names = [name.split("__") for name in sorted({*AIRFLOW, *ours}) if name.startswith("AIRFLOW__")]
    return [(section.lower(), option.lower()) for _, section, option in names]


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Airflow's variables as the containers would have them, with a fresh .env filled in."""
    filled = {**dict(re.findall(r"^([A-Z_]+)=(.+)$", EXAMPLE, re.MULTILINE)), **MAKE_ENV["values"]()}
    out = {
        name: re.sub(r"\$\{([A-Z_]+)[^}]*\}", lambda match: filled[match[1]], value) for name, value in AIRFLOW.items()
    }
    for name, value in out.items():
        if name.startswith("AIRFLOW_CONN_"):
            monkeypatch.setenv(name, value)
    return out


def test_it_fits_the_compose_schema() -> None:
    schema = resources.files("check_jsonschema") / "builtin_schemas/vendor/compose-spec.json"
    validator = jsonschema.Draft7Validator(json.loads(schema.read_text("utf-8")))

    assert [f"{list(error.absolute_path)} {error.message}" for error in validator.iter_errors(COMPOSE)] == []


def test_every_part_that_was_promised_is_a_service() -> None:
    promised = {"postgres", "redis", "api-server", "scheduler", "dag-processor", "triggerer", "worker", "sftp"}

    assert {*promised, "sandbox-erp", "prepare"} == set(SERVICES)


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_is_pinned_unprivileged_and_watched(name: str) -> None:
    service = SERVICES[name]

    assert re.search(r":\d+\.\d+", service["image"]), "the image has no version"
    assert service["user"] not in ("", "root", "0", "0:0")
    assert service["cap_drop"] == ["ALL"]
    assert ("healthcheck" in service) == (name != "prepare")


def test_every_base_image_has_a_version_and_runs_as_a_user() -> None:
    stages = re.split(r"^FROM ", DOCKERFILE, flags=re.MULTILINE)[1:]

    assert re.match(r"[a-z]+:\d+\.\d+\.\d+-", stages[0])
    assert [stage.split()[2] for stage in stages[1:] if "\nUSER 10001:10001\n" not in stage] == []


def test_every_variable_is_explained_in_the_example_and_only_those() -> None:
    used = set(re.findall(r"(?<!\$)\$\{([A-Z_]+)", TEXT))

    assert set(re.findall(r"^([A-Z_]+)=", EXAMPLE, re.MULTILINE)) == used


def test_make_env_fills_every_empty_variable_with_a_new_secret(tmp_path: Path) -> None:
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        MAKE_ENV["main"](tmp_path / folder)
    written, other = ((tmp_path / folder / ".env").read_text("utf-8") for folder in ("a", "b"))
    secret = set(re.findall(r"^([A-Z_]+)=$", EXAMPLE, re.MULTILINE))
    values = [dict(re.findall(r"^([A-Z_]+)='?(.+?)'?$", text, re.MULTILINE)) for text in (written, other)]

    assert {name for name in values[0] if values[0][name] != values[1][name]} == secret
    assert (tmp_path / "a/.env").stat().st_mode & 0o077 == 0


def test_an_env_file_that_is_there_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("POSTGRES_PASSWORD=mine\n", "utf-8")

    MAKE_ENV["main"](tmp_path)

    assert (tmp_path / ".env").read_text("utf-8") == "POSTGRES_PASSWORD=mine\n"


def test_airflow_knows_every_option_and_every_command(environment: dict[str, str], tmp_path: Path) -> None:
    asked = {"options": airflow_options(tmp_path), "commands": started("airflow")}
    parse_as = {name: environment[name] for name in ("AIRFLOW__CORE__AUTH_MANAGER", "AIRFLOW__CORE__EXECUTOR")}

    answer = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", ASK_AIRFLOW],
        input=json.dumps(asked),
        env={**os.environ, **parse_as, "AIRFLOW_HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    )

    assert len(asked["commands"]) >= 8
    assert json.loads(answer.stdout.splitlines()[-1]) == []


def test_every_python_module_takes_the_options_it_is_given() -> None:
    modules = [words[1:] for words in started("python") if words[0] == "-m"]

    said = {
        " ".join(words): subprocess.run(
            [sys.executable, "-m", *words, "--help"], cwd=PROJECT, capture_output=True, check=False
        ).returncode
        for words in modules
    }

    assert len(said) >= 5
    assert [command for command, code in said.items() if code] == []


def test_the_celery_application_that_is_pinged_exists() -> None:
    [words] = started("celery")

    module, _, name = words[words.index("--app") + 1].rpartition(".")
    path = Path(*module.split(".")).with_suffix(".py")
    roots = [Path(root) for root in sys.path]
    found = [root / path for root in roots if (root / path).is_file()]

    assert re.search(rf"^\s*(def {name}|{name}\s*=|if name == \"{name}\")", found[0].read_text("utf-8"), re.MULTILINE)


def test_every_path_that_is_mounted_or_copied_exists() -> None:
    mounted = [v.split(":")[0] for s in SERVICES.values() for v in s.get("volumes", []) if v.startswith(".")]
    copied = [word for line in re.findall(r"^COPY (.+)$", DOCKERFILE, re.MULTILINE) for word in line.split()[:-1]]
    builds = [s["build"]["dockerfile"] for s in SERVICES.values() if "build" in s]

    assert [path for path in [*mounted, *copied, *builds] if not (PROJECT / path).exists()] == []


def test_every_folder_of_the_project_that_a_container_uses_is_copied_into_it() -> None:
    used = re.findall(r"/opt/claimpost/([a-z]+)", TEXT)
    copied = re.findall(r"^COPY ([a-z]+) \1$", DOCKERFILE, re.MULTILINE)

    assert set(used) <= set(copied)
    assert {"etl", "validations", "sandbox", "mappings", "dags", "plugins"} <= set(copied)


def test_every_named_volume_and_every_build_target_is_declared() -> None:
    volumes = {v.split(":")[0] for s in SERVICES.values() for v in s.get("volumes", []) if not v.startswith(".")}
    targets = {s["build"]["target"] for s in SERVICES.values() if "build" in s}

    assert volumes == set(COMPOSE["volumes"])
    assert targets <= set(re.findall(r"^FROM \S+ AS (\w+)$", DOCKERFILE, re.MULTILINE))


def test_the_connections_are_what_the_feed_names_and_can_be_read(environment: dict[str, str]) -> None:
    feed = yaml.safe_load((PROJECT / "mappings/feeds/sample.yml").read_text("utf-8"))
    named = {feed["source"]["connection"], *(target["connection"] for target in feed["targets"])}

    found = {name: transport.connection(name) for name in named}

    assert {f"AIRFLOW_CONN_{name.upper()}" for name in named} == {n for n in environment if "_CONN_S" in n}
    assert {name: (one.kind, one.path) for name, one in found.items()} == {
        "sample_source": ("sftp", "/srv/sftp/inbox"),
        "sample_erp_drop": ("sftp", "/srv/sftp/drop"),
        "sample_erp_db": ("database", ""),
    }
    assert found["sample_source"].extra["private_key"].startswith("-----BEGIN OPENSSH PRIVATE KEY-----\n")
    assert found["sample_source"].extra["host_key"].startswith("ssh-ed25519 AAAA")


def test_the_sftp_server_takes_its_configuration_and_a_generated_key(tmp_path: Path) -> None:
    if not servers.sshd_present():
        pytest.skip("OpenSSH's server is not installed (Debian: openssh-server)")
    host_key, _ = MAKE_ENV["ssh_key"]()
    (tmp_path / "host_key").touch(mode=0o600)
    (tmp_path / "host_key").write_bytes(host_key)
    config = (PROJECT / "deploy/sshd_config").read_text("utf-8").replace("/run/claimpost", str(tmp_path))
    (tmp_path / "sshd_config").write_text(config, "utf-8")
    if os.geteuid() == 0:  # wanted by a server that root starts; ours runs as a user
        Path("/run/sshd").mkdir(exist_ok=True)

    result = subprocess.run(
        ["/usr/sbin/sshd", "-t", "-f", tmp_path / "sshd_config"], capture_output=True, text=True, check=False
    )

    assert (result.returncode, result.stderr) == (0, "")


@pytest.mark.parametrize("path", ["deploy/sftp-start"])
def test_every_script_is_one_that_the_shell_takes(path: str) -> None:
    scripts = [s["command"][-1].replace("$$", "$") for s in SERVICES.values() if s.get("command", [])[:1] == ["bash"]]

    codes = [subprocess.run(["bash", "-n"], input=script, text=True, check=False).returncode for script in scripts]
    codes.append(subprocess.run(["sh", "-n", PROJECT / path], check=False).returncode)

    assert codes == [0, 0, 0]
    assert os.access(PROJECT / path, os.X_OK)
