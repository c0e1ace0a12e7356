"""Declared encodings, held to strictly: the bytes must decode, and encode back to the same bytes."""

from __future__ import annotations

import codecs
from typing import Final

from etl.errors import FileRejected

_BLOCK: Final = 2**22
_USUAL: Final = ("utf-8", "windows-1252", "gb18030")
_BOM: Final = "\ufeff"
_UTF_16: Final = {codecs.BOM_UTF16_LE: "utf-16-le", codecs.BOM_UTF16_BE: "utf-16-be"}


def to_utf8(content: bytes, name: str, encoding: str) -> bytes:
    """The file as UTF-8 bytes without byte order mark; raises FileRejected ENCODING or NUL with the line.

    Bytes that are multi-byte UTF-8 are refused under any other declared encoding: they would become other characters.
    """
    if encoding == "utf-8":
        _refuse_utf16(content, name)
        _check_utf8(content, name)
        text = content.removeprefix(codecs.BOM_UTF8)
    else:
        text = _recode(content, name, encoding)
    at = text.find(b"\0")
    if at >= 0:
        raise FileRejected("NUL", file=name, line=line_at(text, at))
    return text


def line_at(text: bytes, offset: int) -> int:
    """The physical line of a byte, from 1."""
    return text.count(b"\n", 0, offset) + 1


def _refuse_utf16(content: bytes, name: str) -> None:
    head = content[:64]
    if head[:2] in _UTF_16 or (head.count(0) * 3 > len(head) and 0 < head.count(0) < len(head) and b"\0\0" not in head):
        raise FileRejected("ENCODING", file=name, line=1, encoding="utf-8", detail="it looks like UTF-16")


def _check_utf8(content: bytes, name: str) -> None:
    if content.isascii():
        return
    decoder = codecs.getincrementaldecoder("utf-8")()
    for start in range(0, len(content), _BLOCK):
        pending = len(decoder.getstate()[0])
        try:
            decoder.decode(content[start : start + _BLOCK], final=start + _BLOCK >= len(content))
        except UnicodeDecodeError as error:
            at = start - pending + error.start
            detail = f"byte 0x{content[at]:02X}, {error.reason}{_hint(content, 'utf-8')}"
            raise FileRejected(
                "ENCODING", file=name, line=line_at(content, at), encoding="utf-8", detail=detail
            ) from error


def _recode(content: bytes, name: str, encoding: str) -> bytes:
    codec, body = encoding, content
    if encoding == "utf-16":
        if content[:2] not in _UTF_16:
            raise FileRejected("ENCODING", file=name, line=1, encoding=encoding, detail="no byte order mark")
        codec, body = _UTF_16[content[:2]], content[2:]
    elif not content.isascii() and _is(content, "utf-8"):
        raise FileRejected(
            "ENCODING",
            file=name,
            line=_first_high(content),
            encoding=encoding,
            detail=f"the bytes are UTF-8{_hint(content, encoding)}",
        )
    try:
        text = body.decode(codec)
    except UnicodeDecodeError as error:
        line = body[: error.start].decode(codec).count("\n") + 1
        detail = f"byte 0x{body[error.start]:02X}, {error.reason}{_hint(content, encoding)}"
        raise FileRejected("ENCODING", file=name, line=line, encoding=encoding, detail=detail) from error
    _check_round_trip(text, body, name, codec, encoding)
    return text.removeprefix(_BOM).encode()


def _check_round_trip(text: str, body: bytes, name: str, codec: str, encoding: str) -> None:
    back = text.encode(codec)
    if back == body:
        return
    rows = zip(text.split("\n"), body.split("\n".encode(codec)), strict=False)
    line = next((number for number, (row, bytes_) in enumerate(rows, 1) if row.encode(codec) != bytes_), 1)
    raise FileRejected(
        "ENCODING", file=name, line=line, encoding=encoding, detail="it does not encode back to its bytes"
    )


def _hint(content: bytes, declared: str) -> str:
    """The usual encodings in which the bytes are text, and where to say so; "" when there is none.

    Only the sender knows which one it is: many bytes are text in several.
    """
    fitting = [name for name in _USUAL if name != declared and _is(content, name)]
    named = " or ".join(fitting[:1] if "utf-8" in fitting else fitting)
    return f"; it could be {named}: ask the sender, and set format.encoding in the source mapping" if named else ""


def _is(content: bytes, encoding: str) -> bool:
    try:
        content.decode(encoding)
    except UnicodeDecodeError:
        return False
    return True


def _first_high(content: bytes) -> int:
    return next(number for number, line in enumerate(content.split(b"\n"), 1) if not line.isascii())
