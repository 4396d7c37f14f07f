"""One act for all who want the same done at the same moment: group commit.

A statement of one row costs PostgreSQL and us several times what a row of a common statement costs, and a commit is a
commit. Nobody waits so that others may join: whoever finds a free lane leaves at once, with all who came in the same
turn of the event loop; those who come while every lane is busy leave together as soon as one is free.
"""

import asyncio
import contextvars
from collections import deque
from collections.abc import Awaitable, Callable, Hashable, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, TypeAlias, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

_Group: TypeAlias = Sequence[tuple[Item, asyncio.Future[Result]]]


@dataclass(slots=True)
class _Queue(Generic[Item, Result]):
    """Items of one kind that wait, and how many lanes are under way for them."""

    waiting: deque[tuple[Item, asyncio.Future[Result]]] = field(default_factory=deque)
    lanes: int = 0


class Together(Generic[Item, Result]):
    """Calls `work` with the items of up to `most` callers; each gets its own result.

    Only items for which `kind` is the same go together, at most `lanes` times at once: a kind that is stuck keeps no
    other waiting.
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
        self._lanes = lanes
        self._most = most
        self._shared = shared
        self._kind = kind
        self._queues: dict[Hashable, _Queue[Item, Result]] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    async def do(self, item: Item) -> Result:
        """The item's own result."""
        done: asyncio.Future[Result] = asyncio.get_running_loop().create_future()
        kind = self._kind(item)
        queue = self._queues.get(kind)
        if queue is None:
            queue = self._queues[kind] = _Queue()
        queue.waiting.append((item, done))
        if queue.lanes < self._lanes:
            queue.lanes += 1
            # A context of its own: the lane goes on for others when the request that opened it is answered.
            lane = asyncio.create_task(self._lane(kind, queue), name="together", context=contextvars.Context())
            self._tasks.add(lane)
            lane.add_done_callback(self._tasks.discard)
        return await done

    async def _lane(self, kind: Hashable, queue: _Queue[Item, Result]) -> None:
        try:
            while queue.waiting:
                await self._settle(self._next(queue))
        finally:
            queue.lanes -= 1
            if not (queue.lanes or queue.waiting):
                del self._queues[kind]

    def _next(self, queue: _Queue[Item, Result]) -> _Group[Item, Result]:
        """Those who wait longest, without whoever has left."""
        group = [queue.waiting.popleft() for _ in range(min(self._most, len(queue.waiting)))]
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
                    await self._settle([] if one[1].done() else [one])

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
