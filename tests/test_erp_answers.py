"""How each ERP answers: delivered in the vendor's form, acknowledged in it, reconciled to the cent."""

from __future__ import annotations

import csv
import functools
import io
import shutil
import zipfile
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

import pandas as pd
import pytest
from claims import claim, deliver

from etl import config, console, erp, listing, pipeline, reasons, transport
from etl.config import PROJECT
from etl.erp import vendor
from etl.errors import CATALOGUE, ConfigurationError, ConflictError, PermanentError
from etl.pipeline import inquire
from sandbox.erp import drop, faults
from sandbox.erp.books import DEFAULT, read_books
from sandbox.erp.faults import Faults
from sandbox.erp.forms import u8

FEED_TARGETS = "targets:\n  - {{companies: [CN01], target: {target}, connection: erp, default: 'file:{{home}}/drop'}}\n"
U8, NC, KINGDEE, SAP, FUSION, D365 = (
    "yonyou_u8_txt", "yonyou_nc65_xml", "kingdee_k3cloud", "sap_idoc_acc_document", "oracle_fusion_fbdi",
    "d365_general_journal",
)  # fmt: skip
DOCUMENT = "CN01-2026-02-000001"
BOOKS = read_books(DEFAULT)
CODES = {  # how each vendor says: no such account, closed period
    "yonyou_u8_txt": ("N", "N"),
    "yonyou_nc65_xml": ("-32000", "-32000"),
    "kingdee_k3cloud": ("FACCOUNTID", "FDate"),
    "sap_idoc_acc_document": ("51/RW/609", "51/RW/609"),
    "oracle_fusion_fbdi": ("EF04", "EP01"),
    "d365_general_journal": ("Error", "Error"),
}
ATTRIBUTES = 'nc_account: "1", nc_group: G, nc_org: CN01, nc_book: CN01, ledger_id: "2021"'


@dataclass(frozen=True)
class Way:
    """The feed `sample` of one company, with one target, and what its run came to."""

    context: pipeline.Context
    folder: Path

    def load(self, *claims: dict[str, str]) -> str:
        """Deliver one batch; returns its id."""
        deliver(self.folder / "in", list(claims))
        pipeline.extract(self.context, self.folder / "in")
        pipeline.prepare(self.context)
        (batch_id,) = pipeline.build(self.context)
        assert pipeline.load(self.context, batch_id) == "published"
        return batch_id

    def imported(self) -> Way:
        """The ERP takes what lies there and answers; nobody has read it yet."""
        drop.import_folder(self.drop, BOOKS)
        return self

    def acknowledge(self) -> dict[str, int]:
        return pipeline.acknowledge(self.context, self.batch_id)

    def members(self) -> dict[str, tuple[str, str]]:
        """Report -> state and code of its journal."""
        members = self.context.store.members(feed_id="sample")
        reports = self.context.store.journals("sample").set_index("journal_key")["report_id"]
        return {str(reports[m.journal_key]): (str(m.state), str(m.code)) for m in members.itertuples()}

    def states(self) -> list[str]:
        return [state for _, (state, _) in sorted(self.members().items())]

    def events(self) -> list[str]:
        return list(self.context.store.events(self.batch_id)["event"])

    @property
    def batch_id(self) -> str:
        (batch,) = self.context.store.batches("sample")
        return batch.batch_id

    @property
    def drop(self) -> Path:
        return self.folder / "home/drop"

    @property
    def answer(self) -> Path:
        """The file in which the ERP has answered."""
        name = self.context.profile(self.target)["acknowledge"]["answer"]
        return self.drop / name.replace("{batch_id}", self.batch_id)

    @property
    def delivered(self) -> Path:
        (found,) = self.drop.glob(f"{self.batch_id}.*")
        return found

    @property
    def target(self) -> str:
        return str(self.context.bundle.feed["targets"][0]["target"])


def mapped(folder: Path, target: str) -> None:
    """Mappings in which CN01 posts to one target, an expense type goes to an account and a claim into a period that
    the ERP does not take."""
    mappings = folder / "mappings"
    shutil.copytree(PROJECT / "mappings", mappings)
    feed = mappings / "feeds/sample.yml"
    text = feed.read_text("utf-8")
    head, rest = text.split("targets:\n")[0], text[text.index("batch:") :]
    companies = [line for line in head.splitlines() if not line.startswith(("  US01", "  JP01", "  KW01"))]
    head = "\n".join(companies).replace('ledger_id: "2021"', ATTRIBUTES)
    feed.write_text(f"{head}\n{FEED_TARGETS.format(target=target)}{rest}", "utf-8")
    change(mappings / "tables/sample_account.csv", "*,TRAIN,660202", "*,TRAIN,7001")
    change(mappings / "tables/sample_periods.csv", "CN01,2025-12,closed", "CN01,2025-12,open")


