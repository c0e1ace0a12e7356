"""Journal lines: merged, converted, rounded, balanced, put on their sides and numbered; and where each comes from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from etl import mapping, model, money
from etl.mapping.apply import DIMENSIONS
from etl.mapping.posting import ROUNDING

Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

_CANONICAL: Final = "c1"  # version of the text that content_hash is made of


def only(lines: pd.DataFrame, parts: pd.DataFrame, kept: Sequence[bool] | Bools) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Lines that are kept, and their parts pointing to the new positions."""
    keep = np.asarray(kept, dtype=bool)
    if keep.all():
        return lines, parts
    place = np.cumsum(keep) - 1
    at = parts["line"].to_numpy(dtype=np.int64)
    mine = parts.loc[keep[at]]
    return lines.loc[keep].reset_index(drop=True), mine.assign(line=place[at[keep[at]]]).reset_index(drop=True)


# --- merge


def merged(
    bundle: mapping.Bundle, lines: pd.DataFrame, parts: pd.DataFrame, journal_of_part: Ints
) -> tuple[pd.DataFrame, Ints]:
    """Journal lines in order, equal ones of a merging rule summed; and the line that each part went into.

    A part whose line came to zero went nowhere: -1.
    """
    rule = parts["rule"].to_numpy(dtype=np.int64)
    order = _order(bundle, lines, parts, journal_of_part)
    ordered = parts.iloc[order].reset_index(drop=True)
    journal, rule = journal_of_part[order], rule[order]
    into = _merging(mapping.rules(bundle))
    alone = np.where(into[rule] >= 0, 0, np.arange(1, len(ordered) + 1)) if len(ordered) else rule
    names = ["account", *DIMENSIONS]
    kinds = [journal, np.where(into[rule] >= 0, into[rule], rule), alone]
    group, first = model.combine([*kinds, *(model.distinct(ordered[c])[0] for c in names)])
    amount = model.sum_by(ordered["amount_minor"].to_numpy(dtype=np.int64), group, len(first))
    kept = np.flatnonzero(amount != 0)
    out = ordered[["rule", *names]].iloc[first[kept]].reset_index(drop=True)
    out["amount_minor"] = amount[kept]
    out["journal"] = journal[first[kept]]
    place = np.full(len(first), -1, dtype=np.int64)
    place[kept] = np.arange(len(kept))
    line_of_part = np.empty(len(parts), dtype=np.int64)
    line_of_part[order] = place[group] if len(group) else group
    return out, line_of_part


def _order(bundle: mapping.Bundle, lines: pd.DataFrame, parts: pd.DataFrame, journal: Ints) -> Ints:
    """Parts by journal, then as `line_order` says: by rule, debits first, or as they stand in the source."""
    at = parts["line"].to_numpy(dtype=np.int64)
    rule = parts["rule"].to_numpy(dtype=np.int64)
    wanted = bundle.journal.get("line_order", "rules")
    source = [lines[c].to_numpy(dtype=np.int64)[at] for c in ("source_row", "allocation_no", "line_no")]
    if wanted == "source":
        return np.lexsort((rule, *source, journal))
    credit = np.array([r["side"] == "credit" for r in mapping.rules(bundle)], dtype=bool)[rule]
    return np.lexsort((*source, rule, credit & (wanted == "debits_first"), journal))


def _merging(rules: Sequence[Mapping[str, Any]]) -> Ints:
    """For each rule the first one its lines merge with, -1 when they do not: `yes` is itself, a name is shared."""
    named: dict[str, int] = {}
    out = [
        -1 if word == "no" else number if word == "yes" else named.setdefault(word, number)
        for number, word in enumerate(rule.get("merge", "no") for rule in rules)
    ]
    return np.array(out, dtype=np.int64)


# --- base currency


def base_amounts(bundle: mapping.Bundle, heads: pd.DataFrame, merged: pd.DataFrame, faults: mapping.Faults) -> Ints:
    """Each line in base currency; a journal whose amounts leave the money limit there is rejected, its lines are 0."""
    journal = merged["journal"].to_numpy(dtype=np.int64)
    amount = merged["amount_minor"].to_numpy(dtype=np.int64)
    gross = model.sum_by(np.abs(amount), journal, len(heads))
    refused = np.zeros(len(heads), dtype=bool)
    for (currency, base, rate), mine in _rates(heads):
        over = mine[money.convert(gross[mine], rate, currency, base) > 2 * money.LIMIT_MINOR]
        values = [f"{money.text_of(int(gross[row]) // 2, currency)} {currency} at {rate}" for row in over.tolist()]
        faults.add(over, "RANGE", "base_debit_minor", values, "")
        refused[over] = True
    return np.where(refused[journal], 0, _converted(bundle, heads, np.where(refused[journal], 0, amount), journal))


