"""Claims of the bundled feed `sample`, line by line, and their delivery as the file the expense system would send."""

from __future__ import annotations

import csv
import io
import re
import shutil
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path

from etl import config

SOURCE = config.PROJECT / "mappings/sources/expense_csv.yml"
COLUMNS: list[str] = config.load(SOURCE, "source")["format"]["layouts"][-1]
GOOD = {
    "Company": "CN01", "Report ID": "R1", "Version": "1", "Employee": "E1", "State": "approved",
    "Submitted": "2026-02-09T01:00:00Z", "Approved": "2026-02-10T01:00:00Z", "Approver": "M101", "Line": "1",
    "Part": "1", "Split": "100", "Expense Type": "TAXI", "Date": "2026-02-03", "Description": "Taxi",
    "Merchant": "Didi", "Cost Center": "0010", "Project": "", "Paid By": "EMPLOYEE", "Advance": "", "Currency": "CNY",
    "Amount": "45.00", "Tax Code": "Z0", "Tax": "0.00", "Report Total": "45.00", "Invoice": "",
}  # fmt: skip
NAME = "expenses_2026-02_001.csv"
Line = dict[str, str]


def claim(**changes: str) -> Line:
    """A good line of a claim, with other cells; `_` in a name stands for a space, and the total follows the amount."""
    line = GOOD | {name.replace("_", " "): cell for name, cell in changes.items()}
    return line | ({} if "Report_Total" in changes else {"Report Total": line["Amount"]})


def content(lines: Sequence[Line]) -> str:
    """The file: header, lines, and a trailer that counts them and sums the amounts that are plain decimals."""
    amounts = [line["Amount"] for line in lines if re.fullmatch(r"-?[0-9]+(\.[0-9]+)?", line["Amount"], re.ASCII)]
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows([line[column] for column in COLUMNS] for line in lines)
    writer.writerow(["TRAILER", len(lines), f"{sum(map(Decimal, amounts), Decimal())}"])
    return out.getvalue()


def ungated(folder: Path) -> Path:
    """The bundled mappings in a folder, the feed `sample` without its gate; returns the feed's file."""
    shutil.copytree(config.PROJECT / "mappings", folder / "mappings")
    feed = folder / "mappings/feeds/sample.yml"
    before, rest = feed.read_text("utf-8").split("\ngate:")
    feed.write_text(before + rest[rest.index("\nacknowledge_within_hours") :], "utf-8")
    return feed


def deliver(folder: Path, lines: Sequence[Line], name: str = NAME) -> Path:
    """The file in a folder, which is made if need be; returns its path."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    path.write_text(content(lines), "utf-8", newline="")
    return path