def opened(folder: Path) -> Way:
    settings = config.Settings(folder / "home", folder / "mappings", f"sqlite:///{folder / 'home/store.db'}")
    return Way(pipeline.open("sample", settings=settings), folder)


def new(folder: Path, target: str) -> Way:
    mapped(folder, target)
    return opened(folder)


@pytest.fixture(params=sorted(CODES))
def target(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="session")
def once(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """A batch of two good journals and a bad one that lies at a target, made once for each."""

    @functools.cache
    def make(target: str) -> Path:
        folder = tmp_path_factory.mktemp(target)
        way = new(folder, target)
        way.load(ONE, TWO, BAD)
        way.context.store.close()
        return folder

    return make


@pytest.fixture
def way(once: Callable[[str], Path], target: str, tmp_path: Path) -> Iterator[Way]:
    """A copy of it of this test's own."""
    shutil.copytree(once(target), tmp_path / "way")
    made = opened(tmp_path / "way")
    yield made
    made.context.store.close()


def change(path: Path, old: str, new: str) -> None:
    text = path.read_text("utf-8")
    assert old in text
    path.write_text(text.replace(old, new), "utf-8")


def tamper(path: Path, old: str, new: str, times: int = 1, encoding: str = "utf-8") -> None:
    """Other text in a file, or in the csv of a package."""

    def spoil(content: bytes) -> bytes:
        assert old.encode(encoding) in content
        return content.replace(old.encode(encoding), new.encode(encoding), times)

    inside(path, spoil)


def inside(path: Path, spoil: Callable[[bytes], bytes]) -> None:
    """Change a file, or the csv in a package."""
    if path.suffix != ".zip":
        path.write_bytes(spoil(path.read_bytes()))
        return
    with zipfile.ZipFile(path) as package:
        (name,) = package.namelist()
        content = spoil(package.read(name))
    with zipfile.ZipFile(path, "w") as package:
        package.writestr(name, content)


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


def test_good_journals_are_posted_to_the_cent_and_a_bad_one_is_refused_with_the_vendors_code(
    target: str, tmp_path: Path
) -> None:
    way = new(tmp_path, target)
    deliver(tmp_path / "in", [*GOOD, BAD, LATE])
    result = pipeline.run(way.context, tmp_path / "in")
    account, period = CODES[target]

    assert {
        "R1": ("posted", ""), "R2": ("posted", ""), "R3": ("posted", ""), "R4": ("rejected", account),
        "R5": ("rejected", period),
    } == way.members()  # fmt: skip
    assert (3, {"REJECTED_BY_ERP": 2}, 0) == (result["posted"], result["breaks_by_code"], result["strangers"])
    assert Decimal("45.00") + Decimal("1234.56") - Decimal("0.07") == ledger_total(way)


def ledger_total(way: Way) -> Decimal:
    """What the ERP's own ledger owes its employees; its expenses and taxes must be as much."""
    entry = way.context.bundle.feed["targets"][0]
    with transport.folder(way.context.connection(entry), "") as session:
        lines = erp.read_ledger_file(session, way.context.profile(way.target))
    net, owed = lines["credit_minor"] - lines["debit_minor"], lines["account"].str.startswith("224")
    assert net.sum() == 0
    return Decimal(int(net[owed].sum())).scaleb(-2)


def test_the_same_answer_and_the_same_import_again_change_nothing(way: Way) -> None:
    first = way.imported().acknowledge()
    before = way.members(), way.events(), way.answer.read_bytes(), ledger_total(way)
    again = way.imported().acknowledge()

    assert {"posted": 2, "rejected": 1, "unknown": 0, "strangers": 0} == first == again
    assert before == (way.members(), way.events(), way.answer.read_bytes(), ledger_total(way))


def test_a_file_that_lies_there_again_is_answered_again_and_posts_nothing(way: Way) -> None:
    content, name = way.delivered.read_bytes(), way.delivered.name
    first = way.imported().answer.read_bytes(), ledger_total(way)
    (way.drop / name).write_bytes(content)

    assert first == (way.imported().answer.read_bytes(), ledger_total(way))


def test_no_answer_yet_leaves_every_journal_open(way: Way) -> None:
    assert {"posted": 0, "rejected": 0, "unknown": 3, "strangers": 0} == way.acknowledge()


@pytest.mark.parametrize("target", [FUSION, SAP, NC])
def test_a_foreign_journal_with_a_rounding_line_is_posted_in_both_currencies(tmp_path: Path, target: str) -> None:
    way = new(tmp_path, target)
    way.load(*DOLLARS)
    way.imported().acknowledge()
    proof = pipeline.reconcile(way.context)

    assert ({"R1": ("posted", "")}, 0, 1) == (way.members(), proof["breaks"], proof["counts"]["posted"])


@pytest.mark.parametrize("target", [U8, D365])
def test_an_erp_that_has_no_foreign_amounts_refuses_a_foreign_journal(tmp_path: Path, target: str) -> None:
    way = new(tmp_path, target)
    way.load(*DOLLARS)
    way.imported().acknowledge()

    assert {"R1": ("rejected", CODES[target][0])} == way.members()


# --- answers that prove nothing


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
        (SAP, "CN01,0200000001,2026", "CN01,,2026"),
        (SAP, "CN01,0200000001,2026", "CN01,0000000000,2026"),
        (FUSION, "202602000001", ""),
        (D365, "Completed", "Validated"),
        (D365, DOCUMENT, ""),
    ],
)
def test_an_unknown_code_or_a_success_without_a_document_is_never_posted(
    way: Way, target: str, old: str, new: str
) -> None:
    tamper(way.imported().answer, old, new, 9, "gbk" if target == U8 else "utf-8")
    way.acknowledge()
    codes = [",Y,", "<resultcode>1<", ",53,", "Completed"]

    assert ["sealed", "sealed" if old in codes else "posted", "rejected"] == way.states()


