"""What goes in: the file, its columns, the expense line made of them, and what is checked."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from etl import model
from etl.clean.plan import CODE_CHARACTERS_MAX, Field, Plan
from etl.config import Document
from etl.formats import Format
from etl.mapping import Bundle
from etl.report.interface import fields
from etl.report.interface.conditions import condition
from etl.report.interface.model import Row, Section, Table
from etl.report.interface.words import Words

_SETTLE_SECONDS: Final = "60"
_GATE_SHARES: Final = ("quarantined_pct_max", "largest_company_pct_max", "largest_currency_pct_max")


def sections(bundle: Bundle, say: Words) -> Iterator[Section]:
    """Overview, what goes in, the expense line, the checks."""
    yield _overview(bundle, say)
    format, plan = Format.of(bundle.source["format"]), Plan.of(bundle.source)
    columns = Table(
        say.all("number", "column", "in_headers", "becomes", "type", "length", "required", "format"),
        tuple(_columns(format, plan, say)),
        say("columns"),
    )
    count = len(format.layouts)
    layouts = say("layouts", count=count) if count > 1 else say("layout")
    yield Section(say("in"), (layouts,), (_settings(_file(bundle, format, plan, say), say), columns))
    yield _lines(bundle, plan, say)
    yield _checks(bundle, say)


def where(document: Document, say: Words, *path: str | int) -> str:
    """File and line of a part of a mapping."""
    return say("where", file=document.file, line=document.line(*path))


def _settings(rows: Iterator[Row], say: Words) -> Table:
    return Table(say.all("setting", "said"), tuple(row for row in rows if row[1]))


def _overview(bundle: Bundle, say: Words) -> Section:
    feed = bundle.feed
    rows = iter((
        (say("owner"), feed["owner"]), (say("source_system"), bundle.source_system),
        (say("schedule"), feed["schedule"]), (say("time_zone"), feed["time_zone"]),
    ))  # fmt: skip
    known = ("name", "base_currency", "time_zone", "reversal_style")
    companies = tuple(
        (
            name, company.get("name", ""), company["base_currency"], company["time_zone"],
            say(company["reversal_style"]), bundle.target_of(name)["target"],
            say.listed(f"{key} {value}" for key, value in company.items() if key not in known),
        )
        for name, company in feed["companies"].items()
    )  # fmt: skip
    headings = say.all("company", "name", "base_currency", "time_zone", "reversal_style", "target", "attributes")
    tables = (_settings(rows, say), Table(headings, companies, say("companies")))
    return Section(say("overview"), (feed["description"],), tables)


def _file(bundle: Bundle, format: Format, plan: Plan, say: Words) -> Iterator[Row]:
    source: Mapping[str, Any] = bundle.feed["source"]
    yield say("connection"), source["connection"]
    yield say("files"), source["files"]
    yield say("complete"), say(source["complete"], seconds=source.get("settle_seconds", _SETTLE_SECONDS))
    yield say("release"), say(source["release"])
    yield say("wait"), say("minutes", count=source["wait_minutes"]) if "wait_minutes" in source else ""
    yield say("encoding"), format.encoding
    yield say("delimiter"), say("tab") if format.delimiter == "\t" else format.delimiter
    yield say("line_breaks"), say("yes" if format.line_breaks else "no")
    yield say("decimal"), format.notation.decimal
    yield say("thousands"), format.notation.thousands or say("none")
    yield say("dates"), say.listed(plan.calendar.dates)
    yield say("times"), say.listed(plan.calendar.times)
    marks = (say("mark", line=line, text=text) for line, text in format.preamble_marks.items())
    yield say("preamble"), say.also([str(format.preamble_lines or ""), *marks])
    yield say("trailer"), _trailer(format, say)
    yield say("limits"), say.listed(say(f"limit.{name}", count=f"{count:,}") for name, count in format.limits.items())


def _trailer(format: Format, say: Words) -> str:
    trailer = format.trailer
    if trailer is None:
        return say("none")
    parts = [say("trailer_is", mark=trailer.mark)]
    parts += [] if trailer.count is None else [say("trailer_count", place=trailer.count + 1)]
    parts += [say("trailer_sum", column=column, place=place + 1) for column, place in trailer.sums.items()]
    return say.also(parts)


# --- columns and fields


def _columns(format: Format, plan: Plan, say: Words) -> Iterator[Row]:
    """Every column that some header has, with the fields that it becomes."""
    seen: dict[str, list[tuple[int, str]]] = {}
    for number, layout in enumerate(format.layouts, 1):
        for header, name in zip(layout.header, layout.names, strict=True):
            seen.setdefault(name, []).append((number, header))
    for number, (name, headers) in enumerate(seen.items(), 1):
        users = [field for field in plan.fields.values() if name in field.columns]
        stands = say.listed(_header(name, place, header, say) for place, header in headers)
        rest = _column_of(users, plan, say)
        if name in plan.unpivot:
            field = say("unpivot_column", field="gross_minor", expense_type=plan.unpivot[name])
            rest = (field, say("kind.money"), "", "", _format(Field("gross_minor", model.MONEY), plan, say))
        yield str(number), name, stands, *rest


def _header(name: str, place: int, header: str, say: Words) -> str:
    """The number of a header, with what stands there when it is not the column's name."""
    return str(place) if name == header else say("written_as", number=place, text=repr(header))


