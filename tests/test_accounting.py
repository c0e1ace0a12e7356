"""What accountants ask: several taxes, allocations, groups, other companies' books, accruals, long claims."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
from books import FEED, GL, JOURNAL, bundle, expense_lines, shown
from hypothesis import given, settings
from hypothesis import strategies as st

from etl import journal, mapping, model
from etl.errors import ConfigurationError

SIDES = ("account", "debit_minor", "credit_minor")


def book(books: mapping.Bundle, lines: pd.DataFrame) -> journal.Journals:
    applied = mapping.apply(books, lines)
    assert [] == shown(applied.rejects, "code", "value")
    return journal.build(books, applied.lines, applied.parts)


def refused(books: mapping.Bundle, table: str) -> list[str]:
    applied = mapping.apply(books, expense_lines(table))
    good = ~applied.lines["report_id"].isin(applied.rejects["report_id"]).to_numpy(dtype=bool)
    made = journal.build(books, *journal.only(applied.lines, applied.parts, good))
    return shown(pd.concat([applied.rejects, made.rejects]), "report_id", "code", "value")


def with_tables(folder: Path, journals: str, **more: str) -> mapping.Bundle:
    """The feed `tiny` with another journal mapping and additional tables."""
    from books import write_mapping

    documents = {name: text for name, text in more.items() if name in ("feeds", "gl", "book", "periods")}
    write_mapping(folder, journals=journals, **documents)
    for name, text in more.items():
        if name not in documents:
            (folder / "tables" / f"{name}.csv").write_text(text, "utf-8")
    return mapping.load(folder, "tiny")


# --- several taxes, inclusive, partly reclaimable

TAXES = """tax_code,tax,rate_pct,reclaimable_pct
GQ,GST,5,100
GQ,QST,9.975,100
HOTEL,GST,5,50
HOTEL,PST,8,50
GAS,VAT,19,0
VAT20,VAT,20,100
"""


def taxed(amount: str) -> str:
    return JOURNAL.replace(
        "  tax: {file: tax.csv, key: [tax_code], value: reclaimable_pct}\nreclaimable_tax: {table: tax}\n",
        f"taxes: {{file: taxes.csv, key: [tax_code], amount: {amount}}}\n",
    ).replace(
        '    amount: reclaimable_tax\n    account: {value: "2221"}',
        '    amount: reclaimable_tax\n    per: tax\n    account: {value: "2221"}\n    tax_code: {field: tax_code}',
    )


def test_two_taxes_within_a_price_never_make_a_cent(tmp_path: Path) -> None:
    """77.87 CAD at GST 5 % and QST 9.975 %: each rounded alone with the net gives 77.88 (requirements.md P5)."""
    books = with_tables(tmp_path, taxed("inclusive"), taxes=TAXES)

    booked = book(books, expense_lines("gross_minor tax_code\n 7787 GQ"))

    assert ["6602  6773 0", "2221 GST 339 0", "2221 QST 675 0", "2241  0 7787"] == shown(
        booked.lines, "account", "tax_code", "debit_minor", "credit_minor"
    )


@pytest.mark.parametrize(
    ("claim", "expected"),
    [
        ("10000 GAS 1597", ["6602  10000 0", "2241  0 10000"]),
        ("10600 VAT20 600", ["6602  10000 0", "2221 VAT 600 0", "2241  0 10600"]),
        ("5500 HOTEL 632", ["6602  5183 0", "2221 GST 122 0", "2221 PST 195 0", "2241  0 5500"]),
        ("-5500 HOTEL -632", ["6602  0 5183", "2221 GST 0 122", "2221 PST 0 195", "2241  5500 0"]),
    ],
    ids=["not deductible", "fully deductible", "half deductible", "half deductible, refunded"],
)
def test_the_stated_tax_is_divided_over_its_taxes(tmp_path: Path, claim: str, expected: list[str]) -> None:
    books = with_tables(tmp_path, taxed("stated"), taxes=TAXES)

    booked = book(books, expense_lines(f"gross_minor tax_code tax_minor\n {claim}"))

    assert expected == shown(booked.lines, "account", "tax_code", "debit_minor", "credit_minor")


def test_non_deductible_tax_can_have_a_line_of_its_own(tmp_path: Path) -> None:
    own = (
        taxed("stated")
        .replace("    amount: net\n", "    amount: untaxed\n")
        .replace(
            '    amount: reclaimable_tax\n    per: tax\n    account: {value: "2221"}',
            '    amount: non_reclaimable_tax\n    per: tax\n    account: {value: "6605"}',
        )
    )

    booked = book(
        with_tables(tmp_path, own, taxes=TAXES), expense_lines("gross_minor tax_code tax_minor\n 10000 GAS 1597")
    )

    assert ["6602 8403 0", "6605 1597 0", "2241 0 10000"] == shown(booked.lines, *SIDES)


def test_one_of_several_taxes_can_have_an_account_of_its_own(tmp_path: Path) -> None:
    """QST is claimed back from another office than GST: the condition is on the tax, not on the line's tax code."""
    federal = '    account: {value: "2221"}\n    tax_code: {field: tax_code}'
    text = taxed("inclusive").replace(
        f"    per: tax\n{federal}", f"    per: tax\n    when: {{tax_code: GST}}\n{federal}"
    )
    provincial = text[text.index("  - purpose: input_tax") : text.index("  - purpose: settlement")]
    provincial = provincial.replace("input_tax", "provincial_tax").replace("GST", "QST").replace("2221", "2222")
    text = text.replace("  - purpose: settlement", provincial + "  - purpose: settlement")
    books = with_tables(tmp_path, text, taxes=TAXES)

    booked = book(books, expense_lines("gross_minor tax_code\n 7787 GQ\n 100 ."))

    assert ["6602  6773 0", "6602  100 0", "2221 GST 339 0", "2222 QST 675 0", "2241  0 7887"] == shown(
        booked.lines, "account", "tax_code", "debit_minor", "credit_minor"
    )


