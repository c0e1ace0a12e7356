"""Journal Import: takes the rows of the interface table and posts the good journals, one transaction per group."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Final

import numpy as np
import pyarrow as pa
from sqlalchemy import (
    Connection,
    CursorResult,
    String,
    and_,
    bindparam,
    case,
    cast,
    create_engine,
    delete,
    func,
    insert,
    literal,
    select,
    text,
    update,
)
from sqlalchemy.engine import Engine, make_url

from sandbox.erp import faults, faults_table, rules
from sandbox.erp.books import Books, period_of
from sandbox.erp.faults import Faults
from sandbox.erp.rules import Derived, Lines
from sandbox.erp.tables import (
    erp_control,
    erp_document_numbers,
    gl_import_errors,
    gl_interface,
    gl_je_headers,
    gl_je_lines,
)

_ROWS_PER_READ: Final = 50_000
_ROWS_PER_WRITE: Final = 10_000
_KEYS_PER_QUERY: Final = 500
_WAIT_SECONDS: Final = 60
_STATUS_MAX, _DESCRIPTION_MAX = 50, 240


@dataclass(frozen=True)
class Options:
    """What an import run is asked to do beyond the vendor's default."""

    group: int | None = None
    retry: bool = False
    refuse_duplicates: bool = False
    faults: Faults = field(default_factory=Faults)


def open_database(url: str) -> Engine:
    """An engine for the ERP's database: every statement sees what is committed; SQLite waits for its lock."""
    if make_url(url).get_backend_name() == "sqlite":
        return create_engine(url, connect_args={"timeout": _WAIT_SECONDS})
    return create_engine(url, isolation_level="READ COMMITTED")


def import_groups(engine: Engine, books: Books, options: Options) -> dict[str, Any]:
    """Run Journal Import over every waiting group. Out: counts of journals posted and refused, per code, and lines.

    Raises faults.ImportFailed when a switch says so.
    """
    counts: Counter[str] = Counter()
    codes: Counter[str] = Counter()
    with engine.begin() as connection:
        faults_table.reset(connection, options.faults)
    for group in [] if faults.SLOW in options.faults else _waiting(engine, options):
        with engine.begin() as connection:
            posted, lines, refused = _import_group(connection, books, group, options)
        options.faults.end()
        counts.update(groups=int(posted + len(refused) > 0), posted=posted, lines=lines, rejected=len(refused))
        codes.update(code for faults in refused.values() for code in faults)
    totals = {name: counts[name] for name in ("groups", "posted", "lines", "rejected")}
    return {**totals, "rejected_by_code": dict(sorted(codes.items())), **options.faults.told()}


def _waiting(engine: Engine, options: Options) -> list[int | None]:
    query = select(gl_interface.c.group_id).distinct().order_by(gl_interface.c.group_id)
    if not options.retry:
        query = query.where(gl_interface.c.status == "NEW")
    if options.group is not None:
        query = query.where(gl_interface.c.group_id == options.group)
    with engine.connect() as connection:
        return list(connection.execute(query).scalars())


def _import_group(
    connection: Connection, books: Books, group: int | None, options: Options
) -> tuple[int, int, dict[int, dict[str, str]]]:
    """Journals posted, lines posted, and the faults of each refused journal of one group."""
    request = _next_request(connection)
    _claim(connection, request, group, options)
    rows = faults_table.before(connection, request, books, options.faults)
    lines = _read(connection, request)
    if not len(lines):
        return 0, 0, {}
    refused, derived = rules.judge(lines, books)
    if options.refuse_duplicates:
        for journal in _posted_before(connection, lines):
            refused.setdefault(journal, {})["DUPLICATE"] = rules.TEXTS["DUPLICATE"]
    own, sibling = {"EF04": faults.REFUSED_TEXT}, {"P": faults.SIBLING_TEXT}
    options.faults.judged(lines.references, refused, own, sibling)
    _write_derived(connection, lines, derived)
    _refuse(connection, request, lines, refused)
    good = np.setdiff1d(np.arange(len(lines.references)), np.array(sorted(refused), dtype=np.int64))
    _post_headers(connection, request, group, lines, good)
    posted = _post_lines(connection, request)
    faults_table.after(connection, request, rows, options.faults)
    options.faults.commit()
    return len(good), posted, refused


