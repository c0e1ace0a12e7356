"""The differences: one function per question, each returns the breaks it found in one common shape (RAW).

j and u say which journal and which ERP document a break belongs to (-1: none), `since` from when it ages.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import pandas as pd

from etl import model
from etl.errors import CATALOGUE, text
from etl.reconcile.book import Book, Ints, at, positions, same_cell

# Code -> (severity, bucket of the document). The order says which code names the bucket when a document has several.
KINDS: Final[dict[str, tuple[str, str]]] = {
    "CONSERVATION": ("S1", "conservation"),
    "SEQUENCE_GAP": ("S1", "sequence gap"),
    "NOT_LANDED": ("S2", "not landed"),
    "LIST_DIFFERS": ("S2", "list differs"),
    "LIST_UNREADABLE": ("S2", "list unreadable"),
    "NOT_LISTED": ("S3", "not listed"),
    "DUPLICATE_IN_ERP": ("S1", "duplicate in ERP"),
    "MISSING_IN_SOURCE": ("S1", "missing in source"),
    "STATE_CONTRADICTED": ("S1", "state contradicted"),
    "SOURCE_DIFFERS": ("S1", "source differs"),
    "COMPANY_DIFFERS": ("S1", "company differs"),
    "CURRENCY_DIFFERS": ("S1", "currency differs"),
    "AMOUNT_DIFFERS": ("S2", "amount differs"),  # S1 when the ERP holds more than we sent
    "ACCOUNT_DIFFERS": ("S2", "account differs"),
    "PERIOD_SHIFTED": ("S2", "period shifted"),
    "MISSING_IN_ERP": ("S2", "missing in ERP"),
    "UNKNOWN_OUTCOME": ("S2", "unknown outcome"),
    "NOT_JOURNALED": ("S2", "not journaled"),
    "NOT_LOADED": ("S2", "not loaded"),
    "DATE_DIFFERS": ("S3", "date differs"),
    "REJECTED_BY_ERP": ("S3", "rejected by ERP"),
    "IN_FLIGHT": ("S4", "in flight"),
}
CODES: Final = tuple(KINDS)

SENT: Final = ("published", "acknowledged", "reconciled")  # batch states in which the ERP has the batch
ANSWERED: Final = ("acknowledged", "reconciled")  # the ERP's answer is in; what it leaves out will not come
# Of a member; the first counts when there are several. A void one was refused, and a corrected version replaced it.
STATES: Final = ("posted", "unknown", "sealed", "rejected", "void")
REFUSED: Final = ("rejected", "void")
SAYS_WHY: Final = ("REJECTED_BY_ERP", "UNKNOWN_OUTCOME", "IN_FLIGHT")  # the ERP's last words stand with these

OUTCOME_COLUMNS: Final = [
    "landing_sha256", *model.REPORT_KEY, "document_currency", "outcome", "lines", "gross_minor",
]  # fmt: skip
MEMBER_COLUMNS: Final = [
    "batch_id", "journal_key", "state", "batch_state", "published_at", "erp_document", "code", "message", "refusal",
]  # fmt: skip
BREAK_COLUMNS: Final = [
    "code", "company", "period", "journal_key", "report_id", "currency", "here", "erp", "amount_minor", "reason",
    "refusal", "owner", "next_step", "severity", "age_days",
]  # fmt: skip
# `rank` is the place of the code in CODES.
BREAK_ORDER: Final = ["severity", "rank", "company", "period", "journal_key", "report_id", "currency", "erp"]
REPORT: Final = [*model.REPORT_KEY, "currency", "purpose"]
_TEXTS: Final = [
    "code", "company", "period", "journal_key", "report_id", "currency", "since", "here", "erp", "detail", "value",
    "refusal", "severity",
]  # fmt: skip
_NUMBERS: Final = {"j": -1, "u": -1, "amount_minor": 0}
_HEADER: Final = {"COMPANY_DIFFERS": "company", "PERIOD_SHIFTED": "period", "DATE_DIFFERS": "posting_date"}
_CONSERVATION_KEY: Final = ["landing_sha256", *model.REPORT_KEY]


def raw(code: str, count: int, **columns: Any) -> pd.DataFrame:
    """Breaks of one kind: columns not given are "" or -1; severity: the kind's; detail, value: here, erp."""
    given: dict[str, Any] = {"code": code, "severity": KINDS[code][0], **columns}
    given = {"detail": given.get("here", ""), "value": given.get("erp", ""), **given}
    frame = {name: _text_of(given.get(name, ""), count) for name in _TEXTS}
    numbers = {name: np.full(count, empty, dtype=np.int64) for name, empty in _NUMBERS.items()}
    numbers |= {name: np.asarray(given[name], dtype=np.int64) for name in _NUMBERS if name in given}
    return pd.DataFrame({**frame, **numbers})


