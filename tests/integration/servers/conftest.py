"""Folders and clients for the tests of the server launchers."""

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import boto3  # type: ignore[import-untyped]
import pytest
from botocore.config import Config  # type: ignore[import-untyped]

from draftstore_standalone.servers import PostgresServer, SeaweedServer

if TYPE_CHECKING:
    from types_boto3_s3 import S3Client


@pytest.fixture(scope="session")
async def postgres(session_folder: Path) -> AsyncIterator[PostgresServer]:
    async with PostgresServer(session_folder / "launched") as server:
        yield server


@pytest.fixture(scope="session")
async def weed(session_folder: Path) -> AsyncIterator[SeaweedServer]:
    async with SeaweedServer(session_folder / "launched") as server:
        yield server


@pytest.fixture
def s3_client() -> Iterator[Callable[[SeaweedServer], "S3Client"]]:
    """Makes a client with a server's own credentials."""
    clients: list[S3Client] = []

    def make(server: SeaweedServer) -> "S3Client":
        clients.append(connect(server.endpoint, server.access_key, server.secret_key))
        return clients[-1]

    yield make
    for client in clients:
        client.close()


def connect(endpoint: str, access_key: str, secret_key: str) -> "S3Client":
    client: S3Client = boto3.client(
        "s3",
        endpoint_url=endpoint,
        aws_access_key_id=access_key,
        aws_secret_access_key=secret_key,
        region_name="us-east-1",
        config=Config(signature_version="s3v4", retries={"total_max_attempts": 1}, s3={"addressing_style": "path"}),
    )
    return client


def owner_of(pid: int) -> int:
    return Path(f"/proc/{pid}").stat().st_uid


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(20):
        while not condition():
            await asyncio.sleep(0.001)


needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root's servers run as another account")
