"""Rate limits: counted together with the other gateways through Redis, or here.

A lost Redis is replaced by this process's own count, never by no limit: each gateway then admits its share, so that all
of them together admit about what they did.
"""

import asyncio
import logging
import operator
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, Self

from limits import RateLimitItemPerSecond
from redis.asyncio import BlockingConnectionPool
from redis.exceptions import RedisError

from draftstore_common.kit.errors import chain
from draftstore_gateway.memory import Memory
from draftstore_gateway.metrics import LimiterMetrics
from draftstore_gateway.stores import CONNECTIONS, redis_pool, redis_storage
from draftstore_gateway.windows import Charge, Counter, Decision

log = logging.getLogger(__name__)

REDIS_TIMEOUT = 2.0
"""Seconds a decision waits for Redis, however many steps it takes there, before this process decides alone."""

GRACE_TURNS = 50
"""Turns of the event loop a decision gets beyond that, more than its steps need: where the loop is behind, Redis may
have answered long ago and nobody has looked, and a gateway under load must not take its store for lost."""

LOST_PAUSE = 1.0
"""Seconds between two attempts to reach a lost Redis. No request takes part in them."""

_Ask = Callable[[Counter, Sequence[Charge]], Coroutine[Any, Any, Decision]]
_SECONDS = operator.attrgetter("seconds")
_PROBE = [Charge("probe", "probe", RateLimitItemPerSecond(1))]


class Limiter:
    """Decides whether a request is within its windows. Entered while the gateway serves."""

    def __init__(self, redis_url: str | None, *, replicas: int, metrics: LimiterMetrics) -> None:
        """`replicas`: how many gateways share the limits, each counting for itself where there is no Redis."""
        self._memory = Memory()
        self._pool = redis_pool(redis_url) if redis_url else None
        self._shared = Counter(redis_storage(redis_url, self._pool)) if redis_url and self._pool else None
        self._replicas = replicas
        self._metrics = metrics
        self._metrics.shared.set(self._shared is not None)
        self._places = asyncio.Semaphore(CONNECTIONS)
        self._lost = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Self:
        self._tasks.append(asyncio.create_task(self._memory.sweep()))
        if self._shared is not None and self._pool is not None:
            self._tasks.append(asyncio.create_task(self._regain(self._shared, self._pool)))
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in self._tasks:
            task.cancel()
        if self._pool is not None:
            await self._pool.aclose()

    async def hit(self, wanted: Sequence[Charge]) -> Decision:
        """Count one request in all these windows; never raises, a store that fails is left out.

        The shortest first: what a long window refuses may cost a short one something; the other way round, one burst
        would eat a day's allowance.
        """
        ordered = sorted(wanted, key=_SECONDS) if len(wanted) > 1 else wanted
        decision = None if self._shared is None else await self._together(Counter.hit, self._shared, ordered)
        if decision is None:
            decision = self._memory.hit(self._own(ordered))
        if decision.refused_by is not None:
            self._metrics.refused.labels(decision.refused_by).inc()
        return decision

    async def test(self, wanted: Sequence[Charge]) -> Decision:
        """Whether one more request would be admitted, counting nothing; never raises either."""
        ordered = sorted(wanted, key=_SECONDS)
        decision = None if self._shared is None else await self._together(Counter.test, self._shared, ordered)
        return decision or self._memory.test(self._own(ordered))

    def _own(self, wanted: Sequence[Charge]) -> Sequence[Charge]:
        """The share of this gateway while it counts alone."""
        return wanted if self._replicas == 1 else [charge.share(self._replicas) for charge in wanted]

    async def _together(self, ask: _Ask, shared: Counter, wanted: Sequence[Charge]) -> Decision | None:
        """What the store says; None if it is lost. Time spent in the queue is not the store's."""
        async with self._places:
            if self._lost.is_set():
                return None
            try:
                return await _in_time(ask(shared, wanted))
            except (RedisError, OSError, TimeoutError) as error:
                self._note_loss(error)
                return None

    def _note_loss(self, error: Exception) -> None:
        if not self._lost.is_set():
            log.warning("rate limit store lost, each gateway counts alone", extra={"causes": chain(error)})
            self._metrics.losses.inc()
            self._metrics.shared.set(0)
        self._lost.set()

    async def _regain(self, shared: Counter, pool: BlockingConnectionPool) -> None:
        while await self._lost.wait():
            await asyncio.sleep(LOST_PAUSE)
            if await _answers(shared, pool):
                log.warning("rate limit store is back")
                self._metrics.shared.set(1)
                self._lost.clear()


async def _answers(shared: Counter, pool: BlockingConnectionPool) -> bool:
    """Whether the store answers in time, over a new connection: those to the store that was lost are closed.

    Not asked by the library's own check, which nothing could stop: it swallows its cancellation.
    """
    try:
        await pool.disconnect(inuse_connections=False)
        await _in_time(shared.test(_PROBE))
    except (RedisError, OSError, TimeoutError):
        return False
    return True


async def _in_time(work: Coroutine[Any, Any, Decision]) -> Decision:
    """What the store says; raises TimeoutError if it is silent."""
    task = asyncio.create_task(work)
    try:
        await asyncio.wait([task], timeout=REDIS_TIMEOUT)
        for _ in range(GRACE_TURNS):
            if not task.done():
                await asyncio.sleep(0)
        if not task.done():
            raise TimeoutError
        return task.result()
    finally:
        task.cancel()
