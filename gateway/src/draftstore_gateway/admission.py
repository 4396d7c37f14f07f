"""Who pays for a request: the address when it brings no good key or asks for nothing we have, else the key."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from uuid import UUID

from draftstore_common.clients.transport import ServiceUnavailable
from draftstore_common.contracts.identity import Verdict
from draftstore_common.kit.context import remaining
from draftstore_gateway.address import bucket
from draftstore_gateway.concurrency import Concurrency, Place, Turns
from draftstore_gateway.errors import RateLimited
from draftstore_gateway.exchange import Answer
from draftstore_gateway.limits import Limiter
from draftstore_gateway.windows import Charge, Decision, Windows, charges, windows

STRANGERS = 16
"""Keys never seen that are asked about at once for one address: as many beyond its share can reach identity."""

CALLERS = 10_000
"""Callers whose charges are remembered."""


@dataclass(frozen=True, slots=True)
class _Caller:
    """What a verdict says of its caller, worked out once."""

    verdict: Verdict
    lineage: str
    charges: Sequence[Charge]


class Admission:
    """Charges requests, and tells the client where it stands in the header fields of the answer."""

    def __init__(self, limiter: Limiter, concurrency: Concurrency, *, per_address: Windows, per_key: Windows) -> None:
        self._limiter = limiter
        self._concurrency = concurrency
        self._strangers = Turns(STRANGERS)
        self._per_address = per_address
        self._per_key = per_key
        self._callers: dict[UUID, _Caller] = {}

    async def charge_address(self, answer: Answer, client: str) -> None:
        """Charge a refused or anonymous request; raises `RateLimited` when the address has had its share of those."""
        _tell(answer, await self._limiter.hit(self._of_address(client)))

    @asynccontextmanager
    async def stranger(self, answer: Answer, client: str) -> AsyncIterator[None]:
        """A turn of the address to ask about a key never seen; charges nothing.

        Raises `RateLimited` if the address has had its share of refusals when it is its turn: looked at before, the
        share would not hold back those who ask all at once.
        """
        async with self._turn(client):
            decision = await self._limiter.test(self._of_address(client))
            if not decision.admitted:
                _tell(answer, decision)
            yield

    @asynccontextmanager
    async def _turn(self, client: str) -> AsyncIterator[None]:
        try:
            async with asyncio.timeout(remaining()), self._strangers.turn(bucket(client)):
                yield
        except TimeoutError as error:
            raise ServiceUnavailable from error

    async def enter(self, answer: Answer, verdict: Verdict) -> Place:
        """Charge an authenticated request to its key and its tenant, and take a place, to be given back by calling it.

        Raises `TooManyConcurrent` or `RateLimited`; then there is nothing to give back. What finds no place is not
        charged: it costs us nothing, and its caller is told to wait for requests of its own.
        """
        caller = self._caller(verdict)
        place = self._concurrency.enter(caller.lineage)
        try:
            if caller.charges:
                _tell(answer, await self._limiter.hit(caller.charges))
        except BaseException:
            place()
            raise
        return place

    def _of_address(self, client: str) -> list[Charge]:
        return charges("ip", bucket(client), self._per_address)

    def _caller(self, verdict: Verdict) -> _Caller:
        known = self._callers.get(verdict.principal.lineage)
        return known if known is not None and known.verdict is verdict else self._remember(verdict)

    def _remember(self, verdict: Verdict) -> _Caller:
        lineage = verdict.principal.lineage
        self._callers.pop(lineage, None)  # it goes to the end: those at the beginning were not heard of for longest
        caller = self._callers[lineage] = _Caller(verdict, str(lineage), self._charges_of(verdict))
        if len(self._callers) > CALLERS:
            del self._callers[next(iter(self._callers))]
        return caller

    def _charges_of(self, verdict: Verdict) -> Sequence[Charge]:
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
