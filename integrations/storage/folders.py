"""Files under a URL, local or in an object store, with the few promises that landings need.

A file appears whole or not at all, survives a power cut once written, and local folders are open
to their owner only: raw records hold other people's data.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pyarrow as pa
from pyarrow import fs

from integrations.errors import FixConfig, RetryLater

_AGAIN = "Make room, or make it answer again, then run again; what is committed is kept."
_ADVICE = "Set INTEGRATIONS_LANDING_URL to a file:// or s3:// URL."


class Folders:
    """A tree of files; every path is relative to the URL and uses `/`.

    Raises FixConfig for another kind of URL and where we may not write, RetryLater for a fault of
    the disk or the store.
    """

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._files: fs.FileSystem
        self._local = parts.scheme == "file"
        if self._local and parts.netloc in ("", "localhost") and parts.path.startswith("/"):
            self._files, self._root = fs.LocalFileSystem(), unquote(parts.path).rstrip("/")
        elif parts.scheme == "s3" and parts.netloc:
            with _translated():
                self._files, root = fs.FileSystem.from_uri(url)
            self._root = root.rstrip("/")
        else:
            raise FixConfig(
                f"the landing zone cannot be a {parts.scheme or '(none)'} URL", todo=_ADVICE
            )

    def write(self, path: str, data: bytes | pa.Buffer) -> None:
        """The file, whole: a crash before the return leaves all of it or nothing of it."""
        target = f"{self._root}/{path}"
        with _translated():
            if self._local:
                _write_local(Path(target), data)
                return
            # An object store shows an object when its upload is complete.
            with self._files.open_output_stream(target) as sink:
                sink.write(data)

    def read(self, path: str) -> pa.Buffer | None:
        """The whole file; None when there is none."""
        with _translated():
            try:
                with self._files.open_input_file(f"{self._root}/{path}") as source:
                    return source.read_buffer()
            except FileNotFoundError:
                return None

    def exists(self, path: str) -> bool:
        """Whether there is such a file."""
        with _translated():
            return bool(self._files.get_file_info(f"{self._root}/{path}").is_file)

    def children(self, path: str) -> list[str]:
        """Names of the folders in a folder; none when it does not exist."""
        selector = fs.FileSelector(f"{self._root}/{path}", allow_not_found=True)
        with _translated():
            try:
                found = self._files.get_file_info(selector)
            except FileNotFoundError:  # removed by another process while it was looked into
                return []
        return [info.base_name for info in found if info.type == fs.FileType.Directory]

    def remove(self, path: str, *, first: str) -> None:
        """The folder and all in it, the file `first` before the others."""
        folder = f"{self._root}/{path}"
        with _translated():
            if self._files.get_file_info(f"{folder}/{first}").is_file:
                self._files.delete_file(f"{folder}/{first}")
            self._files.delete_dir(folder)

    def remove_if_empty(self, path: str) -> None:
        """A local folder without anything in it; object stores have none."""
        if self._local:
            try:
                Path(f"{self._root}/{path}").rmdir()
            except OSError:
                return  # Something is in it, or another process was faster.


def _write_local(target: Path, data: bytes | pa.Buffer) -> None:
    _make_private(target.parent)
    draft = target.with_name(f".{target.name}.{os.getpid()}")
    with open(draft, "xb", opener=_open_private) as sink:
        sink.write(data)
        sink.flush()
        os.fsync(sink.fileno())
    draft.rename(target)
    folder = os.open(target.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _open_private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def _make_private(folder: Path) -> None:
    missing = [level for level in (folder, *folder.parents) if not level.exists()]
    for level in reversed(missing):
        level.mkdir(mode=0o700, exist_ok=True)


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except PermissionError as error:
        raise FixConfig(f"the landing zone is closed to us: {error}", todo=_ADVICE) from error
    except (OSError, pa.ArrowException) as error:
        raise RetryLater(f"the landing zone fails: {error}", todo=_AGAIN) from error
