"""The revocation feed: hears from identity what changes about keys and tenants, while the gateway serves.

A long poll, so that a change is heard of as it happens. While identity cannot be asked, the age limit of verdicts
bounds how long a revoked key works; the place in the feed is kept, so nothing is missed once it is back.
"""

import asyncio
import contextvars
import logging
import random
from typing import Self

from draftstore_common.clients.identity import IdentityClient
from draftstore_common.contracts.identity import ChangesRequest
from draftstore_common.kit.context import new_request_id, request_id, set_timeout
from draftstore_common.kit.errors import chain
from draftstore_gateway.verdict_cache import VerdictCache

log = logging.getLogger(__name__)

WAIT = 10.0
"""Seconds identity may take to have something to tell."""

MARGIN = 2.0
"""Seconds more after which the line is taken for dead."""

FIRST_PAUSE = 0.05
LONGEST_PAUSE = 1.0
"""Seconds between two attempts to reach identity, at most; the first comes sooner."""


class ChangeFeed:
    """Tells a cache what identity tells of changes, for as long as it is entered. Outlives whatever identity does."""

    def __init__(self, identity: IdentityClient, cache: VerdictCache) -> None:
        self._identity = identity
        self._cache = cache
        self._position: int | None = None
        self._failures = 0
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        # A context of its own: deadline and request id are those of each poll, not of whoever started us.
        self._task = asyncio.create_task(self._follow(), context=contextvars.Context())
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    async def _follow(self) -> None:
        while True:
            try:
                await self._poll()
            except Exception as error:  # whatever it is, the next poll may succeed
                self._note_failure(error)
            else:
                self._note_success()
            await asyncio.sleep(self._pause())

    async def _poll(self) -> None:
        request_id.set(new_request_id())
        set_timeout(WAIT + MARGIN)
        answer = await self._identity.changes(ChangesRequest(after=self._position, wait=WAIT))
        if self._position is None or answer.reset:
            self._cache.restart(answer.sequence)
        self._cache.note(answer.changes)
        self._position = answer.sequence

    def _note_failure(self, error: Exception) -> None:
        if self._failures == 0:
            log.warning("revocation feed lost, verdicts hold until their age limit", extra={"causes": chain(error)})
        self._failures += 1

    def _note_success(self) -> None:
        if self._failures:
            log.warning("revocation feed is back")
        self._failures = 0

    def _pause(self) -> float:
        """Next to nothing after an answer, so that one that always comes at once keeps nobody busy."""
        longest = min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** min(self._failures, 10))
        return random.uniform(longest / 2, longest) if self._failures else FIRST_PAUSE / 5  # noqa: S311  no secret
