"""`integrations undelete`: rows that a run deleted, brought back."""

from contextlib import closing
from uuid import uuid4

import click
import psycopg

from integrations import console
from integrations.commands import choose
from integrations.connector_template import loading
from integrations.connector_template.connector import BoundStream
from integrations.errors import FixConfig
from integrations.settings import Settings
from integrations.storage import undo
from integrations.storage.store import open_store
from integrations.storage.transaction import utc_now as now
from integrations.storage.undo import Deletion

COLUMNS = [
    ("run", False), ("deleted", True), ("by absence", True), ("can come back", True),
    ("from", False), ("to", False),
]  # fmt: skip


def undelete(name: str, *, run: str | None, as_json: bool) -> int:
    """Lists the runs that deleted rows of a stream, or brings back what one of them deleted."""
    settings = Settings.find()
    stream = choose.one(choose.streams(settings), name)
    with closing(open_store(settings)) as connection:
        loading.prepare(stream, connection=connection)
        found = undo.deletions(connection, stream.mapping.entity.table(), stream.id)
        connection.rollback()
        if run is None:
            _show(stream, found, as_json=as_json)
            return 0
        return _bring_back(stream, run, found, connection=connection, as_json=as_json)


def _show(stream: BoundStream, found: list[Deletion], *, as_json: bool) -> None:
    if as_json:
        for one in found:
            console.json_line({"name": str(stream.id), **vars(one)})
        return
    rows = [
        [one.run_id, one.rows, one.absent, one.whole, *(f"{at:%Y-%m-%d %H:%M:%S}" for at in
         (one.first_at, one.last_at))] for one in found
    ]  # fmt: skip
    console.out().print(console.table(f"Deleted from {stream.id}", COLUMNS, rows))
    if found:
        console.out().print(f"`integrations undelete {stream.id} --run RUN` brings rows back.")


def _bring_back(
    stream: BoundStream,
    run: str,
    found: list[Deletion],
    *,
    connection: psycopg.Connection,
    as_json: bool,
) -> int:
    deleted = next((one for one in found if one.run_id == run), None)
    if deleted is None or not deleted.whole:
        raise FixConfig(
            f"run {run!r} has deleted nothing that could come back",
            where=str(stream.id),
            todo=f"`integrations undelete {stream.id}` lists the runs that did.",
        )
    line = undo.undelete(
        connection, stream.mapping.entity.table(), stream.id,
        deleted_by=run, run_id=str(uuid4()), clock=now,
    )  # fmt: skip
    back = line.updated if line else 0
    left = deleted.rows - back
    if as_json:
        console.json_line({"name": str(stream.id), "deleted_by": run, "rows": back, "left": left})
    else:
        click.echo(f"{back:,} rows of {stream.id} are back.")
    if left:
        told = f"{left:,} stay deleted: their values were never seen, or they changed."
        click.echo(told, err=True)
    click.echo(
        "A next full reading that still lacks them deletes them again; so does a next tombstone.",
        err=True,
    )
    return 0
