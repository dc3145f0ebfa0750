"""Reading a foreign server with the real transport, as a connector's file would say it."""

import json
from typing import Any

from integrations.auth.static import Basic, NoAuth
from integrations.secrets import Secret
from integrations.transport import Ask
from integrations.transport.graphql import GraphqlTransport
from integrations.transport.graphql_request import GraphqlRequest
from integrations.transport.rest import RestTransport
from integrations.transport.rest_request import RestRequest
from integrations_tests.interop.apps import USER
from integrations_tests.transport.conftest import Time

Records = list[dict[str, Any]]


def read(
    url: str,
    request: dict[str, Any],
    *,
    ask: Ask | None = None,
    position: str | None = None,
    word: str = "",
    **options: Any,
) -> tuple[Records, list[int]]:
    """The records of a whole pull, and how many were on each page; with `word` it logs in."""
    graphql = "query" in request
    kind = GraphqlTransport if graphql else RestTransport
    transport = kind.model_validate(
        {"type": "graphql" if graphql else "rest", "base_url": url, **options}
    )
    auth = Basic(type="basic", username="user", password="word") if word else NoAuth(type="none")
    secrets = {"user": Secret(USER), "word": Secret(word)} if word else {}
    time_ = Time()
    opened = transport.open(
        auth, secrets, clock=time_.clock, sleep=time_.sleep, random=time_.random
    )
    asked = (GraphqlRequest if graphql else RestRequest).model_validate(request)
    with opened as session:
        pages = [
            [json.loads(bytes(record)) for record in page.records]
            for page in session.pages(asked, ask=ask or Ask(), position=position)
        ]
    return [record for page in pages for record in page], [*map(len, pages)]
