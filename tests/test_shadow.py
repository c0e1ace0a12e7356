"""A shadow run beside the interface in use: every planted difference is found with its cause, and nothing else."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import sqlite3
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from claims import claim, deliver
from click.testing import CliRunner
from legacy import CLAIMS, JOURNAL, PLANTED, line, taxi, write

from etl import cli, config, console, listing, mapping, pipeline, shadow
from etl.errors import ConfigurationError, FileRejected, PermanentError
from etl.pipeline import shadow as shadowing

PROJECT = Path(__file__).resolve().parents[1]
FEED, PROFILE = "feeds/sample.yml", "legacy/sample_interface.yml"


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home with the bundled mappings, whose feed `sample` is in shadow, without its gate (which takes seconds)."""
    shutil.copytree(PROJECT / "mappings", tmp_path / "mappings")
    monkeypatch.setenv("CLAIMPOST_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("CLAIMPOST_MAPPINGS", str(tmp_path / "mappings"))
    feed = tmp_path / "mappings" / FEED
    before, rest = feed.read_text("utf-8").split("\ngate:")
    end = rest.index("\nacknowledge_within_hours")
    feed.write_text(f"{before}\nmode: shadow{rest[end:]}", "utf-8")
    return tmp_path


def changed(home: Path, name: str, old: str, new: str) -> None:
    path = home / "mappings" / name
    text = path.read_text("utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), "utf-8")


def opened() -> pipeline.Context:
    return pipeline.open("sample", settings=config.settings())


def land(home: Path, lines: list[dict[str, str]], name: str = "expenses_2026-02_001.csv") -> dict[str, Any]:
    return pipeline.run(opened(), deliver(home / "in", lines, name))


def compared(home: Path, lines: list[str], period: str = "2026-02") -> dict[str, Any]:
    return shadowing.compare(opened(), str(write(home / "old.csv", lines)), "sample_interface", period)


def codes(result: dict[str, Any]) -> list[tuple[str, str]]:
    return sorted({(one["document"], one["code"]) for one in result["differences"]})


def test_every_planted_difference_is_found_and_nothing_else(home: Path) -> None:
    land(home, CLAIMS)
    result = compared(home, JOURNAL)
    told = {(one["document"], one["account"]): one for one in result["differences"]}
    expected = [(document, code) for document, (code, _) in PLANTED.items()]

    assert sorted([*expected, ("OURS", "ONLY_OURS")]) == codes(result)
    # 15 of the claims, HELD and STRANGE, and COMPANY once more in the other books
    assert (18, len(result["differences"])) == (result["documents"], result["open"])
    assert set(shadow.CODES) == set(result["by_code"])
    check_what_stands_where_and_why(told)


def check_what_stands_where_and_why(told: dict[tuple[str, str], dict[str, Any]]) -> None:
    names = ("ours_amount", "legacy_amount", "difference_amount")

    assert ["45.00", "54.00", "9.00"] == [told["AMOUNT", "660201"][name] for name in names]
    assert ["-45.00", "-54.00", "-9.00"] == [told["AMOUNT", "224101"][name] for name in names]
    assert "The same amount stands on account 660202 there." == told["ACCOUNT", "660201"]["cause"]
    assert ["100.00", "106.00", "6.00"] == [told["MOVED", "660201"][name] for name in names]
    assert ["6.00", "0.00", "-6.00"] == [told["MOVED", "222101"][name] for name in names]
    assert ("660201 CNY 0010", "660201 CNY 0020") == tuple(
        told["CENTER", "660201"][side] for side in ("ours", "legacy")
    )
    assert "We hold it in quarantine: STATUS." == told["HELD", ""]["cause"]
    assert "We have no document of this reference: it never landed here." == told["STRANGE", ""]["cause"]
    assert (
        "We post it on 2026-02-10, they on 2026-03-03: another date decides the period there."
        == (told["PERIOD", ""]["cause"])
    )
    assert JOURNAL.index(PLANTED["AMOUNT"][1][0]) + 2 == told["AMOUNT", "660201"]["row"]


def test_equal_journals_agree_whatever_the_order_of_their_lines(home: Path) -> None:
    land(home, [claim(Report_ID="R1"), claim(Report_ID="R2", Line="1"), claim(Report_ID="R3", Amount="7.00")])
    result = compared(home, [*taxi("R3", "7,00"), *taxi("R2"), *reversed(taxi("R1"))])

    assert ([], 3, 6, 6) == tuple(result[name] for name in ("differences", "documents", "cells", "matched"))


def test_the_other_period_has_its_own_differences(home: Path) -> None:
    land(home, CLAIMS)

    assert [("MARCH", "ONLY_OURS"), ("PERIOD", "LEGACY_PERIOD")] == codes(compared(home, JOURNAL, "2026-03"))


def test_an_accepted_difference_needs_a_reason_and_is_open_no_more(home: Path) -> None:
    land(home, CLAIMS)
    rule = "accepted:\n  - {code: LEGACY_ROUNDING, reason: They round half down}\n"
    rule += "  - {code: ONLY_LEGACY, document: STRANGE, reason: Entered by hand}\n"
    changed(home, PROFILE, "rounding_minor:", f"{rule}rounding_minor:")
    result = compared(home, JOURNAL)
    reasons = {(one["document"], one["accepted"]) for one in result["differences"] if one["accepted"]}

    assert {("CENT", "They round half down"), ("STRANGE", "Entered by hand")} == reasons
    assert (3, len(result["differences"]) - 3) == (result["accepted"], result["open"])


def test_a_cell_that_cannot_be_read_refuses_the_whole_journal(home: Path) -> None:
    land(home, [claim()])
    bad = [
        *taxi("R1"),
        line("R2", "660201", "1,234.50"),
        line("R3", "660201", "1,00", "1,00"),
        line("", "660201", "1,00"),
    ]
    with pytest.raises(FileRejected) as refused:
        compared(home, bad)

    assert "LEGACY_LINE old.csv line 4: Debit '1,234.50' is refused (MONEY: written like 1.234,50) (3 lines" in (
        str(refused.value)
    )


def test_a_table_a_mark_for_the_side_and_invoice_numbers_as_reference(home: Path) -> None:
    """The same comparison with a database in place of a file, signed by D and C, per invoice."""
    first, second = claim(Invoice="2531", Report_Total="65.00"), claim(Invoice="2532", Line="2", Amount="20.00")
    land(home, [first, second | {"Report Total": "65.00"}])
    profile = """legacy: old_table
description: The ledger's own table
table: gl_lines
reference: invoice_no
columns:
  document: {column: ref}
  company: {value: CN01}
  posting_date: {column: day}
  account: {column: account}
  currency: {column: currency}
amounts: {amount: amount, side: dc, debit: D, credit: C}
"""
    (home / "mappings/legacy/old_table.yml").write_text(profile, "utf-8")
    database = sqlite3.connect(home / "old.db")
    database.execute("CREATE TABLE gl_lines (ref, day, account, currency, amount NUMERIC, dc)")
    rows = [("2531", "660201", "45.00", "D"), ("2531", "224101", "45.00", "C"), ("2532", "660201", "20.50", "D"),
            ("2532", "224101", "20.50", "C")]  # fmt: skip
    database.executemany("INSERT INTO gl_lines VALUES (?, '2026-02-10', ?, 'CNY', ?, ?)",
                         [(ref, account, amount, side) for ref, account, amount, side in rows])  # fmt: skip
    database.commit()
    result = shadowing.compare(opened(), f"sqlite:///{home / 'old.db'}", "old_table", "2026-02")

    assert [("2532", "LEGACY_AMOUNT")] == codes(result)
    assert ["20.00", "-20.00"] == sorted((one["ours_amount"] for one in result["differences"]), reverse=True)


def test_foreign_journals_compare_in_the_currency_of_the_books(home: Path) -> None:
    land(home, [claim(Report_ID="USD", Currency="USD", Amount="10.00")])
    lines = pd.concat([one.lines for one in shadowing._replayed(opened())])
    amount = f"{int(lines['base_debit_minor'].sum()) / 100:.2f}".replace(".", ",")
    before = codes(compared(home, taxi("USD", amount)))
    changed(home, PROFILE, "rounding_minor:", "compare_in: base\nrounding_minor:")

    assert [("USD", "LEGACY_CURRENCY")] == before
    assert [] == codes(compared(home, taxi("USD", amount)))


def test_a_feed_in_shadow_seals_and_delivers_nothing(home: Path) -> None:
    result = land(home, [claim(Report_ID="R1"), claim(Report_ID="R2")])
    batch_id = result["batches"][0]["batch_id"]
    status = listing.listed(home / "mappings", opened().store)

    assert (2, 0, ["sealed"]) == (result["journals"], result["posted"], [one["state"] for one in result["batches"]])
    assert {batch_id: "its feed is in shadow and not signed off"} == result["kept_back"]
    assert (0, True, 0) == (result["breaks"], result["explained"], pipeline.exit_code(result))
    assert [] == pipeline.build(opened())
    assert ["its feed is in shadow and not signed off"] == [one["kept_back"] for one in status]
    with pytest.raises(PermanentError, match="SHADOW_BATCH"):
        pipeline.load(opened(), batch_id)
    assert "sealed" == opened().store.batch(batch_id).state


def test_signed_off_it_delivers_what_the_legacy_interface_has_not_posted(home: Path) -> None:
    """February was posted by the old interface. March, and what comes late for February, is ours."""
    land(home, [claim(Report_ID="R1"), claim(Report_ID="MARCH", Approved="2026-03-10T01:00:00Z")])
    legacy_sha256 = hashlib.sha256(write(home / "old.csv", taxi("R1")).read_bytes()).hexdigest()
    compared(home, taxi("R1"))
    signed = shadowing.sign_off(opened(), "2026-02", "Wang Fang", "Two months without a difference")
    result = land(home, [claim(Report_ID="LATE")], "expenses_2026-02_002.csv")
    states = {(one.period, one.journals, one.state) for one in opened().store.batches("sample")}

    assert ("2026-02", "Wang Fang", legacy_sha256) == tuple(signed[n] for n in ("period", "signed_by", "legacy_sha256"))
    assert opened().bundle.digest == signed["mapping_digest"]
    assert {("2026-02", 1, "sealed"), ("2026-02", 1, "reconciled"), ("2026-03", 1, "reconciled")} == states
    assert (["the legacy interface posted 2026-02"], 0) == (list(result["kept_back"].values()), result["breaks"])
    with pytest.raises(ConfigurationError, match="Wang Fang signed it off for 2026-02"):
        shadowing.sign_off(opened(), "2026-02", "Li", "again")


def refusal(period: str = "2026-02") -> str:
    with pytest.raises(ConfigurationError) as refused:
        shadowing.sign_off(opened(), period, "Wang Fang", "because")
    assert "SIGN_OFF" == refused.value.code
    return str(refused.value.facts["detail"])


def test_a_sign_off_is_refused_while_anything_is_unsure(home: Path) -> None:
    land(home, [claim(Report_ID="R1")])
    assert "nothing was compared yet" == refusal()
    compared(home, taxi("R1", "46,00"))
    assert "2 differences are neither corrected nor accepted with a reason" == refusal()
    compared(home, taxi("R1"))
    land(home, [claim(Report_ID="R2")], "expenses_2026-02_002.csv")
    assert "files have landed or were built since the comparison" == refusal()
    compared(home, [*taxi("R1"), *taxi("R2")])
    changed(home, "tables/sample_account.csv", "*,TAXI,660201", "*,TAXI,660299")
    assert "the mapping has changed since the comparison" == refusal()
    assert "nothing was compared yet" == refusal("2026-01")
    changed(home, FEED, "mode: shadow", "mode: live")
    assert "it is not in shadow (`mode: shadow`)" == refusal()


def test_what_an_earlier_mapping_sealed_for_later_is_not_let_out(home: Path) -> None:
    land(home, [claim(Report_ID="R1"), claim(Report_ID="MARCH", Approved="2026-03-10T01:00:00Z")])
    changed(home, "tables/sample_account.csv", "*,TAXI,660201", "*,TAXI,660299")
    lines = [line("R1", "660299", "45,00"), line("R1", "224101", "", "45,00")]

    assert ([], 1) == (codes(compared(home, lines)), compared(home, lines)["outdated"])
    assert "1 sealed journals of later periods were made by an earlier mapping" == refusal()


def test_an_empty_comparison_proves_nothing(home: Path) -> None:
    land(home, [claim(Report_ID="R1")])
    compared(home, taxi("R1"), "2026-05")

    assert "the comparison holds no document" == refusal("2026-05")


def test_the_command_writes_a_report_and_exits_1_while_a_difference_is_open(home: Path) -> None:
    land(home, CLAIMS)
    journal, out = write(home / "old.csv", JOURNAL), home / "out"
    words = ["shadow", "sample", "--legacy", str(journal), "--profile", "sample_interface", "--period", "2026-02"]
    shown = CliRunner().invoke(cli.main, [*words, "--out", str(out)])
    told = CliRunner().invoke(cli.main, [*words, "--json"])
    page = (out / "shadow.html").read_text("utf-8")

    assert (1, 1) == (shown.exit_code, told.exit_code)
    assert "ONLY_LEGACY        CN01 HELD  0.00 here, 45.00 there CNY  We hold it in quarantine: STATUS." in shown.stdout
    assert json.loads((out / "shadow.json").read_text("utf-8"))["differences"] == json.loads(told.stdout)["differences"]
    assert ["cells.csv", "differences.csv", "shadow.html", "shadow.json", "totals.csv"] == sorted(
        path.name for path in out.iterdir()
    )
    assert "The same amount stands on account 660202 there." in page
    assert "<script" not in page
    assert len((out / "differences.csv").read_text("utf-8-sig").splitlines()) == 1 + json.loads(told.stdout)["open"]


def test_the_command_signs_off_and_says_so(home: Path) -> None:
    land(home, [claim(Report_ID="R1")])
    words = ["shadow", "sample", "--period", "2026-02"]
    compare = ["--legacy", str(write(home / "old.csv", taxi("R1"))), "--profile", "sample_interface"]
    sign = ["--sign-off", "--by", "Wang Fang", "--reason", "Agreed"]
    first = CliRunner().invoke(cli.main, [*words, *sign])
    equal = CliRunner().invoke(cli.main, [*words, *compare])
    signed = CliRunner().invoke(cli.main, [*words, *sign])
    wrong = [CliRunner().invoke(cli.main, [*words, *more]) for more in (compare[:2], [*compare, *sign], [])]
    period = CliRunner().invoke(cli.main, ["shadow", "sample", "--period", "2026-2", *compare])
    status = CliRunner().invoke(cli.main, ["status"])

    assert (3, 0, 0) == (first.exit_code, equal.exit_code, signed.exit_code)
    assert "1 documents in 2026-02: 2 of 2 accounts agree, 0 differences open," in equal.stdout
    assert "signed off for 2026-02 by Wang Fang" in signed.stdout
    assert [2, 2, 2, 2] == [one.exit_code for one in [*wrong, period]]
    assert "posted" in status.stdout


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("{column: Date}", "{column: Day}", "columns.posting_date: no layout has a column 'Day'"),
        ('"EXP-(.+)"', '"EXP-.+"', "columns.document: match is no expression with exactly one group"),
        ('"EXP-(.+)"', '"EXP-(.+"', "columns.document: match is no expression with exactly one group"),
        ("credit: Credit", "credit: Cr", "amounts.credit: no layout has a column 'Cr'"),
        ('  dates: "%d.%m.%Y"\n', "", "format: dates says nothing"),
        ("reference: report_id", "reference: invoice_no\ncompare_in: base", "compare_in: an invoice has no amount"),
        ("reference: report_id", "reference: shoe_size", "reference: 'shoe_size' is not one of"),
    ],
)
def test_a_mistake_in_a_profile_is_named(home: Path, old: str, new: str, told: str) -> None:
    changed(home, PROFILE, old, new)
    problems = mapping.check(home / "mappings")

    assert [True] == [told in str(one) for one in problems]
    with pytest.raises(ConfigurationError, match=re.escape(told)):
        mapping.legacy_profile(home / "mappings", "sample_interface")


