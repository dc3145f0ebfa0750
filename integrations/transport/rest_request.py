"""What one stream asks of a REST connection.

Read from a connector's file, so every field refuses what could not work, at load.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Annotated, Literal, Self

import msgspec
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from integrations.errors import PositionGone, RetryLater, StopStream
from integrations.transport import Ask
from integrations.transport.answer import Answer, FieldPath, Next, plain
from integrations.transport.body import (
    apart,
    as_sent,
    lines_joined,
    readable,
    records_in,
    records_of_lines,
    value_at,
)
from integrations.transport.call import Call, Method, Reply, nested
from integrations.transport.counted import Offset, PageNumber
from integrations.transport.faults import UNTOLD_LIST, Missing, Untold
from integrations.transport.listing import (
    Split,
    WindowFormat,
    given,
    is_path,
    no_credentials,
    readable_one_way,
    values_of,
)
from integrations.transport.one_request import Detail, RecordPlace, encoded, key_at
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
from integrations.transport.ranged import UNSATISFIABLE, Range
from integrations.transport.slots import (
    POSITION,
    SINCE,
    WINDOW,
    filled,
    parent_slots,
    slots_in,
    takes,
)
from integrations.unanswered import MARK, reason_of

# A parameter without a value is left out; a path without one would be another path.
Path = Annotated[str, AfterValidator(takes(*WINDOW, parent=True)), AfterValidator(is_path)]
"""A path below the base address, with slots for a window and of a parent only."""
Slotted = Annotated[str, AfterValidator(takes(*WINDOW, POSITION, SINCE, parent=True))]
"""Text with the fixed slots of a pull and of a parent, and no other braces."""
ParamName = Annotated[str, Field(min_length=1, pattern=r"^[^{}]*$")]
"""A parameter's name: slots are for values."""


