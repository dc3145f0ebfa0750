"""Lookups of a connector: in files beside its own, in its other streams, and in the user's tables.

What a file says is checked and read when it is loaded. What is in the database is read for each
load, by whoever makes a stream's transformer: `transformer` is the one way to have one.
"""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg
import pyarrow as pa

from integrations.canonical.entity import Entity
from integrations.connector_template.source_file import KeyPath
from integrations.errors import StopStream
from integrations.names import StreamId
from integrations.storage.lookups import MOST, header, of_stream, of_table, parsed
from integrations.transformation import lookup
from integrations.transformation.chain import Misfit
from integrations.transformation.lookup import SOURCE_ID, Lookup, Needed, Pairs, Unusable
from integrations.transformation.mapping import StreamMapping
from integrations.transformation.rule import (
    BOOL,
    DATE,
    FLOAT,
    INT,
    MONEY,
    TEXT,
    TIMESTAMP,
    in_words,
)
from integrations.transformation.transform import Transformer

if TYPE_CHECKING:
    from integrations.connector_template.connector import BoundStream

_WHOLE = frozenset({"smallint", "integer", "bigint"})
TAKEN: Mapping[pa.DataType, frozenset[str]] = {
    TEXT: frozenset({"text", "character varying", "character", "citext", "uuid"}),
    INT: _WHOLE,
    FLOAT: frozenset({"real", "double precision"}),
    BOOL: frozenset({"boolean"}),
    TIMESTAMP: frozenset({"timestamp with time zone"}),
    DATE: frozenset({"date"}),
    MONEY: frozenset({"numeric"}) | _WHOLE,
}
"""The types of a user's column whose values are ours, every one of them and exactly."""

Edges = Mapping[str, Sequence[tuple[KeyPath, str]]]
"""By stream, where in its mapping it looks up in which stream."""


@dataclass(frozen=True)
class Other:
    """A stream in which another may look up: its entity, and the columns that its mapping fills."""

    entity: type[Entity]
    filled: frozenset[str]


@dataclass(frozen=True)
class Files:
    """What the lookups of a connector may be in before anything is read of the database: the CSVs
    of its folder, and its streams (None: one whose own mapping is wrong)."""

    folder: Path
    streams: Mapping[str, Other | None]

    def __call__(self, rule: Lookup) -> Lookup:
        """The rule with what is known of its table; raises `Misfit`."""
        if rule.file is not None:
            return self._in_file(rule, self.folder / rule.file)
        return self._in_stream(rule, rule.stream) if rule.stream is not None else rule

    def _in_file(self, rule: Lookup, file: Path) -> Lookup:
        try:
            data, columns = file.read_bytes(), (rule.key_column, rule.value)
            if any(header(data).count(name) != 1 for name in columns):
                named = " and ".join(map(repr, dict.fromkeys(columns)))
                raise Misfit(f"the first row of {rule.file} names {named} not once each")
            texts = parsed(data, columns=columns)
        except OSError as error:
            said = "there is no such file beside this one" if not file.exists() else str(error)
            raise Misfit(f"{rule.file} cannot be read: {said}", "file") from None
        except pa.ArrowInvalid as error:
            raise Misfit(f"{rule.file} is no CSV: {error}", "file") from None
        if len(texts) > MOST:
            raise Misfit(f"{rule.file} has more than {MOST:,} rows", "file")
        return rule.in_file(texts, hashlib.sha256(data).hexdigest())

    def _in_stream(self, rule: Lookup, stream: str) -> Lookup:
        if stream not in self.streams:
            known = ", ".join(self.streams)
            said = f"there is no stream {stream!r} to look up in; there are {known}"
            raise Misfit(said, "stream")
        other = self.streams[stream]
        if other is None:
            return rule
        key = self._type(other, rule.key_column, stream, "key")
        if key not in Lookup.takes:
            raise Misfit(f"`{rule.key}` of {stream} is no key: it is {in_words([key])}", "key")
        value = self._type(other, rule.value, stream, "value")
        return rule.in_entity(other.entity.entity_name(), value)

    def _type(self, other: Other, name: str, stream: str, setting: str) -> pa.DataType:
        types = {column.name: column.type for column in other.entity.columns()}
        if name == SOURCE_ID:
            return TEXT
        if name not in types:
            entity = other.entity.entity_name()
            raise Misfit(f"stream {stream!r} fills {entity}, which has no column {name!r}", setting)
        if name not in other.filled:
            raise Misfit(f"no rule of stream {stream!r} fills the column {name!r}", setting)
        return types[name]


