"""Tools that a test needs beside Python: a test names them, and never fails or passes by their absence.

`@needs("chromium")` skips a test where the tool is missing, and the closing lines say what did not
run and why. With INTEGRATIONS_TESTS_REQUIRE_TOOLS=1, which `.ci/run` sets, that is a failure.
"""

import os
import shutil
from collections import Counter

import pytest

TOOLS = {
    "chromium": ("chromium", "chromium-browser", "google-chrome"),
    "php": ("php",),
    "sshd": ("sshd", "/usr/sbin/sshd"),
}
"""By its name here, the commands under which a tool is installed."""
REQUIRED = os.environ.get("INTEGRATIONS_TESTS_REQUIRE_TOOLS") == "1"
_MISSING = "needs {name}, which is not installed"


def needs(name: str) -> pytest.MarkDecorator:
    """Marks a test or a module (`pytestmark`) that runs only where this tool is."""
    if name not in TOOLS:
        raise ValueError(f"{name!r} is no tool that we know: {', '.join(TOOLS)}")
    return pytest.mark.needs(name)


def found(name: str) -> str | None:
    """Where the tool is; None where it is not installed."""
    return next(filter(None, map(shutil.which, TOOLS[name])), None)


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "needs(tool): runs only where the tool is installed")


@pytest.hookimpl(tryfirst=True)  # before any fixture of the test
def pytest_runtest_setup(item: pytest.Item) -> None:
    for name in _named(item):
        if found(name) is None:
            message = _MISSING.format(name=name)
            pytest.fail(message, pytrace=False) if REQUIRED else pytest.skip(message)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Says which tools were missing and how many tests did not run for it."""
    skipped = Counter(
        name
        for report in terminalreporter.getreports("skipped")
        for name in TOOLS
        if isinstance(report.longrepr, tuple) and _MISSING.format(name=name) in report.longrepr[2]
    )
    if skipped:
        terminalreporter.section("did not run")
    for name, count in skipped.items():
        tests = "1 test" if count == 1 else f"{count} tests"
        terminalreporter.line(f"{tests}: {_MISSING.format(name=name)}")


def _named(item: pytest.Item) -> list[str]:
    return [mark.args[0] for mark in item.iter_markers("needs")]
