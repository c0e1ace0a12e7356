"""A feed's journals are compared period by period, together only where one belongs to another period's."""

from __future__ import annotations

import pandas as pd
import pytest

from etl import model
from etl.pipeline.ledger import scopes


@pytest.mark.parametrize(
    ("belongs", "expected"),
    [
        ({}, [["2026-01"], ["2026-02"], ["2026-03"], ["2026-04"]]),
        ({"C": "A"}, [["2026-01", "2026-03"], ["2026-02"], ["2026-04"]]),
        ({"C": "A", "D": "C"}, [["2026-01", "2026-03", "2026-04"], ["2026-02"]]),
        ({"B": "A", "D": "C", "C": "B"}, [["2026-01", "2026-02", "2026-03", "2026-04"]]),
        ({"B": "not of this feed"}, [["2026-01"], ["2026-02"], ["2026-03"], ["2026-04"]]),
    ],
)
def test_periods_stay_together_where_a_journal_belongs_to_one_of_another(
    belongs: dict[str, str], expected: list[list[str]]
) -> None:
    keys = ["A", "B", "C", "D"]
    homes = pd.DataFrame({
        "journal_key": model.texts(keys), "period": model.texts(["2026-01", "2026-02", "2026-03", "2026-04"]),
        "belongs_to": model.texts([belongs.get(key, "") for key in keys]),
    })  # fmt: skip

    assert expected == [sorted(scope) for scope in scopes(homes)]


def test_a_feed_without_journals_has_no_scope() -> None:
    assert [] == scopes(pd.DataFrame({name: model.texts([]) for name in ("journal_key", "period", "belongs_to")}))