def _column_of(users: list[Field], plan: Plan, say: Words) -> Row:
    if not users:
        return say("not_used"), "", "", "", ""
    kinds = dict.fromkeys(say(f"kind.{field.kind}") for field in users)
    formats = dict.fromkeys(_format(field, plan, say) for field in users)
    return (
        say.listed(field.target for field in users), say.listed(kinds),
        say.listed(dict.fromkeys(_length(field) for field in users)),
        say.yes(any(field.required and len(field.columns) == 1 for field in users)), say.also(formats),
    )  # fmt: skip


def _length(field: Field) -> str:
    """The most characters: of a code always, of a text when the mapping says so."""
    most = field.max or (CODE_CHARACTERS_MAX if field.kind == model.CODE else 0)
    return str(most or "")


def _format(field: Field, plan: Plan, say: Words) -> str:
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
    }
    aliases = (say("alias", text=text, code=code) for text, code in (field.aliases or {}).items())
    flags = (say(name) for name in ("upper", "nfkc") if getattr(field, name))
    return say.also([kinds.get(field.kind, ""), *aliases, *flags, say("drops") if field.drops_control else ""])


def _lines(bundle: Bundle, plan: Plan, say: Words) -> Section:
    """The fields of the expense line, where each comes from, and what it must be."""
    headings = say.all("field", "meaning", "from", "type", "length", "required", "format", "defined")
    rows = [
        (
            name, fields.meaning(name, say.place), _origin(field, say), say(f"kind.{field.kind}"), _length(field),
            say.yes(field.required), _format(field, plan, say), where(bundle.source, say, "fields", name),
        )
        for name, field in plan.fields.items()
    ]  # fmt: skip
    made = ("line_no", "expense_type", "gross_minor") if plan.unpivot else ()
    rows += [
        (
            name, fields.meaning(name, say.place), say("from.unpivot"), say(f"kind.{model.LINE_FIELDS[name]}"), "", "",
            "", where(bundle.source, say, "unpivot"),
        )
        for name in made
    ]  # fmt: skip
    notes = [say("lines_note")]
    if plan.split:
        split = bundle.source["split"]
        notes.append(say("split", weight=split["weight"], whole=split["whole"], amounts=say.listed(split["amounts"])))
    return Section(say("lines"), tuple(notes), (Table(headings, tuple(rows)),))


def _origin(field: Field, say: Words) -> str:
    if field.value is not None:
        return say("from.value", value=field.value)
    if field.group:
        return say("from.file", group=field.group)
    if field.template:
        return say("from.template", template=field.template)
    several = len(field.columns) > 1
    source = say(
        "from.columns" if several else "from.column", columns=say.listed(field.columns), column=field.columns[0]
    )
    return say("from.absent", source=source, value=field.absent) if field.absent else source


