"""What a stream's step does in Dagster: which way it goes, with what, and how its run ends.

Which assets are selected decides: with raw the source is asked, without it what is landed is gone
through once more. A part that fails is noted, the others go on, and the run fails at the end with
the list.
"""

from collections.abc import Mapping
from contextlib import ExitStack, closing
from datetime import UTC, datetime
from typing import Literal

import dagster as dg
import psycopg
from dagster._core.storage.tags import BACKFILL_ID_TAG as BACKFILL_TAG

from integrations.connector_template import loading, rewinding
from integrations.connector_template.connector import BoundStream
from integrations.connector_template.run import Run
from integrations.errors import FixConfig, IntegrationError
from integrations.monitoring import ledger
from integrations.names import Window
from integrations.orchestration import alerts, keys, provenance, stops, ways
from integrations.orchestration.attempts import Attempts, Units, Work
from integrations.orchestration.failures import failure
from integrations.orchestration.partitions import key, partitions, window
from integrations.orchestration.provenance import UNKNOWN
from integrations.orchestration.resources import ConnectionResource, StoreResource, now
from integrations.orchestration.retries import retried
from integrations.orchestration.runs import mark_alive
from integrations.orchestration.telling import Teller, Telling
from integrations.redaction import redact, scrub
from integrations.storage import positions
from integrations.storage.ledger import Cause
from integrations.storage.transaction import translated
from integrations.sync_state.cursors import CursorSync
from integrations.sync_state.windows import WindowSync


class SyncConfig(dg.Config):
    """`accept`: load the good records of a landing although too many of it were refused, or would
    be deleted. `mode` is for streams that are read by cursor: `full` reads from the start, `since`
    from the moment that `since` says (ISO 8601). `rebuild`: make all rows anew from what is landed,
    after a change of the key; choose canonical and the table without raw.
    """

    accept: bool = False
    mode: Literal["incremental", "full", "since"] = "incremental"
    since: str | None = None
    rebuild: bool = False


def sync_stream(stream: BoundStream, context: dg.AssetExecutionContext, config: SyncConfig) -> None:
    """The body of a stream's step. Raises `dg.Failure` that lists what failed."""
    told = provenance.run_tags(stream.id, _mapping(stream, context))
    mark_alive(context.instance, context.run.run_id, told)
    _refuse_nothing(stream, context)
    try:
        with translated(stream.id):
            _sync(stream, context, config)
    except dg.Failure:
        raise
    except Exception as error:  # noqa: BLE001  # whatever it is, without its secrets
        raise failure(str(error), scrub(error)) from None


def _sync(stream: BoundStream, context: dg.AssetExecutionContext, config: SyncConfig) -> None:
    pulls = keys.raw(stream.id) in context.selected_asset_keys
    loads = any(keys.table(one.id) in _selected(context) for one in stream.family)
    since = _since(stream, config, pulls=pulls, loads=loads)
    with ExitStack() as stack:
        work = _work(stream, context, config, stack)
        if config.mode != "incremental":
            _rewind(work, context, since)
        spans = _spans(stream, context)
        attempts = Attempts(work)
        attempts.make(_way(work, spans, config))
        _alert(work)
        # Also what fails to be told is a failure, but of what is committed.
        unheard = work.teller.telling.again()
        if pulls:
            _tidy(work)
        windows = len(spans) if None not in spans else 0
        outcome = attempts.outcome(windows)
        if outcome or unheard:
            left = windows - attempts.tried if not config.rebuild else 0
            rest = [f"{left} windows were not tried"] if left else []
            text = "\n".join([*outcome, *unheard])
            raise failure(text, untold=[*attempts.untold, *rest, *unheard])


def _alert(work: Work) -> None:
    """Tells of too many refusals, by the run's lines in the ledger. Without a database it cannot:
    then the run is red besides."""
    try:
        work.revive()
        entries = ledger.of_runs(work.connection, [work.run.run_id])
        work.connection.rollback()
    except (IntegrationError, psycopg.Error) as error:
        work.log.warning(f"what was refused could not be looked up: {redact(str(error))}")
        return
    alerts.tell(
        work.stream.family, entries, sink=work.teller.telling.event, error=work.log.error
    )  # fmt: skip


def _work(
    stream: BoundStream, context: dg.AssetExecutionContext, config: SyncConfig, stack: ExitStack
) -> Work:
    """All that is needed, opened; `stack` closes it."""
    store: StoreResource = getattr(context.resources, keys.STORE)
    source: ConnectionResource = getattr(
        context.resources, keys.connection(stream.id.connector, stream.id.connection)
    )
    connection = stack.enter_context(closing(store.connect()))
    if not config.rebuild:
        loading.refuse_changed(stream, connection=connection)
    # Without raw this is a replay: no secret is read and the source hears nothing of it.
    pulls = keys.raw(stream.id) in _selected(context)
    if pulls and stops.refused(context.instance, context.run.run_id, stream.id):
        raise stops.not_asked(stream.id)
    backfill = BACKFILL_TAG in context.run.tags
    session = stack.enter_context(source.session(connection, backfill=backfill)) if pulls else None
    telling = Telling(stream.id, context.instance, context.log_event, context.log.warning)
    selected = _selected(context)
    children = [Teller(one, _mapping(one, context), selected, telling) for one in stream.children]
    teller = Teller(stream, _mapping(stream, context), selected, telling, tuple(children))
    work = Work(
        stream, _run(context, config, pulls=pulls), store.connect, connection, store.zone(),
        session, teller, now, context.log,
    )  # fmt: skip
    stack.callback(work.close)
    return work


