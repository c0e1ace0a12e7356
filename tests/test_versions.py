"""Which report versions are new: nothing is booked twice, nothing older replaces something newer."""

from __future__ import annotations

import numpy as np
import pandas as pd
from books import expense_lines, shown

from etl import model, versions

COLUMNS = ["company", "report_id", "report_version", "content_hash"]


def frame(*rows: str) -> pd.DataFrame:
    cells = [row.split() for row in rows]
    return pd.DataFrame({name: model.texts([row[i] for row in cells]) for i, name in enumerate(COLUMNS)})


def judged(landed: pd.DataFrame, known: pd.DataFrame) -> list[str]:
    outcomes, rejects = versions.classify(landed, known)
    codes = {row[:3]: row[3] for row in rejects[[*COLUMNS[:3], "code"]].itertuples(index=False, name=None)}
    keys = landed[COLUMNS[:3]].itertuples(index=False, name=None)
    return [f"{outcome} {codes[key]}" if key in codes else outcome for outcome, key in zip(outcomes, keys, strict=True)]


def test_a_new_report_is_accepted() -> None:
    assert ["accepted", "accepted"] == judged(frame("C1 R1 1 aa", "C2 R1 1 aa"), frame("C3 R1 1 aa"))


def test_b117_the_same_version_again_is_a_duplicate() -> None:
    assert ["duplicate"] == judged(frame("C1 R1 1 aa"), frame("C1 R1 1 aa"))


def test_b118_the_same_version_with_other_content_is_a_conflict() -> None:
    assert ["quarantined CONFLICT"] == judged(frame("C1 R1 1 bb"), frame("C1 R1 1 aa"))


def test_b119_a_correction_of_a_booked_report_waits() -> None:
    assert ["quarantined REVISION"] == judged(frame("C1 R1 2 bb"), frame("C1 R1 1 aa"))


def test_b119_of_two_versions_in_one_delivery_the_higher_counts() -> None:
    assert ["superseded", "accepted", "superseded"] == judged(
        frame("C1 R1 9 aa", "C1 R1 10 bb", "C1 R1 2 cc"), frame("C9 R9 1 x")
    )


def test_b120_an_older_version_that_arrives_late_is_superseded() -> None:
    assert ["superseded"] == judged(frame("C1 R1 1 aa"), frame("C1 R1 2 bb"))


def test_content_hashes_as_versions_have_no_order() -> None:
    assert ["quarantined REVISION"] == judged(frame("C1 R1 0a1b2c3d4e5f aa"), frame("C1 R1 112233445566 bb"))


def test_totals_per_outcome_add_up_to_what_landed() -> None:
    lines = expense_lines("report_id document_currency gross_minor\n R1 CNY 100\n R1 USD 7\n R2 CNY -30\n R1 CNY 1")
    seen, version_of = versions.report_versions(lines, model.texts(["h1", "h1", "h2", "h1"]))
    outcomes = versions.outcome_frame(lines, version_of, seen, ["accepted", "quarantined"])

    assert ["R1 CNY accepted 2 101 h1", "R1 USD accepted 1 7 h1", "R2 CNY quarantined 1 -30 h2"] == shown(
        outcomes, "report_id", "document_currency", "outcome", "lines", "gross_minor", "content_hash"
    )
    assert model.ControlTotals(2, 4, {"CNY": 71, "USD": 7}) == versions.totals(outcomes)
    assert versions.totals(outcomes) == model.total(versions.totals(outcomes, o) for o in model.OUTCOMES)


def test_nothing_landed_is_nothing() -> None:
    empty = expense_lines("gross_minor")
    seen, version_of = versions.report_versions(empty, model.texts([]))
    outcomes = versions.outcome_frame(empty, version_of, seen, [])

    assert model.ControlTotals() == versions.totals(outcomes)
    assert np.array_equal(version_of, [])
