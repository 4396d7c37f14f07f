"""The composed suite for requests made from its own document: without limits that so many requests would meet."""

import os
from collections.abc import AsyncIterator
from unittest.mock import patch

import pytest_asyncio

from support.back_end import BackEnd, running_back_end
from support.matrix import World, running_world
from support.servers import Postgres, Store

UNLIMITED = {
    "RATE_LIMIT_PER_IP": "1000000/minute",
    "RATE_LIMIT_PER_KEY": "1000000/minute",
    "ADMIN_REQUESTS_PER_MINUTE": "1000000",
    "TEND_INTERVAL": "3600",
}


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def back_end(postgres: Postgres, store: Store) -> AsyncIterator[BackEnd]:
    """A suite of the module's own."""
    with patch.dict(os.environ, UNLIMITED):
        async with running_back_end(postgres, store) as made:
            yield made


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def world(back_end: BackEnd) -> AsyncIterator[World]:
    """Two tenants in it."""
    async with running_world(back_end) as made:
        yield made
