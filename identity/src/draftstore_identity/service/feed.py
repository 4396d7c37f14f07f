"""The feed of changes: what a gateway has to forget, as soon as it is committed."""

import asyncio
import time

from draftstore_common.contracts.identity import Changes, ChangesRequest
from draftstore_common.kit.context import remaining
from draftstore_identity.bell import ChangeBell
from draftstore_identity.store import IdentityStore

AT_ONCE = 1000
"""Changes in one answer. Whoever is further behind asks again."""

TO_ANSWER = 1.0
"""Seconds kept of the caller's time for the last look and the answer."""


class ChangeFeed:
    """Answers what changed, and waits for something to."""

    def __init__(self, store: IdentityStore, bell: ChangeBell) -> None:
        self._store = store
        self._bell = bell

    async def changes(self, request: ChangesRequest, ending: asyncio.Event | None = None) -> Changes:
        """What changed after a number, waiting for it as long as the request says, or until `ending` is set.

        Nothing that was committed before the answer was formed is missing from it, but for what did not fit in; then
        its `sequence` is that of the last it holds.
        """
        if request.after is None:
            return Changes(sequence=await self._latest())
        end = time.monotonic() + min(request.wait, remaining() - TO_ANSWER)
        while True:
            rung = self._bell.next
            found = await self._after(request.after)
            left = end - time.monotonic()
            if found.changes or found.reset or left <= 0 or (ending is not None and ending.is_set()):
                return found
            await _first(rung, ending, seconds=min(left, self._bell.patience))

    async def _after(self, number: int) -> Changes:
        """What changed after a number. Numbers have no gaps, so its own row tells that none is missing."""
        async with self._store.read() as reader:
            found = await reader.changes.from_number(number, AT_ONCE + 1)
            if found and found[0].sequence <= number + 1:
                return Changes(sequence=found[-1].sequence, changes=[each for each in found if each.sequence > number])
            if not found and number == 0:
                return Changes(sequence=0)
            return Changes(sequence=await reader.changes.latest(), reset=True)

    async def _latest(self) -> int:
        async with self._store.read() as reader:
            return await reader.changes.latest()


async def _first(*events: asyncio.Event | None, seconds: float) -> None:
    """Return when one of the events is set, or after so many seconds."""
    waiting = [asyncio.create_task(event.wait()) for event in events if event is not None]
    try:
        await asyncio.wait(waiting, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in waiting:
            task.cancel()
