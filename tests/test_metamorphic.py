"""What must not matter, and what must add up: relations between two bookings (reliability.md 7).

Each is tried on 200 cases and more: ten files that hypothesis writes, of twenty small cases each.
"""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from books import FEED, JOURNAL, bundle
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from etl import clean, journal, mapping, model, render
from etl.config import Document
from etl.pipeline import blocks, booking

COLUMNS = [
    "Company", "Report", "Version", "Line", "Employee", "Type", "Date", "Approved", "Payer", "Currency", "Amount",
    "Code", "Tax", "Center",
]  # fmt: skip
SOURCE = f"""
source: tiny
source_system: TINY
format:
  encoding: utf-8
  delimiter: ','
  dates: "%Y-%m-%d"
  times: "%Y-%m-%dT%H:%M:%SZ"
  layouts: [[{", ".join(COLUMNS)}], [{", ".join([*COLUMNS, "Noise"])}]]
fields:
  company: {{column: Company, required: yes}}
  report_id: {{column: Report, required: yes}}
  report_version: {{column: Version, kind: integer, required: yes}}
  line_no: {{column: Line}}
  employee_id: {{column: Employee}}
  expense_type: {{column: Type}}
  transaction_date: {{column: Date, required: yes}}
  approved_at: {{column: Approved, required: yes}}
  payer: {{column: Payer, required: yes}}
  document_currency: {{column: Currency, required: yes}}
  gross_minor: {{column: Amount, required: yes}}
  tax_code: {{column: Code}}
  tax_minor: {{column: Tax}}
  cost_center: {{column: Center}}
"""
LENIENT = JOURNAL.replace('limit_minor: "2"', 'limit_minor: "99"')
CASES = 20
SETTINGS = settings(max_examples=10, suppress_health_check=[HealthCheck.data_too_large, HealthCheck.large_base_example])
Record = dict[str, str]


@dataclass(frozen=True)
class Posted:
    """Journal key -> content hash; and debit less credit by company, currency and account."""

    journals: dict[str, str]
    net: Counter[tuple[str, str, str]]


