"""The client's side while a service works: its body as it comes, and whether it is still there."""

import asyncio
from collections.abc import AsyncIterator

from starlette.types import Receive

from draftstore_gateway.patience import Patience

FIRST_LOOK = 0.05
"""Seconds a service has before it is looked whether its client still waits."""


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


class EndsWithClient:
    """Ends `presence` when the client leaves.

    Looked for from `FIRST_LOOK` seconds on: whoever left before is found gone then, and most answers come sooner.
    """

    def __init__(self, body: ClientBody, presence: Patience) -> None:
        self._body = body
        self._presence = presence
        self._watcher: asyncio.Task[None] | None = None

    async def __aenter__(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(FIRST_LOOK, self._look)

    async def __aexit__(self, *_: object) -> None:
        self._timer.cancel()
        if self._watcher is not None:
            self._watcher.cancel()
            await asyncio.wait([self._watcher])

    def _look(self) -> None:
        self._watcher = asyncio.create_task(self._watch())

    async def _watch(self) -> None:
        await self._body.departure()
        self._presence.end()
