"""The driver that the settings choose, opened and closed as a whole.

A driver is what differs: where credentials come from, how the store is reached, and the SDK that looks after buckets.
Objects, uploads in parts and presigned URLs are the same for both.
"""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any

from draftstore_storage.backends.calls import Calls
from draftstore_storage.backends.protocols import BucketBackend, Store
from draftstore_storage.backends.rest.client import Network, RestClient
from draftstore_storage.backends.rest.multipart import RestMultipart
from draftstore_storage.backends.rest.objects import RestObjects
from draftstore_storage.settings import StorageSettings
from draftstore_storage.signing.addresses import addresses
from draftstore_storage.signing.credentials import Credentials, CredentialSource, StaticCredentials
from draftstore_storage.signing.headers import HeaderSigner
from draftstore_storage.signing.presigner import Presigner

SHORT_CALLS = 64
LONG_CALLS = 64
"""Connections for what is answered at once, and for copies, batches and bodies."""

SDK_CALLS = 8
SDK_READ_TIMEOUT = 30.0
"""Seconds without a byte."""


@dataclass(frozen=True, slots=True)
class Driver:
    """What differs between the drivers."""

    credentials: CredentialSource
    network: Network
    buckets: BucketBackend


@asynccontextmanager
async def open_store(settings: StorageSettings) -> AsyncIterator[Store]:
    """The store, by the driver that `STORAGE_TYPE` names. Opening reaches no network."""
    async with AsyncExitStack() as stack:
        driver = _minio(settings, stack) if settings.storage_type == "minio" else _s3(settings, stack)
        names = settings.buckets
        internal = addresses(settings.internal_endpoint, names, virtual_hosts=settings.virtual_hosts)
        signer = HeaderSigner(driver.credentials, internal, region=settings.region)
        short = await stack.enter_async_context(RestClient(signer, driver.network, connections=SHORT_CALLS))
        long = await stack.enter_async_context(RestClient(signer, driver.network, connections=LONG_CALLS))
        objects = RestObjects(short, long, names)
        multipart = RestMultipart(short, long, names, objects)
        yield Store(objects, multipart, driver.buckets, _presigner(settings, driver.credentials))


# An SDK takes a tenth of a second to import: only the one that is used is.


def _s3(settings: StorageSettings, stack: AsyncExitStack) -> Driver:
    from draftstore_storage.backends.s3 import client as s3_client  # noqa: PLC0415
    from draftstore_storage.backends.s3.buckets import S3Buckets  # noqa: PLC0415
    from draftstore_storage.backends.s3.credentials import ChainCredentials  # noqa: PLC0415

    session = s3_client.session(settings)
    sdk = s3_client.client(session, settings, read_timeout=SDK_READ_TIMEOUT, connections=SDK_CALLS)
    stack.callback(sdk.close)
    calls = _closing(Calls(sdk, s3_client.explain, threads=SDK_CALLS), stack)
    buckets = S3Buckets(calls, settings.buckets, region=settings.region)
    return Driver(ChainCredentials(session), s3_client.network(settings), buckets)


def _minio(settings: StorageSettings, stack: AsyncExitStack) -> Driver:
    from draftstore_storage.backends.minio import client as minio_client  # noqa: PLC0415
    from draftstore_storage.backends.minio.buckets import MinioBuckets  # noqa: PLC0415

    sdk = minio_client.client(settings, read_timeout=SDK_READ_TIMEOUT, connections=SDK_CALLS)
    stack.callback(sdk.close)
    calls = _closing(Calls(sdk, minio_client.explain, threads=SDK_CALLS), stack)
    held = Credentials(settings.minio_access_key, settings.minio_secret_key.get_secret_value())
    return Driver(StaticCredentials(held), Network(), MinioBuckets(calls, settings.buckets))


def _closing(calls: Calls[Any], stack: AsyncExitStack) -> Calls[Any]:
    stack.callback(calls.close)
    return calls


def _presigner(settings: StorageSettings, credentials: CredentialSource) -> Presigner:
    return Presigner(
        credentials,
        settings.buckets,
        region=settings.region,
        endpoint=settings.public_endpoint,
        virtual_hosts=settings.virtual_hosts,
    )
