"""Running products for the end-to-end tests, shared by all that leave them as they found them."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from support.api import Api
from support.leaks import leaked
from support.stack import Driver, Mode, Stack, make_stack, running, temporary_data_dir


@asynccontextmanager
async def _checked(mode: Mode, driver: Driver) -> AsyncIterator[Stack]:
    """A stack whose logs are searched for every secret it gave out, before it goes."""
    with temporary_data_dir() as data_dir:
        async with running(make_stack(mode, driver, data_dir)) as stack:
            yield stack
        assert leaked(stack) == []


@pytest.fixture(scope="session", params=[("standalone", "s3"), ("processes", "minio")], ids="-".join)
async def stack(request: pytest.FixtureRequest) -> AsyncIterator[Stack]:
    """The product in both modes; between them, with both drivers."""
    async with _checked(*request.param) as running_stack:
        yield running_stack


@pytest.fixture(scope="session", params=[("standalone", "minio"), ("processes", "s3")], ids="-".join)
async def other_stack(request: pytest.FixtureRequest) -> AsyncIterator[Stack]:
    """The other two of the four combinations."""
    async with _checked(*request.param) as running_stack:
        yield running_stack


@pytest.fixture(scope="session")
async def api(stack: Stack) -> AsyncIterator[Api]:
    """A back end of the default tenant, with all data scopes and without rate limits."""
    async with stack.api((await stack.issue_key())["key"]) as client:
        yield client


@pytest.fixture(scope="session")
async def admin(stack: Stack) -> AsyncIterator[Api]:
    """The administrator."""
    async with stack.api(stack.admin_key) as client:
        yield client


@pytest.fixture(scope="session")
async def foreigner(stack: Stack, admin: Api) -> AsyncIterator[Api]:
    """A back end of another tenant."""
    tenant = await admin.json("POST", "/api/v1/tenants", {"name": "foreign"}, status=201)
    async with stack.api((await stack.issue_key(tenant_id=tenant["id"]))["key"]) as client:
        yield client
