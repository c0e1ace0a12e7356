"""What one writes with pandas: read, check, look up by merges, Decimal money, balanced lines, `to_sql`.

Less than the product does: no landing, no versions, no receipts, no sealed file, one reason for a refused line.
"""

from __future__ import annotations

import sys
from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path

import pandas as pd
import sqlalchemy as sa

TABLES = Path(__file__).resolve().parents[1] / "mappings" / "tables"
PLACES = {"JPY": 0, "KWD": 3}
BASE = {"CN01": "CNY", "US01": "USD", "JP01": "JPY", "KW01": "KWD"}
CHUNK = 10_000


def main(delivery: str, url: str, scratch: str) -> None:
    """A CSV file of journal lines under scratch, and the same in table bench_pandas."""
    lines = pd.concat([read(path) for path in sorted(Path(delivery).glob("*.csv"))], ignore_index=True)
    journal = lines_of(checked(lines))
    path = Path(scratch) / "journal.csv"
    journal.to_csv(path, index=False)
    with sa.create_engine(url).begin() as connection:
        journal.astype(str).to_sql("bench_pandas", connection, if_exists="replace", index=False, chunksize=CHUNK)


def read(path: Path) -> pd.DataFrame:
    frame = pd.read_csv(path, dtype=str, keep_default_na=False)
    return frame[frame["Company"] != "TRAILER"]


def table(name: str) -> pd.DataFrame:
    return pd.read_csv(TABLES / f"sample_{name}.csv", dtype=str, keep_default_na=False)


def checked(lines: pd.DataFrame) -> pd.DataFrame:
    """The lines of reports in which every line is good."""
    good = lines["Company"].isin(list(BASE)) & (lines["State"] == "approved")
    good &= lines["Amount"].str.fullmatch(r"-?[0-9]+(\.[0-9]+)?") & lines["Tax"].str.fullmatch(r"-?[0-9]+(\.[0-9]+)?")
    days = pd.to_datetime(lines["Date"], format="%Y-%m-%d", errors="coerce")
    approved = pd.to_datetime(lines["Approved"], format="%Y-%m-%dT%H:%M:%SZ", errors="coerce")
    good &= days.notna() & approved.notna() & (days <= approved)
    good &= lines["Cost Center"].isin(table("cost_center")["cost_center"])
    known = {*table("rates")["document_currency"], *BASE.values()}
    good &= lines["Currency"].replace("RMB", "CNY").isin(known)
    report = lines["Company"] + "|" + lines["Report ID"] + "|" + lines["Version"]
    kept = lines[good.groupby(report).transform("all")].copy()
    kept["Currency"] = kept["Currency"].replace("RMB", "CNY")
    kept["Amount"], kept["Tax"] = kept["Amount"].map(Decimal), kept["Tax"].map(Decimal)
    return kept


def looked_up(lines: pd.DataFrame, name: str, keys: dict[str, str], values: list[str]) -> pd.DataFrame:
    """Values of a table by company and a key, the company's own row before that of every company."""
    rows = table(name)
    if "valid_to" in rows:
        rows = rows[(rows["valid_to"] == "") | (rows["valid_to"] > "2025-12-31")]
    rows = rows.drop_duplicates([*keys])
    lines = lines[list(keys.values())]
    own = lines.merge(rows[[*keys, *values]], how="left", left_on=list(keys.values()), right_on=list(keys))
    general = rows[rows["company"] == "*"].drop(columns="company")
    rest = {column: key for column, key in keys.items() if column != "company"}
    shared = lines.merge(general[[*rest, *values]], how="left", left_on=list(rest.values()), right_on=list(rest))
    return own[values].fillna(shared[values])


def lines_of(lines: pd.DataFrame) -> pd.DataFrame:
    """Expense, tax and settlement lines of each report, in its currency and in that of the books."""
    lines = lines.reset_index(drop=True)
    lines["account"] = looked_up(lines, "account", {"company": "Company", "expense_type": "Expense Type"}, ["account"])
    tax = looked_up(lines, "tax", {"company": "Company", "tax_code": "Tax Code"}, ["account", "reclaimable_pct"])
    part = tax["reclaimable_pct"].fillna("0").map(Decimal) / 100
    lines["reclaimable"] = [
        (value * share).quantize(Decimal(1).scaleb(-PLACES.get(currency, 2)), ROUND_HALF_UP)
        for value, share, currency in zip(lines["Tax"], part, lines["Currency"], strict=True)
    ]
    lines["counter"] = looked_up(lines, "counter", {"company": "Company", "payer": "Paid By"}, ["account"])
    keys = ["Company", "Report ID", "Version", "Currency"]
    expense = lines[keys].assign(account=lines["account"], amount=lines["Amount"] - lines["reclaimable"])
    input_tax = lines[keys].assign(account=tax["account"], amount=lines["reclaimable"])
    settled = lines.groupby([*keys, "counter"])["Amount"].sum().reset_index()
    settlement = settled[keys].assign(account=settled["counter"], amount=-settled["Amount"])
    journal = pd.concat([expense, input_tax[lines["reclaimable"] != 0], settlement], ignore_index=True)
    journal["base"] = journal["Company"].map(BASE)
    rates = table("rates").drop_duplicates(["document_currency", "base_currency"], keep="last")
    found = journal.merge(
        rates[["document_currency", "base_currency", "rate"]], how="left",
        left_on=["Currency", "base"], right_on=["document_currency", "base_currency"],
    )["rate"].fillna("1").map(Decimal)  # fmt: skip
    journal["base_amount"] = [
        (value * rate).quantize(Decimal(1).scaleb(-PLACES.get(base, 2)), ROUND_HALF_UP)
        for value, rate, base in zip(journal["amount"], found, journal["base"], strict=True)
    ]
    return journal.sort_values(keys, kind="stable")


if __name__ == "__main__":
    main(*sys.argv[1:4])
