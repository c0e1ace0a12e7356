"""What people see at the terminal: progress, a run's table, batches, answers. Nothing is decided here."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

from rich.cells import cell_len
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from etl import masking
from etl.errors import CATALOGUE

_OUT = Console(highlight=False)
_ERR = Console(stderr=True, highlight=False)
Step = Callable[[str], AbstractContextManager[Any]]


@contextmanager
def progress(quiet: bool) -> Iterator[Step]:
    """Gives `step(name)`, a context that shows what is going on and how long it took; silent when quiet."""
    if quiet:
        yield lambda name: nullcontext()
        return
    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(*columns, console=_ERR) as bars:

        @contextmanager
        def step(name: str) -> Iterator[None]:
            task = bars.add_task(name, total=1)
            yield
            bars.update(task, completed=1)

        yield step


def money_text(gross: Mapping[str, str]) -> str:
    """Amounts per currency with thousands separators, one a line."""
    return "\n".join(f"{currency} {grouped(amount)}" for currency, amount in gross.items()) or "-"


def grouped(amount: str) -> str:
    """Decimal text with thousands separators: 1234.50 is 1,234.50."""
    sign, digits = ("-", amount[1:]) if amount.startswith("-") else ("", amount)
    whole, point, fraction = digits.partition(".")
    return f"{sign}{int(whole):,}{point}{fraction}"


def show_run(result: Mapping[str, Any]) -> None:
    """The table at the end of a run, the quarantine by reason, and where the report lies."""
    _show_outcomes(result)
    made = f"journals {result['journals']:,} ({result['journal_lines']:,} lines) in {len(result['batches'])} batches"
    answers = f"posted {result['posted']:,}, rejected {result['rejected']:,}, unknown {result['unknown']:,}"
    _OUT.print(f"{made}; {answers}; breaks {result['breaks']:,}", soft_wrap=True)
    _show_suspense(result)
    if result["kept_back"]:
        _OUT.print(f"Shadow: {len(result['kept_back']):,} sealed batches are kept back; they were delivered nowhere.")
    if result["nothing_new"]:
        _say(f"Nothing new: {result['nothing_taken'] or 'everything found here was loaded before'}.")
    if result["strangers"]:
        _OUT.print(
            f"The ERP answered for {result['strangers']:,} journals that are in no such batch: see `claimpost show`."
        )
    _show_report_files(result)


def _show_outcomes(result: Mapping[str, Any]) -> None:
    """Landed and its outcomes, the reasons, and the files that were rejected or held."""
    table = Table(title=f"Feed {result['feed']}", title_justify="left", show_lines=True)
    for name in ("", "reports", "lines", "amount"):
        table.add_column(name, justify="right" if name else "left")
    for name in ("landed", "accepted", "quarantined", "duplicate", "superseded", "withdrawn"):
        part = result[name]
        if name == "withdrawn" and not part["reports"]:
            continue
        table.add_row(name, f"{part['reports']:,}", f"{part['lines']:,}", money_text(part["gross"]))
    _OUT.print(table)
    for code, reports in result["reasons"].items():
        _OUT.print(
            f"  {code:<18} {_count(reports, 'report'):>14}   {CATALOGUE[code].next_step}", markup=False, soft_wrap=True
        )
    for one in result["files_rejected"]:
        _OUT.print(f"  file rejected: {one['file']}: {one['reason']}", markup=False, soft_wrap=True)
    for one in result["files_held"]:
        checks = "; ".join(f"{h['check']}: {h['found']}, expected {h['expected']}" for h in one.get("held", []))
        _OUT.print(f"  file held: {one['file']}: {checks}", markup=False, soft_wrap=True)


def _show_suspense(result: Mapping[str, Any]) -> None:
    """A warning for each suspense account that took lines."""
    for one in result.get("suspense", []):
        took = f"{one['lines']:,} journal lines, {grouped(one['amount'])} {one['currency']}"
        words = f"Warning: suspense account {one['account']} of {one['company']} took {took}; add the missing rows"
        _OUT.print(f"{words} to the tables, then book them off in the ERP.", markup=False, soft_wrap=True)


REFUSED_LINES = 10


def show_preview(result: Mapping[str, Any]) -> None:
    """What a dry run would post, and where its files lie."""
    _show_outcomes(result)
    for one in result["refused"][:REFUSED_LINES]:
        line = f" line {one['line_no']}" if one["line_no"] else ""
        _say(f"  {one['company']} {one['report_id']}{line}: {one['code']}", one["reason"])
    if result["refused_all"] > REFUSED_LINES:
        _say(f"  ... and {result['refused_all'] - REFUSED_LINES:,} more: `--json` lists them.")
    for one in result["batches"]:
        debit = ", ".join(money_text(one["debit"]).splitlines())
        made = f"{one['journals']:,} journals, {one['lines']:,} lines, {debit}"
        _OUT.print(f"  {one['batch_id']}: {made}  {one['file']}", markup=False, soft_wrap=True)
    _OUT.print(f"Dry run: {result['journals']:,} journals would be posted; nothing was landed, recorded or sent.")


def _show_report_files(result: Mapping[str, Any]) -> None:
    for path in result["report_files"]:
        if path.endswith(".html"):
            _OUT.print(f"Report: {path}", markup=False, soft_wrap=True)


def show_batches(batches: Sequence[Mapping[str, Any]]) -> None:
    """Batches as a table."""
    table = Table(title=f"{len(batches)} batches", title_justify="left")
    for name in ("batch", "state", "journals", "lines", "debit"):
        table.add_column(name, justify="left" if name in ("batch", "state") else "right", overflow="fold")
    for batch in batches:
        cells = (
            batch["batch_id"],
            _state(batch),
            f"{batch['journals']:,}",
            f"{batch['lines']:,}",
            money_text(batch["debit"]),
        )
        table.add_row(*cells)
    _OUT.print(table)


def _state(batch: Mapping[str, Any]) -> str:
    """The state of a batch, why it is kept back, and how many of its journals the ERP refused, by our codes."""
    kept = f": {batch['kept_back']}" if "kept_back" in batch else ""
    refused = ", ".join(f"{count:,} {code}" for code, count in batch.get("refused", {}).items())
    return f"{batch['state']}{kept}" + (f"; refused: {refused}" if refused else "")


def show_reconciliation(result: Mapping[str, Any]) -> None:
    """The verdict, the breaks by code, and the report files."""
    verdict = "Everything agrees." if result["explained"] else f"{result['breaks']:,} differences need an explanation:"
    _OUT.print(verdict)
    for code, count in result["by_code"].items():
        _OUT.print(f"  {code:<18} {count:>6,}   {CATALOGUE[code].next_step}", markup=False, soft_wrap=True)
    for code, count in result["by_refusal"].items():
        _say(f"  {code:<22} {count:>6,}   {CATALOGUE[code].owner}: {CATALOGUE[code].next_step}")
    _show_report_files(result)


def show_verification(result: Mapping[str, Any]) -> None:
    """What was checked, then every finding with its severity, reason and next step."""
    checked = result["checked"]
    _OUT.print(", ".join(f"{count:,} {name}" for name, count in checked.items()) + " checked.", markup=False)
    _OUT.print(f"head of the audit chain: {result['head']}", markup=False, soft_wrap=True)
    if not result["findings"]:
        _OUT.print("Everything is as it was written.")
    for one in result["findings"]:
        _OUT.print(
            f"\n{one['severity']} {one['invariant']} {one['code']}: {one['reason']}", markup=False, soft_wrap=True
        )
        _OUT.print(f"   {one['owner']}: {one['next_step']}", markup=False, soft_wrap=True)


def show_causes(causes: Sequence[Mapping[str, Any]]) -> None:
    """Causes, the one that blocks most first: reports, gross, examples and the next step."""
    if not causes:
        _OUT.print("No report waits.")
    for one in causes:
        blocked = f"{_count(one['reports'], 'report')}, {money_text(one['gross'])}"
        _say(f"{one['code']} {one['field']} {one['value']}: {blocked}")
        _say(f"   {', '.join(one['examples'])}")
        _say(f"   {one['owner']}: {one['next_step']}")


def show_requests(requests: Sequence[Mapping[str, Any]]) -> None:
    """Requests that wait for a second person, with what their makers were shown."""
    if not requests:
        _OUT.print("No request waits.")
    for one in requests:
        _say(f"{one['id']}  {one['action']} {one['subject']}, by {one['requested_by']} at {one['at']}: {one['reason']}")
        for name, value in one["facts"].items():
            _say(f"   {name}: {_fact(value)}")


def _fact(value: object) -> str:
    """A fact of a request in words: names and values, rows one after the other."""
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {_fact(one)}" for name, one in value.items())
    if isinstance(value, list | tuple):
        rows = any(isinstance(one, list | tuple) for one in value)
        return ("; " if rows else "  ").join(map(_fact, value)) or "none"
    return str(value)


def show_reruns(runs: Sequence[Mapping[str, Any]]) -> None:
    """What came of each DAG run that was run again."""
    if not runs:
        _say("Nothing to run again: the newest run of each step and batch is well, or runs.")
    for one in runs:
        times = (
            f"cleared {one['cleared']} times" if one["cleared"] > 1 else "" if one["cleared"] else "nothing to clear"
        )
        _say(f"{one['dag_id']} {one['run_id']}: {one['state']}", times, ", ".join(one["failed"]))


def show_found(found: Mapping[str, Any]) -> None:
    """Facts as lines, lists of rows as tables."""
    for name, value in found.items():
        if isinstance(value, list):
            _show_rows(name, value)
        else:
            _OUT.print(f"{name}: {_shown(name, value)}", markup=False)


def show_explanation(found: Mapping[str, Any]) -> None:
    """A journal's origin, then each line with its shares, rules and steps."""
    for name, value in found.items():
        if name not in ("lines", "posting", "original"):
            _say(f"{name}: {value}")
    if "original" in found:
        _say("\nIt takes back, line by line, the journal")
        show_explanation(found["original"])
        return
    if not found["made_again_equal"]:
        _say("The mapping or its tables have changed since: the sources are shown, the rules of that day are not.")
    for step in found["posting"]:
        _say(step)
    for line in found["lines"]:
        _say(f"\nline {line['line_no']}  {line['purpose']}  {line['account']}  {line['amount']} {line['currency']}")
        _say(f"  in base currency {line['base']}")
        for part in line["parts"]:
            _say(f"  {part['amount']} from line {part['file_line']} of the file", part["rule"])
            _say("    " + ", ".join(f"{name}={cell}" for name, cell in part["source"].items()))
            for step in part["why"]:
                _say(f"    {step}")


