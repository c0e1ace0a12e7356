"""Exactly once into a staging table: SQLite, PostgreSQL and MariaDB, killed, doubled and cut off at COMMIT."""

from __future__ import annotations

import ast
import hashlib
import signal
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import quote

import pytest
from attempt import AT, ORACLE, code_of, deliver, start
from built import FEED, LANDING, batch, build, journals, outcomes
from sqlalchemy import Engine, text

from etl import erp, model, transport
from etl.errors import ClaimpostError, ConfigurationError, ConflictError, PermanentError, TransientError
from etl.store import Batch, Store

PROJECT = Path(__file__).resolve().parent.parent
NUMBER = 7
KEYS = list(journals("R1", "R2")["journal_key"])
DECIMALS = ("entered_dr", "entered_cr", "accounted_dr", "accounted_cr", "currency_conversion_rate")
WHOLE = ("ledger_id", "created_by", "group_id", "reference22")
KINDS = {"sqlite": ("TEXT", "TEXT"), "postgresql": ("numeric", "date"), "mysql": ("decimal(30, 4)", "date")}


def payload(amount: str = "1234567890123.45", text_: str = 'Taxi "late", 差旅 \\N', number: int = NUMBER) -> bytes:
    """Two journals of two lines: the sealed CSV, text quoted and missing values bare."""
    rows = [",".join(f'"{name}"' for name in ORACLE["columns"])]
    for key in KEYS:
        for line, side in ((1, "dr"), (2, "cr")):
            cells = {
                "status": "NEW", "ledger_id": "2021", "accounting_date": "2026-03-31", "currency_code": "CNY",
                "date_created": "2026-03-31", "created_by": "-1", "actual_flag": "A", "segment1": "CN01",
                "user_je_category_name": "Expense", "user_je_source_name": "claimpost", "segment3": "0010",
                f"entered_{side}": amount, f"accounted_{side}": amount, "group_id": str(number), "reference1": "B1",
                "reference4": key, "reference10": text_, "reference21": key, "reference22": str(line),
            }  # fmt: skip
            quoted = [cells.get(name, "").replace('"', '""') for name in ORACLE["columns"]]
            rows.append(",".join(f'"{cell}"' if cell else "" for cell in quoted))
    return ("\n".join(rows) + "\n").encode()


def ddl(kind: str, **changed: str) -> str:
    """The interface table, with the type of some columns changed or "" to leave them out."""
    decimal, date = KINDS[kind]
    types = {name: f"varchar({rule.get('max', 240)})" for name, rule in ORACLE["columns"].items()}
    types |= dict.fromkeys(DECIMALS, decimal) | dict.fromkeys(WHOLE, "bigint")
    types |= dict.fromkeys(("accounting_date", "date_created", "currency_conversion_date"), date)
    types |= {"status_description": "varchar(240)", "request_id": "bigint"} | changed
    tail = " CHARACTER SET utf8mb4" if kind == "mysql" else ""
    columns = ", ".join(f"{name} {form}" for name, form in types.items() if form)
    return f"CREATE TABLE gl_interface ({columns}){tail}"


@dataclass(frozen=True)
class Case:
    """A sealed batch in a store, and the database it goes to."""

    store: Store
    engine: Engine
    where: str
    folder: Path

    def create(self, **changed: str) -> Case:
        self.run(ddl(self.engine.dialect.name.replace("mariadb", "mysql"), **changed))
        return self

    def run(self, *statements: str) -> None:
        with self.engine.begin() as connection:
            for statement in statements:
                connection.execute(text(statement))

    def ask(self, statement: str) -> list[tuple[object, ...]]:
        with self.engine.connect() as connection:
            return [tuple(row) for row in connection.execute(text(statement))]

    def seal(self, content: bytes = payload(), batch_id: str = "B1", number: int = NUMBER) -> Case:
        """Record the batch whose bytes these are."""
        if not self.store.landings(FEED):
            self.store.register_landing(FEED, LANDING, "a.csv", 3)
        accepted = outcomes(("R1", "accepted"), ("R2", "accepted"))
        parts = batch(batch_id, "R1", "R2", number=number, content=content)
        parts["batches"] = parts["batches"].assign(target=model.texts([ORACLE["target"]]))
        self.store.record_build(build(outcomes=accepted, journals=journals("R1", "R2"), **parts))
        (self.folder / batch_id).write_bytes(content)
        return self

    def attempt(self, kill: str = "") -> int | None:
        return code_of(start(self.store, self.where, "B1", self.folder / "B1", kill))

    def deliver(self, batch_id: str = "B1") -> str:
        return deliver(self.store, self.where, batch_id, (self.folder / batch_id).read_bytes())

    def found(self) -> tuple[int, int]:
        """Rows in the interface table, and rows of the manifest."""
        (rows,) = self.ask("SELECT count(*) FROM gl_interface")
        return int(str(rows[0])), len(erp.manifest(self.engine, ORACLE["target"]))