def test_the_taxes_of_a_code_are_those_of_the_day_and_of_the_most_particular_key(tmp_path: Path) -> None:
    """The German rate went from 19 to 16 % for half a year; a company may have a row of its own."""
    text = taxed("inclusive").replace(
        "key: [tax_code], amount", "key: [company, tax_code], valid_by: transaction_date, amount"
    )
    rows = "*,DE,VAT,19,100,2020-01-01,2020-06-30\n*,DE,VAT,16,100,2020-07-01,2020-12-31\nC2,DE,VAT,7,100,,\n"
    table = "company,tax_code,tax,rate_pct,reclaimable_pct,valid_from,valid_to\n" + rows
    books = with_tables(tmp_path, text, taxes=table, account="expense_type,account\nTAXI,6602\n")
    days = [f"{company} {day} 11900 DE" for company, day in [
        ("C1", "2020-06-30"), ("C1", "2020-07-01"), ("C1", "2020-12-31"), ("C2", "2020-06-30"), ("C1", "2021-01-01"),
    ]]  # fmt: skip
    applied = mapping.apply(books, expense_lines("company transaction_date gross_minor tax_code\n" + "\n".join(days)))

    assert [1900, 1641, 1641, 779, 0] == applied.lines["tax_minor"].tolist()
    assert ["5 MAPPING_GAP tax_code DE"] == shown(applied.rejects, "line_no", "code", "field", "value")
    assert "tables/taxes.csv" in applied.rejects["reason"].iat[0]


def test_a_stated_tax_needs_a_rate_to_stand_on_and_a_gap_is_named_once(tmp_path: Path) -> None:
    books = with_tables(tmp_path, taxed("stated"), taxes=TAXES + "ZERO,VAT,0,100\n")

    assert ["R2 MAPPING_GAP XX", "R1 TAX 6"] == refused(
        books, "report_id gross_minor tax_code tax_minor\n R1 106 ZERO 6\n R2 106 XX 6\n R3 100 ZERO 0"
    )


def by_rate(mapped: str = JOURNAL, tolerance: str = "1") -> str:
    return f'{mapped}tax_rate: {{tolerance_minor: "{tolerance}"}}\n'


RATED = """
source: tiny
source_system: TINY
format: {encoding: utf-8, delimiter: ',', layouts: [[Company, Report, Amount, Rate]]}
fields:
  company: {column: Company}
  report_id: {column: Report}
  document_currency: {value: CNY}
  gross_minor: {column: Amount}
  tax_rate_pct: {column: Rate}
"""


def rated_books(folder: Path, journals: str, **more: str) -> mapping.Bundle:
    """The feed `tiny` with a journal mapping that goes by the rate of the line."""
    from books import write_mapping

    write_mapping(folder, journals=journals, sources=RATED)
    for name, text in more.items():
        (folder / "tables" / f"{name}.csv").write_text(text, "utf-8")
    return mapping.load(folder, "tiny")


@pytest.mark.parametrize(
    ("claim", "expected"),
    [
        ("14900 FULL 13 .", ["6602 13186 0", "2221 1714 0", "2241 0 14900"]),
        ("-14900 FULL 13 .", ["6602 0 13186", "2221 0 1714", "2241 14900 0"]),
        ("14900 HALF 13 .", ["6602 14043 0", "2221 857 0", "2241 0 14900"]),
        ("14900 FULL 0 .", ["6602 14900 0", "2241 0 14900"]),
        ("14900 FULL 9.975 .", ["6602 13549 0", "2221 1351 0", "2241 0 14900"]),
        ("14900 FULL 13 1715", ["6602 13185 0", "2221 1715 0", "2241 0 14900"]),
        ("14900 FULL . 1000", ["6602 13900 0", "2221 1000 0", "2241 0 14900"]),
    ],
    ids=["13 %", "a refund", "half reclaimable", "no tax", "decimals", "a stated tax a cent away", "no rate"],
)
def test_a_line_is_taxed_by_the_rate_that_it_states(tmp_path: Path, claim: str, expected: list[str]) -> None:
    """149.00 with 13 % holds 17.14 of tax: the invoice of sources.md 2.5."""
    booked = book(
        rated_books(tmp_path, by_rate()), expense_lines(f"gross_minor tax_code tax_rate_pct tax_minor\n {claim}")
    )

    assert expected == shown(booked.lines, *SIDES)


def test_a_stated_tax_beyond_the_tolerance_of_its_rate_is_refused(tmp_path: Path) -> None:
    books = rated_books(tmp_path, by_rate())
    lines = "report_id gross_minor tax_code tax_rate_pct tax_minor\n"

    assert ["R1 TAX 17.12 CNY", "R2 TAX -17.16 CNY", "R4 TAX 0.05 CNY"] == refused(
        books, lines + " R1 14900 FULL 13 1712\n R2 -14900 FULL 13 -1716\n R3 14900 FULL 13 1713\n R4 100 FULL 0 5"
    )
    (reason,) = mapping.apply(books, expense_lines(lines + " R1 14900 FULL 13 1712")).rejects["reason"]
    assert "the stated 13 % give 17.14 CNY, 1 minor units may be between" in reason


def test_parts_of_one_line_share_its_tax_and_do_not_round_alone(tmp_path: Path) -> None:
    """Three parts of 0.04: alone none of them holds a cent of tax, the line of 0.12 holds one."""
    rows = "line_no allocation_no gross_minor tax_code tax_rate_pct\n" + "\n".join(
        f" 1 {number} {gross} FULL 13" for number, gross in enumerate((4, 4, 4, 0), 1)
    )
    applied = mapping.apply(rated_books(tmp_path, by_rate()), expense_lines(rows + "\n 2 1 0 FULL 13"))

    assert [] == shown(applied.rejects, "code")
    assert [1, 0, 0, 0, 0] == applied.lines["tax_minor"].tolist()


