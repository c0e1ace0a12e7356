"""I11: the sealed file of a batch holds its journals, read again by nothing that wrote it.

Only the target profile says where amounts stand; they are read here with the plainest readers there are, one for each
kind, and counted. What must be there comes from the sealed lines, which are first held against the store. So a cent
that moved between two lines of one file is seen, not only a changed sum. Zeros and blanks count for nothing: profiles
write the unused side either way.
"""

from __future__ import annotations

import csv
import io
import json
import zipfile
import zlib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from decimal import Decimal, InvalidOperation
from typing import Any, Final, Literal
from xml.etree import ElementTree

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from etl import money

Profile = Mapping[str, Any]
# Where an amount stands, and what stands there: amounts, of a text journal legs (account, amount, currency).
Amounts = dict[str, Counter[Any]]
Rule = tuple[str, str, tuple[str, ...]]  # place, kind of amount, conditions of the elements around it
LEGS: Final = "legs"
_SHEET: Final = "{http://schemas.openxmlformats.org/spreadsheetml/2006/main}"


class Torn(Exception):
    """A sealed file cannot be read as its profile says."""


# What the readers raise when bytes are damaged: a finding, never the end of the whole verification.
_DAMAGED: Final = (
    Torn, csv.Error, ValueError, KeyError, IndexError, EOFError, NotImplementedError, RecursionError,
    zipfile.BadZipFile, zlib.error, ElementTree.ParseError,
)  # fmt: skip


def compare(profile: Profile, payload: bytes, headers: pd.DataFrame, lines: pd.DataFrame) -> list[str]:
    """What a sealed file holds otherwise than its journals, place by place; nothing when it agrees.

    In: the headers as the store has them, the lines as they were sealed.
    """
    flaws = _lines_differ(headers, lines)
    kind = profile["layout"] if profile["kind"] == "text" else profile["kind"]
    try:
        found = READERS[kind](profile, payload)
    except _DAMAGED as error:
        return [*flaws, f"it cannot be read: {error}"]
    wanted = _legs(profile, headers, lines) if kind in ("beancount", "ledger") else _wanted(profile, headers, lines)
    for place, amounts in wanted.items():
        there = found.get(place, Counter())
        lost, more = amounts - there, there - amounts
        if lost or more:
            flaws.append(f"{place}: {_shown(lost)} of the journals, {_shown(more)} of nothing sealed")
    return flaws


def _shown(counted: Counter[Any]) -> str:
    first = next(iter(counted), None)
    told = " ".join(map(str, first)) if isinstance(first, tuple) else str(first)
    return "nothing" if first is None else f"{told} and {counted.total() - 1} more"


def _lines_differ(headers: pd.DataFrame, lines: pd.DataFrame) -> list[str]:
    """Sealed lines whose debits are not those of their journal in the store, or that balance not."""
    sides = ["debit_minor", "credit_minor", "base_debit_minor", "base_credit_minor"]
    sums = lines.groupby("journal_key", dropna=False)[sides].sum().add_suffix("_sealed")
    both = headers.set_index("journal_key")[["debit_minor", "base_debit_minor"]].join(sums)
    right = (
        (both["debit_minor"] == both["debit_minor_sealed"]) & (both["debit_minor"] == both["credit_minor_sealed"])
        & (both["base_debit_minor"] == both["base_debit_minor_sealed"])
        & (both["base_debit_minor"] == both["base_credit_minor_sealed"])
    )  # fmt: skip
    wrong = sorted({*both.index[~right], *(set(sums.index) - set(both.index))})
    return [f"lines.parquet: journal {wrong[0]} and {len(wrong) - 1} more are not those of the store"] if wrong else []


# --- what must be there


def _wanted(profile: Profile, headers: pd.DataFrame, lines: pd.DataFrame) -> Amounts:
    heads = headers.set_index("journal_key")
    texts = {name: lines["journal_key"].map(heads[name]) for name in ("currency", "base_currency")}
    debit = ((lines["debit_minor"] != 0) | (lines["base_debit_minor"] != 0)).to_numpy(dtype=bool)
    holds = {"debit": debit, "credit": ~debit}
    holds["foreign"] = (texts["currency"] != texts["base_currency"]).to_numpy(dtype=bool)
    out: Amounts = {}
    for place, kind, conditions in RULES[profile["kind"]](profile):
        minor = _minor(kind, lines)
        written = np.all([minor != 0, *(holds[name] for name in conditions)], axis=0)
        currencies = texts["base_currency" if kind.startswith("base") else "currency"]
        rows = zip(minor[written].tolist(), currencies[written], strict=True)
        out.setdefault(place, Counter()).update(_decimal(value, currency) for value, currency in rows)
    return out


