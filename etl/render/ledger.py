"""Kind `text`, layout ledger: a plain-text journal in the syntax that hledger and ledger share.

What such a file gives a meaning to inside text is replaced: `;` begins a comment, `|` ends the payee, a colon makes
a tag of the word before it, brackets hold a date (hledger manual, journal format).
"""

from __future__ import annotations

from typing import Final

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from etl import mapping, model, money
from etl.journal import Batch
from etl.render import beancount, columns
from etl.render.columns import Ints, Profile

_MEANT: Final = ((";", ","), ("|", "/"), (":", "-"), ("[", "("), ("]", ")"), ("=", "-"))
_TAGS: Final = ("cost_center", "project", "party", "tax_code", "text")


def render(
    profile: Profile, bundle: mapping.Bundle, batch: Batch, headers: pd.DataFrame, lines: pd.DataFrame, at: Ints
) -> bytes:
    """One journal file: commodities with all decimals, accounts, one transaction for each journal."""
    head, text = _heads(profile, headers), _postings(profile, headers, lines, at)
    order = np.argsort(np.concatenate([np.arange(len(headers)), at]), kind="stable")
    entries = pa.concat_arrays([head, text]).take(pa.array(order))
    currencies = sorted({*headers["currency"].tolist(), *headers["base_currency"].tolist()})
    first = [f"; claimpost batch {batch.batch_id}", *(f"commodity {_one(name)}" for name in currencies), ""]
    accounts = sorted(set(beancount.names(profile, lines["account"]).to_pylist()))
    first += [f"account {account}" for account in accounts]
    return ("\n".join([*first, *entries.to_pylist()]) + "\n").encode(profile["encoding"])


def _one(currency: str) -> str:
    """An amount that shows the decimals of a currency; hledger balances to the last of them, and wants the point."""
    decimals = money.EXPONENT[currency]
    return f"1.{'0' * decimals} {currency}"


def _heads(profile: Profile, headers: pd.DataFrame) -> pa.Array:
    """Date, mark, key as the code, payee and note; what else the journal says is in tags."""
    payee, note = (_plain(profile, model.utf8(headers[name])) for name in ("employee_id", "description"))
    days, keys = (model.utf8(headers[name]) for name in ("posting_date", "journal_key"))
    text = model.joined(["\n", days, " * (", keys, ") ", payee, " | ", note], "")
    for name in ("journal_id", "company", "period", "report_id"):
        text = _tagged(text, name, _plain(profile, model.utf8(headers[name])))
    return text


def _postings(profile: Profile, headers: pd.DataFrame, lines: pd.DataFrame, at: Ints) -> pa.Array:
    """Account and amount of each line, two blanks between them, with what else the line says below."""
    name, amount = beancount.names(profile, lines["account"]), beancount.amounts(headers, lines, at)
    number = model.utf8(lines["line_no"].astype("str"))
    text = model.joined(["    ", pc.utf8_rpad(name, 40), "  ", amount, "  ; line_no: ", number], "")
    for tag in _TAGS:
        text = _tagged(text, tag, _plain(profile, model.utf8(lines[tag])))
    return text


def _tagged(text: pa.Array, name: str, value: pa.Array) -> pa.Array:
    """A tag on a line of its own below, where there is a value; a comma would end it."""
    tag = model.joined([f"\n    ; {name}: ", pc.replace_substring(value, ",", ";")], "")
    return model.joined([text, pc.if_else(pc.equal(value, ""), columns.BLANK, tag)], "")


def _plain(profile: Profile, text: pa.Array) -> pa.Array:
    """Text without what the syntax gives a meaning to, line breaks to spaces, cut to text_max."""
    for old, new in _MEANT:
        text = pc.replace_substring(text, old, new)
    text = pc.replace_substring_regex(text, columns.CONTROLS, " ")
    return pc.utf8_slice_codeunits(text, 0, int(profile.get("text_max", "120")))
