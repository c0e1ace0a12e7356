"""What takes a booked claim back: the sealed lines mirrored, whatever the mapping says by now."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
from books import JOURNAL, TABLES, bundle, expense_lines, shown

from etl import journal, mapping, model, reversal, versions

SIDES = ("account", "debit_minor", "credit_minor")
BASE = ("base_debit_minor", "base_credit_minor")


def book(books: mapping.Bundle, table: str) -> journal.Journals:
    applied = mapping.apply(books, expense_lines(table))
    assert [] == shown(applied.rejects, "code", "value")
    return journal.build(books, applied.lines, applied.parts)


def taken_back(books: mapping.Bundle, booked: journal.Journals, *reports: str) -> journal.Journals:
    """The journals of some reports (all if none is named) as version 2, posted on 5 March, takes them back."""
    claims = versions.claimed(booked.headers, booked.reports[["company", "report_id", "journal_key"]])
    claims = claims[claims["claim_report"].isin(reports or set(claims["claim_report"]))]
    dates = pd.DataFrame([("2", "2026-03-05", "2026-03")] * len(claims), columns=reversal.CORRECTION_COLUMNS)
    sealed = reversal.Content(booked.lines, booked.lineage, booked.reports)
    return reversal.build(books, claims, dates.astype("str"), sealed)


def net(*made: journal.Journals) -> dict[tuple[str, str, str], tuple[int, int]]:
    """Debit less credit by account, party and tax code in both currencies; nothing where both are zero."""
    lines = pd.concat([one.lines for one in made])
    lines = lines.assign(
        own=lines["debit_minor"] - lines["credit_minor"], base=lines["base_debit_minor"] - lines["base_credit_minor"]
    )
    sums = lines.groupby(["account", "party", "tax_code"], dropna=False)[["own", "base"]].sum()
    return {place: (own, base) for place, own, base in sums.itertuples(name=None) if own or base}


def traced(made: journal.Journals) -> None:
    """The lineage of every line but the rounding adds up to it in both currencies."""
    places = ["journal_key", "line_no"]
    told = made.lineage.groupby(places, dropna=False)[["amount_minor", "base_minor"]].sum().reset_index()
    lines = made.lines[made.lines["purpose"] != "rounding"].merge(told, on=places, validate="1:1")
    assert len(lines) == int((made.lines["purpose"] != "rounding").sum())
    assert (lines["amount_minor"] == lines["debit_minor"] - lines["credit_minor"]).all()
    assert (lines["base_minor"] == lines["base_debit_minor"] - lines["base_credit_minor"]).all()


@pytest.fixture
def books(tmp_path: Path) -> mapping.Bundle:
    return bundle(tmp_path / "books")


@pytest.mark.parametrize(
    ("company", "expected", "debit"),
    [
        ("C1", ["1 6602 0 10000", "2 2221 0 600", "3 2242 10600 0"], 10600),
        ("C2", ["1 6602 -10000 0", "2 2221 -600 0", "3 2243 0 -10600"], -10600),
    ],
    ids=["on the other side", "in red"],
)
def test_a_claim_is_taken_back_as_its_company_corrects(
    books: mapping.Bundle, company: str, expected: list[str], debit: int
) -> None:
    booked = book(books, f"company payer gross_minor tax_code tax_minor\n {company} CARD 10600 FULL 600")

    back = taken_back(books, booked)

    assert expected == shown(back.lines, "line_no", *SIDES) == shown(back.lines, "line_no", "account", *BASE)
    assert [f"3 {debit} {debit} 0"] == shown(back.headers, "lines", "debit_minor", "base_debit_minor", "rounding_minor")
    assert {} == net(booked, back)
    traced(back)


def test_the_header_says_what_is_taken_back_when_and_by_which_version(books: mapping.Bundle) -> None:
    booked = book(books, "gross_minor\n 4500")
    (original,) = booked.headers["journal_key"]

    back = taken_back(books, booked)

    assert [f"C1 R1 2 reversal E1 2026-02-03 2026-03-05 2026-03-05 2026-03 CNY  {original}"] == shown(
        back.headers, "company", "report_id", "report_version", "purpose", "employee_id", "document_date",
        "posting_date", "original_date", "period", "currency", "belongs_to", "reversal_of",
    )  # fmt: skip
    assert back.headers["journal_key"].tolist() == back.lines["journal_key"].unique().tolist()
    assert [model.JOURNAL_COLUMNS, model.JOURNAL_LINE_COLUMNS, model.LINEAGE_COLUMNS] == [
        list(frame.columns) for frame in (back.headers, back.lines, back.lineage)
    ]
    assert (0, 0) == (len(back.reports), len(back.rejects))


def test_its_key_is_made_of_what_it_takes_back_and_its_content_of_its_lines(books: mapping.Bundle) -> None:
    table = "report_id document_currency gross_minor\n R1 CNY 100\n R1 USD 100\n R2 CNY 100"
    booked = book(books, table)

    back, again = taken_back(books, booked), taken_back(books, booked)
    second = taken_back(books, book(books, table.replace("gross", "report_version gross").replace(" 100", " 3 100")))

    keys = [*booked.headers["journal_key"], *back.headers["journal_key"], *second.headers["journal_key"]]
    assert 9 == len(set(keys))
    assert 6 == len({*back.headers["journal_id"], *second.headers["journal_id"]})
    pd.testing.assert_frame_equal(back.headers, again.headers)
    first, dollars, other = back.headers["content_hash"]
    assert first == other != dollars
    assert first not in set(booked.headers["content_hash"])


def test_a_foreign_claim_is_taken_back_at_its_own_rate_and_rounding_by_another_mapping(
    books: mapping.Bundle, tmp_path: Path
) -> None:
    booked = book(books, "document_currency gross_minor\n USD 105\n USD 105\n USD 105")
    now = bundle(
        tmp_path / "now",
        account=TABLES["account"].replace("6602", "6699"),
        rates=TABLES["rates"].replace("7.1", "9.9"),
    )

    back = taken_back(now, booked)

    assert ["6602 0 105 0 746"] * 3 + ["2241 315 0 2237 0", "6699 0 0 1 0"] == shown(back.lines, *SIDES, *BASE)
    assert ["7.1 2026-02-10 315 2238 1"] == shown(
        back.headers, "rate", "rate_date", "debit_minor", "base_debit_minor", "rounding_minor"
    )
    assert {} == net(booked, back)
    traced(back)


def test_journals_of_several_companies_are_each_taken_back_in_their_own_way(books: mapping.Bundle) -> None:
    booked = book(books, "company report_id gross_minor\n C1 R1 100\n C2 R2 200\n C1 R3 300\n C1 R3 50")

    back = taken_back(books, booked)

    at = back.lines.merge(back.headers[["journal_key", "report_id"]], on="journal_key", validate="m:1")
    assert [
        "R1 1 6602 0 100", "R1 2 2241 100 0", "R3 1 6602 0 300", "R3 2 6602 0 50", "R3 3 2241 350 0",
        "R2 1 6602 -200 0", "R2 2 2241 0 -200",
    ] == shown(at, "report_id", "line_no", *SIDES)  # fmt: skip
    assert ["R1 2 100", "R3 3 350", "R2 2 -200"] == shown(back.headers, "report_id", "lines", "debit_minor")
    traced(back)


# --- one report of a journal that holds several

GROUPED = JOURNAL.replace("lines:\n", "one_per: [company]\nlines:\n", 1)
MERGED = GROUPED.replace("    amount: net\n", "    amount: net\n    merge: yes\n")


@pytest.mark.parametrize(
    ("company", "expected"),
    [
        ("C1", ["1 6602  0 200", "2 2221  0 12", "3 2242 E1 212 0"]),
        ("C2", ["1 6602  -200 0", "2 2221  -12 0", "3 2243 E1 0 -212"]),
    ],
)
def test_of_a_journal_of_several_reports_one_is_taken_back_to_the_cent(
    tmp_path: Path, company: str, expected: list[str]
) -> None:
    """The input tax of both is one line, and so is what the card is owed; R1's own payable stays."""
    books = bundle(tmp_path, journals=GROUPED)
    booked = book(
        books,
        "company report_id payer gross_minor tax_code tax_minor\n"
        f" {company} R1 EMPLOYEE 106 FULL 6\n {company} R1 CARD 50 . 0\n {company} R2 CARD 212 FULL 12",
    )

    back = taken_back(books, booked, "R2")

    assert expected == shown(back.lines, "line_no", "account", "party", *SIDES[1:])
    assert ["R2 2 reversal 3"] == shown(back.headers, "report_id", "report_version", "purpose", "lines")
    traced(back)
    alone = book(books, f"company report_id payer gross_minor tax_code tax_minor\n {company} R2 CARD 212 FULL 12")
    assert {} == net(alone, back)
    both = taken_back(books, booked)
    assert 2 == len(set(both.headers["journal_key"])) and {} == net(booked, both)


