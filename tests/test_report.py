"""The report: what finance reads is complete, exact, harmless to open, and the same bytes for the same facts."""

from __future__ import annotations

import base64
import csv
import doctest
import hashlib
import io
import re
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import openpyxl
import pandas as pd
import pytest
from markupsafe import escape
from test_reconcile import Books, World, month_end, not_posted, of

from etl import model, report
from etl.reconcile import BREAK_COLUMNS, Reconciliation
from etl.report import page, tables, words

AT = "2026-04-02T12:00:05Z"
NAMES = ["report.html", "report.xlsx", "breaks.csv", "totals.csv", "documents.csv", "moved.csv", "rounding.csv"]
HISTORY = [
    {"at": "2026-03-31T02:00:00Z", "posted": 4, "breaks": 2, "quarantined": 0},
    {"at": "2026-04-01T02:00:00Z", "posted": 6, "breaks": 0, "quarantined": 1},
]


def summary(**changes: Any) -> dict[str, Any]:
    part = {"reports": 1, "lines": 2, "gross": {"CNY": "999.00"}}
    batch = {
        "batch_id": "SAMPLE-CN01-2026-03-ORACLE-1A2B3C4D", "company": "CN01", "period": "2026-03",
        "state": "acknowledged", "target": "oracle_ebs_gl_interface", "sha256": "ab" * 32, "journals": 3,
        "debit": {"CNY": "1234567.80"},
    }  # fmt: skip
    whole = {
        "feed": "sample", "landed": {"files": 1, **part}, **dict.fromkeys(model.OUTCOMES, part),
        "reasons": {"SPLIT": 1, "MAPPING_GAP": 3}, "journals": 7, "journal_lines": 20, "batches": [batch],
        "posted": 7, "rejected": 0, "unknown": 0, "breaks": 0, "report_files": [],
    }  # fmt: skip
    return whole | changes


def written(out: Path, world: World, history: Any = HISTORY, **changes: Any) -> dict[str, bytes]:
    files = report.write(world.reconcile(), summary(**changes), history, out, AT)
    return {path.name: path.read_bytes() for path in files}


def troubled() -> World:
    """R1 refused, R3 changed by hand, a stranger in the ERP."""
    world = not_posted(month_end(), state="rejected", code="EP01", message="期间已关闭")
    world = world.set("erp_lines", of("R3", "JPY", "660201"), debit_minor=1_300)
    return world.adding("erp_lines", of("R4"), journal_key="ABCDEFGHIJKLMNOP", erp_document="D9")


def visible(html: bytes) -> str:
    """The text a reader sees, spaces made one."""

    class Reader(HTMLParser):
        def __init__(self) -> None:
            super().__init__()
            self.texts: list[str] = []
            self.hidden = False

        def handle_starttag(self, tag: str, attrs: Any) -> None:
            self.hidden = tag in ("style", "title")

        def handle_endtag(self, tag: str) -> None:
            self.hidden = False

        def handle_data(self, text: str) -> None:
            self.texts += [] if self.hidden else [text]

    reader = Reader()
    reader.feed(html.decode("utf-8"))
    return " ".join(" ".join(reader.texts).split())


def test_five_files_are_written_whole_and_nothing_else(tmp_path: Path) -> None:
    out = tmp_path / "new" / "folder"
    files = report.write(month_end().reconcile(), summary(), HISTORY, out, AT)
    assert [path.name for path in files] == NAMES
    assert sorted(path.name for path in out.iterdir()) == sorted(NAMES)


def test_the_same_facts_give_the_same_bytes(tmp_path: Path) -> None:
    assert written(tmp_path / "a", troubled()) == written(tmp_path / "b", troubled())


def test_when_all_agrees_the_first_sentence_says_so(tmp_path: Path) -> None:
    text = visible(written(tmp_path, month_end())["report.html"])
    assert "✓ Everything agrees to the cent: 7 journals posted, 0 breaks." in text
    assert (
        "9 reports landed: 6 accepted, 1 quarantined, 1 duplicate, 1 superseded. 7 journals made: 7 loaded, 7 posted."
        in text
    )
    assert "Landed = accepted + quarantined + duplicate + superseded + withdrawn, in number and amount." in text
    assert "totals of our journals and of the ERP are equal" in text


