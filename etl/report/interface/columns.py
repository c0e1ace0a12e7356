"""How a file of the source is written, and its columns: text with headers or by position, or JSON."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from etl import model
from etl.clean.plan import CODE_CHARACTERS_MAX, Field, Plan
from etl.formats import Format, JsonFormat
from etl.formats.layout import Control, Notation
from etl.formats.levels import Cell, Level
from etl.mapping import Bundle
from etl.report.interface.model import Row, Table
from etl.report.interface.words import Words

_SETTLE_SECONDS: Final = "60"
_FILES_PER_RUN_MAX: Final = "1000"
_REST: Final = ("becomes", "type", "length", "required", "format")


def note(format: Format | JsonFormat, say: Words) -> str:
    """What a file must be as a whole, as a sentence."""
    if isinstance(format, JsonFormat):
        return say("json_note")
    if not format.has_header:
        (layout,) = format.layouts
        return say("positions_note", width=len(layout.names))
    count = len(format.layouts)
    return say("layouts", count=count) if count > 1 else say("layout")


def tables(bundle: Bundle, format: Format | JsonFormat, plan: Plan, say: Words) -> tuple[Table, ...]:
    """The settings of the file and its columns; the levels of a JSON document between them."""
    form = _json(format, say) if isinstance(format, JsonFormat) else _text(format, say)
    rows = (*_file(bundle.feed["source"], say), *form, *_written(bundle, format, plan, say))
    settings = Table(say.all("setting", "said"), tuple(row for row in rows if row[1]))
    if isinstance(format, JsonFormat):
        headings = (*say.all("number", "column", "read_from"), *say.all(*_REST))
        columns = Table(headings, tuple(_json_columns(format, plan, say)), say("columns"))
        return settings, _level_table(format, bundle.source["format"], say), columns
    place = "in_headers" if format.has_header else "place"
    headings = (*say.all("number", "column", place), *say.all(*_REST))
    return settings, Table(headings, tuple(_columns(format, plan, say)), say("columns"))


# --- settings


def _file(source: Mapping[str, Any], say: Words) -> Iterator[Row]:
    yield say("connection"), source["connection"]
    yield say("files"), source["files"]
    yield say("complete"), say(source["complete"], seconds=source.get("settle_seconds", _SETTLE_SECONDS))
    yield say("release"), say(source["release"])
    yield say("repeated"), say(f"repeated.{source.get('repeated_content', 'duplicate')}")
    yield say("sequence"), source.get("sequence", {}).get("number", "")
    listed = source.get("list", {})
    yield say("approved_list"), listed.get("files") or listed.get("table", "")
    yield say("files_max"), f"{int(source.get('files_per_run_max', _FILES_PER_RUN_MAX)):,}"
    yield say("wait"), say("minutes", count=source["wait_minutes"]) if "wait_minutes" in source else ""


def _text(format: Format, say: Words) -> Iterator[Row]:
    yield say("encoding"), format.encoding
    yield say("delimiter"), say("tab") if format.delimiter == "\t" else format.delimiter
    yield say("quotes"), say("quotes.enclose" if format.quoted else "quotes.plain")
    yield say("line_breaks"), say("yes" if format.line_breaks else "no")
    marks = (say("mark", line=line, text=text) for line, text in format.preamble_marks.items())
    yield say("preamble"), say.also([str(format.preamble_lines or ""), *marks])
    yield say("control_header"), _control(format.control_header, say)
    yield say("records"), say.also(say("trailer_is", mark=one.mark) for one in format.layouts if one.mark)
    yield say("trailer"), _control(format.trailer, say)


def _control(control: Control | None, say: Words) -> str:
    """What a control record says, and where."""
    if control is None:
        return say("none")
    parts = [say("trailer_is", mark=control.mark)]
    parts += [say("control_width", count=control.width)] if control.width else []
    parts += [] if control.count is None else [say("trailer_count", place=control.count + 1)]
    parts += [say("trailer_sum", column=column, place=place + 1) for column, place in control.sums.items()]
    parts += [say("control_keep", name=name, place=place + 1) for name, place in control.kept.items()]
    return say.also(parts)


def _json(format: JsonFormat, say: Words) -> Iterator[Row]:
    yield say("form"), say("form.json")
    yield say("count"), ".".join(format.count)


def _written(bundle: Bundle, format: Format | JsonFormat, plan: Plan, say: Words) -> Iterator[Row]:
    """How numbers and dates are written, and what is too much."""
    notation = Notation.of(bundle.source["format"])
    yield say("decimal"), notation.decimal
    yield say("thousands"), notation.thousands or say("none")
    flags = (say(name) for name in ("plus_sign", "extra_zeros") if getattr(notation, name))
    yield say("numbers"), say.also(flags)
    yield say("dates"), say.listed(plan.calendar.dates)
    yield say("times"), say.listed(plan.calendar.times)
    yield say("limits"), say.listed(say(f"limit.{name}", count=f"{count:,}") for name, count in format.limits.items())


# --- levels of a JSON document


def levels(level: Level, outside: str = "") -> Iterator[tuple[str, Level]]:
    """A level and all below it, in order, each with the path of its array from the document, arrays marked by []."""
    path = ".".join(part for part in (outside, *level.array) if part) + "[]"
    yield path, level
    for one in level.below:
        yield from levels(one, path)


def _level_table(format: JsonFormat, written: Mapping[str, Any], say: Words) -> Table:
    """Arrays, what must stand in them, and what is left unread on purpose."""
    told = [written["records"]]
    rows: list[Row] = [("", say("the_document"), "", "", say.listed(written.get("ignored", [])))]
    for number, (path, level) in enumerate(levels(format.records), 1):
        entry = told.pop(0)
        told = [*entry.get("levels", []), *told]
        marks = (say("mark_is", path=".".join(at), text=text) for at, text in level.marks.items())
        rows.append((str(number), path, level.number, say.also(marks), say.listed(entry.get("ignored", []))))
    headings = say.all("level", "array", "number_column", "marks", "unread")
    return Table(headings, tuple(rows), say("levels"))


def _json_columns(format: JsonFormat, plan: Plan, say: Words) -> Iterator[Row]:
    """Every column of any level, with the paths it is read from and the fields that it becomes."""
    read: dict[str, list[str]] = {}
    for number, (_, level) in enumerate(levels(format.records), 1):
        told = {level.number: say("json.number")} if level.number else {}
        told |= {name: _cell(cell, say) for name, cell in level.cells.items()}
        for name, text in told.items():
            read.setdefault(name, []).append(say("json.level", level=number, text=text))
    for number, (name, places) in enumerate(read.items(), 1):
        yield str(number), name, "\n".join(places), *_becomes(name, plan, say)


def _cell(cell: Cell, say: Words) -> str:
    """Where an element of a level holds the text of a column."""
    if cell.take:
        array, where, take = (".".join(path) for path in (cell.array, cell.where, cell.take))
        return say("json.sibling", take=take, array=array, where=where)
    if not cell.paths:
        return say("json.value", value=cell.value)
    places = [".".join(path) for path in cell.paths]
    text = places[0] if len(places) == 1 else say("json.first", paths=say.listed(places))
    if cell.value:
        text = say("json.absent", text=text, value=cell.value)
    return say("json.as_number", text=text) if cell.number else text


# --- columns


def _columns(format: Format, plan: Plan, say: Words) -> Iterator[Row]:
    """Every column that some header has, with the fields that it becomes."""
    seen: dict[str, list[tuple[int, str]]] = {}
    for number, layout in enumerate(format.layouts, 1):
        for place, name in layout.taken.items():
            stands = (number, layout.header[place]) if format.has_header else (place + 1, name)
            seen.setdefault(name, []).append(stands)
    for number, (name, headers) in enumerate(seen.items(), 1):
        stands_in = say.listed(_header(name, place, header, say) for place, header in headers)
        yield str(number), name, stands_in, *_becomes(name, plan, say)


def _becomes(column: str, plan: Plan, say: Words) -> Row:
    """The fields that a column becomes, or what else is made of it, with type, length, required and format."""
    if column in plan.unpivot:
        field = say("unpivot_column", field="gross_minor", expense_type=plan.unpivot[column])
        return field, say("kind.money"), "", "", form(Field("gross_minor", model.MONEY), plan, say)
    users = [field for field in plan.fields.values() if column in field.columns]
    sums = [one.name for one in plan.sums if column in (*one.per, one.named, *one.parts)]
    row = _column_of(users, plan, say)
    return (say("for_sums", sums=say.listed(sums)), *row[1:]) if sums and not users else row


def _header(name: str, place: int, header: str, say: Words) -> str:
    """The number of a header, with what stands there when it is not the column's name."""
    return str(place) if name == header else say("written_as", number=place, text=repr(header))