def test_the_rate_of_the_line_gives_the_tax_and_the_table_divides_it(tmp_path: Path) -> None:
    """The table knows 14.975 % for GQ; the line states 15, and 13 on a code that the table does not know."""
    books = rated_books(tmp_path, by_rate(taxed("inclusive")), taxes=TAXES)
    lines = "report_id gross_minor tax_code tax_rate_pct\n"

    booked = book(books, expense_lines(lines + " R1 11500 GQ 15\n R2 7787 GQ ."))
    assert ["6602  10000 0", "2221 GST 501 0", "2221 QST 999 0", "2241  0 11500"] == shown(
        booked.lines.iloc[:4], "account", "tax_code", "debit_minor", "credit_minor"
    )
    assert ["339 0", "675 0"] == shown(booked.lines.iloc[5:7], "debit_minor", "credit_minor")
    assert ["R1 MAPPING_GAP XX", "R2 MAPPING_GAP "] == refused(books, lines + " R1 11300 XX 13\n R2 11300 . 13")


def test_one_percent_is_a_rate_like_any_other_and_nought_takes_no_tax(tmp_path: Path) -> None:
    rows = "tax_code,tax,rate_pct,reclaimable_pct\nONE,VAT,1,100\nZERO,VAT,0,100\n"
    books = with_tables(tmp_path, taxed("inclusive"), taxes=rows)

    booked = book(books, expense_lines("gross_minor tax_code\n 10100 ONE\n 500 ZERO"))

    assert ["6602 10000 0", "6602 500 0", "2221 100 0", "2241 0 10600"] == shown(booked.lines, *SIDES)


def test_nineteen_ninety_nine_at_twenty_percent_inclusive(tmp_path: Path) -> None:
    books = with_tables(tmp_path, taxed("inclusive"), taxes=TAXES)

    booked = book(books, expense_lines("gross_minor tax_code\n 1999 VAT20"))

    assert ["6602 1666 0", "2221 333 0", "2241 0 1999"] == shown(booked.lines, *SIDES)


def test_a_tax_code_without_taxes_and_a_tax_that_disagrees_hold_the_report(tmp_path: Path) -> None:
    books = with_tables(tmp_path, taxed("inclusive"), taxes=TAXES)

    assert ["R1 MAPPING_GAP XX", "R2 TAX 334"] == refused(
        books, "report_id gross_minor tax_code tax_minor\n R1 100 XX 0\n R2 1999 VAT20 334"
    )
    rejects = mapping.apply(books, expense_lines("gross_minor tax_code tax_minor\n 100 XX 0\n 1999 VAT20 334")).rejects
    assert ["1 tax_code", "2 tax_minor"] == shown(rejects, "line_no", "field")
    assert ["tables/taxes.csv" in reason for reason in rejects["reason"]] == [True, True]


@settings(max_examples=200)
@given(
    gross=st.integers(-(10**9), 10**9).filter(bool),
    rates=st.lists(st.decimals("0.001", "60", places=3), min_size=1, max_size=4),
    percent=st.integers(0, 100),
)
def test_taxes_and_net_are_the_gross_whatever_the_rates(
    tmp_path_factory: pytest.TempPathFactory, gross: int, rates: list[object], percent: int
) -> None:
    rows = "".join(f"T,T{i},{rate},{percent}\n" for i, rate in enumerate(rates))
    table = "tax_code,tax,rate_pct,reclaimable_pct\n" + rows
    books = with_tables(tmp_path_factory.mktemp("taxes"), taxed("inclusive"), taxes=table)

    booked = book(books, expense_lines(f"gross_minor tax_code\n {gross} T"))

    net = booked.lines["debit_minor"] - booked.lines["credit_minor"]
    assert (0, gross) == (int(net.sum()), int(net[booked.lines["purpose"] != "settlement"].sum()))


# --- allocations

ALLOCATED = JOURNAL.replace("lines:\n", "allocations:\n  phone: {USE}\nlines:\n", 1).replace(
    "    amount: net\n", "    amount: net\n    allocate: phone\n"
)


def allocated(folder: Path, by: str, rows: str, more: str = "") -> mapping.Bundle:
    use = f"{{file: phone.csv, key: [expense_type], by: {by}, set: [cost_center]{more}}}"
    return with_tables(folder, ALLOCATED.replace("{USE}", use), phone=f"expense_type,part,share,cost_center\n{rows}")


@pytest.mark.parametrize(
    ("by", "rows", "gross", "expected"),
    [
        ("percent", "TAXI,1,50,A\nTAXI,2,50,B\n", 2500, ["A 1250", "B 1250"]),
        ("percent", "TAXI,1,21.88,A\nTAXI,2,78.12,B\n", 10001, ["A 2188", "B 7813"]),
        ("percent", "TAXI,1,-50,A\nTAXI,2,150,B\n", 1001, ["A -500", "B 1501"]),
        ("percent", "*,1,100,A\nTAXI,1,33.33,B\nTAXI,2,66.67,C\n", 10000, ["B 3333", "C 6667"]),
        ("weight", "TAXI,1,1,A\nTAXI,2,1,B\nTAXI,3,1,C\n", 10000, ["A 3334", "B 3333", "C 3333"]),
        ("percent", "TAXI,1,33.33333333,A\nTAXI,2,66.66666667,B\n", 300, ["A 100", "B 200"]),
        ("fixed", "TAXI,1,30.00,A\nTAXI,2,rest,B\n", 10000, ["A 3000", "B 7000"]),
        ("fixed", "TAXI,1,30.00,A\nTAXI,2,rest,B\n", -10000, ["A -3000", "B -7000"]),
        ("fixed", "TAXI,1,30,A\nTAXI,2,rest,B\n", 3000, ["A 3000"]),
        ("weight", "TAXI,1,1,A\nTAXI,2,1,B\n", 1, ["A 1"]),
        ("weight", "TAXI,1,1,A\n", 100, ["A 100"]),
        ("weight", "TAXI,1,0.25,A\nTAXI,2,0.25,B\n", 100, ["A 50", "B 50"]),
        ("weight", "TAXI,1,0,A\nTAXI,2,0.5,B\nTAXI,3,1.5,C\n", 400, ["B 100", "C 300"]),
    ],
)
def test_a_cost_is_divided_among_cost_centers_to_the_cent(
    tmp_path: Path, by: str, rows: str, gross: int, expected: list[str]
) -> None:
    booked = book(allocated(tmp_path, by, rows), expense_lines(f"gross_minor\n {gross}"))

    lines = booked.lines[booked.lines["purpose"] == "expense"]
    net = lines.assign(net=lines["debit_minor"] - lines["credit_minor"])
    assert (expected, gross) == (shown(net, "cost_center", "net"), int(net["net"].sum()))


