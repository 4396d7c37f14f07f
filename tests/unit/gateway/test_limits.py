"""The syntax of limits, what a decision tells, and that a window is never passed, edges of time included."""

import asyncio
import time
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from draftstore_common.contracts.identity import RateLimit
from draftstore_gateway import limits, memory, windows
from draftstore_gateway.limits import Limiter
from draftstore_gateway.memory import Memory, _Log
from draftstore_gateway.windows import LARGEST_EXACT, Charge, Decision, Standing, charges, parse_limits
from support.limiter import limiter_on
from support.redis import running_redis


@pytest.fixture(scope="module")
def redis_url() -> Iterator[str]:
    """A running Redis."""
    with running_redis() as url:
        yield url


class _Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def _a(text: str) -> list[Charge]:
    return charges("key", "a", parse_limits(text))


@pytest.mark.parametrize("text", ["", "many", "10", "10/fortnight", "-1/minute", "10/minute; x"])
def test_what_is_no_limit_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"limit|granularity"):
        parse_limits(text)


def test_limits_as_identity_tells_them_are_windows() -> None:
    own = [RateLimit(amount=5, seconds=90), RateLimit(amount=1, seconds=7)]
    assert [(item.amount, item.get_expiry()) for item in windows.windows(own)] == [(5, 90), (1, 7)]


def test_of_several_limits_of_one_length_the_smallest_holds() -> None:
    own = [RateLimit(amount=amount, seconds=60) for amount in (50, 40, 60)]
    assert [(item.amount, item.get_expiry()) for item in windows.windows(own)] == [(40, 60)]


async def test_callers_and_policies_are_counted_apart() -> None:
    limiter, one = limiter_on(None), parse_limits("1/day")
    assert (await limiter.hit(charges("key", "a", one))).admitted
    assert (await limiter.hit(charges("key", "b", one))).admitted
    assert (await limiter.hit(charges("ip", "a", one))).admitted
    assert (await limiter.hit(charges("key", "a", one))).refused_by == "key"


async def test_what_a_short_window_refuses_costs_the_long_one_nothing() -> None:
    limiter = limiter_on(None)
    decisions = [await limiter.hit(_a("10/month;1/day")) for _ in range(5)]
    assert [decision.admitted for decision in decisions] == [True, False, False, False, False]
    assert [standing.remaining for standing in decisions[-1].standings] == [0, 9]


async def test_a_key_over_its_own_limit_costs_its_tenant_nothing() -> None:
    limiter, tenant = limiter_on(None), charges("tenant", "t", parse_limits("10/day"))
    decisions = [await limiter.hit([*tenant, *_a("2/hour")]) for _ in range(5)]
    assert [decision.refused_by for decision in decisions] == [None, None, "key", "key", "key"]
    assert (await limiter.test(tenant)).standings[0].remaining == 8


async def test_looking_at_a_window_counts_nothing() -> None:
    limiter = limiter_on(None)
    for _ in range(3):
        assert (await limiter.test(_a("1/day"))).admitted
    await limiter.hit(_a("1/day"))
    assert (await limiter.test(_a("1/day"))).refused_by == "key"


@pytest.mark.parametrize(("replicas", "admitted"), [(1, 10), (3, 3), (100, 1)])
async def test_a_gateway_that_counts_alone_admits_its_share_and_never_nothing(replicas: int, admitted: int) -> None:
    limiter = limiter_on(None, replicas=replicas)
    decisions = [await limiter.hit(_a("10/day")) for _ in range(12)]
    assert sum(decision.admitted for decision in decisions) == admitted


async def test_counters_that_are_over_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "SWEEP_PAUSE", 0.0)
    clock = _Clock()
    windows_held = Memory(clock=clock)
    windows_held.hit(_a(f"5/day;{LARGEST_EXACT + 1}/day"))
    sweep = asyncio.create_task(windows_held.sweep())
    for _ in range(10):
        await asyncio.sleep(0)
    assert len(windows_held) == 2
    clock.now += 3 * 86_400
    async with asyncio.timeout(10):
        while len(windows_held):
            await asyncio.sleep(0)
    sweep.cancel()


async def test_a_limiter_that_serves_sweeps_its_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "SWEEP_PAUSE", 0.0)
    async with limiter_on(None) as limiter, asyncio.timeout(10):
        await limiter.hit(charges("key", "soon over", windows.windows([RateLimit(amount=5, seconds=1)])))
        while len(limiter._memory):
            await asyncio.sleep(0)


