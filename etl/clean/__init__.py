"""Raw text frame -> expense lines and rejects, by the field map of a source mapping.

Every raw row becomes its line or lines: nothing is dropped, a line that cannot be read stays with amount 0 and is
named in the rejects with every reason at once. What is normalised (spaces, aliases, invisible characters) is counted.
Checks that need more than the cell itself (totals, dates in order, states, policy) live in validations.rules.
"""

from etl.clean.lines import Cleaned, clean
from etl.clean.plan import check, columns
from etl.clean.versions import both_hashes, content_hashes

__all__ = ["Cleaned", "both_hashes", "check", "clean", "columns", "content_hashes"]