def test_what_does_not_agree_is_said_first_with_owner_and_next_step(tmp_path: Path) -> None:
    text = visible(written(tmp_path, troubled())["report.html"])
    assert (
        "! 3 breaks need attention, 2 of severity S1: 1 MISSING_IN_SOURCE, 1 AMOUNT_DIFFERS, 1 REJECTED_BY_ERP." in text
    )
    assert "At stake: CNY 137.80, JPY 100." in text
    assert "Amount here 660201 1200, in the ERP 660201 1300." in text
    assert "The ERP refused it: EP01 期间已关闭." in text
    assert "Correct what the ERP names there, then `claimpost release --journal`" in text
    assert text.index("Break by break") < text.index("The way of the money")


def test_journals_in_flight_are_no_break(tmp_path: Path) -> None:
    world = not_posted(month_end(), state="sealed", batch_state="published")
    text = visible(written(tmp_path, world)["report.html"])
    assert "✓ Nothing is unexplained: 6 journals posted, 1 in flight within the agreed time, 0 breaks." in text
    assert "1 in flight CNY 106.00" in text


def test_an_empty_feed_has_a_report_too(tmp_path: Path) -> None:
    empty = written(tmp_path, Books().world(), [], reasons={}, batches=[])
    text = visible(empty["report.html"])
    assert "Nothing has landed yet: 0 breaks." in text
    assert "No report is in quarantine." in text and "No batch was made." in text
    assert empty["breaks.csv"].decode("utf-8-sig").splitlines() == [",".join(c.heading for c in tables.BREAKS)]


def test_files_that_were_not_used_are_named(tmp_path: Path) -> None:
    names = [{"file": f"f{n}.csv"} for n in range(6)]
    text = visible(written(tmp_path, month_end(), files_rejected=names, files_held=names[:1])["report.html"])
    assert "6 files rejected whole: f0.csv, f1.csv, f2.csv, f3.csv." in text
    assert "1 file held at the gate: f0.csv." in text


def test_a_breach_of_conservation_stands_beside_the_verdict(tmp_path: Path) -> None:
    world = month_end().set("outcomes", lambda t: t["report_id"] == "Q1", outcome="")
    text = visible(written(tmp_path, world)["report.html"])
    assert "report Q1 version 1 has no outcome" in text.split("Breaks")[0]
    assert "Landed is not fully accounted for" in text


def test_quarantine_shows_reason_owner_and_next_step_most_frequent_first(tmp_path: Path) -> None:
    files = written(tmp_path, month_end(), reasons={"SPLIT": 1, "MAPPING_GAP": 3, "POLICY": 1, "NEW_CODE": 1})
    text = visible(files["report.html"])
    assert "MAPPING_GAP 3 A field: no row for … in … finance Add the row to the table, then run the feed again." in text
    assert text.index("MAPPING_GAP") < text.index("NEW_CODE") < text.index("POLICY") < text.index("SPLIT 1")
    assert "POLICY 1 the whole report is quarantined; the other reports go on" in text


def test_the_picture_carries_every_stage_and_branch(tmp_path: Path) -> None:
    world = troubled().set("members", of("R5"), state="sealed", batch_state="sealed").without("erp_lines", of("R5"))
    for table in ("journals", "journal_lines", "members", "erp_lines"):
        world = world.without(table, of("R6", "JPY"))
    text = visible(written(tmp_path, world)["report.html"])
    for words_of in (
        "Landed 9 reports", "Accepted 6 reports", "Journals 6 journals", "Loaded 5 journals", "Posted 4 journals",
        "1 quarantined CNY 999.00", "1 duplicate CNY 106.00", "1 superseded JPY 1,100", "1 not journaled JPY 450",
        "1 not loaded CNY 7.00", "1 rejected CNY 106.00",
    ):  # fmt: skip
        assert words_of in text


