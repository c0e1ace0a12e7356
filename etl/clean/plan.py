"""The field map of a source mapping as values, and everything that can be wrong with it."""

from __future__ import annotations

import re
import zoneinfo
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc

from etl import formats, model
from etl.clean.dates import MONTHS, Calendar, unreadable_format
from etl.errors import ConfigurationError
from etl.formats.layout import Notation

# What a code may hold when the mapping declares no pattern: ASCII only, so that no look-alike letter passes.
CODE_PATTERN: Final = r"[A-Za-z0-9_./-]+"
CODE_CHARACTERS_MAX: Final = 100
_PLACE: Final = re.compile(r"\{([a-z_]+)\}")
_NEEDED: Final = ("company", "report_id", "document_currency", "gross_minor")
# The currency of an amount stands in another field.
CURRENCY_OF: Final = {"original_minor": "original_currency"}


@dataclass(frozen=True)
class Field:
    """Where one field of the expense line comes from, and what its texts must be."""

    target: str
    kind: str
    columns: tuple[str, ...] = ()
    first_of: tuple[str, ...] = ()
    adds: bool = False
    value: str | None = None
    group: str = ""
    template: str = ""
    absent: str = ""
    month_day: str = ""
    pattern: str = CODE_PATTERN
    max: int = 0
    decimals: int = 0
    required: bool = False
    upper: bool = False
    trim: bool = True
    nfkc: bool = False
    drops_control: bool = False
    aliases: Mapping[str, str] | None = None

    def column(self, present: frozenset[str]) -> str:
        """The first of its columns that the file has, "" when it has none."""
        return next((column for column in self.columns if column in present), "")

    def name(self, present: frozenset[str]) -> str:
        """What a reject calls it: the source's column where there is one, else the field."""
        if self.adds:
            return " + ".join(self.columns)
        return self.column(present) or (self.columns[0] if self.columns else self.target)

    @property
    def places(self) -> tuple[str, ...]:
        """The names between braces in its template."""
        return tuple(_PLACE.findall(self.template))


def pieces(text: str) -> list[str]:
    """Text and names between braces by turns, text first: a column's name in `first_of` is itself one such name."""
    return _PLACE.split(text) if _PLACE.search(text) else ["", text, ""]


@dataclass(frozen=True)
class Split:
    """Parts of one expense line: the weight field, what the weights add up to, and the amounts to be split."""

    weight: str
    whole: int
    decimals: int
    amounts: tuple[str, ...]


@dataclass(frozen=True)
class Sum:
    """Columns of the raw file that must add up, per group of rows: the parts, and their total (added up or stated)."""

    name: str
    per: tuple[str, ...]
    total: str
    stated: str
    parts: tuple[str, ...]

    @property
    def named(self) -> str:
        """The column that holds the total."""
        return self.total or self.stated


@dataclass(frozen=True)
class Plan:
    """How the raw rows of one source become expense lines; made by `Plan.of`."""

    source: str
    fields: Mapping[str, Field]
    unpivot: Mapping[str, str]
    split: Split | None
    sums: tuple[Sum, ...]
    notation: Notation
    calendar: Calendar

    @classmethod
    def of(cls, source: Mapping[str, Any]) -> Plan:
        """From a source document; raises ConfigurationError for the first thing that is wrong with it."""
        for problem in check(source):
            raise problem
        return _read(source)


def check(source: Mapping[str, Any]) -> list[ConfigurationError]:
    """Everything wrong with a source document that its schema cannot see, with file and line."""
    try:
        format = formats.declared(source["format"])
    except ConfigurationError as error:
        path = str(error.facts["field"])
        return [_problem(source, tuple(path.split(".")), str(error.facts["detail"]))]
    plan, columns = _read(source), format.columns
    layouts = [frozenset(one.taken.values()) for one in getattr(format, "layouts", ())]
    found = [
        *_fields(plan, columns),
        *_added(plan, layouts),
        *_unpivot(plan, columns),
        *_split(plan),
        *_sums(plan, columns),
    ]
    return [_problem(source, path, detail) for path, detail in found]


def _problem(source: Mapping[str, Any], path: tuple[str, ...], detail: str) -> ConfigurationError:
    keys = tuple(int(part) if part.isdigit() else part for part in path)
    line = source.line(*keys) if hasattr(source, "line") else 1
    file = getattr(source, "file", f"{source['source']}.yml")
    return ConfigurationError("SCHEMA", file=file, line=line, field=".".join(path), detail=detail)


def _read(source: Mapping[str, Any]) -> Plan:
    format, split = source["format"], source.get("split")
    unpivot = source.get("unpivot", {}).get("columns", {})
    return Plan(
        source=source["source"],
        fields={target: _field(target, entry, split) for target, entry in source["fields"].items()},
        unpivot=unpivot,
        split=_read_split(split) if split else None,
        sums=tuple(_read_sum(name, entry) for name, entry in source.get("sums", {}).items()),
        notation=Notation.of(format),
        calendar=Calendar(
            dates=_listed(format.get("dates", [])),
            times=_listed(format.get("times", [])),
            zone=format.get("time_zone", ""),
            repeated_hour=format.get("repeated_hour", "refuse"),
        ),
    )


def _listed(value: str | list[str]) -> tuple[str, ...]:
    return (value,) if isinstance(value, str) else tuple(value)


def columns(entry: Mapping[str, Any]) -> tuple[str, ...]:
    """The columns of the source that one of its fields may be read from."""
    named = [name for text in entry.get("first_of", ()) for name in pieces(text)[1::2]]
    return (entry["column"],) if "column" in entry else tuple(entry.get("columns") or entry.get("sum", named))


