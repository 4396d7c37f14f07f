"""Lets a few things through and counts the rest, so that a flood leaves a trace and no flood of traces."""

import time
from collections.abc import Callable
from dataclasses import dataclass

CAPACITY = 10_000
"""Names remembered at once. The one unused for longest is forgotten first, with its count."""


@dataclass(slots=True)
class _Window:
    began_at: float
    passed: int = 0
    held_back: int = 0


class Throttle:
    """At most `amount` things of one name in each window of `seconds`."""

    def __init__(self, amount: int, seconds: float, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._amount = amount
        self._seconds = seconds
        self._clock = clock
        self._windows: dict[str, _Window] = {}

    def admit(self, name: str) -> int | None:
        """How many like it were held back since the last that passed; None if this one is held back as well."""
        window = self._window(name)
        if window.passed >= self._amount:
            window.held_back += 1
            return None
        window.passed += 1
        held_back, window.held_back = window.held_back, 0
        return held_back

    def _window(self, name: str) -> _Window:
        window = self._windows.pop(name, None) or _Window(self._clock())
        if self._clock() - window.began_at >= self._seconds:
            window.began_at, window.passed = self._clock(), 0
        if len(self._windows) >= CAPACITY:
            self._windows.pop(next(iter(self._windows)))
        self._windows[name] = window
        return window
