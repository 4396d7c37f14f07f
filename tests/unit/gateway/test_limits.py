"""The syntax of limits, and what a decision tells."""

import asyncio

import pytest

from draftstore_common.contracts.identity import RateLimit
from draftstore_gateway.limits import Decision, Limiter, Standing, parse_limits, windows


@pytest.mark.parametrize("text", ["", "many", "10", "10/fortnight", "-1/minute", "10/minute; x"])
def test_what_is_no_limit_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"limit|granularity"):
        parse_limits(text)


def test_the_shortest_window_is_asked_first() -> None:
    assert [item.get_expiry() for item in parse_limits("5/hour;2/second;9/minute")] == [1, 60, 3600]
    own = [RateLimit(amount=5, seconds=90), RateLimit(amount=1, seconds=7)]
    assert [(item.amount, item.get_expiry()) for item in windows(own)] == [(1, 7), (5, 90)]


async def test_callers_and_policies_are_counted_apart() -> None:
    limiter, one = Limiter(None), parse_limits("1/day")
    assert (await limiter.hit("key", one, "a")).admitted
    assert (await limiter.hit("key", one, "b")).admitted
    assert (await limiter.hit("ip", one, "a")).admitted
    assert not (await limiter.hit("key", one, "a")).admitted


async def test_what_a_short_window_refuses_costs_the_long_one_nothing() -> None:
    limiter, limits = Limiter(None), parse_limits("1/day;10/month")
    decisions = [await limiter.hit("key", limits, "a") for _ in range(5)]
    assert [decision.admitted for decision in decisions] == [True, False, False, False, False]
    assert [standing.remaining for standing in decisions[-1].standings] == [0, 9]


async def test_counters_that_are_over_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("draftstore_gateway.limits.SWEEP_PAUSE", 0.0)
    async with Limiter(None) as limiter, asyncio.timeout(10):
        for who in ("a", "b"):
            await limiter.hit("key", parse_limits("1/day"), who)
        over, living = list(limiter._memory.storage)
        limiter._memory.expirations[over] = 0.0
        while over in limiter._memory.storage:
            await asyncio.sleep(0)
        assert list(limiter._memory.storage) == [living]


def test_retry_after_waits_for_the_slowest_exhausted_window() -> None:
    standings = [
        Standing("key-60s", 10, 60, 0, 20),
        Standing("key-3600s", 100, 3600, 0, 900),
        Standing("key-86400s", 1000, 86400, 5, 80_000),
    ]
    assert Decision(admitted=False, standings=standings).retry_after == 900
