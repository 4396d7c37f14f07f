"""How long a request may take, as a plain context manager.

`asyncio.timeout` does the same for more than twice the price: before Python 3.12 it asks the kernel three times which
process this is.
"""

import asyncio
from types import TracebackType
from typing import Self


class Patience:
    """Raises `TimeoutError` in the task it is entered in once its seconds are over, or when it is ended."""

    def __init__(self, seconds: float | None) -> None:
        """None: until it is ended."""
        self._seconds = seconds
        self._timer: asyncio.TimerHandle | None = None
        self.over = False

    def __enter__(self) -> Self:
        self._loop = asyncio.get_running_loop()
        task = asyncio.current_task(self._loop)
        assert task is not None  # noqa: S101  entered in a coroutine
        self._task, self._cancelling = task, task.cancelling()
        if self._seconds is not None:
            self._timer = self._loop.call_later(self._seconds, self.end)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self._stop()
        # As in the library: only our own cancellation is a timeout, not one that came from elsewhere meanwhile.
        if self.over and self._task.uncancel() <= self._cancelling and kind is asyncio.CancelledError:
            raise TimeoutError from error

    def renew(self, seconds: float) -> None:
        """Begin anew, with so many seconds."""
        if not self.over:
            self._stop()
            self._timer = self._loop.call_later(seconds, self.end)

    def end(self) -> None:
        """It is over now."""
        self._stop()
        if not self.over:
            self.over = True
            self._task.cancel()

    def _stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
