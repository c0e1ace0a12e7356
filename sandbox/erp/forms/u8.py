"""用友 U8 凭证引入: V800 text in GBK; a mark, the voucher's number or the reason are written into the same file.

The file names no company: it is imported into the account set (账套) that the books name. An account has no foreign
currency here, so a line with 外币 is refused.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from sandbox.erp.books import Books, period_of
from sandbox.erp.entries import Journal, Leg, Said, Unreadable, day_of, two_sides
from sandbox.erp.forms.form import Form

FIRST: Final = "填制凭证,V800"
FIELDS: Final = 48
TAKEN, REFUSED = "Y", "N"
_ZERO: Final = (28, 30, 39, 40, 41, 42, 43, 45, 46, 47, 48)
_LENGTHS: Final = {3: 30, 5: 60, 6: 15, 16: 12, 17: 20, 21: 20}
_AMOUNT: Final = re.compile(r"-?[0-9]{1,13}\.[0-9]{2}", re.ASCII)
REASONS: Final = {
    "UNKNOWN_ACCOUNT": "科目不存在", "CLOSED_PERIOD": "会计期间已结账", "NO_PERIOD": "会计期间不存在",
    "UNBALANCED": "凭证借贷不平衡", "DUPLICATE": "业务号重复", "UNREADABLE": "文件格式错误",
}  # fmt: skip


def _read(content: bytes, batch_id: str, books: Books) -> list[Journal]:
    """Records of 48 fields; the lines of a voucher (date, word, 业务号) stand together."""
    company = books.companies[books.account_set]
    journals: dict[tuple[str, ...], Journal] = {}
    last: tuple[str, ...] = ()
    for number, fields in enumerate(_records(content), start=2):
        voucher = tuple(fields[:3])
        if voucher != last and voucher in journals:
            raise Unreadable(f"line {number}: the lines of {fields[2]} do not stand together")
        if voucher not in journals:
            day = day_of(fields[0], "%Y-%m-%d")
            journals[voucher] = Journal(fields[2], day, {"company": books.account_set, "period": period_of(day)})
        last = voucher
        journals[voucher].legs.append(_leg(fields, number, company.currency))
    return list(journals.values())


def _records(content: bytes) -> list[list[str]]:
    try:
        text = content.decode("gbk")
    except UnicodeDecodeError as wrong:
        raise Unreadable(f"byte {wrong.start} is not GBK") from wrong
    first, *lines = text.split("\r\n")
    if first != FIRST or not lines or lines.pop() != "":
        raise Unreadable(f"it must begin with {FIRST} and every line end with CRLF")
    records = [line.split(",") for line in lines]
    for number, fields in enumerate(records, start=2):
        if len(fields) != FIELDS:
            raise Unreadable(f"line {number} has {len(fields)} fields, not {FIELDS}")
        if "\n" in fields[4] or any(fields[at - 1] != "0" for at in _ZERO):
            raise Unreadable(f"line {number} has no 0 where one belongs")
        if any(len(fields[at - 1]) > most for at, most in _LENGTHS.items()) or not fields[2] or not fields[1]:
            raise Unreadable(f"line {number} has a field that is too long or empty")
    return records


def _leg(fields: Sequence[str], number: int, currency: str) -> Leg:
    sides = fields[6:8]
    if any(not _AMOUNT.fullmatch(side) for side in sides):
        raise Unreadable(f"line {number}: {sides[0]!r} and {sides[1]!r} must have two decimals")
    return two_sides(fields[5], "外币" if fields[9] else currency, sides)


def _keys(content: bytes) -> list[str]:
    lines = [line.split(",") for line in content.decode("gbk", errors="replace").splitlines()[1:]]
    return list(dict.fromkeys(fields[2] for fields in lines if len(fields) > 2 and fields[2]))


def _answer(content: bytes, batch_id: str, said: Sequence[Said]) -> bytes:
    """Every record with three fields more: the mark, the voucher's number, the reason."""
    by_key = {one.journal_key: one for one in said}
    first, *lines = content.split(b"\r\n")
    for at, line in enumerate(lines):
        fields = line.split(b",")
        one = by_key.get(fields[2].decode("gbk", errors="replace")) if len(fields) > 2 else None
        if one is not None:
            mark = TAKEN if one.level == "posted" else REFUSED
            reason = f"{REASONS.get(one.code, '凭证不合法')}：{one.message}" if one.code else ""
            lines[at] = line + f",{mark},{one.erp_document},{reason}".encode("gbk", errors="replace")
    return b"\r\n".join([first, *lines])


def _waits(content: bytes) -> bool:
    """No record carries a mark yet."""
    return not re.search(rb"^(?:[^,\r\n]*,){48}[YN],", content, re.MULTILINE)


FORM: Final = Form(".txt", "{batch_id}.txt", lambda content: True, _read, _keys, _answer, _waits)
