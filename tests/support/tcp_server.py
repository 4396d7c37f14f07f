"""A server for tests whose connections do not outlive it, however far they have come."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]

READ_AHEAD = 64 * 1024


class TcpServer:
    """Serves each connection in a task, and closes it when that ends, by whatever means.

    asyncio's own callback closes nothing: a connection whose handler fails, or is cancelled before its first step,
    stays open on our side after the client has left.
    """

    def __init__(self, serve: Serve) -> None:
        self._serve = serve
        self._connections: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None

    async def listen(self, port: int = 0, *, read_ahead: int = READ_AHEAD) -> int:
        """Take connections from now on; answers the port."""
        self._server = await asyncio.start_server(self._take, "127.0.0.1", port, limit=read_ahead)
        bound: int = self._server.sockets[0].getsockname()[1]
        return bound

    def refuse(self) -> None:
        """Take no more connections; those that are there go on."""
        if self._server is not None:
            self._server.close()
            self._server = None

    async def close(self) -> None:
        """Take no more connections, and end those that are there."""
        self.refuse()
        left = list(self._connections)
        for connection in left:
            connection.cancel()
        await asyncio.gather(*left, return_exceptions=True)

    def _take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = asyncio.create_task(self._run(reader, writer))
        self._connections.add(connection)
        connection.add_done_callback(lambda _: writer.close())
        connection.add_done_callback(self._connections.discard)

    async def _run(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(asyncio.IncompleteReadError, ConnectionError):  # the client left
            await self._serve(reader, writer)


@asynccontextmanager
async def tcp_server(serve: Serve, *, read_ahead: int = READ_AHEAD) -> AsyncIterator[int]:
    """A server on a free port of the loopback interface, which is what it yields."""
    server = TcpServer(serve)
    try:
        yield await server.listen(read_ahead=read_ahead)
    finally:
        await server.close()
