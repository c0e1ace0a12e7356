"""The files of a delivery, each with trailer and .ok file."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from sandbox.sample.cells import HEADER
from sandbox.sample.claims import MONTHS

Ints = NDArray[np.int64]

LINES_PER_FILE_MAX: Final = 250_000


class _File:
    """One file of the delivery: header, lines, trailer with count and sum, then its .ok file."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.lines = 0
        self.sums: dict[int, int] = {}
        self._size = 0
        self._hash = hashlib.sha256()
        self._stream = path.open("wb")
        self._put((",".join(HEADER) + "\n").encode())

    def add(self, lines: pa.Array, minor: Ints, decimals: Ints) -> None:
        """Write lines; minor and decimals are their Amount cells, decimals -1 where a cell is no plain decimal."""
        offsets = np.frombuffer(lines.buffers()[1], dtype=np.int32)[lines.offset : lines.offset + len(lines) + 1]
        self._put(memoryview(lines.buffers()[2])[int(offsets[0]) : int(offsets[-1])])
        self.lines += len(lines)
        for places in np.unique(decimals[decimals >= 0]).tolist():
            self.sums[places] = self.sums.get(places, 0) + int(minor[decimals == places].sum())

    def close(self) -> dict[str, str | int]:
        """Write trailer and .ok file; out: the file's entry in truth.json."""
        places = max(self.sums, default=0)
        amount = sum(
            (Decimal(minor).scaleb(-digits) for digits, minor in self.sums.items()), Decimal(0).scaleb(-places)
        )
        self._put(f"TRAILER,{self.lines},{amount:f}\n".encode())
        self._stream.close()
        digest = self._hash.hexdigest()
        self.path.with_name(self.path.name + ".ok").write_bytes(f"{self._size} {digest}\n".encode())
        return {
            "name": self.path.name,
            "bytes": self._size,
            "sha256": digest,
            "lines": self.lines,
            "amount": f"{amount:f}",
        }

    def _put(self, content: bytes | memoryview) -> None:
        self._stream.write(content)
        self._hash.update(content)
        self._size += len(content)


@dataclass(frozen=True)
class Block:
    """The lines of one chunk of reports as text, with what the trailers need; `month` is the position in MONTHS."""

    lines: pa.Array
    month: Ints
    minor: Ints
    decimals: Ints


class Files:
    """The open file of each month; a full one is closed and the next begun, never within a report."""

    def __init__(self, out: Path) -> None:
        self._out = out
        self._open: dict[int, _File] = {}
        self._part = [0] * len(MONTHS)
        self._written: list[dict[str, str | int]] = []

    def add(self, block: Block) -> None:
        for month in np.unique(block.month).tolist():
            where = block.month == month
            file = self._open.get(month)
            if file and file.lines + int(where.sum()) > LINES_PER_FILE_MAX:
                self._written.append(file.close())
                file = None
            if file is None:
                self._part[month] += 1
                file = self._open[month] = _File(self._out / f"expenses_{MONTHS[month]}_{self._part[month]:03d}.csv")
            file.add(block.lines.filter(pa.array(where)), block.minor[where], block.decimals[where])

    def close(self) -> list[dict[str, str | int]]:
        self._written += [file.close() for file in self._open.values()]
        return sorted(self._written, key=lambda entry: str(entry["name"]))
