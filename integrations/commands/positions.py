"""`integrations positions show/set/rewind`: where each stream and feed stands, and that changed."""

from contextlib import closing
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import click
import psycopg

from integrations import console
from integrations.commands import WRONG, choose
from integrations.commands.asking import agreed
from integrations.connector_template import rewinding
from integrations.connector_template.connector import BoundFeed
from integrations.connector_template.due import due, feed_due
from integrations.connector_template.rewinding import Positioned
from integrations.errors import FixConfig
from integrations.names import StreamId
from integrations.settings import Settings
from integrations.storage import positions
from integrations.storage.store import open_store
from integrations.storage.transaction import utc_now as now

COLUMNS = [
    ("stream", False), ("kind", False), ("position", False), ("committed", False),
    ("checked", False), ("due", True), ("generation", True), ("last reset", False),
]  # fmt: skip


def show(select: tuple[str, ...], *, as_json: bool) -> int:
    """One line for each stream and feed."""
    settings = Settings.find()
    found = choose.readers(settings)
    chosen = choose.selected(found, select) if select else found
    with closing(open_store(settings)) as connection:
        lines = [_line(reader, connection) for reader in chosen]
    if as_json:
        for line in lines:
            console.json_line(line)
        return 0
    console.out().print(console.table("Positions", COLUMNS, map(_row, lines)))
    return 0


def _line(reader: Positioned, connection: psycopg.Connection[Any]) -> dict[str, Any]:
    reset = positions.last_reset(connection, reader.id)
    line = {
        "name": str(reader.id),
        "connector": reader.id.connector,
        "connection": reader.id.connection,
        "stream": reader.id.stream,
        "kind": rewinding.kind(reader),
        "due": _due(reader, connection),
        "generation": positions.generation(connection, reader.id),
        "reset_at": reset.at if reset else None,
        "reset_why": reset.why if reset else None,
    }
    if line["kind"] == "window":
        return line | _windows(reader.id, connection)
    at = positions.at(connection, reader.id)
    line |= {"committed_at": at.committed_at if at else None, "run_id": at.run_id if at else None}
    if line["kind"] == "full":
        return line | {"read_at": at.pulled_at if at else None}
    return line | {"cursor": at.cursor if at else None, "checked_at": at.checked_at if at else None}


def _due(reader: Positioned, connection: psycopg.Connection[Any]) -> int:
    if isinstance(reader, BoundFeed):
        return int(feed_due(reader, connection, now=now()))
    return sum(len(stretch) or 1 for stretch in due(reader, connection, now=now()))


def _windows(stream: StreamId, connection: psycopg.Connection[Any]) -> dict[str, Any]:
    known = list(positions.committed(connection, stream).values())
    windows = [one.window for one in known if one.window is not None]
    newest = max(known, key=lambda one: one.committed_at, default=None)
    return {
        "committed_at": newest.committed_at if newest else None,
        "run_id": newest.run_id if newest else None,
        "windows": len(windows),
        "since": min((one.start for one in windows), default=None),
        "until": max((one.end for one in windows), default=None),
    }


def _row(line: dict[str, Any]) -> list[object]:
    position: str | None
    match line["kind"]:
        case "window" if line["windows"]:
            since, until = _minute(line["since"]), _minute(line["until"])
            position = f"{line['windows']:,} windows from {since} to {until}"
        case "window":
            position = "no window"
        case "full":
            position = f"read {_minute(line['read_at'])}" if line["read_at"] else "never read"
        case _:
            position = line["cursor"] or ("no position yet" if line["committed_at"] else None)
    reset = f"{_minute(line['reset_at'])}: {line['reset_why']}" if line["reset_at"] else None
    return [
        line["name"], line["kind"], position, _minute(line["committed_at"]),
        _minute(line.get("checked_at")), line["due"], line["generation"], reset,
    ]  # fmt: skip


def _minute(moment: datetime | None) -> str | None:
    return moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M") if moment else None


