"""Into a real ERP: Tryton 8.2 with books of its own, by staging table and by file, killed, doubled, contradicted.

Its environment and empty books are made by the first test that needs them, and kept (`.claimpost/tryton`).
"""

from __future__ import annotations

import csv
import shutil
import signal
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from etl import pipeline
from sandbox import sample, tryout
from sandbox.tryton import environment
from sandbox.tryton.entries import AMOUNTS, COLUMNS, Refused, journal_of

pytestmark = [pytest.mark.xdist_group("tryton"), pytest.mark.slow]

WAYS = ("table", "file")
TARGETS = dict(zip(WAYS, ("tryton_table", "tryton_file"), strict=True))
COMPANIES = {"table": "CN01", "file": "JP01"}
REPORTS, SEED = 90, 7
SECONDS_MAX = 300
LEDGER = "SELECT * FROM account_move JOIN account_move_line l ON l.move = account_move.id ORDER BY l.id"
COUNTS = ("posted", "already", "rejected")


@dataclass(frozen=True)
class Erp:
    """A feed's home with Tryton's books, staging table and drop folder in it."""

    home: Path
    tryton: environment.Tryton

    def where(self, way: str) -> tuple[str, Path]:
        """What the importer of one way is told."""
        return ("--staging", self.home / "erp/staging.db") if way == "table" else ("--drop", self.home / "erp/drop")

    def import_(self, way: str) -> tuple[int, int, int]:
        """Journals posted, posted before, and refused."""
        said = self.tryton.run("import", *self.where(way))
        return said["posted"], said["already"], said["rejected"]

    def ask(self, statement: str, place: str = "books.sqlite") -> list[tuple[Any, ...]]:
        with closing(sqlite3.connect(self.home / "erp" / place, timeout=60)) as database:
            return database.execute(statement).fetchall()

    def change(self, *statements: str) -> None:
        """What somebody does to the staging table."""
        with closing(sqlite3.connect(self.home / "erp/staging.db", timeout=60)) as database:
            for statement in statements:
                database.execute(statement)
            database.commit()

    def posted(self) -> int:
        """Journals that Tryton holds for good."""
        return int(self.ask("SELECT count(*) FROM claimpost_journal")[0][0])

    def moves(self) -> tuple[int, int]:
        """Moves in Tryton's own table: all of them, and those left as drafts."""
        return self.ask("SELECT count(*), count(*) FILTER (WHERE state <> 'posted') FROM account_move")[0]

    def sent(self, way: str) -> int:
        """Journals that were delivered one way."""
        with closing(tryout.open_feed(self.home).store) as store:
            return sum(batch.journals for batch in store.batches("sample", target=TARGETS[way]))

    def settle(self) -> tuple[dict[str, int], dict[str, int], tryout.Balance]:
        """Journals posted, rejected and waiting after all answers, breaks by code, and control totals of the posted."""
        context = tryout.open_feed(self.home)
        strangers = pipeline.acknowledge_all(context)["strangers"]
        states = context.store.members(feed_id="sample")["state"].tolist()
        answers = {state: states.count(state) for state in ("posted", "rejected")}
        answers |= {"waiting": len(states) - sum(answers.values()), "strangers": strangers}
        breaks = pipeline.reconcile(context)["by_code"]
        ours = tryout.control_totals(context)
        context.store.close()
        return answers, breaks, ours

    def refusals(self) -> set[tuple[str, str]]:
        """Code and reason of every journal that the store knows as rejected."""
        with closing(tryout.open_feed(self.home).store) as store:
            members = store.members(feed_id="sample")
        rejected = members[members["state"] == "rejected"]
        return set(zip(rejected["code"], rejected["message"], strict=True))


@pytest.fixture(scope="module")
def delivered(tmp_path_factory: pytest.TempPathFactory) -> Erp:
    """A sample, delivered to a staging table and a drop folder that Tryton has not looked at yet."""
    home = tmp_path_factory.mktemp("tryton") / "home"
    tryton = tryout.prepare(home, environment.ready())
    sample.write(home / "delivery", REPORTS, SEED)
    context = tryout.open_feed(home)
    result = pipeline.run(context, home / "delivery")
    context.store.close()
    assert ({"published"}, 0) == ({batch["state"] for batch in result["batches"]}, result["posted"])
    return Erp(home, tryton)


