"""Bad files, as bytes: each is refused whole with code and line, or read exactly. Names: the bad-input catalogue."""

from __future__ import annotations

import csv
import gzip
import io
import stat
import zipfile
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from etl import formats
from etl.errors import ConfigurationError, FileRejected
from etl.formats import containers, layout

COLUMNS = ["Report", "Name", "Amount"]
PLAIN: dict[str, Any] = {"encoding": "utf-8", "delimiter": ",", "layouts": [COLUMNS]}
TOTALLED = {**PLAIN, "trailer": {"mark": "END", "count": "1", "sums": {"Amount": "2"}}}
MULTILINE = {**PLAIN, "line_breaks_in_fields": "yes"}
HEADER = "Report,Name,Amount\n"


def read(content: bytes | str, format: dict[str, Any] = PLAIN) -> formats.RawFile:
    return formats.read_delimited(content.encode() if isinstance(content, str) else content, "claims.csv", format)


def refused(content: bytes | str, format: dict[str, Any] = PLAIN) -> tuple[str, Any]:
    """The code and the line with which a file is refused."""
    with pytest.raises(FileRejected) as caught:
        read(content, format)
    assert "claims.csv" in str(caught.value)
    assert "?" not in str(caught.value).split("Ask")[0].replace("'?'", ""), "every fact of the text is given"
    return caught.value.code, caught.value.facts.get("line")


def rows(raw: formats.RawFile) -> list[tuple[str, ...]]:
    return list(raw.frame[COLUMNS].itertuples(index=False, name=None))


# --- bytes and encodings


def test_b01_a_byte_order_mark_is_no_part_of_the_first_header() -> None:
    raw = read(b"\xef\xbb\xbf" + f"{HEADER}R1,Li,1.00\n".encode())

    assert [("R1", "Li", "1.00")] == rows(raw)


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be"])
def test_b02_utf16_declared_utf8_is_refused(encoding: str) -> None:
    assert ("ENCODING", 1) == refused(f"{HEADER}R1,Li,1.00\n".encode(encoding))


def test_b02_utf16_declared_utf16_is_read_with_its_lines() -> None:
    raw = read(f"{HEADER}R1,李,1.00\nR2,Li,2.00\n".encode("utf-16"), {**PLAIN, "encoding": "utf-16"})

    assert [("R1", "李", "1.00"), ("R2", "Li", "2.00")] == rows(raw)
    assert [2, 3] == raw.frame["source_row"].tolist()


def test_b02_utf16_without_byte_order_mark_is_refused() -> None:
    assert ("ENCODING", 1) == refused(HEADER.encode("utf-16-le"), {**PLAIN, "encoding": "utf-16"})


def test_b03_gbk_bytes_declared_utf8_are_refused_with_the_line() -> None:
    assert ("ENCODING", 3) == refused(f"{HEADER}R1,Li,1.00\nR2,张三,2.00\n".encode("gbk"))


HINT = ": ask the sender, and set format.encoding in the source mapping."


@pytest.mark.parametrize(
    ("content", "declared", "said"),
    [
        ("R1,张三,1.00\n".encode("gbk"), "utf-8", f"it could be windows-1252 or gb18030{HINT}"),
        ("R1,Zoë,1.00\n".encode("latin-1"), "utf-8", f"it could be windows-1252{HINT}"),
        ("R1,张三,1.00\n".encode(), "windows-1252", f"the bytes are UTF-8; it could be utf-8{HINT}"),
        (b"R1,caf\x81\xff,1.00\n", "utf-8", "byte 0x81, invalid start byte. "),
    ],
)
def test_b03_the_refusal_of_an_encoding_names_those_that_fit(content: bytes, declared: str, said: str) -> None:
    with pytest.raises(FileRejected) as stopped:
        read(HEADER.encode() + content, {**PLAIN, "encoding": declared})
    assert said in str(stopped.value)


