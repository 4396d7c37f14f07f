"""Places at a service: none is lost and none is given twice, whatever those who wait for one do."""

import asyncio

import pytest

from draftstore_gateway.errors import Overloaded
from draftstore_gateway.upstreams import bulkhead
from draftstore_gateway.upstreams.bulkhead import Bulkhead


async def _waiting(places: Bulkhead, count: int) -> list[asyncio.Task[None]]:
    """So many who wait for a place, in this order."""
    tasks = [asyncio.create_task(places.enter()) for _ in range(count)]
    await asyncio.sleep(0)
    return tasks


async def _free(places: Bulkhead, count: int) -> bool:
    """Whether exactly so many places can be had at once; takes them."""
    for _ in range(count):
        async with asyncio.timeout(0):
            await places.enter()
    [late] = await _waiting(places, 1)
    late.cancel()
    await asyncio.wait([late])
    return late.cancelled()


async def test_a_place_goes_to_who_waits_longest() -> None:
    places = Bulkhead(8)
    for _ in range(8):
        await places.enter()
    first, second = await _waiting(places, 2)
    places.leave()
    await asyncio.sleep(0)
    assert (first.done(), second.done()) == (True, False)
    places.leave()
    await second


async def test_more_than_a_quarter_as_many_do_not_wait() -> None:
    places = Bulkhead(8)
    for _ in range(8):
        await places.enter()
    tasks = await _waiting(places, 2)
    with pytest.raises(Overloaded):
        await places.enter()
    for task in tasks:
        task.cancel()


async def test_who_stops_waiting_leaves_the_place_to_the_next() -> None:
    places = Bulkhead(8)
    for _ in range(8):
        await places.enter()
    first, second = await _waiting(places, 2)
    first.cancel()
    places.leave()
    await asyncio.wait([first, second])
    assert (first.cancelled(), second.cancelled()) == (True, False)
    for _ in range(8):
        places.leave()
    assert await _free(places, 8)


async def test_who_is_stopped_in_the_moment_it_gets_a_place_hands_it_on() -> None:
    places = Bulkhead(8)
    for _ in range(8):
        await places.enter()
    first, second = await _waiting(places, 2)
    places.leave()  # it is the first one's
    first.cancel()
    await asyncio.wait([first, second])
    assert (first.cancelled(), second.cancelled()) == (True, False)
    for _ in range(8):
        places.leave()
    assert await _free(places, 8)


async def test_who_waited_too_long_is_turned_away_and_takes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bulkhead, "QUEUE_WAIT", 0.0)
    places = Bulkhead(4)
    for _ in range(4):
        await places.enter()
    with pytest.raises(Overloaded):
        await places.enter()
    for _ in range(4):
        places.leave()
    assert await _free(places, 4)