def test_a_profile_that_is_not_there_and_a_file_that_is_not_there(home: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"there is no legacy/none\.yml"):
        shadowing.compare(opened(), "x.csv", "none", "2026-02")
    with pytest.raises(ConfigurationError, match="NO_INPUT"):
        shadowing.compare(opened(), str(home / "nowhere.csv"), "sample_interface", "2026-02")


# --- the rules one by one, on small journals


def journal(text: str) -> pd.DataFrame:
    """`document account net` a line, of C1 in CNY on one day."""
    rows = [line.split() for line in text.splitlines()]
    frame = pd.DataFrame(
        {
            "company": "C1", "document": [row[0] for row in rows], "account": [row[1] for row in rows],
            "currency": "CNY", "posting_date": "2026-02-01", "period": "2026-02",
            "net_minor": [int(row[2]) for row in rows], "row": range(2, len(rows) + 2),
        }
    )  # fmt: skip
    return frame.astype({name: "str" for name in frame if name not in ("net_minor", "row")} | {"net_minor": "int64"})


def found(ours: str, theirs: str, rounding: int = 0) -> list[str]:
    """`code document account` of every difference."""
    result = shadow.compare(journal(ours), journal(theirs), "", rounding_minor=rounding)
    return [" ".join(row) for row in result.differences[["code", "document", "account"]].itertuples(index=False)]


