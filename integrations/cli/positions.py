"""What moves what is committed: `positions`, `repartition` and `undelete`."""

import sys
from datetime import datetime

import click

from integrations.cli.options import JSON, NAMED, SELECT, YES, Moment, explained


@click.group()
def positions() -> None:
    """Where each stream and feed stands: what of it is committed, and what is read next."""


@positions.command("show")
@SELECT
@JSON
@explained
def positions_show(select: tuple[str, ...], as_json: bool) -> None:
    """Show what is committed of each stream and feed, and what is due.

    Of a stream with windows: how many, and which time they span. Of one that is read in full: when
    it was. Of a cursor or a feed: the position that it goes on from, and when its source last said
    that nothing follows. The generation counts resets; the last one is shown with its reason.
    """
    from integrations.commands.positions import show as run

    sys.exit(run(select, as_json=as_json))


@positions.command("set")
@click.argument("stream")
@click.argument("value")
@YES
@explained
def positions_set(stream: str, value: str, yes: bool) -> None:
    """Have a cursor stream, or a feed, go on after VALUE.

    VALUE is a position as the source gives it: `positions show` shows the one of now. It is not
    asked for whether it knows it. Records between the old and the new position are not read where
    the new one is the later, unless the stream is rewound. STREAM is connector/connection/stream.
    """
    from integrations.commands.positions import set_to as run

    sys.exit(run(stream, value, yes=yes))


@positions.command("rewind")
@click.argument("stream")
@click.option("--to", type=Moment(), help="Only what follows this time (ISO 8601, UTC).")
@YES
@explained
def positions_rewind(stream: str, to: datetime | None, yes: bool) -> None:
    """Have a stream, or a feed, read again what it was read.

    All of its windows become due, with --to those that end after it. A stream that is read in full
    becomes due. A cursor goes back to its start, or to a time where its request has {since}. A feed
    is read again from --to on, or as far back as its source keeps events.

    Rows stay: what is read again is compared with them, and only what is newer is written. STREAM
    is connector/connection/stream.
    """
    from integrations.commands.positions import rewind as run

    sys.exit(run(stream, to=to, yes=yes))


@click.command()
@NAMED
@YES
@JSON
@explained
def repartition(select: tuple[str, ...], yes: bool, as_json: bool) -> None:
    """Take over another cadence or start that a file has now.

    A stream is refused while its file cuts its time otherwise than at its first commit. This takes
    the file's windows for its own. A new window stays committed only where the ledger proves it:
    where it lies wholly inside windows that were loaded, by pulls that began when the new window
    had passed. The others become due, and in Dagster just the proven ones are green.

    Rows stay. A window that is proven and was cut otherwise has no landing of its own, and cannot
    be replayed until it is fetched again.
    """
    from integrations.commands.repartition import repartition as run

    sys.exit(run(select, yes=yes, as_json=as_json))


@click.command()
@click.argument("stream")
@click.option("--run", help="Bring back what this run deleted.")
@JSON
@explained
def undelete(stream: str, run: str | None, as_json: bool) -> None:
    """Bring back rows that a run deleted because the source lacked them, or said so.

    Without --run: the runs that deleted rows which nothing has touched since. With it these rows
    are live again, as they were. What the source says later stands: a next full reading that still
    lacks them deletes them again. What a mapping deletes comes back by a replay instead. STREAM is
    connector/connection/stream.
    """
    from integrations.commands.undelete import undelete as back

    sys.exit(back(stream, run=run, as_json=as_json))
