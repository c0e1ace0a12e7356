"""What a journal mapping declares beside its rules: dates and periods, groups, taxes, allocations, rates, clearing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from etl.mapping import Bundle
from etl.report.interface.conditions import condition, expression
from etl.report.interface.model import Row
from etl.report.interface.words import Words


def settings(bundle: Bundle, say: Words) -> Iterator[Row]:
    """Name, sentence and place of everything that the journal mapping declares."""
    journal = bundle.journal
    yield say("journal_source"), journal["source"], say.where(journal, "source")
    yield say("one_per"), one_per(bundle, say), say.where(journal, "one_per")
    yield say("line_order"), say(f"order.{journal.get('line_order', 'rules')}"), say.where(journal, "line_order")
    text = expression(journal["description"], journal.get("tables", {}), say)
    yield say("description"), text, say.where(journal, "description")
    yield say("posting_date"), _posting_date(journal["posting_date"], say), say.where(journal, "posting_date")
    yield from _periods(bundle, say)
    yield from _taxes(journal, bundle, say)
    yield from _allocations(bundle, say)
    yield from _intercompany(bundle, say)
    yield from _rates(bundle, say)
    if "split" in journal:
        text = say("split_is", account=_of(bundle, journal["split"]["account"], say))
        yield say("long_journals"), text, say.where(journal, "split")


def one_per(bundle: Bundle, say: Words) -> str:
    """What becomes one journal."""
    fields = bundle.journal.get("one_per", "report")
    return say("one_journal") if fields == "report" else say("one_journal_per", fields=say.listed(fields))


def _of(bundle: Bundle, told: Mapping[str, Any], say: Words) -> str:
    return expression(told, bundle.journal.get("tables", {}), say)


def _rules(bundle: Bundle, option: str, value: str, say: Words) -> str:
    """The numbers of the rules that say so."""
    lines = enumerate(bundle.journal["lines"], 1)
    return say.listed(str(number) for number, line in lines if line.get(option) == value)


# --- dates and periods


def _posting_date(rule: str | Mapping[str, Any], say: Words) -> str:
    """The rule in the order in which it is applied, and the date of a journal of many lines."""
    rule = {"field": rule} if isinstance(rule, str) else rule
    kind = next(name for name in ("field", "latest", "earliest") if name in rule)
    fields = [rule[kind]] if kind == "field" else rule[kind]
    text = say(f"date.{kind}", fields=say.listed(fields))
    if "to" in rule:
        text = say(f"date.{rule['to']}", text=text)
    for bound in ("not_before", "not_after"):
        if bound in rule:
            text = say(f"date.{bound}", text=text, field=rule[bound])
    return say.also([say("posting_date_is", text=text), say("date.min" if kind == "earliest" else "date.max")])


def _periods(bundle: Bundle, say: Words) -> Iterator[Row]:
    """The policy for closed periods, of each company that has its own too, and what is accrued."""
    journal = bundle.journal
    if bundle.periods:
        text = say(f"closed.{journal['closed_period']}")
        yield say("closed_period"), text, say.where(journal, "closed_period")
        for name, company in bundle.feed["companies"].items():
            if "closed_period" in company:
                text = say(f"closed.{company['closed_period']}")
                yield say("closed_of", company=name), text, say.where(bundle.feed, "companies", name, "closed_period")
    if "accrual" in journal:
        facts = {
            "rules": _rules(bundle, "accrue", "yes", say),
            "account": _of(bundle, journal["accrual"]["account"], say),
        }
        yield say("accrual"), say("accrual_is", **facts), say.where(journal, "accrual")


# --- amounts


def _taxes(journal: Mapping[str, Any], bundle: Bundle, say: Words) -> Iterator[Row]:
    reclaimable = journal.get("reclaimable_tax")
    if reclaimable:
        kind = "table" if "table" in reclaimable else "field"
        text = say(f"reclaimable.{kind}", **{kind: reclaimable[kind]})
        if "when" in reclaimable:
            text = say("only_when", text=text, condition=condition(reclaimable["when"], say))
        yield say("reclaimable"), text, say.where(bundle.journal, "reclaimable_tax")
    if "tax_rate" in journal:
        text = say("tax_rate_is", tolerance=journal["tax_rate"]["tolerance_minor"])
        yield say("tax_rate"), text, say.where(bundle.journal, "tax_rate")
    if "taxes" in journal:
        taxes = journal["taxes"]
        amount = say(f"taxes.{taxes['amount']}")
        text = _valid(say("taxes_is", file=taxes["file"], key=say.listed(taxes["key"]), amount=amount), taxes, say)
        yield say("taxes"), text, say.where(bundle.journal, "taxes")


def _valid(text: str, use: Mapping[str, Any], say: Words) -> str:
    return say("expr.valid", text=text, field=use["valid_by"]) if "valid_by" in use else text


def _allocations(bundle: Bundle, say: Words) -> Iterator[Row]:
    for name, use in bundle.journal.get("allocations", {}).items():
        facts = {"file": use["file"], "key": say.listed(use["key"]), "set": say.listed(use["set"])}
        text = _valid(say("allocation_is", by=say(f"by.{use['by']}"), **facts), use, say)
        otherwise = say("otherwise.whole" if use.get("otherwise") == "whole" else "otherwise.gap")
        place = say.where(bundle.journal, "allocations", name)
        yield say("allocation", name=name), say.also([text, otherwise]), place


def _intercompany(bundle: Bundle, say: Words) -> Iterator[Row]:
    between = bundle.journal.get("intercompany")
    if between:
        facts = {name: _of(bundle, between[name], say) for name in ("company", "due_from", "due_to")}
        text = say("intercompany_is", rules=_rules(bundle, "books", "bearer", say), **facts)
        yield say("intercompany"), text, say.where(bundle.journal, "intercompany")


def _rates(bundle: Bundle, say: Words) -> Iterator[Row]:
    journal = bundle.journal
    if "rates" in journal:
        rates = journal["rates"]
        facts = {"file": rates["file"], "date": rates.get("date", "posting_date")}
        text = say("rates_is", rounding=say(f"rounding.{rates['rounding']}"), **facts)
        yield say("rates"), text, say.where(journal, "rates")
    if "rounding" in journal:
        rounding = journal["rounding"]
        limits = {
            name: f"{int(rounding[name]):,}" for name in ("limit_minor", "period_limit_minor") if name in rounding
        }
        texts = [say("rounding_is", account=_of(bundle, rounding["account"], say), limit=limits["limit_minor"])]
        if "period_limit_minor" in limits:
            texts.append(say("rounding_period", limit=limits["period_limit_minor"]))
        yield say("rounding"), say.also(texts), say.where(journal, "rounding")
