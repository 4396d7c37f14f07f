"""The driver that the settings choose, opened and closed as a whole."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from draftstore_storage.backends.calls import Calls
from draftstore_storage.backends.minio import client as minio_client
from draftstore_storage.backends.minio.buckets import MinioBuckets
from draftstore_storage.backends.minio.multipart import MinioMultipart
from draftstore_storage.backends.minio.objects import MinioObjects
from draftstore_storage.backends.protocols import Store
from draftstore_storage.backends.s3 import client as s3_client
from draftstore_storage.backends.s3.buckets import S3Buckets
from draftstore_storage.backends.s3.credentials import ChainCredentials
from draftstore_storage.backends.s3.multipart import S3Multipart
from draftstore_storage.backends.s3.objects import S3Objects
from draftstore_storage.settings import StorageSettings
from draftstore_storage.signing.credentials import Credentials, CredentialSource, StaticCredentials
from draftstore_storage.signing.presigner import Presigner

SHORT_CALLS = 32
LONG_CALLS = 32

SHORT_READ_TIMEOUT = 30.0
LONG_READ_TIMEOUT = 900.0
"""Seconds without a byte. A store may copy 5 GiB before it says anything."""


@contextmanager
def open_store(settings: StorageSettings) -> Iterator[Store]:
    """The store, through the SDK that `STORAGE_TYPE` names. Opening reaches no network."""
    with ExitStack() as stack:
        yield _minio_store(settings, stack) if settings.storage_type == "minio" else _s3_store(settings, stack)


def _s3_store(settings: StorageSettings, stack: ExitStack) -> Store:
    session = s3_client.session(settings)

    def calls(threads: int, read_timeout: float) -> Calls[Any]:
        made = s3_client.client(session, settings, read_timeout=read_timeout, connections=threads)
        stack.callback(made.close)
        return _closing(Calls(made, s3_client.explain, threads=threads), stack)

    short, long = calls(SHORT_CALLS, SHORT_READ_TIMEOUT), calls(LONG_CALLS, LONG_READ_TIMEOUT)
    names = settings.buckets
    buckets = S3Buckets(short, names, region=settings.region)
    objects = S3Objects(short, long, names, buckets)
    return Store(objects, S3Multipart(short, long, names, objects), buckets, _presigner(settings, session))


def _minio_store(settings: StorageSettings, stack: ExitStack) -> Store:
    def calls(threads: int, read_timeout: float) -> Calls[minio_client.Client]:
        made = minio_client.client(settings, read_timeout=read_timeout, connections=threads)
        stack.callback(made.close)
        return _closing(Calls(made, minio_client.explain, threads=threads), stack)

    short, long = calls(SHORT_CALLS, SHORT_READ_TIMEOUT), calls(LONG_CALLS, LONG_READ_TIMEOUT)
    names = settings.buckets
    buckets = MinioBuckets(short, names)
    objects = MinioObjects(short, long, names, buckets)
    return Store(objects, MinioMultipart(short, long, names, objects), buckets, _presigner(settings, None))


def _closing(calls: Calls[Any], stack: ExitStack) -> Calls[Any]:
    stack.callback(calls.close)
    return calls


def _presigner(settings: StorageSettings, session: Any) -> Presigner:
    return Presigner(
        _credentials(settings, session),
        settings.buckets,
        region=settings.region,
        endpoint=settings.public_endpoint,
        virtual_hosts=settings.virtual_hosts,
    )


def _credentials(settings: StorageSettings, session: Any) -> CredentialSource:
    if settings.storage_type == "minio":
        held = Credentials(settings.minio_access_key, settings.minio_secret_key.get_secret_value())
        return StaticCredentials(held)
    return ChainCredentials(session)
