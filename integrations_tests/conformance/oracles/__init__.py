"""What each connector brings to the conformance suite: one module, called as the connector is.

It says by other means than the connector's file what must be in the tables:

`records(client, stream, window)` gives the objects that the source holds of a stream, as Python
values, whatever way they are paged: those whose time lies in the window, or all for None. `client`
is an httpx client of the twin's address. `expected(stream, record)` gives the columns that a record
must have become, money as `Decimal`, or None for a record that must be refused. `BY_DAY`, where it
has one, names the streams whose source knows days only: their pulls bring the whole day before.

One of a source that speaks XML also has `elements(root, name)`, the records of an answer, and
`rendered(element)`, what each is as Python values. `key(stream, record)` is there where a key is
more than values of the record.
"""

from collections.abc import Iterator, Mapping
from importlib import import_module
from typing import Any, Protocol, cast
from xml.etree import ElementTree

import httpx

from integrations.names import Window

Record = dict[str, Any]


class Oracle(Protocol):
    """The module of a connector."""

    def records(
        self, client: httpx.Client, stream: str, window: Window | None
    ) -> Iterator[Record]: ...

    def expected(self, stream: str, record: Record) -> Mapping[str, Any] | None: ...

    def elements(self, root: ElementTree.Element, name: str) -> list[ElementTree.Element]: ...

    def rendered(self, element: ElementTree.Element) -> Record: ...

    def let_in(self, client: httpx.Client, secrets: Mapping[str, str]) -> Mapping[str, str]:
        """The headers of a request that the source answers; `client` can log in."""


def oracle(connector: str) -> Oracle:
    """The oracle of a connector; ImportError where there is none yet."""
    return cast(Oracle, import_module(f"{__name__}.{connector}"))