def show_difference(found: Mapping[str, Any]) -> None:
    """The documents that change, both sides, and the accounts whose net amount differs."""
    for one in found["changed"]:
        _say(f"{one['company']} {one['report_id']} {one['currency']}")
        for sign, side in (("-", one["old"]), ("+", one["new"])):
            for line in side or ["no journal"]:
                _say(f"  {sign} {line}")
    _show_rows("accounts", found["accounts"])
    _say(f"{len(found['changed'])} journals change, {found['equal']} stay.")


SHADOW_LINES = 40


def show_shadow(result: Mapping[str, Any]) -> None:
    """How a shadow run came out, the differences by code and the first of them, and the report files."""
    agree = f"{result['matched']:,} of {result['cells']:,} accounts agree"
    _say(f"{result['documents']:,} documents in {result['period']}: {agree}, {result['open']:,} differences open,",
         f"{result['accepted']:,} accepted.")  # fmt: skip
    for code, count in result["by_code"].items():
        _say(f"  {code:<18} {count:>6,}   {CATALOGUE[code].next_step}")
    for one in result["differences"][:SHADOW_LINES]:
        amounts = f"{one['ours_amount']} here, {one['legacy_amount']} there {one['currency']}"
        # Numbers that stand one blank apart are masked as one: account numbers stand for themselves.
        _say(f"{one['code']:<18} {one['company']} {one['document']}", one["account"], amounts, one["cause"])
    if len(result["differences"]) > SHADOW_LINES:
        _say(f"... and {len(result['differences']) - SHADOW_LINES:,} more: see differences.csv.")
    _show_report_files(result)


