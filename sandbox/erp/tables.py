"""The ERP's own tables: the interface table that others fill, and the ledger that only the ERP writes.

Column names and lengths are Oracle E-Business Suite's. `interface_id` stands for Oracle's ROWID. Amounts never pass a
scale that would round them silently: PostgreSQL has numeric with a check, SQLite exact decimal text. MariaDB has no
such type; decimal(30,4) there rounds a fifth decimal away without an error.
"""

from __future__ import annotations

from typing import Any, Final

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    Date,
    Identity,
    Index,
    Integer,
    MetaData,
    Numeric,
    PrimaryKeyConstraint,
    String,
    Table,
    Text,
    UniqueConstraint,
    insert,
    select,
)
from sqlalchemy.engine import Engine
from sqlalchemy.sql.schema import SchemaItem

# Keys differ by case, accent and trailing space, so the collation is binary and does not pad.
_OPTIONS: Final[dict[str, Any]] = {
    f"{server}_{option}": value
    for server in ("mysql", "mariadb")
    for option, value in {"charset": "utf8mb4", "collate": "utf8mb4_nopad_bin", "engine": "InnoDB"}.items()
}
_ID: Final = BigInteger().with_variant(Integer(), "sqlite")
_AMOUNT: Final = Numeric().with_variant(Numeric(30, 4), "mysql", "mariadb").with_variant(Text(), "sqlite")
_RATE: Final = Numeric().with_variant(Numeric(30, 12), "mysql", "mariadb").with_variant(Text(), "sqlite")
_DATE: Final = Date().with_variant(Text(), "sqlite")

metadata: Final = MetaData()


def _text(name: str, length: int, *, required: bool = False) -> list[SchemaItem]:
    rule = CheckConstraint(f"length({name}) <= {length}").ddl_if(dialect="sqlite")
    return [Column(name, String(length), nullable=not required), rule]


def _number(name: str, *, required: bool = False) -> list[SchemaItem]:
    rule = f"abs({name}) < 1000000000000000"
    return [
        Column(name, BigInteger(), nullable=not required),
        CheckConstraint(rule).ddl_if(dialect="postgresql"),
        CheckConstraint(rule).ddl_if(dialect="mysql"),
        CheckConstraint(rule).ddl_if(dialect="mariadb"),
        CheckConstraint(f"{name} IS NULL OR typeof({name}) = 'integer' AND {rule}").ddl_if(dialect="sqlite"),
    ]


def _day(name: str, *, required: bool = False) -> list[SchemaItem]:
    rule = CheckConstraint(f"{name} = date(julianday({name}))").ddl_if(dialect="sqlite")
    return [Column(name, _DATE, nullable=not required), rule]


def _decimal(name: str, kind: Any, decimals: int) -> list[SchemaItem]:
    # NaN and the infinities are greater than every number in PostgreSQL, so the bound keeps them out as well.
    finite = f"{name} = round({name}, {decimals}) AND abs({name}) < 1e26"
    plain = (
        f"{name} NOT GLOB '*[^-.0-9]*' AND substr({name}, 2) NOT GLOB '*-*' AND {name} NOT GLOB '*.*.*' "
        f"AND ltrim({name}, '-') GLOB '[0-9]*' AND ltrim({name}, '-') NOT GLOB '0[0-9]*' AND {name} GLOB '*[0-9]' "
        f"AND instr({name} || '.', '.') <= 27 "
        f"AND (instr({name}, '.') = 0 OR length({name}) - instr({name}, '.') <= {decimals})"
    )
    return [
        Column(name, kind),
        CheckConstraint(finite).ddl_if(dialect="postgresql"),
        CheckConstraint(plain).ddl_if(dialect="sqlite"),
    ]


def _amounts() -> list[SchemaItem]:
    names = ("entered_dr", "entered_cr", "accounted_dr", "accounted_cr")
    return [item for name in names for item in _decimal(name, _AMOUNT, 4)]


_REFERENCE_LENGTHS: Final = {
    number: 240 if number in (2, 5, 10) or number > 20 else 100 for number in range(1, 31)
}  # fmt: skip
_RESERVED: Final = [f"reference{number}" for number in (3, *range(11, 21))]

