"""The benchmark's source: a local HTTP server that is never the slowest part.

A page is sent from a file by `sendfile`, so that a page costs what its few headers cost. A process
of its own: `python -m integrations_tests.benchmarks.source FOLDER RECORDS` prints its address.

    GET /payments?page=3&size=1000&from=…&to=…    {"data": […], "page": 3, "has_more": true,
                                                   "total": 2000000, "next": "/payments?page=4…"}
    PUT /settings {"records": 50000, "delay_s": 0.05, "changed": true, "clean": false}

A page can be asked for by its number, from 1 on, or by following `next`, which is null at the end.
A window that ends before the day of the records, or begins after the last of them, is empty. `delay_s` passes
before each page is answered.
"""

import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from email.utils import formatdate
from pathlib import Path
from urllib.parse import parse_qs, urlencode, urlsplit

from integrations_tests.benchmarks.records import DAY, LATEST, Variant, Written, written

PAGE = 1000
"""Records of a page where the request does not say: what bulk lists of vendors give at the most is
between 250 (Shopify) and 2,000 (Salesforce); 1,000 is the size that OData services cut at."""
SEED = 20260301
MOST_HEADER_BYTES = 65_536


@dataclass(frozen=True)
class Settings:
    """What the source shows; `records` are the first ones of its file."""

    records: int
    delay_s: float = 0.0
    changed: bool = False
    clean: bool = False


class Source:
    """A source that serves; settings may be changed while it does."""

    def __init__(self, folder: Path, records: int, *, seed: int = SEED) -> None:
        self._folder, self._records, self._seed = folder, records, seed
        self._files: dict[Variant, tuple[int, Written]] = {}
        self._guard = threading.Lock()
        self.settings = Settings(records)
        self._file(Variant())
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.port: int = self._listener.getsockname()[1]

    def serve(self) -> None:
        """Answers until the process ends; a thread a connection."""
        while True:
            client, _ = self._listener.accept()
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            threading.Thread(target=self._talk, args=(client,), daemon=True).start()

    def _file(self, variant: Variant) -> tuple[int, Written]:
        with self._guard:
            if variant not in self._files:
                found = written(self._folder, self._records, seed=self._seed, variant=variant)
                self._files[variant] = (os.open(found.path, os.O_RDONLY), found)
            return self._files[variant]

    def _talk(self, client: socket.socket) -> None:
        with client, suppress(ConnectionError):
            waiting = b""
            while True:
                while b"\r\n\r\n" not in waiting:
                    piece = client.recv(MOST_HEADER_BYTES)
                    if not piece:
                        return
                    waiting += piece
                head, _, waiting = waiting.partition(b"\r\n\r\n")
                waiting = self._answer(client, head.decode("latin-1"), waiting)

    def _answer(self, client: socket.socket, head: str, waiting: bytes) -> bytes:
        """Answers one request; gives what of the bytes that came belongs to the next one."""
        method, target, _ = head.split("\r\n", 1)[0].split(" ")
        if method == "PUT":
            length = int(_header(head, "content-length"))
            while len(waiting) < length:
                waiting += client.recv(length)
            settings = replace(self.settings, **json.loads(waiting[:length]))
            self._file(Variant(settings.changed, settings.clean))
            self.settings = settings
            client.sendall(_head(2) + b"{}")
            return waiting[length:]
        self._page(client, target)
        return waiting

    def _page(self, client: socket.socket, target: str) -> None:
        settings = self.settings
        time.sleep(settings.delay_s)
        asked = parse_qs(urlsplit(target).query)
        page, size = int(asked.get("page", ["1"])[0]), int(asked.get("size", [str(PAGE)])[0])
        begin, end = asked.get("from", [DAY])[0], asked.get("to", ["9999"])[0]
        total = settings.records if begin < LATEST and end > DAY else 0
        first, last = min((page - 1) * size, total), min(page * size, total)
        more = last < total
        onward = {name: values[0] for name, values in asked.items()} | {"page": str(page + 1)}
        said = {
            "page": page,
            "has_more": more,
            "total": total,
            "next": f"/payments?{urlencode(onward)}" if more else None,
        }
        tail = b"]," + json.dumps(said).encode()[1:]
        descriptor, found = self._file(Variant(settings.changed, settings.clean))
        begins = int(found.offsets[first])
        left = max(int(found.offsets[last]) - begins - 1, 0)  # without the last comma
        start = _head(len(_START) + left + len(tail)) + _START
        client.sendall(start, socket.MSG_MORE)
        while left:
            sent = os.sendfile(client.fileno(), descriptor, begins, left)
            begins, left = begins + sent, left - sent
        client.sendall(tail)


_START = b'{"data":['


def _head(length: int) -> bytes:
    return (
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
        f"Date: {formatdate(usegmt=True)}\r\nContent-Length: {length}\r\n\r\n"
    ).encode()


def _header(head: str, name: str) -> str:
    for line in head.split("\r\n")[1:]:
        key, _, value = line.partition(":")
        if key.lower() == name:
            return value.strip()
    raise ValueError(f"the request has no {name}")


@dataclass(frozen=True)
class Address:
    """Where a source serves, for those who use it."""

    port: int

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def set(self, settings: Settings) -> None:
        """Has the source show this from now on."""
        body = json.dumps(asdict(settings)).encode()
        with self._connected() as connection:
            head = f"PUT /settings HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n"
            connection.sendall(head.encode() + body)
            connection.recv(MOST_HEADER_BYTES)

    def drained(self, *, size: int = PAGE) -> tuple[int, float]:
        """Fetches all pages with as little work as can be; records and seconds."""
        pages = records = 0
        buffer = memoryview(bytearray(1 << 20))
        began = time.perf_counter()
        with self._connected() as connection:
            tail = b'"has_more": true'
            while b'"has_more": true' in tail:
                pages += 1
                ask = f"GET /payments?page={pages}&size={size} HTTP/1.1\r\nHost: x\r\n\r\n"
                connection.sendall(ask.encode())
                tail = _drain(connection, buffer)
        total = int(tail.rpartition(b'"total": ')[2].partition(b",")[0])
        records = total if pages == max(-(-total // size), 1) else 0
        return records, time.perf_counter() - began

    def _connected(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port))


def _drain(connection: socket.socket, buffer: memoryview) -> bytes:
    """Reads an answer and gives its last bytes."""
    got = connection.recv_into(buffer)
    head = bytes(buffer[:got]).partition(b"\r\n\r\n")[0]
    left = int(_header(head.decode("latin-1"), "content-length")) - (got - len(head) - 4)
    tail = bytes(buffer[max(got - 400, 0) : got])
    while left:
        got = connection.recv_into(buffer)
        left -= got
        tail = (tail + bytes(buffer[max(got - 400, 0) : got]))[-400:]
    return tail


@contextmanager
def running(folder: Path, records: int) -> Iterator[Address]:
    """A source of so many records in a process of its own; its files are kept in the folder."""
    process = subprocess.Popen(
        [sys.executable, "-m", __name__, str(folder), str(records)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        if not line:
            raise RuntimeError("the source did not start; what it says is above")
        yield Address(int(line))
    finally:
        process.kill()
        process.communicate()


def main() -> None:
    source = Source(Path(sys.argv[1]), int(sys.argv[2]))
    print(source.port, flush=True)
    threading.Thread(target=source.serve, daemon=True).start()
    sys.stdin.read()  # until whoever started it has ended, however that was


if __name__ == "__main__":
    main()
