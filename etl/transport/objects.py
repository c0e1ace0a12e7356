"""An object store as one more place to keep bytes: s3://bucket/prefix, gs://..., or any other that fsspec opens.

An object is put whole or not at all, and there is nothing else to rely on: no rename, no lock, no append. So what is
put is never changed, and its name says what is in it; who knows the name can prove the bytes.
"""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from etl.errors import ConfigurationError, TransientError
from etl.transport.files import plain, sync

SETTING: Final = "CLAIMPOST_OBJECTS"
_REFUSED: Final = {errno.EACCES, errno.EPERM, errno.EINVAL}


class Objects:
    """Everything below one URL; names are relative to it, with / between the parts.

    Everything raises TransientError NOT_REACHED when the store does not answer, ConfigurationError SETTING when it
    refuses us or the URL is none that can be opened. Who we are comes from the environment as the store's own client
    takes it (a role of the machine, AWS_..., FSSPEC_S3_...), never from the URL.
    """

    def __init__(self, url: str) -> None:
        import fsspec

        self.url = url.rstrip("/")
        try:
            self._store, self._root = fsspec.url_to_fs(self.url, skip_instance_cache=True, use_listings_cache=False)
        except (ImportError, ValueError) as error:
            raise ConfigurationError("SETTING", field=SETTING, value=self.url, detail=str(error)) from error

    def put(self, path: Path, name: str) -> None:
        """Put a file; when this returns it is there, whole."""
        with self._reached():
            try:
                self._store.put_file(str(path), self._at(name))
            except FileNotFoundError as error:  # no such bucket
                raise ConfigurationError("SETTING", field=SETTING, value=self.url, detail=str(error)) from error

    def get(self, name: str, path: Path) -> None:
        """Write an object to a file that must not exist, flushed to the disk; raises FileNotFoundError."""
        with self._reached():
            self._store.get_file(self._at(name), str(path))
        sync(path)

    def names(self, under: str) -> list[str]:
        """The last part of the name of everything directly below, in order."""
        with self._reached():
            try:
                found = self._store.ls(self._at(under), detail=False)
            except FileNotFoundError:
                return []
        return sorted(str(name).rstrip("/").rpartition("/")[2] for name in found)

    def _at(self, name: str) -> str:
        return f"{self._root}/{plain(name)}"

    @contextmanager
    def _reached(self) -> Iterator[None]:
        try:
            yield
        except FileNotFoundError:
            raise
        except _failures() as error:
            detail = str(error) or type(error).__name__
            if (isinstance(error, OSError) and error.errno in _REFUSED) or isinstance(error, PermissionError):
                raise ConfigurationError("SETTING", field=SETTING, value=self.url, detail=detail) from error
            raise TransientError("NOT_REACHED", value=self.url, detail=detail) from error


def _failures() -> tuple[type[Exception], ...]:
    """What fsspec raises, and the client of S3 below it when nobody answers or no login is found."""
    try:
        from botocore.exceptions import BotoCoreError
    except ImportError:
        return (OSError,)
    return (OSError, BotoCoreError)
