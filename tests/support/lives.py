"""Processes that die or freeze at a chosen call: the one mechanism behind every crash point.

Whatever a service does for a draft, it does through the transports it was made with. So a process that shall die
between two awaits is given transports that end there. What it would still do by way of tidying up reaches nobody.
"""

import asyncio
from collections.abc import Coroutine, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import count
from typing import Any, Literal, Self, TypeVar, get_args

from starlette.types import ASGIApp

from draftstore_common.clients.transport import AsgiTransport, Call, Reply, ServiceUnavailable, Transport

When = Literal["before", "after"]
WHENS: tuple[When, ...] = get_args(When)


@dataclass(frozen=True, slots=True)
class Point:
    """Before the n-th call is sent, or after it was carried out and before its answer arrives.

    `of` narrows which calls count: those whose path ends with it. The first is 1.
    """

    number: int
    when: When
    of: str = ""


@dataclass(slots=True)
class Life:
    """One process as the outside knows it: the calls it makes, until it dies at a point, or freezes there and thaws.

    From its death on, every call fails without being sent. While it is frozen, none is sent and no answer arrives.
    """

    dies: Point | None = None
    freezes: Point | None = None
    calls: list[str] = field(default_factory=list)
    dead: bool = False
    reached: asyncio.Event = field(default_factory=asyncio.Event)
    _awake: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self._awake.set()

    def end(self) -> None:
        """Die now."""
        self.dead = True
        self._awake.set()

    def thaw(self) -> None:
        """Go on, with no idea that time has passed."""
        self._awake.set()

    def ways(self, services: Mapping[str, ASGIApp]) -> dict[str, Transport]:
        """This process's transports to services."""
        return {name: _Way(self, AsgiTransport(app)) for name, app in services.items()}

    def number_of(self, path: str) -> int:
        """How many calls were made to paths with this end."""
        return sum(call.endswith(path) for call in self.calls)

    async def carry(self, call: Call, way: Transport) -> Reply:
        """Send a call, unless it is after the end."""
        await self._still_alive()
        self.calls.append(call.path)
        number = {point: self._number(point) for point in self._points() if call.path.endswith(point.of)}
        await self._pass("before", number)
        reply = await way.send(call)
        await self._pass("after", number)
        return reply

    def _points(self) -> list[Point]:
        return [point for point in (self.dies, self.freezes) if point is not None]

    def _number(self, point: Point) -> int:
        return self.number_of(point.of)

    async def _pass(self, when: When, number: Mapping[Point, int]) -> None:
        for point, reached in number.items():
            if (point.number, point.when) == (reached, when) and not self.dead:
                self._meet(point)
        await self._still_alive()

    def _meet(self, point: Point) -> None:
        self.reached.set()
        if point == self.dies:
            self.end()
        else:
            self._awake.clear()

    async def _still_alive(self) -> None:
        await self._awake.wait()
        if self.dead:
            raise ServiceUnavailable


class _Way:
    """A transport of one life."""

    def __init__(self, life: Life, way: Transport) -> None:
        self._life = life
        self._way = way

    async def __aenter__(self) -> Self:
        await self._way.__aenter__()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._way.__aexit__()

    async def send(self, call: Call) -> Reply:
        return await self._life.carry(call, self._way)


T = TypeVar("T")


def lives_that_die(when: When, walked: list[str]) -> Iterator[Life]:
    """Lives that die at their first call, at their second, and so on; the last one got through.

    `walked` grows by the paths of the calls they died at.
    """
    return _walk(walked, (Life(dies=Point(number, when)) for number in count(1)))


def lives_that_freeze(when: When, walked: list[str]) -> Iterator[Life]:
    """The same with lives that freeze there."""
    return _walk(walked, (Life(freezes=Point(number, when)) for number in count(1)))


def _walk(walked: list[str], lives: Iterator[Life]) -> Iterator[Life]:
    for number, life in enumerate(lives):
        yield life
        walked += life.calls[number : number + 1]
        if not life.reached.is_set():
            return


def walked_through(walked: list[str], steps: tuple[str, ...]) -> bool:
    """Whether each of these steps was a place to die at, in this order."""
    calls = iter(walked)
    return all(any(call.endswith(step) for call in calls) for step in steps)


async def stalled(life: Life, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
    """Work of a process that froze at its point meanwhile; it is over where it never came there."""
    task = asyncio.create_task(work)
    there = asyncio.create_task(life.reached.wait())
    await asyncio.wait({task, there}, return_when=asyncio.FIRST_COMPLETED)
    there.cancel()
    return task
