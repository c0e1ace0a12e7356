"""The command `claimpost`: the same steps as the DAGs, without Airflow.

Exit codes: 0 everything explained, 1 unexplained differences, 2 wrong usage, 3 configuration, 4 an input file was
rejected, 5 the target refuses, 6 try again. With --json one object goes to standard output and nothing else.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import click

from etl.cli_operations import COMMANDS, JSON, print_json
from etl.errors import ClaimpostError, ConflictError

EXIT_CODES: Final = {
    0: "everything is explained",
    1: "differences that nobody has explained yet",
    2: "the command was used wrongly",
    3: "a mapping, setting or connection is wrong; nothing was started",
    4: "an input file was rejected as a whole; the other files went on",
    5: "the target or source refuses; a retry cannot help",
    6: "something is busy or away; run it again",
}


class _Commands(click.Group):
    """Shows a ClaimpostError as a message with what, where and what to do, and ends with its exit code."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except ClaimpostError as error:
            _show_error(error)
            ctx.exit(error.exit_code)


def _show_error(error: ClaimpostError) -> None:
    what = str(error).removeprefix(f"{error.code} ").removesuffix(error.next_step).strip()
    click.echo(f"{click.style(error.code, fg='red', bold=True)}  {what}", err=True)
    click.echo(f"  What to do: {error.next_step}", err=True)


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="claimpost")
def main() -> None:
    """Post approved expense claims as balanced journals in an ERP, and prove that source = journal = ERP.

    Settings: CLAIMPOST_HOME (default ./.claimpost), CLAIMPOST_MAPPINGS (./mappings), CLAIMPOST_STORE_URL (SQLite under
    home), CLAIMPOST_OBJECTS (none). Connections: Airflow's, or AIRFLOW_CONN_<ID>.
    """


@main.command()
@click.argument("feed")
@click.option(
    "--input", "input_path", type=click.Path(path_type=Path), help="A file or folder in place of the source; read only."
)
@click.option("--dry-run", is_flag=True, help="Render what would be posted, under --out; land and send nothing.")
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), help="Where a dry run puts its files.")
@JSON
def run(feed: str, input_path: Path | None, dry_run: bool, out: Path | None, as_json: bool) -> None:
    """Run a feed: extract, build, load, acknowledge, reconcile."""
    from etl import pipeline

    if dry_run != (out is not None):
        raise click.UsageError("--dry-run and --out belong together")
    context = pipeline.open(feed)
    if out is not None:
        _preview(context, out, input_path, as_json)
    with _progress(quiet=as_json) as progress:
        result = pipeline.run(context, input_path, progress)
    if as_json:
        print_json(result)
    else:
        from etl import console

        console.show_run(result)
    sys.exit(pipeline.exit_code(result))


def _preview(context: Any, out: Path, input_path: Path | None, as_json: bool) -> None:
    """Print what a dry run found, and end: 4 when a file would be rejected, 1 when a delivery would be held."""
    from etl.pipeline.preview import preview

    result = preview(context, out, input_path)
    if as_json:
        print_json(result)
    else:
        from etl import console

        console.show_preview(result)
    sys.exit(4 if result["files_rejected"] else 1 if result["files_held"] else 0)


@main.command()
@JSON
def status(as_json: bool) -> None:
    """List the batches in the store."""
    from etl import config, listing
    from etl.store import Store

    settings = config.settings()
    batches = listing.listed(settings.mappings, Store.open(settings.store_url))
    if as_json:
        print_json({"batches": batches})
    else:
        from etl import console

        console.show_batches(batches)


@main.command()
@click.argument("feed")
@click.option("--period", default="", help="One accounting period, YYYY-MM; default: all.")
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), help="Where the report files go.")
@JSON
def reconcile(feed: str, period: str, out: Path | None, as_json: bool) -> None:
    """Compare source, journals and ERP; write the report."""
    from etl import pipeline

    context = pipeline.open(feed)
    try:
        pipeline.acknowledge_all(context)
    except ConflictError:
        pipeline.reconcile(context, period, out)  # its report tells more of a conflict
        raise
    result = pipeline.reconcile(context, period, out)
    if as_json:
        print_json(result)
    else:
        from etl import console

        console.show_reconciliation(result)
    sys.exit(0 if result["explained"] else 1)


