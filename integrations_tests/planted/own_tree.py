"""For pytest in a copy of the tree: what is imported is the copy, and not what is installed."""

from pathlib import Path

import integrations
import integrations_tests


def pytest_sessionstart() -> None:
    for package in (integrations, integrations_tests):
        assert Path(str(package.__file__)).is_relative_to(Path.cwd()), (
            f"{package} is another tree's"
        )
