"""The secrets of a connection that the rules of a mapping need, read when a batch is to be mapped.

The connection `sandbox` names no secrets, and its twin makes new ones at each start; a key of
hashes has to stay, or every hash would change with it. So one is made for each home and kept there.
"""

import hmac
import os
import secrets
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path

from integrations.connector_template.config_schema import SANDBOX
from integrations.names import StreamId
from integrations.secrets import Secret, SecretRef
from integrations.settings import Settings

FILE = "sandbox.key"


def rule_secrets(
    stream: StreamId, known: Mapping[str, SecretRef], *, names: Iterable[str]
) -> dict[str, Secret]:
    """The secrets of these names, as they are now; raises `FixConfig` where one cannot be found."""
    if stream.connection != SANDBOX:
        return {name: known[name].resolve() for name in names}
    key = _kept(Settings.find(create=True).home / FILE)
    return {name: _derived(key, f"{stream.connector}/{name}") for name in names}


def _derived(key: Secret, name: str) -> Secret:
    return Secret(hmac.new(key.reveal().encode(), name.encode(), "sha256").hexdigest())


def _kept(file: Path) -> Secret:
    if not file.exists():
        with tempfile.NamedTemporaryFile("w", dir=file.parent, delete=False) as half:  # 0600
            half.write(secrets.token_hex(32))
        try:
            os.link(half.name, file)  # fails where another process was first
        except FileExistsError:
            pass
        finally:
            Path(half.name).unlink()
    return Secret(file.read_text())
