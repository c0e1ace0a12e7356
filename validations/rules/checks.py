"""The checks: each a small function of a batch, yielding what it found; none stops at the first or repairs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd

from etl import errors, lookup, model, money
from etl.errors import ConfigurationError
from etl.model import REPORT_KEY
from validations.rules.batch import (
    NO_DAY,
    Batch,
    Bools,
    Finding,
    Ints,
    any_by,
    codes_of,
    day_numbers,
    differs,
    pair,
    placed,
    sum_of,
    texts_by,
)

WARN: Final = "warn"
OUTCOME_OF: Final = {"reject": errors.REPORT, "hold": errors.HOLD, "warn": WARN}
POLICY_CODE: Final = {"reject": "POLICY", "hold": "APPROVAL", "warn": "POLICY"}
TAX_TOLERANCE_MINOR: Final = 1


# --- identity and state


def companies(batch: Batch) -> Iterator[Finding]:
    """The company is one of the feed's."""
    known = batch.feed["companies"]
    wrong = batch.where("company", lambda name: name not in known) & batch.stated("company")
    rows = batch.once(wrong, batch.report)
    yield Finding("COMPANY", "company", rows, batch.shown("company", rows), of_report=True)


def headers(batch: Batch) -> Iterator[Finding]:
    """What belongs to the report is the same on all its lines; the report's total, on all lines of one currency."""
    for field in model.HEADER_FIELDS:
        if model.LINE_FIELDS[field] == model.MONEY:
            group = pair(batch.report, batch.codes("document_currency"))
            values, judged = batch.number(field), ~batch.bad
        else:
            group, values, judged = batch.report, batch.codes(field), batch.stated(field)
        mixed = differs(values, group, judged)
        if not mixed.any():
            continue
        rows = batch.once(mixed, group)
        shown = texts_by(group[mixed], batch.shown(field, np.flatnonzero(mixed)))
        yield Finding("REPORT_HEADER", field, rows, [shown[g] for g in group[rows].tolist()], of_report=True)


def repeated_lines(batch: Batch) -> Iterator[Finding]:
    """A part of a line stands once in its report; equal lines with numbers of their own are fine."""
    part = pair(batch.line, batch.number("allocation_no"))
    counts = np.bincount(part)
    if counts.max() == 1:
        return
    unnumbered = batch.bad & (batch.number("line_no") == 0)
    rows = batch.in_source_order(np.flatnonzero((counts[part] > 1) & ~unnumbered))
    extra = np.sort(np.delete(rows, np.unique(part[rows], return_index=True)[1]))
    numbers = zip(batch.shown("line_no", extra), batch.shown("allocation_no", extra), strict=True)
    yield Finding("LINE_REPEATED", "line_no", extra, [f"{line} part {part_no}" for line, part_no in numbers])


def states(batch: Batch) -> Iterator[Finding]:
    """The report's state is one that may be booked (`states`)."""
    allowed = batch.options.get("states")
    if not allowed:
        return
    wrong = batch.where("state", lambda state: state not in allowed) & batch.stated("state")
    rows = batch.once(wrong, pair(batch.report, batch.codes("state")))
    shown = batch.shown("state", rows)
    yield Finding("STATUS", "state", rows, shown, [", ".join(allowed)] * len(rows), of_report=True)


def separation_of_duties(batch: Batch) -> Iterator[Finding]:
    """Nobody approves their own report; judged where the source names the approver."""
    same = batch.filled("approver_id") & (batch.lines["approver_id"] == batch.lines["employee_id"]).to_numpy(dtype=bool)
    rows = batch.once(same, batch.report)
    yield Finding("SOD", "approver_id", rows, batch.shown("approver_id", rows), of_report=True)


# --- dates


def dates_plausible(batch: Batch) -> Iterator[Finding]:
    """Dates lie in the range the feed calls plausible (`dates: {from, to}`)."""
    if "dates" not in batch.options:
        return
    earliest, latest = batch.options["dates"]["from"], batch.options["dates"]["to"]
    detail = f"{earliest} to {latest}"
    for field in ("transaction_date", "start_date"):
        wrong = batch.where(field, lambda day: day != "" and not earliest <= day <= latest)
        rows = batch.once(wrong, batch.line)
        yield Finding("DATE_RANGE", field, rows, batch.shown(field, rows), [detail] * len(rows))
    codes, days = model.distinct(batch.approval_day)
    wrong = np.array([day != "" and not earliest <= day <= latest for day in days], dtype=bool)[codes]
    rows = batch.once(wrong, batch.report)
    values = batch.shown("approved_at", rows)
    yield Finding("DATE_RANGE", "approved_at", rows, values, [detail] * len(rows), of_report=True)


