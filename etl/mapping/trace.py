"""Why one expense line got one value: the same expression that `apply` evaluates over columns, told step by step."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from etl import lookup
from etl.config import Document
from etl.mapping.apply import Faults, evaluate, fill
from etl.mapping.bundle import Bundle


def expression(bundle: Bundle, path: tuple[str | int, ...], told: Mapping[str, Any], line: pd.DataFrame) -> list[str]:
    """The steps from an expense line to the value of an expression of the journal mapping.

    In: where the expression stands in the mapping, and one line as `Applied.lines` holds it. Out: one sentence a step,
    each naming file and line of what decided.
    """
    assert len(line) == 1, "one expense line at a time"
    where = f"{bundle.journal.file} line {bundle.journal.line(*path)}"
    if "suspense" in told:
        return _or_suspense(bundle, path, told, line)
    if "choose" in told:
        return _choice(bundle, path, told["choose"], line)
    if "table" in told:
        return [_row(bundle, told["table"], line)]
    if "value" in told:
        return [f"{where}: always {told['value']!r}"]
    if "company" in told:
        company = str(line["company"].iat[0])
        feed: Document = bundle.feed
        at = f"{feed.file} line {feed.line('companies', company, told['company'])}"
        return [f"{at}: {told['company']} of company {company} is {bundle.company(company, told['company'])!r}"]
    if "field" in told:
        return [f"{where}: {told['field']} of the expense line, {_cell(line, told['field'])!r}"]
    return [f"{where}: template {told['template']!r} gives {fill(told, line).iat[0]!r}"]


def _or_suspense(bundle: Bundle, path: tuple[str | int, ...], told: Mapping[str, Any], line: pd.DataFrame) -> list[str]:
    """The steps without suspense; where they find nothing, the suspense account."""
    asked = {name: part for name, part in told.items() if name != "suspense"}
    faults = Faults()
    evaluate(asked, bundle, line, np.zeros(1, dtype=np.int64), "", faults)
    steps = expression(bundle, path, asked, line)
    if not faults.found:
        return steps
    at = f"{bundle.journal.file} line {bundle.journal.line(*path, 'suspense')}"
    return [*steps, f"{at}: suspense, {told['suspense']['value']!r}"]


def _choice(
    bundle: Bundle, path: tuple[str | int, ...], choices: list[Mapping[str, Any]], line: pd.DataFrame
) -> list[str]:
    """The first choice whose condition holds, then what it gives."""
    for number, choice in enumerate(choices):
        if "when" not in choice or lookup.matches(choice["when"], line)[0]:
            place = (*path, "choose", number)
            at = f"{bundle.journal.file} line {bundle.journal.line(*place)}"
            because = f"because {_condition(choice['when'])}" if "when" in choice else "nothing before it holds"
            return [f"{at}: choice {number + 1}, {because}", *expression(bundle, place, choice, line)]
    return ["no choice holds"]


def _condition(condition: Mapping[str, Any]) -> str:
    """A condition as it stands in the mapping, on one line."""
    return ", ".join(f"{name}: {test}" for name, test in condition.items())


def _row(bundle: Bundle, name: str, line: pd.DataFrame) -> str:
    """The table row that a look-up takes."""
    use, table = bundle.journal["tables"][name], bundle.tables[name]
    key = tuple(_cell(line, column) for column in use["key"])
    date = _cell(line, use["valid_by"]) if "valid_by" in use else ""
    return row(table, key, use["value"], date)


def row(table: lookup.Table, key: tuple[str, ...], value: str, date: str) -> str:
    """The row of a table for a key on a date, as a sentence."""
    found = table.row(key, date)
    asked = ", ".join([*key, *([f"on {date}"] if date else [])])
    if found is None:
        return f"tables/{table.file}: no row for {asked}"
    stands = ", ".join(found.cells[column] for column in table.key)
    return f"tables/{table.file} line {found.line}: {stands} for {asked} gives {found.cells[value]!r}"


def _cell(line: pd.DataFrame, column: str) -> str:
    return str(line[column].iat[0])
