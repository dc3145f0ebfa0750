"""The database that the tests of loading share."""

from integrations_tests.storage.conftest import emptied, shared_database

__all__ = ["emptied", "shared_database"]
