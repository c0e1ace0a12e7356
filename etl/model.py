"""The frames and values that the steps hand each other, and the identities made from their content.

Text columns are pandas `str` (Arrow strings), never null: "" is missing. Amounts are int64 minor units with a
currency column beside them. Dates are ISO text (2026-03-31), times ISO UTC text (2026-03-31T16:30:00Z): they sort,
compare and hash the same everywhere.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Final

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

CODE, TEXT, DATE, TIME, MONEY, INTEGER, CURRENCY, RATE, PERCENT = (
    "code", "text", "date", "time", "money", "integer", "currency", "rate", "percent",
)  # fmt: skip

# Expense line: one allocation of one line of one report version. Name -> kind.
LINE_FIELDS: Final[dict[str, str]] = {
    "company": CODE, "report_id": CODE, "report_version": TEXT, "line_no": INTEGER, "allocation_no": INTEGER,
    "employee_id": CODE, "approver_id": CODE, "department": CODE, "cost_center": CODE,
    "project": CODE, "analysis": CODE, "account": CODE,
    "expense_type": CODE, "description": TEXT, "merchant": TEXT, "transaction_date": DATE, "start_date": DATE,
    "submitted_at": TIME, "approved_at": TIME, "updated_at": TIME, "payer": CODE, "payee": CODE,
    "payment_type": CODE, "side": CODE, "advance_id": CODE,
    "document_currency": CURRENCY, "gross_minor": MONEY, "tax_code": CODE, "tax_rate_pct": PERCENT,
    "tax_minor": MONEY, "reclaimable_tax_minor": MONEY, "rate": RATE, "original_currency": CURRENCY,
    "original_minor": MONEY,
    "report_total_minor": MONEY, "split_weight": INTEGER, "invoice_no": TEXT, "personal": CODE, "state": CODE,
    "source_row": INTEGER,
}  # fmt: skip
# The same for every line of a report version; a difference quarantines the report.
HEADER_FIELDS: Final = (
    "employee_id", "approver_id", "submitted_at", "approved_at", "updated_at", "state", "report_total_minor",
)  # fmt: skip
REPORT_KEY: Final = ["company", "report_id", "report_version"]

# Reject: one reason why one report version is quarantined. line_no and source_row are 0 when no line is meant.
REJECT_COLUMNS: Final = [
    *REPORT_KEY, "line_no", "source_row", "code", "outcome", "field", "value", "reason", "owner", "next_step",
]  # fmt: skip

# Invoice: which report version claims it; invoice_key is a sha256 over its number, date, currency and amount.
INVOICE_COLUMNS: Final = ["invoice_key", *REPORT_KEY]

# Journal header and line. Amounts are in the journal's currency and in the company's base currency. company is the one
# whose books it stands in; original_date the posting date before the period policy; rounding_minor what the rounding
# line holds, in base currency; belongs_to the journal_key of the journal that an intercompany, split or accrual journal
# goes with, "" for the journal of the claim itself. reversal_of: of a reversal, the journal_key that it cancels, and
# report_version is the version that made it necessary.
JOURNAL_COLUMNS: Final = [
    "journal_id", "journal_key", "company", "report_id", "report_version", "purpose", "employee_id", "document_date",
    "posting_date", "original_date", "period", "currency", "base_currency", "rate", "rate_date", "rate_source",
    "description", "lines", "debit_minor", "base_debit_minor", "rounding_minor", "belongs_to", "content_hash",
    "reversal_of",
]  # fmt: skip
JOURNAL_LINE_COLUMNS: Final = [
    "journal_key", "line_no", "purpose", "account", "party", "department", "cost_center", "project", "analysis",
    "tax_code", "text", "debit_minor", "credit_minor", "base_debit_minor", "base_credit_minor",
]  # fmt: skip
# Lineage: which part of a journal line's amount came from which expense line.
LINEAGE_COLUMNS: Final = [
    "journal_key", "line_no", "report_no", "source_row", "expense_line_no", "allocation_no", "amount_minor",
    "base_minor",
]  # fmt: skip
# Which report versions are in which journal: report_no counts them, journal_id is the identity of each one's own.
JOURNAL_REPORT_COLUMNS: Final = ["journal_key", "report_no", *REPORT_KEY, "document_currency", "journal_id"]
# What the ERP says, one row per line it posted, read back by the target's own means.
ERP_LINE_COLUMNS: Final = [
    "journal_key", "erp_document", "company", "posting_date", "period", "currency", "account",
    "debit_minor", "credit_minor",
]  # fmt: skip
# Acknowledgement: the ERP's answer for one journal. level: received | posted | rejected | sibling | parked
# | unknown.
ACKNOWLEDGEMENT_COLUMNS: Final = ["journal_key", "level", "erp_document", "code", "message"]

# Landed report versions end in exactly one of these.
ACCEPTED, QUARANTINED, DUPLICATE, SUPERSEDED, WITHDRAWN = (
    "accepted", "quarantined", "duplicate", "superseded", "withdrawn",
)  # fmt: skip
OUTCOMES: Final = (ACCEPTED, QUARANTINED, DUPLICATE, SUPERSEDED, WITHDRAWN)
# A journal's purpose: what a report version becomes, and what cancels it.
ORIGINAL, REVERSAL = "original", "reversal"

# Batch: sealed -> publishing -> published -> acknowledged -> reconciled. A journal in it: sealed | posted | rejected
# | unknown.
BATCH_STATES: Final = ("sealed", "publishing", "published", "acknowledged", "reconciled")


def utf8(series: pd.Series) -> pa.Array:
    """A text column as one Arrow large_string array, without copying (that is how pandas holds it)."""
    array = pa.array(series, type=pa.large_string())
    return array.combine_chunks() if isinstance(array, pa.ChunkedArray) else array


def texts(values: pa.Array | Sequence[str]) -> pd.Series:
    """A text column from Arrow strings or a sequence of str."""
    return pd.Series(pd.array(values, dtype="str"))


def distinct(series: pd.Series) -> tuple[Ints, list[str]]:
    """Codes per row and the distinct texts they point to, in order of first appearance."""
    coded = utf8(series).dictionary_encode()
    return coded.indices.to_numpy(zero_copy_only=False).astype(np.int64), coded.dictionary.to_pylist()


def spread(values: Sequence[str] | pa.Array, codes: Ints) -> pd.Series:
    """The text of each row from the distinct texts: the way back from `distinct`."""
    return texts(pc.take(pa.array(values, type=pa.large_string()), pa.array(codes)))


def positions(keys: pd.Series, of: pd.Series) -> Ints:
    """For each key the row of `of` that holds it, -1 where none does; `of` holds each once."""
    found = pc.index_in(utf8(keys), value_set=utf8(of))
    return np.asarray(pc.fill_null(found, -1).to_numpy(zero_copy_only=False), dtype=np.int64)


def among(rows: pd.DataFrame, others: pd.DataFrame, columns: Sequence[str]) -> Bools:
    """Which rows have the texts of a row of `others` in these columns."""
    mine, theirs = (joined([utf8(frame[c]) for c in columns]) for frame in (rows, others))
    return np.asarray(pc.is_in(mine, value_set=theirs).to_numpy(zero_copy_only=False), dtype=bool)


def combine(columns: Sequence[Ints]) -> tuple[Ints, Ints]:
    """Number the distinct combinations of several code columns.

    Out: a combination number per row, and for each combination the first row that shows it. Numbers follow the order
    of first appearance.
    """
    assert columns, "at least one column"
    key = numbered(columns[0])
    for column in columns[1:]:
        key = numbered(key * (int(column.max(initial=0)) + 1) + column)
    newest = np.maximum.accumulate(key)
    return key, np.flatnonzero(key > np.append(-1, newest[:-1]))[: int(newest[-1]) + 1 if len(key) else 0]


def numbered(values: Ints) -> Ints:
    """Each distinct number's own number, in order of first appearance, on every row."""
    return np.asarray(pd.factorize(values)[0], dtype=np.int64)


