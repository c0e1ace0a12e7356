"""The one door out: sealed batches to the ERP's staging table or file drop, and what the ERP answers."""

from etl.erp.answers import EVERYTHING, Wanted, no_lines
from etl.erp.drop import acknowledge_file, deliver_file, read_ledger_file, received
from etl.erp.ledgers import acknowledge_table, read_ledger_table
from etl.erp.staging import deliver_table, manifest

__all__ = [
    "EVERYTHING",
    "Wanted",
    "acknowledge_file",
    "acknowledge_table",
    "deliver_file",
    "deliver_table",
    "manifest",
    "no_lines",
    "read_ledger_file",
    "read_ledger_table",
    "received",
]  # fmt: skip
