"""The processes that are measured: warm, and told by lines of JSON what to do.

Ours (`worker.py`) and dlt's (`dlt_side.py`) speak the same way, so that both are measured alike.
"""

import json
import select
import subprocess
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from integrations_tests.benchmarks.meter import Cost, children_mb

REPOSITORY = Path(__file__).parents[2]
LOOK_S = 0.05
"""How often the memory of a process's children is looked at."""


@dataclass(frozen=True)
class Run:
    """One run: what was counted, what it cost, the most that its children held meanwhile (MB), the
    process's memory after it, and, where it was watched, the time by stage."""

    counts: Mapping[str, Any]
    cost: Cost
    children_mb: float
    after_mb: float
    stages: Mapping[str, Mapping[str, float]]


class Worker:
    """A process. `start_s` and `start_cpu` are what it took until it had imported everything."""

    def __init__(
        self, command: Sequence[str], *, environment: Mapping[str, str], log: Path
    ) -> None:
        self.log = log
        began = time.perf_counter()
        with log.open("wb") as output:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=output,
                cwd=REPOSITORY,
                env=dict(environment),
            )
        self.start_cpu: float = self._heard()["ready"]
        self.start_s = time.perf_counter() - began

    def ask(self, verb: str, **wanted: Any) -> None:
        """Tells it what to do; does not wait for its `answer`."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"verb": verb} | wanted).encode() + b"\n")
        self._process.stdin.flush()

    def answer(self) -> Run:
        """What became of it. Raises RuntimeError, with the end of the log, where it failed."""
        beside, heard = 0.0, []
        while not heard:
            heard, *_ = select.select([self._process.stdout], [], [], LOOK_S)
            beside = max(beside, children_mb(self._process.pid))
        said = self._heard()
        if said["status"] != 0:
            raise RuntimeError(f"the run ended with {said['status']}:\n{self._end_of_log()}")
        return Run(said["counts"], Cost(**said["cost"]), beside, said["after_mb"], said["stages"])

    def stop(self) -> None:
        """Ends the process, in order where it can."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with suppress(OSError):
            self._process.stdin.close()
        try:
            self._process.wait(30)
        finally:
            self._process.kill()
            self._process.wait()
            self._process.stdout.close()

    def _heard(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"a worker died:\n{self._end_of_log()}")
        said = json.loads(line)
        assert isinstance(said, dict)
        return said

    def _end_of_log(self) -> str:
        return self.log.read_text()[-4000:]
