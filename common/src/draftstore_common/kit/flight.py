"""One piece of work at a time, shared by everyone who asks for it while it runs."""

import asyncio
import contextvars
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

from draftstore_common.kit.context import remaining, set_timeout
from draftstore_common.kit.errors import Unavailable
from draftstore_common.kit.trace import Trace, trace

Result = TypeVar("Result")


class SingleFlight(Generic[Result]):
    """Runs `work` in a task of its own, with a deadline of its own.

    So the first to ask may have little time left, or hang up, without failing those who ask after it.
    """

    def __init__(self, work: Callable[[], Awaitable[Result]], *, timeout: float) -> None:
        self._work = work
        self._timeout = timeout
        self._task: asyncio.Task[Result] | None = None

    @property
    def running(self) -> bool:
        """Whether the work is under way."""
        return self._task is not None and not self._task.done()

    def start(self) -> asyncio.Task[Result]:
        """The running work, started if it is not; nobody needs to wait for it."""
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._run(trace.get()), context=contextvars.Context())
            self._task.add_done_callback(_look)
        return self._task

    async def wait(self) -> Result:
        """What the work comes to; raises what it raises, or `Unavailable` when the caller's time is over first."""
        done, _ = await asyncio.wait([self.start()], timeout=remaining())
        if not done:
            raise Unavailable
        return done.pop().result()

    async def _run(self, began_by: Trace | None) -> Result:
        set_timeout(self._timeout)
        trace.set(began_by)  # the work is a part of the request that began it
        async with asyncio.timeout(self._timeout):
            return await self._work()


def _look(task: asyncio.Task[Result]) -> None:
    if not task.cancelled():
        task.exception()  # looked at, even if everybody who waited has left
