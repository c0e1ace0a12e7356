"""Received bytes -> raw text frame: every cell is the text that was written, nothing guessed, nothing repaired.

A file is either taken whole or refused whole (FileRejected, with file and line). `unpack` opens .gz and .zip, `read`
reads delimited text or JSON by the `format` of a source mapping, `declared` is that format as values, `fingerprint`
names a content whatever bytes carried it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from etl.formats.containers import unpack
from etl.formats.delimited import RawFile, read_delimited
from etl.formats.fingerprints import fingerprint, same_content
from etl.formats.jsonrecords import read_json
from etl.formats.layout import Format
from etl.formats.levels import JsonFormat

__all__ = [
    "Format", "JsonFormat", "RawFile", "declared", "fingerprint", "read", "read_delimited", "read_json", "same_content",
    "unpack",
]  # fmt: skip

DELIMITED: Final = "delimited"
_DECLARED: Final[Mapping[str, Callable[[Mapping[str, Any]], Format | JsonFormat]]] = {
    DELIMITED: Format.of, "json": JsonFormat.of,
}  # fmt: skip
_READERS: Final = {DELIMITED: read_delimited, "json": read_json}


def declared(format: Mapping[str, Any]) -> Format | JsonFormat:
    """The format by its kind, delimited where none is named; raises ConfigurationError SCHEMA."""
    return _DECLARED[format.get("kind", DELIMITED)](format)


def read(content: bytes, name: str, format: Mapping[str, Any]) -> RawFile:
    """The whole file by the kind of its format; raises FileRejected."""
    return _READERS[format.get("kind", DELIMITED)](content, name, format)
