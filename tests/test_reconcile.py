"""Reconciliation: all that agrees is silent, all that differs is found, by the right name and nothing else."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from etl import errors, model
from etl import reconcile as subject
from etl.reconcile import Reconciliation, explained, invariants

AS_OF = "2026-04-02T12:00:00Z"
PUBLISHED = "2026-04-02T09:00:00Z"
OVERDUE_HOURS = 4


@dataclass(frozen=True)
class World:
    """What the three witnesses say; `with_` gives the same world with one table changed."""

    outcomes: pd.DataFrame
    journals: pd.DataFrame
    journal_lines: pd.DataFrame
    members: pd.DataFrame
    erp_lines: pd.DataFrame

    def reconcile(self, as_of: str = AS_OF) -> Reconciliation:
        return subject.reconcile(
            self.outcomes, self.expected(), self.journals, self.journal_lines, self.members, self.erp_lines, as_of,
            OVERDUE_HOURS,
        )  # fmt: skip

    def expected(self) -> pd.DataFrame:
        """What the landing receipts ask for: all landed once, in one file, each with the journal that says so."""
        decided = self.outcomes[self.outcomes["outcome"].isin(["accepted", "withdrawn"])]
        keys = ["company", "report_id", "report_version"]
        void = set(self.members.loc[self.members["state"] == "void", "journal_key"])
        made = self.journals[self.journals["purpose"] == "original"].drop_duplicates([*keys, "currency"])
        made = made[[*keys, "currency", "journal_key"]].rename(columns={"currency": "document_currency"})
        both = decided.merge(made, how="left", on=[*keys, "document_currency"], validate="m:1").fillna("")
        return subject.claims(both.assign(seq=1)[subject.DECIDED_COLUMNS], void)

    def set(self, table: str, rows: Any, **values: Any) -> World:
        """The same world with columns of some rows (a condition on the table) set to other values."""
        frame = getattr(self, table).copy()
        chosen = rows(frame)
        for column, value in values.items():
            frame.loc[chosen, column] = value
        return replace(self, **{table: frame})

    def without(self, table: str, rows: Any) -> World:
        frame = getattr(self, table)
        return replace(self, **{table: frame[~rows(frame)].reset_index(drop=True)})

    def adding(self, table: str, rows: Any, **values: Any) -> World:
        """The same world with copies of some rows added, their columns set to other values."""
        frame = getattr(self, table)
        return replace(self, **{table: pd.concat([frame, frame[rows(frame)].assign(**values)], ignore_index=True)})


def frame(columns: list[str], rows: list[dict[str, Any]]) -> pd.DataFrame:
    numbers = {
        "gross_minor",
        "rounding_minor",
        "lines",
        "debit_minor",
        "credit_minor",
        "base_debit_minor",
        "base_credit_minor",
        "line_no",
    }
    full = {name: [row.get(name, 0 if name in numbers else "") for row in rows] for name in columns}
    return pd.DataFrame({name: pd.Series(full[name], dtype="int64" if name in numbers else "str") for name in columns})


class Books:
    """Claims written by hand: each `claim` lands, gets a journal, is loaded and posted."""

    def __init__(self) -> None:
        self.rows: dict[str, list[dict[str, Any]]] = {
            "outcomes": [],
            "journals": [],
            "lines": [],
            "members": [],
            "erp": [],
        }

    def land(self, report: str, outcome: str, gross: int, company: str = "CN01", currency: str = "CNY") -> None:
        self.rows["outcomes"].append(
            {"landing_sha256": "f1", "company": company, "report_id": report, "report_version": "1", "lines": 2,
             "document_currency": currency, "outcome": outcome, "gross_minor": gross}
        )  # fmt: skip

    def claim(
        self, report: str, expenses: dict[str, int], company: str = "CN01", currency: str = "CNY", base: str = "CNY",
        rate: int = 1, rounding: int = 0, erp_style: str = "base", red: bool = False, date: str = "2026-03-31",
    ) -> str:  # fmt: skip
        """expenses: account -> net debit. The settlement is credited on 224101; rounding is base minor units."""
        key = f"K{report}{currency}".ljust(16, "A")
        gross = sum(expenses.values())
        self.land(report, "accepted", gross, company, currency)
        head = {"journal_key": key, "company": company, "posting_date": date, "period": date[:7], "currency": currency}
        self.rows["journals"].append(
            {
                **head,
                "journal_id": key.lower(),
                "report_id": report,
                "report_version": "1",
                "purpose": "original",
                "base_currency": base,
            }
        )
        lines = [("expense", account, net, net * rate) for account, net in expenses.items()]
        lines.append(("settlement", "224101", -gross, -gross * rate - rounding))
        lines += [("rounding", "660399", 0, rounding)] if rounding else []
        for number, (purpose, account, net, base_net) in enumerate(lines, 1):
            sides = self._sides(net, purpose, red)
            base_sides = {f"base_{name}": value for name, value in self._sides(base_net, purpose, red).items()}
            self.rows["lines"].append(
                {"journal_key": key, "line_no": number, "purpose": purpose, "account": account, **sides, **base_sides}
            )
            shown = base_sides if purpose == "rounding" and erp_style == "base" else sides
            shown_currency = base if purpose == "rounding" and erp_style == "base" else currency
            self.rows["erp"].append(
                {**head, "erp_document": f"D{report}{currency}", "account": account, "currency": shown_currency,
                 **{name.removeprefix("base_"): value for name, value in shown.items()}}
            )  # fmt: skip
        self.rows["members"].append(
            {"batch_id": f"B-{company}", "journal_key": key, "state": "posted", "batch_state": "acknowledged",
             "published_at": PUBLISHED, "erp_document": f"D{report}{currency}"}
        )  # fmt: skip
        return key

    @staticmethod
    def _sides(net: int, purpose: str, red: bool) -> dict[str, int]:
        debit = (purpose != "settlement") if red else net > 0
        return {"debit_minor": net, "credit_minor": 0} if debit else {"debit_minor": 0, "credit_minor": -net}

    def world(self) -> World:
        return World(
            frame(subject.OUTCOME_COLUMNS, self.rows["outcomes"]),
            frame(model.JOURNAL_COLUMNS, self.rows["journals"]),
            frame(model.JOURNAL_LINE_COLUMNS, self.rows["lines"]),
            frame(subject.MEMBER_COLUMNS, self.rows["members"]),
            frame(model.ERP_LINE_COLUMNS, self.rows["erp"]),
        )


def month_end() -> World:
    """Six claims: input tax, foreign ones with rounding in two ERP styles, yen, refunds, one in two currencies."""
    books = Books()
    books.claim("R1", {"660201": 10_000, "222101": 600})
    books.claim("R2", {"660201": 5_000, "660202": 2_500}, currency="USD", rate=7, rounding=1)
    books.claim("R3", {"660201": 1_200}, company="JP01", currency="JPY", base="JPY")
    books.claim("R4", {"660201": -3_000, "222101": -180}, red=True)
    books.claim("R5", {"660203": 700})
    books.claim("R5", {"660203": 900}, currency="EUR", rate=8, rounding=-2, erp_style="zero")
    books.claim("R6", {"660201": -450}, company="JP01", currency="JPY", base="JPY")
    books.land("Q1", "quarantined", 99_900)
    books.land("X1", "duplicate", 10_600)
    books.land("S1", "superseded", 1_100, "JP01", "JPY")
    return books.world()


def key(report: str, currency: str = "CNY") -> str:
    return f"K{report}{currency}".ljust(16, "A")


def of(report: str, currency: str = "CNY", account: str = "") -> Any:
    """The rows of one claim, in any table that has journal keys; of one account when given."""

    def rows(table: pd.DataFrame) -> pd.Series:
        mine = table["journal_key"] == key(report, currency)
        return mine & (table["account"] == account) if account else mine

    return rows


def found(result: Reconciliation) -> list[tuple[str, str, str]]:
    breaks = result.breaks
    return list(zip(breaks["code"], breaks["severity"], breaks["journal_key"], strict=True))


def test_when_all_agrees_nothing_is_reported() -> None:
    result = month_end().reconcile()
    assert found(result) == []
    assert explained(result) is True
    assert result.conservation == ()
    assert result.documents["bucket"].tolist() == ["matched"] * 7
    assert result.documents["break_codes"].tolist() == [""] * 7
    assert result.documents["erp_document"].tolist() == [
        "DR1CNY",
        "DR2USD",
        "DR4CNY",
        "DR5CNY",
        "DR5EUR",
        "DR3JPY",
        "DR6JPY",
    ]
    assert (result.documents["here_minor"] == result.documents["erp_minor"]).all()
    assert result.documents["here_minor"].tolist() == [10_600, 7_500, 3_180, 700, 900, 1_200, 450]


def test_totals_stand_side_by_side_per_company_currency_account_and_period() -> None:
    totals = month_end().reconcile().totals
    assert totals.columns.tolist() == subject.TOTAL_COLUMNS
    assert (totals["difference_minor"] == 0).all() and (totals["open_minor"] == 0).all()
    cny = totals[(totals["company"] == "CN01") & (totals["currency"] == "CNY")].drop(
        columns=["company", "currency", "period"]
    )
    assert cny.to_numpy().tolist() == [
        # account, journals, documents, debit and credit here, debit and credit in the ERP, difference, open
        ["222101", 2, 2, 420, 0, 420, 0, 0, 0],
        ["224101", 3, 3, 0, 8_120, 0, 8_120, 0, 0],
        ["660201", 2, 2, 7_000, 0, 7_000, 0, 0, 0],
        ["660203", 1, 1, 700, 0, 700, 0, 0, 0],
        ["660399", 1, 1, 1, 0, 1, 0, 0, 0],
    ]


def test_stages_add_up_from_landed_to_posted() -> None:
    stages = month_end().reconcile().stages.set_index(["company", "currency"])
    cny = stages.loc[("CN01", "CNY")]
    expected = {
        "landed": (5, 118_620), "accepted": (3, 8_120), "quarantined": (1, 99_900), "duplicate": (1, 10_600),
        "superseded": (0, 0), "withdrawn": (0, 0), "reversed": (0, 0),
        "journaled": (3, 8_120), "loaded": (3, 8_120), "posted": (3, 8_120), "rejected": (0, 0),
        "in_flight": (0, 0), "missing": (0, 0),
    }  # fmt: skip
    assert {stage: (cny[f"{stage}_count"], cny[f"{stage}_minor"]) for stage in subject.STAGES} == expected
    assert stages.loc[("JP01", "JPY"), "superseded_minor"] == 1_100


def test_a_report_in_two_currencies_counts_once() -> None:
    whole = {"landed": 9, "accepted": 6, "quarantined": 1, "duplicate": 1, "superseded": 1, "withdrawn": 0}
    assert month_end().reconcile().reports == whole


def not_posted(world: World, **member: str) -> World:
    """R1 is not in the ERP's ledger, and its batch says what is given."""
    return world.without("erp_lines", of("R1")).set("members", of("R1"), **member)


