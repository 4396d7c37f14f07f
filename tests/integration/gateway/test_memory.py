"""Bodies of any length pass through a gateway process, and it holds no more than a window of them."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass

import pytest
import pytest_asyncio

from draftstore_common.contracts.identity import Scope
from support.gateway import SmallIdentity
from support.gateway_process import GatewayProcess, gateway_process
from support.raw_http import Connection, connected, read_answer, request
from support.running_gateway import bearer
from support.tcp_server import tcp_server
from support.uvicorn_server import served

MEBIBYTE = 1024 * 1024
LENGTH = 2048 * MEBIBYTE
BOUND = 32 * MEBIBYTE
PIECE = b"\xa5" * MEBIBYTE
PATIENCE = 120

STALL = 2
"""Seconds after which whoever could still send would have sent far more than `WINDOW`."""

WINDOW = 64 * MEBIBYTE
"""What kernels and processes between two ends may hold together."""


Transfer = Callable[["Target", Connection], Awaitable[int]]


class ByteService:
    """A service on a raw socket that swallows what is put and gives `LENGTH` bytes to who gets; it holds none.

    What is put to `/streams/stalled` it leaves unread until it is `over`.
    """

    def __init__(self) -> None:
        self.received = 0
        self.given = 0
        self.over = asyncio.Event()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one connection until it ends."""
        while head := await _head(reader):
            await self._answer(head, reader, writer)

    async def _answer(self, head: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if head.startswith(b"PUT /streams/stalled"):
            await self.over.wait()
        elif head.startswith(b"PUT"):
            self.received = await _swallow(reader, LENGTH)
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")
        else:
            length = LENGTH if head.startswith(b"GET /streams/") else 0
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % length)
            await self._give(writer, length)

    async def _give(self, writer: asyncio.StreamWriter, length: int) -> None:
        self.given = 0
        async for sent in _sent(writer, length):
            self.given = sent


async def _head(reader: asyncio.StreamReader) -> bytes:
    try:
        return await reader.readuntil(b"\r\n\r\n")
    except (asyncio.IncompleteReadError, ConnectionError):
        return b""


async def _swallow(reader: asyncio.StreamReader, length: int) -> int:
    """How many of so many bytes came."""
    received = 0
    while received < length and (data := await reader.read(MEBIBYTE)):
        received += len(data)
    return received


async def _sent(writer: asyncio.StreamWriter, length: int) -> AsyncIterator[int]:
    """Send so many bytes; yields how many the other side has made room for."""
    for number in range(length // len(PIECE)):
        writer.write(PIECE)
        await writer.drain()
        yield (number + 1) * len(PIECE)


@dataclass(frozen=True)
class Target:
    """A gateway process and the service behind it."""

    gateway: GatewayProcess
    service: ByteService
    headers: dict[str, str]

    def resident(self, field: str) -> int:
        """VmRSS, or VmHWM: the most since `forget_peak` (proc_pid_status(5))."""
        lines = (self.gateway.proc / "status").read_text().splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(field))

    def forget_peak(self) -> None:
        """Let VmHWM begin anew."""
        (self.gateway.proc / "clear_refs").write_text("5")


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def target(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Target]:
    """The gateway of this module."""
    identity, service = SmallIdentity(), ByteService()
    async with (
        tcp_server(service.serve, read_ahead=MEBIBYTE) as port,
        served(identity.app) as keys,
        gateway_process(
            tmp_path_factory.mktemp("memory"),
            identity=keys,
            service=port,
            module="support.streaming_gateway",
        ) as gateway,
    ):
        yield Target(gateway, service, bearer(identity.issue(*Scope, rate_limits=[])))
        service.over.set()


async def _upload(target: Target, connection: Connection) -> int:
    reader, writer = connection
    writer.write(request("PUT", "/streams/a", target.headers | {"Content-Length": str(LENGTH)}))
    async for _ in _sent(writer, LENGTH):
        pass
    assert (await read_answer(reader)).status == 200
    return target.service.received


async def _download(target: Target, connection: Connection) -> int:
    reader, writer = connection
    writer.write(request("GET", "/streams/a", target.headers))
    head = await reader.readuntil(b"\r\n\r\n")
    assert b"200 OK" in head
    return await _swallow(reader, LENGTH)


@pytest.mark.parametrize("transfer", [_upload, _download])
async def test_two_gibibytes_add_less_than_32_mebibytes_to_a_gateway(target: Target, transfer: Transfer) -> None:
    target.forget_peak()
    before = target.resident("VmRSS")
    async with asyncio.timeout(PATIENCE), connected(target.gateway.port) as connection:
        assert await transfer(target, connection) == LENGTH
    assert target.resident("VmHWM") - before < BOUND


async def _taken_until_it_stalls(writer: asyncio.StreamWriter) -> int:
    taken = 0
    with suppress(TimeoutError):
        async with asyncio.timeout(STALL):
            async for sent in _sent(writer, LENGTH):
                taken = sent
    return taken


async def test_a_service_that_reads_nothing_stops_the_client(target: Target) -> None:
    before = target.resident("VmRSS")
    async with connected(target.gateway.port) as (_, writer):
        writer.write(request("PUT", "/streams/stalled", target.headers | {"Content-Length": str(LENGTH)}))
        assert await _taken_until_it_stalls(writer) < WINDOW
        assert target.resident("VmRSS") - before < BOUND


async def test_a_client_that_reads_nothing_stops_the_service(target: Target) -> None:
    before = target.resident("VmRSS")
    async with connected(target.gateway.port) as (reader, writer):
        writer.transport.pause_reading()  # type: ignore[attr-defined]
        writer.write(request("GET", "/streams/a", target.headers))
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), STALL)
        assert 0 < target.service.given < WINDOW
        assert target.resident("VmRSS") - before < BOUND
