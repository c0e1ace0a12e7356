"""How each ERP answers: delivered in the vendor's form, acknowledged in it, reconciled to the cent."""

from __future__ import annotations

import io
import shutil
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from claims import claim, deliver

from etl import config, erp, pipeline, transport
from etl.config import PROJECT
from etl.errors import PermanentError
from etl.erp import vendor

FEED_TARGETS = "targets:\n  - {{companies: [CN01], target: {target}, connection: erp, default: 'file:{{home}}/drop'}}\n"
CODES = {  # how each vendor says: no such account, closed period
    "yonyou_u8_txt": ("N", "N"),
    "yonyou_nc65_xml": ("-32000", "-32000"),
    "kingdee_k3cloud": ("FACCOUNTID", "FDate"),
    "sap_idoc_acc_document": ("51/RW/609", "51/RW/609"),
    "oracle_fusion_fbdi": ("EF04", "EP01"),
    "d365_general_journal": ("Error", "Error"),
}
BOOKS = 'nc_account: "1", nc_group: G, nc_org: CN01, nc_book: CN01, ledger_id: "2021"'


@dataclass(frozen=True)
class Way:
    """The feed `sample` of one company, with one target, and what its run came to."""

    context: pipeline.Context
    folder: Path

    def run(self, *claims: dict[str, str]) -> dict[str, Any]:
        deliver(self.folder / "in", list(claims))
        return pipeline.run(self.context, self.folder / "in")

    def load(self, *claims: dict[str, str]) -> str:
        """Deliver one batch and let nobody answer yet; returns its id."""
        deliver(self.folder / "in", list(claims))
        pipeline.extract(self.context, self.folder / "in")
        pipeline.prepare(self.context)
        (batch_id,) = pipeline.build(self.context)
        assert pipeline.load(self.context, batch_id) == "published"
        return batch_id

    def answered(self, *claims: dict[str, str]) -> str:
        """Deliver one batch and let the ERP answer; nobody has read it yet."""
        batch_id = self.load(*claims)
        pipeline.simulate(self.context, batch_id)
        return batch_id

    def members(self) -> dict[str, tuple[str, str]]:
        """Report -> state and code of its journal."""
        members = self.context.store.members(feed_id="sample")
        reports = self.context.store.journals("sample").set_index("journal_key")["report_id"]
        return {str(reports[m.journal_key]): (str(m.state), str(m.code)) for m in members.itertuples()}

    def states(self) -> list[str]:
        return [state for _, (state, _) in sorted(self.members().items())]

    def events(self, batch_id: str) -> list[str]:
        return list(self.context.store.events(batch_id)["event"])

    @property
    def drop(self) -> Path:
        return self.folder / "home/drop"

    def answer(self, batch_id: str) -> Path:
        """The file in which the ERP has answered."""
        return self.drop / self.context.profile(self.target)["acknowledge"]["answer"].replace("{batch_id}", batch_id)

    def delivered(self, batch_id: str) -> Path:
        (found,) = [path for path in self.drop.glob(f"{batch_id}.*")]
        return found

    @property
    def target(self) -> str:
        return str(self.context.bundle.feed["targets"][0]["target"])


@pytest.fixture(params=sorted(CODES))
def way(request: pytest.FixtureRequest, tmp_path: Path) -> Way:
    return opened(tmp_path, request.param)


def opened(folder: Path, target: str) -> Way:
    mappings = folder / "mappings"
    shutil.copytree(PROJECT / "mappings", mappings)
    feed = mappings / "feeds/sample.yml"
    text = feed.read_text("utf-8")
    head, rest = text.split("targets:\n")[0], text[text.index("batch:") :]
    companies = [line for line in head.splitlines() if not line.startswith(("  US01", "  JP01", "  KW01"))]
    head = "\n".join(companies).replace('ledger_id: "2021"', BOOKS)
    feed.write_text(f"{head}\n{FEED_TARGETS.format(target=target)}{rest}", "utf-8")
    change(mappings / "tables/sample_account.csv", "*,TRAIN,660202", "*,TRAIN,7001")  # an account the ERP lacks
    change(mappings / "tables/sample_periods.csv", "CN01,2025-12,closed", "CN01,2025-12,open")
    settings = config.Settings(folder / "home", mappings, f"sqlite:///{folder / 'home/store.db'}")
    return Way(pipeline.open("sample", settings=settings), folder)


def change(path: Path, old: str, new: str) -> None:
    text = path.read_text("utf-8")
    assert old in text
    path.write_text(text.replace(old, new), "utf-8")


