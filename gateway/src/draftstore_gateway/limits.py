"""Rate limits: sliding windows, shared through Redis or kept here, and the header fields that tell of them.

A window is the library's sliding counter: one atomic step, exact however many requests race, and of constant size
whatever the limit. A lost Redis is replaced by this process's own count, never by no limit.
"""

import asyncio
import logging
import math
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Self

from limits import RateLimitItem, RateLimitItemPerSecond, parse_many
from limits.aio.storage import MemoryStorage, RedisStorage
from limits.aio.strategies import RateLimiter, SlidingWindowCounterRateLimiter
from redis.asyncio import BlockingConnectionPool
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from draftstore_common.contracts.identity import RateLimit
from draftstore_common.kit.errors import chain

log = logging.getLogger(__name__)

REDIS_TIMEOUT = 1.0
"""Seconds a decision waits for Redis, however many steps it takes there, before this process decides alone."""

LOST_PAUSE = 1.0
"""Seconds between two attempts to reach a lost Redis. No request takes part in them."""

SWEEP_PAUSE = 30.0
"""Seconds between two sweeps of counters that are over."""

Windows = Sequence[RateLimitItem]


def parse_limits(text: str) -> Windows:
    """Windows from `100/minute;1000/hour`, the shortest first; raises ValueError on anything else."""
    return _sorted(parse_many(text))


def windows(limits: Sequence[RateLimit]) -> Windows:
    """A key's own limits as windows, the shortest first."""
    return _sorted([RateLimitItemPerSecond(limit.amount, limit.seconds) for limit in limits])


def _sorted(items: Sequence[RateLimitItem]) -> Windows:
    # A request that a long window refuses may cost the short one something; the other way round it would
    # eat a day's allowance during one burst.
    return sorted(items, key=RateLimitItem.get_expiry)


@dataclass(frozen=True, slots=True)
class Standing:
    """One window after a request was counted, or refused."""

    policy: str
    quota: int
    window: int
    remaining: int
    reset: int
    """Seconds until there is more."""


@dataclass(frozen=True, slots=True)
class Decision:
    """Whether a request is within every window, and where each one stands."""

    admitted: bool
    standings: Sequence[Standing]

    @property
    def retry_after(self) -> int:
        """Seconds after which one more request may be admitted."""
        return max((s.reset for s in self.standings if s.remaining == 0), default=1)

    def headers(self) -> list[tuple[bytes, bytes]]:
        """The fields of draft-ietf-httpapi-ratelimit-headers-10."""
        policy = ", ".join(f'"{s.policy}";q={s.quota};w={s.window}' for s in self.standings)
        state = ", ".join(f'"{s.policy}";r={s.remaining};t={s.reset}' for s in self.standings)
        return [(b"ratelimit-policy", policy.encode()), (b"ratelimit", state.encode())]


_Question = Callable[[RateLimiter, str, Windows, str], Awaitable[Decision]]
_PROBE = RateLimitItemPerSecond(1)


class Limiter:
    """Counts requests in windows. With Redis, all gateways on it count together. Entered while the gateway serves."""

    def __init__(self, redis_url: str | None) -> None:
        self._memory = MemoryStorage()
        self._local = SlidingWindowCounterRateLimiter(self._memory)
        self._pool = _pool(redis_url) if redis_url else None
        self._shared = _shared(redis_url, self._pool) if redis_url and self._pool else None
        self._lost = asyncio.Event()
        self._watch: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        # In the place of the library's own sweep, which looks at every counter after every hit: with a counter
        # for each of many addresses, one request would cost milliseconds.
        self._memory.timer = asyncio.create_task(_sweep(self._memory))
        if self._shared is not None and self._pool is not None:
            self._watch = asyncio.create_task(self._regain(self._shared, self._pool))
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in filter(None, (self._memory.timer, self._watch)):
            task.cancel()
        if self._pool is not None:
            await self._pool.aclose()

    async def hit(self, policy: str, limits: Windows, who: str) -> Decision:
        """Count one request of `who`; never raises, a store that fails is left out."""
        return await self._decide(_hit, policy, limits, who)

    async def test(self, policy: str, limits: Windows, who: str) -> Decision:
        """Whether one more request of `who` would be admitted, counting nothing; never raises either."""
        return await self._decide(_test, policy, limits, who)

    async def _decide(self, ask: _Question, policy: str, limits: Windows, who: str) -> Decision:
        if self._shared is not None and not self._lost.is_set():
            try:
                async with asyncio.timeout(REDIS_TIMEOUT):
                    return await ask(self._shared, policy, limits, who)
            except (RedisError, OSError, TimeoutError) as error:
                self._note_loss(error)
        return await ask(self._local, policy, limits, who)

    def _note_loss(self, error: Exception) -> None:
        if not self._lost.is_set():
            log.warning("rate limit store lost, each gateway counts alone", extra={"causes": chain(error)})
        self._lost.set()

    async def _regain(self, shared: RateLimiter, pool: BlockingConnectionPool) -> None:
        while await self._lost.wait():
            await asyncio.sleep(LOST_PAUSE)
            if await _answers(shared, pool):
                log.warning("rate limit store is back")
                self._lost.clear()


async def _answers(limiter: RateLimiter, pool: BlockingConnectionPool) -> bool:
    """Whether the store answers in time, over a new connection: those to the store that was lost are closed.

    Not asked by the library's own check, which nothing could stop: it swallows its cancellation.
    """
    try:
        async with asyncio.timeout(REDIS_TIMEOUT):
            await pool.disconnect(inuse_connections=False)
            await limiter.get_window_stats(_PROBE, "probe")
    except (RedisError, OSError, TimeoutError):
        return False
    return True


async def _sweep(memory: MemoryStorage) -> None:
    while True:
        await asyncio.sleep(SWEEP_PAUSE)
        now = time.time()
        for key in [key for key, end in memory.expirations.items() if end <= now]:
            await memory.clear(key)


def _pool(url: str) -> BlockingConnectionPool:
    return BlockingConnectionPool.from_url(
        url,
        max_connections=50,
        timeout=REDIS_TIMEOUT,
        socket_timeout=REDIS_TIMEOUT,
        socket_connect_timeout=REDIS_TIMEOUT,
        retry=Retry(NoBackoff(), 0),
    )


def _shared(url: str, pool: BlockingConnectionPool) -> RateLimiter:
    storage = RedisStorage(
        url,
        implementation="redispy",
        key_prefix="draftstore:limits",
        connection_pool=pool,  # type: ignore[arg-type]  # passed on to redis-py, which takes it
    )
    return SlidingWindowCounterRateLimiter(storage)


async def _hit(limiter: RateLimiter, policy: str, limits: Windows, who: str) -> Decision:
    admitted = True
    for item in limits:
        if not await limiter.hit(item, policy, who):
            admitted = False
            break
    return Decision(admitted, [await _standing(limiter, policy, item, who) for item in limits])


async def _test(limiter: RateLimiter, policy: str, limits: Windows, who: str) -> Decision:
    standings = [await _standing(limiter, policy, item, who) for item in limits]
    return Decision(all(standing.remaining > 0 for standing in standings), standings)


async def _standing(limiter: RateLimiter, policy: str, item: RateLimitItem, who: str) -> Standing:
    stats = await limiter.get_window_stats(item, policy, who)
    window = item.get_expiry()
    reset = max(1, math.ceil(stats.reset_time - time.time()))
    return Standing(f"{policy}-{window}s", item.amount, window, stats.remaining, min(reset, window))