@dataclass(frozen=True)
class Office:
    """The feed `tiny` with a source of many columns, and what it makes of records."""

    bundle: mapping.Bundle
    tables: Path

    def read(self, records: Sequence[Record], columns: Sequence[str] = COLUMNS) -> Any:
        text = io.StringIO()
        writer = csv.DictWriter(text, columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows(records)
        return booking.read(self.bundle, text.getvalue().encode(), "a.csv")

    def book(self, records: Sequence[Record], earlier: booking.Booking | None = None) -> booking.Booking:
        """The whole way: read, clean, judge, map, balance, render."""
        before = booking.first()
        if earlier is not None:
            made = booking.made(earlier, "posted")
            known = booking.decided(earlier, 1)
            before = replace(before, seq=2, known=lambda _: known, journals=lambda _: made)
        return booking.book(self.bundle, self.read(records), "a.csv", before, self.tables)

    def made(self, records: Sequence[Record], columns: Sequence[str] = COLUMNS) -> journal.Journals:
        """Read, clean, map, balance good records."""
        cleaned = clean.clean(self.read(records, columns), self.bundle.source, {})
        applied = mapping.apply(self.bundle, cleaned.lines)
        assert 0 == len(cleaned.rejects) == len(applied.rejects)
        return journal.build(self.bundle, applied.lines, applied.parts)

    def rendered(self, records: Sequence[Record]) -> list[tuple[bytes, pd.DataFrame]]:
        """The bytes of each batch, and the journal lines in it."""
        made, out = self.made(records), []
        for batch in journal.batches(self.bundle, made.headers):
            headers = made.headers.iloc[batch.rows].reset_index(drop=True)
            lines = made.lines[made.lines["journal_key"].isin(headers["journal_key"])].reset_index(drop=True)
            out.append((render.render(self.bundle.targets[batch.target], self.bundle, batch, headers, lines), lines))
        return out

    def posted(self, records: Sequence[Record], columns: Sequence[str] = COLUMNS) -> Posted:
        """What would be posted of good records."""
        made = self.made(records, columns)
        lines = made.lines.merge(made.headers[["journal_key", "company", "currency"]], on="journal_key")
        net: Counter[tuple[str, str, str]] = Counter()
        for row in lines.itertuples():
            net[row.company, row.currency, row.account] += row.debit_minor - row.credit_minor
        return Posted(dict(zip(made.headers["journal_key"], made.headers["content_hash"], strict=True)), net)

    def journals(self, records: Sequence[Record], columns: Sequence[str] = COLUMNS) -> dict[str, str]:
        return self.posted(records, columns).journals


@pytest.fixture(scope="module")
def office(tmp_path_factory: pytest.TempPathFactory) -> Office:
    folder = tmp_path_factory.mktemp("office")
    feed = FEED.replace('journals_max: "2"', 'journals_max: "999"')
    return Office(bundle(folder, sources=SOURCE, feeds=feed, journals=LENIENT), folder / "tables")


def journals(booked: booking.Booking) -> dict[str, str]:
    """Journal key -> content hash of everything that would be posted."""
    parts = [one.headers for one in booked.sealed]
    return {
        key: digest for part in parts for key, digest in zip(part["journal_key"], part["content_hash"], strict=True)
    }


def _sum(parts: Iterable[Counter[tuple[str, str, str]]]) -> Counter[tuple[str, str, str]]:
    out: Counter[tuple[str, str, str]] = Counter()
    for part in parts:
        for key, value in part.items():
            out[key] += value
    return out


@st.composite
def records(draw: st.DrawFn, ids: str = "RST") -> list[Record]:
    """Twenty cases of one to four lines in up to three reports each: R and T of C1, T in dollars, S of C2 in red."""
    out = []
    for case in range(CASES):
        for number in range(draw(st.integers(1, 4))):
            report = draw(st.sampled_from(ids))
            cents = draw(st.integers(-99_999, 99_999).filter(bool))
            code, percent = draw(st.sampled_from([("", 0), ("FULL", 6), ("HALF", 13), ("NONE", 20)]))
            out.append({
                "Company": "C2" if report == "S" else "C1", "Report": f"{report}{case}", "Version": "1",
                "Line": str(number + 1), "Employee": f"E-{report}", "Type": draw(st.sampled_from(["TAXI", "HOTEL"])),
                "Date": f"2026-02-{1 + number:02}", "Approved": "2026-02-10T01:00:00Z",
                "Payer": draw(st.sampled_from(["EMPLOYEE", "CARD"])), "Currency": "USD" if report == "T" else "CNY",
                "Amount": cents_text(cents), "Code": code, "Tax": cents_text(cents * percent // 100),
                "Center": draw(st.sampled_from(["0010", "0020"])),
            })  # fmt: skip
    return out


def cents_text(cents: int) -> str:
    sign = "-" if cents < 0 else ""
    return f"{sign}{abs(cents) // 100}.{abs(cents) % 100:02}"


def cents_of(record: Record) -> int:
    return int(record["Amount"].replace(".", ""))


@SETTINGS
@given(
    data=st.data(),
    found=records(),
    spaces=st.integers(0, 3),
    noise=st.text("abc 0-9äß", max_size=8),
    hours=st.integers(-8, 8),
)
def test_order_spaces_unread_columns_and_a_shifted_time_zone_change_nothing(
    office: Office, data: st.DataObject, found: list[Record], spaces: int, noise: str, hours: int
) -> None:
    zone = f"Etc/GMT{'-' if hours >= 0 else '+'}{abs(hours)}"
    feed = office.bundle.feed
    companies = {name: {**company, "time_zone": zone} for name, company in feed["companies"].items()}
    elsewhere = replace(office.bundle, feed=Document({**feed, "companies": companies}, feed.file, feed.lines))
    here = [{**r, "Approved": "2026-02-10T04:00:00Z"} for r in found]
    there = [{**r, "Approved": f"2026-02-10T{12 - hours:02}:00:00Z", "Noise": noise} for r in found]
    there = [{name: f"{' ' * spaces}{value}{' ' * spaces}" for name, value in r.items()} for r in there]

    changed = replace(office, bundle=elsewhere).journals(data.draw(st.permutations(there)), [*COLUMNS, "Noise"])

    assert office.journals(here) == changed


@SETTINGS
@given(found=records())
def test_parts_of_a_delivery_post_what_the_whole_posts_and_add_up_to_it(office: Office, found: list[Record]) -> None:
    one = [r for r in found if r["Report"] == found[0]["Report"]]
    other = [r for r in found if r["Report"] != found[0]["Report"]]

    whole, parts = office.posted(found), [office.posted(part) for part in (one, other) if part]

    assert whole.journals == {key: digest for part in parts for key, digest in part.journals.items()}
    assert whole.net == _sum(part.net for part in parts)


@SETTINGS
@given(found=records("RS"), times=st.integers(2, 1000))
def test_amounts_times_k_and_another_currency_give_journals_times_k(
    office: Office, found: list[Record], times: int
) -> None:
    """Without tax nothing is rounded in the document currency, so the mapping is linear and knows no currency."""
    plain = [{**r, "Code": "", "Tax": "0"} for r in found]
    scaled = [{**r, "Amount": cents_text(times * cents_of(r)), "Currency": "USD"} for r in plain]

    here, there = office.posted(plain).net, office.posted(scaled).net

    assert {(c, a): times * v for (c, _, a), v in here.items() if v} == {
        (c, a): v for (c, _, a), v in there.items() if v
    }


@SETTINGS
@given(
    found=records("RS"),
    flaw=st.sampled_from(
        [("Amount", "1.2.3"), ("Currency", "XXQ"), ("Type", "NOPE"), ("Date", "2026-02-30"), ("Company", "C9")]
    ),
)
def test_what_was_delivered_before_and_what_is_bad_leave_the_new_and_good_as_they_are(
    office: Office, found: list[Record], flaw: tuple[str, str]
) -> None:
    new = [{**r, "Report": f"N{r['Report']}"} for r in found]
    bad = {**found[0], "Report": "B1", flaw[0]: flaw[1]}

    later = office.book([*found, *new, bad], earlier=office.book(found))

    assert office.journals(new) == journals(later)
    assert {"B1"} == set(later.rejects["report_id"])


@SETTINGS
@given(found=records())
def test_booking_twice_gives_the_same_bytes_and_they_read_back_as_what_was_booked(
    office: Office, found: list[Record]
) -> None:
    first, again = office.rendered(found), office.rendered(found)

    assert [payload for payload, _ in first] == [payload for payload, _ in again]
    for payload, lines in first:
        if payload.startswith(b"ledger,"):
            rows = csv.DictReader(io.StringIO(payload.decode()))
            debit = sum(Decimal(row["dr"] or 0) for row in rows)
            assert 100 * debit == int(lines["debit_minor"].sum())


@SETTINGS
@given(found=records("RS"), lines=st.integers(1, 9))
def test_the_size_of_a_block_changes_no_byte(office: Office, found: list[Record], lines: int) -> None:
    bad = {**found[0], "Report": "B1", "Type": "NOPE"}
    whole = office.book([*found, bad])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(blocks, "LINES_OF_A_BLOCK", lines)
        cut = office.book([*found, bad])

    assert [one.payload for one in whole.sealed] == [one.payload for one in cut.sealed]
    assert journals(whole) == journals(cut)
    order = model.REJECT_COLUMNS
    assert whole.rejects.sort_values(order).values.tolist() == cut.rejects.sort_values(order).values.tolist()


@SETTINGS
@given(found=records())
def test_a_mapping_written_otherwise_with_the_same_meaning_posts_the_same(
    office: Office, same_meaning: Office, found: list[Record]
) -> None:
    assert office.journals(found) == same_meaning.journals(found)


@pytest.fixture(scope="module")
def same_meaning(tmp_path_factory: pytest.TempPathFactory) -> Office:
    """Look-ups as choices, a table row split in two periods, a constant as a template."""
    folder = tmp_path_factory.mktemp("same")
    feed = FEED.replace('journals_max: "2"', 'journals_max: "999"')
    text = LENIENT.replace(
        "    account: {table: account}\n",
        '    account: {choose: [{when: {not: {expense_type: HOTEL}}, table: account}, {value: "6610"}]}\n',
    ).replace('account: {value: "2221"}', 'account: {template: "2221"}')
    account = (
        "expense_type,account,valid_from,valid_to\nTAXI,6601,2026-01-01,2026-01-31\nTAXI,6602,2026-02-01,2026-02-05\n"
        "TAXI,6602,2026-02-06,\nADVANCE,1221,,\n"
    )
    books = bundle(folder, sources=SOURCE, feeds=feed, journals=text, account=account)
    return Office(books, folder / "tables")


def test_march_rendered_in_may_is_marchs_bytes(tmp_path: Path) -> None:
    """Rows that begin later, and a row that ends later, change no earlier journal."""
    cells = {
        "Company": "C1", "Report": "R1", "Version": "1", "Line": "1", "Employee": "E1", "Type": "TAXI",
        "Date": "2026-02-03", "Approved": "2026-02-10T01:00:00Z", "Payer": "CARD", "Currency": "USD",
        "Amount": "10.50", "Tax": "0.00", "Center": "0010",
    }  # fmt: skip
    march = [{**dict.fromkeys(COLUMNS, ""), **cells}]
    later = {
        "account": "expense_type,account,valid_from,valid_to\nTAXI,6601,2026-01-01,2026-01-31\n"
        "TAXI,6602,2026-02-01,2026-04-30\nTAXI,6699,2026-05-01,\nHOTEL,6610,2026-01-01,\nADVANCE,1221,,\n",
        "rates": "document_currency,base_currency,rate,valid_from,valid_to\nUSD,CNY,7.1,2026-01-01,2026-02-28\n"
        "USD,CNY,7.3,2026-03-01,\nJPY,CNY,0.048,2026-01-01,\n",
        "periods": "company,period,state\nC1,2026-01,closed\nC1,2026-02,open\nC1,2026-05,open\nC2,2026-02,open\n",
    }
    then = Office(bundle(tmp_path / "march", sources=SOURCE), tmp_path / "march/tables").book(march)
    now = Office(bundle(tmp_path / "may", sources=SOURCE, **later), tmp_path / "may/tables").book(march)

    assert [one.payload for one in then.sealed] == [one.payload for one in now.sealed]
    assert len(then.sealed) == 1
