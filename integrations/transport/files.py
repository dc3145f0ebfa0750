"""Files as pages: what is new or changed in a folder is read, file by file, whatever holds it.

A `Store` lists and fetches; all else is here: which files are to be read, those that somebody is
still writing left alone, each brought to disk first, so that memory follows the block and a broken
download goes on where it broke. The position is what the listing showed.
"""

import hashlib
import logging
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from types import TracebackType
from typing import IO, Literal, Protocol, Self, TypeVar

import msgspec
import pyarrow as pa

from integrations.error_handling.guard import Exchange, Guard
from integrations.error_handling.retry import Retry, Waited
from integrations.errors import IntegrationError, RetryLater, StopStream
from integrations.redaction import redact
from integrations.storage.manifest import FileSeen
from integrations.transport import Ask, Clock, One, Page, Random, Sleep
from integrations.transport.file_listing import (
    EMPTY,
    GROWING,
    Entry,
    Known,
    Listed,
    State,
    Unread,
    in_order,
    matching,
)
from integrations.transport.file_request import FilesRequest
from integrations.transport.file_unpacking import spooled, unpacked
from integrations.transport.one_request import OneRequest

T = TypeVar("T")
_log = logging.getLogger(__name__)

LONGEST_S = 3600.0
"""A file whose fetch takes longer than this may be fetched by two at a time, after a failure."""
_SETTLED = timedelta(minutes=10)
"""A file that nobody has written to for so long is whole."""
_OFTEN_RECORDS, _OFTEN_FILES = 50_000, 500
"""After so many a position is written: one holds all files, so not after each of them."""


class Store(Protocol):
    """What holds files. Not for several threads at a time."""

    requests: int
    """The requests sent so far, repeated ones included."""
    grows: bool
    """Whether a file may be seen before it is whole."""

    def listing(self, folder: str, *, deep: bool, needed: bool = True) -> Iterator[Listed]:
        """The files of a folder, and with `deep` those of the folders in it. Raises `RetryLater`,
        `StopStream` where there is no such folder and one is `needed`, `StopConnection`,
        `FixConfig`."""

    def fetch(self, folder: str, file: Listed, into: IO[bytes]) -> None:
        """Appends to `into` what follows the bytes that are there. Raises as `listing`, and
        `Unread` for a file that cannot be had, or is another than was listed."""

    def close(self) -> None:
        """Ends the connection."""


@dataclass
class _Pull:
    """One pull on its way."""

    known: Known
    last: datetime | None = None
    waited: Waited = field(default_factory=Waited)
    seen: list[FileSeen] = field(default_factory=list)
    number: int = 0
    records: int = 0

    def page(self, records: Sequence[bytes], at: datetime) -> Page:
        self.number += 1
        self.records += len(records)
        return Page(self.number, records, at, sum(map(len, records)))

    def end(
        self,
        one: Listed,
        state: Literal["loaded", "same"],
        at: datetime,
        hash_: str,
        *,
        records: int = 0,
        reason: str = "",
    ) -> None:
        """A file was read to its end."""
        self.known.set(one, Entry(one.size, one.tag, "loaded", hash_))
        seen = FileSeen(
            path=one.path, state=state, read_at=at, size=one.size, reason=reason,
            modified_at=one.modified_at, hash=hash_, records=records,
        )  # fmt: skip
        self.seen.append(seen)

    def told(self, at: datetime) -> Page:
        """A page of what became of files, with the position."""
        self.number += 1
        files, self.seen, self.records = tuple(self.seen), [], 0
        return Page(self.number, [], at, 0, self.known.written(), files=files)