def _way(work: Work, spans: ways.Spans, config: SyncConfig) -> Units:
    if config.rebuild:
        return ways.rebuilt(work, _every_window(work))
    return ways.replayed(work, spans) if work.session is None else ways.pulled(work, spans)


def _spans(stream: BoundStream, context: dg.AssetExecutionContext) -> ways.Spans:
    """The selected windows and their partitions; None for a stream that has none."""
    definition = partitions(stream)
    if definition is None:
        return {None: None}
    return {window(definition, key): key for key in context.partition_keys}


def _every_window(work: Work) -> Mapping[Window, str]:
    sync, definition = work.stream.stream.sync, partitions(work.stream)
    if definition is None or not isinstance(sync, WindowSync):
        return {}
    windows = sync.windows(work.stream.connection.begins_at, work.clock())
    return {window: key(definition, window) for window in windows}


def _selected(context: dg.AssetExecutionContext) -> frozenset[dg.AssetKey]:
    return frozenset(context.selected_asset_keys)


def _mapping(stream: BoundStream, context: dg.AssetExecutionContext) -> str:
    """The mapping's hash from when this process loaded it; the file may have changed since."""
    return context.assets_def.specs_by_key[keys.canonical(stream.id)].code_version or UNKNOWN


def _refuse_nothing(stream: BoundStream, context: dg.AssetExecutionContext) -> None:
    """Raises `dg.Failure` for a run in which there is nothing to do: it must not end green."""
    if not context.selected_asset_keys:
        raise failure(
            f"the checks of {stream.id} are made while it is synced: materialize its assets instead"
        )
    chosen = context.has_partition_key or context.has_partition_key_range
    if partitions(stream) is not None and not chosen:
        raise failure(f"{stream.id} is read window by window: choose partitions")


def _since(stream: BoundStream, config: SyncConfig, *, pulls: bool, loads: bool) -> datetime | None:
    """The moment of `since`; raises FixConfig for a config that this run cannot fulfil."""
    where, cursor = str(stream.id), isinstance(stream.stream.sync, CursorSync)
    if config.rebuild and (pulls or not loads):
        raise FixConfig(
            "a rebuild makes rows from what is landed",
            where=where,
            todo="Choose canonical and the table, without raw.",
        )
    if config.mode != "incremental" and not pulls:
        raise FixConfig(
            f"mode {config.mode} says how the source is read, and this run does not read it",
            where=where,
            todo="Choose raw too.",
        )
    if (config.mode == "since") != (config.since is not None):
        raise FixConfig("`mode: since` and the moment `since` go together", where=where)
    if config.since is None:
        return None
    if not cursor:
        raise FixConfig(
            "only a stream that is read by cursor can be read since a moment",
            where=where,
            todo="Choose the windows from then on, where it has any.",
        )
    try:
        moment = datetime.fromisoformat(config.since)
    except ValueError:
        raise FixConfig(f"{config.since!r} is no time: write 2026-01-31", where=where) from None
    return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)


def _rewind(work: Work, context: dg.AssetExecutionContext, since: datetime | None) -> None:
    """Has a cursor stream begin anew; a run that takes up a failed one goes on where that was.
    Other streams are read whole by what is selected."""
    if not isinstance(work.stream.stream.sync, CursorSync):
        return
    reset = positions.last_reset(work.connection, work.stream.id)
    work.connection.rollback()
    taken_up = (context.instance.get_run_record_by_id(run_id) for run_id in work.run.retried)
    made = (one.create_timestamp for one in taken_up if one is not None)
    if reset and any(reset.at >= moment.replace(tzinfo=UTC) for moment in made):
        return
    rewinding.rewind(
        work.stream, to=since,
        connection=work.connection, run_id=work.run.run_id, clock=work.clock,
    )  # fmt: skip


def _run(context: dg.AssetExecutionContext, config: SyncConfig, *, pulls: bool) -> Run:
    run, continued = context.run, retried(context.run, context.instance)
    cause: Cause = "backfill" if BACKFILL_TAG in run.tags else "sync"
    if continued:
        cause = "retry"
    if not pulls:
        cause = "replay"
    return Run(run.run_id, run.root_run_id or run.run_id, cause, config.accept, continued)


def _tidy(work: Work) -> None:
    """Old landings go. That they cannot is no reason to call a sync failed."""
    try:
        loading.prune(work.stream.id, connection=work.connection, zone=work.zone, clock=now)
    except Exception as error:  # noqa: BLE001  # said, and tried again by the next run
        work.log.warning(f"old landings could not be removed: {redact(str(error))}")
