"""The batch gate: Great Expectations looks at the profile of a delivery and says whether it is as usual.

A delivery may hold only good reports and still be wrong as a whole: ten times too many, one company missing, all of
one day. The gate judges the profile (`rules.profile`: counts and sums per company, currency, type and day), not the
lines, so it takes a moment however large the delivery. What it expects comes from the feed's `gate`; the Data Docs
stay in a folder for finance to read.
"""

from __future__ import annotations

import importlib.abc
import importlib.util
import math
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from types import ModuleType
from typing import Any, Final

import pandas as pd

from etl import money
from etl.errors import ConfigurationError
from etl.model import ControlTotals
from validations.rules import PROFILE_COLUMNS, PROFILE_KEY

MILLION: Final = 1_000_000
# Great Expectations imports these for expectations that no gate uses; together they are half of its import time.
_UNUSED_HEAVY: Final = ("scipy.stats", "altair")
_SITE: Final = "gate"
_COUNTS: Final = ("reports", "lines", "approval_days")
_SHARES: Final = {
    "quarantined": "quarantined_ppm", "largest_company": "largest_company_ppm",
    "largest_currency": "largest_currency_ppm",
}  # fmt: skip
_INT64_MAX: Final = 2**63 - 1


@dataclass(frozen=True)
class Expectation:
    """One expectation: its name in the feed, the class and arguments of Great Expectations, and how to say it."""

    check: str
    kind: str
    arguments: Mapping[str, Any]
    expected: str
    show: Callable[[Any], str] = str


def gate(
    profile: pd.DataFrame, feed: Mapping[str, Any], docs_folder: Path, history: Sequence[ControlTotals] = ()
) -> list[dict[str, str]]:
    """Judge a delivery's profile; empty when it passed, else one {check, expected, found} per failed expectation.

    In: PROFILE_COLUMNS; `history`, the control totals of the feed's last deliveries in any order. Writes
    the Data Docs under docs_folder (index.html). An expectation that could not be judged counts as failed.
    Raises what Great Expectations raises when it cannot run at all.
    """
    options = _judged(feed.get("gate", {}), int(profile.get("reports", pd.Series(dtype="int64")).sum()))
    tables, wanted = {"profile": profile}, {"profile": _generic()}
    if profile.columns.tolist() == PROFILE_COLUMNS:
        tables["totals"], wanted["totals"] = totals(profile, _currencies(options, history)), _limits(options)
        wanted["totals"] += _usual(options.get("history", {}), history)
    with _only_what_is_used():
        import great_expectations as gx
    results = _run(gx, tables, wanted, docs_folder)
    judged = [(one, results.get(one.check)) for expectations in wanted.values() for one in expectations]
    return [
        {"check": one.check, "expected": one.expected, "found": found(one, result)}
        for one, result in judged
        if failed(result)
    ]


def _judged(options: Mapping[str, Any], reports: int) -> dict[str, Any]:
    """The gate's options without its shares for a delivery so small that a share says nothing."""
    small = reports < int(options.get("pct_from_reports", "0"))
    return {name: limit for name, limit in options.items() if not (small and name.endswith("_pct_max"))}


def _currencies(options: Mapping[str, Any], history: Sequence[ControlTotals]) -> set[str]:
    return {*options.get("gross", {}), *(name for one in history for name in one.gross)}


def totals(profile: pd.DataFrame, currencies: Iterable[str] = ()) -> pd.DataFrame:
    """The whole delivery in one row: counts, gross per currency, and shares in millionths, rounded up."""
    reports, lines = int(profile["reports"].sum()), int(profile["lines"].sum())
    figures = {
        "reports": reports,
        "lines": lines,
        "approval_days": int(profile["approval_day"].nunique()),
        "quarantined_ppm": _ppm(int(profile["quarantined_reports"].sum()), reports),
        "largest_company_ppm": _ppm(_largest(profile, "company"), lines),
        "largest_currency_ppm": _ppm(_largest(profile, "document_currency"), lines),
    }
    for currency in sorted({*currencies, *profile["document_currency"]} & money.EXPONENT.keys()):
        gross = sum(profile["gross_minor"][profile["document_currency"] == currency].tolist())
        figures[f"gross_{currency}"] = max(-_INT64_MAX, min(_INT64_MAX, gross))
    return pd.DataFrame({name: [figure] for name, figure in figures.items()}, dtype="int64")


