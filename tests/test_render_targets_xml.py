"""Targets of kind xml: what the bundled profiles write, read back by a real XML parser, and trees with mistakes."""

from __future__ import annotations

import re
from decimal import Decimal
from pathlib import Path
from xml.etree import ElementTree

import pandas as pd
import pytest
from books import FEED, bundle
from rendered import by_profile, profile_text, refused, refused_reports

from etl import money
from etl.errors import ConfigurationError

SAP, NC = "sap_idoc_acc_document", "yonyou_nc65_xml"
BOTH = pytest.mark.parametrize("profile", [SAP, NC])
NC_CODES = ', rounding: "6699", nc_account: "01", nc_group: G1, nc_org: O1, nc_book: O1-0001}'
FEEDS = FEED.replace(', rounding: "6699"}', NC_CODES)
DOMESTIC = 'gross_minor description\n 4500 机票<&">'
FOREIGN = "document_currency gross_minor description\n USD 105 .\n USD 107 ."
MANY = (
    "report_id document_currency gross_minor tax_code\n"
    " R1 CNY 4500 FULL\n R2 USD 105 NONE\n R2 USD 107 HALF\n R3 JPY 1001 NONE\n R4 CNY -300 NONE"
)
WIDE = FEEDS.replace('journals_max: "2"', 'journals_max: "9"')

SAP_HEAD = """
<?xml version="1.0" encoding="UTF-8"?>
<ACC_DOCUMENT05>
 <IDOC BEGIN="1">
  <EDI_DC40 SEGMENT="1">
   <TABNAM>EDI_DC40</TABNAM>
   <DIRECT>2</DIRECT>
   <IDOCTYP>ACC_DOCUMENT05</IDOCTYP>
   <MESTYP>ACC_DOCUMENT</MESTYP>
   <SNDPOR>CLAIMPOST</SNDPOR>
   <SNDPRT>LS</SNDPRT>
   <SNDPRN>CLAIMPOST</SNDPRN>
  </EDI_DC40>
  <E1BPACHE09 SEGMENT="1">
   <BUS_ACT>RFBU</BUS_ACT>
   <USERNAME>CLAIMPOST</USERNAME>
   <HEADER_TXT>R1 E1</HEADER_TXT>
   <COMP_CODE>C1</COMP_CODE>
   <DOC_DATE>20260203</DOC_DATE>
   <PSTNG_DATE>20260210</PSTNG_DATE>
   <DOC_TYPE>SA</DOC_TYPE>
   <REF_DOC_NO>{key}</REF_DOC_NO>
  </E1BPACHE09>
"""
SAP_TAIL = """
 </IDOC>
</ACC_DOCUMENT05>
"""
NC_HEAD = """
<?xml version="1.0" encoding="UTF-8"?>
<ufinterface account="01" billtype="vouchergl" groupcode="G1" orgcode="O1" receiver="O1" sender="claimpost"\
 replace="N" isexchange="Y">
 <voucher id="{key}">
  <voucher_head>
   <pk_voucher/>
   <pk_vouchertype>01</pk_vouchertype>
   <year>2026</year>
   <period>02</period>
   <no/>
   <pk_system>GL</pk_system>
   <voucherkind>0</voucherkind>
   <pk_accountingbook>O1-0001</pk_accountingbook>
   <prepareddate>2026-02-10</prepareddate>
   <pk_prepared>claimpost</pk_prepared>
   <pk_org>O1</pk_org>
   <pk_group>G1</pk_group>
   <details>
"""
NC_TAIL = """
   </details>
  </voucher_head>
 </voucher>
</ufinterface>
"""
NC_DEPARTMENT = ("<ass><item><pk_Checktype>0001</pk_Checktype><pk_Checkvalue>0010</pk_Checkvalue></item></ass>",)


def written(folder: Path, profile: str, table: str, **changed: str) -> str:
    payload, _, _, _ = by_profile(folder, profile, table, **{"feeds": FEEDS, **changed})
    return payload.decode("utf-8")


