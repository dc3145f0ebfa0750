"""JSON, lists, maps, bytes and lengths of time: kept exactly, or refused with a reason."""

import base64
import json
from decimal import Decimal
from typing import Any

import psycopg
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from integrations.transformation.json_text import DEEPEST
from integrations_tests.transformation.test_numbers import NO_NUMBER
from integrations_tests.transformation.things import No, check, one, transform

JSON = {"type": "json", "from": "v"}
TEXT = {"type": "text", "from": "v"}
LIST = {"type": "string_list", "from": "v"}
MAP = {"type": "string_map", "from": "v", "values": "scalars"}
BAD_JSON = [
    *("", " ", "nul", "True", "None", "NaN", "-NaN", "Infinity", "-Infinity", '{"a":NaN}', "[Inf]"),
    *("01", "+1", ".5", "5.", "0x1", "1_000", "1e", "--1", "1,2", "1 2", "'a'", '"a', 'a"', '"\t"'),
    *(
        '"\\x41"',
        '"\\u12"',
        '"\\ud800"',
        '"\\udc00"',
        '"a\nb"',
        "{",
        "}",
        "[",
        "]",
        "{]",
        "[1,]",
        "[,1]",
    ),
    *(
        '{"a"}',
        '{"a":}',
        '{"a":1,}',
        "{a:1}",
        "{'a':1}",
        '{"a":1}}',
        '{"a":1}{"b":2}',
        "[1]x",
        "//",
        "1 // x",
    ),
    *(
        '1,"w":2',
        '1],"w":[2',
        '1}\n{"v":1',
        '1}}{{"v":1',
        "\ufeff1",
        "\u0661",
        "\x00",
        "1\x00",
        "undefined",
        "1;",
    ),
    *("[1}", '{"a":[}', '""a""', '{"a" 1}', "tru", "\\", '"\\"'),
]
"""Text that holds no JSON, some of it made to close what is put around it."""


def raw(*texts: str) -> list[tuple[bytes, str]]:
    return [(text.encode(), text) for text in texts]


def test_json_of_any_kind() -> None:
    """Text, digits and all, as it was sent."""
    cases = [
        *raw(
            '{"a":[1,2,{"b":null}]}',
            "{}",
            "[]",
            '"x"',
            '""',
            "0",
            "-0",
            "1.20",
            "1E+2",
            "true",
            "false",
        ),
        *raw(
            '{"a": 1 , "b":[ ]}',
            '"\\u00e9\\ud83d\\ude00"',
            "[null]",
            '{"a":1,"a":2}',
            '"\\\\u0000"',
            "1e300",
        ),
        *raw(
            "12345678901234567890123456789",
            "0.1",
            '"1e99999"',
            '"\\"1e99999"',
            '{"":""}',
            '{"NaN":"Infinity"}',
        ),
        *((None, None), (b"null", None)),
        *(
            (text.encode(), No("holds the character NUL"))
            for text in ('"\\u0000"', '{"\\u0000":1}', '["\\\\\\u0000"]')
        ),
        *(
            (text.encode(), No("number that Postgres cannot keep"))
            for text in ("1e-99999", '{"a":[1e-1000]}', "0." + "1" * 2000)
        ),
        *((text.encode(), No("")) for text in BAD_JSON if text.strip() and "\x00" not in text),
        *(
            (b"1e400", No("Number too big")),
            (b'"\xff"', No("UTF8")),
            (b'{"\xed\xa0\x80":1}', No("UTF8")),
        ),
    ]
    check("json", JSON, [c for c in cases if c[0] != b'1,"w":2'])
    check("text", JSON, raw('{"a": 1}', '"x"', "1.20"))


def test_json_within_text() -> None:
    """Text that is one JSON value, and nothing that only looks like it when something is around."""
    good = [
        '{"a":1}',
        "[1,\n2]",
        " 5 ",
        '"x"',
        "null",
        "true",
        "-0.5e-3",
        '{"a":"NaN"}',
        '"\\u00e9"',
        "\r\n[]\t",
    ]
    cases = [
        *((text, text) for text in good),
        *((text, No("holds no JSON")) for text in BAD_JSON),
        (None, None),
    ]
    check("json", [TEXT, {"type": "json"}], cases)
    check("text", [TEXT, {"type": "json"}], [*cases, (5, No("expected `str"))])
    check(
        "json",
        [TEXT, {"type": "json"}],
        [('"\\u0000"', No("NUL")), ("1e-1000", No("Postgres cannot keep"))],
    )


