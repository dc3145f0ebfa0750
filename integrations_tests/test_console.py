"""What a person sees at the terminal while a command works."""

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from integrations import console


@contextmanager
def redirected(file: Path) -> Iterator[None]:
    """Standard error leads into a file, as Dagster has it while a step runs."""
    kept = os.dup(2)
    with file.open("wb") as target:
        os.dup2(target.fileno(), 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


def test_a_warning_is_shown_beside_the_bar(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """On the terminal, and in the step's file while there is one; by nobody of ours afterwards."""
    log, step = logging.getLogger("integrations.transport.rest"), tmp_path / "step.err"
    with console.bar(3, hidden=True):
        log.warning("the first call is tried again in %d s", 300)
        with redirected(step):
            log.warning("the second one too")
    assert capfd.readouterr().err.split("\n") == [
        "the first call is tried again in 300 s",
        "the second one too",
        "",
    ]
    assert step.read_text() == "the second one too\n"
    assert logging.getLogger("integrations").handlers == []
