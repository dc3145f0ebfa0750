"""What is in files, record by record: every format with its dialects and its damage."""

import io
import json
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from integrations.transport import decode_json
from integrations.transport.decode_csv import CsvFormat
from integrations.transport.decode_edifact import EdifactFormat
from integrations.transport.decode_json import JsonFormat
from integrations.transport.decode_parquet import ParquetFormat
from integrations.transport.decode_xml import XmlFormat
from integrations.transport.file_listing import Unread
from integrations.transport.file_request import Format

CSV, JSON_ = CsvFormat(type="csv", separator=";"), JsonFormat(type="json")
XML = XmlFormat(type="xml", record="Ntry", lists=frozenset({"Ustrd"}))
EDI, PARQUET = EdifactFormat(type="edifact"), ParquetFormat(type="parquet")


def read(how: Any, data: bytes) -> tuple[list[bytes], list[str]]:
    """The records and what is odd."""
    notes: list[str] = []
    stream = io.BytesIO(data)
    how.check(stream)
    return [one for block in how.records(stream, file="f", notes=notes) for one in block], notes


def values(how: Any, data: bytes) -> list[Any]:
    """The records without what is ours."""
    found = [json.loads(one) for one in read(how, data)[0]]
    return [{key: one[key] for key in one if not key.startswith("_")} for one in found]


@pytest.mark.parametrize(
    ("how", "text", "expected"),
    [
        (CSV, "a;b\n1;x\n", [{"a": "1", "b": "x"}]),
        (CSV, "\ufeffa;b\r\n1;x\r\n", [{"a": "1", "b": "x"}]),
        (CSV, 'a;b\n"1\n2";"say ""x"""\n', [{"a": "1\n2", "b": 'say "x"'}]),
        (CSV, "b;a\nx;1\n", [{"b": "x", "a": "1"}]),
        (CSV, "Gross Debit (GC); Größe %\n1,50;\\\t\x01\n", [{"gross_debit_gc": "1,50", "größe": "\\\t\x01"}]),
        (CSV, "a;b\n;x\n\n;\n", [{"a": None, "b": "x"}]),
        (CSV, "a;b\n", []),
        (CSV, 'a;b\n1;5" pot\n2;"x"\n', [{"a": "1", "b": '5" pot'}, {"a": "2", "b": "x"}]),
        (CSV, 'a;b\r\n"1";"x\r\n""y"";\r\nz"\r\n2;"y" \r\n', [{"a": "1", "b": 'x\r\n"y";\r\nz'}, {"a": "2", "b": "y "}]),
        (CSV, '\ufeff"a;x";"b\nc"\n1;x\n', [{"a_x": "1", "b_c": "x"}]),
        (CSV, "a;;b\n1;2;3", [{"a": "1", "column_2": "2", "b": "3"}]),
        (CsvFormat(type="csv", quote=""), 'a,b\n5" pot,x\n', [{"a": '5" pot', "b": "x"}]),
        (CsvFormat(type="csv", separator="\t", quote="'"), "a\tb\n'1\t2'\t\"\n", [{"a": "1\t2", "b": '"'}]),
    ],
)  # fmt: skip
def test_csv_is_read_by_its_header(how: CsvFormat, text: str, expected: list[Any]) -> None:
    """Separators, quotes, line breaks in cells, a byte order mark, blank lines, moving columns."""
    assert values(how, text.encode()) == expected


def test_csv_of_another_encoding() -> None:
    """What Windows wrote is read as such when the file says so."""
    how = CsvFormat(type="csv", separator=";", encoding="cp1252")
    assert values(how, "prijs €;b\n“é”;2\n".encode("cp1252")) == [{"prijs": "“é”", "b": "2"}]


def test_rows_that_do_not_fit_stand_where_they_stood() -> None:
    """Each row keeps its number, and one with other cells stays the bytes that it is."""
    rows = [b"%d;x" % n for n in range(1, 200_001)]
    rows[1], rows[150_000] = b"only one", b"one;two;three"
    found, notes = read(CSV, b"a;b\n" + b"\n".join(rows))
    assert found[1] == b"only one"
    assert found[150_000] == b"one;two;three"
    assert json.loads(found[150_001]) == {"_file": "f", "_line": 150_002, "a": "150002", "b": "x"}
    assert len(found) == 200_000
    assert notes == ["2 rows have another number of cells than the header"]


def test_json_may_stand_on_lines_or_not() -> None:
    """With line breaks, without, with both; what is broken is a record of its own."""
    sent = b'{"a":1}\n{"a":2}{"a":"}{"}\r\n\n{broken\n{"b": 1} {"c":2}'
    assert read(JSON_, sent)[0] == [
        b'{"a":1}', b'{"a":2}', b'{"a":"}{"}', b"{broken", b'{"b": 1}', b'{"c":2}',
    ]  # fmt: skip


