"""The keys of advisory locks: one for each purpose, all of them in one module."""

from pathlib import Path

import integrations
from integrations.storage import locks


def test_no_two_keys_are_the_same() -> None:
    """Two purposes under one key would wait for each other, or believe each other's lock."""
    keys = [value for name, value in vars(locks).items() if name.isupper()]
    assert len(keys) == len(set(keys)) > 1


def test_no_key_is_elsewhere() -> None:
    """A key beside the module could be one of its own."""
    root = Path(integrations.__file__).parent
    found = [path.name for path in root.rglob("*.py") if "0x696E7467" in path.read_text()]
    assert found == ["locks.py"]