def opened(kind: str, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Case]:
    url = f"sqlite:///{tmp_path}/erp.db" if kind == "sqlite" else request.getfixturevalue(f"{kind}_url")
    store, engine = Store.open(f"sqlite:///{tmp_path}/store.db"), transport.engine(url)
    yield Case(store, engine, url, tmp_path)
    engine.dispose()
    store.close()


@pytest.fixture(params=["sqlite", "postgres", "mariadb"])
def case(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Case]:
    yield from opened(request.param, request, tmp_path)


@pytest.fixture
def postgres(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Case]:
    yield from opened("postgres", request, tmp_path)


def failpoints(file: str) -> list[str]:
    """Every failpoint named in a module, so that a new one cannot go without its crash test."""
    tree = ast.parse((PROJECT / file).read_text("utf-8"))
    calls = [n for n in ast.walk(tree) if isinstance(n, ast.Call) and ast.unparse(n.func) == "failpoint"]
    return sorted(ast.literal_eval(call.args[0]) for call in calls)


# --- the ordinary way


def test_the_sealed_rows_arrive_as_they_are(case: Case) -> None:
    case.create().seal()

    assert case.deliver() == "published"
    rows = case.ask("SELECT segment3, segment2, reference10, ledger_id FROM gl_interface")
    assert rows == [("0010", None, 'Taxi "late", 差旅 \\N', 2021)] * 4
    amounts = case.ask("SELECT entered_dr FROM gl_interface WHERE entered_dr IS NOT NULL")
    assert [str(amount).removesuffix("00") for (amount,) in amounts] in (["1234567890123.45"] * 2,)


def test_the_manifest_holds_what_was_sent(case: Case) -> None:
    case.create().seal().deliver()

    (row,) = case.ask("SELECT batch_id, target, seq, sha256, journals, delivered_at FROM claimpost_manifest")

    assert row == ("B1", ORACLE["target"], 1, hashlib.sha256(payload()).hexdigest(), 2, AT)
    (sums,) = case.ask("SELECT debit, credit FROM claimpost_manifest")
    assert {str(value) for value in sums} == {"2469135780246.9000"}


def test_delivering_again_inserts_nothing_also_when_the_erp_took_the_rows(case: Case) -> None:
    case.create().seal().deliver()
    case.run("DELETE FROM gl_interface")

    assert erp.deliver_table(case.engine, ORACLE, case.store.batch("B1"), payload(), AT) is False
    assert case.found() == (0, 1)


def test_the_same_batch_with_other_bytes_is_a_conflict(case: Case) -> None:
    case.create().seal().deliver()
    other = replace(case.store.batch("B1"), sha256="0" * 64)

    with pytest.raises(ConflictError, match="CONTENT_CHANGED"):
        erp.deliver_table(case.engine, ORACLE, other, payload("1.00"), AT)

    assert case.found() == (4, 1)


def test_rows_without_their_manifest_are_a_conflict(case: Case) -> None:
    case.create().seal().deliver()
    case.run("DROP TABLE claimpost_manifest")

    with pytest.raises(ConflictError, match=r"gl_interface\.group_id"):
        erp.deliver_table(case.engine, ORACLE, case.store.batch("B1"), payload(), AT)

    assert case.found() == (4, 0)


def test_posted_journals_without_their_manifest_are_a_conflict(case: Case) -> None:
    case.create().seal()
    case.run(*LEDGER_TABLES, f"INSERT INTO gl_je_headers VALUES (1, {NUMBER}, '{KEYS[0]}', 1, '2026-03')")

    with pytest.raises(ConflictError, match=r"gl_je_headers\.group_id"):
        case.deliver()

    assert case.found() == (0, 0)


def sealed_again(case: Case) -> tuple[Batch, bytes]:
    """The journals of B1, which the ERP has refused, in another batch."""
    content = payload(number=8)
    again = {"seq": 2, "sha256": hashlib.sha256(content).hexdigest(), "totals": {"again": "B1"}}
    return replace(case.store.batch("B1"), batch_id="B2", batch_no=8, **again), content


