"""What a stream's step does in Dagster: its windows one by one, each reported as it is done.

A window that fails is noted, with a ledger line and its checks; the others go on, and the run fails
at the end with the list. Only a refused credential or a wrong setting stops the rest: they would
all be refused, and sources block who keeps trying.
"""

import sys
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from datetime import datetime

import dagster as dg
import psycopg

from integrations.connector_template import pipeline
from integrations.connector_template.connector import BoundStream
from integrations.connector_template.pipeline import Checked, Run
from integrations.errors import FixConfig, LedgerUnbalanced, StopConnection, StopStream
from integrations.names import Window
from integrations.orchestration import checks, keys, report
from integrations.orchestration.partitions import partitions, window
from integrations.orchestration.resources import ConnectionResource, StoreResource, now
from integrations.orchestration.runs import mark_alive
from integrations.redaction import redact, redacted, scrub
from integrations.storage import positions
from integrations.storage.landing import LandingZone, Manifest
from integrations.storage.ledger import Cause, Status
from integrations.transport.rest import RestSession


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
        positions.refuse_changed(connection, stream.id, pin=pipeline.pin(stream))
        connection.rollback()
        # Without raw this is a replay: no secret is read and the source hears nothing of it.
        pulls = keys.raw(stream.id) in selected
        session = stack.enter_context(source.open()) if pulls else None
        run = _run(context, selected, config)
        Step(stream, context, run, connection, store.zone(), session, selected).windows()


def _refuse_nothing(stream: BoundStream, context: dg.AssetExecutionContext) -> None:
    """Raises `dg.Failure` for a run in which there is nothing to do: it must not end green."""
    if not context.selected_asset_keys:
        raise failure(
            f"the checks of {stream.id} are made while it is synced: materialize its assets instead"
        )
    chosen = context.has_partition_key or context.has_partition_key_range
    if partitions(stream) is not None and not chosen:
        raise failure(f"{stream.id} is read window by window: choose partitions")


def failure(description: str, error: Exception | None = None) -> dg.Failure:
    """What Dagster keeps of an error: its words and its trace without the secrets in it."""
    trace = {"trace": dg.MetadataValue.md(f"```\n{redacted(error)}\n```")} if error else {}
    return dg.Failure(redact(description), metadata=trace, allow_retries=False)


def _run(
    context: dg.AssetExecutionContext, selected: frozenset[dg.AssetKey], config: SyncConfig
) -> Run:
    raws = {key for key in selected if key.path[-1].endswith("_raw")}
    backfill = "dagster/backfill" in context.run.tags
    cause: Cause = "replay" if not raws else "backfill" if backfill else "sync"
    root = context.run.root_run_id or context.run.run_id
    return Run(context.run.run_id, root, cause, config.accept)


@dataclass
class Step:
    """One run of a stream's step, over the windows that were selected."""

    stream: BoundStream
    context: dg.AssetExecutionContext
    run: Run
    connection: psycopg.Connection
    zone: LandingZone
    session: RestSession | None
    selected: frozenset[dg.AssetKey]
    failures: list[str] = field(default_factory=list)

    def windows(self) -> None:
        """Every selected window, or the stream once; raises `dg.Failure` naming what failed."""
        definition = partitions(self.stream)
        todo: list[str | None] = list(self.context.partition_keys) if definition else [None]
        tried = 0
        for partition in todo:
            span = window(definition, partition) if definition and partition else None
            tried += 1
            if not self._guarded(span, partition):
                break
        if self.session is not None:
            self._tidy()
        if self.failures:
            raise failure(self._outcome(len(todo), tried))

    def _tidy(self) -> None:
        """Old landings go. That they cannot is no reason to call a sync failed."""
        try:
            pipeline.prune(self.stream, connection=self.connection, zone=self.zone, clock=now)
        except Exception as error:  # noqa: BLE001  # said, and tried again by the next run
            self.context.log.warning(f"old landings could not be removed: {redact(str(error))}")

    def _outcome(self, selected: int, tried: int) -> str:
        """What failed, one a line, below how many did and did not."""
        if partitions(self.stream) is None:
            return "\n".join(self.failures)
        failed = len(self.failures)
        left = f", {selected - tried} were not tried" if tried < selected else ""
        listed = "\n".join(f"- {one}" for one in self.failures)
        return f"{failed} of {selected} windows failed, {tried - failed} are done{left}:\n{listed}"

    def _guarded(self, span: Window | None, partition: str | None) -> bool:
        """One window; False when none of the others should be tried."""
        began = now()
        try:
            self._one(span, partition)
        except Exception as error:  # noqa: BLE001  # noted, shown, and raised at the end
            self._note(error, span, began)
            return not isinstance(error, StopConnection | FixConfig)
        return True

    def _note(self, error: Exception, span: Window | None, began: datetime) -> None:
        """A window that failed: in the log, in the ledger and in the list."""
        where = f"{span}: " if span else ""
        self.failures.append(f"{where}{redact(str(error))}")
        self.context.log.error(redacted(error))
        pipeline.note_failure(
            self.stream, span, error,
            connection=self.connection, run=self.run, began_at=began, clock=now,
        )  # fmt: skip

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
        manifest = pipeline.land(
            self.stream, span,
            session=self.session, zone=self.zone, run=self.run, clock=now,
        )  # fmt: skip
        self._log(report.landed(self.stream, manifest, partition=partition))
        return manifest

    def _load(self, manifest: Manifest, partition: str | None) -> None:
        with self._failing_checks(partition):
            found, entry = pipeline.load(
                self.stream, manifest,
                connection=self.connection, zone=self.zone, run=self.run, clock=now,
            )  # fmt: skip
        self._log_checked(found, entry.status, manifest, partition)
        # Canonical and table are green only for what was loaded.
        if entry.status != "blocked":
            self._log(report.loaded(self.stream, entry, partition=partition))
        # The last of a window's events: with it, all of them are known to have arrived.
        self._check(checks.BALANCE, partition)

    def _check_only(self, manifest: Manifest, partition: str | None) -> None:
        with self._failing_checks(partition):
            found = pipeline.check(self.stream, manifest, zone=self.zone)
        status = found.status(accept=self.run.accept)
        self._log_checked(found, status, manifest, partition)

    def _log_checked(
        self, found: Checked, status: Status, manifest: Manifest, partition: str | None
    ) -> None:
        """What the canonical layer said: first what was made, then the checks of it."""
        if status != "blocked" and keys.canonical(self.stream.id) in self.selected:
            self._log(report.checked(self.stream, found, partition=partition))
        self._check(checks.STRUCTURE, partition)
        self._log(report.error_share(self.stream, found, status=status, partition=partition))
        if status == "blocked":
            share = f"{found.refused} of {found.received} records were refused"
            self.failures.append(f"{manifest.window or self.stream.id}: blocked, {share}")

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