ONE_FAULT: dict[str, tuple[Callable[[World], World], str, str, str]] = {
    "journal missing in the ERP's ledger though answered as posted": (
        lambda w: w.without("erp_lines", of("R1")),
        "MISSING_IN_ERP",
        "S2",
        "missing in ERP",
    ),
    "batch answered, this journal left out": (
        lambda w: not_posted(w, state="sealed"),
        "MISSING_IN_ERP",
        "S2",
        "missing in ERP",
    ),
    "not answered yet, within the agreed time": (
        lambda w: not_posted(w, state="sealed", batch_state="published"),
        "IN_FLIGHT",
        "S4",
        "in flight",
    ),
    "not answered in time": (
        lambda w: not_posted(w, state="sealed", batch_state="published", published_at="2026-04-02T07:59:59Z"),
        "UNKNOWN_OUTCOME",
        "S2",
        "unknown outcome",
    ),
    "answered with a code nobody knows": (
        lambda w: not_posted(w, state="unknown", batch_state="published"),
        "UNKNOWN_OUTCOME",
        "S2",
        "unknown outcome",
    ),
    "refused by the ERP": (
        lambda w: not_posted(w, state="rejected", code="EP01", message="Closed period"),
        "REJECTED_BY_ERP",
        "S3",
        "rejected by ERP",
    ),
    "refused, yet in the ledger": (
        lambda w: w.set("members", of("R1"), state="rejected"),
        "STATE_CONTRADICTED",
        "S1",
        "state contradicted",
    ),
    "never loaded, yet in the ledger": (
        lambda w: w.set("members", of("R1"), state="sealed", batch_state="sealed", published_at=""),
        "STATE_CONTRADICTED",
        "S1",
        "state contradicted",
    ),
    "sealed and not loaded": (
        lambda w: not_posted(w, state="sealed", batch_state="sealed", published_at=""),
        "NOT_LOADED",
        "S2",
        "not loaded",
    ),
    "in no batch": (
        lambda w: w.without("erp_lines", of("R1")).without("members", of("R1")),
        "NOT_LOADED",
        "S2",
        "not loaded",
    ),
    "posted twice": (
        lambda w: w.adding("erp_lines", of("R1"), erp_document="D999"),
        "DUPLICATE_IN_ERP",
        "S1",
        "duplicate in ERP",
    ),
    "both sides made smaller by hand": (
        lambda w: w.set("erp_lines", of("R1", account="660201"), debit_minor=9_000).set(
            "erp_lines", of("R1", account="224101"), credit_minor=9_600
        ),
        "AMOUNT_DIFFERS",
        "S2",
        "amount differs",
    ),
    "both sides made larger by hand": (
        lambda w: w.set("erp_lines", of("R1", account="660201"), debit_minor=10_001).set(
            "erp_lines", of("R1", account="224101"), credit_minor=10_601
        ),
        "AMOUNT_DIFFERS",
        "S1",
        "amount differs",
    ),
    "silently rounded on one line": (
        lambda w: w.set("erp_lines", of("R1", account="222101"), debit_minor=599),
        "AMOUNT_DIFFERS",
        "S2",
        "amount differs",
    ),
    "one line lost": (
        lambda w: w.without("erp_lines", of("R1", account="222101")),
        "AMOUNT_DIFFERS",
        "S2",
        "amount differs",
    ),
    "an amount moved between two accounts of the journal": (
        lambda w: w.set("erp_lines", of("R1", account="660201"), debit_minor=9_900).set(
            "erp_lines", of("R1", account="222101"), debit_minor=700
        ),
        "AMOUNT_DIFFERS",
        "S2",
        "amount differs",
    ),
    "the rounding line lost": (
        lambda w: w.without("erp_lines", of("R2", "USD", "660399")),
        "AMOUNT_DIFFERS",
        "S2",
        "amount differs",
    ),
    "booked on another account": (
        lambda w: w.set("erp_lines", of("R1", account="660201"), account="660299"),
        "ACCOUNT_DIFFERS",
        "S2",
        "account differs",
    ),
    "booked on an account the journal has already": (
        lambda w: w.set("erp_lines", of("R1", account="660201"), account="222101"),
        "ACCOUNT_DIFFERS",
        "S2",
        "account differs",
    ),
    "booked in another currency": (
        lambda w: w.set("erp_lines", of("R1"), currency="USD"),
        "CURRENCY_DIFFERS",
        "S1",
        "currency differs",
    ),
    "converted by the ERP": (
        lambda w: w.set("erp_lines", of("R3", "JPY"), currency="CNY", debit_minor=0, credit_minor=0).set(
            "erp_lines", of("R3", "JPY", "660201"), debit_minor=60
        ),
        "CURRENCY_DIFFERS",
        "S1",
        "currency differs",
    ),
    "booked in another company": (
        lambda w: w.set("erp_lines", of("R1"), company="US01"),
        "COMPANY_DIFFERS",
        "S1",
        "company differs",
    ),
    "re-dated into the next period": (
        lambda w: w.set("erp_lines", of("R1"), posting_date="2026-04-01", period="2026-04"),
        "PERIOD_SHIFTED",
        "S2",
        "period shifted",
    ),
    "another period, the same date": (
        lambda w: w.set("erp_lines", of("R1"), period="2026-04"),
        "PERIOD_SHIFTED",
        "S2",
        "period shifted",
    ),
    "re-dated within the period": (
        lambda w: w.set("erp_lines", of("R1"), posting_date="2026-03-30"),
        "DATE_DIFFERS",
        "S3",
        "date differs",
    ),
    "one line of the document re-dated": (
        lambda w: w.set("erp_lines", of("R1", account="222101"), posting_date="2026-03-30"),
        "DATE_DIFFERS",
        "S3",
        "date differs",
    ),
    "the journal lost a line before it was sealed": (
        lambda w: (
            w.without("journal_lines", of("R1", account="222101"))
            .set("journal_lines", of("R1", account="224101"), credit_minor=10_000, base_credit_minor=10_000)
            .without("erp_lines", of("R1", account="222101"))
            .set("erp_lines", of("R1", account="224101"), credit_minor=10_000)
        ),
        "SOURCE_DIFFERS",
        "S1",
        "source differs",
    ),
    "the source says another amount": (
        lambda w: w.set("outcomes", lambda t: t["report_id"] == "R1", gross_minor=10_599),
        "SOURCE_DIFFERS",
        "S1",
        "source differs",
    ),
    "a journal of a report that was quarantined": (
        lambda w: w.set("outcomes", lambda t: t["report_id"] == "R1", outcome="quarantined"),
        "SOURCE_DIFFERS",
        "S1",
        "source differs",
    ),
    "the journal does not balance": (
        lambda w: w.set("journal_lines", of("R1", account="224101"), credit_minor=10_500, base_credit_minor=10_500).set(
            "erp_lines", of("R1", account="224101"), credit_minor=10_500
        ),
        "SOURCE_DIFFERS",
        "S1",
        "source differs",
    ),
    "the journal does not balance in the base currency": (
        lambda w: w.set("journal_lines", of("R1", account="224101"), base_credit_minor=10_500),
        "SOURCE_DIFFERS",
        "S1",
        "source differs",
    ),
    "a journal that is live in two batches": (
        lambda w: w.adding("members", of("R1"), batch_id="B-2"),
        "CONSERVATION",
        "S1",
        "conservation",
    ),
}


