"""The sealed file of every target, read again by other code, holds its journals; an altered amount is found."""

from __future__ import annotations

import io
import re
import zipfile
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from rendered import TARGETS, by_profile, profile_text
from test_render_targets_xml import MANY, WIDE

from etl import config
from etl.pipeline.reread import compare

NAMES = sorted(path.stem for path in TARGETS.glob("*.yml"))
Sealed = tuple[dict[str, Any], bytes, pd.DataFrame, pd.DataFrame]


def sealed(folder: Path, name: str) -> Sealed:
    """Profile and bytes of a batch of domestic, foreign and negative journals, its headers and lines."""
    site = profile_text(name).replace("{CNY: PRE001}", "{CNY: PRE001, USD: PRE007, JPY: PRE004}")
    payload, _, headers, lines = by_profile(folder, name, MANY, feeds=WIDE, gl=site)
    return config.load(TARGETS / f"{name}.yml", "target"), payload, headers, lines


def altered(payload: bytes, old: bytes, new: bytes) -> bytes:
    """Another text in a file, or in every member of a zip."""
    if not zipfile.is_zipfile(io.BytesIO(payload)):
        return payload.replace(old, new)
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(payload)) as package, zipfile.ZipFile(out, "w") as other:
        for name in package.namelist():
            other.writestr(name, package.read(name).replace(old, new))
    return out.getvalue()


@pytest.mark.parametrize("name", NAMES)
def test_the_sealed_file_holds_its_journals_and_an_altered_one_does_not(tmp_path: Path, name: str) -> None:
    profile, payload, headers, lines = sealed(tmp_path, name)
    sign = profile.get("decimal", ".").encode()
    spoilt = altered(payload, b"45" + sign + b"00", b"45" + sign + b"01")

    assert [] == compare(profile, payload, headers, lines)
    assert spoilt != payload
    assert compare(profile, spoilt, headers, lines)


@pytest.mark.parametrize("name", NAMES)
def test_a_file_cut_short_does_not_hold_its_journals(tmp_path: Path, name: str) -> None:
    profile, payload, headers, lines = sealed(tmp_path, name)

    assert compare(profile, payload[: len(payload) // 2], headers, lines)


@pytest.mark.parametrize("name", NAMES)
def test_one_cent_from_one_line_to_another_is_found_although_the_sums_agree(tmp_path: Path, name: str) -> None:
    """The lines here, not the file, are changed: that is the same to a comparison."""
    profile, payload, headers, lines = sealed(tmp_path, name)
    debit = lines.index[(lines["debit_minor"] > 100)][:2]
    for side in ("debit_minor", "base_debit_minor"):
        lines.loc[debit, side] += [1, -1]

    assert any("lines.parquet" not in flaw for flaw in compare(profile, payload, headers, lines))


def test_lines_that_are_not_the_stores_are_found(tmp_path: Path) -> None:
    profile, payload, headers, lines = sealed(tmp_path, "beancount")
    more = headers.assign(debit_minor=headers["debit_minor"] + 1)

    assert ["lines.parquet: "] == [flaw[:15] for flaw in compare(profile, payload, more, lines)]


@pytest.mark.parametrize("name", ["beancount", "tryton_file", "sap_idoc_acc_document"])
def test_an_amount_that_is_none_is_no_amount(tmp_path: Path, name: str) -> None:
    profile, payload, headers, lines = sealed(tmp_path, name)
    (flaw,) = compare(profile, re.sub(rb"45\.00", b"45.OO", payload), headers, lines)

    assert "it cannot be read: an amount is none: '-45.OO'" in flaw or "'45.OO'" in flaw


def test_a_document_type_is_not_read(tmp_path: Path) -> None:
    profile, payload, headers, lines = sealed(tmp_path, "sap_idoc_acc_document")
    head, rest = payload.split(b"?>", 1)

    assert ["it cannot be read: it has a document type"] == compare(
        profile, head + b"?><!DOCTYPE a []>" + rest, headers, lines
    )


@pytest.mark.parametrize("name", ["oracle_fusion_fbdi", "d365_general_journal", "kingdee_k3cloud_xlsx"])
def test_damaged_bytes_of_a_packed_file_are_a_finding_and_not_the_end_of_it(tmp_path: Path, name: str) -> None:
    """Every 7th byte of the first kilobyte in turn: names, methods, sizes and compressed data."""
    profile, payload, headers, lines = sealed(tmp_path, name)
    damaged = [payload[:at] + bytes([payload[at] ^ 0xFF]) + payload[at + 1 :] for at in range(0, 1024, 7)]
    told = [compare(profile, one, headers, lines) for one in damaged]

    assert any("it cannot be read" in flaw for flaws in told for flaw in flaws)


def test_json_nested_without_end_is_a_finding(tmp_path: Path) -> None:
    profile, _, headers, lines = sealed(tmp_path, "kingdee_k3cloud")

    assert "it cannot be read" in compare(profile, b"[" * 100_000, headers, lines)[0]
