"""How each ERP answers: delivered in the vendor's form, acknowledged in it, reconciled to the cent."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from claims import claim, deliver

from etl import config, pipeline
from etl.config import PROJECT

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

    def members(self) -> dict[str, tuple[str, str]]:
        """Report -> state and code of its journal."""
        members = self.context.store.members(feed_id="sample")
        reports = self.context.store.journals("sample").set_index("journal_key")["report_id"]
        return {str(reports[m.journal_key]): (str(m.state), str(m.code)) for m in members.itertuples()}

    def answer(self) -> Path:
        """The one file in which the ERP has answered."""
        place = self.context.profile(self.target)["acknowledge"]["answer"].split("{")[0]
        (found,) = [p for p in (self.folder / "home/drop" / place).glob("*.*") if "ledger" not in p.name]
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


GOOD = [
    claim(Report_ID="R1", Amount="45.00", Description="机票, 北京-上海"),
    claim(
        Report_ID="R2",
        Amount="1234.56",
        Tax_Code="V6",
        Tax="69.88",
        Expense_Type="HOTEL",
        Description='"四季" & <Söhne>',
    ),
    claim(Report_ID="R3", Amount="-0.07"),
]
BAD = claim(Report_ID="R4", Amount="300.01", Expense_Type="TRAIN")
LATE = claim(
    Report_ID="R5", Date="2025-12-03", Submitted="2025-12-09T01:00:00Z", Approved="2025-12-10T01:00:00Z",
)  # fmt: skip


def test_good_journals_are_posted_to_the_cent_and_a_bad_one_is_refused_with_the_vendors_code(way: Way) -> None:
    result = way.run(*GOOD, BAD, LATE)
    account, period = CODES[way.target]

    assert {
        "R1": ("posted", ""), "R2": ("posted", ""), "R3": ("posted", ""), "R4": ("rejected", account),
        "R5": ("rejected", period),
    } == way.members()  # fmt: skip
    assert (3, {"REJECTED_BY_ERP": 2}) == (result["posted"], result["breaks_by_code"])
