"""The one door in: which files are complete, and how their bytes are landed before the source is released.

Landed means: the bytes lie under their sha256, flushed to the disk, and the receipt is committed. Only after that
commit may the source move or lose the file (reliability: the durability point).
"""

from __future__ import annotations

import hashlib
import os
import re
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from etl import transport
from etl.errors import FileRejected, TransientError
from etl.transport import FileInfo, Folder, LocalFolder, failpoint

SIDECAR: Final = ".ok"
ARCHIVE, DELETE, KEEP = "archive", "delete", "keep"
FILES_PER_RUN_MAX: Final = 10_000
NAME_BYTES_MAX: Final = 240  # the archive puts nine before a name and .ok behind it; a folder holds 255
OK_FILE, SETTLED, NOW = "ok_file", "settled", "now"
_UNFINISHED: Final = (".part", ".filepart", ".tmp", ".crdownload", SIDECAR, "~")
_SIDECAR_TEXT: Final = re.compile(r"([0-9]{1,18})\s+([0-9a-f]{64})\s*", re.ASCII)


@dataclass(frozen=True)
class Found:
    """Files ready to be landed, oldest name first; files whose sidecar contradicts them; names left alone; sidecars
    without their file."""

    files: tuple[FileInfo, ...]
    refused: tuple[tuple[FileInfo, FileRejected], ...] = ()
    ignored: tuple[str, ...] = ()
    alone: tuple[str, ...] = ()


@dataclass(frozen=True)
class Seen:
    """What lies at a source: files that are complete, oldest name first; names that wait for their other half or for
    the writer to finish; and names that are none of the feed's."""

    ready: tuple[FileInfo, ...]
    waiting: tuple[str, ...]
    ignored: tuple[str, ...]


def look(session: Folder, pattern: str, complete: str, settle_seconds: int = 60) -> Seen:
    """Judge the names in a folder, by the whole name and the rule `complete`; no content is read.

    ok_file: a sidecar `<name>.ok` stands beside the file. settled: unchanged for settle_seconds. now: taken at once.
    """
    names = re.compile(pattern)
    there = session.files()
    sidecars = {info.name for info in there if info.name.endswith(SIDECAR)}
    fitting = [info for info in there if _fits(info.name, names)]
    ready = [info for info in fitting if _is_ready(info, complete, sidecars, settle_seconds)]
    alone = sidecars - {info.name + SIDECAR for info in fitting} if complete == OK_FILE else set()
    waiting = {info.name for info in fitting} - {info.name for info in ready} | alone
    ignored = {info.name for info in there} - {info.name for info in fitting} - sidecars
    return Seen(tuple(ready), tuple(sorted(waiting)), tuple(sorted(ignored)))


def find(session: Folder, pattern: str, complete: str, settle_seconds: int = 60, files_max: int = 1000) -> Found:
    """The complete files of `look`, at most files_max; one that its sidecar (size, sha256) contradicts is refused."""
    seen = look(session, pattern, complete, settle_seconds)
    ready = seen.ready[: min(files_max, FILES_PER_RUN_MAX)]
    faults = [_sidecar_fault(session, info) if complete == OK_FILE else None for info in ready]
    judged = list(zip(ready, faults, strict=True))
    return Found(
        tuple(info for info, fault in judged if fault is None),
        tuple((info, fault) for info, fault in judged if fault is not None),
        seen.ignored,
        tuple(name for name in seen.waiting if name.endswith(SIDECAR)),
    )


def _fits(name: str, names: re.Pattern[str]) -> bool:
    """A whole, plain, finished name: no hidden file, no half-written one, nothing a path or a log could trip over."""
    plain = name.isprintable() and not name.startswith(".") and not set(name) & {"/", "\\"}
    return (
        plain
        and len(name.encode()) <= NAME_BYTES_MAX
        and not name.endswith(_UNFINISHED)
        and names.fullmatch(name) is not None
    )


def _is_ready(info: FileInfo, complete: str, sidecars: set[str], settle_seconds: int) -> bool:
    if complete == OK_FILE:
        return info.name + SIDECAR in sidecars
    assert complete in (SETTLED, NOW)
    return complete == NOW or time.time() - info.modified >= settle_seconds


def _sidecar_fault(session: Folder, info: FileInfo) -> FileRejected | None:
    """What the .ok file says against its file; None when all agrees. Raises TransientError NOT_REACHED."""
    try:
        return _contradiction(session, info)
    except FileNotFoundError as error:  # another run took it
        raise _changed(session, f"{info.name} went away while it was checked") from error


