"""The faults of the sandbox ERP: what each does to the ERP's own books, and what claimpost makes of it."""

from __future__ import annotations

import json
import shutil
import sqlite3
import sys
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd
import pytest
from click.testing import CliRunner, Result

from etl import config, pipeline
from etl.cli import main as claimpost
from etl.errors import ConflictError
from sandbox import sample
from sandbox.erp import conformance, faults, scorecard
from sandbox.erp.books import DEFAULT, read_books
from sandbox.erp.command import main
from sandbox.erp.conformance import CASES, Case, Told, faults_of

PROJECT = Path(__file__).resolve().parent.parent
BATCHES = 11  # of the sample below: 6 at the table, 5 at the folder


class Home:
    """A home with a delivered sample, and the ERP's books at its two targets."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.settings = config.Settings(folder, folder.parent / "mappings", f"sqlite:///{folder / 'store.db'}")

    @property
    def feed(self) -> pipeline.Context:
        return pipeline.open("sample", settings=self.settings)

    @property
    def drop(self) -> Path:
        return self.folder / "erp/drop"

    def imported(self, *names: str) -> list[Result]:
        """Have the ERP import at the table and at the folder, with these faults."""
        switches = [part for name in names for part in ("--fault", name)]
        places = (["--db", f"sqlite:///{self.folder}/erp/erp.db"], ["--drop", str(self.drop)])
        return [CliRunner().invoke(main, ["import", *place, *switches]) for place in places]

    def struck(self, *names: str) -> set[str]:
        said = [json.loads(done.stdout) for done in self.imported(*names)]
        return {key for one in said for key in one["struck"]}

    def table(self, query: str) -> list[tuple[Any, ...]]:
        with closing(sqlite3.connect(self.folder / "erp/erp.db")) as books:
            return books.execute(query).fetchall()

    def ledger(self, query: str) -> list[tuple[Any, ...]]:
        with closing(sqlite3.connect(self.drop / ".erp/ledger.db")) as books:
            return books.execute(query).fetchall()

    def extract(self, ending: str) -> pd.DataFrame:
        """All files of one ending that the ERP wrote beside its folder."""
        read = [pd.read_csv(path, dtype=str, keep_default_na=False) for path in self.drop.glob(f"ack/*{ending}")]
        return pd.concat(read, ignore_index=True)

    def documents(self) -> Counter[str]:
        """How many documents each journal has in both books, drafts too."""
        found = self.table("SELECT external_reference FROM gl_je_headers")
        return Counter(key for (key,) in [*found, *self.ledger("SELECT journal_key FROM journal")])

    def reported(self) -> pd.DataFrame:
        """The breaks that claimpost reports now."""
        pipeline.acknowledge_all(self.feed)
        pipeline.reconcile(self.feed)
        return self.breaks()

    def told_in_spite_of_a_conflict(self) -> None:
        """`claimpost run` and `claimpost reconcile` end with the conflict, and have written their report before."""
        for command in (["run", "sample", "--input", str(self.folder.parent / "in")], ["reconcile", "sample"]):
            (self.folder / "reports/sample/breaks.csv").unlink(missing_ok=True)
            environment = {"CLAIMPOST_HOME": str(self.folder), "CLAIMPOST_MAPPINGS": str(self.settings.mappings)}
            done = CliRunner().invoke(claimpost, command, env=environment)
            assert ("ANSWER_CHANGED" in str(done.exception) + done.output, done.exit_code != 0) == (True, True)
            assert (self.folder / "reports/sample/breaks.csv").is_file()

    def breaks(self) -> pd.DataFrame:
        """What the last report says."""
        path = self.folder / "reports/sample/breaks.csv"
        return pd.read_csv(path, dtype=str, keep_default_na=False, encoding="utf-8-sig")

    def deliver_again(self) -> None:
        pipeline.run(self.feed, self.folder.parent / "in")
        for batch in self.feed.store.batches("sample"):
            pipeline.load(self.feed, batch.batch_id)


@pytest.fixture(scope="module")
def delivered(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sample, delivered to both targets and not yet imported."""
    folder = tmp_path_factory.mktemp("delivered")
    shutil.copytree(PROJECT / "mappings", folder / "mappings")
    feed = folder / "mappings/feeds/sample.yml"
    feed.write_text(feed.read_text("utf-8").replace("simulator: yes", "simulator: no"), encoding="utf-8")
    home = Home(folder / "home")
    for place in (["--db", f"sqlite:///{home.folder}/erp/erp.db"], ["--drop", str(home.drop)]):
        assert CliRunner().invoke(main, ["prepare", *place]).exit_code == 0
    sample.write(folder / "in", reports=40, seed=1)
    pipeline.run(home.feed, folder / "in")
    return folder