def test_a_key_without_parts_is_a_gap_unless_it_may_stay_whole(tmp_path: Path) -> None:
    rows = "HOTEL,1,100,A\n"
    assert ["R1 MAPPING_GAP TAXI"] == refused(allocated(tmp_path / "gap", "percent", rows), "gross_minor\n 100")

    whole = allocated(tmp_path / "whole", "percent", rows, ", otherwise: whole")
    assert ["0010 100 0", " 0 100"] == shown(
        book(whole, expense_lines("gross_minor\n 100")).lines, "cost_center", *SIDES[1:]
    )


def test_fixed_parts_beyond_the_amount_hold_the_report(tmp_path: Path) -> None:
    books = allocated(tmp_path, "fixed", "TAXI,1,30.00,A\nTAXI,2,rest,B\n")

    assert ["R1 SPLIT 2999"] == refused(books, "gross_minor\n 2999")
    assert ["R1 SPLIT -2999"] == refused(books, "gross_minor\n -2999")
    rejects = mapping.apply(books, expense_lines("gross_minor\n 2999")).rejects
    assert ["allocations.phone"] == shown(rejects, "field")
    assert "fixed amounts beyond the line's, by tables/phone.csv" in rejects["reason"].iat[0]


def test_the_parts_of_a_cost_are_those_of_the_day(tmp_path: Path) -> None:
    use = "{file: phone.csv, key: [expense_type], by: percent, set: [cost_center], valid_by: transaction_date}"
    rows = "TAXI,1,100,A,,2026-02-03\nTAXI,1,60,B,2026-02-04,\nTAXI,2,40,C,2026-02-04,\n"
    table = f"expense_type,part,share,cost_center,valid_from,valid_to\n{rows}"
    books = with_tables(tmp_path, ALLOCATED.replace("{USE}", use), phone=table)

    booked = book(books, expense_lines("transaction_date gross_minor\n 2026-02-03 500\n 2026-02-04 500"))

    assert ["A 500", "B 300", "C 200"] == shown(
        booked.lines[booked.lines["purpose"] == "expense"], "cost_center", "debit_minor"
    )


def test_every_key_whose_parts_are_no_whole_is_named(tmp_path: Path) -> None:
    allocated(tmp_path, "percent", "TAXI,1,100,A\n")
    rows = "TAXI,1,99,A\nHOTEL,1,60,A\nHOTEL,2,41,B\nMEAL,1,100,A\n"
    (tmp_path / "tables/phone.csv").write_text(f"expense_type,part,share,cost_center\n{rows}", "utf-8")

    said = [str(problem) for problem in mapping.check(tmp_path)]

    assert [True, True] == [
        f"tables/phone.csv line {line}: the parts of {key} add up to {total} %, not 100" in problem
        for problem, (line, key, total) in zip(said, ((2, "TAXI", 99), (4, "HOTEL", 101)), strict=True)
    ]


@pytest.mark.parametrize(
    ("by", "rows", "detail"),
    [
        (
            "percent",
            "TAXI,1,50,A\nTAXI,2,49.99,B\n",
            "phone.csv line 3: the parts of TAXI add up to 99.99 %",
        ),
        ("weight", "TAXI,1,0,A\n", "phone.csv line 2: the parts of TAXI have no weight"),
        ("fixed", "TAXI,1,5.00,A\n", "phone.csv line 2: the parts of TAXI need one `rest`, there are 0"),
        ("weight", "TAXI,1,half,A\n", "phone.csv line 2: share 'half' is not a decimal of 0 or more"),
    ],
)
def test_parts_that_cannot_divide_are_refused_when_loaded(tmp_path: Path, by: str, rows: str, detail: str) -> None:
    with pytest.raises(ConfigurationError, match=detail):
        allocated(tmp_path, by, rows)


@pytest.mark.parametrize(
    ("periods", "when"),
    [
        (("2026-01-01,", "2026-01-02,"), " on 2026-01-01"),
        ((",2026-01-31", ",2026-01-30"), " on 2026-01-31"),
        (("2026-02-01,2026-02-28", ","), " before 2026-02-01"),
    ],
)
def test_parts_that_are_no_whole_are_told_with_the_days_that_a_row_names(
    tmp_path: Path, periods: tuple[str, str], when: str
) -> None:
    rows = "".join(f"TAXI,{part},50,A,{days}\n" for part, days in enumerate(periods, 1))
    head = "expense_type,part,share,cost_center,valid_from,valid_to\n"
    use = "{file: phone.csv, key: [expense_type], by: percent, set: [cost_center], valid_by: transaction_date}"

    with pytest.raises(ConfigurationError, match=f"the parts of TAXI{when} add up to 50 %, not 100"):
        with_tables(tmp_path, ALLOCATED.replace("{USE}", use), phone=head + rows)


def test_parts_of_which_one_ends_are_no_whole_after_its_last_day(tmp_path: Path) -> None:
    rows = "TAXI,1,50,A,,\nTAXI,2,50,B,,2026-01-31\n"
    head = "expense_type,part,share,cost_center,valid_from,valid_to\n"
    use = "{file: phone.csv, key: [expense_type], by: percent, set: [cost_center], valid_by: transaction_date}"

    with pytest.raises(ConfigurationError, match="the parts of TAXI after 2026-01-31 add up to 50 %, not 100"):
        with_tables(tmp_path, ALLOCATED.replace("{USE}", use), phone=head + rows)