def _next_request(connection: Connection) -> int:
    """The number of this run. Its row stays locked until the transaction ends, so imports take turns."""
    connection.execute(update(erp_control).values(request_id=erp_control.c.request_id + 1))
    return int(connection.execute(select(erp_control.c.request_id)).scalar_one())


def _claim(connection: Connection, request: int, group: int | None, options: Options) -> None:
    """Mark the rows this run works on; rows that others commit meanwhile carry no mark and stay untouched."""
    own = gl_interface.c.group_id.is_(None) if group is None else gl_interface.c.group_id == group
    if not options.retry:
        own = and_(own, gl_interface.c.status == "NEW")
    values = {"request_id": request, "status": "NEW", "status_description": None}
    connection.execute(update(gl_interface).where(own).values(values))


def _read(connection: Connection, request: int) -> Lines:
    columns = [cast(gl_interface.c[name], String).label(name) for name in (*rules.CODES, *rules.AMOUNTS)]
    query = (
        select(gl_interface.c.interface_id, *columns)
        .where(gl_interface.c.request_id == request)
        .order_by(gl_interface.c.interface_id)
    )
    result = connection.execute(query, execution_options={"stream_results": True, "yield_per": _ROWS_PER_READ})
    tables = [pa.table([pa.array(cells) for cells in zip(*part, strict=True)], _schema()) for part in _parts(result)]
    table = pa.concat_tables([_schema().empty_table(), *tables])
    amounts = {name: table[name].cast(pa.decimal128(38, 4)) for name in rules.AMOUNTS}
    texts = {name: pa.compute.fill_null(table[name], "") for name in rules.CODES}
    return Lines(table["interface_id"].to_numpy(), {**texts, **amounts})


def _schema() -> pa.Schema:
    names = (*rules.CODES, *rules.AMOUNTS)
    return pa.schema([("interface_id", pa.int64()), *[(name, pa.string()) for name in names]])


def _parts(result: CursorResult[Any]) -> Any:
    return result.partitions(_ROWS_PER_READ)


def _posted_before(connection: Connection, lines: Lines) -> list[int]:
    """Journals whose reference the ledger has already."""
    numbers = {reference: journal for journal, reference in enumerate(lines.references)}
    known: list[int] = []
    column = gl_je_headers.c.external_reference
    for start in range(0, len(lines.references), _KEYS_PER_QUERY):
        asked = lines.references[start : start + _KEYS_PER_QUERY]
        known += [numbers[found] for found in connection.execute(select(column).where(column.in_(asked))).scalars()]
    return sorted(set(known))


def _write_derived(connection: Connection, lines: Lines, derived: Derived) -> None:
    for side in ("dr", "cr"):
        column = gl_interface.c[f"accounted_{side}"]
        change = update(gl_interface).where(gl_interface.c.interface_id == bindparam("row"))
        amounts = [
            {"row": int(lines.ids[line]), "amount": _plain(amount)}
            for line, own, amount in zip(derived.lines, derived.sides, derived.amounts, strict=True)
            if own == side
        ]
        _write(connection, change.values({column: bindparam("amount")}), amounts)


def _plain(amount: Decimal) -> str:
    return f"{amount:f}"


def _refuse(connection: Connection, request: int, lines: Lines, refused: Mapping[int, Mapping[str, str]]) -> None:
    """Leave the codes and their texts on every row of a refused journal."""
    rows = [
        {
            "request_id": request,
            "external_reference": lines.references[journal],
            "status": ",".join(sorted(faults))[:_STATUS_MAX],
            "status_description": " ".join(faults[code] for code in sorted(faults))[:_DESCRIPTION_MAX],
        }
        for journal, faults in sorted(refused.items())
    ]
    if not rows:
        return
    _write(connection, insert(gl_import_errors), rows)
    own = and_(
        gl_import_errors.c.request_id == request,
        gl_import_errors.c.external_reference == func.coalesce(gl_interface.c.reference21, ""),
    )
    change = (
        update(gl_interface)
        .where(gl_interface.c.request_id == request, select(gl_import_errors.c.status).where(own).exists())
        .values(
            status=select(gl_import_errors.c.status).where(own).scalar_subquery(),
            status_description=select(gl_import_errors.c.status_description).where(own).scalar_subquery(),
        )
    )
    connection.execute(change)


