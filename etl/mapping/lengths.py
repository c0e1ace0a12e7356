"""How long a text may be: `max` in characters, or in bytes of an encoding, and what happens to one that is longer."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

import numpy as np
import pandas as pd
import pyarrow.compute as pc
from numpy.typing import NDArray

from etl import model

Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

ERROR: Final = "error"


def cut(limit: Mapping[str, Any], texts: pd.Series) -> pd.Series:
    """Texts cut to their limit, between two characters; as they are where too long a text is an error."""
    if "max" not in limit or limit.get("overflow") == ERROR:
        return texts
    most = int(limit["max"])
    texts = model.texts(pc.utf8_slice_codeunits(model.utf8(texts), 0, most))
    if limit.get("unit") != "bytes":
        return texts
    codes, known = model.distinct(texts)
    return model.spread([_cut(text, limit["encoding"], most) for text in known], codes)


def _cut(text: str, encoding: str, most: int) -> str:
    while _bytes(text, encoding) > most:
        text = text[:-1]
    return text


def _bytes(text: str, encoding: str) -> int:
    """How many bytes a text has; a character that the encoding lacks counts as its mark `?`."""
    return len(text.encode(encoding, "replace"))


def too_long(limit: Mapping[str, Any], texts: pd.Series) -> Ints:
    """The positions of texts beyond a limit that cuts nothing."""
    if limit.get("overflow") != ERROR:
        return np.empty(0, dtype=np.int64)
    codes, known = model.distinct(texts)
    sizes = [_bytes(text, limit["encoding"]) if limit.get("unit") == "bytes" else len(text) for text in known]
    return np.flatnonzero(np.array(sizes, dtype=np.int64)[codes] > int(limit["max"])) if len(codes) else codes


def told(limit: Mapping[str, Any]) -> str:
    """A limit as a text."""
    unit = limit.get("unit", "characters")
    return f"{limit.get('max', 'no')} {unit}" + (f" of {limit['encoding']}" if unit == "bytes" else "")


def problems(limit: Mapping[str, Any], is_key: bool) -> Iterator[str]:
    """What is wrong with the limit of an expression; a key is never cut."""
    if "max" not in limit and any(name in limit for name in ("unit", "encoding", "overflow")):
        yield "unit, encoding and overflow need a max"
    if (limit.get("unit") == "bytes") != ("encoding" in limit):
        yield "unit: bytes and an encoding stand together"
    if "encoding" in limit and not is_encoding(limit["encoding"]):
        yield f"no encoding {limit['encoding']!r}"
    if is_key and "max" in limit and limit.get("overflow") != ERROR:
        yield "a key is never cut; say overflow: error"


def is_encoding(name: str) -> bool:
    """Whether Python knows an encoding of text."""
    try:
        "".encode(name)
    except LookupError:  # also for base64 and others that are no encodings of text
        return False
    return True