def _text_of(values: Any, count: int) -> pd.Series:
    return model.texts([values] * count) if isinstance(values, str) else model.texts(values).reset_index(drop=True)


def of_journals(book: Book, code: str, j: Ints, **columns: Any) -> pd.DataFrame:
    """Breaks of journals; they age from the posting date unless `since` says otherwise."""
    part = book.journals.iloc[j]
    place = {name: part[name] for name in ("company", "period", "journal_key", "report_id", "currency")}
    known = {"j": j, **place, "since": part["posting_date"], "amount_minor": abs(part["side"])}
    return raw(code, len(j), **{**known, **columns})


# --- is everything that landed accounted for, and every journal in one batch?


def conservation(outcomes: pd.DataFrame) -> pd.DataFrame:
    """Landed report versions with no outcome, with two, or listed twice."""
    per_report = outcomes.groupby(_CONSERVATION_KEY, dropna=False, sort=False)["outcome"].transform("nunique")
    listed = outcomes.duplicated([*_CONSERVATION_KEY, "document_currency"])
    unknown = ~outcomes["outcome"].isin(model.OUTCOMES)
    found = []
    for flags, what in (
        (unknown, "has no outcome"),
        (~unknown & listed, "is listed twice"),
        (~unknown & ~listed & (per_report > 1), "has two outcomes"),
    ):
        part = outcomes[flags]
        detail = ("report " + part["report_id"] + " version " + part["report_version"] + f" {what}").astype("str")
        found.append(raw(
            "CONSERVATION", len(part), company=part["company"], report_id=part["report_id"], detail=detail,
            currency=part["document_currency"], here=part["outcome"], amount_minor=abs(part["gross_minor"]),
        ))  # fmt: skip
    return pd.concat(found, ignore_index=True)


def sequence(missing: Sequence[tuple[str, str, str]]) -> pd.DataFrame:
    """Numbers of the source's files that never came (`sequence.gaps`)."""
    between = [f"{before} and {behind}" for _, before, behind in missing]
    return raw("SEQUENCE_GAP", len(missing), detail=model.texts(between), value=model.texts([m[0] for m in missing]))


def live_members(book: Book, members: pd.DataFrame) -> pd.DataFrame:
    """The member that counts for each journal, in the order of journals; all "" when it is in no batch."""
    assert members["state"].isin(STATES).all(), "the store allows no other state"
    rank = members["state"].map({state: number for number, state in enumerate(STATES)}).to_numpy(dtype=np.int64)
    order = np.lexsort((-np.arange(len(members)), rank))  # of several rejections the last
    chosen = members.iloc[order].drop_duplicates("journal_key")
    live = book.journals[["journal_key"]].merge(chosen, on="journal_key", how="left", validate="1:1")
    return live.fillna("")[MEMBER_COLUMNS].astype("str")


def membership(book: Book, members: pd.DataFrame) -> pd.DataFrame:
    """Journals that are live in two batches, and members that are no journal."""
    stray = members[~members["journal_key"].isin(book.journals["journal_key"])]
    live = members[~members["state"].isin(REFUSED)]
    batches = live.drop_duplicates(["journal_key", "batch_id"]).sort_values("batch_id")
    batches = batches[batches.duplicated("journal_key", keep=False)]
    batches = batches.groupby("journal_key", dropna=False)["batch_id"].agg(", ".join).reset_index()
    twice = book.journals[["journal_key"]].reset_index(names="j").merge(batches, on="journal_key", validate="1:1")
    detail = "journal " + twice["journal_key"] + " is live in " + twice["batch_id"]
    lost = "batch " + stray["batch_id"] + " holds " + stray["journal_key"] + ", which is no journal"
    return pd.concat(
        [
            of_journals(book, "CONSERVATION", twice["j"].to_numpy(dtype=np.int64), detail=detail),
            raw("CONSERVATION", len(stray), journal_key=stray["journal_key"], detail=lost),
        ],
        ignore_index=True,
    )


# --- source = journal?


