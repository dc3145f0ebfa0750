"""Personal data as keyed hashes: RFC 2104's, by a key that stands in no file."""

import hmac
import json
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from integrations.connector_template.connector import BoundStream, read_connector
from integrations.connector_template.previewing import Previewer
from integrations.connector_template.rule_secrets import FILE
from integrations.errors import FixConfig, StopStream
from integrations.secrets import Secret
from integrations.transformation.describe import mapping_hash
from integrations.transformation.mapping import StreamMapping
from integrations.transformation.personal import Hash
from integrations.transformation.rule import TEXT
from integrations.transformation.transform import MASK, Transformer
from integrations.transformation.transformed import Transformed
from integrations_tests.conftest import make_settings
from integrations_tests.connector_template.florist import changed, write
from integrations_tests.transformation.things import NOW, Thing

KEY = "a-key-from-nowhere"
HASHED = (
    "fields: {name: name, email: email}",
    "fields: {name: name, email: [email, {type: lower}, {type: hash, secret: pepper}]}",
)
ACCOUNT = ("word: {env: FLORIST_WORD}", "word: {env: FLORIST_WORD}, pepper: {env: FLORIST_PEPPER}")
TWIN = (
    "{start: 2026-01-01, secrets: {user: {env: FLORIST_USER}, word: {env: FLORIST_WORD}}}",
    "{start: 2026-01-01}",
)
BUYERS = pa.array([b'{"number":"b1","name":"Jo","email":"Jo@example.org"}'], pa.binary())


@given(st.lists(st.none() | st.text(max_size=9), max_size=9))
def test_a_text_becomes_its_keyed_hash(values: list[Any]) -> None:
    """64 hexadecimal digits; null stays null, equal texts have equal hashes."""
    rule = Hash(type="hash", secret="pepper").keyed({"pepper": Secret(KEY)})
    assert isinstance(rule, Hash)
    done = rule.coerce(pa.array(["x", *values], TEXT)[1:], wanted=TEXT)
    assert done.values.to_pylist() == [None if v is None else _hash(v) for v in values]


def _hash(value: str, key: str = KEY) -> str:
    return hmac.new(key.encode(), value.encode(), "sha256").hexdigest()


@pytest.mark.parametrize(
    ("rule", "value", "text"),
    [
        ({"type": "hash", "secret": "pepper", "from": "v"}, "é", "é"),
        ([{"type": "integer", "from": "v"}, {"type": "hash", "secret": "pepper"}], 17, "17"),
        (["v", {"type": "trim"}, {"type": "hash", "secret": "pepper"}], " a ", "a"),
        ({"type": "coalesce", "of": ["w", ["v", {"type": "hash", "secret": "pepper"}]]}, "a", "a"),
    ],
)
def test_a_hash_in_a_mapping(rule: Any, value: Any, text: str) -> None:
    """Alone, in a chain, and within another rule; the mapping's hash does not know the key."""
    values = {"entity": "thing", "key": "id", "fields": {"text": rule}}
    bound = StreamMapping.model_validate(values).bind(Thing)
    assert bound.secrets() == {"pepper"}
    record = pa.array([msgspec.json.encode({"id": "a", "v": value})], pa.binary())
    done = Transformer(bound, secrets={"pepper": Secret(KEY)}).run(record, seen_at=NOW)
    assert done.rows["text"].to_pylist() == [_hash(text)]
    assert mapping_hash(bound) == mapping_hash(bound.keyed({"pepper": Secret("another-key")}))
    assert KEY not in repr(bound.keyed({"pepper": Secret(KEY)}))


def test_no_hash_without_its_key() -> None:
    """A mapping that was given no key hashes with none."""
    with pytest.raises(StopStream, match="'pepper' was never given"):
        Hash(type="hash", secret="pepper").coerce(pa.array(["a"], TEXT), wanted=TEXT)


