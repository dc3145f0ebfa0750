"""`integrations quarantine`: the records that could not pass, shown, tried again, and given up."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import click
import psycopg

from integrations import console
from integrations.commands import FAILED, WRONG, choose
from integrations.commands.asking import agreed
from integrations.connector_template import retrying
from integrations.connector_template.config_schema import SANDBOX
from integrations.connector_template.connector import BoundFeed, BoundStream
from integrations.connector_template.feed_loading import HINT
from integrations.connector_template.run import Run
from integrations.errors import FixConfig, IntegrationError
from integrations.names import StreamId
from integrations.redaction import redact
from integrations.settings import Settings
from integrations.storage import quarantine
from integrations.storage.quarantine import QuarantinedRecord, QuarantineEntry
from integrations.storage.store import open_store
from integrations.storage.transaction import utc_now
from integrations.transport import Session
from integrations.transport.listing import Listing

ENTRIES = [("stream", False), ("key", False), ("why", False), ("times", True), ("last", False)]
RETRIED = [
    ("stream", False), ("tried", True), ("passed", True), ("remain", True), ("left", False),
]  # fmt: skip
REMAIN = [("stream", False), ("key", False), ("why", False), ("times", True)]
MOST_SHOWN = 100


def listed(select: tuple[str, ...], *, closed: bool, limit: int, as_json: bool) -> int:
    """The records that could not pass, the latest first."""
    settings = Settings.find()
    ids = [one.id for one in choose.selected(choose.readers(settings), select)] if select else None
    with closing(open_store(settings)) as connection:
        found = quarantine.entries(connection, streams=ids, closed=closed, limit=limit)
    if as_json:
        for entry in found:
            console.json_line(_values(entry))
        return 0
    rows = [[str(e.stream), e.key, e.reason, e.times, _shown(e.last_at)] for e in found]
    console.out().print(console.table("Quarantine", ENTRIES, rows))
    if len(found) == limit:
        console.out().print(f"Only the latest {limit} are shown; --limit shows more.")
    return 0


def show(name: str, key: str, *, as_json: bool) -> int:
    """One record with all that is known of it."""
    stream = choose.stream_id(name)
    with closing(open_store(Settings.find())) as connection:
        entry = quarantine.show(connection, stream, key=key)
    if entry is None:
        raise FixConfig(
            f"{name} has no record {key!r} in quarantine",
            todo="`integrations quarantine list --all` shows every key.",
        )
    if as_json:
        console.json_line(_values(entry) | {"raw": entry.raw.decode(errors="replace")})
        return 0
    out = console.out()
    for name_, value in _values(entry).items():
        out.print(f"{name_:<10} {value}", markup=False, soft_wrap=True)
    out.print(entry.raw.decode(errors="replace"), markup=False, soft_wrap=True)
    return 0


def _values(entry: QuarantineEntry) -> dict[str, Any]:
    """An entry without its bytes."""
    values: Iterable[tuple[str, Any]] = asdict(entry).items()
    return {k: v for k, v in values if k != "raw"} | {"stream": str(entry.stream)}


def _shown(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S")


@dataclass
class Tried:
    """What became of a stream's entries: those that pass now, those that do not, and why some, or
    all, were left alone."""

    stream: StreamId
    tried: int = 0
    passed: tuple[str, ...] = ()
    remain: list[QuarantineEntry] = field(default_factory=list)
    left: str | None = None
    error: str | None = None


def retry(select: tuple[str, ...], keys: tuple[str, ...], *, as_json: bool) -> int:
    """Tries entries again by their own bytes; gives the exit status."""
    settings = Settings.find()
    chosen = choose.selected(choose.readers(settings), select)
    streams = [one for one in chosen if isinstance(one, BoundStream)]
    feeds = [one for one in chosen if isinstance(one, BoundFeed)]
    with closing(open_store(settings)) as connection:
        entries = {
            one.id: quarantine.open_records(connection, one.id, keys=list(keys) or None)
            for one in chosen
        }
        connection.rollback()
        _refuse_unknown(keys, entries)
        _tell_feeds([one.id for one in feeds if entries[one.id]], alone=not streams)
        done = [
            _retried(stream, entries[stream.id], connection=connection)
            for stream in streams
            if entries[stream.id]
        ]
    _show_tried(done, as_json=as_json)
    return FAILED if any(one.error for one in done) else 0


def _refuse_unknown(keys: Sequence[str], entries: dict[StreamId, list[QuarantinedRecord]]) -> None:
    open_ = {entry.key for found in entries.values() for entry in found}
    if unknown := [key for key in keys if key not in open_]:
        raise FixConfig(
            f"there is no open entry {', '.join(map(repr, unknown))}",
            where=", ".join(map(str, entries)),
            todo="`integrations quarantine list` shows the keys. Nothing was tried.",
        )


def _tell_feeds(feeds: list[StreamId], *, alone: bool) -> None:
    """A feed's own entries are events that nobody could read: of which stream is not known."""
    for feed in feeds:
        wrong = FixConfig(
            "its entries are events that could not be read, and are not tried one by one",
            where=str(feed),
            todo=f"When its file is corrected, `integrations positions rewind {feed}` reads its"
            f" events again; `integrations quarantine discard {feed} KEY` gives one up.",
        )
        if alone:
            raise wrong
        click.echo(f"left alone: {wrong}", err=True)