def _rates(heads: pd.DataFrame) -> list[tuple[tuple[str, str, str], Ints]]:
    """Each conversion (currency, base currency, rate) and the journals that need it."""
    codes, first = model.groups(heads, ["currency", "base_currency", "rate"])
    kinds = heads[["currency", "base_currency", "rate"]].iloc[first].itertuples(index=False, name=None)
    return [
        ((currency, base, rate), np.flatnonzero(codes == number))
        for number, (currency, base, rate) in enumerate(kinds) if currency != base and rate
    ]  # fmt: skip


def _converted(bundle: mapping.Bundle, heads: pd.DataFrame, amount: Ints, journal: Ints) -> Ints:
    """Amounts in base currency, each rounded once, as `rates.rounding` says."""
    out, mode = amount.copy(), bundle.journal.get("rates", {}).get("rounding", money.HALF_UP)
    for (currency, base, rate), mine in _rates(heads):
        rows = np.flatnonzero(np.isin(journal, mine))
        out[rows] = money.convert(amount[rows], rate, currency, base, mode)
    return out


def with_rounding(
    bundle: mapping.Bundle, lines: pd.DataFrame, heads: pd.DataFrame, merged: pd.DataFrame, faults: mapping.Faults
) -> pd.DataFrame:
    """Book what the conversion left over on the rounding account; above the limit the report is held."""
    journal = merged["journal"].to_numpy(dtype=np.int64)
    foreign = ((heads["currency"] != heads["base_currency"]) & (heads["rate"] != "")).to_numpy(dtype=bool)
    rest = model.sum_by(merged["base_minor"].to_numpy(dtype=np.int64), journal, len(heads))
    rows = np.flatnonzero(foreign & (rest != 0))
    if not len(rows):
        return merged.assign(was=np.arange(len(merged)))
    policy = bundle.journal["rounding"]
    over = rows[np.abs(rest[rows]) > int(policy["limit_minor"])]
    values = [money.text_of(int(rest[r]), str(heads["base_currency"].iat[r])) for r in over.tolist()]
    faults.add(over, "ROUNDING_LIMIT", "rounding", values, f"{policy['limit_minor']} minor units")
    account = own_account(bundle, policy["account"], lines, heads, rows, "rounding.account", faults)
    extra = own_lines(bundle, ROUNDING, rows, account, np.zeros(len(rows), dtype=np.int64), -rest[rows])
    extra = extra.assign(text=model.texts(["Rounding of the conversion"] * len(rows)))
    return together(merged.assign(was=np.arange(len(merged))), extra)


def own_account(
    bundle: mapping.Bundle, expression: Mapping[str, Any], lines: pd.DataFrame, heads: pd.DataFrame, rows: Ints,
    field: str, faults: mapping.Faults,
) -> pd.Series:  # fmt: skip
    """The account of a line that no rule writes, for the journals of `rows`, in the books they stand in."""
    head = lines.iloc[heads["first_line"].to_numpy(dtype=np.int64)[rows]]
    head = head.assign(company=model.texts(heads["company"].iloc[rows].tolist()).set_axis(head.index))
    return mapping.evaluate(expression, bundle, head, rows, field, faults)


def own_lines(
    bundle: mapping.Bundle, purpose: str, journal: Ints, account: pd.Series, amount: Ints, base: Ints
) -> pd.DataFrame:
    """Lines of a purpose of mapping.parts.OWN_LINES, in the columns of merged lines."""
    blank = {name: model.texts([""] * len(journal)) for name in DIMENSIONS}
    number = mapping.rule_number(bundle, purpose)
    return pd.DataFrame({
        "rule": np.full(len(journal), number, dtype=np.int64), "account": account.reset_index(drop=True), **blank,
        "amount_minor": amount, "journal": journal, "base_minor": base,
        "was": np.full(len(journal), -1, dtype=np.int64),
    })  # fmt: skip


def together(*frames: pd.DataFrame) -> pd.DataFrame:
    """Lines of several frames, by journal, otherwise in the order given."""
    both = pd.concat(frames, ignore_index=True)
    order = np.argsort(both["journal"].to_numpy(dtype=np.int64), kind="stable")
    return both.iloc[order].reset_index(drop=True)