def _minor(kind: str, lines: pd.DataFrame) -> NDArray[np.int64]:
    """Minor units of a kind of amount: one side, either (`entered`), or signed."""
    base = "base_" if kind.startswith("base") else ""
    debit, credit = (lines[f"{base}{side}_minor"].to_numpy(dtype=np.int64) for side in ("debit", "credit"))
    kinds = {"debit": debit, "credit": credit, "entered": debit + credit, "signed": debit - credit}
    minor: NDArray[np.int64] = kinds[kind.removeprefix("base_")]
    return minor


def _decimal(minor: int, currency: str) -> Decimal:
    return Decimal(minor).scaleb(-money.EXPONENT[currency])


def _legs(profile: Profile, headers: pd.DataFrame, lines: pd.DataFrame) -> Amounts:
    """A leg for each line: in document currency, or in base currency where it has only that."""
    heads = headers.set_index("journal_key")
    columns = [lines["account"], *(lines["journal_key"].map(heads[name]) for name in ("currency", "base_currency"))]
    rows = zip(*columns, _minor("signed", lines).tolist(), _minor("base_signed", lines).tolist(), strict=True)
    legs = Counter(
        (account, _decimal(minor, currency) if minor else _decimal(base_minor, base), currency if minor else base)
        for account, currency, base, minor, base_minor in rows
    )
    return {LEGS: legs}


def _columns(profile: Profile) -> Iterator[Rule]:
    yield from ((name, rule["amount"], ()) for name, rule in profile["columns"].items() if "amount" in rule)


def _records(profile: Profile) -> Iterator[Rule]:
    for number, record in enumerate(profile["records"]):
        if record.get("repeat") == "line":
            yield from (
                (f"{number}.{name}", rule["amount"], ()) for name, rule in record["columns"].items() if "amount" in rule
            )


def _members(node: Any, name: str = "") -> Iterator[Rule]:
    """Amounts of a JSON tree; arrays leave no trace in the name."""
    if not isinstance(node, Mapping):
        return
    if isinstance(node.get("amount"), str):
        yield name, node["amount"], ()
    elif isinstance(node.get("repeat"), str):
        yield from _members(node["each"], name)
    else:
        for key, child in node.items():
            yield from _members(child, f"{name}.{key}" if name else key)


def _elements(node: Profile, path: str = "", conditions: tuple[str, ...] = ()) -> Iterator[Rule]:
    path = f"{path}/{node['tag']}"
    conditions += (node["when"],) if "when" in node else ()
    cells = {
        path: node.get("text", {}),
        **{f"{path}@{name}": rule for name, rule in node.get("attributes", {}).items()},
    }
    yield from ((place, rule["amount"], conditions) for place, rule in cells.items() if "amount" in rule)
    for child in node.get("children", ()):
        yield from _elements(child, path, conditions)


RULES: Final[Mapping[str, Callable[[Profile], Iterator[Rule]]]] = {
    "table": _columns, "delimited": _columns, "xlsx": _columns, "fixed": _records,
    "json": lambda profile: _members(profile["document"]), "xml": lambda profile: _elements(profile["tree"]),
}  # fmt: skip


# --- what is there


def _counted(profile: Profile, found: Mapping[str, list[str]]) -> Amounts:
    return {place: _amounts(texts, profile.get("decimal", ".")) for place, texts in found.items()}


def _amounts(texts: list[str], sign: str = ".") -> Counter[Any]:
    try:
        numbers = [Decimal(text.replace(sign, ".")) for text in texts if text.strip()]
    except InvalidOperation as error:
        raise Torn(f"an amount is none: {next(text for text in texts if not _is_number(text))!r}") from error
    return Counter(number for number in numbers if number)


def _is_number(text: str) -> bool:
    try:
        return Decimal(text or "0").is_finite()
    except InvalidOperation:
        return False


def _csv(profile: Profile, payload: bytes) -> Amounts:
    """The rows of a staging table."""
    header, *rows = csv.reader(io.StringIO(payload.decode("utf-8"), newline=""), strict=True)
    return _counted(profile, {place: [row[header.index(place)] for row in rows] for place, *_ in _columns(profile)})


def _delimited(profile: Profile, payload: bytes) -> Amounts:
    if "zip" in profile:
        with zipfile.ZipFile(io.BytesIO(payload)) as package:
            payload = package.read(profile["zip"]["member"])
    quoting: Literal[0, 3] = csv.QUOTE_NONE if profile["quote"] == "none" else csv.QUOTE_MINIMAL
    text = io.StringIO(payload.decode(profile["encoding"]), newline="")
    rows = list(csv.reader(text, delimiter=profile["delimiter"], quoting=quoting))
    rows = rows[("first_line" in profile) + (profile.get("header") == "yes") :]
    names = list(profile["columns"])
    at = {name: int(rule.get("pos", names.index(name) + 1)) - 1 for name, rule in profile["columns"].items()}
    return _counted(profile, {place: [row[at[place]] for row in rows] for place, *_ in _columns(profile)})


