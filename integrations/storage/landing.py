"""The landing zone: what each pull wrote, as the source sent it, kept so that it can be read again.

A landing is a folder of Parquet parts and, last, a manifest that names them. Without a manifest
there is no landing, so a pull that died leaves nothing that anybody would read. Nothing is ever
overwritten: the next pull of the same window makes a folder of its own.

    <connector>/<connection>/<stream>/<window or ->/<landing>/part-00000.parquet … manifest.json

A feed's landing holds its events as parts, and beside them as `fetched-00000.parquet` what was
asked for because an event named it.

The zone is a URL (`file://`, `s3://`), because nothing may stay on a local disk between assets.
"""

import hashlib
import secrets
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from types import TracebackType
from typing import Protocol, Self

import msgspec
import pyarrow as pa

from integrations.errors import StopStream
from integrations.names import StreamId, Window
from integrations.storage import fetched
from integrations.storage.fetched import Fetched
from integrations.storage.folders import Folders
from integrations.storage.manifest import MANIFEST, UNSURE, FileSeen, Manifest, Part, moment
from integrations.storage.parts import Batch, Records, count, pack, unpack

Clock = Callable[[], datetime]
"""Gives the time now, aware."""
_PART_BYTES = 64 << 20
"""A part closes at this size too, far below the 2 GiB that one Arrow binary array holds."""