def test_a_window_remembers_no_more_requests_than_it_admits() -> None:
    windows_held, window = Memory(), _a("3/day")
    decisions = [windows_held.hit(window) for _ in range(10)]
    assert [decision.admitted for decision in decisions] == [True] * 3 + [False] * 7
    [log] = windows_held._windows.values()
    assert isinstance(log, _Log)
    assert len(log._admitted) == 3


def test_a_window_has_room_again_when_its_oldest_request_is_out_of_it_and_says_when() -> None:
    clock = _Clock()
    windows_held, window = Memory(clock=clock), _a("2/minute")
    windows_held.hit(window)
    clock.now += 20.5
    assert windows_held.hit(window).standings[0] == Standing("key", 2, 60, 0, 40)
    clock.now += 39.5
    assert windows_held.hit(window).refused_by == "key", "sixty seconds are not over yet"
    clock.now += 0.001
    assert windows_held.hit(window).admitted
    assert windows_held.hit(window).standings[0] == Standing("key", 2, 60, 0, 21)


@given(st.lists(st.tuples(st.floats(0, 40), st.integers(1, 6)), max_size=60), st.integers(1, 12))
def test_no_window_in_memory_is_ever_passed_whatever_the_bursts(bursts: list[tuple[float, int]], amount: int) -> None:
    clock = _Clock()
    windows_held, admitted = Memory(clock=clock), list[float]()
    window = charges("key", "a", windows.windows([RateLimit(amount=amount, seconds=60)]))
    for pause, requests in bursts:
        clock.now += pause
        admitted += [clock.now for _ in range(requests) if windows_held.hit(window).admitted]
    for first, one_too_many in zip(admitted, admitted[amount:], strict=False):
        assert one_too_many - first > 60


def test_a_large_window_counts_the_stretch_before_as_evenly_filled() -> None:
    clock, amount = _Clock(), LARGEST_EXACT + 2
    clock.now = 6000.0
    windows_held, window = Memory(clock=clock), _a(f"{amount}/minute")
    for _ in range(amount):
        assert windows_held.hit(window).admitted
    assert windows_held.hit(window).refused_by == "key"
    clock.now += 90
    assert windows_held.test(window).standings[0].remaining == amount - amount // 2
    clock.now += 60
    assert windows_held.test(window).standings[0].remaining == amount


@dataclass
class _Admitted:
    began: float
    ended: float


async def _hammer(limiter: Limiter, window: list[Charge], seconds: float) -> list[_Admitted]:
    admitted, end = [], time.time() + seconds
    while (began := time.time()) < end:
        if (await limiter.hit(window)).admitted:
            admitted.append(_Admitted(began, time.time()))
        await asyncio.sleep(0)
    return admitted


@pytest.mark.parametrize("store", ["memory", "redis"])
async def test_no_stretch_of_a_windows_length_holds_more_than_its_amount_wherever_it_begins(
    store: str, redis_url: str
) -> None:
    async with limiter_on(redis_url if store == "redis" else None) as limiter:
        window = charges("key", f"edge of {store}", windows.windows([RateLimit(amount=100, seconds=1)]))
        await _hammer(limiter, window, 0.001)
        await asyncio.sleep(0.8)  # a burst at the end of a window is what an approximation gets wrong
        admitted = await _hammer(limiter, window, 2.0)
    assert len(admitted) > 100
    for first, one_too_many in zip(admitted, admitted[100:], strict=False):
        assert one_too_many.ended - first.began > 1


async def test_a_gateway_whose_loop_is_behind_does_not_take_its_store_for_lost(
    redis_url: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(limits, "REDIS_TIMEOUT", 0.05)
    async with limiter_on(redis_url) as limiter:
        window = charges("key", "a loop that is behind", parse_limits("100/day"))
        asked = [asyncio.create_task(limiter.hit(window)) for _ in range(150)]
        while not all(task.done() for task in asked):
            await asyncio.sleep(0)
            time.sleep(0.01)  # noqa: ASYNC251  what keeps a loop from looking
    assert sum(task.result().admitted for task in asked) == 100
    assert not caplog.records


async def test_large_windows_are_counted_and_bounded_too() -> None:
    limiter, amount = limiter_on(None), LARGEST_EXACT + 5
    decisions = [await limiter.hit(_a(f"{amount}/day")) for _ in range(amount + 3)]
    assert sum(decision.admitted for decision in decisions) == amount


def test_retry_after_waits_for_the_slowest_exhausted_window() -> None:
    standings = [
        Standing("key", 10, 60, 0, 20),
        Standing("key", 100, 3600, 0, 900),
        Standing("key", 1000, 86400, 5, 80_000),
    ]
    assert Decision("key", standings).retry_after == 900