def source(book: Book, claims: pd.DataFrame) -> pd.DataFrame:
    """NOT_JOURNALED and SOURCE_DIFFERS: what must be booked (claims.CLAIM_COLUMNS) against the journals.

    A journal answers for its claim and for the journals that belong to it; one that holds several reports is named by
    their claims.
    """
    main, of_claim, count = _main(book), _journal_of(book, claims), len(book.journals)
    gross = claims["gross_minor"].to_numpy(dtype=np.int64)
    absent = claims[of_claim < 0].groupby(REPORT, dropna=False, sort=False)["gross_minor"].sum().reset_index()
    found = of_claim[of_claim >= 0]
    claimed = model.sum_by(gross[of_claim >= 0], found, count)
    here = model.sum_by(book.journals["gross_minor"].to_numpy(dtype=np.int64), main, count)
    has_claim = np.bincount(found, minlength=count) > 0
    alone = (main == np.arange(count)) & (has_claim | (book.journals["belongs_to"] == "").to_numpy(dtype=bool))
    wrong = np.flatnonzero((alone & ~has_claim) | ((main == np.arange(count)) & (claimed != here)))
    told = pd.DataFrame({
        "j": wrong, "here": here[wrong], "gross_minor": claimed[wrong], "accepted": has_claim[wrong],
    })  # fmt: skip
    return pd.concat(
        [
            raw("NOT_JOURNALED", len(absent), company=absent["company"], report_id=absent["report_id"],
                currency=absent["currency"], amount_minor=abs(absent["gross_minor"])),
            _gross_breaks(book, told), _unbalanced(book, wrong),
            raw("SOURCE_DIFFERS", len(book.orphans), journal_key=book.orphans["journal_key"],
                amount_minor=abs(book.orphans["amount_minor"]), here="lines without a journal", value="no report"),
        ],
        ignore_index=True,
    )  # fmt: skip


def _main(book: Book) -> Ints:
    """For each journal the one it belongs to; itself when it belongs to none, or that is out of scope."""
    at = positions(book.journals["belongs_to"], book.journals["journal_key"])
    return np.where(at >= 0, at, np.arange(len(book.journals)))


def _journal_of(book: Book, claims: pd.DataFrame) -> Ints:
    """The journal of each claim: the one that bears its name, else the one the claim names."""
    journals = book.journals
    named = np.flatnonzero((journals["belongs_to"] == "").to_numpy(dtype=bool))
    keys = [model.texts(model.joined([model.utf8(f[c]) for c in REPORT])) for f in (claims, journals.iloc[named])]
    at = positions(keys[0], keys[1])
    out = np.where(at >= 0, named[at], -1) if len(named) else at
    return np.asarray(np.where(out < 0, positions(claims["journal_key"], journals["journal_key"]), out), dtype=np.int64)


def _gross_breaks(book: Book, wrong: pd.DataFrame) -> pd.DataFrame:
    j = wrong["j"].to_numpy(dtype=np.int64)
    currency = book.journals["currency_no"].to_numpy()[j]
    here, there = wrong["here"].to_numpy(), wrong["gross_minor"].to_numpy()
    shown, source_text = book.money(here, currency), book.money(there, currency)
    value = source_text.where(wrong["accepted"].to_numpy(), "has no accepted report")
    return of_journals(book, "SOURCE_DIFFERS", j, here=shown, value=value, amount_minor=abs(here - there))


def _unbalanced(book: Book, told: Ints) -> pd.DataFrame:
    """Journals whose debits are not their credits, unless they are told of already."""
    facts = book.journals
    unbalanced = ((facts["imbalance_minor"] != 0) | (facts["base_imbalance_minor"] != 0)).to_numpy()
    j = np.setdiff1d(np.flatnonzero(unbalanced), told)
    document, base = facts["imbalance_minor"].to_numpy()[j], facts["base_imbalance_minor"].to_numpy()[j]
    shown = book.money(document, facts["currency_no"].to_numpy()[j])
    shown_base = book.money(base, facts["base_no"].to_numpy()[j])
    here = [f"debit - credit = {d}, in base currency {b}" for d, b in zip(shown, shown_base, strict=True)]
    stake = np.where(document == 0, abs(base), abs(document))
    return of_journals(book, "SOURCE_DIFFERS", j, here=here, value="0", amount_minor=stake)


# --- what became of each journal?


