"""`make erp`: the sample posted into a real Tryton, half by staging table and half by file, and its trial balance.

Running it again delivers the same files again: nothing is posted twice. The exit code is 0 only when every difference
is explained and every account of Tryton's trial balance equals our control totals.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import pandas as pd
import yaml

from etl import config, console, money, pipeline
from sandbox import sample
from sandbox.tryton.environment import Tryton, TrytonUnavailable, ready

FEED: Final = "sample"
REPORTS, SEED = 200, 1
TARGETS: Final = (("tryton_table", "sqlite:///{home}/erp/staging.db"), ("tryton_file", "file:{home}/erp/drop"))
Balance = dict[str, dict[str, list[str]]]


def prepare(home: Path, empty: Tryton, mappings: Path = config.PROJECT / "mappings") -> Tryton:
    """Books of its own, a staging table and a drop folder below `home`, and mappings whose feed posts there."""
    erp = home / "erp"
    tryton = Tryton(empty.python, erp / "books.sqlite")
    if not tryton.books.exists():
        empty.copy_to(tryton.books)
    tryton.run("prepare", "--staging", erp / "staging.db")
    tryton.run("prepare", "--drop", erp / "drop")
    shutil.copytree(mappings, home / "mappings", dirs_exist_ok=True)
    path = home / "mappings" / "feeds" / f"{FEED}.yml"
    feed = dict(config.read_yaml(path.read_bytes(), path.name))
    changed = zip(feed["targets"], TARGETS, strict=True)
    feed["targets"] = [{**entry, "target": target, "default": where} for entry, (target, where) in changed]
    path.write_text(yaml.safe_dump(feed | {"simulator": "no"}, allow_unicode=True, sort_keys=False), "utf-8")
    return tryton


def open_feed(home: Path) -> pipeline.Context:
    """The feed on this home, with the mappings that `prepare` made."""
    return pipeline.open(FEED, settings=config.Settings(home, home / "mappings", f"sqlite:///{home / 'store.db'}"))


def control_totals(context: pipeline.Context) -> Balance:
    """What we say was posted: company -> account -> debit and credit in the company's currency, as decimal text."""
    members = context.store.members(feed_id=context.feed_id)
    posted = members.loc[members["state"] == "posted", "journal_key"]
    headers = context.store.journals(context.feed_id)[["journal_key", "company", "base_currency"]]
    files = [context.home / "batches" / one.folder / "lines.parquet" for one in context.store.batches(FEED)]
    lines = pd.concat([pd.read_parquet(path) for path in files], ignore_index=True)
    lines = lines[lines["journal_key"].isin(posted)].merge(headers, on="journal_key", validate="many_to_one")
    amounts = ["base_debit_minor", "base_credit_minor"]
    keys = ["company", "base_currency", "account"]
    out: Balance = {}
    for one in lines.groupby(keys, dropna=False)[amounts].sum().reset_index().itertuples(index=False):
        company, currency, account, debit, credit = one
        if debit or credit:
            out.setdefault(company, {})[account] = [money.text_of(int(side), currency) for side in (debit, credit)]
    return out


def whole_way(step: console.Step, home: Path) -> tuple[Mapping[str, Any], Balance, Balance]:
    """Sample, both ways into Tryton, its answers, reconciliation; the summary, Tryton's balance and ours."""
    with step("Tryton (the first time: its own environment and empty books)"):
        tryton = prepare(home, ready())
    with step(f"Sample of {REPORTS} expense reports, delivered to its staging table and drop folder"):
        sample.write(home / "delivery", REPORTS, SEED)
        result = pipeline.run(open_feed(home), home / "delivery")
    with step("Tryton's importer"):
        tryton.run("import", "--staging", home / "erp/staging.db")
        tryton.run("import", "--drop", home / "erp/drop")
    with step("Acknowledge and reconcile"):
        context = open_feed(home)
        answered = pipeline.acknowledge_all(context)
        proof = pipeline.reconcile(context)
        members = context.store.members(feed_id=FEED)["state"]
    counts = {state: int((members == state).sum()) for state in ("posted", "rejected", "unknown")}
    changed = {name: proof[name] for name in ("breaks", "explained", "kept_back", "report_files")}
    with step("Tryton's trial balance"):
        theirs = tryton.run("balance")
    return {**result, **counts, **changed, "strangers": answered["strangers"]}, theirs, control_totals(context)


def show(theirs: Balance, ours: Balance) -> bool:
    """One line for each company, and each account that differs; whether none does."""
    wrong = []
    for company in sorted(theirs.keys() | ours.keys()):
        their, our = theirs.get(company, {}), ours.get(company, {})
        wrong += [(company, a, their.get(a), our.get(a)) for a in sorted(their.keys() | our.keys())
                  if their.get(a) != our.get(a)]  # fmt: skip
        sys.stdout.write(f"{company}: {len(their)} accounts in Tryton's trial balance, {len(our)} in ours\n")
    for company, account, their, our in wrong:
        sys.stdout.write(f"  {company} {account}: Tryton {their}, ours {our}\n")
    sys.stdout.write("Every account agrees, debit and credit.\n" if not wrong else f"{len(wrong)} accounts differ.\n")
    return not wrong


def main() -> int:
    """The command; returns its exit code."""
    home = config.settings().home / "tryout"
    try:
        with console.progress(quiet=False) as step:
            result, theirs, ours = whole_way(step, home)
    except TrytonUnavailable as failed:
        sys.stderr.write(f"{failed}\n")
        return 1
    console.show_run(result)
    agrees = show(theirs, ours)
    sys.stdout.write(f"Tryton's books: {home / 'erp/books.sqlite'}\n")
    return pipeline.exit_code(dict(result)) if agrees else 1


if __name__ == "__main__":
    sys.exit(main())
