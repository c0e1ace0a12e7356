"""The way to other machines: connections by their Airflow ids, folders (local or SFTP), databases.

What goes over them is not known here: etl.sources, etl.erp and etl.store decide that.
"""

from etl.transport.connections import HTTP, Connection, connection, use_resolver
from etl.transport.databases import (
    copied,
    engine,
    explain,
    insert_frame,
    is_repeated,
    read_parts,
    read_texts,
    writing,
)
from etl.transport.failpoints import failpoint
from etl.transport.files import FileInfo, Folder, LocalFolder, sync
from etl.transport.objects import Objects
from etl.transport.open import folder

__all__ = [
    "HTTP", "Connection", "FileInfo", "Folder", "LocalFolder", "Objects", "connection", "copied", "engine",
    "explain", "failpoint", "folder", "insert_frame", "is_repeated", "read_parts", "read_texts", "sync", "use_resolver",
    "writing",
]  # fmt: skip