def test_a_stream_reads_the_key_when_it_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The connection's secret of the rule's name, as it is then."""
    (buyers,) = _buyers(write(tmp_path / "florist", changed(HASHED, ACCOUNT)))
    with pytest.raises(FixConfig, match="FLORIST_PEPPER is not set"):
        _ready(buyers)
    for key in (KEY, "another-key"):
        monkeypatch.setenv("FLORIST_PEPPER", key)
        rows = _ready(buyers).run(BUYERS, seen_at=NOW).rows
        assert rows["email"].to_pylist() == [_hash("jo@example.org", key)]


def test_the_sandbox_makes_a_key_and_keeps_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its twin's secrets change at each start; a key that did would change every hash."""
    home = tmp_path / "home"
    make_settings(home)
    monkeypatch.setenv("INTEGRATIONS_HOME", str(home))
    text = changed(HASHED, TWIN, ("    main:", "    sandbox:"))
    (buyers,) = _buyers(write(tmp_path / "florist", text))
    first, again = (_ready(buyers).run(BUYERS, seen_at=NOW).rows["email"] for _ in range(2))
    assert first == again
    assert len(first[0].as_py()) == 64
    assert (home / FILE).stat().st_mode & 0o777 == 0o600
    (home / FILE).unlink()
    assert _ready(buyers).run(BUYERS, seen_at=NOW).rows["email"] != first


def test_a_stream_without_hashes_reads_no_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither a secret nor the home is touched."""
    monkeypatch.setenv("INTEGRATIONS_HOME", str(tmp_path / "nowhere"))
    text = changed(TWIN, ("    main:", "    sandbox:"))
    (buyers,) = _buyers(write(tmp_path / "florist", text))
    rows = _ready(buyers).run(BUYERS, seen_at=NOW).rows
    assert rows["email"].to_pylist() == ["Jo@example.org"]
    assert not (tmp_path / "nowhere").exists()


def _ready(stream: BoundStream) -> Transformer:
    return Transformer(stream.mapping, secrets=stream.secrets())


def _buyers(folder: Path) -> list[BoundStream]:
    return [one for one in read_connector(folder).streams() if one.id.stream == "buyers"]


WORDS = {"type": "extract", "pattern": "^(?P<word>[0-9]+)$", "when_absent": "reject"}
ON = {"type": "enumeration", "from": "v", "map": {"on": "on"}, "other": "off"}


@pytest.mark.parametrize(
    "fields",
    [
        {"text": ["v", WORDS], "secret": "v"},
        {"text": ["v", WORDS, {"type": "hash", "secret": "pepper"}]},
        {"text": ["v", {"type": "hash", "secret": "pepper"}], "word": "v"},
    ],
)
def test_a_personal_value_is_masked_for_every_column(fields: dict[str, Any]) -> None:
    """Where another column reads it too, and where it is hashed: reasons are read by many."""
    done = _thing(fields, b'{"id":"1","v":"jo"}')
    (reason,) = done.refused["reason"].to_pylist()
    assert "`v` •••" in reason
    assert "jo" not in reason


def test_a_preview_hides_what_is_hashed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What it is made of is hidden also where the column that holds the hash is not personal."""
    monkeypatch.setenv("FLORIST_PEPPER", KEY)
    hashed = [{"type": "lower", "from": "email"}, {"type": "hash", "secret": "pepper"}]
    text = changed((HASHED[0], f"fields: {{name: name, code: {json.dumps(hashed)}}}"), ACCOUNT)
    (buyers,) = _buyers(write(tmp_path / "florist", text))
    for show, email in ((False, MASK), (True, "Jo@example.org")):
        previewer = Previewer(buyers, _ready(buyers), limit=1, show_personal=show)
        previewer.add(BUYERS, seen_at=NOW)
        (row,) = previewer.preview.rows
        (code,) = (one for one in row.fields if one.column == "code")
        assert code.sources == {"email": email}
        assert code.value == _hash("jo@example.org")


def test_a_personal_value_is_no_strange_word() -> None:
    """What a column does not know of a value that is personal for another."""
    assert _thing({"word": ON}, b'{"id":"1","v":"jo"}').strange == {"word": {"jo": 1}}
    assert _thing({"word": ON, "secret": "v"}, b'{"id":"1","v":"jo"}').strange == {}


def _thing(fields: dict[str, Any], *records: bytes) -> Transformed:
    mapping = StreamMapping.model_validate({"entity": "thing", "key": "id", "fields": fields})
    transformer = Transformer(mapping.bind(Thing), secrets={"pepper": Secret(KEY)})
    return transformer.run(pa.array(records, pa.binary()), seen_at=NOW)
