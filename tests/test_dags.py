"""The DAGs: what Airflow reads from the file, and the whole way through Airflow itself, in one process."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
import test_isolation
from claims import deliver, ungated

from etl import config, errors, pipeline
from etl.store.requests import ACTIONS
from sandbox import airflow_home, sample

PROJECT = Path(__file__).resolve().parent.parent
FEEDS = sorted(path.stem for path in (PROJECT / "mappings/feeds").glob("*.yml"))
STEPS = {
    "extract": ["wait", "land", "judge_files"],
    "build": ["seal", "judge_files"],
    "load": ["deliver", "simulate", "acknowledge", "prove"],
    "reconcile": ["compare", "judge"],
}
DECIDE, VERIFY = "claimpost__decide", "claimpost__verify"
# One process pays for Airflow's import and its database once.
pytestmark = pytest.mark.xdist_group("airflow")

PARSE = """
import sys
from airflow.dag_processing.dagbag import DagBag
from airflow.providers.standard.operators.trigger_dagrun import TriggerDagRunOperator
before, opened = set(sys.modules), []
sys.addaudithook(lambda event, facts: event == "open" and opened.append(str(facts[0])))
bag = DagBag(dag_folder=sys.argv[1], safe_mode=False)
read = {end: sum(path.endswith(end) for path in opened) for end in (".yml", "schema.json", ".csv")}
heavy = {"pandas", "great_expectations", "pandera", "pyarrow", "paramiko", "etl.pipeline"} & (set(sys.modules) - before)
print(len(bag.dags), read, sorted(heavy), bag.import_errors)
"""


@pytest.fixture(scope="session")
def airflow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """An Airflow home of this test process with an empty SQLite database; imported after its settings are set."""
    home = tmp_path_factory.mktemp("airflow")
    kept = dict(os.environ)
    os.environ.update(airflow_home.environment(home, f"sqlite:///{home}/airflow.db", level="ERROR"))
    airflow_home.prepare({})
    yield home
    os.environ.clear()
    os.environ.update(kept)


def dag_bag(folder: Path = PROJECT / "dags") -> Any:
    from airflow.dag_processing.dagbag import DagBag

    bag = DagBag(dag_folder=folder, safe_mode=False)
    assert bag.import_errors == {}
    return bag


def in_a_new_process(code: str, arguments: list[str], home: Path, mappings: Path) -> str:
    settings = airflow_home.environment(home, f"sqlite:///{home}/airflow.db", level="ERROR")
    environment = {**os.environ, **settings, "CLAIMPOST_MAPPINGS": str(mappings)}
    command = [sys.executable, "-c", code, *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout.splitlines()[-1]


def feeds_folder(folder: Path, feeds: dict[str, str]) -> Path:
    """A mappings folder with these feed files (name -> text)."""
    (folder / "feeds").mkdir(parents=True)
    for name, text in feeds.items():
        (folder / "feeds" / f"{name}.yml").write_text(text, "utf-8")
    return folder


def test_every_feed_has_its_four_dags_and_all_feeds_have_two(airflow: Path) -> None:
    bag = dag_bag()

    assert sorted(bag.dags) == sorted([DECIDE, VERIFY, *(f"{feed}__{step}" for feed in FEEDS for step in STEPS)])
    assert {step: [task.task_id for task in bag.dags[f"sample__{step}"].topological_sort()] for step in STEPS} == STEPS


def test_every_dag_names_its_owner_and_tells_operations_what_to_do(airflow: Path) -> None:
    for dag in dag_bag().dags.values():
        assert "claimpost" in dag.tags
        assert {task.owner for task in dag.tasks} == {"finance-systems"}
        alone = {DECIDE: ("decide",), VERIFY: ("verify",)}
        told = alone.get(dag.dag_id, ("land", "seal", "deliver", "acknowledge", "judge"))
        assert all(f"`{name}`" in dag.doc_md for name in told)
        assert not dag.catchup


def test_the_dags_follow_one_another(airflow: Path) -> None:
    dags = dag_bag().dags
    schedules = {step: type(dags[f"sample__{step}"].timetable).__name__ for step in STEPS}

    assert schedules == {
        "extract": "CronDataIntervalTimetable",
        "build": "AssetTriggeredTimetable",
        "load": "PartitionedAssetTimetable",
        "reconcile": "CronTriggerTimetable",
    }
    assert [asset.name for asset in dags["sample__extract"].get_task("land").outlets] == ["sample_landed"]
    assert [asset.name for asset in dags["sample__build"].get_task("seal").outlets] == ["sample_sealed"]
    assert dags["sample__load"].get_task("prove").trigger_dag_id == "sample__reconcile"


def test_only_one_run_takes_from_a_source_and_the_erp_has_its_pool(airflow: Path) -> None:
    dags = dag_bag().dags

    assert [dags[f"sample__{step}"].max_active_runs for step in ("extract", "build", "reconcile")] == [1, 1, 1]
    load = dags["sample__load"]
    assert {airflow_home.POOL} == {load.get_task(name).pool for name in ("deliver", "acknowledge")}


def test_retries_begin_after_two_minutes_and_grow_to_half_an_hour(airflow: Path) -> None:
    for dag in dag_bag().dags.values():
        for task in dag.tasks:
            assert task.retries >= 4
            assert task.retry_delay >= timedelta(minutes=2)
            assert task.retry_exponential_backoff == 2
            assert task.max_retry_delay == timedelta(minutes=30)


@pytest.mark.parametrize(
    ("error", "action"),
    [
        (errors.TransientError("NOT_REACHED", value="db", detail="refused"), "retry"),
        (ConnectionResetError(), "retry"),
        (TimeoutError(), "retry"),
        (errors.PermanentError("TOTALS_DIFFER"), "fail"),
        (errors.ConflictError("CONTENT_CHANGED"), "fail"),
        (errors.ConfigurationError("CONNECTION"), "fail"),
        (errors.FileRejected("EMPTY"), "fail"),
        (AssertionError("a bug"), "fail"),
        (MemoryError(), "default"),
    ],
)
def test_the_error_says_whether_a_retry_can_help(airflow: Path, error: Exception, action: str) -> None:
    policy = dag_bag().dags["sample__load"].get_task("deliver").retry_policy

    assert policy.evaluate(error, try_number=1, max_tries=5).action.value == action


def test_fifty_feeds_are_read_once_each_without_their_tables_and_without_heavy_imports(tmp_path: Path) -> None:
    sample = (PROJECT / "mappings/feeds/sample.yml").read_text("utf-8")
    feeds = {f"sample{number}": sample.replace("feed: sample\n", f"feed: sample{number}\n") for number in range(50)}
    mappings = feeds_folder(tmp_path / "mappings", feeds)

    said = in_a_new_process(PARSE, [str(PROJECT / "dags")], tmp_path, mappings)

    assert "202 {'.yml': 50, 'schema.json': 1, '.csv': 0} [] {}" == said


def test_a_broken_feed_is_red_with_the_reason_and_the_others_go_on(tmp_path: Path) -> None:
    sample = (PROJECT / "mappings/feeds/sample.yml").read_text("utf-8")
    mappings = feeds_folder(tmp_path / "mappings", {"good": sample, "broken": sample.replace("owner:", "ownr:")})
    code = (
        "import json, sys\n"
        "from airflow.dag_processing.dagbag import DagBag\n"
        "dags = DagBag(dag_folder=sys.argv[1], safe_mode=False).dags\n"
        "print(json.dumps({name: dag.doc_md for name, dag in dags.items()}))"
    )

    docs = json.loads(in_a_new_process(code, [str(PROJECT / "dags")], tmp_path, mappings))

    assert sorted(docs) == ["broken__extract", DECIDE, VERIFY, *(f"sample__{step}" for step in sorted(STEPS))]
    assert "broken.yml" in docs["broken__extract"]
    assert "owner" in docs["broken__extract"]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A claimpost home of this test's own."""
    monkeypatch.setenv("CLAIMPOST_HOME", str(tmp_path))
    return tmp_path


