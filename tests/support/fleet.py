"""Several gateway processes beside one identity and one service that run in the test."""

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
    """So many ready gateways with these settings, until the block ends; their logs are in the folder."""
    identity, service = SmallIdentity(), EchoService()
    async with AsyncExitStack() as stack:
        ports = [await stack.enter_async_context(served(app)) for app in (identity.app, service)]
        stack.push_async_callback(identity.feed.cut)  # ends the polls of gateways that are gone
        started = [gateway_process(folder, identity=ports[0], service=ports[1], **settings) for _ in range(count)]
        urls = [f"http://127.0.0.1:{(await stack.enter_async_context(gateway)).port}" for gateway in started]
        yield Fleet([await stack.enter_async_context(_session(url)) for url in urls], identity, service)


def _session(url: str) -> aiohttp.ClientSession:
    """Any number of connections: a storm is as wide as the test makes it."""
    return aiohttp.ClientSession(url, connector=aiohttp.TCPConnector(limit=0))