class FileSession:
    """An open transport of files; a context manager. `settle_s` is for how long a fresh file is
    watched before it is read."""

    offset_s = 0.0

    def __init__(
        self,
        store: Store,
        *,
        retry: Retry,
        settle_s: float,
        clock: Clock,
        sleep: Sleep,
        random: Random,
        guards: Sequence[Guard] = (),
    ) -> None:
        self._store, self._retry, self._settle_s = store, retry, settle_s
        self._clock, self._sleep, self._random = clock, sleep, random
        self._guards = guards

    @property
    def requests(self) -> int:
        """The requests sent so far, repeated ones included."""
        return self._store.requests

    @property
    def guards(self) -> Sequence[Guard]:
        """What stands around each request, the outermost first."""
        return self._guards

    def one(self, request: OneRequest, *, key: str, patience_s: float | None = None) -> One | None:
        """Raises `StopStream`: a file holds no records that could be asked for."""
        raise StopStream("a single record cannot be fetched from a source of files")

    def pages(
        self, request: FilesRequest, *, ask: Ask, position: str | None = None
    ) -> Generator[Page, None, None]:
        """The records of the files that are new or changed since `ask.position`, in the order in
        which these were written, and last a page without records, also where there is no such file.

        A file's records have a `seen_at` that no other reading has. Raises as `Store.listing` does;
        `StopStream` for a position that is none.
        """
        known, began = _known(ask.position), self._clock()
        pull = _Pull(known, last=known.last)
        listed = self._listed(request, pull)
        pull.known.only(listed)
        fresh = [one for one in listed if pull.known.is_news(one)]
        growing = self._growing(request, fresh, pull)
        at = began
        for one in in_order(fresh):
            if pull.records >= _OFTEN_RECORDS or len(pull.seen) >= _OFTEN_FILES:
                yield pull.told(at)
            at = pull.known.moment(self._clock())
            try:
                _refuse(one, growing, grows=self._store.grows)
                yield from self._read(request, one, pull, at)
            except Unread as error:
                self._unread(one, error, pull, at)
        pull.known.ended(began)  # only now: a pull that breaks lists the same days again
        yield pull.told(at)

    def _listed(self, request: FilesRequest, pull: _Pull) -> list[Listed]:
        def call() -> list[Listed]:
            found = (
                replace(one, path=below + one.path)
                for below in request.folders(pull.last, self._clock())
                for one in self._store.listing(
                    f"{request.folder}/{below}".rstrip("/"), deep=request.deep, needed=not below
                )
            )
            return [*matching(found, request.files)]

        return self._retried(call, request.endpoints[-1], pull)

    def _growing(self, request: FilesRequest, fresh: list[Listed], pull: _Pull) -> set[str]:
        """The paths of fresh files that are larger, or written to, after some seconds."""
        now = self._clock()
        doubtful = {
            one.path: one
            for one in fresh
            if self._store.grows
            and not (one.unfinished or one.problem)
            and (one.modified_at is None or now - one.modified_at < _SETTLED)
        }
        if not doubtful or not self._settle_s:
            return set()
        self._sleep(self._settle_s)
        later = {one.path: (one.size, one.tag) for one in self._listed(request, pull)}
        return {path for path, one in doubtful.items() if later.get(path) != (one.size, one.tag)}

    def _read(
        self, request: FilesRequest, one: Listed, pull: _Pull, at: datetime
    ) -> Iterator[Page]:
        with ExitStack() as stack:
            spool = stack.enter_context(spooled())
            request.limits.check(one.size, packed=one.size)
            self._retried(
                lambda: self._store.fetch(request.folder, one, spool), request.endpoints[0], pull
            )
            hash_, was = _digest(spool), pull.known.files.get(one.path)
            if was is not None and (was.state, was.note) == ("loaded", hash_):
                pull.end(one, "same", at, hash_)
                return
            if one.size == 0:
                pull.end(one, "loaded", at, hash_, reason=EMPTY)
                return
            inside = stack.enter_context(unpacked(spool, limits=request.limits))
            for _, stream in inside:
                request.format.check(stream)
            notes: list[str] = []
            count = 0
            try:
                for name, stream in inside:
                    path = f"{one.path}/{name}" if name else one.path
                    for records in request.format.records(stream, file=path, notes=notes):
                        count += len(records)
                        yield pull.page(records, at)
            except (Unread, pa.ArrowException) as error:
                told = f"breaks after {count} records, which are loaded: {error}"
                raise Unread(told, records=count) from error
        pull.end(one, "loaded", at, hash_, records=count, reason="; ".join(notes[:3]))
        for note in notes:
            _log.warning("%s: %s", redact(one.path), redact(note))

    def _unread(self, one: Listed, error: Unread, pull: _Pull, at: datetime) -> None:
        state: State = "waiting" if error.waiting else "refused"
        reason = redact(error.reason)[:500]
        if not pull.known.set(one, Entry(one.size, one.tag, state, reason, error.again)):
            return
        _log.info("%s is %s: it %s", redact(one.path), state, reason)
        seen = FileSeen(
            path=one.path, state=state, read_at=at, size=one.size, reason=reason,
            modified_at=one.modified_at, records=error.records,
        )  # fmt: skip
        pull.seen.append(seen)

    def _retried(self, call: Callable[[], T], endpoint: str, pull: _Pull) -> T:
        def guarded() -> T | Unread:
            exchange = Exchange(endpoint)
            with ExitStack() as inside:
                for guard in self._guards:
                    inside.enter_context(guard.around(exchange))
                try:
                    found: T | Unread = call()
                except Unread as error:  # one file is no fault of the source
                    found = error
                except IntegrationError as error:
                    exchange.error = error
                    raise
                exchange.status = 200  # it was answered, and well
                return found

        found = self._retry.run(
            guarded, sleep=self._sleep, random=self._random, on_retry=_tell, waited=pull.waited
        )
        if isinstance(found, Unread):
            raise found
        return found

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        place: TracebackType | None,
    ) -> None:
        self._store.close()


def _known(position: str | None) -> Known:
    try:
        return Known.read(position)
    except msgspec.MsgspecError as error:
        raise StopStream(
            f"the position is none of a source of files: {error}",
            todo="`integrations positions rewind` has the stream read from its start.",
        ) from error


def _refuse(one: Listed, growing: set[str], *, grows: bool) -> None:
    """Raises `Unread` for a file that is not to be fetched at all."""
    if one.problem:
        raise Unread(one.problem)
    if one.unfinished or one.path in growing:
        raise Unread(GROWING, waiting=True)
    if one.size == 0 and grows:
        raise Unread(EMPTY, waiting=True)


def _digest(spool: IO[bytes]) -> str:
    spool.seek(0)
    return hashlib.file_digest(spool, "sha256").hexdigest()[:32]  # type: ignore[arg-type]


def _tell(error: RetryLater, wait: float) -> None:
    _log.warning("%s; trying again in %.1f s", error, wait)