def dates_in_order(batch: Batch) -> Iterator[Finding]:
    """A cost does not end before it begins."""
    start, end = batch.days("start_date"), batch.days("transaction_date")
    rows = batch.once((start != NO_DAY) & (end != NO_DAY) & (end < start), batch.line)
    details = [f"its start_date {day}" for day in batch.shown("start_date", rows)]
    yield Finding("DATE_ORDER", "transaction_date", rows, batch.shown("transaction_date", rows), details)


def dates_and_approval(batch: Batch) -> Iterator[Finding]:
    """No cost after its approval (`not_after_approval`), none older than `age_days_max` on the day of approval."""
    not_after, age_max = batch.options.get("not_after_approval") == "yes", batch.options.get("age_days_max")
    if not not_after and age_max is None:
        return
    rows = batch.once(batch.stated("approved_at") & ~batch.filled("approved_at"), batch.report)
    yield Finding("MISSING", "approved_at", rows, [""] * len(rows), of_report=True)
    approved = day_numbers(*model.distinct(batch.approval_day))
    for field in ("transaction_date", "start_date"):
        day = batch.days(field)
        both = (day != NO_DAY) & (approved != NO_DAY)
        if not_after:
            rows = batch.once(both & (day > approved), batch.line)
            details = [f"the {field} {shown}" for shown in batch.shown(field, rows)]
            yield Finding("DATE_ORDER", "approved_at", rows, batch.approval_day.iloc[rows].tolist(), details)
        if age_max is not None and field == "transaction_date":
            rows = batch.once(both & (approved - np.where(both, day, approved) > int(age_max)), batch.line)
            details = [f"the {age_max} days before the approval on {d}" for d in batch.approval_day.iloc[rows]]
            yield Finding("DATE_RANGE", field, rows, batch.shown(field, rows), details)


# --- money


def parts(batch: Batch) -> Iterator[Finding]:
    """The parts of one line are in one currency, so that they can add up."""
    mixed = differs(batch.codes("document_currency"), batch.line, batch.line_judged)
    rows = batch.once(mixed, batch.line)
    shown = texts_by(batch.line[mixed], batch.shown("document_currency", np.flatnonzero(mixed)))
    details = [f"amounts in {shown[g]}" for g in batch.line[rows].tolist()]
    yield Finding("SPLIT", "document_currency", rows, batch.shown("line_no", rows), details)


def amounts(batch: Batch) -> Iterator[Finding]:
    """No line of zero unless `zero: allowed`; no refund when `refunds: refused`; no report beyond the money limit."""
    size = sum_of(np.abs(batch.number("gross_minor")), batch.line)[batch.line]
    if batch.options.get("zero") != "allowed":
        rows = batch.once(batch.line_judged & (size == 0), batch.line)
        yield Finding("ZERO", "gross_minor", rows, batch.amounts(batch.gross, rows))
    if batch.options.get("refunds") == "refused":
        rows = batch.once(batch.line_judged & (batch.gross < 0), batch.line)
        yield Finding("NEGATIVE", "gross_minor", rows, batch.amounts(batch.gross, rows))
    group = pair(batch.report, batch.codes("document_currency"))
    total = sum_of(np.where(batch.bad, 0, np.abs(batch.number("gross_minor"))), group)[group]
    rows = batch.once((total > money.LIMIT_MINOR) & ~batch.bad, group)
    yield Finding("RANGE", "gross_minor", rows, batch.amounts(total, rows), of_report=True)


def report_totals(batch: Batch) -> Iterator[Finding]:
    """The lines of a report add up to the total it states, per currency (`report_total: yes`)."""
    if batch.options.get("report_total") != "yes":
        return
    group = pair(batch.report, batch.codes("document_currency"))
    stated = batch.number("report_total_minor")
    total = sum_of(batch.number("gross_minor"), group)[group]
    judged = ~any_by(batch.bad, batch.report)[batch.report] & ~differs(stated, group, ~batch.bad)
    rows = batch.once(judged & (total != stated), group)
    values, details = batch.amounts(stated, rows), batch.amounts(total, rows)
    yield Finding("REPORT_TOTAL", "report_total_minor", rows, values, details, of_report=True)