def tamper(path: Path, old: str, new: str, times: int = 1, encoding: str = "utf-8") -> None:
    """Other bytes in a file, or in the csv of a package."""
    content = path.read_bytes()
    packed = path.suffix == ".zip"
    if packed:
        with zipfile.ZipFile(io.BytesIO(content)) as package:
            (name,) = package.namelist()
            content = package.read(name)
    assert old.encode(encoding) in content
    content = content.replace(old.encode(encoding), new.encode(encoding), times)
    if packed:
        out = io.BytesIO()
        with zipfile.ZipFile(out, "w") as package:
            package.writestr(name, content)
        content = out.getvalue()
    path.write_bytes(content)


ONE = claim(Report_ID="R1", Amount="45.00")
TWO = claim(Report_ID="R2", Amount="20.50")
GOOD = [
    claim(Report_ID="R1", Amount="45.00", Description="机票, 北京-上海"),
    claim(
        Report_ID="R2", Amount="1234.56", Tax_Code="V6", Tax="69.88", Expense_Type="HOTEL", Description='"四季" & <S>'
    ),
    claim(Report_ID="R3", Amount="-0.07"),
]
BAD = claim(Report_ID="R4", Amount="300.01", Expense_Type="TRAIN")
LATE = claim(
    Report_ID="R5", Date="2025-12-03", Submitted="2025-12-09T01:00:00Z", Approved="2025-12-10T01:00:00Z",
)  # fmt: skip
DOLLARS = [
    claim(Report_ID="R1", Line="1", Currency="USD", Amount="1.05", Report_Total="2.12"),
    claim(Report_ID="R1", Line="2", Currency="USD", Amount="1.07", Report_Total="2.12"),
]


# --- the whole way


def test_good_journals_are_posted_to_the_cent_and_a_bad_one_is_refused_with_the_vendors_code(way: Way) -> None:
    result = way.run(*GOOD, BAD, LATE)
    account, period = CODES[way.target]

    assert {
        "R1": ("posted", ""), "R2": ("posted", ""), "R3": ("posted", ""), "R4": ("rejected", account),
        "R5": ("rejected", period),
    } == way.members()  # fmt: skip
    assert (3, {"REJECTED_BY_ERP": 2}, 0) == (result["posted"], result["breaks_by_code"], result["strangers"])
    assert ledger_total(way) == Decimal("45.00") + Decimal("1234.56") - Decimal("0.07")


def ledger_total(way: Way) -> Decimal:
    """Debits less what stands in red, as the ERP's own ledger says; its credits must be as much."""
    entry = way.context.bundle.feed["targets"][0]
    with transport.folder(way.context.connection(entry), "") as session:
        lines = erp.read_ledger_file(session, way.context.profile(way.target))
    debit = lines[lines["account"].str.startswith(("6", "1", "222"))]
    credit = lines[lines["account"].str.startswith("224")]
    net = [int((part["debit_minor"] - part["credit_minor"]).sum()) for part in (debit, credit)]
    assert net[0] == -net[1]
    return Decimal(net[0]).scaleb(-2)


def test_the_same_answer_and_the_same_import_again_change_nothing(way: Way) -> None:
    batch_id = way.answered(ONE, BAD)
    first = pipeline.acknowledge(way.context, batch_id)
    before = way.members(), way.events(batch_id), way.answer(batch_id).read_bytes(), ledger_total(way)
    pipeline.simulate(way.context, batch_id)
    again = pipeline.acknowledge(way.context, batch_id)

    assert {"posted": 1, "rejected": 1, "unknown": 0, "strangers": 0} == first == again
    assert before == (way.members(), way.events(batch_id), way.answer(batch_id).read_bytes(), ledger_total(way))


def test_no_answer_yet_leaves_every_journal_open(way: Way) -> None:
    batch_id = way.load(ONE)

    assert {"posted": 0, "rejected": 0, "unknown": 1, "strangers": 0} == pipeline.acknowledge(way.context, batch_id)


@pytest.mark.parametrize("target", ["oracle_fusion_fbdi", "sap_idoc_acc_document", "yonyou_nc65_xml"])
def test_a_foreign_journal_with_a_rounding_line_is_posted_in_both_currencies(tmp_path: Path, target: str) -> None:
    way = opened(tmp_path, target)
    result = way.run(*DOLLARS)

    assert ({"R1": ("posted", "")}, 0, 1) == (way.members(), result["breaks"], result["posted"])


@pytest.mark.parametrize("target", ["yonyou_u8_txt", "d365_general_journal"])
def test_an_erp_that_has_no_foreign_amounts_refuses_a_foreign_journal(tmp_path: Path, target: str) -> None:
    way = opened(tmp_path, target)
    way.run(*DOLLARS)

    assert {"R1": ("rejected", CODES[target][0])} == way.members()