@pytest.mark.parametrize("encoding", ["gb18030", "windows-1252", "cp949"])
def test_b04_utf8_bytes_under_another_declared_encoding_are_refused(encoding: str) -> None:
    content = f"{HEADER}R1,Li,1.00\nR2,张三,2.00\n".encode()

    assert ("ENCODING", 3) == refused(content, {**PLAIN, "encoding": encoding})


def test_b05_a_rare_surname_of_four_bytes_is_kept_under_gb18030() -> None:
    raw = read(f"{HEADER}R1,𠮷田,1.00\n".encode("gb18030"), {**PLAIN, "encoding": "gb18030"})

    assert [("R1", "𠮷田", "1.00")] == rows(raw)


def test_b06_latin1_cannot_be_declared() -> None:
    with pytest.raises(ConfigurationError, match=r"SCHEMA .*latin-1 is not one of utf-8"):
        read(f"{HEADER}R1,é,1.00\n".encode("latin-1"), {**PLAIN, "encoding": "latin-1"})


def test_b06_a_byte_that_windows_1252_does_not_have_is_refused() -> None:
    content = HEADER.encode() + b"R1,caf\xe9,1.00\nR2,caf\x81,1.00\n"

    assert ("ENCODING", 3) == refused(content, {**PLAIN, "encoding": "windows-1252"})


def test_b06_bytes_that_do_not_encode_back_to_themselves_are_refused() -> None:
    content = HEADER.encode() + b"R1,x,1.00\nR2,\x87\x90,1.00\n"  # one of two codes for the same sign in cp932

    assert ("ENCODING", 3) == refused(content, {**PLAIN, "encoding": "cp932"})


def test_b07_a_nul_in_a_field_is_refused() -> None:
    assert ("NUL", 3) == refused(f"{HEADER}R1,Li,1.00\nR2,L\0i,2.00\n")


def test_b08_a_block_of_nuls_is_refused() -> None:
    assert ("NUL", 2) == refused(HEADER.encode() + b"\0" * 4096)


@pytest.mark.parametrize(
    ("ending", "expected"), [("\x1a\n", ("FIELD_COUNT", 3)), ("\x1a", ("INCOMPLETE", 3))]
)  # fmt: skip
def test_b09_a_ctrl_z_at_the_end_is_refused(ending: str, expected: tuple[str, int]) -> None:
    assert expected == refused(f"{HEADER}R1,Li,1.00\n{ending}")


def test_b11_mixed_line_ends_are_read() -> None:
    assert [("R1", "Li", "1.00"), ("R2", "Li", "2.00")] == rows(
        read("Report,Name,Amount\r\nR1,Li,1.00\nR2,Li,2.00\r\n")
    )


@pytest.mark.parametrize("format", [PLAIN, MULTILINE])
def test_b11_a_lone_carriage_return_is_refused(format: dict[str, Any]) -> None:
    assert ("LINE_END", 3) == refused(f'{HEADER}R1,Li,1.00\r\nR2,"L\ri",2.00\r\n', format)


def test_b13_an_invalid_byte_late_in_a_large_file_is_found_before_any_row_is_used() -> None:
    line = "R1,张三,1.00\n".encode()
    content = HEADER.encode() + line * 400_000 + b"R2,\xff,1.00\n" + line

    assert ("ENCODING", 400_002) == refused(content)


def test_b13_a_character_over_the_edge_of_a_block_is_no_fault() -> None:
    line = "R1,张三,1.00\n".encode()  # 17 bytes: some character lies on every power of two

    assert 600_000 == len(read(HEADER.encode() + line * 600_000).frame)


# --- structure


@pytest.mark.parametrize("content", ["", "\n", "\r\n\r\n", "\ufeff"])
def test_b14_a_file_without_data_is_refused(content: str) -> None:
    assert ("EMPTY", None) == refused(content)


def test_b15_a_header_alone_is_refused() -> None:
    assert ("EMPTY", None) == refused(HEADER)


def test_b15_no_records_are_taken_when_the_trailer_says_so() -> None:
    raw = read(f"{HEADER}END,0,0\n", TOTALLED)

    assert (0, 2, {"count": "0", "Amount": "0"}) == (len(raw.frame), raw.lines, dict(raw.control))
    assert [*COLUMNS, "source_row"] == list(raw.frame.columns)