def test_a_source_is_found_through_airflows_own_connection(airflow: Path, home: Path) -> None:
    """The default of the feed points elsewhere, and nothing stands in the environment."""
    sample.write(home / "elsewhere", 20, 1)
    airflow_home.prepare({"sample_source": f"fs://?path={quote(str(home / 'elsewhere'), safe='')}"})

    finished = dag_bag().dags["sample__extract"].test(logical_date=None)

    landed = {path.name for path in (home / "landing").iterdir()}
    assert finished.state == "success"
    assert set(finished.get_task_instance("land").xcom_pull(task_ids="land")) == landed
    assert len(landed) >= 1


def test_a_hopeless_error_is_not_retried(airflow: Path, home: Path) -> None:
    """A load run without a batch: the task fails at its first try, though five retries are allowed."""
    finished = dag_bag().dags["sample__load"].test(logical_date=None)

    states = {one.task_id: one.state for one in finished.get_task_instances()}
    assert finished.state == "failed"
    assert states == {
        "deliver": "failed",
        "simulate": "upstream_failed",
        "acknowledge": "upstream_failed",
        "prove": "upstream_failed",
    }
    assert finished.get_task_instance("deliver").try_number == 1


def test_an_extract_waits_as_long_as_its_feed_allows(tmp_path: Path) -> None:
    sample_feed = (PROJECT / "mappings/feeds/sample.yml").read_text("utf-8")
    waits = sample_feed.replace("  release: archive", '  release: archive\n  wait_minutes: "90"')
    mappings = feeds_folder(tmp_path / "mappings", {"sample": waits})
    code = (
        "import sys\n"
        "from airflow.dag_processing.dagbag import DagBag\n"
        "wait = DagBag(dag_folder=sys.argv[1], safe_mode=False).dags['sample__extract'].get_task('wait')\n"
        "print(wait.timeout, wait.mode, wait.poke_interval)"
    )

    assert "5460.0 reschedule 60.0" == in_a_new_process(code, [str(PROJECT / "dags")], tmp_path, mappings)