@pytest.mark.parametrize("target", [D365])
def test_two_documents_for_one_journal_stop(way: Way) -> None:
    tamper(way.imported().answer, DOCUMENT, "CN01-2026-02-000009")

    with pytest.raises(ConflictError, match="ANSWER_CHANGED"):
        way.acknowledge()
    assert ["sealed"] * 3 == way.states()


@pytest.mark.parametrize("target", [FUSION])
def test_in_fusion_a_header_proves_the_posting_whatever_the_letter(way: Way) -> None:
    tamper(way.imported().answer, "\nP,", "\nWU01,", 9)

    assert 2 == way.acknowledge()["posted"]


@pytest.mark.parametrize(
    ("target", "key"),
    [(NC, "<bdocid>{}"), (KINGDEE, '"DIndex": 0'), (SAP, ",{},CN01"), (FUSION, "{},,"), (D365, "{},C")],
)
def test_an_answer_for_a_journal_of_no_such_batch_is_told(way: Way, key: str) -> None:
    (journal_key,) = way.context.store.journals("sample").query("report_id == 'R1'")["journal_key"]
    old, new = (key.format(journal_key), key.format("STRANGER")) if "{}" in key else (key, '"DIndex": 7')
    tamper(way.imported().answer, old, new, 9)
    first, again = way.acknowledge(), way.acknowledge()
    told = way.context.store.events(way.batch_id).query("event == 'strangers'")["detail"].tolist()

    assert {"posted": 1, "rejected": 1, "unknown": 1, "strangers": 1} == first == again
    assert ["index 7 posted" if key == '"DIndex": 0' else "STRANGER posted"] == [t.rsplit(" ", 1)[0] for t in told]


@pytest.mark.parametrize("target", [SAP])
def test_a_run_that_meets_a_strangers_answer_says_so_and_is_not_green(
    way: Way, capsys: pytest.CaptureFixture[str]
) -> None:
    (journal_key,) = way.context.store.journals("sample").query("report_id == 'R1'")["journal_key"]
    tamper(way.imported().answer, journal_key, "STRANGER")
    result = pipeline.run(way.context, way.folder / "in")
    console.show_run(result)

    assert (1, 1) == (result["strangers"], pipeline.exit_code(result))
    assert "The ERP answered for 1 journals" in capsys.readouterr().out


# --- answers that cannot be read

Spoil = Callable[[bytes], bytes]


def swap(old: str, new: str, encoding: str = "utf-8") -> Spoil:
    def spoil(content: bytes) -> bytes:
        assert old.encode(encoding) in content
        return content.replace(old.encode(encoding), new.encode(encoding), 1)

    return spoil


def status(errors: str) -> bytes:
    return f'{{"Result": {{"ResponseStatus": {{"Errors": {errors}, "SuccessEntitys": null}}}}}}'.encode()


def cut(content: bytes) -> bytes:
    return content[:-30]


