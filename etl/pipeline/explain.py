"""`claimpost explain`: from a line in the ERP back to the source's cells, by way of every rule that made it.

The journal is made again from the landed bytes by the mapping of now; only when that gives the sealed journal to the
last byte of its content do the rules explain it, and the answer says so.
"""

from __future__ import annotations

import decimal
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pandas as pd
import pyarrow.parquet as pq

from etl import clean, journal, mapping, model, money
from etl.errors import ConfigurationError
from etl.mapping import dates, trace
from etl.pipeline import booking, decisions
from etl.pipeline.context import Context
from etl.pipeline.inquire import records
from etl.store import Store
from validations import rules

Facts = dict[str, Any]
AMOUNTS: Final = {
    "gross": "the gross amount", "net": "gross less reclaimable tax", "tax": "the tax",
    "untaxed": "gross less tax", "reclaimable_tax": "the reclaimable tax",
    "non_reclaimable_tax": "tax less reclaimable tax",
}  # fmt: skip
_MADE_OF: Final = {
    "gross": ("gross_minor",), "net": ("gross_minor", "reclaimable_tax_minor"), "untaxed": ("gross_minor", "tax_minor"),
    "tax": ("tax_minor",), "reclaimable_tax": ("reclaimable_tax_minor", "tax_minor"),
    "non_reclaimable_tax": ("tax_minor", "reclaimable_tax_minor"),
}  # fmt: skip
# Lines that no rule of a mapping writes and that come from no expense line alone.
OWN: Final = {
    "rounding": "what the conversion of the other lines left over",
    "clearing": "what the other lines of this part of a split journal leave open; over all parts it comes to zero",
    "accrual": "what balances the accrued lines",
}


@dataclass(frozen=True)
class Replay:
    """A report made into its journal again: its raw records, mapped lines and parts, and what became of them."""

    raw: pd.DataFrame
    lines: pd.DataFrame
    parts: pd.DataFrame
    journals: journal.Journals


def feed_of(store: Store, journal_key: str) -> str:
    """The feed of a journal; raises ConfigurationError NOT_FOUND."""
    found = store.journals(keys=[journal_key])
    if found.empty:
        raise ConfigurationError("NOT_FOUND", field="journal", value=journal_key)
    return str(found["feed_id"].iat[0])


def explain(context: Context, journal_key: str, line_no: int = 0) -> Facts:
    """Where a journal, or one line of it, comes from: source cells, rules, table rows, rate, rounding, run, mapping.

    A reversal says what it takes back and why, and explains that journal as `original`; its lines have the same
    numbers. Raises ConfigurationError NOT_FOUND for a key or line that is not there.
    """
    head = context.store.journals(keys=[journal_key]).iloc[0]
    member = context.store.members(keys=[journal_key]).iloc[-1]
    if head["reversal_of"]:
        original = context.store.journals(keys=[str(head["reversal_of"])]).iloc[0]
        whole = original["report_id"] != head["report_id"]  # of several reports: its lines have numbers of their own
        told = explain(context, str(head["reversal_of"]), 0 if whole else line_no)
        return _reversal(context, head, member) | {"original": told}
    sealed = _sealed(context, str(member["batch_id"]), journal_key)
    if line_no and line_no not in sealed["lines"]["line_no"].tolist():
        raise ConfigurationError("NOT_FOUND", field="journal line", value=f"{journal_key}:{line_no}")
    outcomes = context.store.outcomes(context.feed_id, journal_key=str(head["belongs_to"]) or journal_key)
    landed = outcomes.iloc[0]
    landing = context.store.landing(context.feed_id, str(landed["landing_sha256"]))
    replay = _replay(context, landing.sha256, landing.name, outcomes)
    now = replay.journals.headers
    same = head["content_hash"] in now.loc[now["journal_key"] == journal_key, "content_hash"].tolist()
    wanted = [n for n in sealed["lines"]["line_no"].tolist() if line_no in (0, n)]
    return {
        "journal_key": journal_key, "report": " ".join(str(head[c]) for c in model.REPORT_KEY),
        "source_file": landing.name, "sha256": landing.sha256, "landed_at": landing.landed_at,
        "run_id": landed["run_id"], "batch_id": member["batch_id"], "state": member["state"],
        "erp_document": member["erp_document"], "mapping_digest": head["mapping_digest"],
        "code_version": head["code_version"], "made_again_equal": same, "posting": _posting(context, replay, head),
        "lines": [_line(context, head, sealed, replay, number, same) for number in wanted],
    }  # fmt: skip


