"""One act for all who want the same done at the same moment: group commit.

A statement of one row costs PostgreSQL and us several times what a row of a common statement costs, and a commit is a
commit. Nobody waits so that others may join: whoever finds a free lane leaves at once, with all who came in the same
turn of the event loop; those who come while every lane is busy leave together as soon as one is free.
"""

import asyncio
import contextvars
from collections.abc import Awaitable, Callable, Hashable, Sequence
from typing import Any, Generic, TypeAlias, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

_Group: TypeAlias = Sequence[tuple[Item, asyncio.Future[Result]]]


class Together(Generic[Item, Result]):
    """Calls `work` with the items of up to `most` callers, at most `lanes` times at once; each gets its own result.

    Only items for which `kind` is the same go together.
    `work` answers in the order of its items, and does all of them or none. If it fails with one of `shared`, which
    says nothing of any single item, all of its callers get that; after any other failure each item is tried alone, so
    that only whoever brought the bad one gets the error. A caller that is cancelled leaves: its item is done for
    nobody, or, if it has not left yet, not at all.
    """

    def __init__(
        self,
        work: Callable[[Sequence[Item]], Awaitable[Sequence[Result]]],
        *,
        lanes: int,
        most: int,
        shared: type[Exception],
        kind: Callable[[Item], Hashable] = lambda _: None,
    ) -> None:
        self._work = work
        self._free = lanes
        self._most = most
        self._shared = shared
        self._kind = kind
        self._waiting: list[tuple[Item, asyncio.Future[Result]]] = []
        self._lanes: set[asyncio.Task[None]] = set()

    async def do(self, item: Item) -> Result:
        """The item's own result."""
        loop = asyncio.get_running_loop()
        done: asyncio.Future[Result] = loop.create_future()
        self._waiting.append((item, done))
        if self._free:
            self._free -= 1
            # A context of its own: the lane goes on for others when the request that opened it is answered.
            lane = loop.create_task(self._lane(), name="together", context=contextvars.Context())
            self._lanes.add(lane)
            lane.add_done_callback(self._lanes.discard)
        return await done

    async def _lane(self) -> None:
        try:
            while self._waiting:
                await self._settle(self._next())
        finally:
            self._free += 1

    def _next(self) -> _Group[Item, Result]:
        """Whoever waits longest, and those who can go along; whoever has left stays behind."""
        kind = self._kind(self._waiting[0][0])
        group, left = list[tuple[Item, asyncio.Future[Result]]](), list[tuple[Item, asyncio.Future[Result]]]()
        for one in self._waiting:
            goes = len(group) < self._most and self._kind(one[0]) == kind
            (group if goes else left).append(one)
        self._waiting = left
        return [one for one in group if not one[1].done()]

    async def _settle(self, group: _Group[Item, Result]) -> None:
        try:
            await self._try(group)
        except self._shared as error:
            _fail(group, error)
        except Exception as error:
            if len(group) == 1:
                _fail(group, error)
            else:
                for one in group:
                    await self._settle([one])

    async def _try(self, group: _Group[Item, Result]) -> None:
        if not group:  # everybody left
            return
        results = await self._work([item for item, _ in group])
        for (_, done), result in zip(group, results, strict=True):
            if not done.done():
                done.set_result(result)


def _fail(group: _Group[Any, Any], error: Exception) -> None:
    for _, done in group:
        if not done.done():
            done.set_exception(error)
