"""Every case of the bad-input catalogue that delimited or JSON files can show has a test by its number.

The number stands in the test's name (test_b86_...) or in the id of its parameter ("B86 tax above amount").
"""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

TESTS = Path(__file__).resolve().parent
CASES = range(1, 134)
# Cases that no delimited or JSON file can show, with the reason.
ELSEWHERE = {
    **dict.fromkeys(range(45, 54), "a cell, sheet or macro of an Excel workbook; a workbook is refused whole (B44)"),
    **dict.fromkeys(range(54, 62), "an element, entity or envelope of XML; XML is refused whole (B44)"),
    69: "a page of a web service; no source of ours has pages",
    70: "a list of a web service; an empty file is B14 and B15, an unusual volume B133",
}
_NAME = re.compile(r"_b([0-9]{2,3})(?=_)")
_ID = re.compile(r"^B([0-9]{2,3}) ")


def numbers(source: str) -> set[int]:
    """The case numbers that a test file's functions and parameter ids carry."""
    found: set[int] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
            found |= {int(number) for number in _NAME.findall(node.name)}
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            found |= {int(number) for number in _ID.findall(node.value)}
    return found


def test_every_case_of_the_catalogue_has_a_test_that_carries_its_number() -> None:
    carried = set().union(*(numbers(path.read_text("utf-8")) for path in sorted(TESTS.glob("test_*.py"))))

    assert [] == [f"B{case} has no test" for case in CASES if case not in carried | set(ELSEWHERE)]


def test_no_case_is_called_elsewhere_and_tested_too() -> None:
    carried = set().union(*(numbers(path.read_text("utf-8")) for path in sorted(TESTS.glob("test_*.py"))))

    assert [] == sorted(carried & set(ELSEWHERE))
    assert carried <= set(CASES)


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("def test_b86_tax(): ...", {86}),
        ("def test_b112_b113_names(): ...", {112, 113}),
        ("def helper_b86_tax(): ...", set()),
        ("CASES = {'B86 tax above amount': 1}", {86}),
        ("x = pytest.param(1, id='B129 duplicate row')", {129}),
        ("batch = 'B1'", set()),
        ("def test_abc86_x(): ...", set()),
        ("text = 'like B86 here'", set()),
    ],
)
def test_a_number_is_read_from_names_and_ids_alone(source: str, expected: set[int]) -> None:
    assert expected == numbers(source)
