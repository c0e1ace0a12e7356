"""The whole way without Airflow: expense file in, reconciled journals out, on the sample and on real sets."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from claims import claim, deliver
from sqlalchemy import create_engine, text

from etl import config, pipeline
from etl.errors import ConfigurationError, PermanentError
from etl.pipeline.preview import preview
from sandbox import sample

PROJECT = Path(__file__).resolve().parents[1]
DATA = PROJECT.parent / "shared" / "data"
BIRMINGHAM, CANADA = DATA / "uk-birmingham-pcards", DATA / "ca-travel-claims"
Home = Callable[..., pipeline.Context]


def needs(folder: Path) -> pytest.MarkDecorator:
    return pytest.mark.skipif(not folder.is_dir(), reason=f"the real data set shared/data/{folder.name} is not here")


@pytest.fixture
def opened(tmp_path: Path) -> Home:
    """Open a feed on a home of this test's own, with a store of its own."""

    def open_feed(feed_id: str, store_url: str = "", mappings: Path = PROJECT / "mappings") -> pipeline.Context:
        home = tmp_path / "home"
        settings = config.Settings(home, mappings, store_url or f"sqlite:///{home / 'store.db'}")
        return pipeline.open(feed_id, settings=settings)

    return open_feed


def outcome(result: dict[str, Any], name: str) -> tuple[int, int, dict[str, str]]:
    return result[name]["reports"], result[name]["lines"], result[name]["gross"]


def added(results: dict[str, Any], currency: str) -> tuple[int, Decimal]:
    parts = [results[name] for name in ("accepted", "quarantined", "duplicate", "superseded")]
    return sum(p["lines"] for p in parts), sum((Decimal(p["gross"].get(currency, "0")) for p in parts), Decimal())


# --- the sample


def test_the_sample_is_judged_as_its_truth_file_says(opened: Home, tmp_path: Path) -> None:
    sample.write(tmp_path / "home/sample/inbox", reports=400, seed=7)
    truth = json.loads((tmp_path / "home/sample/inbox/truth.json").read_text("utf-8"))
    context = opened("sample")
    result = pipeline.run(context)
    rejects = context.store.rejects("sample")
    found = {(r.company, r.report_id, r.code) for r in rejects[rejects["outcome"] != "warn"].itertuples()}
    expected = {(f["company"], f["report_id"], f["code"]) for f in truth["faulty"]}

    assert expected <= found
    assert {key[:2] for key in expected} == {key[:2] for key in found}
    assert len(truth["superseded"]) == result["superseded"]["reports"]
    assert (0, 0, True) == (result["breaks"], pipeline.exit_code(result), result["explained"])
    assert result["posted"] == result["journals"] == result["accepted"]["reports"]


def test_the_sample_twice_loads_nothing_new_and_says_so(opened: Home, tmp_path: Path) -> None:
    files = tmp_path / "delivery"
    sample.write(files, reports=60, seed=2)
    first = pipeline.run(opened("sample"), files)
    again = pipeline.run(opened("sample"), files)

    assert outcome(first, "landed") == outcome(again, "landed") == outcome(again, "duplicate")
    assert (True, 0, 0, []) == (again["nothing_new"], again["journals"], again["posted"], again["batches"])
    assert (0, 0) == (pipeline.exit_code(again), again["breaks"])


def test_files_leave_the_inbox_only_when_landed(opened: Home, tmp_path: Path) -> None:
    inbox = tmp_path / "home/sample/inbox"
    sample.write(inbox, reports=20, seed=2)
    names = sorted(path.name for path in inbox.glob("*.csv"))
    (inbox / names[0]).with_suffix(".csv.ok").unlink()
    landed = pipeline.extract(opened("sample"))

    assert len(names) - 1 == len(landed)
    assert names[:1] == sorted(path.name for path in inbox.glob("*.csv"))
    assert sorted(landed) == sorted(path.name for path in (tmp_path / "home/landing").iterdir())


def test_a_file_that_its_ok_file_contradicts_is_rejected_and_the_others_go_on(opened: Home, tmp_path: Path) -> None:
    inbox = tmp_path / "home/sample/inbox"
    sample.write(inbox, reports=20, seed=2)
    bad = sorted(inbox.glob("*.csv"))[0]
    bad.with_suffix(".csv.ok").write_text(f"{bad.stat().st_size} {'0' * 64}\n")
    result = pipeline.run(opened("sample"))

    assert [(bad.name, "SIDECAR")] == [(f["file"], f["code"]) for f in result["files_rejected"]]
    assert (4, True) == (pipeline.exit_code(result), result["posted"] > 0)