def document(head: str, key: str, body: list[str], tail: str) -> str:
    """The document without its indent, as `plain` leaves one."""
    return plain(head.format(key=key) + "".join(body) + tail)


def plain(text: str) -> str:
    return re.sub(r"\n *", "", text)


def gl(item: int, account: str, *rest: str) -> str:
    inside = f"<ITEMNO_ACC>{item:010}</ITEMNO_ACC><GL_ACCOUNT>000000{account}</GL_ACCOUNT>{''.join(rest)}"
    return f'<E1BPACGL09 SEGMENT="1">{inside}</E1BPACGL09>'


def cr(item: int, kind: str, currency: str, amount: str) -> str:
    return (
        f'<E1BPACCR09 SEGMENT="1"><ITEMNO_ACC>{item:010}</ITEMNO_ACC><CURR_TYPE>{kind}</CURR_TYPE>'
        f"<CURRENCY>{currency}</CURRENCY><CURRENCY_ISO>{currency}</CURRENCY_ISO>"
        f"<AMT_DOCCUR>{amount}</AMT_DOCCUR></E1BPACCR09>"
    )


def nc(number: int, text: str, side: str, amounts: tuple[str, str], codes: tuple[str, str], *ass: str) -> str:
    """One item of an NC voucher. In: amounts in the document's and the books' currency; currency and account."""
    rate = "" if codes[0] == "CNY" else "<excrate2>7.1</excrate2>"
    four = zip(("", "local", "group", "global"), (amounts[0], *[amounts[1]] * 3), strict=True)
    money_of = "".join(f"<{which}{side}amount>{amount}</{which}{side}amount>" for which, amount in four)
    return (
        f"<item><detailindex>{number}</detailindex><explanation>{text}</explanation>{rate}{money_of}"
        f"<pk_currtype>{codes[0]}</pk_currtype><pk_accasoa>{codes[1]}</pk_accasoa>{''.join(ass)}</item>"
    )


COST_CENTER = "<COSTCENTER>0000000010</COSTCENTER>"


def test_an_idoc_of_a_domestic_journal(tmp_path: Path) -> None:
    body = [
        gl(1, "6602", "<ITEM_TEXT>TAXI 机票&lt;&amp;&quot;&gt;</ITEM_TEXT>", COST_CENTER),
        gl(2, "2241", "<ITEM_TEXT>Payable</ITEM_TEXT>"),
        cr(1, "00", "CNY", "45.00"),
        cr(2, "00", "CNY", "-45.00"),
    ]
    text = written(tmp_path, SAP, DOMESTIC)

    assert document(SAP_HEAD, "U5MCXWK655SAXAAU", body, SAP_TAIL) == plain(text)
    assert text.startswith(SAP_HEAD.format(key="U5MCXWK655SAXAAU").lstrip())
    assert text.endswith(SAP_TAIL)


def test_an_idoc_of_a_foreign_journal_states_both_amounts(tmp_path: Path) -> None:
    body = [
        gl(1, "6602", "<ITEM_TEXT>TAXI</ITEM_TEXT>", COST_CENTER),
        gl(2, "6602", "<ITEM_TEXT>TAXI</ITEM_TEXT>", COST_CENTER),
        gl(3, "2241", "<ITEM_TEXT>Payable</ITEM_TEXT>"),
        gl(4, "6699", "<ITEM_TEXT>Rounding of the conversion</ITEM_TEXT>"),
        *[cr(n, "00", "USD", amount) for n, amount in enumerate(("1.05", "1.07", "-2.12", "0.00"), start=1)],
        *[cr(n, "10", "CNY", amount) for n, amount in enumerate(("7.46", "7.60", "-15.05", "-0.01"), start=1)],
    ]

    expected = document(SAP_HEAD, "AMI4WG5I2H2WFBCO", body, SAP_TAIL)
    assert expected == plain(written(tmp_path, SAP, FOREIGN))