def _reversal(context: Context, head: pd.Series, member: pd.Series) -> Facts:
    """What a reversal takes back, and the version that made it necessary."""
    if head["belongs_to"]:  # in the books of another company: the claim's own says whose report it is
        own = context.store.journals(keys=[str(head["belongs_to"])]).iloc[0]
        return _reversal(context, own, member) | {
            "journal_key": head["journal_key"],
            "reversal_of": head["reversal_of"],
        }
    report = " ".join(str(head[c]) for c in model.REPORT_KEY)
    decided = _decided(context, head)
    landing = context.store.landing(context.feed_id, str(decided["landing_sha256"]))
    by = decisions.made(context).get(landing.sha256)
    who = f": {decisions.told(by)}" if by else ""
    return {
        "journal_key": head["journal_key"], "report": report, "reversal_of": head["reversal_of"],
        "because": f"{report} is {decided['outcome']} in {landing.name}{who}", "posting_date": head["posting_date"],
        "run_id": decided["run_id"], "batch_id": member["batch_id"], "state": member["state"],
        "erp_document": member["erp_document"],
    }  # fmt: skip


def _decided(context: Context, head: pd.Series) -> pd.Series:
    """The outcome that a reversal follows from: of a version that books a journal and takes it back, the withdrawal."""
    outcomes = context.store.outcomes(context.feed_id, report_id=str(head["report_id"]))
    mine = np.all([(outcomes[c] == head[c]).to_numpy(dtype=bool) for c in model.REPORT_KEY], axis=0)
    booked = outcomes.loc[mine & (outcomes["outcome"] == model.ACCEPTED).to_numpy(dtype=bool)]
    gone = outcomes.loc[mine & (outcomes["outcome"] == model.WITHDRAWN).to_numpy(dtype=bool)]
    itself = head["reversal_of"] in booked["journal_key"].tolist()
    found: pd.Series = (gone if itself or booked.empty else booked).iloc[0]
    return found


def _sealed(context: Context, batch_id: str, journal_key: str) -> dict[str, pd.DataFrame]:
    folder = context.batch_folder(context.store.batch(batch_id).folder)
    mine = [("journal_key", "=", journal_key)]
    return {name: pq.read_table(folder / f"{name}.parquet", filters=mine).to_pandas() for name in ("lines", "lineage")}


def _replay(context: Context, sha256: str, name: str, reports: pd.DataFrame) -> Replay:
    """The reports of a journal, read and mapped once more from their landed bytes."""
    bundle = context.bundle
    raw = booking.read(bundle, context.landed(sha256).read_bytes(), name)
    lines = clean.clean(raw, bundle.source, booking.name_parts(bundle, name)).lines
    mine = rules.quarantined(lines, reports)
    applied = mapping.apply(bundle, lines.loc[mine].reset_index(drop=True))
    made = journal.build(bundle, applied.lines, applied.parts)
    return Replay(raw.frame.set_index("source_row"), applied.lines, applied.parts, made)


def _posting(context: Context, replay: Replay, head: pd.Series) -> list[str]:
    """How the posting date and the rate came about."""
    bundle, first = context.bundle, replay.lines.iloc[0]
    rule = dates.rule_of(bundle.journal)
    company = str(head["company"])
    came = dates.told(rule, {name: str(first[name]) for name in dates.fields(rule)})
    steps = [f"posting date {head['posting_date']}: {came} in {bundle.company(company, 'time_zone')}"]
    if bundle.periods is not None:
        steps.append(trace.row(bundle.periods, (company, str(head["period"])), "state", ""))
    if head["currency"] != head["base_currency"] and bundle.rates is not None:
        pair = (str(head["currency"]), str(head["base_currency"]))
        steps.append(trace.row(bundle.rates, pair, "rate", str(head["rate_date"])))
    return steps


def _line(
    context: Context, head: pd.Series, sealed: dict[str, pd.DataFrame], replay: Replay, number: int, same: bool
) -> Facts:
    line = sealed["lines"].loc[sealed["lines"]["line_no"] == number].iloc[0]
    signed = int(line["debit_minor"] - line["credit_minor"])
    base = int(line["base_debit_minor"] - line["base_credit_minor"])
    parts = sealed["lineage"].loc[sealed["lineage"]["line_no"] == number]
    told = [_part(context, line, part, replay, str(head["currency"]), same) for part in records(parts)]
    explained = int(parts["amount_minor"].sum()) if len(parts) or line["purpose"] not in OWN else signed
    out = {"line_no": number, "purpose": line["purpose"], "account": line["account"],
           "amount": money.text_of(signed, str(head["currency"])), "currency": head["currency"],
           "explained": money.text_of(explained, str(head["currency"])), "parts": told,
           "because": OWN.get(str(line["purpose"]), "")}  # fmt: skip
    return out | {"base": _base(head, signed, base, "" if len(parts) else str(line["purpose"]))}


