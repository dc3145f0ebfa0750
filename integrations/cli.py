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

    Starts an embedded PostgreSQL and the twins, runs each stream of every `sandbox` connection once
    through Dagster, and ends in a table of what was loaded, what was refused and why. Needs no
    account, no server and no variable; nothing outside this machine is called.
    """
    from integrations.commands.sync import demo as run

    sys.exit(run(as_json=as_json))


@main.command()
@SELECT
@click.option("--from", "begin", type=Moment(), help="Only windows from here on (ISO 8601, UTC).")
@click.option("--to", "end", type=Moment(), help="Only windows up to here; rounded out to windows.")
@click.option("--full", is_flag=True, help="All windows since the start, and full streams again.")
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

    Due are the windows that have passed and are not loaded, and full streams whose last reading is
    old enough. Each stream is one Dagster run, visible in the UI. With --from or --to the windows
    in between are fetched again, loaded or not; streams without windows are left out.

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
    """Show each stream's last success, rows, error rate, lateness and open quarantine."""
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
    """The records that could not pass, with their reasons and their bytes."""


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
    from integrations.commands.show import quarantine_list as run

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
    from integrations.commands.show import quarantine_show as run

    sys.exit(run(stream, key, as_json=as_json))
