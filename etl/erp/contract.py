"""What a staging table must offer, and what it holds after the insert: checked against the sealed rows."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
from sqlalchemy import Column, Float, MetaData, Numeric, String, Table, Text, cast, distinct, func, select
from sqlalchemy.engine import Connection
from sqlalchemy.exc import NoSuchTableError

from etl import model
from etl.errors import PermanentError

Profile = Mapping[str, Any]
AMOUNT = pa.decimal128(38, 4)  # no currency has more than four decimals


def reflected(connection: Connection, name: str) -> Table:
    """A table as the database describes it; raises PermanentError TARGET_CONTRACT when it is not there."""
    try:
        return Table(name, MetaData(), autoload_with=connection)
    except NoSuchTableError as error:
        raise PermanentError("TARGET_CONTRACT", value=name, detail="the table does not exist") from error


def read_payload(payload: bytes, columns: Sequence[str]) -> pd.DataFrame:
    """The sealed CSV as text columns, "" where it has no value; its header must be the profile's columns."""
    header = next(csv.reader(io.StringIO(payload.partition(b"\n")[0].decode("utf-8"))), [])
    assert header == list(columns), "sealed with another profile than it is delivered with"
    kinds = pa.csv.ConvertOptions(column_types=dict.fromkeys(header, pa.large_string()), strings_can_be_null=False)
    parse = pa.csv.ParseOptions(newlines_in_values=True)
    table = pa.csv.open_csv(io.BytesIO(payload), parse_options=parse, convert_options=kinds).read_all()
    return pd.DataFrame({name: model.texts(table[name].combine_chunks()) for name in header})


# --- before the first row


def check_contract(table: Table, profile: Profile, rows: pd.DataFrame) -> None:
    """Every value must fit its column as it is; raises PermanentError TARGET_CONTRACT with all that is wrong."""
    there = {name.lower(): column for name, column in table.c.items()}
    faults = [fault for name in rows.columns for fault in _column_faults(there.get(name), name, profile, rows)]
    faults += [
        f"column {name} must be filled and is not in the profile"
        for name, column in there.items()
        if name not in rows.columns and not _fills_itself(column)
    ]
    if faults:
        raise PermanentError("TARGET_CONTRACT", value=table.name, detail="; ".join(faults))


def _column_faults(column: Column[Any] | None, name: str, profile: Profile, rows: pd.DataFrame) -> list[str]:
    if column is None:
        return [f"column {name} is missing"]
    if "amount" in profile["columns"][name]:
        return _amount_faults(column, name, rows[name])
    length = getattr(column.type, "length", None)
    longest = max(int(profile["columns"][name].get("max", "0")), _longest(rows[name]))
    if isinstance(column.type, String) and length is not None and length < longest:
        return [f"column {name} holds {length} characters, {longest} are needed"]
    if not column.nullable and (rows[name] == "").any():
        return [f"column {name} must be filled, and some rows have no value for it"]
    return []


def _amount_faults(column: Column[Any], name: str, amounts: pd.Series) -> list[str]:
    """An amount column must keep every decimal: no float, no smaller scale that rounds without a word."""
    if isinstance(column.type, String):
        return []
    if isinstance(column.type, Float) or not isinstance(column.type, Numeric):
        return [f"column {name} is {column.type}, which cannot hold amounts exactly"]
    scale, precision = column.type.scale, column.type.precision
    decimals = _longest(model.texts(pc.replace_substring_regex(model.utf8(amounts), r"^[^.]*\.?", "")))
    digits = _longest(model.texts(pc.replace_substring_regex(model.utf8(amounts), r"^-|\..*$", "")))
    if precision is None:
        return []
    if (scale or 0) < decimals or precision - (scale or 0) < digits:
        return [f"column {name} is {column.type}; {digits} digits and {decimals} decimals are needed"]
    return []


def _longest(texts: pd.Series) -> int:
    return int(pc.max(pc.utf8_length(model.utf8(texts))).as_py() or 0)


def _fills_itself(column: Column[Any]) -> bool:
    generated = column.server_default is not None or column.identity is not None or column.computed is not None
    return bool(column.nullable or generated or column.primary_key)


# --- after the last row


def sum_of(amounts: pd.Series) -> Decimal:
    """The exact sum of decimal texts, "" counting as nothing."""
    plain = pc.replace_substring_regex(model.utf8(amounts), "^$", "0")
    return Decimal(pc.sum(pc.cast(plain, AMOUNT)).as_py() or 0)


def totals_of(rows: pd.DataFrame, profile: Profile) -> dict[str, Any]:
    """Lines, journals, and the sum of every amount column, of the sealed rows."""
    sums = {name: sum_of(rows[name]) for name in _amounts(profile)}
    return {"lines": len(rows), "journals": int(rows[profile["key"][0]].nunique()), **sums}


def totals_in(connection: Connection, table: Table, profile: Profile, batch_no: int) -> dict[str, Any]:
    """The same as `totals_of`, counted and summed from what the table holds of the batch."""
    mine = table.c[profile["group"]] == batch_no
    key = func.count(distinct(table.c[profile["key"][0]]))
    counts = connection.execute(select(func.count(), key).where(mine)).one()
    names = _amounts(profile)
    if any(isinstance(table.c[name].type, String) for name in names) or connection.dialect.name == "sqlite":
        sums = _sums_of_texts(connection, table, names, mine)  # SQLite's own SUM is a float's
    else:
        found = connection.execute(select(*[func.sum(table.c[name]) for name in names]).where(mine)).one()
        sums = {name: Decimal(value or 0) for name, value in zip(names, found, strict=True)}
    return {"lines": int(counts[0]), "journals": int(counts[1]), **sums}


def _sums_of_texts(connection: Connection, table: Table, names: Sequence[str], mine: Any) -> dict[str, Decimal]:
    statement = select(*[func.coalesce(cast(table.c[name], Text), "") for name in names]).where(mine)
    rows = connection.execute(statement).all()
    columns = list(zip(*rows, strict=True)) if rows else [()] * len(names)
    try:
        return {name: sum_of(model.texts(list(cells))) for name, cells in zip(names, columns, strict=True)}
    except pa.ArrowInvalid as error:
        detail = f"{table.name} shows an amount that is no decimal number: {error}"
        raise PermanentError("TOTALS_DIFFER", detail=detail) from error


def _amounts(profile: Profile) -> list[str]:
    return [name for name, rule in profile["columns"].items() if "amount" in rule]


def shown(totals: Mapping[str, Any]) -> str:
    """Totals as one readable line."""
    return ", ".join(f"{name} {value}" for name, value in totals.items())
