"""How long something may take, as a plain context manager.

`asyncio.timeout` does the same for several times the price: before Python 3.12 it asks the kernel three times which
process this is. And most requests are over before a timer of theirs was worth its while, so none has one at first.
"""

import asyncio
import contextvars
import time
from collections.abc import Callable
from itertools import takewhile
from types import TracebackType
from typing import Self

FIRST_LOOK = 0.05
"""Seconds until somebody looks what a request waits for; most are over by then."""


def nothing() -> None:
    """Do nothing: nobody wants to know."""


class Looks:
    """Looks after what lasts: one timer for all, instead of one for each of many that are over before it ends.

    A look comes after `FIRST_LOOK` seconds, at most twice as many.
    """

    def __init__(self) -> None:
        self._here: dict[Patience, float] = {}
        """Who was not looked after so far, and since when they are here, in the order of their coming."""
        self._timer: asyncio.TimerHandle | None = None

    def begin(self, patience: "Patience") -> None:
        """It is here from now on."""
        self._here[patience] = time.monotonic()
        if self._timer is None:
            self._timer = self._alarm()

    def end(self, patience: "Patience") -> None:
        """It is gone."""
        self._here.pop(patience, None)

    def _look(self) -> None:
        begun_before = time.monotonic() - FIRST_LOOK
        try:
            for patience in list(takewhile(lambda each: self._here[each] <= begun_before, self._here)):
                del self._here[patience]
                patience.look()
        finally:  # one that raises keeps nobody else from theirs
            self._timer = self._alarm() if self._here else None

    def _alarm(self) -> asyncio.TimerHandle:
        # In a context of its own: the request that happens to begin it is not who is looked after.
        return asyncio.get_running_loop().call_later(FIRST_LOOK, self._look, context=contextvars.Context())


class Patience:
    """Raises `TimeoutError` in the task it is entered in once its seconds are over, or when it is ended.

    Fewer seconds than `FIRST_LOOK` may last twice as long as that.
    """

    def __init__(self, seconds: float, looks: Looks) -> None:
        self._looks = looks
        self._until = time.monotonic() + seconds
        self._timer: asyncio.TimerHandle | None = None
        self.on_look: Callable[[], None] = nothing
        """Called once, if it lasts: for what is only then worth to begin."""
        self.over = False

    def __enter__(self) -> Self:
        task = asyncio.current_task()
        assert task is not None  # noqa: S101  entered in a coroutine
        self._task, self._cancelling = task, task.cancelling()
        self._looks.begin(self)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self._looks.end(self)
        self.on_look = nothing  # it may hold whoever holds this: a cycle for the garbage collector in every request
        if self._timer is not None:
            self._timer.cancel()
        # As in the library: only our own cancellation is a timeout, not one that came from elsewhere meanwhile.
        if self.over and self._task.uncancel() <= self._cancelling and kind is asyncio.CancelledError:
            raise TimeoutError from error

    @property
    def interrupted(self) -> bool:
        """Whether its task was told to end since it was entered, by it or by others."""
        return self._task.cancelling() > self._cancelling

    def renew(self, seconds: float) -> None:
        """Begin anew, with so many seconds: not fewer than are left."""
        self._until = time.monotonic() + seconds

    def end(self) -> None:
        """It is over now. To be called while it is entered."""
        if not self.over:
            self.over = True
            self._task.cancel()

    def look(self) -> None:
        """It lasts."""
        self.on_look()
        self._end_in_time()

    def _end_in_time(self) -> None:
        left = self._until - time.monotonic()
        if left <= 0:
            self.end()
        else:
            self._timer = asyncio.get_running_loop().call_later(left, self._end_in_time)
