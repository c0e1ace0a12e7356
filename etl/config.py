"""Settings from the environment, and YAML read so that nothing is guessed.

Every scalar stays the text that was written: 0010 is "0010", NO is "NO", 6601.10 is "6601.10". Duplicate keys,
anchors, aliases, tags and files beyond the limits are refused with file and line. Documents are checked against
etl/schema.json, the one JSON Schema of all mapping files.
"""

from __future__ import annotations

import difflib
import functools
import json
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml

from etl.errors import ConfigurationError

YAML_BYTES_MAX: Final = 1_048_576
YAML_NODES_MAX: Final = 20_000
YAML_DEPTH_MAX: Final = 50
_CONTROL: Final = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_REFERENCE: Final = re.compile(r'"#/\$defs/(\w+)"')
_WORDS: Final = {"array": "a list: [a, b]", "object": "keys with values: {a: b}", "string": "a text"}
_NATURAL: Final = "^(0|[1-9][0-9]{0,17})$"
Finding = tuple[int, str]  # line, what is wrong
SCHEMA_PATH: Final = Path(__file__).with_name("schema.json")
# libyaml where the wheel has it: five times as fast, the same events.
_LOADER: Final[Any] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
PROJECT: Final = Path(__file__).resolve().parent.parent


@dataclass(frozen=True)
class Settings:
    """Where things are: CLAIMPOST_HOME, CLAIMPOST_MAPPINGS, CLAIMPOST_STORE_URL, CLAIMPOST_OBJECTS ("" for none)."""

    home: Path
    mappings: Path
    store_url: str
    objects: str = ""


def settings(environment: Mapping[str, str] = os.environ) -> Settings:
    """Settings from the environment; defaults: ./.claimpost, ./mappings (or the project's own), SQLite under home."""
    home = Path(environment.get("CLAIMPOST_HOME") or ".claimpost").absolute()
    default = Path("mappings") if Path("mappings").is_dir() else PROJECT / "mappings"
    mappings = Path(environment.get("CLAIMPOST_MAPPINGS") or default).absolute()
    store_url = environment.get("CLAIMPOST_STORE_URL") or f"sqlite:///{home / 'store.db'}"
    if "://" not in store_url:
        raise ConfigurationError("SETTING", field="CLAIMPOST_STORE_URL", value=store_url, detail="not a database URL")
    objects = environment.get("CLAIMPOST_OBJECTS") or ""
    if objects and "://" not in objects:
        detail = "not the URL of an object store"
        raise ConfigurationError("SETTING", field="CLAIMPOST_OBJECTS", value=objects, detail=detail)
    if not mappings.is_dir():
        raise ConfigurationError("NO_MAPPINGS", file=mappings)
    return Settings(home, mappings, store_url, objects)


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
    document, problems = scan(path, kind)
    if problems:
        raise problems[0]
    return document


def scan(path: Path, kind: str) -> tuple[Document, list[ConfigurationError]]:
    """One YAML file, and every way in which it is no plain YAML or breaks the schema of its kind."""
    document, problems = _parse(path.read_bytes(), "/".join(path.parts[-2:]))
    return document, problems or check(document, kind)


def read_yaml(content: bytes, file: str) -> Document:
    """YAML bytes as nested dict, list and str; raises YAML with file and line for anything that is not plain."""
    document, problems = _parse(content, file)
    if problems:
        raise problems[0]
    return document


def _parse(content: bytes, file: str) -> tuple[Document, list[ConfigurationError]]:
    """The document, empty when it is no YAML at all, and everything in it that is not plain."""
    lines: dict[tuple[str | int, ...], int] = {}
    found: list[Finding] = []
    value: Any = {}
    text = _text(content, found)
    try:
        found += [] if found else _not_plain(text)
        node = None if found else yaml.compose(text, Loader=_LOADER)
        value = {} if node is None else _plain(node, (), lines, found)
    except yaml.MarkedYAMLError as error:
        marks = [mark.line + 1 for mark in (error.problem_mark, error.context_mark) if mark is not None]
        found.append(_explained(text, marks[0] if marks else 1, error.problem or "not YAML"))
    if not isinstance(value, dict):
        value, found = {}, [(1, "the document must be a mapping of keys")]
    problems = [ConfigurationError("YAML", file=file, line=line, detail=detail) for line, detail in sorted(found)]
    return Document(value, file, lines), problems


def _text(content: bytes, found: list[Finding]) -> str:
    """The text of a YAML file; what cannot be one is found."""
    if len(content) > YAML_BYTES_MAX:
        found.append((1, f"larger than {YAML_BYTES_MAX} bytes"))
        return ""
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        found.append((content[: error.start].count(b"\n") + 1, "not UTF-8; save the file as UTF-8"))
        return ""
    if control := _CONTROL.search(text):
        line = text.count("\n", 0, control.start()) + 1
        found.append((line, f"control character U+{ord(control.group()):04X}; delete it"))
    return text


def _explained(text: str, line: int, problem: str) -> Finding:
    """The parser's word for a mistake, or the usual reason for it."""
    written = (text.splitlines() or [""])[line - 1 : line]
    if any("\t" in one[: len(one) - len(one.lstrip())] for one in written):
        return line, "a tab indents the line; use spaces"
    return line, problem