MALFORMED: list[tuple[str, Spoil, str]] = [
    (U8, swap("填制凭证,V800", "填制凭证,V900", "gbk"), "its first line is not"),
    (U8, lambda content: content[: content.rindex(b"2026-02-10")], "has 5 records, 6 were delivered"),
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
    (KINGDEE, lambda content: status('"none"'), "Errors is no list"),
    (KINGDEE, swap('"DIndex": 0', '"DIndex": -1'), "'-1' is no index"),
    (KINGDEE, swap(f'"{DOCUMENT}"', "{}"), "Number is no text"),
    (KINGDEE, lambda content: status("[]"), "answers nothing"),
    (KINGDEE, lambda content: content + b"\xff", "is not utf-8"),
    (SAP, cut, "it is cut off"),
    (SAP, swap("XBLNR", "XBLNR2"), "column XBLNR stands 0 times"),
    (SAP, lambda content: content.replace(b",", b";"), "in its header; it is written with the delimiter ';', ',' was"),
    (SAP, swap("STAMNO", "STATUS"), "column STATUS stands 2 times"),
    (FUSION, swap("P,", "P,,"), "record 2 has 7 fields, the header has 6"),
    (D365, swap("Completed", '"Comp"leted'), "is no csv"),
    (D365, lambda content: b"", "it is cut off"),
]  # fmt: skip


@pytest.mark.parametrize(("target", "spoil", "reason"), MALFORMED)
def test_a_malformed_answer_is_an_error_and_changes_nothing(way: Way, spoil: Spoil, reason: str) -> None:
    before, path = way.events(), way.imported().answer
    good = path.read_bytes()
    path.write_bytes(spoil(good))
    with pytest.raises(PermanentError, match=f"ANSWER_UNREADABLE .*{reason}"):
        way.acknowledge()
    after = way.states(), way.events()
    path.write_bytes(good)

    assert (["sealed", "sealed", "sealed"], before) == after
    assert {"posted": 2, "rejected": 1, "unknown": 0, "strangers": 0} == way.acknowledge()


@pytest.mark.parametrize("target", [NC])
def test_an_answer_beyond_the_limit_is_not_even_read(way: Way, monkeypatch: pytest.MonkeyPatch) -> None:
    way.imported()
    monkeypatch.setattr(vendor, "ANSWER_BYTES_MAX", 100)

    with pytest.raises(PermanentError, match=r"ANSWER_UNREADABLE .* it has [0-9]+ bytes, at most 100"):
        way.acknowledge()


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
    way: Way, target: str, old: str, new: str, times: int
) -> None:
    tamper(way.delivered, old, new, times)
    way.imported().acknowledge()
    code = {U8: "N", NC: "-32000", KINGDEE: "FDEBIT", SAP: "51/RW/609", FUSION: "EU02", D365: "Error"}[target]
    messages = way.context.store.members(way.batch_id).query("state == 'rejected'")["message"].tolist()

    assert {"R1": ("rejected", code), "R2": ("posted", ""), "R4": ("rejected", CODES[target][0])} == way.members()
    assert 1 == sum("debits and credits differ by 1 CNY" in message for message in messages)


def one_field_less(content: bytes) -> bytes:
    return content.replace(b",claimpost,", b",", 1)


def torn(content: bytes) -> bytes:
    """The first record behind the last one."""
    first, record, *rest = content.split(b"\r\n")
    return b"\r\n".join([first, *rest[:-1], record, b""])


def blank_date_created(content: bytes) -> bytes:
    return content.replace(b"CNY,2026/02/10", b"CNY,", 1)


def one_bit(content: bytes) -> bytes:
    return content.replace(b"45.00", b"44.00", 1)


DAMAGED: list[tuple[str, Spoil, str]] = [
    (U8, one_field_less, "has 47 fields, not 48"),
    (U8, swap("2026-02-10", "2026-2-10"), "is no date written"),
    (U8, swap("45.00,0.00", "45,0"), "must have two decimals"),
    (U8, swap("45.00,0.00", "45.00,45.00"), "both sides are filled"),
    (U8, swap("0,0,0,0\r\n", "0,0,0,1\r\n"), "no 0 where one belongs"),
    (NC, swap('replace="N"', 'replace="Y"'), "attributes of ufinterface"),
    (NC, swap("<pk_system>GL", "<pk_system>AP"), "no voucher of the general ledger"),
    (NC, swap("<detailindex>1", "<detailindex>3"), "not numbered from 1"),
    (NC, swap("<groupdebitamount>45.00", "<groupdebitamount>44.00"), "amounts differ"),
    (NC, swap("<explanation>TAXI Taxi", "<explanation>"), "has no explanation"),
    (KINGDEE, swap('"FVOUCHERID": 0', '"FVOUCHERID": 7'), "FVOUCHERID 0"),
    (KINGDEE, swap('"true"', '"false"'), "ValidateRepeatJson is 'false'"),
    (KINGDEE, swap('"FDEBIT": 45.00', '"FDEBIT": "45.00"'), "must be numbers"),
    (KINGDEE, swap('"FAMOUNTFOR": 45.00', '"FAMOUNTFOR": 44.00'), "FAMOUNTFOR is the one side"),
    (KINGDEE, swap("2026-02-10", "10.02.2026"), "is no date written"),
    (SAP, swap("<DIRECT>2", "<DIRECT>1"), "DIRECT is '1', not 2"),
    (SAP, swap("<GL_ACCOUNT>0000", "<GL_ACCOUNT>"), "needs leading zeros"),
    (SAP, swap("<ITEMNO_ACC>0000000001", "<ITEMNO_ACC>0000000003"), "must be numbered from"),
    (SAP, swap("<PSTNG_DATE>2026", "<PSTNG_DATE>26"), "is no date written"),
    (SAP, swap("<CURRENCY_ISO>CNY", "<CURRENCY_ISO>RMB"), "unknown currency"),
    (D365, swap("Ledger", "Vendor"), "ACCOUNTTYPE is 'Vendor', not Ledger"),
    (D365, swap("45.00,0.00", "45.00,"), "both amounts must be given"),
    (D365, swap("Expense claims", "Expenses"), "DESCRIPTION is"),
]  # fmt: skip