def test_journals_that_go_again_leave_the_group_that_was_refused(case: Case) -> None:
    case.create().seal().deliver()
    other = f"UPDATE gl_interface SET reference21 = 'ANOTHER' WHERE reference21 = '{KEYS[1]}' AND reference22 = 2"
    case.run("UPDATE gl_interface SET status = 'P'", other)

    assert erp.deliver_table(case.engine, ORACLE, *sealed_again(case), AT)
    left = case.ask("SELECT group_id, count(*) FROM gl_interface GROUP BY group_id ORDER BY group_id")
    assert [(NUMBER, 1), (8, 4)] == left


def test_a_target_that_does_not_say_so_keeps_its_refused_rows(case: Case) -> None:
    case.create().seal().deliver()
    keeps = {name: value for name, value in ORACLE["acknowledge"].items() if name != "superseded"}

    assert erp.deliver_table(case.engine, {**ORACLE, "acknowledge": keeps}, *sealed_again(case), AT)
    assert (8, 2) == case.found()


def test_what_the_erp_has_posted_from_the_refused_group_after_all_does_not_go_again(case: Case) -> None:
    case.create().seal().deliver()
    case.run("DELETE FROM gl_interface")
    case.run(*LEDGER_TABLES, f"INSERT INTO gl_je_headers VALUES (1, {NUMBER}, '{KEYS[0]}', 1, '2026-03')")

    with pytest.raises(ConflictError, match=rf"gl_je_headers\.external_reference '{KEYS[0]}'"):
        erp.deliver_table(case.engine, ORACLE, *sealed_again(case), AT)
    assert (0, 1) == case.found()


def test_a_number_that_another_batch_has_at_the_target_stops_a_restored_store(case: Case) -> None:
    case.create().seal().deliver()
    restored = replace(case.store.batch("B1"), batch_id="B2", batch_no=8)

    with pytest.raises(PermanentError, match="LEDGER_BEHIND_TARGET"):
        erp.deliver_table(case.engine, ORACLE, restored, payload(number=8), AT)

    assert case.found() == (4, 1)


# --- the table is checked before the first row, and what it holds before the commit


@pytest.mark.parametrize(
    ("changed", "detail"),
    [
        ({"reference6": ""}, "column reference6 is missing"),
        ({"reference10": "varchar(20)"}, "reference10 holds 20 characters, 240 are needed"),
        ({"currency_code": "varchar(2)"}, "currency_code holds 2 characters, 3 are needed"),
        ({"entered_dr": "double precision"}, "cannot hold amounts exactly"),
        ({"entered_dr": "bigint"}, "cannot hold amounts exactly"),
        ({"entered_cr": "numeric(18, 1)"}, "2 decimals are needed"),
        ({"entered_cr": "numeric(10, 2)"}, "13 digits"),
        ({"segment2": "varchar(25) NOT NULL"}, "segment2 must be filled"),
        ({"ledger_key": "bigint NOT NULL"}, "ledger_key must be filled and is not in the profile"),
    ],
)
def test_a_table_that_would_lose_something_gets_no_row(postgres: Case, changed: dict[str, str], detail: str) -> None:
    postgres.create(**changed).seal()

    with pytest.raises(PermanentError, match="TARGET_CONTRACT") as stopped:
        postgres.deliver()

    assert detail in str(stopped.value)
    assert postgres.found() == (0, 0)


def test_a_narrow_table_is_refused_everywhere(case: Case) -> None:
    case.create(reference21="varchar(10)").seal()

    with pytest.raises(PermanentError, match="reference21 holds 10 characters"):
        case.deliver()


def test_an_absent_table_is_named(case: Case) -> None:
    case.seal()

    with pytest.raises(PermanentError, match=r"gl_interface.*does not exist"):
        case.deliver()


@pytest.mark.parametrize(
    "tampering",
    [
        "NEW.entered_dr := NEW.entered_dr + 0.01; RETURN NEW",
        "NEW.accounted_cr := NULL; RETURN NEW",
        "NEW.reference21 := 'x'; RETURN NEW",
        "IF NEW.reference22 = 2 THEN RETURN NULL; END IF; RETURN NEW",
    ],
    ids=["cent", "amount lost", "reference", "row lost"],
)
def test_a_table_that_holds_something_else_than_was_sent_is_rolled_back(postgres: Case, tampering: str) -> None:
    postgres.create().seal()
    postgres.run(
        f"CREATE FUNCTION tamper() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {tampering}; END $$",
        "CREATE TRIGGER tamper BEFORE INSERT ON gl_interface FOR EACH ROW EXECUTE FUNCTION tamper()",
    )

    with pytest.raises(PermanentError, match="TOTALS_DIFFER"):
        postgres.deliver()

    assert postgres.found() == (0, 0)


