"""A service that is slow holds back its own requests, not the gateway: a bound on what waits for it."""

import asyncio
from typing import Self

from starlette.types import Receive, Send

from draftstore_common.kit.patience import Patience
from draftstore_gateway.errors import Overloaded
from draftstore_gateway.upstreams.base import Forwarded, Upstream

QUEUE_WAIT = 1.0
"""Seconds a request waits for a place. Whoever comes later is better told to come back."""


class Bulkhead:
    """So many places; a quarter as many may wait for one, for `QUEUE_WAIT` seconds. Everyone else is turned away."""

    def __init__(self, places: int) -> None:
        self._places = asyncio.Semaphore(places)
        self._queue = max(1, places // 4)
        self._waiting = 0

    async def enter(self) -> None:
        """Take a place, to be given back by `leave`; raises `Overloaded` if there is none in time."""
        if not self._places.locked():
            await self._places.acquire()  # at once
            return
        if self._waiting >= self._queue:
            raise Overloaded
        self._waiting += 1
        try:
            async with asyncio.timeout(QUEUE_WAIT):
                await self._places.acquire()
        except TimeoutError as error:
            raise Overloaded from error
        finally:
            self._waiting -= 1

    def leave(self) -> None:
        """Give the place to who waits longest."""
        self._places.release()


class Shielded:
    """An upstream with so many places for calls and as many for streams, which may keep theirs for an hour.

    The upstream is entered elsewhere.
    """

    def __init__(self, upstream: Upstream, places: int) -> None:
        self._upstream = upstream
        self._calls = Bulkhead(places)
        self._streams = Bulkhead(places)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        return None

    async def forward(self, request: Forwarded, receive: Receive, send: Send, patience: Patience) -> None:
        """As `Upstream.forward`; raises `Overloaded` if too many requests are with this service already."""
        bulkhead = self._streams if request.streams else self._calls
        await bulkhead.enter()
        try:
            await self._upstream.forward(request, receive, send, patience)
        finally:
            bulkhead.leave()