def test_more_currencies_than_fit_are_counted(tmp_path: Path) -> None:
    books = Books()
    currencies = [
        "AED",
        "CHF",
        "CNY",
        "DKK",
        "EUR",
        "GBP",
        "HKD",
        "IDR",
        "INR",
        "JPY",
        "KWD",
        "NOK",
        "NZD",
        "SEK",
        "USD",
    ]
    for number, currency in enumerate(currencies):
        books.claim(f"R{number}", {"660201": 1_000}, currency=currency, base=currency)
    books.land("Q1", "quarantined", 0, currency="")
    text = visible(written(tmp_path, books.world())["report.html"])
    assert "and 3 more currencies: see totals.csv" in text


def test_the_trend_ends_with_this_reconciliation(tmp_path: Path) -> None:
    text = visible(written(tmp_path / "a", month_end())["report.html"])
    assert "now 7, most 7" in text and "now 0, most 2" in text
    assert "2026-03-31 2026-04-02" in text
    told = [*HISTORY, {"at": AT, "posted": 5, "breaks": 9, "quarantined": 0}]
    assert "now 9, most 9" in visible(written(tmp_path / "b", month_end(), told)["report.html"])
    many = [{"at": f"2026-01-01T00:{n:02}:00Z", "posted": n, "breaks": 0, "quarantined": 0} for n in range(60)]
    assert written(tmp_path / "c", month_end(), many)["report.html"].count(b'class="posted ') == 40


HOSTILE = [
    "<script>a()</script>",
    "<SCRIPT SRC=//x.example/a.js></SCRIPT>",
    "<scr<script>ipt>a()</scr</script>ipt>",
    "<img src=x onerror=a()>",
    "<img/src=x/onerror=a()>",
    "<svg onload=a()>",
    "<svg/onload=a()//",
    "<svg><script>a()</script></svg>",
    "<body onload=a()>",
    "<iframe src=javascript:a()>",
    "<iframe srcdoc='<script>a()</script>'>",
    "<object data=javascript:a()>",
    "<embed src=//x.example>",
    "<link rel=stylesheet href=//x.example/a.css>",
    "<style>*{background:url(//x.example)}</style>",
    "<base href=//x.example/>",
    "<meta http-equiv=refresh content='0;url=//x.example'>",
    "<form action=//x.example><input>",
    "<a href=javascript:a()>x</a>",
    "<a href='data:text/html,<script>a()</script>'>x</a>",
    "<details open ontoggle=a()>",
    "<video><source onerror=a()>",
    "<input autofocus onfocus=a()>",
    "<marquee onstart=a()>",
    "<math><mtext></mtext><script>a()</script></math>",
    "<table background=//x.example>",
    '"><script>a()</script>',
    "'><script>a()</script>",
    '" onmouseover="a()',
    "' onmouseover='a()",
    "`><img src=x onerror=a()>",
    "</title><script>a()</script>",
    "</style><script>a()</script>",
    "</bdi></td></table><script>a()</script>",
    "</svg><script>a()</script>",
    "<!--<script>a()</script>",
    "]]><script>a()</script>",
    "&lt;script&gt;<i>",
    "\u202e<b>",
    "＜script＞<u>",
    "{{7*7}}",
    "{% raw %}",
    "${7*7}#{7*7}",
]
TAGS = {
    "!doctype",
    "b",
    "bdi",
    "body",
    "br",
    "div",
    "footer",
    "h1",
    "h2",
    "head",
    "header",
    "html",
    "li",
    "line",
    "meta",
    "p",
    "path",
    "rect",
    "section",
    "span",
    "strong",
    "style",
    "svg",
    "table",
    "tbody",
    "td",
    "text",
    "th",
    "thead",
    "title",
    "tr",
    "ul",
}


