"""A running product with a key without limits, the echo beside it, and what fills it with drafts."""

import json
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from bench.harness import Bench, Server, cpu_seconds, resident_mib, running
from bench.load import Load
from bench.load.requests import confirms, creates, puts
from bench.load.s3 import Store
from support.stack import ProcessesStack, StandaloneStack, make_stack
from support.stack import running as running_stack
from support.stack_base import Mode, Stack

CONNECTIONS = 64
CONTENT = bytes(range(256)) * 16
"""4 KiB: what `requests.intent` announces."""

SETTLING = 1.0
"""Seconds of load before the first round, for caches, pools and prepared statements."""


@dataclass(frozen=True)
class Drafts:
    """Drafts that were just made: their ids, names and uploads, in one order."""

    ids: list[str]
    names: list[str]
    uploads: list[dict[str, Any]]


@dataclass(frozen=True)
class Site:
    """A product under load. `echo` is the reference of many lines."""

    bench: Bench
    stack: Stack
    key: str
    port: int
    echo: Server

    @property
    def pids(self) -> list[int]:
        """The processes of the product that are ours: not PostgreSQL's, not the store's."""
        if isinstance(self.stack, StandaloneStack):
            return [self.stack.child.pid]
        assert isinstance(self.stack, ProcessesStack)  # noqa: S101  there are two kinds
        return [service.child.pid for service in self.stack.services.values()]

    @property
    def store(self) -> Store:
        """The store behind it."""
        return Store(self.stack.store_credentials)

    def cpu(self) -> float:
        """Seconds of user and system time so far, of all its processes."""
        return sum(map(cpu_seconds, self.pids))

    def resident_mib(self) -> float:
        """The resident memory of its processes."""
        return sum(map(resident_mib, self.pids))

    async def send(self, requests: Iterable[bytes], *, connections: int = CONNECTIONS, **how: Any) -> Load:
        """Send requests to its gateway."""
        return await self.bench.replay.send(self.port, requests, connections=connections, **how)

    async def create(self, seconds: float, **how: Any) -> Load:
        """Make drafts, as many as it can in so many seconds."""
        requests = creates(int(seconds * 3000), self.key)
        return (await self.send(requests, seconds=seconds, again=True, **how)).all_are(201)

    async def echoed(self, seconds: float, **how: Any) -> Load:
        """The same requests, sent to the echo."""
        requests = creates(int(seconds * 3000), self.key)
        load = self.bench.replay.send(
            self.echo.port, requests, connections=CONNECTIONS, seconds=seconds, again=True, **how
        )
        return (await load).all_are(201)

    async def drafts(self, count: int) -> Drafts:
        """So many new drafts."""
        made = (await self.send(creates(count, self.key), bodies=True)).all_are(201).bodies
        found = [json.loads(body) for body in made.values()]
        return Drafts(
            [draft["id"] for draft in found],
            [draft["object_name"] for draft in found],
            [draft["upload"] for draft in found],
        )

    async def uploaded(self, count: int) -> Drafts:
        """So many drafts of 4 KiB whose bytes are in the store."""
        drafts = await self.drafts(count)
        port = urlsplit(self.stack.s3_endpoint).port
        assert port is not None  # noqa: S101  our stores have one
        load = self.bench.replay.send(port, puts(drafts.uploads, CONTENT), connections=16)
        (await load).all_are(200)
        return drafts

    async def confirmed(self, count: int) -> list[str]:
        """The names of so many new objects."""
        drafts = await self.uploaded(count)
        (await self.send(confirms(drafts.ids, self.key), connections=16)).all_are(200)
        return drafts.names


@asynccontextmanager
async def site(bench: Bench, mode: Mode = "standalone", **environment: str) -> AsyncIterator[Site]:
    """A product on fresh data, until the block ends."""
    stack = make_stack(mode, "s3", bench.place(mode) / "data", **environment)
    async with running(bench, "echo", "bench.echo", "/openapi.json") as echo, running_stack(stack):
        key = (await stack.issue_key(name="bench"))["key"]
        port = urlsplit(stack.gateway_url).port
        assert port is not None  # noqa: S101  it listens on one
        yield Site(bench, stack, key, port, echo)
