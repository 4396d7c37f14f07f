"""Accesses on their way into the audit log: sent in groups, while those they tell of go on.

An access that must be durable before its caller is answered is waited for (`keep`). Others are sent together, a moment
after the first of them, and wait in memory while identity is away (`note`); what does not fit there is counted, and the
count is logged. Refusals are thinned out by their actor before they are written at all (`refused`).
"""

import asyncio
import contextlib
import logging
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Self, TypeVar

from draftstore_common.clients.identity import IdentityClient
from draftstore_common.contracts.audit import AccessEvent, AccessEvents
from draftstore_common.kit.context import new_request_id, remaining, request_id, set_timeout
from draftstore_common.kit.errors import Problem, RelayedProblem, Unavailable, chain
from draftstore_common.kit.throttle import Throttle

log = logging.getLogger(__name__)

Entry = TypeVar("Entry")

GROUP = 1000
"""Accesses in one call, and so in one transaction. Fewer for a while after identity said no to a group: what it does
not take is looked for by halves and left out, so that one access never keeps all others off the record."""

COLLECTED_FOR = 0.2
"""Seconds that accesses which nobody waits for are collected: one in a call of its own costs a millisecond of CPU."""

CAPACITY = 10_000
"""Accesses that wait in memory at most: about 10 MB."""

SEND_TIMEOUT = 5.0
SHORTEST_PAUSE, LONGEST_PAUSE = 0.2, 5.0
"""Seconds between attempts while identity is away, doubled from one to the next."""

DRAIN_SECONDS = 2.0
"""What is left gets so long at the end of the process."""

TELL_SECONDS = 60.0
"""Seconds at least between two warnings of what was lost."""

REFUSALS_PER_MINUTE = 30
"""Refusals of one actor that each process writes down; the next one carries how many were left out."""

ALL_REFUSALS_PER_MINUTE = 1000
"""The same for all actors together: who has many addresses does not fill the log either."""


class AccessNotRecorded(Unavailable):
    """The access had to be on record before it was granted, and could not be put there: so it was not granted."""

    code = "access_not_recorded"
    detail = "This access has to be put on record first, which cannot be done now. Send the same request again shortly."


@dataclass(frozen=True, slots=True)
class _Awaited:
    event: AccessEvent
    kept: asyncio.Future[None]


