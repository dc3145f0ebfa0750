"""What one stream asks of a REST connection.

Read from a connector's file, so every field refuses what could not work, at load.
"""

from collections.abc import Iterable
from dataclasses import replace
from typing import Annotated, Literal, Self
from urllib.parse import quote

import msgspec
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from integrations.errors import PositionGone, RetryLater, StopStream
from integrations.redaction import redact
from integrations.transport import Ask
from integrations.transport.answer import FIELD_PATH, Answer, FieldPath, Next, plain
from integrations.transport.body import (
    apart,
    as_sent,
    lines_joined,
    readable,
    record_in,
    records_in,
    records_of_lines,
    value_at,
)
from integrations.transport.counted import Offset, PageNumber
from integrations.transport.faults import Missing
from integrations.transport.http import Call, Method, Reply
from integrations.transport.listing import (
    Slotted,
    Split,
    WindowFormat,
    given,
    is_path,
    no_credentials,
    readable_one_way,
    values_of,
)
from integrations.transport.paging import (
    BodyToken,
    IdCursor,
    LastId,
    LinkHeader,
    NextUrl,
    Paging,
    SequenceNumber,
    Single,
)
from integrations.transport.slots import KEY, POSITION, WINDOW, filled, slots_in, takes


def _has_key(value: str) -> str:
    if KEY not in slots_in([value]):
        raise ValueError(f"it should have {KEY} where the record's key goes: '/v1/charges/{KEY}'")
    return value


# A parameter without a value is left out; a path without one would be another path.
Path = Annotated[str, AfterValidator(takes(*WINDOW)), AfterValidator(is_path)]
"""A path below the base address, with slots for a window only."""
ParamName = Annotated[str, Field(min_length=1, pattern=r"^[^{}]*$")]
"""A parameter's name: slots are for values."""
RecordPlace = Annotated[str, Field(pattern=rf"^$|{FIELD_PATH}")]
"""A place in a body: keys joined by dots, "" for the body itself."""


class RestRequest(BaseModel):
    """What one stream asks for: `records` is the list's place in the body, "" the body itself.

    A POST sends its `params` as a JSON object; there a name with dots is a place in it. It must be
    one that only reads, for it is repeated as a GET is. With `format: ndjson` the body is a JSON
    object on each line, and `records` the key of the record in it. `partial` is where the body says
    that it is not all that it should be: anything but null, false, 0 and nothing at all. Such an
    answer is asked for again.

    The slots `{window.start}` and `{window.end}` take the window's bounds in UTC as `window_format`
    says: whole seconds or milliseconds since 1970, `2026-01-01T00:00:00Z` (iso), or the same
    without its zone, `2026-01-01 00:00:00` (naive); the start rounded down, the end up. `{since}`
    takes a moment in the same form, rounded down, `{position}` what a reader by cursor stands at. A
    pull has one of these two, or none: a parameter whose slot has no value is left out.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    method: Method = "GET"
    path: Path
    params: Annotated[dict[ParamName, Slotted | bool | int], AfterValidator(no_credentials)] = {}
    format: Literal["json", "ndjson"] = "json"
    records: RecordPlace = ""
    partial: FieldPath | None = None
    paging: Paging
    window_format: WindowFormat = "iso"

    @model_validator(mode="after")
    def _can_work(self) -> Self:
        readable_one_way(self.slots, self.params)
        if self.method == "POST":
            self._can_be_posted()
        if self.format == "ndjson":
            self._can_be_lines()
        if self.partial is not None and (self.format == "ndjson" or not self.records):
            raise ValueError("partial is a place beside the records, and there is nothing beside")
        if (param := _own_param(self.paging)) in self.params:
            raise ValueError(f"the parameter {param} is the paging's to fill")
        return self

    def _can_be_posted(self) -> None:
        if isinstance(self.paging, NextUrl | LinkHeader) and self.paging.param is None:
            raise ValueError(
                f"an address does not say what a POST asks for: {self.paging.type} takes the "
                "`param` that is to be taken out of it"
            )
        if crossed := _crossed([*self.params, _own_param(self.paging)]):
            raise ValueError(f"{crossed} is a value and a place of others")

    def _can_be_lines(self) -> None:
        if "." in self.records:
            raise ValueError("records is one key of each line, or nothing")
        if _reads_body(self.paging):
            raise ValueError("lines have nothing around them that could tell of the next page")

    @property
    def slots(self) -> frozenset[str]:
        """The slots in the path and the parameters, with their braces."""
        return slots_in([self.path, *self.params.values()])

    @property
    def asks(self) -> str:
        """The method and the path."""
        return f"{self.method} {self.path}"

    @property
    def fixed(self) -> bool:
        """Whether its path has no slots."""
        return not slots_in([self.path])

    def first(self, ask: Ask) -> Call:
        """A pull's first call. Raises `FixConfig` as `values_of` does."""
        values = values_of(ask, self.window_format, slots=self.slots, asks=self.path)
        path = filled(self.path, values) or self.path
        params = given(self.params, values)
        return Call(target=path, endpoint=self.asks, method=self.method, params=params)

    def onward(self, first: Call, following: Next) -> Call:
        """The call for another page than the first."""
        if following.url is not None:
            return replace(first, target=following.url, params={})
        before = {} if following.alone else first.params
        return replace(first, params={**before, **following.params})

    def split(self, call: Call, reply: Reply) -> Split:
        """What the answer to a call holds. Raises as `records_in` does."""
        body, lines = reply.body, 0
        if self.format == "ndjson":
            _ends(reply)
            body, lines = lines_joined(body)
        text = readable(body)
        records = (
            records_of_lines(text, self.records, lines=lines)
            if self.format == "ndjson"
            else records_in(text, self.records)
        )
        envelope, content = apart(records, text=text)
        if self.partial is not None and plain(value_at(envelope, self.partial)):
            raise RetryLater(f"the answer is not whole: its {self.partial!r} says so")
        answer = Answer(reply.url, reply.headers, envelope, records, call.params, content)
        return Split(as_sent(records, text=text, body=body), answer)

    def missing(self, ask: Ask, call: Call) -> Missing | None:
        """What it means that the source does not know what a call of the pull asks for.

        It is the position, if there is one; None where it is nothing that could be read otherwise.
        """
        if ask.position is None:
            return None
        carriers = {name for name, value in self.params.items() if POSITION in slots_in([value])}
        # A whole address, and a token that stands alone, carry the source's own cursor.
        carried = carriers & call.params.keys()
        return Missing(PositionGone, params=frozenset(carried)) if carried else None


