"""SAP IDoc ACC_DOCUMENT05 as XML: one IDoc for each document, answered with an extract of the IDocs' last status.

Amounts are signed and joined to the account lines by ITEMNO_ACC; currency type 00 is the document's, 10 the company's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final
from xml.etree import ElementTree as Xml

from sandbox.erp.books import Books, period_of
from sandbox.erp.entries import Journal, Leg, Said, Unreadable, day_of
from sandbox.erp.forms.form import Form, csv_text
from sandbox.erp.forms.markup import only, parse, text

ROOT: Final = "ACC_DOCUMENT05"
CONTROL: Final = {
    "TABNAM": "EDI_DC40", "DIRECT": "2", "IDOCTYP": ROOT, "MESTYP": "ACC_DOCUMENT", "SNDPRT": "LS",
}  # fmt: skip
LENGTHS: Final = {"COMP_CODE": 4, "DOC_TYPE": 2, "USERNAME": 12, "REF_DOC_NO": 16}
LINES_MAX: Final = 999
STATUS: Final = ("DOCNUM", "STATUS", "XBLNR", "BUKRS", "BELNR", "GJAHR", "STAMID", "STAMNO", "STATXT")


def _read(content: bytes, batch_id: str, books: Books) -> list[Journal]:
    return [_journal(idoc, books) for idoc in parse(content, ROOT)]


def _journal(idoc: Xml.Element, books: Books) -> Journal:
    if idoc.tag != "IDOC" or idoc.get("BEGIN") != "1" or any(part.get("SEGMENT") != "1" for part in idoc):
        raise Unreadable("an IDOC needs BEGIN 1, each of its segments SEGMENT 1")
    control, head = only(idoc, "EDI_DC40"), only(idoc, "E1BPACHE09")
    for tag, value in CONTROL.items():
        if text(control, tag) != value:
            raise Unreadable(f"{tag} is {text(control, tag)!r}, not {value}")
    for tag, most in LENGTHS.items():
        if not 0 < len(text(head, tag)) <= most:
            raise Unreadable(f"{tag} must have 1 to {most} characters")
    if text(head, "BUS_ACT") != "RFBU":
        raise Unreadable("BUS_ACT must be RFBU")
    day_of(text(head, "DOC_DATE"), "%Y%m%d")
    day, company = day_of(text(head, "PSTNG_DATE"), "%Y%m%d"), text(head, "COMP_CODE")
    journal = Journal(text(head, "REF_DOC_NO"), day, {"company": company, "period": period_of(day)})
    base = books.companies[company].currency if company in books.companies else ""
    journal.legs = _legs(idoc, journal.key, base)
    return journal


def _legs(idoc: Xml.Element, key: str, base: str) -> list[Leg]:
    lines = idoc.findall("E1BPACGL09")
    amounts: dict[tuple[str, str], Xml.Element] = {}
    for part in idoc.findall("E1BPACCR09"):
        place = text(part, "ITEMNO_ACC"), text(part, "CURR_TYPE")
        if place in amounts or place[1] not in ("00", "10") or text(part, "CURRENCY") != text(part, "CURRENCY_ISO"):
            raise Unreadable(f"{key}: an amount of line {place[0]} stands twice or has an unknown currency")
        amounts[place] = part
    numbers = [text(line, "ITEMNO_ACC") for line in lines]
    if numbers != [f"{number:010d}" for number in range(1, len(lines) + 1)] or not 2 <= len(lines) <= LINES_MAX:
        raise Unreadable(f"{key}: lines must be numbered from 0000000001, 2 to {LINES_MAX} of them")
    if {number for number, _ in amounts} != set(numbers):
        raise Unreadable(f"{key}: amounts and account lines do not belong together")
    return [_leg(line, amounts, number, base) for line, number in zip(lines, numbers, strict=True)]


def _leg(line: Xml.Element, amounts: Mapping[tuple[str, str], Xml.Element], number: str, base: str) -> Leg:
    account = text(line, "GL_ACCOUNT")
    if account.isdigit() and len(account) != 10:
        raise Unreadable(f"account {account} needs leading zeros")
    own, books = amounts.get((number, "00")), amounts.get((number, "10"))
    if own is None:
        raise Unreadable(f"line {number} has no amount in document currency")
    amount, currency = text(own, "AMT_DOCCUR"), text(own, "CURRENCY")
    if books is None:
        return Leg(account.lstrip("0"), amount, currency)
    total, total_currency = text(books, "AMT_DOCCUR"), text(books, "CURRENCY")
    if not amount.strip("-0.") and total_currency == base:
        return Leg(account.lstrip("0"), total, base)  # a rounding line has no amount in document currency
    return Leg(account.lstrip("0"), amount, currency, total.removeprefix("-"), total_currency)


def _keys(content: bytes) -> list[str]:
    try:
        found = [element.text or "" for element in parse(content, ROOT).iter("REF_DOC_NO")]
    except Unreadable:
        return []
    return list(dict.fromkeys(found))


def _answer(content: bytes, batch_id: str, said: Sequence[Said]) -> bytes:
    rows: list[tuple[str, ...]] = []
    for number, one in enumerate(said, start=1):
        if one.code:
            rows.append(
                (f"{number:016d}", "51", one.journal_key, "", "", "", "RW", "609", f"{one.code}: {one.message}")
            )
            continue
        company, year, month, serial = one.erp_document.rsplit("-", 3)
        document = (company, f"{month}{int(serial):08d}", year)
        rows.append((f"{number:016d}", "53", one.journal_key, *document, "RW", "605", "Document posted successfully"))
    return csv_text(STATUS, rows)


FORM: Final = Form(
    ".xml", "ack/{batch_id}.ack.csv", lambda content: b"<ACC_DOCUMENT05" in content[:1000], _read, _keys, _answer
)
