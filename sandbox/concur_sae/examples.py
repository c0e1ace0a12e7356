"""The use cases that SAP publishes for its financial integration, as claims; names begin with the case's number."""

from __future__ import annotations

from typing import Final

from sandbox.concur_sae.claims import Advance, Claim, Entry, Share, Tax

AIR, HOTEL, MEAL, TAXI, LAUNDRY, FUEL, PHONE = "6203", "6204", "6205", "6201", "6209", "6206", "6207"
CLEARING, ADVANCE = "1290", "1221"


def _hotel(paid_by: str) -> tuple[Entry, ...]:
    """Room, room and breakfast; with a minibar of 14 that is private."""
    return (
        Entry("125.00", "Hotel", HOTEL, paid_by, "2026-02-18"),
        Entry("125.00", "Hotel", HOTEL, paid_by, "2026-02-19"),
        Entry("20.00", "Breakfast", MEAL, paid_by, "2026-02-19"),
        Entry("14.00", "Hotel", CLEARING, paid_by, "2026-02-19", description="Minibar", personal=True),
    )


def _advanced(amount: str, expense_type: str, account: str, covered: str) -> Entry:
    return Entry(amount, expense_type, account, advance=("77", ADVANCE, covered))


CLAIMS: Final = (
    Claim("1-1-TAXI", "E1", (Entry("10.00", "Taxi", TAXI, vendor='Joe "Cab" Doe'),)),
    Claim("1-2-HOTEL-REBATE", "E1", (Entry("-50.00", "Hotel", HOTEL),)),
    Claim("2-1-LAUNDRY", "E2", (Entry("10.00", "Laundry", LAUNDRY, taxes=(Tax("1.60", "VAT", "GB-S"),)),),
          "ACME-UK", "GBP"),
    Claim("2-2-FUEL", "E2", (Entry("100.00", "Fuel", FUEL, taxes=(Tax("15.97", "VAT-N", "GB-N"),)),),
          "ACME-UK", "GBP"),
    Claim("2-3-PHONE", "E3", (Entry("100.00", "Mobile phone", PHONE,
                                    taxes=(Tax("4.42", "GST", "CA-GST"), Tax("7.08", "QST", "CA-QST"))),),
          "ACME-CA", "CAD"),
    Claim("2-4-HOTEL", "E3", (Entry("55.00", "Hotel", HOTEL, taxes=(
        Tax("1.22", "GST", "CA-GST"), Tax("1.95", "QST", "CA-QST"),
        Tax("1.21", "GST-N", "CA-GST"), Tax("1.94", "QST-N", "CA-QST"))),), "ACME-CA", "CAD"),
    Claim("2-5-MEAL", "E2", (Entry("80.32", "Dinner", MEAL, "IBCP", taxes=(Tax("20.08", "VAT-N", "DE-0"),)),),
          "ACME-UK", "GBP"),
    Claim("4-1-BREAKFAST", "E1", (Entry("25.00", "Breakfast", MEAL, shares=(
        Share("12.50", "50", "0010"), Share("12.50", "50", "0020"))),)),
    Claim("5-2-1-APPLIED", "E4", (
        _advanced("245.00", "Hotel", HOTEL, "240.00"), _advanced("60.00", "Dinner", MEAL, "60.00"),
        Entry("10.00", "Taxi", TAXI))),
    Claim("5-2-2-RETURNED", "E4", (
        _advanced("245.00", "Hotel", HOTEL, "245.00"), _advanced("60.00", "Dinner", MEAL, "60.00"),
        _advanced("10.00", "Taxi", TAXI, "10.00")), returned=("77", ADVANCE, "85.00")),
    Claim("6-1-3-CREDIT", "E5", (Entry("-349.00", "Airfare", AIR, "IBCP"),)),
    Claim("6-1-6-CARD", "E5", (*_hotel("IBCP"), Entry("35.00", "Taxi", TAXI))),
    Claim("6-1-6-OFFSET", "E5", (*_hotel("IBCP"), Entry("35.00", "Taxi", TAXI, to_card=("IBCP", "14.00")))),
    Claim("6-2-1-PERSONAL", "E6", (
        Entry("49.00", "Dinner", CLEARING, "CBCP", personal=True),
        Entry("32.00", "Gifts", CLEARING, "CBCP", personal=True))),
    Claim("6-2-2-COMPANY-CARD", "E6", (*_hotel("CBCP"), Entry("35.00", "Taxi", TAXI))),
)  # fmt: skip
ADVANCES: Final = (Advance("70", "E4", "7000.00", ADVANCE),)
