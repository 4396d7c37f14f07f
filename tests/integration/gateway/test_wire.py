"""What aiohttp's sessions did, and its connector alone does not do by itself."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Iterator

import aiohttp
import pytest

from draftstore_gateway.upstreams import wire
from draftstore_gateway.upstreams.base import Forwarded
from draftstore_gateway.upstreams.wire import Wire

ASKED = Forwarded("GET", b"/a", b"", [(b"accept", b"*/*")], has_body=False)


@pytest.fixture
def deaf() -> Iterator[int]:
    """The port of a service that takes no connection any more."""
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
        for _ in range(4):
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(listener.getsockname())
        yield listener.getsockname()[1]


class _Silent:
    """A service that answers nothing: the heads it got, and whatever came after them until the connection's end."""

    def __init__(self) -> None:
        self.heads: asyncio.Queue[bytes] = asyncio.Queue()
        self.ends: asyncio.Queue[bytes] = asyncio.Queue()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection."""
        self.heads.put_nowait(await reader.readuntil(b"\r\n\r\n"))
        self.ends.put_nowait(await reader.read())
        writer.close()


@contextlib.asynccontextmanager
async def _silent() -> AsyncIterator[tuple[_Silent, Wire, int]]:
    """The service, connections to it, and its port."""
    service = _Silent()
    async with asyncio.timeout(20), await asyncio.start_server(service.serve, "127.0.0.1") as server:
        port = server.sockets[0].getsockname()[1]
        async with Wire(f"http://127.0.0.1:{port}") as connections:
            yield service, connections, port


async def test_a_service_that_takes_no_connection_is_given_up_and_was_never_asked(
    deaf: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wire, "_TIMEOUT", aiohttp.ClientTimeout(total=None, sock_connect=0.05))
    async with Wire(f"http://127.0.0.1:{deaf}") as connections:
        with pytest.raises(aiohttp.ConnectionTimeoutError):
            await connections.ask(ASKED, None)


async def test_who_is_stopped_while_it_waits_for_an_answer_closes_its_connection() -> None:
    async with _silent() as (service, connections, _):
        task = asyncio.create_task(connections.ask(ASKED, None))
        await service.heads.get()
        task.cancel()
        assert await service.ends.get() == b""
    assert task.cancelled()


async def test_a_service_sees_its_host_and_the_headers_it_is_given_and_no_others() -> None:
    async with _silent() as (service, connections, port):
        task = asyncio.create_task(connections.ask(ASKED, None))
        request, *fields = (await service.heads.get()).strip().split(b"\r\n")
        task.cancel()
        await service.ends.get()
    assert request == b"GET /a HTTP/1.1"
    assert fields[:2] == [f"host: 127.0.0.1:{port}".encode(), b"accept: */*"]
    assert [field.partition(b":")[0] for field in fields[2:]] == [b"x-request-timeout"]
