"""One installation per module, on the run's PostgreSQL and store."""

from collections.abc import AsyncIterator

import pytest_asyncio

from support.installation import Installation, Site, site
from support.servers import Postgres, Store


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def ground(postgres: Postgres, store: Store) -> AsyncIterator[Site]:
    """A database and buckets that outlive the processes on them."""
    async with site(postgres.url, store) as made:
        yield made


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def whole(ground: Site) -> AsyncIterator[Installation]:
    """A suite that stays up, whatever dies beside it."""
    async with ground.running() as running:
        yield running
