"""Which streams a person means: SELECT against the connectors that load."""

from collections.abc import Iterable

import click

from integrations.connector_template.config_schema import SANDBOX
from integrations.connector_template.connector import BoundStream
from integrations.connector_template.folders import folders, read
from integrations.errors import FixConfig
from integrations.settings import Settings


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


def ready(found: Iterable[BoundStream]) -> list[BoundStream]:
    """The streams of connections whose secrets are there; the sandbox's where there are none."""
    every = list(found)
    real = [s for s in every if s.id.connection != SANDBOX and s.connection.ready()]
    waiting = {s.id.connection: s for s in every if s not in real and s.id.connection != SANDBOX}
    for stream in waiting.values():
        missing = [ref.name for ref in stream.connection.secrets.values() if not ref.available()]
        place = f"{stream.id.connector}/{stream.id.connection}"
        click.echo(f"left out: {place} has no {', '.join(missing)}", err=True)
    return real or [stream for stream in every if stream.id.connection == SANDBOX]