def answers(book: Book, live: pd.DataFrame, as_of: str, overdue_hours: int) -> pd.Series:
    """A break code for each journal from its member's state and whether the ERP holds it; "" = posted or to compare."""
    in_erp = np.isin(np.arange(len(live)), book.units["j"])
    state, batch = live["state"], live["batch_state"]
    late = moments(live["published_at"]) + np.timedelta64(overdue_hours, "h") < moments(model.texts([as_of]))
    sent, never_sent = batch.isin(SENT), batch.isin(("", "sealed"))
    cases = [
        (in_erp & (state.isin(REFUSED) | ((state != "posted") & never_sent)), "STATE_CONTRADICTED"),
        (in_erp, ""),
        (state == "rejected", "REJECTED_BY_ERP"),
        (state == "posted", "MISSING_IN_ERP"),
        (state == "unknown", "UNKNOWN_OUTCOME"),
        (~sent, "NOT_LOADED"),
        (batch.isin(ANSWERED), "MISSING_IN_ERP"),
        (late, "UNKNOWN_OUTCOME"),
    ]
    conditions = [np.asarray(flags, dtype=bool) for flags, _ in cases]
    return model.texts(np.select(conditions, [code for _, code in cases], "IN_FLIGHT"))


def moments(series: pd.Series) -> Any:
    """ISO dates and times as numpy times in UTC; NaT where it is neither."""
    codes, names = model.distinct(series)
    read = pd.to_datetime(pd.Series(names, dtype=object), format="ISO8601", utc=True, errors="coerce")
    return read.dt.tz_localize(None).to_numpy(dtype="datetime64[s]")[codes]


def answer_breaks(book: Book, code_of: pd.Series, live: pd.DataFrame) -> pd.DataFrame:
    """Breaks from `answers`, ageing from the moment the batch was published."""
    documents = book.units.groupby("j", dropna=False)["erp_document"].min()
    found = [raw("IN_FLIGHT", 0)]
    for code in sorted(set(code_of) - {""}):
        j = np.flatnonzero((code_of == code).to_numpy())
        part = live.iloc[j].reset_index(drop=True)
        since = part["published_at"].where(part["published_at"] != "", book.journals["posting_date"].iloc[j].to_numpy())
        facts: dict[str, Any] = {}
        if code in SAYS_WHY:
            facts["erp"] = (part["code"] + " " + part["message"]).str.strip()
            facts["refusal"], words = part["refusal"], part["refusal"] + " (" + facts["erp"] + ")"
            facts["detail"] = facts["erp"].where(part["refusal"] == "", words)
        elif code == "STATE_CONTRADICTED":
            facts["here"] = part["state"].where(part["state"].isin(REFUSED), "not loaded")
            facts["erp"] = "posted as " + model.texts(documents.reindex(j).to_numpy())
        found.append(of_journals(book, code, j, since=since, **facts))
    return pd.concat(found, ignore_index=True)


# --- ERP document by ERP document


def unknown_documents(book: Book) -> pd.DataFrame:
    """MISSING_IN_SOURCE: documents of the ERP with our mark and a key that is no journal of ours."""
    part = book.units[book.units["j"] < 0]
    columns = {name: part[name] for name in ("company", "period", "journal_key", "currency")}
    return raw(
        "MISSING_IN_SOURCE", len(part), u=part.index.to_numpy(), since=part["posting_date"], erp=part["erp_document"],
        amount_minor=part["side"], **columns,
    )  # fmt: skip


def duplicates(book: Book) -> pd.DataFrame:
    """DUPLICATE_IN_ERP: journals that the ERP holds as several documents; at stake is all but the first."""
    known = book.units[book.units["j"] >= 0]
    several = known[known.duplicated("j", keep=False)].sort_values("erp_document")
    grouped = several.groupby("j", dropna=False).agg(
        names=("erp_document", ", ".join), total=("side", "sum"), first=("side", "first")
    )
    return of_journals(
        book, "DUPLICATE_IN_ERP", grouped.index.to_numpy(dtype=np.int64), here="1 document", erp=grouped["names"],
        amount_minor=grouped["total"] - grouped["first"],
    )  # fmt: skip


