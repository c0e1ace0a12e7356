"""What goes in: the file, its columns, the expense line made of them, and what is checked."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from etl import formats, model
from etl.clean.plan import Field, Plan
from etl.mapping import Bundle
from etl.report.interface import chinese, columns, fields
from etl.report.interface.columns import form, length
from etl.report.interface.conditions import condition
from etl.report.interface.model import Row, Section, Table
from etl.report.interface.words import Words

_OF_COMPANY: Final = ("name", "base_currency", "time_zone", "reversal_style", "closed_period")
_GATE_SHARES: Final = ("quarantined_pct_max", "largest_company_pct_max", "largest_currency_pct_max")


def sections(bundle: Bundle, say: Words) -> Iterator[Section]:
    """Overview, what goes in, the expense line, the checks."""
    yield _overview(bundle, say)
    format, plan = formats.declared(bundle.source["format"]), Plan.of(bundle.source)
    yield Section(say("in"), (columns.note(format, say),), columns.tables(bundle, format, plan, say))
    yield _lines(bundle, plan, say)
    yield _checks(bundle, say)


def _overview(bundle: Bundle, say: Words) -> Section:
    feed = bundle.feed
    rows = (
        (say("owner"), feed["owner"]), (say("source_system"), bundle.source_system),
        (say("schedule"), feed["schedule"]), (say("time_zone"), feed["time_zone"]),
        (say("mode"), say(f"mode.{feed.get('mode', 'live')}")),
    )  # fmt: skip
    companies = tuple(
        (
            name, company.get("name", ""), company["base_currency"], company["time_zone"],
            say(company["reversal_style"]), bundle.target_of(name)["target"],
            say.listed(f"{key} {value}" for key, value in company.items() if key not in _OF_COMPANY),
        )
        for name, company in feed["companies"].items()
    )  # fmt: skip
    headings = say.all("company", "name", "base_currency", "time_zone", "reversal_style", "target", "attributes")
    tables = (Table(say.all("setting", "said"), rows), Table(headings, companies, say("companies")))
    return Section(say("overview"), (feed["description"],), tables)


# --- fields


def _lines(bundle: Bundle, plan: Plan, say: Words) -> Section:
    """The fields of the expense line, where each comes from, and what it must be."""
    headings = say.all("field", "meaning", "from", "type", "length", "required", "format", "defined")
    rows = [
        (
            name, fields.meaning(name, say.place), _origin(field, say), say(f"kind.{field.kind}"), length(field),
            say.yes(field.required), form(field, plan, say), say.where(bundle.source, "fields", name),
        )
        for name, field in plan.fields.items()
    ]  # fmt: skip
    made = ("line_no", "expense_type", "gross_minor") if plan.unpivot else ()
    rows += [
        (
            name, fields.meaning(name, say.place), say("from.unpivot"), say(f"kind.{model.LINE_FIELDS[name]}"), "", "",
            "", say.where(bundle.source, "unpivot"),
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
    if field.adds:
        return say("from.sum", columns=say.listed(field.columns))
    if field.first_of:
        text = say("from.first_of", columns=say.listed(field.first_of))
        return say.also([text, say("from.braces") if any("{" in one for one in field.first_of) else ""])
    several = len(field.columns) > 1
    source = say(
        "from.columns" if several else "from.column", columns=say.listed(field.columns), column=field.columns[0]
    )
    return say("from.absent", source=source, value=field.absent) if field.absent else source


# --- checks


def _checks(bundle: Bundle, say: Words) -> Section:
    rows = [(text, code, say.where(bundle.feed, *path)) for text, code, path in _of_feed(bundle, say)]
    rows += [(text, "SUM", say.where(bundle.source, "sums", name)) for name, text in _sums(bundle, say)]
    tables = [Table(say.all("check", "code", "defined"), tuple(rows))]
    policy = tuple(
        (
            check["name"], condition(check["when"], say), say(check["severity"]), check["message"],
            chinese.owner(check["owner"], say.language),
            say.where(rules, "checks", number),
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
    if "withdrawn" in checks:
        yield say("check.withdrawn", states=say("or").join(checks["withdrawn"])), "", ("checks", "withdrawn")
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


def _sums(bundle: Bundle, say: Words) -> Iterator[tuple[str, str]]:
    """Name of each sum of the source, and the sentence that it is."""
    for name, one in bundle.source.get("sums", {}).items():
        facts = {"parts": say("plus").join(one["parts"]), "per": say.listed(one["per"])}
        kind = "total" if "total" in one else "stated"
        yield name, say(f"check.sum.{kind}", total=one[kind], **facts)


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
