"""The guard of the hot path fails when a line costs more, and the baseline is of this code's form."""

from __future__ import annotations

import json

import pytest

from bench import quick


@pytest.mark.parametrize(
    ("found", "code", "verdict"),
    [
        (114, 0, "ok"),
        (115, 0, "ok"),
        (116, 1, "too many"),
        (86, 0, "ok"),
        (84, 0, "fewer: --rewrite keeps it"),
    ],
)
def test_more_than_fifteen_percent_above_the_baseline_fails(
    found: int, code: int, verdict: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert code == quick.compare({"calls_per_100_lines": 100}, {"calls_per_100_lines": found})
    assert capsys.readouterr().out.rstrip().endswith(verdict)


def test_one_dear_figure_among_good_ones_fails() -> None:
    assert 1 == quick.compare({"a": 100, "b": 100}, {"a": 100, "b": 200})


def test_the_baseline_has_what_is_counted() -> None:
    assert {"calls_per_100_lines", "calls_at_start"} == set(json.loads(quick.BASELINE.read_text("utf-8")))
