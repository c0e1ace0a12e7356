"""What goes out: the form and every field of each target."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from string import Formatter
from typing import Any, Final

from etl import model
from etl.mapping import Bundle, elements, records, tree
from etl.report.interface import fields
from etl.report.interface.booking import PARTS, rules_of
from etl.report.interface.model import Row, Section, Table
from etl.report.interface.words import Words

Rule = Mapping[str, Any]
Field = tuple[str, str, Rule]
_INTEGERS: Final = ("line_no", "batch_no", "batch_line_no", "batch_journal_no", "lines")
# What a plain-text journal says, in the order in which it says it (etl.render.beancount, etl.render.ledger).
_OF_JOURNAL: Final = ("posting_date", "employee_id", "description", "journal_key", "journal_id", "company", "period",
                      "report_id")  # fmt: skip
_OF_LINE: Final = ("account", "line_no", "cost_center", "project", "party", "tax_code", "text")
_CUT: Final = ("employee_id", "description", "report_id", "cost_center", "project", "party", "tax_code", "text")


def sections(bundle: Bundle, say: Words) -> Iterator[Section]:
    """One section for each target."""
    headings = say.all("place", "field", "type", "length", "overflow", "required", "from")
    for name, profile in bundle.targets.items():
        settings = Table(say.all("setting", "said"), tuple(row for row in _form(bundle, name, profile, say) if row[1]))
        rows = tuple(_row(bundle, profile, field, say) for field in _fields(profile, say))
        yield Section(
            say("target_is", target=name),
            (profile["description"],),
            (settings, Table(headings, rows, say("fields_of", target=name))),
        )


def _form(bundle: Bundle, name: str, profile: Rule, say: Words) -> Iterator[Row]:
    companies = [company for company in bundle.feed["companies"] if bundle.target_of(company)["target"] == name]
    yield say("companies"), say.listed(companies)
    yield say("evidence"), profile["evidence"]
    facts = {"layout": profile.get("layout"), "sheet": profile.get("sheet"), "table": profile.get("table")}
    yield say("form"), say(f"form.{profile['kind']}", **facts)
    yield say("zip"), profile.get("zip", {}).get("member", "")
    for option in ("encoding", "delimiter", "decimal", "line_end", "width", "first_line", "dates"):
        said = str(profile.get(option, ""))
        yield say(option), {"crlf": "CR LF", "lf": "LF"}.get(said, said)
    yield say("header_line"), say.yes(profile.get("header") == "yes")
    if "quote" in profile:
        yield say("quote"), say(f"quote.{profile['quote']}")
    replaced = (say("replaced_is", old=old, new=new) for old, new in profile.get("replace", {}).items())
    yield say("replaced"), say.listed(replaced)
    yield say("marked"), say("marked_is", mark=profile["unencodable"]) if "unencodable" in profile else ""
    unused = {"two_columns_blank": say("blank"), "two_columns_zero": say("zero")}
    yield say("unused_side"), unused.get(profile.get("amounts", ""), "")
    roots = (say("class_is", first=first, root=root) for first, root in profile.get("classes", {}).items())
    yield say("classes"), say.listed(roots)


# --- fields


def _fields(profile: Rule, say: Words) -> Iterator[Field]:
    """Position, name and rule of every field of a profile."""
    if "document" in profile:
        for leaf in tree.leaves(profile["document"]):
            level = records.BATCH if leaf.level == tree.DOCUMENT else leaf.level
            yield say(f"level.{level}"), leaf.name, leaf.rule
    elif "tree" in profile:
        for element in elements.elements(elements.root(profile["tree"])):
            for name, _, rule in element.cells():
                more = {"when": element.conditions, "omit_empty": element.node.get("omit_empty", "no")}
                yield say(f"level.{element.level}"), name, {**rule, **more}
    elif "records" in profile:
        for record in records.records(profile["records"]):
            for name, rule in record.columns():
                end = int(rule["pos"]) + int(rule["width"]) - 1
                more = {"max": rule["width"], "unit": profile["unit"]}
                yield say("between", min=rule["pos"], max=end), name, {**rule, **more}
    elif "columns" in profile:
        for number, (name, rule) in enumerate(profile["columns"].items(), 1):
            label = f" ({rule['label']})" if "label" in rule else ""
            yield rule.get("pos", str(number)), f"{name}{label}", rule
    else:
        yield from _of_text(profile, say)


def _of_text(profile: Rule, say: Words) -> Iterator[Field]:
    """The fields of a plain-text journal, whose layout is fixed."""
    cut = {"max": profile.get("text_max", "120"), "overflow": "truncate"}
    for level, names in ((records.JOURNAL, _OF_JOURNAL), (records.LINE, _OF_LINE)):
        for name in names:
            yield say(f"level.{level}"), name, {"field": name, **(cut if name in _CUT else {})}
    for kind in ("signed", "base_signed"):
        yield say("level.line"), kind, {"amount": kind}


def _row(bundle: Bundle, profile: Rule, field: Field, say: Words) -> Row:
    place, name, rule = field
    length = say(f"unit.{rule.get('unit', 'characters')}", max=rule["max"]) if "max" in rule else ""
    overflow = say(f"overflow.{rule.get('overflow', 'error')}") if "max" in rule else ""
    required = say.yes(rule.get("required") == "yes")
    return place, name, _type(profile, rule, say), length, overflow, required, _origin(bundle, rule, say)


def _type(profile: Rule, rule: Rule, say: Words) -> str:
    if "amount" in rule or "total" in rule or rule.get("foreign") == "amount":
        return say("kind.money")
    field = rule.get("field", rule.get("foreign", ""))
    if field in elements.DATES:
        return f"{say('kind.date')} {rule.get('date', profile.get('dates', '%Y-%m-%d'))}"
    if "count" in rule or field in _INTEGERS:
        return say("kind.integer")
    if rule.get("as") == "number":
        return say("kind.number")
    return say("kind.rate" if field == "rate" else "kind.text")


def _origin(bundle: Bundle, rule: Rule, say: Words) -> str:
    """Where a field comes from, with all that is done to it."""
    text = _form_of(bundle, rule, say)
    if "codes" in rule:
        codes = (say("alias", text=text, code=code) for text, code in rule["codes"].items())
        text = say("out.codes", text=text, codes=say.listed(codes))
    if "pad_left" in rule:
        text = say("out.pad_left", text=text, count=rule["pad_left"])
    if rule.get("header_only") == "yes":
        text = say("out.header", text=text)
    if rule.get("omit_empty") == "yes":
        text = say("out.omit_empty", text=text)
    if rule.get("when"):
        text = say("out.when", text=text, which=say.listed(say(f"which.{one}") for one in rule["when"]))
    return text


def _form_of(bundle: Bundle, rule: Rule, say: Words) -> str:
    if "value" in rule:
        return say("from.value", value=rule["value"]) if rule["value"] else say("blank")
    if "company" in rule:
        return say("out.company", attribute=rule["company"])
    if "template" in rule:
        names = [name for _, name, _, _ in Formatter().parse(rule["template"]) if name]
        return say.also([say("from.template", template=rule["template"]), *(_named(bundle, n, say) for n in names)])
    if "amount" in rule:
        return say(f"out.{rule['amount']}")
    if "total" in rule:
        return say("out.total", text=say(f"out.{rule['total']}"))
    if "count" in rule:
        return say(f"out.count.{rule['count']}")
    if "foreign" in rule:
        special = {"User": "out.user", "amount": "out.amount_of_currency"}.get(rule["foreign"])
        return say("out.foreign", text=say(special) if special else _named(bundle, rule["foreign"], say))
    return _named(bundle, rule["field"], say)


def _named(bundle: Bundle, field: str, say: Words) -> str:
    """A field of the journal with its meaning, and the rules that give it."""
    text = say("out.field", field=field, meaning=fields.of_journal(field, say.place))
    rules = rules_of(bundle, field) if field in ("account", *PARTS) and field in model.JOURNAL_LINE_COLUMNS else []
    return say("out.rules", text=text, rules=say.listed(rules)) if rules else text