def groups(frame: pd.DataFrame, columns: Sequence[str]) -> tuple[Ints, Ints]:
    """Number the distinct combinations of columns of a frame; out as in `combine`."""
    if not len(frame):
        return np.empty(0, dtype=np.int64), np.empty(0, dtype=np.int64)
    return combine([
        distinct(frame[c])[0] if frame[c].dtype == "str" else numbered(frame[c].to_numpy(dtype=np.int64))
        for c in columns
    ])  # fmt: skip


def sum_by(values: Ints, group: Ints, count: int) -> Ints:
    """Exact int64 sums of values per group number 0..count-1."""
    out = np.zeros(count, dtype=np.int64)
    np.add.at(out, group, values)
    return out


def joined(columns: Sequence[pa.Array | str], separator: str = "\x1f") -> pa.Array:
    """Row-wise join of text columns (large_string); a plain str stands for itself on every row."""
    cells = [pa.scalar(c, pa.large_string()) if isinstance(c, str) else c for c in columns]
    return pc.binary_join_element_wise(*cells, pa.scalar(separator, pa.large_string()))


def digest(*parts: str) -> str:
    """sha256 in hex over parts kept apart by a unit separator."""
    return hashlib.sha256("\x1f".join(parts).encode()).hexdigest()


def journal_identity(keys: pa.Array) -> tuple[pa.Array, pa.Array]:
    """journal_id (sha256 in hex) and journal_key (16 characters A-Z2-7, the same digest) for each identity text.

    The text holds company, source system, report id, report version, purpose and nothing else: no clock, no run,
    no file name, no mapping version. 16 characters fit every ERP's reference field.
    """
    raw = b"".join([hashlib.sha256(text).digest() for text in pc.cast(keys, pa.large_binary()).to_pylist()])
    bits = np.unpackbits(np.frombuffer(raw, dtype=np.uint8).reshape(-1, _DIGEST)[:, :10], axis=1)
    fives = np.packbits(bits.reshape(-1, 5), axis=1)[:, 0] >> 3
    return _of_width(raw.hex().encode(), 2 * _DIGEST), _of_width(_BASE32[fives].tobytes(), 16)


