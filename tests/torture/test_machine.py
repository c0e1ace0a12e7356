"""Whatever happens in whatever order, the ERP's own books come to what the source said last: nothing lost or doubled.

A state machine draws sequences of deliveries, corrections, withdrawals, runs, kills, imports, answers, refusals and
restored stores, and holds the ERP's books against a dictionary of reports. A failing sequence is shrunk and told.
"""

from __future__ import annotations

import shutil
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import ClassVar

import pytest
import way
from claims import Line, claim
from effort import MACHINES, WHOLE
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule, run_state_machine_as_test
from office import Cells, Killed, Office, accounts, expected
from test_crashes import failpoints

from etl import mapping
from etl.errors import PermanentError
from sandbox.erp.faults import ALL_OR_NOTHING, REFUSE_ONE

BEHIND = "LEDGER_BEHIND_TARGET"
REPORTS = (("CN01", "A"), ("CN01", "B"), ("JP01", "C"), ("JP01", "D"))  # two by the table, two by the drop
CURRENCY = {"CN01": "CNY", "JP01": "JPY"}
STEPS = 30 if WHOLE else 14
ACCOUNTS = accounts()
Report = tuple[str, str]


@dataclass(frozen=True)
class Said:
    """What the source said last of a report: version, expense type, whole units of currency; 0 is withdrawn."""

    version: int
    expense_type: str
    amount: int

    def line(self, report: Report) -> Line:
        """The line of a file that says it."""
        company, name = report
        state = "approved" if self.amount else "recalled"
        amount = str(self.amount or 1)
        return claim(Company=company, Report_ID=name, Version=str(self.version), State=state, Amount=amount,
                     Expense_Type=self.expense_type, Currency=CURRENCY[company], Tax="0")  # fmt: skip

    def cells(self) -> Cells:
        """What the ERP's books must hold of it."""
        return expected(ACCOUNTS[self.expense_type], str(self.amount)) if self.amount else {}


reports = st.sampled_from(REPORTS)
amounts = st.integers(1, 9).map(lambda tens: tens * 10)
types = st.sampled_from(["TAXI", "TRAIN"])


