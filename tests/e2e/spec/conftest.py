"""An installation behind a proxy, with two gateways, for tests that know only what is promised."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from support.api import Api
from support.clients import Clients, clients_of
from support.leaks import leaked
from support.stack import ProcessesStack, running, temporary_data_dir

ORIGIN = "https://app.example"


@pytest.fixture(scope="session")
async def place() -> AsyncIterator[ProcessesStack]:
    """The product; its logs are searched for every secret it gave out, before it goes."""
    environment = {
        "ACCESS_AUDIT_SAMPLE": "1000000000",
        "API_CORS_ORIGINS": ORIGIN,
        "RATE_LIMIT_PER_IP": "60/minute",
        "TRUSTED_PROXIES": "127.0.0.1/32",
    }
    with temporary_data_dir() as data_dir:
        async with running(ProcessesStack(data_dir, "s3", environment)) as stack:
            yield stack
        assert leaked(stack) == []


@pytest.fixture(scope="session")
async def second_gateway(place: ProcessesStack) -> AsyncIterator[str]:
    """The URL of another gateway, which answers no scripts of other origins, and has the limits it has by itself."""
    async with place.another_gateway(API_CORS_ORIGINS="", RATE_LIMIT_PER_IP="") as url:
        yield url


@pytest.fixture
async def clients(place: ProcessesStack) -> AsyncIterator[Clients]:
    """Clients from an address that only this test has."""
    async with clients_of(place) as made:
        yield made


@pytest.fixture
async def admin(clients: Clients) -> Api:
    """An administrator that only this test has."""
    return await clients.admin()


@pytest.fixture
async def nobody(clients: Clients) -> Api:
    """A caller without a key."""
    return await clients.of(None)


@pytest.fixture(scope="session", autouse=True)
async def used_long_ago(place: ProcessesStack) -> dict[str, Any]:
    """A key as it was when made; it was used at once, and not since."""
    key = await place.issue_key()
    async with place.api(key["key"]) as api:
        await api.json("GET", "/api/v1/keys/self")
    return key
