"""How many requests of one key may be under way at once, in this gateway, and how many guesses of one address."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import UUID

from draftstore_gateway.errors import TooManyConcurrent
from draftstore_gateway.metrics import LimiterMetrics


class Concurrency:
    """Counts requests under way by the lineage of their key, so that one caller's slow ones leave room for others."""

    def __init__(self, limit: int, metrics: LimiterMetrics) -> None:
        self._limit = limit
        self._metrics = metrics
        self._under_way: dict[UUID, int] = {}

    def enter(self, lineage: UUID) -> None:
        """Take a place among the requests under way, to be given back by `leave`; raises `TooManyConcurrent`."""
        under_way = self._under_way.get(lineage, 0)
        if under_way >= self._limit:
            self._metrics.refused.labels("concurrency").inc()
            raise TooManyConcurrent(self._limit)
        self._under_way[lineage] = under_way + 1

    def leave(self, lineage: UUID) -> None:
        """Give the place back."""
        under_way = self._under_way[lineage] - 1
        if under_way:
            self._under_way[lineage] = under_way
        else:
            del self._under_way[lineage]


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
