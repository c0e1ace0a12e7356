"""A deterministic delivery of approved expense claims, in the layout of mappings/sources/expense_csv.yml.

`write` makes one or several files `expenses_YYYY-MM_NNN.csv` (by month of approval in UTC), each with its `.ok` file,
and `truth.json`, which says what must happen to them. The same number of reports, seed and fault share give the same
bytes everywhere: every choice is a hash of (seed, purpose, report, line), so no clock, locale, random stream or hash
order takes part, and report 7 is the same in a delivery of 10 reports and of 1,000,000.

truth.json: `faulty` lists the reports that must be quarantined, with the code of the error catalogue, the line (0 =
whole report), the field and what is wrong; `superseded` the versions that a higher one in the same delivery replaces.
`totals` per company and currency, as written in the file (RMB counts as CNY): reports, lines (one per part) and gross
in minor units, each line once however many parts it has or however often it stands there; an amount that cannot be
read counts as 0. landed = good + faulty + superseded.

With `listed` there is also `approved_list.csv`: what the source lists as approved, without what must be refused and
what a higher version replaces. It is read by no one else than reconciliation (`source.list` of a feed).
"""

from __future__ import annotations

import argparse
import csv
import json
import re
from collections.abc import Iterator, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any, Final, TypedDict

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from sandbox.sample.cells import make_columns
from sandbox.sample.claims import COMPANIES, CURRENCIES, DECIMALS, Claims, Dice, claims
from sandbox.sample.files import Block, Files
from sandbox.sample.truth import Truth, count_good, spoil

Ints = NDArray[np.int64]

REPORTS_PER_CHUNK: Final = 5_000  # at most 2 versions of 7 lines of 3 parts each: a chunk always fits into one file

LIST: Final = "approved_list.csv"
LIST_HEADER: Final = ("Company", "Report ID", "Version", "Currency", "Amount", "Approved")

_PLAIN: Final = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.([0-9]+))?", re.ASCII)


class Summary(TypedDict):
    """What was written: file names, and counts of report versions and lines (one per part)."""

    files: list[str]
    reports: int
    lines: int
    faulty: int
    superseded: int


def write(out: Path, reports: int, seed: int, fault_pct: int = 2, *, listed: bool = False) -> Summary:
    """Write a delivery of `reports` reports and its truth.json into the folder `out`, which is made if absent.

    fault_pct is the share of faulty reports in whole per cent; the first 180 reports show every kind of fault once,
    so a small delivery has a larger share, unless it is 0. Files of an earlier delivery that its truth.json names are
    removed first. `listed` writes approved_list.csv beside them. Raises ValueError for a number out of range.
    """
    if not (1 <= reports <= 9_000_000 and 0 <= seed <= 999_999 and 0 <= fault_pct <= 100):
        raise ValueError("reports: 1 to 9000000; seed: 0 to 999999; fault_pct: 0 to 100")
    out.mkdir(parents=True, exist_ok=True)
    _remove_earlier(out)
    truth, files = Truth(), Files(out)
    approved: list[list[str]] | None = [] if listed else None
    for block in _blocks(Dice(seed), reports, fault_pct, truth, approved):
        files.add(block)
    if approved is not None:
        with (out / LIST).open("w", encoding="utf-8", newline="") as file:
            csv.writer(file, lineterminator="\n").writerows([LIST_HEADER, *approved])
    written = files.close()
    _write_truth(out / "truth.json", truth, {"reports": reports, "seed": seed, "fault_pct": fault_pct}, written)
    landed = [total["landed"] for total in truth.totals.values()]
    return {
        "files": [str(entry["name"]) for entry in written],
        "reports": sum(total[0] for total in landed),
        "lines": sum(total[1] for total in landed),
        "faulty": len(truth.faulty),
        "superseded": len(truth.superseded),
    }


def _blocks(
    dice: Dice, reports: int, fault_pct: int, truth: Truth, approved: list[list[str]] | None
) -> Iterator[Block]:
    for start in range(0, reports, REPORTS_PER_CHUNK):
        numbers = np.arange(start, min(start + REPORTS_PER_CHUNK, reports))
        made = claims(dice, numbers, fault_pct)
        columns = make_columns(dice, made)
        if approved is not None:
            approved += _approved(made, columns)
        yield _block(made, columns, truth)


