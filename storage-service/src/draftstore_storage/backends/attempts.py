"""How a store is asked: within the request's deadline, and again after a transient error."""

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable
from functools import partial
from typing import TypeVar

from draftstore_common.contracts.base import BucketRole
from draftstore_common.kit.context import remaining
from draftstore_common.kit.errors import chain
from draftstore_common.kit.patience import Looks, Patience
from draftstore_storage.errors import Unavailable

log = logging.getLogger(__name__)

T = TypeVar("T")

ATTEMPTS = 5
FIRST_PAUSE = 0.1


class Attempts:
    """Asks one store."""

    def __init__(self) -> None:
        self._looks = Looks()

    async def make(self, role: BucketRole, key: str | None, attempt: Callable[[], Awaitable[T]]) -> T:
        """What `attempt` returns. It is made again after `Unavailable`, so it must be safe to repeat."""
        return await self.in_time(role, key, partial(_until_done, role, attempt))

    async def in_time(self, role: BucketRole, key: str | None, step: Callable[[], Awaitable[T]]) -> T:
        """What `step` returns, or `Unavailable` at the deadline. After it, nothing is begun."""
        seconds = remaining()
        if seconds <= 0:  # on an open connection a request would leave before anybody looks at the time
            raise Unavailable(role, key)
        try:
            with Patience(seconds, self._looks):
                return await step()
        except TimeoutError as error:
            raise Unavailable(role, key) from error


async def _until_done(role: BucketRole, attempt: Callable[[], Awaitable[T]]) -> T:
    for failed in range(ATTEMPTS - 1):
        try:
            return await attempt()
        except Unavailable as error:
            log.warning("store call retried", extra={"role": role, "causes": chain(error)})
        await asyncio.sleep(_pause(failed))
    return await attempt()


def _pause(failed: int) -> float:
    """Seconds between attempts: doubling, each between half and all of its share, so that callers spread out."""
    return FIRST_PAUSE * 2.0**failed * random.uniform(0.5, 1.0)  # noqa: S311  jitter, not a secret
