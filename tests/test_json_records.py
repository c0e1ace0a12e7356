"""JSON as a source: levels to rows, exact numbers, what is left out on purpose, and documents that are refused."""

from __future__ import annotations

import json
from typing import Any

import pytest

from etl import clean, config, formats
from etl.errors import ConfigurationError, FileRejected
from etl.formats.levels import JsonFormat

LINES = {
    "array": "lines",
    "number": "line",
    "columns": {"amount": {"path": "amount", "as": "number"}, "account": "account"},
    "levels": [{"array": "taxes", "columns": {"tax": {"path": "tax", "as": "number"}, "kind": {"value": "TAX"}}}],
}
RECORDS = {
    "array": "page.claims",
    "number": "claim",
    "columns": {"report": ["id", "old.id"], "currency": "currency", "version": {"path": "version", "absent": "1"}},
    "ignored": ["note*", "old.*"],
    "marks": {"test": "N"},
    "levels": [LINES, {"array": "advances", "columns": {"amount": "amount", "kind": {"value": "ADVANCE"}}}],
}
FORMAT: dict[str, Any] = {"kind": "json", "records": RECORDS, "count": "page.size", "ignored": ["next"]}
SOURCE: dict[str, Any] = {
    "source": "json_test",
    "source_system": "TEST",
    "format": FORMAT,
    "fields": {
        "company": {"value": "C1"},
        "report_id": {"column": "report", "required": "yes"},
        "report_version": {"column": "version", "kind": "integer"},
        "document_currency": {"column": "currency"},
        "gross_minor": {"column": "amount", "required": "yes"},
        "account": {"column": "account"},
    },
}


def page(*claims: dict[str, Any] | str, size: int | None = None) -> bytes:
    """A page of claims; a claim may be JSON text."""
    written = ",\n".join(one if isinstance(one, str) else json.dumps(one) for one in claims)
    return (
        f'{{"next": null, "page": {{"size": {len(claims) if size is None else size}, "claims": [{written}]}}}}'.encode()
    )


def claim(*lines: str, **more: Any) -> str:
    """A claim R1 in EUR with lines written as JSON text."""
    head = json.dumps({"id": "R1", "currency": "EUR", **more})[:-1]
    return f'{head}, "lines": [{", ".join(lines)}]}}'


def read(content: bytes, **changed: Any) -> formats.RawFile:
    return formats.read(content, "claims.json", {**FORMAT, **changed})


def refusal(content: bytes, **changed: Any) -> str:
    with pytest.raises(FileRejected) as caught:
        read(content, **changed)
    return str(caught.value).removesuffix(caught.value.next_step).strip()


def rows(raw: formats.RawFile, *names: str) -> list[tuple[str, ...]]:
    return list(raw.frame[list(names)].itertuples(index=False, name=None))


def reasons(*claims: dict[str, Any] | str) -> list[str]:
    return clean.clean(read(page(*claims)), SOURCE).rejects["reason"].tolist()


def test_one_row_for_each_innermost_element_with_all_that_stands_above_it() -> None:
    first = '{"amount": 10, "account": "0010", "taxes": [{"tax": 1.60}, {"tax": 0.40}]}'
    raw = read(page(claim(first, '{"amount": 5, "taxes": []}', advances=[{"amount": -3}]), {"old": {"id": "R0"}}))

    assert rows(raw, "claim", "report", "version", "line", "account", "amount", "kind", "tax") == [
        ("1", "R1", "1", "1", "0010", "10", "TAX", "1.60"),
        ("1", "R1", "1", "1", "0010", "10", "TAX", "0.40"),
        ("1", "R1", "1", "2", "", "5", "", ""),
        ("1", "R1", "1", "", "", "-3", "ADVANCE", ""),
        ("2", "R0", "1", "", "", "", "", ""),
    ]
    assert (raw.frame["source_row"].tolist(), raw.lines, dict(raw.control)) == ([1, 2, 3, 4, 5], 2, {"count": "2"})


def test_a_claim_without_lines_keeps_a_row_and_its_report_is_quarantined() -> None:
    assert reasons(claim()) == ["amount is empty."]


def test_the_document_itself_may_be_the_array() -> None:
    records = {"array": ".", "columns": {"amount": "a.b"}, "ignored": ["c"]}
    raw = formats.read(b'[{"a": {"b": 1.10}, "c": []}, {"a": null}]', "x.json", {"kind": "json", "records": records})

    assert rows(raw, "amount") == [("1.10",), ("",)]


def test_a_value_of_a_sibling_is_taken_where_exactly_one_has_the_key() -> None:
    taxes = {"array": "taxes", "columns": {"tax": "tax", "payee": {"in": "journal", "where": "guid", "take": "payee"}}}
    records = {"array": ".", "levels": [{"array": "journal", "ignored": ["*"]}, taxes]}
    journal = [{"payee": "EMPL", "guid": ["g1", "g2"]}, {"payee": "CARD", "guid": ["g2"]}, {"payee": "X", "guid": "g4"}]
    content = json.dumps([{"journal": journal, "taxes": [{"tax": n, "guid": f"g{n}"} for n in range(1, 5)]}])
    raw = formats.read(content.encode(), "x.json", {"kind": "json", "records": records})

    assert rows(raw, "tax", "payee")[3:] == [("1", "EMPL"), ("2", ""), ("3", ""), ("4", "X")]


