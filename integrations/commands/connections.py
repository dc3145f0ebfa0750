"""`integrations connections list/add/remove`: accounts, those in files and those beside them."""

import sys
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC
from typing import Any

import click
import psycopg

from integrations import console
from integrations.commands import FAILED, WRONG, choose
from integrations.commands.references import connection_values
from integrations.connector_template.config_schema import SANDBOX, Connection
from integrations.connector_template.connections import checked, merged
from integrations.connector_template.connector import Connector
from integrations.connector_template.event_handler import Feeds
from integrations.connector_template.folders import folders, read
from integrations.errors import FixConfig, IntegrationError
from integrations.monitoring import ledger
from integrations.names import StreamId, is_name
from integrations.redaction import redact
from integrations.settings import CONNECTOR_FILE, Settings
from integrations.storage import connections, removal
from integrations.storage.store import open_store

COLUMNS = [
    ("connection", False), ("from", False), ("start", False), ("address", False),
    ("secrets", False), ("streams", True), ("rows", True), ("last success", False),
]  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Given:
    """What a person says of a new connection, as it was written."""

    start: str
    secrets: Sequence[str] = ()
    base_url: str | None = None


def listed(*, as_json: bool) -> int:
    """One line a connection: where it comes from, what it needs, and what it has brought."""
    settings = Settings.find()
    files, broken = read(folders(settings.connectors_path))
    loaded, unusable = merged(files, choose.added(settings))
    of_files = {(one.name, name) for one in files for name in one.config.connections}
    with closing(open_store(settings)) as connection:
        lines = [
            _line(one, name, added=(one.name, name) not in of_files, connection=connection)
            for one in loaded
            for name in one.config.connections
        ]
    lines += [_unusable(*account, error) for account, error in unusable.items()]
    for error in broken.values():
        click.echo(f"warning: {redact(str(error))}", err=True)
    if as_json:
        for line in lines:
            console.json_line(line)
        return 0
    console.out().print(console.table("Connections", COLUMNS, map(_row, lines)))
    for line in lines:
        if line["error"]:
            console.out().print(f"{line['name']}: {line['error']}", markup=False, soft_wrap=True)
    return 0


def _line(
    connector: Connector, name: str, *, added: bool, connection: psycopg.Connection[Any]
) -> dict[str, Any]:
    account: Connection = connector.config.connections[name]
    streams = [stream for stream in connector.streams() if stream.id.connection == name]
    known = ledger.statuses(
        connection, entities={one.id: one.mapping.entity.entity_name() for one in streams}
    )
    last = max((one.last_success for one in known if one.last_success), default=None)
    address = account.base_url or connector.config.sync_handler.transport.base_url
    return {
        "name": f"{connector.name}/{name}",
        "connector": connector.name,
        "connection": name,
        "from": "added" if added else "file",
        "start": account.start.isoformat(),
        "base_url": "the local twin" if name == SANDBOX else address,
        "secrets": {
            secret: {"reference": ref.name, "resolves": ref.available()}
            for secret, ref in account.secrets.items()
        },
        "streams": [stream.id.stream for stream in streams],
        "rows": sum(one.rows for one in known),
        "last_success": last,
        "error": None,
    }


def _unusable(connector: str, name: str, error: FixConfig) -> dict[str, Any]:
    return {
        "name": f"{connector}/{name}", "connector": connector, "connection": name,
        "from": "added", "start": None, "base_url": None, "secrets": {}, "streams": [],
        "rows": None, "last_success": None, "error": redact(str(error)),
    }  # fmt: skip


def _row(line: dict[str, Any]) -> list[object]:
    secrets = ", ".join(
        f"{name}={said['reference']}{'' if said['resolves'] else ' (missing)'}"
        for name, said in line["secrets"].items()
    )
    last = line["last_success"]
    shown = last.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S") if last else None
    place = [line[key] for key in ("name", "from", "start", "base_url")]
    return [*place, secrets or None, len(line["streams"]), line["rows"], shown]


def add(name: str, given: Given) -> int:
    """Adds a connection and shows it to a Dagster that runs; gives the exit status."""
    account = _account(name)
    settings = Settings.find()
    connector = _connector(settings, account[0])
    values, unread = connection_values(given.start, given.secrets, given.base_url)
    new = checked(connector, account[1], values, unread=unread)
    with closing(open_store(settings)) as connection:
        if not connections.add(connection, new):
            raise FixConfig(
                f"{name} was added already",
                todo=f"`integrations connections remove {name}` keeps its data; then add it anew.",
            )
        connection.commit()
        connections.remember(settings, connections.stored(connection))
        left = removal.holdings(connection, settings.landing_url, *account)
    click.echo(f"Added {name}.")
    if left:
        click.echo(f"There is data of an earlier {name}, and syncs go on from it: {_said(left)}.")
    _tell_missing(name, values)
    references = Connection.model_validate(values).secrets.values()
    return _reload(
        settings,
        _streams(connector, account[1]),
        there=True,
        feeds=_feeds(connector, account[1]),
        secrets=[ref.name for ref in references],
    )


def _tell_missing(name: str, values: dict[str, Any]) -> None:
    """Says which secrets cannot be read here; they may be there for the process that syncs."""
    references = Connection.model_validate(values).secrets.values()
    for ref in references:
        if not ref.available():
            click.echo(f"warning: {name} cannot be synced from here yet: no {ref.name}", err=True)