@pytest.mark.parametrize(("target", "spoil", "reason"), DAMAGED)
def test_a_file_that_is_not_what_the_vendor_takes_is_refused_whole(way: Way, spoil: Spoil, reason: str) -> None:
    inside(way.delivered, spoil)
    way.imported().acknowledge()
    messages = way.context.store.members(way.batch_id)["message"].tolist()

    assert ["rejected"] * 3 == way.states()
    assert all(reason in message for message in messages), messages
    assert Decimal(0) == ledger_total(way)


@pytest.mark.parametrize(
    ("target", "spoil", "reason"),
    [
        (FUSION, swap(",A,", ",B,"), "ACTUAL_FLAG A"),
        (FUSION, blank_date_created, "'' is no date written"),
        (FUSION, swap("NEW,", "NEW,,"), "has 150 fields, not 149"),
        (
            FUSION,
            swap("660201,,,,", "660201,,,X,"),
            "14 must be blank",
        ),
        (FUSION, swap("45.00,,45.00,", "45.00,,44.00,"), "entered and accounted amounts differ"),
    ],
)
def test_a_load_that_fails_leaves_nothing_in_the_interface_and_its_journals_open(
    way: Way, spoil: Spoil, reason: str
) -> None:
    inside(way.delivered, spoil)
    counts = way.imported().acknowledge()

    assert {"posted": 0, "rejected": 0, "unknown": 3, "strangers": 0} == counts
    assert (1, Decimal(0)) == (len(way.answer.read_text("utf-8").splitlines()), ledger_total(way))
    with closing(drop.open_ledger(way.drop)) as ledger:
        assert all(reason in message for (message,) in ledger.execute("SELECT message FROM answer"))


@pytest.mark.parametrize("target", [U8])
def test_a_voucher_that_is_torn_apart_is_refused_and_its_file_is_not_the_one_delivered(way: Way) -> None:
    way.delivered.write_bytes(torn(way.delivered.read_bytes()))
    way.imported()

    assert "do not stand together" in way.answer.read_text("gbk")
    with pytest.raises(PermanentError, match="record 2 is not the one delivered"):
        way.acknowledge()


@pytest.mark.parametrize(
    ("target", "spoil", "states", "strangers"),
    [
        (NC, cut, ["sealed"] * 3, 1),
        (SAP, cut, ["sealed"] * 3, 1),
        (KINGDEE, cut, ["rejected", "sealed", "sealed"], 0),  # it blames the first voucher of the body
        (FUSION, cut, ["sealed"] * 3, 0),
        (FUSION, one_bit, ["sealed"] * 3, 0),
        (D365, one_bit, ["sealed"] * 3, 1),
    ],
)
def test_a_file_whose_journals_cannot_be_made_out_posts_nothing(
    way: Way, spoil: Spoil, states: list[str], strangers: int
) -> None:
    way.delivered.write_bytes(spoil(way.delivered.read_bytes()))
    counts = way.imported().acknowledge()

    assert (states, Decimal(0)) == (way.states(), ledger_total(way))
    assert (0, strangers) == (counts["posted"], counts["strangers"])


@pytest.mark.parametrize("target", [D365])
def test_a_package_of_manifests_alone_is_taken_silently_and_that_is_no_success(way: Way) -> None:
    with zipfile.ZipFile(way.delivered, "w") as package:
        package.writestr("Manifest.xml", "<DataManagementPackageManifest/>")

    assert {"posted": 0, "rejected": 0, "unknown": 3, "strangers": 0} == way.imported().acknowledge()


