"""`integrations check`: every mistake in the connectors' files, and with `--live` a first page."""

from contextlib import ExitStack, closing
from datetime import timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
from rich.markup import escape

from integrations import console
from integrations.commands import CHECK_ERROR, FAILED, WRONG
from integrations.commands.preview import tale
from integrations.connector_template import connections, lookups
from integrations.connector_template.config_schema import SANDBOX, ConnectorConfig
from integrations.connector_template.connector import BoundFeed, BoundStream, Connector
from integrations.connector_template.folders import folders, read
from integrations.connector_template.previewing import Previewer
from integrations.errors import FixConfig, IntegrationError
from integrations.names import Window
from integrations.orchestration import stack
from integrations.orchestration.resources import ConnectionResource, now, quota_uses
from integrations.redaction import redact
from integrations.settings import CONNECTOR_FILE, Settings
from integrations.storage.connections import kept
from integrations.storage.store import open_store
from integrations.sync_state.cursors import CursorSync
from integrations.sync_state.windows import WindowSync
from integrations.transformation.transform import Transformer
from integrations.transport import Ask, Session

BUDGET_S = 10.0
"""Seconds of waiting for a source that is busy or away."""
ROWS = 1
"""Rows of each stream, field by field."""


def check(name: str | None, *, live: bool) -> int:
    """Checks the named connector, or all; gives the exit status."""
    loaded, broken = read(_folders(name))
    out = console.out()
    for connector in loaded:
        streams = len(connector.config.sync_handler.streams)
        file = connector.folder / CONNECTOR_FILE
        out.print(f"[green]ok[/] {connector.name}: {streams} streams ({file})")
        for limit in connector.config.sync_handler.transport.quota:
            out.print(f"  keeps to {limit}", markup=False)
    for error in broken.values():
        out.print(f"[red]wrong[/] {error.what}")
        for mistake in error.mistakes:
            out.print(f"  {mistake}", markup=False, soft_wrap=True)
    if broken:
        return WRONG
    return _all_live(loaded) if live else 0


def _folders(name: str | None) -> list[Path]:
    path = Path(name) if name else None
    if path is not None and (path / CONNECTOR_FILE).is_file():
        return [path.resolve()]
    found = folders(Settings.find(create=True).connectors_path)
    if name is None:
        return found
    named = [folder for folder in found if folder.name == name]
    if not named:
        known = ", ".join(folder.name for folder in found)
        raise FixConfig(f"no connector is called {name!r}", todo=f"There are: {known}")
    return named


def _all_live(loaded: list[Connector]) -> int:
    """Tries these connectors with what was added to them; the worst of their statuses.

    An addition that cannot be used is wrong. No database is started for it: where it is away, what
    it said last counts.
    """
    names = {connector.name for connector in loaded}
    added = [one for one in kept(Settings.find(create=True)) if one.connector in names]
    connectors, unusable = connections.merged(loaded, added)
    for error in unusable.values():
        console.out().print(f"[red]wrong[/] {escape(redact(str(error)))}", soft_wrap=True)
    return max([WRONG if unusable else 0, *(_live(connector) for connector in connectors)])


def _live(connector: Connector) -> int:
    """Maps a first page of each ready connection's streams and feeds; the worst of their statuses.

    What keeps one connection from opening is said, and the others are tried. That none can be tried
    is wrong: nothing is known then.
    """
    status, tried = 0, False
    for name, account in connector.config.connections.items():
        place = f"{connector.name}/{name}"
        if not account.ready():
            lacking = [ref.name for ref in account.secrets.values() if not ref.available()]
            console.err().print(f"left out: {place} has no {', '.join(lacking)}", markup=False)
            continue
        tried = True
        try:
            status = max(status, _connection(connector, name))
        except IntegrationError as error:
            status = max(status, _failed(place, error))
    if tried:
        return status
    console.out().print(f"[red]wrong[/] {connector.name}: none of its connections could be tried")
    return WRONG


def _connection(connector: Connector, name: str) -> int:
    """One connection: each of its streams and feeds, over one session."""
    with ExitStack() as open_:
        if name == SANDBOX:
            open_.enter_context(stack.twins(Settings.find(create=True)))
        resource = ConnectionResource.of(connector.name, name, _hurried(connector.config))
        session = open_.enter_context(resource.open())
        streams = [one for one in connector.streams() if one.id.connection == name]
        feeds = [one for one in connector.feeds() if one.id.connection == name]
        tried = [_try(stream, session) for stream in streams]
        tried += [_try_feed(feed, session) for feed in feeds]
        for use in quota_uses(session):
            console.out().print(f"  quota {use}", markup=False)
        return max(tried)


