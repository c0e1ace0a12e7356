"""What a claim becomes in the books: sides, tax, counter-accounts, splits, currencies, batches."""

from __future__ import annotations

import base64
import hashlib
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from books import FEED, JOURNAL, bundle, expense_lines, shown
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from etl import journal, mapping, model

QUIET = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
BOOKED = ("account", "party", "debit_minor", "credit_minor")


def book(books: mapping.Bundle, lines: pd.DataFrame) -> journal.Journals:
    applied = mapping.apply(books, lines)
    assert [] == shown(applied.rejects, "code", "value")
    return journal.build(books, applied.lines, applied.parts)


@pytest.fixture
def books(tmp_path: Path) -> mapping.Bundle:
    return bundle(tmp_path)


def test_an_out_of_pocket_taxi_is_an_expense_owed_to_the_employee(books: mapping.Bundle) -> None:
    booked = book(books, expense_lines("gross_minor\n 4500"))

    assert ["6602  4500 0", "2241 E1 0 4500"] == shown(booked.lines, *BOOKED)


def test_reclaimable_tax_leaves_the_expense(books: mapping.Bundle) -> None:
    booked = book(
        books, expense_lines("gross_minor tax_code tax_minor\n 10600 FULL 600\n 10600 HALF 601\n 10600 NONE 600")
    )

    assert ["6602  10000 0", "6602  10299 0", "6602  10600 0", "2221  901 0", "2241 E1 0 31800"] == shown(
        booked.lines, *BOOKED
    )


def test_each_payer_has_its_counter_account(books: mapping.Bundle) -> None:
    booked = book(books, expense_lines("payer gross_minor\n EMPLOYEE 100\n CARD 200\n ADVANCE 300\n CARD 400"))

    assert ["2241 E1 0 100", "2242 E1 0 600", "1221 E1 0 300"] == shown(booked.lines.iloc[4:], *BOOKED)


def test_the_most_specific_row_wins(books: mapping.Bundle) -> None:
    booked = book(books, expense_lines("company payer gross_minor\n C2 CARD 200"))

    assert ["2243 E1 0 200"] == shown(booked.lines.iloc[1:], *BOOKED)


def test_a_refund_reverses_the_input_tax_by_changing_sides(books: mapping.Bundle) -> None:
    booked = book(books, expense_lines("gross_minor tax_code tax_minor\n -10600 FULL -600"))

    assert ["6602  0 10000", "2221  0 600", "2241 E1 10600 0"] == shown(booked.lines, *BOOKED)


def test_a_refund_in_a_red_letter_company_stays_on_its_side(books: mapping.Bundle) -> None:
    booked = book(books, expense_lines("company gross_minor tax_code tax_minor\n C2 -10600 FULL -600"))

    assert ["6602  -10000 0", "2221  -600 0", "2241 E1 0 -10600"] == shown(booked.lines, *BOOKED)


def test_lines_that_cancel_out_leave_no_zero_line(books: mapping.Bundle) -> None:
    booked = book(books, expense_lines("gross_minor\n 500\n -500"))

    assert ["6602  500 0", "6602  0 500"] == shown(booked.lines, *BOOKED)


def test_a_foreign_claim_balances_in_both_currencies_with_a_rounding_line(books: mapping.Bundle) -> None:
    booked = book(books, expense_lines("document_currency gross_minor\n USD 105\n USD 105\n USD 105"))
    columns = (*BOOKED, "base_debit_minor", "base_credit_minor")

    assert [
        "6602  105 0 746 0", "6602  105 0 746 0", "6602  105 0 746 0", "2241 E1 0 315 0 2237", "6699  0 0 0 1",
    ] == shown(booked.lines, *columns)  # fmt: skip
    assert ["USD CNY 7.1 2026-02-10 315 2238"] == shown(
        booked.headers, "currency", "base_currency", "rate", "rate_date", "debit_minor", "base_debit_minor"
    )


