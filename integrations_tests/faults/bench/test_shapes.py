"""Every lie of a page in every shape of paging, as far as transport: what is read through the proxy.

The matrix shows the same with tables behind it, and what the next sync makes of it.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, get_args

import pytest

from integrations.auth.static import ApiKey
from integrations.errors import IntegrationError
from integrations.sandbox.server import running
from integrations.secrets import Secret
from integrations.transport import Ask
from integrations.transport.graphql import GraphqlTransport
from integrations.transport.graphql_request import GraphqlPaging, GraphqlRequest
from integrations.transport.paging import Paging
from integrations.transport.rest import RestTransport
from integrations.transport.rest_request import RestRequest
from integrations.transport.rest_session import RestSession
from integrations_tests.faults.bench.cases import KINDS, Case
from integrations_tests.faults.bench.network import CASES
from integrations_tests.faults.bench.proxy import Proxy
from integrations_tests.faults.bench.shapes import ELSEWHERE, SHAPES
from integrations_tests.faults.bench.shelf import Shelf, connector_of, connectors
from integrations_tests.lanes.conftest import Stage

NOW = datetime(2024, 3, 3, tzinfo=UTC)
CELLS = [(case, kind) for case in CASES for kind in case.kinds if kind in SHAPES]
FILES = connectors()


@dataclass(frozen=True)
class Pull:
    """A shape that is read through the proxy; faults are planted for it as for a rig."""

    kind: str
    proxy: Proxy
    shelf: Shelf
    session: RestSession
    request: RestRequest | GraphqlRequest
    position: str | None

    @property
    def truth(self) -> Mapping[str, Any]:
        return self.shelf.truth()[self.kind]

    def read(self) -> dict[str, Any]:
        """The records that came, by id; the last of each, as it would be loaded."""
        pages = self.session.pages(self.request, ask=Ask(), position=self.position)
        read = [json.loads(bytes(record)) for page in pages for record in page.records]
        return {record["id"]: record for record in read}


def _opened(kind: str, proxy: Proxy) -> Pull:
    shelf = Shelf(kind)
    shelf.begin()
    shelf.news()
    handler = FILES[connector_of(kind)]["attributes"]["sync_handler"]
    given = handler["streams"][kind]
    graphql = SHAPES[kind].graphql
    transport = (GraphqlTransport if graphql else RestTransport).model_validate(
        handler["transport"] | {"base_url": proxy.url}
    )
    session = transport.open(
        ApiKey(type="api_key", secret="api_key"),
        {"api_key": Secret(shelf.key)},
        clock=lambda: NOW,
        sleep=lambda seconds: None,
        random=lambda: 0.5,
    )
    request = (GraphqlRequest if graphql else RestRequest).model_validate(given["request"])
    return Pull(kind, proxy, shelf, session, request, given["sync"].get("position"))


@pytest.fixture(scope="module")
def pulls() -> Iterator[Callable[[str], Pull]]:
    """Gives the pull of a shape; opening a session costs more than most tests."""
    stage, made = Stage(), dict[str, Pull]()
    with ExitStack() as stack:
        url = stack.enter_context(running(stage))
        proxy = stack.enter_context(Proxy(url, clock=lambda: NOW))

        def pull(kind: str) -> Pull:
            if kind not in made:
                made[kind] = _opened(kind, proxy)
                stack.enter_context(made[kind].session)
            stage.on = made[kind].shelf.app
            proxy.lift()
            return made[kind]

        yield pull


@pytest.mark.parametrize("kind", SHAPES)
def test_each_shape_is_read_whole(pulls: Callable[[str], Pull], kind: str) -> None:
    """Over several pages, where a list has them."""
    one = pulls(kind)
    assert one.read() == one.truth
    assert (len(one.proxy.asked) > 4) == (kind != "single")


@pytest.mark.parametrize(
    ("case", "kind"), CELLS, ids=[f"{case.name}: {kind}" for case, kind in CELLS]
)
def test_a_lie_is_seen_or_is_known_to_be_unseen(
    pulls: Callable[[str], Pull], case: Case, kind: str
) -> None:
    """Red is raised, in the words that the matrix expects; what is recovered is whole; of what
    only later syncs bring right something is missing, and nothing is told."""
    one, (fate,) = pulls(kind), case.expected(kind)
    told, read = "", {}
    with case.plant(one):  # type: ignore[arg-type]  # it takes of a rig what this has
        try:
            read = one.read()
        except IntegrationError as error:
            told = str(error)
    if read == one.truth:
        assert fate == "recovered"
    elif told:
        assert (fate, case.quotes(kind) in told) == ("red", True), told
    else:
        assert fate in ("healed", "unpromised")


def test_every_paging_of_the_code_is_in_the_matrix() -> None:
    """Who adds a kind of paging adds a line to `SHAPES`."""
    known = {
        get_args(model.model_fields["type"].annotation)[0]
        for union in (Paging, GraphqlPaging)
        for model in get_args(get_args(union)[0])
    }
    assert {*(shape.paging["type"] for shape in SHAPES.values()), *ELSEWHERE} == known
    assert not SHAPES.keys() & {*KINDS}
