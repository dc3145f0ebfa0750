"""`integrations connections close-circuits`: has asked at once what is left alone."""

from contextlib import closing

import click

from integrations.commands import choose
from integrations.errors import FixConfig
from integrations.settings import Settings
from integrations.storage import circuits
from integrations.storage.store import open_store


def close(name: str) -> int:
    """Has all endpoints of a connection asked again; gives the exit status.

    Raises `FixConfig` for one that does not exist.
    """
    settings = Settings.find()
    known = sorted({"/".join(choose.account(one)) for one in choose.readers(settings)})
    if name not in known:
        raise FixConfig(f"{name!r} is no connection", todo=f"There are: {', '.join(known)}")
    connector, _, account = name.partition("/")
    with closing(open_store(settings)) as connection:
        closed = circuits.forget(connection, connector, account)
        connection.commit()
    for endpoint in closed:
        click.echo(f"{endpoint} is asked again by the next run.")
    if not closed:
        click.echo(f"Of {name} nothing was left alone.")
    return 0
