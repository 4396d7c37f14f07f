"""Common acts: nobody waits for company, and nobody pays for another's mistake."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest

from draftstore_common.kit.errors import Unavailable
from draftstore_common.kit.together import Together


@dataclass
class Work:
    """Doubles numbers while `open`; refuses the number 13, and everything while `away`."""

    open: asyncio.Event = field(default_factory=asyncio.Event)
    away: bool = False
    groups: list[list[int]] = field(default_factory=list)

    async def __call__(self, items: Sequence[int]) -> list[int]:
        self.groups.append(list(items))
        await self.open.wait()
        if self.away:
            raise Unavailable
        if 13 in items:
            raise ValueError("13")
        return [2 * item for item in items]


def together(work: Work, *, lanes: int = 1, most: int = 100) -> Together[int, int]:
    return Together(work, lanes=lanes, most=most, shared=Unavailable)


async def begun(work: Work, count: int) -> None:
    """Until so many groups have left."""
    async with asyncio.timeout(5):
        while len(work.groups) < count:
            await asyncio.sleep(0)


async def test_whoever_finds_a_free_lane_leaves_at_once_and_those_who_come_meanwhile_leave_together() -> None:
    work = Work()
    group = together(work)
    first = asyncio.create_task(group.do(1))
    await begun(work, 1)
    others = [asyncio.create_task(group.do(number)) for number in (2, 3, 4)]
    await asyncio.sleep(0)
    assert work.groups == [[1]]
    work.open.set()
    assert await asyncio.gather(first, *others) == [2, 4, 6, 8]
    assert work.groups == [[1], [2, 3, 4]]


async def test_as_many_groups_are_under_way_as_there_are_lanes() -> None:
    work = Work()
    group = together(work, lanes=2)
    tasks = []
    for number in (1, 2, 3):
        tasks.append(asyncio.create_task(group.do(number)))
        await begun(work, min(number, 2))
    assert work.groups == [[1], [2]]
    work.open.set()
    assert await asyncio.gather(*tasks) == [2, 4, 6]
    assert await group.do(5) == 10  # the lanes are free again


async def test_no_group_is_larger_than_the_most() -> None:
    work = Work()
    work.open.set()
    group = together(work, most=3)
    assert await asyncio.gather(*(group.do(number) for number in range(7))) == [0, 2, 4, 6, 8, 10, 12]
    assert [len(each) for each in work.groups] == [3, 3, 1]


async def test_only_whoever_brought_the_bad_item_gets_its_error() -> None:
    work = Work()
    work.open.set()
    group = together(work)
    results = await asyncio.gather(*(group.do(number) for number in (1, 13, 3)), return_exceptions=True)
    assert (results[0], repr(results[1]), results[2]) == (2, "ValueError('13')", 6)


async def test_what_says_nothing_of_an_item_is_told_to_all_and_not_tried_again() -> None:
    work = Work(away=True)
    work.open.set()
    group = together(work)
    results = await asyncio.gather(*(group.do(number) for number in (1, 13, 3)), return_exceptions=True)
    assert {type(result) for result in results} == {Unavailable}
    assert work.groups == [[1, 13, 3]]
    work.away = False
    assert await group.do(4) == 8


async def test_whoever_leaves_before_its_turn_is_not_done_and_whoever_leaves_later_takes_nobody_along() -> None:
    work = Work()
    group = together(work)
    first, companion = asyncio.create_task(group.do(1)), asyncio.create_task(group.do(2))
    await begun(work, 1)
    waiting = asyncio.create_task(group.do(3))
    await asyncio.sleep(0)
    for leaver in (first, waiting):
        leaver.cancel()
        with pytest.raises(asyncio.CancelledError):
            await leaver
    work.open.set()
    assert await companion == 4
    assert await group.do(4) == 8
    assert work.groups == [[1, 2], [4]]


async def test_whoever_left_meanwhile_is_not_tried_alone() -> None:
    work = Work()
    group = together(work)
    tasks = [asyncio.create_task(group.do(number)) for number in (1, 13, 3)]
    await begun(work, 1)
    tasks[2].cancel()
    work.open.set()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert work.groups == [[1, 13, 3], [1], [13]]


async def test_a_kind_that_is_stuck_keeps_no_other_waiting_and_a_kind_that_is_done_is_forgotten() -> None:
    work = Work()
    group = Together(work, lanes=2, most=100, shared=Unavailable, kind=lambda number: number % 10)
    stuck = []
    for count, number in enumerate((1, 11, 21), start=1):
        stuck.append(asyncio.create_task(group.do(number)))
        await begun(work, min(count, 2))
    other = asyncio.create_task(group.do(2))
    await begun(work, 3)
    assert work.groups == [[1], [11], [2]]
    work.open.set()
    assert await asyncio.gather(*stuck, other) == [2, 22, 42, 4]
    await asyncio.sleep(0)  # for the lanes to end
    assert group._queues == {}