@pytest.fixture
def home(delivered: Path, tmp_path: Path) -> Home:
    shutil.copytree(delivered, tmp_path / "one")
    return Home(tmp_path / "one/home")


# --- the switches, on the ERP's own books


def test_the_switches_are_listed_with_what_they_do_and_where_that_was_seen() -> None:
    shown = CliRunner().invoke(main, ["faults"]).stdout
    listed = json.loads(CliRunner().invoke(main, ["faults", "--json"]).stdout)["faults"]

    assert [one["name"] for one in listed] == list(faults.NAMES)
    assert all(one["does"] in shown and one["seen"] in shown for one in listed)


def test_every_switch_is_a_case_of_the_scorecard() -> None:
    assert {case.name for case in CASES} == {"no fault", *faults.NAMES}


def test_a_switch_nobody_knows_is_wrong_usage(home: Home) -> None:
    assert [done.exit_code for done in home.imported("gremlin")] == [2, 2]


def test_without_a_switch_nothing_is_said_of_them(home: Home) -> None:
    assert all("struck" not in json.loads(done.stdout) for done in home.imported())


class Books(NamedTuple):
    """What the books say of the struck journals: (key, date, debit) of each line, sorted."""

    table: list[tuple[Any, ...]]
    folder: list[tuple[Any, ...]]


def lines_of(home: Home, keys: set[str]) -> Books:
    table = home.table(
        "SELECT reference_1, effective_date, coalesce(entered_dr, '0') FROM gl_je_lines JOIN gl_je_headers "
        "USING (je_header_id) WHERE status = 'P'"
    )
    extract = home.extract(".ledger.csv")
    folder = extract[["journal_key", "posting_date", "debit"]].itertuples(index=False, name=None)
    return Books(*(sorted(row for row in rows if row[0] in keys) for rows in (table, folder)))


def good(home: Home, tmp_path: Path, keys: set[str]) -> Books:
    """What the books would say without a fault."""
    shutil.copytree(home.folder, tmp_path / "good")
    other = Home(tmp_path / "good")
    other.imported()
    return lines_of(other, keys)


def column(rows: list[tuple[Any, ...]], at: int) -> list[Any]:
    return [row[at] for row in rows]


def test_a_re_dated_journal_is_in_the_next_open_period_and_else_as_sent(delivered: Path, home: Home) -> None:
    keys = home.struck(faults.RE_DATING)
    here, there = lines_of(home, keys), good(Home(delivered / "home"), home.folder.parent, keys)

    assert len(keys) == BATCHES
    for bent, sent in zip(here, there, strict=True):
        assert sent and column(bent, 0) == column(sent, 0)
        assert all(one[:7] > other[:7] for one, other in zip(column(bent, 1), column(sent, 1), strict=True))


def test_a_rounded_journal_has_other_amounts_and_still_balances(delivered: Path, home: Home) -> None:
    keys = home.struck(faults.SILENT_ROUNDING)
    here, there = lines_of(home, keys), good(Home(delivered / "home"), home.folder.parent, keys)

    for bent, sent in zip(here, there, strict=True):
        assert sent and {row[0] for row in bent} == {row[0] for row in sent}
        for key in {row[0] for row in sent}:
            assert [row for row in bent if row[0] == key] != [row for row in sent if row[0] == key]
    sides = home.table("SELECT reference_1, entered_dr, entered_cr FROM gl_je_lines")
    for key in keys:
        assert sum(Decimal(dr or 0) - Decimal(cr or 0) for one, dr, cr in sides if one == key) == 0


