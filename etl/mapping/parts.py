"""Expense lines to journal parts: dates, taxes, whose books, then each journal line rule in order, column by column."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from etl import lookup, model, money
from etl.mapping import lengths, shares, suspense, tax_rates
from etl.mapping.apply import DIMENSIONS, Faults, evaluate, open_date, with_dates
from etl.mapping.bundle import Bundle
from etl.mapping.posting import DUE_FROM, DUE_TO, OWN_LINES

Ints = NDArray[np.int64]

# One part: what one rule makes of one expense line, before merging. amount_minor is signed, debit positive; books is
# the company whose books it stands in.
PART_COLUMNS: Final = ["line", "rule", "books", "account", *DIMENSIONS, "amount_minor"]
CLAIM, BEARER = "claim", "bearer"


@dataclass(frozen=True)
class Applied:
    """Lines with posting_date, period, base_currency and reclaimable tax; their parts; and what could not be mapped."""

    lines: pd.DataFrame
    parts: pd.DataFrame
    rejects: pd.DataFrame


@dataclass(frozen=True)
class Taxes:
    """The taxes of the lines, one row each: position of the line, name, amount and its reclaimable part."""

    line: Ints
    name: pd.Series
    tax: Ints
    reclaimable: Ints


def rules(bundle: Bundle) -> list[Mapping[str, Any]]:
    """The journal line rules by number: the mapping's, then those of OWN_LINES."""
    return [*bundle.journal["lines"], *({"purpose": name, "side": "", "merge": "yes"} for name in OWN_LINES)]


def rule_number(bundle: Bundle, purpose: str) -> int:
    """The number of a rule of OWN_LINES."""
    return len(bundle.journal["lines"]) + OWN_LINES.index(purpose)


def apply(bundle: Bundle, lines: pd.DataFrame) -> Applied:
    """Map accepted expense lines to journal parts.

    In: all model.LINE_FIELDS. Out: the same lines in the same order with base_currency, posting_date, period,
    original_date, claim_company and bearer added and reclaimable_tax_minor set; parts of PART_COLUMNS (`line` is the
    position of the expense line, `rule` the number of its rule); rejects of model.REJECT_COLUMNS, every gap of every
    line.
    """
    faults = Faults()
    lines = with_dates(bundle, lines.reset_index(drop=True), faults)
    lines = lines.assign(claim_company=lines["company"], bearer=lines["company"])
    if "tax_rate" in bundle.journal:
        lines = tax_rates.with_stated_rates(bundle, lines, faults)
    lines, taxes = _with_taxes(bundle, lines, faults)
    if "intercompany" in bundle.journal:
        lines = _with_bearer(bundle, lines, faults)
    parts = [_parts(bundle, lines, taxes, number, faults) for number in range(len(bundle.journal["lines"]))]
    if "intercompany" in bundle.journal:
        parts += _due(bundle, lines, parts, faults)
    return Applied(lines, pd.concat(parts, ignore_index=True), faults.rejects(lines))


# --- tax


def _with_taxes(bundle: Bundle, lines: pd.DataFrame, faults: Faults) -> tuple[pd.DataFrame, Taxes]:
    """The lines with tax and reclaimable tax, and each tax of a line."""
    if bundle.taxes is not None:
        return _several_taxes(bundle, bundle.taxes, lines, faults)
    lines = _with_reclaimable_tax(bundle, lines, faults)
    tax = lines["tax_minor"].to_numpy(dtype=np.int64)
    rows = np.flatnonzero(tax)
    reclaimable = lines["reclaimable_tax_minor"].to_numpy(dtype=np.int64)[rows]
    return lines, Taxes(rows, lines["tax_code"].iloc[rows].reset_index(drop=True), tax[rows], reclaimable)


