"""Text, booleans and enumerations in every dress, and what is no text at all."""

from typing import Any

import pytest
from pydantic import ValidationError

from integrations.connector_template.source_file import read_yaml
from integrations.transformation.values import Word
from integrations_tests.transformation.things import No, check, one, transform

DRESSED = {
    "type": "boolean",
    "from": "v",
    "true": [True, 1, "Y", "yes"],
    "false": [False, 0, "N", ""],
}
NO_BOOLEAN = No("is none of true, 1, Y, yes, false, 0, N, ''")
ENUM = {"type": "enumeration", "from": "v", "map": {"AN": "on", "Aus": "off", "": "off"}}

ANY_TEXT = [
    *(
        "",
        " ",
        "\t\r\n",
        "a",
        "null",
        "NULL",
        "None",
        "true",
        "0",
        "-0",
        "1e400",
        "NaN",
        "\\",
        '"',
        "'",
    ),
    *(
        "é",
        "e\u0301",
        "ß",
        "İ",
        "ﬁ",
        "漢字",
        "😀",
        "👩‍👩‍👧",
        "\u0661",
        "\uff11",
        "\u200b",
        "\u00a0",
        "\u202e",
    ),
    *(
        "\ufeffa",
        "a\ufeff",
        "\ufffd",
        "\ufffe",
        "\uffff",
        "\U0010ffff",
        "\x01",
        "\x1f",
        "\x7f",
        "\u2028",
    ),
    *(
        '{"a":1}',
        "[]",
        "a\\u0000b",
        "\\ud800",
        "<b>",
        "%s",
        "{}",
        "'; DROP TABLE x",
        "a" * 10_000,
        "=1+1",
    ),
    *(
        " a ",
        "a\nb",
        "C:\\temp",
        "\\\\",
        '\\"',
        "\\n",
        "/Date(0)/",
        "\u0430",
        "1_000",
        "2026-02-30",
    ),
]
"""What is text, and stays as it is to the last character."""


def test_text() -> None:
    """As it came, blanks and a byte order mark in it too; never another value made text."""
    cases = [
        *((text, text) for text in ANY_TEXT),
        *((b'"\\u00e9\\ud83d\\ude00"', "é😀"), (b'"\\/"', "/"), (None, None)),
        *((f"a{nul}", No("holds the character NUL")) for nul in ("\x00", "\x00b", "\x00\x00")),
        *((value, No("expected `str | null`")) for value in (1, 1.5, True, [], {}, ["a"])),
        *(
            (raw, No("half of a surrogate pair"))
            for raw in (b'"\\ud800"', b'"\\udfff"', b'"\\udc00\\ud800"', b'"a\\uD83Db"')
        ),
        *(
            (raw, No(""))
            for raw in (
                b'"\xff"',
                b'"\xc0\x80"',
                b'"\xed\xa0\x80"',
                b'"\xf4\x90\x80\x80"',
                b'"\xe9"',
            )
        ),
        (b'"\x01"', No("")),
    ]
    check("text", "v", cases)


def test_a_byte_order_mark_before_a_record_is_refused() -> None:
    """A page's is the transport's to take off; a record never begins with one."""
    assert "is no JSON object" in str(one({"text": "v"}, b'\xef\xbb\xbf{"id":"a","v":"b"}'))


def test_words() -> None:
    """A string, or a number or a boolean as the text that was sent."""
    cases = [
        *((text, text) for text in ANY_TEXT),
        *(
            (17, "17"),
            (-5, "-5"),
            (b"-0", "-0"),
            (b"1.20", "1.20"),
            (b"1E+2", "1E+2"),
            (2**70, str(2**70)),
        ),
        *(
            (True, "true"),
            (False, "false"),
            (None, None),
            (b'"\\u00e9\\ud83d\\ude00"', "é😀"),
            (b'"\\/"', "/"),
        ),
        *((b'"\\""', '"'), (b'"\\\\"', "\\"), (b'"\\"\\""', '""'), (b'""', "")),
        *(
            (value, No("is no string, number or boolean"))
            for value in ([], {}, ["a"], {"a": "b"}, [[]])
        ),
        *((f"a{nul}", No("holds the character NUL")) for nul in ("\x00", "\x00b")),
        *((raw, No("half of a surrogate pair")) for raw in (b'"\\ud800"', b'"\\udc00\\ud800"')),
        *((raw, No("UTF8")) for raw in (b'"\xff"', b'"\xc0\x80"', b'"\xed\xa0\x80"')),
        *((raw, No("")) for raw in (b"NaN", b"01", b"1_000", b"1e400", b"truE", b"'a'")),
    ]
    check("text", {"type": "word", "from": "v"}, cases)