def test_an_empty_page_is_taken_where_it_counts_its_records_and_refused_elsewhere() -> None:
    assert len(read(page()).frame) == 0
    assert refusal(b'{"page": {"claims": []}}', count="page.size").startswith("CONTROL_TOTAL")
    assert refusal(b" \n") == "EMPTY claims.json holds no data."
    bare = {name: part for name, part in FORMAT.items() if name != "count"}
    with pytest.raises(FileRejected, match="EMPTY"):
        formats.read(b'{"page": {"claims": []}}', "claims.json", {**bare, "ignored": ["next"]})


REFUSED = {
    "B62 a constant that is no number": (
        page(claim('{"amount": 1}'), claim('{"amount": NaN}')),
        "SYNTAX claims.json line 2 is no sound JSON: NaN is no number.",
    ),
    "B62 infinity": (page(claim('{"amount": -Infinity}')), "line 1 is no sound JSON: -Infinity is no number."),
    "B63 a name twice": (
        page(claim('{"amount": 1}'), claim('{"amount": 1, "amount": 2}')),
        "SYNTAX claims.json line 2 is no sound JSON: 'amount' stands twice in the object that ends here.",
    ),
    "B64 a depth bomb": (
        b"[" * 100_000,
        "SIZE claims.json is beyond the limit: 100000 levels, at most 64.",
    ),
    "B65 a number of 5,000 digits": (
        page(claim('{"amount": ' + "9" * 5000 + "}")),
        "SYNTAX claims.json line 1 is no sound JSON: a number has 5000 characters.",
    ),
    "B68 two documents": (page() + b"\n" + page(), "SYNTAX claims.json line 2 is no sound JSON: Extra data."),
    "B68 bytes after the end": (page() + b"}", "SYNTAX claims.json line 1 is no sound JSON: Extra data."),
    "B68 cut off between values": (
        page(claim('{"amount": 1}'))[:-3],
        "INCOMPLETE claims.json is cut off: Expecting ',' delimiter, line 1.",
    ),
    "B68 cut off in a text": (
        page(claim('{"account": "12"}')).partition(b'2"}')[0],
        "INCOMPLETE claims.json is cut off: Unterminated string starting at, line 1.",
    ),
    "quotes without end": (b'"' + b'\\"' * 200_000, "INCOMPLETE claims.json is cut off: Unterminated string"),
    "no JSON": (b"<html>", "CONTENT_TYPE claims.json is an HTML page, not JSON."),
    "another encoding": (page(claim('{"account": "é"}')).decode().encode("latin-1"), "ENCODING claims.json line 1"),
    "half a character": (page(claim(r'{"account": "\ud83d"}')), "half a character (a lone surrogate) in account"),
    "a NUL": (page(claim(r'{"account": "1\u0000"}')), "NUL claims.json line 1"),
    "another page size": (
        page(claim('{"amount": 1}'), size=2),
        "CONTROL_TOTAL claims.json says page.size = '2', the records give 1.",
    ),
    "a name that nobody declared": (
        page(claim('{"amount": 1}'), claim('{"amount": 1, "amountVoided": 1}')),
        "UNKNOWN_COLUMN claims.json line 2: unknown column 'amountVoided'.",
    ),
    "no records": (b'{"page": {"size": 0}}', "HEADER claims.json line 1: the header is not one of the declared"),
    "null": (b"null", "HEADER claims.json line 1"),
    "a bare array": (b"[]", "TYPE claims.json line 1: the document is an array, not an object."),
    "an object where an array is due": (
        page(claim(advances={"amount": 1})),
        "TYPE claims.json line 1: advances is an object, not an array.",
    ),
    "an object where a value is due": (
        page(claim('{"amount": {"value": 1}}')),
        "TYPE claims.json line 1: amount is an object, not one value.",
    ),
    "a value where an object is due": (
        page({"old": "R0"}),
        "TYPE claims.json line 1: old is one value, not an object.",
    ),
    "a value in an array of records": (page("7"), "TYPE claims.json line 1: page.claims is one value, not an object."),
    "a test document": (
        page(claim(), claim(test="Y")),
        "ENVIRONMENT claims.json line 2 is marked test 'Y'; this feed takes 'N'.",
    ),
}


@pytest.mark.parametrize(("content", "said"), REFUSED.values(), ids=list(REFUSED))
def test_a_document_is_refused_whole_with_the_line(content: bytes, said: str) -> None:
    assert said in refusal(content)


def test_a_page_that_ends_anywhere_before_its_end_is_refused() -> None:
    whole = page(claim('{"amount": 1.5, "account": "é\\"1"}', advances=[{"amount": -3}]))
    codes = {refusal(whole[:end]).partition(" ")[0] for end in range(len(whole))}

    assert codes == {"EMPTY", "INCOMPLETE", "SYNTAX", "ENCODING"}
    assert len(read(whole).frame) == 2


