"""The 29 posting documents that SAP Concur publishes, each as the journal it must become.

The vendor's pages print debit and credit tables beside the documents. Where the two disagree the document counts, and
the case says so. Accounts: as the document names them; 2410 is what we owe employees, 2420 the individually paid card
(IBCP), 2430 the company-paid card (CBCP), 2440 what the company paid directly (COPD), 2576 to 2578 input tax.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from click.testing import CliRunner

from etl import clean, mapping, model, money
from etl.cli import main
from etl.errors import FileRejected
from etl.pipeline import booking

PROJECT = Path(__file__).resolve().parents[1]
MAPPINGS = PROJECT / "mappings"
DATA = PROJECT.parent / "shared/data/concur-fis"
needs_data = pytest.mark.skipif(not DATA.is_dir(), reason="the real data set shared/data/concur-fis is not here")

# Use case -> title, then one line per account and side. Amounts are in the currency of the journal.
JOURNALS = {
    "1.1": """
        Taxi and train, paid by the company. Page: a taxi of 10 owed to the employee; the document adds a train of 20
        and names the company as the one who paid
        debit  474230   10.00
        debit  474210   20.00
        credit 2440     30.00""",
    "1.2": """
        A rebate of 50 in cash, kept by the employee
        debit  2410     50.00
        credit 5        50.00""",
    "1.3": """
        Mileage
        debit  54       24.30
        credit 2410     24.30""",
    "1.4": """
        Allowance for two meals. Page: 50, of which 24 are not taxable; the document has EUR 24 and EUR 26 as USD 26.88
        and USD 29.12, and does not tell the taxable part
        debit  474230   56.00
        credit 2410     56.00""",
    "2.1": """
        Laundry with German VAT
        debit  37        8.40
        debit  2576      1.60
        credit 2410     10.00""",
    "2.2": """
        Gas with VAT that is not reclaimed: 84.03 and 15.97 are one cost
        debit  474210  100.00
        credit 2410    100.00""",
    "2.3": """
        Phone with GST 4.42 and PST 7.08. Page: both taxes whole; the document reclaims 3.54 of the PST, so 7.96 of tax
        stay with the 88.50
        debit  474210   96.46
        debit  2578      3.54
        credit 2410    100.00""",
    "2.4": """
        Pager, half of 2.43 and 3.89 reclaimed. Page: 3.16 reclaimed in one sum; each tax rounded alone is 1.22 and 1.95
        debit  474210   51.83
        debit  2577      1.22
        debit  2578      1.95
        credit 2410     55.00""",
    "2.5": """
        Hotel abroad, foreign tax at 0 %, on a card
        debit  119      80.32
        credit 2420     80.32""",
    "3.1": """
        Hotel and breakfast, paid by the company
        debit  474230  325.00
        credit 2440    325.00""",
    "4.1": """
        The breakfast of 25 shared by two cost objects
        debit  474230  325.00
        credit 2440    325.00""",
    "5.1.1": """
        Advance of 7,000 issued
        debit  CASH   7000.00
        credit 2410   7000.00""",
    "5.2.1 advance": """
        Advance of 300 issued. Asked for in USD at a rate of 1; the journal entry is in the employee's GBP
        debit  CADV    300.00
        credit 2410    300.00""",
    "5.2.1": """
        Expenses of 315, advance of 300 applied. Page: the advance is printed as a debit, 615 against 15
        debit  109     245.00
        debit  105      60.00
        debit  130      10.00
        credit CADV    300.00
        credit 2410     15.00""",
    "5.2.2 advance": """
        Advance of 400 issued
        debit  CADV    400.00
        credit 2410    400.00""",
    "5.2.2": """
        Expenses of 315, advance of 400 applied, 85 to be given back
        debit  109     245.00
        debit  105      60.00
        debit  130      10.00
        debit  2410     85.00
        credit CADV    400.00""",
    "6.1.2": """
        Car on a card. Page: 56.10 alone; the document adds a postage of 23 in cash
        debit  11       56.10
        debit  56       23.00
        credit 2420     56.10
        credit 2410     23.00""",
    "6.1.3": """
        A flight given back
        debit  2440    349.00
        credit 474230  349.00""",
    "6.1.5": """
        Hotel on a card
        debit  474230  300.00
        credit 2420    300.00""",
    "6.1.6": """
        Hotel 125 + 125 and dinner 20 on a card, taxi 35 in cash; 14 of the card were personal and not sent
        debit  474230  305.00
        credit 2420    270.00
        credit 2410     35.00""",
    "6.1.6-with-offsetting": """
        The same, the personal 14 taken off the taxi and paid to the card
        debit  99999   250.00
        debit  600      20.00
        debit  88888    35.00
        credit 2420    284.00
        credit 2410     21.00""",
    "6.1.7": """
        As 6.1.6, with parking of 5
        debit  474230  270.00
        debit  52        5.00
        credit 2420    270.00
        credit 2410      5.00""",
    "6.1.7-with-offsetting": """
        The same, the personal part above the parking: all is paid to the card
        debit  99999   250.00
        debit  600      20.00
        debit  40        5.00
        credit 2420    275.00""",
    "6.2.1": """
        All personal, on cards that the company pays: in and out of the clearing accounts, owed by the employee
        debit  CBCP180     49.00
        debit  COMPAID374  32.00
        debit  2410        81.00
        credit CBCP180     49.00
        credit COMPAID374  32.00
        credit 2430        49.00
        credit 2440        32.00""",
    "6.2.2": """
        As 6.1.6 on a card that the company pays. Page: the taxi is printed as 32, 316 against 319; the document has 35
        debit  474230  305.00
        debit  199999   14.00
        debit  2410     14.00
        credit 199999   14.00
        credit 2430    284.00
        credit 2410     35.00""",
    "6.2.3": """
        A dinner of 1,000, of which 300 are personal. Page: the 300 alone. The document names no account for
        them: by table, the clearing account of its entries
        debit  123447262   300.00
        debit  1234        700.00
        debit  2410        300.00
        credit 123447262   300.00
        credit 2430       1000.00""",
    "6.2.4": """
        As 6.2.2
        debit  474230  305.00
        debit  199999   14.00
        debit  2410     14.00
        credit 199999   14.00
        credit 2430    284.00
        credit 2410     35.00""",
}
# The vendor prints one document for two use cases; the second delivery is known and posts nothing.
REPEATED = {"6.1.1": "1.1", "6.1.4": "3.1"}


def use_case(path: Path) -> str:
    """CashAdvanceID-2E6D...-Example-5.2.1.json -> 5.2.1 advance: a report has the same number."""
    number = path.stem.partition("-Example-")[2]
    return f"{number} advance" if path.name.startswith("Cash") and number != "5.1.1" else number


FILES = {use_case(path): path for path in sorted(DATA.glob("*.json"))}


@cache
def books() -> mapping.Bundle:
    return mapping.load(MAPPINGS, "concur_fis")


def booked(content: bytes, name: str = "page.json") -> booking.Booking:
    raw = booking.read(books(), content, name)
    return booking.book(books(), raw, name, booking.first(), MAPPINGS / "tables")


def no_claims(keys: Sequence[str]) -> pd.DataFrame:
    return pd.DataFrame({name: model.texts([]) for name in model.INVOICE_COLUMNS})


def sides(lines: list[dict[str, Any]], currency: str) -> dict[str, str]:
    """The sum of each side and account of journal lines, as decimal text."""
    sums: Counter[str] = Counter()
    for line in lines:
        side = "debit" if line["debit_minor"] else "credit"
        if line[f"{side}_minor"]:
            sums[f"{side} {line['account']}"] += int(line[f"{side}_minor"])
    return {key: money.text_of(minor, currency) for key, minor in sums.items()}


def journal(done: booking.Booking) -> dict[str, str]:
    """The one journal of a booking by side and account."""
    assert [] == done.rejects["reason"].tolist()
    (sealed,) = done.sealed
    return sides(sealed.lines.to_dict("records"), str(sealed.headers["currency"].iat[0]))


def expected(case: str) -> dict[str, str]:
    """The journal of a case as it is written above."""
    rows = [row.split() for row in case.splitlines() if row.strip().startswith(("debit ", "credit "))]
    return {f"{side} {account}": amount for side, account, amount in rows}


def reasons(*documents: dict[str, Any]) -> list[str]:
    """Code and sentence of everything that is wrong with the documents of a page."""
    rejects = booked(page(*documents)).rejects
    return [f"{code}: {reason}" for code, reason in zip(rejects["code"], rejects["reason"], strict=True)]


# --- documents of our own, in the vendor's shape


def page(*documents: dict[str, Any]) -> bytes:
    body = {"fIDocuments": list(documents), "offset": None, "nextPage": None, "numberReturned": len(documents)}
    return json.dumps(body).encode()


def report(*entries: dict[str, Any], applied: Sequence[dict[str, Any]] = (), **more: Any) -> dict[str, Any]:
    """A report R1 in USD of Concur's entity 821599."""
    head = {"reportId": "R1", "revisionNumber": "1", "employeeCurrencyAlphaCode": "USD", "isTest": "N",
            "reportPaymentProcessingDate": "2019-05-28T18:00:00.123Z"}  # fmt: skip
    document = {"employee": {"employeeId": "E1"}, "report": head | more, "expenseEntry": list(entries)}
    return {"companyId": "821599", "docType": "expense", "docStatus": "READY",
            "document": document | {"cashAdvanceApplication": list(applied)}}  # fmt: skip


