"""Where landed files and batch folders are kept: in the home, or in an object store that all workers share.

With CLAIMPOST_OBJECTS the objects are what counts, and the home of each worker is only its copy of some of them: a
file is put before its receipt is committed, a batch folder, as one zip named by its sha256, before the store's row
that names it. So whatever the store knows is there for every worker; what a killed attempt has put under another
sha256 is never looked at. A copy is proved by that sha256 when it is made.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, Self

from etl.errors import ConflictError
from etl.transport import Objects, failpoint

LANDING: Final = "landing"
BATCHES: Final = "batches"
_SHA256_TEXT: Final = 64
_EPOCH: Final = (1980, 1, 1, 0, 0, 0)  # the first that a zip can say: same content, same bytes


@dataclass(frozen=True)
class Shelf:
    """The home, and the object store when there is one."""

    home: Path
    objects: Objects | None = None
    proves: bool = True  # what is copied; False for who looks for damage and goes on

    # --- landed files

    def landed(self, sha256: str) -> Path:
        """The landed file of this sha256; where it is missing, the path at which it should be."""
        path = self.home / LANDING / sha256
        if self.objects is not None and not path.exists():
            self._copy(f"{LANDING}/{sha256}", sha256, path)
        return path

    def keep_landed(self, sha256: str) -> None:
        """Keep a file that lies in the home's landing; call it before its receipt is committed."""
        if self.objects is not None:
            self.objects.put(self.home / LANDING / sha256, f"{LANDING}/{sha256}")
            failpoint("put")

    # --- batch folders

    def folder(self, name: str) -> Path:
        """The batch folder of this name (the store's `folder`); where it is missing, the path at which it should be."""
        path = self.home / BATCHES / name
        if self.objects is not None and not path.exists():
            zipped = path.with_name(f".{name}.zip")
            if self._copy(f"{BATCHES}/{name}.zip", name[-_SHA256_TEXT:], zipped):
                _unzip(zipped, path)
        return path

    def keep_folder(self, work: Path, batch_id: str) -> str:
        """Keep a finished folder that is not in its place yet; its name there. Only with an object store."""
        assert self.objects is not None
        zipped = work.with_name(f"{work.name}.zip")
        _zip(work, zipped)
        name = f"{batch_id}.{hashlib.sha256(zipped.read_bytes()).hexdigest()}"
        self.objects.put(zipped, f"{BATCHES}/{name}.zip")
        failpoint("put")
        zipped.unlink()
        _settle(work, self.home / BATCHES / name)
        return name

    # --- what people read

    def publish(self, path: Path) -> None:
        """Put a report, or a folder of them, that lies in the home; a later one takes its name."""
        if self.objects is not None and path.is_relative_to(self.home):
            for one in sorted(path.rglob("*")) if path.is_dir() else [path]:
                if one.is_file() and not one.name.startswith("."):
                    self.objects.put(one, one.relative_to(self.home).as_posix())

    # --- how they are named, and looked at anew

    def dataset(self, kind: str, name: str) -> tuple[str, str]:
        """Namespace and name of a landed file (kind LANDING) or batch folder (BATCHES), as lineage names them."""
        if self.objects is None:
            return "file", str(self.home / kind / name)
        scheme, _, rest = self.objects.url.partition("://")
        bucket, _, prefix = rest.partition("/")
        return f"{scheme}://{bucket}", "/".join(filter(None, (prefix, kind, name + ".zip" * (kind == BATCHES))))

    @contextmanager
    def anew(self) -> Iterator[Self]:
        """The same without the copies made so far, so that what is looked at is what is kept."""
        if self.objects is None:
            yield self
            return
        with tempfile.TemporaryDirectory(prefix="claimpost-") as folder:
            yield replace(self, home=Path(folder), proves=False)

    def _copy(self, name: str, sha256: str, path: Path) -> bool:
        """Copy an object to a path of the home; whether it came whole. Raises CONTENT_CHANGED when it proves."""
        assert self.objects is not None
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        part = path.with_name(f".{os.urandom(8).hex()}.part")
        try:
            self.objects.get(name, part)
            with part.open("rb") as file:
                whole = hashlib.file_digest(file, "sha256").hexdigest() == sha256
            if self.proves and not whole:
                raise ConflictError("CONTENT_CHANGED", field="object", value=f"{self.objects.url}/{name}")
            part.chmod(0o600)
            part.replace(path)
        except FileNotFoundError:
            return False
        finally:
            part.unlink(missing_ok=True)
        return whole


def _zip(folder: Path, path: Path) -> None:
    """A folder's files as one file, in order of their names, not packed: Parquet is."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for one in sorted(folder.iterdir()):
            archive.writestr(zipfile.ZipInfo(one.name, _EPOCH), one.read_bytes())


def _unzip(zipped: Path, folder: Path) -> None:
    work = Path(tempfile.mkdtemp(prefix=".", dir=folder.parent))
    with zipfile.ZipFile(zipped) as archive:
        archive.extractall(work)
    zipped.unlink(missing_ok=True)
    _settle(work, folder)


def _settle(work: Path, folder: Path) -> None:
    """Put a copy in its place, unless another process of this machine has just put an equal one there."""
    try:
        work.rename(folder)
    except OSError:
        shutil.rmtree(work)
        assert folder.is_dir(), f"{folder} cannot be made"