def _contradiction(session: Folder, info: FileInfo) -> FileRejected | None:
    text = session.read(info.name + SIDECAR).decode("ascii", "backslashreplace")
    said = _SIDECAR_TEXT.fullmatch(text)
    if said is None:
        return FileRejected("SIDECAR", file=info.name, detail="it does not hold a size and a sha256")
    if int(said.group(1)) != info.size:
        return FileRejected("SIDECAR", file=info.name, detail=f"size {info.size}, the .ok file says {said.group(1)}")
    whole = hashlib.sha256()
    for chunk in session.chunks(info.name):
        whole.update(chunk)
    if whole.hexdigest() != said.group(2):
        return FileRejected("SIDECAR", file=info.name, detail="the content has another sha256")
    return None


def find_input(path: Path, pattern: str) -> tuple[list[tuple[LocalFolder, FileInfo]], list[str]]:
    """Files given by hand in place of the source: one file, or every fitting one below a folder, in order of path.

    Out: each with the folder it lies in, and the names that do not fit. They are taken as they are, never released.
    """
    names = re.compile(pattern)
    found, ignored = [], []
    for file in [path] if path.is_file() else _walk(path):
        info = LocalFolder(file.parent).stat(file.name)
        if info is not None and _fits(file.name, names):
            found.append((LocalFolder(file.parent), info))
        elif not file.name.endswith(SIDECAR):
            ignored.append(file.name)
    return found, ignored


def _walk(folder: Path) -> Iterator[Path]:
    for root, folders, files in os.walk(folder):
        folders.sort()
        yield from (Path(root) / name for name in sorted(files))


def land(
    session: Folder, info: FileInfo, landing: Path, register: Callable[[str, int], object], release: str = KEEP
) -> str:
    """Land one file and return its sha256: bytes, flush, receipt, and only then the release of the source.

    In: `register` commits the receipt of (sha256, size). release: archive | delete | keep. Raises TransientError
    NOT_REACHED when the file changed or went away while it was read.
    """
    assert release in (ARCHIVE, DELETE, KEEP)
    sha256 = _fetch(session, info, landing)
    failpoint("landed")
    register(sha256, info.size)
    failpoint("registered")
    _release(session, info.name, sha256, release)
    return sha256


def _fetch(session: Folder, info: FileInfo, landing: Path) -> str:
    part = _part(landing)
    try:
        sha256, size = _write(session.chunks(info.name), part)
        if (size, session.stat(info.name)) != (info.size, info):
            raise _changed(session, f"{info.name} changed while it was read")
        failpoint("fetched")
        part.replace(landing / sha256)
    except FileNotFoundError as error:
        raise _changed(session, f"{info.name} went away while it was read") from error
    finally:
        part.unlink(missing_ok=True)
    transport.sync(landing)
    return sha256


def keep(content: bytes, landing: Path) -> str:
    """Put a document of our own beside what was landed, under its sha256, flushed to the disk; out: the sha256."""
    part = _part(landing)
    sha256, _ = _write([content], part)
    part.replace(landing / sha256)
    transport.sync(landing)
    return sha256


def _part(landing: Path) -> Path:
    landing.mkdir(parents=True, exist_ok=True, mode=0o700)
    return landing / f".{os.urandom(8).hex()}.part"


def _write(chunks: Iterable[bytes], part: Path) -> tuple[str, int]:
    """Write bytes to a new file, flushed to the disk; out: their sha256 and number."""
    whole, size = hashlib.sha256(), 0
    with open(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        for chunk in chunks:
            file.write(chunk)
            whole.update(chunk)
            size += len(chunk)
        file.flush()
        os.fsync(file.fileno())
    return whole.hexdigest(), size


def _changed(session: Folder, detail: str) -> TransientError:
    return TransientError("NOT_REACHED", value=session.label, detail=detail)


def _release(session: Folder, name: str, sha256: str, release: str) -> None:
    """Move the file (and its sidecar) out of the way; one that is gone already was released by another attempt."""
    if release == KEEP:
        return
    if release == ARCHIVE:
        session.make_folder(ARCHIVE)
    for one in (name, name + SIDECAR):  # a file without its sidecar is never looked at again, so the file goes first
        if session.stat(one) is None:
            continue
        try:
            if release == ARCHIVE:
                session.posix_rename(one, f"{ARCHIVE}/{sha256[:8]}_{one}")
            else:
                session.remove(one)
        except FileNotFoundError:
            continue
        failpoint("released")


def release_alone(session: Folder, names: Iterable[str], is_landed: Callable[[str, str], bool], release: str) -> None:
    """Release sidecars that a killed attempt left behind: their file is landed and away. A later file of the same name
    would be judged by them before its own sidecar is there.

    In: `is_landed(sha256, name)` says whether the feed has a receipt of that file.
    """
    for sidecar in names:
        name = sidecar.removesuffix(SIDECAR)
        try:
            said = _SIDECAR_TEXT.fullmatch(session.read(sidecar).decode("ascii", "backslashreplace"))
        except FileNotFoundError:
            continue
        if said is not None and is_landed(said.group(2), name) and session.stat(name) is None:
            _release(session, name, said.group(2), release)
