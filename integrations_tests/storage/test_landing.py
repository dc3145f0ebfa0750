"""The landing zone: whole or not there, as it was sent, and never overwritten."""

import json
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest

from integrations.errors import FixConfig, RetryLater, StopStream
from integrations.names import StreamId, Window
from integrations.storage.landing import LandingWriter, LandingZone
from integrations.storage.manifest import Manifest, began_at

STREAM = StreamId("shop", "main", "sales")
T0 = datetime(2026, 1, 1, 12, tzinfo=UTC)
DAY = Window(datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 1, 2, tzinfo=UTC))


@dataclass(frozen=True)
class Page:
    """A page as transport hands it over."""

    number: int
    records: list[bytes | msgspec.Raw] = field(default_factory=list)
    seen_at: datetime = T0
    size: int = 100
    since: datetime | None = None


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "home" / "raw here"


@pytest.fixture
def zone(root: Path) -> LandingZone:
    tokens: Iterator[str] = (f"{number:04}" for number in range(1000))
    return LandingZone(root.as_uri(), clock=lambda: T0, token=lambda: next(tokens))


def land(
    zone: LandingZone,
    pages: list[Page],
    *,
    window: Window | None = DAY,
    at: datetime = T0,
    batch_records: int = 20_000,
) -> Manifest:
    with zone.writer(
        STREAM, window=window, run_id="r1", root_run_id="r0", began_at=at,
        batch_records=batch_records,
    ) as writer:  # fmt: skip
        for page in pages:
            writer.add(page)
        return writer.finish(requests=len(pages))


def records(zone: LandingZone, manifest: Manifest) -> list[bytes | None]:
    return [r for batch in zone.batches(manifest) for r in batch.records.to_pylist()]


@pytest.mark.parametrize(("batch_records", "firsts"), [(2, [0, 2, 3, 5, 7]), (20, [0])])
def test_as_it_was_sent(zone: LandingZone, batch_records: int, firsts: list[int]) -> None:
    """Bytes, times and order come back as they were, over parts of the batch's size at most."""
    raws = msgspec.json.decode(b'[{"a": 1.10}, "x\\u0000", null]', type=list[msgspec.Raw])
    later = T0 + timedelta(seconds=1, microseconds=1)
    pages = [Page(1, list(raws)), Page(2), Page(3, [b"\xff\x00\n"] * 5, seen_at=later)]
    manifest = land(zone, pages, batch_records=batch_records)
    assert records(zone, manifest) == [b'{"a": 1.10}', b'"x\\u0000"', b"null"] + [b"\xff\x00\n"] * 5
    batches = list(zone.batches(manifest))
    assert [batch.first for batch in batches] == firsts
    assert [at for batch in batches for at in batch.seen_at.to_pylist()] == [T0] * 3 + [later] * 5
    assert (manifest.records, manifest.requests, manifest.bytes) == (8, 3, 300)


def test_empty_landing(zone: LandingZone) -> None:
    """A window without records has a landing too: it says that we looked."""
    manifest = land(zone, [Page(1)])
    assert zone.newest(STREAM, window=DAY) == manifest
    assert records(zone, manifest) == []


def test_it_began_with_what_was_said_first(zone: LandingZone) -> None:
    """Whichever page brings that; and with what was asked before any page."""
    second = timedelta(seconds=1)
    pages = [Page(at + 1, [b"1"], seen_at=T0 - at * second) for at in range(3)]
    assert land(zone, pages).said_at == T0 - 2 * second
    assert land(zone, [Page(1, since=T0 - second), Page(2)]).said_at == T0 - second
    assert land(zone, []).said_at is None


def test_newest_is_the_one_that_began_last(zone: LandingZone) -> None:
    """Of several landings of a window the newest complete one is read."""
    newer = land(zone, [], at=T0 + timedelta(hours=1))
    land(zone, [], at=T0)
    assert zone.newest(STREAM, window=DAY) == newer
    assert began_at(newer.landing) == T0 + timedelta(hours=1)


@pytest.mark.parametrize(("apart_s", "newest"), [(3600, "source"), (4, "ours"), (-4, "ours")])
def test_newest_by_the_sources_clock(zone: LandingZone, apart_s: int, newest: str) -> None:
    """Our clock was set back between two pulls: the source's time tells which is the later one,
    where the two are far enough apart for it to be sure."""
    ours = land(zone, [Page(1, [b"1"])], at=T0)
    later = Page(1, [b"2"], seen_at=T0 + timedelta(seconds=apart_s))
    source = land(zone, [later], at=T0 - timedelta(hours=1))
    found = zone.newest(STREAM, window=DAY)
    assert found == {"ours": ours, "source": source}[newest]


@pytest.mark.parametrize("other", [None, Window(DAY.start, DAY.start + timedelta(hours=1))])
def test_newest_is_of_that_window(zone: LandingZone, other: Window | None) -> None:
    """A window of another length with the same start is another window."""
    land(zone, [], window=other)
    assert zone.newest(STREAM, window=DAY) is None


