"""Binding a mapping to its entity: whatever cannot work is said before any record comes."""

from typing import Any, get_args

import pytest
from pydantic import ValidationError

from integrations.canonical.payment import Payment
from integrations.transformation.mapping import MappingErrors, StreamMapping
from integrations.transformation.rules import OneRule
from integrations_tests.transformation.things import Thing

BASE: dict[str, Any] = {"entity": "thing", "key": "id", "fields": {"text": "t"}}


def mistakes(**changes: Any) -> list[tuple[tuple[str | int, ...], str]]:
    mapping = StreamMapping.model_validate(BASE | changes)
    try:
        mapping.bind(Thing)
    except MappingErrors as errors:
        return list(errors.mistakes)
    return []


def test_a_mapping_that_fits_binds() -> None:
    """All that is read from a record is known, each path once."""
    bound = StreamMapping.model_validate(
        BASE
        | {
            "version": "updated",
            "deleted": "gone",
            "fields": {"text": "t", "json": "m", "yes": "card.ok"},
        }
    ).bind(Thing)
    assert {path: kind.name for path, kind in bound.paths.items()} == {
        "t": "string",
        "m": "string_map",
        "card.ok": "boolean",
        "id": "string",
        "updated": "integer",
        "gone": "boolean",
    }
    assert bound.deleted == "gone"


@pytest.mark.parametrize(
    ("changes", "at", "message"),
    [
        (
            {"fields": {"txt": "t"}},
            ("fields", "txt"),
            "thing has no column 'txt'; did you mean 'text'?",
        ),
        ({"fields": {"zzz": "t"}}, ("fields", "zzz"), "thing has no column 'zzz'"),
        (
            {"fields": {"day": {"type": "epoch_s", "from": "t"}}},
            ("fields", "day"),
            "`day` takes a day, which the rule epoch_s does not give",
        ),
        (
            {"fields": {"whole": {"type": "constant", "value": "x"}}},
            ("fields", "whole"),
            "`whole` takes a whole number, which the rule constant does not give",
        ),
        (
            {"fields": {"raw": "t"}},
            ("fields", "raw"),
            "`raw` takes bytes: it needs a rule, not a path alone",
        ),
        (
            {"fields": {"word": {"type": "enumeration", "from": "t", "map": {"1": "onn"}}}},
            ("fields", "word"),
            "`word` is one of on, off; not onn",
        ),
        (
            {"fields": {"word": {"type": "constant", "value": "x"}}},
            ("fields", "word"),
            "`word` is one of on, off; not x",
        ),
        (
            {"fields": {"text": "t", "whole": "t"}},
            ("fields", "whole"),
            "`t` is read as string elsewhere, here as integer",
        ),
        (
            {"fields": {"text": "card", "whole": "card.n"}},
            ("fields",),
            "`card` is read as a value, yet `card.n` lies inside it",
        ),
        (
            {"fields": {"whole": {"type": "constant", "value": True}}},
            ("fields", "whole"),
            "`whole` takes a whole number, which the rule constant does not give",
        ),
        (
            {"fields": {"moment": {"type": "constant", "value": "2026-02-28T12:00:00"}}},
            ("fields", "moment"),
            "`moment` takes a moment in UTC, which the rule constant does not give",
        ),
        (
            {"fields": {"text": "t", "json": "t"}},
            ("fields", "json"),
            "`t` is read as string elsewhere, here as string_map",
        ),
        (
            {"key": [["id", {"type": "hash", "secret": "pepper"}]]},
            ("key", 0),
            "a key is the source's own: it takes no rule with a secret",
        ),
        ({"version": "t"}, ("version",), "`t` is read as string elsewhere, here as integer"),
        ({"deleted": "t"}, ("deleted",), "`t` is read as string elsewhere, here as boolean"),
        (
            {"deleted": "id.gone"},
            ("fields",),
            "`id` is read as a value, yet `id.gone` lies inside it",
        ),
        (
            {"key": {"type": "constant", "value": "x"}},
            ("key", 0),
            "a key is made of strings or whole numbers of the record",
        ),
        (
            {"key": [["id", {"type": "default", "value": "x"}]]},
            ("key", 0),
            "records without a key would all have the one that is written",
        ),
        (
            {"key": {"type": "coalesce", "of": ["id", {"type": "constant", "value": "x"}]}},
            ("key", 0),
            "records without a key would all have the one that is written",
        ),
        (
            {"fields": {"text": {"type": "text"}}},
            ("fields", "text"),
            "the rule text needs `from`: nothing stands before it",
        ),
        (
            {"fields": {"text": [{"type": "text"}, {"type": "upper"}]}},
            ("fields", "text", 0),
            "the rule text needs `from`: nothing stands before it",
        ),
        (
            {"fields": {"text": ["t", {"type": "upper", "from": "t"}]}},
            ("fields", "text", 1),
            "only the first rule of a chain reads: no `from` for upper",
        ),
        (
            {"fields": {"text": ["t", {"type": "constant", "value": "x"}]}},
            ("fields", "text", 1),
            "the rule constant reads for itself: it can only stand first",
        ),
        (
            {"fields": {"moment": [{"type": "upper", "from": "t"}, {"type": "epoch_s"}]}},
            ("fields", "moment", 1),
            "the rule epoch_s takes a whole number or an exact decimal; what comes is text",
        ),
        (
            {"fields": {"day": ["t", {"type": "upper"}]}},
            ("fields", "day"),
            "`day` takes a day; the chain ends in text",
        ),
        (
            {"fields": {"whole": ["t", {"type": "upper"}, {"type": "default", "value": 1}]}},
            ("fields", "whole"),
            "`whole` takes a whole number; the chain ends in text",
        ),
        (
            {"fields": {"text": {"type": "python", "call": "f", "reads": {"t": "string"}}}},
            ("fields", "text"),
            "transformer.py beside the file has no function 'f'",
        ),
    ],
)
def test_a_mistake_is_named_with_its_place(
    changes: dict[str, Any], at: tuple[str | int, ...], message: str
) -> None:
    """The place is the path below the mapping, so that a file's line can be found."""
    assert mistakes(**changes) == [(at, message)]


