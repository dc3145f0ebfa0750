"""`integrations check`: every mistake in the connectors' files, and with `--live` a first page."""

from contextlib import ExitStack
from pathlib import Path

import pyarrow as pa
from rich.markdown import Markdown
from rich.markup import escape

from integrations import console
from integrations.connector_template.config_schema import SANDBOX
from integrations.connector_template.connector import FILE, BoundStream, Connector
from integrations.connector_template.folders import folders, read
from integrations.errors import FixConfig, IntegrationError
from integrations.orchestration import stack
from integrations.orchestration.resources import ConnectionResource, now
from integrations.redaction import redact
from integrations.settings import Settings
from integrations.sync_state.windows import WindowSync
from integrations.transformation.describe import masked
from integrations.transformation.transform import Transformer
from integrations.transport.rest import RestSession

FAILED, WRONG, CHECK_ERROR = 1, 2, 3


def check(name: str | None, *, live: bool) -> int:
    """Checks the named connector, or all; gives the exit status."""
    loaded, broken = read(_folders(name))
    out = console.out()
    for connector in loaded:
        streams = len(connector.config.sync_handler.streams)
        out.print(f"[green]ok[/] {connector.name}: {streams} streams ({connector.folder / FILE})")
    for error in broken.values():
        out.print(f"[red]wrong[/] {error.what}")
        for mistake in error.mistakes:
            out.print(f"  {mistake}", markup=False, soft_wrap=True)
    if broken:
        return WRONG
    return max([0, *(_live(connector) for connector in loaded)]) if live else 0


def _folders(name: str | None) -> list[Path]:
    path = Path(name) if name else None
    if path is not None and (path / FILE).is_file():
        return [path.resolve()]
    found = folders(Settings.find(create=True).connectors_path)
    if name is None:
        return found
    named = [folder for folder in found if folder.name == name]
    if not named:
        known = ", ".join(folder.name for folder in found)
        raise FixConfig(f"no connector is called {name!r}", todo=f"There are: {known}")
    return named


def _live(connector: Connector) -> int:
    """Maps a first page of each ready connection's streams; 3 when a stream would be blocked."""
    settings = Settings.find(create=True)
    status = 0
    for name, account in connector.config.connections.items():
        place = f"{connector.name}/{name}"
        if not account.ready():
            missing = [ref.name for ref in account.secrets.values() if not ref.available()]
            console.err().print(f"left out: {place} has no {', '.join(missing)}", markup=False)
            continue
        with ExitStack() as open_:
            if name == SANDBOX:
                open_.enter_context(stack.twins(settings))
            resource = ConnectionResource.of(connector.name, name, connector.config)
            session = open_.enter_context(resource.open())
            for stream in connector.streams():
                if stream.id.connection == name:
                    status = max(status, _try(stream, session))
    return status


def _try(stream: BoundStream, session: RestSession) -> int:
    """One stream: its first page, mapped; shows rows and refusals and loads nothing."""
    out = console.out()
    sync = stream.stream.sync
    window = None
    if isinstance(sync, WindowSync):
        window = max(sync.windows(stream.connection.begins_at, now()), default=None)
        if window is None:
            out.print(f"[green]ok[/] {stream.id}: no window has passed yet")
            return 0
    try:
        page = next(session.pages(stream.stream.request, window=window), None)
        records = [bytes(record) for record in page.records] if page else []
        mapped = Transformer(stream.mapping)
        result = mapped.run(pa.array(records, pa.binary()), seen_at=now())
    except IntegrationError as error:
        out.print(f"[red]failed[/] {stream.id}: {escape(redact(str(error)))}")
        return FAILED
    refused = result.refused.num_rows
    word = "[red]wrong[/]" if refused == len(records) > 0 else "[green]ok[/]"
    out.print(f"{word} {stream.id}: {len(records)} records, {refused} refused")
    if result.rows.num_rows:
        out.print(Markdown(masked(result.rows, stream.mapping.entity, limit=3)))
    for refusal in result.refused.slice(0, 5).to_pylist():
        out.print(f"  refused {refusal['key']}: {refusal['reason']}", markup=False)
    return CHECK_ERROR if refused == len(records) > 0 else 0
