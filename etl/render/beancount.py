"""Kind `text`, layout beancount: a plain-text journal that bean-check proves.

Account names and amounts are the same in the layout ledger.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from etl import mapping, model, money
from etl.journal import Batch
from etl.render import columns
from etl.render.columns import Ints, Profile


def names(profile: Profile, accounts: pd.Series) -> pa.Array:
    """Account names under their beancount root, by the account's first character; "" when there is no root for it."""
    codes, names = model.distinct(accounts)
    roots = [profile["classes"].get(name[:1], "") for name in names]
    full = [f"{root}:{name}" if root and _is_component(name) else "" for root, name in zip(roots, names, strict=True)]
    return model.utf8(model.spread(full, codes))


def _is_component(name: str) -> bool:
    """beancount: an ASCII capital or digit first, then letters, digits and hyphens (beancount/core/account.py)."""
    return name[:1].isascii() and (name[:1].isdigit() or name[:1].isupper()) and name.replace("-", "").isalnum()


def check(
    profile: Profile,
    bundle: mapping.Bundle,
    headers: pd.DataFrame,
    lines: pd.DataFrame,
    at: Ints,
    faults: mapping.Faults,
) -> None:
    """Accounts that are no beancount name, and text that the encoding lacks."""
    unnamed = np.flatnonzero(pc.equal(names(profile, lines["account"]), "").to_numpy(zero_copy_only=False))
    faults.add(at[unnamed], "REFERENCE", "account", lines["account"].iloc[unnamed].tolist(), "beancount account names")
    for column, of_line in (("description", False), ("text", True), ("employee_id", False), ("party", True)):
        text = model.utf8((lines if of_line else headers)[column])
        rows = columns.unencodable(text, profile["encoding"])
        values = columns.shown(column, text.take(pa.array(rows)).to_pylist())
        faults.add(at[rows] if of_line else rows, "UNENCODABLE", column, values, profile["encoding"])


def _quoted(profile: Profile, column: pa.Array) -> pa.Array:
    """Text inside a beancount string: quotes and backslashes replaced, line breaks to spaces, cut to text_max."""
    for old, new in (("\\", "/"), ('"', "'")):
        column = pc.replace_substring(column, old, new)
    column = pc.replace_substring_regex(column, r"[\x00-\x1f\x7f]", " ")
    return pc.utf8_slice_codeunits(column, 0, int(profile.get("text_max", "120")))


def render(
    profile: Profile, bundle: mapping.Bundle, batch: Batch, headers: pd.DataFrame, lines: pd.DataFrame, at: Ints
) -> bytes:
    """One beancount file: options, accounts, one transaction for each journal."""
    head = _transaction_heads(profile, headers)
    body = _transaction_lines(profile, headers, lines, at)
    order = np.argsort(np.concatenate([np.arange(len(headers)), at]), kind="stable")
    entries = pa.concat_arrays([head, body]).take(pa.array(order))
    text = [f"; claimpost batch {batch.batch_id}", f'option "title" "{batch.batch_id}"']
    for currency in sorted(set(headers["base_currency"].tolist())):
        # beancount divides a total price (@@) by the units; far below one minor unit its rest is no imbalance.
        tolerance = f"0.{'0' * (money.EXPONENT[currency] + 1)}1"
        text += [f'option "operating_currency" "{currency}"']
        text += [f'option "inferred_tolerance_default" "{currency}:{tolerance}"']
    text += ['plugin "beancount.plugins.noduplicates"', ""]
    accounts = sorted(set(names(profile, lines["account"]).to_pylist()))
    text += [f"{batch.period}-01 open {account}" for account in accounts]
    return ("\n".join([*text, *entries.to_pylist()]) + "\n").encode(profile["encoding"])


def _transaction_heads(profile: Profile, headers: pd.DataFrame) -> pa.Array:
    column = {
        name: model.utf8(headers[name])
        for name in ("posting_date", "journal_key", "journal_id", "company", "period", "report_id")
    }
    payee, narration = (_quoted(profile, model.utf8(headers[c])) for c in ("employee_id", "description"))
    return model.joined(
        [
            "\n", column["posting_date"], ' * "', payee, '" "', narration, '" ^', column["journal_key"],
            '\n  journal_id: "', column["journal_id"], '"\n  company: "', column["company"],
            '"\n  period: "', column["period"], '"\n  report_id: "', _quoted(profile, column["report_id"]), '"',
        ],
        "",
    )  # fmt: skip


def _transaction_lines(profile: Profile, headers: pd.DataFrame, lines: pd.DataFrame, at: Ints) -> pa.Array:
    """One leg per line with what else the line says below it."""
    number = model.utf8(lines["line_no"].astype("str"))
    name, leg = pc.utf8_rpad(names(profile, lines["account"]), 40), amounts(headers, lines, at)
    text = model.joined(["  ", name, " ", leg, '\n    line_no: "', number, '"'], "")
    for key in ("cost_center", "project", "party", "tax_code", "text"):
        value = _quoted(profile, model.utf8(lines[key]))
        tag = model.joined([f'\n    {key}: "', value, '"'], "")
        text = model.joined([text, pc.if_else(pc.equal(value, ""), columns.BLANK, tag)], "")
    return text


def amounts(headers: pd.DataFrame, lines: pd.DataFrame, at: Ints) -> pa.Array:
    """One leg per line: debit positive, credit negative, always all decimals; foreign legs carry the base total."""
    currency, base = (model.utf8(headers[c]).take(pa.array(at)) for c in ("currency", "base_currency"))
    minor = (lines["debit_minor"] - lines["credit_minor"]).to_numpy(dtype=np.int64)
    base_minor = (lines["base_debit_minor"] - lines["base_credit_minor"]).to_numpy(dtype=np.int64)
    amount = model.joined([money.to_text(minor, columns.exponents(headers["currency"])[at]), currency], " ")
    base_exponents = columns.exponents(headers["base_currency"])[at]
    base_amount = model.joined([money.to_text(base_minor, base_exponents), base], " ")
    total = model.joined([money.to_text(np.abs(base_minor), base_exponents), base], " ")
    foreign = pc.not_equal(currency, base)
    leg = pc.if_else(foreign, model.joined([amount, " @@ ", total], ""), amount)
    return pc.if_else(pa.array(minor == 0), base_amount, leg)
