"""The landing zone: what each pull wrote, as the source sent it, kept so that it can be read again.

A landing is a folder of Parquet parts and, last, a manifest that names them. Without a manifest
there is no landing, so a pull that died leaves nothing that anybody would read. Nothing is ever
overwritten: the next pull of the same window makes a folder of its own.

    <connector>/<connection>/<stream>/<window or ->/<landing>/part-00000.parquet … manifest.json

The zone is a URL (`file://`, `s3://`), because nothing may stay on a local disk between assets.
"""

import hashlib
import secrets
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from types import TracebackType
from typing import Protocol, Self

import msgspec
import pyarrow as pa

from integrations.errors import StopStream
from integrations.names import StreamId, Window
from integrations.storage.folders import Folders
from integrations.storage.parts import Batch, Records, count, pack, unpack

MANIFEST = "manifest.json"
Clock = Callable[[], datetime]
"""Gives the time now, aware."""
_MOMENT = "%Y%m%dT%H%M%S.%fZ"
"""How a landing's id begins: text that sorts by time."""
_PART_BYTES = 64 << 20
"""A part closes at this size too, far below the 2 GiB that one Arrow binary array holds."""


class Page(Protocol):
    """What transport hands over: records as buffers, and when the source said them (UTC)."""

    @property
    def number(self) -> int: ...
    @property
    def records(self) -> Records: ...
    @property
    def seen_at(self) -> datetime: ...
    @property
    def size(self) -> int: ...


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """One file of a landing: `bytes` and `sha256` are of the file."""

    name: str
    records: int
    bytes: int
    sha256: str


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """What a landing holds. `records` and `requests` are transport's own counts, `bytes` the size
    of the pages, `hash` a SHA-256 over the parts. Landing ids sort by when their pull began."""

    landing: str
    stream: StreamId
    window: Window | None
    generation: int
    run_id: str
    root_run_id: str
    began_at: datetime
    ended_at: datetime
    requests: int
    records: int
    bytes: int
    parts: tuple[Part, ...]
    hash: str


class LandingWriter:
    """Writes one landing. A context manager; leaving it without `finish` leaves no landing."""

    def __init__(
        self, folders: Folders, *, path: str, draft: Manifest, limit: int, clock: Clock
    ) -> None:
        self._folders = folders
        self._path = path
        self._draft = draft
        self._limit = limit
        self._clock = clock
        self._parts: list[Part] = []
        self._records = self._bytes = self._waiting_bytes = 0
        self._waiting: list[bytes | msgspec.Raw] = []
        self._pages: list[tuple[int, int, datetime]] = []

    def __enter__(self) -> Self:
        sys.audit("integrations.landing", str(self._draft.stream))
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._waiting.clear()

    def add(self, page: Page) -> None:
        """Take a page. Its records may be written now or with a later page."""
        for start in range(0, len(page.records), self._limit):
            records = page.records[start : start + self._limit]
            size = sum(map(len, records))
            if (
                len(self._waiting) + len(records) > self._limit
                or self._waiting_bytes + size > _PART_BYTES
            ):
                self._flush()
            self._waiting.extend(records)
            self._waiting_bytes += size
            self._pages.append((page.number, len(records), page.seen_at))
        self._records += len(page.records)
        self._bytes += page.size

    def finish(self, *, requests: int) -> Manifest:
        """Write what is left, then the manifest: from here on the landing exists."""
        self._flush()
        if (written := sum(part.records for part in self._parts)) != self._records:
            raise StopStream(
                f"a landing took {self._records} records and wrote {written}",
                where=str(self._draft.stream),
            )
        manifest = msgspec.structs.replace(
            self._draft,
            ended_at=self._clock(),
            requests=requests,
            records=self._records,
            bytes=self._bytes,
            parts=tuple(self._parts),
            hash=_digest("".join(part.sha256 for part in self._parts).encode()),
        )
        sys.audit("integrations.before_manifest", str(manifest.stream))
        self._folders.write(f"{self._path}/{MANIFEST}", msgspec.json.encode(manifest))
        sys.audit("integrations.landed", str(manifest.stream))
        return manifest

    def _flush(self) -> None:
        if not self._waiting:
            return
        data = pack(self._waiting, pages=self._pages)
        name = f"part-{len(self._parts):05}.parquet"
        self._folders.write(f"{self._path}/{name}", data)
        records = count(data)
        self._parts.append(Part(name=name, records=records, bytes=data.size, sha256=_digest(data)))
        self._waiting, self._pages, self._waiting_bytes = [], [], 0


