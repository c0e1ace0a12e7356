"""A writer of SAP Concur's Standard Accounting Extract, version 3, from a short list of claims and cash advances.

`file_content` gives the bytes of one extract: a control header `EXTRACT|date|count|sum|batch id`, then one `DETAIL`
record of 400 columns for each journal entry. The same claims give the same bytes. `FAULTS` spoils a file in the ways
that are met in practice. Shares no code with what reads such files.
"""

from sandbox.concur_sae.claims import Advance, Claim, Entry, Share, Tax
from sandbox.concur_sae.files import FAULTS, Extract, empty, file_content, file_name

__all__ = ["FAULTS", "Advance", "Claim", "Entry", "Extract", "Share", "Tax", "empty", "file_content", "file_name"]