def test_b16_a_missing_header_is_refused() -> None:
    assert ("HEADER", 1) == refused("R1,Li,1.00\nR2,Li,2.00\n")


def test_b17_a_repeated_header_is_refused() -> None:
    assert ("HEADER", 1) == refused("Report,Name,Amount,Amount\nR1,Li,1.00,2.00\n")


@pytest.mark.parametrize("written", ["amount", " Amount", "Ａｍｏｕｎｔ"])
def test_b18_a_header_written_otherwise_is_refused_and_named(written: str) -> None:
    with pytest.raises(FileRejected, match=r"HEADER .* Written otherwise: .* for 'Amount'") as caught:
        read(f"Report,Name,{written}\nR1,Li,1.00\n")
    assert 1 == caught.value.facts["line"]


def test_b28_a_header_whose_quotes_are_not_balanced_is_refused() -> None:
    assert ("QUOTING", 1) == refused('Report,"Name,Amount\nR1,Li,1.00\n')


def test_b18_a_header_written_otherwise_is_taken_when_it_is_declared() -> None:
    declared = {
        **PLAIN,
        "layouts": [COLUMNS, ["Report", "Name", {"amount": "Amount"}], ["Report", {"": "Name"}, "Amount"]],
    }

    assert [("R1", "Li", "1.00")] == rows(read("Report,Name,amount\nR1,Li,1.00\n", declared))
    assert [("R1", "Li", "1.00")] == rows(read("Report,,Amount\nR1,Li,1.00\n", declared))


def test_b19_another_order_of_columns_is_refused() -> None:
    with pytest.raises(FileRejected, match=r"HEADER .* stand in another order"):
        read("Name,Report,Amount\nLi,R1,1.00\n")


def test_b20_a_missing_column_is_refused() -> None:
    with pytest.raises(FileRejected, match=r"HEADER .* Missing: 'Amount'"):
        read("Report,Name\nR1,Li\n")


def test_b21_an_unknown_column_is_refused() -> None:
    with pytest.raises(FileRejected, match=r"UNKNOWN_COLUMN .* unknown column 'Tip'"):
        read("Report,Name,Amount,Tip\nR1,Li,1.00,0.10\n")


@pytest.mark.parametrize("bad", [2, 3, 4])
def test_b22_one_record_with_an_extra_field_is_refused(bad: int) -> None:
    lines = [f"R{number},Li,1.00{',x' if number == bad else ''}\n" for number in range(2, 5)]

    assert ("FIELD_COUNT", bad) == refused(HEADER + "".join(lines))


def test_b23_an_extra_separator_on_every_line_is_refused() -> None:
    assert ("FIELD_COUNT", 2) == refused(f"{HEADER}R1,Li,1.00,\nR2,Li,1.00,\n")


def test_b24_a_short_record_is_refused() -> None:
    assert ("FIELD_COUNT", 3) == refused(f"{HEADER}R1,Li,1.00\nR2,Li\n")


def test_b24_a_short_record_after_a_line_break_in_a_field_names_its_physical_line() -> None:
    assert ("FIELD_COUNT", 4) == refused(f'{HEADER}R1,"a\nb",1.00\nR2,Li\n', MULTILINE)


def test_b25_a_line_break_in_a_field_is_taken_where_declared() -> None:
    raw = read(f'{HEADER}R1,"a\n\nb",1.00\nR2,Li,2.00\n', MULTILINE)

    assert [("R1", "a\n\nb", "1.00"), ("R2", "Li", "2.00")] == rows(raw)
    assert ([2, 5], 5) == (raw.frame["source_row"].tolist(), raw.lines)


def test_b25_a_line_break_in_a_field_is_refused_elsewhere() -> None:
    with pytest.raises(FileRejected, match=r"line 2: 3 lines make 2 records") as caught:
        read(f'{HEADER}R1,"a\nb",1.00\nR2,Li,2.00\n')
    assert ("RECORD_COUNT", 2) == (caught.value.code, caught.value.facts["line"])


