"""Which process is meant, beyond its pid: pids are used again, also for processes of others.

Whoever writes into a file or onto a run that a process works on it says so in these words, and
whoever reads them later can tell whether that very process still lives.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import psutil


def boot_id() -> str:
    """What changes with every boot of this host; "-" where the kernel does not say."""
    file = Path("/proc/sys/kernel/random/boot_id")
    return file.read_text().strip() if file.exists() else "-"


def process_id(pid: int) -> str | None:
    """A process beyond its pid, which is used again: pid and start; None when it has ended."""
    try:
        process = psutil.Process(pid)
        if process.status() == psutil.STATUS_ZOMBIE:  # killed, and its parent has not looked yet
            return None
        stat = Path(f"/proc/{pid}/stat")
        # In ticks since the boot. A time of day would move when the clock is set.
        ticks = stat.read_text().rpartition(")")[2].split()[19] if stat.exists() else None
        return f"{pid}-{ticks or process.create_time()}"
    except (psutil.NoSuchProcess, FileNotFoundError, ProcessLookupError):
        return None


def named(pid: int | None = None) -> dict[str, Any]:
    """What a state file says of a process, by default this one: its pid, its start, its boot."""
    pid = pid or os.getpid()
    return {"pid": pid, "process": process_id(pid), "boot": boot_id()}


def living(said: Mapping[str, Any]) -> int | None:
    """The pid of the process that `named` described, if it still lives; anything else is None."""
    pid, process = said.get("pid"), said.get("process")
    if not isinstance(pid, int) or process is None or said.get("boot") != boot_id():
        return None
    return pid if process_id(pid) == process else None
