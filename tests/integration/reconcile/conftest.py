"""Reconciling the composed suite, on every store at hand: SeaweedFS always, MinIO where `MINIO_BINARY` names one."""

import os
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from support.back_end import BackEnd, running_back_end
from support.minio_server import MinioServer, running_minio
from support.reconciling import Reconciling
from support.servers import Postgres
from support.store_view import StoreCredentials, StoreView

STORES = ["store", *(["minio_server"] if os.environ.get("MINIO_BINARY") else [])]


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def minio_server(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[MinioServer]:
    """A running MinIO."""
    async with running_minio(os.environ["MINIO_BINARY"], tmp_path_factory.mktemp("minio")) as server:
        yield server


@pytest.fixture(scope="session", params=STORES)
def credentials(request: pytest.FixtureRequest) -> StoreCredentials:
    """Each store at hand."""
    server = request.getfixturevalue(request.param)
    return StoreCredentials(server.endpoint, server.access_key, server.secret_key)


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def back_end(postgres: Postgres, credentials: StoreCredentials) -> AsyncIterator[BackEnd]:
    async with running_back_end(postgres, credentials) as made:
        yield made


@pytest_asyncio.fixture(loop_scope="session")
async def reconciling(back_end: BackEnd, credentials: StoreCredentials) -> AsyncIterator[Reconciling]:
    """A suite whose buckets hold nothing but what the test puts there, and whose round begins with it."""
    view = StoreView(credentials)
    made = Reconciling(back_end, view)
    yield made
    await made.empty()
    view.close()