@pytest.mark.parametrize("text", HOSTILE)
def test_b109_hostile_text_is_shown_and_never_runs(tmp_path: Path, text: str) -> None:
    world = not_posted(month_end(), state="rejected", code=text, message=text)
    world = world.adding("erp_lines", of("R4"), journal_key=text, erp_document=text, company=text, period=text)
    world = world.set("outcomes", lambda t: t["report_id"] == "Q1", report_id=text, outcome=text)
    world = world.set("erp_lines", of("R3", "JPY"), account=text, posting_date=text)
    batch = summary()["batches"][0] | {"company": text, "target": text, "debit": {text: "1.00"}}
    changes = {"feed": text, "reasons": {text: 1}, "batches": [batch], "files_held": [{"file": text}]}
    html = written(tmp_path, world, **changes)["report.html"].decode("utf-8")
    markup = re.sub(r"<style>.*?</style>", "<style>", html, flags=re.DOTALL)
    assert {tag.lower() for tag in re.findall(r"</?([^\s/>]*)", markup)} <= TAGS
    assert not re.search(r"<[^>]*\s(on[a-z]+|src|href|style|action)\s*=", markup)
    assert str(escape(text)) in html


def test_the_page_allows_its_one_style_and_nothing_else(tmp_path: Path) -> None:
    html = written(tmp_path, troubled())["report.html"].decode("utf-8")
    (style,) = re.findall(r"<style>(.*?)</style>", html, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    policy = f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    assert f'<meta http-equiv="Content-Security-Policy" content="{policy}">' in html
    assert html.startswith("<!DOCTYPE html>")
    assert not re.search(r"<(script|link|iframe|img|object|base)\b|\bstyle=|\bsrc=|\bhref=|https?://", html)


def test_the_page_stays_small_whatever_the_size(tmp_path: Path) -> None:
    books = Books()
    for number in range(3_000):
        books.claim(f"R{number}", {"660201": 1_000 + number})
    world = books.world()
    long = "期<&'\"" * 5_000
    world = replace(world, members=world.members.assign(state="rejected", message=long).astype("str"))
    world = replace(world, erp_lines=world.erp_lines[:0])
    batches = [summary()["batches"][0] | {"target": long}] * 3_000
    files = written(tmp_path, world, batches=batches)
    assert len(files["report.html"]) <= page.BYTES_MAX
    assert "of 3,000; all of them are in breaks.csv and in report.xlsx." in visible(files["report.html"])
    assert len(table(files["breaks.csv"])) == 3_000


def test_fewer_rows_are_shown_until_the_page_fits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(page, "BYTES_MAX", 25_000)
    books = Books()
    for number in range(200):
        books.claim(f"R{number}", {"660201": 1_000 + number})
    world = replace(books.world(), erp_lines=Books().world().erp_lines)
    html = written(tmp_path, world)["report.html"]
    assert "The first 20 of 200;" in visible(html)
    assert len(html) <= 25_000


def table(content: bytes) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(content.decode("utf-8-sig"), newline="")))


def test_csv_amounts_have_all_decimals_of_their_currency(tmp_path: Path) -> None:
    books = Books()
    for currency, amount in (("JPY", 1_200), ("CNY", 1_200), ("KWD", 1_200), ("CLF", 1_200)):
        books.claim(f"R{currency}", {"660201": amount}, currency=currency, base=currency)
    rows = table(written(tmp_path, books.world())["documents.csv"])
    shown = {row["currency"]: row["debit_here"] for row in rows}
    assert shown == {"JPY": "1200", "CNY": "12.00", "KWD": "1.200", "CLF": "0.1200"}


def test_csv_numbers_stay_numbers_also_when_negative(tmp_path: Path) -> None:
    world = month_end().without("erp_lines", of("R1"))
    differences = {row["difference"] for row in table(written(tmp_path, world)["totals.csv"])}
    assert {"-100.00", "-6.00", "106.00"} <= differences


FORMULAS = ["=1+1", "+1", "-1+1", "@SUM(A1)", "\t=1", "\r=1", "\n=1", "＝1", "＋1", "－1", "＠x", "=cmd|' /C calc'!A0"]


@pytest.mark.parametrize("text", FORMULAS)
def test_b107_text_that_looks_like_a_formula_is_text_everywhere(tmp_path: Path, text: str) -> None:
    world = month_end().adding("erp_lines", of("R4"), journal_key=text, erp_document=text, company=text)
    files = written(tmp_path, world, feed=text, reasons={text: 1})
    (row,) = table(files["breaks.csv"])
    assert (row["journal_key"], row["erp"], row["company"]) == (f"'{text}",) * 3
    assert {r["journal_key"] for r in table(files["documents.csv"])} >= {f"'{text}"}
    book = openpyxl.load_workbook(io.BytesIO(files["report.xlsx"]))
    cells = [cell for sheet in book for line in sheet.iter_rows() for cell in line]
    assert {cell.data_type for cell in cells} <= {"s", "n", "inlineStr"}
    assert openpyxl_text(text) in {cell.value for cell in cells}


