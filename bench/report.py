"""`python -m bench.report [--rows N]`: the report of a reconciliation of many documents, as files.

It makes documents and breaks, as many of each as rows, and writes every file of the report.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd

from bench.process import measured
from etl import model, report
from etl.reconcile import reconcile
from etl.reconcile.breaks import MEMBER_COLUMNS, OUTCOME_COLUMNS
from etl.reconcile.claims import CLAIM_COLUMNS

ROWS = 200_000
SUMMARY = {"feed": "sample", "reasons": {}, "batches": [], "shifts": []}
AT = "2026-04-02T12:00:00Z"


def main() -> None:
    parser = argparse.ArgumentParser(prog="bench.report", description=__doc__)
    parser.add_argument("--rows", type=int, default=ROWS)
    parser.add_argument("--out", type=Path, help="a JSON file for the figures")
    parser.add_argument("--here", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.here:
        print(json.dumps(write(options.rows)))
        return
    run = measured(["-m", "bench.report", "--here", "--rows", str(options.rows)])
    found = json.loads(run.pop("said")) | run | {"rows": options.rows}
    print(json.dumps(found))
    if options.out:
        options.out.write_text(json.dumps(found, indent=1) + "\n", "utf-8")


def write(rows: int) -> dict[str, object]:
    """Seconds of the workbook with the other files, and bytes of each."""
    found = reconcile(
        texts(0, OUTCOME_COLUMNS), texts(0, CLAIM_COLUMNS), journals(rows), texts(0, model.JOURNAL_LINE_COLUMNS),
        texts(0, MEMBER_COLUMNS), texts(0, model.ERP_LINE_COLUMNS), AT, 4,
    )  # fmt: skip
    begun = time.perf_counter()
    with tempfile.TemporaryDirectory(prefix="claimpost-bench-") as folder:
        files = report.write(found, SUMMARY, [], Path(folder), AT)
        sizes = {path.name: path.stat().st_size for path in files}
    return {"write_seconds": round(time.perf_counter() - begun, 2), "bytes": sizes}


def journals(rows: int) -> pd.DataFrame:
    """Journals that the ERP does not have and no batch holds: each one is a document and a break."""
    number = pd.Series(np.arange(rows)).astype("str")
    given = {
        "journal_key": "K" + number, "report_id": "R" + number, "report_version": "1", "company": "CN01",
        "currency": "CNY", "base_currency": "CNY", "period": "2026-03", "posting_date": "2026-03-31",
        "purpose": model.ORIGINAL,
    }  # fmt: skip
    return texts(rows, model.JOURNAL_COLUMNS).assign(**given).astype(dict.fromkeys(given, "str"))


def texts(rows: int, columns: list[str]) -> pd.DataFrame:
    """Empty texts, and zero where a column is a number."""
    numbers = {"line_no", "lines", "rounding_minor"}
    return pd.DataFrame({
        name: np.zeros(rows, dtype=np.int64) if name in numbers or name.endswith("_minor") else model.texts([""] * rows)
        for name in columns
    })  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())