def _with_reclaimable_tax(bundle: Bundle, lines: pd.DataFrame, faults: Faults) -> pd.DataFrame:
    policy = bundle.journal.get("reclaimable_tax")
    if policy is None:
        return lines
    tax = lines["tax_minor"].to_numpy(dtype=np.int64)
    reclaimable = np.zeros(len(lines), dtype=np.int64)
    if "field" in policy:
        taken = lookup.matches(policy["when"], lines) if "when" in policy else np.ones(len(lines), dtype=bool)
        reclaimable = np.where(taken, lines[policy["field"]].to_numpy(dtype=np.int64), 0)
        return lines.assign(reclaimable_tax_minor=reclaimable)
    taxed = np.flatnonzero(tax != 0)
    percents = evaluate({"table": policy["table"]}, bundle, lines.iloc[taxed], taxed, "tax_code", faults)
    codes, values = model.distinct(percents)
    for code, value in enumerate(values):
        parsed = money.parse_rate(value) or (0, 0)
        rows = taxed[codes == code]
        reclaimable[rows] = money.scale(tax[rows], parsed[0], 100 * 10 ** parsed[1])
    return lines.assign(reclaimable_tax_minor=reclaimable)


def _several_taxes(
    bundle: Bundle, taxes: shares.Shares, lines: pd.DataFrame, faults: Faults
) -> tuple[pd.DataFrame, Taxes]:
    """Split the tax of each line over the taxes of its code by their rates; each is reclaimable by its own percent.

    `amount: stated` takes the source's tax; `inclusive` works it out: gross x rates / (100 + rates), rounded once. A
    line that states its rate has its tax already; the table's rates only divide it.
    """
    gross, stated = (lines[c].to_numpy(dtype=np.int64) for c in ("gross_minor", "tax_minor"))
    inclusive = bundle.journal["taxes"]["amount"] == "inclusive"
    by_rate = tax_rates.rated(bundle, lines) & (stated != 0)
    coded = (lines["tax_code"] != "").to_numpy(dtype=bool)
    rows = np.flatnonzero(coded | by_rate if inclusive else stated != 0)
    found = taxes.expand(lines.iloc[rows])
    rate, unit = found.numbers(shares.RATE)
    sums = model.sum_by(rate, found.origin, len(rows))
    faults.add(rows[found.missing], "MAPPING_GAP", "tax_code", lines["tax_code"].iloc[rows[found.missing]].tolist(),
               f"tables/{taxes.table.file}")  # fmt: skip
    taken = tax_rates.rated(bundle, lines)[rows] | (not inclusive)
    total = np.where(taken, stated[rows], _inclusive(gross[rows], sums, unit))
    wrong = np.flatnonzero((stated[rows] != 0) & (total != stated[rows]) | ~found.missing & (sums == 0) & (total != 0))
    faults.add(rows[wrong], "TAX", "tax_minor", [str(v) for v in stated[rows[wrong]].tolist()],
               f"tables/{taxes.table.file} gives another amount, in minor units")  # fmt: skip
    total = np.where(found.missing | (sums == 0), 0, total)
    used, group = np.unique(found.origin[sums[found.origin] != 0], return_inverse=True)
    kept = np.flatnonzero(sums[found.origin] != 0)
    amount = np.zeros(len(found.origin), dtype=np.int64)
    amount[kept] = money.allocate_groups(total[used], rate[kept], group)
    percent, hundredth = found.numbers(shares.RECLAIMABLE)
    reclaimable = np.zeros(len(amount), dtype=np.int64)
    for value in np.unique(percent):
        mine = percent == value
        reclaimable[mine] = money.scale(amount[mine], int(value), 100 * hundredth)
    line = rows[found.origin]
    tax = np.where(np.isin(np.arange(len(lines)), rows), 0, stated)
    tax[rows] = total
    lines = lines.assign(tax_minor=tax, reclaimable_tax_minor=model.sum_by(reclaimable, line, len(lines)))
    return lines, Taxes(line, found.column(shares.TAX), amount, reclaimable)