def edges(mappings: Mapping[str, StreamMapping]) -> Edges:
    """Which streams look up in which others."""
    return {
        stream: [
            (at, rule.stream)
            for name, given in mapping.fields.items()
            for at, rule in lookup.written(given, ("fields", name))
            if rule.stream is not None
        ]
        for stream, mapping in mappings.items()
    }


def circles(found: Edges, *, parents: Mapping[str, str]) -> Iterator[tuple[str, KeyPath, str]]:
    """Streams that wait for themselves, as (stream, path below its mapping, message). Child streams
    are loaded together with those of `parents`, so they wait for each other."""

    def root(stream: str) -> str:
        return parents.get(stream, stream)

    families: dict[str, list[tuple[KeyPath, str]]] = {}
    for stream, looks in found.items():
        families.setdefault(root(stream), []).extend((at, root(other)) for at, other in looks)
    for stream, looks in found.items():
        for at, other in looks:
            if stream != other and root(stream) == root(other):
                told = f"stream {stream!r} looks up in {other!r}, which is loaded together with it"
                yield stream, (*at, "stream"), told
            elif way := _way(families, root(other), root(stream)):
                through = f", by way of {', '.join(way[:-1])}" if way[1:] else ""
                yield stream, (*at, "stream"), f"stream {stream!r} looks itself up{through}"


def _way(found: Edges, start: str, end: str) -> list[str]:
    """The streams from one to another, both included; empty where none leads there."""
    ways, seen = [[start]], {start}
    while ways:
        way = ways.pop(0)
        if way[-1] == end:
            return way
        onward = [other for _, other in found.get(way[-1], ()) if other not in seen]
        seen.update(onward)
        ways += [[*way, other] for other in onward]
    return []


def transformer(stream: "BoundStream", *, connection: psycopg.Connection[Any]) -> Transformer:
    """The stream's transformer, with the secrets of its rules and the tables in which it looks
    values up, as they are now.

    Nothing is asked of the database where it needs none; else a transaction is open afterwards.
    Raises StopStream for a table in which nothing can be looked up, FixConfig for a secret that is
    not there.
    """
    read = {one: _read(stream.id, one, connection) for one in stream.mapping.needs}
    return Transformer(stream.mapping, tables=read, secrets=stream.secrets())


def _read(stream: StreamId, needed: Needed, connection: psycopg.Connection[Any]) -> Pairs:
    named = needed.table or str(_other(stream, needed))
    try:
        found = Pairs.of(_texts(stream, needed, connection), needed.type)
    except Unusable as error:
        todo = "Correct it, or look up by another column."
        raise StopStream(f"{named} {error}", where=str(stream), todo=todo) from None
    except StopStream as error:
        raise error.at(str(stream)) from None
    if not len(found.keys) and not needed.may_be_empty:
        todo = f"Sync `{named}` first." if needed.stream else "Fill it first."
        what = f"{named} has no rows, and values are looked up in it"
        raise StopStream(what, where=str(stream), todo=todo)
    return found


def _texts(stream: StreamId, needed: Needed, connection: psycopg.Connection[Any]) -> pa.Table:
    if needed.table is not None:
        types = TAKEN[needed.type]
        key, value = needed.key, needed.value
        return of_table(connection, needed.table, key=key, value=value, types=types)
    assert needed.entity is not None, "known since the file was loaded"
    return of_stream(
        connection, _other(stream, needed),
        entity=needed.entity, key=needed.key, value=needed.value,
    )  # fmt: skip


def _other(stream: StreamId, needed: Needed) -> StreamId:
    return StreamId(stream.connector, stream.connection, needed.stream or "")
