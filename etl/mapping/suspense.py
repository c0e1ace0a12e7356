"""Suspense: the account that a mapping names for lines of which nothing else is found; few of them, marked and counted.

Only an `account` may have one, only by the word `suspense`, and only for so many lines of a delivery (`lines_max`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any, Final

import pandas as pd
import pyarrow.compute as pc

from etl import model, money
from etl.mapping.lengths import Bools

# Begins the text of every journal line on a suspense account.
MARK: Final = "SUSPENSE "
Use = dict[str, Any]


def accounts(journal: Mapping[str, Any]) -> set[str]:
    """The suspense accounts that a journal mapping names."""
    return {line["account"]["suspense"]["value"] for line in journal["lines"] if "suspense" in line["account"]}


def marked(texts: pd.Series, rows: Bools) -> pd.Series:
    """Texts of journal lines, marked in these rows."""
    plain = model.utf8(texts)
    return model.texts(pc.if_else(rows, pc.utf8_rtrim_whitespace(model.joined([MARK, plain], "")), plain))


def uses(journal: Mapping[str, Any], headers: pd.DataFrame, lines: pd.DataFrame) -> list[Use]:
    """Lines and net amount (debit - credit) on suspense accounts, per company, account and currency.

    In: model.JOURNAL_COLUMNS and JOURNAL_LINE_COLUMNS. Out: {company, account, currency, lines, amount_minor}.
    """
    named = accounts(journal)
    if not named:
        return []
    on = lines["account"].isin(named) & lines["text"].str.startswith(MARK.strip())
    mine = lines.loc[on.to_numpy(dtype=bool), ["journal_key", "account", "debit_minor", "credit_minor"]]
    of = headers.set_index("journal_key")[["company", "currency"]]
    found: list[Use] = []
    for key, account, debit, credit in mine.itertuples(index=False, name=None):
        company, currency = of.loc[key, ["company", "currency"]]
        found.append(
            {"company": company, "account": account, "currency": currency, "lines": 1, "amount_minor": debit - credit}
        )
    return added(found)


def added(found: Iterable[Use]) -> list[Use]:
    """Uses added up per company, account and currency, in this order."""
    lines: Counter[tuple[str, ...]] = Counter()
    amounts: Counter[tuple[str, ...]] = Counter()
    for use in found:
        key = (use["company"], use["account"], use["currency"])
        lines[key] += use["lines"]
        amounts[key] += int(use["amount_minor"])
    return [
        {"company": key[0], "account": key[1], "currency": key[2], "lines": lines[key], "amount_minor": amounts[key]}
        for key in sorted(lines)
    ]


def shown(found: Iterable[Use]) -> list[Use]:
    """Uses as `run --json` shows them, amounts as decimal text."""
    rows = added(found)
    return [
        {**{name: row[name] for name in ("company", "account", "currency", "lines")},
         "amount": money.text_of(row["amount_minor"], row["currency"])}
        for row in rows
    ]  # fmt: skip
