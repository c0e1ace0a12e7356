"""Edits, withdrawals and approvals in any order: the net of a report's journals is what its current version says."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.parquet as pq
import pytest
from books import FEED, JOURNAL, TABLES, write_mapping
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from etl import config, model, pipeline

SOURCE = """
source: tiny
source_system: TINY
format:
  {encoding: utf-8, delimiter: ',', decimal: '.', dates: '%Y-%m-%d', times: '%Y-%m-%dT%H:%M:%SZ',
   layouts: [[Company, Report, Version, State, Currency, Amount]]}
fields:
  company: {column: Company}
  report_id: {column: Report}
  report_version: {column: Version}
  state: {column: State}
  document_currency: {column: Currency}
  gross_minor: {column: Amount}
  transaction_date: {value: "2026-02-03"}
  approved_at: {value: "2026-02-10T01:00:00Z"}
  expense_type: {value: TAXI}
  payer: {value: EMPLOYEE}
"""
CHECKED = FEED.replace("checks: {}", "checks: {states: [approved], withdrawn: [recalled]}")
REPORTS = (("C1", "A"), ("C1", "B"), ("C2", "C"))
Content = tuple[tuple[str, str], ...]  # currency and amount of each line; () is a withdrawn report
Report = tuple[str, str]


@dataclass(frozen=True)
class Version:
    """One version of a report as the source tells it."""

    report: Report
    number: int
    content: Content

    def lines(self) -> list[str]:
        company, report = self.report
        told = self.content or (("CNY", "1.00"),)
        state = "approved" if self.content else "recalled"
        return [f"{company},{report},{self.number},{state},{currency},{amount}" for currency, amount in told]


class Office:
    """A feed with a home of its own: deliver files, build, and let the ERP answer."""

    def __init__(self, folder: Path, **changed: str) -> None:
        documents = {"feeds": CHECKED, "sources": SOURCE,
                     "journals": JOURNAL.replace("closed_period: hold", "closed_period: next_open"),
                     "rates": TABLES["rates"].replace("2026-01-01,2026-02-28", "2026-01-01,")}  # fmt: skip
        self.mappings = write_mapping(folder / "mappings", **(documents | changed))
        self.settings = config.Settings(folder / "home", self.mappings, f"sqlite:///{folder / 'home/store.db'}")
        self.inbox, self.files = folder / "in", 0
        self.inbox.mkdir()
        self.context = pipeline.open("tiny", settings=self.settings)

    def table(self, name: str, text: str) -> None:
        (self.mappings / "tables" / f"{name}.csv").write_text(text, "utf-8")
        self.context = pipeline.open("tiny", settings=self.settings)

    def deliver(self, lines: Sequence[str]) -> None:
        self.files += 1
        path = self.inbox / f"{self.files}.csv"
        path.write_text("Company,Report,Version,State,Currency,Amount\n" + "\n".join(lines) + "\n", "utf-8")
        pipeline.extract(self.context, path)
        pipeline.build(self.context)

    def answer(self, posted: Any) -> None:
        """Every sealed batch goes out; the ERP posts the journals whose header passes, and refuses the others."""
        store = self.context.store
        for batch in store.batches("tiny", ("sealed",)):
            store.begin_delivery(batch.batch_id)
            store.move_batch(batch.batch_id, "sealed", "publishing")
            store.move_batch(batch.batch_id, "publishing", "published")
            heads = store.journals(batch_id=batch.batch_id).to_dict("records")
            self.tell(batch.batch_id, [(h["journal_key"], "posted" if posted(h) else "rejected") for h in heads])

    def mend(self) -> None:
        """The ERP's people correct what was refused, and import it."""
        members = self.context.store.members(feed_id="tiny")
        refused = members[members["state"].isin(["rejected", "void"])]
        for batch_id, keys in refused.groupby("batch_id", dropna=False)["journal_key"]:
            live = set(members.loc[members["state"] == "rejected", "journal_key"])
            self.tell(str(batch_id), [(key, "posted") for key in keys if key in live])

    def tell(self, batch_id: str, answers: list[tuple[str, str]]) -> None:
        rows = [(key, level, f"D{key}" if level == "posted" else "", "", "") for key, level in answers]
        columns = zip(*rows, strict=True) if rows else [()] * 5
        frame = {
            name: model.texts(list(cells)) for name, cells in zip(model.ACKNOWLEDGEMENT_COLUMNS, columns, strict=True)
        }
        self.context.store.acknowledge(batch_id, pd.DataFrame(frame))

    def journals(self) -> pd.DataFrame:
        """All journals with the state of their member."""
        return self.context.store.report_journals("TINY", [report for _, report in REPORTS])

    def lines(self) -> pd.DataFrame:
        """The sealed lines of all journals that count, with their headers; void ones count nowhere."""
        heads = self.journals()
        heads = heads.loc[heads["state"] != "void", ["journal_key", "company", "report_id", "report_version", "currency",
                                                     "purpose", "reverses"]]  # fmt: skip
        folders = [self.context.home / "batches" / batch.folder for batch in self.context.store.batches("tiny")]
        parts = [pq.read_table(folder / "lines.parquet").to_pandas() for folder in folders]
        lines = pd.concat(parts) if parts else pd.DataFrame(columns=model.JOURNAL_LINE_COLUMNS)
        lines = lines.astype({"debit_minor": "int64", "credit_minor": "int64"}).rename(columns={"purpose": "line"})
        return lines.merge(heads, on="journal_key", validate="m:1")