@pytest.mark.parametrize("fault", ONE_FAULT)
def test_one_fault_gives_one_break_of_its_own_code(fault: str) -> None:
    damage, code, severity, bucket = ONE_FAULT[fault]
    report = "R2" if "rounding" in fault else "R3" if "converted" in fault else "R1"
    result = damage(month_end()).reconcile()
    currency = {"R1": "CNY", "R2": "USD", "R3": "JPY"}[report]
    assert found(result) == [(code, severity, key(report, currency))]
    assert explained(result) is (code == "IN_FLIGHT")
    documents = result.documents
    touched = documents[documents["journal_key"] == key(report, currency)]
    assert set(touched["bucket"]) == {bucket} and set(touched["break_codes"]) == {code}
    assert set(documents["bucket"][documents["journal_key"] != key(report, currency)]) == {"matched"}


def test_every_break_code_of_the_catalogue_is_seeded_here() -> None:
    lists = {"NOT_LANDED", "LIST_DIFFERS", "NOT_LISTED", "LIST_UNREADABLE"}  # test_lists.py
    elsewhere = {"MISSING_IN_SOURCE", "NOT_JOURNALED", "SEQUENCE_GAP"} | lists
    assert {code for _, code, _, _ in ONE_FAULT.values()} | elsewhere == set(subject.CODES)
    catalogue = {code for code, entry in errors.CATALOGUE.items() if entry.outcome == errors.BREAK}
    assert set(subject.CODES) | set(invariants.CHECKS) == catalogue | {"CONSERVATION"}


