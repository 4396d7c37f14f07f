"""A MinIO started from a binary, for the storage suites where there is one."""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import aiohttp

from support.ports import free_port

ACCESS_KEY = "minio-tests"
SECRET_KEY = "minio-tests-secret"


@dataclass(frozen=True)
class MinioServer:
    """Where it listens and who may enter."""

    endpoint: str
    access_key: str = ACCESS_KEY
    secret_key: str = SECRET_KEY


@asynccontextmanager
async def running_minio(binary: str, folder: Path) -> AsyncIterator[MinioServer]:
    """A MinIO on one folder, ready for requests; ended with the block."""
    address = f"127.0.0.1:{free_port()}"
    with (folder / "minio.log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            binary,
            "server",
            str(folder / "data"),
            f"--address={address}",
            f"--console-address=127.0.0.1:{free_port()}",
            env={**os.environ, "MINIO_ROOT_USER": ACCESS_KEY, "MINIO_ROOT_PASSWORD": SECRET_KEY},
            stdout=log,
            stderr=log,
        )
    try:
        async with asyncio.timeout(30):
            await _ready(f"http://{address}/minio/health/cluster", process)
        yield MinioServer(f"http://{address}")
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def _ready(url: str, process: asyncio.subprocess.Process) -> None:
    async with aiohttp.ClientSession() as http:
        while not await _answers(http, url):
            assert process.returncode is None, "MinIO ended while starting"
            await asyncio.sleep(0.1)


async def _answers(http: aiohttp.ClientSession, url: str) -> bool:
    try:
        async with http.get(url) as answer:
            return answer.status == 200
    except aiohttp.ClientError:
        return False