def _post_headers(connection: Connection, request: int, group: int | None, lines: Lines, good: rules.Ints) -> None:
    first_id = connection.execute(select(erp_control.c.je_header_id)).scalar_one() + 1
    connection.execute(update(erp_control).values(je_header_id=first_id + len(good) - 1))
    numbers = _DocumentNumbers(connection)
    rows = []
    for at, journal in enumerate(good.tolist()):
        line = int(lines.first[journal])
        company, day = lines.value("segment1", line), lines.value("accounting_date", line)
        rows.append(
            {
                "je_header_id": first_id + at,
                "request_id": request,
                "group_id": group,
                "external_reference": lines.references[journal],
                "company": company,
                "doc_sequence_value": numbers.take(company, period_of(day)),
                "ledger_id": int(lines.value("ledger_id", line)),
                "period_name": period_of(day),
                "default_effective_date": day,
                "currency_code": lines.value("currency_code", line),
                "status": "P",
            }
        )
    _write(connection, insert(gl_je_headers), rows)
    numbers.save()


class _DocumentNumbers:
    """The next number per company and period; counted in the posting's own transaction, so none is ever skipped."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        table = erp_document_numbers.c
        found = connection.execute(select(table.company, table.period_name, table.last_value))
        self._last = {(company, period): last for company, period, last in found}
        self._before = dict(self._last)

    def take(self, company: str, period: str) -> int:
        """The next number of this company and period."""
        number = int(self._last.get((company, period), 0)) + 1
        self._last[company, period] = number
        return number

    def save(self) -> None:
        """Write down the numbers taken."""
        table = erp_document_numbers
        taken = [
            {"c": company, "p": period, "n": last}
            for (company, period), last in self._last.items()
            if self._before.get((company, period)) != last
        ]
        mine = and_(table.c.company == bindparam("c"), table.c.period_name == bindparam("p"))
        _write(self._connection, delete(table).where(mine), [{"c": row["c"], "p": row["p"]} for row in taken])
        names = {"c": "company", "p": "period_name", "n": "last_value"}
        _write(self._connection, insert(table), [{names[key]: row[key] for key in row} for row in taken])


def _post_lines(connection: Connection, request: int) -> int:
    """Copy the rows of posted journals into the ledger as they are, and take them out of the interface table."""
    if connection.dialect.name == "postgresql":  # else the planner believes both tables are still empty
        connection.execute(text("ANALYZE gl_interface"))
        connection.execute(text("ANALYZE gl_je_headers"))
    row, header = gl_interface.c, gl_je_headers.c
    number = func.row_number().over(partition_by=header.je_header_id, order_by=row.interface_id)
    no_accounted = and_(row.accounted_dr.is_(None), row.accounted_cr.is_(None))  # base currency: the entered amount
    columns = {
        "je_header_id": header.je_header_id,
        "je_line_num": number,
        "reference_1": header.external_reference,
        "reference_2": row.reference22,
        **{f"segment{n}": row[f"segment{n}"] for n in range(1, 6)},
        "effective_date": row.accounting_date,
        "period_name": header.period_name,
        "currency_code": row.currency_code,
        "entered_dr": row.entered_dr,
        "entered_cr": row.entered_cr,
        "accounted_dr": case((no_accounted, row.entered_dr), else_=row.accounted_dr),
        "accounted_cr": case((no_accounted, row.entered_cr), else_=row.accounted_cr),
        "description": row.reference10,
    }
    joined = and_(
        header.external_reference == func.coalesce(row.reference21, literal("")), header.request_id == request
    )
    source = gl_interface.join(gl_je_headers, joined)
    posted = and_(row.request_id == request, row.status == "NEW")
    query = select(*columns.values()).select_from(source).where(posted)
    connection.execute(insert(gl_je_lines).from_select(list(columns), query))
    return connection.execute(delete(gl_interface).where(posted)).rowcount


def _write(connection: Connection, statement: Any, rows: Sequence[Mapping[str, Any]]) -> None:
    for start in range(0, len(rows), _ROWS_PER_WRITE):
        connection.execute(statement, rows[start : start + _ROWS_PER_WRITE])
