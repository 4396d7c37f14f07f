"""Real servers for every suite: one PostgreSQL and one store per run, started when first asked for."""

import gc
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import asyncpg
import pytest
import pytest_asyncio

from draftstore_common.kit.ids import random_base62
from support.servers import Postgres, Store, make_postgres, make_store

pytest_plugins = ["support.log_keeper"]


@pytest.fixture(scope="module", autouse=True)
def _leaks_show_where_they_are_made() -> Iterator[None]:
    """Collect garbage after each module: a socket left open fails the module that left it, not a later one."""
    yield
    gc.collect()


@pytest.fixture(scope="session")
def session_folder() -> Iterator[Path]:
    """A folder every account can enter, which pytest's own are not: as root, servers run as another one."""
    folder = Path(tempfile.mkdtemp(prefix="draftstore-tests-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def data_dir(session_folder: Path) -> Path:
    """A data directory for servers of one test's own."""
    parent = Path(tempfile.mkdtemp(dir=session_folder))
    parent.chmod(0o755)
    return parent / "data"


@pytest.fixture(scope="session")
def servers_dir(session_folder: Path) -> Path:
    """Where the servers of this run keep their data."""
    return session_folder / "shared"


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def postgres(servers_dir: Path) -> AsyncIterator[Postgres]:
    """A running PostgreSQL."""
    async with make_postgres(servers_dir) as server:
        yield server


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def store(servers_dir: Path) -> AsyncIterator[Store]:
    """A running store that checks signatures: `endpoint`, `access_key`, `secret_key`."""
    async with make_store(servers_dir) as server:
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