@pytest.mark.parametrize("stranger", ["ABCDEFGHIJKLMNOP", ""])
def test_a_document_with_our_mark_that_we_never_made(stranger: str) -> None:
    result = month_end().adding("erp_lines", of("R1"), journal_key=stranger, erp_document="D999").reconcile()
    assert found(result) == [("MISSING_IN_SOURCE", "S1", stranger)]
    row = result.breaks.iloc[0]
    assert (row["company"], row["period"], row["currency"], row["erp"], row["amount_minor"]) == (
        "CN01",
        "2026-03",
        "CNY",
        "D999",
        10_600,
    )
    assert result.documents["bucket"].tolist().count("missing in source") == 1
    assert len(result.documents) == 8


def test_an_accepted_report_without_a_journal() -> None:
    world = month_end()
    for table in ("journals", "journal_lines", "members", "erp_lines"):
        world = world.without(table, of("R5", "EUR"))
    result = world.reconcile()
    assert found(result) == [("NOT_JOURNALED", "S2", "")]
    row = result.breaks.iloc[0]
    assert (row["report_id"], row["currency"], row["amount_minor"], row["next_step"]) == (
        "R5",
        "EUR",
        900,
        "Run the feed again.",
    )
    document = result.documents[result.documents["bucket"] == "not journaled"]
    assert document[["report_id", "here_minor", "erp_minor", "break_codes"]].to_numpy().tolist() == [
        ["R5", 900, 0, "NOT_JOURNALED"]
    ]


def test_lines_without_a_journal_are_found() -> None:
    result = month_end().adding("journal_lines", of("R1"), journal_key="LOST").reconcile()
    assert found(result) == [("SOURCE_DIFFERS", "S1", "LOST")]
    assert result.breaks["amount_minor"].tolist() == [10_600]


def is_q1(outcomes: pd.DataFrame) -> pd.Series:
    return outcomes["report_id"] == "Q1"