def test_a_refund_and_a_cost_in_one_line_are_taken_back_each_on_its_side(tmp_path: Path) -> None:
    books = bundle(tmp_path, journals=MERGED)
    booked = book(books, "report_id gross_minor\n R1 500\n R2 -200")
    assert ["6602 300 0", "2241 0 300"] == shown(booked.lines, *SIDES)

    back = [taken_back(books, booked, report) for report in ("R1", "R2")]

    assert [["6602 0 500", "2241 500 0"], ["6602 200 0", "2241 0 200"]] == [shown(one.lines, *SIDES) for one in back]
    assert {} == net(booked, *back)


def test_what_one_reports_share_leaves_open_goes_to_the_account_that_took_the_rounding(tmp_path: Path) -> None:
    """Three lines of 1.05 USD are 7.455 CNY each: the journal's rounding line is 0.01, R1's own share is another."""
    books = bundle(tmp_path / "books", journals=GROUPED)
    booked = book(books, "report_id document_currency gross_minor\n R1 USD 105\n R1 USD 105\n R2 USD 105")
    assert ["6699 0 0 0 1"] == shown(booked.lines[booked.lines["purpose"] == "rounding"], *SIDES, *BASE)
    now = bundle(tmp_path / "now", journals=GROUPED.replace("{company: rounding}", '{value: "6698"}'))

    one, both = taken_back(now, booked, "R1"), taken_back(now, booked)

    for made in (one, both):
        for debit, credit in (SIDES[1:], BASE):
            sums = made.lines.groupby("journal_key")[[debit, credit]].sum()
            assert sums[debit].tolist() == sums[credit].tolist()
        traced(made)
    assert {} == net(booked, both)
    rounding = both.lines[both.lines["purpose"] == "rounding"]
    assert {"6699"} == set(rounding["account"]) and 1 == int(both.headers["rounding_minor"].sum())