def test_rounding_above_the_limit_holds_the_report(books: mapping.Bundle) -> None:
    rows = "\n".join(["USD 105"] * 8)
    booked = book(books, expense_lines(f"document_currency gross_minor\n{rows}"))

    assert ["ROUNDING_LIMIT hold 0.04"] == shown(booked.rejects, "code", "outcome", "value")
    assert (0, 0) == (len(booked.headers), len(booked.lines))


def test_an_amount_that_leaves_the_money_limit_by_its_rate_is_rejected_and_the_others_go_on(
    books: mapping.Bundle,
) -> None:
    booked = book(
        books,
        expense_lines("report_id document_currency gross_minor\n R1 USD 999999999999999\n R2 USD 10000"),
    )

    assert ["R1 RANGE report 9999999999999.99 USD at 7.1"] == shown(
        booked.rejects, "report_id", "code", "outcome", "value"
    )
    assert ["R2 71000"] == shown(booked.headers, "report_id", "base_debit_minor")


def test_yen_convert_without_decimals(books: mapping.Bundle) -> None:
    booked = book(books, expense_lines("document_currency gross_minor\n JPY 1000"))

    assert ["1000 0 4800 0", "0 1000 0 4800"] == shown(
        booked.lines, "debit_minor", "credit_minor", "base_debit_minor", "base_credit_minor"
    )


def test_b90_a_missing_rate_holds_the_whole_report_and_no_other(books: mapping.Bundle) -> None:
    lines = expense_lines(
        "report_id document_currency approved_at gross_minor\n R1 USD 2026-03-03T01:00:00Z 100\n"
        " R1 CNY 2026-03-03T01:00:00Z 100\n R2 CNY 2026-03-03T01:00:00Z 100"
    )
    booked = book(books, lines)

    assert ["R1 RATE No exchange rate for USD to CNY on 2026-03-03."] == shown(
        booked.rejects, "report_id", "code", "reason"
    )
    assert ["R2"] == booked.headers["report_id"].tolist()


def test_b90_without_a_rate_table_foreign_claims_are_held(tmp_path: Path) -> None:
    books = bundle(tmp_path, journals=JOURNAL.replace("rates: {file: rates.csv, rounding: half_up}", ""))
    booked = book(books, expense_lines("document_currency gross_minor\n USD 100\n CNY 100"))

    assert ["RATE"] == booked.rejects["code"].tolist()


def test_a_mapping_that_does_not_balance_posts_nothing(tmp_path: Path) -> None:
    books = bundle(tmp_path, journals=JOURNAL.replace("amount: net", "amount: gross"))
    booked = book(books, expense_lines("gross_minor tax_code tax_minor\n 10600 FULL 600"))

    assert ["UNBALANCED amount_minor 6.00", "UNBALANCED base_minor 6.00"] == shown(
        booked.rejects, "code", "field", "value"
    )
    assert 0 == len(booked.headers)


def test_b89_two_currencies_in_one_report_are_two_journals(books: mapping.Bundle) -> None:
    booked = book(books, expense_lines("document_currency gross_minor\n CNY 100\n USD 100"))

    assert ["CNY", "USD"] == booked.headers["currency"].tolist()
    assert 2 == len(set(booked.headers["journal_key"]))


def test_the_journal_key_is_made_of_identity_alone(books: mapping.Bundle, tmp_path: Path) -> None:
    one = book(books, expense_lines("gross_minor\n 100")).headers
    other = book(books, expense_lines("gross_minor expense_type\n 999 HOTEL")).headers

    assert one["journal_key"].tolist() == other["journal_key"].tolist()
    assert one["content_hash"].tolist() != other["content_hash"].tolist()
    assert one["journal_key"].str.fullmatch("[A-Z2-7]{16}").all()


def test_the_journal_key_is_that_of_the_documented_facts(books: mapping.Bundle) -> None:
    """A key that another release made otherwise would post again what is booked."""
    booked = book(books, expense_lines("company report_id gross_minor\n C1 R1 100\n C2 R1 100"))

    facts = [f"{company}\x1fTINY\x1fR1\x1f1\x1foriginal\x1fCNY".encode() for company in ("C1", "C2")]
    digests = [hashlib.sha256(fact) for fact in facts]
    assert [one.hexdigest() for one in digests] == booked.headers["journal_id"].tolist()
    assert [base64.b32encode(one.digest()[:10]).decode() for one in digests] == booked.headers["journal_key"].tolist()


