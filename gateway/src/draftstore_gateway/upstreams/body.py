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
        self._sent = not has_body
        self._lasts = False
        self._watcher: asyncio.Task[None] | None = None
        self.begun = False
        """Part of it may have been sent: it cannot be sent again."""

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
        self._sent = True
        self._watch()

    def watch(self) -> None:
        """Begin to wait for the client to leave, once its body is sent."""
        self._lasts = True
        self._watch()

    @property
    def watched(self) -> bool:
        """Whether there is anything to close."""
        return self._lasts

    async def close(self) -> None:
        """Wait no longer."""
        self._lasts = False
        if self._watcher is not None:
            self._watcher.cancel()
            await asyncio.wait([self._watcher])

    def _watch(self) -> None:
        if self._lasts and self._sent:
            self._watcher = asyncio.create_task(self._departure())

    async def _departure(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass
        self._patience.end()
