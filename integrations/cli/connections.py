"""`connections`: the accounts that are added while everything runs."""

import sys

import click

from integrations.cli.options import JSON, explained


@click.group()
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


@connections.command("close-circuits")
@click.argument("name", metavar="CONNECTOR/NAME")
@explained
def connections_close_circuits(name: str) -> None:
    """Have an account asked again at once that is left alone since it failed again and again.

    Without this its endpoints are tried by themselves, each when it has cooled down (`status` says
    when). What was counted of its failures is forgotten.
    """
    from integrations.commands.circuits import close as run

    sys.exit(run(name))


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
