"""A folder as we use one: list, read, write once, rename in one step. Here the local kind, in `sftp` the remote one."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from types import TracebackType
from typing import Final, Protocol, Self

from etl.errors import ConfigurationError, TransientError

CHUNK_BYTES: Final = 1 << 20
# The machine is full or ill: another try may help. Everything else about permissions and names does not pass by itself.
_PASSING: Final = {errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EAGAIN, errno.ETIMEDOUT, errno.ESTALE, errno.EBUSY}


@dataclass(frozen=True)
class FileInfo:
    """One regular file of a folder: its name there, size in bytes, and time of last change in seconds since 1970."""

    name: str
    size: int
    modified: int


class Folder(Protocol):
    """An open folder; names are relative to it, with / between the parts.

    Everything raises TransientError NOT_REACHED when the folder does not answer, ConfigurationError CONNECTION when it
    refuses us.
    """

    label: str

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def files(self, under: str = "") -> list[FileInfo]:
        """Regular files directly in a sub-folder, by name; no links, folders, pipes. No such folder: nothing."""
        ...

    def stat(self, name: str) -> FileInfo | None:
        """One regular file, not followed through a link; None when there is no such file."""
        ...

    def chunks(self, name: str) -> Iterator[bytes]:
        """The content in pieces; raises FileNotFoundError."""
        ...

    def read(self, name: str) -> bytes:
        """The whole content; raises FileNotFoundError."""
        ...

    def write_new(self, name: str, content: bytes) -> None:
        """Create a file that must not exist, write, flush to the disk; raises FileExistsError."""
        ...

    def posix_rename(self, old: str, new: str) -> None:
        """Rename in one step, over an existing file too; raises FileNotFoundError when `old` is not there."""
        ...

    def remove(self, name: str) -> None:
        """Remove a file; no such file is fine."""
        ...

    def make_folder(self, name: str) -> None:
        """Create a sub-folder unless it is there."""
        ...

    def check_rename(self) -> None:
        """Raise PermanentError NO_ATOMIC_RENAME when the server cannot rename in one step."""
        ...


def plain(name: str) -> PurePosixPath:
    """A relative path that stays in its folder; anything else is our own mistake."""
    path = PurePosixPath(name)
    assert name and not path.is_absolute() and ".." not in path.parts and "\0" not in name, (
        f"not a plain name: {name!r}"
    )
    return path


class LocalFolder:
    """A folder of this machine or one mounted on it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.label = str(root)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None

    def files(self, under: str = "") -> list[FileInfo]:
        with self._reached():
            try:
                with os.scandir(self._at(under) if under else self.root) as entries:
                    found = [(entry.name, entry.stat(follow_symlinks=False)) for entry in entries]
            except FileNotFoundError:
                return []
        return sorted((_info(name, s) for name, s in found if stat.S_ISREG(s.st_mode)), key=lambda info: info.name)

    def stat(self, name: str) -> FileInfo | None:
        with self._reached():
            try:
                found = self._at(name).lstat()
            except FileNotFoundError:
                return None
        return _info(name, found) if stat.S_ISREG(found.st_mode) else None

    def chunks(self, name: str) -> Iterator[bytes]:
        with self._reached(), open(os.open(self._at(name), os.O_RDONLY | os.O_NOFOLLOW), "rb") as file:
            while chunk := file.read(CHUNK_BYTES):
                yield chunk

    def read(self, name: str) -> bytes:
        return b"".join(self.chunks(name))

    def write_new(self, name: str, content: bytes) -> None:
        with self._reached(), self._at(name).open("xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())

    def posix_rename(self, old: str, new: str) -> None:
        with self._reached():
            os.replace(self._at(old), self._at(new))
            sync(self._at(new).parent)

    def remove(self, name: str) -> None:
        with self._reached():
            self._at(name).unlink(missing_ok=True)

    def make_folder(self, name: str) -> None:
        with self._reached():
            self._at(name).mkdir(parents=True, exist_ok=True)

    def check_rename(self) -> None:
        """Always fine: a local rename is one step."""

    def _at(self, name: str) -> Path:
        return self.root / plain(name)

    @contextmanager
    def _reached(self) -> Iterator[None]:
        try:
            yield
        except (FileNotFoundError, FileExistsError):
            raise
        except OSError as error:
            detail = error.strerror or str(error)
            if error.errno in _PASSING:
                raise TransientError("NOT_REACHED", value=self.label, detail=detail) from error
            raise ConfigurationError("CONNECTION", value=self.label, detail=detail, name="...") from error


def _info(name: str, found: os.stat_result) -> FileInfo:
    return FileInfo(name, found.st_size, found.st_mtime_ns // 10**9)


def sync(path: Path) -> None:
    """Flush a file, or a folder so that a new or renamed file in it survives a power cut, to the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