def _ppm(part: int, whole: int) -> int:
    return -(-part * MILLION // whole) if whole else 0


def _largest(profile: pd.DataFrame, column: str) -> int:
    return max(profile.groupby(column, dropna=False)["lines"].sum().tolist(), default=0)


# --- what is expected


def _generic() -> list[Expectation]:
    """What every profile must be: these columns, each cell once, counts that can be, currencies that exist."""
    counts = [
        Expectation(
            f"profile.{column}",
            "ExpectColumnValuesToBeBetween",
            {"column": column, "min_value": low},
            f"at least {low}",
        )
        for column, low in (("reports", 0), ("lines", 1), ("quarantined_reports", 0), ("quarantined_lines", 0))
    ]
    quarantine = {"column_A": "lines", "column_B": "quarantined_lines", "or_equal": True}
    currencies = {"column": "document_currency", "value_set": ["", *sorted(money.EXPONENT)]}
    days = {"column": "approval_day", "regex": "^(?:[0-9]{4}-[0-9]{2}-[0-9]{2})?$"}
    return [
        Expectation(
            "profile.columns", "ExpectTableColumnsToMatchOrderedList", {"column_list": PROFILE_COLUMNS},
            ", ".join(PROFILE_COLUMNS), lambda columns: ", ".join(map(str, columns)),
        ),
        Expectation("profile.cells", "ExpectCompoundColumnsToBeUnique", {"column_list": PROFILE_KEY}, "each cell once"),
        *counts,
        Expectation("profile.quarantine", "ExpectColumnPairValuesAToBeGreaterThanB", quarantine, "no more than lines"),
        Expectation("profile.currency", "ExpectColumnValuesToBeInSet", currencies, "currencies of ISO 4217"),
        Expectation("profile.approval_day", "ExpectColumnValuesToMatchRegex", days, "ISO dates"),
    ]  # fmt: skip


def _limits(options: Mapping[str, Any]) -> list[Expectation]:
    """What the feed's `gate` says of the whole delivery."""
    out = [_limit(f"gate.{name}", name, options[name], int, str) for name in _COUNTS if name in options]
    for name, column in _SHARES.items():
        if f"{name}_pct_max" in options:
            limits = {"max": options[f"{name}_pct_max"]}
            out.append(_limit(f"gate.{name}_pct_max", column, limits, _pct_to_ppm, _ppm_shown, " %"))
    for currency, limits in options.get("gross", {}).items():
        to_minor = partial(_minor, currency=currency)
        shown = partial(money.text_of, currency=currency)
        out.append(_limit(f"gate.gross.{currency}", f"gross_{currency}", limits, to_minor, shown))
    return out


def _usual(options: Mapping[str, Any], history: Sequence[ControlTotals]) -> list[Expectation]:
    """What the last deliveries let expect: at most so many times their mean lines, so many sigmas above their gross.

    Sigma is that of the population and no less than a tenth of the mean, so that deliveries that were all alike do not
    hold the first one that differs. Too short a history says nothing (reliability B133).
    """
    count = len(history)
    if not options or count < int(options["from_deliveries"]):
        return []
    lines = {"max": str(int(options["lines_times_max"]) * sum(one.lines for one in history) // count)}
    out = [_limit("gate.history.lines", "lines", lines, int, str)]
    for currency in sorted({name for one in history for name in one.gross} & money.EXPONENT.keys()):
        past = [abs(one.gross.get(currency, 0)) for one in history]
        spread = max(math.isqrt(count * sum(x * x for x in past) - sum(past) ** 2), sum(past) // 10)
        most = (sum(past) + int(options["gross_sigmas_max"]) * spread) // count
        limits = {"min": money.text_of(-most, currency), "max": money.text_of(most, currency)}
        to_minor, shown = partial(_minor, currency=currency), partial(money.text_of, currency=currency)
        out.append(_limit(f"gate.history.gross.{currency}", f"gross_{currency}", limits, to_minor, shown))
    return out


def _limit(
    check: str,
    column: str,
    limits: Mapping[str, str],
    read: Callable[[str], int],
    show: Callable[[int], str],
    unit: str = "",
) -> Expectation:
    edges = {f"{edge}_value": read(limits[edge]) for edge in ("min", "max") if edge in limits}
    words = [
        f"{word} {limits[edge]}{unit}" for edge, word in (("min", "at least"), ("max", "at most")) if edge in limits
    ]
    arguments = {"column": column, **edges}
    return Expectation(
        check, "ExpectColumnValuesToBeBetween", arguments, " and ".join(words), lambda v: show(int(v)) + unit
    )


def _pct_to_ppm(text: str) -> int:
    minor, fault = money.parse_one(text, 4)
    assert not fault, f"the schema of the feed allows only a percentage, not {text!r}"
    return minor


def _ppm_shown(ppm: int) -> str:
    return f"{ppm // 10_000}.{ppm % 10_000:04d}".rstrip("0").rstrip(".")


def _minor(text: str, currency: str) -> int:
    minor, fault = money.parse_one(text, money.EXPONENT[currency])
    if fault:
        raise ConfigurationError("SETTING", field=f"gate.gross.{currency}", value=text, detail="not an amount of it")
    return minor


# --- how it is judged


@contextmanager
def _only_what_is_used() -> Iterator[None]:
    """Let modules that no gate uses load at their first use, which never comes: half of the import time."""

    class Finder(importlib.abc.MetaPathFinder):
        def find_spec(
            self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
        ) -> ModuleSpec | None:
            spec = PathFinder.find_spec(name, path) if name in _UNUSED_HEAVY else None
            if spec is not None and spec.loader is not None:
                spec.loader = importlib.util.LazyLoader(spec.loader)
            return spec

    finder = Finder()
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        sys.meta_path.remove(finder)


def _run(
    gx: ModuleType, tables: Mapping[str, pd.DataFrame], wanted: Mapping[str, Sequence[Expectation]], docs_folder: Path
) -> dict[str, Any]:
    """The result of each expectation by its check; writes the Data Docs."""
    context = _context(gx, docs_folder)
    source = context.data_sources.add_pandas("delivery")
    results: dict[str, Any] = {}
    for table, frame in tables.items():
        suite = context.suites.add(gx.ExpectationSuite(name=table))
        for one in wanted[table]:
            made = getattr(gx.expectations, one.kind)
            words = f"{one.check}: {one.expected}"
            suite.add_expectation(made(**one.arguments, meta={"check": one.check}, description=words))
        batch = source.add_dataframe_asset(table).add_batch_definition_whole_dataframe("delivery")
        definition = context.validation_definitions.add(gx.ValidationDefinition(name=table, data=batch, suite=suite))
        checkpoint = context.checkpoints.add(gx.Checkpoint(name=table, validation_definitions=[definition]))
        outcome = checkpoint.run(batch_parameters={"dataframe": frame})
        for validation in outcome.run_results.values():
            results |= {result.expectation_config.meta["check"]: result for result in validation.results}
    context.build_data_docs()
    for walkthrough in docs_folder.glob("static/images/*.gif"):
        walkthrough.unlink()  # 3.4 of 4.1 MB, for buttons that are switched off
    return results


def _context(gx: ModuleType, docs_folder: Path) -> Any:
    """A context in memory with one Data Docs site on disk; no progress bars, no analytics, no network."""
    base = gx.data_context.types.base
    docs_folder.mkdir(parents=True, exist_ok=True)
    site = {
        "class_name": "SiteBuilder",
        "show_how_to_buttons": False,
        "store_backend": {"class_name": "TupleFilesystemStoreBackend", "base_directory": str(docs_folder.absolute())},
        "site_index_builder": {"class_name": "DefaultSiteIndexBuilder"},
    }
    config = base.DataContextConfig(
        store_backend_defaults=base.InMemoryStoreBackendDefaults(),
        data_docs_sites={_SITE: site},
        analytics_enabled=False,
        progress_bars={"globally": False},
    )
    return gx.get_context(mode="ephemeral", project_config=config)


def failed(result: Any) -> bool:
    """Whether a result is anything but a clean success: absent, unsuccessful, or with an exception beside it."""
    return result is None or not result.success or bool(_messages(result.exception_info))


def found(one: Expectation, result: Any) -> str:
    """What was found instead, in the words of the feed."""
    if result is None:
        return "not judged"
    facts = dict(result.result)
    if facts.get("partial_unexpected_list"):
        return ", ".join(sorted({one.show(value) for value in facts["partial_unexpected_list"]}))
    if "observed_value" in facts:
        return one.show(facts["observed_value"])
    return f"not judged: {'; '.join(_messages(result.exception_info)) or 'no reason given'}"


def _messages(info: Any) -> list[str]:
    """The messages of an exception_info, which is one exception or several by metric."""
    if not isinstance(info, Mapping):
        return []
    message = info.get("exception_message")
    return [str(message)] if message else [m for part in info.values() for m in _messages(part)]