@pytest.mark.parametrize("target", [U8])
@pytest.mark.parametrize("step", ["before the answer", "before the marks"])
def test_an_import_that_ends_before_it_marks_the_file_heals_on_the_next_run(way: Way, step: str) -> None:
    content = way.delivered.read_bytes()
    with closing(drop.open_ledger(way.drop)) as ledger:
        drop.post(ledger, way.batch_id, content, BOOKS, u8.FORM)
        if step == "before the marks":
            drop.answer(ledger, way.drop, way.batch_id, u8.FORM, content)
            way.delivered.write_bytes(content)

    assert {"posted": 2, "rejected": 1, "unknown": 0, "strangers": 0} == way.imported().acknowledge()
    assert Decimal("65.50") == ledger_total(way)


# --- profiles


@pytest.mark.parametrize(
    ("target", "old", "new", "field", "reason"),
    [
        (NC, "  each: ufinterface/sendresult\n", "", "acknowledge", "'each' is a required property"),
        (NC, "posted,", "success,", "acknowledge.levels.1", "'success' is not one of"),
        (NC, "  key: bdocid", "  keys: bdocid", "acknowledge", "'keys' was unexpected"),
        (NC, "kind: xml\n  codes", "kind: html\n  codes", "acknowledge.kind", "'html' is not one of"),
        (SAP, "ack/{batch_id}.ack.csv", "../{batch_id}.csv", "acknowledge.answer", "does not match"),
        (U8, 'key: "3"', "key: 业务号", "acknowledge.key", "does not match"),
        (KINGDEE, "index: DIndex, level: posted", "level: posted", "acknowledge.lists.0", "exactly one of key, index"),
    ],
)
def test_a_mistake_in_the_answer_part_of_a_profile_is_named_where_it_is(
    target: str, old: str, new: str, field: str, reason: str
) -> None:
    text = (PROJECT / f"mappings/targets/{target}.yml").read_text("utf-8")
    assert old in text
    document = config.read_yaml(text.replace(old, new).encode(), "x.yml")
    problems = [(p.facts["field"], str(p.facts["detail"])) for p in config.check(document, "target")]

    assert [found for found, detail in problems if reason in detail][:1] == [field], problems


@pytest.mark.parametrize(
    ("target", "old", "new", "reason"),
    [
        (U8, "quote: none", "quote: minimal", "only a delimited file without quotes or zip can be answered in place"),
        (SAP, "  key: XBLNR", "  key: XBLNR\n  encoding: utf-9", "no encoding 'utf-9'"),
    ],
)
def test_an_answer_that_the_target_cannot_have_is_found_by_mapping_check(
    tmp_path: Path, target: str, old: str, new: str, reason: str
) -> None:
    mapped(tmp_path, target)
    change(tmp_path / f"mappings/targets/{target}.yml", old, new)

    with pytest.raises(ConfigurationError, match=reason):
        opened(tmp_path)


# --- an ERP that misbehaves, in each vendor's form


@pytest.mark.parametrize("name", [faults.ERROR_INSIDE, faults.DRAFTS, faults.LYING, faults.WITHOUT_EFFECT])
def test_a_form_answers_a_fault_and_no_struck_journal_is_matched(way: Way, name: str) -> None:
    done = drop.import_folder(way.drop, BOOKS, faults=Faults(frozenset({name})))
    way.acknowledge()
    found = pipeline.reconcile(way.context)
    documents = pd.read_csv(way.folder / "home/reports/sample/documents.csv", dtype=str, keep_default_na=False)
    struck = documents[documents["journal_key"].isin(done["struck"])]

    assert not found["explained"]
    assert len(struck) == 1 and "matched" not in set(struck["bucket"])


# --- reasons in our codes

OURS = {name: "ERP_COMBINATION" if name == FUSION else "ERP_ACCOUNT_INVALID" for name in CODES}


def test_a_refusal_is_told_in_our_code_with_owner_and_next_step_beside_the_erps_own_words(way: Way) -> None:
    way.imported().acknowledge()
    proof, store, mappings = pipeline.reconcile(way.context), way.context.store, way.folder / "mappings"
    ours, (own, *_) = OURS[way.target], CODES[way.target]
    (row,) = csv.DictReader(io.StringIO((way.folder / "home/reports/sample/breaks.csv").read_text("utf-8-sig")))
    batch = reasons.told(inquire.batch(store, way.context.shelf, way.batch_id), mappings)
    (refused,) = (one for one in batch["members"] if one["state"] == "rejected")

    assert {ours: 1} == proof["by_refusal"]
    assert (ours, CATALOGUE[ours].owner, CATALOGUE[ours].next_step) == (row["refusal"], row["owner"], row["next_step"])
    erp = row["erp"].removeprefix("'")  # a spreadsheet program would run -32000
    assert erp.startswith(own) and f"{ours} ({erp})" in row["reason"]
    assert (own, ours) == (refused["code"], refused["refusal"])
    assert [ours] == [one["code"] for one in batch["refusals"]]
    assert [{ours: 1}] == [one["refused"] for one in listing.listed(mappings, store)]


