"""Received bytes -> raw text frame: every cell is the text that was written, nothing guessed, nothing repaired.

A file is either taken whole or refused whole (FileRejected, with file and line). `unpack` opens .gz and .zip,
`read_delimited` reads delimited text by the `format` of a source mapping, `fingerprint` names a content whatever
bytes carried it.
"""

from etl.formats.containers import unpack
from etl.formats.delimited import RawFile, read_delimited
from etl.formats.fingerprints import fingerprint, same_content
from etl.formats.layout import Format

__all__ = ["Format", "RawFile", "fingerprint", "read_delimited", "same_content", "unpack"]
