"""`integrations connections close-circuits`: has asked at once what is left alone."""

from contextlib import closing

import click

from integrations.errors import FixConfig
from integrations.names import is_name
from integrations.settings import Settings
from integrations.storage import circuits
from integrations.storage.store import open_store


def close(name: str) -> int:
    """Has all endpoints of a connection asked again; gives the exit status."""
    connector, _, account = name.partition("/")
    if not (is_name(connector) and is_name(account)):
        raise FixConfig(f"{name!r} is no connection", todo="Write connector/name.")
    with closing(open_store(Settings.find())) as connection:
        closed = circuits.forget(connection, connector, account)
        connection.commit()
    for endpoint in closed:
        click.echo(f"{endpoint} is asked again by the next run.")
    if not closed:
        click.echo(f"Of {name} nothing was left alone.")
    return 0
