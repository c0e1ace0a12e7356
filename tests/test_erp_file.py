"""Exactly once into a file drop: a real folder and a real OpenSSH server, killed and doubled at every step."""

from __future__ import annotations

import ast
import hashlib
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from attempt import BEANCOUNT, claim, code_of, deliver, start
from built import FEED, LANDING, batch, build, journals, outcomes

from etl import erp, model, transport
from etl.errors import ConflictError, PermanentError, TransientError
from etl.store import Store
from etl.transport import Folder, LocalFolder
from etl.transport.connections import from_text

PROJECT = Path(__file__).resolve().parent.parent
PAYLOAD = b'option "title" "B1"\n' + '2026-03-31 * "E1" "差旅"\n'.encode() * 5000
NAME = "B1.beancount"


def failpoints(file: str) -> list[str]:
    """Every failpoint named in a module, so that a new one cannot go without its crash test."""
    tree = ast.parse((PROJECT / file).read_text("utf-8"))
    calls = [n for n in ast.walk(tree) if isinstance(n, ast.Call) and ast.unparse(n.func) == "failpoint"]
    return sorted(ast.literal_eval(call.args[0]) for call in calls)


@dataclass(frozen=True)
class Case:
    """A sealed batch in a store, and the drop it goes to."""

    store: Store
    where: str
    drop: Path
    payload: Path

    def attempt(self, kill: str = "") -> int | None:
        return code_of(start(self.store, self.where, "B1", self.payload, kill))

    def left(self) -> dict[str, bytes]:
        return {path.name: path.read_bytes() for path in self.drop.iterdir() if path.is_file()}


def sealed(store: Store) -> Store:
    store.register_landing(FEED, LANDING, "a.csv", 3)
    made = build(outcomes=outcomes(("R1", "accepted")), journals=journals("R1"), **batch("B1", "R1", content=PAYLOAD))
    store.record_build(made)
    return store


@pytest.fixture(params=["folder", "sftp"])
def case(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Case]:
    drop, payload = tmp_path / "drop", tmp_path / "payload"
    drop.mkdir()
    payload.write_bytes(PAYLOAD)
    where = f"file:{drop}"
    if request.param == "sftp":
        server = request.getfixturevalue("sftp_server")
        drop, where = server.folder, server.uri(server.folder)
    store = sealed(Store.open(f"sqlite:///{tmp_path}/store.db"))
    yield Case(store, where, drop, payload)
    store.close()


@pytest.fixture
def session(case: Case) -> Iterator[Folder]:
    with transport.folder(from_text("drop", case.where)) as opened:
        yield opened


# --- the ordinary way


def test_a_file_appears_whole_under_its_name(case: Case) -> None:
    assert deliver(case.store, case.where, "B1", PAYLOAD) == "published"
    assert case.left() == {NAME: PAYLOAD}


def test_delivering_again_writes_nothing(case: Case) -> None:
    deliver(case.store, case.where, "B1", PAYLOAD)
    (case.drop / NAME).unlink()

    assert deliver(case.store, case.where, "B1", PAYLOAD) == "published"
    assert case.left() == {}


def test_other_bytes_under_the_name_are_a_conflict_and_stay(case: Case) -> None:
    (case.drop / NAME).write_bytes(b"somebody else's")

    with pytest.raises(ConflictError, match="CONTENT_CHANGED"):
        deliver(case.store, case.where, "B1", PAYLOAD)

    assert (case.left(), case.store.batch("B1").state) == ({NAME: b"somebody else's"}, "sealed")


@pytest.mark.parametrize("place", [NAME, f"taken/{NAME}"])
def test_a_file_that_the_erp_has_already_is_not_sent_again_by_a_restored_store(case: Case, place: str) -> None:
    (case.drop / "taken").mkdir()
    (case.drop / place).write_bytes(PAYLOAD)

    assert deliver(case.store, case.where, "B1", PAYLOAD) == "published"
    assert set(case.left()) == ({NAME} if place == NAME else set())


class Taking(LocalFolder):
    """A drop whose ERP takes a file at the moment somebody reads it."""

    def read(self, name: str) -> bytes:
        (self.root / name).unlink()
        return super().read(name)


