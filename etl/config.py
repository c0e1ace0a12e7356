"""Settings from the environment, and YAML read so that nothing is guessed.

Every scalar stays the text that was written: 0010 is "0010", NO is "NO", 6601.10 is "6601.10". Duplicate keys,
anchors, aliases, tags and files beyond the limits are refused with file and line. Documents are checked against
etl/schema.json, the one JSON Schema of all mapping files.
"""

from __future__ import annotations

import functools
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml

from etl.errors import ConfigurationError

YAML_BYTES_MAX: Final = 1_048_576
YAML_NODES_MAX: Final = 20_000
SCHEMA_PATH: Final = Path(__file__).with_name("schema.json")
# libyaml where the wheel has it: five times as fast, the same events.
_LOADER: Final[Any] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
PROJECT: Final = Path(__file__).resolve().parent.parent


@dataclass(frozen=True)
class Settings:
    """Where things are: CLAIMPOST_HOME, CLAIMPOST_MAPPINGS, CLAIMPOST_STORE_URL."""

    home: Path
    mappings: Path
    store_url: str


def settings(environment: Mapping[str, str] = os.environ) -> Settings:
    """Settings from the environment; defaults: ./.claimpost, ./mappings (or the project's own), SQLite under home."""
    home = Path(environment.get("CLAIMPOST_HOME") or ".claimpost").absolute()
    default = Path("mappings") if Path("mappings").is_dir() else PROJECT / "mappings"
    mappings = Path(environment.get("CLAIMPOST_MAPPINGS") or default).absolute()
    store_url = environment.get("CLAIMPOST_STORE_URL") or f"sqlite:///{home / 'store.db'}"
    if "://" not in store_url:
        raise ConfigurationError("SETTING", field="CLAIMPOST_STORE_URL", value=store_url, detail="not a database URL")
    if not mappings.is_dir():
        raise ConfigurationError("NO_MAPPINGS", file=mappings)
    return Settings(home, mappings, store_url)


class Document(dict[str, Any]):
    """A mapping of a YAML file that remembers its file and the line of each key (`where`)."""

    def __init__(self, content: Mapping[str, Any], file: str, lines: Mapping[tuple[str | int, ...], int]) -> None:
        super().__init__(content)
        self.file = file
        self.lines = lines

    def line(self, *path: str | int) -> int:
        """The line of the deepest part of a path that exists; 1 for the document itself."""
        while path and path not in self.lines:
            path = path[:-1]
        return self.lines.get(path, 1)


def load(path: Path, kind: str) -> Document:
    """Read one YAML file and check it against the schema of its kind (feed | source | journal | target | rules)."""
    document = read_yaml(path.read_bytes(), path.name)
    problems = check(document, kind)
    if problems:
        raise problems[0]
    return document


def read_yaml(content: bytes, file: str) -> Document:
    """YAML bytes as nested dict, list and str; raises YAML with file and line for anything that is not plain."""
    if len(content) > YAML_BYTES_MAX:
        raise ConfigurationError("YAML", file=file, line=1, detail=f"larger than {YAML_BYTES_MAX} bytes")
    try:
        text = content.decode("utf-8")
        events = list(_plain_events(text, file))
        node = yaml.compose(text, Loader=_LOADER) if events else None
    except UnicodeDecodeError as error:
        raise ConfigurationError(
            "YAML", file=file, line=content[: error.start].count(b"\n") + 1, detail="not UTF-8"
        ) from error
    except yaml.MarkedYAMLError as error:
        marks = [mark.line + 1 for mark in (error.problem_mark, error.context_mark) if mark is not None]
        line = marks[0] if marks else 1
        raise ConfigurationError("YAML", file=file, line=line, detail=error.problem or "not YAML") from error
    lines: dict[tuple[str | int, ...], int] = {}
    value = _plain(node, file, (), lines) if node is not None else {}
    if not isinstance(value, dict):
        raise ConfigurationError("YAML", file=file, line=1, detail="the document must be a mapping of keys")
    return Document(value, file, lines)


def _plain_events(text: str, file: str) -> Any:
    for number, event in enumerate(yaml.parse(text, Loader=_LOADER)):
        line = event.start_mark.line + 1 if event.start_mark else 1
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
            raise ConfigurationError("YAML", file=file, line=line, detail="anchors and aliases are not allowed")
        if getattr(event, "tag", None):
            raise ConfigurationError("YAML", file=file, line=line, detail="tags are not allowed")
        if number > YAML_NODES_MAX:
            raise ConfigurationError("YAML", file=file, line=line, detail=f"more than {YAML_NODES_MAX} nodes")
        yield event


def _plain(node: yaml.Node, file: str, path: tuple[str | int, ...], lines: dict[tuple[str | int, ...], int]) -> Any:
    lines.setdefault(path, node.start_mark.line + 1)
    if isinstance(node, yaml.MappingNode):
        out: dict[str, Any] = {}
        for key_node, value_node in node.value:
            line = key_node.start_mark.line + 1
            if not isinstance(key_node, yaml.ScalarNode):
                raise ConfigurationError("YAML", file=file, line=line, detail="a key must be plain text")
            key = str(key_node.value)
            if key in out:
                raise ConfigurationError("YAML", file=file, line=line, detail=f"key {key!r} stands twice")
            lines[(*path, key)] = line
            out[key] = _plain(value_node, file, (*path, key), lines)
        return out
    if isinstance(node, yaml.SequenceNode):
        return [_plain(child, file, (*path, index), lines) for index, child in enumerate(node.value)]
    return str(node.value)


@functools.cache
def _validator(kind: str, variant: str) -> Any:
    """The validator of a kind of document; of a target, that of its own `kind`, so that a mistake is named there."""
    from jsonschema import Draft202012Validator

    definitions = json.loads(SCHEMA_PATH.read_text("utf-8"))["$defs"]
    variants = [one["properties"]["kind"]["const"] for one in definitions[kind].get("oneOf", [])]
    if variants and variant not in variants:
        return Draft202012Validator({"required": ["kind"], "properties": {"kind": {"enum": variants}}})
    place = f"{kind}/oneOf/{variants.index(variant)}" if variants else kind
    return Draft202012Validator({"$ref": f"#/$defs/{place}", "$defs": definitions})


def check(document: Document, kind: str) -> list[ConfigurationError]:
    """Every way in which a document breaks its schema, with file, line and the offending field."""
    validator = _validator(kind, str(document.get("kind", "")))
    errors = sorted(validator.iter_errors(document), key=lambda error: list(map(str, error.absolute_path)))
    problems = []
    for error in errors:
        deepest = max([error, *_leaves(error)], key=lambda e: len(e.absolute_path))
        path = tuple(deepest.absolute_path)
        field = ".".join(map(str, path)) or "document"
        line = document.line(*_named(path, deepest.message))
        problems.append(
            ConfigurationError("SCHEMA", file=document.file, line=line, field=field, detail=deepest.message)
        )
    return problems


def _leaves(error: Any) -> list[Any]:
    return [leaf for child in error.context or () for leaf in [child, *_leaves(child)]]


def _named(path: tuple[str | int, ...], message: str) -> tuple[str | int, ...]:
    """The path of an unexpected key, which the validator names only in its message."""
    if "unexpected" in message and "'" in message:
        return (*path, message.split("'")[1])
    return path