class Parent(BaseModel):
    """Whose list is read: that of each record of a list above, which is that of another `stream`,
    without its details, or a `request` of its own.

    A slot `{parent.id}` takes the value at `id` of the parent's record. With `put` each record gets
    what its slots were filled with under that name, in the same places: `{"id": "7"}`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    stream: str | None = None
    request: "RestRequest | None" = None
    put: Annotated[str, Field(pattern=r"^[^.]+$")] | None = None

    @model_validator(mode="after")
    def _one_list(self) -> Self:
        if (self.stream is None) == (self.request is None):
            raise ValueError("it needs one of stream and request")
        if self.request is not None and self.request.detail is not None:
            raise ValueError("of a parent its list is read, and no detail")
        return self

    @property
    def above(self) -> "RestRequest":
        """The request for the parents' records."""
        assert self.request is not None, "whoever binds a stream names its parent's request"
        return self.request

    def asked(self, record: bytes | msgspec.Raw, ask: Ask, slots: Mapping[str, str]) -> Ask:
        """What is asked for a parent's record. Raises `Untold` for one that lacks a value, or that
        was not told itself."""
        if bytes(record).startswith(MARK):
            raise Untold(reason_of(bytes(record)))
        values = {slot: key_at(record, place) for slot, place in slots.items()}
        return replace(ask, parent=values)

    def told(self, values: Mapping[str, str]) -> bytes:
        """A record of what the slots were filled with, by the places of the values."""
        told = nested({slot[len("{parent.") : -1]: value for slot, value in values.items()})
        return msgspec.json.encode({self.put or "parent": told})

    def with_parent(
        self, records: Sequence[bytes | msgspec.Raw], values: Mapping[str, str]
    ) -> Sequence[bytes | msgspec.Raw]:
        """The records of a parent's list as they are landed. Raises `StopStream` for one that has
        such a field itself."""
        if self.put is None:
            return records
        begin, name = self.told(values)[:-1], msgspec.json.encode(self.put)
        return [self._begun(bytes(record), begin, name) for record in records]

    def _begun(self, record: bytes, begin: bytes, name: bytes) -> bytes:
        """An object with more at its beginning; what is no object as it is."""
        if not record.startswith(b"{"):
            return record
        # Seldom is there such a word at all; to see where it stands takes its time.
        if name in record and value_at(readable(record), self.put or "") is not None:
            raise StopStream(
                f"a record has a field {self.put!r} itself",
                todo="Have `parent.put` name another.",
            )
        rest = record[1:].lstrip()
        return begin + (b"" if rest.startswith(b"}") else b",") + rest


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

    With `detail` each record that is listed is then asked for by its key. With `parent` the list is
    one of many: there is one for each record of another.
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
    detail: Detail | None = None
    parent: Parent | None = None

    @model_validator(mode="after")
    def _can_work(self) -> Self:
        if (self.parent is not None) != bool(self.parent_slots):
            raise ValueError("a slot {parent.…} and `parent` need each other")
        if crossed := _crossed(self.parent_slots.values()):
            raise ValueError(f"{crossed} of the parent is a value and a place of others")
        if self.parent and self.parent.put and self.detail and self.detail.put == "replace":
            raise ValueError(
                "a detail in the place of its record has not what `parent.put` puts into it: say "
                "`put: merge` of it"
            )
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
        if isinstance(self.paging, Range):
            raise ValueError("the header Range has a meaning for GET only (RFC 9110 section 14.2)")
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
    def parent_slots(self) -> Mapping[str, str]:
        """The slots `{parent.…}`, with their places in a parent's record."""
        return parent_slots([self.path, *self.params.values()])

    @property
    def asks(self) -> str:
        """The method and the path."""
        return f"{self.method} {self.path}"

    @property
    def endpoints(self) -> Sequence[str]:
        """That of its details, those of its parents, and its own."""
        details = [self.detail.asks] if self.detail is not None else []
        return [*details, *(self.parent.above.endpoints if self.parent else []), self.asks]

    @property
    def fixed(self) -> bool:
        """Whether its path has no slots."""
        return not slots_in([self.path])

    def first(self, ask: Ask) -> Call:
        """A pull's first call. Raises `FixConfig` as `values_of` does, and `Untold` for a parent
        whose value is no part of a path."""
        values = values_of(ask, self.window_format, slots=self.slots, asks=self.path)
        inside = {slot: encoded(values[slot]) for slot in parent_slots([self.path])}
        return Call(
            target=filled(self.path, {**values, **inside}) or self.path,
            endpoint=self.asks,
            method=self.method,
            params=given(self.params, values),
            range=self.paging.first() if isinstance(self.paging, Range) else None,
        )

    def onward(self, first: Call, following: Next) -> Call:
        """The call for another page than the first."""
        if following.url is not None:
            return replace(first, target=following.url, params={})
        before = {} if following.alone else first.params
        return replace(first, params={**before, **following.params}, range=following.range)

    def split(self, call: Call, reply: Reply) -> Split:
        """What the answer to a call holds. Raises as `records_in` does."""
        body, lines = reply.body, 0
        if reply.status == UNSATISFIABLE:  # its body tells of the error, if of anything
            return Split([], _answer(call, reply, b"", [], b""))
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
        answer = _answer(call, reply, envelope, records, content)
        return Split(as_sent(records, text=text, body=body), answer)

    def missing(self, ask: Ask, call: Call) -> Missing | None:
        """What it means that the source does not know what a call of the pull asks for.

        It is the position, if there is one; None where it is nothing that could be read otherwise.
        """
        if self.parent is not None:
            return UNTOLD_LIST
        if ask.position is None:
            return None
        carriers = {name for name, value in self.params.items() if POSITION in slots_in([value])}
        # A whole address, and a token that stands alone, carry the source's own cursor.
        carried = carriers & call.params.keys()
        return Missing(PositionGone, params=frozenset(carried)) if carried else None


def _answer(
    call: Call,
    reply: Reply,
    envelope: bytes,
    records: Sequence[msgspec.Raw],
    content: bytes | memoryview,
) -> Answer:
    return Answer(
        reply.url,
        reply.headers,
        envelope,
        records,
        call.params,
        content,
        range=call.range,
        status=reply.status,
    )


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
        case LastId() | Single() | Range():
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
        case LastId() | IdCursor():
            return paging.more is not None
        case Single():
            return paging.total is not None
    return isinstance(paging, BodyToken | NextUrl)