# --- checks


def _checks(bundle: Bundle, say: Words) -> Section:
    rows = tuple((text, code, where(bundle.feed, say, *path)) for text, code, path in _of_feed(bundle, say))
    tables = [Table(say.all("check", "code", "defined"), rows)]
    policy = tuple(
        (
            check["name"], condition(check["when"], say), say(check["severity"]), check["message"], check["owner"],
            where(rules, say, "checks", number),
        )
        for rules in bundle.rules
        for number, check in enumerate(rules["checks"])
    )  # fmt: skip
    if policy:
        tables.append(Table(say.all("rule", "when", "then", "message", "owner", "defined"), policy, say("policy")))
    gate = tuple(_gate(bundle.feed.get("gate", {}), say))
    notes = [say("checks_note")]
    if gate:
        notes.append(say("gate_note"))
        tables.append(Table(say.all("check", "limit"), gate, say("gate")))
    return Section(say("checks"), tuple(notes), tuple(tables))


def _of_feed(bundle: Bundle, say: Words) -> Iterator[tuple[str, str, tuple[str, ...]]]:
    """Sentence, code and place of every check that the feed asks for, or that is always made."""
    checks: Mapping[str, Any] = bundle.feed["checks"]
    if "states" in checks:
        yield say("check.states", states=say("or").join(checks["states"])), "STATUS", ("checks", "states")
    if "dates" in checks:
        yield say("check.dates", **checks["dates"]), "DATE_RANGE", ("checks", "dates")
    if "age_days_max" in checks:
        days = f"{int(checks['age_days_max']):,}"
        yield say("check.age_days_max", days=days), "DATE_RANGE", ("checks", "age_days_max")
    for name, code in (("not_after_approval", "DATE_ORDER"), ("report_total", "REPORT_TOTAL")):
        if checks.get(name) == "yes":
            yield say(f"check.{name}"), code, ("checks", name)
    if "tax" in checks:
        yield say("check.tax", file=checks["tax"]), "TAX", ("checks", "tax")
    for field, use in checks.get("references", {}).items():
        text = say("check.references", field=field, file=use["file"], key=say.listed(use["key"]))
        yield text, "REFERENCE", ("checks", "references", field)
    if checks.get("zero") != "allowed":
        yield say("check.zero"), "ZERO", ("checks",)
    if checks.get("refunds") == "refused":
        yield say("check.refunds"), "NEGATIVE", ("checks", "refunds")
    severity = checks.get("invoice_repeated", "allowed")
    if severity != "allowed":
        text = say("check.invoice_repeated", severity=say(severity))
        yield text, "INVOICE_REPEATED", ("checks", "invoice_repeated")
    if "approver_id" in bundle.source["fields"]:
        yield say("check.sod"), "SOD", ("checks",)


def _gate(gate: Mapping[str, Any], say: Words) -> Iterator[Row]:
    for name in ("reports", "lines", "approval_days"):
        if name in gate:
            yield say(f"gate.{name}"), _range(gate[name], say)
    for currency, limits in gate.get("gross", {}).items():
        yield say("gate.gross", currency=currency), _range(limits, say)
    for name in _GATE_SHARES:
        if name in gate:
            yield say(f"gate.{name}"), say("at_most", max=gate[name])
    if "pct_from_reports" in gate:
        yield say("gate.pct_from_reports"), gate["pct_from_reports"]
    if "history" in gate:
        history = gate["history"]
        facts = {"deliveries": history["deliveries"], "from": history["from_deliveries"]}
        most = {"lines": history["lines_times_max"], "sigmas": history["gross_sigmas_max"]}
        yield say("gate.history", **facts), say("gate.history_is", **most)


def _range(limits: Mapping[str, str], say: Words) -> str:
    name = "between" if len(limits) == 2 else "at_least" if "min" in limits else "at_most"
    return say(name, **{side: _grouped(limit) for side, limit in limits.items()})


def _grouped(number: str) -> str:
    """A number of a mapping with thousands separators."""
    whole, point, fraction = number.partition(".")
    return f"{int(whole):,}{point}{fraction}"