def _not_plain(text: str) -> list[Finding]:
    """Anchors, aliases and tags, and a document beyond the limits; raises yaml.MarkedYAMLError."""
    found, depth = [], 0
    for number, event in enumerate(yaml.parse(text, Loader=_LOADER)):
        line = event.start_mark.line + 1 if event.start_mark else 1
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
            found.append((line, "anchors and aliases are not allowed; write the value again"))
        if getattr(event, "tag", None):
            found.append((line, "tags are not allowed; every value is text"))
        if number > YAML_NODES_MAX or depth > YAML_DEPTH_MAX:
            limit = f"more than {YAML_NODES_MAX} nodes, or deeper than {YAML_DEPTH_MAX}"
            return [*found, (line, limit)]
    return found


def _plain(node: yaml.Node, path: tuple[str | int, ...], lines: dict[tuple[str | int, ...], int],
           found: list[Finding]) -> Any:  # fmt: skip
    lines.setdefault(path, node.start_mark.line + 1)
    if isinstance(node, yaml.MappingNode):
        out: dict[str, Any] = {}
        for key_node, value_node in node.value:
            line = key_node.start_mark.line + 1
            key = str(key_node.value)
            if not isinstance(key_node, yaml.ScalarNode):
                found.append((line, "a key must be plain text"))
            elif key in out:
                first = lines[(*path, key)]
                found.append((line, f"key {key!r} stands twice, also on line {first}; delete one"))
            else:
                lines[(*path, key)] = line
                out[key] = _plain(value_node, (*path, key), lines, found)
        return out
    if isinstance(node, yaml.SequenceNode):
        return [_plain(child, (*path, index), lines, found) for index, child in enumerate(node.value)]
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


KINDS: Final = ("feed", "source", "journal", "target", "rules")


def schema(kind: str) -> dict[str, Any]:
    """The JSON Schema of one kind of document by itself, for an editor; of all kinds for ""."""
    whole: dict[str, Any] = json.loads(SCHEMA_PATH.read_text("utf-8"))
    if not kind:
        return whole
    definitions, used, new = whole["$defs"], set(), {kind}
    while new:
        used |= new
        new = {part for name in new for part in _REFERENCE.findall(json.dumps(definitions[name]))} - used
    head = {"$schema": whole["$schema"], "title": f"claimpost {kind}", "description": whole["description"]}
    return {**head, "$ref": f"#/$defs/{kind}", "$defs": {name: definitions[name] for name in sorted(used)}}


def check(document: Document, kind: str) -> list[ConfigurationError]:
    """Every way in which a document breaks its schema, with file, line and the offending field."""
    validator = _validator(kind, str(document.get("kind", "")))
    errors = sorted(validator.iter_errors(document), key=lambda error: list(map(str, error.absolute_path)))
    problems = []
    for error in errors:
        telling = max([error, *_leaves(error)], key=_tells)
        path = tuple(telling.absolute_path)
        field = ".".join(map(str, path)) or "document"
        for extra in _unexpected(telling) or [""]:
            line = document.line(*path, *([extra] if extra else []))
            detail = _reason(telling, extra)
            problems.append(ConfigurationError("SCHEMA", file=document.file, line=line, field=field, detail=detail))
    return problems


def _leaves(error: Any) -> list[Any]:
    return [leaf for child in error.context or () for leaf in [child, *_leaves(child)]]


def _tells(error: Any) -> tuple[int, bool, bool]:
    """The deepest error says most; there one of the alternatives says more than that none of them fits."""
    alternatives = error.validator in ("oneOf", "anyOf") and not _forms(error)
    return len(error.absolute_path), not alternatives, error.validator not in ("type", "required")


def _forms(error: Any) -> list[str]:
    """The keys of which exactly one must stand there, when that is what is wrong."""
    if error.validator != "oneOf" or any(list(one) != ["required"] for one in error.validator_value):
        return []
    return [one["required"][0] for one in error.validator_value]


def _unexpected(error: Any) -> list[str]:
    """The keys that may not stand there, in their order."""
    if error.validator != "additionalProperties" or not isinstance(error.instance, dict):
        return []
    return [key for key in error.instance if key not in error.schema.get("properties", {})]


def _reason(error: Any, extra: str) -> str:
    """What the validator says, and what may stand there instead of a key that may not."""
    if extra:
        may = _nearest(extra, sorted(error.schema.get("properties", {})))
        return f"Additional properties are not allowed ({extra!r} was unexpected); there may be {may}"
    if forms := _forms(error):
        return f"exactly one of {', '.join(forms)} must stand here"
    if error.validator == "type" and error.validator_value in _WORDS:
        return f"must be {_WORDS[error.validator_value]}"
    if error.validator == "pattern" and error.validator_value == _NATURAL:
        return f"{error.instance!r} is no whole number"
    if error.validator == "minItems" and error.validator_value > 1:
        return f"at least {error.validator_value} must stand here"
    return "must not be empty" if error.validator in ("minItems", "minProperties") else str(error.message)


def _nearest(word: str, known: Sequence[str]) -> str:
    """The known word that is most like one, or all of them."""
    return (difflib.get_close_matches(word, known, 1, 0.7) or [", ".join(known)])[0]
