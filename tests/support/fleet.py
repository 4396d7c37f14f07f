"""Several gateway processes side by side."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp

from support.gateway import EchoService, SmallIdentity
from support.gateway_process import gateway_process
from support.uvicorn_server import served


@dataclass(frozen=True)
class Fleet:
    """A session with each gateway, and what they all stand on."""

    gateways: list[aiohttp.ClientSession]
    identity: SmallIdentity
    service: EchoService


@asynccontextmanager
async def fleet(count: int, folder: Path, **settings: Any) -> AsyncIterator[Fleet]:
    """So many ready gateways before a small identity and an echoing service, which run in the test."""
    identity, service = SmallIdentity(), EchoService()
    async with served(identity.app) as identity_port, served(service) as service_port:
        async with gateways(count, folder, identity=identity_port, service=service_port, **settings) as sessions:
            yield Fleet(sessions, identity, service)
        await identity.feed.cut()  # ends the polls of gateways that are gone


@asynccontextmanager
async def gateways(
    count: int, folder: Path, *, identity: int, service: int, **settings: Any
) -> AsyncIterator[list[aiohttp.ClientSession]]:
    """A session with each of so many ready gateways, until the block ends; their logs are in the folder."""
    async with AsyncExitStack() as stack:
        started = [gateway_process(folder, identity=identity, service=service, **settings) for _ in range(count)]
        urls = [f"http://127.0.0.1:{(await stack.enter_async_context(gateway)).port}" for gateway in started]
        yield [await stack.enter_async_context(_session(url)) for url in urls]


def _session(url: str) -> aiohttp.ClientSession:
    """Any number of connections: a storm is as wide as the test makes it."""
    return aiohttp.ClientSession(url, connector=aiohttp.TCPConnector(limit=0))