def taxes(batch: Batch) -> Iterator[Finding]:
    """Tax is part of the amount and agrees with the rate of its code within one minor unit (`tax: TABLE`)."""
    tax, gross, line = batch.number("tax_minor"), batch.number("gross_minor"), batch.line
    coded = batch.filled("tax_code")
    if not coded.any() and not tax.any():
        return
    for column in ("tax_code", "transaction_date"):
        line = pair(line, batch.codes(column))
    line_tax, line_gross = sum_of(tax, line)[line], sum_of(gross, line)[line]
    rows = batch.once(batch.line_judged & ((line_tax != 0) | coded), line)
    over = (np.abs(line_tax) > np.abs(line_gross)) | (np.sign(line_tax) * np.sign(line_gross) < 0)
    yield _tax(batch, rows[over[rows]], line_tax, "it is more than the amount, or a charge against a refund")
    if "tax" not in batch.options:
        return
    yield _tax(batch, rows[(line_tax != 0)[rows] & ~coded[rows]], line_tax, "it has no tax code")
    rows = rows[coded[rows] & ~over[rows]]
    table = _tax_table(batch.tables / batch.options["tax"])
    rates, missing = table.find(batch.lines.iloc[rows], "rate_pct", "transaction_date")
    yield from _tax_codes_unknown(batch, rows[missing], table)
    rows, rates = rows[~missing], rates[~missing]
    wrong, expected = tax_differs(line_gross[rows], line_tax[rows], rates)
    shown = zip(rates[wrong].tolist(), batch.amounts(placed(expected, rows, len(line)), rows[wrong]), strict=True)
    details = [f"{rate} % gives {amount}" for rate, amount in shown]
    yield Finding("TAX", "tax_minor", rows[wrong], batch.amounts(line_tax, rows[wrong]), details)


def _tax(batch: Batch, rows: Ints, tax: Ints, detail: str) -> Finding:
    return Finding("TAX", "tax_minor", rows, batch.amounts(tax, rows), [detail] * len(rows))


def _tax_codes_unknown(batch: Batch, rows: Ints, table: lookup.Table) -> Iterator[Finding]:
    shown = zip(*(batch.shown(c, rows) for c in (*table.key, "transaction_date")), strict=True)
    values = [f"{' '.join(key)} on {day or 'no date'}" for *key, day in shown]
    yield Finding("MAPPING_GAP", "tax_code", rows, values, [table.file] * len(rows))


def _tax_table(path: Path) -> lookup.Table:
    table = lookup.read_table(path, ["company", "tax_code"], ["rate_pct"])
    for row in (row for periods in table.rows.values() for row in periods):
        if _rate(row.cells["rate_pct"]) is None:
            detail = f"rate_pct {row.cells['rate_pct']!r} is no percentage"
            raise ConfigurationError("TABLE", file=table.file, line=row.line, detail=detail)
    return table


def _rate(text: str) -> tuple[int, int] | None:
    """A percentage as (numerator, decimals); zero is one."""
    return (0, 0) if text and not text.strip("0.") and text.count(".") < 2 else money.parse_rate(text)


def tax_differs(gross: Ints, tax: Ints, rates: pd.Series) -> tuple[Bools, Ints]:
    """Where tax is not gross - gross / (1 + rate), and what it should be; a rate of zero allows no tax at all."""
    expected, tolerance = np.zeros(len(gross), dtype=np.int64), np.zeros(len(gross), dtype=np.int64)
    codes, texts = model.distinct(rates)
    for number, text in enumerate(texts):
        rate = _rate(text)
        assert rate is not None, "rates are checked when the table is read"
        whole, mine = 100 * 10 ** rate[1], codes == number
        expected[mine] = gross[mine] - money.scale(gross[mine], whole, whole + rate[0])
        tolerance[mine] = TAX_TOLERANCE_MINOR if rate[0] else 0
    return np.abs(tax - expected) > tolerance, expected


# --- references, duplicates and policy


