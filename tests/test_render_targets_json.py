"""Journals as JSON documents: exact bytes, numbers that are never floats, text escaped and nothing else."""

from __future__ import annotations

import json
import re
from decimal import Decimal
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import rendered
from books import FEED, bundle, shown

from etl import journal, mapping, money, render
from etl.errors import ConfigurationError

KINGDEE = rendered.profile_text("kingdee_k3cloud")
SITE = KINGDEE.replace("{CNY: PRE001}", "{CNY: PRE001, USD: PRE007, JPY: PRE004}")
SMALL = """
target: gl
description: A small document
evidence: the test
kind: json
file: "{batch_id}.json"
encoding: utf-8
amounts: two_columns_blank
dates: "%Y%m%d"
document:
  number: {field: batch_no, as: number}
  lines:
    repeat: line
    each:
      account: {field: account, max: "6", overflow: error, required: yes}
      text: {field: text, max: "200", overflow: truncate}
      debit: {amount: debit, as: number, omit_empty: yes}
      credit: {amount: credit, as: number}
acknowledge: {kind: file, acknowledgements: a, ledger: l}
"""

Books = tuple[mapping.Bundle, journal.Batch, pd.DataFrame, pd.DataFrame]


def batch_of(folder: Path, profile: str, table: str, **changed: str) -> Books:
    """The small company posting through a profile: its books, one batch, headers and lines."""
    books = bundle(folder, gl=profile, **changed)
    return books, *rendered.batch_of(books, table)


def sealed(made: Books) -> str:
    """The sealed text of a batch, rendered twice."""
    books, batch, headers, lines = made
    profile = books.targets["gl"]
    assert [] == shown(render.check(profile, books, headers, lines), "code", "field", "value")
    payload = render.render(profile, books, batch, headers, lines)
    assert payload == render.render(profile, books, batch, headers, lines)
    return payload.decode(profile["encoding"])


def written(folder: Path, profile: str, table: str, **changed: str) -> str:
    return sealed(batch_of(folder, profile, table, **changed))


def refused(folder: Path, profile: str, table: str, **changed: str) -> list[str]:
    books, _, headers, lines = batch_of(folder, profile, table, **changed)
    return shown(render.check(books.targets["gl"], books, headers, lines), "code", "field", "value")


def vouchers(text: str) -> list[dict[str, Any]]:
    """The vouchers of a Kingdee document, every number a Decimal."""
    document = json.loads(text, parse_float=Decimal, parse_int=Decimal)
    return list(document["data"]["Model"])


DOMESTIC = """{
  "formid": "GL_VOUCHER",
  "data": {
    "ValidateRepeatJson": "true",
    "Model": [
      {
        "FVOUCHERID": 0,
        "FAccountBookID": {
          "FNumber": "1"
        },
        "FDate": "2026-02-10",
        "FVOUCHERGROUPID": {
          "FNumber": "PRE001"
        },
        "FEntity": [
          {
            "FEXPLANATION": "TAXI 机票",
            "FACCOUNTID": {
              "FNumber": "6602"
            },
            "FDetailID": {
              "FDETAILID__FFLEX5": {
                "FNumber": "0010"
              }
            },
            "FCURRENCYID": {
              "FNumber": "PRE001"
            },
            "FEXCHANGERATETYPE": {
              "FNumber": "HLTX01_SYS"
            },
            "FEXCHANGERATE": 1,
            "FAMOUNTFOR": 45.00,
            "FDEBIT": 45.00,
            "FCREDIT": 0.00,
            "FBUSNO": "U5MCXWK655SAXAAU"
          },
          {
            "FEXPLANATION": "Payable",
            "FACCOUNTID": {
              "FNumber": "2241"
            },
            "FDetailID": {
              "FDETAILID__FFLEX7": {
                "FNumber": "E1"
              }
            },
            "FCURRENCYID": {
              "FNumber": "PRE001"
            },
            "FEXCHANGERATETYPE": {
              "FNumber": "HLTX01_SYS"
            },
            "FEXCHANGERATE": 1,
            "FAMOUNTFOR": 45.00,
            "FDEBIT": 0.00,
            "FCREDIT": 45.00,
            "FBUSNO": "U5MCXWK655SAXAAU"
          }
        ]
      }
    ]
  }
}
"""


def test_a_kingdee_voucher_in_the_currency_of_the_books(tmp_path: Path) -> None:
    assert DOMESTIC == written(tmp_path, KINGDEE, "gross_minor description\n 4500 机票")


