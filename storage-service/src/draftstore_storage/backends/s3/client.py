"""boto3's client, made once and made quiet: no retries, no checksums we did not ask for, SigV4 always."""

import os
import ssl
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import boto3  # type: ignore[import-untyped]
from botocore.config import Config  # type: ignore[import-untyped]
from botocore.exceptions import (  # type: ignore[import-untyped]
    BotoCoreError,
    ClientError,
    CredentialRetrievalError,
    HTTPClientError,
    IncompleteReadError,
    NoCredentialsError,
    PartialCredentialsError,
)
from botocore.exceptions import (
    ConnectionError as EndpointError,
)
from botocore.httpsession import get_cert_path  # type: ignore[import-untyped]
from botocore.parsers import ResponseParserError  # type: ignore[import-untyped]
from botocore.utils import get_environ_proxies  # type: ignore[import-untyped]

from draftstore_storage.backends.rest.client import Network
from draftstore_storage.backends.translation import NO_ANSWER, Failure
from draftstore_storage.settings import StorageSettings

if TYPE_CHECKING:
    from types_boto3_s3.client import S3Client

CONNECT_TIMEOUT = 3.0

_NO_CREDENTIALS = (NoCredentialsError, PartialCredentialsError, CredentialRetrievalError)

_LOST = (EndpointError, HTTPClientError, IncompleteReadError, ResponseParserError)


def session(settings: StorageSettings) -> Any:
    """A session with the static credentials of the settings, or else with the SDK's own chain of sources."""
    secret, token = settings.aws_secret_access_key, settings.aws_session_token
    return boto3.session.Session(
        aws_access_key_id=settings.aws_access_key_id,
        aws_secret_access_key=secret.get_secret_value() if secret is not None else None,
        aws_session_token=token.get_secret_value() if token is not None else None,
        region_name=settings.region,
    )


def client(session: Any, settings: StorageSettings, *, read_timeout: float, connections: int) -> "S3Client":
    """A client for the internal endpoint.

    Recent versions add CRC32 trailers to uploads and retry by themselves; other stores do not know the first,
    and the second would multiply our own retries.
    """
    config = Config(
        signature_version="s3v4",
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
        retries={"total_max_attempts": 1, "mode": "standard"},
        connect_timeout=CONNECT_TIMEOUT,
        read_timeout=read_timeout,
        max_pool_connections=connections,
        tcp_keepalive=True,
        s3={"addressing_style": "virtual" if settings.virtual_hosts else "path"},
    )
    made: S3Client = session.client("s3", endpoint_url=settings.internal_endpoint, config=config)
    return made


def network(settings: StorageSettings) -> Network:
    """What the SDK takes from the environment, for requests of our own: a proxy, and certificates to trust."""
    endpoint = settings.internal_endpoint
    proxy = get_environ_proxies(endpoint).get(urlsplit(endpoint).scheme)
    if endpoint.startswith("http:"):
        return Network(proxy=proxy)
    trusted = os.environ.get("AWS_CA_BUNDLE") or get_cert_path(True)
    return Network(ssl.create_default_context(cafile=trusted), proxy)


def explain(error: Exception) -> Failure | None:
    """What an exception of botocore means. An error in the body of a 200 arrives here as a `ClientError` too."""
    if isinstance(error, ClientError):
        return _answered(error)
    if isinstance(error, _NO_CREDENTIALS):
        return Failure(403, "NoCredentials")
    return NO_ANSWER if isinstance(error, _LOST) else _unsent(error)


def _answered(error: Any) -> Failure:
    code = str(error.response.get("Error", {}).get("Code", ""))
    status = int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
    return Failure(status, "" if code.isdecimal() else code)


def _unsent(error: Exception) -> Failure | None:
    return Failure(400, type(error).__name__) if isinstance(error, BotoCoreError) else None