def openpyxl_text(text: str) -> str:
    """As openpyxl gives it back: a line end in XML is LF."""
    return text.replace("\r", "_x000D_") if "\r" in text else text


def test_harmless_text_is_left_alone() -> None:
    texts = model.texts(["R=1", "a@b", "", "  =1", "费用", "'=1"])
    assert tables.harmless(texts).tolist() == texts.tolist()


def test_what_was_moved_and_what_rounding_left_over_is_listed(tmp_path: Path) -> None:
    books = Books()
    moved = books.claim("R1", {"660201": 10_000})
    rounded = books.claim("R2", {"660201": 300}, currency="USD", rate=7, rounding=-1)
    world = books.world()
    world = world.set("journals", lambda f: f["journal_key"] == moved, original_date="2026-02-27", debit_minor=10_000)
    world = world.set("journals", lambda f: f["journal_key"] == rounded, rounding_minor=-1)

    files = written(tmp_path, world)

    assert [("2026-02-27", "2026-03-31", "100.00")] == [
        (row["own_date"], row["posted_on"], row["debit"]) for row in table(files["moved.csv"])
    ]
    assert [("R2", "CNY", "-0.01")] == [
        (r["report_id"], r["currency"], r["rounding"]) for r in table(files["rounding.csv"])
    ]
    page = files["report.html"].decode()
    assert "2026-02-27" in page and '<td class="n">-0.01</td>' in page


def test_the_workbook_holds_real_numbers_with_the_currencys_decimals(tmp_path: Path) -> None:
    book = openpyxl.load_workbook(io.BytesIO(written(tmp_path, troubled())["report.xlsx"]))
    assert book.sheetnames == ["Summary", "Totals", "Documents", "Breaks", "Moved", "Rounding", "Quarantine"]
    for sheet in book:
        assert sheet.freeze_panes == "A2"
        assert all(sheet.column_dimensions[cell.column_letter].width >= 9 for cell in sheet[1])
    breaks = book["Breaks"]
    heads = [cell.value for cell in breaks[1]]
    rows = {line[1].value: line for line in breaks.iter_rows(min_row=2)}
    amount = rows["AMOUNT_DIFFERS"][heads.index("amount")]
    assert (amount.value, amount.number_format, amount.data_type) == (100, "#,##0", "n")
    refused = rows["REJECTED_BY_ERP"][heads.index("amount")]
    assert (refused.value, refused.number_format) == (106, "#,##0.00")
    assert rows["REJECTED_BY_ERP"][heads.index("reason")].value == "The ERP refused it: EP01 期间已关闭."


def test_the_workbook_puts_documents_with_breaks_first(tmp_path: Path) -> None:
    book = openpyxl.load_workbook(io.BytesIO(written(tmp_path, troubled())["report.xlsx"]))
    buckets = [line[11] for line in book["Documents"].iter_rows(min_row=2, values_only=True)]
    assert len(buckets) == 8 and "matched" not in buckets[:3] and set(buckets[3:]) == {"matched"}


def test_the_workbooks_summary_starts_with_the_verdict(tmp_path: Path) -> None:
    book = openpyxl.load_workbook(io.BytesIO(written(tmp_path, month_end())["report.xlsx"]))
    rows = list(book["Summary"].iter_rows(min_row=2, values_only=True))
    assert (rows[0][0], rows[0][5]) == ("verdict", "Everything agrees to the cent: 7 journals posted, 0 breaks.")
    assert ("posted", "JP01", "JPY", 2, 750, None) in rows
    assert ("accepted", "CN01", "USD", 1, 75, None) in rows
    assert str(book.properties.created) == "2026-04-02 12:00:05"
    quarantine = list(book["Quarantine"].iter_rows(min_row=2, values_only=True))
    assert [row[:2] for row in quarantine] == [("MAPPING_GAP", 3), ("SPLIT", 1)]