def test_an_nc_voucher_of_a_domestic_journal(tmp_path: Path) -> None:
    body = [
        nc(1, "TAXI 机票&lt;&amp;&quot;&gt;", "debit", ("45.00", "45.00"), ("CNY", "6602"), *NC_DEPARTMENT),
        nc(2, "Payable", "credit", ("45.00", "45.00"), ("CNY", "2241")),
    ]
    text = written(tmp_path, NC, DOMESTIC)

    assert document(NC_HEAD, "U5MCXWK655SAXAAU", body, NC_TAIL) == plain(text)
    assert text.startswith(NC_HEAD.format(key="U5MCXWK655SAXAAU").lstrip())


def test_an_nc_voucher_of_a_foreign_journal_has_the_rate_and_four_amounts(tmp_path: Path) -> None:
    body = [
        nc(1, "TAXI", "debit", ("1.05", "7.46"), ("USD", "6602"), *NC_DEPARTMENT),
        nc(2, "TAXI", "debit", ("1.07", "7.60"), ("USD", "6602"), *NC_DEPARTMENT),
        nc(3, "Payable", "credit", ("2.12", "15.05"), ("USD", "2241")),
        nc(4, "Rounding of the conversion", "credit", ("0.00", "0.01"), ("USD", "6699")),
    ]

    assert document(NC_HEAD, "AMI4WG5I2H2WFBCO", body, NC_TAIL) == plain(written(tmp_path, NC, FOREIGN))


# --- read back


def amounts_of(headers: pd.DataFrame, lines: pd.DataFrame, base: str = "") -> dict[str, list[Decimal]]:
    """Signed amounts of each journal, exactly, by its key."""
    currency = dict(zip(headers["journal_key"], headers[f"{base or ''}currency"], strict=True))
    out: dict[str, list[Decimal]] = {key: [] for key in headers["journal_key"]}
    for line in lines.to_dict("records"):
        minor = int(line[f"{base}debit_minor"]) - int(line[f"{base}credit_minor"])
        out[line["journal_key"]].append(Decimal(money.text_of(minor, currency[line["journal_key"]])))
    return out


def found(element: ElementTree.Element, path: str) -> str:
    text = element.findtext(path)
    assert text is not None, path
    return text


def test_every_amount_of_an_idoc_is_the_journals_and_the_sum_is_zero(tmp_path: Path) -> None:
    payload, _, headers, lines = by_profile(tmp_path, SAP, MANY, feeds=WIDE)
    read: dict[str, dict[str, list[Decimal]]] = {"00": {}, "10": {}}
    for idoc in ElementTree.fromstring(payload).findall("IDOC"):
        items = [found(item, "ITEMNO_ACC") for item in idoc.findall("E1BPACGL09")]
        for kind, of_key in read.items():
            rows = [row for row in idoc.findall("E1BPACCR09") if found(row, "CURR_TYPE") == kind]
            assert [found(row, "ITEMNO_ACC") for row in rows] in ([], items)
            amounts = [Decimal(found(row, "AMT_DOCCUR")) for row in rows]
            of_key[found(idoc, "E1BPACHE09/REF_DOC_NO")] = amounts
            assert sum(amounts) == 0
    foreign = set(headers["journal_key"][headers["currency"] != headers["base_currency"]])

    assert (4, 2) == (len(headers), len(foreign))
    assert amounts_of(headers, lines) == read["00"]
    assert {k: v if k in foreign else [] for k, v in amounts_of(headers, lines, "base_").items()} == read["10"]


def test_every_amount_of_an_nc_voucher_is_the_journals_and_debits_equal_credits(tmp_path: Path) -> None:
    payload, _, headers, lines = by_profile(tmp_path, NC, MANY, feeds=WIDE)
    read: dict[str, dict[str, list[Decimal]]] = {which: {} for which in ("", "local", "group", "global")}
    for voucher in ElementTree.fromstring(payload).findall("voucher"):
        for which, of_key in read.items():
            signed = of_key.setdefault(voucher.attrib["id"], [])
            for item in voucher.findall("voucher_head/details/item"):
                debit, credit = (item.findtext(f"{which}{side}amount") for side in ("debit", "credit"))
                assert (debit is None) != (credit is None)
                signed.append(Decimal(debit) if debit is not None else -Decimal(credit or ""))
            assert sum(signed) == 0

    assert amounts_of(headers, lines) == read[""]
    for which in ("local", "group", "global"):
        assert amounts_of(headers, lines, "base_") == read[which]


