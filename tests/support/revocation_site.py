"""Several gateway processes on a real identity: where it is measured how long a revoked key goes on working."""

import hashlib
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import aiohttp
from starlette.types import ASGIApp, Receive, Scope, Send

from draftstore_common.contracts import api_keys
from draftstore_common.kit.patience import Looks, Patience
from draftstore_gateway.upstreams import Forwarded, HttpUpstream
from support.child import Child, ChildFailedError
from support.fleet import gateways
from support.gateway import EchoService
from support.ports import free_port
from support.servers import Postgres
from support.stack_base import answers
from support.uvicorn_server import served

GATEWAYS = 3
NO_LIMIT = "1000000000/second"
_FEED = "/internal/changes"
_SERVICE_KEY = "the-service-key-of-gateway"


@dataclass(frozen=True, slots=True)
class IssuedKey:
    """A data key of the default tenant."""

    id: str
    headers: dict[str, str]


@dataclass(frozen=True)
class RevocationSite:
    """Gateways, and the admin key that issues and revokes."""

    gateways: list[aiohttp.ClientSession]
    admin_key: str

    async def issue(self) -> IssuedKey:
        """A new key that may read drafts, without limits."""
        body = {"name": "to be revoked", "scopes": ["drafts:read"], "rate_limits": []}
        answer = await self._administer("POST", "/api/v1/keys", 201, body)
        return IssuedKey(answer["id"], {"authorization": f"Bearer {answer['key']}"})

    async def revoke(self, key: IssuedKey) -> None:
        """Return when the revocation is acknowledged."""
        await self._administer("DELETE", f"/api/v1/keys/{key.id}", 200)

    async def _administer(self, method: str, path: str, status: int, body: Any = None) -> Any:
        headers = {"authorization": f"Bearer {self.admin_key}"}
        gateway = random.choice(self.gateways)  # noqa: S311  any of them
        async with gateway.request(method, path, headers=headers, json=body) as answer:
            assert answer.status == status, await answer.text()
            return await answer.json()


class WithoutFeed:
    """Identity as gateways see it when only the feed of changes is cut: polls are taken and never answered."""

    def __init__(self, identity: HttpUpstream) -> None:
        self._identity = identity

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        if scope["path"] == _FEED:
            while (await receive())["type"] != "http.disconnect":
                pass
            return
        request = Forwarded(scope["method"], scope["raw_path"], scope["query_string"], scope["headers"], has_body=True)
        with Patience(60, Looks()) as patience:
            await self._identity.forward(request, receive, send, patience)


@asynccontextmanager
async def revocation_site(postgres: Postgres, folder: Path, *, feed: bool) -> AsyncIterator[RevocationSite]:
    """Three gateways on an identity on this PostgreSQL, whose database it must be the first to use."""
    admin_key = api_keys.make("admin")
    async with (
        _identity(postgres.url, admin_key, folder) as identity_port,
        _way(identity_port, feed=feed) as way,
        served(EchoService()) as service,
    ):
        settings = {
            "SERVICE_KEY": _SERVICE_KEY,
            "RATE_LIMIT_PER_IP": NO_LIMIT,
            "RATE_LIMIT_PER_KEY": NO_LIMIT,
        }
        async with gateways(GATEWAYS, folder, identity=way, service=service, **settings) as sessions:
            yield RevocationSite(sessions, admin_key)


@asynccontextmanager
async def _identity(database_url: str, admin_key: str, folder: Path) -> AsyncIterator[int]:
    port = free_port()
    environment = {
        "DATABASE_URL": database_url,
        "SERVICE_KEYS": f"gateway={hashlib.sha256(_SERVICE_KEY.encode()).hexdigest()}",
        "ADMIN_API_KEY": admin_key,
        "ADMIN_REQUESTS_PER_MINUTE": "1000000",
        "HTTP_PORT": str(port),
    }
    await _migrate(environment, folder)
    child = Child("identity", ("draftstore_identity",), environment=environment, folder=folder)
    child.start()
    try:
        await child.ready(partial(answers, f"http://127.0.0.1:{port}/health/ready"))
        yield port
    finally:
        await child.stop()


async def _migrate(environment: dict[str, str], folder: Path) -> None:
    child = Child("identity-migrate", ("draftstore_identity", "migrate"), environment=environment, folder=folder)
    child.start()
    if await child.ended(seconds=60) != 0:
        raise ChildFailedError(f"migrating failed\n{child.tail()}")


@asynccontextmanager
async def _way(identity_port: int, *, feed: bool) -> AsyncIterator[int]:
    if feed:
        yield identity_port
        return
    async with HttpUpstream(f"http://127.0.0.1:{identity_port}") as identity:
        cut: ASGIApp = WithoutFeed(identity)
        async with served(cut) as port:
            yield port
