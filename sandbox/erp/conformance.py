"""What a product must report under each fault: the cases of the scorecard.

Codes are claimpost's; a candidate file translates them. A case is passed when one of its codes is reported for every
journal that was struck, no other journal is accused, no run ends as if all were well, and nothing is posted twice.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from sandbox.erp import faults as f

WAITING: Final = ("IN_FLIGHT",)


@dataclass(frozen=True)
class Case:
    """One fault and what must be told of it.

    on: the switches of the import under test. must: any of these codes; empty: nothing but that it waits.
    severity: the mildest that will do. later: first a good import that is reported, then the faulty one.
    others: codes that other journals of the group may have.
    """

    name: str
    on: tuple[str, ...]
    must: tuple[str, ...] = ()
    severity: str = ""
    later: bool = False
    others: tuple[str, ...] = ()


CASES: Final = (
    Case("no fault", ()),
    Case(f.RE_DATING, (f.RE_DATING,), ("PERIOD_SHIFTED",), "S2"),
    Case(f.SILENT_ROUNDING, (f.SILENT_ROUNDING,), ("AMOUNT_DIFFERS",), "S2"),
    Case(f.WITHOUT_EFFECT, (f.WITHOUT_EFFECT,), ("MISSING_IN_ERP",), "S2"),
    Case(f.AFTER_COMMIT, (f.AFTER_COMMIT,)),
    Case(f.DRAFTS, (f.DRAFTS,), ("REJECTED_BY_ERP",), "S3"),
    Case(f.THEN_DRAFT, (f.THEN_DRAFT,), ("MISSING_IN_ERP",), "S2", later=True),
    Case(f.AT_COMMIT, (f.AT_COMMIT,)),
    Case(f.ERROR_INSIDE, (f.ERROR_INSIDE,), ("REJECTED_BY_ERP", "MISSING_IN_ERP", "UNKNOWN_OUTCOME"), "S3"),
    Case(f.DUPLICATE, (f.DUPLICATE,), ("DUPLICATE_IN_ERP", "ANSWER_CHANGED"), "S1"),
    Case(f.REFUSE_ONE, (f.REFUSE_ONE,), ("REJECTED_BY_ERP",), "S3"),
    Case(f.ALL_OR_NOTHING, (f.REFUSE_ONE, f.ALL_OR_NOTHING), ("REJECTED_BY_ERP",), "S3", others=("REJECTED_BY_ERP",)),
    Case(f.SLOW, (f.SLOW,)),
    Case(f.LYING, (f.LYING,), ("STATE_CONTRADICTED",), "S1"),
)
KNOWN: Final = tuple(sorted({*WAITING, *(code for case in CASES for code in case.must)}))


@dataclass(frozen=True)
class Told:
    """What a product reported: its exit code, and (journal, code, severity) of each break; journal "": not said."""

    exit_code: int
    breaks: frozenset[tuple[str, str, str]]

    @property
    def codes(self) -> list[str]:
        """The codes, each once."""
        return sorted({code for _, code, _ in self.breaks})


def faults_of(case: Case, struck: frozenset[str], told: Told) -> list[str]:
    """What is wrong with a report that was made after the fault; empty when it is right."""
    wrong = []
    named = {journal for journal, _, _ in told.breaks if journal}
    if case.must and told.exit_code == 0:
        wrong.append("the product ended as if all were well")
    if case.must and not struck:
        wrong.append("the fault struck nothing; the delivery is too small")
    if case.must and not any(code in case.must for code in told.codes):
        wrong.append(f"none of {', '.join(case.must)} was reported")
    if named:
        wrong += [
            f"{journal} was struck, but not reported"
            for journal in sorted(struck if case.must else ())
            if not any(one == journal and code in case.must for one, code, _ in told.breaks)
        ]
    for journal, code, severity in sorted(told.breaks):
        expected = code in WAITING or code in case.others or (code in case.must and journal in {"", *struck})
        if not expected:
            wrong.append(f"{journal or 'a journal'} was reported as {code} without a reason")
        elif code in case.must and severity > (case.severity or "S9"):
            wrong.append(f"{journal}: {code} as {severity}, must be {case.severity} or worse")
    return wrong