def set_to(name: str, value: str, *, yes: bool) -> int:
    """Sets what is read by cursor to a position; gives the exit status."""
    settings = Settings.find()
    reader = choose.read_itself(choose.readers(settings), name)
    rewinding.settable(reader, value)
    with closing(open_store(settings)) as connection:
        was = positions.at(connection, reader.id)
        connection.rollback()
        stands = repr(was.cursor) if was and was.cursor else "at its start"
        _warn(
            f"{name} goes on after {value!r}; now it stands at {stands}.",
            "What follows the new position is read again, as far as it was read; rows are "
            "compared, not doubled.",
            "Records between the old and the new position are not read unless "
            f"{_unless(reader)}: that is so where the new position is the later one.",
        )
        if not _wanted(f"Set the position of {name} to {value!r}?", reader.id, yes=yes):
            return WRONG
        rewinding.set_to(reader, value, connection=connection, run_id=str(uuid4()), clock=now)
    click.echo(f"{name} stands at {value!r} now.")
    return 0


def rewind(name: str, *, to: datetime | None, yes: bool) -> int:
    """Has a stream or feed read again; gives the exit status."""
    settings = Settings.find()
    reader = choose.read_itself(choose.readers(settings), name)
    since = rewinding.begins(reader, to, now=now())
    with closing(open_store(settings)) as connection:
        _warn(*_meaning(reader, since))
        back = f"to {_minute(since)} UTC" if since else "to its start"
        if not _wanted(f"Rewind {name} {back}?", reader.id, yes=yes):
            return WRONG
        rewinding.rewind(reader, to=to, connection=connection, run_id=str(uuid4()), clock=now)
        is_due = _due(reader, connection)
    amount = f"{is_due:,} windows are due" if rewinding.kind(reader) == "window" else "it is due"
    click.echo(f"{name} is rewound {back}: {amount if is_due else 'nothing is due yet'}.")
    return 0


def _meaning(reader: Positioned, since: datetime | None) -> list[str]:
    """What a rewind means, in words."""
    told = ["Rows stay; what is read again is compared with them."]
    match rewinding.kind(reader):
        case "window" if since:
            return [f"Windows of {reader.id} that end after {_minute(since)} UTC are due.", *told]
        case "window":
            return [f"All windows of {reader.id} since its start are due again.", *told]
        case "full":
            return [f"{reader.id} is read in full again.", *told]
        case "cursor" if since:
            return [f"{reader.id} is read again from {_minute(since)} UTC on.", *told]
        case "cursor":
            return [f"{reader.id} is read again from its start, however long that takes.", *told]
        case _:
            again = f"Events of {reader.id} since {_minute(since)} UTC are read again"
            return [f"{again}; what rows already say newer stays.", "Older ones are not read."]


def _unless(reader: Positioned) -> str:
    if not isinstance(reader, BoundFeed):
        return f"`integrations positions rewind {reader.id}` has them read"
    names = ", ".join(sorted({str(stream.id) for stream in reader.routes.values()}))
    return f"its streams are read in full (rewind {names})"


def _warn(*lines: str) -> None:
    for line in lines:
        click.echo(line, err=True)


def _wanted(question: str, reader: StreamId, *, yes: bool) -> bool:
    """Whether a person wants it, and no run of it is under way, which raises FixConfig."""
    refuse_busy(reader)
    if agreed(question, yes=yes):
        return True
    click.echo("Nothing was changed.")
    return False


def refuse_busy(reader: StreamId) -> None:
    """Raises FixConfig while a run of the stream or feed is under way: its loads could not commit
    any more."""
    from integrations.orchestration import stack
    from integrations.orchestration.busy import runs_of

    with stack.instance() as instance:
        running = runs_of(instance, reader)
    if running:
        raise FixConfig(
            f"{reader} is being synced (run {', '.join(running)})",
            todo="Nothing was changed; end the run, or wait for its end.",
        )
