"""Parts of one expense line: each repeats the line's amounts and states a weight; its share is by largest remainder."""

from __future__ import annotations

import numpy as np

from etl import model, money
from etl.clean.identity import report_numbers
from etl.clean.plan import Split
from etl.clean.work import Bools, Work
from etl.model import Ints


def split_lines(work: Work) -> None:
    """Share each amount of a line over its parts, so that the parts add up to it exactly; what is amiss is a SPLIT.

    An amount that cannot be read on one part is 0 on all. Weights that do not add up still share the whole amount,
    parts that differ share the first one's: the report is quarantined, and nothing of it is lost.
    """
    split = work.plan.split
    if split is None or not len(work.wide):
        return
    line, first = _lines(work)
    order = np.argsort(line, kind="stable")
    weights = _weights(work, split, line, first)
    for target in split.amounts:
        amount, unread = work.number(target), work.unread(target)
        total = amount[first].copy()
        total[line[unread]] = 0
        differing = (amount != total[line]) & ~_any(unread, line)[line]
        mixed = first[_any(differing, line)]
        _refuse(work, target, mixed, ["parts of different amounts"] * len(mixed))
        shared = np.empty(len(line), dtype=np.int64)
        shared[order] = money.allocate_groups(total, weights[order], line[order])
        work.columns[target] = shared


def _lines(work: Work) -> tuple[Ints, Ints]:
    """The number of each row's expense line, and its first row; a row without a readable line number stands alone."""
    alone = work.unread("line_no") | (work.number("line_no") == 0)
    solo = np.where(alone, np.arange(1, len(alone) + 1), 0)
    return model.combine([report_numbers(work), work.number("line_no"), solo])


def _weights(work: Work, split: Split, line: Ints, first: Ints) -> Ints:
    """Weights fit for sharing: a line of one part without weight is whole; the rest is judged here."""
    weights, unread = work.number(split.weight).copy(), work.unread(split.weight)
    parts = np.bincount(line, minlength=len(first))
    weights[(parts[line] == 1) & (weights == 0) & ~unread] = split.whole
    _, once = model.combine([line, work.number("allocation_no")])
    sums = model.sum_by(weights[once], line[once], len(first))
    judged = ~_any(unread, line) & ~_any(work.unread("line_no"), line) & ~_any(work.unread("allocation_no"), line)
    off, unit = judged & (sums != split.whole), 10**split.decimals
    shown = [f"{_decimal(s, unit)}, not {split.whole // unit}" for s in sums[off].tolist()]
    _refuse(work, split.weight, first[off], shown)
    weightless = model.sum_by(weights, line, len(first)) == 0
    weights[first[weightless]] = 1
    return weights


def _decimal(value: int, unit: int) -> str:
    return str(value) if unit == 1 else f"{value // unit}.{value % unit:0{len(str(unit)) - 1}d}"


def _any(mask: Bools, line: Ints) -> Bools:
    out = np.zeros(int(line.max(initial=-1)) + 1, dtype=bool)
    out[line[mask]] = True
    return out


def _refuse(work: Work, target: str, rows: Ints, details: list[str]) -> None:
    numbers = [str(number) for number in work.number("line_no")[rows].tolist()]
    work.report("SPLIT", target, rows, numbers, details)
