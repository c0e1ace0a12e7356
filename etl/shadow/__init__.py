"""Shadow run: what we would post against what a legacy interface posted, per document, account and cent.

`legacy` reads the legacy journal by a profile (mappings/legacy), `compare` finds every difference and its likely cause.
Nothing is guessed: a document is found by its exact reference, an amount by the cent, never by likeness.
"""

from etl.shadow.compare import CODES, MATCHED, Comparison, compare
from etl.shadow.legacy import DIMENSIONS, LINE_COLUMNS, check, columns, read

__all__ = ["CODES", "DIMENSIONS", "LINE_COLUMNS", "MATCHED", "Comparison", "check", "columns", "compare", "read"]
