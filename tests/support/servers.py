"""The servers a test run stands on: from the wheels, or from Docker with `make test CONTAINERS=1`."""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Protocol

from draftstore_standalone.servers import PostgresServer, SeaweedServer

POSTGRES_IMAGE = "postgres:15.15-alpine"
MINIO_IMAGE = "minio/minio:RELEASE.2025-09-07T16-13-09Z"


class Postgres(Protocol):
    """A running PostgreSQL."""

    @property
    def url(self) -> str: ...


class Store(Protocol):
    """A running S3-compatible store that checks signatures."""

    @property
    def endpoint(self) -> str: ...

    @property
    def access_key(self) -> str: ...

    @property
    def secret_key(self) -> str: ...


class _Contained:
    """A server in a container, by its addresses."""

    def __init__(self, *, url: str = "", endpoint: str = "", access_key: str = "", secret_key: str = "") -> None:
        self.url = url
        self.endpoint = endpoint
        self.access_key = access_key
        self.secret_key = secret_key


def from_containers() -> bool:
    """Whether this run takes its servers from Docker."""
    return os.environ.get("DRAFTSTORE_TEST_CONTAINERS") == "1"


@asynccontextmanager
async def running_postgres(data_dir: Path) -> AsyncIterator[Postgres]:
    """PostgreSQL for a whole run."""
    if not from_containers():
        async with PostgresServer(data_dir) as server:
            yield server
        return
    from testcontainers.postgres import PostgresContainer  # noqa: PLC0415  needs Docker as soon as it is imported

    container = PostgresContainer(POSTGRES_IMAGE, driver=None)
    await asyncio.to_thread(container.start)
    try:
        yield _Contained(url=container.get_connection_url())
    finally:
        await asyncio.to_thread(container.stop)


@asynccontextmanager
async def running_store(data_dir: Path) -> AsyncIterator[Store]:
    """SeaweedFS from the wheel, or MinIO from Docker, for a whole run."""
    if not from_containers():
        async with SeaweedServer(data_dir) as server:
            yield server
        return
    from testcontainers.minio import MinioContainer  # noqa: PLC0415  needs Docker as soon as it is imported

    container = MinioContainer(MINIO_IMAGE)
    await asyncio.to_thread(container.start)
    try:
        config = container.get_config()
        yield _Contained(
            endpoint=f"http://{config['endpoint']}", access_key=config["access_key"], secret_key=config["secret_key"]
        )
    finally:
        await asyncio.to_thread(container.stop)
