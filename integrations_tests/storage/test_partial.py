"""Records that the source says are not whole: marked, and told from all others."""

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from integrations.storage.partial import marked, unmarked, words_of


@settings(deadline=None)  # a busy machine is no fault
@given(st.binary(), st.text())
def test_what_is_marked_is_found_again(record: bytes, words: str) -> None:
    """To the byte, whatever the source says and sends."""
    landed = marked(record, words)
    assert (words_of(landed), unmarked(landed)) == (words, record)


def test_what_is_landed_is_json() -> None:
    """Where the record is some."""
    landed = marked(b'{"id": 1}', 'no "price"')
    assert msgspec.json.decode(landed) == ["the source says", 'no "price"', {"id": 1}]


@pytest.mark.parametrize("record", [b"", b"null", b'{"a": 1}', b'["the source says", 1, {}]'])
def test_others_are_not_marked(record: bytes) -> None:
    """Also where a list looks a little like it."""
    assert (words_of(record), unmarked(record)) == (None, record)
