"""What the switches do to Journal Import: to the rows that wait, and to what was just posted from them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, Final

from sqlalchemy import Connection, Row, and_, delete, func, insert, select, update

from sandbox.erp import faults as f
from sandbox.erp.books import Books
from sandbox.erp.faults import Faults
from sandbox.erp.tables import erp_control, erp_document_numbers, gl_interface, gl_je_headers, gl_je_lines

DRAFT: Final = "U"  # Oracle's status of a journal that is imported but not posted
Rows = Sequence[Row[Any]]


def before(connection: Connection, request: int, books: Books, faults: Faults) -> list[dict[str, Any]]:
    """Change the waiting rows of the struck journal; returns its rows as they will be judged, for `after`."""
    if not faults.on:
        return []
    table = gl_interface
    found = connection.execute(select(table).where(table.c.request_id == request).order_by(table.c.interface_id)).all()
    journals: dict[str, list[Row[Any]]] = {}
    for row in found:
        journals.setdefault(row.reference21 or "", []).append(row)
    if f.RE_DATING in faults:
        _redate(connection, journals, books, faults)
    if f.SILENT_ROUNDING in faults:
        _round(connection, journals, books, faults)
    return [dict(row._mapping) for row in found]


def _redate(connection: Connection, journals: Mapping[str, Rows], books: Books, faults: Faults) -> None:
    days = {
        key: f.later_day(books.companies[rows[0].segment1], str(rows[0].accounting_date))
        for key, rows in journals.items()
        if rows[0].segment1 in books.companies
    }
    key = faults.strike(key for key, day in days.items() if day)
    for row in journals.get(key, []):
        _set(connection, row.interface_id, {"accounting_date": days[key]})


def _round(connection: Connection, journals: Mapping[str, Rows], books: Books, faults: Faults) -> None:
    changes = {key: change for key, rows in journals.items() if (change := _rounded(rows, books))}
    for interface_id, values in changes.get(faults.strike(changes), {}).items():
        _set(connection, interface_id, values)


def _rounded(rows: Rows, books: Books) -> dict[int, dict[str, str | None]]:
    """Per row the columns to write; nothing when rounding changes nothing, or company or currency is not known."""
    company = books.companies.get(rows[0].segment1)
    out: dict[int, dict[str, str | None]] = {}
    if company is None or rows[0].currency_code not in books.currencies:
        return out
    for kind, currency in (("entered", rows[0].currency_code), ("accounted", company.currency)):
        given = [(row.interface_id, row._mapping[f"{kind}_dr"], row._mapping[f"{kind}_cr"]) for row in rows]
        given = [one for one in given if one[1:] != (None, None)]
        signed = [Decimal(debit or 0) - Decimal(credit or 0) for _, debit, credit in given]
        kept = f.rounded(signed, books.currencies[currency])
        for (interface_id, *_), amount in zip(given if kept != signed else [], kept, strict=kept != signed):
            sides = (f"{amount:f}", None) if amount >= 0 else (None, f"{-amount:f}")
            out.setdefault(interface_id, {}).update({f"{kind}_dr": sides[0], f"{kind}_cr": sides[1]})
    return out


def _set(connection: Connection, interface_id: int, values: Mapping[str, Any]) -> None:
    connection.execute(update(gl_interface).where(gl_interface.c.interface_id == interface_id).values(**values))


def after(connection: Connection, request: int, rows: Sequence[Mapping[str, Any]], faults: Faults) -> None:
    """Change what this run has posted; `rows` as `before` gave them."""
    if not faults.any_of(f.WITHOUT_EFFECT, f.DRAFTS, f.LYING, f.ERROR_INSIDE, f.DUPLICATE):
        return
    headers = gl_je_headers
    posted = connection.execute(select(headers).where(headers.c.request_id == request)).all()
    key = faults.strike(row.external_reference for row in posted)
    own = [dict(row) for row in rows if key and (row["reference21"] or "") == key]
    for header in [row for row in posted if key and row.external_reference == key]:
        number = header.je_header_id
        if f.DUPLICATE in faults:
            _post_again(connection, header)
        if faults.any_of(f.WITHOUT_EFFECT, f.ERROR_INSIDE):
            connection.execute(delete(gl_je_lines).where(gl_je_lines.c.je_header_id == number))
        if f.ERROR_INSIDE in faults:
            connection.execute(delete(headers).where(headers.c.je_header_id == number))
            _put_back(connection, own, "P", f"Processed. {f.INSIDE_CODE}: {f.INSIDE_TEXT}")
        if f.DRAFTS in faults:
            _to_draft(connection, number)
            _put_back(connection, own, f.DRAFT_CODE, f.DRAFT_TEXT)
        if f.LYING in faults:
            _put_back(connection, own, "EF04", f.REFUSED_TEXT)


def _put_back(connection: Connection, rows: Sequence[Mapping[str, Any]], status: str, text: str) -> None:
    answer = {"status": status, "status_description": text}
    kept = [{name: value for name, value in row.items() if name != "interface_id"} for row in rows]
    connection.execute(insert(gl_interface), [{**row, **answer} for row in kept])


def _to_draft(connection: Connection, je_header_id: int) -> None:
    change = update(gl_je_headers).where(gl_je_headers.c.je_header_id == je_header_id)
    connection.execute(change.values(status=DRAFT))


def _post_again(connection: Connection, header: Row[Any]) -> None:
    """The same journal once more, under the next numbers."""
    connection.execute(update(erp_control).values(je_header_id=erp_control.c.je_header_id + 1))
    number = connection.execute(select(erp_control.c.je_header_id)).scalar_one()
    counter = erp_document_numbers
    mine = and_(counter.c.company == header.company, counter.c.period_name == header.period_name)
    connection.execute(update(counter).where(mine).values(last_value=counter.c.last_value + 1))
    document = connection.execute(select(counter.c.last_value).where(mine)).scalar_one()
    facts = dict(header._mapping)
    connection.execute(insert(gl_je_headers), {**facts, "je_header_id": number, "doc_sequence_value": document})
    lines = connection.execute(select(gl_je_lines).where(gl_je_lines.c.je_header_id == header.je_header_id)).all()
    connection.execute(insert(gl_je_lines), [{**dict(line._mapping), "je_header_id": number} for line in lines])


def reset(connection: Connection, faults: Faults) -> None:
    """Set back to draft the first journal of each group that is posted."""
    if f.THEN_DRAFT not in faults:
        return
    header = gl_je_headers.c
    first = func.min(header.external_reference)
    groups = connection.execute(select(header.group_id, first).where(header.status == "P").group_by(header.group_id))
    for _, key in groups.all():
        faults.strike([key])
        connection.execute(update(gl_je_headers).where(header.external_reference == key).values(status=DRAFT))
