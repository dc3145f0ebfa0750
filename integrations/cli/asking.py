"""What tells and changes nothing: `status`, `check`, `trace`, `preview` and `diff`."""

import sys
from pathlib import Path

import click

from integrations.cli.options import JSON, SELECT, explained

PERSONAL = click.option(
    "--show-personal", is_flag=True, help="Show values of personal columns unmasked."
)
MAPPING = click.option(
    "--mapping",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    metavar="FILE",
    help="With this file in the place of the connector's.",
)


@click.command()
@SELECT
@JSON
@explained
def status(select: tuple[str, ...], as_json: bool) -> None:
    """Show of each stream and feed: last success, rows, error rate, lateness, open quarantine, and
    until when its endpoint is left alone since it fails."""
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
@PERSONAL
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


@click.command()
@click.argument("name", metavar="NAME[/CONNECTION[/STREAM]]")
@MAPPING
@click.option(
    "--limit",
    type=click.IntRange(min=1),
    default=5,
    show_default=True,
    metavar="N",
    help="Rows of each stream.",
)
@click.option("--key", metavar="ID", help="Only the newest record of this id.")
@PERSONAL
@JSON
@explained
def preview(
    name: str,
    mapping: Path | None,
    limit: int,
    key: str | None,
    show_personal: bool,
    as_json: bool,
) -> None:
    """Show what a mapping makes of real records: before and after, field by field.

    Of each stream the newest of what is landed: where each column's value stands in the record and
    what it is there, the rules that it goes through, and what they give; then which records are
    refused, and why. Calls no source and loads nothing.
    """
    from integrations.commands.preview import run

    sys.exit(
        run(
            name, limit=limit, key=key, mapping=mapping,
            show_personal=show_personal, as_json=as_json,
        )
    )  # fmt: skip


@click.command()
@click.argument("name", metavar="NAME[/CONNECTION[/STREAM]]")
@MAPPING
@click.option("--accept", is_flag=True, help="As `replay --accept`: also what is held back.")
@PERSONAL
@JSON
@explained
def diff(name: str, mapping: Path | None, accept: bool, show_personal: bool, as_json: bool) -> None:
    """Show what a replay would change: rows, cells, totals and quarantine, before and after.

    The replay is made on a copy that is thrown away, over all that is landed of both lanes; the
    rows are compared with those of the table. Without --mapping it is made with the connector's
    file as it is. What is refused or deleted then leaves the table, what passes then appears.

    A file that changes a stream's key or entity cannot be compared, and is refused with its line.
    Ends with 0 whether or not something would change, and with 1 where a landing cannot be read.
    """
    from integrations.commands.diff import run

    sys.exit(
        run(name, mapping=mapping, accept=accept, show_personal=show_personal, as_json=as_json)
    )
