"""What one stream asks of a REST connection, with windows and moments in the source's terms.

Read from a connector's file, so every field refuses what could not work, at load.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Literal, Protocol, Self
from urllib.parse import quote

import msgspec
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from integrations.errors import FixConfig, PositionGone, RetryLater, StopStream
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
from integrations.transport.http import Call, Method, Params, Reply
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
from integrations.transport.slots import KEY, POSITION, SINCE, WINDOW, filled, slots_in, takes

_WORD = re.compile(r"[A-Z]*[a-z]+|[A-Z]+")
_CREDENTIAL = re.compile(r"(?i)(?:key|token|secret|auth|password|passwd|credential)s?$")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
WindowFormat = Literal["epoch_s", "epoch_ms", "iso", "naive"]
_WRITTEN: Mapping[WindowFormat, str] = {"iso": "%Y-%m-%dT%H:%M:%SZ", "naive": "%Y-%m-%d %H:%M:%S"}
"""The forms that are no number."""


def is_credential(name: str) -> bool:
    """Whether a header or a parameter of this name is there to carry a secret: `X-Api-Key`."""
    return any(map(_CREDENTIAL.search, _WORD.findall(name)))


def no_credentials(params: "Params") -> "Params":
    for name, value in params.items():
        slot = isinstance(value, str) and slots_in([value]) == {value}  # `sync_token: "{position}"`
        if not isinstance(value, bool) and not slot and is_credential(name):
            raise ValueError(f"{name} is for auth_handler: a file names secrets, it holds none")
    return params


def is_path(value: str) -> str:
    if not value.startswith("/") or re.search(r"[?#\s]", value) or "://" in value:
        raise ValueError(
            "it should be a path like '/v1/charges'; what follows a '?' goes into params"
        )
    return value


def _has_key(value: str) -> str:
    if KEY not in slots_in([value]):
        raise ValueError(f"it should have {KEY} where the record's key goes: '/v1/charges/{KEY}'")
    return value


# A parameter without a value is left out; a path without one would be another path.
Path = Annotated[str, AfterValidator(takes(*WINDOW)), AfterValidator(is_path)]
"""A path below the base address, with slots for a window only."""
Slotted = Annotated[str, AfterValidator(takes(*WINDOW, POSITION, SINCE))]
"""Text with the fixed slots of a pull, and no other braces."""
ParamName = Annotated[str, Field(min_length=1, pattern=r"^[^{}]*$")]
"""A parameter's name: slots are for values."""
RecordPlace = Annotated[str, Field(pattern=rf"^$|{FIELD_PATH}")]
"""A place in a body: keys joined by dots, "" for the body itself."""


@dataclass(frozen=True)
class Split:
    """An answer, split: each record's bytes as sent, and what paging reads."""

    records: Sequence[bytes | msgspec.Raw]
    answer: Answer