@BOTH
def test_text_comes_back_from_a_parser_as_it_was(tmp_path: Path, profile: str) -> None:
    root = ElementTree.fromstring(
        written(tmp_path, profile, "gross_minor description\n 4500 <&\"'>]]>机票𠮷\U0001f600")
    )
    tag = "ITEM_TEXT" if profile == SAP else "explanation"

    assert ["TAXI <&\"'>]]>机票𠮷\U0001f600", "Payable"] == [element.text for element in root.iter(tag)]


@BOTH
def test_characters_that_xml_forbids_become_spaces(tmp_path: Path, profile: str) -> None:
    text = written(tmp_path, profile, "gross_minor description\n 4500 a\x00b\x01c\x7fd\uffffe\ufffef")

    assert "TAXI a b c d e f" in [element.text for element in ElementTree.fromstring(text).iter()]


@BOTH
def test_a_document_without_indent_is_one_line(tmp_path: Path, profile: str) -> None:
    one_line = profile_text(profile).replace('indent: "1"', "indent: none")
    text = written(tmp_path / "a", profile, FOREIGN, gl=one_line.replace("declaration: yes", "declaration: no"))

    assert plain(written(tmp_path / "b", profile, FOREIGN)).split("?>", 1)[1] == text


def test_a_document_in_gbk_marks_what_gbk_lacks(tmp_path: Path) -> None:
    gbk = profile_text(NC).replace("encoding: utf-8", 'encoding: gbk\nreplace: {"；": ";"}\nunencodable: "？"')
    payload, _, _, _ = by_profile(tmp_path, NC, "gross_minor description\n 1 机；𠮷", feeds=FEEDS, gl=gbk)

    assert payload.startswith(b'<?xml version="1.0" encoding="GBK"?>')
    assert "<explanation>TAXI 机;？</explanation>" in payload.decode("gbk")


# --- what a target cannot hold


def test_a_key_too_long_holds_the_report_and_is_never_cut(tmp_path: Path) -> None:
    counter = "company,payer,account\nC1,EMPLOYEE,22410001234\n"

    expected = ["KEY_OVERFLOW IDOC/E1BPACGL09/GL_ACCOUNT 22410001234"]
    assert expected == without_root(refused(tmp_path, SAP, "gross_minor\n 1", counter=counter))


def test_a_key_of_the_header_is_named_once(tmp_path: Path) -> None:
    feeds = FEED.replace("C1", "C1000")
    tables = {"counter": "company,payer,account\n*,EMPLOYEE,2241\n"}
    tables["periods"] = "company,period,state\nC1000,2026-02,open\nC2,2026-02,open\n"

    expected = ["KEY_OVERFLOW IDOC/E1BPACHE09/COMP_CODE C1000"]
    assert expected == without_root(refused(tmp_path, SAP, "company gross_minor\n C1000 1", feeds=feeds, **tables))


def test_a_company_without_its_codes_holds_the_report(tmp_path: Path) -> None:
    places = ["@account", "@groupcode", "@orgcode", "@receiver"]
    places += [f"voucher/voucher_head/{tag}" for tag in ("pk_accountingbook", "pk_org", "pk_group")]

    expected = [f"MISSING {place} " for place in places]
    assert expected == without_root(refused(tmp_path, NC, "gross_minor\n 1", feeds=FEED))


