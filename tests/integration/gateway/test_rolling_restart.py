"""Gateways are replaced one after the other, and no client notices."""

import asyncio
import signal
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from draftstore_common.contracts.identity import Scope
from support.balancer import Balancer, balanced
from support.gateway import EchoService, SmallIdentity
from support.gateway_process import GatewayProcess, gateway_process
from support.raw_http import RawAnswer, connected, read_answer, request
from support.running_gateway import bearer
from support.until import until
from support.uvicorn_server import served

GATEWAYS = 3
CLIENTS = 24
DRAIN_DELAY = 2
"""Seconds; ten times what the balancer needs to see that a gateway is not ready any more."""

REQUESTS = (
    ("GET", "/api/v1/drafts", b""),
    ("POST", "/api/v1/drafts", b'{"object_name": "a"}'),
    ("GET", "/api/v1/objects/pause-50", b""),
    ("POST", "/api/v1/drafts", b"x" * 200_000),
    ("DELETE", "/api/v1/objects/a", b""),
)


class Load:
    """Clients that keep their connections as long as they may, never repeat a request, and count what they get."""

    def __init__(self, port: int, headers: dict[str, str]) -> None:
        self._port = port
        self._requests = [
            request(method, target, headers | {"Content-Length": str(len(body))}, body)
            for method, target, body in REQUESTS
        ]
        self.outcomes: Counter[str] = Counter()
        self.connections = 0

    async def client(self, number: int) -> None:
        """Send until cancelled; every third client takes a new connection for each request."""
        while True:
            self.connections += 1
            async with connected(self._port) as connection:
                while await self._exchange(*connection, number) and number % 3:
                    pass

    async def _exchange(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, number: int) -> bool:
        """Whether the connection may be used again."""
        turn = (self.outcomes.total() + number) % len(self._requests)
        try:
            writer.write(self._requests[turn])
            async with asyncio.timeout(20):  # not `wait_for`, which may swallow the end of the load
                answer = await read_answer(reader)
        except (OSError, EOFError, TimeoutError) as error:
            self.outcomes[f"{REQUESTS[turn][:2]}: {error!r}"] += 1
            return False
        self.outcomes[_outcome(answer)] += 1
        return answer.headers.get("connection") != "close"


def _outcome(answer: RawAnswer) -> str:
    return "ok" if answer.status == 200 else f"{answer.status} {answer.body.decode()}"


@asynccontextmanager
async def _running(load: Load) -> AsyncIterator[None]:
    clients = [asyncio.create_task(load.client(number)) for number in range(CLIENTS)]
    try:
        yield
    finally:
        for client in clients:
            client.cancel()
        await asyncio.gather(*clients, return_exceptions=True)


async def _replace(gateway: GatewayProcess, balancer: Balancer) -> None:
    """End one as a cluster does, start it again, and wait until it gets its share."""
    before = gateway.child.pid
    gateway.child.signal(signal.SIGTERM)
    assert await gateway.child.ended(seconds=30) == -signal.SIGTERM
    await gateway.start()
    assert gateway.child.pid != before
    taken = balancer.taken[gateway.port]

    async def has_work() -> bool:
        return balancer.taken[gateway.port] > taken

    await until(has_work, "the restarted gateway gets connections")


async def test_a_rolling_restart_under_load_fails_no_request(tmp_path: Path) -> None:
    identity, service = SmallIdentity(), EchoService()
    key = bearer(identity.issue(*Scope, rate_limits=[]))
    async with served(identity.app) as keys, served(service) as drafts, AsyncExitStack() as stack:
        gateways = [
            await stack.enter_async_context(
                gateway_process(tmp_path, identity=keys, service=drafts, DRAIN_DELAY=DRAIN_DELAY)
            )
            for _ in range(GATEWAYS)
        ]
        balancer, port = await stack.enter_async_context(balanced(gateways))
        load = Load(port, key)
        async with _running(load):
            for gateway in gateways:
                await _replace(gateway, balancer)
    assert set(load.outcomes) == {"ok"}
    assert load.outcomes["ok"] > 1000
