"""The ways through a stream: window by window, in full, onward from its cursor, or once more.

Each gives the units of a run, in the order in which they have to be done; who does them notes what
fails.
"""

from collections.abc import Iterable, Mapping
from functools import partial

from integrations.connector_template import family, loading, pull, rebuilding, replaying, retrying
from integrations.connector_template.connector import BoundFeed, BoundStream
from integrations.errors import StopStream
from integrations.names import Window
from integrations.orchestration.attempts import Problem, Unit, Units, Work
from integrations.orchestration.resources import quota_uses
from integrations.redaction import redact
from integrations.storage import ledger, positions, quarantine
from integrations.storage.ledger import LedgerEntry
from integrations.storage.manifest import Manifest
from integrations.sync_state.cursors import CursorSync

Spans = Mapping[Window | None, str | None]
"""The windows that were selected, with their partitions; one None for a stream without windows."""


def pulled(work: Work, spans: Spans) -> Units:
    """Each window, or the whole, from the source, those that failed before behind the others: where
    one call tries whether the source is well again, it should not be for what always fails. Then
    what could not be fetched before."""
    if isinstance(work.stream.stream.sync, CursorSync):
        yield from _onward(work)
    else:
        for span in _failed_last(work, spans):
            yield Unit(partial(_fetched, work, span, spans[span]), span)
    if work.loads:
        yield Unit(partial(_due_again, work))


def _failed_last(work: Work, spans: Spans) -> list[Window | None]:
    if len(spans) == 1:
        return list(spans)
    failing = ledger.failing(work.connection, work.stream.id)
    work.connection.rollback()
    return sorted(spans, key=lambda span: span is not None and span.label in failing)


def replayed(work: Work, spans: Spans) -> Units:
    """What is landed, in the order in which the source said it; then what feeds said of the
    stream, and what else is in quarantine. Nothing is asked of the source."""
    open_before = _open(work)
    landed = replaying.pulled(work.stream, spans, zone=work.zone)
    there = {manifest.window for manifest in landed}
    for span in spans:
        if span not in there:
            yield Unit(_nothing_landed, span)
    if isinstance(work.stream.stream.sync, CursorSync) and work.loads:
        for group in replaying.gathered(landed):
            yield Unit(partial(_again, work, group))
    else:
        for manifest in landed:
            do = partial(_taken, work, manifest, spans[manifest.window])
            yield Unit(do, manifest.window)
    if work.loads:
        numbers = {"pushed": 0}
        for feed in replaying.feeds(work.stream):
            yield Unit(partial(_pushed, work, feed, numbers))
        for stream in work.stream.family:
            yield Unit(partial(_quarantined, work, stream))
        yield Unit(partial(_told, work, numbers, open_before))


def rebuilt(work: Work, partitions: Mapping[Window, str]) -> Units:
    """All of the stream made anew from what is landed, under today's key; `partitions` are those
    of all its windows."""

    def do() -> Problem | None:
        with work.teller.failing_checks(None):
            made = rebuilding.rebuild(
                work.stream, replaying.feeds(work.stream),
                connection=work.connection, zone=work.zone, run=work.run, clock=work.clock,
            )  # fmt: skip
        if made.fetch_again:
            work.log.info(f"{made.fetch_again} pulls are not landed any more, and are due again")
        if not partitions or made.entry.status == "blocked":
            for manifest in made.landed[-1:]:
                partition = partitions.get(manifest.window) if manifest.window else None
                work.teller.loaded(made.found, made.entry, manifest, partition=partition)
            return _blocked(work, made.entry)
        for manifest in made.landed:
            if manifest.window is not None and manifest.window in partitions:
                partition = partitions[manifest.window]
                work.teller.rebuilt(made.found, made.entry, manifest, partition=partition)
        return None

    yield Unit(do, chained=True)


def _onward(work: Work) -> Units:
    """What follows a cursor: a landing at a time, each loaded before the next one is fetched."""
    assert work.session is not None, "a replay asks the source nothing"
    at = positions.at(work.connection, work.stream.id)
    generation = positions.generation(work.connection, work.stream.id)
    work.connection.rollback()
    onward = pull.Onward(
        work.stream, at,
        session=work.session, zone=work.zone, run=work.run, generation=generation,
        clock=work.clock,
    )  # fmt: skip
    landings, more = onward.landings(), True

    def next_one() -> Problem | None:
        nonlocal more
        with work.asking():
            manifest = next(landings, None)
        if manifest is None:
            more = False
            if work.loads:
                onward.note_end(connection=work.connection)
            return None
        if work.loads or work.checks or manifest.run_id == work.run.run_id:
            work.teller.landed(manifest, partition=None, quota=quota_uses(work.session))
        if not work.loads:
            return _taken(work, manifest, None)
        entry = _loaded(work, manifest, None)
        more = entry is not None  # else another run is faster, and reads the rest
        return _blocked(work, entry)

    try:
        while more:
            yield Unit(next_one, chained=True)
    finally:
        landings.close()


