"""Whom a client over HTTP trusts, and what is this machine."""

import ipaddress
import ssl

import httpx

from integrations.errors import FixConfig


def trusted(scheme: str) -> ssl.SSLContext:
    """Who is trusted to say who a host is: the usual authorities, or those that SSL_CERT_FILE and
    SSL_CERT_DIR name, for this machine's own hosts too. Raises `FixConfig` where these are none."""
    # An origin without TLS never becomes one with it, so nobody need be trusted; reading the usual
    # authorities takes 20 ms.
    if scheme != "https":
        return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    try:
        return httpx.create_ssl_context()
    except OSError as error:
        raise FixConfig(
            f"the certificates that are to be trusted cannot be read ({error})",
            todo="Correct SSL_CERT_FILE or SSL_CERT_DIR in the environment.",
        ) from error


def loopback(host: str) -> bool:
    """Whether a host is this machine itself."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