# --- one journal for several reports


def test_the_claims_of_an_employee_and_day_are_one_journal_with_drill_back(tmp_path: Path) -> None:
    books = bundle(tmp_path, journals=JOURNAL.replace("lines:\n", "one_per: [employee_id]\nlines:\n", 1))

    booked = book(
        books,
        expense_lines(
            "report_id employee_id gross_minor payer\n"
            " R1 E1 100 CARD\n R2 E1 200 CARD\n R3 E2 400 CARD\n R2 E1 50 EMPLOYEE"
        ),
    )

    assert ["E1/2026-02-10 2 reports E1 350", "E2/2026-02-10 1 reports E2 400"] == shown(
        booked.headers, "report_id", "report_version", "employee_id", "debit_minor"
    )
    assert ["1 R1 1", "1 R2 2", "2 R3 1"] == [
        f"{list(booked.headers['journal_key']).index(row.journal_key) + 1} {row.report_id} {row.report_no}"
        for row in booked.reports.itertuples()
    ]
    card = booked.lineage.merge(booked.lines[booked.lines["account"] == "2242"], on=["journal_key", "line_no"])
    assert ["1 -100", "2 -200", "1 -400"] == shown(card, "report_no", "amount_minor")


def test_a_report_that_cannot_be_booked_leaves_the_journal_of_the_others(tmp_path: Path) -> None:
    books = bundle(tmp_path, journals=JOURNAL.replace("lines:\n", "one_per: [company]\nlines:\n", 1))
    table = "report_id document_currency gross_minor\n R1 CNY 100\n R1 EUR 5\n R2 CNY 200\n R3 CNY 300"

    booked = book(books, expense_lines(table))

    assert ["R1 RATE 2026-02-10"] == shown(booked.rejects, "report_id", "code", "value")
    assert ["R2", "R3"] == shown(booked.reports, "report_id")
    assert ["2026-02-10 2 reports "] == shown(booked.headers, "report_id", "report_version", "employee_id")
    assert ["SNYDQSC7QYKUIWI3 R2 R3"] == [" ".join([*booked.headers["journal_key"], *booked.reports["report_id"]])]
    alone = book(books, expense_lines("report_id document_currency gross_minor\n R2 CNY 200\n R3 CNY 300"))
    assert shown(alone.headers, "journal_key") == shown(booked.headers, "journal_key")


def test_the_order_of_the_lines_changes_no_group(tmp_path: Path) -> None:
    books = bundle(tmp_path, journals=JOURNAL.replace("lines:\n", "one_per: [payer]\nlines:\n", 1))
    lines = expense_lines("report_id payer gross_minor\n R1 CARD 1\n R2 CARD 2\n R3 EMPLOYEE 3\n R1 EMPLOYEE 4")

    one, other = book(books, lines), book(books, lines.iloc[::-1].reset_index(drop=True))

    assert shown(one.headers, "journal_key", "content_hash") == shown(other.headers, "journal_key", "content_hash")


def test_what_every_group_has_in_common_need_not_be_named(tmp_path: Path) -> None:
    fields = ("employee_id", "company, document_currency, posting_date, employee_id")
    texts = [JOURNAL.replace("lines:\n", f"one_per: [{names}]\nlines:\n", 1) for names in fields]
    lines = expense_lines("report_id document_currency gross_minor\n R1 CNY 1\n R1 USD 2\n R2 CNY 3")

    short, long = (book(bundle(tmp_path / str(n), journals=text), lines) for n, text in enumerate(texts))

    assert ["E1/2026-02-10 2 reports CNY 4", "E1/2026-02-10 1 reports USD 2"] == shown(
        short.headers, "report_id", "report_version", "currency", "debit_minor"
    )
    pd.testing.assert_frame_equal(short.headers, long.headers)


# --- personal share, offset or not

PERSONAL = """  - purpose: personal
    side: debit
    amount: gross
    when: {personal: "Y"}
    account: {value: ACCOUNT}
    party: {field: employee_id}
    text: {value: Payable}
    merge: employee
"""


@pytest.mark.parametrize(
    ("account", "expected"),
    [
        (
            "1133",
            [
                "6602 12500 0",
                "6602 12500 0",
                "6602 2000 0",
                "6602 3500 0",
                "1133 1400 0",
                "2242 0 28400",
                "2241 0 3500",
            ],
        ),
        ("2241", ["6602 12500 0", "6602 12500 0", "6602 2000 0", "6602 3500 0", "2241 0 2100", "2242 0 28400"]),
    ],
    ids=["claimed back", "offset"],
)
def test_a_personal_share_on_the_company_card(tmp_path: Path, account: str, expected: list[str]) -> None:
    """Hotel 125 + 125 + 20 and personal 14 on the card, taxi 35 in cash (requirements.md 6.1.6)."""
    text = JOURNAL.replace("    amount: net\n", "    amount: net\n    when: {personal: missing}\n")
    text = text.replace(
        "  - purpose: settlement\n", PERSONAL.replace("ACCOUNT", f'"{account}"') + "  - purpose: settlement\n"
    )
    text = text.replace("    merge: yes\nrates", "    merge: employee\nrates").replace(
        "value: Card}", "value: Payable}"
    )
    claim = "gross_minor payer personal\n 12500 CARD .\n 12500 CARD .\n 2000 CARD .\n 3500 EMPLOYEE .\n 1400 CARD Y"

    booked = book(bundle(tmp_path, journals=text), expense_lines(claim))

    assert expected == shown(booked.lines, *SIDES)


# --- costs that another company bears

BETWEEN = (
    JOURNAL.replace(
        "lines:\n",
        """intercompany:
  company: {table: bearer}
  due_from: {value: "1241"}
  due_to: {value: "2247"}
lines:
""",
        1,
    )
    .replace("    amount: net\n", "    amount: net\n    books: bearer\n")
    .replace("tables:\n", "tables:\n  bearer: {file: bearer.csv, key: [cost_center], value: company}\n", 1)
)
BEARERS = "cost_center,company\n0010,C1\n0020,C2\n"