def entry(*journals: dict[str, Any], taxes: Sequence[dict[str, Any]] = (), **more: Any) -> dict[str, Any]:
    head = {"expenseTypeCode": "TAXIX", "entryDate": "2019-05-27T00:00:00.000Z", "entryIsPersonal": "N"}
    return head | {"allocation": [{"journal": list(journals), "tax": list(taxes)}]} | more


def pays(payer: str, payee: str, gross: int, account: str | None = "600", **more: Any) -> dict[str, Any]:
    amounts = {"amountGross": gross, "amountNetOfTax": gross, "amountNetOfReclaim": gross}
    return {"journalPayer": payer, "journalPayee": payee, "journalAccountCode": account, **amounts, **more}


def advance(**more: Any) -> dict[str, Any]:
    head = {"cashAdvanceId": "A1", "employeeCurrencyAlphaCode": "USD", "issuedDate": "2019-05-20T01:00:00.000Z"}
    entries = [{"payer": "COMP", "payee": "EMPL", "debitOrCredit": "DR", "accountCode": "CADV", "amount": 300} | more]
    document = {"employeeData": {"employeeId": "E1"}, "cashAdvanceData": head, "journalData": entries}
    return {"companyId": "821599", "docType": "cashadvance", "docStatus": "READY", "document": document}