def references(batch: Batch) -> Iterator[Finding]:
    """Codes that a table must know and hold valid on the day of the cost (`references: {cost_center: {file, key}}`)."""
    ours = batch.where("company", lambda name: name in batch.feed["companies"])
    for field, use in batch.options.get("references", {}).items():
        table = lookup.read_table(batch.tables / use["file"], use["key"])
        dated = ours & batch.filled(field) & batch.filled("transaction_date")
        rows = batch.once(dated, pair(batch.line, batch.codes(field)))
        _, missing = table.find(batch.lines.iloc[rows], field, "transaction_date")
        rows = rows[missing]
        details = [f"{table.file}, {day}" for day in batch.shown("transaction_date", rows)]
        yield Finding("REFERENCE", field, rows, batch.shown(field, rows), details)


def invoices(batch: Batch) -> Iterator[Finding]:
    """One invoice (number, date, currency, amount) is claimed once, in one report (`invoice_repeated: hold`).

    Looked for in the batch, and among the accepted reports of earlier deliveries (`Batch.claims`).
    """
    severity = batch.options.get("invoice_repeated")
    if severity not in OUTCOME_OF or not len(batch.invoices):
        return
    mine, rows = batch.invoices, batch.invoices["row"].to_numpy(dtype=np.int64)
    key, owner = codes_of(mine["invoice_key"]), model.groups(mine, REPORT_KEY[:2])[0]
    here = pair(key, batch.report[rows])
    repeated = differs(owner, key, np.ones(len(rows), dtype=bool)) | (np.bincount(here)[here] > 1)
    before = _claimed_before(batch)
    repeated |= mine["invoice_key"].isin(list(before)).to_numpy(dtype=bool)
    rows, key, keys = rows[repeated], key[repeated], mine["invoice_key"][repeated].tolist()
    claimants = [
        {*before.get(text, ()), report} for text, report in zip(keys, batch.shown("report_id", rows), strict=True)
    ]
    others = texts_by(np.repeat(key, [len(c) for c in claimants]), [one for c in claimants for one in sorted(c)])
    details, values = [others[k] for k in key.tolist()], batch.shown("invoice_no", rows)
    yield Finding("INVOICE_REPEATED", "invoice_no", rows, values, details, outcome=OUTCOME_OF[severity])


def _claimed_before(batch: Batch) -> dict[str, set[str]]:
    """The report ids of other, earlier reports per invoice key of this batch."""
    if batch.claims is None:
        return {}
    mine, names = batch.invoices, model.INVOICE_COLUMNS
    earlier = batch.claims(mine["invoice_key"].tolist())
    found = mine[names].merge(earlier, on="invoice_key", suffixes=("", "_before"), validate="m:m")
    other = (found["company"] != found["company_before"]) | (found["report_id"] != found["report_id_before"])
    before: dict[str, set[str]] = {}
    for key, report in found.loc[other, ["invoice_key", "report_id_before"]].itertuples(index=False, name=None):
        before.setdefault(key, set()).add(report)
    return before


def policies(batch: Batch) -> Iterator[Finding]:
    """The feed's policy documents: a rule names lines by a condition and says reject, hold or warn.

    `gross_minor` and `tax_minor` of a condition are those of the whole line, so a split does not slip below a limit.
    """
    frame = batch.lines.assign(gross_minor=batch.gross, tax_minor=batch.tax) if batch.policies else batch.lines
    for rule in (rule for document in batch.policies for rule in document["checks"]):
        rows = batch.once(lookup.matches(rule["when"], frame) & batch.line_judged, batch.line)
        yield Finding(
            POLICY_CODE[rule["severity"]], ", ".join(condition_fields(rule["when"])), rows, [rule["name"]] * len(rows),
            [rule["message"]] * len(rows), outcome=OUTCOME_OF[rule["severity"]], owner=rule["owner"],
        )  # fmt: skip


def condition_fields(condition: Mapping[str, Any]) -> list[str]:
    """The fields a condition reads, sorted."""
    fields: set[str] = set()
    for name, test in condition.items():
        inner = test if name in ("any", "all") else [test] if name == "not" else None
        fields |= {name} if inner is None else {f for one in inner for f in condition_fields(one)}
    return sorted(fields)


CHECKS: Final[tuple[Callable[[Batch], Iterator[Finding]], ...]] = (
    companies, headers, repeated_lines, states, separation_of_duties,
    dates_plausible, dates_in_order, dates_and_approval,
    parts, amounts, report_totals, taxes,
    references, invoices, policies,
)  # fmt: skip
