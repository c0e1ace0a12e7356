"""The steps: extract, build, load, acknowledge, reconcile. Each may run twice, at once, and be killed anywhere.

The work list comes from the store, never from what an earlier step returned; steps hand each other ids and counts.
"""

from etl.pipeline.build import build
from etl.pipeline.context import Context, open
from etl.pipeline.deliver import acknowledge, acknowledge_all, load, prepare, simulate
from etl.pipeline.extract import extract, waiting
from etl.pipeline.operations import approve, ask, release_journal
from etl.pipeline.prove import reconcile
from etl.pipeline.rebatch import isolate, settle
from etl.pipeline.run import exit_code, run
from etl.pipeline.summary import refused, summary
from etl.pipeline.verify import verified

__all__ = [
    "Context",
    "acknowledge",
    "acknowledge_all",
    "approve",
    "ask",
    "build",
    "exit_code",
    "extract",
    "isolate",
    "load",
    "open",
    "prepare",
    "reconcile",
    "refused",
    "release_journal",
    "run",
    "settle",
    "simulate",
    "summary",
    "verified",
    "waiting",
]
