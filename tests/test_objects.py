"""The home on an object store: every worker has its own, and all see what one has landed and sealed."""

from __future__ import annotations

import hashlib
import io
import os
import signal
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import fsspec
import pytest
import servers
from claims import claim, deliver

from etl import config, pipeline, transport
from etl.errors import ConfigurationError, ConflictError, TransientError
from etl.pipeline import inquire
from etl.pipeline.build import build
from etl.pipeline.explain import explain
from etl.pipeline.extract import extract
from etl.pipeline.verify import verify

PROJECT = Path(__file__).resolve().parents[1]
URL = "s3://claimpost/one/home"
Workers = Callable[[str], pipeline.Context]


@pytest.fixture(scope="module")
def server() -> Iterator[dict[str, str]]:
    """An S3 for all tests of this file."""
    with servers.s3() as environment:
        yield environment


@pytest.fixture
def s3(server: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """An empty bucket `claimpost`, as another client sees it."""
    for name, value in server.items():
        monkeypatch.setenv(name, value)
    store = fsspec.filesystem("s3", skip_instance_cache=True, use_listings_cache=False)
    store.ls("claimpost")
    yield store
    if store.ls("claimpost"):
        store.rm("claimpost/one", recursive=True)


@pytest.fixture
def worker(tmp_path: Path, s3: Any) -> Workers:
    """Open the sample on the home of a worker that is named; store, source and ERP are the same for all."""

    def opened(name: str) -> pipeline.Context:
        settings = config.Settings(tmp_path / name, PROJECT / "mappings", f"sqlite:///{tmp_path}/store.db", URL)
        return pipeline.open("sample", settings=settings)

    return opened


@pytest.fixture
def delivered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Three reports at the source, for the table and the file of one ERP."""
    inbox, drop = tmp_path / "inbox", tmp_path / "drop"
    drop.mkdir()
    monkeypatch.setenv("AIRFLOW_CONN_SAMPLE_SOURCE", f"file:{inbox}")
    monkeypatch.setenv("AIRFLOW_CONN_SAMPLE_ERP_DROP", f"file:{drop}")
    monkeypatch.setenv("AIRFLOW_CONN_SAMPLE_ERP_DB", f"sqlite:///{tmp_path}/erp.db")
    japan = claim(Report_ID="R3", Company="JP01", Currency="JPY", Amount="100", Tax="0")
    path = deliver(inbox, [claim(Report_ID="R1"), claim(Report_ID="R2"), japan])
    content = path.read_bytes()
    path.with_name(f"{path.name}.ok").write_text(f"{len(content)} {hashlib.sha256(content).hexdigest()}\n")
    return path


def names(s3: Any) -> list[str]:
    """Every object of the bucket."""
    return sorted(s3.find("claimpost"))


def test_what_one_worker_lands_another_builds_a_third_delivers_and_a_fourth_proves(
    worker: Workers, delivered: Path, s3: Any, tmp_path: Path
) -> None:
    landed = extract(worker("lander"))
    pipeline.prepare(worker("builder"))
    batches = build(worker("builder"))
    for batch_id in batches:
        pipeline.load(worker(f"loader_{batch_id}"), batch_id)
        pipeline.simulate(worker("simulator"), batch_id)
        pipeline.settle(worker("asker"), batch_id)
    result = pipeline.reconcile(worker("prover"))

    assert (1, 2) == (len(landed), len(batches))
    assert (3, 0, True) == (result["counts"]["posted"], result["breaks"], result["explained"])
    found = verify(worker("verifier"))
    assert ([], 1) == (found["findings"], found["checked"]["anchors"])
    one = worker("builder").store.batches("sample")[0]
    assert one.folder.startswith(f"{one.batch_id}.") and f"{URL[5:]}/batches/{one.folder}.zip" in names(s3)
    assert f"{URL[5:]}/reports/sample/report.html" in names(s3)


@pytest.mark.parametrize("place", ["put", "frozen", "sealed"])
def test_a_worker_killed_anywhere_leaves_nothing_that_another_does_not_finish(
    place: str, worker: Workers, delivered: Path, s3: Any, tmp_path: Path
) -> None:
    environment = {
        **os.environ, "CLAIMPOST_HOME": str(tmp_path / "killed"), "CLAIMPOST_OBJECTS": URL,
        "CLAIMPOST_STORE_URL": f"sqlite:///{tmp_path}/store.db", "CLAIMPOST_FAILPOINT": place,
    }  # fmt: skip
    words = [sys.executable, "-m", "etl", "run", "sample"]
    killed = subprocess.run(words, env=environment, cwd=PROJECT, capture_output=True, check=False)
    assert -signal.SIGKILL == killed.returncode, killed.stderr.decode()
    result = pipeline.run(worker("last"))

    assert (3, 0) == (result["posted"], result["breaks"])
    assert [] == verify(worker("verifier"))["findings"]
    folders = {batch.folder for batch in worker("last").store.batches("sample")}
    zips = {name.rpartition("/")[2] for name in names(s3) if name.endswith(".zip")}
    assert {f"{folder}.zip" for folder in folders} == zips  # the same content by every attempt: the same object


def test_a_home_of_its_own_is_only_a_copy(worker: Workers, delivered: Path) -> None:
    extract(worker("lander"))
    (batch_id, *_) = build(worker("builder"))
    context = worker("reader")
    (batch,) = [one for one in context.store.batches("sample") if one.batch_id == batch_id]

    ours, theirs = context.batch_folder(batch.folder), worker("builder").batch_folder(batch.folder)
    assert {p.name: p.read_bytes() for p in ours.iterdir()} == {p.name: p.read_bytes() for p in theirs.iterdir()}
    key = context.store.members(batch_id=batch_id)["journal_key"].iloc[0]
    assert inquire.journal(context.store, context.shelf, key)["lines"]
    assert explain(worker("another"), key)


def test_damage_and_loss_in_the_object_store_are_found_though_the_copies_are_good(
    worker: Workers, delivered: Path, s3: Any
) -> None:
    (sha256,) = extract(worker("one"))
    first, second = build(worker("one"))
    folders = {batch.batch_id: batch.folder for batch in worker("one").store.batches("sample")}
    s3.pipe(f"{URL[5:]}/landing/{sha256}", b"other bytes")
    s3.pipe(f"{URL[5:]}/batches/{folders[first]}.zip", b"no zip")
    s3.rm(f"{URL[5:]}/batches/{folders[second]}.zip")
    found = verify(worker("one"))["findings"]

    assert [("ARCHIVE_ALTERED", one) for one in sorted([delivered.name, first, second])] == sorted(
        (one["code"], one["subject"]) for one in found
    )
    with pytest.raises(ConflictError, match="CONTENT_CHANGED"):
        pipeline.load(worker("two"), first)


def test_a_lost_batch_is_not_delivered(worker: Workers, delivered: Path, s3: Any) -> None:
    extract(worker("one"))
    first, _ = build(worker("one"))
    s3.rm(f"{URL[5:]}/batches", recursive=True)
    with pytest.raises(FileNotFoundError):
        pipeline.load(worker("two"), first)


def test_a_batch_folder_is_one_object_without_a_clock(worker: Workers, delivered: Path, s3: Any) -> None:
    extract(worker("one"))
    build(worker("one"))
    batch = worker("one").store.batches("sample")[0]
    with zipfile.ZipFile(io.BytesIO(s3.cat(f"{URL[5:]}/batches/{batch.folder}.zip"))) as archive:
        assert ["journals.parquet", "lineage.parquet", "lines.parquet", "reports.parquet"] == [
            name for name in archive.namelist() if name.endswith(".parquet")
        ]
        assert {(1980, 1, 1, 0, 0, 0)} == {one.date_time for one in archive.infolist()}


# --- what goes wrong


def test_nobody_answers_is_tried_again(s3: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", f"http://127.0.0.1:{servers.free_port()}")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    (tmp_path / "file").write_bytes(b"x")
    with pytest.raises(TransientError, match="NOT_REACHED"):
        transport.Objects(URL).put(tmp_path / "file", "landing/x")


def test_no_such_bucket_and_no_such_scheme_are_settings(s3: Any, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"x")
    with pytest.raises(ConfigurationError, match="SETTING"):
        transport.Objects("s3://no-such-bucket/x").put(tmp_path / "file", "landing/x")
    with pytest.raises(ConfigurationError, match="SETTING"):
        transport.Objects("nosuch://bucket/x")
    environment = {"CLAIMPOST_OBJECTS": "bucket", "CLAIMPOST_MAPPINGS": str(PROJECT / "mappings")}
    with pytest.raises(ConfigurationError, match="not the URL of an object store"):
        config.settings(environment)


def test_a_store_that_refuses_us_is_a_setting(s3: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    objects = transport.Objects(URL)

    def refuse(*_: object) -> None:
        raise PermissionError("Access Denied")

    monkeypatch.setattr(objects._store, "get_file", refuse)
    with pytest.raises(ConfigurationError, match="Access Denied"):
        objects.get("landing/x", tmp_path / "x")


def test_lineage_names_the_object(worker: Workers) -> None:
    shelf = worker("one").shelf
    assert ("s3://claimpost", "one/home/landing/abc") == shelf.dataset("landing", "abc")
    assert ("s3://claimpost", "one/home/batches/B1.abc.zip") == shelf.dataset("batches", "B1.abc")
