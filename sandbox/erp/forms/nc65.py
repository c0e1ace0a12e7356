"""用友 NC65 外部交换平台, billtype vouchergl: one ufinterface of vouchers, answered with a sendresult for each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final
from xml.etree import ElementTree as Xml

from sandbox.erp.books import Books
from sandbox.erp.entries import Journal, Leg, Said, Unreadable, day_of, two_sides
from sandbox.erp.forms.form import Form
from sandbox.erp.forms.markup import only, parse, text

POSTED, REFUSED = "1", "-32000"
_FIXED: Final = {"billtype": "vouchergl", "replace": "N", "isexchange": "Y"}
_GIVEN: Final = ("account", "groupcode", "orgcode", "receiver", "sender")


def _read(content: bytes, batch_id: str, books: Books) -> list[Journal]:
    root = parse(content, "ufinterface")
    if any(root.get(name) != value for name, value in _FIXED.items()) or not all(root.get(name) for name in _GIVEN):
        raise Unreadable("the attributes of ufinterface are not those of a voucher exchange")
    journals = [_journal(voucher, books) for voucher in root]
    if not journals:
        raise Unreadable("it holds no voucher")
    return journals


def _journal(voucher: Xml.Element, books: Books) -> Journal:
    key, head = voucher.get("id", ""), only(voucher, "voucher_head")
    if voucher.tag != "voucher" or not key:
        raise Unreadable(f"{voucher.tag} is no voucher with an id")
    day = day_of(text(head, "prepareddate"), "%Y-%m-%d")
    period = f"{text(head, 'year')}-{text(head, 'period')}"
    if text(head, "pk_system") != "GL" or text(head, "voucherkind") != "0":
        raise Unreadable(f"{key} is no voucher of the general ledger")
    company = books.company_of(text(head, "pk_accountingbook"))
    base = books.companies[company].currency if company else ""
    journal = Journal(key, day, {"company": company, "period": period})
    items = list(only(head, "details"))
    if [text(item, "detailindex") for item in items] != [str(number) for number in range(1, len(items) + 1)]:
        raise Unreadable(f"the details of {key} are not numbered from 1")
    journal.legs = [_leg(item, base) for item in items]
    return journal


def _leg(item: Xml.Element, base: str) -> Leg:
    """All four amounts of the one side; local, group and global are in the currency of the books."""
    sides = {
        kind: [item.findtext(f"{kind}{side}amount", "") for side in ("debit", "credit")]
        for kind in ("", "local", "group", "global")
    }
    if sides["local"] != sides["group"] or sides["local"] != sides["global"]:
        raise Unreadable("local, group and global amounts differ")
    if not text(item, "explanation"):
        raise Unreadable("a detail has no explanation")
    return two_sides(text(item, "pk_accasoa"), text(item, "pk_currtype"), sides[""], base, sides["local"])


def _keys(content: bytes) -> list[str]:
    try:
        return [voucher.get("id", "") for voucher in parse(content, "ufinterface")]
    except Unreadable:
        return []


def _answer(content: bytes, batch_id: str, said: Sequence[Said]) -> bytes:
    root = Xml.Element("ufinterface", billtype="vouchergl", filename=f"{batch_id}.xml")
    root.set("successful", "N" if any(one.code for one in said) else "Y")
    for one in said:
        result = Xml.SubElement(root, "sendresult")
        told = f"单据 {one.journal_key} 导入成功" if not one.code else f"{one.code}: {one.message}"
        texts = {
            "billpk": "", "bdocid": one.journal_key, "filename": f"{batch_id}.xml",
            "resultcode": REFUSED if one.code else POSTED, "resultdescription": told, "content": one.erp_document,
        }  # fmt: skip
        for tag, value in texts.items():
            Xml.SubElement(result, tag).text = value
    return Xml.tostring(root, encoding="UTF-8", xml_declaration=True)


FORM: Final = Form(
    ".xml", "ack/{batch_id}.ack.xml", lambda content: b"<ufinterface" in content[:1000], _read, _keys, _answer
)