def _base(head: pd.Series, signed: int, base: int, own: str) -> str:
    """The line's amount in base currency, and what the rounding did to it."""
    currency, to, rate = str(head["currency"]), str(head["base_currency"]), str(head["rate"])
    text = f"{money.text_of(base, to)} {to}"
    if currency == to:
        return text
    if own:
        return f"{text}: {OWN.get(own, own)}"
    with decimal.localcontext(prec=60):
        exact = decimal.Decimal(money.text_of(signed, currency)) * decimal.Decimal(rate)
    return f"{text} = {money.text_of(signed, currency)} {currency} x {rate} = {exact}, rounded once"


def _part(context: Context, line: pd.Series, part: Facts, replay: Replay, currency: str, same: bool) -> Facts:
    """One source line's share of a journal line: its cells, and the rule with every step of it."""
    row = int(part["source_row"])
    cells = {str(name): str(cell) for name, cell in replay.raw.loc[row].items() if str(cell)}
    out = {"file_line": row, "expense_line": part["expense_line_no"], "part": part["allocation_no"],
           "amount": money.text_of(int(part["amount_minor"]), currency), "source": cells}  # fmt: skip
    found = _found(context, line, part, replay) if same else None
    return out | ({"rule": "", "why": []} if found is None else _rule(context, replay, *found))


def _found(context: Context, line: pd.Series, part: Facts, replay: Replay) -> tuple[int, int] | None:
    """The rule and the mapped line of a share: same source row, part, amount, purpose and account."""
    told, parts = mapping.rules(context.bundle), replay.parts
    at = parts["line"].to_numpy(dtype=np.int64)
    source = replay.lines["source_row"].to_numpy(dtype=np.int64)[at]
    share = replay.lines["allocation_no"].to_numpy(dtype=np.int64)[at]
    purposes = np.array([told[rule]["purpose"] for rule in parts["rule"].tolist()], dtype=object)
    fits = (source == part["source_row"]) & (share == part["allocation_no"]) & (purposes == line["purpose"])
    fits &= (parts["amount_minor"].abs() == abs(part["amount_minor"])).to_numpy(dtype=bool)  # an accrual is taken back
    fits &= (parts["account"] == line["account"]).to_numpy(dtype=bool)
    hits = np.flatnonzero(fits)
    return (int(parts["rule"].to_numpy(dtype=np.int64)[hits[0]]), int(at[hits[0]])) if len(hits) else None


def _rule(context: Context, replay: Replay, rule: int, at: int) -> Facts:
    bundle, line = context.bundle, replay.lines.iloc[[at]]
    told = mapping.rules(bundle)[rule]
    if not told["side"]:
        where = f"{bundle.journal.file} line {bundle.journal.line('intercompany')}"
        return {"rule": f"{where}: {told['purpose']}", "why": [f"the cost is borne by {line['bearer'].iat[0]}"]}
    where = f"{bundle.journal.file} line {bundle.journal.line('lines', rule)}"
    why = [f"amount: {AMOUNTS[told['amount']]}, on the {told['side']} side"]
    why += _rated(context, line, told["amount"])
    why += _added(context, replay, told["amount"], int(line["source_row"].to_numpy(dtype=np.int64)[0]))
    if told.get("books") == "bearer":
        line = line.assign(company=line["bearer"])
    if "allocate" in told:
        why.append(f"a part of it, by tables/{bundle.allocations[told['allocate']].table.file}")
    for name in ("account", "party", "department", "cost_center", "project", "analysis", "tax_code", "text"):
        if name in told:
            steps = trace.expression(bundle, ("lines", rule, name), told[name], line)
            why += [f"{name}: {step}" for step in steps]
    return {"rule": f"{where}: {told['purpose']}", "why": why}


def _added(context: Context, replay: Replay, amount: str, row: int) -> list[str]:
    """The fields of an amount that the source gives in several columns, with what stands in each."""
    fields, cells = context.bundle.source["fields"], replay.raw.loc[row]
    return [
        f"{name}: " + " + ".join(f"{column} {cells[column] or '(empty)'}" for column in fields[name]["sum"])
        for name in _MADE_OF[amount]
        if "sum" in fields.get(name, {})
    ]


def _rated(context: Context, line: pd.DataFrame, amount: str) -> list[str]:
    """The rate that a line states, where its tax goes by it."""
    rate, currency = str(line["tax_rate_pct"].iat[0]), str(line["document_currency"].iat[0])
    if amount == "gross" or "tax_rate" not in context.bundle.journal or not rate:
        return []
    where = f"{context.bundle.journal.file} line {context.bundle.journal.line('tax_rate')}"
    tax = money.text_of(int(line["tax_minor"].to_numpy(dtype=np.int64)[0]), currency)
    return [f"{where}: the line states a tax rate of {rate} %, its tax is {tax} {currency}"]
