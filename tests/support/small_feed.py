"""The feed of changes of the small identity: tells at once, or is cut, silent, or forgetful, as a test asks."""

import asyncio
from uuid import UUID

from starlette.requests import Request
from starlette.responses import Response

from draftstore_common.contracts.identity import Change, Changes, ChangesRequest
from draftstore_common.kit.app import ProblemResponse
from draftstore_common.kit.errors import Unavailable


class SmallFeed:
    """Changes in memory, numbered from 1. `asked` holds the position of every poll."""

    def __init__(self) -> None:
        self.sequence = 0
        self.asked: list[int | None] = []
        self._changes: list[Change] = []
        self._known_from = 0
        self._cut = False
        self._silent = False
        self._moved = asyncio.Condition()

    async def note(self, subject_id: UUID, *, tenant: bool = False) -> None:
        """A key, or a tenant, has changed."""
        self.sequence += 1
        subject = "tenant" if tenant else "key"
        self._changes.append(Change(sequence=self.sequence, subject=subject, subject_id=subject_id))
        await self._move()

    async def cut(self) -> None:
        """Answer nobody any more, those who wait included."""
        self._cut = True
        await self._move()

    async def restore(self) -> None:
        """Answer again."""
        self._cut = self._silent = False
        await self._move()

    def fall_silent(self) -> None:
        """Take polls, and answer none of them."""
        self._silent = True

    async def trim(self) -> None:
        """Forget every change so far."""
        self._changes.clear()
        self._known_from = self.sequence
        await self._move()

    async def answer(self, request: Request) -> Response:
        """One long poll."""
        poll = ChangesRequest.model_validate_json(await request.body())
        self.asked.append(poll.after)
        try:
            async with asyncio.timeout(poll.wait), self._moved:
                await self._moved.wait_for(lambda: not self._silent and (self._cut or self._has_news(poll.after)))
        except TimeoutError:
            if self._silent:
                await asyncio.Event().wait()  # until the caller gives up
        if self._cut:
            return ProblemResponse(Unavailable())
        return Response(self._changes_after(poll.after).model_dump_json(), media_type="application/json")

    def _has_news(self, after: int | None) -> bool:
        return after is None or after < self.sequence or after > self.sequence

    def _changes_after(self, after: int | None) -> Changes:
        if after is None:
            return Changes(sequence=self.sequence)
        if after < self._known_from or after > self.sequence:
            return Changes(sequence=self.sequence, reset=True)
        return Changes(sequence=self.sequence, changes=[c for c in self._changes if c.sequence > after])

    async def _move(self) -> None:
        async with self._moved:
            self._moved.notify_all()