def test_success_without_effect_has_a_number_and_no_lines(home: Home) -> None:
    keys = home.struck(faults.WITHOUT_EFFECT)
    said = home.extract(".ack.csv")
    told = said[said["journal_key"].isin(keys)]

    assert lines_of(home, keys) == Books([], [])
    assert {"P"} == {s for key, s in home.table("SELECT external_reference, status FROM gl_je_headers") if key in keys}
    assert set(told["level"]) == {"posted"} and all(told["erp_document"])


def test_an_import_that_fails_after_the_commit_has_posted_and_heals(home: Home) -> None:
    done = home.imported(faults.AFTER_COMMIT)
    posted = home.documents()

    assert [one.exit_code for one in done] == [1, 1] and "TypeError" in done[0].stderr
    assert posted and list((home.drop / "ack").iterdir()) == []
    assert [one.exit_code for one in home.imported()] == [0, 0]
    assert set(home.documents().values()) == {1} and len(home.documents()) > len(posted)


def test_a_draft_stays_behind_a_refused_journal(home: Home) -> None:
    keys = home.struck(faults.DRAFTS)
    table = [key for (key,) in home.table("SELECT external_reference FROM gl_je_headers WHERE status = 'U'")]
    folder = [key for (key,) in home.ledger("SELECT journal_key FROM draft JOIN journal USING (erp_document)")]
    refused = home.table("SELECT DISTINCT reference21 FROM gl_interface WHERE status = 'POST_FAILED'")

    assert sorted([*table, *folder]) == sorted(keys)
    assert sorted(key for (key,) in refused) == sorted(table)
    assert lines_of(home, keys) == Books([], [])


def test_what_was_posted_is_a_draft_again(home: Home) -> None:
    home.imported()
    before = home.documents()
    keys = home.struck(faults.THEN_DRAFT)

    assert len(keys) == BATCHES and lines_of(home, keys) == Books([], [])
    assert home.documents() == before


def test_a_rejection_at_the_commit_leaves_no_trace(home: Home) -> None:
    done = home.imported(faults.AT_COMMIT)

    assert [one.exit_code for one in done] == [1, 1] and "COMMIT" in done[1].stderr
    assert home.documents() == Counter()
    assert {("NEW",)} == set(home.table("SELECT status FROM gl_interface"))
    assert list((home.drop / "ack").iterdir()) == []


def test_an_error_inside_a_success_books_nothing(home: Home) -> None:
    keys = home.struck(faults.ERROR_INSIDE)
    said = home.extract(".ack.csv")
    told = said[said["journal_key"].isin(keys)]

    assert (set(told["level"]), set(told["erp_document"]), set(told["code"])) == ({"posted"}, {""}, {"ERP_REFUSED"})
    assert {("P",)} == set(home.table("SELECT status FROM gl_interface"))
    assert not keys & set(home.documents())


def test_a_duplicate_has_two_documents(home: Home) -> None:
    keys = home.struck(faults.DUPLICATE)

    assert {key for key, count in home.documents().items() if count == 2} == keys
    assert set(home.documents().values()) == {1, 2}
    assert home.table("SELECT count(*) FROM gl_je_lines WHERE je_header_id NOT IN "
                      "(SELECT je_header_id FROM gl_je_headers)") == [(0,)]  # fmt: skip


def test_one_refused_journal_refuses_its_group(home: Home) -> None:
    keys = home.struck(faults.REFUSE_ONE, faults.ALL_OR_NOTHING)
    statuses = set(home.table("SELECT reference21 IN (SELECT external_reference FROM gl_import_errors "
                              "WHERE status = 'EF04'), status FROM gl_interface"))  # fmt: skip

    assert home.documents() == Counter() and statuses == {(1, "EF04"), (0, "P")}
    assert Counter(home.extract(".ack.csv")["code"])["UNKNOWN_ACCOUNT"] == len(list(home.drop.glob("ack/*.ack.csv")))
    assert len(keys) == BATCHES