def test_a_cost_of_another_company_is_booked_in_its_books_over_due_to_and_due_from(tmp_path: Path) -> None:
    books = with_tables(tmp_path, BETWEEN, bearer=BEARERS)

    booked = book(
        books, expense_lines("cost_center gross_minor tax_code tax_minor\n 0010 100 NONE 0\n 0020 10600 FULL 600")
    )

    at = booked.lines.merge(
        booked.headers[["journal_key", "company", "purpose"]], on="journal_key", suffixes=("", "_of")
    )
    assert [
        "C1 original 6602 100 0", "C1 original 2221 600 0", "C1 original 2241 0 10700", "C1 original 1241 10000 0",
        "C2 intercompany 6602 10000 0", "C2 intercompany 2247 0 10000",
    ] == shown(at, "company", "purpose_of", *SIDES)  # fmt: skip
    main, other = booked.headers["journal_key"]
    assert ["", main] == booked.headers["belongs_to"].tolist() and other != main
    assert booked.headers["journal_id"].is_unique
    net = at.assign(net=at["debit_minor"] - at["credit_minor"]).groupby("company")["net"].sum()
    assert {"C1": 0, "C2": 0} == net.to_dict()


def test_a_bearer_outside_the_feed_and_a_closed_bearer_hold_the_report(tmp_path: Path) -> None:
    books = with_tables(tmp_path, BETWEEN, bearer="cost_center,company\n0010,C1\n0020,C2\n0030,C9\n")

    found = refused(
        books,
        "report_id cost_center approved_at gross_minor\n"
        " R1 0030 2026-02-10 100\n R2 0020 2026-03-10 100\n R3 0010 2026-03-10 5",
    )

    assert ["R1 COMPANY C9", "R2 PERIOD_CLOSED 2026-03"] == found
    made = mapping.apply(books, expense_lines("cost_center approved_at gross_minor\n 0030 2026-03-10 1"))
    assert ["COMPANY intercompany C9"] == shown(made.rejects, "code", "field", "value")
    closed = mapping.apply(books, expense_lines("cost_center approved_at gross_minor\n 0020 2026-03-10 1")).rejects
    assert ["intercompany 2026-03"] == shown(closed, "field", "value")
    assert "the company that bears it" in closed["reason"].iat[0]


def test_a_cost_stays_where_no_other_company_is_named_and_a_missing_row_is_a_gap(tmp_path: Path) -> None:
    books = with_tables(tmp_path, BETWEEN, bearer="cost_center,company\n0010,\n0020,C2\n")

    booked = book(books, expense_lines("company cost_center gross_minor\n C1 0010 100\n C2 0020 50"))
    gaps = mapping.apply(books, expense_lines("cost_center gross_minor\n 0010 100\n 0030 100")).rejects

    assert ["C1 original", "C2 original"] == shown(booked.headers, "company", "purpose")
    assert ["2 MAPPING_GAP intercompany 0030"] == shown(gaps, "line_no", "code", "field", "value")


def test_a_gap_between_companies_is_named_by_the_account_that_is_missing(tmp_path: Path) -> None:
    text = BETWEEN.replace('due_from: {value: "1241"}', "due_from: {table: counter}").replace(
        "    account: {table: counter}\n", '    account: {value: "2241"}\n'
    )
    books = with_tables(tmp_path, text, bearer=BEARERS, counter="company,payer,account\nC1,CARD,1241\n")

    applied = mapping.apply(books, expense_lines("cost_center payer gross_minor\n 0020 CARD 100\n 0020 EMPLOYEE 100"))

    assert ["2 MAPPING_GAP due_from"] == shown(applied.rejects, "line_no", "code", "field")


# --- accruals

ACCRUED = (
    JOURNAL.replace("closed_period: hold", "closed_period: accrue")
    .replace("    amount: net\n", "    amount: net\n    accrue: yes\n")
    .replace("rates:", 'accrual: {account: {value: "2261"}}\nrates:')
)
PERIODS = "company,period,state\nC1,2026-01,closed\nC1,2026-02,accrual\nC1,2026-03,open\nC2,2026-02,open\n"


def test_a_period_open_for_accruals_takes_the_cost_and_the_next_one_reverses_it(tmp_path: Path) -> None:
    books = with_tables(tmp_path, ACCRUED, periods=PERIODS)

    booked = book(books, expense_lines("gross_minor tax_code tax_minor\n 10600 FULL 600"))

    at = booked.lines.merge(
        booked.headers[["journal_key", "posting_date", "purpose"]], on="journal_key", suffixes=("", "_of")
    )
    assert [
        "2026-03-01 original 6602 10000 0", "2026-03-01 original 2221 600 0", "2026-03-01 original 2241 0 10600",
        "2026-02-10 accrual 6602 10000 0", "2026-02-10 accrual 2261 0 10000",
        "2026-03-01 accrual_reversal 6602 0 10000", "2026-03-01 accrual_reversal 2261 10000 0",
    ] == shown(at, "posting_date", "purpose_of", *SIDES)  # fmt: skip
    assert ["2026-02-10"] * 3 == booked.headers["original_date"].tolist()
    assert ["2026-03", "2026-02", "2026-03"] == booked.headers["period"].tolist()
    assert booked.headers["journal_id"].is_unique
    assert (
        10000 - 10000 + 10000
        == booked.lineage.merge(at[at["account"] == "6602"], on=["journal_key", "line_no"])["amount_minor"].sum()
    )