def pull(writer: LandingWriter, pages: list[Page]) -> None:
    """Pages until the source fails."""
    for page in pages:
        writer.add(page)
    raise RuntimeError("the source failed")


def test_a_pull_that_died_leaves_no_landing(zone: LandingZone, root: Path) -> None:
    """Parts without a manifest are never read."""
    pages = [Page(1, [b"1", b"2"]), Page(2, [b"3"])]
    with (
        pytest.raises(RuntimeError, match="source failed"),
        zone.writer(
            STREAM, window=DAY, run_id="r", root_run_id="r", began_at=T0, batch_records=1
        ) as writer,
    ):
        pull(writer, pages)
    assert list(root.rglob("part-*"))
    assert zone.newest(STREAM, window=DAY) is None


def damage_bytes(part: Path) -> None:
    data = bytearray(part.read_bytes())
    data[len(data) // 2] ^= 1
    part.write_bytes(data)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (Path.unlink, "part-00000.parquet is missing"),
        (damage_bytes, "part-00000.parquet is not what was written"),
        (lambda part: part.write_bytes(b""), "part-00000.parquet is not what was written"),
    ],
)
def test_damage_is_noticed(zone: LandingZone, root: Path, damage: object, message: str) -> None:
    """A part that is missing or differs stops the stream, naming the landing."""
    manifest = land(zone, [Page(1, [b"1"])])
    assert callable(damage)
    damage(next(root.rglob("part-*")))
    with pytest.raises(StopStream, match=message) as caught:
        records(zone, manifest)
    assert manifest.landing in str(caught.value)
    assert str(STREAM) in str(caught.value)


def test_a_manifest_that_lies(zone: LandingZone) -> None:
    """Counts of the manifest and of its parts are compared."""
    manifest = land(zone, [Page(1, [b"1"])])
    lies = msgspec.structs.replace(manifest, records=2)
    with pytest.raises(StopStream, match="holds 1 records, its manifest says 2"):
        records(zone, lies)


def test_for_the_owner_only(zone: LandingZone, root: Path) -> None:
    """Nobody else may look into folders or files."""
    mask = os.umask(0)
    try:
        land(zone, [Page(1, [b"1"])])
    finally:
        os.umask(mask)
    modes = {stat.S_IMODE(path.stat().st_mode) for path in (root, *root.rglob("*"))}
    assert modes == {0o700, 0o600}


def test_nothing_but_bodies(zone: LandingZone, root: Path) -> None:
    """The manifest is plain JSON and says which stream, window and run."""
    land(zone, [Page(1, [b"1"])])
    said = json.loads(next(root.rglob("manifest.json")).read_bytes())
    assert said["stream"] == {"connector": "shop", "connection": "main", "stream": "sales"}
    assert said["window"] == {"start": "2026-01-01T00:00:00Z", "end": "2026-01-02T00:00:00Z"}
    assert (said["run_id"], said["root_run_id"], said["parts"][0]["records"]) == ("r1", "r0", 1)


def test_prune(zone: LandingZone, root: Path) -> None:
    """What is old goes up to the landing that is committed; what is newer than that was never
    loaded, and stays however old it is."""
    old, new = T0, T0 + timedelta(days=40)
    other = Window(DAY.end, DAY.end + timedelta(days=1))
    land(zone, [Page(1, [b"1"])], at=old)
    loaded = land(zone, [], at=old + timedelta(hours=1))
    kept = land(zone, [], at=old + timedelta(hours=2))
    never = land(zone, [], window=other, at=old)
    gone = land(zone, [], window=None, at=old)
    fresh = land(zone, [], window=None, at=new)
    (root / str(STREAM) / "2026-01-09T00-00Z" / "20260101T000000.000000Z-dead").mkdir(parents=True)
    before = new - timedelta(days=30)
    committed = {DAY.label: loaded.landing, "-": fresh.landing}
    assert zone.prune(STREAM, before=before, committed=committed) == 4
    assert [path.name for path in sorted((root / str(STREAM) / DAY.label).iterdir())] == [
        kept.landing
    ]
    assert zone.newest(STREAM, window=other) == never
    assert [path.name for path in (root / str(STREAM) / "-").iterdir()] == [fresh.landing]
    assert gone.landing < fresh.landing
    committed |= {DAY.label: kept.landing}
    assert zone.prune(STREAM, before=before, committed=committed) == 1
    assert not (root / str(STREAM) / DAY.label).exists()


@pytest.mark.parametrize("url", ["", "raw", "http://x/raw", "file:raw", "file://host/raw", "s3://"])
def test_urls_of_another_kind(url: str) -> None:
    """Only file:// and s3:// are landing zones."""
    with pytest.raises(FixConfig, match="INTEGRATIONS_LANDING_URL"):
        LandingZone(url)


def test_a_disk_that_fails(tmp_path: Path) -> None:
    """A fault of the disk passes, or a person has to see to it; neither is a bare OSError."""
    (tmp_path / "raw").write_text("a file where a folder must be")
    zone = LandingZone((tmp_path / "raw").as_uri())
    with pytest.raises(RetryLater, match="landing zone fails"):
        land(zone, [Page(1, [b"1"])])