def test_all_or_nothing_alone_refuses_nothing_good(home: Home) -> None:
    assert home.struck(faults.ALL_OR_NOTHING) == set()
    assert set(home.documents().values()) == {1}


def test_a_slow_erp_takes_nothing_until_it_comes_back(home: Home) -> None:
    assert home.struck(faults.SLOW) == set() and home.documents() == Counter()
    home.imported()
    assert set(home.documents().values()) == {1}


def test_a_lying_erp_posts_what_it_refuses(home: Home) -> None:
    keys = home.struck(faults.LYING)
    said = home.extract(".ack.csv")

    assert set(said.loc[said["journal_key"].isin(keys), "level"]) == {"rejected"}
    assert keys <= set(home.documents())
    assert {key for (key,) in home.table("SELECT reference21 FROM gl_interface WHERE status = 'EF04'")} < keys


def test_rounding_keeps_the_sum_and_takes_one_decimal() -> None:
    assert faults.rounded([Decimal("10.05"), Decimal("-10.05")], 2) == [Decimal("10.1"), Decimal("-10.1")]
    assert faults.rounded([Decimal("14"), Decimal("14"), Decimal("-28")], 0) == [10, 10, -20]
    assert faults.rounded([], 2) == []


def test_a_journal_moves_back_when_no_later_period_is_open() -> None:
    company = read_books(DEFAULT).companies["CN01"]
    last = company.open_periods()[-1]

    assert faults.later_day(company, f"{last}-15") == f"{company.open_periods()[-2]}-01"


# --- what claimpost makes of them


@pytest.mark.parametrize("case", [case for case in CASES if case.must], ids=lambda case: case.name)
def test_claimpost_reports_every_struck_journal_and_doubles_none(home: Home, case: Case) -> None:
    if case.later:
        home.imported()
        assert home.reported().empty
    keys = home.struck(*case.on)
    before = home.documents()
    if case.name == faults.DUPLICATE:
        with pytest.raises(ConflictError, match="ANSWER_CHANGED"):
            home.reported()
        home.told_in_spite_of_a_conflict()
        found = home.breaks()
        assert keys == set(found.loc[found["code"] == "DUPLICATE_IN_ERP", "journal_key"])
        return
    found = home.reported()
    mine = found[found["journal_key"].isin(keys)]

    assert set(mine["journal_key"]) == keys and len(mine) == BATCHES
    assert set(mine["code"]) <= set(case.must) and set(mine["severity"]) <= {"S1", "S2", case.severity}
    assert set(found.loc[~found["journal_key"].isin(keys), "code"]) <= set(case.others)
    home.deliver_again()
    home.imported()
    if case.name not in (faults.ALL_OR_NOTHING, faults.ERROR_INSIDE):
        assert home.documents() == before
        assert home.reported()["code"].tolist() == found["code"].tolist()
        return
    # what was refused because of others came again in a new batch, and is posted once
    after, left = home.documents(), home.reported()
    assert before.items() < after.items() and set(after.values()) == {1}
    assert set(left["journal_key"]) < set(found["journal_key"]) and not set(left["journal_key"]) & after.keys()


@pytest.mark.parametrize("case", [case for case in CASES if not case.must], ids=lambda case: case.name)
def test_claimpost_waits_for_an_erp_that_says_nothing_and_doubles_none(home: Home, case: Case) -> None:
    home.imported(*case.on)
    assert set(home.reported()["code"]) <= {"IN_FLIGHT"}
    home.deliver_again()
    home.imported()

    assert home.reported().empty
    assert set(home.documents().values()) == {1}