def test_a_foreign_kingdee_voucher_carries_the_rate_and_both_amounts(tmp_path: Path) -> None:
    profile = SITE.replace("layout: indented", "layout: compact")
    text = written(tmp_path, profile, "document_currency gross_minor cost_center\n USD 105 .\n USD 107 .")
    key = re.findall('"FBUSNO":"([A-Z2-7]{16})"', text)[0]
    lines = [
        '{"FEXPLANATION":"TAXI","FACCOUNTID":{"FNumber":"6602"},@1.05,"FDEBIT":7.46,"FCREDIT":0.00|',
        '{"FEXPLANATION":"TAXI","FACCOUNTID":{"FNumber":"6602"},@1.07,"FDEBIT":7.60,"FCREDIT":0.00|',
        '{"FEXPLANATION":"Payable","FACCOUNTID":{"FNumber":"2241"},"FDetailID":{"FDETAILID__FFLEX7":{"FNumber":"E1"}},'
        '@2.12,"FDEBIT":0.00,"FCREDIT":15.05|',
        '{"FEXPLANATION":"Rounding of the conversion","FACCOUNTID":{"FNumber":"6699"},'
        '@0.00,"FDEBIT":0.00,"FCREDIT":0.01|',
    ]
    money_of_line = (
        '"FCURRENCYID":{"FNumber":"PRE007"},"FEXCHANGERATETYPE":{"FNumber":"HLTX01_SYS"},"FEXCHANGERATE":7.1,'
        '"FAMOUNTFOR":'
    )
    whole = ",".join(line.replace("@", money_of_line).replace("|", f',"FBUSNO":"{key}"}}') for line in lines)

    assert text == (
        '{"formid":"GL_VOUCHER","data":{"ValidateRepeatJson":"true","Model":[{"FVOUCHERID":0,'
        '"FAccountBookID":{"FNumber":"1"},"FDate":"2026-02-10","FVOUCHERGROUPID":{"FNumber":"PRE001"},'
        f'"FEntity":[{whole}]}}]}}}}\n'
    )


MANY = (
    "report_id document_currency gross_minor tax_code\n R1 CNY 10000000000001 HALF\n R1 USD 333 .\n R2 JPY 1001 .\n"
    " R3 CNY -700 FULL\n R4 CNY 1 ."
)


def test_debit_is_credit_and_every_amount_is_the_journals_to_the_cent(tmp_path: Path) -> None:
    made = batch_of(tmp_path, SITE, MANY, feeds=FEED.replace('journals_max: "2"', 'journals_max: "9"'))
    _, _, headers, lines = made
    found = vouchers(sealed(made))
    currencies = lines.merge(headers[["journal_key", "currency"]], on="journal_key")["currency"]
    numbers = ["debit_minor", "credit_minor", "base_debit_minor", "base_credit_minor"]
    booked = [
        (
            key,
            Decimal(money.text_of(debit + credit, currency)),
            Decimal(money.text_of(base_debit, "CNY")),
            Decimal(money.text_of(base_credit, "CNY")),
        )
        for key, currency, debit, credit, base_debit, base_credit in zip(
            lines["journal_key"], currencies, *(lines[name].tolist() for name in numbers), strict=True
        )
    ]
    entries = [entry for voucher in found for entry in voucher["FEntity"]]

    assert len(headers) == len(found)
    assert booked == [(e["FBUSNO"], e["FAMOUNTFOR"], e["FDEBIT"], e["FCREDIT"]) for e in entries]
    assert [0] * len(found) == [sum(e["FDEBIT"] - e["FCREDIT"] for e in v["FEntity"]) for v in found]
    assert {Decimal("100000000000.01")} < {e["FAMOUNTFOR"] for e in entries}


def test_a_journal_in_a_currency_without_a_code_is_held(tmp_path: Path) -> None:
    assert ["REFERENCE data.Model.FEntity.FCURRENCYID.FNumber USD"] == refused(
        tmp_path, KINGDEE, "document_currency gross_minor\n USD 100"
    )


def test_a_company_without_an_account_book_is_held(tmp_path: Path) -> None:
    assert ["MISSING data.Model.FAccountBookID.FNumber "] == refused(
        tmp_path, KINGDEE, "gross_minor\n 100", feeds=FEED.replace('ledger_id: "1", ', "")
    )


# --- the kind, by a small document


def test_a_compact_document_with_blank_amounts(tmp_path: Path) -> None:
    made = batch_of(tmp_path, SMALL, "gross_minor\n 4500")

    assert sealed(made) == (
        f'{{"number":{made[1].batch_no},"lines":[{{"account":"6602","text":"TAXI","debit":45.00,"credit":null}},'
        '{"account":"2241","text":"Payable","credit":45.00}]}\n'
    )


def test_a_document_can_be_an_array_and_repeat_columns(tmp_path: Path) -> None:
    head, tail = SMALL.split("document:\n")[0], SMALL[SMALL.index("acknowledge:") :]
    tree = (
        "document:\n  repeat: journal\n  each: {day: {field: posting_date}, parties: {repeat: line, each: "
        "{field: party, omit_empty: yes}}, rate: {foreign: rate, as: number}, "
        "kind: {foreign: User, omit_empty: yes}, empty: {omit_empty: yes, none: {value: ''}}, "
        "field: {value: a member may be called field}}\n"
    )

    assert written(tmp_path, f"{head}{tree}{tail}", "document_currency gross_minor\n CNY 1\n USD 100") == (
        '[{"day":"20260210","parties":[null,"E1"],"rate":null,"field":"a member may be called field"},'
        '{"day":"20260210","parties":[null,"E1"],"rate":7.1,"kind":"User","field":"a member may be called field"}]\n'
    )


