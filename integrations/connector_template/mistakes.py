"""Everything that is wrong with a connector's file, found in one reading.

The shape is pydantic's business. What lies between the parts (a stream without a mapping, a secret
that no connection names) is looked for in the plain values, so that one mistake hides no other.
"""

import itertools
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from integrations.connector_template import transformer
from integrations.connector_template.auth_handler import AuthHandler
from integrations.connector_template.child_mistakes import child_mistakes, parents
from integrations.connector_template.config_schema import SANDBOX, ConnectorConfig
from integrations.connector_template.feed_mistakes import feed_mistakes, routed
from integrations.connector_template.models import Models
from integrations.connector_template.plain_values import Found, part, valid
from integrations.connector_template.quota_mistakes import quota_mistakes
from integrations.connector_template.source_file import KeyPath
from integrations.connector_template.stream_mistakes import stream_mistakes
from integrations.connector_template.transformer import Functions
from integrations.names import NAME_RULE, is_name

COMPONENT = "integrations.orchestration.component.Connector"
"""The `type:` of every connector's file: what Dagster instantiates for it."""

_MAY_BE_SECRET = frozenset({"auth_handler", "base_url", "headers", "params", "path"})
"""Parts of a file into which somebody may have written a secret: nothing given there is shown.
Elsewhere only words of a list and numbers are."""

_JOB = "sync"

_GIVEN = ", not {tag!r}"
_WORDS = {
    "missing": "`{name}` is missing",
    "extra_forbidden": "`{name}` is no setting; is it misspelt, or meant for another place?",
    "union_tag_not_found": "`{name}.type` is missing",
    "union_tag_invalid": f"`{{name}}.type` must be one of {{expected_tags}}{_GIVEN}",
    "value_error": "`{name}`: {error}",  # our own words: they quote only what may be shown
}
"""What we say of a mistake where pydantic's words would puzzle."""


def mistakes(document: Any, functions: Functions, *, models: Models) -> Found:
    """The mistakes of a whole document, as (key path, message), in no particular order."""
    if not isinstance(document, dict):
        yield (), "the file must hold `type:` and `attributes:`"
        return
    if document.get("type") != COMPONENT:
        yield ("type",), f"`type` must be {COMPONENT}"
    for key in document.keys() - {"type", "attributes"}:
        yield (str(key),), f"unknown setting {key!r}; the connector's settings go below attributes"
    if not isinstance(document.get("attributes"), dict):
        yield ("attributes",), "`attributes` must hold the five parts of the connector"
        return
    for at, message in attribute_mistakes(document["attributes"], functions, models=models):
        yield ("attributes", *at), message


def attribute_mistakes(values: dict[str, Any], functions: Functions, *, models: Models) -> Found:
    """The mistakes of the five parts."""
    yield from _shape(values)
    mappings, streams = part(values, "transformer"), part(values, "sync_handler", "streams")
    feeds = part(values, "event_handler", "feeds")
    yield from _unpaired(streams, mappings)
    yield from _same_names(streams, feeds)
    told = transformer.mistakes(mappings, functions, models=models, parents=parents(streams))
    for at, message in told:
        yield ("transformer", *at), message
    yield from child_mistakes(streams, mappings, routed=routed(feeds))
    yield from stream_mistakes(
        streams,
        mappings,
        routed=routed(feeds),
        transport=part(values, "sync_handler", "transport").get("type"),
    )
    yield from feed_mistakes(feeds, streams)
    yield from _soap(values, feeds)
    yield from quota_mistakes(part(values, "sync_handler", "transport"), streams, feeds)
    yield from _secrets(values)
    yield from _credential(values)


def _shape(values: dict[str, Any]) -> Found:
    try:
        ConnectorConfig.model_validate(values)
    except ValidationError as error:
        told: set[KeyPath] = set()
        for one in error.errors(include_url=False):
            at = _place(one, values)
            # A union complains once for each of its branches; the first is the one that is meant.
            if at not in told:
                told.add(at)
                yield at, _readable(one, at)


def _place(error: ErrorDetails, values: Any) -> KeyPath:
    """Where a mistake is in the file: pydantic also names branches of unions, which are no keys."""
    at: KeyPath = ()
    for segment in error["loc"]:
        within = dict(enumerate(values)) if isinstance(values, list) else values
        if isinstance(within, dict) and segment in within:
            at, values = (*at, segment), within[segment]
    if at[:1] == ("connections",) and at[2:3] == ("secrets",):
        return at[:4]
    return (*at, error["loc"][-1]) if error["type"] == "missing" else at