TAX = {"taxGuid": "t1", "taxReclaimCode": "VA", "amountTax": 4, "amountReclaim": 3}


# --- the vendor's documents


@needs_data
@pytest.mark.parametrize("number", JOURNALS)
def test_a_published_document_becomes_its_journal(number: str) -> None:
    assert expected(JOURNALS[number]) == journal(booked(FILES[number].read_bytes()))


@needs_data
def test_every_published_document_has_a_journal_here_or_repeats_one() -> None:
    assert set(FILES) == {*JOURNALS, *REPEATED}
    assert [] == [a for a, b in REPEATED.items() if FILES[a].read_bytes() != FILES[b].read_bytes()]


def test_the_journals_written_here_balance() -> None:
    totals: dict[str, Decimal] = {}
    for number, case in JOURNALS.items():
        signed = [Decimal(a) * (1 if key.startswith("debit") else -1) for key, a in expected(case).items()]
        totals[number] = sum(signed, Decimal(0))

    assert {} == {number: rest for number, rest in totals.items() if rest}


@needs_data
def test_the_published_allocations_keep_both_identities_and_an_altered_one_does_not() -> None:
    text = FILES["2.4"].read_text("utf-8")
    tax, reclaim, total = (
        booked(text.replace(old, new, 1).encode()).rejects["reason"].tolist()
        for old, new in (
            ('"amountTax": 2.43', '"amountTax": 2.44'),
            ('"amountReclaim": 1.95', '"amountReclaim": 1.94'),
            ('"totalApprovedAmount": 55', '"totalApprovedAmount": 55.01'),
        )
    )
    raw = booking.read(books(), FILES["4.1"].read_bytes(), "4.1.json").frame

    assert (raw["allocation"].tolist(), raw["entry"].tolist()) == (["1", "2", "3", "4"], ["1", "2", "3", "3"])
    assert tax == ["amountGross 55 differs from amountNetOfTax + amountTax = 55.01."]
    assert reclaim == ["amountGross 55 differs from amountNetOfReclaim + amountReclaim = 54.99."]
    assert total == ["totalApprovedAmount 55.01 differs from amountGross = 55."]


