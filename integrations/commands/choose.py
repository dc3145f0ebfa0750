"""Which streams a person means: SELECT against the connectors that load."""

from collections.abc import Collection, Iterable
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any, TypeVar

import click

from integrations.connector_template import connections
from integrations.connector_template.config_schema import SANDBOX
from integrations.connector_template.connector import BoundFeed, BoundStream, Connector
from integrations.connector_template.folders import folders, read
from integrations.errors import FixConfig
from integrations.monitoring.ledger import synced
from integrations.names import StreamId
from integrations.redaction import redact
from integrations.settings import Settings
from integrations.storage.connections import Added, remember, stored
from integrations.storage.store import open_store

Account = connections.Account
"""A connection: (connector, connection)."""
Reader = TypeVar("Reader", bound=BoundStream | BoundFeed)


@dataclass
class Choice:
    """What to sync, and connections that should be among them and lack secrets, each with the
    names of what it lacks; those that need not be are in `left_out`."""

    streams: list[BoundStream | BoundFeed] = field(default_factory=list)
    wrong: dict[Account, list[str]] = field(default_factory=dict)
    left_out: dict[Account, list[str]] = field(default_factory=dict)


def added(settings: Settings) -> list[Added]:
    """The connections that were added, from the database, which is started where need be."""
    with closing(open_store(settings)) as connection:
        found = stored(connection)
    remember(settings, found)
    return found


def connectors(settings: Settings) -> list[Connector]:
    """Every connector that loads, with what was added to it; the rest is said on standard error."""
    files, broken = read(folders(settings.connectors_path))
    loaded, unusable = connections.merged(files, added(settings))
    for error in (*broken.values(), *unusable.values()):
        click.echo(f"warning: {redact(str(error))}", err=True)
    return loaded


def streams(settings: Settings) -> list[BoundStream]:
    """Every stream of every connector that loads, and of every connection that was added."""
    return [stream for connector in connectors(settings) for stream in connector.streams()]


def readers(settings: Settings) -> list[BoundStream | BoundFeed]:
    """Every stream, and behind those of its connector every feed."""
    found: list[BoundStream | BoundFeed] = []
    for connector in connectors(settings):
        found += [*connector.streams(), *connector.feeds()]
    return found


def one(found: Iterable[Reader], name: str) -> Reader:
    """The stream, or feed, of just this name; raises `FixConfig` where there is none."""
    stream_id(name)
    return selected(found, (name,))[0]


def read_itself(found: Iterable[Reader], name: str) -> Reader:
    """The same where it is read by itself: a child stream has no position of its own."""
    reader = one(found, name)
    if isinstance(reader, BoundStream) and reader.parent is not None:
        raise FixConfig(
            f"it is read with {reader.source}, and has no position of its own",
            where=name,
            todo=f"Name {reader.source}.",
        )
    return reader


def selected(found: Iterable[Reader], select: tuple[str, ...]) -> list[Reader]:
    """The streams that SELECT names; raises `FixConfig` for a name that matches none."""
    every = list(found)
    chosen: list[Reader] = []
    for name in select:
        matching = [s for s in every if f"{s.id}/".startswith(f"{name.rstrip('/')}/")]
        if not matching:
            known = ", ".join(str(stream.id) for stream in every)
            raise FixConfig(f"nothing is called {name!r}", todo=f"There are: {known}")
        chosen += [stream for stream in matching if stream not in chosen]
    return chosen


def roots(chosen: Iterable[Reader], every: Iterable[BoundStream | BoundFeed]) -> list[Reader]:
    """What has to be read for what was chosen: a child stream is read with its parent."""
    known = {one.id: one for one in every}
    found: dict[StreamId, Any] = {}
    for one in chosen:
        root = one.source if isinstance(one, BoundStream) else one.id
        found[root] = one if root == one.id else known[root]
    return list(found.values())


def choice(
    settings: Settings, found: Iterable[BoundStream | BoundFeed], select: tuple[str, ...]
) -> Choice:
    """What SELECT names, or without it what is ready."""
    if select:
        return named(found, select)
    with closing(open_store(settings)) as connection:
        return ready(found, synced(connection))


def named(found: Iterable[BoundStream | BoundFeed], select: tuple[str, ...]) -> Choice:
    """What SELECT names: all of it should be synced."""
    choice = Choice()
    for stream in selected(found, select):
        if stream.connection.ready():
            choice.streams.append(stream)
        else:
            choice.wrong[account(stream)] = missing(stream)
    return choice


def ready(found: Iterable[BoundStream | BoundFeed], known: Collection[Account]) -> Choice:
    """What is synced without SELECT: the real connections whose secrets are there.

    The sandbox only where it was synced before (is `known`) and no real connection ever was: a job
    that has lost its secrets must not turn to the sandbox and look well. So one that was synced
    before and lacks a secret now is wrong; another one is left out.
    """
    choice = Choice()
    every = list(found)
    for stream in every:
        if stream.id.connection == SANDBOX:
            continue
        if stream.connection.ready():
            choice.streams.append(stream)
        else:
            group = choice.wrong if account(stream) in known else choice.left_out
            group[account(stream)] = missing(stream)
    if not choice.streams and all(connection == SANDBOX for _, connection in known):
        sandbox = [s for s in every if s.id.connection == SANDBOX]
        choice.streams = [s for s in sandbox if account(s) in known]
    return choice


def in_order(found: Iterable[BoundStream | BoundFeed]) -> list[BoundStream | BoundFeed]:
    """The readers in the order in which they are read: a stream after those in which it looks
    values up, and before a feed what its streams look up in. Else feeds go first, since one that
    has missed events makes windows due."""
    every = list(found)
    streams = [one for one in every if isinstance(one, BoundStream)]
    feeds = [one for one in every if isinstance(one, BoundFeed)]
    filled_by = {one.id: stream for stream in streams for one in stream.family}
    ordered: dict[StreamId, BoundStream | BoundFeed] = {}
    begun: set[StreamId] = set()

    def put(stream: BoundStream) -> None:
        begun.add(stream.id)
        for other in (other for one in stream.family for other in one.looks_up):
            if other in filled_by and filled_by[other].id not in begun:
                put(filled_by[other])
        ordered[stream.id] = stream

    for stream in (to for feed in feeds for to in feed.routes.values()):
        for other in stream.looks_up:
            if other in filled_by:
                put(filled_by[other])
    ordered |= {feed.id: feed for feed in feeds}
    for stream in streams:
        if stream.id not in begun:
            put(stream)
    return list(ordered.values())


def account(stream: BoundStream | BoundFeed) -> Account:
    """The connection of a stream or feed."""
    return stream.id.connector, stream.id.connection


def missing(stream: BoundStream | BoundFeed) -> list[str]:
    """The names of the secrets that its connection lacks."""
    return [ref.name for ref in stream.connection.secrets.values() if not ref.available()]


def stream_id(name: str) -> StreamId:
    """A whole name, connector/connection/stream; raises `FixConfig` for anything else."""
    try:
        connector, connection, stream = name.split("/")
        return StreamId(connector, connection, stream)
    except ValueError as error:
        raise FixConfig(
            f"{name!r} is no stream", todo="Write connector/connection/stream, in small letters."
        ) from error
