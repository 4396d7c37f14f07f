"""Gateways as processes of their own."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import aiohttp

from support.child import Child
from support.gateway import SERVICE_KEY, EchoService, SmallIdentity
from support.ports import free_port
from support.stack_base import answers
from support.uvicorn_server import served


@dataclass(frozen=True)
class GatewayProcess:
    """A gateway that serves, and a way to it."""

    http: aiohttp.ClientSession
    child: Child


@dataclass(frozen=True)
class Fleet:
    """Several gateways on the same small identity and echoing service, which run in the test."""

    gateways: list[GatewayProcess]
    identity: SmallIdentity
    service: EchoService


@asynccontextmanager
async def gateway_processes(count: int, folder: Path, **environment: str) -> AsyncIterator[list[GatewayProcess]]:
    """So many gateways with these variables, until the block ends; their logs are in the folder."""
    async with AsyncExitStack() as stack:
        children = [_start(f"gateway-{number}", environment, folder, stack) for number in range(count)]
        await asyncio.gather(*(child.ready(partial(answers, f"{url}/health/live")) for url, child in children))
        yield [GatewayProcess(await stack.enter_async_context(_session(url)), child) for url, child in children]


@asynccontextmanager
async def fleet(count: int, folder: Path, **environment: str) -> AsyncIterator[Fleet]:
    """So many gateway processes with these variables, until the block ends."""
    identity, service = SmallIdentity(), EchoService()
    async with served(identity.app) as identity_port, served(service) as drafts_port:
        urls = {"IDENTITY_URL": f"http://127.0.0.1:{identity_port}", "DRAFTS_URL": f"http://127.0.0.1:{drafts_port}"}
        given = {"SERVICE_KEY": SERVICE_KEY, **urls, **environment}
        async with gateway_processes(count, folder, **given) as gateways:
            yield Fleet(gateways, identity, service)
        await identity.feed.cut()  # ends the polls of gateways that are gone


def _start(name: str, environment: dict[str, str], folder: Path, stack: AsyncExitStack) -> tuple[str, Child]:
    """The address of a gateway that is starting, and the gateway, which ends with the stack."""
    port = free_port()
    child = Child(name, ("draftstore_gateway",), environment=environment | {"HTTP_PORT": str(port)}, folder=folder)
    stack.push_async_callback(child.stop)
    child.start()
    return f"http://127.0.0.1:{port}", child


def _session(url: str) -> aiohttp.ClientSession:
    """Any number of connections: a storm is as wide as the test makes it."""
    return aiohttp.ClientSession(url, connector=aiohttp.TCPConnector(limit=0))
