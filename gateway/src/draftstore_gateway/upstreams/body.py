"""The client's side while a service works: its body as it comes, and whether it is still there."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

from starlette.types import Receive


class ClientLeft(Exception):
    """The client hung up while it was sending."""


class ClientBody:
    """The request's body as chunks; afterwards it notices when the client leaves."""

    def __init__(self, receive: Receive, *, has_body: bool) -> None:
        self._receive = receive
        self.begun = False
        """Part of it may have been sent: it cannot be sent again."""
        self._sent = asyncio.Event()
        if not has_body:
            self._sent.set()

    async def chunks(self) -> AsyncIterator[bytes]:
        """The body; raises `ClientLeft` if it ends too early."""
        self.begun = True
        more = True
        while more:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                raise ClientLeft
            more = message.get("more_body", False)
            yield message.get("body", b"")
        self._sent.set()

    async def departure(self) -> None:
        """Return when the client has left, after its body."""
        await self._sent.wait()
        while (await self._receive())["type"] != "http.disconnect":
            pass


@contextlib.asynccontextmanager
async def ends_with_client(body: ClientBody, presence: asyncio.Timeout) -> AsyncIterator[None]:
    """Let `presence` expire when the client leaves."""

    async def watch() -> None:
        await body.departure()
        presence.reschedule(asyncio.get_running_loop().time())

    watcher = asyncio.create_task(watch())
    try:
        yield
    finally:
        watcher.cancel()
        await asyncio.wait([watcher])
