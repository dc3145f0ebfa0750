"""GraphQL: connections in JSON over POST, page by page, as a connector's file describes them.

The loop over pages is REST's. What differs is here: errors inside a 200, and connections inside a
record that are read on where they are cut.
"""

from collections.abc import Generator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from functools import partial
from typing import Annotated, Any, Literal

import httpx
import msgspec
from pydantic import AfterValidator

from integrations.auth import Auth
from integrations.errors import StopStream
from integrations.secrets import Secret
from integrations.transport import Ask, Clock, Page, Random, Sleep
from integrations.transport.body import readable, text_of, value_at
from integrations.transport.circle import Circle
from integrations.transport.faults import Missing
from integrations.transport.graphql_errors import Throttle, raise_errors
from integrations.transport.graphql_paging import cursor_after
from integrations.transport.graphql_request import GraphqlRequest, Nested, edges_of, is_null
from integrations.transport.http import HttpClient, Reply
from integrations.transport.rest import HttpTransport, RestSession
from integrations.transport.rest_request import Listing, is_path

_LEVEL = msgspec.json.Decoder(dict[str, msgspec.Raw])


class GraphqlTransport(HttpTransport):
    """How a GraphQL connection is reached: REST's options, the `path` of the endpoint, and which
    errors inside a 200 pass: those of `throttle`, and `retry_codes`."""

    type: Literal["graphql"]
    path: Annotated[str, AfterValidator(is_path)] = "/graphql"
    throttle: Throttle | None = None
    retry_codes: tuple[int | str, ...] = ()

    def open(
        self,
        auth: Auth,
        secrets: Mapping[str, Secret],
        *,
        base_url: str | None = None,
        offset_s: float = 0.0,
        clock: Clock,
        sleep: Sleep,
        random: Random,
    ) -> "GraphqlSession":
        """A session that signs with `auth`; as `RestTransport.open`."""
        http = _Client(
            f"{self.address(base_url).rstrip('/')}{self.path}",
            auth=auth,
            secrets=secrets,
            options=self.options(),
            clock=clock,
            offset_s=offset_s,
        )
        http.sorts(self.throttle, self.retry_codes, auth.secret_names())
        return GraphqlSession(
            http, retry=self.retry, concurrency=self.concurrency, sleep=sleep, random=random
        )


class _Client(HttpClient):
    """Calls whose answers with errors inside a 200 are failures."""

    def sorts(
        self, throttle: Throttle | None, retry_codes: Sequence[int | str], secrets: frozenset[str]
    ) -> None:
        """Which errors pass, and the names of the credential's secrets."""
        self._sorted: dict[str, Any] = {
            "throttle": throttle, "retry_codes": retry_codes, "secret_names": secrets,
        }  # fmt: skip

    def _reply(
        self, response: httpx.Response, *, seen_at: datetime, missing: Missing | None
    ) -> Reply:
        reply = super()._reply(response, seen_at=seen_at, missing=missing)
        raise_errors(reply.body, call=self._named(response), **self._sorted)
        return reply


class GraphqlSession(RestSession):
    """An open `GraphqlTransport`; a context manager."""

    def pages(
        self, request: Listing, *, ask: Ask, position: str | None = None
    ) -> Generator[Page, None, None]:
        """The pages of one pull, connections inside their records read to the end. As
        `RestSession.pages`."""
        nested = request.nested if isinstance(request, GraphqlRequest) else {}
        for page in super().pages(request, ask=ask, position=position):
            if not nested:
                yield page
                continue
            records = []
            for record in page.records:
                whole: bytes | msgspec.Raw = record
                for place, how in nested.items():
                    whole = self._whole(whole, place, how)
                records.append(whole)
            yield replace(page, records=records)

    def _whole(self, record: bytes | msgspec.Raw, place: str, how: Nested) -> bytes | msgspec.Raw:
        """The record with all edges of its connection at `place`."""
        text = readable(bytes(record))
        connection = value_at(text, place)
        if connection is None or is_null(connection):
            return record  # this record has none
        after = cursor_after(value_at(connection, "pageInfo"), asked=None, place=place)
        if after is None:
            return record
        id_ = text_of(value_at(text, how.id))
        if id_ is None:
            raise StopStream(f"{place} is cut in a record without {how.id!r} to read on by")
        edges = [_inner(connection)]
        circle = Circle()
        while after is not None:
            call = how.call(id_, after)
            circle.asked(call)
            reply = self._retried(partial(self._http.fetch, call))
            more = value_at(readable(reply.body), how.connection)
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
