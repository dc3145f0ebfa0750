"""`integrations repartition`: a changed cadence or start, taken over as far as that is proven."""

from contextlib import closing
from functools import partial

import click

from integrations import console
from integrations.commands import WRONG, choose
from integrations.commands.asking import agreed
from integrations.commands.positions import refuse_busy
from integrations.connector_template.repartition import Repartition, plan
from integrations.connector_template.repartition import repartition as cut_anew
from integrations.settings import Settings
from integrations.storage.store import open_store
from integrations.storage.transaction import utc_now as now

COLUMNS = [
    ("stream", False), ("windows were", False), ("windows are", False), ("committed", True),
    ("stay committed", True), ("due", True),
]  # fmt: skip


def repartition(select: tuple[str, ...], *, yes: bool, as_json: bool) -> int:
    """Shows what becomes of the streams whose files cut them otherwise, and does it if wanted."""
    from integrations.orchestration import stack
    from integrations.orchestration.repartition import show

    settings = Settings.find()
    streams = choose.streams(settings)
    chosen = choose.roots(choose.selected(streams, select), streams)
    with closing(open_store(settings)) as connection:
        plans = [plan(stream, connection=connection, now=now()) for stream in chosen]
        connection.rollback()
        changed = [one for one in plans if one is not None]
        if not changed:
            click.echo("Nothing to do: the windows are those of the first commits.", err=True)
            return 0
        _tell(changed, as_json=as_json)
        for one in changed:
            refuse_busy(one.stream.id)
        if not agreed("Take these windows for the streams' own?", yes=yes):
            click.echo("Nothing was changed.", err=True)
            return WRONG
        with stack.instance() as instance:
            for one in changed:
                cut_anew(one.stream, connection=connection, clock=now, tell=partial(show, instance))
                click.echo(f"{one.stream.id}: done.", err=True)
    click.echo("A Dagster that runs must read its definitions again: reload in its UI.", err=True)
    return 0


def _tell(changed: list[Repartition], *, as_json: bool) -> None:
    if as_json:
        for one in changed:
            console.json_line(
                {
                    "name": str(one.stream.id),
                    "connector": one.stream.id.connector,
                    "connection": one.stream.id.connection,
                    "stream": one.stream.id.stream,
                    "was": one.was.windows,
                    "now": one.now.windows,
                    "committed": one.committed,
                    "proven": len(one.proven),
                    "due": one.due,
                }
            )
        return
    rows = [
        [str(one.stream.id), one.was.windows, one.now.windows, one.committed, len(one.proven),
         one.due] for one in changed
    ]  # fmt: skip
    console.out().print(console.table("Windows anew", COLUMNS, rows))
    console.out().print(
        "A new window stays committed where the ledger proves that all of it was loaded after it "
        "had passed. The others are due; rows stay, and what is read again is compared with them.",
        markup=False,
        soft_wrap=True,
    )
