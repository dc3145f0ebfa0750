"""Records of which the source did not tell all that is asked of it: they are landed, and refused.

The reason stands in the record's own bytes, as its first key. So a load, its replay, and a retry
out of quarantine all refuse it alike, and none of them needs to ask anybody.
"""

import json

_KEY = "integrations.unanswered"
MARK = f'{{"{_KEY}":'.encode()
"""How such a record begins; no source writes so."""


def marked(record: bytes, reason: str) -> bytes:
    """The record with why not all of it could be had; one that is no JSON object stands under the
    key `record`."""
    sent = record.lstrip()
    rest = (sent if sent.startswith(b"{") else b'{"record": %b}' % sent)[1:].lstrip()
    more = b"" if rest.startswith(b"}") else b","
    return b"".join((MARK, json.dumps(reason).encode(), more, rest))


def reason_of(record: bytes) -> str:
    """Why not all of a marked record could be had; also of one that a source has marked so, which
    may hold anything."""
    text = record[len(MARK) :].decode("utf-8", "replace")
    try:
        reason, _ = json.JSONDecoder().raw_decode(text)
    except (ValueError, RecursionError):
        return "its own words about that cannot be read"
    return str(reason).encode("utf-8", "replace").decode()  # it may hold half a surrogate pair
