"""What a condition can and cannot mean, decided when a mapping is loaded: tests that fit no field, and choices that
are never reached.

The test of one field is a set of half-open ranges of its values, ordered as `etl.lookup.matches` compares them; a
prefix is such a range too. A condition is a list of boxes, one set for each field it names. Fields are taken as
independent, so what is said here to be impossible is so on every line (B130).
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from etl import model, money

PERIOD: Final = "period"
# Columns that the mapping itself adds to the expense lines (etl.mapping.apply), and what they hold.
DERIVED_FIELDS: Final = {
    "base_currency": model.CURRENCY, "posting_date": model.DATE, "original_date": model.DATE, "period": PERIOD,
    "bearer": model.CODE, "claim_company": model.CODE,
}  # fmt: skip
KINDS: Final[Mapping[str, str]] = {**model.LINE_FIELDS, **DERIVED_FIELDS}
NUMBERS: Final = (model.MONEY, model.INTEGER)
BOXES_MAX: Final = 200

Path = tuple[str | int, ...]
Finding = tuple[Path, str]
# A bound is (-1,) before all values, (0, value), or (1,) after all of them; a range holds its lower bound only.
Bound = tuple[Any, ...]
Spans = tuple[tuple[Bound, Bound], ...]
Box = Mapping[str, Spans]

_WORDS: Final = ("zero", "not zero", "positive", "negative")
_ORDERS: Final = ("above", "below", "from", "to")
_INTEGER: Final = re.compile(r"0|-?[1-9][0-9]{0,17}")
_TIME: Final = "%Y-%m-%dT%H:%M:%SZ"


class Undecided(Exception):
    """A condition with more combinations than are looked at."""


# --- tests that fit no field


def problems(condition: Mapping[str, Any], path: Path) -> Iterator[Finding]:
    """Place and reason of every test that names no field or cannot be meant of it, and a condition that never holds."""
    found = list(_test_problems(condition, path))
    yield from found
    if not found and not _possible(condition):
        yield path, "can never hold: no value meets all of its tests"


def _test_problems(condition: Mapping[str, Any], path: Path) -> Iterator[Finding]:
    for name, test in condition.items():
        if name in ("any", "all"):
            for number, part in enumerate(test):
                yield from _test_problems(part, (*path, name, number))
        elif name == "not":
            yield from _test_problems(test, (*path, name))
        elif name not in KINDS:
            yield (*path, name), f"no field {name!r} of an expense line"
        else:
            yield from (((*path, name), detail) for detail in _unfit(name, test))


def _unfit(name: str, test: Any) -> Iterator[str]:
    """Why a test cannot be meant of a field. A text alone is `equal`, a list is `in`, some words are tests."""
    kind = KINDS[name]
    if isinstance(test, str) and test in _WORDS and kind not in NUMBERS:
        yield f"{test!r} is a test of amounts, {name} is {_a(kind)}; a code of that name is {{equal: {test}}}"
        return
    if test in ("present", "missing"):
        test = {"present": "yes"}
    if isinstance(test, str):
        test = {"equal": test} if test not in _WORDS else {}
    for word, wanted in ({"in": test} if isinstance(test, list) else test).items():
        if word == "not":
            yield from _unfit(name, wanted)
        elif kind in NUMBERS and word in ("prefix", "present"):
            yield f"{word!r} is a test of text, {name} is {_a(kind)}; say zero, positive, above or from"
        elif kind in (model.RATE, model.PERCENT) and word in _ORDERS:
            yield f"{word!r} would compare letters: a rate is text here"
        elif word != "present":
            values = wanted if isinstance(wanted, list) else [wanted]
            yield from (detail for value in values if (detail := _ill_written(name, kind, word, value)))


def _ill_written(name: str, kind: str, word: str, value: str) -> str:
    """What is wrong with one value of a test, "" when nothing is."""
    if kind in NUMBERS:
        return "" if _INTEGER.fullmatch(value) else f"{value!r} is no whole number; amounts are in minor units"
    if word == "prefix" or (value == "" and word not in _ORDERS):
        return "" if value or word != "prefix" else "an empty prefix holds for every text"
    if kind == model.CURRENCY and word in ("equal", "in") and value not in money.EXPONENT:
        return f"{value!r} is no currency of ISO 4217"
    pattern = {model.DATE: "%Y-%m-%d", model.TIME: _TIME, PERIOD: "%Y-%m"}.get(kind)
    if pattern and not _is_written(value, pattern):
        example = datetime.datetime(2026, 3, 31, 16, 30).strftime(pattern)
        return f"{value!r} is no {kind} written {example}, so {name} never compares with it"
    return ""


def _is_written(value: str, pattern: str) -> bool:
    try:
        return datetime.datetime.strptime(value, pattern).strftime(pattern) == value
    except ValueError:
        return False


def _a(kind: str) -> str:
    return {model.MONEY: "an amount", model.INTEGER: "a number"}.get(kind, f"a {kind}" if kind != model.TEXT else kind)


# --- which values a condition holds for


def unreached(conditions: Sequence[Mapping[str, Any]], inside: Mapping[str, Any]) -> Iterator[tuple[int, str]]:
    """Number and reason of each choice that no line reaches, first match wins; {} is a choice without `when`.

    `inside` is the condition under which the choices are asked at all ({} for always).
    """
    taken: list[Box] = []
    for number, condition in enumerate(conditions):
        try:
            mine = _all([boxes(inside), boxes(condition)])
            left = _without(mine, taken)
        except Undecided:
            continue
        taken += mine
        if not mine:
            yield number, "is never reached: its condition and that of the journal line exclude each other"
        elif not left:
            yield number, f"is never reached: {_covering(conditions[:number])}"


def _possible(condition: Mapping[str, Any]) -> bool:
    try:
        return bool(boxes(condition))
    except Undecided:
        return True


def _covering(before: Sequence[Mapping[str, Any]]) -> str:
    """Which choices take everything."""
    if {} in before:
        return "the choice before it has no `when`" if before[-1] == {} else "a choice before it has no `when`"
    return "the choice before it takes all of it" if len(before) == 1 else "the choices before it take all of it"


def boxes(condition: Mapping[str, Any], holds: bool = True) -> list[Box]:
    """The boxes of values for which a condition holds (or does not). Raises Undecided beyond BOXES_MAX."""
    return (_all if holds else _any)([_part(name, test, holds) for name, test in condition.items()])


def _part(name: str, test: Any, holds: bool) -> list[Box]:
    if name == "not":
        return boxes(test, not holds)
    if name in ("any", "all"):
        return (_any if (name == "any") == holds else _all)([boxes(part, holds) for part in test])
    whole = _whole(name)
    spans = _number_spans(test) if KINDS[name] in NUMBERS else _text_spans(test)
    spans = spans if holds else _complement(spans, whole)
    return [{name: spans}] if spans else []


def _all(parts: Sequence[list[Box]]) -> list[Box]:
    out: list[Box] = [{}]
    for part in parts:
        out = [both for one in out for other in part if (both := _both(one, other)) is not None]
        if len(out) > BOXES_MAX:
            raise Undecided
    return out


def _any(parts: Sequence[list[Box]]) -> list[Box]:
    return [box for part in parts for box in part]


def _both(one: Box, other: Box) -> Box | None:
    """What two boxes share, None when that is nothing."""
    out = {**one, **{name: _intersection(one.get(name, _whole(name)), spans) for name, spans in other.items()}}
    return out if all(out.values()) else None


def _without(wanted: Sequence[Box], taken: Sequence[Box]) -> list[Box]:
    """What is left of boxes when others are taken out."""
    left = list(wanted)
    for other in taken:
        left = [rest for box in left for rest in _minus(box, other)]
        if len(left) > BOXES_MAX:
            raise Undecided
    return left


def _minus(box: Box, other: Box) -> Iterator[Box]:
    """A box without another, in boxes that do not meet."""
    for name, spans in other.items():
        whole = _whole(name)
        mine = box.get(name, whole)
        if outside := _intersection(mine, _complement(spans, whole)):
            yield {**box, name: outside}
        inside = _intersection(mine, spans)
        if not inside:
            return
        box = {**box, name: inside}


# --- ranges


def _whole(name: str) -> Spans:
    return _NUMBERS if KINDS[name] in NUMBERS else _TEXTS


def _intersection(one: Spans, other: Spans) -> Spans:
    both = ((max(a[0], b[0]), min(a[1], b[1])) for a in one for b in other)
    return tuple(sorted(span for span in both if span[0] < span[1]))


def _complement(spans: Spans, whole: Spans) -> Spans:
    (start, end) = whole[0]
    edges = [start, *(edge for span in _joined(spans) for edge in span), end]
    return tuple((a, b) for a, b in zip(edges[::2], edges[1::2], strict=True) if a < b)


def _joined(spans: Spans) -> Spans:
    """Ranges in order, those that meet or overlap made one."""
    out: list[tuple[Bound, Bound]] = []
    for start, end in sorted(spans):
        if out and start <= out[-1][1]:
            out[-1] = (out[-1][0], max(out[-1][1], end))
        else:
            out.append((start, end))
    return tuple(out)


_NUMBERS: Final[Spans] = (((-1,), (1,)),)
_TEXTS: Final[Spans] = (((0, ""), (1,)),)
_PRESENT: Final[Spans] = (((0, "\0"), (1,)),)
_WORD_SPANS: Final[Mapping[str, Spans]] = {
    "zero": (((0, 0), (0, 1)),),
    "not zero": (((-1,), (0, 0)), ((0, 1), (1,))),
    "positive": (((0, 1), (1,)),),
    "negative": (((-1,), (0, 0)),),
}


def _number_spans(test: Any) -> Spans:
    """The numbers for which a test of a number holds; n alone is n up to n + 1."""
    if isinstance(test, str):
        return _WORD_SPANS[test] if test in _WORD_SPANS else (((0, int(test)), (0, int(test) + 1)),)
    out = _NUMBERS
    for word, wanted in ({"in": test} if isinstance(test, list) else test).items():
        if word == "not":
            spans = _complement(_number_spans(wanted), _NUMBERS)
        elif word in ("equal", "in"):
            spans = tuple(_number_spans(n)[0] for n in ([wanted] if word == "equal" else wanted))
        else:
            spans = _side(word, (0, int(str(wanted)) + (word in ("above", "to"))), _NUMBERS)
        out = _intersection(out, _joined(spans))
    return out


def _text_spans(test: Any) -> Spans:
    """The texts for which a test of text holds; the first text after T is T and a NUL."""
    if test in ("present", "missing"):
        return _text_spans({"present": "yes" if test == "present" else "no"})
    if isinstance(test, str):
        return (((0, test), (0, test + "\0")),)
    out = _TEXTS
    for word, wanted in ({"in": test} if isinstance(test, list) else test).items():
        out = _intersection(out, _joined(_of_word(word, wanted)))
    return out


def _of_word(word: str, wanted: Any) -> Spans:
    """The texts for which one word of a test holds."""
    if word == "not":
        return _complement(_text_spans(wanted), _TEXTS)
    if word in ("equal", "in"):
        return tuple(_text_spans(one)[0] for one in ([wanted] if word == "equal" else wanted))
    if word == "prefix":
        return (((0, wanted), _after_prefix(wanted)),)
    if word == "present":
        return _PRESENT if wanted == "yes" else _complement(_PRESENT, _TEXTS)
    return _side(word, (0, wanted + ("\0" if word in ("above", "to") else "")), _PRESENT)


def _side(word: str, edge: Bound, whole: Spans) -> Spans:
    """What lies on one side of an edge."""
    return _intersection(whole, ((edge, (1,)),) if word in ("above", "from") else (((-1,), edge),))


def _after_prefix(prefix: str) -> Bound:
    """The first text after all that begin with a prefix."""
    rest = prefix.rstrip("\U0010ffff")
    return (0, rest[:-1] + chr(ord(rest[-1]) + 1)) if rest else (1,)
