"""Journal parts to balanced journals: merge, side, base currency, rounding line, identity; then batches.

A journal is one report version in one document currency. It balances in its own and in the base currency, or its
report is held. The order of the input rows changes nothing.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from etl import mapping, model, money
from etl.mapping.apply import DIMENSIONS

Ints = NDArray[np.int64]

JOURNAL_KEY: Final = [*model.REPORT_KEY, "document_currency"]
ROUNDING: Final = "rounding"
JOURNALS_PER_BATCH_MAX: Final = 50_000
_CANONICAL: Final = "c1"  # version of the text that content_hash is made of


@dataclass(frozen=True)
class Journals:
    """Headers (model.JOURNAL_COLUMNS), lines (JOURNAL_LINE_COLUMNS), lineage (LINEAGE_COLUMNS) and rejects."""

    headers: pd.DataFrame
    lines: pd.DataFrame
    lineage: pd.DataFrame
    rejects: pd.DataFrame


@dataclass(frozen=True)
class Batch:
    """A frozen set of journals of one company, period and target; `rows` are their positions in the headers."""

    batch_id: str
    batch_no: int
    company: str
    period: str
    target: str
    rows: Ints


def build(bundle: mapping.Bundle, lines: pd.DataFrame, parts: pd.DataFrame) -> Journals:
    """Balanced journals from the expense lines and parts that `mapping.apply` gave.

    In: lines and parts of accepted reports only. Out: journals sorted by report; a report with a journal that has no
    rate, does not balance or needs more rounding than allowed is rejected with all its journals.
    """
    journal_of, headers = _headers(bundle, lines)
    faults = mapping.Faults()
    headers = _with_rates(bundle, headers, faults)
    merged, line_of_part = _merged(bundle, lines, parts, journal_of)
    merged["base_minor"] = _base_amounts(headers, merged, faults)
    merged = _with_rounding_lines(bundle, lines, headers, merged, faults)
    _check_balance(headers, merged, faults)
    rejects = faults.rejects(headers.assign(line_no=0, source_row=0))
    good = _accepted(headers, rejects)
    headers, merged = _numbered(bundle, headers, merged, good)
    lineage = _lineage(lines, parts, line_of_part, headers, merged)
    return Journals(headers[model.JOURNAL_COLUMNS], merged[model.JOURNAL_LINE_COLUMNS], lineage, rejects)


# --- headers


def _headers(bundle: mapping.Bundle, lines: pd.DataFrame) -> tuple[Ints, pd.DataFrame]:
    """The journal number of each expense line, numbers sorted by report, and one header row per journal."""
    codes, first = model.groups(lines, JOURNAL_KEY)
    keys = lines[JOURNAL_KEY].iloc[first].reset_index(drop=True)
    order = keys.sort_values(JOURNAL_KEY, kind="stable").index.to_numpy()
    rank = np.empty(len(order), dtype=np.int64)
    rank[order] = np.arange(len(order))
    head = lines.iloc[first[order]].reset_index(drop=True)
    journal_of = rank[codes]
    identity = [model.utf8(head[c]) for c in model.REPORT_KEY]
    texts = model.joined(
        [identity[0], bundle.source_system, *identity[1:], model.ORIGINAL, model.utf8(head["document_currency"])]
    )
    ids, short = model.journal_identity(texts)
    headers = head.assign(
        journal_id=model.texts(ids),
        journal_key=model.texts(short),
        purpose=model.ORIGINAL,
        reverses="",
        currency=head["document_currency"],
        document_date=_latest(lines["transaction_date"], journal_of, len(head)),
        description=mapping.fill(bundle.journal["description"], head),
        first_line=first[order],
    )
    return journal_of, headers.astype({"purpose": "str", "reverses": "str"})


def _latest(dates: pd.Series, group: Ints, groups: int) -> pd.Series:
    codes, values = model.distinct(dates)
    order = sorted(range(len(values)), key=values.__getitem__)
    rank = np.empty(len(values), dtype=np.int64)
    rank[order] = np.arange(len(values))
    latest = np.zeros(groups, dtype=np.int64)
    np.maximum.at(latest, group, rank[codes] if len(codes) else codes)
    return model.spread([values[i] for i in order], latest)


def _with_rates(bundle: mapping.Bundle, headers: pd.DataFrame, faults: mapping.Faults) -> pd.DataFrame:
    """Pin one rate on each journal: 1 in the base currency, else the table's for the posting date."""
    foreign = np.flatnonzero((headers["currency"] != headers["base_currency"]).to_numpy(dtype=bool))
    rates = np.full(len(headers), "1", dtype=object)
    part = headers.iloc[foreign]
    if bundle.rates is None:
        found, missing = model.texts([""] * len(part)), np.ones(len(part), dtype=bool)
    else:
        found, missing = bundle.rates.find(part, "rate", "posting_date")
    rates[foreign] = found.to_numpy(dtype=object)
    gaps = foreign[missing]
    pairs = headers.iloc[gaps][["currency", "base_currency", "posting_date"]].itertuples(index=False, name=None)
    for row, (currency, base, date) in zip(gaps.tolist(), pairs, strict=True):
        faults.add(np.array([row]), "RATE", "rate", [date], f"{currency} to {base}")
    return headers.assign(rate=model.texts(rates.tolist()), rate_date=headers["posting_date"])


