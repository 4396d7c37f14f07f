"""A balancer as a cluster's Service is one: new connections go to whoever is ready, established ones stay."""

import asyncio
import contextlib
import itertools
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from support.gateway_process import GatewayProcess
from support.tcp_server import tcp_server

PROBE_SECONDS = 0.2


class Balancer:
    """Passes connections on to the ready ones of these gateways, in turn."""

    def __init__(self, gateways: Sequence[GatewayProcess]) -> None:
        self._gateways = gateways
        self._ready = list(gateways)
        self._turn = itertools.count()
        self.taken: Counter[int] = Counter()
        """Connections by the port of the gateway that got them."""

    async def probe(self) -> None:
        """Ask who is ready, now and then, until cancelled."""
        while True:
            answers = await asyncio.gather(*(gateway.is_ready() for gateway in self._gateways))
            self._ready = [gateway for gateway, ready in zip(self._gateways, answers, strict=True) if ready]
            await asyncio.sleep(PROBE_SECONDS)

    async def link(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Carry one connection to its end."""
        chosen = self._ready[next(self._turn) % len(self._ready)]
        self.taken[chosen.port] += 1
        there, back = await asyncio.open_connection("127.0.0.1", chosen.port)
        try:
            await asyncio.gather(_pump(reader, back), _pump(there, writer))
        finally:
            back.close()


async def _pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    with contextlib.suppress(ConnectionError):
        while data := await source.read(65536):
            sink.write(data)
            await sink.drain()
    sink.close()


@asynccontextmanager
async def balanced(gateways: Sequence[GatewayProcess]) -> AsyncIterator[tuple[Balancer, int]]:
    """A balancer and its port."""
    balancer = Balancer(gateways)
    probing = asyncio.create_task(balancer.probe())
    try:
        async with tcp_server(balancer.link) as port:
            yield balancer, port
    finally:
        probing.cancel()
        await asyncio.gather(probing, return_exceptions=True)
