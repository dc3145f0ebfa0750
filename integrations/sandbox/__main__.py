"""All twins in one process: `python -m integrations.sandbox --home PATH`.

While they serve, `<home>/sandbox.json` says where each is and which secrets let one in:
`{"stripe": {"url": "http://127.0.0.1:…", "secrets": {"api_key": "sk_test_…"}}, "pid": 1234, …}`,
with what tells this process from a later one of the same pid. The secrets are made at each start
and open nothing but the twin.
"""

import argparse
import fcntl
import json
import os
import signal
import sys
import threading
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from integrations.processes import named
from integrations.sandbox.address import FILE, USERS
from integrations.sandbox.server import served
from integrations.sandbox.twins import TWINS

SEED = 7
WAKE_S = 0.2
"""How often a signal is looked for: one that comes just before a wait begins does not end it."""


def main() -> int:
    """Serves until SIGTERM or SIGINT, or until nobody uses them where that was asked for."""
    options = _options()
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    if options.while_used:
        users = options.home / USERS
        threading.Thread(target=_watch, args=(users, stop), daemon=True).start()
    with ExitStack() as stack:
        found: dict[str, Any] = {}
        for name, make in TWINS.items():
            twin = make(options.seed, clock=lambda: datetime.now(UTC))
            found[name] = {"url": stack.enter_context(served(twin)), "secrets": dict(twin.secrets)}
        file = options.home / FILE
        _write(file, found | named() | {"while_used": options.while_used})
        stack.callback(_remove, file)
        places = ", ".join(f"{name} {found[name]['url']}" for name in found)
        sys.stderr.write(f"The twins are serving: {places}\n")
        while not stop.wait(WAKE_S):
            pass
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m integrations.sandbox",
        description="Serves local twins of the external systems on 127.0.0.1.",
    )
    parser.add_argument("--home", type=Path, required=True, help=f"folder that gets {FILE}")
    parser.add_argument("--seed", type=int, default=SEED, help="what the data is made from")
    parser.add_argument(
        "--while-used",
        action="store_true",
        help=f"stop when nobody holds the flock on PATH/{USERS} any more",
    )
    return parser.parse_args()


def _watch(users: Path, stop: threading.Event) -> None:
    """Waits for the lock that only one may hold: then the last user has gone, or was killed.

    It is kept until this process ends, so that who comes meanwhile waits and starts twins anew.
    """
    descriptor = os.open(users, os.O_RDWR | os.O_CREAT, 0o600)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    stop.set()


def _write(file: Path, content: dict[str, Any]) -> None:
    """Whole or not at all, and for the owner's eyes only: it holds secrets."""
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    draft = file.with_name(f"{file.name}.{os.getpid()}")
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as out:
        json.dump(content, out)
    draft.replace(file)


def _remove(file: Path) -> None:
    """Takes the file away, unless another process has put its own there."""
    try:
        if json.loads(file.read_text())["pid"] == os.getpid():
            file.unlink()
    except (OSError, ValueError, KeyError):
        return


if __name__ == "__main__":
    sys.exit(main())
