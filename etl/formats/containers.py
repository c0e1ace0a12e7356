"""Compressed files, opened so that no byte is used before the end of the stream was checked; and what a file really is.

Limits: one member, size after unpacking, ratio of unpacked to packed. A member's name is never used as a path.
"""

from __future__ import annotations

import io
import stat
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from typing import Final

from etl.errors import FileRejected

RATIO_MAX: Final = 100
BYTES_MAX: Final = 512 * 2**20
_CHUNK: Final = 2**20
_GZIP, _ZIP = b"\x1f\x8b", b"PK"
_ENCRYPTED: Final = 0x1
_MAGIC: Final = (
    (b"PK\x03\x04", "a zip archive or an Excel workbook"),
    (b"PK\x05\x06", "an empty zip archive"),
    (b"\xd0\xcf\x11\xe0", "an old Excel or Word file"),
    (b"%PDF", "a PDF file"),
    (_GZIP, "a gzip file"),
    (b"BZh", "a bzip2 file"),
    (b"\xfd7zXZ", "an xz file"),
    (b"7z\xbc\xaf", "a 7-Zip archive"),
    (b"\x28\xb5\x2f\xfd", "a Zstandard file"),
)
_MARKUP: Final = ((b"<!doctype html", "an HTML page"), (b"<html", "an HTML page"), (b"<?xml", "an XML file"))


def content_type(content: bytes) -> str:
    """What a file is when it is no plain text, by its first bytes; "" for anything else."""
    head = content[:1024].removeprefix(b"\xef\xbb\xbf")
    start = head.lstrip().lower()
    named = [what for magic, what in _MAGIC if head.startswith(magic)]
    named += [what for magic, what in _MARKUP if start.startswith(magic)]
    return named[0] if named else ""


def unpack(content: bytes, name: str, bytes_max: int = BYTES_MAX) -> bytes:
    """The content of a .gz or .zip file of one member, or the content itself under any other name.

    Raises FileRejected COMPRESSION, INCOMPLETE (cut off), SIZE, PATH (the member's name is no plain file name).
    """
    if len(content) > bytes_max:
        raise FileRejected("SIZE", file=name, found=f"{len(content)} bytes", limit=bytes_max)
    suffix = name.lower().rpartition(".")[2]
    if suffix not in ("gz", "zip"):
        return content
    if not content.startswith(_GZIP if suffix == "gz" else _ZIP):
        raise FileRejected("COMPRESSION", file=name, detail=f"the name says {suffix}, the bytes do not")
    unpacked = _gunzip(content, name, bytes_max) if suffix == "gz" else _unzip(content, name, bytes_max)
    if unpacked.startswith((_GZIP, b"PK\x03\x04")):
        raise FileRejected("COMPRESSION", file=name, detail="it holds another compressed file")
    return unpacked


def _gunzip(content: bytes, name: str, bytes_max: int) -> bytes:
    stream = zlib.decompressobj(wbits=16 + zlib.MAX_WBITS)
    try:
        unpacked = _counted(_inflate(stream, content), len(content), name, bytes_max)
    except zlib.error as error:
        raise FileRejected("COMPRESSION", file=name, detail=f"damaged: {error}") from error
    if not stream.eof:
        raise FileRejected("INCOMPLETE", file=name, detail="the compressed stream has no end")
    if stream.unused_data:
        second = stream.unused_data.startswith(_GZIP)
        detail = "it has more than one member" if second else "bytes follow the end of the stream"
        raise FileRejected("COMPRESSION", file=name, detail=detail)
    return unpacked


def _inflate(stream: zlib._Decompress, content: bytes) -> Iterator[bytes]:
    waiting = content
    while waiting and not stream.eof:
        yield stream.decompress(waiting, _CHUNK)
        waiting = stream.unconsumed_tail


def _unzip(content: bytes, name: str, bytes_max: int) -> bytes:
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            member = _only_member(archive, name)
            with archive.open(member) as stream:
                chunks = iter(lambda: stream.read(_CHUNK), b"")
                return _counted(chunks, member.compress_size, name, bytes_max)
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError) as error:
        raise FileRejected("COMPRESSION", file=name, detail=f"damaged or unknown: {error}") from error


def _only_member(archive: zipfile.ZipFile, name: str) -> zipfile.ZipInfo:
    members = archive.infolist()
    if len(members) != 1:
        raise FileRejected("COMPRESSION", file=name, detail=f"it has {len(members)} members, not one")
    member = members[0]
    if member.flag_bits & _ENCRYPTED:
        raise FileRejected("COMPRESSION", file=name, detail="it is encrypted")
    link = stat.S_ISLNK(member.external_attr >> 16)
    named = member.orig_filename
    if link or member.is_dir() or any(part in named for part in ("/", "\\", "..", "\0", ":")):
        raise FileRejected("PATH", file=f"{name}!{named}", pattern="one plain file name inside an archive")
    return member


def _counted(chunks: Iterable[bytes], packed: int, name: str, bytes_max: int) -> bytes:
    """All chunks, counted as they come: a bomb is refused before it is large."""
    taken = bytearray()
    for chunk in chunks:
        taken += chunk
        if len(taken) > bytes_max:
            raise FileRejected("SIZE", file=name, found=f"more than {bytes_max} bytes unpacked", limit=bytes_max)
        if len(taken) > RATIO_MAX * packed:
            raise FileRejected("COMPRESSION", file=name, detail=f"it unpacks to more than {RATIO_MAX} times its size")
    return bytes(taken)
