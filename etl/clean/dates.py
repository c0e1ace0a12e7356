"""Dates and times as declared, and no other way: ISO text out, local times as UTC.

Formats are built from %Y %m %d %-m %-d %H %M %S %f %z and the signs between them. `%-m` and `%-d` take one or two
digits, `%f` a fraction of a second, which is dropped; all others a fixed number. A local time that a clock change skips
or repeats is refused unless the mapping says which of the two is meant (`repeated_hour: first | second`).
"""

from __future__ import annotations

import calendar
import datetime
import functools
import re
from dataclasses import dataclass
from typing import Final
from zoneinfo import ZoneInfo

_PIECES: Final = {
    "%Y": "(?P<year>[0-9]{4})",
    "%m": "(?P<month>[0-9]{2})",
    "%d": "(?P<day>[0-9]{2})",
    "%-m": "(?P<month>[0-9]{1,2})",
    "%-d": "(?P<day>[0-9]{1,2})",
    "%H": "(?P<hour>[0-9]{2})",
    "%M": "(?P<minute>[0-9]{2})",
    "%S": "(?P<second>[0-9]{2})",
    "%f": "(?P<fraction>[0-9]{1,9})",
    "%z": r"(?P<offset>Z|[+-](?:0[0-9]|1[0-4]):?[0-5][0-9])",
}
_PIECE: Final = re.compile(r"%-?[A-Za-z]|[^%]|%")
ISO_DATE, ISO_TIME = "%Y-%m-%d", "%Y-%m-%dT%H:%M:%SZ"
_MONTH: Final = "%Y-%m"
FIRST_DAY, LAST_DAY = "first_day_of_month", "last_day_of_month"
MONTHS: Final = (FIRST_DAY, LAST_DAY)
# Days 1 to 28 exist in every month: such an ISO text needs no calendar. The rest is read one distinct text at a time.
SURE_DATE: Final = "[1-9][0-9]{3}-(?:0[1-9]|1[0-2])-(?:0[1-9]|1[0-9]|2[0-8])"
SURE_TIME: Final = SURE_DATE + "T(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]Z"


@dataclass(frozen=True)
class Calendar:
    """How a source writes dates and times; `zone` is where times without an offset were taken."""

    dates: tuple[str, ...] = ()
    times: tuple[str, ...] = ()
    zone: str = ""
    repeated_hour: str = "refuse"

    def date(self, text: str) -> str:
        """ISO date, or "" when the text is none in a declared format."""
        found = (_fields(format, text) for format in self.dates)
        return next((iso for parts in found if parts and (iso := _day(parts))), "")

    def time(self, text: str) -> tuple[str, str]:
        """ISO UTC time and "", or "" and what is wrong beyond the format."""
        for format in self.times:
            parts = _fields(format, text)
            if parts and _day(parts):
                return self._utc(parts, "Z" if format.endswith("Z") else parts.get("offset", ""))
        return "", ""

    def _utc(self, parts: dict[str, str], offset: str) -> tuple[str, str]:
        try:
            clock = datetime.time(int(parts["hour"]), int(parts["minute"]), int(parts.get("second", "0")))
        except ValueError:
            return "", ""
        local = datetime.datetime.combine(datetime.date.fromisoformat(_day(parts)), clock)
        if offset:
            return _iso(local.replace(tzinfo=_offset(offset)))
        zone = ZoneInfo(self.zone)
        first, second = (local.replace(tzinfo=zone, fold=fold) for fold in (0, 1))
        if first.utcoffset() == second.utcoffset():
            return _iso(first)
        if first.astimezone(datetime.UTC).astimezone(zone).replace(tzinfo=None) != local:
            return "", f"the clocks in {self.zone} skip it"
        if self.repeated_hour == "refuse":
            return "", f"it stands twice on the clocks in {self.zone}"
        return _iso(first if self.repeated_hour == "first" else second)


def day_of_month(text: str, which: str) -> str:
    """The first or last day of a month written 2026-03, or ""."""
    parts = _fields(_MONTH, text)
    if not parts or not _day({**parts, "day": "01"}):
        return ""
    last = calendar.monthrange(int(parts["year"]), int(parts["month"]))[1]
    return _day({**parts, "day": "1" if which == FIRST_DAY else str(last)})


def unreadable_format(format: str, is_time: bool) -> str:
    """Why a format cannot be used, or ""."""
    pieces = [piece for piece in _PIECE.findall(format) if piece.startswith("%")]
    unknown = sorted({piece for piece in pieces if piece not in _PIECES})
    if unknown:
        return f"{', '.join(unknown)} is not one of {' '.join(_PIECES)}"
    names = [piece.replace("-", "") for piece in pieces]
    needed = ["%Y", "%m", "%d", *(["%H", "%M"] if is_time else [])]
    missing = [name for name in needed if names.count(name) != 1]
    return f"{', '.join(missing)} must stand in it once" if missing or len(names) > len(set(names)) else ""


@functools.cache
def _pattern(format: str) -> re.Pattern[str]:
    return re.compile("".join(_PIECES.get(piece) or re.escape(piece) for piece in _PIECE.findall(format)), re.ASCII)


def _fields(format: str, text: str) -> dict[str, str] | None:
    match = _pattern(format).fullmatch(text)
    return match.groupdict() if match else None


def _day(parts: dict[str, str]) -> str:
    try:
        return datetime.date(int(parts["year"]), int(parts["month"]), int(parts["day"])).isoformat()
    except ValueError:
        return ""


def _offset(text: str) -> datetime.tzinfo:
    if text == "Z":
        return datetime.UTC
    minutes = int(text[1:3]) * 60 + int(text[-2:])
    return datetime.timezone(datetime.timedelta(minutes=-minutes if text[0] == "-" else minutes))


def _iso(moment: datetime.datetime) -> tuple[str, str]:
    try:
        utc = moment.astimezone(datetime.UTC)
    except (OverflowError, ValueError):
        return "", ""
    return f"{utc:%Y}".rjust(4, "0") + f"{utc:-%m-%dT%H:%M:%SZ}", ""