def _field(target: str, entry: Mapping[str, Any], split: Mapping[str, Any] | None) -> Field:
    weight = split is not None and split["weight"] == target
    first_of = tuple(entry.get("first_of", ()))
    flags = {name: entry.get(name, "no") == "yes" for name in ("required", "upper", "nfkc")}
    return Field(
        target=target,
        kind=entry.get("kind") or model.LINE_FIELDS.get(target, model.TEXT),
        columns=columns(entry),
        first_of=first_of,
        adds="sum" in entry,
        value=entry.get("value"),
        group=entry.get("file", ""),
        template=entry.get("template", ""),
        absent=entry.get("absent", ""),
        month_day=entry.get("as", ""),
        pattern=entry.get("pattern", CODE_PATTERN),
        max=int(entry.get("max", "0")),
        decimals=int(split.get("decimals", "0")) if weight and split else 0,
        trim=entry.get("trim", "yes") == "yes",
        drops_control=entry.get("control_characters", "refuse") == "remove",
        aliases=entry.get("aliases"),
        **flags,
    )


def _read_split(split: Mapping[str, Any]) -> Split:
    decimals = int(split.get("decimals", "0"))
    return Split(split["weight"], int(split["whole"]) * 10**decimals, decimals, tuple(split["amounts"]))


def _read_sum(name: str, entry: Mapping[str, Any]) -> Sum:
    return Sum(name, tuple(entry["per"]), entry.get("total", ""), entry.get("stated", ""), tuple(entry["parts"]))


def _fields(plan: Plan, columns: frozenset[str]) -> Iterator[tuple[tuple[str, ...], str]]:
    made = {"gross_minor", "expense_type", "line_no"} if plan.unpivot else set()
    for name in _NEEDED:
        if name not in plan.fields and name not in made:
            yield ("fields",), f"{name} is missing: no line can be booked without it"
    for target, field in plan.fields.items():
        path = ("fields", target)
        if target not in model.LINE_FIELDS:
            yield path, "not a field of the expense line"
        if target in made:
            yield path, "unpivot makes this field"
        for column in field.columns:
            if column not in columns:
                yield path, f"no layout has a column {column!r}"
        for place in field.places:
            if plan.fields.get(place) and plan.fields[place].template:
                yield path, f"{place} is a template itself"
        yield from ((path, detail) for detail in _grammar(field, plan))


def _added(plan: Plan, layouts: Sequence[frozenset[str]]) -> Iterator[tuple[tuple[str, ...], str]]:
    """Fields that are sums of columns: only amounts are, and every layout must have all of the columns."""
    for target, field in plan.fields.items():
        if not field.adds:
            continue
        if field.kind != model.MONEY:
            yield ("fields", target, "sum"), f"{target} is no amount; only amounts are added up"
        for number, layout in enumerate(layouts, 1):
            for column in field.columns:
                if column not in layout and any(column in other for other in layouts):
                    yield ("fields", target, "sum"), f"layout {number} has no column {column!r}, so nothing to add"


def _grammar(field: Field, plan: Plan) -> Iterator[str]:
    try:
        pc.match_substring_regex(pa.array(["x"]), f"^(?:{field.pattern})$")
    except pa.ArrowInvalid as error:
        yield f"pattern: {str(error).splitlines()[0]}"
    model_kind = model.LINE_FIELDS.get(field.target, field.kind)
    number = {model.MONEY, model.INTEGER}
    if (field.kind in number or model_kind in number) and field.kind != model_kind and model_kind != model.TEXT:
        yield f"kind {field.kind} does not fit a field of kind {model_kind}"
    currency = CURRENCY_OF.get(field.target, "document_currency")
    if field.kind == model.MONEY and currency not in plan.fields:
        yield f"an amount needs its currency: map {currency}"
    if field.month_day and field.month_day not in MONTHS:
        yield f"as: one of {', '.join(MONTHS)}"
    if field.kind in (model.DATE, model.TIME) and not field.month_day:
        yield from _calendar(field.kind, plan.calendar)


def _calendar(kind: str, calendar: Calendar) -> Iterator[str]:
    formats = calendar.dates if kind == model.DATE else calendar.times
    if not formats:
        yield f"format.{kind}s says nothing"
    for format in formats:
        problem = unreadable_format(format, kind == model.TIME)
        if problem:
            yield f"format.{kind}s {format!r}: {problem}"
        elif kind == model.TIME and not format.endswith(("Z", "%z")) and not calendar.zone:
            yield f"format.times {format!r} names no zone: add format.time_zone"
    if calendar.zone and calendar.zone not in zoneinfo.available_timezones():
        yield f"format.time_zone: no zone is called {calendar.zone!r}"


def _unpivot(plan: Plan, columns: frozenset[str]) -> Iterator[tuple[tuple[str, ...], str]]:
    for column in plan.unpivot:
        if column not in columns:
            yield ("unpivot", "columns", column), f"no layout has a column {column!r}"
    if plan.unpivot and plan.split:
        yield ("split",), "a source is unpivoted or split, not both"


def _split(plan: Plan) -> Iterator[tuple[tuple[str, ...], str]]:
    if plan.split is None:
        return
    for name in (plan.split.weight, "line_no", "allocation_no", *plan.split.amounts):
        if name not in plan.fields:
            yield ("split",), f"{name} is not mapped"
    for name in plan.split.amounts:
        if model.LINE_FIELDS.get(name) != model.MONEY:
            yield ("split", "amounts"), f"{name} is no amount"


def _sums(plan: Plan, columns: frozenset[str]) -> Iterator[tuple[tuple[str, ...], str]]:
    for one in plan.sums:
        for column in (*one.per, one.named, *one.parts):
            if column not in columns:
                yield ("sums", one.name), f"no layout has a column {column!r}"
    if plan.sums and plan.unpivot:
        yield ("sums",), "an unpivoted source has its own total: `report_total` in the feed"
