"""One connection: answers leave in the order of their requests, and none is lost to what comes after it."""

import asyncio
from collections.abc import Callable

import pytest
from starlette.types import Receive, Scope, Send
from uvicorn.server import ServerState

from draftstore_common.kit.protocol import StrictHttpProtocol
from draftstore_common.kit.serve import server_config
from support.raw_http import connected

HEAD = b"HEAD / HTTP/1.1\r\nHost: x\r\n\r\n"

Act = Callable[[StrictHttpProtocol], None]


async def conversation(act: Act) -> bytes:
    """All that a client gets who sends HEAD, when `act` happens in the turn of the loop that answered it."""
    made: list[StrictHttpProtocol] = []

    async def app(_scope: Scope, _receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"5")]})
        await send({"type": "http.response.body", "body": b"hello"})
        act(made[0])

    config = server_config(app, host="127.0.0.1", port=0, grace=1)
    config.load()

    def protocol() -> StrictHttpProtocol:
        made.append(StrictHttpProtocol(config=config, server_state=ServerState(), app_state={}))
        return made[-1]

    server = await asyncio.get_running_loop().create_server(protocol, "127.0.0.1", 0)
    async with server, connected(server.sockets[0].getsockname()[1]) as (reader, writer):
        writer.write(HEAD)
        async with asyncio.timeout(5):
            return await reader.read()


@pytest.mark.parametrize(
    "act",
    [
        lambda connection: connection.data_received(b"\0 is no request\r\n\r\n"),
        lambda connection: connection.shutdown(),
    ],
    ids=["a malformed request follows", "the server ends"],
)
async def test_an_answer_without_a_body_is_not_lost_to_what_happens_right_after_it(act: Act) -> None:
    assert (await conversation(act)).startswith(b"HTTP/1.1 200 OK\r\n")


async def test_a_refusal_follows_the_answer_before_it() -> None:
    told = await conversation(lambda connection: connection.data_received(b"\0 is no request\r\n\r\n"))
    assert [line for line in told.split(b"\r\n") if line.startswith(b"HTTP/")] == [
        b"HTTP/1.1 200 OK",
        b"HTTP/1.1 400 Bad Request",
    ]
