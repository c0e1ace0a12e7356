"""Killed at every named failpoint and at its system calls, the whole way from source to answer loses nothing."""

from __future__ import annotations

import ast
import itertools
import time
from collections.abc import Callable
from typing import Any

import pytest
import way
from effort import SECONDS, WHOLE

# What makes something last or visible, and what leaves this machine. Each is counted in the thread that calls it most.
CALLS = ("sendto", "write", "pwrite64", "fsync", "fdatasync", "rename", "openat", "unlink", "mkdir")
SHARES = 2 if WHOLE else 1
Record = Callable[[str, int], None]
worlds = pytest.mark.parametrize("world", ["near", "far"] if WHOLE else ["near"], indirect=True)
consumers = pytest.mark.parametrize("consumer", ["before", "after"] if WHOLE else ["after"])


# Failpoints that only a run with an object store comes by, and the test that kills there.
ELSEWHERE = {"put": "tests/test_objects.py"}


def failpoints() -> dict[str, str]:
    """Every failpoint that a run without an object store comes by, and the module it stands in."""
    found = {}
    for path in sorted((way.PROJECT / "etl").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Call) and ast.unparse(node.func).split(".")[-1] == "failpoint":
                found[ast.literal_eval(node.args[0])] = path.relative_to(way.PROJECT).as_posix()
    for name, test in ELSEWHERE.items():
        assert found.pop(name) and f'"{name}"' in (way.PROJECT / test).read_text("utf-8")
    return found


def clean_books(world: way.World) -> Any:
    """What the ERP's books hold after a run that nobody kills."""
    world.reset()
    result = world.run()
    books = world.books()
    assert way.judge(world, books, result) == [] and len({key for key, *_ in books}) == len(way.REPORTS)
    return books


@pytest.mark.slow
@consumers
@worlds
def test_a_kill_at_any_failpoint_heals(world: way.World, consumer: str, record_property: Record) -> None:
    """The meta-test too: a failpoint that no run comes by kills nothing, and that is a failure here."""
    world.proves = True
    expected, wrong, most = clean_books(world), {}, 0
    for name in failpoints():
        world.reset()
        victim = way.start(world, name)
        code = victim.finish(world)
        healed = way.heal(world, expected, consumer)
        most = max(most, healed.reruns)
        if code != way.KILLED or healed.wrong:
            wrong[name] = (code, healed.wrong)

    assert wrong == {}
    assert most == 1, "a failpoint heals in one plain run"
    record_property("kill points", len(failpoints()))


@pytest.mark.slow
@pytest.mark.parametrize("share", range(SHARES))
@consumers
@worlds
def test_a_kill_before_any_system_call_heals(
    world: way.World, consumer: str, share: int, record_property: Record
) -> None:
    try:
        counts = way.syscalls(world, list(CALLS))
    except way.NotTraceable as why:
        pytest.skip(str(why))
    expected, wrong, killed, began = clean_books(world), {}, 0, time.monotonic()
    for call, number in spread(counts)[share::SHARES]:
        if time.monotonic() - began > SECONDS:
            break
        world.reset()
        victim = way.start(world, strace=["-e", f"trace={call}", "-e", f"inject={call}:signal=KILL:when={number}"])
        code = victim.finish(world)
        healed = way.heal(world, expected, consumer)
        killed += code == way.KILLED
        if healed.wrong:
            wrong[call, number] = healed.wrong

    assert wrong == {}
    assert killed
    record_property("kill points", killed)


def spread(counts: dict[str, int]) -> list[tuple[str, int]]:
    """Every (call, its how-manieth), in an order whose every beginning is spread evenly over calls and time."""
    halves = [int(f"{number:012b}"[::-1], 2) / 4096 for number in range(4096)]
    turns = [sorted(range(1, count + 1), key=lambda n, count=count: halves[(n - 1) * 4096 // count])
             for count in counts.values()]  # fmt: skip
    named = [[(call, number) for number in turn] for call, turn in zip(counts, turns, strict=True)]
    return [one for round_ in itertools.zip_longest(*named) for one in round_ if one is not None]