def test_a_file_that_the_erp_takes_while_we_look_at_it_is_not_sent_again(tmp_path: Path) -> None:
    store = sealed(Store.open(f"sqlite:///{tmp_path}/store.db"))
    drop = tmp_path / "drop"
    drop.mkdir()
    (drop / NAME).write_bytes(PAYLOAD)
    begun = store.begin_delivery("B1")

    erp.deliver_file(Taking(drop), NAME, PAYLOAD, begun, claim(store, begun))

    assert (list(drop.iterdir()), store.batch("B1").state) == ([], "publishing")
    store.close()


def test_bytes_that_read_back_differently_are_not_published(case: Case) -> None:
    with pytest.raises(TransientError, match="reads back differently"):
        deliver(case.store, case.where, "B1", PAYLOAD[:-1])

    assert (case.left(), case.store.batch("B1").state) == ({}, "sealed")


# --- two attempts


def test_an_older_attempt_is_fenced_off_and_marks_nothing(case: Case, session: Folder) -> None:
    old = case.store.begin_delivery("B1")
    case.store.begin_delivery("B1")

    with pytest.raises(TransientError, match="taken over"):
        erp.deliver_file(session, NAME, PAYLOAD, old, claim(case.store, old))

    assert (case.left(), case.store.batch("B1").state) == ({}, "sealed")


def test_a_fenced_attempt_leaves_the_token_of_the_winner(case: Case, session: Folder) -> None:
    old, new = case.store.begin_delivery("B1"), case.store.begin_delivery("B1")
    session.write_new(".B1.part.2", PAYLOAD)
    assert claim(case.store, new)(".B1.part.2")

    with pytest.raises(TransientError):
        erp.deliver_file(session, NAME, PAYLOAD, old, claim(case.store, old))

    assert set(case.left()) == {".B1.part.2"}
    assert deliver(case.store, case.where, "B1", PAYLOAD) == "published"
    assert case.left() == {NAME: PAYLOAD}


def test_four_attempts_at_once_publish_once(case: Case) -> None:
    attempts = [start(case.store, case.where, "B1", case.payload) for _ in range(4)]
    codes = [code_of(attempt) for attempt in attempts]

    assert set(codes) <= {0, TransientError.exit_code}
    assert case.attempt() == 0
    assert (case.left(), case.store.batch("B1").state) == ({NAME: PAYLOAD}, "published")


# --- killed anywhere


@pytest.mark.parametrize("point", failpoints("etl/erp/drop.py"))
@pytest.mark.parametrize("taken", [False, True], ids=["waiting", "taken"])
def test_a_kill_at_any_step_publishes_once_after_the_next_run(case: Case, point: str, taken: bool) -> None:
    assert case.attempt(point) == -signal.SIGKILL
    seen = [content for name, content in case.left().items() if name == NAME]
    if taken:  # the ERP takes what it sees before we come back
        (case.drop / NAME).unlink(missing_ok=True)

    assert case.attempt() == 0

    again = [content for name, content in case.left().items() if name == NAME]
    assert (seen + again if taken else again) == [PAYLOAD]
    assert set(case.left()) <= {NAME}
    assert case.store.batch("B1").state == "published"


def test_a_part_file_of_a_dead_upload_is_passed_over_and_swept(case: Case) -> None:
    case.store.begin_delivery("B1")
    (case.drop / ".B1.part.1").write_bytes(PAYLOAD[:100])

    assert deliver(case.store, case.where, "B1", PAYLOAD) == "published"
    assert case.left() == {NAME: PAYLOAD}


def test_a_part_file_of_the_same_epoch_is_never_written_over(case: Case) -> None:
    (case.drop / ".B1.part.1").write_bytes(b"x")

    with pytest.raises(TransientError, match="another attempt"):
        deliver(case.store, case.where, "B1", PAYLOAD)

    assert case.left() == {".B1.part.1": b"x"}
    assert deliver(case.store, case.where, "B1", PAYLOAD) == "published"


# --- answers


def answer(drop: Path, name: str, content: str) -> None:
    (drop / "ack").mkdir(exist_ok=True)
    (drop / "ack" / name).write_text(content, "utf-8")


ACK = "batch_id,journal_key,level,erp_document,code,message\n"
LEDGER = "journal_key,erp_document,company,posting_date,period,currency,account,debit,credit\n"


def test_no_answer_yet_is_an_empty_frame(case: Case, session: Folder) -> None:
    assert list(erp.acknowledge_file(session, BEANCOUNT, "B1").columns) == model.ACKNOWLEDGEMENT_COLUMNS
    assert len(erp.acknowledge_file(session, BEANCOUNT, "B1")) == 0
    assert len(erp.read_ledger_file(session, BEANCOUNT)) == 0


