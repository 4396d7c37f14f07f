"""Every driver on every server at hand: SeaweedFS always, MinIO where `MINIO_BINARY` names one."""

import os
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import boto3  # type: ignore[import-untyped]
import httpx
import pytest
import pytest_asyncio
from pydantic import SecretStr

from draftstore_common.contracts import storage as wire
from draftstore_common.contracts.base import BucketRole
from draftstore_common.kit.ids import random_base62
from draftstore_storage.backends.drivers import open_store
from draftstore_storage.backends.protocols import Store
from draftstore_storage.bootstrap import prepare
from draftstore_storage.settings import StorageSettings
from support.minio_server import running_minio
from support.plain_http import NO_TLS
from support.servers import S3Server

SERVERS = ["seaweedfs", *(["minio"] if os.environ.get("MINIO_BINARY") else [])]


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def minio_server(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[S3Server]:
    """A running MinIO."""
    async with running_minio(os.environ["MINIO_BINARY"], tmp_path_factory.mktemp("minio")) as server:
        yield server


@pytest.fixture(scope="session", params=SERVERS)
def server(request: pytest.FixtureRequest) -> S3Server:
    """Each server at hand."""
    found: S3Server = request.getfixturevalue("store" if request.param == "seaweedfs" else "minio_server")
    return found


def settings_for(server: S3Server, driver: str, **changes: Any) -> StorageSettings:
    """Settings that lead a driver to a server."""
    if driver == "minio":
        given: dict[str, Any] = {
            "minio_endpoint": server.endpoint.removeprefix("http://"),
            "minio_access_key": server.access_key,
            "minio_secret_key": SecretStr(server.secret_key),
        }
    else:
        given = {
            "s3_endpoint_url": server.endpoint,
            "aws_access_key_id": server.access_key,
            "aws_secret_access_key": SecretStr(server.secret_key),
        }
    return StorageSettings(**{"storage_type": driver, **given, **changes})


@dataclass(frozen=True)
class Bench:
    """One driver on one server, with fresh keys and a client without credentials."""

    store: Store
    settings: StorageSettings
    http: httpx.AsyncClient
    server: S3Server

    @staticmethod
    def key(name: str = "object") -> str:
        """A key no other test uses."""
        return f"{random_base62(12)}/{name}"

    async def stored(self, body: bytes, *, role: BucketRole = "draft", key: str | None = None) -> wire.StoredObject:
        """An object of these bytes, as the store sees it."""
        key = key or self.key()
        await self.store.objects.put(role, key, body, wire.ObjectHeaders())
        return await self.store.objects.head(role, key)

    async def body(self, role: BucketRole, key: str) -> bytes:
        """All bytes of an object."""
        return b"".join([piece async for piece in self.store.objects.get(role, key)])

    async def headers(self, role: BucketRole, key: str) -> httpx.Headers:
        """What any client sees of an object."""
        signed = await self.store.urls.get(wire.PresignGet(role=role, key=key, expires_in=60))
        answer = await self.http.get(signed.url)
        assert answer.status_code == 200, answer.text
        return answer.headers

    def boto(self) -> Any:
        """A client of the SDK with the server's credentials, for what no backend of ours would do."""
        return boto3.client(
            "s3",
            endpoint_url=self.server.endpoint,
            region_name="us-east-1",
            aws_access_key_id=self.server.access_key,
            aws_secret_access_key=self.server.secret_key,
        )

    def url(self, role: BucketRole, key: str) -> str:
        """The unsigned address of a key without special characters."""
        return f"{self.server.endpoint}/{self.settings.buckets.name(role)}/{key}"


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def http() -> AsyncIterator[httpx.AsyncClient]:
    """A client that knows no credentials, and keeps no connection to a server that ends before it."""
    async with httpx.AsyncClient(
        verify=NO_TLS, trust_env=False, limits=httpx.Limits(max_keepalive_connections=0)
    ) as client:
        yield client


@pytest.fixture(scope="session")
def bucket() -> str:
    """The main bucket of this run."""
    return f"main-{random_base62(8).lower()}"


@pytest.fixture(scope="session", params=["s3", "minio"])
def driver(request: pytest.FixtureRequest) -> str:
    """Each driver."""
    return str(request.param)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def bench(server: S3Server, driver: str, bucket: str, http: httpx.AsyncClient) -> AsyncIterator[Bench]:
    """Each driver on each server, with both buckets made."""
    settings = settings_for(server, driver, bucket_name=bucket)
    async with open_store(settings) as opened:
        await prepare(opened, origins=["*"], patience=10)
        yield Bench(opened, settings, http, server)