def test_a_word_lies_as_deep_as_any_value() -> None:
    """And is null where anything above it is; two rules may read the same place."""
    rule = {"type": "word", "from": "v.a.b"}
    fields = {"text": rule, "json": {"type": "json", "from": "v.a.b"}}
    records: list[Any] = [{"a": {"b": 5}}, {"a": {"b": "x"}}, {"a": {}}, {"a": None}, {}, None]
    done = transform(fields, *({"id": str(n), "v": v} for n, v in enumerate(records)))
    assert done.rows["text"].to_pylist() == ["5", "x", None, None, None, None]
    assert done.rows["json"].to_pylist() == ["5", '"x"', None, None, None, None]


def test_a_key_may_be_a_word() -> None:
    """A source's ids are numbers in one place and strings in another."""
    done = transform(
        {"text": "v"},
        b'{"id":17}',
        b'{"id":"17a"}',
        b'{"id":[1]}',
        b'{"id":null}',
        key={"type": "word", "from": "id"},
    )
    assert done.rows["source_id"].to_pylist() == ["17", "17a"]
    assert [reason[:12] for reason in done.refused["reason"].to_pylist()] == ["the key `id`"] * 2
    assert one({"text": [{"type": "integer", "from": "v"}, {"type": "word"}]}, {"v": 7}) == "7"
    assert Word(type="word").source is None


def test_booleans_of_json() -> None:
    """True and false, and nothing that looks like them."""
    others: list[Any] = [0, 1, 1.0, "true", "false", "", "Y", "N", "yes", [], {}, [True], "null"]
    cases = [
        (True, True),
        (False, False),
        (None, None),
        *((value, No("expected `bool | null`")) for value in others),
    ]
    check(
        "yes",
        "v",
        [
            *cases,
            (b"True", No("no JSON")),
            (b"TRUE", No("no JSON")),
            (b'"\\ud800"', No("surrogate")),
        ],
    )


def test_booleans_in_every_dress() -> None:
    """One field may hold booleans, numbers and strings in any mixture; each is looked up."""
    cases = [
        *((value, True) for value in (True, 1, "Y", "yes", "1", "true", b'"\\u0059"')),
        *((value, False) for value in (False, 0, "N", "", "0", "false", b'"\\u004e"')),
        (None, None),
        *(
            (value, NO_BOOLEAN)
            for value in (
                2,
                -1,
                10**30,
                b"1.0",
                b"-0",
                b"0.0",
                b"1e0",
                "y",
                "n",
                "YES",
                "Yes",
                "no",
                "No",
            )
        ),
        *(
            (value, NO_BOOLEAN)
            for value in (
                " ",
                "Y ",
                " Y",
                "\ufeffY",
                "Y\n",
                "Y\x00",
                "TRUE",
                "True",
                "t",
                "f",
                "on",
                "off",
            )
        ),
        *(
            (value, NO_BOOLEAN)
            for value in (
                "null",
                "None",
                "ja",
                "J",
                "X",
                "\uff39",
                "\u0661",
                "\u200bY",
                "1.0",
                "01",
                "+1",
            )
        ),
        *(
            (value, No("is no string, number or boolean"))
            for value in ([], {}, [True], {"a": True}, [1], {"true": 1})
        ),
        *((raw, No("half of a surrogate")) for raw in (b'"\\ud800"', b'"Y\\udfff"')),
        *((raw, No("")) for raw in (b"NaN", b"1e400", b'"\xff"', b"True")),
    ]
    check("yes", DRESSED, cases)
    cased = [
        *((v, True) for v in ("y", "YES", "True", "TRUE")),
        *((v, False) for v in ("n", "False")),
        (" y", No("none of")),
    ]
    check("yes", DRESSED | {"ignore_case": True}, cased)


