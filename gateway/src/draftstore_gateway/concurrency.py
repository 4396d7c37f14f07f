"""How many requests of one key may be under way at once, in this gateway, and how many guesses of one address."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from draftstore_gateway.errors import TooManyConcurrent
from draftstore_gateway.metrics import LimiterMetrics


class Place:
    """One request's place among those under way. Called, it is given back; called again, it does nothing."""

    __slots__ = ("_lineage", "_under_way")

    def __init__(self, under_way: dict[str, int], lineage: str) -> None:
        self._under_way: dict[str, int] | None = under_way
        self._lineage = lineage

    def __call__(self) -> None:
        under_way, self._under_way = self._under_way, None
        if under_way is None:
            return
        others = under_way[self._lineage] - 1
        if others:
            under_way[self._lineage] = others
        else:
            del under_way[self._lineage]


class Concurrency:
    """Counts requests under way by the lineage of their key, so that one caller's slow ones leave room for others."""

    def __init__(self, limit: int, metrics: LimiterMetrics) -> None:
        self._limit = limit
        self._metrics = metrics
        self._under_way: dict[str, int] = {}

    def enter(self, lineage: str) -> Place:
        """Take a place among the requests under way; raises `TooManyConcurrent`."""
        others = self._under_way.get(lineage, 0)
        if others >= self._limit:
            self._metrics.refused.labels("concurrency").inc()
            raise TooManyConcurrent(self._limit)
        self._under_way[lineage] = others + 1
        return Place(self._under_way, lineage)


class Turns:
    """Lets so many at once of each name go on; the others wait for their turn."""

    def __init__(self, at_once: int) -> None:
        self._at_once = at_once
        self._turns: dict[str, asyncio.Semaphore] = {}
        self._here: Counter[str] = Counter()

    @asynccontextmanager
    async def turn(self, name: str) -> AsyncIterator[None]:
        """Enter when it is one's turn."""
        turns = self._turns.setdefault(name, asyncio.Semaphore(self._at_once))
        self._here[name] += 1
        try:
            async with turns:
                yield
        finally:
            self._here[name] -= 1
            if not self._here[name]:
                del self._here[name], self._turns[name]