def _column_of(users: list[Field], plan: Plan, say: Words) -> Row:
    if not users:
        return say("not_used"), "", "", "", ""
    kinds = dict.fromkeys(say(f"kind.{field.kind}") for field in users)
    formats = dict.fromkeys(form(field, plan, say) for field in users)
    return (
        say.listed(field.target for field in users), say.listed(kinds),
        say.listed(dict.fromkeys(length(field) for field in users)),
        say.yes(any(field.required and len(field.columns) == 1 for field in users)), say.also(formats),
    )  # fmt: skip


def length(field: Field) -> str:
    """The most characters: of a code always, of a text when the mapping says so."""
    most = field.max or (CODE_CHARACTERS_MAX if field.kind == model.CODE else 0)
    return str(most or "")


def form(field: Field, plan: Plan, say: Words) -> str:
    calendar = plan.calendar
    times = say.listed(calendar.times)
    kinds = {
        model.CODE: say("pattern", pattern=field.pattern),
        model.DATE: say(f"as.{field.month_day}") if field.month_day else say.listed(calendar.dates),
        model.TIME: say("zoned", format=times, zone=calendar.zone) if calendar.zone else times,
        model.MONEY: say("money_format", decimal=plan.notation.decimal),
        model.INTEGER: say("decimals", count=field.decimals) if field.decimals else "",
        model.CURRENCY: say("iso_currency"),
        model.RATE: say("positive_decimal"),
        model.PERCENT: say("percent_format"),
    }
    aliases = (say("alias", text=text, code=code) for text, code in (field.aliases or {}).items())
    flags = (say(name) for name in ("upper", "nfkc") if getattr(field, name))
    return say.also([kinds.get(field.kind, ""), *aliases, *flags, say("drops") if field.drops_control else ""])
