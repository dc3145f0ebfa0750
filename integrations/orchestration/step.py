"""What a stream's step does in Dagster: its windows one by one, each reported as it is done.

A window that fails is noted, with a ledger line and its checks; the others go on, and the run fails
at the end with the list. The rest is not tried where it would fare the same: after a refused
credential (sources block who keeps trying), a wrong setting, a source that stayed away for as long
as its file lets us wait, and a database to which no connection can be made.
"""

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial

import dagster as dg
import psycopg

from integrations.connector_template import pipeline
from integrations.connector_template.connector import BoundStream
from integrations.connector_template.pipeline import Checked, Run
from integrations.errors import FixConfig, LedgerUnbalanced, RetryLater, StopConnection, StopStream
from integrations.names import Window
from integrations.orchestration import checks, keys, report
from integrations.orchestration.partitions import partitions, window
from integrations.orchestration.resources import ConnectionResource, StoreResource, now
from integrations.orchestration.retries import retried
from integrations.orchestration.runs import mark_alive
from integrations.redaction import redact, redacted, scrub
from integrations.storage.landing import LandingZone, Manifest
from integrations.storage.ledger import Cause, LedgerEntry, Status
from integrations.transport.rest import RestSession

UNTOLD = "beyond the ledger"
"""The metadata of a run's failure that holds what of it no ledger line says, one a line."""

MOST_AWAY = 2
"""Windows in a row for which the source may be waited for in vain."""


class SyncConfig(dg.Config):
    """`accept`: load the good records of a landing although too many of it were refused."""

    accept: bool = False


def sync_stream(stream: BoundStream, context: dg.AssetExecutionContext, config: SyncConfig) -> None:
    """The body of a stream's step. Raises `dg.Failure` that lists the windows that failed."""
    mark_alive(context.instance, context.run.run_id)
    _refuse_nothing(stream, context)
    try:
        _sync(stream, context, config)
    except dg.Failure:
        raise
    except Exception as error:  # noqa: BLE001  # whatever it is, without its secrets
        raise failure(str(error), scrub(error)) from None


def _sync(stream: BoundStream, context: dg.AssetExecutionContext, config: SyncConfig) -> None:
    store: StoreResource = getattr(context.resources, keys.STORE)
    source: ConnectionResource = getattr(
        context.resources, keys.connection(stream.id.connector, stream.id.connection)
    )
    selected = frozenset(context.selected_asset_keys)
    with ExitStack() as stack:
        connection = stack.enter_context(closing(store.connect()))
        pipeline.refuse_changed(stream, connection=connection)
        # Without raw this is a replay: no secret is read and the source hears nothing of it.
        pulls = keys.raw(stream.id) in selected
        session = stack.enter_context(source.open()) if pulls else None
        run = _run(context, config, pulls=pulls)
        step = Step(stream, context, run, store, connection, store.zone(), session, selected)
        stack.callback(step.close)
        step.windows()


def _refuse_nothing(stream: BoundStream, context: dg.AssetExecutionContext) -> None:
    """Raises `dg.Failure` for a run in which there is nothing to do: it must not end green."""
    if not context.selected_asset_keys:
        raise failure(
            f"the checks of {stream.id} are made while it is synced: materialize its assets instead"
        )
    chosen = context.has_partition_key or context.has_partition_key_range
    if partitions(stream) is not None and not chosen:
        raise failure(f"{stream.id} is read window by window: choose partitions")


def failure(
    description: str, error: Exception | None = None, *, untold: Sequence[str] | None = None
) -> dg.Failure:
    """What Dagster keeps of an error: its words and its trace without the secrets in it. `untold`
    is what of the words is in no ledger line, None for all of them."""
    metadata: dict[str, dg.MetadataValue] = {}
    if error is not None:
        metadata["trace"] = dg.MetadataValue.md(f"```\n{redacted(error)}\n```")
    if untold is not None:
        metadata[UNTOLD] = dg.MetadataValue.text(redact("\n".join(untold)))
    return dg.Failure(redact(description), metadata=metadata, allow_retries=False)


