"""A copy of the tree to plant bugs in, and the suite run there."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

from integrations_tests.planted.plants import Plant

ROOT = Path(__file__).parents[2]
_COPIED = ("integrations", "integrations_tests", "pyproject.toml", "dagster.yaml", "workspace.yaml")
_MINUTES = 3
_SLIPS = r"^E +(NameError|SyntaxError|ImportError|ModuleNotFoundError|UnboundLocalError|TypeError|AttributeError)\b"
"""What a plant that is no sound program fails with: then nothing was caught."""


@dataclass(frozen=True)
class Ran:
    """How a run of the suite ended: pytest's status, the ids of what failed, what it printed."""

    status: int
    failed: list[str]
    output: str

    @property
    def slipped(self) -> list[str]:
        """Errors that say that the plant itself is broken."""
        return re.findall(_SLIPS, self.output, flags=re.M)


@dataclass
class Copy:
    """A copy of the tree below `folder`. `environment` goes to every run beside our own."""

    folder: Path
    environment: Mapping[str, str]
    _times: Iterator[int] = field(default_factory=lambda: count(1))

    def __post_init__(self) -> None:
        for name in _COPIED:
            source, target = ROOT / name, self.folder / "tree" / name
            target.parent.mkdir(parents=True, exist_ok=True)
            if source.is_dir():
                shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy(source, target)

    @contextmanager
    def planted(self, plant: Plant) -> Iterator[None]:
        """The bug is there inside, and gone after it."""
        file = self.folder / "tree" / "integrations" / plant.file
        whole = file.read_text()
        self._write(file, whole.replace(plant.old, plant.new))
        try:
            yield
        finally:
            self._write(file, whole)

    def _write(self, file: Path, text: str) -> None:
        file.write_text(text)
        # Python takes compiled code for current by second and size, and two texts may share both.
        os.utime(file, (next(self._times),) * 2)

    def run(self, tests: Sequence[str]) -> Ran:
        """Runs these tests there, in this order, until one fails."""
        done = subprocess.run(
            [
                sys.executable, "-m", "pytest", "-n", "0", "-x", "-q", "-rfE", "--tb=short",
                "-p", "no:cacheprovider", "-p", "integrations_tests.planted.own_tree",
                "--basetemp", str(self.folder / "temp"),
                *(f"integrations_tests/{test}" for test in tests),
            ],
            cwd=self.folder / "tree",
            env={**os.environ, **self.environment, "PYTHONPATH": str(self.folder / "tree")},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=60 * _MINUTES,
            check=False,
        )  # fmt: skip
        failed = re.findall(r"^FAILED integrations_tests/(\S+)", done.stdout, flags=re.M)
        return Ran(done.returncode, failed, done.stdout)
