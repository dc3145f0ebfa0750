"""What went wrong with a request to S3, in our words: the class of each error is its remedy.

The one place where botocore's exceptions and S3's codes are read; codes are those of
docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html.
"""

from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    CredentialRetrievalError,
    InvalidRegionError,
    NoCredentialsError,
    ParamValidationError,
    PartialCredentialsError,
)
from urllib3.exceptions import HTTPError

from integrations.errors import (
    FixConfig,
    IntegrationError,
    RetryLater,
    StopConnection,
    StopStream,
)
from integrations.redaction import redact, scrub

S3_ERRORS = (BotoCoreError, ClientError, HTTPError, OSError)
"""The roots of what boto3 and the network raise."""

_CREDENTIAL = frozenset(
    {"InvalidAccessKeyId", "SignatureDoesNotMatch", "InvalidToken", "401", "AccountProblem"}
)
EXPIRED = frozenset({"ExpiredToken", "TokenRefreshRequired"})
"""Codes of credentials that are to be had anew."""
_PASSING = EXPIRED | {
    "SlowDown", "InternalError", "ServiceUnavailable", "RequestTimeout", "Throttling",
    "ThrottlingException", "RequestLimitExceeded",
}  # fmt: skip
_ELSEWHERE = frozenset({"PermanentRedirect", "TemporaryRedirect", "AuthorizationHeaderMalformed"})


def code_of(error: BaseException) -> str:
    """S3's code, "" for what is none of its answers."""
    return str(error.response["Error"].get("Code", "")) if isinstance(error, ClientError) else ""


def translated(
    error: BaseException, what: str, *, endpoint: str, names: frozenset[str]
) -> IntegrationError:
    """Our error for one of `S3_ERRORS`, to be raised `from` it; `names` are the secrets' names."""
    scrub(error)
    what = redact(what)
    if isinstance(error, ClientError):
        return _answered(error, what, names)
    told = redact(str(error))[:300]
    if isinstance(error, NoCredentialsError | PartialCredentialsError | CredentialRetrievalError):
        return FixConfig(
            f"this machine has no credential of AWS: {told}",
            todo="Give it one, or name keys in auth_handler.",
        )
    if isinstance(error, ParamValidationError | InvalidRegionError):
        return StopStream(f"{what} at {endpoint} cannot be asked: {told}")
    return RetryLater(f"{what} at {endpoint} broke ({type(error).__name__}: {told})")


def _answered(error: ClientError, what: str, names: frozenset[str]) -> IntegrationError:
    code, said = code_of(error), error.response["Error"]
    answer = error.response.get("ResponseMetadata", {})
    status = int(answer.get("HTTPStatusCode", 0))
    told = f"{what} was answered {code or status}: {redact(str(said.get('Message', '')))[:300]}"
    if code in _CREDENTIAL:
        secrets = ", ".join(sorted(names)) or "none is configured"
        return StopConnection(told, todo=f"Check the credential (its secrets: {secrets}).")
    if code in _ELSEWHERE:
        region = said.get("Region") or answer.get("HTTPHeaders", {}).get("x-amz-bucket-region")
        where = f"It is in the region {region}. " if region else ""
        return FixConfig(told, todo=f"{where}Correct `region` and the address of the bucket.")
    if code == "RequestTimeTooSkewed":
        return StopConnection(told, todo="Set this machine's clock.")
    if code in _PASSING or status in (408, 429) or status >= 500:
        wait = str(answer.get("HTTPHeaders", {}).get("retry-after", ""))
        return RetryLater(told, retry_after=float(wait) if wait.isdigit() else None)
    if status == 403:
        return StopStream(told, todo="Give the account s3:ListBucket and s3:GetObject there.")
    return StopStream(told)
