"""What a stretch of work cost: CPU-seconds of a process and of PostgreSQL, and memory at its most.

Read from /proc, so it runs on Linux. Times of the kernel and of the program are added up. It needs
nothing but Python, because dlt is measured with it in an interpreter of its own.
"""

import os
import resource
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Cost:
    """What a stretch of work cost a process, children that ended meanwhile included: seconds,
    CPU-seconds, and the most memory that it held itself (RSS)."""

    seconds: float
    cpu: float
    peak_mb: float


class Meter:
    """Measures this process from where it is made until `cost` is called."""

    def __init__(self) -> None:
        Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew (proc(5))
        self._cpu, self._children = time.process_time(), _children_cpu()
        self._began = time.perf_counter()

    def cost(self) -> Cost:
        """What it cost so far."""
        seconds = time.perf_counter() - self._began
        cpu = time.process_time() - self._cpu + _children_cpu() - self._children
        return Cost(seconds, cpu, memory_mb("VmHWM"))


def memory_mb(name: str = "VmRSS", *, pid: int | str = "self") -> float:
    """A process's memory: `VmRSS` now, `VmHWM` at its most; 0 for one that has just ended."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) / 1024
    return 0.0


def children_mb(pid: int) -> float:
    """The memory of a process's children, and of theirs.

    A child that has not yet begun its own program shares its parent's memory and counts nothing.
    """
    total, own = 0.0, Path(f"/proc/{pid}/cmdline").read_bytes()
    for child in _children(pid):
        with suppress(FileNotFoundError, ProcessLookupError):  # it has just ended
            if Path(f"/proc/{child}/cmdline").read_bytes() != own:
                total += memory_mb(pid=child) + children_mb(child)
    return total


def tree_cpu(pid: int) -> float:
    """CPU-seconds of a process, of children that it has reaped, and of those that live.

    For a postmaster this is the whole server: its children have none of their own.
    """
    user, system, reaped_user, reaped_system = _times(pid)
    ticks = user + system + reaped_user + reaped_system
    for child in _children(pid):
        with suppress(FileNotFoundError, ProcessLookupError):  # it has just ended
            ticks += sum(_times(child))
    return ticks / _TICKS


def _children(pid: int) -> list[int]:
    """Who lives of a process's children, of whichever of its threads."""
    found: list[int] = []
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        with suppress(FileNotFoundError, ProcessLookupError):  # the thread has just ended
            found += map(int, task.read_text().split())
    return found


def _times(pid: int) -> tuple[int, int, int, int]:
    """utime, stime, cutime, cstime of proc(5), in ticks."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    user, system, reaped_user, reaped_system = map(int, fields[11:15])
    return user, system, reaped_user, reaped_system


def _children_cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