def headers(book: Book) -> pd.DataFrame:
    """COMPANY_DIFFERS, PERIOD_SHIFTED, DATE_DIFFERS: the least value of a document's lines that is not ours.

    A date in another period is one difference, the period's.
    """
    lines = book.erp_lines[book.erp_lines["j"] >= 0]
    found, shifted = [], np.empty(0, dtype=np.int64)
    for code, column in _HEADER.items():
        here = book.journals[column].iloc[lines["j"]].reset_index(drop=True)
        wrong = lines[(here != lines[column].reset_index(drop=True)).to_numpy()]
        wrong = wrong.sort_values(["u", column]).drop_duplicates("u")
        if code == "PERIOD_SHIFTED":
            shifted = wrong["u"].to_numpy()
        elif code == "DATE_DIFFERS":
            wrong = wrong[~wrong["u"].isin(shifted)]
        j = wrong["j"].to_numpy()
        both = {"here": book.journals[column].iloc[j], "erp": wrong[column]}
        found.append(of_journals(book, code, j, u=wrong["u"], **both))
    return pd.concat(found, ignore_index=True)


def currencies(book: Book) -> pd.DataFrame:
    """CURRENCY_DIFFERS: a document with a line in a currency that the journal does not have there."""
    wrong = book.erp_lines[book.erp_lines["wrong_currency"]]
    named = wrong.assign(theirs=model.spread(book.currencies, wrong["currency"].to_numpy()).to_numpy())
    wrong = named.sort_values(["u", "theirs"]).drop_duplicates("u")
    j, theirs = wrong["j"].to_numpy(), wrong["theirs"]
    ours = book.journals["currency"].iloc[j]
    return of_journals(book, "CURRENCY_DIFFERS", j, u=wrong["u"], here=ours, erp=theirs)


def amounts(book: Book) -> pd.DataFrame:
    """AMOUNT_DIFFERS and ACCOUNT_DIFFERS, from the cells that are not equal.

    Equal debit side and equal credit side, but other accounts: the account differs. Otherwise the amount differs, and
    the account too when the ERP uses one that the journal does not have. In another currency only accounts compare.
    """
    cells = different_cells(book)
    per = _per_document(cells)
    mixed = np.isin(per.index, book.erp_lines["u"][book.erp_lines["wrong_currency"]])
    account = per["erp_only"] | (per["here_only"] & per["same_sides"] & ~mixed)
    amount = ~mixed & ~(per["same_sides"] & account)
    differing = {"AMOUNT_DIFFERS": per[amount], "ACCOUNT_DIFFERS": per[account]}
    return pd.concat([_cell_breaks(book, code, cells, part) for code, part in differing.items()], ignore_index=True)


def different_cells(book: Book) -> pd.DataFrame:
    """Cells (u, account, currency) whose net here and in the ERP differ: here, erp."""
    known = book.units[book.units["j"] >= 0]
    # m:m because the ERP may hold one journal as several documents, and a journal has several cells.
    ours = known[["j"]].reset_index(names="u").merge(book.cells, on="j", validate="m:m")
    zero = book.erp_lines[book.erp_lines["zero"]]
    ours = ours[~(ours["base_only"].to_numpy() & same_cell(ours, zero, ["u", "account"]))]
    theirs = book.erp_lines[book.erp_lines["j"] >= 0]
    keys = ["u", "account", "currency"]
    both = pd.concat([ours[keys].assign(here=ours["net"], erp=0), theirs[keys].assign(here=0, erp=theirs["net"])])
    nets = both.groupby(keys, dropna=False, sort=False)[["here", "erp"]].sum().reset_index()
    return nets[nets["here"] != nets["erp"]]


def _per_document(cells: pd.DataFrame) -> pd.DataFrame:
    change = cells["erp"] - cells["here"]
    debit = cells["erp"].clip(lower=0) - cells["here"].clip(lower=0)
    per_account = cells.assign(here=cells["here"] != 0, erp=cells["erp"] != 0)
    used = per_account.groupby(["u", "account"], dropna=False)[["here", "erp"]].any().reset_index()
    used = used.assign(here_only=used["here"] & ~used["erp"], erp_only=used["erp"] & ~used["here"])
    per = used.groupby("u", dropna=False)[["here_only", "erp_only"]].any()
    more, up = cells["erp"].abs() - cells["here"].abs(), change.clip(lower=0)
    sums = cells.assign(debit=debit, credit=change - debit, more=more, up=up, down=up - change)
    sums = sums.groupby("u", dropna=False)[["debit", "credit", "more", "up", "down"]].sum()
    same = (sums["debit"] == 0) & (sums["credit"] == 0)
    return per.assign(same_sides=same, over=sums["more"] > 0, stake=sums[["up", "down"]].max(axis=1))


