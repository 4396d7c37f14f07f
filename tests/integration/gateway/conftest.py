"""Gateways for the tests of this folder."""

from collections.abc import AsyncIterator, Iterator

import pytest
import pytest_asyncio

from support.redis import running_redis
from support.running_gateway import Running, running_gateway


@pytest_asyncio.fixture(scope="session", loop_scope="session", params=["http", "in process"])
async def shared_gateway(request: pytest.FixtureRequest) -> AsyncIterator[Running]:
    """A gateway with both kinds of upstream in turn. No address runs out of refusals."""
    async with running_gateway(in_process=request.param == "in process", rate_limit_per_ip="1000000/day") as running:
        yield running


@pytest.fixture
def gateway(shared_gateway: Running) -> Running:
    """The same gateway, with nothing seen yet."""
    shared_gateway.service.reset()
    shared_gateway.identity.verifications = 0
    return shared_gateway


@pytest.fixture(scope="session")
def redis_url() -> Iterator[str]:
    """The URL of a running Redis."""
    with running_redis() as url:
        yield url