def test_a_duplicate_after_the_answer_is_found_in_the_ledger(home: Home) -> None:
    home.imported()
    home.reported()
    with closing(sqlite3.connect(home.folder / "erp/erp.db")) as books, books:
        books.execute("INSERT INTO gl_je_headers SELECT je_header_id + 1000, request_id, group_id, external_reference, "
                      "company, doc_sequence_value + 1000, ledger_id, period_name, default_effective_date, "
                      "currency_code, status FROM gl_je_headers WHERE je_header_id = 1")  # fmt: skip
        books.execute("CREATE TEMP TABLE again AS SELECT * FROM gl_je_lines WHERE je_header_id = 1")
        books.execute("UPDATE again SET je_header_id = 1001")
        books.execute("INSERT INTO gl_je_lines SELECT * FROM again")
    found = home.reported()

    assert found[["code", "severity"]].to_numpy().tolist() == [["DUPLICATE_IN_ERP", "S1"]]


def test_a_contradiction_is_gone_when_the_erp_clears_it(home: Home) -> None:
    home.struck(faults.LYING)
    assert set(home.reported()["code"]) == {"STATE_CONTRADICTED"}
    with closing(sqlite3.connect(home.folder / "erp/erp.db")) as books, books:
        books.execute("DELETE FROM gl_interface")
    found = home.reported()

    assert len(found) == len(list(home.drop.glob("ack/*.ack.csv")))  # the folder's answers still contradict


# --- the scorecard


def told(exit_code: int, *breaks: tuple[str, str, str]) -> Told:
    return Told(exit_code, frozenset(breaks))


LIE = next(case for case in CASES if case.name == faults.LYING)
JUDGED: dict[str, tuple[Case, Told, str]] = {
    "right": (LIE, told(1, ("J1", "STATE_CONTRADICTED", "S1")), ""),
    "right, in words alone": (LIE, told(1, ("", "STATE_CONTRADICTED", "")), ""),
    "silent": (LIE, told(0), "ended as if all were well"),
    "another code": (LIE, told(1, ("J1", "IN_FLIGHT", "S4")), "none of STATE_CONTRADICTED"),
    "too mild": (LIE, told(1, ("J1", "STATE_CONTRADICTED", "S3")), "must be S1 or worse"),
    "another journal": (LIE, told(1, ("J2", "STATE_CONTRADICTED", "S1")), "J1 was struck, but not reported"),
    "a false alarm": (
        LIE, told(1, ("J1", "STATE_CONTRADICTED", "S1"), ("J2", "AMOUNT_DIFFERS", "S2")), "without a reason",
    ),
    "alarm about nothing": (CASES[0], told(1, ("J1", "AMOUNT_DIFFERS", "S2")), "without a reason"),
}  # fmt: skip


@pytest.mark.parametrize("name", JUDGED)
def test_a_report_is_judged(name: str) -> None:
    case, report, expected = JUDGED[name]
    wrong = faults_of(case, frozenset({"J1"} if case.must else ()), report)

    assert any(expected in one for one in wrong) if expected else wrong == []


def test_a_fault_that_strikes_nothing_proves_nothing() -> None:
    assert "the fault struck nothing; the delivery is too small" in faults_of(LIE, frozenset(), told(1))


PRODUCT = """
import pathlib, sys
work, verb = pathlib.Path(sys.argv[1]), sys.argv[2]
name = "B1" if "twice" not in sys.argv or not (work / "sent").exists() else "B2"
if verb == "deliver":
    (work / "sent").touch()
    legs = "  Expenses:6602 10.05 CNY\\n  Liabilities:2241 -10.05 CNY\\n"
    opened = "2020-01-01 open Expenses:6602\\n2020-01-01 open Liabilities:2241\\n"
    head = '2026-03-31 * "P" "N" ^K1\\n  company: "CN01"\\n  period: "2026-03"\\n'
    text = f'option "title" "{name}"\\n{opened}\\n{head}{legs}'
    if not (work / "drop/taken" / f"{name}.beancount").exists():
        (work / "drop" / f"{name}.beancount").write_text(text)
elif verb == "report":
    if (work / "drop/ack/B1.ack.csv").exists() and "rejected" in (work / "drop/ack/B1.ack.csv").read_text():
        print("refused by them"), sys.exit(1)
"""


