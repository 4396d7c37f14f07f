"""A service that is slow holds back its own requests, not the gateway: a bound on what waits for it."""

import asyncio
import contextlib
from collections import deque
from typing import Self

from starlette.types import Receive, Send

from draftstore_gateway.errors import Overloaded
from draftstore_gateway.patience import Patience
from draftstore_gateway.upstreams.base import Forwarded, Upstream

QUEUE_WAIT = 1.0
"""Seconds a request waits for a place. Whoever comes later is better told to come back."""


class Bulkhead:
    """So many places; a quarter as many may wait for one, for `QUEUE_WAIT` seconds. Everyone else is turned away."""

    def __init__(self, places: int) -> None:
        self._free = places
        self._most_waiting = max(1, places // 4)
        self._waiting: deque[asyncio.Future[None]] = deque()

    async def enter(self) -> None:
        """Take a place, to be given back by `leave`; raises `Overloaded` if there is none in time."""
        if self._free:
            self._free -= 1
        elif len(self._waiting) < self._most_waiting:
            await self._turn()
        else:
            raise Overloaded

    def leave(self) -> None:
        """Give the place to who waits longest."""
        while self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():  # still waited for
                turn.set_result(None)
                return
        self._free += 1

    async def _turn(self) -> None:
        turn = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        try:
            async with asyncio.timeout(QUEUE_WAIT):
                await turn
        except BaseException as error:
            self._give_up(turn)
            if isinstance(error, TimeoutError):
                raise Overloaded from error
            raise

    def _give_up(self, turn: asyncio.Future[None]) -> None:
        if turn.cancelled():
            with contextlib.suppress(ValueError):  # `leave` was quicker to forget it
                self._waiting.remove(turn)
        else:  # its place came in the same moment
            self.leave()


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