def test_b26_doubled_quotes_inside_a_field_are_one_quote() -> None:
    assert [("R1", 'the "Ritz", Paris', "1.00")] == rows(read(f'{HEADER}R1,"the ""Ritz"", Paris",1.00\n'))


@pytest.mark.parametrize("format", [PLAIN, MULTILINE])
def test_b27_a_quote_written_with_a_backslash_is_refused(format: dict[str, Any]) -> None:
    with pytest.raises(FileRejected, match=r"QUOTING .* not written with a backslash") as caught:
        read(f'{HEADER}R1,Li,1.00\nR2,"the \\"Ritz\\"",1.00\n', format)
    assert 3 == caught.value.facts["line"]


@pytest.mark.parametrize("format", [PLAIN, MULTILINE])
def test_b28_a_quote_open_to_the_end_is_refused(format: dict[str, Any]) -> None:
    assert ("QUOTING", 3) == refused(f'{HEADER}R1,Li,1.00\nR2,"Li,1.00\nR3,Li,1.00\n', format)


def test_b29_unbalanced_quote_closed_later_is_refused() -> None:
    swallowed = f'{HEADER}R1,Li,1.00\nR2,"Li,2.00\nR3,Li,3.00\nR4,Li",4.00\n'
    with pytest.raises(
        FileRejected, match=r"line 3: 4 lines make 2 records: a quote or a line break swallowed some"
    ) as caught:
        read(swallowed)
    assert ("RECORD_COUNT", 3) == (caught.value.code, caught.value.facts["line"])


def test_b29_a_quote_closed_by_the_opening_of_another_is_refused_at_the_line_that_opened_it() -> None:
    content = f'{HEADER}R1,Li,1.00\nR2,"Li,2.00\nR3,"Li",3.00\n'

    assert ("QUOTING", 3) == refused(content, MULTILINE)
    assert ("QUOTING", 3) == refused(content)


def test_b29_what_a_quote_swallowed_is_told_by_the_trailer_where_line_breaks_are_allowed() -> None:
    format = {**TOTALLED, "line_breaks_in_fields": "yes"}

    assert ("CONTROL_TOTAL", None) == refused(f'{HEADER}R1,"Li,2.00\nR2,Li",4.00\nEND,2,6.00\n', format)


def test_b29_a_quote_inside_a_field_without_quotes_is_refused() -> None:
    assert ("QUOTING", 2) == refused(f'{HEADER}R1,24" screen,1.00\n')


def test_b30_another_separator_is_refused_and_guessed() -> None:
    with pytest.raises(FileRejected, match=r"HEADER .* The separator may be ';'"):
        read("Report;Name;Amount\nR1;Li;1,00\n")


def test_b31_a_title_above_the_header_is_refused() -> None:
    assert ("HEADER", 1) == refused(f"Claims of March\n{HEADER}R1,Li,1.00\n")


def test_b31_a_declared_preamble_is_skipped() -> None:
    raw = read(f"Claims of March\n\n{HEADER}R1,Li,1.00\n", {**PLAIN, "preamble": {"lines": "2"}})

    assert ([("R1", "Li", "1.00")], [4], 4) == (rows(raw), raw.frame["source_row"].tolist(), raw.lines)


def test_b32_a_trailer_is_a_control_record_and_no_data() -> None:
    raw = read(f"{HEADER}R1,Li,1.00\nR2,Li,-0.25\nR3,Li,n/a\nEND,3,0.75\n\n", TOTALLED)

    assert (3, 5, {"count": "3", "Amount": "0.75"}) == (len(raw.frame), raw.lines, dict(raw.control))


def test_b32_a_trailer_nobody_declared_is_refused() -> None:
    assert ("FIELD_COUNT", 3) == refused(f"{HEADER}R1,Li,1.00\nTOTAL,1\n")


