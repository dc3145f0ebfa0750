"""`quarantine`: the records that could not pass."""

import sys

import click

from integrations.cli.options import JSON, NAMED, SELECT, YES, explained


@click.group()
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
