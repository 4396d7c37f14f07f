"""The wait for a small body, before anything behind the gateway waits for it.

A place at a service that is held while a client is slow to send is a place taken from everybody else: whoever had some
keys, or sent leak reports without any, could hold them all. So a body that does not stream is here in full before a
place is taken.
"""

from collections.abc import Callable

from draftstore_common.kit.context import remaining
from draftstore_common.kit.patience import Looks, Patience, nothing
from draftstore_gateway.exchange import RequestBody
from draftstore_gateway.upstreams.bulkhead import Bulkhead

SMALL = 64 * 1024
"""Bytes of a body that are kept for anybody: what the server itself reads ahead of each connection."""

LARGE_BODIES = 64
"""Larger ones in memory at once, and so as many times the longest body of a route that does not stream."""


class Arrival:
    """Where bodies wait until they are whole. Bounded in memory, however many come and however slowly."""

    def __init__(self, looks: Looks) -> None:
        self._large = Bulkhead(LARGE_BODIES)
        self._looks = looks

    async def whole(self, body: RequestBody, limit: int | None) -> Callable[[], None]:
        """Wait until all of a body is here. `limit` in bytes; None: it streams. Call what is returned when it is gone.

        Raises `TimeoutError` when the time of the request is over first, `Overloaded` for a large one if there are too
        many of those. A client that left is for the caller to notice.
        """
        if limit is None or body.empty:
            return nothing
        with Patience(remaining(), self._looks):
            await body.gather(SMALL)
        return nothing if body.over else await self._whole_large(body, limit)

    async def _whole_large(self, body: RequestBody, limit: int) -> Callable[[], None]:
        await self._large.enter()
        try:
            with Patience(remaining(), self._looks):
                await body.gather(limit)
        except BaseException:
            self._large.leave()
            raise
        return self._large.leave