def test_b33_a_last_record_cut_off_is_refused() -> None:
    assert ("INCOMPLETE", 3) == refused(f"{HEADER}R1,Li,1.00\nR2,Li,1")
    assert ("INCOMPLETE", None) == refused(f"{HEADER}R1,Li,1.00\nR2,Li,1", TOTALLED)
    assert ("INCOMPLETE", None) == refused(f"{HEADER}R1,Li,1.00\nEND,1", TOTALLED)


def test_b33_a_trailer_needs_no_final_line_end() -> None:
    assert 1 == len(read(f"{HEADER}R1,Li,1.00\nEND,1,1.00", TOTALLED).frame)


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_b34_blank_lines_are_taken_at_the_end_only(end: str) -> None:
    assert 1 == len(read(f"{HEADER}R1,Li,1.00{end}{end}{end}").frame)
    assert ("BLANK_LINE", 3) == refused(f"{HEADER}R1,Li,1.00{end}{end}R2,Li,2.00{end}")
    assert ("BLANK_LINE", 2) == refused(f"{HEADER}{end}R1,Li,1.00{end}")
    assert ("BLANK_LINE", 4) == refused(f'{HEADER}R1,"L\ni",1.00{end}{end}R2,Li,2.00{end}', MULTILINE)
    assert ("BLANK_LINE", 3) == refused(f"{HEADER}R1,Li,1.00{end}{end}END,1,1.00{end}", TOTALLED)


def test_b34_a_blank_line_in_a_file_of_one_column_is_refused() -> None:
    assert ("BLANK_LINE", 3) == refused("Report\nR1\n\nR2\n", {**PLAIN, "layouts": [["Report"]]})


@pytest.mark.parametrize("name", ["x" * 131_073, "长" * 131_073, "x" * (2**22 + 1), "x" * 2**24])
def test_b35_a_field_beyond_the_limit_is_refused(name: str) -> None:
    assert ("SIZE", 3) == refused(f"{HEADER}R1,Li,1.00\nR2,{name},1.00\n")


def test_b35_a_field_beyond_the_limit_is_found_before_a_later_fault() -> None:
    assert ("SIZE", 2) == refused(f"{HEADER}R1,{'x' * 131_073},1.00\nR2,Li\n")


def test_b35_the_limit_counts_characters_and_may_be_lowered() -> None:
    lower = {**PLAIN, "limits": {"field_characters": "3"}}

    assert [("R1", "长长长", "1.0")] == rows(read(f"{HEADER}R1,长长长,1.0\n", lower))
    assert ("SIZE", 2) == refused(f"{HEADER}R1,Li Xi,1.0\n", lower)


def test_b35_a_record_larger_than_a_parser_block_is_read() -> None:
    names = [f"c{number}" for number in range(40)]
    cells = [f'"{letter * 130_000}, x"' for letter in "ab" * 20]
    raw = read(f"{','.join(names)}\n{','.join(cells)}\n", {**PLAIN, "layouts": [names]})

    assert [cell.strip('"') for cell in cells] == raw.frame[names].iloc[0].tolist()


def test_b36_a_file_beyond_the_size_or_the_rows_is_refused_before_it_is_parsed() -> None:
    assert ("SIZE", None) == refused(f"{HEADER}R1,Li,1.00\n", {**PLAIN, "limits": {"bytes": "20"}})
    assert ("SIZE", None) == refused(f"{HEADER}{'R1,Li,1.00,too many' * 3}\nR2\n", {**PLAIN, "limits": {"rows": "1"}})


def test_b36_a_limit_cannot_be_raised_above_its_bound() -> None:
    with pytest.raises(ConfigurationError, match=r"format.limits.rows: 20000001 is above 20000000"):
        read(HEADER, {**PLAIN, "limits": {"rows": "20000001"}})


@pytest.mark.parametrize("trailer", ["END,3,3.00", "END,2,3.01", "END,2,2.99", "END,2,x", "END,2.0,3.00", "END,,3.00"])
def test_b37_a_trailer_that_differs_is_refused(trailer: str) -> None:
    assert ("CONTROL_TOTAL", None) == refused(f"{HEADER}R1,Li,1.00\nR2,Li,2.00\n{trailer}\n", TOTALLED)