def check_balance(heads: pd.DataFrame, merged: pd.DataFrame, faults: mapping.Faults) -> None:
    """Both currencies must sum to zero; anything else holds the report (I07)."""
    journal = merged["journal"].to_numpy(dtype=np.int64)
    rated = (heads["rate"] != "").to_numpy(dtype=bool)
    for column, currency in (("amount_minor", "currency"), ("base_minor", "base_currency")):
        rest = model.sum_by(merged[column].to_numpy(dtype=np.int64), journal, len(heads))
        rows = np.flatnonzero(rated & (rest != 0))
        shown = [money.text_of(int(rest[r]), str(heads[currency].iat[r])) for r in rows.tolist()]
        for row, text in zip(rows.tolist(), shown, strict=True):
            detail = f"debits and credits differ by {text} {heads[currency].iat[row]}"
            faults.add(np.array([row]), "UNBALANCED", column, [text], detail)


def restrict(heads: pd.DataFrame, merged: pd.DataFrame, good: Bools) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The journals that are kept, with new positions; one that has no line left (all came to zero) goes too."""
    journal = merged["journal"].to_numpy(dtype=np.int64)
    good = good & (np.bincount(journal, minlength=len(heads)) > 0)
    place = np.cumsum(good) - 1
    merged = merged.loc[good[journal]].reset_index(drop=True)
    return heads.loc[good].reset_index(drop=True), merged.assign(journal=place[journal[good[journal]]])


# --- sides, numbers, content


def number(bundle: mapping.Bundle, heads: pd.DataFrame, merged: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Number the lines, put amounts on their sides, and add totals and content hash to the headers."""
    journal = merged["journal"].to_numpy(dtype=np.int64)
    starts = np.searchsorted(journal, np.arange(len(heads)))
    merged["line_no"] = np.arange(len(merged)) - starts[journal] + 1 if len(merged) else merged["journal"]
    merged["journal_key"] = heads["journal_key"].iloc[journal].reset_index(drop=True)
    merged = _with_sides(bundle, heads, merged)
    count = len(heads)
    rounding = merged["rule"].to_numpy(dtype=np.int64) == mapping.rule_number(bundle, ROUNDING)
    rounded = np.where(rounding, merged["base_minor"].to_numpy(dtype=np.int64), 0)
    heads = heads.assign(
        lines=np.bincount(journal, minlength=count).astype(np.int64),
        debit_minor=model.sum_by(merged["debit_minor"].to_numpy(dtype=np.int64), journal, count),
        base_debit_minor=model.sum_by(merged["base_debit_minor"].to_numpy(dtype=np.int64), journal, count),
        rounding_minor=model.sum_by(rounded, journal, count),
        content_hash=model.texts(content_hashes(heads, merged, starts)),
    )
    return heads, merged


def _with_sides(bundle: mapping.Bundle, heads: pd.DataFrame, merged: pd.DataFrame) -> pd.DataFrame:
    """Debit and credit columns. A negative amount changes sides (swap) or stays there in red (red), by company.

    A line that no rule writes, or that rules of both sides are merged into, stands on the side of its amount.
    """
    rules = mapping.rules(bundle)
    rule = merged["rule"].to_numpy(dtype=np.int64)
    codes, names = model.distinct(heads["company"])
    red_company = np.array([bundle.company(name, "reversal_style") == "red" for name in names], dtype=bool)
    red = red_company[codes][merged["journal"].to_numpy(dtype=np.int64)] & _one_sided(rules)[rule]
    debit_rule = np.array([r["side"] == "debit" for r in rules], dtype=bool)[rule]
    columns: dict[str, Any] = {"purpose": model.spread([r["purpose"] for r in rules], rule)}
    for source, prefix in (("amount_minor", ""), ("base_minor", "base_")):
        signed = merged[source].to_numpy(dtype=np.int64)
        on_debit = np.where(red, debit_rule, signed > 0)
        columns[f"{prefix}debit_minor"] = np.where(on_debit, signed, 0)
        columns[f"{prefix}credit_minor"] = np.where(on_debit, 0, -signed)
    return merged.assign(**columns)


def _one_sided(rules: Sequence[Mapping[str, Any]]) -> Bools:
    """Rules whose lines keep to their own side."""
    into = np.where(_merging(rules) >= 0, _merging(rules), np.arange(len(rules))).tolist()
    sides: dict[int, set[str]] = {}
    for target, rule in zip(into, rules, strict=True):
        sides.setdefault(target, set()).add(rule["side"])
    kept = [bool(rule["side"]) and len(sides[target]) == 1 for target, rule in zip(into, rules, strict=True)]
    return np.array(kept, dtype=bool)