def test_an_amount_beyond_the_digits_of_a_spreadsheet_is_exact_text(tmp_path: Path) -> None:
    books = Books()
    books.claim("R1", {"660201": 10**15 - 1})
    books.claim("R2", {"660201": 10**15 + 1}, company="CN02")
    book = openpyxl.load_workbook(io.BytesIO(written(tmp_path, books.world())["report.xlsx"]))
    amounts = [(line[9].value, line[9].data_type) for line in book["Documents"].iter_rows(min_row=2)]
    assert amounts == [(9999999999999.99, "n"), ("10000000000000.01", "s")]


def test_a_long_sheet_says_where_the_rest_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tables, "XLSX_ROWS_MAX", 3)
    book = openpyxl.load_workbook(io.BytesIO(written(tmp_path, month_end())["report.xlsx"]))
    last = list(book["Documents"].iter_rows(values_only=True))[-1]
    assert last[0] == "4 more rows: see documents.csv"


def test_control_characters_and_very_long_text_do_not_break_a_file(tmp_path: Path) -> None:
    world = not_posted(month_end(), state="rejected", code="\x01\x1b", message="长" * 40_000)
    files = written(tmp_path, world)
    assert openpyxl.load_workbook(io.BytesIO(files["report.xlsx"])).sheetnames[3] == "Breaks"
    (row,) = table(files["breaks.csv"])
    assert row["reason"].count("长") == 40_000


@pytest.mark.parametrize(
    ("say", "expected"),
    [
        (lambda: words.grouped("-1234567.80"), "-1,234,567.80"),
        (lambda: words.amount(-5, "KWD"), "-0.005"),
        (lambda: words.amount(1234567, "???"), "1,234,567"),
        (lambda: words.amounts({"CNY": 1, "EUR": 0, "": 7}), "CNY 0.01, no currency 7"),
        (lambda: words.amounts(dict.fromkeys(["AED", "CNY", "EUR", "GBP", "HKD", "JPY"], 100)),
         "AED 1.00, CNY 1.00, EUR 1.00, GBP 1.00 and 2 more"),
        (lambda: words.counted(1, "report"), "1 report"),
        (lambda: words.counted(2_000, "report"), "2,000 reports"),
        (lambda: page.cut("x" * 121), "x" * 119 + "…"),
    ],
)  # fmt: skip
def test_numbers_read_well(say: Callable[[], str], expected: str) -> None:
    assert say() == expected


def test_many_kinds_of_breaks_are_summed_up_in_the_verdict() -> None:
    world = troubled().set("erp_lines", of("R2", "USD"), company="X").set("erp_lines", of("R5"), period="2026-04")
    told = words.verdict(world.set("erp_lines", of("R6", "JPY"), posting_date="2026-03-01").reconcile(), summary())
    assert told.headline.endswith("1 PERIOD_SHIFTED and 2 more kinds.") and not told.fine


def test_a_currency_agrees_only_when_all_is_posted_without_a_break(tmp_path: Path) -> None:
    text = visible(written(tmp_path, troubled())["report.html"])
    assert "EUR 9.00 9.00 – – – 9.00 – yes" in text
    assert "JPY 1,850 750 – – 1,100 750 – no" in text
    assert "CNY 1,186.20 81.20 999.00 106.00 – -24.80 106.00 no" in text


def test_columns_of_the_tables_are_those_of_the_frames() -> None:
    result: Reconciliation = month_end().reconcile()
    assert sorted(column.field for column in tables.BREAKS) == sorted(BREAK_COLUMNS)
    for columns, frame in ((tables.TOTALS, result.totals), (tables.DOCUMENTS, result.documents)):
        assert [column.field for column in columns] == frame.columns.tolist()
        assert isinstance(frame, pd.DataFrame)


@pytest.mark.parametrize("module", [words, tables])
def test_the_examples_in_the_documentation_hold(module: Any) -> None:
    assert doctest.testmod(module).failed == 0