AMOUNTS = ["debit_minor", "credit_minor", "base_debit_minor", "base_credit_minor"]
CELL = ["account", "party", "cost_center", "project", "analysis", "tax_code", "currency"]


def nets(lines: pd.DataFrame, keys: Sequence[str]) -> dict[tuple[str, ...], tuple[int, int]]:
    """Net in document and base currency per report (or what the keys say), account, dimensions and currency."""
    lines = lines.assign(
        net=lines["debit_minor"] - lines["credit_minor"], base=lines["base_debit_minor"] - lines["base_credit_minor"]
    )
    sums = lines.groupby([*keys, *CELL], dropna=False)[["net", "base"]].sum()
    return {tuple(key): (int(net), int(base)) for key, net, base in zip(sums.index, sums["net"], sums["base"], strict=True)
            if net or base}  # fmt: skip


# --- the model: a dictionary of reports


@dataclass
class Entry:
    """A journal as the model sees it: sealed, posted, rejected or void."""

    version: int
    currency: str
    state: str = "sealed"
    reverses: Entry | None = None
    reversed_by: Entry | None = None

    def told(self) -> tuple[int, str, str, str]:
        return self.version, self.currency, "reversal" if self.reverses else "original", self.state


@dataclass
class Told:
    """What is known of one report: the version in force, those that wait, and its journals."""

    number: int = 0
    content: Content = ()
    newest: int = 0
    waiting: list[Version] = field(default_factory=list)
    entries: list[Entry] = field(default_factory=list)

    def standing(self, state: str) -> list[Entry]:
        return [e for e in self.entries if e.reverses is None and e.state == state and e.reversed_by is None]

    def unsettled(self) -> bool:
        open_reversal = [e for e in self.entries if e.reverses and e.state != "posted"]
        return bool(self.standing("sealed") or open_reversal)

    def receive(self, version: Version) -> None:
        unchanged = version.content == self.content and version.content and not self.standing("rejected")
        if version.number < self.newest or version.number == self.number:
            return
        if unchanged:
            self.newest = version.number
        elif self.unsettled():
            self.waiting.append(version)
        else:
            self.book(version)

    def book(self, version: Version) -> None:
        for entry in self.standing("posted"):
            entry.reversed_by = Entry(version.number, entry.currency, reverses=entry)
            self.entries.append(entry.reversed_by)
        for entry in self.standing("rejected"):
            entry.state = "void"
        self.entries += [Entry(version.number, currency) for currency in sorted({c for c, _ in version.content})]
        self.number, self.content, self.newest = version.number, version.content, version.number

    def build(self) -> None:
        """The reports that wait are judged again in the order they came, once something of theirs was answered."""
        waiting, self.waiting = self.waiting, []
        for version in waiting:
            self.receive(version)


contents = st.lists(
    st.tuples(st.sampled_from(["CNY", "USD"]), st.sampled_from(["10.00", "20.00", "-7.00", "0.05"])),
    min_size=1,
    max_size=2,
).map(lambda lines: tuple(sorted(dict(lines).items())))
reports = st.sampled_from(REPORTS)