@given(
    texts=st.lists(st.text('}{"\\a\n ,', max_size=6), max_size=12),
    between=st.sampled_from([b"", b"\n", b" ", b"\r\n\n"]),
    block=st.integers(1, 9),
)
@settings(max_examples=60, deadline=None)
def test_json_is_taken_apart_wherever_it_is_cut(
    texts: list[str], between: bytes, block: int
) -> None:
    """However a file falls into blocks, its values are those that were put together."""
    sent = [json.dumps({"a": text}).encode() for text in texts]
    before, decode_json._BLOCK = decode_json._BLOCK, block
    try:
        assert read(JSON_, between.join(sent))[0] == sent
    finally:
        decode_json._BLOCK = before


BANK = """<?xml version="1.0"?><D xmlns="urn:x" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance">
<Hdr><Id>h</Id></Hdr><Stmt><Id>s1</Id><Bal><V>1</V></Bal><Bal><V>2</V></Bal>
<Ntry><Amt Ccy="EUR">8.85</Amt><Ustrd>x</Ustrd><E/><N xsi:nil="true"/></Ntry><Ntry><Amt>1</Amt></Ntry></Stmt>
<Stmt><Id>s2</Id><!-- c --><Ntry><T><Ustrd>y</Ustrd><Ustrd>&lt;z</Ustrd><R>1</R><R>2</R></T></Ntry></Stmt></D>"""


def test_xml_says_what_stands_above() -> None:
    """Each record beside the header and its own statement; missing, empty and nil are three."""
    first, second, third = (json.loads(one) for one in read(XML, BANK.encode())[0])
    above = {"Id": "s1", "Bal": {"V": "1"}, "Bal[]": [{"V": "1"}, {"V": "2"}]}
    assert first == {
        "_file": "f", "_line": 1, "_no": 1, "D": {"Hdr": {"Id": "h"}}, "Stmt": above,
        "Ntry": {"Amt": "8.85", "Amt@Ccy": "EUR", "Ustrd": ["x"], "E": "", "N": None},
    }  # fmt: skip
    assert (second["_line"], second["_no"], second["Stmt"]) == (2, 2, above)
    assert (third["_line"], third["_no"], third["Stmt"]) == (3, 1, {"Id": "s2"})
    assert third["Ntry"] == {"T": {"Ustrd": ["y", "<z"], "R": "1", "R[]": ["1", "2"]}}


CLOCK = (
    "UNB+UNOA:2+1+2'\nUNH+m1+CLOCKT:003:005:EF'BGM+493'DTM+97:20101208:102'NAD+FLA+3'"
    "LIN+++16207:VBN'DTM+9:061800:402'RFF+BT:0?'1?+2??'IMD++S99+:::A?:B'QTY+52:50'PAC+++997'"
    "LIN+++2:VBN'NAD+FLA+4'UNT+{count}+m1'UNZ+1+x'"
)


def test_edifact_lines_have_what_is_above_them() -> None:
    """Qualifiers are keys, released signs stand for themselves, a line overrules the header."""
    (first, second), notes = read(EDI, CLOCK.format(count=13).encode())
    assert json.loads(first) == {
        "_file": "f", "_line": 1, "UNH": {"reference": "m1", "type": "CLOCKT", "version": "003:005:EF"},
        "BGM": "493", "DTM": {"97": "20101208", "9": "061800"}, "NAD": {"FLA": "3"}, "LIN": "16207",
        "RFF": {"BT": "0'1+2?"}, "IMD": {"S99": "A:B"}, "QTY": {"52": "50"}, "PAC": "997",
    }  # fmt: skip
    assert json.loads(second)["NAD"] == {"FLA": "4"}
    assert notes == []


def test_edifact_with_a_wrong_count_is_read_and_told_of() -> None:
    """Real messages count wrong: no line of them is lost."""
    found, notes = read(EDI, CLOCK.format(count=33).encode())
    assert len(found) == 2
    assert notes == ["message m1 says that it has 33 segments, and has 13"]


def test_edifact_may_name_its_own_signs() -> None:
    """UNA says which signs part and release."""
    text = "UNA#*,! ~UNH*1*X#1~LIN***7#V~RFF*A#1!~2~UNT*4*1~"
    (line,) = values(EDI, text.encode())
    assert (line["LIN"], line["RFF"]) == ("7", {"A": "1~2"})


