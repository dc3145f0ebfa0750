"""`python -m integrations_tests.faults [CASE…] [--kind KIND] [--json]`: the matrix of the faults.

Every fault that is ordered (all without CASE, which is a part of a name or a group) is planted for
each kind of stream. Exit status 1 when a cell is not as expected. The PostgreSQL is an embedded one
of its own, or the one of INTEGRATIONS_DATABASE_URL.
"""

import argparse
import os
import sys
import tempfile
import time
from contextlib import ExitStack
from functools import partial
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

from integrations.storage.database import connect
from integrations.storage.postgres import database_url
from integrations_tests.conftest import make_settings, remove_server
from integrations_tests.faults.bench import matrix
from integrations_tests.faults.bench.cases import EVERY, Case

TABLES = ("network", "world")
AT_ONCE = 2


def cases() -> list[Case]:
    """Every case of every table that is there."""
    package = "integrations_tests.faults.bench"
    found: list[Case] = []
    for name in TABLES:
        if find_spec(f"{package}.{name}"):
            found += import_module(f"{package}.{name}").CASES
    return found


def main() -> int:
    options = _options()
    wanted = [
        case
        for case in cases()
        if not options.case or any(part in f"{case.group}: {case.name}" for part in options.case)
    ]
    began, done = time.monotonic(), []
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="faults-")))
        made = matrix.benches(_server(folder, stack), folder / "benches", options.at_once, stack)
        own = partial(matrix.own_bench, folder / "own")
        for cell in matrix.cells(wanted, options.kind or EVERY, made, own=own):
            done.append(cell)
            if options.json:
                print(matrix.as_json(cell), flush=True)
            elif sys.stderr.isatty():
                print(f"\r{len(done)} cells", end="\r", file=sys.stderr, flush=True)
    if not options.json:
        print(matrix.table(done, wanted))
        print(f"{time.monotonic() - began:.0f} s")
    return int(any(cell.hole for cell in done) or not done)


def _server(folder: Path, stack: ExitStack) -> str:
    """A server whose data do not outlive the command."""
    for name in [name for name in os.environ if name.startswith(("INTEGRATIONS_", "DAGSTER_"))]:
        if name != "INTEGRATIONS_DATABASE_URL":
            del os.environ[name]
    if url := os.environ.pop("INTEGRATIONS_DATABASE_URL", ""):
        return url
    settings = make_settings(folder / "server")
    stack.callback(remove_server, settings)
    url = database_url(settings)
    with connect(url, autocommit=True) as connection:
        connection.execute("ALTER SYSTEM SET fsync = off")
        connection.execute("SELECT pg_reload_conf()")
    return url


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m integrations_tests.faults", description=__doc__
    )
    parser.add_argument("case", nargs="*", metavar="CASE", help="a part of a case's name or group")
    parser.add_argument("--kind", action="append", choices=EVERY, help="only this kind of stream")
    parser.add_argument("--json", action="store_true", help="one object a line, as cells are done")
    parser.add_argument("--at-once", type=int, default=AT_ONCE, help="how many cells run at once")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