def test_what_postgres_could_not_keep_is_refused(connection: psycopg.Connection[Any]) -> None:
    """And what is let through, it keeps: one value too deep or too fine would cost the whole load."""
    deepest = "[" * DEEPEST + "]" * DEEPEST
    wide = "[" + ",".join(["[]"] * (3 * DEEPEST)) + "]"
    kept = [deepest, wide, "1e-999", "0." + "1" * 999, "1e300", '{"' + "[" * 2 * DEEPEST + '":1}']
    refused = [f"[{deepest}]", "1e-1000", "0." + "1" * 1000]
    cases = [*((text, text) for text in kept), (refused[0], No("deeper than 1000 levels"))]
    check(
        "json", [TEXT, {"type": "json"}], [*cases, *((t, No("cannot keep")) for t in refused[1:])]
    )
    for text in kept:
        found = connection.execute("SELECT %s::jsonb IS NOT NULL", [text]).fetchone()
        assert found == (True,)
    with pytest.raises(psycopg.errors.NumericValueOutOfRange):
        connection.execute("SELECT '1e-99999'::jsonb")


def test_lists_of_strings() -> None:
    """Kept as JSON, or joined into a text that can be taken apart again."""
    none = No("is no list of strings")
    others: list[Any] = [
        1,
        "a",
        True,
        {},
        [1],
        [True],
        [None],
        ["a", None],
        [["a"]],
        [{}],
        ["a", 1],
        {"a": "b"},
        "",
        "[]",
    ]
    lists: list[list[str]] = [
        [],
        ["a"],
        ["a", "b"],
        ["é😀", '"', "\\", "\n"],
        ["],["],
        ["{}"],
        ["a"] * 100,
    ]
    cases = [
        *(
            (each, json.dumps(each, ensure_ascii=False, separators=(",", ":")))
            for each in [*lists, [""], ["", ""]]
        )
    ]
    check(
        "json",
        LIST,
        [*cases, *((v, none) for v in others), (None, None), (b'[ "a" , "b" ]', '[ "a" , "b" ]')],
    )
    joined = [*((each, ", ".join(each)) for each in [*lists, ["a,", "b"], ["", ""], ["a", ""]])]
    unclear = No("could not be taken apart again once it is joined by ', '")
    check(
        "text",
        LIST,
        [
            *joined,
            *((v, none) for v in others),
            (None, None),
            *((v, unclear) for v in (["a, b"], [""], [", "])),
        ],
    )
    check(
        "text",
        LIST | {"join": "aa"},
        [(["xa", "y"], No("taken apart")), (["x", "y"], "xaay"), (["x", "ay"], "xaaay")],
    )
    check(
        "text",
        LIST,
        [(["a\x00"], No("NUL")), (b'["\\ud800"]', No("surrogate")), (b'["\xff"]', No("UTF8"))],
    )
    behind = [TEXT, {"type": "string_list"}]
    check(
        "json",
        behind,
        [('["a"]', '["a"]'), ("[1]", none), ('["\\q"]', No("holds no JSON")), ("", No("no JSON"))],
    )
    assert len(transform({"text": LIST}).rows) == 0


def test_maps_of_strings_and_numbers() -> None:
    """Numbers and booleans become the strings of what was sent, digit by digit."""
    none = No("is no object of strings, numbers and booleans")
    cases = [
        *(
            (b'{"a":1.20}', '{"a":"1.20"}'),
            (b'{"a":-1E+2,"b":true}', '{"a":"-1E+2","b":"true"}'),
            ({}, "{}"),
        ),
        *((b'{"a":":5","b":"\\"c\\":1"}', '{"a":":5","b":"\\"c\\":1"}'), (b'{"1":1}', '{"1":"1"}')),
        *(
            (b'{ "a" : 1 , "b" : "x" }', '{ "a" : "1" , "b" : "x" }'),
            (None, None),
            (b'{"true":false}', '{"true":"false"}'),
        ),
        *(
            (b'{"a":"\\\\","b":2}', '{"a":"\\\\","b":"2"}'),
            ({"é": "\u0661"}, '{"é":"\u0661"}'),
            ({"": ""}, '{"":""}'),
        ),
        *(
            (v, none)
            for v in (
                [],
                [1],
                "a",
                1,
                True,
                {"a": None},
                {"a": {}},
                {"a": []},
                {"a": [1]},
                {"a": {"b": 1}},
                "",
            )
        ),
        *((v, No("NUL")) for v in ({"a": "\x00"}, {"\x00": 1})),
        *(
            (v, No(""))
            for v in (
                b'{"a":NaN}',
                b'{"a":1e400}',
                b'{"a":01}',
                b'{"a":"\xff"}',
                b'{"a":"\\ud800"}',
            )
        ),
    ]
    check("json", MAP, cases)
    check("text", MAP, [(b'{"a":1.0}', '{"a":"1.0"}'), ([], none)])
    behind = [TEXT, {"type": "string_map"}]
    check(
        "json",
        behind,
        [
            ('{"a":"b"}', '{"a":"b"}'),
            ('{"a":1}', No("no object of strings")),
            ("[]", No("no object")),
        ],
    )
    check(
        "json",
        behind,
        [('{"a":"\\q"}', No("holds no JSON")), ("", No("holds no JSON")), (None, None)],
    )


