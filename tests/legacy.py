"""A legacy journal written by hand, and the claims behind it: who posts what is said here, not computed."""

from __future__ import annotations

from pathlib import Path

from claims import Line, claim

HEADER = "Voucher;Reference;Company;Date;Account;Cost Center;Debit;Credit;Currency"
DAY = "10.02.2026"


def line(reference: str, account: str, debit: str = "", credit: str = "", **other: str) -> str:
    """One line of the legacy journal: a taxi of company CN01 posted on 10 February, but for what is said otherwise."""
    center = other.get("center", "0010" if account.startswith("66") else "")
    place = f"{other.get('company', '2021')};{other.get('day', DAY)}"
    return f"1;EXP-{reference};{place};{account};{center};{debit};{credit};{other.get('currency', 'RMB')}"


def taxi(reference: str, amount: str = "45,00", **other: str) -> list[str]:
    """A taxi as both interfaces post it: 660201 to 224101."""
    return [line(reference, "660201", amount, **other), line(reference, "224101", "", amount, **other)]


def write(path: Path, lines: list[str]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join([HEADER, *lines, ""]), "utf-8", newline="")
    return path


# The claims of the month, and below what the legacy interface made of them, one planted difference in each.
CLAIMS: list[Line] = [
    claim(Report_ID="SAME"),
    claim(Report_ID="SAME2", Amount="1045.00"),
    claim(Report_ID="OURS"),
    claim(Report_ID="AMOUNT"),
    claim(Report_ID="ACCOUNT"),
    claim(Report_ID="MOVED", Amount="106.00", Tax_Code="V6", Tax="6.00"),
    claim(Report_ID="CENTER"),
    claim(Report_ID="CURRENCY"),
    claim(Report_ID="CENT"),
    claim(Report_ID="SIGN"),
    claim(Report_ID="SPLIT"),
    claim(Report_ID="TWICE"),
    claim(Report_ID="DATE"),
    claim(Report_ID="PERIOD"),
    claim(Report_ID="COMPANY"),
    claim(Report_ID="HELD", State="draft"),
    claim(Report_ID="MARCH", Approved="2026-03-10T01:00:00Z"),
]
PLANTED = {
    "AMOUNT": ("LEGACY_AMOUNT", taxi("AMOUNT", "54,00")),
    "ACCOUNT": ("LEGACY_ACCOUNT", [line("ACCOUNT", "660202", "45,00"), line("ACCOUNT", "224101", "", "45,00")]),
    # the tax is not shown apart there: 100.00 + 6.00 here, 106.00 there
    "MOVED": ("LEGACY_ACCOUNT", taxi("MOVED", "106,00")),
    "CENTER": ("LEGACY_DIMENSION", [*taxi("CENTER")[1:], line("CENTER", "660201", "45,00", center="0020")]),
    "CURRENCY": ("LEGACY_CURRENCY", taxi("CURRENCY", currency="USD")),
    "CENT": ("LEGACY_ROUNDING", taxi("CENT", "45,01")),
    "SIGN": ("LEGACY_SIGN", [line("SIGN", "660201", "", "45,00"), line("SIGN", "224101", "45,00")]),
    "SPLIT": (
        "LEGACY_SPLIT",
        [line("SPLIT", "660201", "40,00"), line("SPLIT", "660201", "5,00"), line("SPLIT", "224101", "", "45,00")],
    ),
    "TWICE": ("LEGACY_TWICE", taxi("TWICE") + taxi("TWICE", day="11.02.2026")),
    "DATE": ("LEGACY_DATE", taxi("DATE", day="28.02.2026")),
    "PERIOD": ("LEGACY_PERIOD", taxi("PERIOD", day="03.03.2026")),
    "COMPANY": ("LEGACY_COMPANY", taxi("COMPANY", company="2022")),
    "HELD": ("ONLY_LEGACY", taxi("HELD")),
    "STRANGE": ("ONLY_LEGACY", taxi("STRANGE")),
}
JOURNAL: list[str] = [
    *taxi("SAME"),
    *taxi("SAME2", "1.045,00"),
    *(row for _, rows in PLANTED.values() for row in rows),
    *taxi("APRIL", day="01.04.2026"),
]
