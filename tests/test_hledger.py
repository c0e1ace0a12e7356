"""Journals in plain text, judged by hledger: every journal balances, and its balances are our totals to the cent."""

from __future__ import annotations

import csv
import io
import re
import shutil
import subprocess
from collections import defaultdict
from decimal import Decimal
from pathlib import Path

import pytest
from books import FEED, JOURNAL
from rendered import by_profile, refused

from etl import config, money, pipeline
from etl.pipeline import booking, decide
from sandbox import sample

PROJECT = Path(__file__).resolve().parents[1]
WIDE = FEED.replace('journals_max: "2"', 'journals_max: "9"')
ODD = (
    "report_id document_currency gross_minor tax_code description\n R1 CNY 4500 FULL 机票;_date:2026-13-45,_x=1\n"
    " R2 USD 105 NONE [2026-99-99]\n R2 USD 107 HALF (a)_|_*_!_@@_5_CNY\n R3 JPY 1001 NONE .\n R4 CNY -300 NONE -"
)
Balances = dict[tuple[str, str], Decimal]


@pytest.fixture(scope="module", autouse=True)
def _present() -> None:
    if shutil.which("hledger") is None:
        pytest.skip("hledger is not installed (Debian: hledger)")


def hledger(path: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["hledger", "-f", path, *words], capture_output=True, text=True, check=False, timeout=60)


def balances(path: Path, *options: str) -> Balances:
    """What hledger adds up: account and commodity -> amount."""
    done = hledger(path, "balance", "--flat", "--no-total", "--layout", "bare", "-O", "csv", *options)
    assert "" == done.stderr
    rows = csv.DictReader(io.StringIO(done.stdout))
    return {(row["account"], row["commodity"]): Decimal(row["balance"]) for row in rows if row["commodity"]}


def booked(sealed: booking.Sealed, prefix: str) -> Balances:
    """What the journals of a batch add up to; a difference of the conversion has an amount in the books only."""
    headers = sealed.headers.set_index("journal_key")
    sums: Balances = defaultdict(Decimal)
    for line in sealed.lines.to_dict("records"):
        header = headers.loc[line["journal_key"]]
        minor, currency = line["debit_minor"] - line["credit_minor"], header["currency"]
        if prefix or not minor:
            minor, currency = line["base_debit_minor"] - line["base_credit_minor"], header["base_currency"]
        root = {"1": "Assets", "2": "Liabilities", "6": "Expenses"}[line["account"][0]]
        sums[f"{root}:{line['account']}", currency] += Decimal(money.text_of(minor, currency))
    return {key: amount for key, amount in sums.items() if amount}


@pytest.fixture(scope="module")
def sealed(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[Path, booking.Sealed]]:
    """The journals of a sample delivery of all four companies, each batch in a file for hledger."""
    home = tmp_path_factory.mktemp("hledger")
    shutil.copytree(PROJECT / "mappings", home / "mappings")
    feed = home / "mappings/feeds/sample.yml"
    text = re.sub(r"target: (oracle_ebs_gl_interface|beancount),", "target: hledger,", feed.read_text("utf-8"))
    feed.write_text(text, "utf-8")
    sample.write(home / "delivery", reports=120, seed=3)
    context = pipeline.open("sample", settings=config.Settings(home, home / "mappings", f"sqlite:///{home}/store.db"))
    out = []
    for path in sorted((home / "delivery").glob("*.csv")):
        raw = booking.read(context.bundle, path.read_bytes(), path.name)
        for batch in decide.book(context, raw, path.name, decide.past_of(context)).sealed:
            out.append((home / f"{batch.batch.batch_id}.journal", batch))
            out[-1][0].write_bytes(batch.payload)
    return out


def test_hledger_accepts_every_batch_of_the_sample(sealed: list[tuple[Path, booking.Sealed]]) -> None:
    assert {"CN01", "US01", "JP01", "KW01"} == {batch.batch.company for _, batch in sealed}
    assert {"JPY", "KWD", "USD", "CNY"} <= {c for _, batch in sealed for c in batch.headers["currency"]}
    assert [] == [done.stderr for path, _ in sealed if (done := hledger(path, "check", "--strict")).returncode]


