"""`claimpost verify`: what was altered, lost or left behind is found, with the right invariant and severity."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from claims import claim, deliver, ungated
from click.testing import CliRunner

from etl import config, pipeline
from etl.cli import main
from etl.errors import CATALOGUE
from etl.pipeline.verify import ANCHORS, verify
from etl.reconcile import invariants

PROJECT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def booked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two reports booked, posted and reconciled, one of them corrected; one without a cost centre waits."""
    folder = tmp_path_factory.mktemp("booked")
    ungated(folder)
    lines = [claim(), claim(Report_ID="R2", Amount="12.00"), claim(Report_ID="R3", Cost_Center="9999")]
    pipeline.run(opened(folder), deliver(folder / "in", lines))
    pipeline.run(opened(folder), deliver(folder / "in2", [claim(Version="2", Amount="50.00")]))
    return folder


@pytest.fixture
def home(booked: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of what was booked, with the store's triggers off, as for whoever owns the tables."""
    shutil.copytree(booked, tmp_path, dirs_exist_ok=True)
    monkeypatch.setenv("CLAIMPOST_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("CLAIMPOST_MAPPINGS", str(tmp_path / "mappings"))
    with sqlite3.connect(tmp_path / "home/store.db") as store:
        for (name,) in store.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
            store.execute(f"DROP TRIGGER {name}")
    return tmp_path / "home"


def opened(folder: Path | None = None) -> pipeline.Context:
    given = {"CLAIMPOST_HOME": f"{folder}/home", "CLAIMPOST_MAPPINGS": f"{folder}/mappings"}
    return pipeline.open("sample", settings=config.settings(given if folder else os.environ))


def found() -> list[str]:
    return [f"{f['severity']} {f['invariant']} {f['code']} {f['subject']}" for f in verify(opened())["findings"]]


def test_a_store_that_nobody_touched_is_sound(home: Path) -> None:
    result = verify(opened(), [home / ANCHORS])

    assert ([], True) == (result["findings"], result["sound"])
    assert {"landings": 2, "batches": 2, "anchors": 4} == {k: v for k, v in result["checked"].items() if k != "events"}
    assert 0 < result["checked"]["events"]


def first(home: Path, column: str, table: str = "batch") -> str:
    with sqlite3.connect(home / "store.db") as store:
        return str(store.execute(f"SELECT {column} FROM {table} ORDER BY 1 LIMIT 1").fetchone()[0])


def landed(home: Path) -> Path:
    return home / "landing" / first(home, "sha256", "landing")


def sealed(home: Path) -> Path:
    return next((home / "batches" / first(home, "folder")).glob("*.csv"))


def sql(database: str, statement: str) -> Callable[[Path], object]:
    def change(home: Path) -> None:
        with sqlite3.connect(home / database) as connection:
            connection.execute(statement)

    return change


def added(path: Callable[[Path], Path]) -> Callable[[Path], object]:
    return lambda home: path(home).open("a").write("x")


ERP = "erp/erp.db"
TAMPERED: dict[str, tuple[Callable[[Path], object], str]] = {
    "landed file altered": (added(landed), "S1 I23 ARCHIVE_ALTERED"),
    "landed file deleted": (lambda home: landed(home).unlink(), "S1 I23 ARCHIVE_ALTERED"),
    "sealed file altered": (added(sealed), "S1 I23 ARCHIVE_ALTERED"),
    "sealed file deleted": (lambda home: sealed(home).unlink(), "S1 I23 ARCHIVE_ALTERED"),
    "batch removed": (
        sql("store.db", "DELETE FROM batch WHERE seq = 1"), "S1 I14 BATCH_GAP"
    ),
    "batch altered": (sql("store.db", "UPDATE batch SET lines = 99 WHERE seq = 1"), "S1 I24 AUDIT_BROKEN"),
    "event altered": (sql("store.db", "UPDATE audit SET actor = 'nobody' WHERE seq = 2"), "S1 I24 AUDIT_BROKEN"),
    "answer altered": (sql("store.db", "UPDATE batch_member SET erp_document = '1'"), "S1 I24 AUDIT_BROKEN"),
    "journal altered": (sql("store.db", "UPDATE journal SET debit_minor = 1"), "S1 I24 AUDIT_BROKEN"),
    "outcome altered": (sql("store.db", "UPDATE outcome SET outcome = 'withdrawn'"), "S1 I24 AUDIT_BROKEN"),
    "manifest altered": (sql(ERP, "UPDATE claimpost_manifest SET lines = 99"), "S1 I13 MANIFEST_DIFFERS"),
    "manifest emptied": (sql(ERP, "DELETE FROM claimpost_manifest"), "S1 I13 MANIFEST_DIFFERS"),
    "sealed for hours": (
        sql("store.db", "UPDATE batch SET state = 'sealed', sealed_at = '2026-01-01T00:00:00Z' WHERE seq = 1"),
        "S2 I21 STUCK",
    ),
    "waiting for days": (
        sql("store.db", "UPDATE reject SET rejected_at = '2026-01-01T00:00:00Z'"), "S3 I22 QUARANTINE_OLD",
    ),
}  # fmt: skip


@pytest.mark.parametrize("way", TAMPERED)
def test_what_was_altered_is_found(home: Path, way: str) -> None:
    change, expected = TAMPERED[way]
    change(home)

    assert any(line.startswith(expected) for line in found())


def test_a_sealed_file_that_was_altered_with_its_sha256_does_not_hold_its_journals(home: Path) -> None:
    """As whoever owns both the folder and the store could do it."""
    path = sealed(home)
    path.write_bytes(path.read_bytes().replace(b"45.00", b"54.00"))
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    with sqlite3.connect(home / "store.db") as store:
        store.execute("UPDATE batch SET sha256 = ? WHERE folder = ?", (sha256, path.parent.name))

    assert ["S1 I11 FILE_DIFFERS"] == [line[:19] for line in found() if "I11" in line]
    assert not [line for line in found() if "ARCHIVE_ALTERED" in line]


def test_sealed_lines_that_are_damaged_are_named_and_the_rest_is_verified(home: Path) -> None:
    path = sealed(home).with_name("lines.parquet")
    path.write_bytes(path.read_bytes()[:100])

    [told] = [line for line in found() if "I11" in line]

    assert told.startswith(f"S1 I11 FILE_DIFFERS {path.parent.name}")


def test_a_chain_that_was_cut_is_found_by_an_anchor_kept_elsewhere(home: Path, tmp_path: Path) -> None:
    kept = shutil.copy(home / ANCHORS, tmp_path / "elsewhere.txt")
    (home / ANCHORS).unlink()
    with sqlite3.connect(home / "store.db") as store:
        store.execute("DELETE FROM audit WHERE seq = (SELECT max(seq) FROM audit)")
        store.execute("UPDATE audit_head SET (seq, h) = (SELECT seq, h FROM audit ORDER BY seq DESC LIMIT 1)")

    said = [finding["reason"] for finding in verify(opened(), [Path(kept)])["findings"]]
    assert any("is anchored and missing: the chain was cut off" in reason for reason in said)


def test_the_command_ends_with_1_and_says_what_to_do(home: Path) -> None:
    assert 0 == CliRunner().invoke(main, ["verify", "sample"]).exit_code
    landed(home).unlink()
    told = CliRunner().invoke(main, ["verify", "sample"])

    assert 1 == told.exit_code
    assert "S1 I23 ARCHIVE_ALTERED" in told.output
    assert "restore it from a backup" in told.output
    assert not json.loads(CliRunner().invoke(main, ["verify", "sample", "--json"]).output)["sound"]


def lines(*rows: tuple[str, str, int]) -> pd.DataFrame:
    keys, accounts, net = zip(*rows, strict=True)
    amounts = np.array(net, dtype=np.int64)
    sides: dict[str, Any] = {"debit_minor": amounts, "credit_minor": amounts * 0}
    return pd.DataFrame({
        "journal_key": pd.Series(keys, dtype="str"), "account": pd.Series(accounts, dtype="str"), **sides,
        "base_debit_minor": amounts, "base_credit_minor": amounts * 0,
    })  # fmt: skip


def test_a_reversal_that_leaves_a_cent_is_found() -> None:
    journals = pd.DataFrame({"journal_key": ["J1", "J2", "J3"], "reversal_of": ["", "J1", ""]}, dtype="str")
    equal = lines(("J1", "6602", 500), ("J1", "2241", -500), ("J2", "6602", -500), ("J2", "2241", 500), ("J3", "1", 7))
    other = lines(("J1", "6602", 500), ("J1", "2241", -500), ("J2", "6602", -499), ("J2", "2241", 499))

    assert [] == invariants.reversals(journals, equal)
    assert [("REVERSAL_DIFFERS", "J1", "account 2241 keeps -1 minor units")] == invariants.reversals(journals, other)


def test_every_invariant_has_its_line_in_the_documents_and_verify_those_that_it_names() -> None:
    text = (PROJECT / "docs/reliability.md").read_text("utf-8")
    rows = {line.split(" | ")[0].strip("| "): line for line in text.splitlines() if line.startswith("| I")}
    codes = {code for line in rows.values() for code in re.findall("`([A-Z_]+)`", line)}

    assert [f"I{number:02}" for number in range(1, 27)] == list(rows)
    assert codes <= set(CATALOGUE)
    for code, (invariant, severity) in invariants.CHECKS.items():
        assert f"`{code}`" in rows[invariant] and severity in rows[invariant]