def test_limits_on_size_rows_and_texts() -> None:
    lines = page(claim('{"amount": 1}', '{"amount": 2}', advances=[{"amount": 1}, {"amount": 2}]))

    assert "bytes, at most 50." in refusal(lines, limits={"bytes": "50"})
    assert refusal(lines, limits={"rows": "1"}) == "SIZE claims.json is beyond the limit: 2 rows, at most 1."
    text = page(claim('{"account": "1234"}'))
    assert "limit: account has 4 characters, at most 3." in refusal(text, limits={"field_characters": "3"})
    assert len(read(lines).frame) == 4


def test_b66_an_amount_is_read_exactly_and_one_beyond_the_limit_is_quarantined() -> None:
    raw = read(page(claim('{"amount": 1234567890123456.78}', '{"amount": 1E2}', '{"amount": 0.10}')))

    assert [row[0] for row in rows(raw, "amount")] == ["1234567890123456.78", "1E2", "0.10"]
    assert clean.clean(raw, SOURCE).rejects["code"].tolist() == ["RANGE", "MONEY"]
    assert clean.clean(raw, SOURCE).lines["gross_minor"].tolist() == [0, 0, 10]


def test_b62_an_exponent_is_no_amount() -> None:
    assert reasons(claim('{"amount": 1E400}')) == ["amount '1E400' is not an amount (written like 1234.50)."]


def test_b67_an_amount_written_as_text_where_a_number_is_declared_is_quarantined() -> None:
    assert reasons(claim('{"amount": "33"}', '{"amount": 33}')) == [
        "amount '\"33\"' is not an amount (written like 1234.50)."
    ]


SUMS = {
    "line": {"per": ["claim", "line"], "stated": "amount", "parts": ["tax"]},
    "claim": {"per": ["claim"], "total": "amount", "parts": ["tax"]},
}


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        (['{"amount": 2.0, "taxes": [{"tax": 1.5}, {"tax": 0.50}]}'], ["amount 4 differs from tax = 2."]),
        (['{"amount": 2, "taxes": [{"tax": 1.99}]}'], ["amount 2 differs from tax = 1.99."]),
        (['{"taxes": [{"tax": 2}]}'], ["amount 0 differs from tax = 2."]),
        (['{"amount": 2, "taxes": [{"tax": "2"}]}'], ["tax '\"2\"' is not an amount (a plain decimal)."]),
        (['{"amount": "x", "taxes": [{"tax": 0}]}'], ["amount '\"x\"' is not an amount (a plain decimal)."]),
        (['{"amount": 100000000000000.01, "taxes": [{"tax": 100000000000000.01}]}'], []),
    ],
)
def test_what_must_add_up_is_checked_exactly_for_each_group(lines: list[str], expected: list[str]) -> None:
    source = {**SOURCE, "fields": {**SOURCE["fields"], "gross_minor": {"value": "0"}}, "sums": SUMS}
    rejects = clean.clean(read(page(claim(*lines))), source).rejects

    assert rejects["reason"].tolist() == expected


@pytest.mark.parametrize(
    ("change", "field", "detail"),
    [
        ({"format": {**FORMAT, "limits": {"depth": "201"}}}, "format.limits.depth", "201 is above 200"),
        ({"format": {**FORMAT, "records": {**RECORDS, "number": "source_row"}}}, "format.records", "is our own"),
        (
            {"sums": {"s": {"per": ["claim"], "total": "amount", "parts": ["x"]}}},
            "sums.s",
            "no layout has a column 'x'",
        ),
        ({"sums": SUMS, "unpivot": {"columns": {"tax": "T"}}}, "sums", "an unpivoted source has its own total"),
    ],
)
def test_a_declaration_that_contradicts_itself_is_refused(change: dict[str, Any], field: str, detail: str) -> None:
    found = [(one.facts["field"], str(one.facts["detail"])) for one in clean.check({**SOURCE, **change})]

    assert [field] == [name for name, said in found if detail in said]


def test_a_reader_refuses_a_declaration_that_contradicts_itself() -> None:
    with pytest.raises(ConfigurationError, match=r"format\.limits\.bytes"):
        JsonFormat.of({**FORMAT, "limits": {"bytes": str(2**40)}})


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("format: {kind: json}", "'records' is a required property"),
        ("format: {kind: json, records: {array: a}, delimiter: ','}", "'delimiter' is not one of"),
        ("format: {encoding: utf-8, delimiter: ',', layouts: [[A]], count: n}", "format"),
        ("format: {kind: xml}", "'xml' is not one of ['delimited', 'json']"),
        ("format: {kind: json, records: {array: a, columns: {b: {in: c}}}}", "format.records"),
    ],
)
def test_the_schema_tells_the_kinds_apart(text: str, said: str) -> None:
    document = config.read_yaml(
        f"source: s\nsource_system: S\n{text}\nfields: {{company: {{value: x}}}}\n".encode(), "s.yml"
    )

    assert said in " ".join(map(str, config.check(document, "source")))