def _readable(error: ErrorDetails, at: KeyPath) -> str:
    """Pydantic's words for one mistake, with the setting named and what was given."""
    name, kind, given = ".".join(map(str, at)), error["type"], error["input"]
    hidden = not _MAY_BE_SECRET.isdisjoint(at)
    if error["loc"][-1] == "[key]":
        return f"{given!r} is no name: {NAME_RULE}"
    if "secrets" in at:  # what was given may be the secret itself
        return f"`{name}` must say where the secret is: {{env: NAME}} or {{file: PATH}}"
    if kind in _WORDS:
        words = _WORDS[kind].removesuffix(_GIVEN) if hidden else _WORDS[kind]
        return words.format(name=name, **error.get("ctx", {}))
    message = f"{error['msg'][:1].lower()}{error['msg'][1:]}"
    word = kind == "literal_error" and not isinstance(given, dict | list)
    plain = (word or isinstance(given, int | float)) and not hidden
    shown = f", not {given!r}" if plain else ""
    return f"`{name}`: {message}{shown}"


def _unpaired(streams: dict[str, Any], mappings: dict[str, Any]) -> Found:
    for name in streams.keys() - mappings.keys():
        yield ("sync_handler", "streams", name), f"stream {name!r} has no mapping in `transformer`"
    for name in mappings.keys() - streams.keys():
        yield ("transformer", name), f"{name!r} is no stream of `sync_handler`"


def _same_names(streams: dict[str, Any], feeds: dict[str, Any]) -> Found:
    """One collision of names, and Dagster would load no connector at all."""
    for places, named in (
        (("sync_handler", "streams"), streams),
        (("event_handler", "feeds"), feeds),
    ):
        if _JOB in named:
            yield (*places, _JOB), f"the job of each connection is called `{_JOB}` already"
    for name, end in itertools.product(streams, ("_raw", "_canonical")):
        if f"{name}{end}" in streams:
            at = ("sync_handler", "streams", f"{name}{end}")
            yield at, f"an asset of stream {name!r} is called `{name}{end}` already"


def _soap(values: dict[str, Any], feeds: dict[str, Any]) -> Found:
    """What goes with SOAP only, and what does not go with it."""
    soap = part(values, "sync_handler", "transport").get("type") == "soap"
    if part(values, "auth_handler").get("type") == "soap" and not soap:
        yield ("auth_handler", "type"), "`auth_handler` of type soap is for the transport soap"
    if feeds and soap:
        yield ("event_handler", "feeds"), "a feed is a list over REST, which a SOAP service has not"


_OF_FILES = {
    "sftp": ("ssh_password", "ssh_key"),
    "s3": ("aws_keys", "aws_role", "aws_default"),
}
"""The credentials of transports that are not HTTP; all others are for HTTP alone."""


def _credential(values: dict[str, Any]) -> Found:
    """Whether the credential is one that the transport can send."""
    transport = part(values, "sync_handler", "transport").get("type")
    given = part(values, "auth_handler").get("type")
    if transport is None or valid(AuthHandler, values.get("auth_handler")) is None:
        return
    others = [name for names in _OF_FILES.values() for name in names]
    own = _OF_FILES.get(transport, ())
    if (given not in own) if own else (given in others):
        takes = f"it takes {' or '.join(own)}" if own else "that is for files"
        yield ("auth_handler", "type"), f"the transport {transport} sends no {given}: {takes}"


def _secrets(values: dict[str, Any]) -> Found:
    auth = valid(AuthHandler, values.get("auth_handler"))
    if auth is None:
        return
    if not all(map(is_name, auth.secret_names())):
        # Not shown: somebody may have written the secret itself.
        yield ("auth_handler",), f"`auth_handler` takes names of secrets; a name: {NAME_RULE}"
        return
    named = filter(is_name, transformer.secret_names(values.get("transformer")))
    users = dict.fromkeys(named, "transformer")
    users |= dict.fromkeys(auth.secret_names(), "auth_handler")
    for name, connection in part(values, "connections").items():
        at, given = ("connections", name), part(connection, "secrets").keys()
        if name == SANDBOX and given:
            yield (*at, "secrets"), "the sandbox makes its own secrets; name none here"
        for secret in sorted(users.keys() - given if name != SANDBOX else ()):
            yield at, f"connection {name!r} lacks the secret {secret!r} that `{users[secret]}` uses"
        for secret in sorted(given - users.keys()):
            yield (*at, "secrets", secret), f"no part of the connector uses the secret {secret!r}"
