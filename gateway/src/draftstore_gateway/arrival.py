"""The wait for a small body, before anything behind the gateway waits for it.

A place at a service that is held while a client is slow to send is a place taken from everybody else: whoever had some
keys, or sent leak reports without any, could hold them all. So a body that does not stream is here in full before a
place is taken.
"""

from collections.abc import Awaitable, Callable

from draftstore_common.kit.context import remaining
from draftstore_gateway.exchange import RequestBody
from draftstore_gateway.patience import Patience
from draftstore_gateway.upstreams.bulkhead import Bulkhead

SMALL = 64 * 1024
"""Bytes of a body that are kept for anybody: what the server itself reads ahead of each connection."""

LARGE_BODIES = 64
"""Larger ones in memory at once, and so as many times the longest body of a route that does not stream."""


class Arrival:
    """Where bodies wait until they are whole. Bounded in memory, however many come and however slowly."""

    def __init__(self) -> None:
        self._large = Bulkhead(LARGE_BODIES)

    async def passed_on(self, body: RequestBody, limit: int | None, pass_on: Callable[[], Awaitable[None]]) -> None:
        """Wait until all of a body is here, and pass it on. `limit` in bytes; None: it streams.

        Raises `TimeoutError` when the time of the request is over first, `Overloaded` for a large one if there are too
        many of those. A client that left is for `pass_on` to notice.
        """
        if limit is None or body.empty:
            await pass_on()
            return
        with Patience(remaining()):
            await body.gather(SMALL)
        if body.over:
            await pass_on()
            return
        await self._large.enter()
        try:
            with Patience(remaining()):
                await body.gather(limit)
            await pass_on()
        finally:
            self._large.leave()
