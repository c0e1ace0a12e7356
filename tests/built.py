"""Small builds to record: reports of one line of 100.00 CNY, their journals, batches and answers."""

from __future__ import annotations

import hashlib
import json

import numpy as np
import pandas as pd

from etl import model
from etl.store import BATCH_COLUMNS, Build

FEED, SYSTEM = "sample", "expense_csv"
LANDING, SECOND = hashlib.sha256(b"one").hexdigest(), hashlib.sha256(b"two").hexdigest()


def strings(rows: list[tuple[object, ...]], columns: list[str], numbers: tuple[str, ...] = ()) -> pd.DataFrame:
    cells = list(zip(*rows, strict=True)) if rows else [()] * len(columns)
    return pd.DataFrame(
        {
            name: np.array(cell, dtype=np.int64) if name in numbers else model.texts([str(c) for c in cell])
            for name, cell in zip(columns, cells, strict=True)
        }
    )


def outcomes(*rows: tuple[str, str]) -> pd.DataFrame:
    """Report id and outcome -> one line of 100.00 CNY each in company CN01."""
    columns = [
        *model.REPORT_KEY,
        "document_currency",
        "outcome",
        "lines",
        "gross_minor",
        "content_hash",
        "business_hash",
    ]
    hashes = [hashlib.sha256(r.encode()).hexdigest() for r, _ in rows]
    full = [("CN01", r, "1", "CNY", outcome, 1, 10_000, h, h) for (r, outcome), h in zip(rows, hashes, strict=True)]
    return strings(full, columns, ("lines", "gross_minor"))


def rejects(*rows: tuple[str, str]) -> pd.DataFrame:
    full = [("CN01", r, "1", 1, 2, code, "report", "gross", "x", "why", "finance", "mend it") for r, code in rows]
    return strings(full, model.REJECT_COLUMNS, ("line_no", "source_row"))


def journals(*reports: str, content: str = "") -> pd.DataFrame:
    same = {
        "company": "CN01", "report_version": "1", "purpose": "expense", "employee_id": "E1", "rate": "1",
        "document_date": "2026-03-01", "posting_date": "2026-03-31", "original_date": "2026-03-31", "period": "2026-03",
        "currency": "CNY", "base_currency": "CNY", "rate_date": "2026-03-31", "description": "Reise 差旅", "lines": 2,
        "debit_minor": 10_000, "base_debit_minor": 10_000, "rounding_minor": 0,
    }  # fmt: skip
    rows = []
    for report in reports:
        ids, keys = model.journal_identity(model.utf8(model.texts([report])))
        content_hash = hashlib.sha256((report + content).encode()).hexdigest()
        own = {
            "journal_id": ids[0].as_py(),
            "journal_key": keys[0].as_py(),
            "report_id": report,
            "content_hash": content_hash,
        }
        rows.append(tuple((same | own).get(name, "") for name in model.JOURNAL_COLUMNS))
    return strings(rows, model.JOURNAL_COLUMNS, ("lines", "debit_minor", "base_debit_minor", "rounding_minor"))


def links(made: pd.DataFrame) -> pd.DataFrame:
    """model.JOURNAL_REPORT_COLUMNS of journals of one report each."""
    named = made.rename(columns={"currency": "document_currency"}).assign(report_no=1)
    return named[model.JOURNAL_REPORT_COLUMNS]


def batch(batch_id: str, *reports: str, number: int = 7, content: bytes = b"sealed") -> dict[str, pd.DataFrame]:
    totals = json.dumps({"debit": {"CNY": 10_000 * len(reports)}})
    sha256 = hashlib.sha256(content).hexdigest()
    row = (batch_id, number, "oracle", "CN01", "2026-03", sha256, f"batches/{batch_id}", len(reports), 2 * len(reports))
    keys = list(journals(*reports)["journal_key"])
    return {
        "batches": strings([(*row, totals)], BATCH_COLUMNS, ("batch_no", "journals", "lines")),
        "members": strings([(batch_id, key) for key in keys], ["batch_id", "journal_key"]),
    }


def build(**parts: object) -> Build:
    blank: dict[str, object] = {
        "feed_id": FEED, "landings": (LANDING,), "source_system": SYSTEM, "run_id": "run1", "mapping_digest": "m1",
        "code_version": "0.1.0", "outcomes": outcomes(), "rejects": rejects(), "journals": journals(),
        "members": strings([], ["batch_id", "journal_key"]),
        "batches": strings([], BATCH_COLUMNS, ("batch_no", "journals", "lines")),
    }  # fmt: skip
    whole = {**blank, **parts}
    return Build(**{"reports": links(whole["journals"]), **whole})


def full_build(**parts: object) -> Build:
    """R1 and R2 accepted and sealed in one batch, R3 quarantined."""
    return build(
        outcomes=outcomes(("R1", "accepted"), ("R2", "accepted"), ("R3", "quarantined")),
        rejects=rejects(("R3", "MONEY"), ("R3", "DATE")),
        journals=journals("R1", "R2"),
        **{**batch("B1", "R1", "R2"), **parts},
    )


def answers(*rows: tuple[str, str, str]) -> pd.DataFrame:
    """Report, level and ERP document -> what the ERP answers."""
    full = [(journals(r)["journal_key"][0], level, document, "", "") for r, level, document in rows]
    return strings(full, model.ACKNOWLEDGEMENT_COLUMNS)