# --- lines


def _merged(
    bundle: mapping.Bundle, lines: pd.DataFrame, parts: pd.DataFrame, journal_of: Ints
) -> tuple[pd.DataFrame, Ints]:
    """Journal lines in order, equal ones of a merging rule summed; and the line that each part went into.

    A part whose line came to zero went nowhere: -1.
    """
    rules = bundle.journal["lines"]
    at = parts["line"].to_numpy(dtype=np.int64)
    rule = parts["rule"].to_numpy(dtype=np.int64)
    sequence = [lines[c].to_numpy(dtype=np.int64)[at] for c in ("source_row", "allocation_no", "line_no")]
    order = np.lexsort((*sequence, rule, journal_of[at]))
    ordered = parts.iloc[order].reset_index(drop=True)
    journal, rule = journal_of[at][order], rule[order]
    merging = np.array([r.get("merge") == "yes" for r in rules], dtype=bool)
    alone = np.where(merging[rule], 0, np.arange(1, len(ordered) + 1)) if len(ordered) else rule
    names = ["account", *DIMENSIONS]
    group, first = model.combine([journal, rule, alone, *(model.distinct(ordered[c])[0] for c in names)])
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


def _base_amounts(headers: pd.DataFrame, merged: pd.DataFrame, faults: mapping.Faults) -> Ints:
    """Each line in base currency; a journal whose amounts leave the money limit there is rejected, its lines are 0."""
    journal = merged["journal"].to_numpy(dtype=np.int64)
    amount = merged["amount_minor"].to_numpy(dtype=np.int64)
    gross = model.sum_by(np.abs(amount), journal, len(headers))
    codes, first = model.groups(headers, ["currency", "base_currency", "rate"])
    out = amount.copy()
    kinds = headers[["currency", "base_currency", "rate"]].iloc[first].itertuples(index=False, name=None)
    for number, (currency, base, rate) in enumerate(kinds):
        if currency != base and rate:
            mine = np.flatnonzero(codes == number)
            over = mine[money.convert(gross[mine], rate, currency, base) > 2 * money.LIMIT_MINOR]
            values = [f"{money.text_of(int(gross[row]) // 2, currency)} {currency} at {rate}" for row in over.tolist()]
            faults.add(over, "RANGE", "base_debit_minor", values, "")
            rows = np.flatnonzero(codes[journal] == number)
            converted = money.convert(amount[rows], rate, currency, base)
            out[rows] = np.where(np.isin(journal[rows], over), 0, converted)
    return out


def _with_rounding_lines(
    bundle: mapping.Bundle, lines: pd.DataFrame, headers: pd.DataFrame, merged: pd.DataFrame, faults: mapping.Faults
) -> pd.DataFrame:
    """Book what the conversion left over on the rounding account; above the limit the report is held."""
    journal = merged["journal"].to_numpy(dtype=np.int64)
    foreign = ((headers["currency"] != headers["base_currency"]) & (headers["rate"] != "")).to_numpy(dtype=bool)
    rest = model.sum_by(merged["base_minor"].to_numpy(dtype=np.int64), journal, len(headers))
    rows = np.flatnonzero(foreign & (rest != 0))
    if not len(rows):
        return merged
    policy = bundle.journal["rounding"]
    over = rows[np.abs(rest[rows]) > int(policy["limit_minor"])]
    values = [money.text_of(int(rest[r]), str(headers["base_currency"].iat[r])) for r in over.tolist()]
    faults.add(over, "ROUNDING_LIMIT", "rounding", values, f"{policy['limit_minor']} minor units")
    head = lines.iloc[headers["first_line"].to_numpy()[rows]]
    extra = pd.DataFrame({name: model.texts([""] * len(rows)) for name in DIMENSIONS})
    extra = extra.assign(
        account=mapping.evaluate(policy["account"], bundle, head, rows, "rounding.account", faults),
        rule=np.full(len(rows), len(bundle.journal["lines"]), dtype=np.int64),
        amount_minor=np.zeros(len(rows), dtype=np.int64),
        base_minor=-rest[rows],
        journal=rows,
        text=model.texts(["Rounding of the conversion"] * len(rows)),
    )
    both = pd.concat([merged, extra[merged.columns]], ignore_index=True)
    order = np.argsort(both["journal"].to_numpy(dtype=np.int64), kind="stable")
    return both.iloc[order].assign(was=order).reset_index(drop=True)


