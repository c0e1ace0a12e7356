"""Whether a feed delivers: a feed in shadow builds and seals, and delivers nothing until it is signed off.

Signed off for a period, the legacy interface has posted all up to its end and is switched off. So what was sealed
before the sign-off for that period or an earlier one is never delivered; everything else is.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from etl.store import Batch, Store

SHADOW: Final = "shadow"


def kept_back(feed: Mapping[str, Any], store: Store, batches: Iterable[Batch]) -> dict[str, str]:
    """Of these sealed batches of one feed those that must not be delivered, each with the reason."""
    if feed.get("mode") != SHADOW:
        return {}
    signed = store.sign_off(str(feed["feed"]))
    sealed = [batch for batch in batches if batch.state == "sealed"]
    if not signed:
        return {batch.batch_id: "its feed is in shadow and not signed off" for batch in sealed}
    old = [one for one in sealed if one.period <= signed["period"] and one.sealed_at < signed["at"]]
    return {batch.batch_id: f"the legacy interface posted {batch.period}" for batch in old}
