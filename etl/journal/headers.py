"""Which expense lines make one journal, the journal's header and identity, its rate; and whose fault a fault is."""

from __future__ import annotations

import hashlib
from itertools import pairwise
from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from etl import mapping, model

Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

MEMBER_KEY: Final = [*model.REPORT_KEY, "document_currency"]
GROUP, INTERCOMPANY = "group", "intercompany"
REPORT: Final = "report"


def is_grouped(bundle: mapping.Bundle) -> bool:
    """Whether a journal may hold several reports."""
    return isinstance(bundle.journal.get("one_per", REPORT), list)


def make(
    bundle: mapping.Bundle, lines: pd.DataFrame, parts: pd.DataFrame
) -> tuple[Ints, Ints, pd.DataFrame, pd.DataFrame]:
    """The report's number in its group for each expense line, the journal of each part, the reports, the headers.

    A group makes one journal in the books of the claims' company and one in the books of each company that bears
    costs of it. Headers are sorted by group, the claims' own first.
    """
    made = _grouped(bundle, lines) if is_grouped(bundle) else _one_per_report(bundle, lines)
    group, report_no, heads, reports = made
    at = parts["line"].to_numpy(dtype=np.int64)
    coded, names = model.distinct(pd.concat([heads["company"], parts["books"]], ignore_index=True))
    own, books = coded[: len(heads)], coded[len(heads) :]
    foreign = np.flatnonzero(books != own[group[at]])
    if not len(foreign):
        heads["group"] = np.arange(len(heads))
        return report_no, group[at], reports, heads
    pairs = np.unique(np.stack([group[at][foreign], books[foreign]]), axis=1)
    others = _elsewhere(bundle, heads, pairs[0], [names[i] for i in pairs[1].tolist()])
    heads["group"] = np.arange(len(heads))
    both = pd.concat([heads, others], ignore_index=True)
    order = np.argsort(both["group"].to_numpy(dtype=np.int64), kind="stable")
    rank = np.empty(len(order), dtype=np.int64)
    rank[order] = np.arange(len(order))
    journal = rank[group[at]]
    spot = {pair: i for i, pair in enumerate(zip(*pairs.tolist(), strict=True))}
    wanted = zip(group[at][foreign].tolist(), books[foreign].tolist(), strict=True)
    journal[foreign] = rank[len(heads) + np.array([spot[pair] for pair in wanted], dtype=np.int64)]
    return report_no, journal, reports, both.iloc[order].reset_index(drop=True)


Groups = tuple[Ints, Ints, pd.DataFrame, pd.DataFrame]


def _one_per_report(bundle: mapping.Bundle, lines: pd.DataFrame) -> Groups:
    group, head = _sorted_groups(lines, MEMBER_KEY)
    heads = _header(bundle, lines, group, head)
    heads = _with_identity(bundle, heads, model.texts([model.ORIGINAL] * len(heads)), heads["document_currency"])
    reports = heads[[*MEMBER_KEY, "journal_id"]].assign(group=np.arange(len(heads)), report_no=1)
    return group, np.ones(len(lines), dtype=np.int64), heads, reports


def _grouped(bundle: mapping.Bundle, lines: pd.DataFrame) -> Groups:
    """One journal for all lines of a company, currency and posting date that agree in the fields of `one_per`."""
    fields = [f for f in bundle.journal["one_per"] if f not in ("company", "document_currency", "posting_date")]
    group, head = _sorted_groups(lines, ["company", "document_currency", "posting_date", "original_date", *fields])
    reports, report_no = _members(bundle, lines, group)
    heads = _header(bundle, lines, group, head)
    ids = reports["journal_id"].tolist()
    edges = np.searchsorted(reports["group"].to_numpy(dtype=np.int64), np.arange(len(heads) + 1)).tolist()
    whole = [hashlib.sha256("\n".join(sorted(ids[a:b])).encode()).hexdigest() for a, b in pairwise(edges)]
    named = heads.assign(report_id=model.texts(whole), report_version=model.texts([""] * len(heads)))
    named = _with_identity(bundle, named, model.texts([GROUP] * len(heads)), named["document_currency"])
    label = model.joined([model.utf8(heads[f]) for f in [*fields, "posting_date"]], "/")
    heads = named.assign(
        purpose=model.texts([model.ORIGINAL] * len(heads)), report_id=model.texts(label),
        report_version=model.texts([f"{b - a} reports" for a, b in pairwise(edges)]),
        employee_id=heads["employee_id"] if "employee_id" in fields else model.texts([""] * len(heads)),
    )  # fmt: skip
    return group, report_no, heads, reports