def _inclusive(gross: Ints, rates: Ints, unit: int) -> Ints:
    """The tax within a gross amount, rates being percent x unit together; rounded once, half up."""
    out = np.zeros(len(gross), dtype=np.int64)
    for rate in np.unique(rates):
        mine = rates == rate
        out[mine] = money.scale(gross[mine], int(rate), 100 * unit + int(rate))
    return out


# --- whose books


def _with_bearer(bundle: Bundle, lines: pd.DataFrame, faults: Faults) -> pd.DataFrame:
    """The company that bears each line's cost; it must be one of the feed, with the period open."""
    everyone = np.arange(len(lines), dtype=np.int64)
    bearer = evaluate(bundle.journal["intercompany"]["company"], bundle, lines, everyone, "intercompany", faults)
    known = bearer.isin(list(bundle.feed["companies"])).to_numpy(dtype=bool)
    strange = np.flatnonzero(~known & (bearer != "").to_numpy(dtype=bool))
    faults.add(strange, "COMPANY", "intercompany", bearer.iloc[strange].tolist(), "")
    lines = lines.assign(bearer=bearer.where(known, lines["company"]).astype("str"))
    codes, first = model.groups(lines, ["bearer", "period", "posting_date"])
    keys = lines[["bearer", "period", "posting_date"]].iloc[first].itertuples(index=False, name=None)
    closed = np.array([open_date(bundle, *key) != key[2] for key in keys], dtype=bool)
    other = (lines["bearer"] != lines["company"]).to_numpy(dtype=bool)
    rows = np.flatnonzero(closed[codes] & other) if len(codes) else codes
    faults.add(rows, "PERIOD_CLOSED", "intercompany", lines["period"].iloc[rows].tolist(), "the company that bears it")
    return lines


def _due(bundle: Bundle, lines: pd.DataFrame, parts: list[pd.DataFrame], faults: Faults) -> list[pd.DataFrame]:
    """What the bearer's books owe the claim's company for each line, in both books."""
    elsewhere = (lines["bearer"] != lines["company"]).to_numpy(dtype=bool)
    borne = np.zeros(len(lines), dtype=np.int64)
    for rule, part in zip(bundle.journal["lines"], parts, strict=True):
        if rule.get("books") == BEARER:
            np.add.at(borne, part["line"].to_numpy(dtype=np.int64), part["amount_minor"].to_numpy(dtype=np.int64))
    rows = np.flatnonzero(elsewhere & (borne != 0))
    out = []
    for purpose, books, sign in ((DUE_FROM, "claim_company", 1), (DUE_TO, "bearer", -1)):
        part = lines.iloc[rows]
        part = part.assign(company=part[books])
        expression = bundle.journal["intercompany"][purpose]
        blank = {name: model.texts([""] * len(rows)) for name in DIMENSIONS}
        partner = part["bearer"] if books == "claim_company" else part["claim_company"]
        made = blank | {"party": partner.reset_index(drop=True)}
        account = evaluate(expression, bundle, part, rows, purpose, faults)
        out.append(_frame(rows, rule_number(bundle, purpose), part, {"account": account, **made}, sign * borne[rows]))
    return out


def _frame(rows: Ints, rule: int, part: pd.DataFrame, texts: Mapping[str, pd.Series], amount: Ints) -> pd.DataFrame:
    books = part["company"].reset_index(drop=True)
    columns = {"line": rows, "rule": np.full(len(rows), rule, dtype=np.int64), "books": books, **texts}
    return pd.DataFrame({**columns, "amount_minor": amount}, columns=PART_COLUMNS)


# --- parts


def _amount(kind: str, lines: pd.DataFrame) -> Ints:
    gross, tax, reclaimable = (
        lines[c].to_numpy(dtype=np.int64) for c in ("gross_minor", "tax_minor", "reclaimable_tax_minor")
    )
    amounts: dict[str, Ints] = {
        "gross": gross,
        "net": gross - reclaimable,
        "untaxed": gross - tax,
        "tax": tax,
        "reclaimable_tax": reclaimable,
        "non_reclaimable_tax": tax - reclaimable,
    }
    return amounts[kind]


