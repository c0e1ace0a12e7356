"""Declarative mapping: load and cross-check the documents of a feed, and turn expense lines into journal parts."""

from etl.mapping.apply import Applied, Faults, apply, evaluate, fill, reject_frame
from etl.mapping.bundle import Bundle, check, feed_names, legacy_profile, load

__all__ = [
    "Applied", "Bundle", "Faults", "apply", "check", "evaluate", "feed_names", "fill", "legacy_profile", "load",
    "reject_frame",
]  # fmt: skip
