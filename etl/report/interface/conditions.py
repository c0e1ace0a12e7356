"""Conditions and values of a mapping in words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from etl import model
from etl.report.interface.words import Words

_WORDS: Final = {
    "zero": "is_zero", "not zero": "is_not_zero", "positive": "is_positive", "negative": "is_negative",
    "present": "is_present", "missing": "is_missing",
}  # fmt: skip


def condition(test: Mapping[str, Any], say: Words) -> str:
    """A condition over fields; all its parts must hold."""
    return say("and").join(_part(name, wanted, say) for name, wanted in test.items())


def _part(name: str, wanted: Any, say: Words) -> str:
    if name == "not":
        return say("not", condition=condition(wanted, say))
    if name in ("any", "all"):
        joint = say("or" if name == "any" else "and")
        return say("group", condition=joint.join(condition(one, say) for one in wanted))
    return _field(name, wanted, say)


def _field(name: str, wanted: Any, say: Words) -> str:
    if isinstance(wanted, str):
        return say(_WORDS.get(wanted, "is"), field=name, value=_value(name, wanted, say))
    if isinstance(wanted, list):
        return say("is_one", field=name, values=say.listed(_value(name, one, say) for one in wanted))
    return say("and").join(_test(name, kind, value, say) for kind, value in wanted.items())


def _test(name: str, kind: str, value: Any, say: Words) -> str:
    if kind == "not":
        return say("not", condition=_field(name, value, say))
    if kind in ("equal", "in"):
        return _field(name, value, say)
    if kind == "present":
        return say("is_present" if value == "yes" else "is_missing", field=name)
    return say(f"is_{kind}", field=name, value=_value(name, value, say))


def _value(name: str, value: str, say: Words) -> str:
    """A value of a field; an amount is in minor units."""
    return say("minor", amount=f"{int(value):,}") if _is_amount(name, value) else value


def _is_amount(name: str, value: str) -> bool:
    return model.LINE_FIELDS.get(name) == model.MONEY and value.removeprefix("-").isdigit()


def expression(told: Mapping[str, Any], tables: Mapping[str, Mapping[str, Any]], say: Words) -> str:
    """Where a value of a journal line comes from. In: the expression, and the look-up tables of the journal mapping."""
    if "choose" in told:
        text = say.also(_choice(choice, tables, say) for choice in told["choose"])
    else:
        text = _form(told, tables, say)
    return _limited(text, told, say) if "max" in told else text


def _limited(text: str, told: Mapping[str, Any], say: Words) -> str:
    """The text with the most that it may have, and what happens to more."""
    most = say(f"unit.{told.get('unit', 'characters')}", max=told["max"])
    if told.get("unit") == "bytes":
        most = say("unit.encoded", most=most, encoding=told["encoding"])
    return say("expr.most" if told.get("overflow") == "error" else "expr.cut", text=text, most=most)


def _choice(choice: Mapping[str, Any], tables: Mapping[str, Mapping[str, Any]], say: Words) -> str:
    text = expression(choice, tables, say)
    if "when" not in choice:
        return say("expr.else", text=text)
    return say("expr.when", text=text, condition=condition(choice["when"], say))


def _form(told: Mapping[str, Any], tables: Mapping[str, Mapping[str, Any]], say: Words) -> str:
    if "table" in told:
        use = tables[told["table"]]
        text = say("expr.table", value=use["value"], table=told["table"], key=say.listed(use["key"]))
        return say("expr.valid", text=text, field=use["valid_by"]) if "valid_by" in use else text
    if "company" in told:
        return say("expr.company", attribute=told["company"])
    if told.get("value") == "":
        return say("expr.nothing")
    name = next(form for form in ("value", "field", "template") if form in told)
    return say(f"expr.{name}", **{name: told[name]})
