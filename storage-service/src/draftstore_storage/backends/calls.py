"""The one way a blocking SDK call is made: in a thread of a bounded pool, retried, within the request's deadline."""

import asyncio
import logging
import random
from collections.abc import Callable, Iterator
from functools import partial
from typing import Generic, TypeVar

from draftstore_common.contracts.base import BucketRole
from draftstore_common.kit.context import remaining
from draftstore_common.kit.errors import chain
from draftstore_storage.backends.threads import Threads
from draftstore_storage.backends.translation import Failure, translate
from draftstore_storage.errors import Unavailable

log = logging.getLogger(__name__)

Client = TypeVar("Client")
T = TypeVar("T")

ATTEMPTS = 5
FIRST_PAUSE = 0.1

Explain = Callable[[Exception], Failure | None]
"""Says what a vendor's exception means; None if it is no answer of the store but a bug."""


class Calls(Generic[Client]):
    """Runs calls of one SDK client. Threads are bounded: calls wait for one until their deadline, never on the loop.

    A call whose caller gave up keeps its thread until the SDK's own timeout, for no thread can be stopped from
    outside. Short and long calls therefore have a pool each: copies under way never keep a HEAD waiting.
    """

    def __init__(self, client: Client, explain: Explain, *, threads: int) -> None:
        self._client = client
        self._explain = explain
        self._threads = Threads(threads)

    async def run(self, role: BucketRole, key: str | None, call: Callable[[Client], T]) -> T:
        """What `call` returns. It is called again after a transient error, so it must be safe to repeat."""
        try:
            async with asyncio.timeout(remaining()):
                return await self._attempts(role, key, call)
        except TimeoutError as error:
            raise Unavailable(role, key) from error

    async def once(self, role: BucketRole, key: str | None, call: Callable[[Client], T]) -> T:
        """What `call` returns, for a step that cannot be repeated."""
        try:
            async with asyncio.timeout(remaining()):
                return await self._attempt(role, key, call)
        except TimeoutError as error:
            raise Unavailable(role, key) from error

    def close(self) -> None:
        """Start no more calls; those under way end by themselves, or with the process."""
        self._threads.close()

    async def _attempts(self, role: BucketRole, key: str | None, call: Callable[[Client], T]) -> T:
        for pause in _pauses():
            try:
                return await self._attempt(role, key, call)
            except Unavailable as error:
                log.warning("store call retried", extra={"role": role, "causes": chain(error)})
            await asyncio.sleep(pause)
        return await self._attempt(role, key, call)

    async def _attempt(self, role: BucketRole, key: str | None, call: Callable[[Client], T]) -> T:
        try:
            return await self._threads.run(partial(call, self._client))
        except Exception as error:
            failure = self._explain(error)
            if failure is None:
                raise
            raise translate(failure, role, key) from error


def _pauses() -> Iterator[float]:
    """Seconds between attempts: doubling, each between half and all of its share, so that callers spread out."""
    for attempt in range(ATTEMPTS - 1):
        yield FIRST_PAUSE * 2**attempt * random.uniform(0.5, 1.0)  # noqa: S311  jitter, not a secret
