"""Applications on ports, inside an event loop that is ours."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

from starlette.types import ASGIApp

from draftstore_common.kit.serve import DrainingServer, Start, server_config

DRAIN_SECONDS = 1
"""What requests under way get at a stop: everything has to be down within five seconds."""


class _Server(DrainingServer):
    """A server that leaves signals to standalone."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


@asynccontextmanager
async def serving(app: ASGIApp, listener: socket.socket) -> AsyncIterator[None]:
    """Serve on the listener until the block ends, then drain. A failed start raises what the application raised."""
    start = Start(app)
    # Nobody routes to this process: nothing to wait for before the listener closes.
    server = _Server(server_config(start, host="", port=0, grace=DRAIN_SECONDS), drain_delay=0)
    task = asyncio.create_task(server.serve(sockets=[listener]))
    try:
        await _started(server, task)
        if start.failure is not None:
            raise start.failure
        if task.done():
            await task  # raises why it does not serve
        yield
    finally:
        server.should_exit = True
        await task


async def _started(server: _Server, task: asyncio.Task[None]) -> None:
    while not (server.started or task.done()):  # noqa: ASYNC110  uvicorn tells of its start by an attribute only
        await asyncio.sleep(0.01)
