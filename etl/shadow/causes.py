"""The likely cause of a difference, in words: what the numbers show, never more than that."""

from __future__ import annotations


def cause(code: str, account: str, legacy_account: str, ours: str, legacy: str, lines: int, known: str) -> str:
    """One sentence or two for one difference; `known` is what we know of a document that only they have."""
    sentences = {
        "ONLY_OURS": f"The legacy journal has nothing on {ours} in this document."
        if account
        else "The legacy journal has no document of this reference, in any period.",
        "ONLY_LEGACY": f"We post nothing on {legacy} in this document."
        if account
        else known or "We have no document of this reference: it never landed here.",
        "LEGACY_TWICE": "The legacy interface posted the same lines more than once.",
        "LEGACY_COMPANY": "The document stands in the books of another company there.",
        "LEGACY_PERIOD": f"We post it on {ours}, they on {legacy}: another date decides the period there.",
        "LEGACY_DATE": f"We post it on {ours}, they on {legacy}, in the same period.",
        "LEGACY_CURRENCY": f"{ours} here, {legacy} there: the legacy interface posts another currency.",
        "LEGACY_DIMENSION": f"{ours} here, {legacy} there: same amount, other dimensions.",
        "LEGACY_ACCOUNT": f"The same amount stands on account {legacy_account} there."
        if legacy_account
        else "The accounts differ, their sum does not: the amount is divided over other accounts there.",
        "LEGACY_SIGN": "The same amount on the other side: the sides are swapped, or a refund is not seen as one.",
        "LEGACY_SPLIT": f"The sum is equal, its lines are not ({lines} in all): one side splits or merges them.",
        "LEGACY_ROUNDING": "Within the agreed rounding: another rounding of rate, tax or parts.",
        "LEGACY_AMOUNT": "Same document and account, another amount.",
    }
    return sentences[code]
