"""From a line in the ERP back to the source's cells: every cent by a rule with file and line."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from claims import claim, deliver
from click.testing import CliRunner

from etl import cli, pipeline
from etl.errors import ConfigurationError
from etl.pipeline import explain
from sandbox import sample

PROJECT = Path(__file__).resolve().parents[1]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A home with mappings of its own, as the command finds it."""
    shutil.copytree(PROJECT / "mappings", tmp_path / "mappings")
    monkeypatch.setenv("CLAIMPOST_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("CLAIMPOST_MAPPINGS", str(tmp_path / "mappings"))
    yield tmp_path


def posted(home: Path, *lines: dict[str, str]) -> pipeline.Context:
    """These claims, run to the end."""
    context = pipeline.open("sample")
    result = pipeline.run(context, deliver(home / "in", list(lines)))
    assert (len({line["Report ID"] for line in lines}), {}) == (result["posted"], result["reasons"])
    return context


def key_of(context: pipeline.Context, report_id: str = "R1") -> str:
    made = context.store.journals("sample")
    return str(made.loc[made["report_id"] == report_id, "journal_key"].iat[0])


def test_a_line_names_its_cells_its_rule_and_the_table_rows_that_decided(home: Path) -> None:
    context = posted(home, claim(Tax_Code="V6", Amount="106.00", Tax="6.00", Cost_Center="0020"))
    found = explain.explain(context, key_of(context), 1)

    (line,) = found["lines"]
    (part,) = line["parts"]
    assert (True, "expenses_2026-02_001.csv", 2) == (found["made_again_equal"], found["source_file"], part["file_line"])
    assert ("100.00", "100.00", "100.00 CNY") == (line["amount"], line["explained"], line["base"])
    assert ("106.00", "V6", "0020") == tuple(part["source"][name] for name in ("Amount", "Tax Code", "Cost Center"))
    assert part["rule"].startswith("journals/group_expense.yml line ")
    assert "amount: gross less reclaimable tax, on the debit side" in part["why"]
    assert [step for step in part["why"] if step.startswith("account: tables/sample_account.csv line ")] != []
    assert "cost_center: tables/sample_cost_center.csv line 3: CN01, 0020 for CN01, 0020 gives '0020'" in part["why"]


def test_a_foreign_line_shows_the_rate_row_and_what_rounding_did(home: Path) -> None:
    context = posted(home, claim(Currency="USD", Amount="1.05"))
    found = explain.explain(context, key_of(context))

    rate = context.store.journals("sample")["rate"].iat[0]
    exact = Decimal("1.05") * Decimal(rate)
    assert f"= 1.05 USD x {rate} = {exact}, rounded once" in found["lines"][0]["base"]
    assert [step for step in found["posting"] if step.startswith("tables/sample_rates.csv line ")] != []


def test_every_cent_of_every_line_of_the_sample_is_explained(home: Path) -> None:
    """Each line's amount is the sum of its shares, and each share has a rule; a rounding line has none of either."""
    sample.write(home / "delivery", reports=40, seed=5)
    context = pipeline.open("sample")
    pipeline.run(context, home / "delivery")
    keys = context.store.journals("sample")["journal_key"].tolist()
    assert len(keys) > 20

    for key in keys:
        found = explain.explain(context, key)
        assert found["made_again_equal"]
        for line in found["lines"]:
            assert line["amount"] == line["explained"], (key, line)
            assert all(part["rule"] and part["why"] and part["source"] for part in line["parts"]), (key, line)
            assert line["parts"] or "left over" in line["base"], (key, line)


def test_after_the_mapping_changed_the_sources_are_shown_and_no_rule_is_claimed(home: Path) -> None:
    context = posted(home, claim())
    table = home / "mappings/tables/sample_account.csv"
    table.write_text(table.read_text("utf-8").replace("*,TAXI,", "*,TAXI,9"), "utf-8")
    found = explain.explain(pipeline.open("sample"), key_of(context))

    assert not found["made_again_equal"]
    assert {(part["file_line"], part["rule"]) for line in found["lines"] for part in line["parts"]} == {(2, "")}


def test_the_command_prints_one_object_or_readable_lines(home: Path) -> None:
    context = posted(home, claim())
    key = key_of(context)
    whole: dict[str, Any] = json.loads(CliRunner().invoke(cli.main, ["explain", key, "--json"]).stdout)
    one = CliRunner().invoke(cli.main, ["explain", f"{key}:2"]).stdout

    assert [1, 2] == [line["line_no"] for line in whole["lines"]]
    assert "line 2  " in one and "line 1  " not in one
    assert "expenses_2026-02_001.csv" in one and "Amount=45.00" in one


@pytest.mark.parametrize(("asked", "said"), [("NOSUCHKEY", "journal 'NOSUCHKEY'"), (":9", "journal line")])
def test_what_is_not_there_is_said(home: Path, asked: str, said: str) -> None:
    context = posted(home, claim())
    asked = f"{key_of(context)}{asked}" if asked.startswith(":") else asked
    result = CliRunner().invoke(cli.main, ["explain", asked])

    assert (3, True) == (result.exit_code, said in result.stderr)
    with pytest.raises(ConfigurationError, match="NOT_FOUND"):
        explain.feed_of(context.store, "NOSUCHKEY")
