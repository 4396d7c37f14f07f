"""The minio SDK's client: one region so that it never asks for it, one pool of connections, no retries of its own."""

import ssl
from collections.abc import Mapping
from xml.etree.ElementTree import ParseError

from minio import Minio
from minio.error import InvalidResponseError, S3Error, ServerError
from urllib3 import BaseHTTPResponse, PoolManager, Timeout
from urllib3.exceptions import HTTPError

from draftstore_storage.backends.translation import NO_ANSWER, Failure
from draftstore_storage.settings import StorageSettings

CONNECT_TIMEOUT = 3.0


class Client(Minio):
    """The SDK, with a door to calls it makes but does not offer: settings of buckets, and listings as they are sent."""

    def close(self) -> None:
        """Close idle connections."""
        self._http.clear()

    def send(
        self,
        method: str,
        bucket: str,
        *,
        query: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
    ) -> BaseHTTPResponse:
        """One signed request."""
        return self._execute(
            method,
            bucket,
            body=body,
            headers=dict(headers or {}),  # the SDK writes into what it is given
            query_params=dict(query or {}),
        )


def client(settings: StorageSettings, *, read_timeout: float, connections: int) -> Client:
    """A client for the internal endpoint."""
    pool = PoolManager(
        maxsize=connections,
        retries=False,
        timeout=Timeout(connect=CONNECT_TIMEOUT, read=read_timeout),
        ssl_context=ssl.create_default_context() if settings.minio_use_ssl else None,
    )
    return Client(
        settings.minio_endpoint,
        access_key=settings.minio_access_key,
        secret_key=settings.minio_secret_key.get_secret_value(),
        secure=settings.minio_use_ssl,
        region=settings.minio_region,
        http_client=pool,
    )


def explain(error: Exception) -> Failure | None:
    """What an exception of the SDK means. An answer that is not S3's comes from something in front of the store."""
    match error:
        case S3Error():
            return Failure(error.response.status, _code(error))
        case ServerError():
            return Failure(error.status_code)
        case InvalidResponseError() | HTTPError() | ParseError():
            return NO_ANSWER
        case ValueError():
            return Failure(400, "UnexpectedAnswer")
        case _:
            return None


def _code(error: S3Error) -> str:
    """The code the store sent. For HEAD answers, which have no body, the SDK invents one: the status says it all."""
    return (error.code or "") if error.response.data else ""
