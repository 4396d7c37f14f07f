"""A port that was taken before it is served behaves like one the server took itself."""

import asyncio
import socket

import pytest
from starlette.types import Receive, Scope, Send

from draftstore_standalone.listener import listen
from draftstore_standalone.serving import serving


async def test_answers_are_not_held_back_for_an_acknowledgement() -> None:
    seen: list[int] = []

    class Connection(asyncio.Protocol):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            seen.append(transport.get_extra_info("socket").getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
            transport.close()

    with listen("127.0.0.1", 0) as listener:
        server = await asyncio.get_running_loop().create_server(Connection, sock=listener)
        reader, writer = await asyncio.open_connection(*listener.getsockname())
        assert await reader.read() == b""
        writer.close()
        server.close()
    assert seen == [1]


def test_a_port_is_taken_before_it_is_served() -> None:
    with listen("127.0.0.1", 0) as listener, pytest.raises(OSError, match="in use"):
        listen("127.0.0.1", listener.getsockname()[1])


async def test_a_server_that_cannot_listen_says_why() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        assert scope["type"] == "lifespan"
        for kind in ("startup", "shutdown"):
            await receive()
            await send({"type": f"lifespan.{kind}.complete"})

    with socket.socket() as taken, socket.socket() as bound:
        for each in (taken, bound):
            each.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        taken.bind(("127.0.0.1", 0))
        bound.bind(taken.getsockname())
        taken.listen()
        served = False
        with pytest.raises(OSError, match="in use"):
            async with serving(app, bound):
                served = True
        assert not served


async def test_an_application_that_cannot_start_says_why() -> None:
    async def app(_: object, __: object, ___: object) -> None:
        raise OSError("no database")

    with listen("127.0.0.1", 0) as listener, pytest.raises(OSError, match="no database"):
        async with serving(app, listener):
            pass
