"""What building journals gives."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd


@dataclass(frozen=True)
class Journals:
    """Headers, lines, lineage, which reports are in which journal, and rejects.

    Columns: model.JOURNAL_COLUMNS, JOURNAL_LINE_COLUMNS, LINEAGE_COLUMNS, JOURNAL_REPORT_COLUMNS, REJECT_COLUMNS.
    """

    headers: pd.DataFrame
    lines: pd.DataFrame
    lineage: pd.DataFrame
    reports: pd.DataFrame
    rejects: pd.DataFrame
