"""One installed identity for the tests that make their own keys and tenants in it."""

from collections.abc import AsyncIterator

import asyncpg
import pytest_asyncio

from support.identity import Installation, installed
from support.servers import Postgres


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def identity(postgres: Postgres) -> AsyncIterator[Installation]:
    """An installation on a database of its own, shared by these tests."""
    admin = await asyncpg.connect(postgres.url)
    await admin.execute("CREATE DATABASE identity_shared")
    async with installed(f"{postgres.url.rpartition('/')[0]}/identity_shared") as installation:
        yield installation
    await admin.execute("DROP DATABASE identity_shared WITH (FORCE)")
    await admin.close()
