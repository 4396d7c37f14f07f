"""CPU time of a request with a known key through the gateway, beside a bare proxy on the same client library.

Between the two lies the floor: what a gateway must do, in one function (`bench/lean_gateway.py`).

What the kernel charged each process (user and system), not rates: rates tell what else the machine does.
"""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from statistics import median

from bench.harness import Bench, Server, in_turn, running
from bench.load.requests import render
from bench.results import Figures
from draftstore_common.contracts.identity import RateLimit, Scope
from support.gateway import SERVICE_KEY, SmallIdentity
from support.uvicorn_server import served

CONNECTIONS = 32
PATH = "/api/v1/drafts"


@dataclass(frozen=True)
class Proxies:
    """A gateway, a bare proxy and the floor between them, in front of the same small service."""

    bench: Bench
    gateway: Server
    bare: Server
    lean: Server
    key: str

    async def microseconds(self, server: Server, name: str) -> float:
        """CPU time per request of one round."""
        before = server.cpu()
        requests = [render("GET", PATH, {"Authorization": f"Bearer {self.key}"})]
        seconds = self.bench.scale.seconds
        load = await self.bench.replay.send(server.port, requests, connections=CONNECTIONS, seconds=seconds, again=True)
        cost = (server.cpu() - before) / load.all_are(200).requests * 1e6
        self.bench.say(f"{name}: {cost:.0f} µs CPU")
        return cost


@asynccontextmanager
async def proxies(bench: Bench) -> AsyncIterator[Proxies]:
    """The identity is small, too: after its first verdict it is not asked any more."""
    identity = SmallIdentity()
    key = identity.issue(*Scope, rate_limits=[RateLimit(amount=1_000_000_000, seconds=60)]).secret
    async with AsyncExitStack() as stack:
        keys = await stack.enter_async_context(served(identity.app))
        stack.push_async_callback(identity.feed.cut)  # ends the poll of the gateway that is gone
        service = await stack.enter_async_context(running(bench, "service", "bench.small_service", "/"))
        url = f"http://127.0.0.1:{service.port}"
        bare = await stack.enter_async_context(running(bench, "bare-proxy", "bench.bare_proxy", "/", SERVICE_URL=url))
        lean = running(bench, "lean-gateway", "bench.lean_gateway", "/health/live", SERVICE_URL=url, KEY=key)
        settings = {"SERVICE_KEY": SERVICE_KEY, "IDENTITY_URL": f"http://127.0.0.1:{keys}", "DRAFTS_URL": url}
        gateway = running(bench, "gateway", "draftstore_gateway", "/health/ready", **settings)
        yield Proxies(bench, await stack.enter_async_context(gateway), bare, await stack.enter_async_context(lean), key)


async def measure(where: Proxies) -> list[Figures]:
    """Microseconds per request."""

    async def gateway() -> float:
        return await where.microseconds(where.gateway, "gateway")

    async def bare() -> float:
        return await where.microseconds(where.bare, "bare proxy")

    async def floor() -> float:
        return await where.microseconds(where.lean, "floor")

    subjects = (gateway, bare, floor)
    for subject in subjects:
        await subject()
    own, other, least = await in_turn(where.bench.scale.rounds, *subjects)
    ratio = median(lean / bare for lean, bare in zip(least, other, strict=True))
    return [Figures("gateway", own, other, {"floor": round(median(least), 1), "floor_ratio": round(ratio, 3)})]