def _run(context: dg.AssetExecutionContext, config: SyncConfig, *, pulls: bool) -> Run:
    run, continued = context.run, retried(context.run, context.instance)
    cause: Cause = "backfill" if "dagster/backfill" in run.tags else "sync"
    if continued:
        cause = "retry"
    if not pulls:
        cause = "replay"
    return Run(run.run_id, run.root_run_id or run.run_id, cause, config.accept, continued)


@dataclass
class Step:
    """One run of a stream's step, over the windows that were selected."""

    stream: BoundStream
    context: dg.AssetExecutionContext
    run: Run
    store: StoreResource
    connection: psycopg.Connection
    zone: LandingZone
    session: RestSession | None
    selected: frozenset[dg.AssetKey]
    failures: list[str] = field(default_factory=list)
    untold: list[str] = field(default_factory=list)
    unheard: list[tuple[str, Callable[[], None]]] = field(default_factory=list)
    away: int = 0
    stopped: bool = False

    def windows(self) -> None:
        """Every selected window, or the stream once; raises `dg.Failure` naming what failed."""
        definition = partitions(self.stream)
        todo: list[str | None] = list(self.context.partition_keys) if definition else [None]
        tried = 0
        for partition in todo:
            span = window(definition, partition) if definition and partition else None
            tried += 1
            self._guarded(span, partition)
            if self.stopped:
                break
        outcome = self._outcome(len(todo), tried)
        unheard = self._tell_again()
        if self.session is not None:
            self._tidy()
        if outcome or unheard:
            left = [f"{len(todo) - tried} windows were not tried"] if tried < len(todo) else []
            text = "\n".join([*outcome, *unheard])
            raise failure(text, untold=[*self.untold, *left, *unheard])

    def close(self) -> None:
        """Closes the connection that it ended with."""
        self.connection.close()

    def _tidy(self) -> None:
        """Old landings go. That they cannot is no reason to call a sync failed."""
        try:
            pipeline.prune(self.stream, connection=self.connection, zone=self.zone, clock=now)
        except Exception as error:  # noqa: BLE001  # said, and tried again by the next run
            self.context.log.warning(f"old landings could not be removed: {redact(str(error))}")

    def _outcome(self, selected: int, tried: int) -> list[str]:
        """What failed, one a line, below how many did and did not; nothing when none did."""
        if partitions(self.stream) is None or not self.failures:
            return self.failures
        failed = len(self.failures)
        left = f", {selected - tried} were not tried" if tried < selected else ""
        listed = [f"- {one}" for one in self.failures]
        return [f"{failed} of {selected} windows failed, {tried - failed} are done{left}:", *listed]

    def _guarded(self, span: Window | None, partition: str | None) -> None:
        """One window; whatever it raises is noted."""
        began = now()
        try:
            self._one(span, partition)
        except Exception as error:  # noqa: BLE001  # noted, shown, and raised at the end
            self.stopped = self.stopped or isinstance(error, StopConnection | FixConfig)
            self._note(error, span, began)

    def _note(self, error: Exception, span: Window | None, began: datetime) -> None:
        """A window that failed: in the ledger, in the list and in the log."""
        said = f"{f'{span}: ' if span else ''}{redact(str(error))}"
        try:
            # Always anew: the failure may be that the old one broke, noticed or not.
            self.connection.close()
            self.connection = self.store.connect()
            pipeline.note_failure(
                self.stream, span, error,
                connection=self.connection, run=self.run, began_at=began, clock=now,
            )  # fmt: skip
        except Exception as unable:  # noqa: BLE001  # the window's own error is the one to show
            self.stopped = True
            said = f"{said} (not in the ledger: {redact(str(unable))})"
            self.untold.append(said)
        self.failures.append(said)
        with suppress(Exception):  # Dagster's storage may be what fails
            self.context.log.error(redacted(error))

    def _one(self, span: Window | None, partition: str | None) -> None:
        """Lands, checks and loads one window, as far as its assets are selected."""
        manifest = self._manifest(span, partition)
        if keys.table(self.stream.id) in self.selected:
            self._load(manifest, partition)
        elif keys.canonical(self.stream.id) in self.selected:
            self._check_only(manifest, partition)

    def _manifest(self, span: Window | None, partition: str | None) -> Manifest:
        if self.session is None:
            known = self.zone.newest(self.stream.id, window=span)
            if known is None:
                raise StopStream(
                    "there is no landing to replay", todo="Materialize the raw asset first."
                )
            return known
        try:
            manifest = pipeline.land(
                self.stream, span,
                session=self.session, zone=self.zone, run=self.run, clock=now,
            )  # fmt: skip
        except RetryLater:
            # Waited for as long as may be waited. One such window may be a bad one; of two in a
            # row the source is away, and every other window would wait as long.
            self.away += 1
            self.stopped = self.away >= MOST_AWAY
            raise
        self.away = 0
        self._log(report.landed(self.stream, manifest, partition=partition))
        return manifest

    def _load(self, manifest: Manifest, partition: str | None) -> None:
        with self._failing_checks(partition):
            found, entry = pipeline.load(
                self.stream, manifest,
                connection=self.connection, zone=self.zone, run=self.run, clock=now,
            )  # fmt: skip
        if entry.status == "blocked":
            self._blocked(found, manifest)
        tell = partial(self._tell, found, entry, partition)
        try:
            tell()
        except Exception as error:  # noqa: BLE001  # the window is committed, and not to be undone
            self.unheard.append((str(manifest.window or self.stream.id), tell))
            with suppress(Exception):
                self.context.log.warning(f"to be told again: {redact(str(error))}")

    def _tell(self, found: Checked, entry: LedgerEntry, partition: str | None) -> None:
        """What Dagster hears of a load that is committed."""
        self._log_checked(found, entry.status, partition)
        # Canonical and table are green only for what was loaded.
        if entry.status != "blocked":
            self._log(report.loaded(self.stream, entry, partition=partition))
        # The last of a window's events: with it, all of them are known to have arrived.
        self._check(checks.BALANCE, partition)

    def _tell_again(self) -> list[str]:
        """What could not be told at once; gives what cannot be told now either."""
        failed = []
        for where, tell in self.unheard:
            try:
                tell()
            except Exception as error:  # noqa: BLE001  # said, so that the run is red
                failed.append(
                    f"{where}: committed, but Dagster could not be told "
                    f"({redact(str(error))}): materialize it again"
                )
        return failed

    def _blocked(self, found: Checked, manifest: Manifest) -> None:
        share = f"{found.refused} of {found.received} records were refused"
        self.failures.append(f"{manifest.window or self.stream.id}: blocked, {share}")

    def _check_only(self, manifest: Manifest, partition: str | None) -> None:
        with self._failing_checks(partition):
            found = pipeline.check(self.stream, manifest, zone=self.zone)
        status = found.status(accept=self.run.accept)
        self._log_checked(found, status, partition)
        if status == "blocked":
            self._blocked(found, manifest)
            self.untold.append(self.failures[-1])

    def _log_checked(self, found: Checked, status: Status, partition: str | None) -> None:
        """What the canonical layer said: first what was made, then the checks of it."""
        if status != "blocked" and keys.canonical(self.stream.id) in self.selected:
            self._log(report.checked(self.stream, found, partition=partition))
        self._check(checks.STRUCTURE, partition)
        self._log(report.error_share(self.stream, found, status=status, partition=partition))

    @contextmanager
    def _failing_checks(self, partition: str | None) -> Iterator[None]:
        """The check that fails with an error of what runs inside."""
        try:
            yield
        except StopStream as error:
            self._check(checks.STRUCTURE, partition, error)
            raise
        except LedgerUnbalanced as error:
            self._check(checks.BALANCE, partition, error)
            raise

    def _check(self, name: str, partition: str | None, error: Exception | None = None) -> None:
        words = redact(str(error)) if error else None
        passed = error is None
        self._log(
            checks.evaluation(
                name, self.stream.id, passed=passed, partition=partition, description=words
            )
        )

    def _log(self, event: dg.AssetMaterialization | dg.AssetCheckEvaluation) -> None:
        sys.audit("integrations.reporting", str(self.stream.id))
        if isinstance(event, dg.AssetCheckEvaluation):
            event = checks.targeted(event, self.context.instance)
        self.context.log_event(event)