def test_a_share_is_rounded_where_the_mapping_says_when_the_journal_had_no_rounding(tmp_path: Path) -> None:
    """0.07 + 0.08 USD are 0.50 + 0.57 CNY and 1.07 together: nothing is left over, of R1 alone nothing either."""
    books = bundle(tmp_path, journals=MERGED)
    booked = book(
        books,
        "report_id document_currency expense_type payer gross_minor\n"
        " R1 USD TAXI EMPLOYEE 105\n R1 USD HOTEL EMPLOYEE 105\n R2 USD TAXI EMPLOYEE 106\n R2 USD HOTEL EMPLOYEE 106",
    )

    back = [taken_back(books, booked, report) for report in ("R1", "R2")]

    for made in back:
        for debit, credit in (SIDES[1:], BASE):
            assert made.lines[debit].sum() == made.lines[credit].sum()
        traced(made)
        assert made.lines["line_no"].tolist() == list(range(1, len(made.lines) + 1))
    assert {} == net(booked, *back)


def test_a_journal_in_other_books_is_taken_back_with_the_claims_own(tmp_path: Path) -> None:
    between = """intercompany:
  company: {choose: [{when: {cost_center: "0020"}, value: C2}, {field: company}]}
  due_from: {value: "1241"}
  due_to: {value: "2247"}
lines:
"""
    text = JOURNAL.replace("lines:\n", between, 1).replace("    amount: net\n", "    amount: net\n    books: bearer\n")
    books = bundle(tmp_path, journals=text)
    booked = book(books, "cost_center gross_minor\n 0010 100\n 0020 900")

    back = taken_back(books, booked)

    main, other = back.headers["journal_key"]
    assert [("C1", ""), ("C2", main)] == list(zip(back.headers["company"], back.headers["belongs_to"], strict=True))
    at = back.lines.assign(books=back.lines["journal_key"].map({main: "C1", other: "C2"}))
    assert ["C1 6602 0 100", "C1 2241 1000 0", "C1 1241 0 900", "C2 6602 -900 0", "C2 2247 0 -900"] == shown(
        at, "books", *SIDES
    )
    traced(back)