# --- answers that prove nothing

U8, NC, KINGDEE, SAP, FUSION, D365 = (
    "yonyou_u8_txt", "yonyou_nc65_xml", "kingdee_k3cloud", "sap_idoc_acc_document", "oracle_fusion_fbdi",
    "d365_general_journal",
)  # fmt: skip
DOCUMENT = "CN01-2026-02-000001"


@pytest.mark.parametrize(
    ("target", "old", "new"),
    [
        (U8, ",Y,", ",已引入,"),
        (U8, DOCUMENT, ""),
        (NC, "<resultcode>1<", "<resultcode>2<"),
        (NC, DOCUMENT, ""),
        (KINGDEE, f'"Number": "{DOCUMENT}"', '"Number": null'),
        (SAP, ",53,", ",54,"),
        (SAP, ",53,", ",64,"),
        (SAP, "CN01,0200000001,2026", ",,"),
        (FUSION, "202602000001", ""),
        (FUSION, "P,", "WU01,"),
        (D365, "Completed", "Validated"),
        (D365, DOCUMENT, ""),
    ],
)
def test_an_unknown_code_or_a_success_without_a_document_is_never_posted(
    tmp_path: Path, target: str, old: str, new: str
) -> None:
    way = opened(tmp_path, target)
    batch_id = way.answered(ONE, BAD)
    tamper(way.answer(batch_id), old, new, 9, "gbk" if target == U8 else "utf-8")
    if (target, old) == (FUSION, "P,"):
        tamper(way.answer(batch_id), "202602000001", "")
    counts = pipeline.acknowledge(way.context, batch_id)

    assert (0, 1, 1) == (counts["posted"], counts["rejected"], counts["unknown"])
    assert ["sealed", "rejected"] == way.states()


def test_in_fusion_a_header_proves_the_posting_whatever_the_letter(tmp_path: Path) -> None:
    way = opened(tmp_path, FUSION)
    batch_id = way.answered(ONE)
    tamper(way.answer(batch_id), "P,", "WU01,")

    assert 1 == pipeline.acknowledge(way.context, batch_id)["posted"]


@pytest.mark.parametrize(
    ("target", "key"),
    [(NC, "<bdocid>{}"), (KINGDEE, '"DIndex": 0'), (SAP, ",{},CN01"), (FUSION, "{},,"), (D365, "{},C")],
)
def test_an_answer_for_a_journal_of_no_such_batch_is_told(tmp_path: Path, target: str, key: str) -> None:
    way = opened(tmp_path, target)
    batch_id = way.answered(ONE, TWO)
    (journal_key,) = way.context.store.journals("sample").query("report_id == 'R1'")["journal_key"]
    strange = key.replace('"DIndex": 0', '"DIndex": 7').format("STRANGER") if "{}" in key else '"DIndex": 7'
    tamper(way.answer(batch_id), key.format(journal_key) if "{}" in key else key, strange, 9)
    first, again = (pipeline.acknowledge(way.context, batch_id) for _ in range(2))
    told = way.context.store.events(batch_id).query("event == 'strangers'")["detail"].tolist()

    assert {"posted": 1, "rejected": 0, "unknown": 1, "strangers": 1} == first == again
    assert ["STRANGER posted" if target != KINGDEE else "index 7 posted"] == [
        " ".join(t.rsplit(" ", 1)[:1]) for t in told
    ]


# --- answers that cannot be read

Spoil = Callable[[bytes], bytes]


def swap(old: str, new: str, encoding: str = "utf-8") -> Spoil:
    def spoil(content: bytes) -> bytes:
        assert old.encode(encoding) in content
        return content.replace(old.encode(encoding), new.encode(encoding), 1)

    return spoil


def cut(content: bytes) -> bytes:
    return content[:-30]


