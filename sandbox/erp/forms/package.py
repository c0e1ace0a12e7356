"""Zips with a csv in them, as the two importers of these read them."""

from __future__ import annotations

import csv
import io
import zipfile
from typing import Final

from sandbox.erp.entries import Unreadable

BYTES_MAX: Final = 250 * 1024 * 1024


def names(content: bytes) -> list[str]:
    """The members of a zip; none when it is no zip."""
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as package:
            return package.namelist()
    except zipfile.BadZipFile:
        return []


def member(content: bytes, name: str) -> bytes:
    """One member, whole and right by its checksum. Raises Unreadable."""
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as package:
            if package.namelist().count(name) != 1 or package.getinfo(name).file_size > BYTES_MAX:
                raise Unreadable(f"it holds no single {name} of at most {BYTES_MAX} bytes")
            return package.read(name)
    except zipfile.BadZipFile as wrong:
        raise Unreadable(f"it is no zip: {wrong}") from wrong


def rows(content: bytes, width: int, line_end: str) -> list[list[str]]:
    """The records of a csv in UTF-8, each of this many fields. Raises Unreadable."""
    try:
        text = content.decode("utf-8")
        found = list(csv.reader(io.StringIO(text, newline=""), strict=True))
    except (UnicodeDecodeError, csv.Error) as wrong:
        raise Unreadable(f"it is no csv in UTF-8: {wrong}") from wrong
    if not text.endswith(line_end) or text.count("\n") != text.count(line_end):
        raise Unreadable(f"its lines do not end with {line_end!r}")
    for number, row in enumerate(found, start=1):
        if len(row) != width:
            raise Unreadable(f"line {number} has {len(row)} fields, not {width}")
    return found
