"""The name of a content: the same for the same rows, whatever bytes, encoding, quoting or order."""

from __future__ import annotations

import hashlib
from typing import Final

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from etl import model
from etl.formats.layout import SOURCE_ROW

Words = NDArray[np.uint64]

_WORD: Final = 8
# splitmix64's multipliers; part of the fingerprint's definition, never to be changed.
_FIRST, _SECOND = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)
_SHIFTS: Final = (np.uint64(30), np.uint64(27), np.uint64(31))


def fingerprint(frame: pd.DataFrame) -> str:
    """sha256 in hex over the column names and the sorted 64-bit hashes of all rows of a raw frame.

    Equal fingerprints are confirmed by `same_content`; the hashes are fast, not safe against an attacker.
    """
    columns = _columns(frame)
    out = hashlib.sha256("\x1f".join(columns).encode())
    out.update(np.sort(_row_hashes(frame, columns)).astype("<u8").tobytes())
    return out.hexdigest()


def same_content(a: pd.DataFrame, b: pd.DataFrame) -> bool:
    """Whether two raw frames hold the same rows equally often, in any order; exact."""
    columns = _columns(a)
    if columns != _columns(b) or len(a) != len(b):
        return False
    if not columns or not len(a):
        return True
    mine, theirs = (_rows(frame, columns).value_counts() for frame in (a, b))
    place = pc.index_in(mine.field("values"), value_set=theirs.field("values"))
    if len(mine) != len(theirs) or place.null_count:
        return False
    return bool(mine.field("counts").equals(theirs.field("counts").take(place)))


def _columns(frame: pd.DataFrame) -> list[str]:
    return sorted(str(column) for column in frame.columns if column != SOURCE_ROW)


def _rows(frame: pd.DataFrame, columns: list[str]) -> pa.Array:
    """Each row as one text; cells that hold the separator are escaped, so that two rows never look the same."""
    cells = [model.utf8(frame[column]) for column in columns]
    rows = model.joined(cells)
    if pc.max(pc.count_substring(rows, "\x1f")).as_py() == len(columns) - 1:
        return rows
    marks = (("\x1e", "\x1e0"), ("\x1f", "\x1e1"))
    for mark, escaped in marks:
        cells = [pc.replace_substring(cell, mark, escaped) for cell in cells]
    return model.joined(cells)


def _row_hashes(frame: pd.DataFrame, columns: list[str]) -> Words:
    if not columns or not len(frame):
        return np.empty(0, dtype=np.uint64)
    rows = _rows(frame, columns)
    offsets = np.frombuffer(rows.buffers()[1], dtype=np.int64)[rows.offset : rows.offset + len(rows) + 1]
    content = np.frombuffer(rows.buffers()[2] or b"", dtype=np.uint8)[: int(offsets[-1])]
    padded = np.concatenate([content, np.zeros(_WORD, dtype=np.uint8)])
    words = np.ndarray(shape=(len(padded) - _WORD + 1,), dtype="<u8", buffer=padded.data, strides=(1,))
    return _hash_runs(words, offsets[:-1], np.diff(offsets))


def _hash_runs(words: Words, starts: model.Ints, lengths: model.Ints) -> Words:
    """One hash per row: its bytes in words of eight, the last one masked, then its length."""
    hashes = np.zeros(len(starts), dtype=np.uint64)
    alive, at = np.arange(len(starts)), 0
    while len(alive):
        left = lengths[alive] - at
        word = words[starts[alive] + at] & _mask(left)
        hashes[alive] = _mix(hashes[alive] ^ word)
        at += _WORD
        alive = alive[left > _WORD]
    return _mix(hashes ^ lengths.astype(np.uint64))


def _mask(left: model.Ints) -> Words:
    bits = np.clip(left, 0, _WORD).astype(np.uint64) * np.uint64(8)
    partial = (np.uint64(1) << np.minimum(bits, np.uint64(63))) - np.uint64(1)
    return np.where(bits == np.uint64(64), np.uint64(2**64 - 1), partial)


def _mix(x: Words) -> Words:
    x = x + np.uint64(0x9E3779B97F4A7C15)
    x = (x ^ (x >> _SHIFTS[0])) * _FIRST
    x = (x ^ (x >> _SHIFTS[1])) * _SECOND
    return np.asarray(x ^ (x >> _SHIFTS[2]), dtype=np.uint64)