def test_sqlite_amounts_that_became_floats_are_found(request: pytest.FixtureRequest, tmp_path: Path) -> None:
    for lossy in opened("sqlite", request, tmp_path):
        lossy.create(entered_dr="numeric").seal(payload("99999999999999.99"))

        with pytest.raises(ClaimpostError, match="TOTALS_DIFFER"):
            lossy.deliver()

        assert lossy.found() == (0, 0)


def test_a_value_the_table_refuses_leaves_nothing(case: Case) -> None:
    case.create(segment3="varchar(25) CHECK (segment3 <> '0010')").seal()

    with pytest.raises(PermanentError, match="TARGET_CONTRACT"):
        case.deliver()

    assert case.found() == (0, 0)


def test_without_the_right_to_create_it_the_manifest_is_asked_for_with_its_ddl(postgres: Case) -> None:
    postgres.create().seal()
    role = f"loader_{postgres.engine.url.database}"
    postgres.run(f"CREATE ROLE {role} LOGIN", f"GRANT SELECT, INSERT ON gl_interface TO {role}")
    url = postgres.engine.url.set(username=role).render_as_string(hide_password=False)

    with pytest.raises(ConfigurationError, match="CREATE TABLE claimpost_manifest"):
        deliver(postgres.store, url, "B1", payload())

    engine = transport.engine(postgres.where)
    erp.staging.MANIFEST.create(engine)
    engine.dispose()
    postgres.run(f"GRANT SELECT, INSERT ON claimpost_manifest TO {role}")
    assert deliver(postgres.store, url, "B1", payload()) == "published"
    postgres.run(f"DROP OWNED BY {role}", f"DROP ROLE {role}")


def test_a_database_that_is_away_may_be_tried_again(postgres: Case, tmp_path: Path) -> None:
    postgres.seal()
    away = f"postgresql+psycopg://postgres@/x?host={quote(str(tmp_path), safe='')}"

    with pytest.raises(TransientError, match="NOT_REACHED"):
        deliver(postgres.store, away, "B1", payload())
    with pytest.raises(TransientError, match="NOT_REACHED"):
        erp.manifest(transport.engine(away), "x")


# --- killed, doubled, cut off


@pytest.mark.parametrize("point", failpoints("etl/erp/staging.py"))
@pytest.mark.parametrize("taken", [False, True], ids=["waiting", "taken"])
def test_a_kill_at_any_step_loads_once_after_the_next_run(case: Case, point: str, taken: bool) -> None:
    case.create().seal()
    assert case.attempt(point) == -signal.SIGKILL
    seen = case.found()
    if taken:
        case.run("DELETE FROM gl_interface")

    assert case.attempt() == 0

    assert seen == ((4, 1) if point == "table_committed" else (0, seen[1]))
    assert case.found() == ((0, 1) if taken and seen == (4, 1) else (4, 1))
    assert case.store.batch("B1").state == "published"


def test_four_attempts_at_once_load_once(case: Case) -> None:
    case.create().seal()
    attempts = [start(case.store, case.where, "B1", case.folder / "B1") for _ in range(4)]

    codes = [code_of(attempt) for attempt in attempts]

    assert set(codes) <= {0, TransientError.exit_code}
    assert case.attempt() == 0
    assert (case.found(), case.store.batch("B1").state) == ((4, 1), "published")


class Wire:
    """A relay before PostgreSQL's socket that cuts one connection at its COMMIT, before or after the server saw it."""

    def __init__(self, real: Path, folder: Path, after: bool) -> None:
        self.real, self.after, self.cut, self.answered = real, after, threading.Event(), threading.Event()
        if not after:
            self.answered.set()
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(str(folder / ".s.PGSQL.5432"))
        self.listener.listen()
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self.listener.accept()
            except OSError:
                return
            far = socket.socket(socket.AF_UNIX)
            far.connect(str(self.real))
            for source, sink, watch in ((near, far, True), (far, near, False)):
                threading.Thread(target=self._relay, args=(source, sink, watch), daemon=True).start()

    def _relay(self, source: socket.socket, sink: socket.socket, to_server: bool) -> None:
        try:
            while data := source.recv(65536):
                if to_server and b"COMMIT" in data and not self.cut.is_set():
                    self.cut.set()
                    if self.after:
                        sink.sendall(data)
                        self.answered.wait(10)
                    break
                if not to_server and self.cut.is_set() and not self.answered.is_set():
                    self.answered.set()  # the server has committed and says so to nobody
                    break
                sink.sendall(data)
        except OSError:
            pass
        for end in (source, sink):
            _close(end)


