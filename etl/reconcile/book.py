"""The two sides that are compared, as cells: net amount per document, account and currency.

Accounts and currencies are numbers into `accounts` and `currencies` here; a journal is its position j in `journals`,
an ERP document its position u in `units` (j = -1 when its key is none of ours).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from etl import model, money

Ints = NDArray[np.int64]
Flags = NDArray[np.bool_]

SETTLEMENT: Final = "settlement"
_AMOUNTS: Final = ["debit_minor", "credit_minor", "base_debit_minor", "base_credit_minor"]


@dataclass(frozen=True)
class Book:
    """journals: model.JOURNAL_COLUMNS, currency_no, base_no, gross_minor, imbalance_minor, base_imbalance_minor, side.
    orphans: journal_key, amount_minor of journal lines without a journal.
    cells: j, account, currency, base_only, debit, credit, net of our journals.
    units: journal_key, erp_document, company, posting_date, period, currency, j, currency_no, side.
    erp_lines: company, posting_date, period, u, j, account, currency, debit, credit, net, zero, wrong_currency.
    `side` is the debit side: the sum of the accounts with a net debit in the journal's currency.
    """

    journals: pd.DataFrame
    orphans: pd.DataFrame
    cells: pd.DataFrame
    units: pd.DataFrame
    erp_lines: pd.DataFrame
    accounts: list[str]
    currencies: list[str]

    def money(self, minor: Any, currency: Any) -> pd.Series:
        """Amounts as decimal text; currency: their numbers in `currencies`. An unknown currency has no decimals."""
        exponents = np.array([money.EXPONENT.get(name, 0) for name in self.currencies], dtype=np.int64)
        return text_column(money.to_text(np.asarray(minor), exponents[np.asarray(currency, dtype=np.int64)]))

    def account(self, numbers: Any) -> pd.Series:
        """Accounts as text."""
        return model.spread(self.accounts, np.asarray(numbers, dtype=np.int64))


def text_column(array: Any) -> pd.Series:
    """An Arrow string array as a text column."""
    return model.texts(pd.array(array, dtype="str"))


def at(values: Any, positions: Ints, missing: Any) -> Any:
    """values[positions], and `missing` where a position is -1."""
    return np.append(np.asarray(values), missing)[positions]


def positions(keys: pd.Series, values: pd.Series) -> Ints:
    """Where each key stands in values, -1 when it does not."""
    wanted, known = (model.utf8(series).cast(pa.large_string()) for series in (keys, values))
    found = pc.index_in(wanted, value_set=known)
    return np.asarray(pc.fill_null(found, -1).to_numpy(zero_copy_only=False), dtype=np.int64)


def open_book(journals: pd.DataFrame, lines: pd.DataFrame, erp: pd.DataFrame) -> Book:
    """Both sides from model.JOURNAL_COLUMNS, model.JOURNAL_LINE_COLUMNS and model.ERP_LINE_COLUMNS."""
    assert journals["journal_key"].is_unique, "the store keeps one journal per key"
    journals = journals.reset_index(drop=True)
    (account, erp_account), accounts = _encoded(lines["account"], erp["account"])
    names = [journals["currency"], journals["base_currency"], erp["currency"]]
    (currency, base, erp_currency), currencies = _encoded(*names)
    journals = journals.assign(currency_no=currency, base_no=base)
    j = positions(lines["journal_key"], journals["journal_key"])
    frame = pd.DataFrame({name: lines[name].to_numpy(dtype=np.int64) for name in _AMOUNTS}).assign(
        j=j, account=account, settled=(lines["purpose"] == SETTLEMENT).to_numpy(dtype=bool)
    )
    known = frame[j >= 0]
    orphans = pd.DataFrame({"journal_key": lines["journal_key"].to_numpy(), "amount_minor": frame["debit_minor"]})[
        j < 0
    ]
    cells = _cells(known, journals)
    journals = journals.assign(**_facts(known, len(journals)), side=_debit_side(cells, "j", len(journals)))
    units, erp_lines = _erp_side(journals, cells, erp, erp_account, erp_currency)
    grouped = orphans.astype({"journal_key": "str"}).groupby("journal_key", dropna=False)[["amount_minor"]].sum()
    return Book(journals, grouped.reset_index(), cells, units, erp_lines, accounts, currencies)


def _encoded(*columns: pd.Series) -> tuple[list[Ints], list[str]]:
    codes, names = model.distinct(pd.concat(columns, ignore_index=True))
    return np.split(codes, np.cumsum([len(column) for column in columns])[:-1]), names


def _cells(lines: pd.DataFrame, journals: pd.DataFrame) -> pd.DataFrame:
    j = lines["j"].to_numpy()
    in_document = (lines["debit_minor"] != 0) | (lines["credit_minor"] != 0)
    base_only = (~in_document & ((lines["base_debit_minor"] != 0) | (lines["base_credit_minor"] != 0))).to_numpy()
    rows = pd.DataFrame({
        "j": j, "account": lines["account"].to_numpy(), "base_only": base_only,
        "currency": np.where(base_only, journals["base_no"].to_numpy()[j], journals["currency_no"].to_numpy()[j]),
        "debit": np.where(base_only, lines["base_debit_minor"], lines["debit_minor"]),
        "credit": np.where(base_only, lines["base_credit_minor"], lines["credit_minor"]),
    })  # fmt: skip
    keys = ["j", "account", "currency", "base_only"]
    cells = rows.groupby(keys, dropna=False, sort=False)[["debit", "credit"]].sum().reset_index()
    return cells.assign(net=cells["debit"] - cells["credit"])


def _facts(lines: pd.DataFrame, count: int) -> dict[str, Ints]:
    j = lines["j"].to_numpy()
    net = (lines["debit_minor"] - lines["credit_minor"]).to_numpy()
    base = (lines["base_debit_minor"] - lines["base_credit_minor"]).to_numpy()
    return {
        "gross_minor": model.sum_by(np.where(lines["settled"], 0, net), j, count),
        "imbalance_minor": model.sum_by(net, j, count),
        "base_imbalance_minor": model.sum_by(base, j, count),
    }


def _debit_side(cells: pd.DataFrame, document: str, count: int) -> Ints:
    part = cells[(cells["net"] > 0) & ~cells["base_only"]]
    return model.sum_by(part["net"].to_numpy(), part[document].to_numpy(), count)


def _erp_side(
    journals: pd.DataFrame, cells: pd.DataFrame, erp: pd.DataFrame, account: Ints, currency: Ints
) -> tuple[pd.DataFrame, pd.DataFrame]:
    u, first = model.groups(erp, ["journal_key", "erp_document"])
    j = positions(erp["journal_key"], journals["journal_key"])
    debit, credit = erp["debit_minor"].to_numpy(dtype=np.int64), erp["credit_minor"].to_numpy(dtype=np.int64)
    lines = erp[["company", "posting_date", "period"]].reset_index(drop=True).assign(
        u=u, j=j, account=account, currency=currency, debit=debit, credit=credit, net=debit - credit,
        zero=(debit == 0) & (credit == 0),
    )  # fmt: skip
    rounding = same_cell(lines, cells[cells["base_only"]], ["j", "account"])
    as_base = rounding & (currency == at(journals["base_no"], j, -1))
    foreign = currency != at(journals["currency_no"], j, -1)
    lines = lines.assign(base_only=foreign & as_base, wrong_currency=(j >= 0) & foreign & ~as_base)
    units = erp.iloc[first][["journal_key", "erp_document", "company", "posting_date", "period", "currency"]]
    units = units.reset_index(drop=True).assign(j=j[first], currency_no=currency[first])
    nets = lines.groupby(["u", "account", "base_only"], dropna=False, sort=False)[["net"]].sum().reset_index()
    return units.assign(side=_debit_side(nets, "u", len(units))), lines


def same_cell(frame: pd.DataFrame, other: pd.DataFrame, keys: list[str]) -> Flags:
    """For each row of frame: is there a row of other with the same two keys (numbers)?"""
    width = max(int(part[keys[1]].max()) if len(part) else 0 for part in (frame, other)) + 1
    return np.isin(frame[keys[0]] * width + frame[keys[1]], other[keys[0]] * width + other[keys[1]])
