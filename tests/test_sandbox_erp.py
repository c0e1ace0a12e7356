"""The sandbox ERP: what it posts, what it refuses and why, and that a kill between two steps heals."""

from __future__ import annotations

import csv
import json
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from sqlalchemy import Engine, func, insert, select, text, update
from sqlalchemy.exc import DBAPIError

from sandbox.erp import drop, faults, rules
from sandbox.erp.books import DEFAULT, Books, BooksError, read_books
from sandbox.erp.command import main
from sandbox.erp.faults import Faults, ImportFailed
from sandbox.erp.journal_import import Options, import_groups, open_database
from sandbox.erp.tables import gl_import_errors, gl_interface, gl_je_headers, gl_je_lines, prepare

BOOKS = read_books(DEFAULT)
PROJECT = Path(__file__).resolve().parent.parent


@pytest.fixture(params=["sqlite", "postgres", "mariadb"])
def engine(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Engine]:
    """The ERP's database, prepared, on each server."""
    name = request.param
    url = f"sqlite:///{tmp_path}/erp.db" if name == "sqlite" else request.getfixturevalue(f"{name}_url")
    database = open_database(url)
    prepare(database)
    yield database
    database.dispose()


@pytest.fixture
def ledger_engine(tmp_path: Path) -> Iterator[Engine]:
    """The ERP's database on SQLite, for what does not depend on the server."""
    database = open_database(f"sqlite:///{tmp_path}/erp.db")
    prepare(database)
    yield database
    database.dispose()


def row(key: str, account: str, debit: str | None, credit: str | None, **other: Any) -> dict[str, Any]:
    """One interface row in base currency; keywords change or add columns."""
    usual = {
        "status": "NEW", "ledger_id": 2021, "accounting_date": "2026-03-31", "currency_code": "CNY",
        "date_created": "2026-03-31", "created_by": -1, "actual_flag": "A", "user_je_category_name": "Expense",
        "user_je_source_name": "claimpost", "segment1": "CN01", "segment2": None, "segment3": account,
        "entered_dr": debit, "entered_cr": credit, "accounted_dr": debit, "accounted_cr": credit,
        "user_currency_conversion_type": None, "currency_conversion_date": None, "currency_conversion_rate": None,
        "group_id": 1, "reference10": "机票 北京-上海", "reference21": key, "reference22": "1",
    }  # fmt: skip
    return usual | other


def pair(key: str, amount: str = "1200.00", **other: Any) -> list[dict[str, Any]]:
    """A balanced journal of two lines."""
    return [row(key, "660202", amount, None, **other), row(key, "224101", None, amount, **other)]


def dollars(key: str, account: str, debit: str | None, credit: str | None, **other: Any) -> dict[str, Any]:
    """One interface row in US dollars of the Chinese company, at 7.1."""
    rate = {
        "currency_code": "USD", "user_currency_conversion_type": "User", "currency_conversion_date": "2026-03-31",
        "currency_conversion_rate": "7.1",
    }  # fmt: skip
    return row(key, account, debit, credit, **(rate | other))


def stage(engine: Engine, rows: list[dict[str, Any]]) -> None:
    """Insert rows as a loader would: dates as dates where the database has them."""
    days = ("accounting_date", "date_created", "currency_conversion_date")
    native = engine.dialect.name != "sqlite"
    ready = [
        {name: date.fromisoformat(cell) if native and name in days and cell else cell for name, cell in one.items()}
        for one in rows
    ]
    with engine.begin() as connection:
        connection.execute(insert(gl_interface), ready)


def run(engine: Engine, books: Books = BOOKS, **options: Any) -> dict[str, Any]:
    """One import."""
    return import_groups(engine, books, Options(**options))


def fetch(engine: Engine, query: Any) -> list[tuple[Any, ...]]:
    """All rows of a query."""
    with engine.connect() as connection:
        return [tuple(found) for found in connection.execute(query)]


def statuses(engine: Engine) -> dict[str, str]:
    """The status that stands on the rows of each reference still in the interface table."""
    found = fetch(engine, select(gl_interface.c.reference21, gl_interface.c.status).distinct())
    assert len(found) == len(dict(found)), "every row of a journal carries the same status"
    return dict(found)


def posted(engine: Engine) -> list[str]:
    """The references in the ledger, in the order of their documents."""
    query = select(gl_je_headers.c.external_reference).order_by(gl_je_headers.c.je_header_id)
    return [reference for (reference,) in fetch(engine, query)]


def money(cell: Any) -> Decimal | None:
    """An amount of any server's column, exactly."""
    assert not isinstance(cell, float)
    return None if cell is None else Decimal(cell)


TABLE_FAULTS = [name for name in faults.NAMES if name not in (faults.AFTER_COMMIT, faults.AT_COMMIT)]


@pytest.mark.parametrize("name", TABLE_FAULTS)
def test_a_fault_strikes_one_journal_of_a_group_on_every_server(engine: Engine, name: str) -> None:
    rows = [line for key in ("J1", "J2") for line in pair(key, "1200.05", group_id=7)]
    with engine.begin() as connection:
        connection.execute(insert(gl_interface), rows)
    if name == faults.THEN_DRAFT:
        import_groups(engine, BOOKS, Options())
    summary = import_groups(engine, BOOKS, Options(faults=Faults(frozenset({name}))))

    assert summary["struck"] == ([] if name in (faults.SLOW, faults.ALL_OR_NOTHING) else ["J1"])
    with engine.connect() as connection:
        headers = connection.execute(select(gl_je_headers.c.external_reference)).scalars().all()
        lines = connection.execute(select(gl_je_lines.c.reference_1, gl_je_lines.c.entered_dr)).all()
    expected = {faults.SLOW: [], faults.DUPLICATE: ["J1", "J1", "J2"]}
    left_out = name in (faults.ERROR_INSIDE, faults.REFUSE_ONE)
    assert sorted(headers) == expected.get(name, ["J2"] if left_out else ["J1", "J2"])
    amount = Decimal("1200.1" if name == faults.SILENT_ROUNDING else "1200.05")
    assert {Decimal(debit) for key, debit in lines if key == "J1" and debit is not None} <= {amount}


@pytest.mark.parametrize("name", [faults.AFTER_COMMIT, faults.AT_COMMIT])
def test_an_import_that_fails_has_committed_or_not(engine: Engine, name: str) -> None:
    with engine.begin() as connection:
        connection.execute(insert(gl_interface), pair("J1"))
    with pytest.raises(ImportFailed):
        import_groups(engine, BOOKS, Options(faults=Faults(frozenset({name}))))
    again = import_groups(engine, BOOKS, Options())

    assert again["posted"] == (0 if name == faults.AFTER_COMMIT else 1)


