"""What must hold inside the store whatever the ERP says; `claimpost verify` checks it, by the numbers I01 to I26.

Reconciliation proper (source = journal = ERP) is in the other modules of this package. Nothing is shared with the code
that wrote the rows.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import pandas as pd

from etl.reconcile.breaks import moments

# code -> (invariant, severity)
CHECKS: Final = {
    "FILE_DIFFERS": ("I11", "S1"),
    "BATCH_GAP": ("I14", "S1"),
    "REVERSAL_DIFFERS": ("I20", "S1"),
    "STUCK": ("I21", "S2"),
    "QUARANTINE_OLD": ("I22", "S3"),
    "MANIFEST_DIFFERS": ("I13", "S1"),
    "ARCHIVE_ALTERED": ("I23", "S1"),
    "AUDIT_BROKEN": ("I24", "S1"),
}
MINUTES: Final = {"sealed": 60, "publishing": 15}
QUARANTINE_DAYS: Final = 3
Finding = tuple[str, str, str]  # code, subject, detail


def sequence(batches: pd.DataFrame) -> list[Finding]:
    """I14: per target, sequence numbers from 1 without a gap. In: target, seq."""
    found = []
    for target, seqs in batches.groupby("target", dropna=False, sort=True)["seq"]:
        missing = sorted(set(range(1, int(seqs.max()) + 1)) - set(seqs))
        if missing:
            found.append(("BATCH_GAP", str(target), f"number {missing[0]} and {len(missing) - 1} more are missing"))
    return found


def reversals(journals: pd.DataFrame, lines: pd.DataFrame) -> list[Finding]:
    """I20: a journal and its reversal are zero together, per account, in both currencies.

    In: journal_key, reversal_of; the lines of both with account and the four sides. A journal that held several
    reports has a reversal for each: only when all its lines are taken back do they cancel out, so it is left out.
    """
    pairs = journals.loc[journals["reversal_of"] != "", ["journal_key", "reversal_of"]]
    pairs = pairs[~pairs["reversal_of"].duplicated(keep=False)]
    about = dict(zip(pairs["journal_key"], pairs["reversal_of"], strict=True))
    about |= {original: original for original in pairs["reversal_of"]}
    mine = lines[lines["journal_key"].isin(about)]
    net = pd.DataFrame(
        {
            "about": mine["journal_key"].map(about),
            "account": mine["account"],
            "minor": mine["debit_minor"] - mine["credit_minor"],
            "base": mine["base_debit_minor"] - mine["base_credit_minor"],
        }
    )
    sums = net.groupby(["about", "account"], dropna=False, sort=True)[["minor", "base"]].sum().reset_index()
    wrong = sums[(sums["minor"] != 0) | (sums["base"] != 0)].drop_duplicates("about")
    detail = "account " + wrong["account"] + " keeps " + wrong["minor"].astype("str") + " minor units"
    return [("REVERSAL_DIFFERS", key, text) for key, text in zip(wrong["about"], detail, strict=True)]


def stuck(batches: pd.DataFrame, as_of: str) -> list[Finding]:
    """I21: nothing sealed for over an hour, nothing publishing for over 15 minutes. In: batch_id, state, at."""
    waiting = batches[batches["state"].isin(["sealed", "publishing"])]
    limit = waiting["state"].map(MINUTES).to_numpy(dtype="timedelta64[m]")
    late = waiting[_age(waiting["at"], as_of) > limit]
    return [
        ("STUCK", b, f"{s} since {at}") for b, s, at in zip(late["batch_id"], late["state"], late["at"], strict=True)
    ]


def quarantine(rejects: pd.DataFrame, as_of: str) -> list[Finding]:
    """I22: no report waits for more than three days. In: company, report_id, report_version, code, rejected_at."""
    late = _age(rejects["rejected_at"], as_of) > np.timedelta64(QUARANTINE_DAYS, "D")
    old = rejects[late].drop_duplicates(["company", "report_id", "report_version"])
    names = old["company"] + " " + old["report_id"] + " " + old["report_version"]
    since = old["rejected_at"].str.slice(0, 10) + ", " + old["code"]
    return [("QUARANTINE_OLD", name, text) for name, text in zip(names, since, strict=True)]


def _age(since: pd.Series, as_of: str) -> Any:
    return moments(pd.Series([as_of], dtype="str"))[0] - moments(since)