@pytest.mark.parametrize(
    ("ours", "theirs", "expected"),
    [
        ("R A 5\nR B -5", "R A 5\nR B -5", []),
        ("R A 5\nR B -5", "R B -5", ["ONLY_OURS R A"]),
        ("R B -5", "R A 7\nR B -5", ["ONLY_LEGACY R A"]),
        ("R A 10\nR B -10", "R A 20\nR B -20", ["LEGACY_AMOUNT R A", "LEGACY_AMOUNT R B"]),
        ("R A 10\nR B -10", "R A 10\nR A 10\nR B -10\nR B -10", ["LEGACY_TWICE R A", "LEGACY_TWICE R B"]),
        ("R A 10\nR B -10", "R A 12\nR A 8\nR B -20", ["LEGACY_AMOUNT R A", "LEGACY_AMOUNT R B"]),
        ("R A 4\nR A 6", "R A 4\nR A 6\nR A 4\nR A 6", ["LEGACY_TWICE R A"]),
        ("R A 10", "R A 3\nR A 7", ["LEGACY_SPLIT R A"]),
        ("R A 3\nR A 7", "R A 5\nR A 5", ["LEGACY_SPLIT R A"]),
        ("R A 3\nR A 7", "R A 7\nR A 3", []),
        # 30 and 70 here, 100 on one account there
        ("R A 30\nR B 70", "R C 100", ["LEGACY_ACCOUNT R A", "LEGACY_ACCOUNT R B", "LEGACY_ACCOUNT R C"]),
        # two of the same amount on two other accounts: paired one to one
        ("R A 5\nR B 5", "R C 5\nR D 5", ["LEGACY_ACCOUNT R A", "LEGACY_ACCOUNT R B"]),
        # a moved amount and another amount in the same document
        ("R A 5\nR B 9\nR Z -14", "R C 5\nR B 8\nR Z -13",
         ["LEGACY_ACCOUNT R A", "LEGACY_AMOUNT R B", "LEGACY_AMOUNT R Z"]),
        # a smaller document is not a moved one
        ("R A 100\nR T 6\nR Z -106", "R A 100\nR Z -100", ["ONLY_OURS R T", "LEGACY_AMOUNT R Z"]),
        # nothing on an account is the same as no line on it
        ("R A 5\nR B -5", "R A 5\nR B -5\nR X 3\nR X -3", []),
        ("R1 A 5", "R2 A 5", ["ONLY_OURS R1 ", "ONLY_LEGACY R2 "]),
    ],
)  # fmt: skip
def test_one_mistake_gives_its_own_difference(ours: str, theirs: str, expected: list[str]) -> None:
    assert sorted(expected) == sorted(found(ours, theirs))