@pytest.mark.parametrize(
    ("damage", "sentence"),
    [
        (lambda w: w.set("outcomes", is_q1, outcome=""), "report Q1 version 1 has no outcome"),
        (lambda w: w.adding("outcomes", is_q1), "report Q1 version 1 is listed twice"),
        (lambda w: w.adding("outcomes", is_q1, document_currency="USD", outcome="duplicate"),
         "report Q1 version 1 has two outcomes"),
        (lambda w: w.adding("members", of("R1"), journal_key="NONE"), "batch B-CN01 holds NONE, which is no journal"),
        (lambda w: w.adding("members", of("R1"), batch_id="B-2", state="sealed"), "is live in B-2, B-CN01"),
    ],
)  # fmt: skip
def test_nothing_that_landed_goes_unaccounted(damage: Any, sentence: str) -> None:
    result = damage(month_end()).reconcile()
    assert set(result.breaks["code"]) == {"CONSERVATION"}
    assert set(result.breaks["severity"]) == {"S1"}
    (detail,) = result.conservation
    assert sentence in detail
    assert explained(result) is False


def test_a_report_delivered_twice_is_a_duplicate_and_conserved() -> None:
    again = {"landing_sha256": "f2", "outcome": "duplicate"}
    result = month_end().adding("outcomes", lambda t: t["report_id"] == "R1", **again).reconcile()
    assert found(result) == []


def test_a_document_may_have_several_differences() -> None:
    world = month_end().set("erp_lines", of("R1"), posting_date="2026-03-30", company="US01")
    world = world.set("erp_lines", of("R1", account="660201"), account="660299", debit_minor=11_000)
    result = world.reconcile()
    assert sorted(result.breaks["code"]) == ["ACCOUNT_DIFFERS", "AMOUNT_DIFFERS", "COMPANY_DIFFERS", "DATE_DIFFERS"]
    document = result.documents[result.documents["journal_key"] == key("R1")].iloc[0]
    assert document["bucket"] == "company differs"
    assert document["break_codes"] == "COMPANY_DIFFERS AMOUNT_DIFFERS ACCOUNT_DIFFERS DATE_DIFFERS"


def test_another_currency_does_not_hide_another_account() -> None:
    world = (
        month_end()
        .set("erp_lines", of("R1", account="660201"), account="660299")
        .set("erp_lines", of("R1"), currency="USD")
    )
    assert [code for code, _, _ in found(world.reconcile())] == ["CURRENCY_DIFFERS", "ACCOUNT_DIFFERS"]


def test_a_duplicate_with_another_amount_is_both() -> None:
    world = month_end().adding("erp_lines", of("R1"), erp_document="D999")
    world = world.set(
        "erp_lines", lambda t: (t["erp_document"] == "D999") & (t["account"] == "222101"), debit_minor=601
    )
    result = world.reconcile()
    assert [code for code, _, _ in found(result)] == ["DUPLICATE_IN_ERP", "AMOUNT_DIFFERS"]
    both = result.documents[result.documents["journal_key"] == key("R1")]
    assert both["break_codes"].tolist() == ["DUPLICATE_IN_ERP AMOUNT_DIFFERS", "DUPLICATE_IN_ERP"]
    assert result.breaks["erp"].tolist() == ["D999, DR1CNY", "222101 6.01"]


def test_a_break_says_what_is_here_and_what_the_erp_has() -> None:
    world = month_end().set("erp_lines", of("R1", account="660201"), debit_minor=9_000, account="660299")
    amount, account = month_end(), world.reconcile().breaks
    assert account[["code", "here", "erp", "amount_minor"]].to_numpy().tolist() == [
        ["AMOUNT_DIFFERS", "660201 100.00", "660201 0.00", 10_000],
        ["ACCOUNT_DIFFERS", "660201 100.00", "660299 90.00", 10_000],
    ]
    row = amount.set("erp_lines", of("R3", "JPY", "660201"), debit_minor=1_300).reconcile().breaks.iloc[0]
    assert row["reason"] == "Amount here 660201 1200, in the ERP 660201 1300."
    assert (row["severity"], row["owner"], row["next_step"], row["amount_minor"]) == (
        "S1",
        "finance",
        "Find the manual change in the ERP.",
        100,
    )


def test_an_extra_line_in_the_erp_has_nothing_here() -> None:
    result = month_end().adding("erp_lines", of("R1", account="660201"), account="999999", debit_minor=1).reconcile()
    assert result.breaks[["code", "here", "erp"]].to_numpy().tolist() == [
        ["AMOUNT_DIFFERS", "999999 0.00", "999999 0.01"], ["ACCOUNT_DIFFERS", "nothing", "999999 0.01"],
    ]  # fmt: skip


def test_a_refusal_is_told_in_the_erps_words_and_ages_from_the_delivery() -> None:
    world = month_end().without("erp_lines", of("R1"))
    world = world.set(
        "members", of("R1"), state="rejected", code="EP01", message="Closed period", published_at="2026-03-30T23:00:00Z"
    )
    row = world.reconcile().breaks.iloc[0]
    assert row["reason"] == "The ERP refused it: EP01 Closed period."
    assert (row["age_days"], row["owner"], row["amount_minor"]) == (3, "finance", 10_600)