def remove(name: str, *, with_data: bool, yes: bool) -> int:
    """Removes a connection that was added, and all of its data where that is wanted; gives the
    exit status."""
    account = _account(name)
    settings = Settings.find()
    files, _ = read(folders(settings.connectors_path))
    connector = next((one for one in files if one.name == account[0]), None)
    in_file = connector is not None and account[1] in connector.config.connections
    with closing(open_store(settings)) as connection:
        added = [(one.connector, one.connection) for one in connections.stored(connection)]
        held = removal.holdings(connection, settings.landing_url, *account)
        connection.rollback()
        if in_file and (with_data or account not in added):
            assert connector is not None, "it has the connection"
            place = connector.folder / CONNECTOR_FILE
            raise FixConfig(f"{name} stands in {place}", todo="Remove it there.")
        if account not in added and not (with_data and held):
            known = ", ".join("/".join(one) for one in added) or "none"
            raise FixConfig(f"no connection {name} was added", todo=f"There are: {known}")
        streams = _streams(connector, account[1]) if connector else []
        if with_data:
            if not _agreed(name, held, yes=yes):
                click.echo("Nothing was removed.")
                return WRONG
            feeds = _feeds(connector, account[1]) if connector else []
            _remove_all(settings, connection, account, streams, feeds)
        else:
            connections.remove(connection, *account)
            connection.commit()
            click.echo(f"Removed {name}.")
            if held:
                click.echo(f"Its data stays ({_said(held)}); --with-data removes it too.")
        connections.remember(settings, connections.stored(connection))
    return 0 if in_file else _reload(settings, streams, there=False)


def _agreed(name: str, held: dict[str, int], *, yes: bool) -> bool:
    """Whether a person wants it; raises FixConfig where nobody can be asked."""
    if yes:
        return True
    if not sys.stdin.isatty():
        raise FixConfig(
            f"nobody can be asked whether all data of {name} should go", todo="Say --yes."
        )
    what = _said(held) or "there is none"
    return click.confirm(f"Remove {name} with all its data ({what}) for good?", err=True)


def _remove_all(
    settings: Settings,
    connection: psycopg.Connection[Any],
    account: choose.Account,
    streams: list[StreamId],
    feeds: list[StreamId],
) -> None:
    """Everything goes, the landings last; says how much of what. Raises FixConfig while something
    reads it: what goes would come back."""
    from integrations.orchestration import stack
    from integrations.orchestration.busy import runs_of_connection
    from integrations.orchestration.connections import forget

    name = "/".join(account)
    _hold(connection, feeds)
    with stack.instance() as instance:
        running = runs_of_connection(instance, *account)
        if running:
            raise FixConfig(
                f"{name} is being synced (run {', '.join(running)})",
                todo="Nothing was removed; end the run, or wait for its end.",
            )
        gone = removal.remove_rows(connection, *account, streams=streams)
        click.echo(f"Removed {name} with all its data.")
        for table, count in gone.items():
            click.echo(f"  {table}: {count:,}")
        forget(instance, *account)
        landings = removal.remove_landings(settings.landing_url, *account)
        click.echo(f"  landings: {landings:,}")


def _hold(connection: psycopg.Connection[Any], feeds: list[StreamId]) -> None:
    """Keeps others from draining the feeds for as long as the connection lives."""
    from integrations.orchestration.drain import AlreadyDrained, hold

    for feed in feeds:
        try:
            hold(connection, feed)
        except AlreadyDrained as error:
            raise FixConfig(
                f"{feed} is being drained",
                todo="Nothing was removed; stop that `integrations drain` first.",
            ) from error


def _reload(
    settings: Settings,
    streams: list[StreamId],
    *,
    there: bool,
    feeds: Sequence[StreamId] = (),
    secrets: Sequence[str] = (),
) -> int:
    """Lets a running Dagster read its definitions again; that it could not is a failure. Says
    where it does not run the schedules of what is `there`: `secrets` are the references."""
    from integrations.orchestration import reload

    url = reload.served(settings.home)
    if url is None:
        click.echo(
            f"No `integrations up` serves here. Where Dagster runs otherwise, reload the code"
            f" location {reload.LOCATION!r} in its UI.",
            err=True,
        )
        return 0
    try:
        reload.reload(url, streams, there=len(streams) if there else 0)
        idle = reload.stopped(url, [*streams, *feeds]) if there else []
    except IntegrationError as error:
        click.echo(f"error: {redact(str(error))}", err=True)
        return FAILED
    click.echo(f"{url} shows it." if there else f"{url} shows it no longer.")
    if idle:
        lacks = ", ".join(one for one in secrets if one.startswith("env:")) or "all its secrets"
        click.echo(
            f"warning: its schedules are stopped: the server has not {lacks}. Use file:…, or"
            " restart `integrations up` where it is set.",
            err=True,
        )
    return 0


def _account(name: str) -> choose.Account:
    connector, _, connection = name.partition("/")
    if not (is_name(connector) and is_name(connection)):
        raise FixConfig(
            f"{name!r} is no connection", todo="Write connector/name, in small letters."
        )
    return connector, connection


def _connector(settings: Settings, name: str) -> Connector:
    files, broken = read(folders(settings.connectors_path))
    for folder, error in broken.items():
        if folder.name == name:
            raise error
    for one in files:
        if one.name == name:
            return one
    known = ", ".join(sorted(one.name for one in files))
    raise FixConfig(f"no connector is called {name!r}", todo=f"There are: {known}")


def _streams(connector: Connector, name: str) -> list[StreamId]:
    return [StreamId(connector.name, name, each) for each in connector.config.sync_handler.streams]


def _feeds(connector: Connector, name: str) -> list[StreamId]:
    handler = connector.config.event_handler
    feeds = handler.feeds if isinstance(handler, Feeds) else {}
    return [StreamId(connector.name, name, each) for each in feeds]


def _said(held: dict[str, int]) -> str:
    """Amounts in a line: `canonical.payment 1,204, landings 30`."""
    return ", ".join(f"{what} {count:,}" for what, count in held.items())