def show_sign_off(signed: Mapping[str, Any]) -> None:
    """Who signed a feed off, for which period, on what evidence."""
    _say(f"Feed {signed['feed']} delivers from now on: signed off for {signed['period']} by {signed['signed_by']}.")
    _say(f"Mapping {signed['mapping_digest'][:12]}, legacy journal sha256 {signed['legacy_sha256'][:12]}.")


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def _say(*words: str) -> None:
    """A line of text as it is, masked (B111)."""
    _OUT.print(masking.masked("  ".join(word for word in words if word)), markup=False, highlight=False, soft_wrap=True)


def _shown(name: str, value: object) -> str:
    """A fact as text; what people wrote is masked (B111), `--json` gives it whole."""
    written = masking.FREE_TEXT | masking.JOURNAL_TEXT | masking.DECISION_TEXT
    return masking.masked(str(value)) if name in written else str(value)


FOLDED_MAX = 3  # columns that can be read when their cells are folded


def _show_rows(name: str, rows: Sequence[Mapping[str, Any]]) -> None:
    if not rows:
        _OUT.print(f"{name}: none", markup=False)
        return
    shown = [column for column in rows[0] if any(row[column] not in ("", 0) for row in rows)]
    cells = [[_shown(column, row[column]) for column in shown] for row in rows]
    widths = [max(cell_len(text) for text in column) for column in zip(shown, *cells, strict=True)]
    if len(shown) > FOLDED_MAX and sum(widths) + 3 * len(shown) + 1 > _OUT.width:
        _show_blocks(name, shown, cells)
        return
    table = Table(title=name, title_justify="left")
    for column in shown:
        table.add_column(column, overflow="fold")
    for texts in cells:
        table.add_row(*(text.replace("[", r"\[") for text in texts))
    _OUT.print(table)


def _show_blocks(name: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Rows that are too wide for a table: each as a block, one line for each cell that is filled."""
    wide = max(map(len, columns), default=0)
    for number, texts in enumerate(rows, 1):
        _OUT.print(f"\n{name} {number} of {len(rows)}", markup=False)
        for column, text in zip(columns, texts, strict=True):
            if text not in ("", "0"):
                _OUT.print(f"  {column:<{wide}}  {text}", markup=False, soft_wrap=True)