def _fetched(work: Work, span: Window | None, partition: str | None) -> Problem | None:
    """Lands, checks and loads one window, as far as its assets are selected."""
    assert work.session is not None, "a replay asks the source nothing"
    generation = positions.generation(work.connection, work.stream.id)
    work.connection.rollback()
    with work.asking():
        manifest = pull.land(
            work.stream, span, generation=generation,
            session=work.session, zone=work.zone, run=work.run, clock=work.clock,
        )  # fmt: skip
    work.teller.landed(manifest, partition=partition, quota=quota_uses(work.session))
    return _taken(work, manifest, partition)


def _taken(work: Work, manifest: Manifest, partition: str | None) -> Problem | None:
    """A landing, loaded or only checked."""
    if work.loads:
        return _blocked(work, _loaded(work, manifest, partition))
    if not work.checks:
        return None
    with work.teller.failing_checks(partition):
        found = loading.check(work.stream, manifest, connection=work.connection, zone=work.zone)
    status = found.status(accept=work.run.accept)
    work.teller.checked(found, status, manifest, partition=partition)
    if status != "blocked":
        return None
    share = f"{found.refused} of {found.received} records were refused"
    return Problem(f"{manifest.window or work.stream.id}: blocked, {share}", told=False)


def _loaded(work: Work, manifest: Manifest, partition: str | None) -> LedgerEntry | None:
    with work.teller.failing_checks(partition):
        load = family.load if work.stream.children else loading.load
        found, entry = load(
            work.stream, manifest,
            connection=work.connection, zone=work.zone, run=work.run, clock=work.clock,
        )  # fmt: skip
    if entry is not None:
        work.withdrawn += entry.withdrawn
        work.teller.loaded(found, entry, manifest, partition=partition)
    return entry


def _blocked(work: Work, entry: LedgerEntry | None) -> Problem | None:
    """What the ledger's line says of a load that was not made."""
    if entry is None or entry.status != "blocked":
        return None
    share = f"{entry.quarantined} of {entry.received} records were refused"
    where = entry.window or work.stream.id
    return Problem(f"{where}: blocked, {redact(entry.error or share)}", told=True)


def _due_again(work: Work) -> None:
    tried = retrying.due_again(
        work.stream,
        connection=work.connection, session=work.session, run=work.run, clock=work.clock,
    )  # fmt: skip
    if tried.entry is not None:
        passed, records = len(tried.passed), tried.entry.records
        work.log.info(f"{passed} of {records} records pass that could not be fetched before")


def _nothing_landed() -> None:
    raise StopStream("there is no landing to replay", todo="Materialize the raw asset first.")


def _again(work: Work, group: list[Manifest]) -> Problem | None:
    """Landings of a cursor stream, loaded at once and told as the last of them."""
    with work.teller.failing_checks(None):
        found, entry = replaying.load_pulled(
            work.stream, group,
            connection=work.connection, zone=work.zone, run=work.run, clock=work.clock,
        )  # fmt: skip
    work.withdrawn += entry.withdrawn
    work.teller.loaded(found, entry, group[-1], partition=None)
    return _blocked(work, entry)


def _pushed(work: Work, feed: BoundFeed, numbers: dict[str, int]) -> Problem | None:
    """What a feed said of the stream."""
    problem = None
    loads = replaying.load_pushed(
        work.stream, feed,
        connection=work.connection, zone=work.zone, run=work.run, clock=work.clock,
    )  # fmt: skip
    for _, entry in loads:
        numbers["pushed"] += entry.received
        work.withdrawn += entry.withdrawn
        problem = problem or _blocked(work, entry)
    work.log.info(f"{numbers['pushed']} events of {feed.id} were replayed")
    return problem


def _quarantined(work: Work, stream: BoundStream) -> None:
    """What none of these landings holds any more, by its own bytes."""
    left = quarantine.open_records(work.connection, stream.id, kind="data", besides=work.run.run_id)
    work.connection.rollback()
    retrying.retry(
        stream, left,
        connection=work.connection, session=None, run=work.run, clock=work.clock,
    )  # fmt: skip


def _told(work: Work, numbers: dict[str, int], open_before: Iterable[str]) -> None:
    passed = len(set(open_before) - _open(work))
    work.log.info(f"{work.withdrawn} rows withdrawn, {passed} records passed of those refused")
    numbers |= {"passed_quarantine": passed, "withdrawn": work.withdrawn}
    work.teller.replayed(numbers)


def _open(work: Work) -> set[str]:
    """The keys that are in quarantine."""
    found = quarantine.open_keys(work.connection, work.stream.id)
    work.connection.rollback()
    return found
