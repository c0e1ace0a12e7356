"""The two pictures of the report as plain shapes with whole coordinates; the template draws them as SVG.

Flow: bars whose height is the share of what landed (reports, then journals), bands between them, and the branches
that leave. Trend: one row of bars for each figure, each on its own scale.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from etl.reconcile import Reconciliation
from etl.report.words import amount, amounts, by_currency, counted, journals

WIDTH: Final = 1000
BAR: Final = 14
FULL: Final = 88
TOP: Final = 54
COLUMN: Final = 196
LEFT: Final = 58
CURRENCIES_MAX: Final = 12
POINTS_MAX: Final = 40

# Stage, its title, and the branches that leave between it and the next one.
FLOW: Final = (
    ("landed", "Landed", ("quarantined", "duplicate", "superseded", "withdrawn")),
    ("accepted", "Accepted", ("not_journaled",)),
    ("journaled", "Journals", ("not_loaded",)),
    ("loaded", "Loaded", ("rejected", "in_flight", "missing")),
    ("posted", "Posted", ()),
)  # fmt: skip
TREND: Final = (("posted", "Journals posted"), ("quarantined", "Quarantined"), ("breaks", "Breaks"))


@dataclass(frozen=True)
class Box:
    x: int
    y: int
    width: int
    height: int
    kind: str


@dataclass(frozen=True)
class Word:
    x: int
    y: int
    text: str
    kind: str
    anchor: str = "start"


@dataclass
class Picture:
    """Shapes in drawing order: bands (paths), boxes, lines, words."""

    label: str
    height: int = 0
    bands: list[tuple[str, str]] = field(default_factory=list)
    boxes: list[Box] = field(default_factory=list)
    lines: list[tuple[int, int, int, int]] = field(default_factory=list)
    words: list[Word] = field(default_factory=list)


def _share(count: int, whole: int) -> int:
    """Height of a part; what is not zero can be seen."""
    return max(2, FULL * count // whole) if count > 0 and whole > 0 else 0


def _band(x1: int, top1: int, x2: int, top2: int, height: int) -> str:
    middle = (x1 + x2) // 2
    return (
        f"M{x1},{top1} C{middle},{top1} {middle},{top2} {x2},{top2} v{height} "
        f"C{middle},{top2 + height} {middle},{top1 + height} {x1},{top1 + height} z"
    )


def _counts(reconciliation: Reconciliation) -> dict[str, int]:
    """Reports until they are accepted, journals from then on."""
    counts = dict(reconciliation.reports)
    counts |= {
        s: journals(reconciliation, s) for s in ("journaled", "loaded", "posted", "rejected", "in_flight", "missing")
    }
    counts["not_journaled"] = int((reconciliation.breaks["code"] == "NOT_JOURNALED").sum())
    counts["not_loaded"] = counts["journaled"] - counts["loaded"]
    return counts


def _branch_amounts(reconciliation: Reconciliation, branch: str) -> str:
    stages = reconciliation.stages
    if branch == "not_journaled":
        missing = reconciliation.breaks[reconciliation.breaks["code"] == "NOT_JOURNALED"]
        return amounts(by_currency(missing, "amount_minor"))
    if branch == "not_loaded":
        rest = stages.assign(rest=stages["journaled_minor"] - stages["loaded_minor"])
        return amounts(by_currency(rest, "rest"))
    return amounts(by_currency(stages, f"{branch}_minor"))


def flow(reconciliation: Reconciliation) -> Picture:
    """How much landed, what became of it, and what the ERP posted; the amounts below, one row per currency."""
    counts = _counts(reconciliation)
    picture = Picture("Flow of reports and journals from landing to the ERP, with amounts per currency")
    heights = _heights(counts)
    deepest = TOP + FULL
    for number, (stage, title, branches) in enumerate(FLOW):
        x = LEFT + number * COLUMN
        noun = "report" if stage in ("landed", "accepted") else "journal"
        picture.boxes.append(Box(x, TOP, BAR, max(heights[stage], 1), "bar"))
        picture.words.append(Word(x, TOP - 28, title, "title"))
        picture.words.append(Word(x, TOP - 9, counted(counts[stage], noun), "count"))
        if number + 1 < len(FLOW):
            after = heights[FLOW[number + 1][0]]
            picture.bands.append((_band(x + BAR, TOP, x + COLUMN, TOP, min(after, heights[stage])), "main"))
            deepest = max(deepest, _branches(picture, reconciliation, counts, branches, x, min(after, heights[stage])))
    picture.height = _grid(picture, reconciliation, deepest + 26)
    return picture


def _heights(counts: Mapping[str, int]) -> dict[str, int]:
    """Bars in one scale: accepted as a share of landed, journals as a share of what should have become journals."""
    accepted = _share(counts["accepted"], counts["landed"])
    due = counts["journaled"] + counts["not_journaled"]
    heights = {"landed": FULL if counts["landed"] else 0, "accepted": accepted}
    for stage in ("journaled", "loaded", "posted"):
        share = accepted * counts[stage] // due if due else 0
        heights[stage] = max(2, share) if counts[stage] else 0
    return heights


def _branches(
    picture: Picture, reconciliation: Reconciliation, counts: Mapping[str, int], names: Sequence[str], x: int, used: int
) -> int:
    """Draw what leaves after a bar, from its lower end down to a label; returns the lowest y."""
    start, y = TOP + used, TOP + FULL + 22
    present = [name for name in names if counts[name] > 0]
    room = max(FULL - used, 2 * len(present))
    whole = sum(counts[name] for name in present)
    for name in present:
        height = max(2, min(room * counts[name] // whole, 26))
        picture.bands.append((_band(x + BAR, min(start, TOP + FULL - height), x + 62, y, height), "branch"))
        picture.boxes.append(Box(x + 62, y, 4, height, f"end {name}"))
        picture.words.append(Word(x + 72, y + 9, f"{counts[name]:,} {name.replace('_', ' ')}", "branch"))
        shown = _branch_amounts(reconciliation, name)
        lines = shown.split(", ") if shown else []
        for line, part in enumerate(lines, 1):
            picture.words.append(Word(x + 72, y + 9 + 13 * line, part, "small"))
        start += height
        y += max(height, 13 * (len(lines) + 1)) + 12
    return y


def _grid(picture: Picture, reconciliation: Reconciliation, y: int) -> int:
    """Amounts per currency under each bar; returns the picture's height."""
    sums = {stage: by_currency(reconciliation.stages, f"{stage}_minor") for stage, _, _ in FLOW}
    currencies = [currency for currency in sums["landed"] if any(sums[stage][currency] for stage in sums)]
    for currency in currencies[:CURRENCIES_MAX]:
        picture.lines.append((0, y - 15, WIDTH, y - 15))
        picture.words.append(Word(0, y, currency or "none", "code"))
        for number, (stage, _, _) in enumerate(FLOW):
            shown = amount(sums[stage][currency], currency)
            # Posted stands out when it is not what was accepted.
            kind = "differs" if stage == "posted" and sums[stage][currency] != sums["accepted"][currency] else "amount"
            picture.words.append(Word(LEFT + number * COLUMN + 134, y, shown, kind, "end"))
        y += 20
    more = len(currencies) - CURRENCIES_MAX
    if more > 0:
        picture.words.append(Word(0, y, f"and {more} more currencies: see totals.csv", "small"))
        y += 20
    return y