def test_a_refusal_in_our_codes_names_who_acts_and_every_next_step() -> None:
    said = {"state": "rejected", "code": "EP01,EM03", "message": "Closed", "refusal": "ERP_PERIOD_CLOSED, ERP_COMPANY"}
    row = not_posted(month_end(), **said).reconcile().breaks.iloc[0]
    closed, company = (errors.CATALOGUE[code] for code in ("ERP_PERIOD_CLOSED", "ERP_COMPANY"))
    assert row["reason"] == "The ERP refused it: ERP_PERIOD_CLOSED, ERP_COMPANY (EP01,EM03 Closed)."
    assert (row["refusal"], row["owner"]) == ("ERP_PERIOD_CLOSED, ERP_COMPANY", closed.owner)
    assert row["next_step"] == f"{closed.next_step} {company.next_step}"


@pytest.mark.parametrize(("state", "code"), [("sealed", "IN_FLIGHT"), ("unknown", "UNKNOWN_OUTCOME")])
def test_a_parked_journal_stays_open_and_says_what_to_do_in_the_erp(state: str, code: str) -> None:
    said = {"state": state, "batch_state": "published", "code": "PARKED", "message": "draft", "refusal": "ERP_PARKED"}
    row = not_posted(month_end(), **said).reconcile().breaks.iloc[0]
    own, parked = errors.CATALOGUE[code], errors.CATALOGUE["ERP_PARKED"]
    assert (row["code"], row["erp"], row["owner"]) == (code, "PARKED draft", own.owner)
    assert row["next_step"] == f"{own.next_step} {parked.next_step}"


def test_a_journal_refused_in_one_batch_and_posted_in_the_next_agrees() -> None:
    earlier = {"batch_id": "B-1", "state": "rejected", "code": "EP01", "published_at": "2026-04-01T09:00:00Z"}
    world = month_end().adding("members", of("R1"), **earlier)
    result = world.reconcile()
    assert found(result) == []
    assert result.documents["batch_id"][0] == "B-CN01"


def test_of_two_refusals_the_last_one_counts() -> None:
    world = month_end().without("erp_lines", of("R1")).set("members", of("R1"), state="rejected", message="first")
    result = world.adding("members", of("R1"), batch_id="B-2", message="second").reconcile()
    assert result.breaks["reason"].tolist() == ["The ERP refused it: second."]


def test_an_erp_may_sum_up_the_lines_of_an_account() -> None:
    world = month_end().adding(
        "journal_lines", of("R1", account="660201"), debit_minor=0, base_debit_minor=0, account="660201"
    )
    world = world.adding("erp_lines", of("R1", account="660201"), debit_minor=4_000)
    world = world.set(
        "erp_lines", lambda t: of("R1", account="660201")(t) & (t["debit_minor"] == 10_000), debit_minor=6_000
    )
    assert found(world.reconcile()) == []


def test_an_erp_may_turn_a_red_amount_to_the_other_side() -> None:
    world = month_end()
    rows = of("R4")(world.erp_lines)
    turned = world.erp_lines.assign(
        debit_minor=world.erp_lines["debit_minor"].where(~rows, -world.erp_lines["credit_minor"].clip(upper=0)),
        credit_minor=world.erp_lines["credit_minor"].where(~rows, -world.erp_lines["debit_minor"].clip(upper=0)),
    )
    assert found(replace(world, erp_lines=turned).reconcile()) == []


def test_a_late_answer_does_not_matter_when_the_ledger_has_the_journal() -> None:
    for state in ("sealed", "unknown"):
        world = month_end().set(
            "members", of("R1"), state=state, batch_state="published", published_at="2026-01-01T00:00:00Z"
        )
        assert found(world.reconcile()) == []


def test_a_delivery_cut_off_before_its_mark_agrees_when_the_ledger_has_it() -> None:
    world = month_end().set("members", of("R1"), state="sealed", batch_state="publishing", published_at="")
    assert found(world.reconcile()) == []
    assert found(world.without("erp_lines", of("R1")).reconcile()) == [("NOT_LOADED", "S2", key("R1"))]


def taken_back(world: World, mark: str, version: str, period: str = "2026-03") -> World:
    """The same world with a version that withdraws R5, and the reversals of its two journals here and in the ERP."""
    world = world.adding("outcomes", lambda o: (o["report_id"] == "R5") & (o["document_currency"] == "CNY"),
                         outcome="withdrawn", report_version=version)  # fmt: skip
    for currency in ("CNY", "EUR"):
        mine, new = of("R5", currency), f"{mark}{currency}"
        world = world.adding("journals", mine, journal_key=new, purpose="reversal", journal_id=new, period=period,
                             report_version=version, posting_date=f"{period}-31",
                             reversal_of=key("R5", currency))  # fmt: skip
        for table in ("journal_lines", "erp_lines"):
            rows = getattr(world, table)[mine(getattr(world, table))]
            sides = {"debit_minor": rows["credit_minor"], "credit_minor": rows["debit_minor"]}
            if table == "journal_lines":
                sides |= {"base_debit_minor": rows["base_credit_minor"], "base_credit_minor": rows["base_debit_minor"]}
            else:
                sides |= {"erp_document": f"D99{currency}", "period": period, "posting_date": f"{period}-31"}
            both = pd.concat([getattr(world, table), rows.assign(journal_key=new, **sides)], ignore_index=True)
            world = replace(world, **{table: both})
        world = world.adding("members", mine, journal_key=new, erp_document=f"D99{currency}")
    return world


def test_what_is_withdrawn_is_taken_back_to_the_cent() -> None:
    result = taken_back(month_end(), "REV", "2").reconcile()
    stages = result.stages.set_index(["company", "currency"])

    assert found(result) == []
    assert (1, -900) == tuple(stages.loc[("CN01", "EUR"), ["reversed_count", "reversed_minor"]])
    assert (0, 2) == tuple(stages.loc[("CN01", "EUR"), ["posted_minor", "posted_count"]])