@pytest.mark.parametrize(
    ("text", "token"),
    [
        ('say_"hi"', r'"TAXI say \"hi\""'),
        ("C:\\new", r'"TAXI C:\\new"'),
        ("a\x01b\x08c", '"TAXI a\\u0001b\\bc"'),
        ("机票𠮷", '"TAXI 机票𠮷"'),
        ("\U0001f600</script>", '"TAXI \U0001f600</script>"'),
        ("a,b:{c}[d]", '"TAXI a,b:{c}[d]"'),
    ],
)
def test_text_is_escaped_where_json_wants_it_and_nowhere_else(tmp_path: Path, text: str, token: str) -> None:
    document = written(tmp_path, SMALL, f"gross_minor description\n 1 {text}")

    assert f'"text":{token},' in document
    assert "TAXI " + text.replace("_", " ") == json.loads(document)["lines"][0]["text"]


def test_line_breaks_in_a_profiles_own_text_are_escaped(tmp_path: Path) -> None:
    profile = SMALL.replace("field: text,", 'template: "a\\nb\\t{text}",')

    assert r'"text":"a\nb\tTAXI"' in written(tmp_path, profile, "gross_minor\n 1")


def test_text_is_cut_between_characters_before_it_is_escaped(tmp_path: Path) -> None:
    profile = SMALL.replace('max: "200"', 'max: "7"')

    assert r'"text":"TAXI \"\""' in written(tmp_path, profile, 'gross_minor description\n 1 """')


def test_b105_a_key_too_long_or_missing_holds_the_report(tmp_path: Path) -> None:
    counter = "company,payer,account\nC1,EMPLOYEE,22410001\nC1,CARD,\n"

    assert ["KEY_OVERFLOW lines.account 22410001", "MISSING lines.account "] == refused(
        tmp_path, SMALL, "report_id payer gross_minor\n R1 EMPLOYEE 1\n R2 CARD 1", counter=counter
    )


def test_b106_text_that_the_encoding_lacks_holds_the_report(tmp_path: Path) -> None:
    profile = SMALL.replace("encoding: utf-8", "encoding: gbk")

    assert ["UNENCODABLE lines.text TAXI 𠮷"] == refused(tmp_path / "a", profile, "gross_minor description\n 1 𠮷")
    assert "TAXI 机票" in written(tmp_path / "b", profile, "gross_minor description\n 1 机票")


def test_a_number_that_json_does_not_know_holds_the_report(tmp_path: Path) -> None:
    profile = SMALL.replace("field: account,", "field: party, as: number,").replace(", required: yes", "")

    assert ["UNENCODABLE lines.account 007"] == refused(tmp_path / "a", profile, "employee_id gross_minor\n 007 1")
    assert '"account":70,' in written(tmp_path / "b", profile, "employee_id gross_minor\n 70 1")


def test_account_numbers_in_text_are_masked_in_a_reject(tmp_path: Path) -> None:
    profile = SMALL.replace("overflow: truncate", "overflow: error").replace('max: "200"', 'max: "9"')

    assert ["KEY_OVERFLOW lines.text TAXI ****5678"] == refused(
        tmp_path, profile, "gross_minor description\n 1 6222020200112345678"
    )


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("field: account,", "field: acount,", "gl.yml line 15: document.lines.each.account: no journal field 'acount'"),
        ("field: text,", 'template: "{nobody}",', "line 16: document.lines.each.text: no journal field 'nobody'"),
        ('max: "200", overflow', "overflow", "line 16: document.lines.each.text: overflow: truncate needs a max"),
        ("{field: batch_no,", "{field: account,", "line 11: document.number: 'account' has no single value in a docu"),
        (
            "{field: batch_no, as: number}",
            "{template: '{batch_no} {account}'}",
            "line 11: document.number: 'account' has no single value in a document",
        ),
        ("{field: batch_no,", "{amount: debit,", "line 11: document.number: an amount has no single value in a docum"),
        ("{field: batch_no,", "{value: '01',", "line 11: document.number: '01' is no JSON number"),
        ("amount: credit,", "amount: credit, max: '3', overflow: truncate,", "credit: a number is never cut"),
        ("repeat: line", "repeat: voucher", "line 13: document.lines.repeat: 'voucher' is not one of"),
        (
            "      credit: {",
            "      credit: {repeat: line, each: {value: x}}\n      c: {",
            "a line cannot repeat inside a",
        ),
        ("as: number}", "as: float}", "document.number.as: 'float' is not one of"),
        ("{amount: credit,", "{amont: credit,", "document.lines.each.credit.a"),
        ("amount: debit,", "amount: signed,", "line 17: document.lines.each.debit.amount: 'signed' is not one of"),
        ("encoding: utf-8", "encoding: utf-9", "line 7: encoding: no encoding 'utf-9'"),
    ],
)
def test_a_mistake_in_a_json_profile_is_named(tmp_path: Path, old: str, new: str, said: str) -> None:
    assert old in SMALL

    with pytest.raises(ConfigurationError, match=re.escape(said)):
        bundle(tmp_path, gl=SMALL.replace(old, new, 1))