# --- The interface table: what is posted


def test_a_balanced_journal_becomes_a_header_and_its_lines_and_leaves_the_interface(engine: Engine) -> None:
    stage(engine, pair("K1", "1234567890123.45", segment2="0010", reference5="R0001 E1007"))

    summary = run(engine)

    assert summary == {"groups": 1, "posted": 1, "lines": 2, "rejected": 0, "rejected_by_code": {}}
    assert fetch(engine, select(func.count()).select_from(gl_interface)) == [(0,)]
    header = gl_je_headers.c
    facts = [header.je_header_id, header.group_id, header.external_reference, header.doc_sequence_value]
    facts += [header.ledger_id, header.period_name, header.currency_code, header.status, header.company]
    assert fetch(engine, select(*facts)) == [(1, 1, "K1", 1, 2021, "2026-03", "CNY", "P", "CN01")]
    line = gl_je_lines.c
    names = [line.je_header_id, line.je_line_num, line.reference_1, line.segment1, line.segment2, line.segment3]
    names += [line.period_name, line.currency_code, line.description]
    shared = ("2026-03", "CNY", "机票 北京-上海")
    assert fetch(engine, select(*names).order_by(line.je_line_num)) == [
        (1, 1, "K1", "CN01", "0010", "660202", *shared),
        (1, 2, "K1", "CN01", "0010", "224101", *shared),
    ]
    amounts = select(line.entered_dr, line.entered_cr, line.accounted_dr, line.accounted_cr).order_by(line.je_line_num)
    exact = Decimal("1234567890123.45")
    assert [tuple(map(money, cells)) for cells in fetch(engine, amounts)] == [
        (exact, None, exact, None),
        (None, exact, None, exact),
    ]
    dates = fetch(engine, select(header.default_effective_date)) + fetch(engine, select(line.effective_date).distinct())
    assert [str(day) for (day,) in dates] == ["2026-03-31", "2026-03-31"]


def test_sqlite_keeps_the_text_of_an_amount(ledger_engine: Engine) -> None:
    stage(ledger_engine, pair("K1", "99999999999999.9900"))

    run(ledger_engine)

    assert fetch(ledger_engine, select(gl_je_lines.c.entered_dr).where(gl_je_lines.c.je_line_num == 1)) == [
        ("99999999999999.9900",)
    ]


def test_a_base_currency_line_without_accounted_amount_is_accounted_as_entered(engine: Engine) -> None:
    stage(engine, pair("K1", "10.50", accounted_dr=None, accounted_cr=None))

    assert run(engine)["posted"] == 1
    found = fetch(engine, select(gl_je_lines.c.accounted_dr, gl_je_lines.c.accounted_cr).order_by("je_line_num"))
    assert [tuple(map(money, cells)) for cells in found] == [(Decimal("10.50"), None), (None, Decimal("10.50"))]


def test_red_amounts_stay_on_their_side(engine: Engine) -> None:
    stage(engine, pair("RED", "-88.10"))

    assert run(engine)["posted"] == 1
    found = fetch(engine, select(gl_je_lines.c.entered_dr, gl_je_lines.c.entered_cr).order_by("je_line_num"))
    assert [tuple(map(money, cells)) for cells in found] == [(Decimal("-88.10"), None), (None, Decimal("-88.10"))]


def test_a_rounding_line_has_only_an_accounted_amount(engine: Engine) -> None:
    stage(
        engine,
        [
            dollars("FX", "660202", "10.01", None, accounted_dr="71.07", accounted_cr=None),
            dollars("FX", "660204", "10.01", None, accounted_dr="71.07", accounted_cr=None),
            dollars("FX", "224101", None, "20.02", accounted_dr=None, accounted_cr="142.15"),
            dollars("FX", "66039901", None, None, accounted_dr="0.01", accounted_cr=None),
        ],
    )

    assert run(engine) == {"groups": 1, "posted": 1, "lines": 4, "rejected": 0, "rejected_by_code": {}}
    line = gl_je_lines.c
    rounding = select(line.entered_dr, line.entered_cr, line.accounted_dr, line.accounted_cr, line.currency_code)
    found = fetch(engine, rounding.where(line.segment3 == "66039901"))
    assert [(*map(money, cells[:4]), cells[4]) for cells in found] == [(None, None, Decimal("0.01"), None, "USD")]


def test_the_erp_converts_by_the_user_rate_when_no_accounted_amount_is_given(engine: Engine) -> None:
    nothing = {"accounted_dr": None, "accounted_cr": None, "currency_conversion_rate": "7.123456789012"}
    stage(
        engine,
        [dollars("FX", "660202", "10.05", None, **nothing), dollars("FX", "224101", None, "10.05", **nothing)],
    )

    assert run(engine)["posted"] == 1
    found = fetch(engine, select(gl_je_lines.c.accounted_dr, gl_je_lines.c.accounted_cr).order_by("je_line_num"))
    assert [tuple(map(money, cells)) for cells in found] == [(Decimal("71.59"), None), (None, Decimal("71.59"))]


def test_document_numbers_have_no_gap_per_company_and_period(engine: Engine) -> None:
    stage(engine, pair("A1") + pair("A2", segment3="999") + pair("A3") + pair("B1", accounting_date="2026-04-01"))
    stage(engine, pair("C1", segment1="US01", ledger_id=2022, currency_code="USD", group_id=2))
    run(engine)
    stage(engine, pair("A4", group_id=3) + pair("B2", accounting_date="2026-04-30", group_id=3))
    run(engine)

    header = gl_je_headers.c
    query = select(header.company, header.period_name, header.doc_sequence_value, header.external_reference)
    assert sorted(fetch(engine, query)) == [
        ("CN01", "2026-03", 1, "A1"),
        ("CN01", "2026-03", 2, "A3"),
        ("CN01", "2026-03", 3, "A4"),
        ("CN01", "2026-04", 1, "B1"),
        ("CN01", "2026-04", 2, "B2"),
        ("US01", "2026-03", 1, "C1"),
    ]
    assert [number for (number,) in fetch(engine, select(header.je_header_id).order_by(header.je_header_id))] == [
        *range(1, 7)
    ]


def test_oracle_posts_the_same_reference_twice(engine: Engine) -> None:
    for group in (1, 2):
        stage(engine, pair("K1", group_id=group))
        assert run(engine)["posted"] == 1

    assert posted(engine) == ["K1", "K1"]


