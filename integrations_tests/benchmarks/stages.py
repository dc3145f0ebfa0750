"""Where a sync spends its time: the functions of the product that are its stages, wrapped from
outside for one run that is not among those that are measured.

A stage's time is its own: what another stage spends within it counts for that one.
"""

import functools
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any

STAGES: Mapping[str, tuple[str, ...]] = {
    "fetch": ("integrations.transport.http:HttpClient.fetch",),
    "split": ("integrations.transport.rest_request:records_in",),
    "land": (
        "integrations.storage.landing:LandingWriter.add",
        "integrations.storage.landing:LandingWriter.finish",
    ),
    "read landing": ("integrations.storage.landing:unpack",),
    "parse": ("integrations.transformation.parse:Parser.parse",),
    "coerce, map": ("integrations.transformation.transform:Transformer.run",),
    "pandera": ("integrations.canonical.entity:Entity.faults",),
    "copy": ("integrations.storage.copying:copy_rows",),
    "quarantine": ("integrations.storage.quarantine:stage",),
    "merge": ("integrations.storage.loader:Load.settled",),
    "commit": ("integrations.storage.transaction:Transaction.commit",),
}
"""The functions of each stage, as module:name."""
REST = "the rest"
"""Dagster, definitions, what is between the stages, and the CPU of Arrow's own threads."""


@dataclass
class Watch:
    """Sums of seconds and CPU-seconds by stage, while the functions are wrapped."""

    wall: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    cpu: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    undo: list[tuple[Any, str, Any]] = field(default_factory=list)
    _here: threading.local = field(default_factory=threading.local)
    _began: tuple[float, float] = (0.0, 0.0)

    def start(self) -> None:
        self._began = _clocks()

    def wrap(self, stage: str, place: str) -> None:
        """Has the function's time counted for the stage."""
        owner, name, plain = found(place)
        self.undo.append((owner, name, owner.__dict__[name]))
        function = plain.__func__ if isinstance(plain, classmethod) else plain
        counted = self._counted(stage, function)
        setattr(owner, name, classmethod(counted) if isinstance(plain, classmethod) else counted)

    def stop(self) -> dict[str, dict[str, float]]:
        """Takes the wrappers off; by stage its seconds and its CPU-seconds, the rest last."""
        for owner, name, plain in reversed(self.undo):
            setattr(owner, name, plain)
        wall, cpu = (now - then for now, then in zip(_clocks(), self._began, strict=True))
        times = {stage: {"seconds": self.wall[stage], "cpu": self.cpu[stage]} for stage in STAGES}
        seconds, used = sum(self.wall.values()), sum(self.cpu.values())
        return {**times, REST: {"seconds": max(wall - seconds, 0.0), "cpu": max(cpu - used, 0.0)}}

    def _counted(self, stage: str, function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def counted(*args: Any, **named: Any) -> Any:
            within = self._here.__dict__.setdefault("within", [])
            within.append([0.0, 0.0])
            began = time.perf_counter(), time.thread_time()
            try:
                return function(*args, **named)
            finally:
                wall, cpu = time.perf_counter() - began[0], time.thread_time() - began[1]
                inner = within.pop()
                self.wall[stage] += wall - inner[0]
                self.cpu[stage] += cpu - inner[1]
                if within:
                    within[-1][0] += wall
                    within[-1][1] += cpu

        return counted


def found(place: str) -> tuple[Any, str, Any]:
    """Who owns the function, its name there, and what stands there. Raises AttributeError, KeyError
    or ImportError where there is none."""
    module, _, path = place.partition(":")
    *above, name = path.split(".")
    owner: Any = import_module(module)
    for part in above:
        owner = getattr(owner, part)
    return owner, name, owner.__dict__[name]


def watched() -> Watch:
    """A watch that runs."""
    watch = Watch()
    for stage, places in STAGES.items():
        for place in places:
            watch.wrap(stage, place)
    watch.start()
    return watch


def _clocks() -> tuple[float, float]:
    return time.perf_counter(), time.process_time()
