"""REST: lists in JSON over HTTP, page by page, as a connector's file describes them.

`RestTransport` says how a connection is reached, `RestSession` is one that is open.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from integrations.auth import Auth
from integrations.error_handling.breaker import Breaker
from integrations.error_handling.guard import Guard
from integrations.error_handling.limits import Limit
from integrations.error_handling.retry import Retry
from integrations.errors import FixConfig
from integrations.secrets import Secret
from integrations.transport import Clock, Random, Sleep
from integrations.transport.http import Check, HttpClient, HttpOptions, Refusal
from integrations.transport.listing import is_credential
from integrations.transport.rest_session import RestSession

_SIGNING = frozenset({"authorization", "proxy-authorization", "cookie"})


def _is_base_url(value: str) -> str:
    try:
        parts = urlsplit(value)
        host, _ = parts.hostname or "", parts.port
        host.encode("idna")
    except ValueError as error:  # also a port or a name that cannot be
        raise ValueError(f"the base_url cannot be read as an address: {error}") from error
    if parts.scheme not in ("http", "https") or not host:
        raise ValueError("the base_url should begin with https:// (or http://) and name a host")
    if parts.username is not None or parts.password is not None:
        raise ValueError("the base_url holds a user or password: these belong into auth_handler")
    if parts.query or parts.fragment or re.search(r"\s", value):
        raise ValueError("the base_url should end with its path, without '?', '#' and blanks")
    return value


def _are_headers(headers: dict[str, str]) -> dict[str, str]:
    for name, value in headers.items():
        if name.lower() in _SIGNING or is_credential(name):
            raise ValueError(f"{name} is for auth_handler: a file names secrets, it holds none")
        if not re.fullmatch(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+", name):
            raise ValueError(f"{name!r} is no name of a header")
        if not re.fullmatch(r"[\x20-\x7e]*", value):
            raise ValueError(f"the header {name} holds characters that no header can carry")
    return headers


class HttpTransport(BaseModel):
    """How a connection is reached over HTTP; times in seconds.

    `timeout_s` bounds each silence, `answer_s` a whole answer. `concurrency` is how many pages may
    be on their way at a time: that many where pages are asked for by number, one ahead where each
    names the next, none before it is wanted with 1. `breaker` says when an endpoint that fails is
    left alone. `should_retry_header` names a header whose
    `true` or `false` overrules the status (Stripe has one), `request_id_header` the one whose value
    helps the vendor to find a failed call in his logs. `quota` are limits of the source that its
    answers do not tell; what they tell is kept to without a word here.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    base_url: Annotated[str, AfterValidator(_is_base_url)]
    headers: Annotated[dict[str, str], AfterValidator(_are_headers)] = {}
    timeout_s: float = Field(default=30.0, gt=0)
    answer_s: float = Field(default=300.0, gt=0)
    retry: Retry = Retry()
    breaker: Breaker = Breaker()
    concurrency: int = Field(default=4, ge=1, le=16)
    should_retry_header: str | None = None
    request_id_header: str | None = None
    quota: tuple[Limit, ...] = ()

    @property
    def longest_s(self) -> float:
        """No request takes longer: four silences before its answer (for a connection's turn, to
        connect, to send and to hear the first of it), the answer, and a silence in that."""
        return 5 * self.timeout_s + self.answer_s

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
        guards: Sequence[Guard] = (),
    ) -> "RestSession":
        """A session that signs with `auth`; `base_url` replaces the configured address.

        `offset_s` is how many seconds the source's clock was ahead of ours in an earlier session;
        `guards` stand around each of its requests.
        """
        try:
            address = _is_base_url(base_url or self.base_url)
        except ValueError as error:
            raise FixConfig(str(error)) from error
        options = HttpOptions(
            headers=self.headers,
            timeout_s=self.timeout_s,
            answer_s=self.answer_s,
            should_retry_header=self.should_retry_header,
            request_id_header=self.request_id_header,
            refusal=self._refusal(auth),
        )
        http = HttpClient(
            f"{address.rstrip('/')}{self._below()}",
            auth=auth,
            secrets=secrets,
            options=options,
            clock=clock,
            offset_s=offset_s,
            check=self._check(auth),
            guards=guards,
        )
        return self._session(
            http, retry=self.retry, concurrency=self.concurrency, sleep=sleep, random=random
        )

    def _below(self) -> str:
        """The path that all calls have below the base address."""
        return ""

    def _check(self, auth: Auth) -> Check | None:
        """What looks at answers with status 200."""
        return None

    def _refusal(self, auth: Auth) -> Refusal | None:
        """What reads the answers with another one."""
        return None

    @property
    def _session(self) -> "Callable[..., RestSession]":
        return RestSession


class RestTransport(HttpTransport):
    """How a connection is reached that gives lists in JSON at addresses of their own."""

    type: Literal["rest"]
