"""Open the folder that a connection means."""

from __future__ import annotations

from pathlib import Path

from etl.errors import ConfigurationError
from etl.transport.connections import FOLDER, SFTP, Connection
from etl.transport.files import Folder, LocalFolder


def folder(connection: Connection, path: str = "") -> Folder:
    """The folder of a connection, or `path` below it; use it in a `with`.

    Raises ConfigurationError CONNECTION (no folder, refused), PermanentError HOST_KEY, TransientError NOT_REACHED.
    A default folder under our own home is created; any other must exist.
    """
    if connection.kind == SFTP:
        from etl.transport.sftp import SftpFolder

        return SftpFolder(connection, path)
    if connection.kind != FOLDER:
        raise _unusable(connection, f"is a {connection.kind}, not a folder")
    if not connection.path:
        raise _unusable(connection, "names no path")
    root = Path(connection.path).absolute() / path
    if connection.embedded:
        root.mkdir(parents=True, exist_ok=True)
    if not root.is_dir():
        raise _unusable(connection, f"{root} is no folder")
    return LocalFolder(root)


def _unusable(connection: Connection, detail: str) -> ConfigurationError:
    conn_id = connection.conn_id
    return ConfigurationError("CONNECTION", value=conn_id, name=conn_id.upper(), detail=detail)
