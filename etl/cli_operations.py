"""Commands for operations: causes, release, discard, redeliver, reverse, approve, requests, rerun."""

from __future__ import annotations

import dataclasses
import getpass
import json
import sys
from typing import Any

import click

JSON = click.option("--json", "as_json", is_flag=True, help="Print one JSON object on standard output, nothing else.")


def print_json(value: object) -> None:
    click.echo(json.dumps(value, ensure_ascii=False, indent=2))


_BY = click.option("--by", default="", envvar="CLAIMPOST_ACTOR", help="Who; default: the user of this machine.")
_WHY = click.option("--reason", required=True, help="Why; it is recorded.")


@click.command()
@click.argument("feed")
@JSON
def causes(feed: str, as_json: bool) -> None:
    """List what reports wait for, and how many each cause blocks; mended, the next run takes them all."""
    from etl import console, pipeline
    from etl.pipeline import operations

    found = operations.causes(pipeline.open(feed))
    if as_json:
        print_json({"causes": found})
    else:
        console.show_causes(found)


@click.command()
@click.argument("feed")
@click.option("--report", default="", help="A report that waits for an approval, or shares an invoice.")
@click.option("--file", "name", default="", help="A delivery that is held (VOLUME): its name or sha256.")
@click.option("--journal", default="", help="A journal that the ERP refused, after the mend there: key, no approval.")
@_BY
@_WHY
@JSON
def release(feed: str, report: str, name: str, journal: str, by: str, reason: str, as_json: bool) -> None:
    """Ask to let a report or delivery pass; or give a refused journal a new batch."""
    from etl import pipeline

    if sum(map(bool, (report, name, journal))) != 1:
        raise click.UsageError("give one of --report, --file and --journal")
    if not journal:
        _ask(feed, "release", report or name, by, reason, as_json)
        return
    made = pipeline.release_journal(pipeline.open(feed), journal, _actor(by), reason)
    if as_json:
        print_json(made)
    else:
        click.echo(f"Journal {journal} is sealed in batch {made['batch_id']}; the next run delivers it.")


@click.command()
@click.argument("feed")
@click.option("--report", required=True, help="A report that waits and will never be booked.")
@_BY
@_WHY
@JSON
def discard(feed: str, report: str, by: str, reason: str, as_json: bool) -> None:
    """Ask to give up a report that waits; it counts as superseded, and nothing of it is booked."""
    _ask(feed, "discard", report, by, reason, as_json)


@click.command()
@click.argument("batch_id")
@click.option("--confirm-not-received", is_flag=True, required=True, help="The ERP's people say it never came.")
@_BY
@_WHY
@JSON
def redeliver(batch_id: str, confirm_not_received: bool, by: str, reason: str, as_json: bool) -> None:
    """Ask to send a batch once more, the same bytes under the same name."""
    if not confirm_not_received:
        raise click.UsageError("--confirm-not-received: ask the ERP's people first")
    _ask(_store().batch(batch_id).feed_id, "redeliver", batch_id, by, reason, as_json)


@click.command()
@click.argument("feed")
@click.option("--report", required=True, help="A report that the ERP has posted: its id, or COMPANY/ID.")
@_BY
@_WHY
@JSON
def reverse(feed: str, report: str, by: str, reason: str, as_json: bool) -> None:
    """Ask to take a posted report back in the ERP, as if its source had withdrawn it."""
    _ask(feed, "reverse", report, by, reason, as_json)


@click.command()
@click.argument("number", type=click.IntRange(1))
@_BY
@_WHY
@JSON
def approve(number: int, by: str, reason: str, as_json: bool) -> None:
    """Approve a request of somebody else; it takes effect at once."""
    from etl import pipeline

    feed = _store().request(number).feed_id
    done = pipeline.approve(pipeline.open(feed), number, _actor(by), reason)
    if as_json:
        print_json(done)
    else:
        click.echo(f"Request {number} ({done['action']} {done['subject']}) is approved by {done['approved_by']}.")


@click.command()
@JSON
def requests(as_json: bool) -> None:
    """List the requests that wait for a second person."""
    from etl import console

    waiting = [dataclasses.asdict(one) for one in _store().waiting()]
    if as_json:
        print_json({"requests": waiting})
    else:
        console.show_requests(waiting)


@click.command()
@click.argument("feed")
@click.option(
    "--run", "run_id", default="", help="A DAG run; default: the newest of each step and batch, if it failed."
)
@click.option("--wait", "minutes", default=60, type=click.IntRange(1, 1440), help="Minutes to wait for a run's end.")
@_BY
@JSON
def rerun(feed: str, run_id: str, minutes: int, by: str, as_json: bool) -> None:
    """Run again in Airflow what failed, with all that follows it; exits 1 when a run fails again.

    Airflow is where the connection airflow_api says: AIRFLOW_CONN_AIRFLOW_API.
    """
    from etl import airflow_api, console
    from etl.rerun import rerun as run_again

    with airflow_api.connect() as api:
        runs = run_again(api, feed, run_id, minutes, f"claimpost rerun by {_actor(by)}")
    if as_json:
        print_json({"runs": runs})
    else:
        console.show_reruns(runs)
    sys.exit(0 if all(one["state"] == "success" for one in runs) else 1)


def _ask(feed: str, action: str, subject: str, by: str, reason: str, as_json: bool) -> None:
    from etl import pipeline

    made = pipeline.ask(pipeline.open(feed), action, subject, _actor(by), reason)
    if as_json:
        print_json(made)
    else:
        click.echo(f"Request {made['id']}: {action} {subject}. Somebody else approves it within a day:")
        click.echo(f"  claimpost approve {made['id']} --reason TEXT")


def _store() -> Any:
    from etl import config
    from etl.store import Store

    return Store.open(config.settings().store_url)


def _actor(by: str) -> str:
    return by or getpass.getuser()


COMMANDS = (causes, release, discard, redeliver, reverse, approve, requests, rerun)