def _members(bundle: mapping.Bundle, lines: pd.DataFrame, group: Ints) -> tuple[pd.DataFrame, Ints]:
    """The reports of each group, and the number of each line's report in its group."""
    member, first = _sorted_groups(lines, MEMBER_KEY)
    alone = lines.iloc[first].reset_index(drop=True)
    alone = _with_identity(bundle, alone, model.texts([model.ORIGINAL] * len(alone)), alone["document_currency"])
    pairs, pair = np.unique(np.stack([group, member]), axis=1, return_inverse=True)
    number = np.arange(pairs.shape[1]) - np.searchsorted(pairs[0], pairs[0]) + 1
    reports = alone[[*MEMBER_KEY, "journal_id"]].iloc[pairs[1]].reset_index(drop=True)
    return reports.assign(group=pairs[0], report_no=number), number[pair]


def _sorted_groups(lines: pd.DataFrame, columns: list[str]) -> tuple[Ints, Ints]:
    """The number of each line's group, numbers sorted by the columns, and each group's first line."""
    codes, first = model.groups(lines, columns)
    order = lines[columns].iloc[first].reset_index(drop=True).sort_values(columns, kind="stable").index.to_numpy()
    rank = np.empty(len(order), dtype=np.int64)
    rank[order] = np.arange(len(order))
    return rank[codes] if len(codes) else codes, first[order]


def report_order(lines: pd.DataFrame) -> Ints:
    """For each line the place of its report (model.REPORT_KEY) in the order in which journals stand."""
    return _sorted_groups(lines, model.REPORT_KEY)[0]


def _header(bundle: mapping.Bundle, lines: pd.DataFrame, group: Ints, first: Ints) -> pd.DataFrame:
    head = lines.iloc[first].reset_index(drop=True)
    posting = _latest(lines["posting_date"], group, len(head))
    return head.assign(
        currency=head["document_currency"],
        document_date=_latest(lines["transaction_date"], group, len(head)),
        posting_date=posting,
        period=posting.str.slice(0, 7).astype("str"),
        original_date=_latest(lines["original_date"], group, len(head)),
        description=mapping.fill(bundle.journal["description"], head),
        first_line=first,
        belongs_to=model.texts([""] * len(head)),
        reversal_of=model.texts([""] * len(head)),
    )


def _latest(dates: pd.Series, group: Ints, groups: int) -> pd.Series:
    codes, values = model.distinct(dates)
    order = sorted(range(len(values)), key=values.__getitem__)
    rank = np.empty(len(values), dtype=np.int64)
    rank[order] = np.arange(len(values))
    latest = np.zeros(groups, dtype=np.int64)
    np.maximum.at(latest, group, rank[codes] if len(codes) else codes)
    return model.spread([values[i] for i in order], latest)


def _with_identity(bundle: mapping.Bundle, heads: pd.DataFrame, purpose: pd.Series, last: pd.Series) -> pd.DataFrame:
    """journal_id and journal_key from (company, source system, report id, report version, purpose, `last`)."""
    identity = [model.utf8(heads[c]) for c in model.REPORT_KEY]
    texts = model.joined([identity[0], bundle.source_system, *identity[1:], model.utf8(purpose), model.utf8(last)])
    ids, short = model.journal_identity(texts)
    return heads.assign(journal_id=model.texts(ids), journal_key=model.texts(short), purpose=purpose)