def test_booleans_behind_another_rule() -> None:
    """Without sets the text of JSON's own, and 1 and 0; with sets what is in them."""
    text, whole = {"type": "text", "from": "v"}, {"type": "integer", "from": "v"}
    check(
        "yes",
        [text, {"type": "boolean"}],
        [("true", True), ("false", False), ("1", No("none of true, false"))],
    )
    check(
        "yes",
        [text, {"type": "boolean"}],
        [(v, No("none of")) for v in ("True", "", " true", "t", "\x00")],
    )
    check(
        "yes",
        [whole, {"type": "boolean"}],
        [(1, True), (0, False), (2, No("none of 1, 0")), (None, None)],
    )
    sets = {"type": "boolean", "true": ["J", 1], "false": ["N", 2]}
    check(
        "yes",
        [text, sets],
        [("J", True), ("N", False), ("Y", No("none of J, 1, N, 2")), (None, None)],
    )
    check("yes", [whole, sets], [(1, True), (2, False), (0, No("none of"))])
    check("yes", ["v", sets], [(True, No("none of J, 1, N, 2"))])
    check("yes", ["v", {"type": "boolean"}], [(True, True), ("true", No("expected `bool"))])


def test_yaml_reads_the_names_of_the_sets_as_booleans(tmp_path: Any) -> None:
    """Written in a file they are the sets' names all the same."""
    file = tmp_path / "a.yaml"
    file.write_text(
        "{type: boolean, from: v, true: [Y, 1, true, 'on'], false: [N, 0, false, 'off']}"
    )
    rule = read_yaml(file).values
    check(
        "yes",
        rule,
        [("Y", True), (1, True), (True, True), ("on", True), ("off", False), ("N", False)],
    )


@pytest.mark.parametrize(
    ("settings", "why"),
    [
        ({"true": ["Y"]}, "`true` and `false` are given together"),
        ({"false": ["N"]}, "`true` and `false` are given together"),
        ({"true": ["Y"], "false": ["Y"]}, "Y is in both sets"),
        ({"true": ["Y"], "false": ["y"], "ignore_case": True}, "y is in both sets"),
        ({"true": [1], "false": ["1"]}, "1 is in both sets"),
        ({"true": [1.5], "false": [0]}, "should be a valid string"),
        ({"true": "Y", "false": "N"}, "should be a valid tuple"),
    ],
)
def test_sets_that_say_nothing_clear_are_a_mistake(settings: dict[str, Any], why: str) -> None:
    """It is one of the file."""
    with pytest.raises(ValidationError) as caught:
        one({"yes": {"type": "boolean", "from": "v"} | settings}, {"v": None})
    assert why in str(caught.value)


def test_enumerations() -> None:
    """The source's words exactly; what is none of them is refused, or goes into the bucket."""
    strange = [v for v in ANY_TEXT if v != ""] + [
        "an",
        "AUS",
        "aus",
        " AN",
        "AN ",
        "AN\n",
        "A",
        "ANAN",
        "\uff21N",
    ]
    known = [("AN", "on"), ("Aus", "off"), ("", "off"), (None, None)]
    check("word", ENUM, [*known, *((v, No("is none of AN, Aus")) for v in [*strange, "AN\x00"])])
    check("word", ENUM | {"other": "on"}, [*known, *((v, "on") for v in strange)])
    cased = [("an", "on"), ("AUS", "off"), ("aUs", "off"), ("an ", No("is none of")), (None, None)]
    check("word", ENUM | {"ignore_case": True}, [*known, *cased])
    check("word", ENUM, [(v, No("expected `str | null`")) for v in (1, True, [], {}, 1.5)])
    number = {"type": "enumeration", "map": {"1": "on", "0": "off"}}
    check(
        "word",
        [{"type": "word", "from": "v"}, number],
        [(1, "on"), ("0", "off"), (b"1.0", No("none of"))],
    )


def test_words_that_differ_in_case_alone_cannot_ignore_it() -> None:
    """That is a mistake of the file."""
    with pytest.raises(ValidationError, match="differ in case alone"):
        one({"word": ENUM | {"map": {"a": "on", "A": "off"}, "ignore_case": True}}, {"v": None})


def test_an_unknown_word_is_kept_beside_its_bucket() -> None:
    """The bucket says that it is none of ours, the column beside it what the source said."""
    fields = {"word": ENUM | {"other": "off"}, "text": "v"}
    done = transform(fields, {"id": "a", "v": "VIELLEICHT"})
    assert done.rows.select(["word", "text"]).to_pylist() == [{"word": "off", "text": "VIELLEICHT"}]
