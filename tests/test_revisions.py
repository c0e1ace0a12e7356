"""Edits, withdrawals and approvals in any order: the net of a report's journals is what its current version says."""

from __future__ import annotations

import dataclasses
import itertools
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.parquet as pq
import pytest
from books import FEED, JOURNAL, TABLES, write_mapping
from claims import Line, claim, deliver
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
from etl.errors import ConfigurationError, PermanentError
from etl.pipeline import explain, inquire
from etl.pipeline.preview import preview
from etl.store import Store

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
        self.ticks = itertools.count()
        self.context = self.open()

    def open(self) -> pipeline.Context:
        """The feed on a day in February."""
        store = Store.open(self.settings.store_url, lambda: f"2026-02-12T01:00:{next(self.ticks) / 1e6:09.6f}Z")
        context = pipeline.open("tiny", settings=self.settings)
        context.store.close()
        return dataclasses.replace(context, store=store)

    def table(self, name: str, text: str) -> None:
        (self.mappings / "tables" / f"{name}.csv").write_text(text, "utf-8")
        self.context.store.close()
        self.context = self.open()

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
        facts = ["journal_key", "company", "report_id", "report_version", "currency", "purpose", "reversal_of"]
        heads = heads.loc[heads["state"] != "void", facts]
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
    rows = zip(sums.index, sums["net"].tolist(), sums["base"].tolist(), strict=True)
    return {tuple(key): (net, base) for key, net, base in rows if net or base}


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
        self.taken: dict[Report, int] = {}
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

    @rule(report=reports)
    def two_persons_take_it_back(self, report: Report) -> None:
        told = self.told[report]
        if not told.standing("posted") or told.unsettled():
            with pytest.raises((PermanentError, ConfigurationError)):
                pipeline.ask(self.office.context, "reverse", "/".join(report), "ann", "paid twice")
            return
        asked = pipeline.ask(self.office.context, "reverse", "/".join(report), "ann", "paid twice")
        pipeline.approve(self.office.context, asked["id"], "bob", "yes")
        told.book(Version(report, told.newest, ()))
        self.taken[report] = told.newest

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
    def no_reversal_lies_before_what_it_reverses(self) -> None:
        if not hasattr(self, "office"):
            return
        made = self.office.journals()
        own = dict(zip(made["journal_key"], made["posting_date"], strict=True))
        back = made[made["reversal_of"] != ""]
        assert [] == [key for key in back.index if back["posting_date"][key] < own[back["reversal_of"][key]]]

    @invariant()
    def the_net_is_what_the_version_in_force_says(self) -> None:
        if not hasattr(self, "office"):
            return
        lines = self.office.lines()
        back = lines[lines["reversal_of"] != ""]
        pairs = pd.concat(
            [lines[lines["journal_key"].isin(back["reversal_of"])], back.assign(journal_key=back["reversal_of"])]
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
            gone = last is None or self.taken.get(report) == last.number
            assert (last.content if last and not gone else ()) == told.content and not told.waiting
        self.office.context.store.close()
        self.place.cleanup()


def test_whatever_happens_to_a_report_its_journals_add_up_to_its_current_version() -> None:
    """Six sequences of twelve steps, other ones in each run; a failing one is shrunk and told step by step."""
    run_state_machine_as_test(Revisions, settings=settings(max_examples=6, stateful_step_count=12, deadline=None))


# --- the same with the sandbox ERP, step by step


@pytest.fixture
def group(tmp_path: Path) -> Group:
    return Group(tmp_path)


class Group:
    """The feed `sample` with withdrawn states and its sandbox ERP, without the gate."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.files, self.mappings = folder, 0, folder / "mappings"
        shutil.copytree(config.PROJECT / "mappings", self.mappings)
        self.change("feeds/sample.yml", "  states: [approved]\n", "  states: [approved]\n  withdrawn: [recalled]\n")
        self.change("feeds/sample.yml", "\nchecks:\n", "\nchecks:\n  invoice_repeated: hold\n")
        feed = (self.mappings / "feeds/sample.yml").read_text("utf-8")
        gate = feed[feed.index("gate:\n") : feed.index("acknowledge_within_hours")]
        self.change("feeds/sample.yml", gate, "")

    def change(self, name: str, old: str, new: str) -> None:
        path = self.mappings / name
        assert old in path.read_text("utf-8")
        path.write_text(path.read_text("utf-8").replace(old, new), "utf-8")

    def open(self) -> pipeline.Context:
        url = f"sqlite:///{self.folder / 'home/store.db'}"
        return pipeline.open("sample", settings=config.Settings(self.folder / "home", self.mappings, url))

    def file(self, *lines: Line) -> Path:
        self.files += 1
        return deliver(self.folder / f"in{self.files}", lines, f"expenses_2026-02_{self.files:03}.csv")

    def run(self, *lines: Line) -> dict[str, Any]:
        return pipeline.run(self.open(), self.file(*lines))

    def report(self, report_id: str) -> list[str]:
        """The journals of a report in the order they were made."""
        context = self.open()
        chain = inquire.report(context.store, context.shelf, report_id)["chain"]
        return [
            " ".join(str(one[c]) for c in ("report_version", "purpose", "debit", "posting_date", "state"))
            for one in chain
        ]


def usd(**changes: str) -> Line:
    """A claim in dollars of the Chinese company, which corrects in red."""
    return claim(**{"Report_ID": "F1", "Currency": "USD", "Amount": "1.05"} | changes)


def test_edit_withdraw_and_approve_again_through_the_erp_and_back(group: Group) -> None:
    us = {"Report_ID": "U1", "Company": "US01", "Currency": "USD", "Tax_Code": ""}
    steps = [
        group.run(claim(), usd(), claim(**us)),
        group.run(claim(Version="2", Amount="46.00"), usd(Version="2"), claim(Version="2", State="recalled", **us)),
        group.run(usd(Version="3", Amount="2.10"), claim(Version="3", **us)),
        group.run(claim(Version="3", State="recalled"), usd(Version="2", Amount="9.99")),
    ]

    assert [(3, 0), (3, 0), (3, 0), (1, 0)] == [(step["posted"], step["breaks"]) for step in steps]
    assert [{}, {}, {}, {}] == [step["reasons"] for step in steps]
    assert [0, 1, 0, 0] == [step["duplicate"]["reports"] for step in steps]
    assert [0, 1, 0, 1] == [step["withdrawn"]["reports"] for step in steps]
    assert all(step["explained"] and step["conservation"]["holds"] for step in steps)
    assert [
        "1 original 45.00 2026-02-10 posted", "2 reversal -45.00 2026-02-10 posted",
        "2 original 46.00 2026-02-10 posted", "3 reversal -46.00 2026-02-10 posted",
    ] == group.report("R1")  # fmt: skip
    taken_back = ("1 original", "2 reversal", "3 original")
    assert [f"{one} 45.00 2026-02-09 posted" for one in taken_back] == group.report("U1")
    assert 3 == len(group.report("F1"))


def test_a_correction_after_the_cut_off_and_another_mapping_takes_back_what_was_sealed(group: Group) -> None:
    group.run(claim(), usd())
    group.change("tables/sample_periods.csv", "CN01,2026-02,open", "CN01,2026-02,closed")
    group.change("journals/group_expense.yml", "closed_period: hold", "closed_period: next_open")
    group.change("tables/sample_account.csv", "*,TAXI,660201", "*,TAXI,660299")
    result = group.run(claim(Version="2", Amount="46.00"), usd(Version="2", State="recalled", Approved=""))
    context = group.open()
    proof = [pipeline.reconcile(context, period) for period in ("2026-02", "2026-03", "")]

    assert (3, 0, {}) == (result["posted"], result["breaks"], result["reasons"])
    assert ["2 reversal -45.00 2026-03-01 posted", "2 original 46.00 2026-03-01 posted"] == group.report("R1")[1:]
    assert ["2 reversal -1.05 2026-03-01 posted"] == group.report("F1")[1:]
    assert [(True, 0, 2)] * 3 == [(one["explained"], one["breaks"], len(one["shifts"])) for one in proof]
    page = (group.folder / "home/reports/sample/report.html").read_text("utf-8")
    assert "Corrections across a cut-off" in page


@pytest.mark.parametrize(
    ("state", "policy", "second", "expected"),
    [
        ("open", "hold", {"Amount": "46.00"}, ["2 original 46.00 2026-01-20", "2 reversal -45.00 2026-02-10"]),
        ("open", "hold", {"State": "recalled"}, ["2 reversal -45.00 2026-02-10"]),
        ("closed", "next_open", {"Amount": "46.00"}, ["2 original 46.00 2026-01-20", "2 reversal -45.00 2026-03-01"]),
        ("closed", "next_open", {"State": "recalled"}, ["2 reversal -45.00 2026-03-01"]),
        ("closed", "hold", {"Amount": "46.00"}, []),
        ("closed", "hold", {"State": "recalled"}, []),
    ],
)
def test_a_reversal_is_never_dated_before_what_it_reverses(
    group: Group, state: str, policy: str, second: Line, expected: list[str]
) -> None:
    """The correction is of January, what it corrects was posted in February, which may be closed by now."""
    january = {"Date": "2026-01-03", "Submitted": "2026-01-19T01:00:00Z", "Approved": "2026-01-20T01:00:00Z"}
    group.run(claim())
    group.change("tables/sample_periods.csv", "CN01,2026-02,open", f"CN01,2026-02,{state}")
    group.change("journals/group_expense.yml", "closed_period: hold", f"closed_period: {policy}")
    result = group.run(claim(Version="2", **(january | second)), claim(Report_ID="R2", **january))

    assert ({} if expected else {"PERIOD_CLOSED": 1}) == result["reasons"]
    assert (len(expected) + 1, 0, True) == (result["posted"], result["breaks"], result["explained"])
    assert expected == sorted(one.removesuffix(" posted") for one in group.report("R1")[1:])


def test_a_withdrawal_dated_in_a_closed_period_takes_back_on_the_day_of_the_journal(group: Group) -> None:
    group.run(claim())
    december = {"Submitted": "2025-12-09T01:00:00Z", "Approved": "2025-12-10T01:00:00Z"}
    result = group.run(claim(Version="2", State="recalled", **december))

    assert ({}, 1) == (result["reasons"], result["posted"])
    assert ["2 reversal -45.00 2026-02-10 posted"] == group.report("R1")[1:]


def test_the_withdrawal_of_a_company_that_left_the_feed_waits_and_stops_nobody(group: Group) -> None:
    us = {"Company": "US01", "Currency": "USD", "Tax_Code": ""}
    group.run(claim(), claim(Report_ID="U1", **us), claim(Report_ID="U2", **us))
    feed = group.mappings / "feeds/sample.yml"
    whole = feed.read_text("utf-8")
    kept = [line for line in whole.splitlines() if not line.startswith("  US01:")]
    feed.write_text("\n".join(kept).replace("[CN01, US01]", "[CN01]"), "utf-8")
    left = group.run(
        claim(Version="2", State="recalled"), claim(Report_ID="U1", Version="2", State="recalled", **us),
        claim(Report_ID="U2", Version="2", Amount="46.00", **us), claim(Report_ID="U3", State="recalled", **us),
    )  # fmt: skip
    feed.write_text(whole, "utf-8")
    back = group.run(claim(Report_ID="R9"))

    assert ({"COMPANY": 1, "COMPANY_LEFT": 2}, 1) == (left["reasons"], left["posted"])
    assert ["1 original", "2 reversal"] == [" ".join(one.split()[:2]) for one in group.report("R1")]
    assert (4, 0, True) == (back["posted"], back["breaks"], back["explained"])
    assert ["1 original", "2 reversal"] == [" ".join(one.split()[:2]) for one in group.report("U1")]
    assert ["1 original", "2 reversal", "2 original"] == [" ".join(one.split()[:2]) for one in group.report("U2")]


def test_what_the_erp_refused_is_replaced_and_not_reversed(group: Group) -> None:
    """Our calendar has December open, the ERP's is closed."""
    group.change("tables/sample_periods.csv", "CN01,2025-12,closed", "CN01,2025-12,open")
    december = {"Date": "2025-12-03", "Submitted": "2025-12-09T01:00:00Z", "Approved": "2025-12-10T01:00:00Z"}
    refused = group.run(claim(**december))
    result = group.run(claim(Version="2", **(december | {"Approved": "2026-01-05T01:00:00Z"})))

    assert (0, 1, {"REJECTED_BY_ERP": 1}) == (refused["posted"], refused["rejected"], refused["breaks_by_code"])
    assert (1, 0, True) == (result["posted"], result["breaks"], result["explained"])
    assert ["1 original 45.00 2025-12-10 void", "2 original 45.00 2026-01-05 posted"] == group.report("R1")
    given_up = {"posted": 0, "rejected": 1, "unknown": 0, "strangers": 0}
    assert given_up == pipeline.acknowledge(group.open(), refused["batches"][0]["batch_id"])


def test_two_versions_in_two_files_of_one_run_and_a_dry_run_that_says_so(group: Group) -> None:
    """The second waits for the ERP's answer to the first; the next run, with nothing new, goes on with it."""
    for number, amount in ((1, "45.00"), (2, "46.00")):
        deliver(group.folder / "both", [claim(Version=str(number), Amount=amount)], f"expenses_2026-02_00{number}.csv")
    dry = preview(group.open(), group.folder / "out", group.folder / "both")
    first = pipeline.run(group.open(), group.folder / "both")
    dry_again = preview(group.open(), group.folder / "out", group.file(claim(Version="3", State="recalled")))
    second = group.run(claim(Report_ID="R2"))

    assert ({"REVISION": 1}, 1) == (dry["reasons"], dry["journals"])
    assert ({"REVISION": 1}, 1) == (first["reasons"], first["posted"])
    assert (1, 1) == (dry_again["withdrawn"]["reports"], dry_again["journals"])
    assert (3, 0) == (second["posted"], second["breaks"])
    assert ["1 original", "2 reversal", "2 original"] == [" ".join(one.split()[:2]) for one in group.report("R1")]
    before = group.report("R1")
    pipeline.build(group.open())
    assert before == group.report("R1")


def test_an_invoice_of_a_withdrawn_or_corrected_version_is_free(group: Group) -> None:
    group.run(claim(Invoice="1001"), claim(Report_ID="R2", Invoice="1002"))
    freed = group.run(claim(Version="2", State="recalled"), claim(Report_ID="R3", Invoice="1001"),
                      claim(Report_ID="R2", Version="2", Invoice="1003"))  # fmt: skip
    then = group.run(claim(Report_ID="R4", Invoice="1002"), claim(Report_ID="R5", Invoice="1003"))

    assert ({}, 0) == (freed["reasons"], freed["breaks"])
    assert ({"INVOICE_REPEATED": 1}, 1) == (then["reasons"], then["posted"])


def test_a_reversal_is_explained_by_what_it_takes_back(group: Group) -> None:
    group.run(claim())
    group.run(claim(Version="2", State="recalled"))
    context = group.open()
    made = context.store.journals("sample")
    original, reversal = (str(made.loc[made["purpose"] == p, "journal_key"].iat[0]) for p in ("original", "reversal"))
    found = explain.explain(context, reversal, 1)

    assert (original, "CN01 R1 2 is withdrawn in expenses_2026-02_002.csv") == (found["reversal_of"], found["because"])
    assert ("45.00", "expenses_2026-02_001.csv") == (
        found["original"]["lines"][0]["amount"],
        found["original"]["source_file"],
    )


def net(group: Group) -> dict[str, int]:
    """Debit less credit in base currency by company and account over all that was sealed; nothing where it is zero."""
    context = group.open()
    company = context.store.journals("sample").set_index("journal_key")["company"]
    out: dict[str, int] = {}
    for batch in context.store.batches("sample"):
        lines = pq.read_table(context.batch_folder(batch.batch_id) / "lines.parquet").to_pandas()
        for row in lines.itertuples():
            place = f"{company[row.journal_key]} {row.account}"
            out[place] = out.get(place, 0) + row.base_debit_minor - row.base_credit_minor
    return {place: value for place, value in out.items() if value}


def corrected(group: Group, first: Sequence[Line], second: Sequence[Line]) -> list[str]:
    """Two deliveries through the ERP without a break, every cent explained; the purposes of all journals."""
    for lines in (first, second):
        result = group.run(*lines)
        assert ({}, 0, True) == (result["reasons"], result["breaks"], result["explained"])
    context = group.open()
    made = context.store.journals("sample")
    for key in made["journal_key"]:
        told = explain.explain(context, key)
        told = told.get("original", told)
        assert told["made_again_equal"]
        assert [] == [one for one in told["lines"] if one["explained"] != one["amount"]]
        assert all(one["because"] or all(part["why"] for part in one["parts"]) for one in told["lines"])
    return sorted(made["purpose"])


def test_a_report_in_a_journal_of_several_is_corrected_alone(group: Group) -> None:
    others = [claim(Report_ID="R2", Amount="20.00"), usd(Report_ID="F2", Amount="1.06")]
    group.change("journals/group_expense.yml", "lines:\n", "one_per: [company]\nlines:\n")

    made = corrected(
        group, [claim(), usd(), *others], [claim(Version="2", Amount="46.00"), usd(Version="2", State="recalled")]
    )

    assert ["original", "original", "original", "reversal", "reversal"] == made
    alone = Group(group.folder / "alone")
    alone.run(claim(Version="2", Amount="46.00"), *others)
    assert net(alone) == net(group)


def test_costs_that_another_company_bears_are_taken_back_in_both_books(group: Group) -> None:
    between = """intercompany:
  company: {choose: [{when: {project: P2}, value: US01}, {field: company}]}
  due_from: {value: "1241"}
  due_to: {value: "2247"}
lines:
"""
    group.change("journals/group_expense.yml", "lines:\n", between)
    group.change("journals/group_expense.yml", "    amount: net\n", "    amount: net\n    books: bearer\n")
    group.change("journals/group_expense.yml", "    cost_center: {table: cost_center}\n", "")
    us = {"Project": "P2", "Currency": "USD", "Amount": "10.00"}

    made = corrected(group, [claim(**us)], [claim(Version="2", State="recalled", **us)])

    assert ["intercompany", "original", "reversal", "reversal"] == made
    assert {} == net(group)


def test_a_long_journal_is_taken_back_with_all_its_parts(group: Group) -> None:
    group.change("journals/group_expense.yml", "rates:", 'split: {account: {value: "1999"}}\nrates:')
    group.change("targets/oracle_ebs_gl_interface.yml", "\nkind: table", '\nkind: table\njournal_lines_max: "3"')
    long = [claim(Line=str(n), Amount="10.00", Report_Total="40.00") for n in range(1, 5)]
    short = [line | {"Version": "2", "Report Total": "20.00"} for line in long[:2]]

    made = corrected(group, long, short)

    assert ["original", "original", "reversal", "reversal", "reversal", "split", "split"] == made
    assert {"CN01 660201": 2000, "CN01 224101": -2000} == net(group)


def test_what_was_accrued_is_not_taken_back_twice(group: Group) -> None:
    group.change("tables/sample_periods.csv", "CN01,2026-02,open", "CN01,2026-02,accrual")
    group.change("journals/group_expense.yml", "closed_period: hold", "closed_period: accrue")
    group.change("journals/group_expense.yml", "    amount: net\n", "    amount: net\n    accrue: yes\n")
    group.change("journals/group_expense.yml", "rates:", 'accrual: {account: {value: "2261"}}\nrates:')

    made = corrected(group, [claim()], [claim(Version="2", Amount="46.00")])

    assert ["accrual", "accrual", "accrual_reversal", "accrual_reversal", "original", "original", "reversal"] == made
    assert {"CN01 660201": 4600, "CN01 224101": -4600} == net(group)


def test_rounding_beyond_the_limit_of_a_period_holds_what_goes_beyond(group: Group) -> None:
    """1.05 USD at 7.1 leaves 0.5 of a cent on three lines of each claim: one cent a journal, two in a period."""
    group.change("journals/group_expense.yml", 'limit_minor: "5"', 'limit_minor: "5", period_limit_minor: "2"')
    lines = [usd(Line=str(n), Report_Total="3.15") for n in (1, 2, 3)]
    claims = [[line | {"Report ID": f"F{number}"} for line in lines] for number in (1, 2, 3)]

    results = [group.run(*lines) for lines in claims]

    left = [abs(minor) for minor in group.open().store.journals("sample")["rounding_minor"]]
    assert sum(left) <= 2 and [{}, {}] == [one["reasons"] for one in results[:2]]
    assert {"ROUNDING_PERIOD": 1} == results[2]["reasons"]
