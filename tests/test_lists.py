"""The source's own list of approved reports: what never landed, and what landed otherwise, is a break."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from claims import claim, deliver, ungated
from test_reconcile import AS_OF, OVERDUE_HOURS, World, month_end

from etl import config, lists, model, pipeline, transport
from etl import reconcile as subject
from etl.errors import PermanentError
from sandbox import sample

HEADER = "Company,Report ID,Version,Currency,Amount,Approved\n"
COLUMNS = {"company": "Company", "report_id": "Report ID", "report_version": "Version", "currency": "Currency",
           "amount": "Amount", "date": "Approved"}  # fmt: skip
DECLARED: dict[str, Any] = {"files": r"approved.*", "columns": COLUMNS}
LIST = r"list: {files: 'approved_.*\.(csv|json)', columns: {company: Company, report_id: Report ID, " \
       r"report_version: Version, currency: Currency, amount: Amount, date: Approved}, whole: yes}"  # fmt: skip


def approved(*rows: str) -> pd.DataFrame:
    """company report version currency amount [minor]; `.` is nothing."""
    cells = [["" if cell == "." else cell for cell in row.split()] for row in rows]
    frame = {name: model.texts([row[at] for row in cells]) for at, name in enumerate(subject.LISTED_COLUMNS[:5])}
    minor = [int(row[5]) if row[4] else 0 for row in cells]
    return pd.DataFrame(frame).assign(date="2026-03-30", amount_minor=pd.Series(minor, dtype="int64"))


ALL = (
    "CN01 R1 1 CNY 106.00 10600", "CN01 R2 1 USD 75.00 7500", "JP01 R3 1 JPY 1200 1200", "CN01 R4 . CNY -31.80 -3180",
    "CN01 R5 1 CNY 7.00 700", "CN01 R5 1 EUR 9.00 900", "JP01 R6 . . . .", "CN01 Q1 1 CNY 1.00 100",
    "JP01 S1 1 JPY 1100 1100",
)  # fmt: skip


def reconciled(world: World, listed: subject.Listed) -> list[tuple[str, str, str, str, int]]:
    """Code, severity, report, currency and amount of each break."""
    result = subject.reconcile(
        world.outcomes, world.expected(), world.journals, world.journal_lines, world.members, world.erp_lines, AS_OF,
        OVERDUE_HOURS, listed=listed,
    )  # fmt: skip
    columns = ["code", "severity", "report_id", "currency", "amount_minor"]
    assert subject.explained(result) is result.breaks.empty
    return list(result.breaks[columns].itertuples(index=False, name=None))


def test_a_list_of_what_landed_agrees_whatever_became_of_it() -> None:
    """Also twice, without version or amount, and with an amount of what is in quarantine."""
    assert [] == reconciled(month_end(), subject.Listed(approved(*ALL, ALL[0]), whole=True))


SEEDED: dict[str, tuple[tuple[str, ...], tuple[str, str, str, str, int]]] = {
    "a report that never came": ((*ALL, "CN01 R9 1 CNY 50.00 5000"), ("NOT_LANDED", "S2", "R9", "CNY", 5000)),
    "a report of another company": ((*ALL, "JP01 R1 1 CNY 1.00 100"), ("NOT_LANDED", "S2", "R1", "CNY", 100)),
    "a version that never came": ((*ALL, "CN01 R1 2 CNY 1.00 100"), ("NOT_LANDED", "S2", "R1", "CNY", 100)),
    "a report without an amount": ((*ALL, "CN01 R9 . . . ."), ("NOT_LANDED", "S2", "R9", "", 0)),
    "another amount": (("CN01 R1 1 CNY 106.01 10601", *ALL[1:]), ("LIST_DIFFERS", "S2", "R1", "CNY", 1)),
    "another amount of no version": ((*ALL[:3], "CN01 R4 . CNY 31.80 3180", *ALL[4:]),
                                     ("LIST_DIFFERS", "S2", "R4", "CNY", 6360)),
    "another currency": ((*ALL[:2], "JP01 R3 1 CNY 12.00 1200", *ALL[3:]), ("LIST_DIFFERS", "S2", "R3", "CNY", 1200)),
    "what is not listed": (ALL[1:], ("NOT_LISTED", "S3", "R1", "CNY", 10600)),
}  # fmt: skip


@pytest.mark.parametrize("way", SEEDED)
def test_each_difference_from_the_list_is_one_break(way: str) -> None:
    rows, expected = SEEDED[way]

    assert [expected] == reconciled(month_end(), subject.Listed(approved(*rows), whole=True))


def test_a_list_of_one_day_says_nothing_of_other_reports() -> None:
    assert [] == reconciled(month_end(), subject.Listed(approved(ALL[2])))


def test_a_list_that_cannot_be_read_is_one_break_and_accuses_nobody() -> None:
    listed = subject.Listed(approved(), True, [("approved.csv", "it is empty")])

    assert [("LIST_UNREADABLE", "S2", "", "", 0)] == reconciled(month_end(), listed)


# --- lists as they lie at the source


def read(folder: Path, name: str, content: str) -> lists.Listed:
    (folder / name).write_text(content, "utf-8")
    with transport.LocalFolder(folder) as session:
        return lists.from_folder(session, DECLARED)


def test_csv_json_and_a_table_are_read_alike(tmp_path: Path) -> None:
    told = read(tmp_path, "approved.csv", "\ufeff" + HEADER + 'CN01,"R,1",1,CNY,45.00,2026-02-10T01:00:00Z\n')
    (tmp_path / "approved.csv").unlink()
    row = '"Company": "CN01", "Report ID": "R,1", "Version": 1, "Currency": "CNY", "Amount": 45.00'
    as_json = read(tmp_path, "approved.json", f'[{{{row}, "Approved": "2026-02-10T01:00:00Z", "More": null}}]')
    with sqlite3.connect(tmp_path / "source.db") as source:
        source.execute('CREATE TABLE approved ("Company", "Report ID", "Version", "Currency", "Amount", "Approved")')
        source.execute("INSERT INTO approved VALUES ('CN01', 'R,1', 1, 'CNY', '45.00', '2026-02-10T01:00:00Z')")
    engine = transport.engine(f"sqlite:///{tmp_path}/source.db")
    table = lists.from_table(engine, {"table": "approved", "columns": COLUMNS})

    assert told.rows.iloc[0].tolist() == ["CN01", "R,1", "1", "CNY", "45.00", "2026-02-10T01:00:00Z", 4500]
    assert told.rows.equals(as_json.rows) and told.rows.equals(table.rows)
    assert ((), (), ()) == (told.faults, as_json.faults, table.faults)
    with sqlite3.connect(tmp_path / "source.db") as source:
        source.execute("UPDATE approved SET Company = NULL")
    assert (("approved", "record 1: the company is empty"),) == lists.from_table(
        engine, {"table": "approved", "columns": COLUMNS}
    ).faults
    with pytest.raises(PermanentError, match="no such table"):
        lists.from_table(engine, {"table": "absent", "columns": COLUMNS})
    engine.dispose()


BAD = {
    HEADER + "CN01,R1\n": "record 1 has 2 fields, 6 are due",
    "Company,Report\nCN01,R1\n": "no 'Report ID'",
    HEADER + ",R1,1,CNY,1,\n": "the company is empty", HEADER + "CN01,,1,CNY,1,\n": "the report_id is empty",
    HEADER + "CN01,R1,1,RMB,1,\n": "'RMB' is no currency", HEADER + "CN01,R1,1,CNY,1.005,\n": "'1.005' is no amount",
    HEADER + "CN01,R1,1,CNY,１,\n": "is no amount", HEADER + "CN01,R1,1,CNY,1,31.3.\n": "'31.3.' is no date",
    HEADER + 'CN01,"R1,1,CNY,1,\n': "unexpected end of data",
}  # fmt: skip


@pytest.mark.parametrize("content", BAD)
def test_a_list_that_is_not_as_agreed_says_where(tmp_path: Path, content: str) -> None:
    ((place, detail),) = read(tmp_path, "approved.csv", content).faults

    assert "approved.csv" == place
    assert BAD[content] in detail


@pytest.mark.parametrize("content", ["{}", "[1]", "[", "[" * 100_000])
def test_json_that_is_no_list_of_objects_is_no_list(tmp_path: Path, content: str) -> None:
    assert ["approved.json"] == [place for place, _ in read(tmp_path, "approved.json", content).faults]


def test_no_list_and_a_list_without_end_are_faults(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with transport.LocalFolder(tmp_path) as session:
        assert "no list approved.* lies there" == lists.from_folder(session, DECLARED).faults[0][1]
    monkeypatch.setattr(lists, "BYTES_MAX", 10)
    assert "at most 10" in read(tmp_path, "approved.csv", HEADER).faults[0][1]
    monkeypatch.undo()
    assert ((), 0) == (read(tmp_path, "approved.csv", HEADER).faults, len(read(tmp_path, "approved.csv", HEADER).rows))


# --- the whole way


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], dict[str, Any]]:
    feed = ungated(tmp_path)
    told = feed.read_text("utf-8").replace(
        "  complete: ok_file\n", f"  complete: settled\n  settle_seconds: '0'\n  {LIST}\n"
    )
    feed.write_text(told, "utf-8")
    monkeypatch.setenv("CLAIMPOST_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("CLAIMPOST_MAPPINGS", str(tmp_path / "mappings"))
    return lambda: pipeline.run(pipeline.open("sample", settings=config.settings()))


def test_what_the_source_approved_and_never_sent_is_named_until_it_comes(
    run: Callable[[], dict[str, Any]], tmp_path: Path
) -> None:
    inbox = tmp_path / "home/sample/inbox"
    deliver(inbox, [claim(), claim(Report_ID="R2", Cost_Center="9999")])
    rows = ["CN01,R1,1,CNY,45.00,2026-02-10", "CN01,R2,1,CNY,45.00,2026-02-10", "CN01,R3,1,CNY,12.00,2026-02-11"]
    (inbox / "approved_1.csv").write_text(HEADER + "\n".join(rows) + "\n")
    first = run()
    deliver(inbox, [claim(Report_ID="R3", Amount="12.00")], "expenses_2026-02_002.csv")
    second = run()
    context = pipeline.open("sample", settings=config.settings())

    assert ({"NOT_LANDED": 1}, False) == (first["breaks_by_code"], first["explained"])
    assert ({}, True) == (second["breaks_by_code"], second["explained"])
    (inbox / "approved_1.csv").write_text(HEADER + "CN01,R9,1,CNY,45.00,2026-03-01\n")
    assert {"NOT_LANDED": 1, "NOT_LISTED": 2} == pipeline.reconcile(context)["by_code"]
    assert {"NOT_LANDED": 1} == pipeline.reconcile(context, "2026-03")["by_code"]
    assert "The source lists R9 version 1" in (tmp_path / "home/reports/sample/breaks.csv").read_text("utf-8")
    assert {} == pipeline.reconcile(context, "2026-02")["by_code"]


def test_the_samples_list_agrees_with_what_the_sample_delivers(
    run: Callable[[], dict[str, Any]], tmp_path: Path
) -> None:
    """Corrected, faulty and repeated reports of every kind; then without one of its files."""
    inbox = tmp_path / "home/sample/inbox"
    sample.write(inbox, reports=250, seed=3, listed=True)
    one = sorted(inbox.glob("expenses_*.csv"))[0]
    kept = one.read_bytes()
    one.unlink()
    without = run()
    one.write_bytes(kept)
    whole = run()

    assert {"NOT_LANDED"} == set(without["breaks_by_code"])
    assert ({}, True) == (whole["breaks_by_code"], whole["explained"])
