"""What one large SOAP answer costs: memory beyond the idle worker's, and CPU, until it is landed.

`python -m integrations_tests.benchmarks soap`; exit status 1 where memory is above the limit. The
answer comes from the twin of the flower auction, served by another process.
"""

import multiprocessing
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from multiprocessing.connection import Connection
from pathlib import Path

import click

import integrations.connectors
from integrations import console
from integrations.connector_template import pull
from integrations.connector_template.config_schema import SANDBOX
from integrations.connector_template.connector import read_connector
from integrations.connector_template.run import Run
from integrations.sandbox.florecom import FlorecomTwin
from integrations.sandbox.server import running
from integrations.secrets import Secret
from integrations.storage.landing import LandingZone
from integrations_tests.benchmarks.meter import Meter, memory_mb

Served = Callable[[int], AbstractContextManager[tuple[str, dict[str, str]]]]
LOTS = 60_000
"""Of some 3,400 bytes each: an answer of 200 MB."""
LIMIT_MB = 150
MORNING = datetime(2026, 10, 5, 2, tzinfo=UTC)
FOLDER = Path(integrations.connectors.__path__[0]) / "florecom_vmp"


@dataclass(frozen=True)
class Large:
    """An answer that was landed: its size, and what that cost."""

    records: int
    answer_mb: float
    idle_mb: float
    above_mb: float
    cpu_s: float
    seconds: float

    @property
    def kept(self) -> bool:
        """Whether it is within its limit."""
        return self.above_mb <= LIMIT_MB


def measure(lots: int, *, served: Served | None = None) -> Large:
    """Pulls an auction day of so many lots into a landing; `served` says where they are."""
    from zeep.wsdl import Document  # a worker that reads such streams has it

    assert Document is not None
    connector = read_connector(FOLDER)
    handler, auth = connector.config.sync_handler, connector.config.auth_handler
    stream = next(
        one for one in connector.streams()
        if (one.id.connection, one.id.stream) == (SANDBOX, "supply_lines")
    )  # fmt: skip
    with (served or elsewhere)(lots) as (url, secrets), tempfile.TemporaryDirectory() as folder:
        idle, meter = memory_mb(), Meter()
        session = handler.transport.open(
            auth, {name: Secret(value) for name, value in secrets.items()}, base_url=url,
            clock=lambda: MORNING, sleep=lambda _: None, random=lambda: 0.5,
        )  # fmt: skip
        with session:
            landed = pull.land(
                stream, None, generation=0, session=session,
                zone=LandingZone(Path(folder).as_uri()),
                run=Run("large", "large", "sync", accept=False), clock=lambda: MORNING,
            )  # fmt: skip
        cost = meter.cost()
    return Large(
        landed.records, landed.bytes / 1e6, idle, cost.peak_mb - idle, cost.cpu, cost.seconds
    )


@contextmanager
def elsewhere(lots: int) -> Iterator[tuple[str, dict[str, str]]]:
    """The same by another process, whose memory is not counted."""
    spawned = multiprocessing.get_context("spawn")
    ours, theirs = spawned.Pipe()
    child = spawned.Process(target=_serve, args=(theirs, lots), daemon=True)
    child.start()
    yield ours.recv()
    ours.send(None)
    child.join()


def _serve(pipe: Connection, lots: int) -> None:
    with here(lots) as (url, secrets):
        pipe.send((url, secrets))
        pipe.recv()


@contextmanager
def here(lots: int) -> Iterator[tuple[str, dict[str, str]]]:
    """The twin served by this process: its address and what lets one in."""
    twin = FlorecomTwin(7, clock=lambda: MORNING, per_day=lots)
    with running(twin) as url:
        yield url, dict(twin.secrets)


@click.command(name="soap")
@click.option("--lots", default=LOTS, show_default=True, help="Records in the answer.")
@click.option("--json", "as_json", is_flag=True, help="One line of JSON.")
def main(*, lots: int, as_json: bool) -> None:
    """Prints what the answer cost."""
    found = measure(lots)
    if as_json:
        console.json_line({**vars(found), "kept": found.kept})
    else:
        console.out().print(
            f"{found.records:,} records of one answer of {found.answer_mb:,.0f} MB: "
            f"{found.above_mb:,.0f} MB above the idle worker's {found.idle_mb:,.0f} "
            f"(at most {LIMIT_MB}), {found.cpu_s:.1f} CPU-s, {found.seconds:.1f} s"
        )
    sys.exit(0 if found.kept else 1)


if __name__ == "__main__":
    main()
