"""How each target is delivered to, and how the answer of its ERP is read."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final

from etl.journal import JOURNALS_PER_BATCH_MAX, JOURNALS_PER_BATCH_USUAL
from etl.mapping import Bundle
from etl.report.interface.model import Row, Section, Table
from etl.report.interface.words import Words

Rule = Mapping[str, Any]
_LIMITS: Final = ("journal_lines_max", "batch_lines_max")
_PLACES: Final = ("key", "index", "state", "document", "code", "message")


def section(bundle: Bundle, say: Words) -> Section:
    """One table for each entry of the feed's targets."""
    headings = say.all("setting", "said")
    tables = tuple(
        Table(headings, tuple(row for row in _delivery(bundle, entry, say) if row[1]), entry["target"])
        for entry in bundle.feed["targets"]
    )
    return Section(say("delivery"), (say("delivery_note"),), tables)


def _delivery(bundle: Bundle, entry: Rule, say: Words) -> Iterator[Row]:
    profile: Rule = bundle.targets[entry["target"]]
    most = bundle.feed.get("batch", {}).get("journals_max", JOURNALS_PER_BATCH_USUAL)
    yield say("companies"), say.listed(entry["companies"])
    yield say("connection"), entry["connection"]
    yield say("journals_max"), f"{min(int(most), JOURNALS_PER_BATCH_MAX):,}"
    for limit in _LIMITS:
        yield say(limit), f"{int(profile[limit]):,}" if limit in profile else ""
    if profile["kind"] == "table":
        yield say("delivered"), say("delivered.table", table=profile["table"], group=profile["group"])
        yield say("line_key"), say.listed(profile["key"])
    else:
        yield say("delivered"), say("delivered.file", file=profile["file"])
    answer: Rule = profile["acknowledge"]
    yield from _ANSWERS[answer["kind"]](answer, say)
    yield say("answer_codes"), say.listed(f"codes/{name}.csv" for name in answer.get("codes", []))
    yield say("deadline"), say("hours", count=bundle.feed["acknowledge_within_hours"])


# --- the answer, by its kind


def _of_table(answer: Rule, say: Words) -> Iterator[Row]:
    yield say("answer"), say("answer.table", headers=answer["headers"], status=answer["status"])
    yield say("siblings"), say.listed(answer.get("rejected", {}).get("sibling", []))
    yield say("warnings"), say.listed(answer.get("warnings", []))
    yield say("superseded"), say("superseded.delete") if "superseded" in answer else ""
    yield say("ledger"), say.listed([answer["headers"], answer["lines"]])


def _of_file(answer: Rule, say: Words) -> Iterator[Row]:
    yield say("answer"), say("answer.file", file=answer["acknowledgements"])
    yield say("ledger"), answer["ledger"]


def _of_vendor(answer: Rule, say: Words) -> Iterator[Row]:
    """csv, xml and text_inplace: where each text stands, and what the codes mean."""
    facts = {name: answer.get(name, "") for name in ("answer", "each")}
    yield say("answer"), say(f"answer.{answer['kind']}", **facts)
    written = [("encoding", answer.get("encoding", "")), ("delimiter", answer.get("delimiter", ""))]
    yield from ((say(name), text) for name, text in written)
    for name in _PLACES:
        yield say(f"answer_{name}"), _place(answer[name], say) if name in answer else ""
    yield say("answer_levels"), say.listed(_levels(answer["levels"], say))
    yield say("answer_proof"), say("answer_proof.number" if answer.get("proof") == "document" else "answer_proof.both")
    yield say("ledger"), answer["ledger"]


def _place(place: str | Sequence[str], say: Words) -> str:
    """Where a text stands; of several places the texts are joined by a slash."""
    return place if isinstance(place, str) else say("answer_joined", places=" / ".join(place))


def _levels(levels: Mapping[str, str], say: Words) -> Iterator[str]:
    return (say("answer_level", code=code, level=say(f"answered.{level}")) for code, level in levels.items())


def _of_json(answer: Rule, say: Words) -> Iterator[Row]:
    yield say("answer"), say("answer.json", answer=answer["answer"])
    yield say("answer_delivered"), say("answer_delivered.is", **answer["delivered"])
    for one in answer["lists"]:
        level = say(f"answered.{one['level']}")
        places = (f"{say(f'answer_{name}')} {_place(one[name], say)}" for name in _PLACES if name in one)
        yield say("answer_list", each=one["each"]), say.also([level, *places])
    yield say("answer_proof"), say("answer_proof.both")
    yield say("ledger"), answer["ledger"]


_ANSWERS: Final[Mapping[str, Callable[[Rule, Words], Iterator[Row]]]] = {
    "table": _of_table, "file": _of_file, "csv": _of_vendor, "xml": _of_vendor, "text_inplace": _of_vendor,
    "json": _of_json,
}  # fmt: skip