def test_a_dimension_that_they_lack_is_named_and_a_number_beside_another_is_not_masked() -> None:
    """Two parts of one cost on one account: the other side has the first only, and the cause says which it lacks."""
    ours = journal("R A 2455\nR A 2454\nR1-0000003 660205 7").assign(cost_center=["0040", "0050", "0010"])
    theirs = journal("R A 2455\nR1-0000003 660299 9").assign(cost_center=["0040", "0010"])
    told = shadow.compare(ours, theirs, "", dimensions=["cost_center"]).differences
    lacking = told[told["document"] == "R"].to_dict("records")

    assert [("A CNY 0050", "", "The legacy journal has nothing on A CNY 0050 in this document.")] == [
        (one["ours"], one["legacy"], one["cause"]) for one in lacking
    ]
    assert ["The legacy journal has nothing on 660205 CNY 0010 in this document.",
            "We post nothing on 660299 CNY 0010 in this document."] == sorted(
        told.loc[told["document"] == "R1-0000003", "cause"])  # fmt: skip


@pytest.mark.parametrize(
    ("theirs", "rounding", "expected"),
    [
        ("R A 101\nR B -101", 1, ["LEGACY_ROUNDING R A", "LEGACY_ROUNDING R B"]),
        ("R A 101\nR B -101", 0, ["LEGACY_AMOUNT R A", "LEGACY_AMOUNT R B"]),
        ("R A 102\nR B -102", 1, ["LEGACY_AMOUNT R A", "LEGACY_AMOUNT R B"]),
        ("R A 100\nR B -101\nR X 1", 1, ["LEGACY_ROUNDING R B", "LEGACY_ROUNDING R X"]),
    ],
)
def test_rounding_is_what_was_agreed_and_no_more(theirs: str, rounding: int, expected: list[str]) -> None:
    assert expected == found("R A 100\nR B -100", theirs, rounding)