class Listing(Protocol):
    """What a session asks page by page, of whatever kind; the verbs as `RestRequest` has them."""

    @property
    def paging(self) -> Any:
        """One of the kinds of paging."""

    @property
    def path(self) -> str:
        """What a person knows it by."""

    @property
    def params(self) -> Mapping[str, str | bool | int]:
        """What it asks with, slots and all."""

    def first(self, ask: Ask) -> Call: ...

    def onward(self, first: Call, following: Next) -> Call: ...

    def split(self, call: Call, reply: Reply) -> Split: ...

    def missing(self, ask: Ask, call: Call) -> Missing | None: ...


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
        cursor = self.slots & {POSITION, SINCE}
        if cursor and self.slots & {*WINDOW}:
            raise ValueError(
                "it has slots for a window and for a cursor: a stream is read by one of them"
            )
        for name, value in self.params.items():
            if {POSITION, SINCE} <= slots_in([value]):
                raise ValueError(
                    f"the parameter {name} has {POSITION} and {SINCE}: a pull has one of them, "
                    "so it would never be sent"
                )
        whole = isinstance(self.paging, NextUrl | LinkHeader) and self.paging.param is None
        if self.method == "POST" and whole:
            raise ValueError(
                f"an address does not say what a POST asks for: {self.paging.type} takes the "
                "`param` that is to be taken out of it"
            )
        if self.method == "POST" and (crossed := _crossed([*self.params, _own_param(self.paging)])):
            raise ValueError(f"{crossed} is a value and a place of others")
        if self.format == "ndjson":
            if "." in self.records:
                raise ValueError("records is one key of each line, or nothing")
            if self.partial is not None or _reads_body(self.paging):
                raise ValueError(
                    "lines have nothing around them that could tell of the next page, or of a part"
                )
        if (param := _own_param(self.paging)) in self.params:
            raise ValueError(f"the parameter {param} is the paging's to fill")
        return self

    @property
    def slots(self) -> frozenset[str]:
        """The slots in the path and the parameters, with their braces."""
        return slots_in([self.path, *self.params.values()])

    def first(self, ask: Ask) -> Call:
        """A pull's first call.

        Raises `FixConfig` for a window without which a slot would be empty, and for a position
        that no slot would tell the source.
        """
        values = values_of(ask, self.window_format)
        if not self.slots & {*WINDOW} <= values.keys():
            raise FixConfig(
                f"the request {self.path} has a slot for a window, and the stream has none",
                todo="Give the stream windows, or take the slot out.",
            )
        if POSITION in values and POSITION not in self.slots:
            raise FixConfig(
                f"the request {self.path} has no slot for the position that is to be read from",
                todo=f"Put {POSITION} into the parameter that takes it.",
            )
        params = {
            name: filled(value, values) if isinstance(value, str) else value
            for name, value in self.params.items()
        }
        given = {name: value for name, value in params.items() if value is not None}
        path = filled(self.path, values) or self.path
        return Call(target=path, method=self.method, params=given)

    def onward(self, first: Call, following: Next) -> Call:
        """The call for another page than the first."""
        if following.url is not None:
            return replace(first, target=following.url, params={})
        before = {} if following.alone else first.params
        return replace(first, params={**before, **following.params})

    def split(self, call: Call, reply: Reply) -> Split:
        """What the answer to a call holds. Raises as `records_in` does."""
        body = lines_joined(reply.body) if self.format == "ndjson" else reply.body
        text = readable(body)
        find = records_of_lines if self.format == "ndjson" else records_in
        records = find(text, self.records)
        envelope, content = apart(records, text=text)
        if self.partial is not None and plain(value_at(envelope, self.partial)):
            raise RetryLater(f"the answer is not whole: its {self.partial!r} says so")
        answer = Answer(reply.url, reply.headers, envelope, records, call.params, content)
        return Split(as_sent(records, text=text, body=body), answer)

    def missing(self, ask: Ask, call: Call) -> Missing | None:
        """What it means that the source does not know what a call of the pull asks for.

        It is the position, if there is one; None where it is nothing that could be read otherwise.
        """
        # A whole address carries the source's own cursor, and not our position.
        if ask.position is None or not call.params:
            return None
        carriers = (name for name, value in self.params.items() if POSITION in slots_in([value]))
        return Missing(PositionGone, params=frozenset(carriers))


def values_of(ask: Ask, form: WindowFormat) -> dict[str, str]:
    """What a pull fills into slots, moments in the source's terms."""
    values = {}
    if ask.window is not None:
        bounds = _said(ask.window.start, form), _said(ask.window.end, form, up=True)
        values = dict(zip(WINDOW, bounds, strict=True))
    if ask.position is not None:
        values[POSITION] = ask.position
    if ask.since is not None:
        values[SINCE] = _said(ask.since, form)
    return values


def _said(moment: datetime, form: WindowFormat, *, up: bool = False) -> str:
    unit = timedelta(milliseconds=1) if form == "epoch_ms" else timedelta(seconds=1)
    since = moment - _EPOCH
    units = -(-since // unit) if up else since // unit
    written = _WRITTEN.get(form)
    return (_EPOCH + units * unit).strftime(written) if written else str(units)


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
        return Call(target=self.path.replace(KEY, encoded))

    def read(self, reply: Reply) -> bytes:
        """The record's bytes as sent. Raises as `record_in` does."""
        text = readable(reply.body)
        found = record_in(text, self.record)
        (record,) = as_sent([msgspec.Raw(found)], text=text, body=reply.body)
        return bytes(record)
