"""A large SOAP answer: a sample is landed whole, and the long form is within its memory."""

import subprocess
import sys

import pytest

from integrations_tests.benchmarks import soap


def test_a_sample_is_landed_whole() -> None:
    """All of its records, and all of its bytes are counted."""
    found = soap.measure(300, served=soap.here)
    assert found.records == 300
    assert 0.5 < found.answer_mb < 2
    assert not soap.Large(1, 1, 1, soap.LIMIT_MB + 1, 1, 1).kept


@pytest.mark.long
def test_a_large_answer_takes_little_memory() -> None:
    """In a process of its own; it says its figures."""
    command = [sys.executable, "-m", "integrations_tests.benchmarks.soap"]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    print(done.stdout)
    assert done.returncode == 0, done.stdout + done.stderr
