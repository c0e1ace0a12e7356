"""Dynamics 365 Finance, entity General journal: a data package, answered with its staging rows and posted vouchers.

VOUCHER and TRANSDATE make a voucher. The file names no legal entity: it goes to the one that the books name. There are
no exchange rates, so another currency than the entity's is refused. A package of manifests alone is taken silently.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from sandbox.erp.books import Books, period_of
from sandbox.erp.entries import Journal, Said, Unreadable, day_of, one_of, two_sides
from sandbox.erp.forms import package
from sandbox.erp.forms.form import Form, csv_text

MEMBER: Final = "General journal.csv"
MANIFESTS: Final = ("Manifest.xml", "PackageHeader.xml")
COLUMNS: Final = [
    "JOURNALBATCHNUMBER", "LINENUMBER", "JOURNALNAME", "DESCRIPTION", "ACCOUNTTYPE", "ACCOUNTDISPLAYVALUE",
    "TRANSDATE", "VOUCHER", "CURRENCYCODE", "DEBITAMOUNT", "CREDITAMOUNT", "TEXT", "DOCUMENT",
]  # fmt: skip
CONSTANT: Final = ("JOURNALBATCHNUMBER", "JOURNALNAME", "DESCRIPTION")
STAGING: Final = (
    "EXECUTIONSTATUS", "JOURNALBATCHNUMBER", "LINENUMBER", "VOUCHER", "TRANSFERSTATUS", "POSTEDVOUCHER",
    "ERRORMESSAGE",
)  # fmt: skip


def _lines(content: bytes) -> list[Mapping[str, str]]:
    header, *lines = package.rows(package.member(content, MEMBER), len(COLUMNS), "\r\n") or [[]]
    if header != COLUMNS:
        raise Unreadable(f"its columns must be {', '.join(COLUMNS)}")
    return [dict(zip(COLUMNS, line, strict=True)) for line in lines]


def _read(content: bytes, batch_id: str, books: Books) -> list[Journal]:
    held = package.names(content)
    if held and MEMBER not in held:
        return []
    if strange := sorted(set(held) - {MEMBER, *MANIFESTS}):
        raise Unreadable(f"{strange[0]} is no part of a package")
    journals: dict[tuple[str, str], Journal] = {}
    lines = _lines(content)
    for number, line in enumerate(lines, start=1):
        one_of(line, "ACCOUNTTYPE", ["Ledger"])
        one_of(line, "LINENUMBER", [str(number)])
        for name in CONSTANT:
            one_of(line, name, [lines[0][name]])
        if not line["VOUCHER"] or len(line["VOUCHER"]) > 20 or not line["JOURNALBATCHNUMBER"]:
            raise Unreadable(f"line {number}: VOUCHER must have 1 to 20 characters, JOURNALBATCHNUMBER a value")
        voucher = line["VOUCHER"], day_of(line["TRANSDATE"], "%Y-%m-%d")
        facts = {"company": books.account_set, "period": period_of(voucher[1])}
        journal = journals.setdefault(voucher, Journal(*voucher, facts))
        account, sides = line["ACCOUNTDISPLAYVALUE"].split("-")[0], [line["DEBITAMOUNT"], line["CREDITAMOUNT"]]
        if not all(sides):
            raise Unreadable(f"line {number}: both amounts must be given, one of them 0")
        journal.legs.append(two_sides(account, line["CURRENCYCODE"], sides))
    return list(journals.values())


def _keys(content: bytes) -> list[str]:
    try:
        return list(dict.fromkeys(line["VOUCHER"] for line in _lines(content)))
    except Unreadable:
        return []


def _answer(content: bytes, batch_id: str, said: Sequence[Said]) -> bytes:
    """One record for each line: Completed with the posted voucher, or Error with the text."""
    try:
        lines = _lines(content)
    except Unreadable:
        lines = []
    refused = [one for one in said if one.code]
    status = "Succeeded" if not refused else "PartiallySucceeded" if len(refused) < len(said) else "Failed"
    rows = []
    for one in said:
        own = [line for line in lines if line["VOUCHER"] == one.journal_key]
        for line in own or [dict.fromkeys(COLUMNS, "") | {"VOUCHER": one.journal_key}]:
            told = ("Error", "", f"{one.code}: {one.message}") if one.code else ("Completed", one.erp_document, "")
            rows.append((status, line["JOURNALBATCHNUMBER"], line["LINENUMBER"], line["VOUCHER"], *told))
    return csv_text(STAGING, rows)


def _knows(content: bytes) -> bool:
    return not {MEMBER, *MANIFESTS}.isdisjoint(package.names(content))


FORM: Final = Form(".zip", "ack/{batch_id}.ack.csv", _knows, _read, _keys, _answer)
