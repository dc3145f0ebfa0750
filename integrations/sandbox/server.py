"""Serves twins on real sockets of 127.0.0.1: a connector is only proven over a real connection."""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager

import uvicorn
from starlette.types import ASGIApp

from integrations.sandbox.twin import OwnServer, Twin

START_S = 10.0


def served(twin: Twin | OwnServer) -> AbstractContextManager[str]:
    """Serves a twin, whatever it speaks, for as long as the block runs; gives its base URL."""
    return twin.serve() if isinstance(twin, OwnServer) else running(twin)


@contextmanager
def running(app: ASGIApp) -> Iterator[str]:
    """Serves `app` from a thread of its own for as long as the block runs; gives its base URL.

    The port is the system's choice. Raises RuntimeError when the server does not come up. At the
    end open answers get a second, then their connections are closed.
    """
    config = uvicorn.Config(
        app,
        lifespan="off",
        # the same whatever else is installed: under uvloop an end sometimes waited for ever
        loop="asyncio",
        http="h11",
        log_level="error",
        access_log=False,
        # twins date their answers by their own clock
        date_header=False,
        server_header=False,
        # as long as real services keep a connection; 5 s would close it under a slow load
        timeout_keep_alive=75,
        timeout_graceful_shutdown=1,
    )
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = uvicorn.Server(config)
        thread = threading.Thread(
            target=server.run, kwargs={"sockets": [listener]}, name="twin", daemon=True
        )
        thread.start()
        try:
            _wait_for(server, thread)
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join(timeout=START_S)


def _wait_for(server: uvicorn.Server, thread: threading.Thread) -> None:
    deadline = time.monotonic() + START_S
    while not server.started:
        if not thread.is_alive() or time.monotonic() > deadline:
            raise RuntimeError("the twin's server did not start")
        time.sleep(0.005)