@pytest.mark.parametrize("target", [SAP])
def test_people_read_our_code_in_status_show_and_reconcile(way: Way, capsys: pytest.CaptureFixture[str]) -> None:
    way.imported().acknowledge()
    store, mappings = way.context.store, way.folder / "mappings"
    (journal_key,) = store.journals("sample").query("report_id == 'R4'")["journal_key"]
    console.show_batches(listing.listed(mappings, store))
    console.show_reconciliation(pipeline.reconcile(way.context))
    console.show_found(reasons.told(inquire.journal(store, way.context.shelf, journal_key), mappings))
    said = " ".join(capsys.readouterr().out.split())

    assert "ERP_ACCOUNT_INVALID 1 finance: Have the account made there" in said
    assert said.count("ERP_ACCOUNT_INVALID") >= 3
    assert "refusals" in said


@pytest.mark.parametrize("target", [SAP])
def test_a_refusal_that_no_row_knows_is_unknown_and_keeps_its_words(way: Way) -> None:
    tamper(way.imported().answer, "UNKNOWN_ACCOUNT: account 7001", "Qwzx 42")
    way.acknowledge()
    assert {"ERP_UNMAPPED": 1} == pipeline.reconcile(way.context)["by_refusal"]
    assert "Qwzx 42" in (way.folder / "home/reports/sample/breaks.csv").read_text("utf-8-sig")

    (way.folder / "mappings/targets" / f"{SAP}.yml").unlink()  # what the ERP said is shown all the same
    told = reasons.told(inquire.report(way.context.store, way.context.shelf, "R4"), way.folder / "mappings")
    assert ["ERP_UNMAPPED"] == [one["refusal"] for one in told["members"]]


def test_what_has_no_answers_is_told_as_it_is(tmp_path: Path) -> None:
    assert {"members": [], "x": 1} == reasons.told({"members": [], "x": 1}, tmp_path)


@pytest.mark.parametrize("target", [SAP])
def test_a_row_added_later_explains_an_earlier_refusal(way: Way) -> None:
    tamper(way.imported().answer, "UNKNOWN_ACCOUNT: account 7001", "Qwzx 42")
    way.acknowledge()
    table = way.folder / "mappings/codes/sap.csv"
    table.write_text(f"{table.read_text('utf-8')}*,Qwzx,Qwzx 42,ERP_SETUP,the test\n", "utf-8")
    way.context.store.close()

    assert {"ERP_SETUP": 1} == pipeline.reconcile(opened(way.folder).context)["by_refusal"]


# --- when an answer comes, and where


def lines_kept(path: Path, *numbers: int) -> bytes:
    """Only these lines of an answer; returns the whole of it."""
    whole = path.read_bytes()
    lines = whole.splitlines(keepends=True)
    path.write_bytes(b"".join(lines[number] for number in numbers))
    return whole


@pytest.mark.parametrize("target", [SAP, FUSION])
def test_a_partial_answer_leaves_the_rest_open_and_the_whole_one_completes_it(way: Way) -> None:
    whole = lines_kept(way.imported().answer, 0, 1)
    part = way.acknowledge()
    state = way.context.store.batch(way.batch_id).state
    way.answer.write_bytes(whole)

    assert ({"posted": 1, "rejected": 0, "unknown": 2, "strangers": 0}, "published") == (part, state)
    assert {"posted": 2, "rejected": 1, "unknown": 0, "strangers": 0} == way.acknowledge()
    assert "acknowledged" == way.context.store.batch(way.batch_id).state


@pytest.mark.parametrize("target", [SAP, NC])
def test_an_overdue_batch_is_unknown_is_not_sent_again_and_takes_its_late_answer(way: Way) -> None:
    content = way.delivered.read_bytes()
    assert 3 == way.context.store.mark_unknown(way.batch_id)
    way.delivered.unlink()

    assert ("published", [], ["unknown"] * 3) == (
        pipeline.load(way.context, way.batch_id), list(way.drop.glob(f"{way.batch_id}.*")), way.states(),
    )  # fmt: skip
    (way.drop / f"{way.batch_id}.xml").write_bytes(content)
    assert {"posted": 2, "rejected": 1, "unknown": 0, "strangers": 0} == way.imported().acknowledge()


@pytest.mark.parametrize("target", [SAP])
@pytest.mark.parametrize(
    "place", ["{}.ack.csv", "taken/{}.ack.csv", "ack/.{}.ack.csv", "ack/{}.ack.csv.part", "ack/X{}.ack.csv"]
)
def test_an_answer_that_does_not_lie_where_answers_lie_is_not_read(way: Way, place: str) -> None:
    """Forged or misplaced: only the file of this batch in the folder of answers counts."""
    way.imported().answer.rename(way.drop / place.format(way.batch_id))

    assert {"posted": 0, "rejected": 0, "unknown": 3, "strangers": 0} == way.acknowledge()