def test_answers_are_read_per_journal(case: Case, session: Folder) -> None:
    rows = 'B1,K1,posted,D1,,\nB1,K2,rejected,,ACCOUNT,"no such ""account"", 差旅"\nB2,K3,posted,D3,,\n'
    answer(case.drop, "B1.ack.csv", ACK + rows)

    found = erp.acknowledge_file(session, BEANCOUNT, "B1")

    assert found.to_numpy().tolist() == [
        ["K1", "posted", "D1", "", ""],
        ["K2", "rejected", "", "ACCOUNT", 'no such "account", 差旅'],
    ]


def test_a_level_without_a_code_is_its_own_code(case: Case, session: Folder) -> None:
    rows = "B1,K1,sibling,,,\nB1,K2,parked,,,draft\nB1,K3,received,,R1,\nB1,K4,rejected,,,\n"
    answer(case.drop, "B1.ack.csv", ACK + rows)

    assert ["SIBLING", "PARKED", "R1", ""] == erp.acknowledge_file(session, BEANCOUNT, "B1")["code"].tolist()


def test_the_ledger_is_read_in_exact_minor_units(case: Case, session: Folder) -> None:
    line = "D1,JP01,2026-03-31,2026-03"
    answer(case.drop, "B1.ledger.csv", LEDGER + f"K1,{line},JPY,660201,1200,\nK1,{line},JPY,224101,,1200\n")
    answer(case.drop, "B2.ledger.csv", LEDGER + f"K2,{line},KWD,660201,1.5,0\nK2,{line},USD,660201,-0.10,\n")
    answer(case.drop, ".B3.ledger.csv", "half written")

    found = erp.read_ledger_file(session, BEANCOUNT)

    assert list(found.columns) == model.ERP_LINE_COLUMNS
    assert list(found["debit_minor"]) == [1200, 0, 1500, -10]
    assert list(found["credit_minor"]) == [0, 1200, 0, 0]


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("B1.ack.csv", "batch_id,journal_key\nB1,K1\n"),
        ("B1.ack.csv", ACK + "B1,K1,posted\n"),
        ("B1.ack.csv", ACK + 'B1,K1,posted,"D1\n'),
        ("B1.ledger.csv", ""),
        ("B1.ledger.csv", LEDGER + "K1,D1,JP01,2026-03-31,2026-03,JPY,6602,1.5,0\n"),
        ("B1.ledger.csv", LEDGER + "K1,D1,JP01,2026-03-31,2026-03,CNY,6602,1e3,0\n"),
    ],
)
def test_an_answer_that_cannot_be_read_exactly_stops(case: Case, session: Folder, file: str, content: str) -> None:
    answer(case.drop, file, content)

    with pytest.raises(PermanentError, match=r"TARGET_CONTRACT|TOTALS_DIFFER"):
        erp.acknowledge_file(session, BEANCOUNT, "B1")
        erp.read_ledger_file(session, BEANCOUNT)


def test_a_ledger_file_of_another_delimiter_is_told_apart_from_a_table(case: Case, session: Folder) -> None:
    answer(case.drop, "B1.ledger.csv", LEDGER.replace(",", ";"))

    with pytest.raises(PermanentError) as stopped:
        erp.read_ledger_file(session, BEANCOUNT)
    assert "TARGET_CONTRACT B1.ledger.csv at the target is not as agreed: it must have the columns " in str(
        stopped.value
    )
    assert "; it is written with the delimiter ';', ',' was expected." in str(stopped.value)
    assert "table or file" in stopped.value.next_step


# --- a server that cannot do it safely


class TwoSteps(LocalFolder):
    """A server whose rename is a copy and a delete."""

    def check_rename(self) -> None:
        raise PermanentError("NO_ATOMIC_RENAME", value="old server")


def test_a_server_without_an_atomic_rename_gets_nothing(tmp_path: Path) -> None:
    store = sealed(Store.open(f"sqlite:///{tmp_path}/store.db"))
    (tmp_path / "drop").mkdir()
    begun = store.begin_delivery("B1")

    with pytest.raises(PermanentError, match="NO_ATOMIC_RENAME"):
        erp.deliver_file(TwoSteps(tmp_path / "drop"), NAME, PAYLOAD, begun, claim(store, begun))

    assert list((tmp_path / "drop").iterdir()) == []
    assert hashlib.sha256(PAYLOAD).hexdigest() == begun.sha256
    store.close()