class Page(Protocol):
    """What transport hands over: records as buffers, and when the source said them (UTC); `since`
    is when it was first asked, where that was before its first page."""

    @property
    def number(self) -> int: ...
    @property
    def records(self) -> Records: ...
    @property
    def seen_at(self) -> datetime: ...
    @property
    def size(self) -> int: ...
    @property
    def since(self) -> datetime | None: ...


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
        self._fetched: list[Part] = []
        self._files: list[FileSeen] = []
        self._said_at: datetime | None = None
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
        # The first page need not be the one that is said first: see `newest_first`, and first pages
        # of several lists that are fetched side by side.
        told = (self._said_at, page.since, page.seen_at)
        self._said_at = min(one for one in told if one is not None)
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

    def note_files(self, files: Sequence[FileSeen]) -> None:
        """Take what became of files."""
        self._files.extend(files)

    def add_fetched(self, batch: Sequence[Fetched]) -> None:
        """Write what was asked for one by one, as a file of its own."""
        if batch:
            name = f"fetched-{len(self._fetched):05}.parquet"
            self._fetched.append(self._write(name, fetched.pack(batch)))

    def finish(
        self, *, requests: int, cursor_to: str | None = None, ended: bool = True
    ) -> Manifest:
        """Write what is left, then the manifest: from here on the landing exists. `cursor_to` is
        where a cursor stream stands after it, `ended` whether its source had no more."""
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
            fetched=tuple(self._fetched),
            hash=_digest("".join(p.sha256 for p in (*self._parts, *self._fetched)).encode()),
            said_at=self._said_at,
            cursor=self._draft.cursor and (self._draft.cursor[0], cursor_to),
            ended=ended,
            files=tuple(self._files),
        )
        sys.audit("integrations.before_manifest", str(manifest.stream))
        self._folders.write(f"{self._path}/{MANIFEST}", msgspec.json.encode(manifest))
        sys.audit("integrations.landed", str(manifest.stream))
        return manifest

    def _flush(self) -> None:
        if not self._waiting:
            return
        data = pack(self._waiting, pages=self._pages)
        self._parts.append(self._write(f"part-{len(self._parts):05}.parquet", data))
        self._waiting, self._pages, self._waiting_bytes = [], [], 0

    def _write(self, name: str, data: pa.Buffer) -> Part:
        self._folders.write(f"{self._path}/{name}", data)
        return Part(name=name, records=count(data), bytes=data.size, sha256=_digest(data))


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
        generation: int = 0,
        cursor: tuple[str | None] | None = None,
        batch_records: int = 16_000,
    ) -> LandingWriter:
        """A new landing of the stream; parts hold at most `batch_records` records. `cursor` holds
        where a cursor stream goes on from."""
        landing = f"{moment(began_at)}-{self._token()}"
        draft = Manifest(
            landing=landing, stream=stream, window=window, generation=generation,
            run_id=run_id, root_run_id=root_run_id, began_at=began_at, ended_at=began_at,
            requests=0, records=0, bytes=0, parts=(), hash="",
            cursor=None if cursor is None else (*cursor, None),
        )  # fmt: skip
        path = f"{_folder(stream, window)}/{landing}"
        return LandingWriter(
            self._folders, path=path, draft=draft, limit=batch_records, clock=self._clock
        )

    def newest(self, stream: StreamId, *, window: Window | None) -> Manifest | None:
        """The complete landing of the window that was said last; None when there is none."""
        folder = _folder(stream, window)
        found = [m for m in self._landings(folder) if m.window == window and m.cursor is None]
        last = max((manifest.at for manifest in found), default=None)
        late = (manifest for manifest in found if last and manifest.at >= last - UNSURE)
        return max(late, key=lambda manifest: manifest.landing, default=None)

    def find(self, stream: StreamId, *, window: Window | None, landing: str) -> Manifest | None:
        """This landing of the window, None when it is not there any more."""
        return self._manifest(f"{_folder(stream, window)}/{landing}")

    def every(self, stream: StreamId) -> Iterator[Manifest]:
        """All complete landings of the stream, window by window, in the order of their ids."""
        root = _root(stream)
        for label in sorted(self._folders.children(root)):
            yield from self._landings(f"{root}/{label}")

    def chain(
        self, stream: StreamId, *, after: str | None, cursor: str | None, generation: int
    ) -> list[Manifest]:
        """The landings of a cursor stream that go on from where it stands: after the landing
        `after` (None: from the first), at `cursor`. Of several that begin at one place the newest
        is the chain; the others are orphans of runs that overlapped or died."""
        folder = _folder(stream, None)
        follows: dict[str | None, Manifest] = {}
        for manifest in self._landings(folder, after=after or ""):
            if manifest.cursor is not None and manifest.generation == generation:
                follows[manifest.cursor[0]] = manifest
        chain: list[Manifest] = []
        while cursor in follows:
            chain.append(follows.pop(cursor))
            cursor = (chain[-1].cursor or (None, None))[1]
        return chain

    def fetched(self, manifest: Manifest) -> Iterator[pa.Table]:
        """What was asked for beside a feed's events, in the shape of `fetched.SCHEMA`. Raises
        StopStream as `batches` does."""
        folder = f"{_folder(manifest.stream, manifest.window)}/{manifest.landing}"
        for part in manifest.fetched:
            with _damage(manifest, part):
                yield fetched.unpack(self._part(folder, part))

    def batches(self, manifest: Manifest) -> Iterator[Batch]:
        """The records of a landing, part by part. Raises StopStream when a part is missing or is
        no longer what was landed: then the window has to be fetched again."""
        folder = f"{_folder(manifest.stream, manifest.window)}/{manifest.landing}"
        first = 0
        for part in manifest.parts:
            with _damage(manifest, part):
                batch = unpack(self._part(folder, part), first=first)
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
        limit = moment(before)
        root = _root(stream)
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

    def _part(self, folder: str, part: Part) -> pa.Buffer:
        data = self._folders.read(f"{folder}/{part.name}")
        if data is None:
            raise ValueError("is missing")
        if _digest(data) != part.sha256:
            raise ValueError("is not what was written")
        return data

    def _landings(self, folder: str, *, after: str = "") -> Iterator[Manifest]:
        """The complete landings in a folder whose ids come after one, in their order."""
        for landing in sorted(self._folders.children(folder)):
            if landing > after:
                manifest = self._manifest(f"{folder}/{landing}")
                if manifest is not None:
                    yield manifest

    def _manifest(self, path: str) -> Manifest | None:
        data = self._folders.read(f"{path}/{MANIFEST}")
        return None if data is None else msgspec.json.decode(data, type=Manifest)


def _root(stream: StreamId) -> str:
    return str(stream)


def _folder(stream: StreamId, window: Window | None) -> str:
    return f"{_root(stream)}/{window.label if window else '-'}"


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