@pytest.fixture
def erp(delivered: Erp, tmp_path: Path) -> Iterator[Erp]:
    """The same home, for one test alone."""
    home = tmp_path / "tryout"
    shutil.copytree(delivered.home, home)
    yield Erp(home, environment.Tryton(delivered.tryton.python, home / "erp/books.sqlite"))


def proved(erp: Erp, *ways: str) -> None:
    """Every journal of these ways is in Tryton once, no draft is left, nothing differs, every account is ours."""
    answers, breaks, ours = erp.settle()
    sent = sum(erp.sent(way) for way in ways)
    waiting = sum(erp.sent(way) for way in WAYS if way not in ways)

    assert (sent, (sent, 0)) == (erp.posted(), erp.moves())
    assert {"posted": sent, "rejected": 0, "waiting": waiting, "strangers": 0} == answers
    assert ({"IN_FLIGHT"} if waiting else set()) == breaks.keys()
    assert ours == erp.tryton.run("balance")


# --- the ordinary way


def test_make_erp_posts_the_sample_both_ways_and_the_trial_balance_is_ours(
    erp: Erp, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("CLAIMPOST_HOME", str(erp.home.parent))
    monkeypatch.setattr(tryout, "REPORTS", REPORTS)
    monkeypatch.setattr(tryout, "SEED", SEED)
    code = tryout.main()

    assert (0, "Every account agrees, debit and credit.") == (code, capsys.readouterr().out.splitlines()[-2])
    proved(erp, *WAYS)
    assert {"CN01", "US01", "JP01", "KW01"} == erp.tryton.run("balance").keys()
    assert [(0, 0, 0), (0, 0, 0)] == [erp.import_(way) for way in WAYS]


# --- refused by Tryton


@pytest.mark.parametrize("way", WAYS)
def test_a_closed_period_is_refused_in_trytons_own_words_and_the_rest_is_posted(erp: Erp, way: str) -> None:
    erp.tryton.run("close", COMPANIES[way], "2026-02")
    posted, already, rejected = erp.import_(way)
    answers, breaks, ours = erp.settle()

    assert (erp.sent(way), 0, True) == (posted + rejected, already, rejected > 0)
    assert (posted, rejected) == (answers["posted"], answers["rejected"])
    assert rejected == breaks["REJECTED_BY_ERP"]
    assert {("CLOSED_PERIOD", 'You cannot create a journal-period in closed period "2026-02".')} == {
        (code, reason.splitlines()[0]) for code, reason in erp.refusals()
    }
    assert (posted, 0) == erp.moves()
    assert ours == erp.tryton.run("balance")


def again_with(erp: Erp, way: str, change: Callable[[dict[str, str]], dict[str, str]]) -> str:
    """One journal that is posted comes again in another batch, its lines changed; returns its key."""
    if way == "table":
        names = ", ".join(COLUMNS)
        cells = erp.ask(f"SELECT {names} FROM claim_journal_in ORDER BY journal_ref, line_no", "staging.db")
        rows = [dict(zip(COLUMNS, ["" if c is None else str(c) for c in row], strict=True)) for row in cells]
        rows = [row | {"status": "NEW"} for row in rows]
    else:
        path = min((erp.home / "erp/drop/taken").glob("*.csv"))
        with path.open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
    key = rows[0]["journal_ref"]
    changed = [change(row | {"batch_no": "999", "batch_id": "AGAIN"}) for row in rows if row["journal_ref"] == key]
    hand_over(erp, way, changed)
    return key


def hand_over(erp: Erp, way: str, rows: list[dict[str, str]]) -> None:
    """A batch AGAIN, as no pipeline of ours would send it."""
    if way == "file":
        with (erp.home / "erp/drop/AGAIN.csv").open("w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, [name for name in COLUMNS if name != "status"], lineterminator="\n")
            writer.writeheader()
            writer.writerows(rows)
        return
    sums = [f"{sum((Decimal(row[name] or 0) for row in rows), Decimal())}" for name in AMOUNTS[:2]]
    manifest = ["AGAIN", "tryton_table", 999, "0", len({row["journal_ref"] for row in rows}), len(rows), *sums, "now"]
    with closing(sqlite3.connect(erp.home / "erp/staging.db", timeout=60)) as database:
        slots = ", ".join("?" * len(COLUMNS))
        into = f"INSERT INTO claim_journal_in ({', '.join(COLUMNS)}) VALUES ({slots})"
        database.executemany(into, [[row[name] or None for name in COLUMNS] for row in rows])
        database.execute("INSERT INTO claimpost_manifest VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", manifest)
        database.commit()


def said_of_again(erp: Erp, way: str) -> list[tuple[str, str]]:
    """Key and state of each journal of batch AGAIN, as the ERP answers."""
    if way == "table":
        return erp.ask(
            "SELECT DISTINCT journal_ref, status FROM claim_journal_in WHERE batch_id = 'AGAIN'", "staging.db"
        )
    with (erp.home / "erp/drop/ack/AGAIN.ack.csv").open(encoding="utf-8", newline="") as file:
        return [(row["journal_key"], row["code"] or row["level"].upper()) for row in csv.DictReader(file)]


@pytest.mark.parametrize("way", WAYS)
def test_a_journal_that_comes_again_is_answered_and_with_other_content_refused(erp: Erp, way: str) -> None:
    erp.import_(way)
    before = erp.ask(LEDGER)
    key = again_with(erp, way, lambda row: row)

    assert (0, 1, 0) == erp.import_(way)
    assert [(key, "POSTED")] == said_of_again(erp, way)

    erp.change(
        "DELETE FROM claim_journal_in WHERE batch_id = 'AGAIN'", "DELETE FROM claimpost_manifest WHERE seq = 999"
    )
    (erp.home / "erp/drop/taken/AGAIN.csv").unlink(missing_ok=True)
    again_with(erp, way, lambda row: row | {"text": "Somebody else's taxi"})

    assert (0, 0, 1) == erp.import_(way)
    assert [(key, "CONTENT_CHANGED")] == said_of_again(erp, way)
    assert before == erp.ask(LEDGER)


def test_a_file_that_comes_again_under_its_name_with_other_bytes_is_put_aside_unread(erp: Erp) -> None:
    erp.import_("file")
    taken = min((erp.home / "erp/drop/taken").glob("*.csv"))
    ack = (erp.home / f"erp/drop/ack/{taken.stem}.ack.csv").read_bytes()
    (erp.home / "erp/drop" / taken.name).write_bytes(taken.read_bytes().replace(b"2026-0", b"2027-0"))
    said = erp.tryton.run("import", *erp.where("file"))

    assert ([taken.name], [0, 0, 0]) == (said["conflicts"], [said[name] for name in COUNTS])
    assert ack == (erp.home / f"erp/drop/ack/{taken.stem}.ack.csv").read_bytes()
    assert [] == list((erp.home / "erp/drop").glob("*.csv"))


LINES = [
    {"account": "660201", "party": "", "debit": "45.00"},
    {"account": "224101", "party": "E1", "credit": "45.00"},
]
REFUSALS = {
    "GOOD": ("posted", {}, {}),
    "OFF": ("UNBALANCED", {"debit": "45.01", "base_debit": "45.01"}, {}),
    "ACCOUNT": ("UNKNOWN_ACCOUNT", {"account": "999999"}, {}),
    "PARTY": ("UNKNOWN_PARTY", {}, {"party": "E0"}),
    "NO-PARTY": ("ERP_REFUSED", {}, {"party": ""}),
    "DATE": ("BAD_DATE", {"posting_date": "2026-02-30"}, {"posting_date": "2026-02-30"}),
    "YEAR": ("NO_PERIOD", {"posting_date": "2031-02-03"}, {"posting_date": "2031-02-03"}),
    "CLOSED": ("CLOSED_PERIOD", {"posting_date": "2025-12-31"}, {"posting_date": "2025-12-31"}),
    "COMPANY": ("UNKNOWN_COMPANY", {"company": "XX01"}, {"company": "XX01"}),
    "CURRENCY": ("UNKNOWN_CURRENCY", {"currency": "XXX"}, {"currency": "XXX"}),
    "HEADER": ("HEADER_DIFFERS", {"currency": "USD"}, {}),
    "NUMBER": ("BAD_LINE", {"line_no": "3"}, {}),
    "WORD": ("BAD_AMOUNT", {"debit": "4e5x"}, {}),
    "RATE": ("BAD_AMOUNT", {"base_debit": "40.00"}, {"base_credit": "40.00"}),
    "MILLS": ("ERP_REFUSED", *[{side: "45.001", f"base_{side}": "45.001"} for side in ("debit", "credit")]),
    "RED": ("posted", *[{side: "-45.00", f"base_{side}": "-45.00"} for side in ("debit", "credit")]),
    "LAST": ("posted", {}, {}),
}


def hand_made(key: str, changes: tuple[dict[str, str], ...]) -> list[dict[str, str]]:
    """A journal of two lines over 45.00 CNY, with other cells."""
    rows = []
    for number, (line, change) in enumerate(zip(LINES, changes, strict=True), start=1):
        row = dict.fromkeys((name for name in COLUMNS if name != "status"), "") | line
        row |= {f"base_{side}": line[side] for side in ("debit", "credit") if side in line}
        row |= {"batch_no": "999", "batch_id": "AGAIN", "journal_ref": key, "line_no": str(number), "company": "CN01"}
        rows.append(row | {"posting_date": "2026-02-03", "currency": "CNY"} | change)
    return rows


def test_each_bad_journal_is_refused_by_its_reason_and_the_good_ones_beside_it_are_posted(erp: Erp) -> None:
    for path in (erp.home / "erp/drop").glob("*.csv"):
        path.unlink()
    hand_over(erp, "file", [row for key, (_, *changes) in REFUSALS.items() for row in hand_made(key, tuple(changes))])
    erp.import_("file")

    assert {key: code for key, (code, *_) in REFUSALS.items()} == {
        key: said.lower() if said == "POSTED" else said for key, said in said_of_again(erp, "file")
    }
    assert (3, 0) == erp.moves()
    assert {"CN01": {"224101": ["0.00", "45.00"], "660201": ["45.00", "0.00"]}} == erp.tryton.run("balance")


def test_the_same_amounts_written_otherwise_are_the_same_content() -> None:
    plain, padded = (
        journal_of("K", hand_made("K", tuple({f"{b}{s}": t for b in ("", "base_")} for s in ("debit", "credit"))))
        for t in ("45", "45.0000")
    )

    assert plain.digest() == padded.digest()
    with pytest.raises(Refused, match=r"UNBALANCED debit and credit of K differ by 0\.001"):
        journal_of("K", hand_made("K", ({"debit": "45.001"}, {})))


def test_a_batch_whose_rows_do_not_add_up_to_its_manifest_is_not_taken(erp: Erp) -> None:
    ((batch_id, journals),) = erp.ask("SELECT batch_id, journals FROM claimpost_manifest LIMIT 1", "staging.db")
    erp.change(f"DELETE FROM claim_journal_in WHERE batch_id = '{batch_id}' AND line_no = 1")
    said = erp.tryton.run("import", *erp.where("table"))

    assert ([batch_id], erp.sent("table") - journals) == (said["incomplete"], said["posted"])


# --- killed, doubled


@pytest.mark.parametrize("way", WAYS)
def test_killed_in_mid_run_again_and_again_nothing_is_lost_or_doubled(erp: Erp, way: str) -> None:
    wanted = erp.sent(way)
    for share in (0, wanted // 4, wanted // 3):
        process = erp.tryton.start("import", *erp.where(way))
        deadline = time.monotonic() + SECONDS_MAX
        while erp.posted() <= share and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.002)
        process.kill()
        process.communicate()
        assert -signal.SIGKILL == process.returncode
        assert share < erp.posted() < wanted
    before = erp.posted()
    posted, already, rejected = erp.import_(way)

    assert (wanted - before, 0) == (posted, rejected)
    assert already <= before
    proved(erp, way)


def test_killed_between_posting_and_answering_the_next_run_answers(erp: Erp) -> None:
    erp.import_("table")
    erp.change("UPDATE claim_journal_in SET status = 'NEW'", "DELETE FROM tryton_headers", "DELETE FROM tryton_lines")
    unanswered, _, _ = erp.settle()

    assert 0 == unanswered["posted"]
    assert (0, erp.sent("table"), 0) == erp.import_("table")
    proved(erp, "table")


@pytest.mark.parametrize("way", WAYS)
def test_two_importers_at_once_post_each_journal_once(erp: Erp, way: str) -> None:
    both = [erp.tryton.start("import", *erp.where(way)) for _ in range(2)]
    ended = [(process.communicate(timeout=SECONDS_MAX), process.returncode) for process in both]

    assert [0, 0] == [code for _, code in ended], [complaint for (_, complaint), _ in ended]
    proved(erp, way)


# --- the set-up


def test_without_a_package_index_the_setup_says_what_it_needs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(environment, "LOCK", tmp_path / "requirements.lock")
    (tmp_path / "requirements.lock").write_text("trytond==0.0.0 --hash=sha256:" + "0" * 64 + "\n")
    monkeypatch.setenv("UV_OFFLINE", "1")

    with pytest.raises(environment.TrytonUnavailable, match=r"(?s)could not be installed: .* run `make erp`"):
        environment.ready(tmp_path / "home")
