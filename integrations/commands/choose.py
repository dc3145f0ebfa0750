"""Which streams a person means: SELECT against the connectors that load."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field

import click

from integrations.connector_template.config_schema import SANDBOX
from integrations.connector_template.connector import BoundStream
from integrations.connector_template.folders import folders, read
from integrations.errors import FixConfig
from integrations.names import StreamId
from integrations.settings import Settings

Account = tuple[str, str]
"""A connection: (connector, connection)."""


@dataclass
class Choice:
    """The streams to sync, and connections that should be among them and lack secrets, each with
    the names of what it lacks; those that need not be are in `left_out`."""

    streams: list[BoundStream] = field(default_factory=list)
    wrong: dict[Account, list[str]] = field(default_factory=dict)
    left_out: dict[Account, list[str]] = field(default_factory=dict)


def streams(settings: Settings) -> list[BoundStream]:
    """Every stream of every connector that loads; what does not load is said on standard error."""
    loaded, broken = read(folders(settings.connectors_path))
    for error in broken.values():
        click.echo(f"warning: {error}", err=True)
    return [stream for connector in loaded for stream in connector.streams()]


def selected(found: Iterable[BoundStream], select: tuple[str, ...]) -> list[BoundStream]:
    """The streams that SELECT names; raises `FixConfig` for a name that matches none."""
    every = list(found)
    chosen: list[BoundStream] = []
    for name in select:
        matching = [s for s in every if f"{s.id}/".startswith(f"{name.rstrip('/')}/")]
        if not matching:
            known = ", ".join(str(stream.id) for stream in every)
            raise FixConfig(f"nothing is called {name!r}", todo=f"There are: {known}")
        chosen += [stream for stream in matching if stream not in chosen]
    return chosen


def named(found: Iterable[BoundStream], select: tuple[str, ...]) -> Choice:
    """What SELECT names: all of it should be synced."""
    choice = Choice()
    for stream in selected(found, select):
        if stream.connection.ready():
            choice.streams.append(stream)
        else:
            choice.wrong[account(stream)] = missing(stream)
    return choice


def ready(found: Iterable[BoundStream], synced: Collection[Account]) -> Choice:
    """What is synced without SELECT: the real connections whose secrets are there.

    The sandbox only where it was `synced` before and no real connection ever was: a job that has
    lost its secrets must not turn to the sandbox and look well. So one that was synced before and
    lacks a secret now is wrong; another one is left out.
    """
    choice = Choice()
    every = list(found)
    for stream in every:
        if stream.id.connection == SANDBOX:
            continue
        if stream.connection.ready():
            choice.streams.append(stream)
        else:
            group = choice.wrong if account(stream) in synced else choice.left_out
            group[account(stream)] = missing(stream)
    if not choice.streams and all(connection == SANDBOX for _, connection in synced):
        sandbox = [s for s in every if s.id.connection == SANDBOX]
        choice.streams = [s for s in sandbox if account(s) in synced]
    return choice


def account(stream: BoundStream) -> Account:
    """The connection of a stream."""
    return stream.id.connector, stream.id.connection


def missing(stream: BoundStream) -> list[str]:
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
