"""Oracle Fusion FBDI: GlInterface.csv of 149 columns in a zip; answered with a report on interface lines and headers.

Codes as Journal Import gives them. A file that cannot be loaded leaves nothing in the interface: the report is empty.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from sandbox.erp.books import Books, period_of
from sandbox.erp.entries import Journal, Leg, Said, Unreadable, day_of, two_sides
from sandbox.erp.forms import package
from sandbox.erp.forms.form import Form, csv_text

MEMBER: Final = "GlInterface.csv"
WIDTH: Final = 149
# Position from 1 of the columns this ERP takes; every other one must be blank.
AT: Final = {
    "status": 1, "ledger_id": 2, "accounting_date": 3, "source": 4, "category": 5, "currency": 6, "date_created": 7,
    "actual_flag": 8, "segment1": 9, "segment2": 10, "segment3": 11, "segment4": 12, "segment5": 13, "entered_dr": 39,
    "entered_cr": 40, "accounted_dr": 41, "accounted_cr": 42, "reference1": 43, "reference4": 46, "reference5": 47,
    "reference6": 48, "reference10": 52, "reference21": 53, "reference22": 54, "rate_type": 64, "rate_date": 65,
    "rate": 66, "group_id": 67,
}  # fmt: skip
REQUIRED: Final = ("ledger_id", "source", "category", "reference4", "reference21", "group_id")
# One journal has one value of these.
SPLITS: Final = ("ledger_id", "accounting_date", "category", "currency", "segment1", "reference4")
REPORT: Final = ("STATUS", "GROUP_ID", "REFERENCE21", "REFERENCE22", "JE_HEADER_ID", "STATUS_DESCRIPTION")
CODES: Final = {
    "UNKNOWN_ACCOUNT": "EF04", "UNKNOWN_COMPANY": "EM03", "CLOSED_PERIOD": "EP01", "NO_PERIOD": "EP01",
    "UNBALANCED": "EU02", "UNKNOWN_CURRENCY": "EC08", "NO_BASE_AMOUNT": "EC06", "BAD_AMOUNT": "EC13",
}  # fmt: skip
Cells = Mapping[str, str]


def _lines(content: bytes) -> list[Cells]:
    found = package.rows(package.member(content, MEMBER), WIDTH, "\n")
    blank = set(range(WIDTH)) - {at - 1 for at in AT.values()}
    for number, row in enumerate(found, start=1):
        if filled := [at + 1 for at in blank if row[at]]:
            raise Unreadable(f"line {number}: column {filled[0]} must be blank")
    return [{name: row[at - 1] for name, at in AT.items()} for row in found]


def _read(content: bytes, batch_id: str, books: Books) -> list[Journal]:
    """Lines of one group become journals by REFERENCE21; a blank DATE_CREATED fails the whole load."""
    if package.names(content) != [MEMBER]:
        raise Unreadable(f"the zip must hold {MEMBER} and nothing else")
    lines = _lines(content)
    journals: dict[str, Journal] = {}
    first: dict[str, Cells] = {}
    for number, line in enumerate(lines, start=1):
        _check(line, number, lines[0])
        key = line["reference21"]
        if key not in journals:
            day, first[key] = day_of(line["accounting_date"], "%Y/%m/%d"), line
            journals[key] = Journal(key, day, {"company": _company(line, books), "period": period_of(day)})
        if wrong := [name for name in SPLITS if line[name] != first[key][name]]:
            raise Unreadable(f"line {number}: the lines of {key} differ in {wrong[0]}")
        journals[key].legs.append(_leg(line, books))
    return list(journals.values())


def _check(line: Cells, number: int, first: Cells) -> None:
    if line["status"] != "NEW" or line["actual_flag"] != "A":
        raise Unreadable(f"line {number}: STATUS must be NEW and ACTUAL_FLAG A")
    if empty := [name for name in REQUIRED if not line[name]]:
        raise Unreadable(f"line {number}: {empty[0]} is blank")
    if line["group_id"] != first["group_id"] or not line["group_id"].isdigit() or len(line["group_id"]) > 18:
        raise Unreadable(f"line {number}: GROUP_ID must be one number for the whole file")
    day_of(line["date_created"], "%Y/%m/%d")


def _company(line: Cells, books: Books) -> str:
    known = books.companies.get(line["segment1"])
    return line["segment1"] if known and known.ledger_id == line["ledger_id"] else ""


def _leg(line: Cells, books: Books) -> Leg:
    company = books.companies.get(line["segment1"])
    entered, accounted = ([line[f"{kind}_{side}"] for side in ("dr", "cr")] for kind in ("entered", "accounted"))
    base = company.currency if company else ""
    if base == line["currency"] and accounted not in (["", ""], entered):
        raise Unreadable(f"{line['reference21']}: entered and accounted amounts differ in {base}")
    if base not in ("", line["currency"]) and line["rate_type"] != "User":
        raise Unreadable(f"{line['reference21']}: these books keep no daily rates; the type must be User")
    return two_sides(line["segment3"], line["currency"], entered, base, accounted)


def _keys(content: bytes) -> list[str]:
    try:
        return list(dict.fromkeys(line["reference21"] for line in _lines(content)))
    except Unreadable:
        return []


def _answer(content: bytes, batch_id: str, said: Sequence[Said]) -> bytes:
    """One record for each journal that was made, and one for each line of those that were not."""
    judged = [one for one in said if one.code != "UNREADABLE"]
    lines = _lines(content) if judged else []
    report: list[tuple[str, ...]] = []
    for one in judged:
        own = [line for line in lines if line["reference21"] == one.journal_key]
        group = own[0]["group_id"]
        if not one.code:
            header = "".join(one.erp_document.rsplit("-", 3)[1:])
            report.append(("P", group, one.journal_key, "", header, ""))
            continue
        code = CODES.get(one.code, "ERROR")
        report += [(code, group, one.journal_key, line["reference22"], "", one.message) for line in own]
    return csv_text(REPORT, report)


FORM: Final = Form(
    ".zip", "ack/{batch_id}.ack.csv", lambda content: MEMBER in package.names(content), _read, _keys, _answer
)