def _parts(bundle: Bundle, lines: pd.DataFrame, taxes: Taxes, number: int, faults: Faults) -> pd.DataFrame:
    rule = bundle.journal["lines"][number]
    rows, amount, part = _taken(rule, lines, taxes)
    if rule.get("books") == BEARER:
        part = part.assign(company=part["bearer"])
    if "allocate" in rule:
        rows, amount, part = _allocated(bundle, rule["allocate"], rows, amount, part, faults)
    before = len(faults.in_suspense)
    texts = {
        name: evaluate(rule.get(name, {"value": ""}), bundle, part, rows, f"{rule['purpose']}.{name}", faults)
        for name in ("account", *DIMENSIONS)
    }
    for taken in faults.in_suspense[before:]:
        text = suspense.marked(texts["text"], np.isin(rows, taken))
        texts["text"] = lengths.cut(rule.get("text", {}), text)
    return _frame(rows, number, part, texts, amount if rule["side"] == "debit" else -amount)


def _taken(rule: Mapping[str, Any], lines: pd.DataFrame, taxes: Taxes) -> tuple[Ints, Ints, pd.DataFrame]:
    """The positions, amounts and fields of the lines that a rule takes; once for each tax with `per: tax`."""
    if rule.get("per") == "tax":
        values = {"tax": taxes.tax, "reclaimable_tax": taxes.reclaimable}
        amount = values.get(rule["amount"], taxes.tax - taxes.reclaimable)
        part = lines.iloc[taxes.line].assign(tax_code=taxes.name.to_numpy(dtype=object)).astype({"tax_code": "str"})
        taken = amount != 0
        if "when" in rule:
            taken &= lookup.matches(rule["when"], part)
        at = np.flatnonzero(taken)
        return taxes.line[at], amount[at], part.iloc[at]
    amount = _amount(rule["amount"], lines)
    taken = amount != 0
    if "when" in rule:
        taken &= lookup.matches(rule["when"], lines)
    rows = np.flatnonzero(taken)
    return rows, amount[rows], lines if len(rows) == len(lines) else lines.iloc[rows]


def _allocated(
    bundle: Bundle, name: str, rows: Ints, amount: Ints, part: pd.DataFrame, faults: Faults
) -> tuple[Ints, Ints, pd.DataFrame]:
    """Each amount divided among the parts of its key, with the fields the parts set; parts of zero are left out."""
    allocation = bundle.allocations[name]
    found = allocation.expand(part)
    at = f"tables/{allocation.table.file}"
    keys = list(allocation.table.key[:-1])
    if not allocation.optional:
        shown = [", ".join(key) for key in part[keys].iloc[found.missing].itertuples(index=False, name=None)]
        faults.add(rows[found.missing], "MAPPING_GAP", f"allocations.{name}", shown, at)
    divided, beyond = shares.divide(allocation, found, amount, part["document_currency"])
    short = np.flatnonzero(beyond)
    faults.add(rows[short], "SPLIT", f"allocations.{name}", [str(v) for v in amount[short].tolist()],
               f"fixed amounts beyond the line's, by {at}")  # fmt: skip
    kept = np.flatnonzero(divided != 0)
    whole = np.flatnonzero(found.missing) if allocation.optional else np.empty(0, dtype=np.int64)
    origin = np.concatenate([found.origin[kept], whole])
    order = np.argsort(origin, kind="stable")
    out = part.iloc[origin]
    for field in allocation.sets:
        texts = np.concatenate(
            [found.column(field).to_numpy(dtype=object)[kept], part[field].to_numpy(dtype=object)[whole]]
        )
        out = out.assign(**{field: model.texts(texts.tolist()).set_axis(out.index)})
    out, amounts = out.iloc[order], np.concatenate([divided[kept], amount[whole]])[order]
    return rows[origin[order]], amounts, out
