"""What serves the whole, and ends it: `up` and `down`."""

import sys

import click

from integrations.cli.options import explained


@click.command()
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


@click.command()
@explained
def down() -> None:
    """Stop what still runs: a stack in the background, the twins, the embedded PostgreSQL."""
    from integrations.commands.serve import down as run

    sys.exit(run())