def _check_balance(headers: pd.DataFrame, merged: pd.DataFrame, faults: mapping.Faults) -> None:
    """Both currencies must sum to zero; anything else holds the report (I07)."""
    journal = merged["journal"].to_numpy(dtype=np.int64)
    rated = (headers["rate"] != "").to_numpy(dtype=bool)
    for column, currency in (("amount_minor", "currency"), ("base_minor", "base_currency")):
        rest = model.sum_by(merged[column].to_numpy(dtype=np.int64), journal, len(headers))
        rows = np.flatnonzero(rated & (rest != 0))
        shown = [money.text_of(int(rest[r]), str(headers[currency].iat[r])) for r in rows.tolist()]
        for row, text in zip(rows.tolist(), shown, strict=True):
            detail = f"debits and credits differ by {text} {headers[currency].iat[row]}"
            faults.add(np.array([row]), "UNBALANCED", column, [text], detail)


def _accepted(headers: pd.DataFrame, rejects: pd.DataFrame) -> NDArray[np.bool_]:
    """Headers of reports without a reject: a report goes with all its journals or with none."""
    if rejects.empty:
        return np.ones(len(headers), dtype=bool)
    bad = set(rejects[model.REPORT_KEY].itertuples(index=False, name=None))
    keys = headers[model.REPORT_KEY].itertuples(index=False, name=None)
    return np.array([key not in bad for key in keys], dtype=bool)


