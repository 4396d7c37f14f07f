"""metadata-service's stores on a freshly migrated database."""

from collections.abc import AsyncIterator

import pytest_asyncio

from draftstore_common.kit.database import Database
from draftstore_metadata.schema import migrate
from support.metadata import Metadata


@pytest_asyncio.fixture(loop_scope="session")
async def metadata(postgres_url: str) -> AsyncIterator[Metadata]:
    await migrate(postgres_url)
    async with Database(postgres_url) as database:
        yield Metadata.over(database)
