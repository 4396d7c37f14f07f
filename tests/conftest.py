"""Real servers for every suite: one PostgreSQL and one store per run, started when first asked for."""

from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import pytest
import pytest_asyncio

from draftstore_common.kit.ids import random_base62
from support.servers import Postgres, Store, running_postgres, running_store


@pytest.fixture(scope="session")
def servers_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the servers of this run keep their data."""
    return tmp_path_factory.mktemp("servers")


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def postgres(servers_dir: Path) -> AsyncIterator[Postgres]:
    """A running PostgreSQL."""
    async with running_postgres(servers_dir) as server:
        yield server


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def store(servers_dir: Path) -> AsyncIterator[Store]:
    """A running store that checks signatures: `endpoint`, `access_key`, `secret_key`."""
    async with running_store(servers_dir) as server:
        yield server


@pytest_asyncio.fixture(loop_scope="session")
async def postgres_url(postgres: Postgres) -> AsyncIterator[str]:
    """The URL of an empty database that is dropped after the test."""
    name = f"test_{random_base62(12).lower()}"
    await _execute(postgres.url, f'CREATE DATABASE "{name}"')
    yield f"{postgres.url.rpartition('/')[0]}/{name}"
    await _execute(postgres.url, f'DROP DATABASE "{name}" WITH (FORCE)')


async def _execute(url: str, statement: str) -> None:
    connection = await asyncpg.connect(url)
    await connection.execute(statement)
    await connection.close()