def test_what_the_document_says_of_its_company_is_held_against_every_journal(tmp_path: Path) -> None:
    """C2 posts there too and has no codes, whichever journals come before its own."""
    feeds = FEEDS.replace("companies: [C1], target: gl", "companies: [C1, C2], target: gl")
    feeds = feeds.replace("  - {companies: [C2], target: book, connection: drop}\n", "")
    feeds = feeds.replace(NC_CODES, NC_CODES.replace("nc_account", "no_account"))
    feeds = feeds.replace("no_account", "nc_account", 1)
    found = refused_reports(tmp_path, NC, "company report_id gross_minor\n C1 R1 1\n C2 R2 1\n C2 R3 1", feeds=feeds)

    assert ["R2 MISSING ufinterface/@account ", "R3 MISSING ufinterface/@account "] == found


def test_a_character_the_encoding_lacks_holds_the_report(tmp_path: Path) -> None:
    gbk = profile_text(NC).replace("encoding: utf-8", "encoding: gbk")
    rejects = without_root(refused(tmp_path, NC, "gross_minor description\n 1 𠮷", feeds=FEEDS, gl=gbk))

    assert ["UNENCODABLE voucher/voucher_head/details/item/explanation TAXI 𠮷"] == rejects


def test_what_a_node_needs_is_asked_only_where_it_is_written(tmp_path: Path) -> None:
    asked = "when: {when}, text: {{field: cost_center, required: yes}}"
    text = profile_text(NC).replace("omit_empty: yes, text: {foreign: rate}", asked)

    def missing(folder: str, when: str) -> list[str]:
        changed = text.replace(asked, asked.format(when=when))
        return without_root(refused(tmp_path / folder, NC, "gross_minor\n 1", feeds=FEEDS, gl=changed))

    assert [] == missing("a", "debit")
    assert [] == missing("b", "foreign")
    assert ["MISSING voucher/voucher_head/details/item/excrate2 "] == missing("c", "credit")


def without_root(rejects: list[str]) -> list[str]:
    return [re.sub(r"(ACC_DOCUMENT05|ufinterface)/", "", reject) for reject in rejects]


# --- mistakes in a tree


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("text: {field: line_no}", "text: {field: colour}", "text: no journal field 'colour'"),
        ("repeat: line", "repeat: row", "repeat: 'row' is not one of ['journal', 'line']"),
        ("when: debit", "when: left", "when: 'left' is not one of ['debit', 'credit', 'foreign']"),
        ("{field: journal_key, required: yes}", '{template: "{colour}"}', "id: no journal field 'colour'"),
        ("{company: nc_account, required: yes}", "{field: journal_id}", "'journal_id' differs within a"),
        ("{value: GL}", "{field: text}", "'text' differs within a journal: the node needs a repeat"),
        ("{value: GL}", "{amount: debit}", "an amount stands under a node that is repeated"),
        ("{value: claimpost}", "{foreign: User}", "foreign needs a node repeated for each journal"),
        ("repeat: journal", "repeat: line", "repeat: line stands under a node that is repeated"),
        ("repeat: line", "repeat: journal", "repeat: journal stands once, below the root"),
        ("text: {value: GL}", "when: debit, text: {value: GL}", "when: when: debit needs a node repeated for"),
        ("text: {value: GL}", "omit_empty: yes, text: {value: GL}", "omit_empty: nothing in it can be empty"),
        ('max: "240", overflow: truncate', "overflow: truncate", "overflow: truncate needs a max"),
        ("text: {field: line_no}", 'text: {field: line_no, date: "%Y"}', "a date pattern needs a field that"),
        ("text: {field: line_no}", 'text: {field: line_no, pos: "1"}', "text: a tree has no positions"),
        ("encoding: utf-8", "encoding: utf-9", "encoding: no encoding 'utf-9'"),
    ],
)
def test_a_mistake_in_a_tree_is_named_with_file_and_line(tmp_path: Path, old: str, new: str, said: str) -> None:
    text = profile_text(NC)
    assert old in text
    number = text[: text.index(old)].count("\n") + 1

    with pytest.raises(ConfigurationError) as caught:
        bundle(tmp_path, feeds=FEEDS, gl=text.replace(old, new, 1))
    assert f"SCHEMA targets/gl.yml line {number}: " in str(caught.value)
    assert said in str(caught.value)
