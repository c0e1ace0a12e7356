"""What must happen to the delivery: puts the faults into the cells, and counts."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from sandbox.sample.cells import DATES, cell, money
from sandbox.sample.claims import COMPANIES, CURRENCIES, DAY, DECIMALS, Claims
from sandbox.sample.faults import FAULTS

Ints = NDArray[np.int64]


@dataclass
class Truth:
    """What must happen to the delivery, gathered while it is written."""

    faulty: list[dict[str, str]] = field(default_factory=list)
    superseded: list[dict[str, str]] = field(default_factory=list)
    # (company, currency) -> outcome -> reports, lines, gross
    totals: dict[tuple[str, str], dict[str, list[int]]] = field(default_factory=dict)

    def count(self, company: str, currency: str, outcome: str, reports: int, lines: int, gross: int) -> None:
        key = (company, "CNY" if currency == "RMB" else currency)
        empty = {name: [0, 0, 0] for name in ("landed", "good", "faulty", "superseded")}
        for name in ("landed", outcome):
            total = self.totals.setdefault(key, empty)[name]
            for position, amount in enumerate((reports, lines, gross)):
                total[position] += amount


def count_good(truth: Truth, claims: Claims) -> None:
    """Totals of the reports without fault, per company, currency and outcome."""
    reports, wide = claims.reports, len(CURRENCIES)
    group = reports.company * wide + reports.currency
    lines = np.bincount(claims.rows.report, minlength=len(group))
    for outcome, chosen in (("good", ~reports.superseded), ("superseded", reports.superseded)):
        picked = chosen & (reports.kind < 0)
        for number in np.unique(group[picked]).tolist():
            where = picked & (group == number)
            sums = int(where.sum()), int(lines[where].sum()), int(claims.amounts.total[where].sum())
            truth.count(COMPANIES[number // wide], CURRENCIES[number % wide], outcome, *sums)


def spoil(truth: Truth, claims: Claims, columns: dict[str, pa.Array]) -> Ints:
    """Put the faults into the columns and the truth; out: how often each row stands in the file."""
    kind, report = claims.reports.kind, claims.rows.report
    times = np.ones(len(report), dtype=np.int64)
    edits: dict[str, tuple[list[int], list[str]]] = {}
    ends = np.searchsorted(report, np.arange(len(kind) + 1)).tolist()
    for position in np.flatnonzero(kind >= 0).tolist():
        fault = FAULTS[int(kind[position])]
        first, last = ends[position], ends[position + 1] - 1
        text = _new_cell(claims, columns, position, last)
        if text is not None:
            touched = range(first if fault.every else last, last + 1)
            where, texts = edits.setdefault(fault.column, ([], []))
            where.extend(touched)
            texts.extend([cell(text)] * len(touched))
        times[last] += fault.code == "LINE_REPEATED"
        company, currency, gross = _as_landed(claims, position, last)
        truth.count(company, currency, "faulty", 1, int(times[first : last + 1].sum()), gross)
        line = "0" if fault.every else str(claims.rows.line[last])
        names = {"company": company, "report_id": str(columns["Report ID"][last]), "version": "1"}
        truth.faulty.append({**names, "code": fault.code, "line": line, "field": fault.field, "what": fault.what})
    for name, (where, texts) in edits.items():
        mask = np.zeros(len(report), dtype=bool)
        mask[where] = True
        columns[name] = pc.replace_with_mask(columns[name], pa.array(mask), pa.array(texts, type=pa.string()))
    return times


def _new_cell(claims: Claims, columns: dict[str, pa.Array], report: int, last: int) -> str | None:
    """What the faulty cell becomes; None when the fault is in no single cell."""
    fault = FAULTS[int(claims.reports.kind[report])]
    decimals = DECIMALS[claims.reports.currency[report : report + 1]]
    if fault.code == "DATE_ORDER":
        return str(DATES[int(claims.reports.approved[report]) // DAY + 10])
    if fault.code == "SOD":
        return str(columns["Employee"][last])
    if fault.code == "TAX":
        return str(money(claims.amounts.tax[last : last + 1] + 100, decimals)[0])
    if fault.code == "REPORT_TOTAL":
        return str(money(claims.amounts.total[report : report + 1] + 1, decimals)[0])
    return fault.text


def _as_landed(claims: Claims, report: int, last: int) -> tuple[str, str, int]:
    """Company and currency of a faulty report as they stand in the file, and the gross that can be read."""
    fault = FAULTS[int(claims.reports.kind[report])]
    company = COMPANIES[int(claims.reports.company[report])]
    currency = CURRENCIES[int(claims.reports.currency[report])]
    company = fault.text or "" if fault.column == "Company" else company
    currency = fault.text or "" if fault.column == "Currency" else currency
    lost = int(claims.amounts.total[report] if fault.every else claims.amounts.gross[last])
    return company, currency, int(claims.amounts.total[report]) - (lost if fault.unread else 0)
