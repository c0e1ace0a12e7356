"""Kind `delimited`: a text file of one record for each journal line, alone or as a member of a zip."""

from __future__ import annotations

import io
import zipfile
from typing import Final

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from etl import mapping, model
from etl.journal import Batch
from etl.render import columns
from etl.render.columns import BLANK, Columns, Ints, Profile

LINE_ENDS: Final = {"lf": "\n", "crlf": "\r\n"}
ZIP_TIME: Final = (1980, 1, 1, 0, 0, 0)


def check(
    profile: Profile, bundle: mapping.Bundle, headers: pd.DataFrame, lines: pd.DataFrame, at: Ints,
    faults: mapping.Faults,
) -> None:  # fmt: skip
    """Keys too long, required fields empty, and characters that neither encoding nor quoting can carry."""
    made = _clean(profile, columns.make(profile, bundle, headers, lines, at, None))
    columns.check(profile, made, at, faults)
    for name, rule in profile["columns"].items():
        rows = columns.unencodable(made[name], profile["encoding"])
        values = columns.shown(rule.get("field", ""), made[name].take(pa.array(rows)).to_pylist())
        faults.add(at[rows], "UNENCODABLE", name, values, profile["encoding"])
        if profile["quote"] == "none":
            torn = np.flatnonzero(pc.match_substring(made[name], profile["delimiter"]).to_numpy(zero_copy_only=False))
            values = columns.shown(rule.get("field", ""), made[name].take(pa.array(torn)).to_pylist())
            detail = f"a file without quotes, for it holds the delimiter {profile['delimiter']!r}"
            faults.add(at[torn], "UNENCODABLE", name, values, detail)


def render(
    profile: Profile, bundle: mapping.Bundle, batch: Batch, headers: pd.DataFrame, lines: pd.DataFrame, at: Ints
) -> bytes:
    """The first line or the header when there is one, then a record for each line; zipped where the profile says so."""
    made = _clean(profile, columns.make(profile, bundle, headers, lines, at, batch))
    cells = {
        name: _quoted(profile, columns.cut(profile, rule, made[name])) for name, rule in profile["columns"].items()
    }
    records = model.joined(_in_place(profile, cells), profile["delimiter"]).to_pylist()
    first = [profile["first_line"]] if "first_line" in profile else []
    if profile.get("header") == "yes":
        first.append(profile["delimiter"].join(_quoted(profile, pa.array(list(cells), pa.large_string())).to_pylist()))
    end = LINE_ENDS[profile["line_end"]]
    content = "".join(f"{record}{end}" for record in [*first, *records]).encode(profile["encoding"])
    return _zipped(profile["zip"], content) if "zip" in profile else content


def _clean(profile: Profile, made: Columns) -> Columns:
    """Text that fits a record: no control characters, the profile's replacements, a mark where the encoding lacks one.

    A key (`overflow: error`) keeps its characters: what cannot be written there holds the report.
    """
    out = {}
    for name, rule in profile["columns"].items():
        text = pc.replace_substring_regex(made[name], r"[\x00-\x1f\x7f\x{2028}\x{2029}]", " ")
        if rule.get("overflow") == "truncate":
            for old, new in profile.get("replace", {}).items():
                text = pc.replace_substring(text, old, new)
            if "unencodable" in profile:
                text = columns.replaced(text, profile["encoding"], profile["unencodable"])
        out[name] = text
    return out


def _quoted(profile: Profile, text: pa.Array) -> pa.Array:
    """Quotes around a text that needs them; quotes in it doubled."""
    if profile["quote"] == "none":
        return text
    needs = pc.or_(pc.match_substring(text, profile["delimiter"]), pc.match_substring(text, '"'))
    doubled = pc.replace_substring(text, '"', '""')
    return pc.if_else(needs, model.joined(['"', doubled, '"'], ""), text)


def _in_place(profile: Profile, cells: Columns) -> list[pa.Array]:
    """The columns in order, or at their positions of a record of `width` fields, blank in between."""
    if "width" not in profile:
        return list(cells.values())
    by_position = {int(rule["pos"]): cells[name] for name, rule in profile["columns"].items()}
    blank = pa.repeat(BLANK, len(next(iter(cells.values()))))
    return [by_position.get(position, blank) for position in range(1, int(profile["width"]) + 1)]


def _zipped(options: Profile, content: bytes) -> bytes:
    """A zip of the file and the profile's static members; stored, without a clock: the same bytes everywhere."""
    out = io.BytesIO()
    members = {options["member"]: content}
    members |= {name: text.encode() for name, text in options.get("static", {}).items()}
    with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as package:
        for name, data in members.items():
            package.writestr(zipfile.ZipInfo(name, ZIP_TIME), data)
    return out.getvalue()
