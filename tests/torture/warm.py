"""Done once in the process that forks the runs: a whole run, so that each fork starts with everything loaded."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

import way


def _warm(folder: Path) -> None:
    mappings = way.mappings_for(folder / "mappings")
    home = folder / "home"
    for path in (home / "sample/inbox", home / "erp/drop"):
        path.mkdir(parents=True)
    url = f"sqlite:///{home}/erp/erp.db"
    inbox, drop = home / "sample/inbox", home / "erp/drop"
    # Connections of its own, whatever the environment of the test says that needs the first fork.
    own = {"AIRFLOW_CONN_SAMPLE_SOURCE": f"file:{inbox}", "AIRFLOW_CONN_SAMPLE_ERP_DROP": f"file:{drop}"}
    own["AIRFLOW_CONN_SAMPLE_ERP_DB"] = url
    world = way.World(folder, mappings, f"sqlite:///{home}/store.db", url, inbox, drop, own)
    world.fill()
    world.run()
    world.close()


_folder = Path(tempfile.mkdtemp(prefix="cp-warm-"))
try:
    _warm(_folder)
finally:
    shutil.rmtree(_folder, ignore_errors=True)