def test_the_document_date_is_the_latest_receipt(books: mapping.Bundle) -> None:
    booked = book(books, expense_lines("transaction_date gross_minor\n 2026-02-09 100\n 2026-02-03 100"))

    assert ["2026-02-09 2026-02-10 2026-02 R1 E1"] == shown(
        booked.headers, "document_date", "posting_date", "period", "description"
    )


def test_lineage_says_which_expense_line_gave_what(books: mapping.Bundle) -> None:
    booked = book(books, expense_lines("gross_minor payer tax_code tax_minor\n 10600 CARD FULL 600\n 200 CARD . 0"))

    assert ["1 1 10000", "2 2 200", "3 1 600", "4 1 -10600", "4 2 -200"] == shown(
        booked.lineage, "line_no", "expense_line_no", "amount_minor"
    )


def test_lineage_adds_up_to_the_journal_and_skips_what_came_to_zero(books: mapping.Bundle) -> None:
    booked = book(books, expense_lines("document_currency gross_minor\n USD 105\n USD -105\n USD 106"))
    lines = booked.lines.assign(net=booked.lines["debit_minor"] - booked.lines["credit_minor"])
    traced = booked.lineage.groupby(["journal_key", "line_no"], dropna=False)["amount_minor"].sum()

    assert [n for n in lines["net"] if n] == traced.tolist()


def test_no_lines_make_no_journals(books: mapping.Bundle) -> None:
    booked = book(books, expense_lines("gross_minor"))

    assert (0, 0, 0, 0) == tuple(map(len, (booked.headers, booked.lines, booked.lineage, booked.rejects)))
    assert [] == list(journal.batches(books, booked.headers))


def test_batches_are_one_company_and_period_with_a_bound(books: mapping.Bundle) -> None:
    lines = expense_lines(
        "company report_id approved_at gross_minor\n C1 R1 2026-02-10T01:00:00Z 1\n C1 R2 2026-02-10T01:00:00Z 1\n"
        " C1 R3 2026-02-10T01:00:00Z 1\n C1 R4 2026-03-10T01:00:00Z 1\n C2 R5 2026-02-10T01:00:00Z 1"
    )
    headers = book(books, lines).headers
    batches = list(journal.batches(books, headers))

    assert [
        ("C1", "2026-02", "gl", 2),
        ("C1", "2026-02", "gl", 1),
        ("C1", "2026-03", "gl", 1),
        ("C2", "2026-02", "book", 1),
    ] == [(b.company, b.period, b.target, len(b.rows)) for b in batches]
    assert all(b.batch_id.startswith(f"TINY-{b.company}-{b.period}-") and b.batch_no < 10**15 for b in batches)
    assert [b.batch_id for b in batches] == [b.batch_id for b in journal.batches(books, headers)]


def test_a_feed_that_says_no_bound_has_the_usual_one(tmp_path: Path) -> None:
    books = bundle(tmp_path, feeds=FEED.replace('batch: {journals_max: "2"}\n', ""))
    headers = book(books, expense_lines("report_id gross_minor\n" + "\n".join(f"R{n} 1" for n in range(3)))).headers

    assert [3] == [len(batch.rows) for batch in journal.batches(books, headers)]


def test_the_names_of_yesterday_are_those_of_tomorrow(books: mapping.Bundle) -> None:
    """Stored beside what the ERP holds: a release that names a journal or a batch anew would post it twice."""
    headers = book(books, expense_lines("gross_minor\n 100")).headers
    (batch,) = journal.batches(books, headers)

    assert ["a7582bd95eef640b801446146fb11fcffef0abc46ff0c5309918fd10cd5d5524 U5MCXWK655SAXAAU"] == shown(
        headers, "journal_id", "journal_key"
    )
    assert ("TINY-C1-2026-02-GL-AC0D5E97", 189173421529420) == (batch.batch_id, batch.batch_no)