@pytest.fixture
def candidate(tmp_path: Path) -> Callable[..., Path]:
    """A product of a few lines that reads only acknowledgements, with its candidate file."""

    def write(*extra: str, **facts: Any) -> Path:
        program = tmp_path / "product.py"
        program.write_text(PRODUCT, encoding="utf-8")
        command = [sys.executable, str(program), "{work}"]
        known = {
            "name": "tiny", "targets": [{"drop": "{work}/drop"}], "deliver": [*command, "deliver", *extra],
            "report": [*command, "report"], "words": {"REJECTED_BY_ERP": ["refused by them"]},
        }  # fmt: skip
        path = tmp_path / "candidate.json"
        path.write_text(json.dumps(known | facts), encoding="utf-8")
        return path

    return write


def carded(path: Path, *names: str) -> tuple[int, dict[str, Any]]:
    only = [part for name in names for part in ("--only", name)]
    done = CliRunner().invoke(main, ["scorecard", "--candidate", str(path), *only, "--json"])
    return done.exit_code, json.loads(done.stdout)


def test_another_product_is_judged_by_its_own_words(candidate: Callable[..., Path]) -> None:
    code, card = carded(candidate(), "no fault", faults.REFUSE_ONE, faults.RE_DATING, faults.AFTER_COMMIT)
    passed = {one["name"]: one["passed"] for one in card["cases"]}

    assert (code, card["candidate"], card["failed"]) == (1, "tiny", [faults.RE_DATING])
    assert passed == {"no fault": True, faults.RE_DATING: False, faults.AFTER_COMMIT: True, faults.REFUSE_ONE: True}
    assert "the product ended as if all were well" in card["cases"][1]["wrong"]


def test_a_product_that_delivers_twice_is_found_out(candidate: Callable[..., Path]) -> None:
    code, card = carded(candidate("twice"), "no fault")

    assert code == 1 and card["cases"][0]["wrong"] == ["K1 is posted 2 times"]


def test_a_scorecard_is_readable(candidate: Callable[..., Path]) -> None:
    done = CliRunner().invoke(main, ["scorecard", "--candidate", str(candidate()), "--only", faults.LYING])

    assert done.exit_code == 1
    assert "FAIL  lying" in done.stdout and "tiny: 0 of 1 passed" in done.stdout


WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "no command": ({"deliver": []}, "it must say deliver"),
    "no such program": ({"deliver": ["{work}/none"]}, "No such file"),
    "a delivery that fails": ({"deliver": ["{python}", "-c", "raise SystemExit('away')"]}, "ended with 1: away"),
    "a text to replace that is not there": (
        {"copy": {"{project}/docs": "{work}/docs"},
         "replace": [{"file": "{work}/docs/errors.md", "this": "no such words", "by": ""}]}, "does not say",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_a_candidate_that_does_not_work_is_named(candidate: Callable[..., Path], name: str) -> None:
    facts, expected = WRONG[name]
    done = CliRunner().invoke(main, ["scorecard", "--candidate", str(candidate(**facts)), "--only", "no fault"])

    assert done.exit_code == 1 and expected in done.stderr


def test_a_candidate_file_that_is_no_yaml_is_named(tmp_path: Path) -> None:
    path = tmp_path / "bad.yml"
    path.write_text("a: [", encoding="utf-8")

    with pytest.raises(scorecard.CandidateError, match=r"bad\.yml"):
        scorecard.read(path, tmp_path)


def test_every_code_a_case_asks_for_is_known_to_the_words() -> None:
    assert {code for case in CASES for code in (*case.must, *case.others)} <= set(conformance.KNOWN)


@pytest.mark.slow
def test_the_scorecard_runs_claimpost_as_a_black_box() -> None:
    code, card = carded(scorecard.DEFAULT, faults.LYING)

    assert (code, card["passed"], card["failed"]) == (0, 1, [])
    assert f"{BATCHES} STATE_CONTRADICTED S1; exit code 1" == card["cases"][0]["reported"]