def test_each_accrued_claim_has_its_own_two_journals_and_its_lines_behind_them(tmp_path: Path) -> None:
    text = ACCRUED.replace("    accrue: yes\n", "    accrue: yes\n    merge: yes\n")
    books = with_tables(tmp_path, text, periods=PERIODS)

    booked = book(books, expense_lines("report_id gross_minor\n R1 100\n R1 50\n R2 300\n R2 7"))

    at = booked.lines.merge(
        booked.headers[["journal_key", "report_id", "purpose"]], on="journal_key", suffixes=("", "_of")
    )
    assert [
        "R1 original 6602 150 0", "R1 original 2241 0 150", "R2 original 6602 307 0", "R2 original 2241 0 307",
        "R1 accrual 6602 150 0", "R1 accrual 2261 0 150", "R2 accrual 6602 307 0", "R2 accrual 2261 0 307",
        "R1 accrual_reversal 6602 0 150", "R1 accrual_reversal 2261 150 0",
        "R2 accrual_reversal 6602 0 307", "R2 accrual_reversal 2261 307 0",
    ] == shown(at, "report_id", "purpose_of", *SIDES)  # fmt: skip
    traced = booked.lineage.merge(at, on=["journal_key", "line_no"])
    assert [
        "R1 original 1 100", "R1 original 2 50", "R2 original 3 300", "R2 original 4 7",
        "R1 accrual 1 100", "R1 accrual 2 50", "R2 accrual 3 300", "R2 accrual 4 7",
        "R1 accrual_reversal 1 -100", "R1 accrual_reversal 2 -50", "R2 accrual_reversal 3 -300",
        "R2 accrual_reversal 4 -7",
    ] == shown(
        traced[traced["account"] == "6602"], "report_id", "purpose_of", "source_row", "amount_minor"
    )  # fmt: skip


def test_the_names_of_journals_that_follow_another_are_the_same_tomorrow(tmp_path: Path) -> None:
    accrued = book(with_tables(tmp_path / "a", ACCRUED, periods=PERIODS), expense_lines("gross_minor\n 100"))
    between = book(
        with_tables(tmp_path / "b", BETWEEN, bearer=BEARERS), expense_lines("cost_center gross_minor\n 0020 5")
    )

    assert ["original U5MCXWK655SAXAAU", "accrual KG5LBIFPRJ5WNKP7", "accrual_reversal CLXUQTHVQNQFEL47"] == shown(
        accrued.headers, "purpose", "journal_key"
    )
    assert ["original U5MCXWK655SAXAAU", "intercompany 2ELUCHQSELFOLMGH"] == shown(
        between.headers, "purpose", "journal_key"
    )


def test_a_foreign_claim_is_accrued_at_its_rate_and_the_accrual_comes_to_nothing(tmp_path: Path) -> None:
    books = with_tables(tmp_path, ACCRUED.replace("rates: {", "rates: {date: original_date, "), periods=PERIODS)

    booked = book(books, expense_lines("document_currency gross_minor\n USD 333\n USD 333\n USD 334"))

    assert ["2026-02-10 7.1"] * 3 == shown(booked.headers, "rate_date", "rate")
    made = booked.lines.merge(booked.headers[["journal_key", "purpose"]], on="journal_key", suffixes=("", "_of"))
    accrual = made[made["purpose_of"] == "accrual"]
    assert ["2261 0 1000 0 7099"] == shown(
        accrual[accrual["account"] == "2261"], *SIDES, "base_debit_minor", "base_credit_minor"
    )
    pair = made[made["purpose_of"] != "original"]
    net = pair["base_debit_minor"] - pair["base_credit_minor"]
    assert {"6602": 0, "2261": 0} == net.groupby(pair["account"]).sum().to_dict()


