"""A record of which the source says itself that a part of it could not be given, as it is landed.

It is a JSON array and no object, so that nobody takes it for a record: no load, replay or retry. In
it stand the source's words and what it sent.
"""

import re

import msgspec

_MARK = b'["the source says", '
_MARKED = re.compile(re.escape(_MARK) + rb'("(?:[^"\\]|\\.)*"), (.*)\]', re.DOTALL)


def marked(record: bytes | msgspec.Raw, words: str) -> bytes:
    """The record with the source's words, which are no secrets."""
    return b"%b%b, %b]" % (_MARK, msgspec.json.encode(words), bytes(record))


def words_of(record: bytes) -> str | None:
    """The source's words; None for a record that is not marked."""
    found = _MARKED.fullmatch(record)
    return None if found is None else msgspec.json.decode(found[1], type=str)


def unmarked(record: bytes) -> bytes:
    """The record as the source sent it."""
    found = _MARKED.fullmatch(record)
    return record if found is None else found[2]
