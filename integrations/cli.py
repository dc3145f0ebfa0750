"""The command line: `integrations demo`, `up`, `sync`, `status` and their siblings.

Help texts are part of the product. Exit status: 0 all well; 1 a stream failed; 2 usage or
configuration; 3 done, but a check says ERROR. What is heavy to import is imported by the command
that needs it.
"""

import sys
from collections.abc import Callable
from datetime import UTC, datetime
from functools import wraps
from typing import Any, TypeVar

import click

from integrations.commands import FAILED, WRONG
from integrations.errors import FixConfig, IntegrationError
from integrations.redaction import install_redactor, redact, redacted

SELECT = click.argument("select", nargs=-1, metavar="[SELECT]...")
NAMED = click.argument("select", nargs=-1, required=True, metavar="SELECT...")
YES = click.option("--yes", is_flag=True, help="Do not ask.")
JSON = click.option("--json", "as_json", is_flag=True, help="One JSON object per line on stdout.")
F = TypeVar("F", bound=Callable[..., Any])


class Moment(click.ParamType[datetime]):
    """A day or a moment, ISO 8601; without an offset it is UTC."""

    name = "time"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> datetime:
        try:
            moment = datetime.fromisoformat(value)
            return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
        except (ValueError, OverflowError):  # the year 0 or 10000 somewhere
            self.fail(f"{value!r} is no time; write 2026-01-31 or 2026-01-31T08:00Z", param, ctx)


def explained(command: F) -> F:
    """Turns our errors into a line that says what to do, and the exit status of the contract."""

    @wraps(command)
    def run(*args: Any, **kwargs: Any) -> Any:
        install_redactor()
        try:
            return command(*args, **kwargs)
        except FixConfig as error:
            click.echo(f"error: {redact(str(error))}", err=True)
            sys.exit(WRONG)
        except IntegrationError as error:
            click.echo(f"error: {redact(str(error))}", err=True)
            sys.exit(FAILED)
        except (click.ClickException, click.exceptions.Exit, click.Abort):
            raise
        except Exception as error:  # noqa: BLE001  # a bug: shown whole, without its secrets
            click.echo(redacted(error), err=True)
            sys.exit(FAILED)

    return run  # type: ignore[return-value]  # the same call, wrapped


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="integrations")
def main() -> None:
    """Keep your own tables in step with systems that belong to others.

    SELECT names what a command works on: `stripe`, `stripe/main` or `stripe/main/charges`. Without
    it, a command works on everything. The settings are environment variables: INTEGRATIONS_HOME,
    INTEGRATIONS_DATABASE_URL, INTEGRATIONS_LANDING_URL, INTEGRATIONS_CONNECTORS_PATH.

    Exit status: 0 all well; 1 a stream failed; 2 usage or configuration; 3 done, but a check says
    ERROR.
    """


@main.command()
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


@main.command()
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


@main.command()
@NAMED
@click.option("--from", "begin", type=Moment(), help="Only windows from here on (ISO 8601, UTC).")
@click.option("--to", "end", type=Moment(), help="Only windows up to here; rounded out to windows.")
@click.option("--rebuild", is_flag=True, help="Make all rows anew: for a key that was changed.")
@click.option("--accept", is_flag=True, help="Load the good records although too many are refused.")
@JSON
@explained
def replay(
    select: tuple[str, ...],
    begin: datetime | None,
    end: datetime | None,
    rebuild: bool,
    accept: bool,
    as_json: bool,
) -> None:
    """Map and load again what is landed, without a call to the source.

    For when a mapping was changed: rows are refreshed, those that it refuses now are deleted, and
    what passes now leaves quarantine. What a feed said of a stream is replayed with it. Landings
    are kept for 30 days; windows whose landings are gone are named.

    A changed key makes other rows: --rebuild puts all rows of a stream aside and makes them anew,
    in one transaction. Where not all is landed any more it needs --accept, and a sync afterwards.
    """
    if rebuild and (begin or end):
        raise click.UsageError("--rebuild makes all rows anew; give it without --from and --to.")
    if begin and end and begin >= end:
        raise click.UsageError("--from must be before --to.")
    from integrations.commands.replay import Asked
    from integrations.commands.replay import replay as run

    asked = Asked(begin=begin, end=end, rebuild=rebuild, accept=accept)
    sys.exit(run(select, asked, as_json=as_json))


@main.command()
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


@main.command()
@click.option("--sandbox", is_flag=True, help="Serve the local twins too, for sandbox connections.")
@click.option(
    "--port",
    type=click.IntRange(1, 65535),
    default=3000,
    show_default=True,
    help="The Dagster UI's port.",
)
@explained
def up(sandbox: bool, port: int) -> None:
    """Serve the whole: PostgreSQL, the Dagster UI with its schedules, and the twins if wanted.

    Prints the addresses once all of it answers. Ctrl-C stops it cleanly.
    """
    from integrations.commands.serve import up as run

    sys.exit(run(sandbox=sandbox, port=port))


@main.command()
@explained
def down() -> None:
    """Stop what still runs: a stack in the background, the twins, the embedded PostgreSQL."""
    from integrations.commands.serve import down as run

    sys.exit(run())


