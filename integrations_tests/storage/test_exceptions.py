"""Every exception of the database has its remedy, or is known to be a mistake of ours."""

import inspect

import psycopg
import pytest

from integrations.errors import FixConfig, RetryLater, StopStream
from integrations.names import StreamId
from integrations.storage.transaction import translated

STREAM = StreamId("shop", "main", "things")
BY_BASE = {
    psycopg.DataError: StopStream,
    psycopg.IntegrityError: StopStream,
    psycopg.OperationalError: RetryLater,
    psycopg.InternalError: None,
    psycopg.NotSupportedError: None,
    psycopg.ProgrammingError: None,
    psycopg.InterfaceError: None,
    psycopg.DatabaseError: None,
    psycopg.Error: None,
}
"""The nearest one counts; None is what no database in order says to statements in order."""
BY_NAME = {
    "IdleInTransactionSessionTimeout": RetryLater,
    "InsufficientPrivilege": FixConfig,
    "ProtocolViolation": StopStream,
    "ReadOnlySqlTransaction": RetryLater,
    "TransactionTimeout": RetryLater,
    "UndefinedColumn": FixConfig,
    "UndefinedTable": FixConfig,
}
NAMED = {
    name: kind
    for name, kind in vars(psycopg.errors).items()
    if inspect.isclass(kind) and issubclass(kind, psycopg.Error)
}


def test_every_exception_has_a_base_of_the_table() -> None:
    """A new base would have none of the remedies."""
    bases = {kind for kind in NAMED.values() if kind.__base__ in (Exception, psycopg.Error)}
    assert bases | {kind for kind in NAMED.values() if kind in BY_BASE} == BY_BASE.keys()
    assert BY_NAME.keys() <= NAMED.keys()


@pytest.mark.parametrize("name", NAMED)
def test_the_remedy_of_each(name: str) -> None:
    """Without the values that the foreign error quotes."""
    kind = NAMED[name]
    nearest = next(base for base in kind.__mro__ if base in BY_BASE)
    wanted = BY_NAME.get(name, BY_BASE[nearest])
    with pytest.raises(Exception) as caught, translated(STREAM):  # noqa: PT011  # each its own
        raise kind("a value of a person")
    assert type(caught.value) is (wanted or kind)
    if wanted:
        assert "a value of a person" not in str(caught.value)
        assert str(STREAM) in str(caught.value)
