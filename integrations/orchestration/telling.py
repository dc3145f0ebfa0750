"""What Dagster hears of work that is done: materializations, then the checks of them.

What is committed is committed, whether Dagster could be told or not. So a report that fails is kept
and made again at the end; what cannot be told then either makes the run red, and says so.

Where the events go is the caller's: a run logs them (`context.log_event`), a process without a run
reports them (`instance.report_runless_asset_event`).
"""

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import dagster as dg

from integrations.connector_template.connector import BoundStream
from integrations.connector_template.loading import Checked, Child
from integrations.error_handling.budget import Use
from integrations.errors import LedgerUnbalanced, StopStream
from integrations.names import StreamId
from integrations.orchestration import checks, keys, lookups, provenance, report
from integrations.orchestration.provenance import Origin
from integrations.redaction import redact
from integrations.storage.ledger import LedgerEntry, Status
from integrations.storage.manifest import Manifest

Event = dg.AssetMaterialization | dg.AssetCheckEvaluation | dg.AssetObservation
Sink = Callable[[Any], None]
"""Takes an event: of a run, or of none."""


@dataclass
class Telling:
    """Hands events of one stream, or feed, to Dagster. `warn` says what is not an event."""

    about: StreamId
    instance: dg.DagsterInstance
    sink: Sink
    warn: Callable[[str], None]
    unheard: list[tuple[str, Callable[[], None]]] = field(default_factory=list)

    def event(self, event: Event) -> None:
        """One event; an evaluation is said of its asset's newest materialization."""
        sys.audit("integrations.reporting", str(self.about))
        if isinstance(event, dg.AssetCheckEvaluation):
            event = checks.targeted(event, self.instance)
        self.sink(event)

    def committed(self, where: str, tell: Callable[[], None]) -> None:
        """Tells of what is committed, now or with `again`; `where` names it."""
        try:
            tell()
        except Exception as error:  # noqa: BLE001  # it is committed, and not to be undone
            self.unheard.append((where, tell))
            with suppress(Exception):
                self.warn(f"to be told again: {redact(str(error))}")

    def again(self) -> list[str]:
        """What could not be told at once; gives what cannot be told now either, one a line."""
        failed = []
        for where, tell in self.unheard:
            try:
                tell()
            except Exception as error:  # noqa: BLE001  # said, so that the run is red
                failed.append(
                    f"{where}: committed, but Dagster could not be told "
                    f"({redact(str(error))}): materialize it again"
                )
        self.unheard.clear()
        return failed


@dataclass(frozen=True)
class Teller:
    """What is told of a stream's trio, as far as it was selected, and by `children` of the streams
    that are loaded with it. `mapping` is the mapping's hash from when this process loaded it."""

    stream: BoundStream
    mapping: str
    selected: frozenset[dg.AssetKey]
    telling: Telling
    children: tuple["Teller", ...] = ()

    def landed(
        self, manifest: Manifest, *, partition: str | None, quota: Sequence[Use] = ()
    ) -> None:
        """A landing is complete; `quota` is what is left of the source's quotas."""
        event = report.landed(self.stream, manifest, partition=partition, quota=quota)
        self.telling.event(event)

    def loaded(
        self, found: Checked, entry: LedgerEntry, manifest: Manifest, *, partition: str | None
    ) -> None:
        """A load is committed, a blocked one too: of that one only its ledger line is."""

        def tell() -> None:
            self._checked(found, entry.status, manifest, partition=partition, error=entry.error)
            # Canonical and table are green only for what was loaded.
            if entry.status != "blocked":
                origin = self._origin(manifest)
                self.telling.event(
                    report.loaded(self.stream, entry, origin=origin, partition=partition)
                )
            # The last of a window's events: with it, all of them are known to have arrived.
            self._check(checks.BALANCE, partition)

        self.telling.committed(str(manifest.window or self.stream.id), tell)
        for child, of in self._of_children(found):
            assert of.entry is not None, "they are loaded together"
            child.loaded(of.found, of.entry, manifest, partition=partition)

    def checked(
        self, found: Checked, status: Status, manifest: Manifest, *, partition: str | None
    ) -> None:
        """What the canonical layer said of a landing that is not loaded."""
        self._checked(found, status, manifest, partition=partition)
        for child, of in self._of_children(found):
            child.checked(of.found, status, manifest, partition=partition)

    def _checked(
        self,
        found: Checked,
        status: Status,
        manifest: Manifest,
        *,
        partition: str | None,
        error: str | None = None,
    ) -> None:
        """What the canonical layer said: first what was made, then the checks of it. `error` are
        the words of the ledger line, where it has some."""
        if status != "blocked" and keys.canonical(self.stream.id) in self.selected:
            self.telling.event(
                report.checked(
                    self.stream, found,
                    origin=self._origin(manifest),
                    partition=partition,
                    instance=self.telling.instance,
                )
            )  # fmt: skip
        self._check(checks.STRUCTURE, partition)
        self.telling.event(
            report.error_share(self.stream, found, status=status, partition=partition, error=error)
        )
        self.telling.event(report.drift(self.stream, found, status=status, partition=partition))

    def rebuilt(
        self, found: Checked, entry: LedgerEntry, manifest: Manifest, *, partition: str
    ) -> None:
        """A window's share of a rebuild, whose counts are of all windows together."""
        instance, origin = self.telling.instance, self._origin(manifest)

        def tell() -> None:
            if keys.canonical(self.stream.id) in self.selected:
                tags = provenance.of_canonical(
                    self.stream.source, origin, partition=partition, instance=instance
                )
                key = keys.canonical(self.stream.id)
                self.telling.event(report.rebuilt(key, manifest, tags, partition=partition))
            key, tags = keys.table(self.stream.id), provenance.of_table(origin)
            self.telling.event(report.rebuilt(key, manifest, tags, partition=partition))
            self._check(checks.STRUCTURE, partition)
            self.telling.event(
                report.error_share(self.stream, found, status=entry.status, partition=partition)
            )
            self.telling.event(
                report.drift(self.stream, found, status=entry.status, partition=partition)
            )
            self._check(checks.BALANCE, partition)

        self.telling.committed(str(manifest.window), tell)
        for child, of in self._of_children(found):
            assert of.entry is not None, "they are rebuilt together"
            child.rebuilt(of.found, of.entry, manifest, partition=partition)

    def replayed(self, numbers: dict[str, int]) -> None:
        """What a replay did beside its windows: of the table as a whole."""
        observation = dg.AssetObservation(keys.table(self.stream.id), metadata=numbers)
        self.telling.committed(str(self.stream.id), lambda: self.telling.event(observation))

    @contextmanager
    def failing_checks(self, partition: str | None) -> Iterator[None]:
        """The check that fails with an error of what runs inside."""
        try:
            yield
        except StopStream as error:
            self._check(checks.STRUCTURE, partition, error)
            raise
        except LedgerUnbalanced as error:
            self._check(checks.BALANCE, partition, error)
            raise

    def _of_children(self, found: Checked) -> "Iterator[tuple[Teller, Child]]":
        """Who tells of each of the children, and what."""
        tellers = {child.stream.id: child for child in self.children}
        yield from ((tellers[one.stream.id], one) for one in found.children)

    def _origin(self, manifest: Manifest) -> Origin:
        return Origin(self.mapping, manifest.landing, tuple(lookups.assets(self.stream)))

    def _check(self, name: str, partition: str | None, error: Exception | None = None) -> None:
        words = redact(str(error)) if error else None
        passed = error is None
        self.telling.event(
            checks.evaluation(
                name, self.stream.id, passed=passed, partition=partition, description=words
            )
        )
