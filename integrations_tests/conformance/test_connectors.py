"""What every connector must do, against its twin over real HTTP and in a real PostgreSQL.

A connector takes part by being there. Beside its folder it needs its twin in the registry and its
oracle in `conformance/oracles/`.
"""

from collections.abc import Set
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import yaml

from integrations.connector_template.config_schema import SANDBOX
from integrations.connector_template.connector import BoundStream, read_connector
from integrations.connector_template.folders import folders
from integrations.errors import FixConfig, StopConnection, StopStream
from integrations.names import Window
from integrations.sandbox.faults import Fault
from integrations.sandbox.twins import TWINS
from integrations.storage.ledger import FATES
from integrations.sync_state.windows import WindowSync
from integrations_tests.conformance import oracles
from integrations_tests.conformance.conftest import Loaded
from integrations_tests.conformance.subject import (
    Case,
    Record,
    Spoiler,
    Subject,
    difference,
    pattern,
)
from integrations_tests.conformance.wire import same

PARTS = ("connections", "auth_handler", "sync_handler", "transformer", "event_handler")
LONG_AGO = datetime(2001, 1, 1, tzinfo=UTC)
each_folder = pytest.mark.parametrize("folder", folders(), ids=lambda folder: folder.name)


@each_folder
def test_takes_part(folder: Path) -> None:
    """Every shipped connector has a sandbox, a twin and an oracle, or nothing below proves it."""
    assert SANDBOX in read_connector(folder).config.connections
    assert folder.name in TWINS
    assert oracles.oracle(folder.name)


@each_folder
def test_loads_with_no_secret_set(folder: Path) -> None:
    """Without any variable the connector loads whole; only its own accounts are not ready."""
    connector = read_connector(folder)

    ready = {name: account.ready() for name, account in connector.config.connections.items()}
    assert ready == {
        name: not account.secrets for name, account in connector.config.connections.items()
    }
    assert [*connector.streams()]


@each_folder
@pytest.mark.parametrize("part", PARTS)
def test_has_all_parts(folder: Path, tmp_path: Path, part: str) -> None:
    """The file is refused, with the part's name, when any of its parts is left out."""
    document = yaml.safe_load((folder / "defs.yaml").read_text())
    del document["attributes"][part]
    own = tmp_path / folder.name
    own.mkdir()
    (own / "defs.yaml").write_text(yaml.safe_dump(document))
    for beside in {*folder.glob("*.py"), *folder.glob("*.csv")}:
        (own / beside.name).write_text(beside.read_text())

    with pytest.raises(FixConfig, match=f"`{part}` is missing"):
        read_connector(own)


def test_every_window_holds_what_the_source_holds(subject: Subject, loaded: Loaded) -> None:
    """After each window the table has its records and no other, every value as the source has it:
    money to the last decimal. What cannot pass is in quarantine instead."""
    for stream in subject.streams:
        rows, refused = loaded.case.rows(stream), loaded.case.quarantined(stream)
        windows = subject.windows(stream)
        for window in windows:
            held = subject.held(stream, window)
            mine = {key: row for key, row in rows.items() if _in(stream, row, window)}
            assert difference(mine, held) == [], f"{stream.id} {window or ''}"
            assert {key for key, row in held.items() if row is None} <= refused.keys()
        for one in stream.family:
            rows, refused = loaded.case.rows(one), loaded.case.quarantined(one)
            assert rows, f"the twin holds nothing of {one.id}"
            held = subject.held(one, subject.span(stream, windows))
            assert difference(rows, held) == [], str(one.id)
            assert refused.keys() == {key for key, row in held.items() if row is None}


def test_lists_are_read_page_by_page(subject: Subject, loaded: Loaded) -> None:
    """At least one stream's list has several pages, and every ledger line balances."""
    assert max(entry.api_calls for entry in loaded.entries.values()) > 2
    whole = {stream.id.stream for stream in subject.streams if stream.mapping.mapping.each is None}
    for entry in [*loaded.entries.values(), *loaded.case.of_children]:
        assert entry.records == entry.received or entry.stream.stream not in whole
        assert entry.received == sum(getattr(entry, fate) for fate in FATES)
        assert entry.status in ("ok", "warn")
    assert not loaded.case.slept


