"""How many requests may be sent a second time: few enough that a service in trouble is not given more of it."""

import math
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

WINDOW = 10
"""Seconds that are looked back on."""

RATIO = 0.2
"""Repeats for each request of the window."""

RESERVE = 3
"""Repeats beyond that, so that a quiet gateway has some too."""


@dataclass(slots=True)
class _Second:
    at: int
    requests: int = 0
    repeats: int = 0


class RetryBudget:
    """Counts the requests and repeats of the last `WINDOW` seconds."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._seconds: deque[_Second] = deque()

    def note(self) -> None:
        """A request was sent for the first time."""
        self._now().requests += 1

    def take(self) -> bool:
        """Whether one more may be repeated; if so, it is counted."""
        now = self._now()
        requests = sum(second.requests for second in self._seconds)
        repeats = sum(second.repeats for second in self._seconds)
        if repeats >= RESERVE + math.floor(RATIO * requests):
            return False
        now.repeats += 1
        return True

    def _now(self) -> _Second:
        at = math.floor(self._clock())
        while self._seconds and self._seconds[0].at <= at - WINDOW:
            self._seconds.popleft()
        if not self._seconds or self._seconds[-1].at != at:
            self._seconds.append(_Second(at))
        return self._seconds[-1]
