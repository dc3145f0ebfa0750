"""Part two of a connector's file: how a connection proves who it is."""

from typing import Annotated

from pydantic import Field

from integrations.auth.aws import AwsDefault, AwsKeys, AwsRole
from integrations.auth.password_token import PasswordToken
from integrations.auth.soap import SoapLogin
from integrations.auth.ssh import SshKey, SshPassword
from integrations.auth.static import ApiKey, Basic, NoAuth

AuthHandler = Annotated[
    ApiKey
    | Basic
    | PasswordToken
    | SoapLogin
    | NoAuth
    | SshPassword
    | SshKey
    | AwsKeys
    | AwsRole
    | AwsDefault,
    Field(discriminator="type"),
]
