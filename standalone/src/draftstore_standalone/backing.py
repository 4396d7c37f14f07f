"""PostgreSQL and the store that the services stand on: our own, or those the environment names."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, NoReturn

from pydantic import SecretStr

from draftstore_standalone.servers import PostgresServer, SeaweedServer
from draftstore_standalone.settings import StandaloneSettings, external_store

Watch = Callable[[], Awaitable[NoReturn]]


@dataclass(frozen=True, slots=True)
class Servers:
    """Where PostgreSQL and the store are. `watches` raise when a server of ours dies."""

    database_url: SecretStr
    database: str
    store: str
    s3_endpoint: str | None
    storage: dict[str, Any] = field(default_factory=dict)
    watches: tuple[Watch, ...] = ()


@asynccontextmanager
async def servers(settings: StandaloneSettings) -> AsyncIterator[Servers]:
    """Start what is not given, both at once; stop it on leaving, both at once."""
    ports = settings.fixed_ports
    postgres = None if settings.database_url else PostgresServer(settings.data_dir, port=ports.get("postgres"))
    seaweed_ports = {name: port for name, port in ports.items() if name in SeaweedServer.PORT_NAMES}
    seaweed = None if external_store() else SeaweedServer(settings.data_dir, ports=seaweed_ports)
    own = [server for server in (postgres, seaweed) if server is not None]
    async with AsyncExitStack() as stack:
        stack.push_async_callback(_all, [server.stop for server in own])
        await _all([server.start for server in own])
        url = settings.database_url or SecretStr(postgres.url if postgres else "")
        yield Servers(
            database_url=url,
            database=f"our own, port {postgres.port}" if postgres else "yours (DATABASE_URL)",
            store=f"our own SeaweedFS, {seaweed.endpoint}" if seaweed else "yours",
            s3_endpoint=seaweed.endpoint if seaweed else None,
            storage=_own_store(seaweed) if seaweed else {},
            watches=tuple(server.watch for server in own),
        )


async def _all(steps: list[Callable[[], Awaitable[None]]]) -> None:
    results = await asyncio.gather(*(step() for step in steps), return_exceptions=True)
    for error in results:
        if isinstance(error, BaseException):
            raise error


def _own_store(seaweed: SeaweedServer) -> dict[str, Any]:
    """Settings that point either driver at our SeaweedFS, whichever STORAGE_TYPE chooses."""
    secret = SecretStr(seaweed.secret_key)
    return {
        "s3_endpoint_url": seaweed.endpoint,
        "s3_addressing_style": "path",
        "aws_access_key_id": seaweed.access_key,
        "aws_secret_access_key": secret,
        "minio_endpoint": seaweed.endpoint.removeprefix("http://"),
        "minio_access_key": seaweed.access_key,
        "minio_secret_key": secret,
        "minio_use_ssl": False,
    }
