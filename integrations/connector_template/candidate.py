"""A connector with another file than its own: to see what that one would do, before it counts."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import psycopg

from integrations.connector_template import connections, loading
from integrations.connector_template.connector import BoundStream, Connector, read_as
from integrations.connector_template.source_file import SourceFile, read_yaml
from integrations.errors import FixConfig, Mistake
from integrations.storage.connections import Added


def candidate(connector: Connector, file: Path, *, added: Iterable[Added] = ()) -> Connector:
    """The connector as it would be with this file, and with the connections that were added to it.

    Functions and tables are those of the connector's own folder. Raises `FixConfig` with every
    mistake of the file.
    """
    ours = [one for one in added if one.connector == connector.name]
    (found,), _ = connections.merged([read_as(connector.folder, file)], ours)
    return found


def matched(
    streams: Sequence[BoundStream], candidates: Iterable[BoundStream], *, file: Path
) -> list[tuple[BoundStream, BoundStream]]:
    """Each stream with the one of the same name by the other file. Raises `FixConfig` with all of
    those that it does not have, or makes another entity of: their rows would be in another table.
    """
    known = {one.id: one for one in candidates}
    source = read_yaml(file)
    found = [
        mistake
        for stream in streams
        if (mistake := _unlike(stream, known.get(stream.id), source)) is not None
    ]
    if found:
        raise FixConfig(
            "the files cannot be compared",
            mistakes=list(dict.fromkeys(found)),
            todo="What is another table is loaded anew: give it a new stream, and sync that.",
        )
    return [(stream, known[stream.id]) for stream in streams]


def _unlike(stream: BoundStream, other: BoundStream | None, source: SourceFile) -> Mistake | None:
    name = stream.id.stream
    if other is None:
        there = name in source.values["attributes"]["transformer"]
        lacks = f"connection {stream.id.connection!r}" if there else f"stream {name!r}"
        return source.mistake(("attributes",), f"there is no {lacks} any more")
    was, becomes = (one.mapping.entity.entity_name() for one in (stream, other))
    if was == becomes:
        return None
    at = ("attributes", "transformer", name, "entity")
    return source.mistake(at, f"{name} becomes {becomes}, and its rows are in canonical.{was}")


def refuse_changed(
    streams: Iterable[BoundStream], *, file: Path, connection: psycopg.Connection[Any]
) -> None:
    """Raises FixConfig with all the streams whose rows have other keys by this file, or whose time
    is cut otherwise: a replay does not take them as they are."""
    source = read_yaml(file)
    found: list[Mistake] = []
    for stream in streams:
        try:
            loading.refuse_changed(stream, connection=connection)
        except FixConfig as error:
            part = "transformer" if error.what.startswith("its key") else "sync_handler.streams"
            end = "key" if part == "transformer" else "sync"
            at = ("attributes", *part.split("."), stream.id.stream, end)
            found.append(source.mistake(at, f"{stream.id}: {error.what}"))
    if found:
        raise FixConfig(
            "another key makes other rows, and other windows other pulls: there is no row to "
            "compare with",
            mistakes=found,
            todo="`integrations replay --rebuild` takes over a new key, `integrations repartition` "
            "new windows.",
        )