@needs_data
def test_a_run_posts_every_document_once_and_bean_check_accepts_the_books(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CLAIMPOST_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("CLAIMPOST_MAPPINGS", str(MAPPINGS))
    monkeypatch.delenv("CLAIMPOST_STORE_URL", raising=False)
    documents = {number: json.loads(path.read_text("utf-8"))["fIDocuments"][0] for number, path in FILES.items()}
    (tmp_path / "in").mkdir()
    (tmp_path / "in/page-1.json").write_bytes(page(*(d for n, d in documents.items() if n not in REPEATED)))
    (tmp_path / "in/page-2.json").write_bytes(page(*(documents[n] for n in REPEATED)))
    done = CliRunner().invoke(main, ["run", "concur_fis", "--input", str(tmp_path / "in"), "--json"])
    run = json.loads(done.stdout)
    files = sorted((tmp_path / "home/batches").glob("*/*.beancount"))
    checks = [[sys.executable, "-m", "beancount.scripts.check", str(path)] for path in files]
    checked = [subprocess.run(check, capture_output=True, text=True, check=False) for check in checks]

    assert (0, "") == (done.exit_code, done.stderr)
    assert [29, 27, 0, 2] == [run[name]["reports"] for name in ("landed", "accepted", "quarantined", "duplicate")]
    assert {"reconciled"} == {batch["state"] for batch in run["batches"]}
    assert 27 == sum(batch["journals"] for batch in run["batches"])
    assert {"C192544", "C821599"} < {batch["company"] for batch in run["batches"]}
    assert {"beancount_concur", "oracle_ebs_gl_interface"} == {batch["target"] for batch in run["batches"]}
    assert len(files) >= 8
    assert [(0, "")] * len(files) == [(one.returncode, one.stdout + one.stderr) for one in checked]


@needs_data
def test_the_advance_account_is_empty_after_the_advances_are_applied() -> None:
    cases = ("5.2.1 advance", "5.2.1", "5.2.2 advance", "5.2.2")
    journals = [journal(booked(FILES[number].read_bytes())) for number in cases]

    assert ["300.00", "400.00"] == [one["debit CADV"] for one in journals[::2]]
    assert ["300.00", "400.00"] == [one["credit CADV"] for one in journals[1::2]]


# --- the posting matrix and what it holds back


MATRIX = {
    "out of pocket": (report(entry(pays("COMP", "EMPL", 10))), {"debit 600": "10.00", "credit 2410": "10.00"}),
    "card paid by the employee": (
        report(entry(pays("COMP", "IBCP", 10))), {"debit 600": "10.00", "credit 2420": "10.00"},
    ),
    "card paid by the company": (
        report(entry(pays("COMP", "CBCP", 10))), {"debit 600": "10.00", "credit 2430": "10.00"},
    ),
    "paid by the company": (report(entry(pays("COMP", "COPD", 10))), {"debit 600": "10.00", "credit 2440": "10.00"}),
    "a refund on the card": (report(entry(pays("IBCP", "COMP", -10))), {"debit 2420": "10.00", "credit 600": "10.00"}),
    "a refund in cash": (report(entry(pays("EMPL", "COMP", -10))), {"debit 2410": "10.00", "credit 600": "10.00"}),
    "an advance issued": (advance(), {"debit CADV": "300.00", "credit 2410": "300.00"}),
    "an advance applied": (
        report(applied=[{"cashAdvanceId": "A1", "cashAdvanceApplicationAmount": -3, "cashAdvanceTransactionType": 2,
                         "cashAdvanceClearingAccountCode": "CADV"}]),
        {"credit CADV": "3.00", "debit 2410": "3.00"},
    ),
    "a tax, partly reclaimed": (
        report(entry(pays("COMP", "CBCP", 24, amountNetOfTax=20, amountNetOfReclaim=21, taxGuid=["t1"]), taxes=[TAX])),
        {"debit 600": "21.00", "debit 2576": "3.00", "credit 2430": "24.00"},
    ),
    "a tax of the second of two payees": (
        report(entry(pays("COMP", "EMPL", 5), pays("COMP", "IBCP", 24, amountNetOfTax=20, amountNetOfReclaim=21,
                                                   taxGuid=["t1"]), taxes=[TAX])),
        {"debit 600": "26.00", "debit 2576": "3.00", "credit 2410": "5.00", "credit 2420": "24.00"},
    ),
    "a tax of nothing": (
        report(entry(pays("COMP", "EMPL", 5, taxGuid=["t1"]), taxes=[TAX | {"amountTax": 0, "amountReclaim": 0}])),
        {"debit 600": "5.00", "credit 2410": "5.00"},
    ),
}  # fmt: skip


@pytest.mark.parametrize(("document", "wanted"), MATRIX.values(), ids=list(MATRIX))
def test_who_pays_whom_decides_the_other_side(document: dict[str, Any], wanted: dict[str, str]) -> None:
    assert wanted == journal(booked(page(document)))


HELD = {
    "a sign that contradicts the payer": (
        report(entry(pays("COMP", "EMPL", -10))),
        ["MAPPING_GAP: settlement.account: no row for no condition that holds in its choices."],
    ),
    "payer and payee that nobody knows": (
        report(entry(pays("COMP", "BANK", 10))),
        ["MAPPING_GAP: settlement.account: no row for C821599, COMP, BANK in tables/concur_fis_counter.csv."],
    ),
    "no account, and not personal": (
        report(entry(pays("COMP", "EMPL", 10, None))),
        ["MAPPING_GAP: expense.account: no row for no condition that holds in its choices."],
    ),
    "no account, personal, no clearing account": (
        report(entry(pays("COMP", "CBCP", 10, None), entryIsPersonal="Y")),
        ["MAPPING_GAP: expense.account: no row for C821599 in tables/concur_fis_clearing.csv."],
    ),
    "an advance on the credit side": (
        advance(debitOrCredit="CR"),
        ["MAPPING_GAP: settlement.account: no row for no condition that holds in its choices."],
    ),
    "a tax that no journal entry lists": (
        report(entry(pays("COMP", "EMPL", 24, amountNetOfTax=20, amountNetOfReclaim=21), taxes=[TAX])),
        ["MISSING: payee is empty.", "MISSING: payer is empty."],
    ),
    "a tax that two journal entries list": (
        report(entry(pays("COMP", "EMPL", 12, amountNetOfTax=10, amountNetOfReclaim=10, taxGuid=["t1"]),
                     pays("COMP", "IBCP", 12, amountNetOfTax=10, amountNetOfReclaim=11, taxGuid=["t1"]), taxes=[TAX])),
        ["MISSING: payee is empty.", "MISSING: payer is empty."],
    ),
    "a tax code without an account": (
        report(entry(pays("COMP", "EMPL", 24, amountNetOfTax=20, amountNetOfReclaim=21, taxGuid=["t1"]),
                     taxes=[TAX | {"taxCode": "X9"}])),
        ["MAPPING_GAP: input_tax.account: no row for C821599, X9 in tables/concur_fis_tax.csv."],
    ),
    "an entry that is not fully allocated": (
        report(entry(pays("COMP", "EMPL", 10), entryApprovedAmount=10.01)),
        ["SUM: entryApprovedAmount 10.01 differs from amountGross = 10."],
    ),
    "a state that is not ready": (
        report(entry(pays("COMP", "EMPL", 10))) | {"docStatus": "POSTING_CONFIRMED_ERROR"},
        ["STATUS: The report's state is 'POSTING_CONFIRMED_ERROR'; only READY, ACKNOWLEDGED, POSTING_CONFIRMED_SUCCESS "
         "may be booked."],
    ),
}  # fmt: skip


@pytest.mark.parametrize(("document", "said"), HELD.values(), ids=list(HELD))
def test_what_the_matrix_does_not_say_is_held(document: dict[str, Any], said: list[str]) -> None:
    assert said == reasons(document)


def test_a_day_is_the_date_as_written_and_a_time_loses_its_fraction_of_a_second() -> None:
    late = report(entry(pays("COMP", "EMPL", 10), entryDate="2016-03-05T08:00:00.000Z"))
    lines = clean.clean(booking.read(books(), page(late), "page.json"), books().source).lines

    assert ("2016-03-05", "2019-05-28T18:00:00Z") == tuple(lines[["transaction_date", "approved_at"]].iloc[0])


def test_an_entry_without_allocation_holds_its_report_and_no_other() -> None:
    good = report(entry(pays("COMP", "EMPL", 10)), reportId="R2")
    done = booked(page(report(entry() | {"allocation": []}, entry(pays("COMP", "EMPL", 10))), good))

    assert {"R1"} == set(done.rejects["report_id"]) and "amount" in set(done.rejects["field"])
    assert ["R2"] == [one for sealed in done.sealed for one in sealed.headers["report_id"]]


def test_a_test_document_and_a_field_that_is_new_refuse_the_page() -> None:
    with pytest.raises(FileRejected, match=r"ENVIRONMENT page.json line 1 is marked document.report.isTest 'Y'"):
        booked(page(report(entry(pays("COMP", "EMPL", 10)), isTest="Y")))
    with pytest.raises(FileRejected, match=r"UNKNOWN_COLUMN page.json line 1: unknown column 'amountVoided'"):
        booked(page(report(entry(pays("COMP", "EMPL", 10, amountVoided=10)))))
    with pytest.raises(FileRejected, match=r"UNKNOWN_COLUMN page.json line 1: unknown column 'document.invoice'"):
        booked(page({"companyId": "1", "document": {"invoice": {}}}))
