"""Journals to the ERP's own bytes, as the target profile says: a table's rows or a text file.

Everything that an ERP could refuse for its form (a key too long, a character its encoding lacks) is found by `check`
before a batch is sealed; `render` then cannot fail. The same journals give the same bytes.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from typing import Any, Final

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
from numpy.typing import NDArray

from etl import mapping, masking, model, money
from etl.journal import Batch

Ints = NDArray[np.int64]
Profile = Mapping[str, Any]

_BLANK: Final = pa.scalar("", pa.large_string())


def check(profile: Profile, bundle: mapping.Bundle, headers: pd.DataFrame, lines: pd.DataFrame) -> pd.DataFrame:
    """Rejects of journals that the target cannot hold: KEY_OVERFLOW, UNENCODABLE, MISSING; out model.REJECT_COLUMNS."""
    faults = mapping.Faults()
    at = _header_of(headers, lines)
    CHECKS[profile["kind"]](profile, bundle, headers, lines, at, faults)
    return faults.rejects(headers.assign(line_no=0, source_row=0))


def render(profile: Profile, bundle: mapping.Bundle, batch: Batch, headers: pd.DataFrame, lines: pd.DataFrame) -> bytes:
    """The sealed bytes of one batch. In: the batch's headers and their lines, in order."""
    return RENDERERS[profile["kind"]](profile, bundle, batch, headers, lines, _header_of(headers, lines))


def file_name(profile: Profile, batch_id: str) -> str:
    """The name of a batch's sealed bytes, in the batch folder and at a file target."""
    return str(profile.get("file", "payload.csv")).replace("{batch_id}", batch_id)


def _header_of(headers: pd.DataFrame, lines: pd.DataFrame) -> Ints:
    """The position of each line's header; lines stand together and in the headers' order."""
    new = lines["line_no"].to_numpy(dtype=np.int64) == 1
    return np.cumsum(new) - 1


# --- kind: table


def _table_columns(
    profile: Profile, bundle: mapping.Bundle, headers: pd.DataFrame, lines: pd.DataFrame, at: Ints, batch: Batch | None
) -> dict[str, pa.Array]:
    """Every column of the profile as text, uncut."""
    constants = {"batch_id": batch.batch_id if batch else "", "batch_no": str(batch.batch_no) if batch else "1"}
    foreign = (headers["currency"] != headers["base_currency"]).to_numpy(dtype=bool)[at]
    blank_zero = profile["amounts"] == "two_columns_blank"
    out = {}
    for name, column in profile["columns"].items():
        if "amount" in column:
            out[name] = _amounts(headers, lines, at, column["amount"], blank_zero)
        elif "value" in column or column.get("field") in constants:
            text = column.get("value", constants.get(column.get("field", ""), ""))
            out[name] = pa.repeat(pa.scalar(text, pa.large_string()), len(lines))
        elif "company" in column:
            codes, names = model.distinct(headers["company"])
            attributes = model.spread([bundle.company(n, column["company"]) for n in names], codes)
            out[name] = model.utf8(attributes).take(pa.array(at))
        elif column.get("foreign") == "User":
            out[name] = pc.if_else(pa.array(foreign), pa.scalar("User", pa.large_string()), _BLANK)
        elif "foreign" in column:
            out[name] = pc.if_else(pa.array(foreign), _field(headers, lines, at, column["foreign"]), _BLANK)
        else:
            out[name] = _field(headers, lines, at, column["field"])
    return out


def _field(headers: pd.DataFrame, lines: pd.DataFrame, at: Ints, name: str) -> pa.Array:
    if name in model.JOURNAL_LINE_COLUMNS:
        return model.utf8(lines[name].astype("str"))
    return model.utf8(headers[name].astype("str")).take(pa.array(at))


def _amounts(headers: pd.DataFrame, lines: pd.DataFrame, at: Ints, kind: str, blank_zero: bool) -> pa.Array:
    """One amount column as decimal text; the unused side is empty, not 0, where the profile says so."""
    minor = lines[f"{kind}_minor"].to_numpy(dtype=np.int64)
    exponents = _exponents(headers["base_currency" if kind.startswith("base") else "currency"])[at]
    text = money.to_text(minor, exponents)
    return pc.if_else(pa.array(minor == 0), _BLANK, text) if blank_zero else text


def _exponents(currencies: pd.Series) -> Ints:
    codes, names = model.distinct(currencies)
    return np.array([money.EXPONENT[name] for name in names], dtype=np.int64)[codes]


def _check_table(
    profile: Profile,
    bundle: mapping.Bundle,
    headers: pd.DataFrame,
    lines: pd.DataFrame,
    at: Ints,
    faults: mapping.Faults,
) -> None:
    columns = _table_columns(profile, bundle, headers, lines, at, None)
    for name, rule in profile["columns"].items():
        text = columns[name]
        if rule.get("overflow", "error") == "error" and "max" in rule:
            long = np.flatnonzero(pc.greater(pc.utf8_length(text), int(rule["max"])).to_numpy(zero_copy_only=False))
            shown = _shown(rule.get("field", ""), text.take(pa.array(long)).to_pylist())
            faults.add(at[long], "KEY_OVERFLOW", name, shown, f"{rule['max']} characters")
        if rule.get("required") == "yes" and rule.get("field") != "batch_id":
            empty = np.flatnonzero(pc.equal(text, "").to_numpy(zero_copy_only=False))
            faults.add(at[empty], "MISSING", name, [""] * len(empty), "")