def test_bytes() -> None:
    """Exactly what was encoded; nothing is skipped, and one text alone means the same bytes."""
    samples = [b"", b"a", b"ab", b"abc", b"abcd", b"\x00", b"\xff\xfe\x00", bytes(range(256))]
    encodings = {
        "base64": base64.b64encode,
        "base64url": base64.urlsafe_b64encode,
        "hex": lambda b: b.hex().encode(),
    }
    odd = [
        "é",
        " ",
        "!",
        "\x00",
        "\ufeff",
        "\u0661\u0661",
        "=",
        "==",
        "====",
        "a",
        "abc!",
        "YQ==\n",
        " YQ==",
        "Y Q==",
        "YQ=",
        "YQ===",
        "YR==",
        "YWJ=",
        "YQ==YQ==",
    ]
    for name, encode in encodings.items():
        rule, no = {"type": "bytes", "from": "v", "encoding": name}, No(f"is no {name}")
        cases = [*((encode(sample).decode(), sample) for sample in samples), (None, None)]
        check(
            "raw",
            rule,
            [
                *cases,
                *((text, no) for text in odd),
                *((v, No("expected `str")) for v in (5, [], True)),
            ],
        )
        check("raw", [TEXT, {"type": "bytes", "encoding": name}], cases)
    check(
        "raw",
        {"type": "bytes", "from": "v", "encoding": "base64"},
        [("_-8=", No("base64")), ("YQ", No("base64")), ("/+8=", b"\xff\xef")],
    )
    check(
        "raw",
        {"type": "bytes", "from": "v", "encoding": "base64url"},
        [("_-8", b"\xff\xef"), ("_-8=", b"\xff\xef"), ("/+8=", No("base64url"))],
    )
    check(
        "raw",
        {"type": "bytes", "from": "v", "encoding": "hex"},
        [("fF", b"\xff"), ("0", No("hex")), ("0x1f", No("hex")), ("fg", No("hex"))],
    )
    check(
        "raw", {"type": "bytes", "from": "v", "encoding": "hex"}, [(None, None), ("x", No("hex"))]
    )
    assert len(transform({"raw": {"type": "bytes", "from": "v", "encoding": "hex"}}).rows) == 0


NO_LENGTH = [
    *(v for v in NO_NUMBER if v not in {"1", "1.5"}),
    *(
        "P",
        "PT",
        "P1",
        "P1DT",
        "P1Y",
        "P1M",
        "P1Y2M",
        "PT1",
        "PT1.5H",
        "P1S",
        "1D",
        "pt1h",
        "PT1H1H",
        "PT1S1M",
        "P1W1D",
    ),
    *(
        "1:2:3",
        "00:60:00",
        "00:00:60",
        "12:30",
        "12:30:00:00",
        "01:02",
        ":01:02",
        "01:02:03.",
        "1 day",
        "1h",
        "5m",
        "s",
        "1.s",
        ".5s",
    ),
    *(
        "1ss",
        "1S",
        "0.1234567890s",
        "PT0.1234567890S",
        "00:00:00.1234567890",
        "9" * 13 + "s",
        "P" + "9" * 10 + "D",
        "+1s",
        "PT-1S",
    ),
]


