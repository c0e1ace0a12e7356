"""A small company for tests: expense lines written as a table, and a mapping that fits on a page."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pandas as pd

from etl import mapping, model

FEED = """
feed: tiny
description: A small company
owner: finance-systems
tags: [expense]
schedule: "0 2 * * *"
time_zone: Asia/Shanghai
source: {mapping: tiny, connection: tiny_source, files: '.*[.]csv', complete: settled, release: keep}
companies:
  C1: {base_currency: CNY, time_zone: Asia/Shanghai, reversal_style: swap, ledger_id: "1", rounding: "6699"}
  C2: {base_currency: CNY, time_zone: Asia/Shanghai, reversal_style: red, ledger_id: "2", rounding: "6699"}
checks: {}
periods: periods.csv
journal: tiny
targets:
  - {companies: [C1], target: gl, connection: gl_db}
  - {companies: [C2], target: book, connection: drop}
batch: {journals_max: "2"}
acknowledge_within_hours: "4"
"""
SOURCE = """
source: tiny
source_system: TINY
format: {encoding: utf-8, delimiter: ',', layouts: [[Company, Report, Amount]]}
fields:
  company: {column: Company}
  report_id: {column: Report}
  document_currency: {value: CNY}
  gross_minor: {column: Amount}
"""
JOURNAL = """
journal: tiny
source: the test
posting_date: approved_at
closed_period: hold
description: {template: "{report_id} {employee_id}", max: "12"}
tables:
  account: {file: account.csv, key: [expense_type], value: account, valid_by: transaction_date}
  counter: {file: counter.csv, key: [company, payer], value: account}
  tax: {file: tax.csv, key: [tax_code], value: reclaimable_pct}
reclaimable_tax: {table: tax}
lines:
  - purpose: expense
    side: debit
    amount: net
    account: {table: account}
    cost_center: {field: cost_center}
    text: {template: "{expense_type} {description}"}
  - purpose: input_tax
    side: debit
    amount: reclaimable_tax
    account: {value: "2221"}
    merge: yes
  - purpose: settlement
    side: credit
    amount: gross
    account: {table: counter}
    party: {field: employee_id}
    text: {choose: [{when: {payer: CARD}, value: Card}, {value: Payable}]}
    merge: yes
rates: {file: rates.csv, rounding: half_up}
rounding: {account: {company: rounding}, limit_minor: "2"}
"""
GL = """
target: gl
description: A staging table
evidence: the test
kind: table
table: gl
amounts: two_columns_blank
dates: "%Y-%m-%d"
columns:
  ledger: {company: ledger_id}
  day: {field: posting_date}
  account: {field: account, max: "6", overflow: error, required: yes}
  dr: {amount: debit}
  cr: {amount: credit}
  base_dr: {amount: base_debit}
  base_cr: {amount: base_credit}
  kind: {foreign: User}
  rate: {foreign: rate}
  batch: {field: batch_id}
  text: {field: text, max: "8", overflow: truncate}
  reference: {field: journal_key}
key: [reference]
group: batch
acknowledge: {kind: table, headers: h, lines: l, status: s}
"""
BOOK = """
target: book
description: A beancount book
evidence: the test
kind: text
encoding: gb18030
file: "{batch_id}.beancount"
layout: beancount
accounts: "{class}:{account}"
classes: {"1": Assets, "2": Liabilities, "6": Expenses}
acknowledge: {kind: file, acknowledgements: a, ledger: l}
"""
TABLES = {
    "account": "expense_type,account,valid_from,valid_to\nTAXI,6601,2026-01-01,2026-01-31\nTAXI,6602,2026-02-01,\n"
    "HOTEL,6610,2026-01-01,\nADVANCE,1221,,\n",
    "counter": "company,payer,account\n*,EMPLOYEE,2241\n*,CARD,2242\n*,ADVANCE,1221\nC2,CARD,2243\n",
    "tax": "tax_code,reclaimable_pct\nFULL,100\nHALF,50\nNONE,0\n",
    "periods": "company,period,state\nC1,2026-01,closed\nC1,2026-02,open\nC1,2026-03,open\nC2,2026-02,open\n",
    "rates": "document_currency,base_currency,rate,valid_from,valid_to\nUSD,CNY,7.1,2026-01-01,2026-02-28\n"
    "JPY,CNY,0.048,2026-01-01,\n",
}


def write_mapping(folder: Path, **changed: str) -> Path:
    """A mappings folder with the feed `tiny`; keyword arguments replace a document or a table's text."""
    documents = {"feeds": FEED, "sources": SOURCE, "journals": JOURNAL}
    for sub, text in documents.items():
        (folder / sub).mkdir(parents=True)
        (folder / sub / "tiny.yml").write_text(changed.get(sub, text), "utf-8")
    (folder / "targets").mkdir()
    (folder / "targets" / "gl.yml").write_text(changed.get("gl", GL), "utf-8")
    (folder / "targets" / "book.yml").write_text(changed.get("book", BOOK), "utf-8")
    shutil.copytree(CODES, folder / "codes")
    (folder / "tables").mkdir()
    for name, text in TABLES.items():
        (folder / "tables" / f"{name}.csv").write_text(changed.get(name, text), "utf-8")
    return folder


def bundle(folder: Path, **changed: str) -> mapping.Bundle:
    """The feed `tiny`, loaded."""
    return mapping.load(write_mapping(folder, **changed), "tiny")


CODES = Path(__file__).resolve().parents[1] / "mappings/codes"  # of the bundled targets
DEFAULTS = {
    "company": "C1", "report_id": "R1", "report_version": "1", "employee_id": "E1", "expense_type": "TAXI",
    "transaction_date": "2026-02-03", "approved_at": "2026-02-10T01:00:00Z", "payer": "EMPLOYEE",
    "document_currency": "CNY", "cost_center": "0010",
}  # fmt: skip


def expense_lines(table: str) -> pd.DataFrame:
    """Clean expense lines from a table: a header of field names, then one line each; `.` is empty.

    Fields not named take DEFAULTS; line_no counts up, allocation_no is 1, source_row follows the order.
    """
    header, *rows = [row.split() for row in table.strip().splitlines()]
    cells = {
        name: [row[i].replace("_", " ") if name == "description" else row[i] for row in rows]
        for i, name in enumerate(header)
    }
    count = len(rows)
    columns: dict[str, object] = {}
    for name, kind in model.LINE_FIELDS.items():
        default = str({"line_no": "", "allocation_no": "1", "source_row": ""}.get(name, DEFAULTS.get(name, "")))
        given = [("" if v == "." else v) for v in cells.get(name, [default] * count)]
        if kind in (model.MONEY, model.INTEGER):
            numbers = [
                int(v) if v else (i + 1 if name in ("line_no", "source_row") else 0) for i, v in enumerate(given)
            ]
            columns[name] = np.array(numbers, dtype=np.int64)
        else:
            columns[name] = model.texts(given)
    return pd.DataFrame(columns)


def shown(frame: pd.DataFrame, *columns: str) -> list[str]:
    """Rows of a frame as text, columns joined by a space: what a test compares."""
    return [" ".join(str(v) for v in row) for row in frame[list(columns)].itertuples(index=False, name=None)]