MALFORMED: list[tuple[str, Spoil, str]] = [
    (U8, swap("填制凭证,V800", "填制凭证,V900", "gbk"), "its first line is not"),
    (U8, lambda content: content[: content.rindex(b"2026-02-10")], "has 3 records, 4 were delivered"),
    (U8, lambda content: content.replace(b"2026-02-10", b"2026-02-10\xff\xff"), "is not gbk"),
    (U8, swap(",记,", ",记,X", "gbk"), "record 1 is not the one delivered"),
    (NC, cut, "is no XML"),
    (NC, lambda content: b"", "is no XML"),
    (NC, swap("<ufinterface", '<!DOCTYPE u [<!ENTITY a "posted">]><ufinterface'), "declares a document type"),
    (NC, lambda content: content.replace(b"sendresult", b"result"), "answers nothing at ufinterface/sendresult"),
    (NC, lambda content: content.replace(b"ufinterface", b"interface"), "answers nothing at ufinterface/sendresult"),
    (NC, lambda content: content.replace(b"bdocid", b"id"), "an answer has no bdocid"),
    (NC, lambda content: b"<a>" * 200, "nested deeper"),
    (KINGDEE, cut, "is no JSON"),
    (KINGDEE, lambda content: b"[" * 200_000, "is no JSON"),
    (KINGDEE, swap('"IsSuccess"', '"Errors"'), "key 'Errors' stands twice"),
    (KINGDEE, swap('"SuccessEntitys"', '"Entitys"'), "there is no Result.ResponseStatus.SuccessEntitys"),
    (KINGDEE, swap('"Errors": []', '"Errors": "none"'), "Errors is no list"),
    (KINGDEE, swap('"DIndex": 0', '"DIndex": -1'), "'-1' is no index"),
    (KINGDEE, swap(f'"{DOCUMENT}"', "{}"), "Number is no text"),
    (KINGDEE, lambda content: b'{"Result": {"ResponseStatus": {"Errors": [], "SuccessEntitys": null}}}', "answers nothing"),
    (KINGDEE, lambda content: content + b"\xff", "is not utf-8"),
    (SAP, cut, "it is cut off"),
    (SAP, swap("XBLNR", "XBLNR2"), "column XBLNR stands 0 times"),
    (SAP, swap("STAMNO", "STATUS"), "column STATUS stands 2 times"),
    (FUSION, swap("P,", "P,,"), "record 2 has 7 fields, the header has 6"),
    (FUSION, swap("P,", 'P"",'), ""),
    (D365, swap("Completed", '"Comp"leted'), "is no csv"),
    (D365, lambda content: b"", "it is cut off"),
]  # fmt: skip


@pytest.mark.parametrize(("target", "spoil", "reason"), [case for case in MALFORMED if case[2]])
def test_a_malformed_answer_is_an_error_and_changes_nothing(
    tmp_path: Path, target: str, spoil: Spoil, reason: str
) -> None:
    way = opened(tmp_path, target)
    batch_id = way.answered(ONE, TWO)
    before, path = way.events(batch_id), way.answer(batch_id)
    good = path.read_bytes()
    path.write_bytes(spoil(good))
    with pytest.raises(PermanentError, match=f"ANSWER_UNREADABLE .*{reason}"):
        pipeline.acknowledge(way.context, batch_id)
    after = way.states(), way.events(batch_id)
    path.write_bytes(good)

    assert (["sealed", "sealed"], before) == after
    assert 2 == pipeline.acknowledge(way.context, batch_id)["posted"]


def test_an_answer_beyond_the_limit_is_not_even_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    way = opened(tmp_path, NC)
    batch_id = way.answered(ONE)
    monkeypatch.setattr(vendor, "ANSWER_BYTES_MAX", 100)

    with pytest.raises(PermanentError, match=r"ANSWER_UNREADABLE .* it has [0-9]+ bytes, at most 100"):
        pipeline.acknowledge(way.context, batch_id)


# --- what the sandbox refuses


@pytest.mark.parametrize(
    ("target", "old", "new", "times"),
    [
        (U8, "45.00,0.00", "46.00,0.00", 1),
        (NC, "45.00", "46.00", 4),
        (KINGDEE, "45.00", "46.00", 2),
        (SAP, "45.00", "46.00", 1),
        (FUSION, "45.00,,45.00,", "46.00,,46.00,", 1),
        (D365, "45.00,0.00", "46.00,0.00", 1),
    ],
)
def test_a_journal_that_does_not_balance_is_refused_and_its_sibling_posted(
    tmp_path: Path, target: str, old: str, new: str, times: int
) -> None:
    way = opened(tmp_path, target)
    batch_id = way.load(ONE, TWO)
    tamper(way.delivered(batch_id), old, new, times)
    pipeline.simulate(way.context, batch_id)
    pipeline.acknowledge(way.context, batch_id)
    code = {U8: "N", NC: "-32000", KINGDEE: "FDEBIT", SAP: "51/RW/609", FUSION: "EU02", D365: "Error"}[target]

    assert {"R1": ("rejected", code), "R2": ("posted", "")} == way.members()
    (message,) = way.context.store.members(batch_id).query("state == 'rejected'")["message"]
    assert "debits and credits differ by 1 CNY" in message