def test_a_broken_file_is_rejected_with_code_and_line_and_the_others_go_on(opened: Home, tmp_path: Path) -> None:
    files = tmp_path / "delivery"
    sample.write(files, reports=30, seed=2)
    broken = sorted(files.glob("*.csv"))[1]
    lines = broken.read_text("utf-8").splitlines(keepends=True)
    broken.write_text("".join([*lines[:3], lines[3].rstrip("\n") + ",one too many\n", *lines[4:]]), "utf-8")
    result = pipeline.run(opened("sample"), files)

    assert [(broken.name, "FIELD_COUNT", "4")] == [(f["file"], f["code"], f["line"]) for f in result["files_rejected"]]
    assert (4, True, 0) == (pipeline.exit_code(result), result["posted"] > 0, result["breaks"])
    assert 3 == result["landed"]["files"]


def test_an_unusual_delivery_is_held_until_the_gate_is_wider(opened: Home, tmp_path: Path) -> None:
    sample.write(tmp_path / "delivery", reports=40, seed=2)
    strict = tmp_path / "strict"
    shutil.copytree(PROJECT / "mappings", strict)
    feed = strict / "feeds/sample.yml"
    told = feed.read_text("utf-8").replace('quarantined_pct_max: "30"', 'quarantined_pct_max: "1"')
    feed.write_text(told.replace('pct_from_reports: "100"', 'pct_from_reports: "2"'), "utf-8")
    held = pipeline.run(opened("sample", mappings=strict), tmp_path / "delivery")
    released = pipeline.run(opened("sample"))

    assert ([], {"VOLUME"}, 1) == (held["batches"], {f["code"] for f in held["files_held"]}, pipeline.exit_code(held))
    assert (True, 0, 0) == (released["posted"] > 0, released["breaks"], pipeline.exit_code(released))


def test_one_bad_report_of_a_small_delivery_is_quarantined_and_the_good_one_posted(
    opened: Home, tmp_path: Path
) -> None:
    deliver(tmp_path, [claim(Report_ID="R1"), claim(Report_ID="R2", Amount="4e5")])
    result = pipeline.run(opened("sample"), tmp_path)

    assert ({"MONEY": 1}, 1, 1, 0) == (
        result["reasons"],
        result["accepted"]["reports"],
        result["posted"],
        result["breaks"],
    )
    assert (1, 1, {"CNY": "0.00"}) == outcome(result, "quarantined")


