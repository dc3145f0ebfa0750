"""A connection over SSH: to the host that is meant, as who we are; or why not, in our words."""

import base64
import binascii
import io
import logging
import re
import socket
import threading
from contextlib import suppress
from typing import Any

import paramiko

from integrations.auth.ssh import Login
from integrations.errors import FixConfig, IntegrationError, RetryLater, StopConnection
from integrations.redaction import redact

# What it logs is in our errors too, and comes from threads of its own.
logging.getLogger("paramiko").setLevel(logging.CRITICAL)

SSH_ERRORS = (paramiko.SSHException, paramiko.SFTPError, OSError, EOFError)
"""The roots of what paramiko and the network raise."""
_KIND = re.compile(r"ssh-(ed25519|rsa|dss)|ecdsa-sha2-nistp\d+")
"""Kinds of host keys; the name of a host may begin as these do."""
_CHANGED = (
    "Nothing was sent to it. Ask its owner whether the key was changed, and put the new one into "
    "the secret only then."
)


def connected(
    address: tuple[str, int], login: Login, *, names: frozenset[str], timeout_s: float
) -> paramiko.SFTPClient:
    """A client that is logged in.

    The host has shown the key that it is known by, before anything secret was sent to it. Raises
    `StopConnection` for another key and for a credential that is refused, `FixConfig` for keys that
    cannot be read, and what `SSH_ERRORS` holds. `names` are those of the secrets.
    """
    known, own = _host_keys(login.host_key), _own_key(login)
    place = f"{address[0]}:{address[1]}"
    sock = socket.create_connection(address, timeout=timeout_s)
    transport = paramiko.Transport(sock)
    try:
        transport.banner_timeout = transport.auth_timeout = timeout_s
        options = transport.get_security_options()
        options.key_types = _of_keys(options.key_types, known)
        transport.start_client(timeout=timeout_s)
        _is_known(transport.get_remote_server_key(), known, place)
        _log_in(transport, login, own, place=place, names=names)
        client = _opened(transport, timeout_s)
    except BaseException:
        with suppress(*SSH_ERRORS):
            transport.close()
        raise
    return client


def _opened(transport: paramiko.Transport, timeout_s: float) -> paramiko.SFTPClient:
    """The subsystem, for whose beginning paramiko would wait for an hour, or for ever."""
    late = threading.Timer(timeout_s, transport.close)
    late.daemon = True
    late.start()
    try:
        client = paramiko.SFTPClient.from_transport(transport)
    finally:
        late.cancel()
    assert client is not None, "the transport is open"
    client.get_channel().settimeout(timeout_s)
    return client


def translated(error: BaseException, what: str, place: str) -> IntegrationError:
    """Our error for one of `SSH_ERRORS`; to be raised `from` it."""
    what = redact(what)
    match error:
        case socket.gaierror():
            return RetryLater(f"{what}: no host is called {place.rpartition(':')[0]}")
        case ConnectionRefusedError():
            return RetryLater(f"{what}: nothing listens at {place}")
        case TimeoutError():
            return RetryLater(f"{what}: {place} did not answer in time")
        case paramiko.IncompatiblePeer():
            return StopConnection(f"{what}: {place} speaks no SSH that we do: {redact(str(error))}")
    told = redact(str(error)) or "the connection ended"
    return RetryLater(f"{what} at {place} broke ({type(error).__name__}: {told})")


def _log_in(
    transport: paramiko.Transport,
    login: Login,
    own: paramiko.PKey | None,
    *,
    place: str,
    names: frozenset[str],
) -> None:
    try:
        if own is not None:
            left = transport.auth_publickey(login.username, own)
        else:
            assert login.password is not None, "who has no key has a password"
            left = transport.auth_password(login.username, login.password.reveal())
    except paramiko.BadAuthenticationType as error:
        allowed = ", ".join(error.allowed_types)
        raise StopConnection(
            f"{place} takes no such credential, but {allowed}", todo=_check(names)
        ) from None
    except paramiko.AuthenticationException:
        raise StopConnection(f"{place} refused the credential", todo=_check(names)) from None
    if left:
        raise StopConnection(f"{place} wants more than one credential: also {', '.join(left)}")


def _check(names: frozenset[str]) -> str:
    return f"Check it (its secrets: {', '.join(sorted(names))})."


def _host_keys(text: str) -> list[tuple[str, bytes]]:
    """The keys that a host may show, by kind: lines as in known_hosts, with or without a name, and
    remarks. One that is marked (as revoked, say) is none of them."""
    found = []
    for line in filter(None, map(str.strip, text.splitlines())):
        if line.startswith("#"):
            continue
        words = line.split()
        at = next((n for n, word in enumerate(words) if _KIND.fullmatch(word)), None)
        try:
            if at is None or line.startswith("@"):
                raise ValueError
            found.append((words[at], base64.b64decode(words[at + 1], validate=True)))
        except (ValueError, IndexError, binascii.Error):
            raise FixConfig(
                "the host's key cannot be read",
                todo="Write it as `ssh-keyscan` does: ssh-ed25519 AAAA…",
            ) from None
    if not found:
        raise FixConfig("the host's key is empty", todo="`ssh-keyscan` shows it; compare it first.")
    return found


def _of_keys(kinds: Any, known: list[tuple[str, bytes]]) -> tuple[str, ...]:
    """The kinds of key to ask the host for: those that are known of it."""
    names = {kind for kind, _ in known}
    if "ssh-rsa" in names:
        names |= {"rsa-sha2-512", "rsa-sha2-256"}  # other signatures by the same key
    return tuple(kind for kind in kinds if kind in names) or tuple(kinds)


def _is_known(key: paramiko.PKey, known: list[tuple[str, bytes]], place: str) -> None:
    if (key.get_name(), key.asbytes()) in known:
        return
    raise StopConnection(
        f"{place} shows another host key than the one that is known: {key.fingerprint}",
        todo=_CHANGED,
    )


def _own_key(login: Login) -> paramiko.PKey | None:
    if login.private_key is None:
        return None
    passphrase = login.passphrase.reveal() if login.passphrase else None
    locked = False
    for kind in (paramiko.Ed25519Key, paramiko.ECDSAKey, paramiko.RSAKey):
        try:
            text = io.StringIO(login.private_key.reveal().strip() + "\n")
            return kind.from_private_key(text, password=passphrase)
        except paramiko.PasswordRequiredException:
            locked = True
        except (paramiko.SSHException, ValueError, IndexError, TypeError, binascii.Error):
            continue
    raise FixConfig(
        "the private key is locked, and no passphrase is given"
        if locked
        else "the private key cannot be read, or its passphrase is wrong",
        todo="It is Ed25519, ECDSA or RSA, in the form of ssh-keygen.",
    ) from None