class Machine(RuleBasedStateMachine):
    """Random sequences of what the source, a run, the ERP and the people who keep the store can do."""

    template: ClassVar[Path]
    mappings: ClassVar[Path]
    bundle: ClassVar[mapping.Bundle]

    @initialize()
    def begin(self) -> None:
        self.place = tempfile.TemporaryDirectory()
        folder = Path(self.place.name)
        shutil.copytree(self.template / "home", folder / "home")
        self.office = Office(folder, self.mappings, self.bundle)
        self.said: dict[Report, Said] = {}
        self.sent: list[bytes] = []
        self.reports: dict[str, Report] = {}
        self.versions = 0
        self.restored = False  # since the last time that everything was sent again
        self.was_restored = False
        self.backed_up = self.refused = False
        self.history: dict[Report, list[Cells]] = {report: [{}] for report in REPORTS}
        self.all_reports_come_in_one_file("TAXI", 50)

    # --- the source

    def send(self, *told: tuple[Report, Said]) -> None:
        self.versions += len(told)
        self.said |= dict(told)
        for report, said in told:
            self.history[report].append(said.cells())
        self.sent.append(self.office.deliver([said.line(report) for report, said in told]).read_bytes())

    def next_of(self, report: Report) -> int:
        return self.said[report].version + 1 if report in self.said else 1

    @rule(report=reports, expense_type=types, amount=amounts)
    def a_report_comes_or_is_corrected(self, report: Report, expense_type: str, amount: int) -> None:
        self.send((report, Said(self.next_of(report), expense_type, amount)))

    @rule(expense_type=types, amount=amounts)
    def all_reports_come_in_one_file(self, expense_type: str, amount: int) -> None:
        self.send(*((report, Said(self.next_of(report), expense_type, amount)) for report in REPORTS))

    @precondition(lambda self: self.said)
    @rule(data=st.data())
    def a_report_is_withdrawn(self, data: st.DataObject) -> None:
        report = data.draw(st.sampled_from(sorted(self.said)))
        self.send((report, Said(self.next_of(report), "TAXI", 0)))

    @precondition(lambda self: self.sent)
    @rule(data=st.data())
    def a_file_comes_again(self, data: st.DataObject) -> None:
        self.office.deliver_again(data.draw(st.sampled_from(self.sent)))

    # --- our side

    def guarded(self, step: Callable[[], None]) -> str:
        """Do a step; a store that was restored may be refused delivery, any other never."""
        try:
            step()
        except PermanentError as error:
            assert self.was_restored and error.code == BEHIND, error
            return error.code
        finally:
            self.reports |= self.office.journals()
        return ""

    @rule()
    def a_plain_run(self) -> None:
        self.guarded(self.office.run)

    @rule(name=st.sampled_from(sorted(failpoints())))
    def a_run_is_killed(self, name: str) -> None:
        with suppress(Killed):
            self.guarded(lambda: self.office.run(killed_at=name))

    @rule(again=st.booleans())
    def answers_are_read(self, again: bool) -> None:
        self.office.acknowledge(again)

    @rule()
    def people_release_what_was_refused(self) -> None:
        self.office.release_refused()

    # --- the ERP

    @rule()
    def the_erp_imports(self) -> None:
        self.office.erp_imports()

    @rule(group=st.booleans())
    def the_erp_refuses_a_journal(self, group: bool) -> None:
        """The first of each group or file, or the whole of it because of that one."""
        self.refused = True
        self.office.erp_imports(REFUSE_ONE, *([ALL_OR_NOTHING] if group else []))

    # --- the store

    @rule()
    def the_store_is_backed_up(self) -> None:
        self.office.back_up()
        self.backed_up = True

    @precondition(lambda self: self.backed_up)
    @rule()
    def an_older_store_is_restored(self) -> None:
        self.office.restore()
        self.restored = self.was_restored = True

    @precondition(lambda self: self.restored)
    @rule()
    def the_source_sends_everything_again(self) -> None:
        self.office.send_all_again()
        self.restored = False

    # --- what must be true

    def posted(self) -> dict[Report, Cells]:
        """The ERP's books per report, without accounts that came to nothing; no journal stands there twice."""
        lines = self.office.erp_lines()
        documents = Counter(key for key, _ in {(key, document) for key, document, *_ in lines})
        assert [] == [key for key, times in documents.items() if times > 1], "posted twice"
        found: dict[Report, Cells] = {}
        for key, _, account, net in lines:
            cells = found.setdefault(self.reports[key], {})
            cells[account] = cells.get(account, Decimal()) + net
        return {report: {a: net for a, net in cells.items() if net} for report, cells in found.items()}

    def settle(self) -> str:
        """Days go by: plain runs, imports and answers until nothing moves; out: the error that delivery ends with."""
        if self.restored:
            self.the_source_sends_everything_again()
        before, error = None, ""
        for _ in range(self.versions * 2 + 4):
            error = self.guarded(self.office.run)
            self.office.erp_imports()
            error = self.guarded(self.office.run) or error
            self.office.release_refused()
            after = self.office.state()
            if after == before:
                return error
            before = after
        raise AssertionError("it never comes to rest")

    @rule()
    def days_go_by(self) -> None:
        """All of it must be true at any moment at which nothing moves any more, and again afterwards."""
        error = self.settle()
        proof, sound = self.office.proof()
        found = {report: self.posted().get(report, {}) for report in self.said}
        wanted = {report: said.cells() for report, said in self.said.items()}
        codes = {finding["code"] for finding in sound["findings"]}
        strange = self.office.batches_at_the_erp() - {one for one, *_ in self.office.state()}
        if strange:  # a restored store that made other batches than before: nothing is sent, and people are told
            assert self.was_restored, strange
            assert not proof["explained"] or found == wanted
            whole = {report: cells in self.history[report] for report, cells in found.items()}
            assert self.refused or all(whole.values()), found
            return
        assert error == ""
        assert wanted == found
        assert (True, 0) == (proof["explained"], proof["breaks"]), proof["by_code"]
        assert codes <= ({"AUDIT_BROKEN"} if self.was_restored else set()), sound["findings"]

    def teardown(self) -> None:
        if hasattr(self, "office"):
            self.days_go_by()
            self.place.cleanup()


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[type[Machine]]:
    """The machine with mappings and an empty home to copy for each sequence."""
    folder = tmp_path_factory.mktemp("machine")
    Machine.template, Machine.mappings = folder, way.mappings_for(folder / "mappings")
    feed = Machine.mappings / "feeds/sample.yml"
    feed.write_text(
        feed.read_text("utf-8").replace("states: [approved]", "states: [approved]\n  withdrawn: [recalled]")
    )
    Machine.bundle = mapping.load(Machine.mappings, "sample")
    Office(folder, Machine.mappings, Machine.bundle).prepare()
    yield Machine


@pytest.mark.slow
def test_whatever_happens_the_erp_holds_what_the_source_said_last(
    machine: type[Machine], record_property: Callable[[str, int], None]
) -> None:
    chosen = settings(
        max_examples=MACHINES, stateful_step_count=STEPS, deadline=None, derandomize=not WHOLE, database=None,
        suppress_health_check=list(HealthCheck), print_blob=False,
        phases=(Phase.generate, Phase.shrink),
    )  # fmt: skip
    run_state_machine_as_test(machine, settings=chosen)
    record_property("sequences", MACHINES)