def _hurried(config: ConnectorConfig) -> ConnectorConfig:
    """The same with a short patience: a person waits for the answer, and can ask again."""
    handler = config.sync_handler
    budget = min(BUDGET_S, handler.transport.retry.budget_s)
    retry = handler.transport.retry.model_copy(update={"budget_s": budget})
    transport = handler.transport.model_copy(update={"retry": retry})
    handler = handler.model_copy(update={"transport": transport})
    return config.model_copy(update={"sync_handler": handler})


def _try(stream: BoundStream, session: Session[Any]) -> int:
    """One stream: its first page, mapped; shows rows and refusals and loads nothing.

    It is wrong when nothing of the page passes, or when a sync would be blocked by it.
    """
    out = console.out()
    sync = stream.stream.sync
    window = None
    if isinstance(sync, WindowSync):
        window = max(sync.windows(stream.connection.begins_at, now()), default=None)
        if window is None:
            out.print(f"[green]ok[/] {stream.id}: no window has passed yet")
            return 0
    try:
        records = _first_page(stream, window, session)
        previewer = Previewer(stream, _transformer(stream), limit=ROWS)
        previewer.add(records, seen_at=now())
    except IntegrationError as error:
        return _failed(str(stream.id), error)
    found = previewer.preview.found
    said = found.status(accept=False)
    wrong = said == "blocked" or found.refused == found.received > 0
    word = "[red]wrong[/]" if wrong else f"[{console.COLOURS[said]}]{said}[/]"
    out.print(f"{word} {stream.id}: {len(records)} records, {found.refused} refused")
    for line in tale(previewer.preview):
        out.print(line, markup=False, soft_wrap=True)
    return CHECK_ERROR if wrong else 0


def _transformer(stream: BoundStream) -> Transformer:
    """The stream's; what it looks up in is in the database, which else is left alone."""
    if not stream.mapping.needs:
        return Transformer(stream.mapping, secrets=stream.secrets())
    with closing(open_store(Settings.find(create=True))) as connection:
        return lookups.transformer(stream, connection=connection)


def _first_page(
    stream: BoundStream, window: Window | None, session: Session[Any]
) -> pa.BinaryArray:
    """The records with which a pull of the stream begins."""
    sync = stream.stream.sync
    place = sync.position if isinstance(sync, CursorSync) else None
    pages = session.pages(stream.stream.request, ask=Ask(window=window), position=place)
    # The first page of a file that is refused holds none.
    told = (page for page in pages if page.records) if stream.of_files else pages
    page = next(told, None)
    return pa.array(map(bytes, page.records if page else ()), pa.binary())


def _try_feed(feed: BoundFeed, session: Session[Any]) -> int:
    """One feed: the newest page of its events, and which streams they speak of.

    It is wrong when none of them can be read.
    """
    out = console.out()
    oldest = now() - timedelta(days=feed.feed.retention_days)
    ask = Ask(since=max(feed.connection.begins_at, oldest))
    try:
        page = next(session.pages(feed.feed.request, ask=ask), None)
        events = pa.array(map(bytes, page.records if page else ()), pa.binary())
        routed = feed.router.run(events, seen_at=now())
    except IntegrationError as error:
        return _failed(str(feed.id), error)
    refused = routed.refused.num_rows
    wrong = refused == routed.received > 0
    counts = [f"{len(lane)} for {stream}" for stream, lane in sorted(routed.lanes.items())]
    counts += [f"{routed.unrouted} of no route", f"{refused} refused"]
    word = "[red]wrong[/]" if wrong else "[green]ok[/]"
    out.print(f"{word} {feed.id}: {routed.received} events: {', '.join(counts)}", soft_wrap=True)
    _show(routed.refused)
    return CHECK_ERROR if wrong else 0


def _show(refused: pa.Table) -> None:
    for refusal in refused.slice(0, 5).to_pylist():
        said = f"  refused {refusal['key']}: {refusal['reason']}"
        console.out().print(said, markup=False)


def _failed(place: str, error: IntegrationError) -> int:
    """Says why a connection or a stream could not be tried; its status."""
    console.out().print(f"[red]failed[/] {place}: {escape(redact(str(error)))}", soft_wrap=True)
    return WRONG if isinstance(error, FixConfig) else FAILED
