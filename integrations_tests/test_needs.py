"""A missing tool is said, never passed over: skipped and summed up here, a failure in `.ci/run`."""

import pytest

from integrations_tests import needs

TESTS = """
from integrations_tests.needs import needs

@needs("chromium")
def test_with_it(): pass

@needs("chromium")
def test_with_it_too(): pass

def test_without(): pass
"""
CONFTEST = """
from integrations_tests.needs import *
from integrations_tests.needs import (
    pytest_configure, pytest_runtest_setup, pytest_terminal_summary
)
"""
pytest_plugins = ["pytester"]


@pytest.mark.parametrize(
    ("installed", "required", "outcome", "said"),
    [
        (True, True, {"passed": 3}, ""),
        (False, False, {"passed": 1, "skipped": 2}, "2 tests: needs chromium, which is not*"),
        (False, True, {"passed": 1, "errors": 2}, "*needs chromium, which is not installed*"),
    ],
)
def test_a_missing_tool(
    pytester: pytest.Pytester,
    monkeypatch: pytest.MonkeyPatch,
    installed: bool,
    required: bool,
    outcome: dict[str, int],
    said: str,
) -> None:
    """Without the tool its tests do not run, and the closing lines or a failure say so."""
    monkeypatch.setattr(needs, "found", lambda name: "/bin/true" if installed else None)
    monkeypatch.setattr(needs, "REQUIRED", required)
    pytester.makepyfile(TESTS)
    pytester.makeconftest(CONFTEST)
    result = pytester.runpytest_inprocess("-p", "no:cacheprovider")
    result.assert_outcomes(**outcome)
    if said:
        result.stdout.fnmatch_lines([said])
    else:
        result.stdout.no_fnmatch_line("*did not run*")


def test_an_unknown_tool_is_refused() -> None:
    """A misspelt name would skip for ever."""
    with pytest.raises(ValueError, match="'cromium' is no tool"):
        needs.needs("cromium")