def test_an_empty_window_is_committed(subject: Subject, case: Case) -> None:
    """Nothing at the source is a success of its own: no rows, a balanced line, the window green."""
    if not subject.windowed:
        pytest.skip(f"{subject.connector.name} reads no stream by windows")
    for stream in subject.windowed:
        window = Window(LONG_AGO, LONG_AGO + timedelta(days=1))
        entry = case.sync(stream, window)

        assert (entry.status, entry.received, entry.in_window) == ("ok", 0, 0)
        assert case.rows(stream) == {}
        assert case.positions(stream) == 1


def test_a_repeated_page_stops_the_stream(subject: Subject, case: Case, loaded: Loaded) -> None:
    """A source that gives the same page for ever is noticed at once, and nothing is committed."""
    stream, window = _largest(subject, loaded)
    first: list[bytes] = []

    def again(body: bytes) -> bytes:
        first.append(body)
        return first[0]

    subject.twin.faults.append(
        Fault(
            path=pattern(stream),
            times=20,  # an end, also where nobody notices
            rewrite=again,
        )
    )

    with pytest.raises(StopStream, match="circle"):
        case.sync(stream, window)

    assert len(first) <= 2
    assert case.nothing_committed(stream, window)
    assert case.slept == []


def test_a_refused_credential_stops_the_connection(subject: Subject, case: Case) -> None:
    """One request, no second try: sources lock accounts that keep on trying."""
    stream = subject.streams[0]
    window = subject.windows(stream)[0]
    subject.twin.faults.append(Fault(status=401, times=10**6, body=b'{"error": "expired"}'))
    before = subject.twin.requests

    with pytest.raises(StopConnection, match="answered 401") as caught:
        case.sync(stream, window)

    assert subject.twin.requests - before == 1
    assert case.slept == []
    assert case.nothing_committed(stream, window)
    for name in subject.twin.secrets:
        assert name in str(caught.value)


@pytest.mark.parametrize("status", [429, 503])
def test_a_busy_source_is_given_its_time(
    subject: Subject, case: Case, loaded: Loaded, status: int
) -> None:
    """Retry-After is waited for, in the middle of a list too, and not much longer; then all is
    loaded."""
    stream, window = _largest(subject, loaded)
    for wait in (7, 19):
        headers = {"Retry-After": str(wait)}
        fault = Fault(path=pattern(stream), after=1, status=status, headers=headers)
        subject.twin.faults.append(fault)

    entry = case.sync(stream, window)

    first, second = case.slept
    assert (7 < first < 10, 19 < second < 25) == (True, True)
    once = loaded.entries[stream.id.stream, window]
    assert entry.api_calls == once.api_calls + 2
    assert (entry.received, entry.quarantined) == (once.received, once.quarantined)
    assert difference(case.rows(stream), subject.held(stream, subject.span(stream, [window]))) == []


def test_bad_records_cost_only_themselves(subject: Subject, case: Case, loaded: Loaded) -> None:
    """Three bad ones in hundreds: they are in quarantine with reason, rule and their very bytes,
    and all the others load. When the source has mended them they load too, and quarantine empties."""
    stream, window = _largest(subject, loaded)
    spoiler = Spoiler(subject, stream, most=3, nth=50)
    held = subject.held(stream, subject.span(stream, [window]))
    spoiler.order()

    entry = case.sync(stream, window)

    bad = {key for key, row in held.items() if row is None} | spoiler.spoilt.keys()
    assert len(spoiler.spoilt) == 3
    assert entry.received >= 300
    assert (entry.status, entry.quarantined) == ("ok", len(bad))
    assert entry.inserted == entry.received - len(bad)
    assert case.rows(stream).keys() == held.keys() - bad
    refused = case.quarantined(stream)
    assert refused.keys() == bad
    for key, sent in spoiler.spoilt.items():
        assert same(sent, bytes(refused[key]["raw"]), stream)
        assert refused[key]["rule"]
        assert refused[key]["field"] == spoiler.column
        assert spoiler.path in refused[key]["reason"]

    subject.twin.faults.clear()
    entry = case.sync(stream, window)

    assert (entry.inserted, entry.unchanged) == (3, len(held) - len(bad))
    assert difference(case.rows(stream), held) == []
    assert case.quarantined(stream).keys() == bad - spoiler.spoilt.keys()