def test_a_reversal_that_is_missing_too_much_or_of_another_amount_is_a_difference_from_the_source() -> None:
    whole = taken_back(month_end(), "REV", "2")
    lost = whole
    for table in ("journals", "journal_lines", "members", "erp_lines"):
        lost = lost.without(table, lambda rows: rows["journal_key"] == "REVCNY")
    unasked = whole.without("outcomes", lambda rows: rows["outcome"] == "withdrawn")
    less = whole
    for table in ("journal_lines", "erp_lines"):
        less = less.set(
            table, lambda rows: (rows["journal_key"] == "REVEUR") & (rows["debit_minor"] == 900), debit_minor=899
        )
        less = less.set(
            table, lambda rows: (rows["journal_key"] == "REVEUR") & (rows["credit_minor"] == 900), credit_minor=899
        )

    assert [("NOT_JOURNALED", 700)] == lost.reconcile().breaks[["code", "amount_minor"]].to_records(
        index=False
    ).tolist()
    assert {"SOURCE_DIFFERS"} == {code for code, _, _ in found(unasked.reconcile())}
    assert 2 == len(found(unasked.reconcile()))
    assert [("SOURCE_DIFFERS", "S1", "REVEUR")] == found(less.reconcile())


def test_a_refused_journal_that_a_later_version_replaced_is_gone_unless_the_erp_has_it() -> None:
    world = taken_back(month_end(), "REV", "2")
    for table in ("journals", "journal_lines", "members", "erp_lines"):
        world = world.without(table, lambda rows: rows["journal_key"] == "REVCNY")
    world = world.set("members", of("R5"), state="void")

    assert [] == found(world.without("erp_lines", of("R5")).reconcile())
    assert ("STATE_CONTRADICTED", "S1", key("R5")) in found(world.reconcile())


def test_a_correction_across_a_cut_off_is_listed() -> None:
    world = taken_back(month_end(), "REV", "2", "2026-05")
    moved = subject.shifts(world.journals)

    assert ["CNY 2026-03 REVCNY 2026-05", "EUR 2026-03 REVEUR 2026-05"] == [
        " ".join(row) for row in moved[["currency", "period", "reversal_key", "reversal_period"]].to_numpy().tolist()
    ]
    assert [2, 2, 0] == [len(subject.shifts(world.journals, period)) for period in ("2026-03", "2026-05", "2026-04")]
    assert [] == subject.shifts(month_end().journals)["journal_key"].tolist()


def test_a_second_journal_of_one_report_is_a_difference_from_the_source() -> None:
    world = month_end()
    for table in ("journals", "journal_lines", "members", "erp_lines"):
        world = world.adding(table, of("R5"), journal_key="TWIN")
    assert [code for code, _, _ in found(world.reconcile())] == ["SOURCE_DIFFERS"]


def test_open_amounts_explain_the_difference_of_the_totals() -> None:
    world = month_end().without("erp_lines", of("R1")).set("members", of("R1"), state="sealed", batch_state="published")
    totals = world.reconcile().totals
    assert (totals["difference_minor"] == -totals["open_minor"]).all()
    assert totals["open_minor"].abs().sum() == 2 * 10_600
    settled = totals["account"] == "224101"
    assert (totals["open_minor"][settled].sum(), totals["open_minor"][~settled].sum()) == (-10_600, 10_600)
    stages = world.reconcile().stages.set_index(["company", "currency"]).loc[("CN01", "CNY")]
    assert (stages["loaded_count"], stages["posted_count"], stages["in_flight_count"], stages["in_flight_minor"]) == (
        3,
        2,
        1,
        10_600,
    )


def test_a_date_the_erp_writes_in_another_way_is_a_difference_not_a_crash() -> None:
    world = month_end().set("erp_lines", of("R1"), posting_date="31.03.2026")
    assert found(world.reconcile()) == [("DATE_DIFFERS", "S3", key("R1"))]
    stranger = month_end().adding(
        "erp_lines", of("R1"), journal_key="X", erp_document="D9", posting_date="", currency="???"
    )
    result = stranger.reconcile()
    assert result.breaks[["code", "age_days", "currency"]].to_numpy().tolist() == [["MISSING_IN_SOURCE", 0, "???"]]


def test_nothing_at_all_agrees() -> None:
    result = Books().world().reconcile()
    assert found(result) == [] and explained(result) is True
    assert [len(part) for part in (result.totals, result.stages, result.documents)] == [0, 0, 0]
    assert result.documents.columns.tolist() == subject.DOCUMENT_COLUMNS
    assert result.breaks.columns.tolist() == subject.BREAK_COLUMNS


def test_a_ledger_of_strangers_only() -> None:
    world = month_end()
    empty = Books().world()
    result = replace(empty, erp_lines=world.erp_lines).reconcile()
    assert set(result.breaks["code"]) == {"MISSING_IN_SOURCE"} and len(result.breaks) == 7
    result = replace(world, erp_lines=empty.erp_lines).reconcile()
    assert set(result.breaks["code"]) == {"MISSING_IN_ERP"} and len(result.breaks) == 7


def test_the_order_of_the_rows_changes_nothing() -> None:
    world = month_end().set("erp_lines", of("R1"), company="US01").without("erp_lines", of("R3", "JPY"))
    shuffled = World(*(getattr(world, name).sample(frac=1, random_state=3) for name in World.__dataclass_fields__))
    one, two = world.reconcile(), shuffled.reconcile()
    for part in ("totals", "stages", "documents", "breaks"):
        pd.testing.assert_frame_equal(getattr(one, part), getattr(two, part))


