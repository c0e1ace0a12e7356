"""Numbers that count a source's files up without a gap: which of them never came."""

from __future__ import annotations

from collections.abc import Iterable, Iterator


def gaps(came: Iterable[str], accepted: Iterable[str] = ()) -> Iterator[tuple[str, str, str]]:
    """The missing numbers, as `8` or `8-12`, with the number before and the one behind; in order.

    In: numbers as the files say them, in any order and more than once (what is no number is left out); `accepted` are
    numbers or ranges that are known not to come. Before the first and behind the last that came nothing is missing.
    """
    numbers = sorted({int(text) for text in came if text.isascii() and text.isdigit()})
    known = [(number, number) for number in numbers] + [_span(text) for text in accepted]
    if not numbers:
        return
    seen = numbers[0]
    for first, last in sorted(known):
        if first > numbers[-1]:
            return
        if first > seen + 1:
            yield _told(seen + 1, first - 1), str(seen), str(first)
        seen = max(seen, last)


def _span(text: str) -> tuple[int, int]:
    first, _, last = text.partition("-")
    return int(first), int(last or first)


def _told(first: int, last: int) -> str:
    return str(first) if first == last else f"{first}-{last}"