def _retried(
    stream: BoundStream,
    entries: list[QuarantinedRecord],
    *,
    connection: psycopg.Connection[Any],
) -> Tried:
    done = Tried(stream.id)
    run_id = str(uuid4())
    hints = sum(entry.rule == HINT for entry in entries)
    try:
        with _session(stream, wanted=bool(hints), connection=connection) as (session, lacking):
            if lacking:
                done.left = f"{hints:,} wait to be fetched: {lacking}"
            result = retrying.retry(
                stream, entries, connection=connection, session=session,
                run=Run(run_id, run_id, "retry"), clock=utc_now,
            )  # fmt: skip
    except IntegrationError as error:
        done.error = redact(str(error))
        return done
    done.tried = result.entry.records if result.entry else 0
    done.passed = result.passed
    keys = [entry.key for entry in entries]
    still = quarantine.open_records(connection, stream.id, keys=keys)
    done.remain = list(still)
    connection.rollback()
    return done


@contextmanager
def _session(
    stream: BoundStream, *, wanted: bool, connection: psycopg.Connection[Any]
) -> Iterator[tuple[Session[Listing] | None, str | None]]:
    """A session with the stream's source where one is wanted and can be had, or why not."""
    if not wanted:
        yield None, None
        return
    if stream.id.connection != SANDBOX and (names := choose.missing(stream)):
        yield None, f"{stream.id.connector}/{stream.id.connection} has no {', '.join(names)}"
        return
    from integrations.orchestration.resources import ConnectionResource

    source = ConnectionResource.of(stream.id.connector, stream.id.connection, stream.config)
    with ExitStack() as stack:
        session, lacking = None, None
        try:
            session = stack.enter_context(source.session(connection))
        except FixConfig as error:  # the twin does not run
            lacking = redact(str(error))
        yield session, lacking


def _show_tried(done: list[Tried], *, as_json: bool) -> None:
    if as_json:
        for one in done:
            console.json_line(
                {
                    "name": str(one.stream),
                    "tried": one.tried,
                    "passed": list(one.passed),
                    "remain": [{"key": e.key, "reason": e.reason} for e in one.remain],
                    "left": one.left,
                    "error": one.error,
                }
            )
    elif not done:
        click.echo("Nothing to try: there are no open entries.")
    else:
        out = console.out()
        rows = [
            [str(one.stream), one.tried, len(one.passed), len(one.remain), one.left] for one in done
        ]
        out.print(console.table("Tried again", RETRIED, rows))
        remain = [entry for one in done for entry in one.remain]
        if remain:
            shown = [[str(e.stream), e.key, e.reason, e.times] for e in remain[:MOST_SHOWN]]
            out.print(console.table("Still in quarantine", REMAIN, shown))
        if len(remain) > MOST_SHOWN:
            out.print(f"… and {len(remain) - MOST_SHOWN:,} more: `integrations quarantine list`.")
    for one in done:
        if one.error:
            click.echo(f"failed: {one.stream}: {one.error}", err=True)


def discard(name: str, keys: tuple[str, ...], *, yes: bool) -> int:
    """Gives entries up; gives the exit status."""
    stream = choose.stream_id(name)
    with closing(open_store(Settings.find())) as connection:
        found = quarantine.open_records(connection, stream, keys=list(keys))
        connection.rollback()
        _refuse_unknown(keys, {stream: found})
        for entry in found:
            click.echo(f"{entry.key}: {entry.reason}", err=True)
        records = "1 record" if len(found) == 1 else f"{len(found):,} records"
        if not agreed(f"Give {records} of {name} up?", yes=yes):
            click.echo("Nothing was changed.")
            return WRONG
        gone = quarantine.discard(connection, stream, keys=keys)
        connection.commit()
    for key in gone:
        click.echo(f"Discarded {key!r}.")
    click.echo("The same bytes will not come back; the source's next other statement may.")
    return 0