def test_input_without_a_fitting_file_is_an_error_that_names_the_pattern(opened: Home, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("x")
    with pytest.raises(ConfigurationError, match=r"NO_INPUT .* holds no file that feed sample takes"):
        pipeline.run(opened("sample"), tmp_path / "notes.txt")


def test_reconciliation_finds_what_somebody_changed_in_the_erp(opened: Home, tmp_path: Path) -> None:
    sample.write(tmp_path / "delivery", reports=30, seed=4)
    context = opened("sample")
    pipeline.run(context, tmp_path / "delivery")
    engine = create_engine(f"sqlite:///{tmp_path / 'home/erp/erp.db'}")
    with engine.begin() as connection:
        key = connection.execute(text("SELECT reference_1 FROM gl_je_lines ORDER BY je_header_id LIMIT 1")).scalar()
        sql = "UPDATE gl_je_lines SET segment3 = '999999' WHERE reference_1 = :key AND je_line_num = 1"
        connection.execute(text(sql), {"key": key})
    engine.dispose()
    result = pipeline.reconcile(context)

    assert (False, {"ACCOUNT_DIFFERS": 1}) == (result["explained"], result["by_code"])


def test_a_batch_the_store_never_made_stops_the_target(opened: Home, tmp_path: Path) -> None:
    sample.write(tmp_path / "delivery", reports=30, seed=4)
    pipeline.run(opened("sample"), tmp_path / "delivery")
    for name in ("store.db", "store.db-wal", "store.db-shm"):
        (tmp_path / "home" / name).unlink(missing_ok=True)
    sample.write(tmp_path / "other", reports=30, seed=5)

    with pytest.raises(PermanentError, match="LEDGER_BEHIND_TARGET"):
        pipeline.run(opened("sample"), tmp_path / "other")


def test_a_restored_store_sends_no_file_again_that_the_erp_has_answered(opened: Home, tmp_path: Path) -> None:
    """Also when the ERP has removed what it took: its answer proves that the batch arrived."""
    claims = [claim(Report_ID="R1", Company="JP01", Currency="JPY", Amount="1200", Tax="0")]
    deliver(tmp_path / "delivery", claims)
    drop = tmp_path / "home/erp/drop"
    first = pipeline.run(opened("sample"), tmp_path / "delivery")
    for name in ("store.db", "store.db-wal", "store.db-shm"):
        (tmp_path / "home" / name).unlink(missing_ok=True)
    for taken in (drop / "taken").iterdir():
        taken.unlink()
    again = pipeline.run(opened("sample"), tmp_path / "delivery")

    assert [] == list((drop / "taken").iterdir())
    assert (1, 1, 0, 0) == (first["posted"], again["posted"], again["breaks"], pipeline.exit_code(again))


JP, CN = {"Company": "JP01", "Currency": "JPY", "Tax": "0"}, {"Company": "CN01"}


@pytest.mark.parametrize("company", [JP, CN], ids=["drop", "table"])
def test_a_restored_store_corrects_nothing_that_it_does_not_know(
    opened: Home, tmp_path: Path, company: dict[str, str]
) -> None:
    """It would book the new version beside the old one, which it forgot."""
    pipeline.run(opened("sample"), deliver(tmp_path / "first", [claim(Amount="1200", **company)]))
    (tmp_path / "home/store.db").unlink()

    with pytest.raises(PermanentError, match="LEDGER_BEHIND_TARGET"):
        pipeline.run(opened("sample"), deliver(tmp_path / "second", [claim(Version="2", Amount="1300", **company)]))


@pytest.mark.parametrize("company", [JP, CN], ids=["drop", "table"])
def test_a_restored_store_finds_its_way_back_when_everything_is_sent_again(
    opened: Home, tmp_path: Path, company: dict[str, str]
) -> None:
    """The correction's batch is made after the first one's answer; until then the target is ahead of the store."""
    files = [
        deliver(tmp_path / str(n), [claim(Version=str(n), Amount=f"1{n}00", **company)], f"expenses_2026-02_00{n}.csv")
        for n in (1, 2)
    ]
    for file in files:
        before = pipeline.run(opened("sample"), file)
    (tmp_path / "home/store.db").unlink()
    for file in files:
        shutil.copy(file, tmp_path)
    pipeline.run(opened("sample"), tmp_path)
    after = pipeline.run(opened("sample"), tmp_path)

    assert (0, 0) == (before["breaks"], after["breaks"])
    assert (True, True) == (before["explained"], after["explained"])


def test_a_sealed_batch_folder_stays_where_it_is_when_a_second_attempt_seals_it(opened: Home, tmp_path: Path) -> None:
    """A kill between taking it away and putting an equal one there would lose what is recorded."""
    deliver(tmp_path / "delivery", [claim(Report_ID="R1")])
    context = opened("sample")
    pipeline.run(context, tmp_path / "delivery")
    (folder,) = (tmp_path / "home/batches").iterdir()
    before = folder.stat().st_ino
    for name in ("store.db", "store.db-wal", "store.db-shm"):
        (tmp_path / "home" / name).unlink(missing_ok=True)
    late = opened("sample")  # a store that knows nothing of it yet: as a second attempt saw it
    pipeline.extract(late, tmp_path / "delivery")
    pipeline.build(late)

    assert [folder] == list((tmp_path / "home/batches").iterdir())
    assert before == folder.stat().st_ino


def test_the_same_files_give_the_same_bytes_in_another_home(opened: Home, tmp_path: Path) -> None:
    sample.write(tmp_path / "delivery", reports=40, seed=5)
    one = pipeline.run(opened("sample"), tmp_path / "delivery")
    (tmp_path / "home").rename(tmp_path / "before")
    other = pipeline.run(opened("sample"), tmp_path / "delivery")

    assert [(b["batch_id"], b["sha256"]) for b in one["batches"]] == [
        (b["batch_id"], b["sha256"]) for b in other["batches"]
    ]


def test_reports_that_waited_for_a_table_row_are_booked_by_the_next_run(opened: Home, tmp_path: Path) -> None:
    sample.write(tmp_path / "delivery", reports=200, seed=6)
    context = opened("sample")
    first = pipeline.run(context, tmp_path / "delivery")
    gap = context.store.rejects("sample").query("code == 'RATE'").iloc[0]
    mappings = tmp_path / "mappings"
    shutil.copytree(PROJECT / "mappings", mappings)
    with (mappings / "tables/sample_rates.csv").open("a", encoding="utf-8") as table:
        table.write("CHF,CNY,8.1,2025-01-01,,decided in the test\n")
    later = opened("sample", mappings=mappings)
    second = pipeline.run(later, tmp_path / "delivery")

    assert "RATE" in first["reasons"]
    assert (1, 1, 0) == (second["journals"], second["posted"], second["breaks"])
    assert ["accepted"] == later.store.outcomes("sample", report_id=gap["report_id"])["outcome"].tolist()
    assert 0 == pipeline.run(opened("sample", mappings=mappings), tmp_path / "delivery")["journals"]


# --- other machines


def test_the_way_through_postgresql_and_sftp(
    opened: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, postgres_url: str, sftp_server: Any
) -> None:
    inbox = sftp_server.folder / "inbox"
    sample.write(inbox, reports=40, seed=3)
    monkeypatch.setenv("AIRFLOW_CONN_SAMPLE_SOURCE", sftp_server.uri(inbox))
    monkeypatch.setenv("AIRFLOW_CONN_SAMPLE_ERP_DB", postgres_url)
    result = pipeline.run(opened("sample", store_url=postgres_url))

    assert (0, 0) == (pipeline.exit_code(result), result["breaks"])
    assert result["posted"] == result["accepted"]["reports"] > 0
    assert [] == sorted(inbox.glob("*.csv"))
    assert 3 == len(sorted((inbox / "archive").glob("*.csv")))


def test_the_way_into_mariadb(opened: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mariadb_url: str) -> None:
    sample.write(tmp_path / "delivery", reports=40, seed=3)
    monkeypatch.setenv("AIRFLOW_CONN_SAMPLE_ERP_DB", mariadb_url)
    result = pipeline.run(opened("sample"), tmp_path / "delivery")

    assert (0, 0) == (pipeline.exit_code(result), result["breaks"])
    assert result["posted"] == result["accepted"]["reports"] > 0


# --- real sets


@needs(BIRMINGHAM)
def test_birmingham_lands_exactly_and_the_repeated_month_posts_nothing(opened: Home, tmp_path: Path) -> None:
    controls = json.loads((BIRMINGHAM / "control_totals.json").read_text("utf-8"))
    files = {name: facts for name, facts in controls.items() if name.endswith(".csv")}
    dry = preview(opened("uk_birmingham_pcards"), tmp_path / "dry", BIRMINGHAM / "csv")
    result = pipeline.run(opened("uk_birmingham_pcards"), BIRMINGHAM / "csv")
    landed = sum((Decimal(facts["billing_sum"]) for facts in files.values()), Decimal())
    june = files["purchase_cards_2014-06.csv"]

    assert (11, sum(f["rows"] for f in files.values())) == (result["landed"]["files"], result["landed"]["lines"])
    assert {"GBP": str(landed)} == result["landed"]["gross"] == {"GBP": "9995909.06"}
    assert (june["rows"], {"GBP": june["billing_sum"]}) == outcome(result, "duplicate")[1:]
    assert (result["landed"]["lines"], landed) == added(result, "GBP")
    assert (0, 0) == (result["breaks"], pipeline.exit_code(result))
    assert result["posted"] == result["accepted"]["reports"]
    shown = ("accepted", "quarantined", "duplicate", "superseded", "reasons", "journals")
    assert {name: dry[name] for name in shown} == {name: result[name] for name in shown}


@needs(BIRMINGHAM)
def test_a_month_repeated_under_other_bytes_posts_nothing_twice(opened: Home, tmp_path: Path) -> None:
    may = (BIRMINGHAM / "csv" / "purchase_cards_2014-05.csv").read_bytes()
    header, *rows = may.decode("utf-8").splitlines()
    (tmp_path / "purchase_cards_2014-05.csv").write_bytes(may)
    other = "\n".join([header, *reversed(rows)]) + "\n"
    (tmp_path / "purchase_cards_2014-06.csv").write_text("\ufeff" + other, "utf-8", newline="")
    result = pipeline.run(opened("uk_birmingham_pcards"), tmp_path)

    assert outcome(result, "accepted") == outcome(result, "duplicate") == (724, 4573, {"GBP": "602791.92"})
    assert 724 == result["posted"]


@needs(CANADA)
def test_canadian_claims_that_do_not_add_up_are_quarantined_with_that_reason(opened: Home) -> None:
    controls = json.loads((CANADA / "control_totals.json").read_text("utf-8"))
    context = opened("ca_travel_claims")
    result = pipeline.run(context, CANADA)
    rejects = context.store.rejects("ca_travel_claims")
    broken = {tuple(claim[:2]) for claim in controls["claims_where_total_differs"]}
    late = {tuple(claim[:2]) for claim in controls["end_before_start"]}

    assert (controls["claims"], controls["nonzero_cost_lines"]) == outcome(result, "landed")[:2]
    assert {"CAD": controls["sum_of_components"]} == result["landed"]["gross"]
    assert (controls["nonzero_cost_lines"], Decimal(controls["sum_of_components"])) == added(result, "CAD")
    for code, claims in (("REPORT_TOTAL", broken), ("DATE_ORDER", late)):
        part = rejects[rejects["code"] == code]
        assert claims == set(part[["company", "report_id"]].itertuples(index=False, name=None))
    assert (0, 0) == (result["breaks"], pipeline.exit_code(result))
