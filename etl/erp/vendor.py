"""The ERP's own acknowledgement in the vendor's form, read as `acknowledge` of the target profile says.

Kinds: `csv` (named columns), `json` and `xml` (paths), `text_inplace` (fields that the ERP adds to the delivered file).
A state that is not in the profile's `levels` is `unknown`, and nothing is `posted` without the ERP's document number.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any, Final
from xml.etree import ElementTree
from xml.parsers import expat

from etl.errors import PermanentError

ANSWER_BYTES_MAX: Final = 128 * 1024 * 1024
XML_DEPTH_MAX: Final = 100
UNKNOWN: Final = "unknown"
NOT_POSTED: Final = ("rejected", "sibling")

Rule = Mapping[str, Any]
Answer = tuple[str, str, str, str, str]  # model.ACKNOWLEDGEMENT_COLUMNS
Sealed = Callable[[], bytes]
Cell = Callable[[str], str]


class _Unreadable(ValueError):
    """Why an answer is not what the profile says."""


def read(profile: Mapping[str, Any], content: bytes, sealed: Sealed, name: str) -> list[Answer]:
    """One answer for each journal that the file speaks of; several documents of one journal give one answer each.

    `sealed` gives the bytes that were delivered. Raises PermanentError ANSWER_UNREADABLE.
    """
    try:
        return _per_journal(list(READERS[profile["acknowledge"]["kind"]](profile, content, sealed)))
    except _Unreadable as error:
        raise PermanentError("ANSWER_UNREADABLE", file=name, detail=str(error)) from error


# --- what one record of the answer says


def _said(rule: Rule, key: str, cell: Cell) -> Answer:
    state, code, message = ("/".join(filter(None, _texts(rule, name, cell))) for name in ("state", "code", "message"))
    parts = _texts(rule, "document", cell)
    document = "/".join(parts) if all(part.strip("0") for part in parts) else ""  # 0000000000 is no number
    return key, _level(rule, state, document), document, code, message


def _texts(rule: Rule, name: str, cell: Cell) -> list[str]:
    places = rule.get(name, [])
    return [cell(place) for place in ([places] if isinstance(places, str) else places)]


def _level(rule: Rule, state: str, document: str) -> str:
    """A state may be several codes with commas between. Posted without a document number is only received."""
    if rule.get("proof") == "document" and document:
        return "posted"
    named = {rule["level"]} if "level" in rule else {rule["levels"].get(c.strip(), UNKNOWN) for c in state.split(",")}
    level = _together(named)
    return "received" if level == "posted" and not document else level


def _together(levels: set[str]) -> str:
    """One level from those of a journal's records: any refusal refuses, and a success beside one is no answer."""
    if len(levels) == 1:
        return next(iter(levels))
    return UNKNOWN if "posted" in levels else next((one for one in NOT_POSTED if one in levels), UNKNOWN)


def _per_journal(rows: list[Answer]) -> list[Answer]:
    journals: dict[str, list[Answer]] = {}
    for row in rows:
        journals.setdefault(row[0], []).append(row)
    return [answer for key, said in journals.items() for answer in _one_journal(key, said)]


def _one_journal(key: str, said: list[Answer]) -> list[Answer]:
    level = _together({row[1] for row in said})
    if level == "posted":
        return [(key, level, document, "", "") for document in dict.fromkeys(row[2] for row in said)]
    own = [row for row in said if row[1] == level] or said
    codes, messages = (list(filter(None, dict.fromkeys(texts))) for texts in list(zip(*own, strict=True))[3:])
    return [(key, level, "", ",".join(codes), "; ".join(messages))]


# --- the forms


