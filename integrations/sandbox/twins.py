"""Every twin there is: what the sandbox serves, and where a new twin is entered."""

from collections.abc import Mapping
from types import MappingProxyType

from integrations.sandbox.florecom import FlorecomTwin
from integrations.sandbox.s3_files import S3FilesTwin
from integrations.sandbox.sendcloud import SendcloudTwin
from integrations.sandbox.sftp_files import SftpFilesTwin
from integrations.sandbox.shiphero import ShipHeroTwin
from integrations.sandbox.stripe import StripeTwin
from integrations.sandbox.twin import MakeTwin

TWINS: Mapping[str, MakeTwin] = MappingProxyType(
    {
        "florecom_vmp": FlorecomTwin,
        "s3_files": S3FilesTwin,
        "sendcloud": SendcloudTwin,
        "sftp_files": SftpFilesTwin,
        "shiphero": ShipHeroTwin,
        "stripe": StripeTwin,
    }
)
"""By the name of the connector; all of them are served by `python -m integrations.sandbox`."""