def test_a_rejected_file_is_red_and_the_good_ones_go_on(
    airflow: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_SAMPLE_SOURCE", f"fs://?path={quote(str(home / 'inbox'), safe='')}")
    sample.write(home / "inbox", 30, 2)
    bad = min((home / "inbox").glob("*.csv"))
    bad.write_bytes(bad.read_bytes().replace(b"TRAILER", b"TRAILED"))
    digest = hashlib.sha256(bad.read_bytes()).hexdigest()
    bad.with_name(bad.name + ".ok").write_text(f"{bad.stat().st_size} {digest}\n", "ascii")

    extracted = dag_bag().dags["sample__extract"].test(logical_date=None)
    built = dag_bag().dags["sample__build"].test(logical_date=None)

    assert "success" == extracted.state
    states = {one.task_id: one.state for one in built.get_task_instances()}
    assert ("failed", {"seal": "success", "judge_files": "failed"}) == (built.state, states)
    assert built.get_task_instance("seal").xcom_pull(task_ids="seal") != []


def test_a_decision_in_the_ui_is_made_in_the_name_of_who_triggers_it(
    airflow: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_SAMPLE_SOURCE", f"fs://?path={quote(str(home / 'inbox'), safe='')}")
    sample.write(home / "inbox", 30, 2)
    for step in ("extract", "build"):
        assert "success" == dag_bag().dags[f"sample__{step}"].test(logical_date=None).state
    context = pipeline.open("sample", settings=config.settings())
    report = str(context.store.rejects("sample")["report_id"].iat[0])

    def decide(action: str, subject: str) -> Any:
        given = {"feed": "sample", "action": action, "subject": subject, "reason": "claimed twice"}
        return dag_bag().dags[DECIDE].test(logical_date=None, run_conf=given).get_task_instance("decide")

    asked = decide("discard", report).xcom_pull(task_ids="decide")
    assert ("dag_test", report) == (asked["requested_by"], asked["subject"])
    assert "failed" == decide("approve", str(asked["id"])).state  # one's own
    assert "failed" == decide("reverse", report).state  # nothing of it is booked
    assert set(ACTIONS) < set(dag_bag().dags[DECIDE].params.get_param("action").schema["enum"])
    assert "bob" == pipeline.approve(context, asked["id"], "bob", "seen")["approved_by"]
    assert {"superseded"} == set(context.store.outcomes("sample", report_id=report)["outcome"])


def test_at_night_every_feed_is_verified_and_one_that_is_not_sound_is_red_alone(airflow: Path, home: Path) -> None:
    """A landed file is altered behind our back; the other feeds have landed nothing, and are sound."""
    sample.write(home / "files", 5, 1)
    context = pipeline.open("sample", settings=config.settings())
    pipeline.extract(context, home / "files")
    next((home / "landing").iterdir()).write_bytes(b"altered")

    dag = dag_bag().dags[VERIFY]
    finished = dag.test(logical_date=None)

    assert ("CronTriggerTimetable", 1) == (type(dag.timetable).__name__, dag.max_active_runs)
    states = {FEEDS[one.map_index]: one.state for one in finished.get_task_instances()}
    assert "failed" == finished.state
    assert {feed: "failed" if feed == "sample" else "success" for feed in FEEDS} == states
    found = finished.get_task_instance("verify", map_index=FEEDS.index("sample"))
    told = found.xcom_pull(task_ids="verify", map_indexes=FEEDS.index("sample"))
    assert {"S1 ARCHIVE_ALTERED": 1} == told["by_code"]
    assert "sample" == found.rendered_map_index
    report = json.loads(Path(told["report_file"]).read_text("utf-8"))
    assert home / "reports/sample/verify.json" == Path(told["report_file"])
    assert ["ARCHIVE_ALTERED"] == [one["code"] for one in report["findings"]]


@pytest.mark.parametrize("company", ["CN01", "JP01"])  # by table, by file
def test_a_load_run_itself_posts_the_good_journals_of_a_group_that_was_refused(
    airflow: Path, home: Path, monkeypatch: pytest.MonkeyPatch, company: str
) -> None:
    """The ERP refuses every group that holds one journal, and does not say which: two groups, then one and one."""
    test_isolation.Silent.bad.clear()
    erp = partial(test_isolation.imported, test_isolation.Silent)
    for place in (pipeline, pipeline.deliver):
        monkeypatch.setattr(place, "simulate", erp)
    ungated(home)
    monkeypatch.setenv("CLAIMPOST_MAPPINGS", str(home / "mappings"))
    monkeypatch.setenv("AIRFLOW_CONN_SAMPLE_SOURCE", f"fs://?path={quote(str(home / 'inbox'), safe='')}")
    file = deliver(home / "inbox", test_isolation.reports(company))
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    file.with_name(f"{file.name}.ok").write_text(f"{file.stat().st_size} {digest}\n", "ascii")

    for step in ("extract", "build"):
        assert "success" == dag_bag().dags[f"sample__{step}"].test(logical_date=None).state
    (batch,) = pipeline.open("sample", settings=config.settings()).store.batches("sample")
    once, again = (
        dag_bag().dags["sample__load"].test(run_conf={"batch_id": batch.batch_id}, mark_success_pattern="prove")
        for _ in range(2)
    )
    store = pipeline.open("sample", settings=config.settings()).store

    counts = {"posted": 4, "rejected": 1, "unknown": 0, "strangers": 0}
    for finished in (once, again):
        assert "success" == finished.state
        assert counts == finished.get_task_instance("acknowledge").xcom_pull(task_ids="acknowledge")
    assert [5, 2, 3, 1, 1] == [one.journals for one in store.batches("sample")]
    assert 4 == (store.members(feed_id="sample")["state"] == "posted").sum()
