"""The composed suite on the run's PostgreSQL and store, with a back end of each module's own."""

from collections.abc import AsyncIterator

import pytest_asyncio

from support.back_end import BackEnd, running_back_end
from support.servers import Postgres, Store


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def back_end(postgres: Postgres, store: Store) -> AsyncIterator[BackEnd]:
    async with running_back_end(postgres, store) as made:
        yield made