def test_a_duplicate_is_refused_when_asked_for(engine: Engine) -> None:
    stage(engine, pair("K1"))
    run(engine)
    stage(engine, pair("K1", group_id=2) + pair("K2", group_id=2))

    summary = run(engine, refuse_duplicates=True)

    assert summary["rejected_by_code"] == {"DUPLICATE": 1}
    assert posted(engine) == ["K1", "K2"]
    assert statuses(engine) == {"K1": "DUPLICATE"}


def test_one_reference_in_two_groups_is_two_journals(engine: Engine) -> None:
    stage(engine, pair("K1", group_id=1) + pair("K1", group_id=2))

    assert run(engine) == {"groups": 2, "posted": 2, "lines": 4, "rejected": 0, "rejected_by_code": {}}


def test_only_the_group_asked_for_is_imported(engine: Engine) -> None:
    stage(engine, pair("K1", group_id=1) + pair("K2", group_id=2) + pair("K3", group_id=None))

    run(engine, group=2)
    assert posted(engine) == ["K2"]
    run(engine)
    assert sorted(posted(engine)) == ["K1", "K2", "K3"]


def test_references_that_differ_by_case_accent_or_space_are_different_journals(engine: Engine) -> None:
    stage(engine, pair("a") + pair("A") + pair("A ") + pair("Á") + pair("É", segment3="999"))

    summary = run(engine)

    assert (summary["posted"], summary["lines"]) == (4, 8)
    assert sorted(posted(engine)) == sorted(["a", "A", "A ", "Á"])
    assert statuses(engine) == {"É": "EF04"}


def test_rows_without_a_reference_are_one_journal(engine: Engine) -> None:
    stage(engine, [row(key, "660202", "1.00", None) | {"reference21": None} for key in "x"])
    stage(engine, [row("x", "224101", None, "1.00") | {"reference21": None}])

    assert run(engine)["lines"] == 2
    assert posted(engine) == [""]


# --- The interface table: what is refused

