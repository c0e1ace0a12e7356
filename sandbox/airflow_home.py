"""Airflow's own home for the sandbox: its settings as environment variables, its database, the pool `erp`.

`python -m sandbox.airflow_home [ID=URI ...]` prepares the database that the environment names, with connections.
"""

from __future__ import annotations

import os
import secrets
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from etl.config import PROJECT

POOL: Final = "erp"
POOL_SLOTS: Final = 4


def environment(home: Path, database_url: str, *, level: str = "WARNING") -> dict[str, str]:
    """Every setting of Airflow that differs from its default; set them before airflow is imported."""
    return {
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__CORE__DAGS_FOLDER": str(PROJECT / "dags"),
        "AIRFLOW__CORE__PLUGINS_FOLDER": str(PROJECT / "plugins"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__FERNET_KEY": _secret(home / "fernet_key", "fernet"),
        "AIRFLOW__API_AUTH__JWT_SECRET": _secret(home / "jwt_secret", "jwt"),
        "AIRFLOW__API__SECRET_KEY": _secret(home / "api_secret", "api"),
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": database_url,
        "AIRFLOW__LOGGING__LOGGING_LEVEL": level,
        "PYTHONWARNINGS": "ignore",
        "PYTHONPATH": os.pathsep.join(filter(None, [str(PROJECT), os.environ.get("PYTHONPATH", "")])),
    }


def _secret(path: Path, purpose: str) -> str:
    """A secret made once and kept beside the database that depends on it."""
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        from cryptography.fernet import Fernet

        text = Fernet.generate_key().decode() if purpose == "fernet" else secrets.token_urlsafe(48)
        path.touch(mode=0o600)
        path.write_text(text, "utf-8")
    return path.read_text("utf-8")


def prepare(connections: Mapping[str, str]) -> None:
    """Create or upgrade the tables, the pool and these connections (id -> URI); twice is once."""
    from airflow.models import Connection, Pool
    from airflow.utils.db import initdb
    from airflow.utils.session import create_session
    from sqlalchemy import delete

    initdb()
    Pool.create_or_update_pool(POOL, POOL_SLOTS, "What runs at the ERP at once", include_deferred=False)
    with create_session() as session:
        session.execute(delete(Connection).where(Connection.conn_id.in_(connections)))
        session.add_all(Connection(conn_id=name, uri=uri) for name, uri in connections.items())


if __name__ == "__main__":
    prepare(dict(argument.split("=", 1) for argument in sys.argv[1:]))