def test_the_largest_amounts_are_compared_to_the_cent() -> None:
    """Beyond 2^53 a float could not tell them apart."""
    big = 10**15

    assert ["LEGACY_AMOUNT R A"] == found(
        "\n".join([f"R A {big}"] * 10), "\n".join([f"R A {big}"] * 9 + [f"R A {big + 1}"])
    )
    assert [] == found("\n".join([f"R A {big}"] * 10), "\n".join([f"R A {big}"] * 10))


def test_two_empty_journals_have_no_difference() -> None:
    empty = journal("R A 1").iloc[:0]

    assert 0 == len(shadow.compare(empty, empty, "2026-02").differences)


def test_a_document_beside_an_account_is_shown_as_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    """Two numbers one blank apart look like one long account number, which would be masked (B111)."""
    found = shadow.compare(journal("R1-0000003 660205 5\nR1-0000003 1 1"), journal("R1-0000003 1 1"), "")
    one = found.differences.iloc[0].to_dict() | {"ours_amount": "0.05", "legacy_amount": "0.00"}
    counts = {"documents": 1, "cells": 2, "matched": 1, "open": 1, "accepted": 0, "by_code": {}, "period": ""}
    console.show_shadow(counts | {"differences": [one], "report_files": []})

    assert "R1-0000003  660205  0.05 here" in capsys.readouterr().out
