"""The client's side while a service works: its body as it comes, and whether it is still there."""

import asyncio
from collections.abc import AsyncIterator

from starlette.types import Receive

from draftstore_common.kit.patience import Patience


class ClientLeft(Exception):
    """The client hung up while it was sending."""


class ClientBody:
    """The request's body as chunks; afterwards, a client that leaves ends the `patience` of its request.

    Noticed from the first look on: whoever left before is found gone then, and most answers come sooner.
    """

    def __init__(self, receive: Receive, *, has_body: bool, patience: Patience) -> None:
        self._receive = receive
        self._patience = patience
        self._watcher: asyncio.Task[None] | None = None
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

    def watch(self) -> None:
        """Begin to wait for the client to leave."""
        self._watcher = asyncio.create_task(self._departure())

    async def close(self) -> None:
        """Wait no longer."""
        if self._watcher is not None:
            self._watcher.cancel()
            await asyncio.wait([self._watcher])

    async def _departure(self) -> None:
        await self._sent.wait()
        while (await self._receive())["type"] != "http.disconnect":
            pass
        self._patience.end()