def test_b37_the_sum_is_exact_whatever_the_decimals_and_the_size() -> None:
    amounts = ["0.1", "0.2", "9" * 40 + ".01", "-" + "9" * 40, "1.005", "NaN", "1e5", ""]
    records = "".join(f"R{number},Li,{amount}\n" for number, amount in enumerate(amounts))

    assert 8 == len(read(f"{HEADER}{records}END,8,1.315\n", TOTALLED).frame)


def test_b37_the_sum_is_read_in_the_declared_notation() -> None:
    format = {**TOTALLED, "delimiter": ";", "decimal": ",", "thousands": "."}

    assert 2 == len(read("Report;Name;Amount\nR1;Li;1.234,50\nR2;Li;1234.50\nEND;2;1.234,50\n", format).frame)


# --- compressed files


def packed(content: bytes, name: str = "claims.csv", **facts: Any) -> bytes:
    """A zip archive of one member."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        member = zipfile.ZipInfo(name)
        member.compress_type = zipfile.ZIP_DEFLATED
        for fact, value in facts.items():
            setattr(member, fact, value)
        archive.writestr(member, content)
    return out.getvalue()


def unpacking(content: bytes, name: str, bytes_max: int = containers.BYTES_MAX) -> str:
    with pytest.raises(FileRejected) as caught:
        formats.unpack(content, name, bytes_max)
    return caught.value.code


TEXT = "".join(f"R{number},Li,{number * 7919 % 10_007}\n" for number in range(5000)).encode()


@pytest.mark.parametrize(
    ("content", "name"), [(gzip.compress(TEXT), "a.csv.gz"), (packed(TEXT), "a.ZIP"), (TEXT, "a.csv")]
)
def test_compressed_files_are_unpacked_by_their_names(content: bytes, name: str) -> None:
    assert TEXT == formats.unpack(content, name)


@pytest.mark.parametrize("cut", [1, 4, 8, 9, 1000])
def test_b38_a_truncated_gzip_is_refused_before_a_row_is_used(cut: int) -> None:
    assert "INCOMPLETE" == unpacking(gzip.compress(TEXT)[:-cut], "a.csv.gz")


def test_b38_a_truncated_zip_is_refused() -> None:
    assert "COMPRESSION" == unpacking(packed(TEXT)[:-100], "a.zip")


def test_b39_a_gzip_with_a_wrong_checksum_or_bytes_behind_it_is_refused() -> None:
    content = gzip.compress(TEXT)
    wrong = content[:-8] + bytes([content[-8] ^ 1]) + content[-7:]

    assert ["COMPRESSION"] * 2 == [unpacking(wrong, "a.gz"), unpacking(content + b"trailing", "a.gz")]


def test_b39_a_zip_with_a_wrong_checksum_is_refused() -> None:
    content = packed(TEXT)
    at = content.index(b"PK\x01\x02") + 16

    assert "COMPRESSION" == unpacking(content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :], "a.zip")


def test_b40_a_gzip_of_two_members_is_refused() -> None:
    assert "COMPRESSION" == unpacking(gzip.compress(TEXT) + gzip.compress(TEXT), "a.gz")


@pytest.mark.parametrize("name", ["a.gz", "a.zip"])
def test_b41_a_bomb_is_refused(name: str) -> None:
    bomb = b"0" * 10_000_000
    content = gzip.compress(bomb) if name == "a.gz" else packed(bomb)

    assert "COMPRESSION" == unpacking(content, name)


@pytest.mark.parametrize("name", ["a.gz", "a.zip"])
def test_b41_an_archive_that_unpacks_beyond_the_size_limit_is_refused(name: str) -> None:
    content = gzip.compress(TEXT) if name == "a.gz" else packed(TEXT)

    assert "SIZE" == unpacking(content, name, bytes_max=len(TEXT) - 1)
    assert "SIZE" == unpacking(content, name, bytes_max=100)


def test_b42_a_zip_of_two_members_encrypted_or_nested_is_refused() -> None:
    two = io.BytesIO()
    with zipfile.ZipFile(two, "w") as archive:
        archive.writestr("a.csv", TEXT)
        archive.writestr("b.csv", TEXT)
    plain = packed(TEXT)
    central = plain.index(b"PK\x01\x02")
    encrypted = plain[:6] + b"\x01" + plain[7 : central + 8] + b"\x01" + plain[central + 9 :]

    contents = [two.getvalue(), encrypted, packed(packed(TEXT), "a.zip"), packed(gzip.compress(TEXT), "a.gz")]
    assert ["COMPRESSION"] * 4 == [unpacking(content, "a.zip") for content in contents]


@pytest.mark.parametrize("member", ["../../x.csv", "/etc/x.csv", "a/b.csv", "a\\b.csv", "C:x.csv", "folder/"])
def test_b43_a_member_that_names_a_path_is_refused(member: str) -> None:
    assert "PATH" == unpacking(packed(TEXT, member), "a.zip")


def test_b43_a_member_that_is_a_link_is_refused() -> None:
    assert "PATH" == unpacking(packed(b"/etc/passwd", external_attr=(stat.S_IFLNK | 0o777) << 16), "a.zip")


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (packed(TEXT, "xl/workbook.xml"), "a zip archive or an Excel workbook"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(512), "an old Excel or Word file"),
        (b"%PDF-1.7\n", "a PDF file"),
        (b"\xef\xbb\xbf\r\n  <!DOCTYPE html><title>Log in</title>", "an HTML page"),
        (b"<HTML>\n", "an HTML page"),
        (b"<?xml version='1.0'?>\n", "an XML file"),
        (gzip.compress(TEXT), "a gzip file"),
    ],
)
def test_b44_a_file_that_is_no_text_is_refused_and_named(content: bytes, what: str) -> None:
    with pytest.raises(FileRejected, match=f"CONTENT_TYPE claims.csv is {what}, not delimited text"):
        read(content)


@pytest.mark.parametrize("name", ["a.gz", "a.zip"])
def test_b44_a_name_that_promises_a_compressed_file_is_held_to_it(name: str) -> None:
    assert "COMPRESSION" == unpacking(TEXT, name)


def test_b132_a_file_of_another_environment_is_refused() -> None:
    format = {**PLAIN, "preamble": {"lines": "1", "marks": {"1": "ENV=PROD"}}}

    assert 1 == len(read(f"ENV=PROD\r\n{HEADER}R1,Li,1.00\n", format).frame)
    assert ("ENVIRONMENT", 1) == refused(f"ENV=TEST\n{HEADER}R1,Li,1.00\n", format)


# --- the fast path and the exact one agree

CELL = st.text(st.sampled_from("ab \",;\n'\\NA€张"), max_size=6)
TABLE = st.lists(st.tuples(CELL, CELL, CELL), min_size=1, max_size=8)


@given(TABLE, st.sampled_from([csv.QUOTE_ALL, csv.QUOTE_MINIMAL]), st.sampled_from(["\n", "\r\n"]))
def test_what_the_csv_module_writes_is_read_back_cell_by_cell(
    table: list[tuple[str, ...]], quoting: Any, end: str
) -> None:  # fmt: skip
    out = io.StringIO()
    writer = csv.writer(out, quoting=quoting, lineterminator=end)
    writer.writerows([COLUMNS, *table])
    raw = read(out.getvalue(), MULTILINE)
    text = out.getvalue().split("\n")

    assert table == rows(raw)
    assert len(text) - 1 == raw.lines
    assert [1 + sum("".join(row).count("\n") + 1 for row in table[:n]) + 1 for n in range(len(table))] == raw.frame[
        "source_row"
    ].tolist()


@given(st.text(st.sampled_from('ab",\n'), max_size=30), st.sampled_from([PLAIN, MULTILINE]))
def test_any_text_is_read_as_the_csv_module_reads_it_strictly_or_refused(text: str, format: dict[str, Any]) -> None:
    try:
        raw = read(f"{HEADER}{text}\n", format)
    except FileRejected:
        return
    strict = [tuple(row) for row in csv.reader(io.StringIO(text + "\n", newline=""), strict=True)]

    assert [row for row in strict if row] == rows(raw)


# --- fingerprints


def test_b117_the_same_rows_under_other_bytes_have_the_same_fingerprint() -> None:
    one = read(f"{HEADER}R1,张三,1.00\nR1,张三,1.00\nR2,a b,2.00\n").frame
    moved = 'Report,name,Amount\r\n"R2","a b","2.00"\r\n"R1",张三,1.00\r\nR1,张三,1.00\r\n'.encode("gb18030")
    other = read(moved, {**PLAIN, "encoding": "gb18030", "layouts": [["Report", {"name": "Name"}, "Amount"]]}).frame

    assert formats.fingerprint(one) == formats.fingerprint(other)
    assert formats.same_content(one, other)


@pytest.mark.parametrize(
    "changed",
    ["R1,Li,1.00\nR2,Li,2.00\n", "R1,Li,1.00\nR1,Li,1.00\nR2,Li,2.01\n", "R1,Li,1.00\nR2,Li,2.00\nR2,Li,2.00\n"],
)  # fmt: skip
def test_b117_other_rows_or_other_repetitions_have_another_fingerprint(changed: str) -> None:
    one, other = read(f"{HEADER}R1,Li,1.00\nR1,Li,1.00\nR2,Li,2.00\n").frame, read(HEADER + changed).frame

    assert formats.fingerprint(one) != formats.fingerprint(other)
    assert not formats.same_content(one, other)


def test_b117_empty_deliveries_are_the_same_and_other_columns_are_not() -> None:
    empty, full = read(f"{HEADER}END,0,0\n", TOTALLED).frame, read(f"{HEADER}R1,Li,1.00\n").frame

    assert formats.same_content(empty, empty)
    assert formats.fingerprint(empty) == formats.fingerprint(empty.copy())
    assert not formats.same_content(full, full[["Report", "source_row"]])


def test_b117_a_fingerprint_is_fixed_for_all_time() -> None:
    frame = read(f"{HEADER}R1,Li,1.00\nR2,{'long ' * 10},2.00\n").frame

    assert "4c6e5b26d5ea178caea790629a027849c6e361bd79a86c6a107411a524b33c0b" == formats.fingerprint(frame)


def test_b117_cells_that_hold_the_separator_of_cells_are_not_confused() -> None:
    one, other = (read(f"{HEADER}{row},1\n").frame for row in ("a\x1f,b", "a,\x1fb"))

    assert not formats.same_content(one, other)
    assert formats.fingerprint(one) != formats.fingerprint(other)


@given(TABLE, st.randoms(use_true_random=False))
def test_b117_the_order_of_rows_does_not_matter(table: list[tuple[str, ...]], random: Any) -> None:
    frame = read(f"{HEADER}R,Li,1\n").frame
    one = frame.iloc[[0] * len(table)].assign(**dict(zip(COLUMNS, map(list, zip(*table, strict=True)), strict=True)))
    one = one.astype(dict.fromkeys(COLUMNS, "str"))
    order = list(range(len(table)))
    random.shuffle(order)

    assert formats.fingerprint(one) == formats.fingerprint(one.iloc[order])
    assert formats.same_content(one, one.iloc[order])


# --- what cannot be declared


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"layouts": [["a", "a"]]}, "column 'a' stands twice"),
        ({"layouts": [["source_row"]]}, "source_row is our own"),
        ({"layouts": [["a"], ["a"]]}, "two layouts have the same header"),
        ({"trailer": {"mark": "END", "sums": {"Total": "1"}}}, "no layout has column 'Total'"),
        ({"thousands": "."}, "the same as the decimal sign"),
        ({"preamble": {"lines": "1", "marks": {"2": "x"}}}, "line 2 is none of it"),
    ],
)
def test_a_format_that_contradicts_itself_is_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        layout.Format.of({**PLAIN, **change})