def _csv(profile: Mapping[str, Any], content: bytes, sealed: Sealed) -> Iterator[Answer]:
    """Records under a header that names every column of the rule, in any order, once."""
    rule = profile["acknowledge"]
    text = _decoded(content, rule.get("encoding", "utf-8"))
    if not text.endswith("\n"):
        raise _Unreadable("it is cut off: the last line has no end")
    try:
        header, *records = csv.reader(io.StringIO(text, newline=""), delimiter=rule.get("delimiter", ","), strict=True)
    except csv.Error as error:
        raise _Unreadable(f"it is no csv: {error}") from error
    for column in _places(rule):
        if header.count(column) != 1:
            hint = other_delimiter(header, rule.get("delimiter", ","))
            raise _Unreadable(f"column {column} stands {header.count(column)} times in its header{hint}")
    for number, record in enumerate(records, start=2):
        if len(record) != len(header):
            raise _Unreadable(f"record {number} has {len(record)} fields, the header has {len(header)}")
        cells = {column: cell.strip() for column, cell in zip(header, record, strict=True)}
        yield _said(rule, cells[rule["key"]], cells.__getitem__)


def other_delimiter(header: list[str], declared: str) -> str:
    """What to say of a header that is one cell under the declared delimiter and several under another; else ""."""
    other = next((sign for sign in ",;\t|" if len(header) == 1 and sign in header[0]), "")
    return f"; it is written with the delimiter {other!r}, {declared!r} was expected" if other else ""


def _places(rule: Rule) -> list[str]:
    named = [rule[name] for name in ("key", "state", "document", "code", "message") if name in rule]
    return [place for one in named for place in ([one] if isinstance(one, str) else one)]


def _json(profile: Mapping[str, Any], content: bytes, sealed: Sealed) -> Iterator[Answer]:
    """Lists of objects, which name the journal, or count it by its index in a list of the delivered document."""
    ack = profile["acknowledge"]
    document, found = _parsed(content), 0
    sent: list[str] | None = None
    for rule in ack["lists"]:
        for each in _list(document, rule["each"]):
            found += 1
            if "index" in rule:
                sent = _keys_sent(ack["delivered"], sealed()) if sent is None else sent
                key = _by_index(sent, _leaf(each, rule["index"]))
            else:
                key = _leaf(each, rule["key"])
            yield _said(rule, key, partial(_leaf, each))
    if not found:
        raise _Unreadable(f"it answers nothing at {' or '.join(rule['each'] for rule in ack['lists'])}")


def _keys_sent(delivered: Rule, payload: bytes) -> list[str]:
    return [_leaf(each, delivered["key"]) for each in _list(_parsed(payload), delivered["each"])]


def _by_index(keys: list[str], index: str) -> str:
    if not index.isascii() or not index.isdigit():
        raise _Unreadable(f"{index!r} is no index")
    return keys[int(index)] if len(index) < 10 and int(index) < len(keys) else f"index {index}"


def _parsed(content: bytes) -> Any:
    """JSON with every number as its text; a key twice in one object is refused."""
    try:
        return json.loads(
            _decoded(content, "utf-8"), object_pairs_hook=_unique, parse_int=str, parse_float=str, parse_constant=str
        )
    except (json.JSONDecodeError, RecursionError) as error:
        raise _Unreadable(f"it is no JSON: {error}") from error


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) != len(pairs):
        twice = next(name for at, (name, _) in enumerate(pairs) if name in [other for other, _ in pairs[:at]])
        raise _Unreadable(f"key {twice!r} stands twice in one object")
    return made


def _node(value: Any, path: str) -> Any:
    for part in path.split("."):
        if isinstance(value, dict) and part in value:
            value = value[part]
        elif isinstance(value, list) and part.isdigit() and int(part) < len(value):
            value = value[int(part)]
        else:
            raise _Unreadable(f"there is no {path}")
    return value


def _list(value: Any, path: str) -> list[Any]:
    found = _node(value, path)
    if found is not None and not isinstance(found, list):
        raise _Unreadable(f"{path} is no list")
    return found or []