def test_the_balances_of_hledger_are_our_totals_to_the_cent(sealed: list[tuple[Path, booking.Sealed]]) -> None:
    for path, batch in sealed:
        assert booked(batch, "") == balances(path)
        assert booked(batch, "base") == balances(path, "--cost")


def test_hledger_counts_our_journals(sealed: list[tuple[Path, booking.Sealed]]) -> None:
    for path, batch in sealed:
        codes = hledger(path, "codes").stdout.split()
        assert sorted(batch.headers["journal_key"]) == sorted(codes)


def test_hledger_refuses_an_altered_amount(sealed: list[tuple[Path, booking.Sealed]]) -> None:
    """The smallest unit of the books' currency more on one line of one journal of each batch."""
    for path, batch in sealed:
        text = batch.payload.decode("utf-8")
        found = re.search(r"([0-9.]+) ([A-Z]{3})  ; line_no: 1\n", text)
        assert found is not None
        more = Decimal(found[1]) + Decimal(1).scaleb(-money.EXPONENT[found[2]])
        altered = path.with_suffix(".altered")
        altered.write_text(text[: found.start(1)] + str(more) + text[found.end(1) :], "utf-8")
        done = hledger(altered, "check")
        assert (1, True) == (done.returncode, "could not balance" in done.stderr)


def test_nothing_in_a_text_means_anything_to_hledger(tmp_path: Path) -> None:
    payload, batch, headers, lines = by_profile(tmp_path / "m", "hledger", ODD, feeds=WIDE)
    path = tmp_path / "odd.journal"
    path.write_bytes(payload)
    done = hledger(path, "check", "--strict")

    assert (0, "") == (done.returncode, done.stderr)
    assert booked(booking.Sealed(batch, headers, lines, lines, lines, payload), "") == balances(path)
    assert "    ; text: TAXI 机票; date-2026-13-45; x-1\n" in payload.decode("utf-8")
    assert {
        "company",
        "cost_center",
        "journal_id",
        "line_no",
        "party",
        "period",
        "report_id",
        "tax_code",
        "text",
    } >= set(hledger(path, "tags").stdout.split())


def test_a_journal_of_a_foreign_claim(tmp_path: Path) -> None:
    payload, batch, *_ = by_profile(tmp_path, "hledger", "document_currency gross_minor\n USD 105\n USD 107")

    assert (
        payload.decode("utf-8").replace(batch.batch_id, "BATCH")
        == """\
; claimpost batch BATCH
commodity 1.00 CNY
commodity 1.00 USD

account Expenses:6602
account Expenses:6699
account Liabilities:2241

2026-02-10 * (AMI4WG5I2H2WFBCO) E1 | R1 E1
    ; journal_id: 0311cb1ba8d1f562844ed2a7dc0b13759d51a011eb9cef79c23fef4a9580f7f2
    ; company: C1
    ; period: 2026-02
    ; report_id: R1
    Expenses:6602                             1.05 USD @@ 7.46 CNY  ; line_no: 1
    ; cost_center: 0010
    ; text: TAXI
    Expenses:6602                             1.07 USD @@ 7.60 CNY  ; line_no: 2
    ; cost_center: 0010
    ; text: TAXI
    Liabilities:2241                          -2.12 USD @@ 15.05 CNY  ; line_no: 3
    ; party: E1
    ; text: Payable
    Expenses:6699                             -0.01 CNY  ; line_no: 4
    ; text: Rounding of the conversion
"""
    )


def test_an_account_without_a_top_account_holds_the_report(tmp_path: Path) -> None:
    account = "expense_type,account\nTAXI,9999\n"
    journals = JOURNAL.replace(", valid_by: transaction_date", "")
    assert ["REFERENCE account 9999"] == refused(
        tmp_path, "hledger", "gross_minor\n 1", account=account, journals=journals
    )
