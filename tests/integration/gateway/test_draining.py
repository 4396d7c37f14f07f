"""A gateway that was told to end says so to everybody, and takes what still comes."""

import asyncio
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from draftstore_common.contracts.identity import Scope
from support.gateway import EchoService, SmallIdentity
from support.gateway_process import GatewayProcess, gateway_process
from support.raw_http import connected, exchange, read_answer, request
from support.running_gateway import bearer
from support.until import until
from support.uvicorn_server import served


@asynccontextmanager
async def _drained(folder: Path, drain_delay: int) -> AsyncIterator[tuple[GatewayProcess, dict[str, str]]]:
    identity, service = SmallIdentity(), EchoService()
    async with (
        served(identity.app) as keys,
        served(service) as drafts,
        gateway_process(folder, identity=keys, service=drafts, DRAIN_DELAY=drain_delay) as gateway,
    ):
        yield gateway, bearer(identity.issue(Scope.DRAFTS_READ))


async def _told_to_end(gateway: GatewayProcess) -> None:
    gateway.child.signal(signal.SIGTERM)

    async def is_not_ready() -> bool:
        return not await gateway.is_ready()

    await until(is_not_ready, "the gateway is not ready any more")


async def test_while_it_drains_it_is_not_ready_and_answers_new_connections_once(tmp_path: Path) -> None:
    async with _drained(tmp_path, drain_delay=60) as (gateway, key), connected(gateway.port) as (reader, writer):
        writer.write(request("GET", "/api/v1/drafts", key))
        before = await asyncio.wait_for(read_answer(reader), 10)
        await _told_to_end(gateway)
        ready = await exchange(gateway.port, request("GET", "/health/ready"))
        new = await exchange(gateway.port, request("GET", "/api/v1/drafts", key))
        writer.write(request("GET", "/api/v1/drafts", key))
        old = await asyncio.wait_for(read_answer(reader), 10)
        assert await asyncio.wait_for(reader.read(), 10) == b""
    assert (before.status, before.headers.get("connection")) == (200, None)
    assert (ready.status, ready.json()["status"]) == (503, "draining")
    assert [(answer.status, answer.headers["connection"]) for answer in (new, old)] == [(200, "close")] * 2


async def test_an_idle_connection_is_closed_when_the_delay_is_over(tmp_path: Path) -> None:
    async with _drained(tmp_path, drain_delay=1) as (gateway, _), connected(gateway.port) as (reader, _writer):
        gateway.child.signal(signal.SIGTERM)
        assert await asyncio.wait_for(reader.read(), 10) == b""
        assert await gateway.child.ended() == -signal.SIGTERM


async def test_a_person_who_stops_it_does_not_wait_for_balancers(tmp_path: Path) -> None:
    async with _drained(tmp_path, drain_delay=3600) as (gateway, _):
        gateway.child.signal(signal.SIGINT)
        await gateway.child.ended(seconds=20)
