"""The memory: what was landed, what became of it, what was sent, what the ERP answered. SQL is confined to here.

One process may use SQLite; as soon as a second one works beside it (Airflow with several workers), use PostgreSQL.
"""

from etl.store.audit import Flaw, Head
from etl.store.builds import BATCH_COLUMNS, Build
from etl.store.deliveries import Acknowledged, Batch
from etl.store.landings import Landing, Registered
from etl.store.requests import Request
from etl.store.store import Store, upgrade

__all__ = [
    "BATCH_COLUMNS",
    "Acknowledged",
    "Batch",
    "Build",
    "Flaw",
    "Head",
    "Landing",
    "Registered",
    "Request",
    "Store",
    "upgrade",
]
