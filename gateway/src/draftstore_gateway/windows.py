"""Windows of rate limits, and the header fields that tell where a caller stands in them.

Up to `LARGEST_EXACT` requests, a window is a log of when each was admitted: in no stretch of its length, wherever it
begins, are there more than its amount. Above, it is a sliding counter, of constant size: it takes the
window before for evenly filled, so a burst at its end lets up to twice the amount through within one length.
"""

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

from limits import RateLimitItem, RateLimitItemPerSecond, parse_many
from limits.aio.storage import RedisStorage
from limits.aio.strategies import MovingWindowRateLimiter, RateLimiter, SlidingWindowCounterRateLimiter

from draftstore_common.contracts.identity import RateLimit

LARGEST_EXACT = 10_000

Windows = Sequence[RateLimitItem]


def parse_limits(text: str) -> Windows:
    """Windows from `100/minute;1000/hour`; raises ValueError on anything else."""
    return parse_many(text)


def windows(limits: Sequence[RateLimit]) -> Windows:
    """Limits as identity tells them, as windows. Of several of one length the smallest holds, and is told alone."""
    least: dict[int, int] = {}
    for limit in limits:
        least[limit.seconds] = min(limit.amount, least.get(limit.seconds, limit.amount))
    return [RateLimitItemPerSecond(amount, seconds) for seconds, amount in least.items()]


class Standing(NamedTuple):
    """One window after a request was counted, or refused."""

    policy: str
    quota: int
    window: int
    remaining: int
    reset: int
    """Seconds until there is more."""


@dataclass(frozen=True)
class Charge:
    """What one request is to be counted in: one window of somebody, under the policy's name."""

    policy: str
    who: str
    window: RateLimitItem

    @cached_property
    def amount(self) -> int:
        """How many requests the window admits."""
        return self.window.amount

    @cached_property
    def seconds(self) -> int:
        """The length of the window."""
        return int(self.window.get_expiry())

    @cached_property
    def key(self) -> tuple[str, str, int, int]:
        """By what its window is told from others."""
        return self.policy, self.who, self.amount, self.seconds

    def standing(self, remaining: int, reset_in: float) -> Standing:
        """Where the window stands with so much room, and so many seconds until there is more."""
        reset = min(max(1, math.ceil(reset_in)), self.seconds)
        return Standing(self.policy, self.amount, self.seconds, remaining, reset)

    def share(self, parts: int) -> "Charge":
        """The same window for one of so many who count apart; never nothing."""
        if parts == 1:
            return self
        return Charge(self.policy, self.who, RateLimitItemPerSecond(max(1, self.amount // parts), self.seconds))


def charges(policy: str, who: str, limits: Windows) -> list[Charge]:
    """A charge for each window."""
    return [Charge(policy, who, window) for window in limits]


class Decision(NamedTuple):
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
        policies, states = [], []
        for policy, quota, window, remaining, reset in self.standings:
            policies.append(f'"{policy}-{window}s";q={quota};w={window}')
            states.append(f'"{policy}-{window}s";r={remaining};t={reset}')
        return [(b"ratelimit-policy", ", ".join(policies).encode()), (b"ratelimit", ", ".join(states).encode())]


class Counter:
    """Counts requests in Redis, by the library's strategies. Each window is one atomic step, however many race."""

    def __init__(self, storage: RedisStorage) -> None:
        self._exact = MovingWindowRateLimiter(storage)
        self._large = SlidingWindowCounterRateLimiter(storage)

    async def hit(self, wanted: Sequence[Charge]) -> Decision:
        """Count one request in all these windows, in their order, or say which has no room."""
        refused_by = None
        for charge in wanted:
            if not await self._strategy(charge).hit(charge.window, charge.policy, charge.who):
                refused_by = charge.policy
                break
        return Decision(refused_by, await self._standings(wanted))

    async def test(self, wanted: Sequence[Charge]) -> Decision:
        """What `hit` would say, counting nothing."""
        standings = await self._standings(wanted)
        return Decision(next((s.policy for s in standings if s.remaining == 0), None), standings)

    async def _standings(self, wanted: Sequence[Charge]) -> Sequence[Standing]:
        return [await self._standing(charge) for charge in wanted]

    async def _standing(self, charge: Charge) -> Standing:
        stats = await self._strategy(charge).get_window_stats(charge.window, charge.policy, charge.who)
        return charge.standing(max(0, stats.remaining), stats.reset_time - time.time())

    def _strategy(self, charge: Charge) -> RateLimiter:
        return self._exact if charge.amount <= LARGEST_EXACT else self._large
