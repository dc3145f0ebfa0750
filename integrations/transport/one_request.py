"""What is asked for single records: by a key that somebody names, or by that of a listed one."""

from collections.abc import Mapping
from typing import Annotated, Literal
from urllib.parse import quote

import msgspec
from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from integrations.errors import StopStream
from integrations.redaction import redact
from integrations.transport.answer import FIELD_PATH, FieldPath
from integrations.transport.body import as_sent, readable, record_in, text_of, value_at
from integrations.transport.call import Call, Reply
from integrations.transport.faults import Untold
from integrations.transport.listing import is_path
from integrations.transport.slots import KEY, slots_in, takes

RecordPlace = Annotated[str, Field(pattern=rf"^$|{FIELD_PATH}")]
"""A place in a body: keys joined by dots, "" for the body itself."""

_OBJECT = msgspec.json.Decoder(dict[str, msgspec.Raw])


def _has_key(value: str) -> str:
    if KEY not in slots_in([value]):
        raise ValueError(f"it should have {KEY} where the record's key goes: '/v1/charges/{KEY}'")
    return value


def encoded(key: str) -> str:
    """A key for its place in a path, percent-encoded whole. Raises as `OneRequest.call` does."""
    try:
        found = quote(key, safe="")
    except UnicodeEncodeError:
        found = ""
    if found in ("", ".", ".."):
        raise Untold(f"{redact(repr(key))[:80]} is no key that a record can be fetched by")
    return found


class OneRequest(BaseModel):
    """Where a single record is read: `{key}` in `path` takes the key that the source knows it by.

    `record` is its place in the body, "" the body itself.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    path: Annotated[
        str, AfterValidator(takes(KEY)), AfterValidator(is_path), AfterValidator(_has_key)
    ]
    record: RecordPlace = ""

    @property
    def asks(self) -> str:
        """The method and the path."""
        return f"GET {self.path}"

    def call(self, key: str) -> Call:
        """The call for the record, the key percent-encoded whole, its slashes too.

        Raises `Untold` for a key that would lead elsewhere: none at all, and the dots that
        addresses take for folders.
        """
        return Call(target=self.path.replace(KEY, encoded(key)), endpoint=self.asks)

    def read(self, reply: Reply) -> bytes:
        """The record's bytes as sent. Raises as `record_in` does."""
        text = readable(reply.body)
        found = record_in(text, self.record)
        (record,) = as_sent([msgspec.Raw(found)], text=text, body=reply.body)
        return bytes(record)


class Detail(OneRequest):
    """What is asked for each listed record: `{key}` in `path` takes the value at `key` in it.

    The answer takes the place of the record; with `put: merge` its fields are put into the record,
    over those of the same name.
    """

    key: FieldPath = "id"
    put: Literal["replace", "merge"] = "replace"

    def call_for(self, record: bytes) -> Call:
        """The call for a listed record. Raises `Untold` for one that cannot be asked for."""
        return self.call(key_at(record, self.key))

    def whole(self, record: bytes, detail: bytes) -> bytes:
        """The record as it is landed, of what was listed and what was answered."""
        if self.put == "replace":
            return detail.strip()
        fields = {**_fields(record), **_fields(detail)}
        return msgspec.json.encode({name: msgspec.Raw(value) for name, value in fields.items()})


def key_at(record: bytes | msgspec.Raw, place: str) -> str:
    """The value at a place of a listed record by which something is asked for. Raises `Untold` for
    a record without one."""
    try:
        key = text_of(value_at(readable(bytes(record)), place))
    except StopStream:  # something else stands on the way there
        key = None
    if key is None:
        raise Untold(f"the listed record has no {place!r} to ask by")
    return key


def _fields(record: bytes) -> Mapping[str, bytes | msgspec.Raw]:
    text = readable(record)
    found = _OBJECT.decode(text)
    return dict(zip(found, as_sent([*found.values()], text=text, body=record), strict=True))
