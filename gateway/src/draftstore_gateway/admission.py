"""Who pays for a request: the address when it brings no good key or asks for nothing we have, else the key."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from draftstore_common.contracts.identity import Verdict
from draftstore_gateway.address import Address, bucket
from draftstore_gateway.concurrency import Concurrency
from draftstore_gateway.errors import RateLimited
from draftstore_gateway.exchange import Answer
from draftstore_gateway.limits import Limiter
from draftstore_gateway.windows import Charge, Decision, Windows, charges, windows


class Admission:
    """Charges requests, and tells the client where it stands in the header fields of the answer."""

    def __init__(self, limiter: Limiter, concurrency: Concurrency, *, per_address: Windows, per_key: Windows) -> None:
        self._limiter = limiter
        self._concurrency = concurrency
        self._per_address = per_address
        self._per_key = per_key

    async def charge_address(self, answer: Answer, client: Address) -> None:
        """Charge a refused or anonymous request; raises `RateLimited` when the address has had its share of those."""
        _tell(answer, await self._limiter.hit(self._of_address(client)))

    async def check_address(self, answer: Answer, client: Address) -> None:
        """Raise `RateLimited` if the address has had its share of refusals; charges nothing."""
        decision = await self._limiter.test(self._of_address(client))
        if not decision.admitted:
            _tell(answer, decision)

    @asynccontextmanager
    async def admitted(self, answer: Answer, verdict: Verdict) -> AsyncIterator[None]:
        """A place for an authenticated request, charged to its key and its tenant.

        Raises `TooManyConcurrent` or `RateLimited`. What finds no place is not charged: it costs us nothing, and its
        caller is told to wait for requests of its own.
        """
        with self._concurrency.place(verdict.principal.lineage):
            wanted = self._of_caller(verdict)
            if wanted:
                _tell(answer, await self._limiter.hit(wanted))
            yield

    def _of_address(self, client: Address) -> list[Charge]:
        return charges("ip", bucket(client), self._per_address)

    def _of_caller(self, verdict: Verdict) -> list[Charge]:
        """The key's own windows, else the default, counted over its whole lineage; and the tenant's."""
        own = verdict.rate_limits
        of_key = self._per_key if own is None else windows(own)
        principal = verdict.principal
        return [
            *charges("key", str(principal.lineage), of_key),
            *charges("tenant", str(principal.tenant_id), windows(verdict.tenant_rate_limits)),
        ]


def _tell(answer: Answer, decision: Decision) -> None:
    answer.extra = decision.headers()
    if not decision.admitted:
        raise RateLimited(decision.retry_after)
