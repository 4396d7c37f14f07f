"""Clients that take their time, or never come to an end, hold nothing for long."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass

import pytest
import pytest_asyncio

from draftstore_common.contracts.identity import Scope
from support.gateway import EchoService, SmallIdentity
from support.gateway_process import GatewayProcess, gateway_process
from support.raw_http import connected, read_answer, request
from support.running_gateway import bearer
from support.until import until
from support.uvicorn_server import served

PATIENCE = 1.0
"""Seconds this gateway waits; in earnest it is 20 for a head, 30 for a body, and 60 in which nothing moves."""

DRIP = 0.1
LONG = 15


@dataclass(frozen=True)
class Target:
    """A gateway process without patience."""

    gateway: GatewayProcess
    service: EchoService
    headers: dict[str, str]

    def holds(self, client_port: int) -> bool:
        """Whether it has a connection with this port of ours (proc_pid_net(5))."""
        rows = [line.split() for line in (self.gateway.proc / "net" / "tcp").read_text().splitlines()[1:]]
        ends = {(_port(row[1]), _port(row[2])) for row in rows}
        return (self.gateway.port, client_port) in ends


def _port(address: str) -> int:
    return int(address.partition(":")[2], 16)


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def target(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Target]:
    """The gateway of this module."""
    identity, service = SmallIdentity(), EchoService()
    async with (
        served(identity.app) as keys,
        served(service) as drafts,
        gateway_process(
            tmp_path_factory.mktemp("slow"),
            identity=keys,
            service=drafts,
            module="support.streaming_gateway",
            PATIENCE=PATIENCE,
        ) as gateway,
    ):
        yield Target(gateway, service, bearer(identity.issue(*Scope, rate_limits=[])))


async def _drip(writer: asyncio.StreamWriter, piece: bytes) -> None:
    with suppress(ConnectionError):
        while True:
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(DRIP)  # the pace is the attack


@pytest.mark.parametrize(
    ("sent", "drip"),
    [
        (b"", b""),
        (b"GET /api/v1/drafts HTTP/1.1\r\nX-Slow:", b""),
        (b"GET /api/v1/drafts HTTP/1.1\r\nX-Slow:", b"a"),
        (b"", b"\r\n"),
        (b"GET /", b"a"),
    ],
    ids=["nothing", "half a head", "a head drop by drop", "empty lines", "a path drop by drop"],
)
async def test_a_head_that_does_not_end_ends_the_connection(target: Target, sent: bytes, drip: bytes) -> None:
    async with connected(target.gateway.port) as (reader, writer):
        writer.write(sent)
        dripping = asyncio.create_task(_drip(writer, drip))
        with suppress(ConnectionResetError):
            assert await asyncio.wait_for(reader.read(), LONG) == b""
        dripping.cancel()


@pytest.mark.parametrize(
    ("target_path", "method", "headers", "sent", "drip"),
    [
        ("/api/v1/drafts", "POST", {"Content-Length": "100"}, b"0123", b""),
        ("/api/v1/drafts", "POST", {"Content-Length": "1000"}, b"", b"a"),
        ("/api/v1/drafts", "POST", {"Transfer-Encoding": "chunked"}, b"", b"1\r\na\r\n"),
        ("/api/v1/drafts", "POST", {"Transfer-Encoding": "chunked"}, b"1;", b"a"),
        ("/api/v1/drafts", "POST", {"Transfer-Encoding": "chunked"}, b"0\r\nX-Trailer:", b"a"),
        ("/streams/a", "PUT", {"Content-Length": "100"}, b"0123", b""),
        ("/streams/a", "PUT", {"Transfer-Encoding": "chunked"}, b"1\r\na\r\n1;", b"a"),
    ],
    ids=[
        "a body that never comes",
        "a body drop by drop",
        "chunks drop by drop",
        "a chunk extension drop by drop",
        "trailers drop by drop",
        "a stream that stops",
        "a stream of extensions",
    ],
)
async def test_a_body_that_does_not_end_is_a_408(
    target: Target, target_path: str, method: str, headers: dict[str, str], sent: bytes, drip: bytes
) -> None:
    async with connected(target.gateway.port) as (reader, writer):
        writer.write(request(method, target_path, target.headers | headers, sent))
        dripping = asyncio.create_task(_drip(writer, drip))
        answer = await asyncio.wait_for(read_answer(reader), LONG)
        dripping.cancel()
    assert (answer.status, answer.json()["code"]) == (408, "request_timeout")
    assert answer.headers["connection"] == "close"


@pytest.mark.parametrize("name", ["endless", "stream-64"])
async def test_an_answer_nobody_takes_is_given_up_with_its_connection(target: Target, name: str) -> None:
    target.service.reset()
    async with connected(target.gateway.port) as (_, writer):
        port = writer.get_extra_info("sockname")[1]
        writer.transport.pause_reading()  # type: ignore[attr-defined]
        writer.write(request("GET", f"/streams/{name}", target.headers))
        await asyncio.wait_for(target.service.begun.wait(), LONG)
        assert target.holds(port)

        async def let_go() -> bool:
            return not target.holds(port)

        await until(let_go, "the gateway lets its client go", seconds=LONG)


async def test_a_stream_may_be_slow_as_long_as_it_moves(target: Target) -> None:
    length = int(3 * PATIENCE / DRIP)
    async with connected(target.gateway.port) as (reader, writer):
        writer.write(request("PUT", "/streams/a", target.headers | {"Content-Length": str(length)}))
        dripping = asyncio.create_task(_drip(writer, b"a"))
        answer = await asyncio.wait_for(read_answer(reader), LONG)
        dripping.cancel()
    assert (answer.status, answer.json()["bytes"]) == (200, length)
