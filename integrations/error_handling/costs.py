"""What a GraphQL answer says of credits: what a call has cost, and what is left after a throttle.

ShipHero says `complexity` beside each list, and in the error of a throttle `remaining_credits` and
`time_remaining` ("10 seconds").
"""

from typing import Any

import msgspec


class _Envelope(msgspec.Struct):
    data: dict[str, msgspec.Raw] | None = None
    errors: list[dict[str, Any]] | None = None


_ENVELOPE = msgspec.json.Decoder(_Envelope)
_FIELDS = msgspec.json.Decoder(dict[str, msgspec.Raw])


def cost(body: bytes, key: str) -> float | None:
    """The sum of what the fields of an answer's `data` say under this key; None where none does."""
    found = _decoded(body)
    costs = [_number(field, key) for field in (found.data or {}).values()]
    told = [one for one in costs if one is not None]
    return sum(told) if told else None


def remaining(body: bytes) -> float | None:
    """The least that an answer's errors say is left."""
    said = [error.get("remaining_credits") for error in _decoded(body).errors or ()]
    told = [float(one) for one in said if isinstance(one, int | float) and one >= 0]
    return min(told, default=None)


def _decoded(body: bytes) -> _Envelope:
    try:
        return _ENVELOPE.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return _Envelope()


def _number(field: msgspec.Raw, key: str) -> float | None:
    try:
        found = msgspec.json.decode(_FIELDS.decode(field).get(key, b"null"))
    except msgspec.DecodeError:
        return None
    number = isinstance(found, int | float) and not isinstance(found, bool)
    return float(found) if number and found >= 0 else None