_DIGEST: Final = 32  # bytes of a sha256
_BASE32: Final = np.frombuffer(b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567", dtype=np.uint8)


def _of_width(content: bytes, width: int) -> pa.Array:
    """Texts of one width that stand one after the other."""
    edges = np.arange(0, len(content) + 1, width, dtype=np.int64)
    return pa.LargeStringArray.from_buffers(len(edges) - 1, pa.py_buffer(edges), pa.py_buffer(content))


def hash_runs(rows: pa.Array, starts: Ints) -> pa.Array:
    """sha256 over each run of consecutive rows (run i goes from starts[i] to the next start), one hash per run.

    Each row's text is followed by a line feed. One pass over the bytes, no Python per row.
    """
    if not len(starts):
        return pa.array([], type=pa.large_string())
    lines = joined([rows, ""], "\n")
    offsets = np.frombuffer(lines.buffers()[1], dtype=np.int64)[lines.offset : lines.offset + len(lines) + 1]
    content = memoryview(lines.buffers()[2]) if lines.buffers()[2] is not None else memoryview(b"")
    edges = np.append(offsets[starts], offsets[len(lines)]).tolist()
    digests = [hashlib.sha256(content[a:b]).digest() for a, b in pairwise(edges)]
    return _of_width(b"".join(digests).hex().encode(), 2 * _DIGEST)


@dataclass(frozen=True)
class ControlTotals:
    """Reports, lines and gross per document currency of one set; the unit of every conservation check."""

    reports: int = 0
    lines: int = 0
    gross: Mapping[str, int] = field(default_factory=dict)

    def __add__(self, other: ControlTotals) -> ControlTotals:
        keys = sorted(self.gross.keys() | other.gross.keys())
        gross = {k: self.gross.get(k, 0) + other.gross.get(k, 0) for k in keys}
        return ControlTotals(self.reports + other.reports, self.lines + other.lines, gross)


def total(parts: Iterable[ControlTotals]) -> ControlTotals:
    """The sum of control totals."""
    out = ControlTotals()
    for part in parts:
        out = out + part
    return out
