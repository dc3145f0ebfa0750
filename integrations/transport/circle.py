"""Notices when the pages of a pull go in a circle.

Servers that ignore a cursor which they do not know give the first page for ever.
"""

from integrations.errors import StopStream
from integrations.transport import Page
from integrations.transport.call import Call

_MOST_EMPTY_PAGES = 1_000  # in a row: a filtered list may have some, no list has a thousand


class Circle:
    """The guard of one pull; sees also a circle that ever new cursors hide.

    Keeps a hash per page, not the pages: 64 bits of the interpreter's own, which cost a fraction
    of a cryptographic one. That two different pages of a pull share one is not to be expected.
    """

    def __init__(self) -> None:
        self._requests: set[int] = set()
        self._contents: set[int] = set()
        self._empty = 0

    def asked(self, call: Call) -> None:
        """Raises `StopStream` for a call made before."""
        if _known(_request(call), self._requests):
            raise StopStream("the paging goes in a circle: the next page was read before")

    def forget(self, call: Call) -> None:
        """A call that is not made after all."""
        self._requests.discard(hash(_request(call)))

    def answered(self, page: Page, content: bytes | memoryview) -> None:
        """Raises `StopStream` for records that were a page before, and for endless empty pages.

        `content` is what the answer says of its records.
        """
        self._empty = 0 if page.records else self._empty + 1
        if self._empty >= _MOST_EMPTY_PAGES:
            raise StopStream(f"{self._empty} pages in a row were empty, and still there is a next")
        if page.records and _known(content, self._contents):
            raise StopStream(
                f"the paging goes in a circle: page {page.number} holds exactly the records of an "
                "earlier one, under a new cursor"
            )


def _request(call: Call) -> bytes:
    return repr((call.target, sorted(call.params.items()), call.range)).encode()


def _known(content: bytes | memoryview, seen: set[int]) -> bool:
    hashed = hash(content)
    known = hashed in seen
    seen.add(hashed)
    return known