NOTHING = {"accounted_dr": None, "accounted_cr": None}
REFUSED: dict[str, tuple[str, list[dict[str, Any]]]] = {
    "unknown account": ("EF04", [row("K", "999", "1.00", None), row("K", "224101", None, "1.00")]),
    "unknown company": ("EF04", pair("K", segment1="XX99")),
    "no account": ("EF04", pair("K", segment3=None)),
    "account with a tail": ("EF04", pair("K", segment3="660202\n")),
    "closed period": ("EP01", pair("K", accounting_date="2025-12-31")),
    "no such period": ("EP01", pair("K", accounting_date="2028-01-01")),
    "unknown currency": ("EC08", pair("K", currency_code="XXX")),
    "unbalanced": ("EU02", [row("K", "660202", "1.00", None), row("K", "224101", None, "1.01")]),
    "unbalanced far behind the point": ("EU02", [row("K", "660202", "1", None), row("K", "224101", None, "1.0001")]),
    "balanced in dollars only": (
        "EU02",
        [
            dollars("K", "660202", "10.00", None, accounted_dr="71.00", accounted_cr=None),
            dollars("K", "224101", None, "10.00", accounted_dr=None, accounted_cr="71.01"),
        ],
    ),
    "balanced in base only": (
        "EU02",
        [
            dollars("K", "660202", "10.00", None, accounted_dr="71.00", accounted_cr=None),
            dollars("K", "224101", None, "10.01", accounted_dr=None, accounted_cr="71.00"),
        ],
    ),
    "two dates": ("EU02", [*pair("K"), *pair("K", accounting_date="2026-03-30")]),
    "entered is not accounted": ("EC12", [
        row("K", "660202", "1.00", None, accounted_dr="2.00"), row("K", "224101", None, "1.00", accounted_cr="2.00"),
    ]),
    "accounted only, in base currency": ("EC12", [
        row("K", "660202", None, None, accounted_dr="1.00"), row("K", "224101", None, None, accounted_cr="1.00"),
    ]),
    "both sides": ("EC13", [row("K", "660202", "1.00", "1.00"), row("K", "224101", "1.00", "1.00")]),
    "no side": ("EC13", [row("K", "660202", None, None), row("K", "224101", None, None)]),
    "entered against accounted": ("EC13", [
        dollars("K", "660202", "1.00", None, accounted_dr=None, accounted_cr="7.10"),
        dollars("K", "224101", None, "1.00", accounted_dr="7.10", accounted_cr=None),
    ]),
    "too large": ("EC13", pair("K", "10000000000000000000000")),
    "User without rate": ("EC01", [
        dollars("K", "660202", "1.00", None, accounted_dr="7.10", currency_conversion_rate=None),
        dollars("K", "224101", None, "1.00", accounted_cr="7.10", currency_conversion_rate=None),
    ]),
    "no rate date": ("EC02", [
        dollars("K", "660202", "1.00", None, accounted_dr="7.10", currency_conversion_date=None),
        dollars("K", "224101", None, "1.00", accounted_cr="7.10", currency_conversion_date=None),
    ]),
    "no rate type and no accounted amount": ("EC03", [
        dollars("K", "660202", "1.00", None, **NOTHING, user_currency_conversion_type=None),
        dollars("K", "224101", None, "1.00", **NOTHING, user_currency_conversion_type=None),
    ]),
    "no daily rate": ("EC06", [
        dollars("K", "660202", "1.00", None, **NOTHING, user_currency_conversion_type="Corporate"),
        dollars("K", "224101", None, "1.00", **NOTHING, user_currency_conversion_type="Corporate"),
    ]),
    "unknown rate type": ("EC11", [
        dollars("K", "660202", "1.00", None, accounted_dr="7.10", user_currency_conversion_type="Best"),
        dollars("K", "224101", None, "1.00", accounted_cr="7.10", user_currency_conversion_type="Best"),
    ]),
    "wrong ledger": ("EM03", pair("K", ledger_id=2022)),
    "budget": ("EM04", pair("K", actual_flag="B")),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_a_refused_journal_stays_with_its_code_and_its_siblings_are_posted(ledger_engine: Engine, case: str) -> None:
    code, rows = REFUSED[case]
    stage(ledger_engine, pair("GOOD1") + rows + pair("GOOD2"))

    summary = run(ledger_engine)

    assert (summary["posted"], summary["rejected"], summary["rejected_by_code"]) == (2, 1, {code: 1})
    assert posted(ledger_engine) == ["GOOD1", "GOOD2"]
    found = fetch(ledger_engine, select(gl_interface.c.status, gl_interface.c.status_description))
    assert [status for status, _ in found] == [code] * len(rows)
    assert {description.startswith(rules.TEXTS[code]) for _, description in found} == {True}


def test_every_code_of_the_import_is_produced_by_a_test() -> None:
    produced = {code for code, _ in REFUSED.values()} | {"DUPLICATE", "EP02"}

    assert produced == set(rules.TEXTS) == {code for code, _, _ in rules.RULES} | {"EU02", "DUPLICATE"}


def test_every_refusal_works_on_every_server(engine: Engine) -> None:
    codes = {}
    for group, (code, rows) in enumerate(REFUSED.values(), start=1):
        stage(engine, [one | {"group_id": group, "reference21": f"K{group}"} for one in rows])
        codes[f"K{group}"] = code

    assert run(engine)["posted"] == 0
    assert statuses(engine) == codes


def test_a_company_without_any_open_period_is_told_so(ledger_engine: Engine, tmp_path: Path) -> None:
    closed = DEFAULT.read_text("utf-8").replace(
        "periods: {from: 2025-01, to: 2027-12, closed: [2025-12]}",
        "periods: {from: 2025-12, to: 2025-12, closed: [2025-12]}",
    )
    (tmp_path / "books.yml").write_text(closed, "utf-8")
    stage(ledger_engine, pair("K"))

    assert run(ledger_engine, read_books(tmp_path / "books.yml"))["rejected_by_code"] == {"EP02": 1}


def test_all_faults_of_a_journal_are_told_at_once(engine: Engine) -> None:
    day = {"accounting_date": "2025-12-05"}
    stage(engine, [row("K", "660202", "1.00", None, **day), row("K", "999", None, "2.00", **day)])

    summary = run(engine)

    assert summary["rejected"] == 1
    assert summary["rejected_by_code"] == {"EF04": 1, "EP01": 1, "EU02": 1}
    assert statuses(engine) == {"K": "EF04,EP01,EU02"}
    descriptions = fetch(engine, select(gl_interface.c.status_description).distinct())
    assert descriptions == [(fetch(engine, select(gl_import_errors.c.status_description))[0][0],)]
    assert descriptions[0][0].startswith(f"{rules.TEXTS['EF04']} Line 2: SEGMENT1 CN01, SEGMENT3 999. ")


def test_a_sibling_status_is_not_used_by_default(engine: Engine) -> None:
    stage(engine, pair("GOOD") + pair("BAD", segment3="999"))

    run(engine)

    assert "P" not in statuses(engine).values()
    assert posted(engine) == ["GOOD"]


def test_a_refused_journal_is_imported_after_a_fix_only_when_asked_to_retry(engine: Engine) -> None:
    stage(engine, [row("K", "999", "1.00", None), row("K", "224101", None, "1.00")])
    run(engine)
    with engine.begin() as connection:
        fix = update(gl_interface).where(gl_interface.c.segment3 == "999").values(segment3="660202")
        connection.execute(fix)

    assert run(engine)["posted"] == 0
    assert run(engine, retry=True) == {"groups": 1, "posted": 1, "lines": 2, "rejected": 0, "rejected_by_code": {}}
    assert statuses(engine) == {}


def test_a_retry_without_a_fix_is_refused_again(engine: Engine) -> None:
    stage(engine, pair("K", segment3="999"))

    assert [run(engine, retry=True)["rejected_by_code"] for _ in range(2)] == [{"EF04": 1}, {"EF04": 1}]
    assert statuses(engine) == {"K": "EF04"}


def test_an_empty_interface_table_imports_nothing(engine: Engine) -> None:
    assert run(engine) == {"groups": 0, "posted": 0, "lines": 0, "rejected": 0, "rejected_by_code": {}}


# --- The interface table: what the database itself refuses


@pytest.mark.parametrize(
    "wrong",
    [
        {"entered_dr": "NaN"},
        {"entered_dr": "Infinity"},
        {"entered_dr": "1e27"},
        {"currency_conversion_rate": "NaN"},
        {"status": None},
        {"currency_code": None},
        {"actual_flag": None},
        {"accounting_date": None},
        {"reference3": "x"},
        {"segment3": "1" * 26},
        {"reference21": "K" * 241},
        {"group_id": 10**15},
    ],
    ids=lambda wrong: "-".join(f"{name}={str(cell)[:9]}" for name, cell in wrong.items()),
)
def test_a_row_the_vendors_table_could_not_hold_is_an_error(engine: Engine, wrong: dict[str, Any]) -> None:
    with pytest.raises(DBAPIError):
        stage(engine, [row("K", "660202", "1.00", None) | wrong])

    assert fetch(engine, select(func.count()).select_from(gl_interface)) == [(0,)]


@pytest.mark.parametrize("engine", ["sqlite", "postgres"], indirect=True)
def test_a_fifth_decimal_is_refused(engine: Engine) -> None:
    with pytest.raises(DBAPIError):
        stage(engine, pair("K", "1.00005"))


@pytest.mark.parametrize("engine", ["mariadb"], indirect=True)
def test_mariadb_rounds_a_fifth_decimal_without_a_word(engine: Engine) -> None:
    """No type of MariaDB refuses it: the loader must compare what it sent with what it reads back."""
    stage(engine, [row("K", "660202", "1.00005", None)])

    assert fetch(engine, select(gl_interface.c.entered_dr)) == [(Decimal("1.0001"),)]


@pytest.mark.parametrize(
    "amount", ["1,00", "", " 1", "1.", ".5", "-", "--1", "1-1", "01", "-01", "1.2.3", "1e3", "x", "+1"]
)
def test_sqlite_takes_only_plain_decimals(ledger_engine: Engine, amount: str) -> None:
    with pytest.raises(DBAPIError):
        stage(ledger_engine, [row("K", "660202", amount, None)])


@pytest.mark.parametrize("amount", ["0", "-0.01", "0.0001", "1", "-1234567890123456789012345.1234"])
def test_sqlite_takes_every_plain_decimal(ledger_engine: Engine, amount: str) -> None:
    stage(ledger_engine, [row("K", "660202", amount, None)])

    assert fetch(ledger_engine, select(gl_interface.c.entered_dr)) == [(amount,)]


def test_sqlite_takes_only_real_dates(ledger_engine: Engine) -> None:
    with pytest.raises(DBAPIError):
        stage(ledger_engine, pair("K", accounting_date="2026-02-30"))


def test_preparing_twice_keeps_what_is_there(engine: Engine) -> None:
    stage(engine, pair("K"))
    run(engine)

    prepare(engine)

    assert posted(engine) == ["K"]
    stage(engine, pair("K2"))
    run(engine)
    assert [number for (number,) in fetch(engine, select(gl_je_headers.c.doc_sequence_value))] == [1, 2]


# --- The interface table: crash and concurrency


def test_a_failure_while_the_lines_are_written_leaves_everything_as_it_was(ledger_engine: Engine) -> None:
    stage(ledger_engine, pair("K1") + pair("BAD", segment3="999"))
    with ledger_engine.begin() as connection:
        connection.execute(text("ALTER TABLE gl_je_lines RENAME TO gone"))
    with pytest.raises(DBAPIError):
        run(ledger_engine)
    assert statuses(ledger_engine) == {"K1": "NEW", "BAD": "NEW"}
    assert posted(ledger_engine) == []

    with ledger_engine.begin() as connection:
        connection.execute(text("ALTER TABLE gone RENAME TO gl_je_lines"))

    assert run(ledger_engine)["posted"] == 1
    assert fetch(ledger_engine, select(gl_je_headers.c.doc_sequence_value, gl_je_headers.c.je_header_id)) == [(1, 1)]


def test_killed_imports_and_a_plain_rerun_post_every_journal_once(tmp_path: Path) -> None:
    engine = open_database(f"sqlite:///{tmp_path}/erp.db")
    prepare(engine)
    for group in range(1, 9):
        stage(engine, [one for n in range(500) for one in pair(f"G{group}J{n}", group_id=group)])
    command = [sys.executable, "-m", "sandbox.erp", "import", "--db", f"sqlite:///{tmp_path}/erp.db"]
    journal = tmp_path / "erp.db-journal"
    for _ in range(3):
        process = subprocess.Popen(command, cwd=PROJECT, stdout=subprocess.DEVNULL)
        while process.poll() is None and not journal.exists():
            time.sleep(0.001)
        process.send_signal(signal.SIGKILL)
        process.wait()

    run(engine)

    assert len(posted(engine)) == len(set(posted(engine))) == 8 * 500
    assert fetch(engine, select(func.count()).select_from(gl_je_lines)) == [(8 * 1000,)]
    numbers = [number for (number,) in fetch(engine, select(gl_je_headers.c.doc_sequence_value))]
    assert sorted(numbers) == [*range(1, 8 * 500 + 1)]
    engine.dispose()


def test_imports_at_the_same_time_take_turns(engine: Engine) -> None:
    for group in range(1, 5):
        stage(engine, [one for n in range(100) for one in pair(f"G{group}J{n}", group_id=group)])
    url = engine.url.render_as_string(hide_password=False)
    command = [sys.executable, "-m", "sandbox.erp", "import", "--db", url]
    processes = [subprocess.Popen(command, cwd=PROJECT, stdout=subprocess.PIPE) for _ in range(3)]
    summaries = [json.loads(process.communicate()[0]) for process in processes]

    assert [process.returncode for process in processes] == [0, 0, 0]
    assert sum(summary["posted"] for summary in summaries) == 400
    assert len(posted(engine)) == len(set(posted(engine))) == 400
    numbers = [number for (number,) in fetch(engine, select(gl_je_headers.c.doc_sequence_value))]
    assert sorted(numbers) == [*range(1, 401)]


# --- The drop folder


def journal_text(key: str, legs: list[str], **other: str) -> str:
    """One transaction as a loader writes it."""
    facts = {"company": "JP01", "period": "2026-03", "report_id": "R0001"} | other
    day = facts.pop("day", "2026-03-31")
    lines = [f'{day} * "E1007" "R0001 E1007" ^{key}', '  journal_id: "0a1b"']
    lines += [f'  {name}: "{value}"' for name, value in facts.items()]
    for number, leg in enumerate(legs, start=1):
        lines += [f"  {leg}", f'    line_no: "{number}"']
    return "\n".join(lines) + "\n"


def batch_text(batch_id: str, *journals: str, opened: str = "2026-03-01") -> str:
    """A file as a loader writes it; the accounts of all legs are opened."""
    accounts = sorted(
        {line.split()[0] for text in journals for line in text.split("\n") if line.startswith(("  E", "  L"))}
    )
    head = [f"; claimpost batch {batch_id}", f'option "title" "{batch_id}"', 'option "operating_currency" "JPY"']
    head += ['plugin "beancount.plugins.noduplicates"', ""]
    head += [f"{opened} open {account}" for account in accounts]
    return "\n".join([*head, "", ""]) + "\n".join(journals)


YEN = ["Expenses:660201                     1200 JPY", "Liabilities:224101                 -1200 JPY"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A prepared drop folder."""
    drop.prepare(tmp_path / "drop")
    return tmp_path / "drop"


def deliver(folder: Path, batch_id: str, *journals: str, **other: str) -> Path:
    """Put a finished file into the folder."""
    path = folder / f"{batch_id}.beancount"
    path.write_text(batch_text(batch_id, *journals, **other), "utf-8")
    return path


def acknowledgements(folder: Path, batch_id: str) -> list[dict[str, str]]:
    """The answer to a batch."""
    with (folder / "ack" / f"{batch_id}.ack.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def tree(folder: Path) -> dict[str, bytes]:
    """Every file of the drop but the ERP's own ledger."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and ".erp" not in path.parts
    }


def test_a_good_file_is_posted_answered_and_taken(folder: Path) -> None:
    path = deliver(folder, "B1", journal_text("K1", YEN), journal_text("K2", YEN, day="2026-03-02"))
    content = path.read_bytes()

    summary = drop.import_folder(folder, BOOKS)

    assert summary == {
        "files": 1, "posted": 2, "lines": 4, "rejected": 0, "answered_again": 0, "rejected_by_code": {},
        "conflicts": [], "unknown": [],
    }  # fmt: skip
    assert tree(folder) == {
        "ack/B1.ack.csv": (
            b"batch_id,journal_key,level,erp_document,code,message\n"
            b"B1,K1,posted,JP01-2026-03-000001,,\n"
            b"B1,K2,posted,JP01-2026-03-000002,,\n"
        ),
        "ack/B1.ledger.csv": (
            b"journal_key,erp_document,company,posting_date,period,currency,account,debit,credit\n"
            b"K1,JP01-2026-03-000001,JP01,2026-03-31,2026-03,JPY,660201,1200,0\n"
            b"K1,JP01-2026-03-000001,JP01,2026-03-31,2026-03,JPY,224101,0,1200\n"
            b"K2,JP01-2026-03-000002,JP01,2026-03-02,2026-03,JPY,660201,1200,0\n"
            b"K2,JP01-2026-03-000002,JP01,2026-03-02,2026-03,JPY,224101,0,1200\n"
        ),
        "taken/B1.beancount": content,
    }


def test_unfinished_files_are_left_alone(folder: Path) -> None:
    good = batch_text("B1", journal_text("K1", YEN))
    for name in (".B1.beancount", ".B1.part.1", "B1.beancount.part", "B1.csv"):
        (folder / name).write_text(good, "utf-8")

    assert drop.import_folder(folder, BOOKS)["files"] == 0
    assert sorted(path.name for path in folder.iterdir() if path.is_file()) == sorted(
        [".B1.beancount", ".B1.part.1", "B1.beancount.part", "B1.csv"]
    )


def test_a_foreign_journal_with_a_rounding_leg_balances_in_both_currencies(folder: Path) -> None:
    legs = [
        "Expenses:660201   100.00 USD @@ 15001 JPY",
        "Expenses:660204    50.00 USD @@ 7500 JPY",
        "Liabilities:224101   -150.00 USD @@ 22500 JPY",
        "Expenses:66039901   -1 JPY",
    ]
    deliver(folder, "B1", journal_text("K1", legs))

    assert drop.import_folder(folder, BOOKS)["posted"] == 1
    with (folder / "ack" / "B1.ledger.csv").open(encoding="utf-8", newline="") as file:
        found = [(line["account"], line["currency"], line["debit"], line["credit"]) for line in csv.DictReader(file)]
    assert found == [
        ("660201", "USD", "100.00", "0"),
        ("660204", "USD", "50.00", "0"),
        ("224101", "USD", "0", "150.00"),
        ("66039901", "JPY", "0", "1"),
    ]
    with closing(drop.open_ledger(folder)) as ledger:
        base = ledger.execute("SELECT base_debit, base_credit FROM line ORDER BY line_no").fetchall()
    assert base == [("15001", "0"), ("7500", "0"), ("0", "22500"), ("0", "1")]


REFUSED_IN_FILES: dict[str, tuple[str, str]] = {
    "unknown company": ("UNKNOWN_COMPANY", journal_text("K", YEN, company="XX99")),
    "period of another month": ("BAD_DATE", journal_text("K", YEN, period="2026-04")),
    "closed period": (
        "CLOSED_PERIOD",
        journal_text(
            "K",
            ["Expenses:660201 1.00 CNY", "Liabilities:224101 -1.00 CNY"],
            company="CN01", period="2025-12", day="2025-12-31",
        ),
    ),
    "no such period": ("NO_PERIOD", journal_text("K", YEN, period="2028-01", day="2028-01-01")),
    "unknown account": ("UNKNOWN_ACCOUNT", journal_text("K", ["Expenses:9999 1 JPY", "Liabilities:224101 -1 JPY"])),
    "unknown currency": (
        "UNKNOWN_CURRENCY",
        journal_text("K", ["Expenses:660201 1.00 XXX @@ 1 JPY", "Liabilities:224101 -1.00 XXX @@ 1 JPY"]),
    ),
    "foreign without total": (
        "NO_BASE_AMOUNT",
        journal_text("K", ["Expenses:660201 1.00 USD", "Liabilities:224101 -1.00 USD"]),
    ),
    "total in a third currency": (
        "NO_BASE_AMOUNT",
        journal_text("K", ["Expenses:660201 1.00 USD @@ 1.00 CNY", "Liabilities:224101 -1.00 USD @@ 1.00 CNY"]),
    ),
    "base currency with a total": (
        "BAD_AMOUNT",
        journal_text("K", ["Expenses:660201 1 JPY @@ 1 JPY", "Liabilities:224101 -1 JPY"]),
    ),
    "too many decimals": (
        "BAD_AMOUNT",
        journal_text("K", ["Expenses:660201 1.50 JPY", "Liabilities:224101 -1.50 JPY"]),
    ),
    "unbalanced": ("UNBALANCED", journal_text("K", ["Expenses:660201 1201 JPY", "Liabilities:224101 -1200 JPY"])),
    "balanced in dollars only": (
        "UNBALANCED",
        journal_text("K", ["Expenses:660201 1.00 USD @@ 150 JPY", "Liabilities:224101 -1.00 USD @@ 151 JPY"]),
    ),
    "balanced in yen only": (
        "UNBALANCED",
        journal_text("K", ["Expenses:660201 1.01 USD @@ 150 JPY", "Liabilities:224101 -1.00 USD @@ 150 JPY"]),
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED_IN_FILES)
def test_a_refused_journal_of_a_file_is_answered_and_its_siblings_are_posted(folder: Path, case: str) -> None:
    code, journal = REFUSED_IN_FILES[case]
    deliver(folder, "B1", journal_text("G1", YEN), journal, journal_text("G2", YEN), opened="2025-01-01")

    summary = drop.import_folder(folder, BOOKS)

    assert (summary["posted"], summary["rejected"], summary["rejected_by_code"]) == (2, 1, {code: 1})
    found = [
        (said["journal_key"], said["level"], said["erp_document"], said["code"])
        for said in acknowledgements(folder, "B1")
    ]
    assert found == [
        ("G1", "posted", "JP01-2026-03-000001", ""),
        ("K", "rejected", "", code),
        ("G2", "posted", "JP01-2026-03-000002", ""),
    ]
    assert (folder / "taken" / "B1.beancount").exists()


def test_kuwaiti_thousandths_are_exact(folder: Path) -> None:
    legs = [
        "Expenses:660201 999999999999.999 KWD",
        "Expenses:660202 0.001 KWD",
        "Liabilities:224101 -1000000000000.000 KWD",
    ]
    deliver(folder, "B1", journal_text("K1", legs, company="KW01"))

    assert drop.import_folder(folder, BOOKS)["posted"] == 1


def test_a_key_twice_in_one_file_is_refused_both_times(folder: Path) -> None:
    deliver(folder, "B1", journal_text("K1", YEN), journal_text("K1", YEN), journal_text("K2", YEN))

    assert drop.import_folder(folder, BOOKS)["rejected_by_code"] == {"DUPLICATE": 2}


def test_a_key_of_another_file_is_refused_only_when_asked_for(folder: Path) -> None:
    for batch_id in ("B1", "B2"):
        deliver(folder, batch_id, journal_text("K1", YEN))
        assert drop.import_folder(folder, BOOKS)["posted"] == 1
    deliver(folder, "B3", journal_text("K1", YEN), journal_text("K2", YEN))

    summary = drop.import_folder(folder, BOOKS, refuse_duplicates=True)

    assert (summary["posted"], summary["rejected_by_code"]) == (1, {"DUPLICATE": 1})
    assert acknowledgements(folder, "B2")[0]["erp_document"] == "JP01-2026-03-000002"
    assert acknowledgements(folder, "B3")[1]["erp_document"] == "JP01-2026-03-000003"


GOOD = batch_text("B1", journal_text("K1", YEN), journal_text("K2", YEN))
UNREADABLE: dict[str, tuple[str, str]] = {
    "cut in a line": (GOOD[:-4], "the last line is cut off"),
    "empty": ("", "the last line is cut off"),
    "title of another batch": (GOOD.replace('"B1"', '"B2"'), "the title is 'B2'"),
    "no title": (GOOD.replace('option "title" "B1"\n', ""), "the title is ''"),
    "unknown line": (GOOD + "2026-03-31 pad Expenses:660201 Liabilities:224101\n", "is not understood"),
    "account not opened": (GOOD.replace("2026-03-01 open Expenses:660201\n", ""), "is not open"),
    "account opened too late": (GOOD.replace("2026-03-01 open Exp", "2026-04-01 open Exp"), "is not open"),
    "account opened twice": ("2026-03-01 open Expenses:660201\n" + GOOD, "is opened twice"),
    "amount left out": (GOOD.replace("-1200 JPY", "", 1), "is not understood"),
    "amount with a comma": (GOOD.replace("-1200 JPY", "-1,200 JPY", 1), "is not understood"),
    "negative total": (GOOD.replace("-1200 JPY", "-8.00 USD @@ -1200 JPY", 1), "no sign of its own"),
    "no such date": (GOOD.replace("2026-03-31 *", "2026-02-30 *", 1), "is no date"),
    "leg outside": (GOOD + "\n  Expenses:660201 1 JPY\n", "outside a journal"),
    "fact outside": (GOOD + '\n  company: "JP01"\n', "belongs to nothing"),
    "fact twice": (GOOD.replace('  company: "JP01"', '  company: "JP01"\n  company: "KW01"', 1), "stands twice"),
    "line fact twice": (GOOD.replace('    line_no: "1"', '    line_no: "1"\n    line_no: "2"', 1), "stands twice"),
    "two titles": (GOOD.replace('option "title" "B1"', 'option "title" "B1"\noption "title" "B1"'), "second title"),
    "one leg": (GOOD + "\n" + journal_text("K3", YEN[:1]), "has 1 legs"),
    "incomplete transaction": (GOOD.replace("2026-03-31 *", "2026-03-31 !", 1), "is not understood"),
}  # fmt: skip


@pytest.mark.parametrize("case", UNREADABLE)
def test_a_file_that_is_not_understood_is_refused_as_a_whole(folder: Path, case: str) -> None:
    content, reason = UNREADABLE[case]
    (folder / "B1.beancount").write_text(content, "utf-8")

    summary = drop.import_folder(folder, BOOKS)

    answers = acknowledgements(folder, "B1")
    assert summary["posted"] == 0
    assert {(said["level"], said["code"]) for said in answers} == {("rejected", "UNREADABLE")}
    assert all(reason in said["message"] for said in answers)
    if content:
        assert [said["journal_key"] for said in answers][:2] == ["K1", "K2"]
    assert (folder / "ack" / "B1.ledger.csv").read_text("utf-8").count("\n") == 1


def test_bytes_that_are_not_utf8_are_refused(folder: Path) -> None:
    (folder / "B1.beancount").write_bytes(GOOD.replace("R0001 E1007", "差旅").encode("gb18030"))

    drop.import_folder(folder, BOOKS)

    assert {(said["journal_key"], said["code"]) for said in acknowledgements(folder, "B1")} == {
        ("K1", "UNREADABLE"),
        ("K2", "UNREADABLE"),
    }


def test_an_unreadable_file_may_come_again_whole(folder: Path) -> None:
    (folder / "B1.beancount").write_text(GOOD[:-4], "utf-8")
    drop.import_folder(folder, BOOKS)
    (folder / "B1.beancount").write_text(GOOD, "utf-8")

    assert drop.import_folder(folder, BOOKS)["posted"] == 2
    assert [said["level"] for said in acknowledgements(folder, "B1")] == ["posted", "posted"]
    assert len(list((folder / "taken").iterdir())) == 2


def test_a_file_delivered_again_is_answered_again_and_posts_nothing(folder: Path) -> None:
    deliver(folder, "B1", journal_text("K1", YEN))
    drop.import_folder(folder, BOOKS)
    first = tree(folder)
    deliver(folder, "B1", journal_text("K1", YEN))

    summary = drop.import_folder(folder, BOOKS)

    assert (summary["posted"], summary["answered_again"], summary["conflicts"]) == (0, 1, [])
    assert tree(folder) == first


def test_a_batch_with_other_content_is_a_conflict_and_the_first_answer_stands(folder: Path) -> None:
    deliver(folder, "B1", journal_text("K1", YEN))
    drop.import_folder(folder, BOOKS)
    first = tree(folder)
    deliver(folder, "B1", journal_text("K1", [leg.replace("1200", "1300") for leg in YEN]))

    summary = drop.import_folder(folder, BOOKS)

    assert (summary["posted"], summary["conflicts"]) == (0, ["B1"])
    assert first.items() <= tree(folder).items()
    assert len(list((folder / "taken").iterdir())) == 2


@pytest.mark.parametrize("step", ["before the answer", "before the acknowledgement", "before the file is moved"])
def test_an_import_that_ends_between_two_steps_heals_on_the_next_run(folder: Path, tmp_path: Path, step: str) -> None:
    whole = tmp_path / "whole"
    drop.prepare(whole)
    for place in (folder, whole):
        deliver(place, "B1", journal_text("K1", YEN), journal_text("K2", YEN, company="XX99"))
    drop.import_folder(whole, BOOKS)
    with closing(drop.open_ledger(folder)) as ledger:
        drop.post(ledger, "B1", (folder / "B1.beancount").read_bytes(), BOOKS)
        if step != "before the answer":
            drop.answer(ledger, folder, "B1")
        if step == "before the acknowledgement":
            (folder / "ack" / "B1.ack.csv").unlink()

    summary = drop.import_folder(folder, BOOKS)

    assert (summary["posted"], summary["answered_again"]) == (0, 1)
    assert tree(folder) == tree(whole)
    assert drop.import_folder(folder, BOOKS)["files"] == 0


def test_killed_imports_of_a_folder_and_a_plain_rerun_post_every_file_once(folder: Path) -> None:
    for batch in range(30):
        deliver(folder, f"B{batch:02d}", *[journal_text(f"B{batch}K{n}", YEN) for n in range(40)])
    command = [sys.executable, "-m", "sandbox.erp", "import", "--drop", str(folder)]
    for wanted in (1, 5, 12):
        process = subprocess.Popen(command, cwd=PROJECT, stdout=subprocess.DEVNULL)
        while process.poll() is None and len(list((folder / "ack").iterdir())) < wanted:
            time.sleep(0.001)
        process.send_signal(signal.SIGKILL)
        process.wait()

    drop.import_folder(folder, BOOKS)

    answers = [said for batch in range(30) for said in acknowledgements(folder, f"B{batch:02d}")]
    assert len(answers) == 1200
    assert sorted(said["erp_document"] for said in answers) == [f"JP01-2026-03-{n:06d}" for n in range(1, 1201)]
    assert len(list((folder / "taken").iterdir())) == 30


def test_a_failure_while_posting_a_file_leaves_the_ledger_as_it_was(folder: Path) -> None:
    path = deliver(folder, "B1", journal_text("K1", YEN), journal_text("K2", YEN))
    with closing(drop.open_ledger(folder)) as ledger:
        ledger.execute(
            "CREATE TRIGGER full BEFORE INSERT ON line WHEN new.erp_document LIKE '%2' "
            "BEGIN SELECT raise(FAIL, 'disk'); END"
        )
        with pytest.raises(sqlite3.IntegrityError, match="disk"):
            drop.post(ledger, "B1", path.read_bytes(), BOOKS)
        tables = ("batch", "answer", "journal", "line", "number")
        counts = [ledger.execute(f"SELECT count(*) FROM {table}").fetchone()[0] for table in tables]
        ledger.execute("DROP TRIGGER full")

    assert counts == [0, 0, 0, 0, 0]
    assert drop.import_folder(folder, BOOKS)["posted"] == 2


# --- The command and the books


def test_the_command_prepares_imports_and_prints_one_json_object(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/new/erp.db"

    prepared = CliRunner().invoke(main, ["prepare", "--db", url])
    stage(open_database(url), pair("K1") + pair("K2", segment3="999"))
    done = CliRunner().invoke(main, ["import", "--db", url, "--group", "1"])

    assert (prepared.exit_code, json.loads(prepared.output)) == (0, {"prepared": True})
    assert (done.exit_code, json.loads(done.output)) == (
        0,
        {"groups": 1, "posted": 1, "lines": 2, "rejected": 1, "rejected_by_code": {"EF04": 1}},
    )


def test_the_command_serves_a_folder(tmp_path: Path) -> None:
    folder = tmp_path / "a" / "drop"
    CliRunner().invoke(main, ["prepare", "--drop", str(folder)])
    deliver(folder, "B1", journal_text("K1", YEN))

    done = CliRunner().invoke(main, ["import", "--drop", str(folder), "--refuse-duplicates"])

    assert (done.exit_code, json.loads(done.output)["posted"]) == (0, 1)
    assert sorted(path.name for path in folder.iterdir()) == [".erp", "ack", "taken"]


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["import"], 2, "either --db or --drop"),
        (["prepare", "--db", "sqlite://", "--drop", "x"], 2, "either --db or --drop"),
        (["import", "--drop", "missing", "--retry"], 2, "belong to --db"),
        (["import", "--drop", "missing"], 1, "run prepare first"),
        (["import", "--db", "sqlite://"], 1, "run prepare first"),
        (["import", "--db", "sqlite://", "--books", "missing.yml"], 1, "missing.yml"),
    ],
)
def test_the_command_says_what_is_wrong_with_its_arguments(arguments: list[str], code: int, message: str) -> None:
    done = CliRunner().invoke(main, arguments)

    assert done.exit_code == code
    assert message in done.output


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ("companies: {}", "currencies"),
        ("a: [", "ParserError"),
        (DEFAULT.read_text("utf-8").replace("from: 2014-01, to: 2018-12", "from: 2014-1, to: 2018-12"), "no period"),
        (DEFAULT.read_text("utf-8").replace("currency: GBP", "currency: XXX"), "not enabled"),
    ],
    ids=["no currencies", "no YAML", "no period", "no currency"],
)
def test_books_that_make_no_sense_are_refused(tmp_path: Path, wrong: str, message: str) -> None:
    (tmp_path / "books.yml").write_text(wrong, "utf-8")

    with pytest.raises(BooksError, match=message):
        read_books(tmp_path / "books.yml")