def derived(heads: pd.DataFrame, rows: Ints, purpose: str, apart: list[str]) -> pd.DataFrame:
    """Headers of journals that belong to others: same facts, an own identity, purpose and `belongs_to`.

    `apart` tells several of one purpose from each other.
    """
    out = heads.iloc[rows].reset_index(drop=True)
    main = out["belongs_to"].where(out["belongs_to"] != "", out["journal_key"]).astype("str")
    ids, short = model.journal_identity(
        model.joined([model.utf8(out["journal_id"]), purpose, model.utf8(model.texts(apart))])
    )
    names = {"journal_id": model.texts(ids), "journal_key": model.texts(short), "belongs_to": main}
    return out.assign(**names, purpose=model.texts([purpose] * len(out)))


def _elsewhere(bundle: mapping.Bundle, heads: pd.DataFrame, group: Ints, books: list[str]) -> pd.DataFrame:
    """Headers of the journals in the books of other companies."""
    out = derived(heads, group, INTERCOMPANY, books)
    base = [bundle.company(company, "base_currency") for company in books]
    return out.assign(company=model.texts(books), base_currency=model.texts(base), group=group)


def with_rates(bundle: mapping.Bundle, heads: pd.DataFrame, faults: mapping.Faults) -> pd.DataFrame:
    """Pin one rate on each journal: 1 in the base currency, else the table's for the date that `rates` names."""
    foreign = np.flatnonzero((heads["currency"] != heads["base_currency"]).to_numpy(dtype=bool))
    rates, sources = np.full(len(heads), "1", dtype=object), np.full(len(heads), "", dtype=object)
    date = bundle.journal.get("rates", {}).get("date", "posting_date")
    part = heads.iloc[foreign]
    if bundle.rates is None:
        found, missing = model.texts([""] * len(part)), np.ones(len(part), dtype=bool)
    else:
        found, missing = bundle.rates.find(part, "rate", date)
        if "source" in bundle.rates.columns:
            sources[foreign] = bundle.rates.find(part, "source", date)[0].to_numpy(dtype=object)
    rates[foreign] = found.to_numpy(dtype=object)
    gaps = foreign[missing]
    pairs = heads.iloc[gaps][["currency", "base_currency", date]].itertuples(index=False, name=None)
    for row, (currency, base, day) in zip(gaps.tolist(), pairs, strict=True):
        faults.add(np.array([row]), "RATE", "rate", [day], f"{currency} to {base}")
    return heads.assign(
        rate=model.texts(rates.tolist()), rate_date=heads[date], rate_source=model.texts(sources.tolist())
    )


# --- faults: of which reports, and what goes with them


def rejects(faults: mapping.Faults, heads: pd.DataFrame, reports: pd.DataFrame) -> pd.DataFrame:
    """A fault of a journal is one of every report in its group."""
    of_group = reports["group"].to_numpy(dtype=np.int64)
    spread = mapping.Faults()
    for rows, code, field, values, detail in faults.found:
        for row, value in zip(heads["group"].to_numpy(dtype=np.int64)[rows].tolist(), values, strict=True):
            members = np.flatnonzero(of_group == row)
            spread.add(members, code, field, [value] * len(members), detail)
    return spread.rejects(reports.assign(line_no=0, source_row=0))


def accepted(heads: pd.DataFrame, reports: pd.DataFrame, rejected: pd.DataFrame) -> Bools:
    """Headers of groups without a rejected report: a report goes with all its journals or with none."""
    if rejected.empty:
        return np.ones(len(heads), dtype=bool)
    bad = model.among(reports, rejected, model.REPORT_KEY)
    wrong = np.unique(reports["group"].to_numpy(dtype=np.int64)[bad])
    return np.asarray(~np.isin(heads["group"].to_numpy(dtype=np.int64), wrong))


def links(reports: pd.DataFrame, heads: pd.DataFrame) -> pd.DataFrame:
    """The reports of the groups that are booked, with the key of the group's own journal."""
    own: pd.Series = heads[(heads["belongs_to"] == "").to_numpy(dtype=bool)].set_index("group")["journal_key"]
    out = reports[reports["group"].isin(list(own.index))].reset_index(drop=True)
    return out.assign(journal_key=model.texts(out["group"].map(own).tolist()))
