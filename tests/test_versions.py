"""Which report versions are new: nothing is booked twice, nothing older replaces something newer."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
import pytest
from books import expense_lines, shown

from etl import model, versions

COLUMNS = ["company", "report_id", "report_version", "content_hash"]


def frame(*rows: str) -> pd.DataFrame:
    """Company, report, version and content; then `withdrawn` or the outcome, the place of the landing, the approver.

    The business content is the content without what follows a slash: aa/1 and aa/2 are approved twice and say the same.
    """
    cells = [(*row.split(), "approved", "1")[:6] if len(row.split()) == 4 else (*row.split(), "1")[:6] for row in rows]
    made = {name: model.texts([row[i] for row in cells]) for i, name in enumerate(COLUMNS)}
    business = model.texts([row[3].partition("/")[0] for row in cells])
    outcomes = model.texts(["accepted" if row[4] == "approved" else row[4] for row in cells])
    return pd.DataFrame(made | {"document_currency": model.texts(["CNY"] * len(cells))}).assign(
        business_hash=business, state=model.texts([row[4] for row in cells]), outcome=outcomes,
        seq=np.array([int(row[5]) for row in cells], dtype=np.int64),
    )  # fmt: skip


def books(*journals: str) -> pd.DataFrame:
    """Company, report, version, journal key, state, and the key that it reverses."""
    cells = [(*row.split(), "")[:6] for row in journals]
    names = {"company": 0, "report_id": 1, "report_version": 2, "journal_key": 3, "state": 4, "reversal_of": 5}
    blank = {name: model.texts([""] * len(cells)) for name in versions.JOURNAL_COLUMNS}
    names |= {"claim_company": 0, "claim_report": 1}
    return pd.DataFrame(blank | {name: model.texts([row[i] for row in cells]) for name, i in names.items()})


def verdict(landed: pd.DataFrame, known: pd.DataFrame, *journals: str, seq: int = 9) -> versions.Verdict:
    def of(reports: Sequence[str]) -> pd.DataFrame:
        made = books(*journals)
        return made[made["report_id"].isin(reports)]

    return versions.classify(landed, known, of, ["withdrawn"], seq)


def judged(landed: pd.DataFrame, known: pd.DataFrame, *journals: str, seq: int = 9) -> list[str]:
    found = verdict(landed, known, *journals, seq=seq)
    codes = {row[:3]: row[3] for row in found.rejects[[*COLUMNS[:3], "code"]].itertuples(index=False, name=None)}
    keys = landed[COLUMNS[:3]].itertuples(index=False, name=None)
    return [f"{o} {codes[key]}" if key in codes else o for o, key in zip(found.outcomes, keys, strict=True)]


def replaced(found: versions.Verdict) -> list[str]:
    return shown(found.replaced, "journal_key", "state", "by_version")


def test_a_new_report_is_accepted() -> None:
    assert ["accepted", "accepted"] == judged(frame("C1 R1 1 aa", "C2 R1 1 aa"), frame("C3 R1 1 aa"))


def test_b117_the_same_version_again_is_a_duplicate() -> None:
    assert ["duplicate"] == judged(frame("C1 R1 1 aa"), frame("C1 R1 1 aa"))


def test_b118_the_same_version_with_other_content_is_a_conflict() -> None:
    assert ["quarantined CONFLICT"] == judged(frame("C1 R1 1 bb"), frame("C1 R1 1 aa"))


POSTED = "C1 R1 1 K1 posted"


def test_b119_a_correction_replaces_the_booked_journal() -> None:
    found = verdict(frame("C1 R1 2 bb"), frame("C1 R1 1 aa"), POSTED, "C2 R1 1 K2 posted")

    assert (["accepted"], ["K1 posted 2"]) == (found.outcomes, replaced(found))


def test_approved_again_unchanged_posts_nothing() -> None:
    assert ["duplicate"] == judged(frame("C1 R1 2 aa/2"), frame("C1 R1 1 aa/1"), POSTED)
    assert ["duplicate"] == judged(frame("C1 R1 1 aa/2"), frame("C1 R1 1 aa/1"), POSTED)


def test_after_an_unchanged_version_an_older_one_is_superseded_and_a_newer_one_corrects() -> None:
    known = frame("C1 R1 1 aa/1", "C1 R1 3 aa/3 duplicate 2")

    assert ["superseded"] == judged(frame("C1 R1 2 bb"), known, POSTED)
    assert ["K1 posted 4"] == replaced(verdict(frame("C1 R1 4 bb"), known, POSTED))


def test_a_repeated_file_of_what_was_never_booked_is_no_newer_version() -> None:
    assert ["accepted"] == judged(frame("C1 R1 2 bb"), frame("C1 R1 1 aa", "C1 R1 3 zz duplicate 2"), POSTED)


def test_a_withdrawn_report_takes_its_journal_back_also_under_its_old_version() -> None:
    known = frame("C1 R1 1 aa")

    for version in ("1", "2"):
        found = verdict(frame(f"C1 R1 {version} ww withdrawn"), known, POSTED)
        assert (["withdrawn"], [f"K1 posted {version}"]) == (found.outcomes, replaced(found))


def test_withdrawn_before_it_was_booked_posts_nothing_and_older_versions_come_too_late() -> None:
    known = frame("C1 R1 2 ww withdrawn")

    assert ["withdrawn"] == judged(frame("C1 R1 2 ww withdrawn"), frame("C9 R9 1 aa"))
    assert ["superseded"] == judged(frame("C1 R1 1 aa"), known)
    assert ["duplicate"] == judged(frame("C1 R1 2 w2 withdrawn"), known)


def test_approved_again_after_a_withdrawal_is_booked_again_unchanged_or_not() -> None:
    known = frame("C1 R1 1 aa", "C1 R1 2 ww withdrawn 2")
    books_now = (POSTED, "C1 R1 2 K2 posted K1")

    assert ["accepted"] == judged(frame("C1 R1 3 aa"), known, *books_now)
    assert [] == replaced(verdict(frame("C1 R1 3 bb"), known, *books_now))
    assert ["duplicate"] == judged(frame("C1 R1 1 aa"), known, *books_now)
    assert ["quarantined CONFLICT"] == judged(frame("C1 R1 2 aa"), known, *books_now)


@pytest.mark.parametrize(
    ("journals", "awaited"),
    [
        (["C1 R1 1 K1 sealed"], "K1 sealed"),
        (["C1 R1 1 K1 unknown"], "K1 unknown"),
        ([POSTED, "C1 R1 2 K2 sealed K1"], "K2 sealed"),
        ([POSTED, "C1 R1 2 K2 rejected K1"], "K2 rejected"),
    ],
)
def test_what_the_erp_has_not_settled_is_waited_for(journals: list[str], awaited: str) -> None:
    for landed in (frame("C1 R1 3 bb"), frame("C1 R1 3 ww withdrawn")):
        found = verdict(landed, frame("C1 R1 1 aa"), *journals)
        assert (["quarantined"], [f"REVISION {awaited}"]) == (found.outcomes, shown(found.rejects, "code", "value"))
        assert [] == replaced(found)


def test_a_refused_journal_is_given_up_not_reversed_also_for_the_same_content() -> None:
    for content in ("bb", "aa/2"):
        found = verdict(frame(f"C1 R1 2 {content}"), frame("C1 R1 1 aa/1"), "C1 R1 1 K1 rejected")
        assert (["accepted"], ["K1 rejected 2"]) == (found.outcomes, replaced(found))


def test_void_journals_and_reversed_ones_are_not_replaced_again() -> None:
    known = frame("C1 R1 1 aa", "C1 R1 2 bb accepted 2", "C1 R1 3 cc accepted 3")
    journals = ["C1 R1 1 K1 void", "C1 R1 2 K2 posted", "C1 R1 3 K3 posted K2", "C1 R1 3 K4 posted"]

    assert ["K4 posted 4"] == replaced(verdict(frame("C1 R1 4 dd"), known, *journals))


def test_b119_of_two_versions_in_one_delivery_the_higher_counts() -> None:
    assert ["superseded", "accepted", "superseded"] == judged(
        frame("C1 R1 9 aa", "C1 R1 10 bb", "C1 R1 2 cc"), frame("C9 R9 1 x")
    )


def test_b120_an_older_version_that_arrives_late_is_superseded() -> None:
    assert ["superseded"] == judged(frame("C1 R1 1 aa"), frame("C1 R1 2 bb"))


def test_content_hashes_as_versions_order_by_landing() -> None:
    known = frame("C1 R1 112233445566 bb accepted 5")

    assert ["accepted"] == judged(frame("C1 R1 0a1b2c3d4e5f aa"), known, "C1 R1 112233445566 K1 posted", seq=6)
    assert ["superseded"] == judged(frame("C1 R1 0a1b2c3d4e5f aa"), known, "C1 R1 112233445566 K1 posted", seq=4)


def test_the_version_that_counts_is_the_last_one_decided() -> None:
    known = frame(
        "C1 R1 9 aa", "C1 R1 10 bb accepted 2", "C1 R1 11 bb duplicate 3", "C1 R2 1 aa", "C1 R2 1 ww withdrawn 2"
    )

    counts = shown(versions.current(known), "report_id", "report_version", "outcome")
    assert ["R1 10 accepted", "R2 1 withdrawn"] == sorted(counts)


def test_totals_per_outcome_add_up_to_what_landed() -> None:
    lines = expense_lines("report_id document_currency gross_minor\n R1 CNY 100\n R1 USD 7\n R2 CNY -30\n R1 CNY 1")
    hashes = model.texts(["h1", "h1", "h2", "h1"])
    seen, version_of = versions.report_versions(lines, hashes, hashes)
    outcomes = versions.outcome_frame(lines, version_of, seen, ["accepted", "quarantined"])

    assert ["R1 CNY accepted 2 101 h1", "R1 USD accepted 1 7 h1", "R2 CNY quarantined 1 -30 h2"] == shown(
        outcomes, "report_id", "document_currency", "outcome", "lines", "gross_minor", "content_hash"
    )
    assert model.ControlTotals(2, 4, {"CNY": 71, "USD": 7}) == versions.totals(outcomes)
    assert versions.totals(outcomes) == model.total(versions.totals(outcomes, o) for o in model.OUTCOMES)


def test_nothing_landed_is_nothing() -> None:
    empty = expense_lines("gross_minor")
    seen, version_of = versions.report_versions(empty, model.texts([]), model.texts([]))
    outcomes = versions.outcome_frame(empty, version_of, seen, [])

    assert model.ControlTotals() == versions.totals(outcomes)
    assert np.array_equal(version_of, [])
