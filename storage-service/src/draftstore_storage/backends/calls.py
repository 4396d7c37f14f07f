"""Blocking calls of an SDK: in a thread of a bounded pool, retried, within the request's deadline."""

from collections.abc import Callable
from functools import partial
from typing import Generic, TypeVar

from draftstore_common.contracts.base import BucketRole
from draftstore_storage.backends.attempts import Attempts
from draftstore_storage.backends.threads import Threads
from draftstore_storage.backends.translation import Failure, translate

Client = TypeVar("Client")
T = TypeVar("T")

Explain = Callable[[Exception], Failure | None]
"""Says what a vendor's exception means; None if it is no answer of the store but a bug."""


class Calls(Generic[Client]):
    """Runs calls of one SDK client. Threads are bounded: calls wait for one until their deadline, never on the loop.

    A call whose caller gave up keeps its thread until the SDK's own timeout, for no thread can be stopped from outside.
    """

    def __init__(self, client: Client, explain: Explain, *, threads: int) -> None:
        self._client = client
        self._explain = explain
        self._threads = Threads(threads)
        self._attempts = Attempts()

    async def run(self, role: BucketRole, key: str | None, call: Callable[[Client], T]) -> T:
        """What `call` returns. It is called again after a transient error, so it must be safe to repeat."""
        return await self._attempts.make(role, key, lambda: self._attempt(role, key, call))

    def close(self) -> None:
        """Start no more calls; those under way end by themselves, or with the process."""
        self._threads.close()

    async def _attempt(self, role: BucketRole, key: str | None, call: Callable[[Client], T]) -> T:
        try:
            return await self._threads.run(partial(call, self._client))
        except Exception as error:
            failure = self._explain(error)
            if failure is None:
                raise
            raise translate(failure, role, key) from error