def random_world(seed: int) -> World:
    """A clean world: many claims of any sign, currency and style, all posted as they were sent."""
    dice = random.Random(seed)
    books = Books()
    for number in range(dice.randint(1, 60)):
        company, base = dice.choice([("CN01", "CNY"), ("JP01", "JPY"), ("KW01", "KWD")])
        accounts = dice.sample(["660201", "660202", "660203", "222101", "660399"], dice.randint(1, 4))
        red, day = dice.random() < 0.3, dice.randint(1, 31)
        for currency in dice.sample(["CNY", "USD", "JPY", "KWD"], dice.randint(1, 2)):
            nets = {account: dice.choice([-1, 1]) * dice.randint(1, 10**9) for account in accounts}
            books.claim(
                f"R{number}", nets, company, currency, base,
                rate=1 if currency == base else dice.randint(2, 200), red=red, date=f"2026-03-{day:02}",
                rounding=0 if currency == base else dice.randint(-3, 3), erp_style=dice.choice(["base", "zero"]),
            )  # fmt: skip
        if dice.random() < 0.2:
            books.land(
                f"Q{number}", dice.choice(["quarantined", "duplicate", "superseded"]), dice.randint(-9, 9), company
            )
    return books.world()


@pytest.mark.parametrize("seed", range(200))
def test_clean_books_never_raise_a_false_alarm(seed: int) -> None:
    result = random_world(seed).reconcile()
    assert found(result) == []
    assert set(result.documents["bucket"]) == {"matched"}
    assert not result.totals["difference_minor"].any()
    stages = result.stages
    classes = sum(stages[f"{name}_minor"] for name in model.OUTCOMES)
    assert (stages["landed_minor"] == classes).all()
    assert (stages["accepted_minor"] == stages["posted_minor"]).all()


@pytest.mark.parametrize("seed", range(24))
def test_any_changed_amount_is_found_whatever_the_books(seed: int) -> None:
    world, dice = random_world(seed), random.Random(seed)
    changed = world.erp_lines["debit_minor"].to_numpy().copy()
    row = dice.choice(np.flatnonzero(changed).tolist())
    changed[row] += dice.choice([-1, 1])
    damaged = replace(world, erp_lines=world.erp_lines.assign(debit_minor=changed)).reconcile()
    assert set(damaged.breaks["journal_key"]) == {world.erp_lines["journal_key"][row]}
    assert "AMOUNT_DIFFERS" in set(damaged.breaks["code"])
    assert np.count_nonzero(damaged.totals["difference_minor"]) == 1


# --- numbers that count the source's files up


@pytest.mark.parametrize(
    ("came", "accepted", "expected"),
    [
        ([], [], []),
        (["7"], ["3"], []),
        (["9", "7", "7", ""], [], [("8", "7", "9")]),
        (["1", "5", "7"], [], [("2-4", "1", "5"), ("6", "5", "7")]),
        (["1", "9"], ["3-4", "8", "20"], [("2", "1", "3"), ("5-7", "4", "8")]),
        (["1", "9"], ["1-12"], []),
        (["x", "٣", "1", "3"], ["2"], []),
        (["1", "1000000000000000"], [], [("2-999999999999999", "1", "1000000000000000")]),
    ],
)
def test_a_number_that_never_came_is_named(
    came: list[str], accepted: list[str], expected: list[tuple[str, str, str]]
) -> None:
    assert expected == list(subject.gaps(came, accepted))


def test_a_missing_file_is_a_break_of_the_reconciliation() -> None:
    world = month_end()
    result = subject.reconcile(
        world.outcomes, world.expected(), world.journals, world.journal_lines, world.members, world.erp_lines, AS_OF,
        OVERDUE_HOURS, [("8-9", "7", "10")],
    )  # fmt: skip
    (row,) = result.breaks[result.breaks["code"] == "SEQUENCE_GAP"].to_dict("records")

    assert "number 8-9 never came: it lies between 7 and 10." in row["reason"]
    assert not subject.explained(result)


# --- in parts


def in_parts(world: World, keys: set[str]) -> list[Reconciliation]:
    """The journals with these keys by themselves, then everything else with all that landed."""
    expected = world.expected()
    mine = expected["journal_key"].isin(keys)
    out = []
    for inside, outcomes, claims in ((True, world.outcomes.iloc[:0], mine), (False, world.outcomes, ~mine)):
        tables = [
            table[table["journal_key"].isin(keys) == inside].reset_index(drop=True)
            for table in (world.journals, world.journal_lines, world.members, world.erp_lines)
        ]
        out.append(subject.reconcile(outcomes, expected[claims], *tables, AS_OF, OVERDUE_HOURS))
    return out


@pytest.mark.parametrize("fault", [None, *ONE_FAULT])
def test_a_world_compared_in_parts_and_put_together_says_the_same(fault: str | None) -> None:
    world = ONE_FAULT[fault][0](month_end()) if fault else month_end()
    whole = world.reconcile()

    merged = subject.merged(in_parts(world, {key("R1", "CNY"), key("R3", "JPY")}))

    for name in ("totals", "stages", "documents", "breaks", "moved", "rounding"):
        pd.testing.assert_frame_equal(getattr(whole, name), getattr(merged, name))
    assert (whole.as_of, whole.conservation, whole.reports) == (merged.as_of, merged.conservation, merged.reports)