def trend(history: Sequence[Mapping[str, Any]]) -> Picture:
    """The last reconciliations, oldest left: {at, posted, quarantined, breaks}; the last one is this one."""
    points = list(history)[-POINTS_MAX:]
    picture = Picture(f"The last {len(points)} reconciliations: journals posted, reports quarantined, breaks")
    step = min(60, (WIDTH - 220) // max(len(points), 1))
    y = 0
    for name, title in TREND:
        values = [int(point[name]) for point in points]
        most = max(values, default=0)
        base = y + 54
        picture.words += [
            Word(0, base - 26, title, "title"),
            Word(0, base - 6, f"now {values[-1]:,}, most {most:,}", "small"),
        ]
        picture.lines.append((180, base, WIDTH, base))
        for number, value in enumerate(values):
            height = max(3, 40 * value // most) if value else 0
            now = number == len(values) - 1
            box = Box(
                180 + number * step, base - height, max(step - 4, 2), height, f"{name} {'now' if now else 'then'}"
            )
            picture.boxes.append(box)
            if step >= 36 or now:
                picture.words.append(Word(box.x + box.width // 2, base - height - 4, f"{value:,}", "value", "middle"))
        y = base + 8
    picture.words.append(Word(180, y + 12, str(points[0]["at"])[:10], "small"))
    if len(points) > 1:
        end = 180 + len(points) * step - 4
        picture.words.append(Word(max(end, 330), y + 12, str(points[-1]["at"])[:10], "small", "end"))
    picture.height = y + 20
    return picture