LINE = st.tuples(
    st.sampled_from(["C1", "C2"]),
    st.sampled_from(["R1", "R2", "R3"]),
    st.sampled_from(["TAXI", "HOTEL", "ADVANCE"]),
    st.sampled_from(["EMPLOYEE", "CARD", "ADVANCE"]),
    st.sampled_from(["CNY", "USD", "JPY"]),
    st.integers(-(10**9), 10**9).filter(bool),
    st.sampled_from(["FULL", "HALF", "NONE"]),
    st.integers(0, 100),
)


def random_lines(rows: list[tuple[str, str, str, str, str, int, str, int]]) -> pd.DataFrame:
    table = ["company report_id expense_type payer document_currency gross_minor tax_code tax_minor"]
    for company, report, kind, payer, currency, gross, code, pct in rows:
        table.append(f"{company} {report} {kind} {payer} {currency} {gross} {code} {gross * pct // 200}")
    return expense_lines("\n".join(table))


@settings(max_examples=25, deadline=None, suppress_health_check=QUIET)
@given(rows=st.lists(LINE, min_size=1, max_size=12), seed=st.integers(0, 2**31))
def test_any_claim_balances_conserves_and_does_not_depend_on_row_order(
    books: mapping.Bundle, rows: list[tuple[str, str, str, str, str, int, str, int]], seed: int
) -> None:
    lines = random_lines(rows)
    booked = book(books, lines)
    shuffled = lines.iloc[np.random.default_rng(seed).permutation(len(lines))].reset_index(drop=True)
    again = book(books, shuffled)
    bad = set(booked.rejects[model.REPORT_KEY].itertuples(index=False, name=None))
    gross = sum(
        g
        for *key, g in lines[[*model.REPORT_KEY, "gross_minor"]].itertuples(index=False, name=None)
        if tuple(key) not in bad
    )
    settled = booked.lines[booked.lines["purpose"] == "settlement"]

    for debit, credit in (("debit_minor", "credit_minor"), ("base_debit_minor", "base_credit_minor")):
        sums = booked.lines.groupby("journal_key", dropna=False)[[debit, credit]].sum()
        assert sums[debit].tolist() == sums[credit].tolist()
    assert gross == int((settled["credit_minor"] - settled["debit_minor"]).sum())
    pd.testing.assert_frame_equal(booked.headers, again.headers)
    pd.testing.assert_frame_equal(booked.lines, again.lines)


@settings(max_examples=10, deadline=None, suppress_health_check=QUIET)
@given(rows=st.lists(LINE, min_size=2, max_size=12))
def test_reports_booked_alone_or_together_give_the_same_journals(
    books: mapping.Bundle, rows: list[tuple[str, str, str, str, str, int, str, int]]
) -> None:
    lines = random_lines(rows)
    together = book(books, lines)
    alone = [book(books, part.reset_index(drop=True)) for _, part in lines.groupby(model.REPORT_KEY, dropna=False)]

    pd.testing.assert_frame_equal(together.lines, pd.concat([j.lines for j in alone], ignore_index=True))
    assert together.headers["content_hash"].tolist() == [h for j in alone for h in j.headers["content_hash"]]


def test_the_table_of_periods_is_not_needed(tmp_path: Path) -> None:
    books = bundle(tmp_path, feeds=FEED.replace("periods: periods.csv\n", ""))

    assert ["2026-02"] == book(books, expense_lines("gross_minor\n 1")).headers["period"].tolist()


def test_parts_of_lines_that_stay_point_to_their_own_lines() -> None:
    lines = pd.DataFrame({"report_id": ["A", "B", "C"]})
    parts = pd.DataFrame({"line": [0, 1, 1, 2], "minor": [1, 2, 3, 4]})
    kept, own = journal.only(lines, parts, [False, True, True])

    assert [("B", 2), ("B", 3), ("C", 4)] == list(
        zip(kept["report_id"].iloc[own["line"]], own["minor"].tolist(), strict=True)
    )
    assert [0, 1] == kept.index.tolist() and [0, 1, 2] == own.index.tolist()
