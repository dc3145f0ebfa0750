"""What a feed's step does in Dagster: one turn, told from the ledger.

A turn commits landing by landing. One that fails half-way has committed what came before, so what
is told is what the ledger says, and the run fails with the reason.
"""

from collections.abc import Callable, Sequence
from contextlib import ExitStack, closing, suppress
from typing import Any

import dagster as dg
import psycopg

from integrations.connector_template import loading
from integrations.connector_template.connector import BoundFeed
from integrations.connector_template.feed import turn
from integrations.connector_template.gaps import open_gap
from integrations.connector_template.run import Run
from integrations.error_handling.budget import Use
from integrations.errors import LedgerUnbalanced
from integrations.orchestration import alerts, checks, feed_report, keys, stops
from integrations.orchestration.failures import failure
from integrations.orchestration.feed_report import FEED, Said
from integrations.orchestration.resources import (
    ConnectionResource,
    StoreResource,
    now,
    quota_uses,
)
from integrations.orchestration.retries import retried
from integrations.orchestration.runs import mark_alive
from integrations.redaction import redact, scrub
from integrations.storage import positions
from integrations.storage.transaction import translated


class FeedConfig(dg.Config):
    """`accept`: load the good records of a landing although too many of it were refused."""

    accept: bool = False


def read_feed(feed: BoundFeed, context: dg.AssetExecutionContext, config: FeedConfig) -> None:
    """The body of a feed's step. Raises `dg.Failure` with what went wrong: a landing that is
    blocked, a gap that was found, an error."""
    mark_alive(context.instance, context.run.run_id, {FEED: str(feed.id)})
    if not context.selected_asset_keys:
        raise failure(f"the checks of {feed.id} are made while it is read: materialize it instead")
    try:
        with translated(feed.id):
            _read(feed, context, config)
    except dg.Failure:
        raise
    except Exception as error:  # noqa: BLE001  # whatever it is, without its secrets
        raise failure(str(error), scrub(error)) from None


def _read(feed: BoundFeed, context: dg.AssetExecutionContext, config: FeedConfig) -> None:
    store: StoreResource = getattr(context.resources, keys.STORE)
    source: ConnectionResource = getattr(
        context.resources, keys.connection(feed.id.connector, feed.id.connection)
    )
    run = _run(context, config)
    if stops.refused(context.instance, run.run_id, feed.id):
        raise stops.not_asked(feed.id)
    with ExitStack() as stack:
        connection = stack.enter_context(closing(store.connect()))
        session = stack.enter_context(source.session(connection))
        began, zone = now(), store.zone()
        error: Exception | None = None
        gap: str | None = None
        try:
            done = turn(feed, connection=connection, zone=zone, session=session, run=run, clock=now)
            gap = done.gap
        except Exception as raised:  # noqa: BLE001  # told with what was committed before it
            error = raised
            # Anew: the failure may be that the old one broke, noticed or not.
            connection = stack.enter_context(closing(store.connect()))
            loading.note_failure(
                feed.id, None, raised, connection=connection, run=run, began_at=began, clock=now
            )
            with suppress(Exception):  # Dagster's storage may be what fails
                stops.note(context.instance, run.run_id, raised, feed.id)
        said = _tell(feed, context, connection, error=error, quota=quota_uses(session))
        if error is None:
            _tidy(
                lambda: loading.prune(feed.id, connection=connection, zone=zone, clock=now), context
            )
    if error is not None:
        raise failure(str(error), scrub(error), untold=[])
    blocked = _blocked(said)
    if gap or blocked:
        raise failure("\n".join(filter(None, [gap, blocked])), untold=[gap] if gap else [])


def _run(context: dg.AssetExecutionContext, config: FeedConfig) -> Run:
    run, continued = context.run, retried(context.run, context.instance)
    root = run.root_run_id or run.run_id
    return Run(run.run_id, root, "retry" if continued else "sync", config.accept, continued)


def _tell(
    feed: BoundFeed,
    context: dg.AssetExecutionContext,
    connection: psycopg.Connection[Any],
    *,
    error: Exception | None,
    quota: Sequence[Use],
) -> Said:
    """Logs what the run has committed, and the checks; gives what the ledger says."""
    said = Said.of(connection, feed.id, context.run.run_id)
    position = positions.at(connection, feed.id)
    gap = open_gap(feed, connection=connection)
    connection.rollback()
    if said.committed or (error is None and not said.own):
        context.log_event(feed_report.materialization(said, position, quota=quota))
    for one in feed_report.evaluations(said, gap=gap, broken=_broken(error)):
        context.log_event(checks.targeted(one, context.instance))
    alerts.tell(
        feed.routes.values(), said.spoken, sink=context.log_event, error=context.log.error
    )  # fmt: skip
    return said


def _broken(error: Exception | None) -> dict[str, str]:
    """The check that fails with an error, where it is another one than the ledger would say."""
    return {checks.BALANCE: str(error)} if isinstance(error, LedgerUnbalanced) else {}


def _blocked(said: Said) -> str | None:
    if said.status() != "blocked":
        return None
    refused, received = said.total("quarantined"), said.total("received")
    words = said.errors() or [f"{refused} of {received} units were refused"]
    return f"{said.feed}: blocked, {'; '.join(words)}"


def _tidy(prune: Callable[[], None], context: dg.AssetExecutionContext) -> None:
    """Old landings go. That they cannot is no reason to call a turn failed."""
    try:
        prune()
    except Exception as error:  # noqa: BLE001  # said, and tried again by the next run
        with suppress(Exception):
            context.log.warning(f"old landings could not be removed: {redact(str(error))}")