def test_too_many_bad_records_block_the_load(subject: Subject, case: Case, loaded: Loaded) -> None:
    """More than one in twenty, and twenty or more: no rows and no position, but a ledger line and
    the records in quarantine. Accepted, the same landing's good records load."""
    stream, window = _largest(subject, loaded)
    spoiler = Spoiler(subject, stream, nth=10)
    spoiler.order()
    run = case.run()
    manifest = case.land(stream, window, run)

    entry = case.load(stream, manifest, run)

    assert len(spoiler.spoilt) >= 20
    assert (entry.status, entry.inserted) == ("blocked", 0)
    assert entry.quarantined >= len(spoiler.spoilt)
    assert case.rows(stream) == {}
    assert case.positions(stream) == 0
    assert spoiler.spoilt.keys() <= case.quarantined(stream).keys()

    entry = case.load(stream, manifest, case.run(accept=True))

    assert (entry.status, entry.inserted) == ("warn", entry.received - entry.quarantined)
    assert len(case.rows(stream)) == entry.inserted
    assert not case.rows(stream).keys() & spoiler.spoilt.keys()
    assert case.positions(stream) == 1


def without(rows: dict[str, Record], columns: Set[str]) -> dict[str, Record]:
    return {key: {k: v for k, v in row.items() if k not in columns} for key, row in rows.items()}


def test_a_window_twice_changes_nothing(subject: Subject, case: Case) -> None:
    """The second pull finds every record as it is: nothing is inserted or updated, and nothing
    written but when it was said, where the stream keeps that."""
    for stream in subject.streams:
        window = subject.windows(stream)[-1]
        first = case.sync(stream, window)
        before = case.rows(stream)
        second = case.sync(stream, window)

        assert first.inserted == len(before) > 0, str(stream.id)
        assert (second.inserted, second.updated, second.deleted, second.stale) == (0, 0, 0, 0)
        assert second.unchanged == first.inserted
        assert second.quarantined == first.quarantined
        kept = {"_seen_at"} if stream.order.restamp else set()
        assert without(case.rows(stream), kept) == without(before, kept)


def test_a_record_of_the_overlap_is_one_row(subject: Subject, loaded: Loaded) -> None:
    """What lies in the last minutes before a window comes with both windows: the first inserts it,
    the next finds it unchanged, and the table has it once."""
    if not subject.windowed:
        pytest.skip(f"{subject.connector.name} reads no stream by windows")
    met = 0
    for stream in subject.windowed:
        windows = [window for window in subject.windows(stream) if window]
        rows = loaded.case.rows(stream)
        for before, window in pairwise(windows):
            earlier, entry = (loaded.entries[stream.id.stream, each] for each in (before, window))
            shared = _good(subject.held(stream, subject.before(stream, window)))
            own = _good(subject.held(stream, window))
            met += len(shared)

            assert (entry.unchanged, entry.inserted, entry.in_window) == (
                len(shared), len(own), len(own),
            )  # fmt: skip
            assert {rows[key]["_run_id"] for key in shared} <= {earlier.run_id}
    assert met, "the twin has no record in the overlap: nothing was proven"


def _in(stream: BoundStream, row: dict[str, Any], window: Window | None) -> bool:
    sync = stream.stream.sync
    if window is None or not isinstance(sync, WindowSync):
        return True
    return bool(window.start <= row[sync.column] < window.end)


def _good(held: dict[str, Any]) -> set[str]:
    return {key for key, row in held.items() if row is not None}


def _largest(subject: Subject, loaded: Loaded) -> tuple[BoundStream, Window | None]:
    """The stream and window with the most records: several pages of them."""
    name, window = max(loaded.entries, key=lambda key: loaded.entries[key].records)
    assert loaded.entries[name, window].api_calls > 2
    return next(stream for stream in subject.streams if stream.id.stream == name), window