def test_a_chain_reads_its_path_as_its_rules_take_it() -> None:
    """A bare path is no string of itself: what stands behind it decides."""
    fields = {"text": ["t", {"type": "upper"}], "moment": ["n", {"type": "epoch_s"}]}
    # A value stays what it is where it can: digits into a text column are read as text.
    fields["secret"] = ["d", {"type": "integer"}]
    bound = StreamMapping.model_validate(BASE | {"fields": fields}).bind(Thing)
    assert {path: kind.name for path, kind in bound.paths.items()} == {
        "t": "string",
        "n": "integer",
        "d": "string",
        "id": "string",
    }


def test_words_that_a_later_rule_changes_are_not_the_columns() -> None:
    words = {"type": "enumeration", "from": "t", "map": {"1": "ON"}}
    assert mistakes(fields={"word": [words, {"type": "lower"}]}) == []


def test_all_mistakes_are_found_at_once() -> None:
    """Nobody corrects a file one mistake at a time."""
    found = mistakes(fields={"txt": "t", "day": {"type": "epoch_s", "from": "t"}}, version="id")
    assert [at for at, _ in found] == [("fields", "txt"), ("fields", "day"), ("version",)]


def test_required_columns_need_a_rule() -> None:
    """Each one that is missing is a mistake of its own."""
    mapping = StreamMapping.model_validate(BASE | {"fields": {"status": "s"}})
    with pytest.raises(MappingErrors) as caught:
        mapping.bind(Payment)
    missing = [message.split("`")[1] for at, message in caught.value.mistakes if at == ("fields",)]
    assert missing == ["amount", "currency", "status_raw", "created_at"]


@pytest.mark.parametrize(
    "key",
    [
        ["id", ["t", {"type": "default", "value": "-"}]],
        {
            "type": "concat",
            "of": [{"type": "constant", "value": "T"}, "id"],
            "separator": "",
            "when_null": "reject",
        },
    ],
)
def test_a_part_of_a_key_may_be_written_in_the_file(key: Any) -> None:
    """The rest of it tells records apart."""
    values = {"entity": "thing", "key": key, "fields": {"text": "t"}}
    assert StreamMapping.model_validate(values).bind(Thing).key


@pytest.mark.parametrize(
    ("changes", "at"),
    [
        ({"fields": {"text": {"type": "txt", "from": "t"}}}, ("fields", "text")),
        ({"fields": {"text": {"from": "t"}}}, ("fields", "text")),
        ({"fields": {"text": 5}}, ("fields", "text")),
        ({"fields": {"text": "a b"}}, ("fields", "text", "path")),
        (
            {"fields": {"text": {"type": "text", "from": "t", "trim": True}}},
            ("fields", "text", "text", "trim"),
        ),
        ({"fields": {"text": ["t"]}}, ("fields", "text", "chain")),
        ({"fields": {"text": ["t", ["t", "t"]]}}, ("fields", "text", "chain", 1)),
        ({"fields": {"text": ["t", {"type": "txt"}]}}, ("fields", "text", "chain", 1)),
        ({"fields": {}}, ("fields",)),
        ({"key": []}, ("key",)),
        ({"deleted": True}, ("deleted",)),
        ({"when": "x"}, ("when",)),
    ],
)
def test_a_wrong_shape_is_refused_where_it_stands(
    changes: dict[str, Any], at: tuple[str, ...]
) -> None:
    """Unknown rules and settings are mistakes; nothing is ignored."""
    with pytest.raises(ValidationError) as caught:
        StreamMapping.model_validate(BASE | changes)
    assert [error["loc"] for error in caught.value.errors()] == [at]


def test_an_unknown_rule_is_answered_with_those_there_are() -> None:
    """The list in the message is the list in the type."""
    with pytest.raises(ValidationError) as caught:
        StreamMapping.model_validate(BASE | {"fields": {"text": {"type": "txt"}}})
    types = caught.value.errors()[0]["msg"].partition("one of ")[2].split(", ")
    rules = [get_args(member)[-1].tag for member in get_args(get_args(OneRule)[0])]
    assert types == sorted(set(rules) - {"path"})


def test_the_json_schema_knows_paths_and_rules() -> None:
    """Editors complete both spellings of a field and of a key."""
    schema = StreamMapping.model_json_schema()
    assert schema["properties"]["fields"]["additionalProperties"] == {"$ref": "#/$defs/FieldRule"}
    field = schema["$defs"]["FieldRule"]["oneOf"]
    assert {"type": "string"}.items() <= field[0].items()
    assert {"$ref": "#/$defs/MinorUnits"} in field
    assert "from" in schema["$defs"]["MinorUnits"]["properties"]
    assert len(schema["properties"]["key"]["anyOf"]) == 2