@main.command()
@SELECT
@JSON
@explained
def status(select: tuple[str, ...], as_json: bool) -> None:
    """Show of each stream and feed: last success, rows, error rate, lateness, open quarantine."""
    from integrations.commands.show import status as run

    sys.exit(run(select, as_json=as_json))


@main.command()
@click.argument("name", required=False)
@click.option("--live", is_flag=True, help="Try the credentials, map a first page; loads nothing.")
@explained
def check(name: str | None, live: bool) -> None:
    """Find every mistake in the connectors' files, with file and line.

    NAME is a connector, or the path of its folder; without it all are checked.
    """
    from integrations.commands.check import check as run

    sys.exit(run(name, live=live))


@main.group()
def quarantine() -> None:
    """The records that could not pass, with their reasons and their bytes.

    An entry closes when its key passes: by a sync, by a replay, or when it is retried.
    """


@quarantine.command("list")
@SELECT
@click.option("--all", "closed", is_flag=True, help="Also entries that a later success closed.")
@click.option(
    "--limit",
    type=click.IntRange(min=1),
    default=100,
    show_default=True,
    help="Entries at the most.",
)
@JSON
@explained
def quarantine_list(select: tuple[str, ...], closed: bool, limit: int, as_json: bool) -> None:
    """List the records that could not pass, the latest first."""
    from integrations.commands.quarantine import listed as run

    sys.exit(run(select, closed=closed, limit=limit, as_json=as_json))


@quarantine.command("show")
@click.argument("stream")
@click.argument("key")
@JSON
@explained
def quarantine_show(stream: str, key: str, as_json: bool) -> None:
    """Show one record: why it was refused, how often, and its bytes as the source sent them.

    STREAM is connector/connection/stream; KEY as `quarantine list` shows it.
    """
    from integrations.commands.quarantine import show as run

    sys.exit(run(stream, key, as_json=as_json))


@quarantine.command("retry")
@NAMED
@click.option("--key", "keys", multiple=True, help="Only this entry; may be given several times.")
@JSON
@explained
def quarantine_retry(select: tuple[str, ...], keys: tuple[str, ...], as_json: bool) -> None:
    """Try open entries again, by the bytes that were kept.

    For when a mapping was corrected: nothing is asked of the source but the records that it was to
    be asked for in the first place and did not give. Those are left where the connection's secrets
    are not set. Shows what passed and what remains, with its reason now; at most 10,000 entries of
    a stream are tried at a time, the oldest first.

    Ends with 0 also when entries remain, and with 1 when a stream could not be worked on at all.
    """
    from integrations.commands.quarantine import retry as run

    sys.exit(run(select, keys, as_json=as_json))


@quarantine.command("discard")
@click.argument("stream")
@click.argument("keys", nargs=-1, required=True, metavar="KEY...")
@YES
@explained
def quarantine_discard(stream: str, keys: tuple[str, ...], yes: bool) -> None:
    """Give entries up: they close without having passed.

    Their bytes stay, and the very same bytes open them no more; another statement of the source
    about the key may. STREAM is connector/connection/stream, or a feed.
    """
    from integrations.commands.quarantine import discard as run

    sys.exit(run(stream, keys, yes=yes))


@main.group()
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


@main.command()
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


@main.command()
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


@main.command()
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


@main.group()
def connections() -> None:
    """The accounts: those in connectors' files, and those that are added beside them."""


@connections.command("list")
@JSON
@explained
def connections_list(as_json: bool) -> None:
    """List every connection: where it comes from, its secrets by name, and what it has brought."""
    from integrations.commands.connections import listed as run

    sys.exit(run(as_json=as_json))


@connections.command("add")
@click.argument("name", metavar="CONNECTOR/NAME")
@click.option("--start", required=True, help="The first day that is read: 2026-01-31 (UTC).")
@click.option(
    "--secret",
    "secrets",
    multiple=True,
    metavar="NAME=REFERENCE",
    help="Where a secret is found: api_key=env:VARIABLE or api_key=file:/PATH; never the secret.",
)
@click.option("--base-url", help="The account's own address, if it has one.")
@explained
def connections_add(name: str, start: str, secrets: tuple[str, ...], base_url: str | None) -> None:
    """Add an account; it is held to the rules of the connector's file.

    It shows in a running `integrations up` without a restart. Variables are read by the process
    that syncs: one that is already running must have them.
    """
    from integrations.commands.connections import Given
    from integrations.commands.connections import add as run

    sys.exit(run(name, Given(start=start, secrets=secrets, base_url=base_url)))


@connections.command("remove")
@click.argument("name", metavar="CONNECTOR/NAME")
@click.option("--with-data", is_flag=True, help="Its rows, positions, ledger and landings too.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@explained
def connections_remove(name: str, with_data: bool, yes: bool) -> None:
    """Remove an account that was added. One in a file is removed there.

    Without --with-data all that it has brought stays, and an account that is added again under the
    name goes on from it.
    """
    from integrations.commands.connections import remove as run

    sys.exit(run(name, with_data=with_data, yes=yes))