gl_interface: Final = Table(
    "gl_interface",
    metadata,
    Column("interface_id", _ID, Identity(), primary_key=True),
    *_text("status", 50, required=True),
    *_number("ledger_id", required=True),
    *_day("accounting_date", required=True),
    *_text("currency_code", 15, required=True),
    *_day("date_created", required=True),
    *_number("created_by", required=True),
    *_text("actual_flag", 1, required=True),
    *_text("user_je_category_name", 25, required=True),
    *_text("user_je_source_name", 25, required=True),
    *[item for number in range(1, 31) for item in _text(f"segment{number}", 25)],
    *_amounts(),
    *_text("user_currency_conversion_type", 30),
    *_day("currency_conversion_date"),
    *_decimal("currency_conversion_rate", _RATE, 12),
    *_text("period_name", 15),
    *_number("group_id"),
    *[item for number, length in _REFERENCE_LENGTHS.items() for item in _text(f"reference{number}", length)],
    CheckConstraint(" AND ".join(f"{name} IS NULL" for name in _RESERVED), name="reserved_references_are_null"),
    *_text("status_description", 240),
    *_number("request_id"),
    *_number("je_header_id"),
    *_number("je_line_num"),
    Index("gl_interface_group", "group_id"),
    **_OPTIONS,
)

gl_je_headers: Final = Table(
    "gl_je_headers",
    metadata,
    Column("je_header_id", BigInteger(), primary_key=True, autoincrement=False),
    Column("request_id", BigInteger(), nullable=False),
    Column("group_id", BigInteger()),
    Column("external_reference", String(240), nullable=False),
    Column("company", String(25), nullable=False),
    Column("doc_sequence_value", BigInteger(), nullable=False),
    Column("ledger_id", BigInteger(), nullable=False),
    Column("period_name", String(15), nullable=False),
    Column("default_effective_date", _DATE, nullable=False),
    Column("currency_code", String(15), nullable=False),
    Column("status", String(1), nullable=False),
    UniqueConstraint("company", "period_name", "doc_sequence_value"),
    Index("gl_je_headers_reference", "external_reference", "request_id"),
    **_OPTIONS,
)

gl_je_lines: Final = Table(
    "gl_je_lines",
    metadata,
    Column("je_header_id", BigInteger()),
    Column("je_line_num", BigInteger()),
    Column("reference_1", String(240), nullable=False),
    Column("reference_2", String(240)),
    *[Column(f"segment{number}", String(25)) for number in range(1, 6)],
    Column("effective_date", _DATE, nullable=False),
    Column("period_name", String(15), nullable=False),
    Column("currency_code", String(15), nullable=False),
    *_amounts(),
    Column("description", String(240)),
    PrimaryKeyConstraint("je_header_id", "je_line_num"),
    Index("gl_je_lines_reference", "reference_1"),
    **_OPTIONS,
)

# The import's own report: what each run refused and why. The same text stands on the refused rows.
gl_import_errors: Final = Table(
    "gl_import_errors",
    metadata,
    Column("request_id", BigInteger()),
    Column("external_reference", String(240)),
    Column("status", String(50), nullable=False),
    Column("status_description", String(240), nullable=False),
    PrimaryKeyConstraint("request_id", "external_reference"),
    **_OPTIONS,
)

# One row. Raising request_id is the first statement of every import, so it is also the lock between two imports.
erp_control: Final = Table(
    "erp_control",
    metadata,
    Column("id", BigInteger(), primary_key=True, autoincrement=False),
    Column("request_id", BigInteger(), nullable=False),
    Column("je_header_id", BigInteger(), nullable=False),
    **_OPTIONS,
)

# Document numbers without gaps: the last one given per company and period.
erp_document_numbers: Final = Table(
    "erp_document_numbers",
    metadata,
    Column("company", String(25)),
    Column("period_name", String(15)),
    Column("last_value", BigInteger(), nullable=False),
    PrimaryKeyConstraint("company", "period_name"),
    **_OPTIONS,
)


def prepare(engine: Engine) -> None:
    """Create the tables that do not exist yet; those that do are left alone."""
    with engine.begin() as connection:
        metadata.create_all(connection)
        if connection.execute(select(erp_control.c.id)).first() is None:
            connection.execute(insert(erp_control).values(id=1, request_id=0, je_header_id=0))