def content_hashes(heads: pd.DataFrame, merged: pd.DataFrame, starts: Ints) -> pa.Array:
    """One hash per header over its lines; `merged` has JOURNAL_LINE_COLUMNS and `journal`, their header's position."""
    journal = pa.array(merged["journal"].to_numpy(dtype=np.int64))
    head = model.joined(
        [_CANONICAL, *(model.utf8(heads[c]) for c in ("posting_date", "currency", "base_currency", "rate"))]
    )
    names = ["purpose", "account", *DIMENSIONS]
    amounts = ["debit_minor", "credit_minor", "base_debit_minor", "base_credit_minor"]
    rows = [
        head.take(journal),
        *(model.utf8(merged[c]) for c in names),
        *(model.utf8(merged[c].astype("str")) for c in amounts),
    ]
    return model.hash_runs(model.joined(rows), starts)


# --- lineage


def lineage(
    bundle: mapping.Bundle, lines: pd.DataFrame, parts: pd.DataFrame, line_of_part: Ints, report_no: Ints,
    heads: pd.DataFrame, merged: pd.DataFrame,
) -> pd.DataFrame:  # fmt: skip
    """Which part of each journal line came from which expense line (model.LINEAGE_COLUMNS).

    A line of an accrual (`copy_of`) comes from the parts of the line it accrues, times its `sign`.
    """
    part, place, sign = _places(parts, line_of_part, merged)
    at = parts["line"].to_numpy(dtype=np.int64)[part]
    amount = parts["amount_minor"].to_numpy(dtype=np.int64)[part] * sign
    out = pd.DataFrame(
        {
            "journal_key": merged["journal_key"].iloc[place].reset_index(drop=True),
            "line_no": merged["line_no"].to_numpy(dtype=np.int64)[place],
            "report_no": report_no[at],
            "source_row": lines["source_row"].to_numpy(dtype=np.int64)[at],
            "expense_line_no": lines["line_no"].to_numpy(dtype=np.int64)[at],
            "allocation_no": lines["allocation_no"].to_numpy(dtype=np.int64)[at],
            "amount_minor": amount,
        }
    )
    order = np.lexsort((out["source_row"], place))
    out, place, amount = out.iloc[order].reset_index(drop=True), place[order], amount[order]
    return out.assign(base_minor=_base_shares(bundle, heads, merged, place, amount))[model.LINEAGE_COLUMNS]


def _places(parts: pd.DataFrame, line_of_part: Ints, merged: pd.DataFrame) -> tuple[Ints, Ints, Ints]:
    """For each share of a line the part, the line's position and the sign."""
    was = merged["was"].to_numpy(dtype=np.int64)
    size = int(max(was.max(initial=-1), line_of_part.max(initial=-1))) + 1
    now = np.full(size + 1, -1, dtype=np.int64)
    now[was[was >= 0]] = np.flatnonzero(was >= 0)
    place = now[line_of_part]  # -1 (a line that came to zero) reads the spare last element: also -1
    part = np.flatnonzero(place >= 0)
    place, sign = place[part], np.ones(len(part), dtype=np.int64)
    if "copy_of" not in merged:
        return part, place, sign
    copies = np.flatnonzero(merged["copy_of"].to_numpy(dtype=np.int64) >= 0)
    source = merged["copy_of"].to_numpy(dtype=np.int64)[copies]
    order = np.argsort(line_of_part, kind="stable")
    start, end = (np.searchsorted(line_of_part[order], source, side) for side in ("left", "right"))
    count = end - start
    within = np.arange(count.sum()) - np.repeat(np.cumsum(count) - count, count)
    copied = order[np.repeat(start, count) + within]
    signs = np.repeat(merged["sign"].to_numpy(dtype=np.int64)[copies], count)
    return np.append(part, copied), np.append(place, np.repeat(copies, count)), np.append(sign, signs)


def _base_shares(bundle: mapping.Bundle, heads: pd.DataFrame, merged: pd.DataFrame, place: Ints, amount: Ints) -> Ints:
    """The share of each part in its line's base amount: converted alone, what is left over on the line's first part."""
    journal = merged["journal"].to_numpy(dtype=np.int64)[place]
    out = _converted(bundle, heads, amount, journal)
    left = merged["base_minor"].to_numpy(dtype=np.int64) - model.sum_by(out, place, len(merged))
    lines, first = np.unique(place, return_index=True)
    out[first] += left[lines]
    return out
