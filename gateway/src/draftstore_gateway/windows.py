"""Windows of rate limits, and the header fields that tell where a caller stands in them.

Up to `LARGEST_EXACT` requests, a window is a log of when each was admitted: in no stretch of its length, wherever it
begins, are there more than its amount. Above, it is the library's sliding counter, of constant size: it takes the
window before for evenly filled, so a burst at its end lets up to twice the amount through within one length.
"""

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass

from limits import RateLimitItem, RateLimitItemPerSecond, parse_many
from limits.aio.storage import MemoryStorage, RedisStorage
from limits.aio.strategies import MovingWindowRateLimiter, RateLimiter, SlidingWindowCounterRateLimiter

from draftstore_common.contracts.identity import RateLimit

LARGEST_EXACT = 10_000

Windows = Sequence[RateLimitItem]


def parse_limits(text: str) -> Windows:
    """Windows from `100/minute;1000/hour`; raises ValueError on anything else."""
    return parse_many(text)


def windows(limits: Sequence[RateLimit]) -> Windows:
    """Limits as identity tells them, as windows."""
    return [RateLimitItemPerSecond(limit.amount, limit.seconds) for limit in limits]


@dataclass(frozen=True, slots=True)
class Charge:
    """What one request is to be counted in: one window of somebody, under the policy's name."""

    policy: str
    who: str
    window: RateLimitItem

    @property
    def seconds(self) -> int:
        """The length of the window."""
        return int(self.window.get_expiry())

    def share(self, parts: int) -> "Charge":
        """The same window for one of so many who count apart; never nothing."""
        if parts == 1:
            return self
        amount = max(1, self.window.amount // parts)
        return Charge(self.policy, self.who, RateLimitItemPerSecond(amount, self.seconds))


def charges(policy: str, who: str, limits: Windows) -> list[Charge]:
    """A charge for each window."""
    return [Charge(policy, who, window) for window in limits]


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
    """Whether a request is within every window, and where each one stands. `refused_by` is the policy that says no."""

    refused_by: str | None
    standings: Sequence[Standing]

    @property
    def admitted(self) -> bool:
        """Whether every window has room."""
        return self.refused_by is None

    @property
    def retry_after(self) -> int:
        """Seconds after which one more request may be admitted."""
        return max((s.reset for s in self.standings if s.remaining == 0), default=1)

    def headers(self) -> list[tuple[bytes, bytes]]:
        """The fields of draft-ietf-httpapi-ratelimit-headers-11."""
        named = [(f'"{standing.policy}-{standing.window}s"', standing) for standing in self.standings]
        policy = ", ".join(f"{name};q={s.quota};w={s.window}" for name, s in named)
        state = ", ".join(f"{name};r={s.remaining};t={s.reset}" for name, s in named)
        return [(b"ratelimit-policy", policy.encode()), (b"ratelimit", state.encode())]


class Counter:
    """Counts requests in one storage. Each window is one atomic step, exact however many requests race."""

    def __init__(self, storage: MemoryStorage | RedisStorage) -> None:
        self._exact = MovingWindowRateLimiter(storage)
        self._large = SlidingWindowCounterRateLimiter(storage)

    async def hit(self, wanted: Sequence[Charge]) -> Decision:
        """Count one request in all these windows, or say which has no room.

        The shortest first: what a long window refuses may cost a short one something; the other way round, one burst
        would eat a day's allowance.
        """
        ordered = sorted(wanted, key=lambda charge: charge.seconds)
        refused_by = None
        for charge in ordered:
            if not await self._strategy(charge).hit(charge.window, charge.policy, charge.who):
                refused_by = charge.policy
                break
        return Decision(refused_by, await self._standings(ordered))

    async def test(self, wanted: Sequence[Charge]) -> Decision:
        """What `hit` would say, counting nothing."""
        standings = await self._standings(sorted(wanted, key=lambda charge: charge.seconds))
        return Decision(next((s.policy for s in standings if s.remaining == 0), None), standings)

    async def _standings(self, ordered: Sequence[Charge]) -> Sequence[Standing]:
        return [await self._standing(charge) for charge in ordered]

    async def _standing(self, charge: Charge) -> Standing:
        stats = await self._strategy(charge).get_window_stats(charge.window, charge.policy, charge.who)
        reset = max(1, math.ceil(stats.reset_time - time.time()))
        remaining = max(0, stats.remaining)
        return Standing(charge.policy, charge.window.amount, charge.seconds, remaining, min(reset, charge.seconds))

    def _strategy(self, charge: Charge) -> RateLimiter:
        return self._exact if charge.window.amount <= LARGEST_EXACT else self._large
