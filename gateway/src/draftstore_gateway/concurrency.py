"""How many requests of one key may be under way at once, in this gateway."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from uuid import UUID

from draftstore_gateway.errors import TooManyConcurrent
from draftstore_gateway.metrics import LimiterMetrics


class Concurrency:
    """Counts requests under way by the lineage of their key, so that one caller's slow ones leave room for others."""

    def __init__(self, limit: int, metrics: LimiterMetrics) -> None:
        self._limit = limit
        self._metrics = metrics
        self._under_way: Counter[UUID] = Counter()

    @contextmanager
    def place(self, lineage: UUID) -> Iterator[None]:
        """A place among the requests under way, given back however the block is left; raises `TooManyConcurrent`."""
        if self._under_way[lineage] >= self._limit:
            self._metrics.refused.labels("concurrency").inc()
            raise TooManyConcurrent(self._limit)
        self._under_way[lineage] += 1
        try:
            yield
        finally:
            self._under_way[lineage] -= 1
            if not self._under_way[lineage]:
                del self._under_way[lineage]