def _numbered(
    bundle: mapping.Bundle, headers: pd.DataFrame, merged: pd.DataFrame, good: NDArray[np.bool_]
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Number the lines, put amounts on their sides, and add totals and content hash to the headers."""
    place = np.cumsum(good) - 1
    old = merged["journal"].to_numpy(dtype=np.int64)
    merged = merged.assign(was=merged.get("was", merged.index)).loc[good[old]].reset_index(drop=True)
    headers = headers.loc[good].reset_index(drop=True)
    journal = place[old[good[old]]]
    starts = np.searchsorted(journal, np.arange(len(headers)))
    merged["journal"] = journal
    merged["line_no"] = np.arange(len(merged)) - starts[journal] + 1 if len(merged) else merged["journal"]
    merged["journal_key"] = headers["journal_key"].iloc[journal].reset_index(drop=True)
    merged = _with_sides(bundle, headers, merged)
    count = len(headers)
    headers = headers.assign(
        lines=np.bincount(journal, minlength=count).astype(np.int64),
        debit_minor=model.sum_by(merged["debit_minor"].to_numpy(dtype=np.int64), journal, count),
        base_debit_minor=model.sum_by(merged["base_debit_minor"].to_numpy(dtype=np.int64), journal, count),
        content_hash=model.texts(content_hashes(headers, merged, starts)),
    )
    return headers, merged


def _with_sides(bundle: mapping.Bundle, headers: pd.DataFrame, merged: pd.DataFrame) -> pd.DataFrame:
    """Debit and credit columns. A negative amount changes sides (swap) or stays there in red (red), by company."""
    rules = [*bundle.journal["lines"], {"purpose": ROUNDING, "side": "debit"}]
    rule = merged["rule"].to_numpy(dtype=np.int64)
    codes, names = model.distinct(headers["company"])
    red_company = np.array([bundle.company(name, "reversal_style") == "red" for name in names], dtype=bool)
    red = red_company[codes][merged["journal"].to_numpy(dtype=np.int64)] & (rule < len(rules) - 1)
    debit_rule = np.array([r["side"] == "debit" for r in rules], dtype=bool)[rule]
    columns: dict[str, Any] = {"purpose": model.spread([r["purpose"] for r in rules], rule)}
    for source, prefix in (("amount_minor", ""), ("base_minor", "base_")):
        signed = merged[source].to_numpy(dtype=np.int64)
        on_debit = np.where(red, debit_rule, signed > 0)
        columns[f"{prefix}debit_minor"] = np.where(on_debit, signed, 0)
        columns[f"{prefix}credit_minor"] = np.where(on_debit, 0, -signed)
    return merged.assign(**columns)


def content_hashes(headers: pd.DataFrame, merged: pd.DataFrame, starts: Ints) -> list[str]:
    """One hash per header over its lines; `merged` has JOURNAL_LINE_COLUMNS and `journal`, their header's position."""
    journal = pa.array(merged["journal"].to_numpy(dtype=np.int64))
    head = model.joined(
        [_CANONICAL, *(model.utf8(headers[c]) for c in ("posting_date", "currency", "base_currency", "rate"))]
    )
    names = ["purpose", "account", *DIMENSIONS]
    amounts = ["debit_minor", "credit_minor", "base_debit_minor", "base_credit_minor"]
    rows = [
        head.take(journal),
        *(model.utf8(merged[c]) for c in names),
        *(model.utf8(merged[c].astype("str")) for c in amounts),
    ]
    return model.hash_runs(model.joined(rows), starts)


def _lineage(
    lines: pd.DataFrame, parts: pd.DataFrame, line_of_part: Ints, headers: pd.DataFrame, merged: pd.DataFrame
) -> pd.DataFrame:
    """Which part of each journal line came from which expense line (model.LINEAGE_COLUMNS)."""
    size = int(max(merged["was"].max() if len(merged) else -1, line_of_part.max(initial=-1))) + 1
    now = np.full(size + 1, -1, dtype=np.int64)
    now[merged["was"].to_numpy(dtype=np.int64)] = np.arange(len(merged))
    place = now[line_of_part]  # -1 (a line that came to zero) reads the spare last element: also -1
    kept = np.flatnonzero(place >= 0)
    at = parts["line"].to_numpy(dtype=np.int64)[kept]
    target = place[kept]
    out = pd.DataFrame(
        {
            "journal_key": merged["journal_key"].iloc[target].reset_index(drop=True),
            "line_no": merged["line_no"].to_numpy(dtype=np.int64)[target],
            "source_row": lines["source_row"].to_numpy(dtype=np.int64)[at],
            "expense_line_no": lines["line_no"].to_numpy(dtype=np.int64)[at],
            "allocation_no": lines["allocation_no"].to_numpy(dtype=np.int64)[at],
            "amount_minor": parts["amount_minor"].to_numpy(dtype=np.int64)[kept],
        },
        columns=model.LINEAGE_COLUMNS,
    )
    return out.iloc[np.lexsort((out["source_row"], target))].reset_index(drop=True)


# --- batches


def batches(bundle: mapping.Bundle, headers: pd.DataFrame) -> Iterator[Batch]:
    """Cut journals into batches of one company, period and target, at most `batch.journals_max` journals each.

    The id is made of the members' keys and contents, so the same journals make the same batch.
    """
    bound = min(int(bundle.feed.get("batch", {}).get("journals_max", "20000")), JOURNALS_PER_BATCH_MAX)
    codes, first = model.groups(headers, ["company", "period"])
    keys = headers[["company", "period"]].iloc[first].reset_index(drop=True)
    for number in keys.sort_values(["company", "period"]).index:
        company, period = keys.loc[number, ["company", "period"]]
        rows = np.flatnonzero(codes == number)
        for start in range(0, len(rows), bound):
            yield _batch(bundle, headers, company, period, rows[start : start + bound])


def _batch(bundle: mapping.Bundle, headers: pd.DataFrame, company: str, period: str, rows: Ints) -> Batch:
    entry: Mapping[str, Any] = bundle.target_of(company)
    members = model.joined(
        [model.utf8(headers["journal_key"].iloc[rows]), model.utf8(headers["content_hash"].iloc[rows])]
    )
    whole = hashlib.sha256("\n".join([entry["target"], *members.to_pylist()]).encode()).hexdigest()
    words = [bundle.feed_id[:12], company[:10], period, entry["target"][:6], whole[:8]]
    batch_id = "-".join("".join(c if c.isalnum() else "-" for c in word) for word in words).upper()
    return Batch(batch_id, int(whole[:12], 16) % 10**15 + 1, company, period, entry["target"], rows)
