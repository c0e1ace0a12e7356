"""A delivery may hold only good reports and still be wrong as a whole; then the gate holds it and says why."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from etl.errors import ConfigurationError
from etl.money import EXPONENT
from validations import checkpoints, rules

TEXTS = rules.PROFILE_KEY


def delivery(*cells: tuple[Any, ...]) -> pd.DataFrame:
    """A profile from cells of company, currency, type, day, reports, lines, gross, quarantined reports and lines."""
    made = pd.DataFrame([(*cell, 0) for cell in cells], columns=rules.PROFILE_COLUMNS)
    return made.astype({c: "str" if c in TEXTS else "int64" for c in rules.PROFILE_COLUMNS})


USUAL = delivery(
    ("CN01", "CNY", "HOTEL", "2026-03-30", 2, 5, 50_000, 1, 1),
    ("CN01", "CNY", "TAXI", "2026-03-31", 1, 2, 2_000, 0, 0),
    ("JP01", "JPY", "TAXI", "2026-03-31", 3, 3, 3_000, 0, 0),
)


def failures(profile: pd.DataFrame, folder: Path, **options: Any) -> list[str]:
    found = checkpoints.gate(profile, {"gate": options}, folder / "docs")
    return [f"{one['check']}: {one['found']}, not {one['expected']}" for one in found]


def test_a_usual_delivery_passes_and_leaves_its_data_docs(tmp_path: Path) -> None:
    found = failures(
        USUAL, tmp_path, reports={"min": "6", "max": "6"}, lines={"min": "10", "max": "10"},
        gross={"CNY": {"min": "520.00", "max": "520.00"}, "JPY": {"max": "3000"}}, quarantined_pct_max="16.6667",
        largest_company_pct_max="70", largest_currency_pct_max="70", approval_days={"min": "2", "max": "2"},
    )  # fmt: skip
    pages = [page.read_text("utf-8") for page in (tmp_path / "docs/validations").rglob("*.html")]

    assert found == []
    assert (tmp_path / "docs/index.html").is_file()
    assert len(pages) == 2 and any("gate.gross.CNY: at least 520.00 and at most 520.00" in page for page in pages)


def test_every_limit_that_is_missed_is_named_at_once(tmp_path: Path) -> None:
    found = failures(
        USUAL, tmp_path, reports={"min": "7"}, lines={"min": "1", "max": "9"},
        gross={"CNY": {"min": "520.01"}, "JPY": {"max": "2999"}, "EUR": {"min": "0.01"}}, quarantined_pct_max="16.6",
        largest_company_pct_max="69.9999", largest_currency_pct_max="50", approval_days={"min": "3"},
    )  # fmt: skip

    assert found == [
        "gate.reports: 6, not at least 7",
        "gate.lines: 10, not at least 1 and at most 9",
        "gate.approval_days: 2, not at least 3",
        "gate.quarantined_pct_max: 16.6667 %, not at most 16.6 %",
        "gate.largest_company_pct_max: 70 %, not at most 69.9999 %",
        "gate.largest_currency_pct_max: 70 %, not at most 50 %",
        "gate.gross.CNY: 520.00, not at least 520.01",
        "gate.gross.JPY: 3000, not at most 2999",
        "gate.gross.EUR: 0.00, not at least 0.01",
    ]


def test_a_delivery_of_nothing_is_held_when_reports_are_expected(tmp_path: Path) -> None:
    """Yesterday 5,000 reports, today none: no success without a word."""
    nothing = USUAL.iloc[:0]

    assert failures(nothing, tmp_path, reports={"min": "1"}, quarantined_pct_max="30") == [
        "gate.reports: 0, not at least 1"
    ]


def test_a_feed_without_a_gate_still_gets_a_sound_profile(tmp_path: Path) -> None:
    assert checkpoints.gate(USUAL, {}, tmp_path / "docs") == []


def test_a_profile_that_cannot_be_is_held(tmp_path: Path) -> None:
    wrong = delivery(
        ("CN01", "RMB", "TAXI", "31.03.2026", -1, 0, 0, -2, 1), ("CN01", "RMB", "TAXI", "31.03.2026", 1, 1, 0, 0, -3)
    )
    found = failures(wrong, tmp_path)

    assert [failure.split(":")[0] for failure in found] == [
        "profile.cells", "profile.reports", "profile.lines", "profile.quarantined_reports",
        "profile.quarantined_lines", "profile.quarantine", "profile.currency", "profile.approval_day",
    ]  # fmt: skip
    assert "profile.currency: RMB, not currencies of ISO 4217" in found


def test_an_expectation_that_cannot_be_judged_has_failed(tmp_path: Path) -> None:
    found = failures(USUAL.drop(columns="lines"), tmp_path, reports={"min": "1"})

    assert [failure.split(":")[0] for failure in found] == ["profile.columns", "profile.lines", "profile.quarantine"]
    assert 'not judged: Error: The column "lines" in BatchData does not exist.' in found[1]


def test_no_failure_is_swallowed() -> None:
    """A result that is absent, empty or only an exception is shown as not judged, never as passed."""
    one = checkpoints.Expectation("gate.reports", "ExpectColumnValuesToBeBetween", {}, "at least 1")
    nested = {"metric": {"raised_exception": True, "exception_message": "boom"}}

    assert checkpoints.found(one, None) == "not judged"
    assert checkpoints.found(one, SimpleNamespace(result={}, exception_info=None)) == "not judged: no reason given"
    assert checkpoints.found(one, SimpleNamespace(result={}, exception_info=nested)) == "not judged: boom"
    assert checkpoints.failed(None)
    assert checkpoints.failed(SimpleNamespace(success=None, exception_info={}))
    assert checkpoints.failed(SimpleNamespace(success=True, exception_info=nested))
    assert not checkpoints.failed(SimpleNamespace(success=True, exception_info={"exception_message": None}))


def test_a_limit_that_is_no_amount_of_its_currency_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"SETTING gate\.gross\.JPY = '3000\.50'"):
        failures(USUAL, tmp_path, gross={"JPY": {"max": "3000.50"}})


def test_sums_beyond_the_limits_of_the_machine_still_fail(tmp_path: Path) -> None:
    huge = 2**63 - 1
    many = delivery(("A", "CNY", "X", "", 1, 1, huge, 0, 0), ("B", "CNY", "X", "", 1, 1, huge, 0, 0))
    (found,) = failures(many, tmp_path, gross={"CNY": {"max": "1000000000.00"}})

    assert found == "gate.gross.CNY: 92233720368547758.07, not at most 1000000000.00"


@settings(deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 10**6), st.integers(0, 1_000_000))
def test_a_share_just_above_its_limit_is_never_rounded_below_it(part: int, rest: int, limit_ppm: int) -> None:
    whole = part + rest
    profile = delivery(("CN01", "CNY", "X", "", whole, whole, 0, part, part))

    assert (part * 10**6 > limit_ppm * whole) == (
        int(checkpoints.totals(profile)["quarantined_ppm"].iloc[0]) > limit_ppm
    )


def test_totals_are_whole_numbers_for_every_currency() -> None:
    made = checkpoints.totals(USUAL, ["EUR"])

    assert made.filter(like="gross_").iloc[0].to_dict() == {"gross_CNY": 52_000, "gross_EUR": 0, "gross_JPY": 3_000}
    assert {str(kind) for kind in made.dtypes} == {"int64"}
    assert "gross_RMB" not in checkpoints.totals(USUAL, ["RMB"]) and "RMB" not in EXPONENT


QUIET = """
import socket, sys
from pathlib import Path

