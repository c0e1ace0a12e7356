"""金蝶云星空, BatchSave of form GL_VOUCHER: JSON, answered with ResponseStatus, journals by their index (DIndex)."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

from sandbox.erp.books import Books, period_of
from sandbox.erp.entries import Journal, Leg, Said, Unreadable, day_of, one_of, two_sides
from sandbox.erp.forms.form import Form

CURRENCIES: Final = {"PRE001": "CNY"}
VOUCHER: Final = {"FVOUCHERID", "FAccountBookID", "FDate", "FVOUCHERGROUPID", "FEntity"}
LINE: Final = {
    "FEXPLANATION", "FACCOUNTID", "FCURRENCYID", "FEXCHANGERATETYPE", "FEXCHANGERATE", "FAMOUNTFOR", "FDEBIT",
    "FCREDIT", "FBUSNO",
}  # fmt: skip
FIELDS: Final = {
    "UNKNOWN_ACCOUNT": "FACCOUNTID", "CLOSED_PERIOD": "FDate", "NO_PERIOD": "FDate", "UNBALANCED": "FDEBIT",
    "UNKNOWN_COMPANY": "FAccountBookID", "UNKNOWN_CURRENCY": "FCURRENCYID", "BAD_AMOUNT": "FAMOUNTFOR",
    "DUPLICATE": "FBUSNO",
}  # fmt: skip


class _Number(str):
    """A JSON number, as it was written."""


def _read(content: bytes, batch_id: str, books: Books) -> list[Journal]:
    body = _parsed(content)
    if not isinstance(body, dict) or body.get("formid") != "GL_VOUCHER" or not isinstance(body.get("data"), dict):
        raise Unreadable("it is no body for form GL_VOUCHER")
    one_of(body["data"], "ValidateRepeatJson", ["true"])
    vouchers = body["data"].get("Model")
    if not isinstance(vouchers, list) or not vouchers:
        raise Unreadable("Model holds no voucher")
    return [_journal(voucher, books) for voucher in vouchers]


def _parsed(content: bytes) -> Any:
    try:
        return json.loads(content.decode("utf-8"), parse_int=_Number, parse_float=_Number, object_pairs_hook=_unique)
    except ValueError as wrong:
        raise Unreadable(f"it is no JSON in UTF-8: {wrong}") from wrong


def _unique(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    if len(dict(pairs)) != len(pairs):
        raise Unreadable("a key stands twice in one object")
    return dict(pairs)


def _journal(voucher: Mapping[str, Any], books: Books) -> Journal:
    if set(voucher) != VOUCHER or voucher["FVOUCHERID"] != _Number("0"):
        raise Unreadable(f"a new voucher has {', '.join(sorted(VOUCHER))} and FVOUCHERID 0")
    company = books.company_of(_number_of(voucher, "FAccountBookID"))
    day = day_of(voucher["FDate"], "%Y-%m-%d")
    base = books.companies[company].currency if company else ""
    keys = {line.get("FBUSNO") for line in voucher["FEntity"]}
    if len(keys) != 1 or not all(keys):
        raise Unreadable("the lines of a voucher have one FBUSNO")
    journal = Journal(keys.pop(), day, {"company": company, "period": period_of(day)})
    journal.legs = [_leg(line, base) for line in voucher["FEntity"]]
    return journal


def _leg(line: Mapping[str, Any], base: str) -> Leg:
    if missing := LINE - set(line):
        raise Unreadable(f"a line has no {sorted(missing)[0]}")
    amount, debit, credit = (line[name] for name in ("FAMOUNTFOR", "FDEBIT", "FCREDIT"))
    if not all(isinstance(one, _Number) for one in (amount, debit, credit, line["FEXCHANGERATE"])):
        raise Unreadable("amounts and rates must be numbers")
    code = _number_of(line, "FCURRENCYID")
    currency = CURRENCIES.get(code, code)
    if currency == base and (line["FEXCHANGERATE"] != "1" or amount not in (debit, credit)):
        raise Unreadable(f"in {base} the rate is 1 and FAMOUNTFOR is the one side")
    own = (amount, "0") if debit.strip("-0.") else ("0", amount)
    return two_sides(_number_of(line, "FACCOUNTID"), currency, own, base, (debit, credit))


def _number_of(node: Mapping[str, Any], name: str) -> str:
    found = node.get(name)
    if not isinstance(found, dict) or not isinstance(found.get("FNumber"), str):
        raise Unreadable(f"{name} has no FNumber")
    return str(found["FNumber"])


def _keys(content: bytes) -> list[str]:
    try:
        vouchers = _parsed(content)["data"]["Model"]
        return [str(voucher["FEntity"][0]["FBUSNO"]) for voucher in vouchers]
    except (Unreadable, KeyError, IndexError, TypeError):
        return []


def _answer(content: bytes, batch_id: str, said: Sequence[Said]) -> bytes:
    errors = [
        {"FieldName": FIELDS.get(one.code), "Message": f"{one.code}: {one.message}", "DIndex": index}
        for index, one in enumerate(said) if one.code
    ]  # fmt: skip
    saved = [
        {"Id": 100_001 + index, "Number": one.erp_document, "DIndex": index}
        for index, one in enumerate(said) if not one.code
    ]  # fmt: skip
    status = {
        "ErrorCode": 500 if errors else 0, "IsSuccess": not errors, "Errors": errors, "SuccessEntitys": saved,
        "SuccessMessages": [], "MsgCode": 11 if errors else 0,
    }  # fmt: skip
    return json.dumps({"Result": {"ResponseStatus": status}}, ensure_ascii=False).encode()


FORM: Final = Form(".json", "ack/{batch_id}.ack.json", lambda content: True, _read, _keys, _answer)
