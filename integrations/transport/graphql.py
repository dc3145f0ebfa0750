"""GraphQL: connections in JSON over POST, page by page, as a connector's file describes them.

The loop over pages is REST's. What differs is here: errors inside a 200, and connections inside a
record that are read on where they are cut.
"""

from collections.abc import Callable, Generator
from dataclasses import replace
from functools import partial
from typing import Annotated, Literal

import msgspec
from pydantic import AfterValidator

from integrations.auth import Auth
from integrations.error_handling.retry import Waited
from integrations.errors import StopStream
from integrations.transport import Ask, Page
from integrations.transport.body import readable, text_of, value_at
from integrations.transport.circle import Circle
from integrations.transport.graphql_errors import Throttle, raise_errors
from integrations.transport.graphql_paging import cursor_after
from integrations.transport.graphql_request import GraphqlRequest, Nested, edges_of, is_cut, is_null
from integrations.transport.http import Check
from integrations.transport.listing import Listing, is_path
from integrations.transport.rest import HttpTransport
from integrations.transport.rest_session import RestSession

_LEVEL = msgspec.json.Decoder(dict[str, msgspec.Raw])


class GraphqlTransport(HttpTransport):
    """How a GraphQL connection is reached: REST's options, the `path` of the endpoint, and which
    errors inside a 200 pass: those of `throttle`, and `retry_codes`."""

    type: Literal["graphql"]
    path: Annotated[str, AfterValidator(is_path)] = "/graphql"
    throttle: Throttle | None = None
    retry_codes: tuple[int | str, ...] = ()

    def _below(self) -> str:
        return self.path

    def _check(self, auth: Auth) -> Check:
        return partial(
            raise_errors,
            throttle=self.throttle,
            retry_codes=self.retry_codes,
            secret_names=auth.secret_names(),
        )

    @property
    def _session(self) -> "Callable[..., GraphqlSession]":
        return GraphqlSession


class GraphqlSession(RestSession):
    """An open `GraphqlTransport`; a context manager."""

    def pages(
        self, request: Listing, *, ask: Ask, position: str | None = None
    ) -> Generator[Page, None, None]:
        """The pages of one pull, connections inside their records read to the end. As
        `RestSession.pages`."""
        nested = request.nested if isinstance(request, GraphqlRequest) else {}
        waited = Waited()
        for page in super().pages(request, ask=ask, position=position):
            records = page.records
            for place, how in nested.items():
                records = [
                    self._whole(record, place, how, waited) if is_cut(record, place) else record
                    for record in records
                ]
            yield replace(page, records=records)

    def _whole(
        self, record: bytes | msgspec.Raw, place: str, how: Nested, waited: Waited
    ) -> bytes | msgspec.Raw:
        """The record with all edges of its connection at `place`."""
        text = readable(bytes(record))
        connection = value_at(text, place)
        if connection is None or is_null(connection):
            return record
        after = cursor_after(value_at(connection, "pageInfo"), asked=None, place=place)
        if after is None:
            return record
        id_ = text_of(value_at(text, how.id))
        if id_ is None:
            raise StopStream(f"{place} is cut in a record without {how.id!r} to read on by")
        edges_of(connection, place)
        edges = [_inner(connection)]
        circle = Circle()
        while after is not None:
            call = how.call(id_, after)
            circle.asked(call)
            reply = self._retried(partial(self._http.fetch, call), waited=waited)
            more = value_at(readable(reply.whole().body), how.connection)
            if more is None or is_null(more):
                raise StopStream(f"the answer has no {how.connection!r}: {place} stays cut")
            nodes, content = edges_of(more, how.connection), _inner(more)
            circle.answered(Page(len(edges) + 1, nodes, reply.seen_at, len(reply.body)), content)
            edges.append(content)
            info = value_at(more, "pageInfo")
            after = cursor_after(info, asked=after, place=how.connection)
        whole = _put(connection, ["edges"], b"[" + b",".join(filter(None, edges)) + b"]")
        whole = _put(whole, ["pageInfo"], bytes(info or b"null"))
        return _put(text, place.split("."), whole)


def _inner(connection: bytes | msgspec.Raw) -> bytes:
    """The text between the brackets of a connection's edges."""
    return bytes(value_at(connection, "edges") or b"[]").strip()[1:-1].strip()


def _put(level: bytes | msgspec.Raw, place: list[str], value: bytes) -> bytes:
    """The object with the value at a place, all others as they were sent."""
    fields = _LEVEL.decode(level)
    head, *rest = place
    fields[head] = msgspec.Raw(_put(fields[head], rest, value) if rest else value)
    return msgspec.json.encode(fields)