@main.command()
@click.argument("feed")
@click.option("--legacy", default="", metavar="FILE|URL|CONNECTION", help="The journal they posted.")
@click.option("--profile", default="", help="How to read it: a name under mappings/legacy.")
@click.option("--period", required=True, metavar="YYYY-MM", help="The accounting period that is compared.")
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), help="Where the report files go.")
@click.option("--sign-off", is_flag=True, help="Let the feed deliver, by the last comparison of the period.")
@click.option("--by", default="", help="Who signs.")
@click.option("--reason", default="", help="Why; it is recorded.")
@JSON
def shadow(
    feed: str, legacy: str, profile: str, period: str, out: Path | None, sign_off: bool, by: str, reason: str,
    as_json: bool,
) -> None:  # fmt: skip
    """Compare what we would post with what a legacy interface posted; 1 when a difference is open. Posts nothing."""
    from etl import console, pipeline
    from etl.pipeline import shadow as shadowing

    if not re.fullmatch("[0-9]{4}-(0[1-9]|1[0-2])", period, re.ASCII):
        raise click.BadParameter("a period is YYYY-MM", param_hint="--period")
    given = (bool(legacy), bool(profile), bool(by), bool(reason))
    if given != ((False, False, True, True) if sign_off else (True, True, False, False)):
        raise click.UsageError("give --legacy and --profile, or --sign-off with --by and --reason")
    context = pipeline.open(feed)
    if sign_off:
        result = shadowing.sign_off(context, period, by, reason)
    else:
        result = shadowing.compare(context, legacy, profile, period, out)
    if as_json:
        print_json(result)
    else:
        (console.show_sign_off if sign_off else console.show_shadow)(result)
    sys.exit(0 if sign_off or not result["open"] else 1)


@main.command()
@click.argument("line", metavar="JOURNAL_KEY[:LINE]")
@JSON
def explain(line: str, as_json: bool) -> None:
    """Go from a journal, or one line of it, back to the source's cells, by way of every rule, table row and rate."""
    from etl import config, pipeline
    from etl.pipeline import explain as explaining
    from etl.store import Store

    key, _, number = line.partition(":")
    if number and not (number.isascii() and number.isdigit()):
        raise click.BadParameter("the line is a number", param_hint="JOURNAL_KEY[:LINE]")
    feed_id = explaining.feed_of(Store.open(config.settings().store_url), key)
    found = explaining.explain(pipeline.open(feed_id), key, int(number or "0"))
    if as_json:
        print_json(found)
    else:
        from etl import console

        console.show_explanation(found)


@main.group()
def show() -> None:
    """Show what the store knows of one report, journal or batch."""


def _show(kind: str, key: str, as_json: bool) -> None:
    from etl import config, reasons
    from etl.pipeline import context, inquire
    from etl.store import Store

    settings = config.settings()
    found = inquire.FINDERS[kind](Store.open(settings.store_url), context.shelf_of(settings), key)
    found = reasons.told(found, settings.mappings)
    if as_json:
        print_json(found)
    else:
        from etl import console

        console.show_found(found)


@show.command("report")
@click.argument("report_id")
@JSON
def show_report(report_id: str, as_json: bool) -> None:
    """Every landed version of a report, what became of it and why."""
    _show("report", report_id, as_json)


@show.command("journal")
@click.argument("journal_key")
@JSON
def show_journal(journal_key: str, as_json: bool) -> None:
    """A journal with its lines and the ERP's answer."""
    _show("journal", journal_key, as_json)


@show.command("batch")
@click.argument("batch_id")
@JSON
def show_batch(batch_id: str, as_json: bool) -> None:
    """A batch with its totals, history and journals."""
    _show("batch", batch_id, as_json)


@main.command()
@click.argument("feed")
@click.option("--anchors", multiple=True, type=click.Path(path_type=Path, exists=True, dir_okay=False),
              help="A copy of anchors.txt that was kept elsewhere; may be given several times.")  # fmt: skip
@JSON
def verify(feed: str, anchors: tuple[Path, ...], as_json: bool) -> None:
    """Check what is kept: archive, sealed files, audit chain, manifests, invariants. Ends with 1 at an S1 or S2."""
    from etl import pipeline
    from etl.pipeline.verify import verify as check

    result = check(pipeline.open(feed), anchors)
    if as_json:
        print_json(result)
    else:
        from etl import console

        console.show_verification(result)
    sys.exit(0 if result["sound"] else 1)


for _command in COMMANDS:
    main.add_command(_command)


@main.group()
def store() -> None:
    """Work on the store."""


@store.command("upgrade")
@JSON
def store_upgrade(as_json: bool) -> None:
    """Bring an older store to this program's revision; take a backup first."""
    from etl import config
    from etl.store import upgrade

    before, after = upgrade(config.settings().store_url)
    if as_json:
        print_json({"before": before, "after": after})
    else:
        click.echo(f"The store was of revision {before}, it is of revision {after} now." if before != after
                   else f"The store is of revision {after}; there was nothing to do.")  # fmt: skip


@main.command()
@click.option("--reports", default=400, show_default=True, type=click.IntRange(1, 1_000_000), help="How many reports.")
@click.option("--seed", default=1, show_default=True, type=click.IntRange(0, 999_999), help="Same seed, same bytes.")
@click.option("--out", required=True, type=click.Path(path_type=Path, file_okay=False), help="Folder for the files.")
@JSON
def sample(reports: int, seed: int, out: Path, as_json: bool) -> None:
    """Make a sample delivery for the feed `sample`, with a truth file beside it."""
    from sandbox import sample as generator

    summary = generator.write(out, reports=reports, seed=seed)
    if as_json:
        print_json(summary)
    else:
        click.echo(f"{summary['reports']} reports, {summary['lines']} lines in {out}; the faults are in truth.json.")