def audit(event, arguments):
    if event == "socket.connect" or event == "socket.getaddrinfo":
        raise RuntimeError(f"the gate reached for the network: {event} {arguments}")

sys.addaudithook(audit)
import pandas as pd
from validations import checkpoints, rules
assert "great_expectations" not in sys.modules, "imported before it is needed"
frame = pd.DataFrame([("CN01", "CNY", "X", "2026-03-31", 1, 1, 5, 0, 0, 0)], columns=rules.PROFILE_COLUMNS)
assert checkpoints.gate(frame, {"gate": {"reports": {"min": "1"}}}, Path(sys.argv[1])) == []
for module in ("scipy.spatial", "altair.vegalite"):
    assert module not in sys.modules, f"{module} costs half of the import and no expectation uses it"
import scipy.stats
assert scipy.stats.norm.cdf(0) == 0.5, "whoever needs it later gets it whole"
"""


def test_the_gate_is_quiet_offline_and_light(tmp_path: Path) -> None:
    """Nothing on standard output (`run --json` owns it), no network, nothing imported that no gate uses."""
    project = Path(__file__).resolve().parents[1]
    ran = subprocess.run(
        [sys.executable, "-c", QUIET, str(tmp_path / "docs")], cwd=project, capture_output=True, text=True, check=False
    )

    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "", "")


def test_the_data_docs_of_a_delivery_stay_small(tmp_path: Path) -> None:
    checkpoints.gate(USUAL, {}, tmp_path)

    assert sum(page.stat().st_size for page in tmp_path.rglob("*") if page.is_file()) < 1_500_000