def _cell_breaks(book: Book, code: str, cells: pd.DataFrame, per: pd.DataFrame) -> pd.DataFrame:
    """One break per document, showing for each side the cell that changed most."""
    part = cells[cells["u"].isin(per.index)]
    part = part.assign(size=(part["erp"] - part["here"]).abs(), name=book.account(part["account"]).to_numpy())
    part = part.sort_values(["u", "size", "name"], ascending=[True, False, True]).drop(columns="name")
    if code == "ACCOUNT_DIFFERS":  # what left one account, and where it went
        left = part["erp"].abs() < part["here"].abs()
        ours, theirs = _first(part, left, per), _first(part, ~left, per)
    else:
        ours = theirs = _first(part, part["size"] > 0, per)
    here, erp = _cell_text(book, ours, "here"), _cell_text(book, theirs, "erp")
    j = book.units["j"].to_numpy()[per.index]
    severity = np.where((code == "AMOUNT_DIFFERS") & per["over"], "S1", KINDS[code][0])
    return of_journals(
        book, code, j, u=per.index, here=here, erp=erp, amount_minor=per["stake"], severity=severity
    )  # fmt: skip


def _first(cells: pd.DataFrame, flags: pd.Series, per: pd.DataFrame) -> pd.DataFrame:
    """The first flagged cell of each document of per, in its order; account -1 where there is none."""
    chosen = cells[flags].drop_duplicates("u").set_index("u")
    return chosen.reindex(per.index, fill_value=-1)


def _cell_text(book: Book, cells: pd.DataFrame, side: str) -> pd.Series:
    account = model.texts(at(np.array(book.accounts, dtype=object), cells["account"].to_numpy(), ""))
    shown = account + " " + book.money(cells[side], cells["currency"])
    return shown.where(account != "", "nothing")


def finish(found: pd.DataFrame, as_of: str) -> pd.DataFrame:
    """RAW breaks as BREAK_COLUMNS: reason, owner and next step from the catalogue, age in days; worst first.

    refusal: our codes (ERP_...) for what the ERP says, with ", " between, which then name owner and next step.
    """
    kind, first = model.groups(found, ["code", "detail", "value"])
    codes, details, values = (found[name].iloc[first].tolist() for name in ("code", "detail", "value"))
    reasons = [text(c, detail=d, value=v) for c, d, v in zip(codes, details, values, strict=True)]
    who, one = model.groups(found, ["code", "refusal"])
    acts = [_acts(*pair) for pair in found[["code", "refusal"]].iloc[one].itertuples(index=False, name=None)]
    order = {code: number for number, code in enumerate(CODES)}
    days = moments(model.texts([as_of])).astype("datetime64[D]") - moments(found["since"]).astype("datetime64[D]")
    age = pd.Series(days.astype("timedelta64[D]")).dt.days.fillna(0).clip(lower=0).to_numpy(dtype=np.int64)
    full = found.assign(
        reason=model.spread(reasons, kind), age_days=age, rank=found["code"].map(order),
        owner=model.spread([owner for owner, _ in acts], who), next_step=model.spread([step for _, step in acts], who),
    )  # fmt: skip
    return full.sort_values(BREAK_ORDER, kind="stable")[BREAK_COLUMNS].reset_index(drop=True)


def _acts(code: str, refusal: str) -> tuple[str, str]:
    """Who acts on a break, and how; of a refusal its reasons say it, and the first of several is the owner's."""
    said = refusal.split(", ") if refusal else []
    entries = [CATALOGUE[one] for one in (said if said and code == "REJECTED_BY_ERP" else [code, *said])]
    return entries[0].owner, " ".join(dict.fromkeys(entry.next_step for entry in entries))


def masks(found: pd.DataFrame, documents: pd.DataFrame) -> Ints:
    """For each document (j, u) the codes it has, as bits in the order of CODES."""
    bit = 2 ** found["code"].map({code: number for number, code in enumerate(CODES)}).to_numpy(dtype=np.int64)
    out = np.zeros(len(documents), dtype=np.int64)
    for column, mine in (("u", found["u"] >= 0), ("j", (found["u"] < 0) & (found["j"] >= 0))):
        per = np.zeros(int(max(documents[column].max(), 0)) + 1 if len(documents) else 1, dtype=np.int64)
        np.bitwise_or.at(per, found[column].to_numpy()[mine], bit[mine])
        out |= at(per, documents[column].to_numpy(), 0)
    return out