@pytest.mark.parametrize(
    ("policy", "state", "expected"),
    [
        ("hold", "closed", "PERIOD_CLOSED"), ("hold", "accrual", "PERIOD_CLOSED"),
        ("hold", "open", "2026-02-10 original"),
        ("next_open", "closed", "2026-03-01 original"), ("next_open", "accrual", "2026-03-01 original"),
        ("accrue", "closed", "PERIOD_CLOSED"), ("accrue", "open", "2026-02-10 original"),
        ("accrue", "accrual", "2026-03-01 original, 2026-02-10 accrual, 2026-03-01 accrual_reversal"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("of_company", [False, True])
def test_the_period_policy_is_data(tmp_path: Path, policy: str, state: str, expected: str, of_company: bool) -> None:
    periods = PERIODS.replace("2026-02,accrual", f"2026-02,{state}")
    text = ACCRUED if of_company else ACCRUED.replace("closed_period: accrue", f"closed_period: {policy}")
    feed = FEED.replace("C1: {", f"C1: {{closed_period: {policy}, ") if of_company else FEED
    books = with_tables(tmp_path, text, periods=periods, feeds=feed)

    applied = mapping.apply(books, expense_lines("gross_minor\n 100"))
    if len(applied.rejects):
        assert [expected] == shown(applied.rejects, "code")
        return
    booked = journal.build(books, applied.lines, applied.parts)
    assert expected == ", ".join(shown(booked.headers, "posting_date", "purpose"))


# --- long claims


def test_a_claim_longer_than_the_erp_takes_becomes_several_balanced_documents(tmp_path: Path) -> None:
    text = JOURNAL.replace("rates:", 'split: {account: {value: "1999"}}\nrates:')
    books = with_tables(tmp_path, text, gl=GL.replace("key: [reference]", 'key: [reference]\njournal_lines_max: "4"'))
    claim = "gross_minor\n" + "\n".join(str(100 + n) for n in range(7))

    booked = book(books, expense_lines(claim))

    assert ["original 4", "split 4", "split 3"] == shown(booked.headers, "purpose", "lines")
    first = booked.headers["journal_key"].iat[0]
    assert ["", first, first] == booked.headers["belongs_to"].tolist()
    net = booked.lines["debit_minor"] - booked.lines["credit_minor"]
    assert [0, 0, 0] == net.groupby(booked.lines["journal_key"], sort=False).sum().tolist()
    assert {"1999": 0, "2241": -721, "6602": 721} == net.groupby(booked.lines["account"]).sum().to_dict()


def test_a_claim_of_two_thousand_lines_stays_exact_at_999_lines_a_document(tmp_path: Path) -> None:
    text = JOURNAL.replace("rates:", 'split: {account: {value: "1999"}}\nrates:').replace(
        'limit_minor: "2"', 'limit_minor: "9999"'
    )
    books = with_tables(tmp_path, text, gl=GL.replace("key: [reference]", 'key: [reference]\njournal_lines_max: "999"'))
    rows = "\n".join(f"USD {101 + n % 7}" for n in range(2000))

    booked = book(books, expense_lines(f"document_currency gross_minor\n{rows}"))

    assert booked.headers["lines"].max() <= 999
    for prefix in ("", "base_"):
        net = booked.lines[f"{prefix}debit_minor"] - booked.lines[f"{prefix}credit_minor"]
        assert (net.groupby(booked.lines["journal_key"]).sum() == 0).all()
        assert 0 == net[booked.lines["account"] == "1999"].sum()


def test_a_long_claim_is_held_when_no_split_is_declared(tmp_path: Path) -> None:
    books = bundle(tmp_path, gl=GL.replace("key: [reference]", 'key: [reference]\njournal_lines_max: "2"'))

    assert ["R1 LINES 3"] == refused(books, "gross_minor\n 1\n 2")


def test_a_batch_takes_no_more_lines_than_its_target(tmp_path: Path) -> None:
    feed = FEED.replace('journals_max: "2"', 'journals_max: "9"')
    books = bundle(tmp_path, feeds=feed, gl=GL.replace("key: [reference]", 'key: [reference]\nbatch_lines_max: "5"'))
    booked = book(books, expense_lines("report_id gross_minor\n" + "\n".join(f"R{n} 100" for n in range(5))))

    assert [2, 2, 1] == [len(one.rows) for one in journal.batches(books, booked.headers)]


# --- order of lines, rate and its source


@pytest.mark.parametrize(
    ("order", "expected"),
    [
        ("rules", ["2241 0 300", "6602 100 0", "6602 200 0"]),
        ("debits_first", ["6602 100 0", "6602 200 0", "2241 0 300"]),
        ("source", ["2241 0 300", "6602 100 0", "6602 200 0"]),
    ],
)
def test_the_order_of_the_lines_is_declared(tmp_path: Path, order: str, expected: list[str]) -> None:
    blocks = JOURNAL.split("  - purpose:")
    turned = (
        "  - purpose:".join([blocks[0], blocks[3].split("rates:")[0], blocks[1]])
        + "rates:"
        + JOURNAL.split("rates:")[1]
    )
    text = turned.replace("lines:\n", f"line_order: {order}\nlines:\n", 1)

    booked = book(bundle(tmp_path, journals=text), expense_lines("gross_minor\n 100\n 200"))

    assert expected == shown(booked.lines, *SIDES)


def test_the_rate_is_pinned_with_its_date_and_source(tmp_path: Path) -> None:
    rates = "document_currency,base_currency,rate,valid_from,valid_to,source\nUSD,CNY,7.1,2026-01-01,,ECB\n"
    books = bundle(tmp_path, rates=rates, journals=JOURNAL.replace("rates: {", "rates: {date: document_date, "))

    booked = book(books, expense_lines("document_currency gross_minor\n USD 100"))

    assert ["7.1 2026-02-03 ECB"] == shown(booked.headers, "rate", "rate_date", "rate_source")


@pytest.mark.parametrize(("mode", "base"), [("half_up", 4), ("half_even", 4), ("down", 3)])
def test_the_conversion_rounds_as_the_mapping_says(tmp_path: Path, mode: str, base: int) -> None:
    """0.05 USD x 0.7 = 0.035: half up and half even give 0.04, down gives 0.03."""
    rates = "document_currency,base_currency,rate\nUSD,CNY,0.7\n"
    books = bundle(tmp_path, rates=rates, journals=JOURNAL.replace("rounding: half_up", f"rounding: {mode}"))

    booked = book(books, expense_lines("document_currency gross_minor\n USD 5"))

    assert [f"6602 {base} 0", f"2241 0 {base}"] == shown(
        booked.lines, "account", "base_debit_minor", "base_credit_minor"
    )


def test_what_rounding_left_is_on_the_header(tmp_path: Path) -> None:
    booked = book(bundle(tmp_path), expense_lines("document_currency gross_minor\n USD 105\n USD 105\n USD 105"))

    assert ["-1"] == shown(booked.headers, "rounding_minor")


@pytest.mark.parametrize(
    ("text", "detail"),
    [
        (JOURNAL.replace("lines:\n", "one_per: [cost]\nlines:\n", 1), "one_per: no field 'cost'"),
        (
            JOURNAL.replace("lines:\n", "one_per: [report_id]\nlines:\n", 1),
            "`one_per: report` is one journal for each report",
        ),
        (JOURNAL.replace("    amount: net\n", "    amount: net\n    per: tax\n"), "`per: tax` takes one of"),
        (JOURNAL.replace("    amount: net\n", "    amount: net\n    allocate: x\n"), "no allocation 'x'"),
        (JOURNAL.replace("    amount: net\n", "    amount: net\n    books: bearer\n"), "needs `intercompany`"),
        (JOURNAL.replace("closed_period: hold", "closed_period: accrue"), "needs an `accrual` account"),
    ],
)
def test_what_does_not_fit_together_is_refused_when_loaded(tmp_path: Path, text: str, detail: str) -> None:
    with pytest.raises(ConfigurationError, match=detail.replace("[", r"\[")):
        bundle(tmp_path, journals=text)


def test_every_journal_still_has_one_report_behind_it(tmp_path: Path) -> None:
    booked = book(bundle(tmp_path), expense_lines("report_id gross_minor\n R1 1\n R2 2"))

    assert booked.reports["journal_id"].tolist() == booked.headers["journal_id"].tolist()
    assert [*model.REPORT_KEY] == [c for c in booked.reports.columns if c in model.REPORT_KEY]