def _render_table(
    profile: Profile, bundle: mapping.Bundle, batch: Batch, headers: pd.DataFrame, lines: pd.DataFrame, at: Ints
) -> bytes:
    columns = _table_columns(profile, bundle, headers, lines, at, batch)
    for name, rule in profile["columns"].items():
        if rule.get("overflow") == "truncate":
            columns[name] = pc.utf8_slice_codeunits(columns[name], 0, int(rule["max"]))
        columns[name] = pc.if_else(pc.equal(columns[name], ""), pa.scalar(None, pa.large_string()), columns[name])
    out = io.BytesIO()
    pa.csv.write_csv(pa.table(columns), out)
    return out.getvalue()


# --- kind: text, layout beancount


def _roots(profile: Profile, accounts: pd.Series) -> pa.Array:
    """Account names under their beancount root, by the account's first character; "" when there is no root for it."""
    codes, names = model.distinct(accounts)
    roots = [profile["classes"].get(name[:1], "") for name in names]
    full = [f"{root}:{name}" if root and _is_component(name) else "" for root, name in zip(roots, names, strict=True)]
    return model.utf8(model.spread(full, codes))


def _is_component(name: str) -> bool:
    """beancount: an ASCII capital or digit first, then letters, digits and hyphens (beancount/core/account.py)."""
    return name[:1].isascii() and (name[:1].isdigit() or name[:1].isupper()) and name.replace("-", "").isalnum()


def _check_text(
    profile: Profile,
    bundle: mapping.Bundle,
    headers: pd.DataFrame,
    lines: pd.DataFrame,
    at: Ints,
    faults: mapping.Faults,
) -> None:
    unnamed = np.flatnonzero(pc.equal(_roots(profile, lines["account"]), "").to_numpy(zero_copy_only=False))
    faults.add(at[unnamed], "REFERENCE", "account", lines["account"].iloc[unnamed].tolist(), "beancount account names")
    for column, of_line in (("description", False), ("text", True), ("employee_id", False), ("party", True)):
        codes, values = model.distinct((lines if of_line else headers)[column])
        bad = np.array([not _encodes(value, profile["encoding"]) for value in values], dtype=bool)
        rows = np.flatnonzero(bad[codes]) if len(codes) else codes
        shown = _shown(column, [values[code] for code in codes[rows].tolist()])
        faults.add(at[rows] if of_line else rows, "UNENCODABLE", column, shown, profile["encoding"])


def _shown(field: str, values: list[str]) -> list[str]:
    """Values as a reject shows them: the text of a journal masked (B111)."""
    return [masking.masked(value) for value in values] if field in masking.JOURNAL_TEXT else values


def _encodes(text: str, encoding: str) -> bool:
    try:
        text.encode(encoding)
    except UnicodeEncodeError:
        return False
    return True


def _quoted(profile: Profile, column: pa.Array) -> pa.Array:
    """Text inside a beancount string: quotes and backslashes replaced, line breaks to spaces, cut to text_max."""
    for old, new in (("\\", "/"), ('"', "'")):
        column = pc.replace_substring(column, old, new)
    column = pc.replace_substring_regex(column, r"[\x00-\x1f\x7f]", " ")
    return pc.utf8_slice_codeunits(column, 0, int(profile.get("text_max", "120")))


def _render_beancount(
    profile: Profile, bundle: mapping.Bundle, batch: Batch, headers: pd.DataFrame, lines: pd.DataFrame, at: Ints
) -> bytes:
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
    accounts = sorted(set(_roots(profile, lines["account"]).to_pylist()))
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
    """One leg per line: debit positive, credit negative, always all decimals; foreign legs carry the base total."""
    currency, base = (model.utf8(headers[c]).take(pa.array(at)) for c in ("currency", "base_currency"))
    minor = (lines["debit_minor"] - lines["credit_minor"]).to_numpy(dtype=np.int64)
    base_minor = (lines["base_debit_minor"] - lines["base_credit_minor"]).to_numpy(dtype=np.int64)
    amount = model.joined([money.to_text(minor, _exponents(headers["currency"])[at]), currency], " ")
    base_exponents = _exponents(headers["base_currency"])[at]
    base_amount = model.joined([money.to_text(base_minor, base_exponents), base], " ")
    total = model.joined([money.to_text(np.abs(base_minor), base_exponents), base], " ")
    foreign = pc.not_equal(currency, base)
    leg = pc.if_else(foreign, model.joined([amount, " @@ ", total], ""), amount)
    leg = pc.if_else(pa.array(minor == 0), base_amount, leg)
    name = pc.utf8_rpad(_roots(profile, lines["account"]), 40)
    text = model.joined(["  ", name, " ", leg, '\n    line_no: "', model.utf8(lines["line_no"].astype("str")), '"'], "")
    for key in ("cost_center", "project", "party", "tax_code", "text"):
        value = _quoted(profile, model.utf8(lines[key]))
        tag = model.joined([f'\n    {key}: "', value, '"'], "")
        text = model.joined([text, pc.if_else(pc.equal(value, ""), _BLANK, tag)], "")
    return text


CHECKS: Final[Mapping[str, Callable[..., None]]] = {"table": _check_table, "text": _check_text}
RENDERERS: Final[Mapping[str, Callable[..., bytes]]] = {"table": _render_table, "text": _render_beancount}
