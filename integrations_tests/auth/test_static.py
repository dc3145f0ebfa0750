"""Credentials sign a request, and do nothing else: they need no network to be tried."""

import base64
from dataclasses import dataclass, field

import pytest
from pydantic import ValidationError

from integrations.auth import Auth, Memory
from integrations.auth.static import ApiKey, Basic, NoAuth
from integrations.errors import FixConfig
from integrations.secrets import Secret

SECRETS = {
    "api_key": Secret("sk_test_auth_value"),
    "user": Secret("usér@example.com"),
    "colon": Secret("user:name"),
    "broken": Secret("sk_test_broken\nX-Other: 1"),
    "foreign": Secret("sk_test_føreign"),
}


@dataclass
class Unsent:
    """A request that only has headers."""

    headers: dict[str, str] = field(default_factory=dict)


def signed(auth: Auth) -> dict[str, str]:
    """The headers of the one request that the credential yields."""
    request = Unsent()
    requests = list(auth.flow(request, SECRETS, Memory()))
    assert requests == [request]
    return request.headers


def b64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


@pytest.mark.parametrize(
    ("auth", "expected"),
    [
        (
            ApiKey(type="api_key", secret="api_key"),
            {"Authorization": "Bearer sk_test_auth_value"},
        ),
        (
            ApiKey(type="api_key", secret="api_key", header="X-Api-Key", prefix=""),
            {"X-Api-Key": "sk_test_auth_value"},
        ),
        (
            Basic(type="basic", username="api_key"),
            {"Authorization": f"Basic {b64('sk_test_auth_value:')}"},
        ),
        (
            Basic(type="basic", username="user", password="colon"),
            {"Authorization": f"Basic {b64('usér@example.com:user:name')}"},
        ),
        (NoAuth(type="none"), {}),
    ],
)
def test_a_credential_sets_its_header(auth: Auth, expected: dict[str, str]) -> None:
    """That header, and no other."""
    assert expected == signed(auth)


@pytest.mark.parametrize(
    ("auth", "names"),
    [
        (ApiKey(type="api_key", secret="a"), {"a"}),
        (Basic(type="basic", username="a"), {"a"}),
        (Basic(type="basic", username="a", password="b"), {"a", "b"}),
        (NoAuth(type="none"), set()),
    ],
)
def test_a_credential_tells_the_names_of_its_secrets(auth: Auth, names: set[str]) -> None:
    """So that what is missing is known before a call."""
    assert names == auth.secret_names()


@pytest.mark.parametrize(
    ("auth", "message"),
    [
        (ApiKey(type="api_key", secret="absent"), "'absent'"),
        (Basic(type="basic", username="api_key", password="absent"), "'absent'"),
        (ApiKey(type="api_key", secret="broken"), "'broken' holds characters"),
        (ApiKey(type="api_key", secret="foreign"), "'foreign' holds characters"),
        (Basic(type="basic", username="colon"), "'colon' holds a colon"),
    ],
)
def test_a_secret_that_cannot_be_used_is_named(auth: Auth, message: str) -> None:
    """By its name, never by its value."""
    with pytest.raises(FixConfig, match=message) as caught:
        signed(auth)
    assert not any(secret.reveal() in str(caught.value) for secret in SECRETS.values())


@pytest.mark.parametrize(
    "given",
    [
        {"type": "api_key"},
        {"type": "api_key", "secret": "a", "header": "X Key"},
        {"type": "api_key", "secret": "a", "header": "X-Key:"},
        {"type": "api_key", "secret": "a", "prefix": "Bearer\n"},
        {"type": "api_key", "secret": "a", "query": "key"},
    ],
)
def test_what_no_request_could_carry_is_refused_at_load(given: dict[str, str]) -> None:
    """Names of headers, their prefix, and fields that do not exist."""
    with pytest.raises(ValidationError):
        ApiKey.model_validate(given)


def test_a_credential_prints_no_value() -> None:
    """A model holds names only."""
    assert "sk_test" not in repr(ApiKey(type="api_key", secret="api_key"))