@main.group()
def mapping() -> None:
    """Work on the mappings."""


@mapping.command("check")
@JSON
def mapping_check(as_json: bool) -> None:
    """Find every mistake in the mappings folder."""
    from etl import config, mapping

    folder = config.settings().mappings
    problems = mapping.check(folder)
    _show_problems(problems, as_json, mappings=str(folder))
    if not problems and not as_json:
        click.echo(f"All feeds can be used: {', '.join(mapping.feed_names(folder))}.")
    sys.exit(3 if problems else 0)


def _show_problems(problems: Sequence[ClaimpostError], as_json: bool, **facts: object) -> None:
    """Every problem and how many there are, or all as one object with the facts beside them."""
    if as_json:
        print_json({**facts, "problems": [{"code": one.code, **_facts(one)} for one in problems]})
        return
    for problem in problems:
        _show_error(problem)
    if problems:
        click.echo(f"{len(problems)} problems.", err=True)


@mapping.command("schema")
@click.argument("kind", required=False, type=click.Choice(["feed", "source", "journal", "target", "rules"]))
def mapping_schema(kind: str | None) -> None:
    """Print the JSON Schema of one kind of mapping document, or of all, for an editor."""
    from etl import config

    print_json(config.schema(kind or ""))


@mapping.command("cases")
@click.argument("feed")
@click.option("--rewrite", is_flag=True, help="Write what comes out now below the arrows, for review.")
@JSON
def mapping_cases(feed: str, rewrite: bool, as_json: bool) -> None:
    """Work through the feed's worked cases under mappings/cases; 1 when one comes out differently."""
    from etl import config, mapping
    from etl.pipeline import cases

    folder = config.settings().mappings
    found, problems = cases.judged(folder, feed)
    if problems:
        _show_problems(problems, as_json, cases=len(found))
        sys.exit(3)
    wrong = list(cases.differences(mapping.load(folder, feed), folder, found))
    if as_json:
        print_json({"cases": len(found), "different": [{"case": one.path.name, "now": now} for one, now in wrong]})
    for one, now in [] if as_json else wrong:
        click.echo(f"{click.style(one.path.name, bold=True)}\n{_difference(one.expected, now)}\n", err=True)
    for one, now in wrong if rewrite else []:
        cases.rewrite(one, now)
    if not as_json:
        click.echo(f"{len(found)} cases, {len(wrong)} {'rewritten' if rewrite else 'different'}.")
    sys.exit(1 if wrong and not rewrite else 0)


@mapping.command("diff")
@click.argument("old", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.argument("new", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.option("--feed", required=True, help="The feed whose landed files are mapped twice.")
@click.option("--period", default="", help="One accounting period, YYYY-MM; default: all.")
@JSON
def mapping_diff(old: Path, new: Path, feed: str, period: str, as_json: bool) -> None:
    """Map what has landed by two mappings folders; 1 when a journal comes out differently. Nothing is posted."""
    from etl import pipeline
    from etl.pipeline import replay

    found = replay.difference(pipeline.open(feed), old, new, period)
    if as_json:
        print_json(found)
    else:
        from etl import console

        console.show_difference(found)
    sys.exit(1 if found["changed"] else 0)


@main.group()
def docs() -> None:
    """Write documents from the mappings."""


@docs.command("interface")
@click.argument("feed")
@click.option(
    "--language", default="en", show_default=True, type=click.Choice(["en", "zh"]), help="English or Chinese."
)
@click.option(
    "--format",
    "form",
    default="html",
    show_default=True,
    type=click.Choice(["html", "markdown"]),
    help="How to write it.",
)
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), help="The file; default: standard output.")
def docs_interface(feed: str, language: str, form: str, out: Path | None) -> None:
    """Describe a feed from source column to ERP field: formats, rules, tables, checks, error codes, delivery."""
    from etl import config, mapping
    from etl.report import interface

    folder = config.settings().mappings
    document = interface.document(mapping.load(folder, feed), folder, language)
    content = interface.FORMATS[form](document).encode("utf-8")
    if out is None:
        click.echo(content, nl=False)
    else:
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_bytes(content)


def _difference(expected: str, now: str) -> str:
    import difflib

    lines = difflib.unified_diff(expected.splitlines(), now.splitlines(), "as written", "now", lineterm="")
    return "\n".join(lines)


def _facts(problem: ClaimpostError) -> dict[str, str]:
    return {name: str(value) for name, value in problem.facts.items()} | {"next_step": problem.next_step}


def _progress(quiet: bool) -> Any:
    from etl import console

    return console.progress(quiet)


if __name__ == "__main__":
    main(prog_name="claimpost")
