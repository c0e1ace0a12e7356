"""Declarative mapping: load and cross-check the documents of a feed, and turn expense lines into journal parts."""

from etl.mapping.apply import Faults, evaluate, fill, period_policy, postponed, reject_frame, with_dates
from etl.mapping.bundle import Bundle, check, feed_names, legacy_profile, load
from etl.mapping.parts import Applied, apply, rule_number, rules

__all__ = [
    "Applied", "Bundle", "Faults", "apply", "check", "evaluate", "feed_names", "fill", "legacy_profile", "load",
    "period_policy", "postponed", "reject_frame", "rule_number", "rules", "with_dates",
]  # fmt: skip