def test_parquet_rows_are_json() -> None:
    """Every kind of column, exact and with its zone; what JSON cannot say is null."""
    table = pa.table(
        {
            "s": ['a"', None], "i": [2**60, None], "f": [1.5, float("nan")], "b": [True, None],
            "d": [Decimal("1.20"), None], "l": [[1, 2], None],
            "t": pa.array([datetime(2026, 1, 1, 1, 2, 3, 4, UTC), None], pa.timestamp("us", "Europe/Amsterdam")),
            "c": pa.array(["x", "y"]).dictionary_encode(),
            "n": pa.array([[1_000_000_001], None], pa.list_(pa.timestamp("ns"))),
        }
    )  # fmt: skip
    out = io.BytesIO()
    pq.write_table(table, out)
    assert values(PARQUET, out.getvalue()) == [
        {"s": 'a"', "i": 2**60, "f": 1.5, "b": True, "d": "1.20", "l": [1, 2],
         "t": "2026-01-01T01:02:03.000004Z", "c": "x", "n": ["1970-01-01T00:00:01.000000001"]},
        {"s": None, "i": None, "f": None, "b": None, "d": None, "l": None, "t": None, "c": "y", "n": None},
    ]  # fmt: skip


@pytest.mark.parametrize("packed", ["snappy", "zstd", "none"])
def test_parquet_that_is_broken_inside_is_refused(packed: str) -> None:
    """Its footer is whole; what of its pages is not is the file's fault, and not the stream's."""
    out = io.BytesIO()
    pq.write_table(pa.table({"s": [f"a{n}" for n in range(3_000)]}), out, compression=packed)
    data = out.getvalue()
    with pytest.raises(Unread):
        read(PARQUET, data[:4] + bytes(2_000) + data[2_004:])


BOMB = '<!DOCTYPE d [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;">]><d><Ntry>&b;</Ntry></d>'
STEAL = '<!DOCTYPE d [<!ENTITY x SYSTEM "file:///etc/passwd">]><d><Ntry>&x;</Ntry></d>'


@pytest.mark.parametrize(
    ("how", "data", "reason"),
    [
        (CSV, b"\n", "has no header row"),
        (CSV, b"a;A\n", "has two columns 'a'"),
        (CSV, b"a;\xff\n", "is no utf-8"),
        (CSV, b'a;b\n1;"x\n2;y\n', 'has a " in line 2 that ends no cell'),
        (CSV, b'a;b\n1;"x\n2;y\n3;"z"\n4;"w\n5;v\n', 'has a " in line 2 that ends no cell'),
        (CSV, b'a;b\r\n1;"x""\r\n2;""y\r\n', 'has a " in line 2 that ends no cell'),
        (CsvFormat(type="csv", needs=("x",)), b"a,b\n", "has no column 'x'"),
        (XML, BANK[:-20].encode(), "is no whole XML"),
        (XML, b"<html><p>sorry</html>", "is no whole XML"),
        (XML, BOMB.encode(), "has a document type"),
        (XML, STEAL.encode(), "has a document type"),
        (XML, b"<a>" * 300 + b"</a>" * 300, "is no whole XML"),
        (EDI, CLOCK[:-10].encode(), "is cut off"),
        (EDI, CLOCK[: CLOCK.index("UNT")].encode(), "has no UNT at its end"),
        (EDI, b"a;b\n1;2\n", "is cut off"),
        (EDI, b"UNB+UNOA:2'UNZ+0+1'", "holds no EDIFACT message"),
        (PARQUET, b"PAR1 no", "is no Parquet"),
    ],
)  # fmt: skip
def test_what_cannot_be_read_is_refused_with_a_reason(how: Any, data: bytes, reason: str) -> None:
    """Half a file, another format, an entity that grows or reads a file of ours."""
    with pytest.raises(Unread, match=reason):
        read(how, data)


def test_an_element_is_let_go_when_it_has_ended() -> None:
    """Of a long statement one record is in memory, and not all before it."""
    stream = io.BytesIO(b"<d><Stmt>" + b"<Ntry><Amt>1</Amt></Ntry>" * 3_000 + b"</Stmt></d>")
    held = [len(element.getparent()) for _, _, element in XML._found(stream)]
    assert len(held) == 3_000
    assert max(held) < 1_500  # what the parser has read ahead, of the 32 kB that it is fed


@pytest.mark.parametrize(
    "wrong",
    [
        {"type": "csv", "encoding": "utf-99"},
        {"type": "csv", "separator": ";;"},
        {"type": "xml", "record": "a:b"},
        {"type": "edifact", "line": "lin"},
        {"type": "yaml"},
    ],
)
def test_a_format_that_cannot_work_is_refused(wrong: dict[str, Any]) -> None:
    """At load, and not at the first file."""
    with pytest.raises(ValidationError):
        TypeAdapter(Format).validate_python(wrong)