@pytest.mark.parametrize("target", [SAP])
def test_posted_and_then_rejected_stops_and_changes_nothing(way: Way) -> None:
    way.imported().acknowledge()
    before = way.members()
    tamper(way.answer, ",53,", ",51,")

    with pytest.raises(ConflictError, match="ANSWER_CHANGED"):
        way.acknowledge()
    assert before == way.members()


@pytest.mark.parametrize("target", [SAP])
def test_posted_and_rejected_in_one_answer_is_no_answer(way: Way) -> None:
    (journal_key,) = way.context.store.journals("sample").query("report_id == 'R1'")["journal_key"]
    path = way.imported().answer
    (own,) = (line for line in path.read_text("utf-8").splitlines(keepends=True) if journal_key in line)
    path.write_text(path.read_text("utf-8") + own.replace(",53,", ",51,"), "utf-8")

    assert {"posted": 1, "rejected": 1, "unknown": 1, "strangers": 0} == way.acknowledge()


@pytest.mark.parametrize("target", [SAP])
def test_what_the_erp_says_of_a_journal_that_it_holds_is_kept_and_is_no_success(way: Way) -> None:
    tamper(way.imported().answer, ",53,", ",64,", 9)
    way.acknowledge()
    (way.drop / f"ack/{way.batch_id}.ledger.csv").unlink()
    proof = pipeline.reconcile(way.context)
    rows = csv.DictReader(io.StringIO((way.folder / "home/reports/sample/breaks.csv").read_text("utf-8-sig")))
    open_ones = [row for row in rows if row["code"] == "IN_FLIGHT"]

    assert ["sealed", "sealed", "rejected"] == way.states()
    assert (2, 1) == (proof["by_code"]["IN_FLIGHT"], proof["breaks"])
    assert ["ERP_OPEN"] * 2 == [row["refusal"] for row in open_ones]
    assert all(row["erp"].startswith("64/RW/605") for row in open_ones)
    assert {("Wait for the acknowledgement. Read the ERP's own words; never send again unasked.", "operations")} == {
        (row["next_step"], row["owner"]) for row in open_ones
    }


# --- SAP's audit IDoc, as mappings/README.md declares it

ALEAUD = """<ALEAUD01><IDOC BEGIN="1"><EDI_DC40 SEGMENT="1"><MESTYP>ALEAUD</MESTYP></EDI_DC40><E1ADHDR SEGMENT="1">
<MESTYP>ACC_DOCUMENT</MESTYP>
<E1STATE SEGMENT="1"><DOCNUM>K1</DOCNUM><STATUS>53</STATUS><STATXT>Document posted</STATXT><STAMID>RW</STAMID>
<STAMNO>605</STAMNO><E1PRTOB SEGMENT="1"><OBJKEY>0200000001CN012026</OBJKEY></E1PRTOB></E1STATE>
<E1STATE SEGMENT="1"><DOCNUM>K2</DOCNUM><STATUS>53</STATUS><STATXT>Document posted</STATXT><STAMID>RW</STAMID>
<STAMNO>605</STAMNO></E1STATE>
<E1STATE SEGMENT="1"><DOCNUM>K3</DOCNUM><STATUS>51</STATUS><STATXT>Posting period 002 2026 is not open</STATXT>
<STAMID>F5</STAMID><STAMNO>201</STAMNO></E1STATE>
<E1STATE SEGMENT="1"><DOCNUM>K4</DOCNUM><STATUS>99</STATUS><STATXT>?</STATXT></E1STATE>
</E1ADHDR></IDOC></ALEAUD01>"""


def test_the_audit_idoc_of_sap_is_read_by_the_rule_of_the_handbook() -> None:
    text = (PROJECT / "mappings/README.md").read_text("utf-8").split("### SAP's audit IDoc")[1]
    rule = config.read_yaml(text.split("```yaml\n")[1].split("```")[0].encode(), "README.md")
    profile = config.read_yaml((PROJECT / f"mappings/targets/{SAP}.yml").read_bytes(), "x.yml")
    profile["acknowledge"] = rule["acknowledge"]
    assert [] == config.check(profile, "target")

    assert [
        ("K1", "posted", "0200000001CN012026", "", ""),
        ("K2", "received", "", "53/RW/605", "Document posted"),
        ("K3", "rejected", "", "51/F5/201", "Posting period 002 2026 is not open"),
        ("K4", "unknown", "", "99", "?"),
    ] == vendor.read(profile, ALEAUD.encode(), bytes, "x.ack.xml")