def _close(end: socket.socket) -> None:
    try:
        end.shutdown(socket.SHUT_RDWR)
    except OSError:
        return


@pytest.mark.parametrize("after", [True, False], ids=["after", "before"])
def test_a_connection_cut_at_commit_loads_once(postgres: Case, tmp_path: Path, after: bool) -> None:
    postgres.create().seal()
    erp.staging.MANIFEST.create(postgres.engine)
    folder = Path(str(postgres.engine.url.query["host"]))
    wire_folder = folder / f"wire{postgres.engine.url.database}"
    wire_folder.mkdir()
    wire = Wire(folder / ".s.PGSQL.5432", wire_folder, after)
    url = postgres.where.replace(quote(str(folder), safe=""), quote(str(wire_folder), safe=""))
    engine = transport.engine(url)
    sealed = postgres.store.begin_delivery("B1")

    if after:
        assert erp.deliver_table(engine, ORACLE, sealed, payload(), AT) is False
    else:
        with pytest.raises(TransientError, match="NOT_REACHED"):
            erp.deliver_table(engine, ORACLE, sealed, payload(), AT)

    assert wire.cut.is_set()
    assert postgres.found() == ((4, 1) if after else (0, 0))
    assert erp.deliver_table(engine, ORACLE, sealed, payload(), AT) is not after
    assert postgres.found() == (4, 1)
    engine.dispose()
    wire.listener.close()


# --- answers


LEDGER_TABLES = (
    "CREATE TABLE gl_je_headers (je_header_id bigint PRIMARY KEY, group_id bigint, external_reference varchar(240), "
    "doc_sequence_value bigint, period_name varchar(15))",
    "CREATE TABLE gl_je_lines (je_header_id bigint, je_line_num bigint, reference_1 varchar(240), "
    "segment1 varchar(25), segment3 varchar(25), effective_date varchar(10), period_name varchar(15), "
    "currency_code varchar(15), entered_dr decimal(30, 4), entered_cr decimal(30, 4))",
)


def delivered(case: Case) -> Batch:
    case.create().seal().deliver()
    case.run(*LEDGER_TABLES)
    return case.store.batch("B1")


def header(key: str, number: int, status: str = "") -> str:
    last = f", '{status}'" if status else ""
    return f"INSERT INTO gl_je_headers VALUES ({number}, {NUMBER}, '{key}', {number}, '2026-03'{last})"


def refuse(key: str, status: str, description: str, line: int = 0) -> str:
    where = f"reference21 = '{key}'" + (f" AND reference22 = {line}" if line else "")
    return f"UPDATE gl_interface SET status = '{status}', status_description = '{description}' WHERE {where}"


def test_rows_the_erp_has_not_judged_have_no_answer(case: Case) -> None:
    sealed = delivered(case)
    case.run(f"DELETE FROM gl_interface WHERE reference21 = '{KEYS[0]}'")  # gone is no proof of posting

    answers = erp.acknowledge_table(case.engine, ORACLE, sealed)

    assert (len(answers), list(answers.columns)) == (0, model.ACKNOWLEDGEMENT_COLUMNS)


def test_only_a_header_with_our_reference_is_posted(case: Case) -> None:
    sealed = delivered(case)
    case.run(header(KEYS[0], 41), f"DELETE FROM gl_interface WHERE reference21 = '{KEYS[0]}'")
    case.run(refuse(KEYS[1], "EF04", "no such account"))

    answers = erp.acknowledge_table(case.engine, ORACLE, sealed)

    assert answers.to_numpy().tolist() == [
        [KEYS[0], "posted", "2026-03/41", "", ""],
        [KEYS[1], "rejected", "", "EF04", "no such account"],
    ]
    assert case.store.acknowledge("B1", answers).state == "acknowledged"