class AccessLog:
    """Runs between entering and leaving; at the end, what waits is sent, as far as that takes two seconds."""

    def __init__(self, identity: IdentityClient, *, capacity: int = CAPACITY) -> None:
        self._identity = identity
        self._capacity = capacity
        self._awaited: deque[_Awaited] = deque()
        self._waiting: deque[AccessEvent] = deque()
        self._by_actor = Throttle(REFUSALS_PER_MINUTE, 60.0)
        self._by_all = Throttle(ALL_REFUSALS_PER_MINUTE, 60.0)
        self._wake = asyncio.Event()
        self._collecting: asyncio.TimerHandle | None = None
        self._group = GROUP
        self._pause = 0.0
        self._closing = False
        self._lost = 0
        self._told_at = -TELL_SECONDS
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._closing = False
        self._task = asyncio.create_task(self._run())
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._task is not None  # noqa: S101  entered
        self._closing = True
        if self._collecting is not None:
            self._collecting.cancel()
        self._collected()
        await asyncio.wait([self._task], timeout=DRAIN_SECONDS)
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        for each in self._awaited:
            each.kept.cancel()
        self._lost += len(self._waiting)
        self._tell_lost(at_once=True)

    async def keep(self, event: AccessEvent) -> None:
        """Return when the access is durable; raises `AccessNotRecorded` when it cannot be made so in the time left."""
        if self._closing or len(self._awaited) >= self._capacity:
            raise AccessNotRecorded
        awaited = _Awaited(event, asyncio.get_running_loop().create_future())
        self._awaited.append(awaited)
        self._wake.set()
        try:
            async with asyncio.timeout(remaining()):
                await awaited.kept
        except TimeoutError as error:
            raise AccessNotRecorded from error

    def note(self, event: AccessEvent) -> None:
        """Have the access on record soon; if that is impossible for long, it is lost and counted."""
        if len(self._waiting) >= self._capacity:
            self._lost += 1
            return
        self._waiting.append(event)
        if not self._pause and self._collecting is None:
            self._collecting = asyncio.get_running_loop().call_later(COLLECTED_FOR, self._collected)

    def _collected(self) -> None:
        self._collecting = None
        self._wake.set()

    def refused(self, actor: str, event: Callable[[], AccessEvent]) -> None:
        """Have a refusal on record soon, unless this actor was refused too often within the minute."""
        left_out = self._by_actor.admit(actor)
        if left_out is None:
            return
        if self._by_all.admit("") is None:
            self._lost += 1 + left_out
            return
        self.note(event().model_copy(update={"suppressed": left_out}))

    async def _run(self) -> None:
        while not (self._closing and self._idle):
            await self._woken()
            while not self._idle:
                if not await self._send():
                    break

    @property
    def _idle(self) -> bool:
        return not (self._awaited or self._waiting)

    async def _woken(self) -> None:
        """Return when something is to be sent: what waits only when the pause is over, what is awaited at once."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._pause or None):
                await self._wake.wait()
        self._wake.clear()

    async def _send(self) -> bool:
        """Send one group, those first that are awaited; whether it is durable now."""
        awaited = _taken(self._awaited, self._group)
        waiting = _taken(self._waiting, self._group - len(awaited))
        try:
            await self._call([*(each.event for each in awaited), *waiting])
        except BaseException as error:
            self._failed(awaited, waiting, error)
            if not isinstance(error, Exception):
                raise
            return False
        self._succeeded(awaited)
        return True

    async def _call(self, events: list[AccessEvent]) -> None:
        request_id.set(new_request_id())
        set_timeout(SEND_TIMEOUT)
        async with asyncio.timeout(SEND_TIMEOUT):
            await self._identity.record(AccessEvents(events=events))

    def _succeeded(self, awaited: list[_Awaited]) -> None:
        for each in awaited:
            if not each.kept.done():
                each.kept.set_result(None)
        if self._pause:
            log.info("accesses are put on record again", extra={"waiting": len(self._waiting)})
        self._pause = 0.0
        self._group = min(GROUP, self._group * 2)
        self._tell_lost(at_once=False)

    def _failed(self, awaited: list[_Awaited], waiting: list[AccessEvent], error: BaseException) -> None:
        """Those who wait are told; the rest is tried again, but for one that is refused for what it is."""
        for each in awaited:
            if not each.kept.done():
                each.kept.set_exception(_not_recorded(error))
        sent = len(awaited) + len(waiting)
        if sent == 1 and _says_no(error):
            log.error("identity does not take an access", extra={"causes": chain(error)})
            self._lost += len(waiting)
        else:
            self._waiting.extendleft(reversed(waiting))
        if _says_no(error):
            self._group = max(1, sent // 2)
        if not self._pause:
            log.warning("accesses wait to be put on record", extra={"causes": chain(error)})
        self._pause = min(max(self._pause * 2, SHORTEST_PAUSE), LONGEST_PAUSE)
        self._tell_lost(at_once=False)

    def _tell_lost(self, *, at_once: bool) -> None:
        if self._lost and (at_once or time.monotonic() - self._told_at >= TELL_SECONDS):
            log.warning("accesses are not on record", extra={"lost": self._lost})
            self._lost, self._told_at = 0, time.monotonic()


def _says_no(error: BaseException) -> bool:
    """Whether identity is there and fails at what it was sent, by its own word: not for want of something, or of us."""
    if not isinstance(error, Problem):
        return False
    return error.http_status < 500 or (isinstance(error, RelayedProblem) and error.http_status == 500)


def _taken(queue: deque[Entry], most: int) -> list[Entry]:
    return [queue.popleft() for _ in range(min(most, len(queue)))]


def _not_recorded(cause: BaseException) -> AccessNotRecorded:
    problem = AccessNotRecorded()
    problem.__cause__ = cause
    return problem