@pytest.mark.parametrize(
    ("company", "account", "period", "knows", "is_open"),
    [
        ("CN01", "66039901", "2026-03", True, True),
        ("CN01", "224101", "2025-12", True, False),
        ("CN01", "7000", "2024-12", False, False),
        ("KW01", "224103", "2027-12", True, True),
        ("BHAM", "L3J0", "2014-01", True, True),
        ("BHAM", "9001", "2018-12", True, True),
        ("BHAM", "5C55", "2017-07", True, True),
        ("BHAM", "660201", "2019-01", False, False),
        ("casdo-ocena", "6610", "2024-12", True, True),
        ("aafc-aac", "66101", "2025-01", False, False),
    ],
)
def test_the_books_know_the_companies_of_the_feeds(
    company: str, account: str, period: str, knows: bool, is_open: bool
) -> None:
    facts = BOOKS.companies[company]

    assert (facts.knows(account), facts.is_open(period)) == (knows, is_open)


def test_the_erp_imports_nothing_of_what_it_checks() -> None:
    script = (
        "import sandbox.erp.command, sys; print([m for m in sys.modules if m.split('.')[0] in ('etl', 'validations')])"
    )

    done = subprocess.run([sys.executable, "-c", script], cwd=PROJECT, capture_output=True, text=True, check=True)

    assert done.stdout == "[]\n"


def test_the_file_the_erp_takes_is_one_that_beancount_takes(tmp_path: Path) -> None:
    legs = [
        "Expenses:660201   100.00 USD @@ 15001 JPY",
        "Liabilities:224101   -100.00 USD @@ 15000 JPY",
        "Expenses:66039901   -1 JPY",
    ]
    path = tmp_path / "B1.beancount"
    path.write_text(batch_text("B1", journal_text("K1", YEN), journal_text("K2", legs)), "utf-8")
    command = shutil.which("bean-check", path=str(Path(sys.executable).parent)) or "bean-check"

    done = subprocess.run([command, str(path)], capture_output=True, text=True, check=False)

    assert (done.returncode, done.stderr) == (0, "")
