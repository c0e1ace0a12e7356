"""The ERPs' own codes in ours: every row of mappings/codes by the real reader, and what no row knows."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from xml.etree import ElementTree

import pandas as pd
import pytest

from etl import config, erp, refusals, transport
from etl.config import PROJECT
from etl.erp import vendor
from etl.errors import CATALOGUE, CAUSES, REFUSAL
from etl.refusals import OPEN, UNMAPPED, Codes, Row
from etl.report.interface import chinese

FOLDER = PROJECT / "mappings/codes"
TABLES = sorted(path.stem for path in FOLDER.glob("*.csv"))
LEVEL_WORDS = ("PARKED", "RECEIVED", "SIBLING")  # codes of the plain form, which no vendor's form can hold
Said = tuple[str, str, str]  # journal key, code, words
Answers = dict[str, tuple[str, str]]  # journal key -> code and message as read


def profile(target: str) -> dict[str, Any]:
    return dict(config.load(PROJECT / f"mappings/targets/{target}.yml", "target"))


def rows_of(names: Sequence[str]) -> tuple[Row, ...]:
    codes, problems = refusals.scan(FOLDER, names)
    assert problems == []
    return codes.rows


# --- each vendor's answer with all its refusals, and how it is read


def by_vendor(target: str, content: bytes, sealed: bytes = b"") -> Answers:
    return {row[0]: (row[3], row[4]) for row in vendor.read(profile(target), content, lambda: sealed, "answer")}


def csv_of(header: str, rows: Sequence[Sequence[str]]) -> bytes:
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerows([header.split(","), *rows])
    return out.getvalue().encode()


def sap(said: Sequence[Said], folder: Path) -> Answers:
    whole = {"*": "51/ZZ/001", "60/*": "60/E0/078"}
    parts = [(key, *whole.get(code, code.replace("*", "51")).split("/"), words) for key, code, words in said]
    header = "DOCNUM,STATUS,XBLNR,BUKRS,BELNR,GJAHR,STAMID,STAMNO,STATXT"
    rows = [("1", state, key, "", "", "", *message, words) for key, state, *message, words in parts]
    return by_vendor("sap_idoc_acc_document", csv_of(header, rows))


def fusion(said: Sequence[Said], folder: Path) -> Answers:
    rows = [(code.replace("*", "ERROR"), key, "", words) for key, code, words in said]
    return by_vendor("oracle_fusion_fbdi", csv_of("STATUS,REFERENCE21,JE_HEADER_ID,STATUS_DESCRIPTION", rows))


def d365(said: Sequence[Said], folder: Path) -> Answers:
    rows = [(key, "Error", "", words) for key, _, words in said]
    return by_vendor("d365_general_journal", csv_of("VOUCHER,TRANSFERSTATUS,POSTEDVOUCHER,ERRORMESSAGE", rows))


def u8(said: Sequence[Said], folder: Path) -> Answers:
    first = profile("yonyou_u8_txt")["first_line"]
    lines = [",".join(["2026-02-10", "记", key, *["0"] * 45]) for key, _, _ in said]
    told = [f"{line},N,,{words}" for line, (_, _, words) in zip(lines, said, strict=True)]
    before, after = ("\r\n".join([first, *some, ""]).encode("gbk") for some in (lines, told))
    return by_vendor("yonyou_u8_txt", after, before)


def nc(said: Sequence[Said], folder: Path) -> Answers:
    root = ElementTree.Element("ufinterface", successful="N")
    for key, _, words in said:
        result = ElementTree.SubElement(root, "sendresult")
        for tag, text in (("bdocid", key), ("resultcode", "-32000"), ("resultdescription", words), ("content", "")):
            ElementTree.SubElement(result, tag).text = text
    return by_vendor("yonyou_nc65_xml", ElementTree.tostring(root, encoding="UTF-8"))


def kingdee(said: Sequence[Said], folder: Path) -> Answers:
    sent = {"data": {"Model": [{"FEntity": [{"FBUSNO": key}]} for key, _, _ in said]}}
    errors = [
        {"FieldName": code.replace("*", "X"), "Message": words, "DIndex": at}
        for at, (_, code, words) in enumerate(said)
    ]
    status = {"IsSuccess": False, "Errors": errors, "SuccessEntitys": []}
    answer = {"Result": {"ResponseStatus": status}}
    return by_vendor("kingdee_k3cloud", json.dumps(answer).encode(), json.dumps(sent).encode())


def plain(said: Sequence[Said], folder: Path) -> Answers:
    """The plain form; the code of a level stands in it by the level alone."""
    rows = []
    for key, code, words in said:
        level = code.lower() if code in LEVEL_WORDS else "rejected"
        rows.append(("B1", key, level, "", "" if code in LEVEL_WORDS else words, ""))
    (folder / "ack").mkdir()
    (folder / "ack/B1.ack.csv").write_bytes(csv_of("batch_id,journal_key,level,erp_document,code,message", rows))
    with transport.folder(transport.connection("erp", f"file:{folder}", folder), "") as session:
        found = erp.acknowledge_file(session, profile("beancount"), "B1")
    return {key: (code, message) for key, _, _, code, message in found.itertuples(index=False, name=None)}


def ebs(said: Sequence[Said], folder: Path) -> Answers:
    """Rows of the interface table as Journal Import leaves them."""
    engine = transport.engine(transport.connection("erp", f"sqlite:///{folder / 'erp.db'}", folder))
    with engine.begin() as connection:
        for table in (
            "gl_interface (group_id INTEGER, reference21 TEXT, status TEXT, status_description TEXT)",
            "gl_je_headers (group_id INTEGER, external_reference TEXT, period_name TEXT, doc_sequence_value INTEGER)",
        ):
            connection.exec_driver_sql(f"CREATE TABLE {table}")
        for key, code, words in said:
            values = (7, key, code.replace("*", "ERROR"), words)
            connection.exec_driver_sql("INSERT INTO gl_interface VALUES (?, ?, ?, ?)", values)
    found = erp.acknowledge_table(engine, profile("oracle_ebs_gl_interface"), SimpleNamespace(batch_no=7))
    engine.dispose()
    return {key: (code, message) for key, _, _, code, message in found.itertuples(index=False, name=None)}


READERS: Mapping[str, Callable[[Sequence[Said], Path], Answers]] = {
    "oracle_ebs_gl_interface": ebs, "oracle_fusion_fbdi": fusion, "sap_idoc_acc_document": sap, "yonyou_u8_txt": u8,
    "yonyou_nc65_xml": nc, "kingdee_k3cloud": kingdee, "d365_general_journal": d365, "beancount": plain,
}  # fmt: skip


@pytest.mark.parametrize("target", READERS)
def test_every_code_of_an_erp_is_read_in_its_form_and_becomes_ours(target: str, tmp_path: Path) -> None:
    names = profile(target)["acknowledge"]["codes"]
    rows = [row for row in rows_of(names) if target == "beancount" or row.code not in LEVEL_WORDS]
    said = [(f"K{number:03d}", row.code, row.example) for number, row in enumerate(rows)]
    read = READERS[target](said, tmp_path)
    codes = Codes(rows_of(names))

    assert {key: (row.ours,) for (key, _, _), row in zip(said, rows, strict=True)} == {
        key: codes.ours(*answer) for key, answer in read.items()
    }


@pytest.mark.parametrize("target", READERS)
def test_a_code_that_no_row_knows_is_an_unknown_refusal_with_its_own_words(target: str, tmp_path: Path) -> None:
    codes = Codes(rows_of(profile(target)["acknowledge"]["codes"]))
    read = READERS[target]([("K1", "*", "Qwzx 42")], tmp_path)

    assert [(UNMAPPED,)] == [codes.ours(*answer) for answer in read.values()]
    assert "Qwzx 42" in "".join(read["K1"])


def test_every_code_of_ours_for_a_refusal_is_given_by_some_erp() -> None:
    ours = {code for code, entry in CATALOGUE.items() if entry.outcome == REFUSAL}

    assert ours == {row.ours for row in rows_of(TABLES)} | {UNMAPPED}


def test_every_target_names_its_codes_and_every_table_is_named() -> None:
    targets = sorted(path.stem for path in (PROJECT / "mappings/targets").glob("*.yml"))
    named = {name for target in targets for name in profile(target)["acknowledge"].get("codes", [])}

    assert [] == [target for target in targets if "codes" not in profile(target)["acknowledge"]]
    assert set(TABLES) == named


def test_eighty_stable_codes_have_both_languages_cause_owner_and_next_step() -> None:
    assert len(CATALOGUE) >= 80
    for code, entry in CATALOGUE.items():
        told, step = chinese.CODES[code]
        assert all([entry.text, entry.owner, entry.next_step, told, step]), code
        assert entry.cause in CAUSES and chinese.CAUSES[entry.cause], code
        assert entry.owner in chinese.OWNERS, code
    assert set(CAUSES) == set(chinese.CAUSES)


# --- several codes and sentences


@pytest.mark.parametrize(
    ("names", "code", "message", "ours"),
    [
        (["oracle"], "EP01,EF04", "", ("ERP_PERIOD_CLOSED", "ERP_COMBINATION")),
        (["oracle"], "EP01,EF04,EP01", "x; y", ("ERP_PERIOD_CLOSED", "ERP_COMBINATION")),
        (["oracle"], "EP01, XX99", "", ("ERP_PERIOD_CLOSED", UNMAPPED)),
        (["chinese"], "N", "科目不存在：7001; 会计期间已结账", ("ERP_ACCOUNT_INVALID", "ERP_PERIOD_CLOSED")),
        (["chinese"], "N", "科目不存在：7001; 其他", ("ERP_ACCOUNT_INVALID",)),
        (["sap"], "51/F5/201", "any words", ("ERP_PERIOD_CLOSED",)),
        (["sap"], "51/RW/609", "Error in document: BKPFF $ CLAIMPOST", (UNMAPPED,)),
        (["sap"], "60/E0/078", "EDI: Syntax error in IDoc", ("ERP_FORMAT",)),
        ([], "", "", (UNMAPPED,)),
    ],
)
def test_each_code_and_each_sentence_gives_its_own_reason(
    names: list[str], code: str, message: str, ours: tuple[str, ...]
) -> None:
    assert ours == Codes(rows_of(names)).ours(code, message)


def members(*rows: tuple[str, str, str, str]) -> pd.DataFrame:
    return pd.DataFrame(list(rows), columns=["target", "state", "code", "message"]).astype("str")


def test_only_what_is_not_posted_has_a_reason() -> None:
    codes = {"gl": Codes(rows_of(["oracle", "generic"]))}
    named = refusals.named(
        members(
            ("gl", "posted", "EP01", "x"), ("gl", "rejected", "EP01,P", ""), ("gl", "void", "EP02", ""),
            ("gl", "sealed", "", ""), ("gl", "sealed", "PARKED", ""), ("gl", "unknown", "54", "odd"),
            ("other", "rejected", "EP01", ""),
        ),
        codes,
    )  # fmt: skip

    assert [
        "", "ERP_PERIOD_CLOSED, ERP_SIBLING", "ERP_PERIOD_MISSING", "", "ERP_PARKED", OPEN, UNMAPPED,
    ] == named.tolist()  # fmt: skip
    assert [] == refusals.named(members(), codes).tolist()


# --- tables that cannot be meant

HEAD = "code,words,example,ours,source\n"


@pytest.mark.parametrize(
    ("content", "line", "reason"),
    [
        (b"code,ours\nE1,ERP_DATE\n", 1, "must have the columns code, words, example, ours, source"),
        (b"", 1, "must have the columns"),
        (b"\xff\xfe", 1, "not a CSV file in UTF-8"),
        (f'{HEAD}"E1,'.encode(), 1, "not a CSV file in UTF-8"),
        (f"{HEAD}E1,,,ERP_DATE\n".encode(), 2, "needs 5 fields"),
        (f"{HEAD}E1 ,,,ERP_DATE,x\n".encode(), 2, "without spaces around them"),
        (f"{HEAD},a,a,ERP_DATE,x\n".encode(), 2, "needs the ERP's code"),
        (f"{HEAD}E1,,,ERP_DATE,\n".encode(), 2, "and the source of the fact"),
        (f"{HEAD}E1,,,DATE,x\n".encode(), 2, "'DATE' is no code for a refusal"),
        (f"{HEAD}*,,,ERP_DATE,x\n".encode(), 2, "an unknown refusal must stay unknown"),
        (f"{HEAD}E1,(,(,ERP_DATE,x\n".encode(), 2, "is no regular expression"),
        (f"{HEAD}E1,late,early,ERP_DATE,x\n".encode(), 2, "its example 'early' does not fit 'late'"),
        (f"{HEAD}E*,,,ERP_DATE,x\nE1,,,ERP_RATE,x\n".encode(), 3, "is never reached: 'E*' ''"),
    ],
)
def test_a_row_that_cannot_be_meant_is_named_where_it_is(
    tmp_path: Path, content: bytes, line: int, reason: str
) -> None:
    (tmp_path / "acme.csv").write_bytes(content)
    _, (problem,) = refusals.scan(tmp_path, ["acme"])

    assert ("TABLE", line) == (problem.code, problem.facts["line"])
    assert reason in str(problem.facts["detail"])


def test_a_table_that_is_not_there_is_named(tmp_path: Path) -> None:
    codes, (problem,) = refusals.scan(tmp_path, ["acme"])

    assert ((), "the table does not exist") == (codes.rows, problem.facts["detail"])
