"""Reconciliation: source = journal = ERP, document by document; every difference gets a break code.

Three witnesses are compared: the landing receipts (`outcomes`), our journals, and the lines the ERP says it posted.
Nothing is shared with the loader except the columns of etl.model, so a defect there cannot hide itself here.

What is compared
- Source: the accepted gross of (company, report, version, document currency) = the net (debit - credit) of its
  journals' lines whose purpose is not `settlement`; and every journal's debits = its credits in both currencies, so
  the settlement lines are minus the gross. The version that replaces or withdraws another one takes its gross back:
  its reversal is minus that. Signs follow the claim: a refund, in red or on the other side, agrees too.
- ERP: per ERP document and account the net amount in the journal's currency, and company, period, date, currency.
  The number of lines may differ: an ERP may sum them up.
- A base-only line (no document amount, a base amount: rounding) is stated in the base currency. An ERP may show it so,
  or as a line of that account with a zero document amount: then its presence is all that can be compared.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import pandas as pd

from etl import model
from etl.reconcile import breaks as find
from etl.reconcile.book import Book, Flags, Ints, open_book, same_cell
from etl.reconcile.breaks import BREAK_COLUMNS, CODES, KINDS, MEMBER_COLUMNS, OUTCOME_COLUMNS
from etl.reconcile.claims import CLAIM_COLUMNS, DECIDED_COLUMNS, SHIFT_COLUMNS, claims, shifts
from etl.reconcile.listed import LISTED_COLUMNS, Listed
from etl.reconcile.listed import compare as against_list
from etl.reconcile.merge import merged
from etl.reconcile.sequence import gaps

MATCHED: Final = "matched"
EXPLAINED: Final = ("IN_FLIGHT",)
BUCKETS: Final = (MATCHED, *(bucket for _, bucket in KINDS.values()))
DOCUMENT_COLUMNS: Final = [
    "company", "report_id", "report_version", "journal_key", "erp_document", "batch_id", "posting_date", "period",
    "currency", "here_minor", "erp_minor", "bucket", "break_codes",
]  # fmt: skip
TOTAL_COLUMNS: Final = [
    "company", "currency", "account", "period", "count_here", "count_erp", "debit_here_minor", "credit_here_minor",
    "debit_erp_minor", "credit_erp_minor", "difference_minor", "open_minor",
]  # fmt: skip
MOVED_COLUMNS: Final = [
    "company", "report_id", "journal_key", "purpose", "original_date", "posting_date", "currency", "debit_minor",
]  # fmt: skip
ROUNDING_COLUMNS: Final = [
    "company", "period", "report_id", "journal_key", "document_currency", "rate", "currency", "rounding_minor",
]  # fmt: skip
STAGES: Final = (
    "landed", *model.OUTCOMES, "reversed", "journaled", "loaded", "posted", "rejected", "in_flight", "missing",
)  # fmt: skip
__all__ = [
    "BREAK_COLUMNS", "BUCKETS", "CLAIM_COLUMNS", "CODES", "DECIDED_COLUMNS", "DOCUMENT_COLUMNS", "EXPLAINED", "KINDS",
    "LISTED_COLUMNS", "MATCHED", "MEMBER_COLUMNS", "OUTCOME_COLUMNS", "SHIFT_COLUMNS", "STAGES", "TOTAL_COLUMNS",
    "Listed", "Reconciliation", "claims", "explained", "gaps", "merged", "reconcile", "shifts",
]  # fmt: skip


@dataclass(frozen=True)
class Reconciliation:
    """What reconciliation found at one moment.

    totals: TOTAL_COLUMNS per company, currency, account, period. count: journals here, documents in the ERP.
        difference_minor = net ERP - net here; open_minor = net of the journals here that the ERP does not hold, with
        the sign it has here, as in `stages`: where these are the only breaks, difference and open add up to 0.
    stages: per company and currency, `<stage>_count` (report versions, then journals) and `<stage>_minor` (gross of
        the claim) for each of STAGES. reversed is the part of journaled that takes a claim back. loaded = posted +
        rejected + in_flight + missing.
    documents: DOCUMENT_COLUMNS, one row per journal or ERP document (and per report without a journal); here_minor and
        erp_minor are the debit side: the sum of the accounts with a net debit. break_codes are apart by a space.
    breaks: BREAK_COLUMNS, one row per document and kind of difference; amount_minor is what is at stake, never < 0.
    conservation: one sentence for each way in which landed is not accounted for; empty when it is.
    reports: whole report versions landed, and of each outcome, whatever their currencies.
    moved: MOVED_COLUMNS, every journal that the period policy put on another date than its own.
    rounding: ROUNDING_COLUMNS, the rounding ledger: what each conversion left over, in base currency (`currency`).
    """

    as_of: str
    totals: pd.DataFrame
    stages: pd.DataFrame
    documents: pd.DataFrame
    breaks: pd.DataFrame
    conservation: tuple[str, ...]
    reports: dict[str, int]
    moved: pd.DataFrame
    rounding: pd.DataFrame


def explained(reconciliation: Reconciliation) -> bool:
    """True when no break is left that somebody must act on: none at all, or only journals in flight."""
    return bool(reconciliation.breaks["code"].isin(EXPLAINED).all())


def reconcile(
    outcomes: pd.DataFrame,
    expected: pd.DataFrame,
    journals: pd.DataFrame,
    journal_lines: pd.DataFrame,
    members: pd.DataFrame,
    erp_lines: pd.DataFrame,
    as_of: str,
    overdue_hours: int,
    missing: Sequence[tuple[str, str, str]] = (),
    listed: Listed | None = None,
    landed: pd.DataFrame | None = None,
) -> Reconciliation:
    """Compare landing receipts, journals and the ERP's lines as of one moment.

    In: OUTCOME_COLUMNS; CLAIM_COLUMNS, what must be booked; model.JOURNAL_COLUMNS; model.JOURNAL_LINE_COLUMNS;
    MEMBER_COLUMNS (a journal may have been in several batches, at most one of them not rejected);
    model.ERP_LINE_COLUMNS; as_of in ISO UTC; `gaps` of the source's numbers; the source's own list,
    and the outcomes of all that ever landed (else `outcomes`) to hold it against. The rest is of one scope: the
    journals of every claim given. A void journal counts only where the ERP has it all the same.
    """
    void = set(members.loc[members["state"] == "void", "journal_key"]) - set(erp_lines["journal_key"])
    journals, journal_lines, members = (
        frame[~frame["journal_key"].isin(void)].reset_index(drop=True) for frame in (journals, journal_lines, members)
    )
    book = open_book(journals, journal_lines, erp_lines)
    outcomes = outcomes.reset_index(drop=True)
    live = find.live_members(book, members)
    answers = find.answers(book, live, as_of, overdue_hours)
    parts = [
        find.conservation(outcomes), find.membership(book, members), find.source(book, expected),
        find.answer_breaks(book, answers, live), find.unknown_documents(book), find.duplicates(book),
        find.headers(book), find.currencies(book), find.amounts(book), find.sequence(missing),
        against_list(listed, outcomes if landed is None else landed),
    ]  # fmt: skip
    found = pd.concat(parts, ignore_index=True)
    breaks = find.finish(found, as_of)
    sentences = breaks["reason"][breaks["code"] == "CONSERVATION"]
    return Reconciliation(
        as_of=as_of, totals=_totals(book), stages=_stages(book, outcomes, live, answers), breaks=breaks,
        documents=_documents(book, live, found), conservation=tuple(sentences.unique().tolist()),
        reports=_reports(outcomes), moved=_moved(journals), rounding=_rounding(journals),
    )  # fmt: skip


def _reports(outcomes: pd.DataFrame) -> dict[str, int]:
    whole = outcomes.drop_duplicates(["landing_sha256", *model.REPORT_KEY])["outcome"]
    return {"landed": len(whole), **{name: int((whole == name).sum()) for name in model.OUTCOMES}}


def _moved(journals: pd.DataFrame) -> pd.DataFrame:
    moved = journals[(journals["original_date"] != "") & (journals["original_date"] != journals["posting_date"])]
    return moved[MOVED_COLUMNS].sort_values(["company", "posting_date", "journal_key"], ignore_index=True)


def _rounding(journals: pd.DataFrame) -> pd.DataFrame:
    rounded = journals[journals["rounding_minor"] != 0]
    rounded = rounded.rename(columns={"currency": "document_currency", "base_currency": "currency"})
    return rounded[ROUNDING_COLUMNS].sort_values(["company", "period", "journal_key"], ignore_index=True)


def _in_erp(book: Book) -> Flags:
    return np.isin(np.arange(len(book.journals)), book.units["j"])


def _totals(book: Book) -> pd.DataFrame:
    keys = ["company", "currency", "account", "period"]
    zero = book.erp_lines[book.erp_lines["zero"]]
    ours = book.cells[~(book.cells["base_only"].to_numpy() & same_cell(book.cells, zero, ["j", "account"]))]
    theirs = book.erp_lines[~book.erp_lines["zero"]]
    coded, names = {}, {}
    for name in ("company", "period"):
        codes, names[name] = model.distinct(pd.concat([book.journals[name], theirs[name]], ignore_index=True))
        coded[name] = codes[: len(book.journals)][ours["j"]], codes[len(book.journals) :]
    here = ours.assign(
        company=coded["company"][0], period=coded["period"][0], count_here=1, debit_here_minor=ours["debit"],
        credit_here_minor=ours["credit"], open_minor=np.where(_in_erp(book)[ours["j"]], 0, ours["net"]),
    )  # fmt: skip
    theirs = theirs.assign(company=coded["company"][1], period=coded["period"][1])
    theirs = theirs.groupby(["u", *keys], dropna=False, sort=False)[["debit", "credit"]].sum().reset_index()
    erp = theirs.assign(count_erp=1, debit_erp_minor=theirs["debit"], credit_erp_minor=theirs["credit"])
    sums = [name for name in TOTAL_COLUMNS if name not in (*keys, "difference_minor")]
    both = pd.concat([part.reindex(columns=[*keys, *sums], fill_value=0) for part in (here, erp)])
    total = both.groupby(keys, dropna=False)[sums].sum().reset_index()
    net_here = total["debit_here_minor"] - total["credit_here_minor"]
    texts = {name: model.spread(names[name], total[name].to_numpy()) for name in names}
    texts["currency"] = model.spread(book.currencies, total["currency"].to_numpy())
    texts["account"] = book.account(total["account"])
    total = total.assign(difference_minor=total["debit_erp_minor"] - total["credit_erp_minor"] - net_here, **texts)
    return total[TOTAL_COLUMNS].sort_values(keys, kind="stable").reset_index(drop=True)


def _stages(book: Book, outcomes: pd.DataFrame, live: pd.DataFrame, answers: pd.Series) -> pd.DataFrame:
    in_erp = _in_erp(book)
    loaded = in_erp | live["batch_state"].isin(find.SENT).to_numpy() | live["state"].isin(find.STATES[:2]).to_numpy()
    absent = loaded & ~in_erp
    rejected, flying = (answers == "REJECTED_BY_ERP").to_numpy(), (answers == "IN_FLIGHT").to_numpy()
    reports = {name: outcomes["outcome"] == name for name in model.OUTCOMES}
    reports["landed"] = pd.Series(data=True, index=outcomes.index)
    journals = {
        "reversed": (book.journals["purpose"] == model.REVERSAL).to_numpy(dtype=bool),
        "journaled": np.full(len(in_erp), fill_value=True), "loaded": loaded, "posted": in_erp,
        "rejected": absent & rejected, "in_flight": absent & flying, "missing": absent & ~rejected & ~flying,
    }  # fmt: skip
    keys = ["company", "currency"]
    parts = []
    for frame, gross, stages in (
        (outcomes.rename(columns={"document_currency": "currency"}), outcomes["gross_minor"], reports),
        (book.journals, book.journals["gross_minor"], journals),
    ):
        columns: dict[str, Ints] = {}
        for stage, flags in stages.items():
            inside = np.asarray(flags, dtype=np.int64)
            columns |= {f"{stage}_count": inside, f"{stage}_minor": inside * gross.to_numpy(dtype=np.int64)}
        parts.append(frame[keys].assign(**columns))
    names = [f"{stage}_{unit}" for stage in STAGES for unit in ("count", "minor")]
    both = pd.concat([part.reindex(columns=[*keys, *names], fill_value=0) for part in parts], ignore_index=True)
    return both.groupby(keys, dropna=False)[names].sum().reset_index()


def _documents(book: Book, live: pd.DataFrame, found: pd.DataFrame) -> pd.DataFrame:
    """Every journal the ERP has not, every ERP document, every report without a journal: bucket and break codes."""
    ours = book.journals.assign(batch_id=live["batch_id"], j=np.arange(len(live)), here_minor=book.journals["side"])
    absent = ours[~_in_erp(book)].assign(u=-1, erp_document="", erp_minor=0)
    units = book.units.reset_index(names="u").rename(columns={"side": "erp_minor"})
    facts = ["j", "report_id", "report_version", "batch_id", "here_minor"]
    held = units[units["j"] >= 0][["u", "j", "erp_document", "erp_minor"]].merge(ours, on="j", validate="m:1")
    stray = units[units["j"] < 0].assign(**dict.fromkeys(facts[1:4], ""), here_minor=0)
    columns = [*DOCUMENT_COLUMNS[:-2], "j", "u"]
    documents = pd.concat([part[columns] for part in (held, absent, stray)], ignore_index=True)
    documents["mask"] = find.masks(found, documents)
    reports = found[found["code"] == "NOT_JOURNALED"]
    reports = reports.assign(here_minor=reports["amount_minor"], erp_minor=0, mask=2 ** CODES.index("NOT_JOURNALED"))
    reports = reports.reindex(columns=documents.columns, fill_value="")
    documents = pd.concat([documents, reports], ignore_index=True)
    masks, number = np.unique(documents["mask"].to_numpy(dtype=np.int64), return_inverse=True)
    codes = [[code for bit, code in enumerate(CODES) if mask >> bit & 1] for mask in masks.tolist()]
    buckets = [KINDS[some[0]][1] if some else MATCHED for some in codes]
    documents = documents.assign(
        bucket=model.spread(buckets, number), break_codes=model.spread([" ".join(some) for some in codes], number)
    )
    keys = ["company", "report_id", "report_version", "currency", "journal_key", "erp_document"]
    return documents[DOCUMENT_COLUMNS].sort_values(keys, kind="stable").reset_index(drop=True)
