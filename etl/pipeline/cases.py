"""Worked cases: what finance signs. A few expense lines, and the journals or reasons they must become.

A case file is a title, a table of expense lines, a line `=>`, and the outcome:

    A taxi with input tax, paid by the employee

    expense_type | gross  | tax_code | tax
    TAXI         | 106.00 | V6       | 6.00
    =>
    journal CN01 R1 on 2026-02-10 in CNY
      debit   660201   100.00  cost_center 0010, tax_code V6, text TAXI
      ...

A field not named takes its value from `defaults.txt` beside the cases. `gross`, `tax`, `reclaimable_tax`, `original`
and `report_total` are decimal amounts in their currency; everything else is text as written.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pandas as pd

from etl import journal, mapping, model, money
from etl.errors import ConfigurationError
from validations import rules

ARROW: Final = "=>"
DEFAULTS: Final = "defaults.txt"
_MONEY: Final = {
    field.removesuffix("_minor"): field for field, kind in model.LINE_FIELDS.items() if kind == model.MONEY
}
_FIELDS: Final = tuple(sorted({*_MONEY, *model.LINE_FIELDS} - {*_MONEY.values()}))
_SHOWN: Final = ("party", "department", "cost_center", "project", "analysis", "tax_code", "text")


@dataclass(frozen=True)
class Case:
    """One case file: where it stands, what is above the arrow as written, and what stands below it."""

    path: Path
    given: str
    expected: str
    lines: pd.DataFrame


def read(folder: Path, feed_id: str) -> list[Case]:
    """The cases of a feed in order of name; raises ConfigurationError TABLE with file and line for a malformed one."""
    found, problems = judged(folder, feed_id)
    for problem in problems:
        raise problem
    return found


def judged(folder: Path, feed_id: str) -> tuple[list[Case], list[ConfigurationError]]:
    """The cases of a feed in order of name, and for each malformed file what is wrong with it (TABLE)."""
    home = folder / "cases" / feed_id
    found: list[Case] = []
    problems: list[ConfigurationError] = []
    defaults: dict[str, str] = {}
    for path in sorted(home.glob("*.txt"), key=lambda path: (path.name != DEFAULTS, path)):
        try:
            if path.name == DEFAULTS:
                (defaults, *_) = _table(path, path.read_text("utf-8").splitlines())
            else:
                found.append(_read(path, defaults))
        except ConfigurationError as problem:
            problems.append(problem)
    return found, problems


def _read(path: Path, defaults: dict[str, str]) -> Case:
    rows = path.read_text("utf-8").splitlines()
    if ARROW not in rows:
        raise ConfigurationError("TABLE", file=path.name, line=len(rows), detail=f"a case has a line {ARROW}")
    middle = rows.index(ARROW)
    given = _table(path, rows[:middle])
    lines = _expense_lines(path, [defaults | row for row in given])
    return Case(path, "\n".join(rows[: middle + 1]) + "\n", "\n".join(rows[middle + 1 :]).strip(), lines)


def _table(path: Path, rows: list[str]) -> list[dict[str, str]]:
    """The rows of a table whose cells are separated by |; what stands above its header is the title."""
    header: list[str] = []
    found: list[dict[str, str]] = []
    for number, row in enumerate(rows, 1):
        if "|" not in row:
            continue
        cells = [cell.strip() for cell in row.split("|")]
        if header and len(cells) != len(header):
            detail = f"{len(cells)} cells, the header has {len(header)}"
            raise ConfigurationError("TABLE", file=path.name, line=number, detail=detail)
        unknown = [cell for cell in cells if not header and cell not in _MONEY and cell not in model.LINE_FIELDS]
        if unknown:
            detail = f"no field {', '.join(map(repr, unknown))}; there are {', '.join(_FIELDS)}"
            raise ConfigurationError("TABLE", file=path.name, line=number, detail=detail)
        if header:
            found.append(dict(zip(header, cells, strict=True)))
        header = header or cells
    if not found:
        raise ConfigurationError("TABLE", file=path.name, line=len(rows), detail="no expense line is given")
    return found


def _expense_lines(path: Path, rows: list[dict[str, str]]) -> pd.DataFrame:
    """All model.LINE_FIELDS; lines of a report count up where they are not numbered."""
    columns: dict[str, list[object]] = {field: [] for field in model.LINE_FIELDS}
    count: dict[tuple[str, str], int] = {}
    for place, row in enumerate(rows, 1):
        key = (row.get("company", ""), row.get("report_id", ""))
        count[key] = count.get(key, 0) + 1
        own = {"line_no": str(count[key]), "allocation_no": "1", "source_row": str(place + 1), "split_weight": "100"}
        cells = own | {_MONEY.get(name, name): text for name, text in row.items()}
        for field, kind in model.LINE_FIELDS.items():
            columns[field].append(_cell(path, field, kind, cells))
    numbers = (model.MONEY, model.INTEGER)
    kinds = {field: "int64" if kind in numbers else "str" for field, kind in model.LINE_FIELDS.items()}
    return pd.DataFrame(columns).astype(kinds)


def _cell(path: Path, field: str, kind: str, cells: dict[str, str]) -> object:
    text = cells.get(field, "")
    if kind == model.INTEGER:
        if not re.fullmatch("[0-9]{0,9}", text, re.ASCII):
            raise ConfigurationError("TABLE", file=path.name, line=1, detail=f"{field} {text!r} is no whole number")
        return int(text or "0")
    if kind != model.MONEY:
        return text
    currency = cells.get("original_currency" if field == "original_minor" else "document_currency", "")
    minor, fault = money.parse_one(text or "0", money.EXPONENT.get(currency, 2))
    if fault:
        raise ConfigurationError("TABLE", file=path.name, line=1, detail=f"{field} {text!r} is not an amount ({fault})")
    return minor


def outcome(bundle: mapping.Bundle, tables: Path, lines: pd.DataFrame) -> str:
    """What lines become, as a case file says it: journals by report, then the reasons of those that become none."""
    made, rejects = booked(bundle, tables, lines)
    return "\n".join([*_journals(made), *_reasons(rejects)])


def booked(bundle: mapping.Bundle, tables: Path, lines: pd.DataFrame) -> tuple[journal.Journals, pd.DataFrame]:
    """The journals of lines, and the rejects of the reports that become none."""
    policy = rules.check(lines, bundle.feed, bundle.rules, tables)
    applied = mapping.apply(bundle, lines.loc[~rules.quarantined(lines, policy)].reset_index(drop=True))
    keep = ~rules.quarantined(applied.lines, applied.rejects)
    made = journal.build(bundle, *journal.only(applied.lines, applied.parts, keep))
    return made, pd.concat([policy, applied.rejects, made.rejects], ignore_index=True)


def _journals(made: journal.Journals) -> Iterator[str]:
    for head in made.headers.to_dict("records"):
        currency, base = str(head["currency"]), str(head["base_currency"])
        rate = "" if currency == base else f", books in {base} at {head['rate']}"
        yield f"journal {head['company']} {head['report_id']} on {head['posting_date']} in {currency}{rate}"
        for line in made.lines.loc[made.lines["journal_key"] == head["journal_key"]].to_dict("records"):
            yield journal_line({str(name): value for name, value in line.items()}, currency, base)


def journal_line(line: dict[str, object], currency: str, base: str) -> str:
    """A journal line as people read it: side, account, amount (and its amount in books), then what it carries."""
    side = "debit" if line["debit_minor"] or line["base_debit_minor"] else "credit"
    amount = money.text_of(int(str(line[f"{side}_minor"])), currency)
    in_books = money.text_of(int(str(line[f"base_{side}_minor"])), base)
    both = amount if currency == base else f"{amount} = {in_books} {base}"
    facts = ", ".join(f"{name} {line[name]}" for name in _SHOWN if line[name])
    return f"  {side:<6}  {line['account']!s:<8}  {both:>12}  {facts}".rstrip()


def _reasons(rejects: pd.DataFrame) -> Iterator[str]:
    """Each reject once: report, line when one is meant, code and sentence."""
    for row in rejects.drop_duplicates().to_dict("records"):
        line = f" line {row['line_no']}" if row["line_no"] else ""
        yield f"{row['outcome']} {row['company']} {row['report_id']}{line}: {row['code']} {row['reason']}"


def differences(bundle: mapping.Bundle, mappings: Path, cases: list[Case]) -> Iterator[tuple[Case, str]]:
    """The cases whose outcome is not as written, each with what it is now."""
    for case in cases:
        now = outcome(bundle, mappings / "tables", case.lines)
        if now != case.expected:
            yield case, now


def rewrite(case: Case, now: str) -> None:
    """Write what is now below the arrow of a case; a person reads the difference before it is committed."""
    case.path.write_text(f"{case.given}{now}\n", "utf-8")