def test_a_draft_in_the_ledger_is_neither_posted_nor_read(case: Case) -> None:
    sealed = delivered(case)
    case.run("ALTER TABLE gl_je_headers ADD status varchar(1)", header(KEYS[0], 41, "P"), header(KEYS[1], 42, "U"))
    line = "'CN01', '0010', '2026-03-31', '2026-03', 'CNY', 1, NULL"
    case.run(*[f"INSERT INTO gl_je_lines VALUES ({41 + at}, 1, '{KEYS[at]}', {line})" for at in (0, 1)])

    answers = erp.acknowledge_table(case.engine, ORACLE, sealed)

    assert answers["journal_key"].tolist() == [KEYS[0]]
    assert erp.read_ledger_table(case.engine, ORACLE)["journal_key"].tolist() == [KEYS[0]]


def test_a_journal_that_is_posted_and_stands_refused_is_answered_by_the_refusal(case: Case) -> None:
    sealed = delivered(case)
    case.run(header(KEYS[0], 41), refuse(KEYS[0], "EF04", "no such account"))
    case.run(header(KEYS[1], 42), refuse(KEYS[1], "WU01", "odd", 1), refuse(KEYS[1], "P", "a sibling failed", 2))

    answers = erp.acknowledge_table(case.engine, ORACLE, sealed).sort_values("level", ignore_index=True)

    assert answers[["journal_key", "level"]].to_numpy().tolist() == [[KEYS[1], "posted"], [KEYS[0], "rejected"]]


def test_the_journals_refused_because_of_another_are_siblings(case: Case) -> None:
    sealed = delivered(case)
    case.run(
        refuse(KEYS[0], "P", "another journal failed"),
        refuse(KEYS[1], "P", "", 1),
        refuse(KEYS[1], "EU02", "unbalanced", 2),
    )

    answers = erp.acknowledge_table(case.engine, ORACLE, sealed).sort_values("level", ignore_index=True)

    assert list(answers["level"]) == ["rejected", "sibling"]
    assert list(answers["code"]) == ["EU02", "P"]
    assert list(answers["message"]) == ["unbalanced", "another journal failed"]


def test_a_warning_alone_is_no_answer(case: Case) -> None:
    sealed = delivered(case)
    case.run(refuse(KEYS[0], "WU01", "odd"), refuse(KEYS[1], "WU01", "odd", 1), refuse(KEYS[1], "EP01", "closed", 2))

    answers = erp.acknowledge_table(case.engine, ORACLE, sealed)

    assert answers.to_numpy().tolist() == [[KEYS[1], "rejected", "", "EP01", "closed"]]


def test_the_ledger_is_read_in_exact_minor_units(case: Case) -> None:
    delivered(case)
    case.run(header(KEYS[0], 41), header(KEYS[1], 42))
    line = f"'{KEYS[0]}', 'CN01', '0010', '2026-03-31', '2026-03', 'CNY'"
    case.run(f"INSERT INTO gl_je_lines VALUES (41, 1, {line}, 1234567.89, NULL)")
    case.run(f"INSERT INTO gl_je_lines VALUES (41, 2, {line}, NULL, 0.10)")
    case.run(f"INSERT INTO gl_je_lines VALUES (42, 1, {line.replace('CNY', 'JPY')}, -1200, NULL)")

    found = erp.read_ledger_table(case.engine, ORACLE)

    assert list(found.columns) == model.ERP_LINE_COLUMNS
    assert found.to_numpy().tolist() == [
        [KEYS[0], "2026-03/41", "CN01", "2026-03-31", "2026-03", "CNY", "0010", 123456789, 0],
        [KEYS[0], "2026-03/41", "CN01", "2026-03-31", "2026-03", "CNY", "0010", 0, 10],
        [KEYS[0], "2026-03/42", "CN01", "2026-03-31", "2026-03", "JPY", "0010", -120000 // 100, 0],
    ]


def test_a_ledger_amount_its_currency_cannot_have_stops(case: Case) -> None:
    delivered(case)
    line = f"'{KEYS[0]}', 'CN01', '0010', '2026-03-31', '2026-03', 'JPY', 0.5, NULL"
    case.run(header(KEYS[0], 41), f"INSERT INTO gl_je_lines VALUES (41, 1, {line})")

    with pytest.raises(PermanentError, match=r"0\.5"):
        erp.read_ledger_table(case.engine, ORACLE)


def test_an_erp_without_its_ledger_tables_is_named(case: Case) -> None:
    case.create().seal().deliver()

    with pytest.raises(PermanentError, match="gl_je_headers"):
        erp.acknowledge_table(case.engine, ORACLE, case.store.batch("B1"))
    with pytest.raises(PermanentError, match="gl_je_headers"):
        erp.read_ledger_table(case.engine, ORACLE)
