"""What tells and changes nothing: `status`, `check` and `trace`."""

import sys

import click

from integrations.cli.options import JSON, SELECT, explained


@click.command()
@SELECT
@JSON
@explained
def status(select: tuple[str, ...], as_json: bool) -> None:
    """Show of each stream and feed: last success, rows, error rate, lateness, open quarantine."""
    from integrations.commands.show import status as run

    sys.exit(run(select, as_json=as_json))


@click.command()
@click.argument("name", required=False)
@click.option("--live", is_flag=True, help="Try the credentials, map a first page; loads nothing.")
@explained
def check(name: str | None, live: bool) -> None:
    """Find every mistake in the connectors' files, with file and line.

    NAME is a connector, or the path of its folder; without it all are checked.
    """
    from integrations.commands.check import check as run

    sys.exit(run(name, live=live))


@click.command()
@click.argument("stream")
@click.argument("id", metavar="ID")
@click.option("--show-personal", is_flag=True, help="Show values of personal columns unmasked.")
@JSON
@explained
def trace(stream: str, id: str, show_personal: bool, as_json: bool) -> None:  # noqa: A002  # shown
    """Tell a record's life: what the source said of it, and what became of each statement.

    STREAM is connector/connection/stream; ID the record's id at its source, or `sha256:…` as
    `quarantine list` shows it. Of a feed, ID is an event's. Looks through all that is landed, calls
    no source and changes nothing.
    """
    from integrations.commands.trace import run

    sys.exit(run(stream, id, show_personal=show_personal, as_json=as_json))
