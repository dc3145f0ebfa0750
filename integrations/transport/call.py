"""A request as it is asked for, and its answer: what all that speaks over HTTP has in common."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import IO, Any, Literal, Self

import msgspec

from integrations.transport.faults import Told

_ANSWERS = frozenset({200})  # 202 and 204 are no whole answers, and 206 is none unasked
_RANGED = frozenset({206, 416})

Params = Mapping[str, str | int | bool]
Method = Literal["GET", "POST"]


@dataclass(frozen=True, kw_only=True)
class Call:
    """A request to be sent: `target` is a path below the base address ("" is that
    itself), or a whole URL.

    A GET has its `params` in the address, a POST in a JSON object that is its body: there a name
    with dots, `filter.offset`, is a place in it. `endpoint` is what guards know it by: see
    `Exchange`. `content` is sent instead of that object, with the `headers` that say what it is.
    `spooled` says that the answer may be large and is to be kept in a file. `range` is what of a
    list is asked for, as the header has it: then 206 is an answer too, and so is 416, that there is
    no such range.
    """

    target: str
    endpoint: str = ""
    method: Method = "GET"
    params: Params = field(default_factory=dict)
    content: bytes | None = field(default=None, repr=False)  # it may hold a credential
    headers: Mapping[str, str] = field(default_factory=dict)
    spooled: bool = False
    range: str | None = None

    @property
    def answers(self) -> frozenset[int]:
        """The statuses of answers."""
        return _ANSWERS if self.range is None else _ANSWERS | _RANGED

    def body(self) -> bytes | None:
        """What a POST sends; None for a GET."""
        if self.method == "GET" or self.content is not None:
            return self.content
        return msgspec.json.encode(nested(self.params))


def nested(values: Mapping[str, object]) -> dict[str, object]:
    """An object of values by their places in it: keys joined by dots."""
    whole: dict[str, Any] = {}
    for name, value in values.items():
        *places, last = name.split(".")
        level = whole
        for place in places:
            level = level.setdefault(place, {})
        level[last] = value
    return whole


@dataclass(frozen=True)
class Reply:
    """An answer, with a status that its call takes: `url` is what answered in the end, `body` is
    decompressed.

    `seen_at` is the time (UTC, by the source's clock) at which the request that it answers was
    sent. `told` is what it says of parts of itself that could not be given. The answer to a spooled
    call is in `file`, at its start, for the caller to close.
    """

    url: str
    headers: Mapping[str, str]
    body: bytes
    seen_at: datetime
    status: int = 200
    told: Sequence[Told] = ()
    file: IO[bytes] | None = None

    def whole(self) -> Self:
        """Itself. Raises `StopStream` where a part could not be given."""
        for one in self.told:
            raise one.error
        return self