class Revisions(RuleBasedStateMachine):
    """Random sequences of what people do to reports, and of what the ERP answers."""

    @initialize()
    def open_office(self) -> None:
        self.place = tempfile.TemporaryDirectory()
        self.office = Office(Path(self.place.name))
        self.told = {report: Told() for report in REPORTS}
        self.sent: list[Version] = []
        self.open_periods = {"2026-02", "2026-03"}

    def send(self, *versions: Version) -> None:
        known = set(self.office.journals()["journal_key"])
        self.sent += versions
        self.office.deliver([line for version in versions for line in version.lines()])
        highest = {version.report: version for version in sorted(versions, key=lambda v: v.number)}
        for version in highest.values():
            self.told[version.report].receive(version)
        self.built()
        made = self.office.journals()
        assert set(made.loc[~made["journal_key"].isin(known), "period"]) <= self.open_periods

    def built(self) -> None:
        for told in self.told.values():
            told.build()

    def next_number(self, report: Report) -> int:
        return 1 + max([v.number for v in self.sent if v.report == report], default=0)

    @rule(report=reports, content=contents)
    def edit(self, report: Report, content: Content) -> None:
        self.send(Version(report, self.next_number(report), content))

    @rule(report=reports)
    def withdraw(self, report: Report) -> None:
        self.send(Version(report, self.next_number(report), ()))

    @rule(report=reports)
    def approve_again_unchanged(self, report: Report) -> None:
        said = [v.content for v in self.sent if v.report == report and v.content]
        if said:
            self.send(Version(report, self.next_number(report), said[-1]))

    @rule(report=reports, first=contents, second=contents)
    def two_versions_in_one_file(self, report: Report, first: Content, second: Content) -> None:
        number = self.next_number(report)
        self.send(Version(report, number, first), Version(report, number + 1, second))

    @precondition(lambda self: self.sent)
    @rule(data=st.data())
    def an_old_version_comes_again(self, data: st.DataObject) -> None:
        self.send(data.draw(st.sampled_from(self.sent)))

    @rule(posts=st.sampled_from(["all", "all", "all", "reversals", "originals", "none"]))
    def the_erp_answers(self, posts: str) -> None:
        wanted = {"all": ("original", "reversal"), "none": ()}.get(posts, (posts.removesuffix("s"),))
        self.office.answer(lambda head: head["purpose"] in wanted)
        for told in self.told.values():
            for entry in [e for e in told.entries if e.state == "sealed"]:
                entry.state = "posted" if ("reversal" if entry.reverses else "original") in wanted else "rejected"

    @rule()
    def refused_journals_are_mended_in_the_erp(self) -> None:
        self.office.mend()
        for told in self.told.values():
            for entry in told.entries:
                entry.state = "posted" if entry.state == "rejected" else entry.state

    @rule()
    def the_feed_runs_again(self) -> None:
        pipeline.build(self.office.context)
        self.built()
        before = self.office.journals()
        pipeline.build(self.office.context)
        assert self.office.journals().equals(before) or any(told.waiting for told in self.told.values())
        self.built()

    @rule(account=st.sampled_from(["6601", "6605"]))
    def finance_changes_the_mapping(self, account: str) -> None:
        self.office.table("account", TABLES["account"].replace("TAXI,6602", f"TAXI,{account}"))

    @rule(state=st.sampled_from(["open", "closed"]))
    def february_is_closed_or_opened(self, state: str) -> None:
        self.office.table("periods", "company,period,state\n" + "".join(
            f"{company},2026-02,{state}\n{company},2026-03,open\n" for company in ("C1", "C2")))  # fmt: skip
        self.open_periods = {"2026-03"} | ({"2026-02"} if state == "open" else set())

    @invariant()
    def the_journals_are_those_of_the_model(self) -> None:
        if not hasattr(self, "office"):
            return
        made = self.office.journals()
        for (company, report), told in self.told.items():
            mine = made[(made["company"] == company) & (made["report_id"] == report)]
            rows = mine[["report_version", "currency", "purpose", "state"]].itertuples(index=False, name=None)
            found = sorted((int(row[0]), *row[1:]) for row in rows)
            assert sorted(entry.told() for entry in told.entries) == found, (company, report)

    @invariant()
    def the_net_is_what_the_version_in_force_says(self) -> None:
        if not hasattr(self, "office"):
            return
        lines = self.office.lines()
        back = lines[lines["reverses"] != ""]
        pairs = pd.concat(
            [lines[lines["journal_key"].isin(back["reverses"])], back.assign(journal_key=back["reverses"])]
        )
        assert {} == nets(pairs, ["journal_key"])
        version = lines["company"] + " " + lines["report_id"] + " " + lines["report_version"]
        in_force = [f"{' '.join(report)} {told.number}" for report, told in self.told.items() if told.content]
        current = lines[version.isin(in_force) & (lines["purpose"] == "original")]
        assert nets(current, ["company", "report_id"]) == nets(lines, ["company", "report_id"])
        for report, told in self.told.items():
            mine = current[(current["company"] == report[0]) & (current["report_id"] == report[1])]
            spent = (
                mine[mine["line"] == "expense"].groupby("currency", dropna=False)[["debit_minor", "credit_minor"]].sum()
            )
            said = {c: int(amount.replace(".", "")) for c, amount in told.content}
            assert said == (spent["debit_minor"] - spent["credit_minor"]).to_dict()

    def teardown(self) -> None:
        """Once everything is answered, every report stands as its last version says."""
        if not hasattr(self, "office"):
            return
        for _ in self.sent:
            self.the_erp_answers("all")
            self.refused_journals_are_mended_in_the_erp()
            if not any(told.waiting for told in self.told.values()):
                break
            self.the_feed_runs_again()
        self.the_journals_are_those_of_the_model()
        self.the_net_is_what_the_version_in_force_says()
        for report, told in self.told.items():
            last = max((v for v in self.sent if v.report == report), key=lambda v: v.number, default=None)
            assert (last.content if last else ()) == told.content and not told.waiting
        self.office.context.store.close()
        self.place.cleanup()


def test_whatever_happens_to_a_report_its_journals_add_up_to_its_current_version() -> None:
    run_state_machine_as_test(Revisions, settings=settings(max_examples=8, stateful_step_count=14, deadline=None))
