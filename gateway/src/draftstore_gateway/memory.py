"""Windows counted in this process: a decision is a few steps in dictionaries, with nothing awaited in between.

So it is one step for all who race, without a lock.
"""

import asyncio
import time
from bisect import bisect_left
from collections.abc import Callable, Sequence
from typing import Protocol

from draftstore_gateway.windows import LARGEST_EXACT, Charge, Decision

SWEEP_PAUSE = 30.0
"""Seconds between two sweeps of windows that are over."""


class _Window(Protocol):
    """What was admitted lately. Instants are seconds of a clock that never goes back.

    `remaining` is asked first: it moves the window to now.
    """

    def remaining(self, now: float) -> int:
        """How many more would be admitted now."""

    def admit(self, now: float) -> None:
        """Count one request, which `remaining` has room for."""

    def reset_in(self, now: float) -> float:
        """Seconds until there is more room."""

    def over(self, now: float) -> bool:
        """Whether nothing of it counts any more."""


class _Log:
    """When each of the last requests was admitted. Exact: no stretch of its length holds more than its amount.

    A list, not a deque: most windows are those of addresses that were refused once, and an empty deque has 600 bytes.
    """

    def __init__(self, amount: int, seconds: int) -> None:
        self._amount = amount
        self._seconds = seconds
        self._admitted: list[float] = []

    def remaining(self, now: float) -> int:
        admitted, begin = self._admitted, now - self._seconds
        if admitted and admitted[0] < begin:
            del admitted[: bisect_left(admitted, begin)]
        return self._amount - len(admitted)

    def admit(self, now: float) -> None:
        self._admitted.append(now)

    def reset_in(self, now: float) -> float:
        return (self._admitted[0] if self._admitted else now) + self._seconds - now

    def over(self, now: float) -> bool:
        return not self._admitted or self._admitted[-1] < now - self._seconds


class _SlidingCounter:
    """Two numbers: what the stretch of now admitted, and the one before, which is taken for evenly filled."""

    def __init__(self, amount: int, seconds: int) -> None:
        self._amount = amount
        self._seconds = seconds
        self._stretch = -2.0
        self._before = 0
        self._count = 0

    def remaining(self, now: float) -> int:
        stretch, gone = divmod(now, self._seconds)
        if stretch != self._stretch:
            self._before = self._count if stretch == self._stretch + 1 else 0
            self._stretch, self._count = stretch, 0
        return max(0, self._amount - self._count - int(self._before * (1 - gone / self._seconds)))

    def admit(self, now: float) -> None:  # noqa: ARG002  counted, not kept
        self._count += 1

    def reset_in(self, now: float) -> float:
        left = self._seconds - now % self._seconds
        return left % (self._seconds / self._before) if self._before else left

    def over(self, now: float) -> bool:
        return self._stretch < now // self._seconds - 1


class Memory:
    """The windows of this process. `sweep` runs for as long as they are used."""

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        """`clock`: seconds that never go back."""
        self._clock = clock
        self._windows: dict[tuple[str, str, int, int], _Window] = {}

    def __len__(self) -> int:
        """How many windows are remembered."""
        return len(self._windows)

    def hit(self, wanted: Sequence[Charge]) -> Decision:
        """Count one request in all these windows, in their order, or say which has no room."""
        now, refused_by, standings = self._clock(), None, []
        for charge in wanted:
            window = self._windows.get(charge.key) or self._window(charge)
            remaining = window.remaining(now)
            if refused_by is None and remaining:
                window.admit(now)
                remaining -= 1
            elif refused_by is None:
                refused_by = charge.policy
            standings.append(charge.standing(remaining, window.reset_in(now)))
        return Decision(refused_by, standings)

    def test(self, wanted: Sequence[Charge]) -> Decision:
        """What `hit` would say, counting nothing."""
        now = self._clock()
        windows = [(charge, self._window(charge)) for charge in wanted]
        standings = [charge.standing(window.remaining(now), window.reset_in(now)) for charge, window in windows]
        return Decision(next((s.policy for s in standings if s.remaining == 0), None), standings)

    async def sweep(self) -> None:
        """Forget windows that are over, now and then, for ever."""
        while True:
            await asyncio.sleep(SWEEP_PAUSE)
            now = self._clock()
            for key in [key for key, window in self._windows.items() if window.over(now)]:
                del self._windows[key]

    def _window(self, charge: Charge) -> _Window:
        window = self._windows.get(charge.key)
        if window is None:
            kind = _Log if charge.amount <= LARGEST_EXACT else _SlidingCounter
            window = self._windows[charge.key] = kind(charge.amount, charge.seconds)
        return window
