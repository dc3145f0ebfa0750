"""What brings records in: `demo`, `sync`, `replay` and `drain`."""

import sys
from datetime import datetime

import click

from integrations.cli.options import JSON, NAMED, SELECT, YES, Moment, explained


@click.command()
@JSON
@explained
def demo(as_json: bool) -> None:
    """Sync every shipped connector against its local twin, from nothing.

    Starts an embedded PostgreSQL and the twins, runs each feed and stream of every `sandbox`
    connection once through Dagster, and ends in a table of what was loaded, what was refused and
    why. Needs no account, no server and no variable; nothing outside this machine is called.
    """
    from integrations.commands.sync import demo as run

    sys.exit(run(as_json=as_json))


@click.command()
@SELECT
@click.option("--from", "begin", type=Moment(), help="Only windows from here on (ISO 8601, UTC).")
@click.option("--to", "end", type=Moment(), help="Only windows up to here; rounded out to windows.")
@click.option("--full", is_flag=True, help="All windows since the start, full streams and feeds.")
@click.option("--accept", is_flag=True, help="Load the good records although too many are refused.")
@JSON
@explained
def sync(
    select: tuple[str, ...],
    begin: datetime | None,
    end: datetime | None,
    full: bool,
    accept: bool,
    as_json: bool,
) -> None:
    """Fetch, check and load what is due.

    Due are the windows that have passed and are not loaded, and full streams and feeds whose last
    reading is old enough. Feeds go first: one that has missed events makes its streams due. Each is
    one Dagster run or more, visible in the UI. With --from or --to the windows in between are
    fetched again, loaded or not; what has no windows is left out.

    Without SELECT: every connection whose secrets are set; or the sandbox, where it was synced
    before and no real connection ever was. A connection that SELECT names, or that was synced
    before, and that lacks a secret now, is an error; the others are synced first.
    """
    if full and (begin or end):
        raise click.UsageError("--full means all windows; give it without --from and --to.")
    if begin and end and begin >= end:
        raise click.UsageError("--from must be before --to.")
    from integrations.commands.sync import sync as run
    from integrations.orchestration.sync import Wanted

    sys.exit(run(select, Wanted(begin, end, full, accept), as_json=as_json))


@click.command()
@NAMED
@click.option("--from", "begin", type=Moment(), help="Only windows from here on (ISO 8601, UTC).")
@click.option("--to", "end", type=Moment(), help="Only windows up to here; rounded out to windows.")
@click.option("--rebuild", is_flag=True, help="Make all rows anew: for a key that was changed.")
@click.option("--accept", is_flag=True, help="Load the good records although too many are refused.")
@YES
@JSON
@explained
def replay(
    select: tuple[str, ...],
    begin: datetime | None,
    end: datetime | None,
    rebuild: bool,
    accept: bool,
    yes: bool,
    as_json: bool,
) -> None:
    """Map and load again what is landed, without a call to the source.

    For when a mapping was changed: rows are refreshed, those that it refuses now are deleted, and
    what passes now leaves quarantine. What a feed said of a stream is replayed with it. Landings
    are kept for 30 days; windows whose landings are gone are named.

    A changed key makes other rows: --rebuild puts all rows of a stream aside and makes them anew,
    in one transaction. It asks first. Where too many records are refused under the new key, the
    rows stay as they were. Where not all is landed any more it needs --accept, and a sync
    afterwards.
    """
    if rebuild and (begin or end):
        raise click.UsageError("--rebuild makes all rows anew; give it without --from and --to.")
    if begin and end and begin >= end:
        raise click.UsageError("--from must be before --to.")
    from integrations.commands.replay import Asked
    from integrations.commands.replay import replay as run

    asked = Asked(begin=begin, end=end, rebuild=rebuild, accept=accept, yes=yes)
    sys.exit(run(select, asked, as_json=as_json))


@click.command()
@SELECT
@click.option(
    "--every",
    type=click.FloatRange(min=0.05, max=3600),
    default=0.5,
    show_default=True,
    metavar="SECONDS",
    help="Between two readings of a feed.",
)
@click.option(
    "--for",
    "for_s",
    type=click.FloatRange(min=0, min_open=True),
    metavar="SECONDS",
    help="Stop by itself after so long.",
)
@JSON
@explained
def drain(select: tuple[str, ...], every: float, for_s: float | None, as_json: bool) -> None:
    """Read feeds again and again, so that an event is in its table within a second.

    No Dagster run is begun for it: each turn commits rows and position itself, and the feed's asset
    in the UI is told once a minute what was loaded. One process at a time drains a feed. Without
    SELECT: the feeds of the connections that `integrations sync` would sync.

    Ctrl-C stops it between two turns. Ends with 1 when a feed could not be read on, and with 3 when
    a blocked landing waits for a person.
    """
    from integrations.commands.drain import drain as run

    sys.exit(run(select, every_s=every, for_s=for_s, as_json=as_json))