def _leaf(value: Any, path: str) -> str:
    found = _node(value, path)
    if isinstance(found, dict | list):
        raise _Unreadable(f"{path} is no text")
    return "" if found is None else str(found)


def _xml(profile: Mapping[str, Any], content: bytes, sealed: Sealed) -> Iterator[Answer]:
    """Elements at a path from the root, with texts at paths below them; a text that is not there is empty."""
    rule = profile["acknowledge"]
    root, (first, *path) = _tree(content), rule["each"].split("/")
    each = root.findall("/".join(path)) if root.tag == first else []
    if not each:
        raise _Unreadable(f"it answers nothing at {rule['each']}")
    for element in each:
        if element.find(rule["key"]) is None:
            raise _Unreadable(f"an answer has no {rule['key']}")
        yield _said(rule, _inside(element, rule["key"]), partial(_inside, element))


def _inside(element: ElementTree.Element, path: str) -> str:
    return (element.findtext(path) or "").strip()


def _tree(content: bytes) -> ElementTree.Element:
    """The elements of a document without a document type: nothing is expanded, nothing is fetched."""
    builder, parser, depth = ElementTree.TreeBuilder(), expat.ParserCreate(), 0

    def start(tag: str, attributes: dict[str, str]) -> None:
        nonlocal depth
        depth += 1
        if depth > XML_DEPTH_MAX:
            raise _Unreadable(f"its elements are nested deeper than {XML_DEPTH_MAX}")
        builder.start(tag, attributes)

    def end(tag: str) -> None:
        nonlocal depth
        depth -= 1
        builder.end(tag)

    def refuse(*_: object) -> None:
        raise _Unreadable("it declares a document type")

    parser.StartElementHandler, parser.EndElementHandler = start, end
    parser.CharacterDataHandler, parser.StartDoctypeDeclHandler = builder.data, refuse
    try:
        parser.Parse(content, True)
    except (expat.ExpatError, LookupError, ValueError) as error:
        raise error if isinstance(error, _Unreadable) else _Unreadable(f"it is no XML: {error}") from error
    return builder.close()


def _text_inplace(profile: Mapping[str, Any], content: bytes, sealed: Sealed) -> Iterator[Answer]:
    """The delivered records with fields added by the ERP; the message is the rest of the record."""
    rule, encoding, delimiter = profile["acknowledge"], profile["encoding"], profile["delimiter"]
    before, after = (_records(profile, _decoded(part, encoding)) for part in (sealed(), content))
    if len(before) != len(after):
        raise _Unreadable(f"it has {len(after)} records, {len(before)} were delivered")
    at = int(rule["key"]) - 1
    for number, (old, new) in enumerate(zip(before, after, strict=True), start=1):
        sent, fields = old.split(delimiter), new.split(delimiter)
        if fields[at : at + 1] != sent[at : at + 1]:
            raise _Unreadable(f"record {number} is not the one delivered")
        last = int(rule["message"])
        fields = [*fields[: last - 1], delimiter.join(fields[last - 1 :])]
        yield _said(rule, sent[at], partial(_field, fields))


def _field(fields: list[str], position: str) -> str:
    return fields[int(position) - 1].strip() if int(position) <= len(fields) else ""


def _records(profile: Mapping[str, Any], text: str) -> list[str]:
    lines = text.replace("\r\n", "\n").removesuffix("\n").split("\n")
    first = profile.get("first_line")
    if first is not None and lines[0] != first:
        raise _Unreadable(f"its first line is not {first}")
    return lines[first is not None :]


def _decoded(content: bytes, encoding: str) -> str:
    try:
        return content.decode(encoding).removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        raise _Unreadable(f"byte {error.start} is not {encoding}") from error


READERS: Final[Mapping[str, Callable[[Mapping[str, Any], bytes, Sealed], Iterator[Answer]]]] = {
    "csv": _csv, "json": _json, "xml": _xml, "text_inplace": _text_inplace,
}  # fmt: skip