def _ends(reply: Reply) -> None:
    """Raises `StopStream` for an answer of which nobody could see that lines are missing: it ends
    where the connection does (RFC 9112 section 6.3)."""
    if not {"content-length", "transfer-encoding"} & {name.lower() for name in reply.headers}:
        raise StopStream(
            "the answer tells neither its length nor its end: lines that are cut off would not be "
            "missed"
        )


def _crossed(names: Iterable[str | None]) -> str:
    """A name that would be a value of a JSON object and an object in it; "" for none."""
    known = [name for name in names if name]
    return next((one for one in known if any(name.startswith(f"{one}.") for name in known)), "")


def _own_param(paging: Paging) -> str | None:
    """The parameter without which a request is for the first page."""
    match paging:
        case IdCursor():
            return paging.older
        case LastId() | Single():
            return None
    return paging.param


def _reads_body(paging: Paging) -> bool:
    """Whether a paging looks into an answer beside its records."""
    match paging:
        case PageNumber():
            return paging.pages is not None or paging.total is not None
        case Offset():
            return paging.total is not None
        case SequenceNumber():
            return paging.highest is not None
    return isinstance(paging, LastId | IdCursor | BodyToken | NextUrl)


class OneRequest(BaseModel):
    """Where a single record is read: `{key}` in `path` takes the key that the source knows it by.

    `record` is its place in the body, "" the body itself.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    path: Annotated[
        str, AfterValidator(takes(KEY)), AfterValidator(is_path), AfterValidator(_has_key)
    ]
    record: RecordPlace = ""

    def call(self, key: str) -> Call:
        """The call for the record, the key percent-encoded whole, its slashes too.

        Raises `StopStream` for a key that would lead elsewhere: none at all, and the dots that
        addresses take for folders.
        """
        try:
            encoded = quote(key, safe="")
        except UnicodeEncodeError:
            encoded = ""
        if encoded in ("", ".", ".."):
            raise StopStream(f"{redact(repr(key))[:80]} is no key that a record can be fetched by")
        return Call(target=self.path.replace(KEY, encoded), endpoint=f"GET {self.path}")

    def read(self, reply: Reply) -> bytes:
        """The record's bytes as sent. Raises as `record_in` does."""
        text = readable(reply.body)
        found = record_in(text, self.record)
        (record,) = as_sent([msgspec.Raw(found)], text=text, body=reply.body)
        return bytes(record)