class LandingZone:
    """All landings under one URL. Raises FixConfig for a URL of another kind."""

    def __init__(
        self,
        url: str,
        *,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        token: Callable[[], str] = lambda: secrets.token_hex(4),
    ) -> None:
        self._folders = Folders(url)
        self._clock = clock
        self._token = token

    def writer(
        self,
        stream: StreamId,
        *,
        window: Window | None,
        run_id: str,
        root_run_id: str,
        began_at: datetime,
        batch_records: int = 20_000,
    ) -> LandingWriter:
        """A new landing of the stream; parts hold at most `batch_records` records."""
        landing = f"{_moment(began_at)}-{self._token()}"
        draft = Manifest(
            landing=landing, stream=stream, window=window, generation=0,
            run_id=run_id, root_run_id=root_run_id, began_at=began_at, ended_at=began_at,
            requests=0, records=0, bytes=0, parts=(), hash="",
        )  # fmt: skip
        path = f"{_folder(stream, window)}/{landing}"
        return LandingWriter(
            self._folders, path=path, draft=draft, limit=batch_records, clock=self._clock
        )

    def newest(self, stream: StreamId, *, window: Window | None) -> Manifest | None:
        """The complete landing of the window whose pull began last; None when there is none."""
        folder = _folder(stream, window)
        for landing in sorted(self._folders.children(folder), reverse=True):
            manifest = self._manifest(f"{folder}/{landing}")
            if manifest is not None and manifest.window == window:
                return manifest
        return None

    def batches(self, manifest: Manifest) -> Iterator[Batch]:
        """The records of a landing, part by part. Raises StopStream when a part is missing or is
        no longer what was landed: then the window has to be fetched again."""
        folder = f"{_folder(manifest.stream, manifest.window)}/{manifest.landing}"
        first = 0
        for part in manifest.parts:
            with _damage(manifest, part):
                data = self._folders.read(f"{folder}/{part.name}")
                if data is None:
                    raise ValueError("is missing")
                if _digest(data) != part.sha256:
                    raise ValueError("is not what was written")
                batch = unpack(data, first=first)
                if len(batch.records) != part.records:
                    raise ValueError(f"holds {len(batch.records)} records, not {part.records}")
            yield batch
            first += part.records
        if first != manifest.records:
            raise _damaged(manifest, f"holds {first} records, its manifest says {manifest.records}")

    def prune(self, stream: StreamId, *, before: datetime, committed: Mapping[str, str]) -> int:
        """Remove what is no longer needed of pulls that began before `before` (aware): what dead
        pulls left, and landings up to the one in `committed`, by their window's label (`-` for a
        full stream). One that is newer than that was never loaded. Returns how many."""
        limit = _moment(before)
        root = _folder(stream, None).rpartition("/")[0]
        removed = 0
        for label in self._folders.children(root):
            landings = sorted(self._folders.children(f"{root}/{label}"), reverse=True)
            if landings and landings[-1] >= limit:
                continue
            for landing in landings:
                path = f"{root}/{label}/{landing}"
                loaded = landing <= committed.get(label, "")
                if landing < limit and (loaded or not self._folders.exists(f"{path}/{MANIFEST}")):
                    # The manifest first: half a landing must not look like a whole one.
                    self._folders.remove(path, first=MANIFEST)
                    removed += 1
            self._folders.remove_if_empty(f"{root}/{label}")
        return removed

    def _manifest(self, path: str) -> Manifest | None:
        data = self._folders.read(f"{path}/{MANIFEST}")
        return None if data is None else msgspec.json.decode(data, type=Manifest)


def began_at(landing: str) -> datetime:
    """When the pull of a landing began, UTC: its id says so."""
    return datetime.strptime(landing.partition("-")[0], _MOMENT).replace(tzinfo=UTC)


def _moment(at: datetime) -> str:
    return at.astimezone(UTC).strftime(_MOMENT)


def _folder(stream: StreamId, window: Window | None) -> str:
    return f"{stream}/{window.label if window else '-'}"


def _digest(data: bytes | pa.Buffer) -> str:
    return hashlib.sha256(data).hexdigest()


@contextmanager
def _damage(manifest: Manifest, part: Part) -> Iterator[None]:
    try:
        yield
    except (ValueError, pa.ArrowException) as error:
        raise _damaged(manifest, f"cannot be used: {part.name} {error}") from error


def _damaged(manifest: Manifest, what: str) -> StopStream:
    return StopStream(
        f"landing {manifest.landing} {what}",
        where=f"{manifest.stream}{f' {manifest.window}' if manifest.window else ''}",
        todo="Fetch it again.",
    )
