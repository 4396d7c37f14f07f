"""A port that was taken before it is served behaves like one the server took itself."""

import asyncio
import socket

import pytest

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


def test_a_taken_port_is_said_to_be() -> None:
    with listen("127.0.0.1", 0) as listener:
        listener.listen()
        with pytest.raises(OSError, match="in use"):
            listen("127.0.0.1", listener.getsockname()[1])


async def test_an_application_that_cannot_start_says_why() -> None:
    async def app(_: object, __: object, ___: object) -> None:
        raise OSError("no database")

    with listen("127.0.0.1", 0) as listener, pytest.raises(OSError, match="no database"):
        async with serving(app, listener):
            pass