@pytest.mark.parametrize(
    ("form", "taken", "example"),
    [
        (
            "proto3",
            {
                "0.056576s": "0.056576",
                "1s": "1",
                "-1.5s": "-1.5",
                "0s": "0",
                "-0s": "0",
                "315576000000.999999999s": "315576000000.999999999",
            },
            "0.056576s",
        ),
        (
            "iso8601",
            {
                "PT1H2M": "3720",
                "P1D": "86400",
                "P2W": "1209600",
                "PT0S": "0",
                "P1DT1S": "86401",
                "PT1.5S": "1.5",
                "-PT1,5S": "-1.5",
                "PT36H": "129600",
                "P0D": "0",
                "P1DT2H3M4.000000005S": "93784.000000005",
            },
            "PT1H2M",
        ),
        (
            "clock",
            {
                "01:02:03": "3723",
                "00:00:00": "0",
                "100:00:00.5": "360000.5",
                "-00:00:01": "-1",
                "1:02:03": "3723",
                "23:59:59.999999999": "86399.999999999",
            },
            "01:02:03",
        ),
        (
            "seconds",
            {
                "12.5": "12.5",
                "-0.001": "-0.001",
                "0": "0",
                "86400": "86400",
                "000000000001": "1",
                "1.000000000": "1",
            },
            "12.5",
        ),
    ],
)
def test_lengths_of_time(form: str, taken: dict[str, str], example: str) -> None:
    """In seconds or milliseconds as declared, exactly; each form takes its own spelling alone."""
    rule = {"type": "duration", "from": "v", "form": form}
    no = No(f"is no duration as {example}")
    cases = [(text, Decimal(seconds)) for text, seconds in taken.items()]
    against = [(text, no) for text in NO_LENGTH if text not in taken]
    check(
        "money",
        rule,
        [*cases, *against, (None, None), *((v, No("expected `str")) for v in (5, 1.5, [], True))],
    )
    check("money", rule | {"unit": "ms"}, [(text, value * 1000) for text, value in cases])
    check("money", [TEXT, {"type": "duration", "form": form}], [*cases, *against])
    whole = [
        (text, int(value) if value == int(value) else No("is no whole number of s"))
        for text, value in cases
    ]
    check("whole", rule, [*whole, ("x", no), (None, None)])
    check(
        "whole",
        rule | {"unit": "ms"},
        [
            (t, int(v * 1000) if v * 1000 == int(v * 1000) else No("whole number of ms"))
            for t, v in cases
        ],
    )


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**30), 10**30)
    | st.floats(-1e300, 1e300, allow_subnormal=False).filter(lambda x: x == 0 or abs(x) > 1e-300)
    | st.text(st.characters(codec="utf-8", exclude_characters="\x00")),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.text(st.characters(codec="utf-8", exclude_characters="\x00"), max_size=5),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@settings(max_examples=15)
@given(st.lists(VALUES, min_size=1, max_size=8))
def test_json_comes_back(values: list[Any]) -> None:
    """What was written is what is read, alone and within text."""
    told = [json.dumps(value, ensure_ascii=False) for value in values]
    check("json", JSON, [(t.encode(), None if t == "null" else t) for t in told])
    check("json", [TEXT, {"type": "json"}], [(t, t) for t in told])


@settings(max_examples=40)
@given(st.text('{}[]",:\\ 01eE-+.atrufnlsNI\n\u0000', max_size=10) | st.text(max_size=6))
def test_no_text_is_taken_for_json(text: str) -> None:
    """What is taken is what Python takes, and nothing more."""
    found = one({"text": [TEXT, {"type": "json"}]}, {"v": text})
    if found == text:
        json.loads(text, parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))
    else:
        assert found.startswith("text: `v` ")


@settings(max_examples=15)
@given(st.lists(st.binary(max_size=40), min_size=1, max_size=20))
def test_bytes_come_back(values: list[bytes]) -> None:
    """Of any length, beside each other."""
    for name, encode in (("base64", base64.b64encode), ("base64url", base64.urlsafe_b64encode)):
        check(
            "raw",
            {"type": "bytes", "from": "v", "encoding": name},
            [(encode(v).decode(), v) for v in values],
        )
    check("raw", {"type": "bytes", "from": "v", "encoding": "hex"}, [(v.hex(), v) for v in values])


@settings(max_examples=15)
@given(st.lists(st.integers(-(10**17), 10**17), min_size=1, max_size=20))
def test_lengths_come_back(nanos: list[int]) -> None:
    """A number of nanoseconds in each form."""
    told = [(Decimal(n).scaleb(-9), "-" if n < 0 else "", divmod(abs(n), 10**9)) for n in nanos]
    forms = {
        "proto3": lambda sign, s, f: f"{sign}{s}.{f:09}s",
        "seconds": lambda sign, s, f: f"{sign}{s}.{f:09}",
        "iso8601": lambda sign, s, f: (
            f"{sign}P{s // 86400}DT{s // 3600 % 24}H{s // 60 % 60}M{s % 60}.{f:09}S"
        ),
        "clock": lambda sign, s, f: f"{sign}{s // 3600:02}:{s // 60 % 60:02}:{s % 60:02}.{f:09}",
    }
    for form, written in forms.items():
        cases = [(written(sign, *parts), value) for value, sign, parts in told]
        check("money", {"type": "duration", "from": "v", "form": form}, cases)