def _approved(made: Claims, columns: dict[str, pa.Array]) -> Iterator[list[str]]:
    """Rows of the list: every good report as its last version says it."""
    reports = made.reports
    for number in np.flatnonzero((reports.kind < 0) & ~reports.superseded).tolist():
        row, currency = int(np.searchsorted(made.rows.report, number)), int(reports.currency[number])
        amount = Decimal(int(made.amounts.total[number])).scaleb(-int(DECIMALS[currency]))
        key = [str(columns[name][row]) for name in ("Report ID", "Version")]
        company, approved_at = COMPANIES[int(reports.company[number])], str(columns["Approved"][row])
        yield [company, *key, CURRENCIES[currency].replace("RMB", "CNY"), f"{amount:f}", approved_at]


def _block(made: Claims, columns: dict[str, pa.Array], truth: Truth) -> Block:
    reports, rows = made.reports, made.rows
    names = [columns[name] for name in ("Company", "Report ID", "Version")]
    for start in np.searchsorted(rows.report, np.flatnonzero(reports.superseded)).tolist():
        company, report_id, version = (str(column[start]) for column in names)
        truth.superseded.append({"company": company, "report_id": report_id, "version": version})
    count_good(truth, made)
    times = spoil(truth, made, columns)
    columns["Invoice"] = pc.binary_join_element_wise(columns["Invoice"], "\n", "")
    lines = pc.binary_join_element_wise(*columns.values(), ",")
    faulty = np.flatnonzero(reports.kind[rows.report] >= 0)
    minor, decimals = _plain(columns["Amount"], made.amounts.gross, DECIMALS[reports.currency[rows.report]], faulty)
    row = np.repeat(np.arange(len(times)), times)
    return Block(lines.take(pa.array(row)), reports.month[rows.report][row], minor[row], decimals[row])


def _plain(cells: pa.Array, minor: Ints, decimals: Ints, touched: Ints) -> tuple[Ints, Ints]:
    """Amount cells as whole numbers and decimals after the faults went in; decimals -1 = no plain decimal."""
    minor, decimals = minor.copy(), decimals.copy()
    for row in touched.tolist():
        text = str(cells[row])
        match = _PLAIN.fullmatch(text)
        decimals[row] = len(match.group(1) or "") if match else -1
        minor[row] = int(text.replace(".", "")) if match else 0
    return minor, decimals


def _remove_earlier(out: Path) -> None:
    truth = out / "truth.json"
    if truth.exists():
        for entry in json.loads(truth.read_text("utf-8"))["files"]:
            for name in (f"{entry['name']}.ok", entry["name"]):
                (out / Path(name).name).unlink(missing_ok=True)


def _write_truth(path: Path, truth: Truth, made: dict[str, int], files: list[dict[str, str | int]]) -> None:
    totals: dict[str, dict[str, Any]] = {}
    for (company, currency), outcomes in sorted(truth.totals.items()):
        totals.setdefault(company, {})[currency] = {
            name: {"reports": total[0], "lines": total[1], "gross": str(total[2])} for name, total in outcomes.items()
        }
    content = {**made, "files": files, "totals": totals, "superseded": truth.superseded, "faulty": truth.faulty}
    path.write_bytes((json.dumps(content, ensure_ascii=False, indent=1) + "\n").encode())


def main(arguments: Sequence[str] | None = None) -> None:
    """Write a delivery from the command line."""
    parser = argparse.ArgumentParser(prog="sandbox.sample", description="Write a delivery of made-up expense claims.")
    parser.add_argument("--reports", type=int, default=2_000, help="how many reports")
    parser.add_argument("--seed", type=int, default=1, help="which ones")
    parser.add_argument("--fault-pct", type=int, default=2, help="share of faulty reports, whole per cent")
    parser.add_argument("--list", action="store_true", help=f"write {LIST} too")
    parser.add_argument("--out", type=Path, required=True, help="folder")
    options = parser.parse_args(arguments)
    summary = write(options.out, options.reports, options.seed, options.fault_pct, listed=options.list)
    print("{0} files, {reports} report versions, {lines} lines, {faulty} faulty, {superseded} superseded: {1}".format(
        len(summary["files"]), options.out, **summary))  # fmt: skip
