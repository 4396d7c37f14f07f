"""A bounded pool of daemon threads for blocking calls.

The standard executor waits at interpreter exit for every call under way: one store that hangs would keep a process
that was told to stop alive for as long as the SDK's longest timeout. A daemon thread is simply left behind.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import Future
from queue import SimpleQueue
from threading import Thread
from typing import Any, TypeVar

T = TypeVar("T")

Job = tuple["Future[Any]", Callable[[], Any]]


class Threads:
    """At most `size` calls run at once; the others wait in order, and a caller that gives up leaves the queue."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._started = 0
        self._jobs: SimpleQueue[Job | None] = SimpleQueue()

    async def run(self, call: Callable[[], T]) -> T:
        """What `call` returns or raises, called in one of the threads."""
        result: Future[T] = Future()
        self._jobs.put((result, call))
        if self._started < self._size:
            self._started += 1
            Thread(target=self._work, name="store-call", daemon=True).start()
        return await asyncio.wrap_future(result)

    def close(self) -> None:
        """Let the threads end when they have done what they have begun."""
        for _ in range(self._started):
            self._jobs.put(None)

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            _do(*job)
            del job  # a thread at rest holds neither a result nor a client


def _do(result: "Future[T]", call: Callable[[], T]) -> None:
    if not result.set_running_or_notify_cancel():
        return
    try:
        result.set_result(call())
    except BaseException as error:
        result.set_exception(error)