def _fixed(profile: Profile, payload: bytes) -> Amounts:
    """Records are told apart by what stands fixed in them."""
    found: dict[str, list[str]] = {place: [] for place, *_ in _records(profile)}
    in_bytes = profile["unit"] == "bytes"
    text: Any = payload if in_bytes else payload.decode(profile["encoding"])
    for line in text.splitlines():
        for number, record in enumerate(profile["records"]):
            cells = {
                name: line[int(rule["pos"]) - 1 : int(rule["pos"]) - 1 + int(rule["width"])]
                for name, rule in record["columns"].items()
            }
            shown = {k: (v.decode(profile["encoding"]) if in_bytes else v).strip() for k, v in cells.items()}
            marks = {name: rule["value"] for name, rule in record["columns"].items() if "value" in rule}
            if all(shown[name] == value.strip() for name, value in marks.items()):
                for name in [n for n in shown if f"{number}.{n}" in found]:
                    found[f"{number}.{name}"].append(shown[name])
                break
    return _counted(profile, found)


def _json(profile: Profile, payload: bytes) -> Amounts:
    found: dict[str, list[str]] = {place: [] for place, *_ in _members(profile["document"])}

    def walk(node: Any, name: str) -> None:
        if isinstance(node, list):
            for one in node:
                walk(one, name)
        elif isinstance(node, dict):
            for key, child in node.items():
                walk(child, f"{name}.{key}" if name else key)
        elif name in found and node is not None:
            found[name].append(str(node))

    walk(json.loads(payload.decode(profile["encoding"]), parse_float=Decimal, parse_int=Decimal), "")
    return _counted(profile, found)


def _xml(profile: Profile, payload: bytes) -> Amounts:
    found: dict[str, list[str]] = {place: [] for place, *_ in _elements(profile["tree"])}
    text = payload.decode(profile["encoding"])
    if "<!DOCTYPE" in text:
        raise Torn("it has a document type")
    declared = text.find("?>") + 2 if text.startswith("<?xml") else 0

    def walk(node: ElementTree.Element, path: str) -> None:
        path = f"{path}/{node.tag}"
        cells = {path: node.text or "", **{f"{path}@{name}": value for name, value in node.attrib.items()}}
        for place in found.keys() & cells.keys():
            found[place].append(cells[place])
        for child in node:
            walk(child, path)

    walk(ElementTree.fromstring(text[declared:]), "")
    return _counted(profile, found)


def _xlsx(profile: Profile, payload: bytes) -> Amounts:
    """Cells by their references, from the workbook's own XML; the key of a column stands in its first row."""
    with zipfile.ZipFile(io.BytesIO(payload)) as book:
        strings = [
            "".join(part.text or "" for part in one.iter(f"{_SHEET}t"))
            for one in ElementTree.fromstring(book.read("xl/sharedStrings.xml")).iter(f"{_SHEET}si")
        ]
        sheet = ElementTree.fromstring(book.read("xl/worksheets/sheet1.xml"))
    labels = any("label" in rule for rule in profile["columns"].values())
    keys: dict[str, str] = {}
    found: dict[str, list[str]] = {place: [] for place, *_ in _columns(profile)}
    for cell in sheet.iter(f"{_SHEET}c"):
        text, where = cell.findtext(f"{_SHEET}v") or "", cell.attrib["r"]
        text = strings[int(text)] if cell.attrib.get("t") == "s" else text
        column = where.rstrip("0123456789")
        row = int(where[len(column) :])
        if row == 1:
            keys[column] = text
        elif row > 1 + labels and keys.get(column) in found:
            found[keys[column]].append(text)
    return _counted(profile, found)


def _journal(profile: Profile, payload: bytes) -> Amounts:
    """The legs of a plain-text journal: an indented line of an account, an amount and a currency."""
    legs: Counter[Any] = Counter()
    for line in payload.decode(profile["encoding"]).splitlines():
        words = line.split()
        if line.startswith("  ") and len(words) > 2 and ":" in words[0][:-1] and not words[0].startswith(";"):
            if not _is_number(words[1]):
                raise Torn(f"an amount is none: {words[1]!r}")
            legs[words[0].rpartition(":")[2], Decimal(words[1]), words[2]] += 1
    return {LEGS: legs}


READERS: Final[Mapping[str, Callable[[Profile, bytes], Amounts]]] = {
    "table": _csv, "delimited": _delimited, "fixed": _fixed, "json": _json, "xml": _xml, "xlsx": _xlsx,
    "beancount": _journal, "ledger": _journal,
}  # fmt: skip
