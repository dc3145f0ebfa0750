"""What the tests of REST share: a session with the test's server, a pull of it, and its answers."""

from typing import Any

from integrations.auth.static import ApiKey
from integrations.secrets import Secret
from integrations.transport import Ask, Page
from integrations.transport.rest import RestTransport
from integrations.transport.rest_request import RestRequest
from integrations.transport.rest_session import RestSession
from integrations_tests.transport.conftest import Say, Time, Web

VALUE = "sk_test_rest_session_value"
SECRETS = {"api_key": Secret(VALUE)}
KEY = ApiKey(type="api_key", secret="api_key")


def opened(web: Web, time_: Time, *, offset_s: float = 0.0, **changes: Any) -> RestSession:
    """A session with `web` whose transport has these further settings."""
    transport = RestTransport.model_validate({"type": "rest", "base_url": web.url} | changes)
    return transport.open(
        KEY,
        SECRETS,
        offset_s=offset_s,
        clock=time_.clock,
        sleep=time_.sleep,
        random=time_.random,
    )


def pull(
    web: Web,
    time_: Time,
    request: dict[str, Any],
    ask: Ask | None = None,
    *,
    position: str | None = None,
    **changes: Any,
) -> list[Page]:
    """All pages of a pull; without `ask` everything is asked for."""
    read = RestRequest.model_validate(request)
    with opened(web, time_, **changes) as session:
        return list(session.pages(read, ask=ask or Ask(), position=position))


def texts(pages: list[Page]) -> list[list[str]]:
    """The records of each page."""
    return [[bytes(record).decode() for record in page.records] for page in pages]


def page(*ids: object, **body: Any) -> Say:
    """A page of records that have nothing but an id."""
    return Say({"data": [{"id": each} for each in ids], **body})
